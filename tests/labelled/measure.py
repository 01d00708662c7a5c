"""Precision and recall of the engine on labelled sessions: ``python -m tests.labelled.measure [--seeds N]
[--part P]``.
"""

import argparse
import json
import tempfile
from pathlib import Path

from collector.contract import read_events
from tests.labelled.generate import DEFAULT_SEEDS, write
from ufse import Evaluation, detect, evaluate


def measure(part: str, seeds: int = DEFAULT_SEEDS) -> Evaluation:
    """Writes the sessions of a part as files, reads them as ``furrow detect`` does, and evaluates."""
    with tempfile.TemporaryDirectory() as folder:
        events_path, labels_path = write(Path(folder), seeds, part)
        table, rejects = read_events(events_path)
        if rejects:
            raise ValueError(f"the generator wrote events that the contract rejects: {rejects[0]}")
        labels = [json.loads(line) for line in labels_path.read_text(encoding="utf-8").splitlines()]
    return evaluate((d.to_json() for d in detect(table).detections), labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=DEFAULT_SEEDS)
    parser.add_argument("--part", choices=("tuned", "heldout", "all"), default="")
    chosen = parser.parse_args()
    for part in (chosen.part,) if chosen.part else ("tuned", "heldout"):
        found = measure(part, chosen.seeds)
        calm = sum(not k.frustrated for k in found.by_kind.values())
        print(
            f"{part}: precision {found.precision:.4f}, recall {found.recall:.4f}, "
            f"failure point {found.point_accuracy:.4f} "
            f"({len(found.by_kind) - calm} frustrated and {calm} calm kinds, "
            f"{sum(k.sessions for k in found.by_kind.values())} sessions)"
        )
        for name, figures in sorted(found.by_kind.items()):
            if figures.detected != (figures.sessions if figures.frustrated else 0) or figures.point_right != (
                figures.detected if figures.frustrated else 0
            ):
                print(
                    f"  {name}: {figures.detected} of {figures.sessions} detected, "
                    f"failure point right in {figures.point_right}"
                )


if __name__ == "__main__":
    main()
