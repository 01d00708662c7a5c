"""The quality bar of detection.md on the labelled sessions (tuned and held out), and floors on the corpora of other hands.

The floors are a little below what was measured (README), so that no change lowers the quality unseen.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from collector.contract import read_events
from tests.agents.write import write_set as write_agents
from tests.corpus.write import write as write_situations
from tests.grown.write import write_set as write_grown
from tests.labelled.generate import held_out, session
from tests.labelled.kinds import KINDS
from tests.labelled.measure import measure
from tests.simulated.write import write as write_simulated
from tests.unseen.write import write as write_unseen
from ufse import detect, evaluate


def test_enough_kinds_on_both_sides() -> None:
    calm = [k for k in KINDS.values() if not k.frustrated]
    assert len(calm) >= 60
    assert len(KINDS) - len(calm) >= 25
    apart = [n for n in KINDS if held_out(n, 0)]
    assert len(KINDS) / 5 < len(apart) < len(KINDS) / 2


def test_a_session_is_the_same_each_time() -> None:
    kind = KINDS["rage_5xx"]
    assert session(kind, 3) == session(kind, 3)
    assert session(kind, 3) != session(kind, 4)


@pytest.mark.parametrize("part", ["tuned", "heldout"])
def test_the_quality_bar(part: str) -> None:
    found = measure(part)
    assert found.precision >= 0.99, found.false_alarms
    assert found.recall >= 0.95, found.missed
    assert found.point_accuracy >= 0.98, found.wrong_points
    assert found.unlabelled == []


@pytest.mark.parametrize(
    ("write", "floors"),
    [
        pytest.param(partial(write_situations, seeds=3), (0.99, 0.955, 0.97), id="situations"),
        pytest.param(
            partial(write_simulated, sessions=1000, seed=1), (0.945, 0.82, 0.965), id="people x applications x failures"
        ),
        pytest.param(partial(write_unseen, seeds=3), (0.99, 0.97, 0.99), id="a third author's"),
        # What follows is far from its goal (0.97 / 0.85): the floors only say that it does not sink.
        pytest.param(partial(write_agents, sessions=500, seed=1), (0.9, 0.7, 0.85), id="people with goals"),
        pytest.param(partial(write_grown, sessions=500, seed=1), (0.9, 0.4, 0.35), id="grown from recordings"),
    ],
)
def test_the_quality_does_not_sink(
    write: Callable[[Path], object], floors: tuple[float, float, float], tmp_path: Path
) -> None:
    write(tmp_path)
    table, rejects = read_events(tmp_path / "events.jsonl")
    assert not rejects
    labels = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    found = evaluate((d.to_json() for d in detect(table).detections), labels)
    assert found.precision >= floors[0], found.false_alarms
    assert found.recall >= floors[1]
    assert found.point_accuracy >= floors[2], found.wrong_points
