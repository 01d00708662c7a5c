"""The quality bar of detection.md on the labelled sessions: the tuned and the held-out part."""

import pytest

from tests.labelled.generate import held_out, session
from tests.labelled.kinds import KINDS
from tests.labelled.measure import measure


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
