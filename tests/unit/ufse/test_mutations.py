"""A number that is changed by its smallest step, up or down, is noticed by the table of boundaries.

What this finds beside a changed threshold: a threshold that nothing reads, and one that another threshold hides.
"""

from dataclasses import fields

import pytest

from tests.unit.ufse.boundaries import TABLE, mutants
from ufse import DEFAULT, Config
from ufse.weights import Weights

OF_REGISTERED = {"declared_thresholds", "declared_weights"}
"""Numbers of signals that are registered later: test_registry is about them."""
SWITCHES = {"visits_open"}
"""What is no number: test_open_visits is about it."""
CONFIG = [f.name for f in fields(Config) if f.name not in {"weights", "exemptions", *SWITCHES, *OF_REGISTERED}]
WEIGHTS = [f"weights.{f.name}" for f in fields(Weights)]
BESIDE = {"status", "blocked"}
"""What the table names that is no field: statuses and the second try are written into the rules."""


@pytest.mark.parametrize("field", [*CONFIG, *WEIGHTS])
@pytest.mark.parametrize("direction", [0, 1], ids=["less", "more"])
def test_a_step_is_noticed(field: str, direction: int) -> None:
    cases = [case for case in TABLE if case.field == field]
    assert cases, f"no boundary case is about {field}"
    assert any(case.seen(mutants(field, case.config)[direction]) != case.gives for case in cases)


def test_the_table_is_about_numbers_that_exist() -> None:
    assert {case.field for case in TABLE} <= {*CONFIG, *WEIGHTS, *BESIDE}


def test_cases_change_no_number_that_they_are_about() -> None:
    """Else a changed default would not be noticed; lists, empty by default, and points of one scene excepted."""
    for case in TABLE:
        if not case.field.startswith(("weights.", "ignored_")) and case.field not in BESIDE:
            assert getattr(case.config, case.field) == getattr(DEFAULT, case.field), case.label
