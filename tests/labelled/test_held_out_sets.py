"""The sets of other authors are what they claim to be; whether the engine is right about them is measured, not asserted."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.contract import read_events
from tests.agents.check import run_check as check_agents
from tests.agents.write import write_set as write_agents
from tests.grown.check import run_check as check_grown
from tests.grown.write import write_set as write_grown

SESSIONS = 120
Set = tuple[Callable[[Path, int, int], None], Callable[[Path], int]]


@pytest.fixture(
    params=[
        pytest.param((write_agents, check_agents), id="agents"),
        pytest.param((write_grown, check_grown), id="grown"),
    ]
)
def labelled_set(request: pytest.FixtureRequest) -> Set:
    found: Set = request.param
    return found


def test_every_line_keeps_the_event_contract_and_every_label_its_session(labelled_set: Set, tmp_path: Path) -> None:
    write, check = labelled_set
    write(tmp_path, SESSIONS, 3)
    table, rejects = read_events(tmp_path / "events.jsonl")
    assert rejects == []
    labels = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    assert set(table["session_id"].to_pylist()) == {label["sessionId"] for label in labels}
    assert len(labels) == SESSIONS
    assert set(Counter(label["frustrated"] for label in labels)) == {True, False}
    assert check(tmp_path) == 0


def test_the_same_seed_writes_the_same_bytes(labelled_set: Set, tmp_path: Path) -> None:
    write, _ = labelled_set
    for name, seed in (("once", 3), ("again", 3), ("other", 4)):
        write(tmp_path / name, 30, seed)
    written = {name: (tmp_path / name / "events.jsonl").read_bytes() for name in ("once", "again", "other")}
    assert written["once"] == written["again"] != written["other"]
