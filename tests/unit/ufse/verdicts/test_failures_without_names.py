"""Failures that say nothing of themselves (no message, no address): only their time tells whose answer they are."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, go, typed

BUTTON = {"target_type": "button"}
LINK = {"target_type": "link"}
START = [go(0, "/home"), click(3, LINK, "/home"), go(3.2, "/checkout"), typed(6, target={"target_type": "text"})]


def press(t: float) -> Row:
    return click(t, BUTTON)


def crash(t: float, message: str = "") -> Row:
    return error(t, message)


def bad(t: float, took: float = -0.001) -> Row:
    return answer(t, 500, took, url="", method="")


def crashes(after: float, message: str = "", tries: int = 3) -> list[Row]:
    """Tries of one button, each followed by an error ``after`` seconds later; then the person leaves."""
    return [
        *START,
        *[r for n in range(tries) for r in (press(10 + 6 * n), crash(10 + 6 * n + after, message))],
        end(50),
    ]


@pytest.mark.parametrize("after", [1.1, 1.5, 1.7, 1.9])
def test_an_error_without_a_message_long_after_a_press_is_not_its_answer(after: float) -> None:
    assert bodies(crashes(after)) == []


@pytest.mark.parametrize("after", [0.02, 0.3, 0.9])
def test_an_error_without_a_message_at_once_after_each_press_is(after: float) -> None:
    assert bodies(crashes(after))


@pytest.mark.parametrize("after", [0.02, 1.1, 1.9])
def test_an_error_with_a_message_may_come_later(after: float) -> None:
    assert bodies(crashes(after, "TypeError: order is undefined"))


def test_a_request_without_an_address_may_come_later() -> None:
    rows = [r for n in range(3) for r in (press(10 + 6 * n), bad(11.5 + 6 * n))]
    assert bodies([*START, *rows, end(50)])


def run(clicks: int, *failing: int, at: float = 10) -> list[Row]:
    """Fast presses of one button, some of them followed by a failed request; the press after it is not waited for."""
    rows = [press(at + 0.35 * n) for n in range(clicks)]
    return sorted([*START[:-1], *rows, *[bad(at + 0.35 * n + 0.08) for n in failing]], key=lambda r: r["ts"])


@pytest.mark.parametrize("failing", [(3,), (9,), (20,)], ids=["early", "in the middle", "late"])
def test_one_failure_without_an_address_among_many_presses_is_nobodys(failing: tuple[int, ...]) -> None:
    assert bodies([*run(24, *failing), end(30)]) == []


@pytest.mark.parametrize("failing", [(1, 3, 5), (0, 1, 2, 3, 4, 5)], ids=["half of them", "each"])
def test_failures_of_most_presses_are_the_controls(failing: tuple[int, ...]) -> None:
    assert bodies([*run(6, *failing), *run(5, 1, 3, at=16)[4:], end(30)])


def test_a_failure_of_the_last_press_is_the_end_of_a_wait() -> None:
    assert bodies([*run(6, 5), end(30)])


def test_one_failure_with_an_address_among_many_presses_is_judged_as_before() -> None:
    named = [{**r, "url": "/api/orders", "method": "POST"} if r["event_type"] == "network" else r for r in run(12, 3)]
    assert bodies([*named, end(30)])
