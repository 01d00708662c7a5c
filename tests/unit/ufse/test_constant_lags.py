"""Failures that time out after a press, of a collector that tells neither address nor duration (decision 154)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, event, go, submit, typed, why

BUTTON = {"target_type": "button"}
BEST = {"target_type": "button", "target_id": "best"}
SEATS = {"target_type": "button", "target_id": "seats"}


def failed(t: float) -> Row:
    """A request that failed; nothing else is known of it."""
    return event(t, "network", status=0)


def tries(*lags: float, angry: bool = True, target: Row | None = None, gap: float = 100) -> list[Row]:
    """A page, and presses of one control, each with a burst while it waits and a failure ``lags`` seconds after it."""
    rows = [go(1, "/checkout"), typed(5)]
    for number, lag in enumerate(lags):
        at = 10 + gap * number + 1.7 * number
        rows += [click(at, target or BUTTON), failed(at + lag)]
        rows += [click(at + 4 + 0.2 * i, target or BUTTON) for i in range(4) if angry]
    return rows


def waits(*presses: tuple[float, Row], took: float) -> list[Row]:
    """Requests to one address that nobody answers, each begun by a press of a control."""
    rows = [go(1, "/seats")]
    for at, target in presses:
        rows += [click(at, target, route="/seats"), answer(at + took + 0.1, 0, took, "/api/baskets", route="/seats")]
        rows += [click(at + 3 + 0.2 * i, target, route="/seats") for i in range(5)]
    return rows


@pytest.mark.parametrize(
    "lags",
    [(30.1, 30.2, 30.15), (23.4, 23.5, 23.45), (10.1, 20.2, 15.1), (60.05, 30.2, 60.1), (30.1, 30.1, 30.2, 30.0)],
)
def test_failures_that_time_out_after_each_press_are_its_answers(lags: tuple[float, ...]) -> None:
    (body,) = bodies(tries(*lags))
    assert body["failurePoint"]["target"] == "button"
    assert any(f"{round(lag)} s after the click" in body["explanation"] for lag in lags)


@pytest.mark.parametrize(
    ("reason", "rows"),
    [
        ("two are chance", tries(30.1, 30.2)),
        ("no limit, and no two alike", tries(24.1, 36.3, 41.7)),
        ("one comes without a press", [*tries(30.1, 30.2, 30.1), failed(400), end(420)]),
        ("nobody pressed again: a save that waits", tries(20.1, 20.1, 20.1, angry=False)),
        ("too long", tries(71.1, 71.2, 71.1)),
        ("a page was shown in between", [*tries(30.1, 30.2, 30.1), go(20, "/basket"), go(22, "/checkout")]),
        (
            "presses of several controls",
            [
                *tries(30.1, target=BEST),
                *(click(111.7 + at, SEATS) for at in (0, 4, 4.2, 4.4, 4.6)),
                failed(141.8),
                *(click(213.4 + at, BUTTON) for at in (0, 4, 4.2, 4.4, 4.6)),
                failed(243.5),
            ],
        ),
        ("a clock", [*tries(), *(click(13 + 37.3 * i + 0.3 * j, BUTTON) for i in range(5) for j in range(4))]
         + [failed(20 + 30 * i) for i in range(7)]),
    ],
)  # fmt: skip
def test_other_failures_long_after_a_press_stay_background(reason: str, rows: list[Row]) -> None:
    rows = sorted(rows, key=lambda row: row["ts"])
    assert bodies(rows) == [], reason
    assert why(rows) == "background"


def test_what_was_waited_for_each_time_was_not_refused_by_a_blocker() -> None:
    presses = (10, SEATS), (40, BEST), (60, SEATS)
    points = [body["failurePoint"] for body in bodies(waits(*presses, took=15))]
    assert {point["target"] for point in points} == {"button#seats", "button#best"}
    assert all(point["feedback"].startswith("POST /api/baskets") for point in points)
    assert bodies(waits(*presses, took=0.05)) == []


@pytest.mark.parametrize(("polls", "found"), [(6, 1), (0, 1)])
def test_polling_that_follows_a_press_is_not_its_answer(polls: int, found: int) -> None:
    """Time-outs without a duration; a poll falls on each press."""
    rows = [go(1, "/checkout"), click(3, BEST), answer(3.2, 200, -0.001, "/api/basket")]
    for at in (20, 80, 140):
        rows += [click(at, SEATS), submit(at + 0.01), answer(at + 30.1, 504, -0.001)]
    rows += [answer(14 + 10 * i, 200, -0.001, "/api/stock", "GET") for i in range(polls * 3)]
    rows = sorted([*rows, end(175)], key=lambda row: row["ts"])
    assert len(bodies(rows)) == found
