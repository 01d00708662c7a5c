"""The first look for visits in which an answer is missing: it lets through what its rules need, and little else."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, go, table, typed
from ufse import DEFAULT
from ufse.sessions import order_events
from ufse.unanswered import may_lack_answers

ANSWERED = answer(2, 200)
TRIES = [click(5), click(8), click(11)]
OTHER = {"target_type": "button", "target_id": "add", "target_label": "Add"}


def look(*rows: Row) -> list[bool]:
    """Per visit of the rows: whether the rules for missing answers read it."""
    found: list[bool] = may_lack_answers(order_events(table(list(rows)), DEFAULT)).tolist()
    return found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([typed(4), *TRIES], True),
        ([typed(4), *TRIES[:2]], False),
        ([typed(4), click(5, route="/cart"), *TRIES[1:]], False),
        ([typed(4), click(5, route="/cart"), *TRIES], True),  # pages between the tries do not count
        ([typed(4, route="/cart"), *TRIES], False),
        ([click(4, OTHER), *TRIES], False),
        ([typed(4), *(click(5 + 3 * i, OTHER, route=f"/page/{i}") for i in range(6))], False),
        # Controls are told apart later: what names a control is not read here.
        ([typed(4), click(5), click(8, OTHER), click(11)], True),
    ],
)
def test_three_presses_after_a_change_on_one_page_are_looked_at(rows: list[Row], found: bool) -> None:
    assert look(ANSWERED, *rows) == [found]


def test_without_any_request_a_collector_is_not_known_to_report_answers() -> None:
    assert look(typed(4), *TRIES) == [False]


def rounds(page: str, how: str = "link") -> list[Row]:
    """Three forms on pages of their own, each filled in and sent; then ``page`` is shown."""
    steps = ((4 + 9 * i, f"/step/{i}") for i in range(3))
    return [r for t, at in steps for r in (typed(t, at), click(t + 1, route=at), {**go(t + 2, page), "nav_type": how})]


@pytest.mark.parametrize(("page", "found"), [("/login", True), ("/error", True), ("/orders", False)])
def test_forms_that_are_sent_three_times_and_a_page_that_sends_back(page: str, found: bool) -> None:
    assert look(ANSWERED, *rounds(page)) == [found]
    assert look(ANSWERED, *rounds(page)[:-3]) == [False]


@pytest.mark.parametrize(("how", "found"), [("link", False), ("reload", True)])
def test_forms_that_are_sent_three_times_and_a_page_that_is_loaded_anew(how: str, found: bool) -> None:
    assert look(ANSWERED, *rounds("/checkout", how)) == [found]


BURST = [click(8 + 0.3 * i) for i in range(3)]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([click(5), *BURST, click(12)], True),
        ([*BURST, click(12), click(16)], True),
        ([click(5), *BURST], False),  # two tries
        ([click(5), click(8), click(11), click(14), click(17)], False),  # no burst
        ([click(5), *({**r, "route": "/cart"} for r in BURST), click(12)], False),
        ([click(5, OTHER), *BURST, click(12, OTHER)], True),  # controls are told apart later
        ([click(5), *(click(8 + 1.5 * i) for i in range(3)), click(14)], False),
    ],
)
def test_bursts_on_a_page_without_a_change_are_looked_at(rows: list[Row], found: bool) -> None:
    assert look(ANSWERED, *rows) == [found]
    assert look(*rows) == [False]  # without a request nothing is known of answers
