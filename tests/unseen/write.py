"""Writes the corpus: ``python -m tests.unseen.write --out DIR --seeds N`` → events.jsonl and labels.jsonl."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.unseen import frustrated, harmless
from tests.unseen.sites import SITES
from tests.unseen.visit import Visit

_FIRST_DAY_MS = 1_772_000_000_000  # a day in early 2026
_SPREAD_MS = 20 * 86_400_000

Event = dict[str, Any]


def corpus(seeds: int) -> tuple[list[Event], list[Event]]:
    """Events in order of arrival (sessions interleaved) and one label a session; the same for the same ``seeds``."""
    sessions, labels = [], []
    for seed in range(seeds):
        for kind, letter in _plan():
            events, label = _session(kind, letter, seed)
            sessions.append(events)
            labels.append(label)
    shuffle = Random(f"arrival {seeds}")
    shuffle.shuffle(labels)
    return list(_interleave(sessions, shuffle)), labels


def _plan() -> Iterator[tuple[str, str]]:
    for stories in (frustrated.STORIES, harmless.STORIES):
        for kind, (sites, _) in stories.items():
            yield from ((kind, letter) for letter in sites)


def _session(kind: str, letter: str, seed: int) -> tuple[list[Event], Event]:
    rng = Random(f"{seed}/{kind}/{letter}")
    site = SITES[letter]
    v = Visit(site, rng, _FIRST_DAY_MS + rng.randrange(_SPREAD_MS))
    label: Event = {"sessionId": v.session_id, "frustrated": False, "route": "", "target": "", "kind": kind}
    if kind in frustrated.STORIES:
        step = frustrated.STORIES[kind][1](v)
        label.update(frustrated=True, route=step.route, target=site.name_of(step.control))
    else:
        harmless.STORIES[kind][1](v)
    v.surround()
    return _sent(v, rng), label


def _sent(v: Visit, rng: Random) -> list[Event]:
    events = [event for _, event in sorted(v.records, key=lambda record: record[0])]
    counted, keyed = v.site.style in ("rest", "graphql"), v.site.style in ("rest", "documents")
    for number, event in enumerate(events):
        if counted:
            event["seq"] = number
        if keyed:
            event["idempotencyKey"] = f"{v.session_id[:8]}:{number}"
    whole_seconds = v.site.style == "legacy" and "." not in str(events[0]["timestamp"])
    if rng.random() < 0.3 and not whole_seconds:  # without fractions the order of arrival is all there is
        for _ in v.some(1, 6):
            at = rng.randrange(len(events))
            events.insert(rng.randint(at, min(len(events), at + 15)), events.pop(at))
    if keyed and rng.random() < 0.25:  # a batch sent twice; only keys make that harmless (events.md)
        at = rng.randrange(len(events))
        events[at + 8 : at + 8] = [dict(event) for event in events[at : at + 8]]
    return events


def _interleave(sessions: list[list[Event]], rng: Random) -> Iterator[Event]:
    batches = []
    for events in sessions:
        begun, at = rng.random(), 0
        while at < len(events):
            size = rng.randint(5, 40)
            batches.append((begun + at * 1e-4, events[at : at + size]))
            at += size
    for _, batch in sorted(batches, key=lambda item: item[0]):
        yield from batch


def write(out: Path, seeds: int) -> tuple[int, int]:
    """Write both files into ``out`` (made if missing); the numbers of events and sessions. Raises OSError."""
    events, labels = corpus(seeds)
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("events", events), ("labels", labels)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return len(events), len(labels)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="sessions per kind and site")
    arguments = parser.parse_args()
    events, sessions = write(arguments.out, arguments.seeds)
    print(f"{events} events of {sessions} sessions in {arguments.out}")


if __name__ == "__main__":
    main()
