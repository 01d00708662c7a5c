"""Another tool's report about an earlier click is no click (events.md, Shapes)."""

from typing import Any

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, go, table
from ufse import Config
from ufse.collectors import SessionReports
from ufse.columns import UNKNOWN_POSITION
from ufse.sessions import order_events

SPOT: dict[str, Any] = {"x": 310, "y": 220}


def scene(reported: dict[str, Any], *, lag: float = 2.5) -> list[Row]:
    """A refused order, tried once, and the order accepted at the second try; ``reported``: a click some time after the last."""
    return [
        go(0, "/checkout"),
        click(10, **SPOT),
        answer(10.5, 500),
        click(20, **SPOT),
        click(20 + lag, **{**SPOT, **reported}),
        end(60),
    ]


def count_tries(rows: list[Row]) -> int:
    """Clicks of which the engine knows, by the answer to each."""
    found = bodies([*rows[:-1], answer(20.4, 500, 0.3), answer(23, 500, 0.3), rows[-1]])
    return sum("2 attempts" in f["explanation"] for f in found)


@pytest.mark.parametrize("lag", [0.5, 2.5, 3.0, 7.0])
def test_a_report_is_no_try(lag: float) -> None:
    assert count_tries(scene({"verdict": "dead"}, lag=lag)) == 1


@pytest.mark.parametrize("lag", [0.5, 2.5])
def test_a_report_without_positions_is_no_try(lag: float) -> None:
    rows = [{**r, "x": UNKNOWN_POSITION, "y": UNKNOWN_POSITION} for r in scene({"verdict": "dead"}, lag=lag)]
    assert count_tries(rows) == 1


@pytest.mark.parametrize(
    ("reported", "lag"),
    [
        ({}, 2.5),
        ({"verdict": "error"}, 2.5),
        ({"verdict": "rage"}, 2.5),
        ({"verdict": "dead", "x": 322}, 2.5),
        ({"verdict": "dead", "y": 224}, 2.5),
    ],
)
def test_other_clicks_are_tries(reported: dict[str, Any], lag: float) -> None:
    assert count_tries(scene(reported, lag=lag)) == 0


def test_a_tool_that_judges_each_click_reports_clicks() -> None:
    rows = [{**r, "verdict": "dead"} if r["event_type"] == "click" else r for r in scene({})]
    assert count_tries(rows) == 0


def test_a_report_is_no_act_that_lacks_an_answer() -> None:
    """So many unanswered acts would mean a collector that reports no successes."""
    rows = scene({"verdict": "dead"})
    counts = [
        SessionReports(order_events(table(shown), Config()), Config()).unanswered_acts.tolist()
        for shown in (rows, [r for r in rows if r["verdict"] != "dead"], scene({}))
    ]
    assert counts == [[2], [2], [3]]
