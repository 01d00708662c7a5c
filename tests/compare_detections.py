"""Compares what two versions of the engine find in the same sessions, byte for byte.

``python -m tests.compare_detections write OUT.jsonl`` writes every detection and why-not of the labelled sets, and every row
that their sessions show for a history, one line each; run it in both versions. ``python -m tests.compare_detections compare
BEFORE AFTER`` says how many lines differ, and how many still differ without the texts for people (a reworded sentence is no
other judgement). It ends with 1 in the latter case.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from collector.contract import read_events
from tests.corpus import write as corpus
from tests.labelled import generate as labelled
from tests.simulated import write as simulated
from tests.unseen import write as unseen
from ufse import detect

SETS: Final[dict[str, Callable[[Path], object]]] = {
    "corpus": lambda folder: corpus.write(folder, 12),
    "corpus-100": lambda folder: corpus.write(folder, 6, first=100),
    "simulated-1": lambda folder: simulated.write(folder, 2_000, 1),
    "simulated-77": lambda folder: simulated.write(folder, 2_000, 77),
    "unseen": lambda folder: unseen.write(folder, 4),
    "labelled-tuned": lambda folder: labelled.write(folder, 20, "tuned"),
    "labelled-heldout": lambda folder: labelled.write(folder, 20, "heldout"),
}
"""Name of each set, and how its ``events.jsonl`` is written into a folder."""
TEXTS: Final = frozenset({"explanation", "text"})
"""Keys that hold sentences for people; so does ``rule`` of a row of points, which a why-not's ``rule`` does not."""


def find_all(sets: dict[str, Callable[[Path], object]] = SETS) -> Iterator[str]:
    """A line of JSON for every detection, why-not and observed row of the sets, with sorted keys."""
    for name, write in sets.items():
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            table, rejects = read_events(Path(folder) / "events.jsonl")
            if rejects:
                raise ValueError(f"the contract rejects events of {name}: {rejects[0]}")
            found = detect(table, why_not=True, observe=True)
        for kind, results in (("detection", found.detections), ("why not", found.why_not)):
            for result in results:
                yield json.dumps([name, kind, result.to_json()], sort_keys=True)
        for kind in ("endpoint", "collector", "control"):
            for row in getattr(found.observed, f"{kind}s").to_pylist():
                yield json.dumps([name, kind, row], sort_keys=True)


def remove_texts(value: Any) -> Any:
    """The same JSON without the keys in `TEXTS`, at every depth."""
    if isinstance(value, dict):
        texts = {*TEXTS, "rule"} if value.keys() == {"rule", "points"} else TEXTS
        return {key: remove_texts(inner) for key, inner in value.items() if key not in texts}
    return [remove_texts(inner) for inner in value] if isinstance(value, list) else value


def compare(before: list[str], after: list[str]) -> tuple[int, int]:
    """How many lines differ, and how many of them without their texts. Raises ValueError for different numbers of lines."""
    pairs = list(zip(before, after, strict=True))
    changed = [(old, new) for old, new in pairs if old != new]
    return len(changed), sum(remove_texts(json.loads(old)) != remove_texts(json.loads(new)) for old, new in changed)


def main() -> int:
    """The command; 1 when a judgement differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write").add_argument("out", type=Path)
    pair = commands.add_parser("compare")
    pair.add_argument("before", type=Path)
    pair.add_argument("after", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "write":
        lines = list(find_all())
        chosen.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{len(lines)} lines in {chosen.out}")
        return 0
    before, after = (path.read_text(encoding="utf-8").splitlines() for path in (chosen.before, chosen.after))
    texts, judgements = compare(before, after)
    print(f"{len(before)} lines; {texts} differ, {judgements} of them without their texts")
    return 1 if judgements else 0


if __name__ == "__main__":
    sys.exit(main())
