"""A control that disables itself at the first click: what it does not do afterwards is no success and no sign of health."""

from typing import Any

from tests.unit.ufse.scene import Row, bodies, click, error, go, why

BUY = {"target_type": "button", "target_id": "buy"}
CRASH = "Cannot read properties of undefined (reading 'items')"


def visit(**later: Any) -> list[Row]:
    """One click raises an error; more clicks follow on the same control, two bursts of four; then a link is used."""
    rows = [go(1, "/shop"), click(10, BUY, verdict="error"), error(10.3, CRASH)]
    rows += [click(15 + 5 * burst + 1.1 * i, BUY, verdict="dead", **later) for burst in range(2) for i in range(4)]
    return [*rows, click(32, {"target_type": "link", "target_id": "home"}), go(32.2, "/")]


def test_presses_of_a_disabled_control_are_no_later_try_that_went_well() -> None:
    found = bodies(visit(disabled=1))
    assert [body["failurePoint"]["target"] for body in found] == ["button#buy"]
    assert not found[0]["resolved"]


def test_presses_of_a_control_that_works_are() -> None:
    assert bodies(visit(disabled=0)) == []
    assert bodies(visit()) == []
    assert why(visit()) is not None


def test_a_control_that_is_enabled_again_and_works_was_repaired() -> None:
    rows = [*visit(disabled=1)[:-2], click(40, BUY, disabled=0), go(40.3, "/basket"), click(50, BUY), go(60, "/")]
    assert bodies(rows) == []
