"""The inputs of ``tests/data/found`` as detections."""

from pathlib import Path

from collector.contract import read_events
from ufse import detect

FOLDER = Path(__file__).parents[3] / "data" / "found"


def count_detections(name: str) -> int:
    """How many detections the file ``name`` gives; its events must all pass the contract."""
    table, rejects = read_events(FOLDER / name)
    assert not rejects
    return len(detect(table).detections)
