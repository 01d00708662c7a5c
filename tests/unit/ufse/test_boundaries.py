"""Every number that decides is exact: the scene just inside of it gives one thing, the scene just outside another."""

import pytest

from tests.unit.ufse.boundaries import TABLE, Case, tries
from tests.unit.ufse.scene import bodies, click


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.label)
def test_the_boundary_is_exact(case: Case) -> None:
    assert case.seen(case.config) == case.gives


def test_a_struggle_begins_where_its_evidence_does() -> None:
    """An unanswered click ten minutes before is neither the first signal's start nor within 30 s of the rest."""
    (body,) = bodies([click(0.001), *tries(600.001, 610.001, 620.001)])
    assert body["timestamp"] == "2024-01-15T10:10:00.001Z"
