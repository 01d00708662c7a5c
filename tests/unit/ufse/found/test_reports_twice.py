"""What an SDK that is loaded twice reports twice is one event (docs/decisions/0040)."""

from typing import Any

import numpy as np
import pytest

from tests.unit.ufse.found.files import count_detections
from tests.unit.ufse.scene import FORM, Row, answer, bodies, click, end, error, go, run, signals, submit, table, typed
from ufse import Config
from ufse.copies import drop_doubled_reports
from ufse.sessions import order_events

BUTTON = {"target_type": "button", "target_id": "pay"}


def twice(rows: list[Row], apart: float = 0.002) -> list[Row]:
    """Every event, and its copy ``apart`` seconds later."""
    return [copy for row in rows for copy in (row, {**row, "ts": row["ts"] + round(apart * 1000)})]


def hammer(count: int, gap: float = 0.4, **values: Any) -> list[Row]:
    return [click(5.1 + i * gap, BUTTON, **values) for i in range(count)]


def failed(t: float = 7.3, took: float = 2.15) -> Row:
    return answer(t, 500, took=took)


def test_the_found_input() -> None:
    assert count_detections("05-every-click-told-twice.jsonl") == 1


@pytest.mark.parametrize("apart", [0.0, 0.002, 0.017, 0.05])
def test_four_clicks_reported_twice_are_four(apart: float) -> None:
    (body,) = bodies([*twice(hammer(4), apart), failed()])
    assert {s["type"]: s["count"] for s in body["triggeringSignals"]} == {"rage": 4, "feedback": 1}


def test_a_position_that_moves_by_a_pixel_and_another_counter_are_the_same_click() -> None:
    rows = hammer(4, x=300, y=200, click_count=1)
    copies = [{**r, "ts": r["ts"] + 3, "x": 301, "y": 199, "seq": 900 + i} for i, r in enumerate(rows)]
    assert "rage" in signals([*rows, *copies, failed()])


def test_two_sdks_that_describe_one_control_differently_report_one_click() -> None:
    rows = hammer(4)
    copies = [{**r, "ts": r["ts"] + 3, "target_label": "Pay now", "target_tag": "BUTTON"} for r in rows]
    (body,) = bodies([*rows, *copies, failed()])
    assert {s["type"]: s["count"] for s in body["triggeringSignals"]}["rage"] == 4


def test_three_reports_of_each_click_are_one() -> None:
    rows = hammer(4)
    later = [{**r, "ts": r["ts"] + d} for d in (2, 9) for r in rows]
    (body,) = bodies([*rows, *later, failed()])
    assert {s["type"]: s["count"] for s in body["triggeringSignals"]}["rage"] == 4


def test_everything_reported_twice_is_judged_as_once() -> None:
    rows = [typed(1.01), typed(3.02, target={**FORM, "target_type": "input", "target_id": "zip"})]
    for t in (5.1, 14.3, 23.9):
        rows += [submit(t), answer(t + 0.4, 500, took=0.35), error(t + 0.42, "Uncaught Error: no order")]
    rows += [end(40.1)]
    once, doubled = bodies(rows), bodies(twice(rows, 0.004))
    assert [(b["primaryFailurePoint"], b["frustrationScore"]) for b in once] == [
        (b["primaryFailurePoint"], b["frustrationScore"]) for b in doubled
    ]
    assert [{s["type"]: s["count"] for s in b["triggeringSignals"]} for b in once] == [
        {s["type"]: s["count"] for s in b["triggeringSignals"]} for b in doubled
    ]


@pytest.mark.parametrize("apart", [0.002, 0.03])
def test_two_clicks_reported_twice_are_no_rage(apart: float) -> None:
    assert run([*twice(hammer(2), apart), failed()]).detections == []


def test_three_clicks_reported_twice_are_no_rage() -> None:
    assert "rage" not in signals([*twice(hammer(3)), failed()])


def test_reloads_reported_twice_are_no_rage() -> None:
    rows = [go(1, "/r"), answer(1.4, 500, url="/api/r", method="GET", route="/r")]
    rows += twice([go(5.2, "/r", "reload"), go(9.9, "/r", "reload")], 0.003)
    assert "rage" not in signals([*rows, answer(10.3, 500, url="/api/r", method="GET", route="/r")])


def test_a_double_click_of_a_person_stays_two_clicks() -> None:
    rows = [click(5.1, BUTTON), click(5.22, BUTTON), click(5.7, BUTTON), click(5.82, BUTTON)]
    assert "rage" in signals([*rows, failed()])


def test_a_second_click_that_the_browser_counted_is_no_copy() -> None:
    rows = [click(5.1 + d, BUTTON, click_count=c) for d, c in ((0, 1), (0.045, 2), (0.6, 1), (0.645, 2))]
    assert "rage" in signals([*rows, click(6.2, BUTTON, click_count=1), click(6.9, BUTTON, click_count=1), failed()])


def test_a_held_key_or_a_script_stays_no_person() -> None:
    rows = [click(5.1 + i * 0.03, BUTTON) for i in range(20)]
    assert "rage" not in signals([*rows, failed()])


def test_clicks_of_one_second_are_clicks_where_times_are_whole_seconds() -> None:
    rows = [click(5, BUTTON), click(5, BUTTON), click(6, BUTTON), click(6, BUTTON)]
    assert "rage" in signals([*rows, answer(8, 500, took=2)])


def test_two_controls_clicked_at_once_are_two() -> None:
    label = {"target_type": "label", "target_id": "pay-label"}
    rows = [r for i in range(4) for r in (click(5.1 + i * 0.4, BUTTON), click(5.102 + i * 0.4, label))]
    events = [*rows, failed()]
    ordered = order_events(table(events), Config())
    assert len(drop_doubled_reports(ordered, np.arange(len(events)))) == len(events)
