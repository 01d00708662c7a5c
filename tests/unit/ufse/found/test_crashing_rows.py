"""Rows of a list whose clicks crash are one kind of control (docs/decisions/0040); errors beside a list that works are none."""

from collections.abc import Callable

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, go

ROWS: dict[str, Callable[[int], Row]] = {
    "ids": lambda n: {"target_type": "button", "target_id": f"approve-{n}", "target_label": "Approve"},
    "ids of slots": lambda n: {"target_type": "button", "target_id": f"slot-{n + 1}", "target_label": "Wählen"},
    "places": lambda n: {"target_type": "button", "target_selector": f"tr:nth-child({n}) .open", "target_label": ""},
    "places in a list": lambda n: {"target_type": "button", "target_selector": f"li:nth-child({n}) > button"},
}
MENU = {"target_type": "link", "target_id": "menu", "target_label": "Tasks"}
NEXT = {"target_type": "button", "target_id": "next", "target_label": "Continue"}
SOURCE = "/assets/index-BcX9d1kQ.js"


def press_rows(
    make: Callable[[int], Row], count: int, message: str = "TypeError: e.map is not a function"
) -> list[Row]:
    """A page opened by a click, and rows of its list, each pressed and crashed."""
    rows = [
        go(0, "/home"),
        click(2, MENU, "/home"),
        go(2.2, "/tasks", "push"),
        answer(2.6, 200, url="/api/tasks", method="GET", route="/tasks"),
    ]
    for n in range(1, count + 1):
        rows += [click(3 + 4 * n, make(n), "/tasks"), error(3.03 + 4 * n, message, source=SOURCE, route="/tasks")]
    return rows


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("count", [3, 5])
def test_row_after_row_that_crashes_is_found(kind: str, count: int) -> None:
    (body,) = bodies([*press_rows(ROWS[kind], count), go(40, "/home")])
    assert "blocked" in {s["type"] for s in body["triggeringSignals"]}
    assert "e.map" in body["failurePoint"]["feedback"]


@pytest.mark.parametrize("kind", ROWS)
def test_two_rows_that_crash_are_silent(kind: str) -> None:
    assert bodies([*press_rows(ROWS[kind], 2), go(40, "/home")]) == []


@pytest.mark.parametrize("kind", ROWS)
def test_rows_that_are_answered_beside_the_error_are_silent(kind: str) -> None:
    """A script that counts clicks fails at each of them; the list works."""
    good = [answer(3.4 + 4 * n, 200, url=f"/api/tasks/{n}", route="/tasks") for n in range(1, 5)]
    assert bodies(sorted([*press_rows(ROWS[kind], 4), *good, go(40, "/home")], key=lambda r: int(r["ts"]))) == []


@pytest.mark.parametrize("kind", ROWS)
def test_rows_after_which_the_page_leads_on_are_silent(kind: str) -> None:
    """Rows that are only chosen need no request; the next step takes them."""
    rows = [*press_rows(ROWS[kind], 4), click(26, NEXT, "/tasks"), go(26.4, "/summary", "push"), end(60, "/summary")]
    assert bodies(rows) == []


def test_different_controls_with_one_error_are_no_list() -> None:
    """A tool bar: the same harmless error of a script comes after each of its buttons."""
    names = ("bold", "italic", "align", "quote", "undo")
    rows = press_rows(lambda n: {"target_type": "button", "target_id": names[n - 1], "target_label": names[n - 1]}, 5)
    assert bodies([*rows, go(40, "/home")]) == []


def test_rows_of_a_visit_without_any_answer_to_a_click_are_silent() -> None:
    """Nothing shows that this collector reports answers."""
    assert bodies([go(0, "/tasks"), *press_rows(ROWS["ids"], 4)[4:], end(60, "/tasks")]) == []
