"""Write the corpus: `python -m tests.corpus.write --out DIR --seeds N [--first M] [--kinds a,b]`."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.corpus import kinds_calm, kinds_frustrated
from tests.corpus.player import KINDS, perform

TAKES = 2
MODULES = (kinds_frustrated, kinds_calm)


def sessions(
    names: Iterable[str], seeds: int, first: int = 0
) -> Iterable[tuple[dict[str, Any], list[tuple[float, dict[str, Any]]]]]:
    """Label and events (each with its time of arrival, in epoch seconds) of every session."""
    for name in names:
        for seed in range(first, first + seeds):
            for take in range(TAKES):
                player = perform(KINDS[name], seed, take)
                ident = hashlib.sha256(f"{name}/{seed}/{take}".encode()).hexdigest()[:20]
                route, target = player.label() if KINDS[name].frustrated else ("", "")
                label = {"sessionId": ident, "frustrated": KINDS[name].frustrated, "route": route, "target": target}
                yield {**label, "kind": name}, player.lines(ident)


def write(out: Path, seeds: int, names: Iterable[str] | None = None, first: int = 0) -> tuple[int, int]:
    """Write `events.jsonl` in order of arrival and `labels.jsonl`; return the numbers of sessions and events."""
    chosen = sorted(KINDS) if names is None else list(names)
    labels: list[dict[str, Any]] = []
    events: list[tuple[float, int, dict[str, Any]]] = []
    for label, lines in sessions(chosen, seeds, first):
        labels.append(label)
        events.extend((at, len(events) + n, event) for n, (at, event) in enumerate(lines))
    events.sort(key=lambda entry: entry[:2])
    out.mkdir(parents=True, exist_ok=True)
    with (out / "events.jsonl").open("w") as file:
        file.writelines(json.dumps(event, ensure_ascii=False) + "\n" for _, _, event in events)
    with (out / "labels.jsonl").open("w") as file:
        file.writelines(json.dumps(label, ensure_ascii=False) + "\n" for label in labels)
    return len(labels), len(events)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kinds", default="", help="comma-separated; all without it")
    given = parser.parse_args()
    names = [name for name in given.kinds.split(",") if name] or None
    unknown = sorted(set(names or []) - set(KINDS))
    if unknown:
        parser.error(f"no such kind: {', '.join(unknown)}")
    count, lines = write(given.out, given.seeds, names, given.first)
    print(f"{count} sessions, {lines} events in {given.out}")


if __name__ == "__main__":
    main()
