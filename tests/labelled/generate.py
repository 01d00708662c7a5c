"""Writes labelled sessions: ``python -m tests.labelled.generate DIR [--seeds N] [--part tuned|heldout|all]``.

``events.jsonl`` holds one event a line in the wire format, ``labels.jsonl`` one label a line. A third of the
kinds and, of the other kinds, a third of the seeds is held out: never looked at while the rules were tuned.
"""

import argparse
import json
import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from tests.labelled.kinds import KINDS, Kind
from tests.labelled.tape import Json, Tape, impoverish

DEFAULT_SEEDS = 12


def held_out(kind: str, seed: int) -> bool:
    """Whether a session belongs to the part that is never used for tuning."""
    return sha256(kind.encode()).digest()[0] % 3 == 0 or seed % 3 == 2


def session(kind: Kind, seed: int) -> tuple[list[Json], Json]:
    """The events and the label of one session; the same for the same kind and seed."""
    rng = random.Random(f"{kind.name}:{seed}")
    tape = Tape.make(rng, f"{kind.name}-{seed}")
    kind.play(tape)
    events = tape.wire()
    if kind.poor and (kind.frustrated or seed % 2):
        events = impoverish(events)
    label = {"sessionId": tape.session_id, "frustrated": kind.frustrated, **tape.label, "kind": kind.name}
    return events, label


def sessions(seeds: int = DEFAULT_SEEDS, part: str = "all") -> Iterator[tuple[list[Json], Json]]:
    """All sessions of a part: ``tuned``, ``heldout`` or ``all``."""
    for name in sorted(KINDS):
        for seed in range(seeds):
            if part == "all" or held_out(name, seed) == (part == "heldout"):
                yield session(KINDS[name], seed)


def write(folder: Path, seeds: int = DEFAULT_SEEDS, part: str = "all") -> tuple[Path, Path]:
    """Writes events.jsonl and labels.jsonl; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    events_path, labels_path = folder / "events.jsonl", folder / "labels.jsonl"
    with (
        events_path.open("w", encoding="utf-8") as events_file,
        labels_path.open("w", encoding="utf-8") as labels_file,
    ):
        for events, label in sessions(seeds, part):
            events_file.writelines(json.dumps(e, ensure_ascii=False) + "\n" for e in events)
            labels_file.write(json.dumps(label, ensure_ascii=False) + "\n")
    return events_path, labels_path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=DEFAULT_SEEDS)
    parser.add_argument("--part", choices=("tuned", "heldout", "all"), default="all")
    chosen = parser.parse_args()
    print(*write(chosen.folder, chosen.seeds, chosen.part))


if __name__ == "__main__":
    main()
