"""A control that failed and is disabled since: pressing it again is a try; pressing any other disabled control is calm."""

from typing import Any

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, error, go, typed, why

BUY = {"target_type": "button", "target_id": "buy"}
HOME = {"target_type": "link", "target_id": "home"}
CRASH = "Cannot read properties of undefined (reading 'items')"


def visit(*presses: float, failure: list[Row] | None = None, **later: Any) -> list[Row]:
    """A press of the button, what failed, more presses, and a link at last."""
    rows = [go(1, "/checkout"), click(10, BUY, disabled=0)]
    rows += [error(10.1, CRASH)] if failure is None else failure
    return [*rows, *(click(at, BUY, **{"disabled": 1, **later}) for at in presses), click(30, HOME)]


@pytest.mark.parametrize("failure", [None, [answer(10.3, 500)]])
def test_two_presses_of_the_control_that_its_failure_left_disabled_are_a_try(failure: list[Row] | None) -> None:
    (body,) = bodies(visit(13.3, 13.94, failure=failure))
    assert body["failurePoint"]["target"] == "button#buy"
    assert "tried again after a failure" in body["explanation"]


@pytest.mark.parametrize(
    ("reason", "rows"),
    [
        ("one press", visit(13.3)),
        ("a double click", visit(13.3, 13.6)),
        ("presses at the pace of the failed one", visit(10.4, 10.9)),
        ("presses long after the failure", visit(50, 52)),
        ("the control is enabled again", [*visit(13.3, 13.94), click(20, BUY, disabled=0), answer(20.3, 200)]),
        ("no failure, a field is empty", visit(*(12 + i * 0.6 for i in range(5)), failure=[])),
        ("a request on its way that succeeds", visit(11, 11.7, 12.4, failure=[answer(13, 200, 2.9)])),
        ("a slow request that succeeds", visit(11, 11.7, 12.4, 13.2, 14, failure=[answer(16, 200, 5.9)])),
        ("a field is refused", visit(13.3, 13.94, failure=[answer(10.3, 422)])),
    ],
)
def test_other_presses_of_a_disabled_control_are_calm(reason: str, rows: list[Row]) -> None:
    assert bodies(rows) == [], reason


def test_a_next_button_that_waits_for_a_field_is_calm() -> None:
    presses = [click(10 + 0.7 * i, BUY, disabled=1) for i in range(5)]
    rows = [go(1, "/checkout"), typed(5), *presses, typed(20), click(24, BUY, disabled=0), answer(24.3, 200)]
    assert bodies(rows) == []
    assert "blocked" not in why(rows)
