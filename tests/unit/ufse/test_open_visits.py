"""Visits that may go on: what holds before they end, and what does not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from collector.contract import read_events
from tests.corpus import write as corpus
from tests.unit.ufse.scene import Row, answer, click, end, error, go, run, submit, typed
from ufse import DEFAULT, Config, Detection, detect
from ufse.open_visits import configure_open_visits, holds_while_open

OPEN = configure_open_visits({"": DEFAULT})[""]


def held(rows: list[Row], config: Config = OPEN) -> list[Detection]:
    """The detections of an open visit that hold."""
    return [body for found in run(rows, config).detections if holds_while_open(body := found.to_json())]


def tries(number: int, status: int = 500, gap: float = 6.0, took: float = 0.2, **target: Any) -> list[Row]:
    """So many clicks on "pay", each answered."""
    return [
        row
        for n in range(number)
        for row in (click(n * gap, target or None), answer(n * gap + took + 0.05, status, took))
    ]


def test_the_third_failed_try_holds_the_second_does_not() -> None:
    assert held([go(-5, "/checkout"), *tries(2)]) == []
    (found,) = held([go(-5, "/checkout"), *tries(3)])
    assert [signal["type"] for signal in found["triggeringSignals"]] == ["blocked", "feedback"]
    assert not found["endedFlow"]
    assert "end of the session" not in found["explanation"]


@pytest.mark.parametrize("status", [500, 503, 0, 429, 400, 403, 404, 409, 422])
def test_failures_and_refusals_block(status: int) -> None:
    assert len(held([go(-5, "/checkout"), *tries(3, status)])) == 1


def test_other_failures_that_hold() -> None:
    crashes = [row for n in range(3) for row in (click(n * 5), error(n * 5 + 0.1))]
    forms = [row for n in range(3) for row in (typed(n * 9), submit(n * 9 + 2), answer(n * 9 + 2.4, 500))]
    rage = [*(click(n * 0.4) for n in range(6)), answer(0.3, 500)]
    for rows in (crashes, forms, rage, tries(3, 504, gap=40.0, took=25.0)):
        assert len(held([go(-5, "/checkout"), *rows])) == 1, rows


@pytest.mark.parametrize("waited", [4.0, 12.0, 29.0])
def test_what_is_slow_may_still_come(waited: float) -> None:
    mashed = [*(click(n * 0.5) for n in range(8)), answer(waited + 0.1, 200, waited)]
    assert held([go(-5, "/checkout"), *mashed]) == []
    assert held([go(-5, "/checkout"), *tries(4, 200, gap=35, took=waited)]) == []


def test_leaving_and_the_last_event_are_no_evidence() -> None:
    """Complete, each of these is a detection by how it ends."""
    filled = [go(-5, "/checkout"), typed(0), typed(2), submit(3), answer(3.4, 500)]
    for rows in (
        [*filled, submit(9), answer(9.4, 500), go(20, "/help")],
        [*filled, submit(9), answer(9.4, 500), end(30)],
        [*filled, submit(9), answer(9.4, 500)],
    ):
        assert len(run(rows).detections) == 1
        assert held(rows) == []


def test_a_success_ends_it_and_another_failure_brings_it_back() -> None:
    begun = [go(-5, "/checkout"), *tries(3)]
    served = [*begun, click(25), answer(25.3, 200)]
    assert held(served) == []
    again = [*served, *([click(60 + n * 6), answer(60.3 + n * 6, 500)][k] for n in range(3) for k in (0, 1))]
    assert len(held(again)) == 1


def test_the_complete_visit_has_the_same_identity() -> None:
    rows = [go(-5, "/checkout"), *tries(3)]
    (early,) = held(rows)
    (later,) = held([*rows, click(30), answer(30.3, 500)])
    (whole,) = (found.to_json() for found in run([*rows, click(30), answer(30.3, 500), end(50)]).detections)
    for name in ("detectionId", "fingerprint", "visitId", "visitStart", "failurePoint", "timestamp"):
        assert early[name] == later[name] == whole[name]  # type: ignore[literal-required]


def test_a_stepper_a_poll_and_a_calm_page_stay_silent() -> None:
    plus = {"target_type": "button", "target_label": "+", "target_id": "plus"}
    polls = [answer(n * 5, 503, url="/api/news", method="GET") for n in range(20)]
    assert held([go(-5, "/checkout"), *tries(5, 200, gap=0.5, **plus)]) == []
    assert held([go(-5, "/checkout"), *polls, *(click(n * 7 + 1, {"target_id": f"a{n}"}) for n in range(8))]) == []


def test_limits_and_points_of_a_project_count() -> None:
    patient = configure_open_visits({"": replace(DEFAULT, rage_clicks=9)})[""]
    rage = [go(-5, "/checkout"), *(click(n * 0.4) for n in range(6)), answer(0.3, 500)]
    assert held(rage, patient) == []
    strict = configure_open_visits({"": replace(DEFAULT, high_score=100)})[""]
    assert strict.high_score == 90
    assert configure_open_visits({"": replace(DEFAULT, high_score=52, medium_score=50)})[""].high_score == 51


def test_complete_visits_are_judged_as_before() -> None:
    assert DEFAULT.digest == Config(visits_open=False).digest
    assert DEFAULT.digest != OPEN.digest


def test_most_struggles_of_the_corpus_hold_before_they_end_and_few_are_taken_back(tmp_path: Path) -> None:
    """Looked at every 30 s, and once with all events: what holds, against what the complete sessions show."""
    corpus.write(tmp_path, 1)
    events, _ = read_events(tmp_path / "events.jsonl")
    final = {found.detection_id: found.to_json() for found in detect(events).detections}
    opened = {
        body["detectionId"]
        for part in [*(_first_seconds(events, limit) for limit in range(30, 240, 30)), events]
        for found in detect(part, OPEN).detections
        if holds_while_open(body := found.to_json())
    }
    struggles = {id_ for id_, body in final.items() if _has_struggle(body)}
    assert len(struggles) > 40
    assert len(struggles & opened) / len(struggles) > 0.9
    assert len(opened - final.keys()) / len(opened) < 0.2  # most of them: the person got there after all
    frustrated = {
        label["sessionId"]
        for label in map(json.loads, (tmp_path / "labels.jsonl").read_text().splitlines())
        if label["frustrated"]
    }
    assert {final[id_]["sessionId"] for id_ in opened & final.keys()} <= frustrated


def _first_seconds(events: pa.Table, limit: int) -> pa.Table:
    """The first ``limit`` seconds of each session that is longer."""
    _, code = np.unique(events["session_id"].cast(pa.string()).to_pylist(), return_inverse=True)
    at = events["ts"].to_numpy()
    began, ended = np.full(code.max() + 1, 2**62), np.zeros(code.max() + 1, dtype=np.int64)
    np.minimum.at(began, code, at)
    np.maximum.at(ended, code, at)
    kept = (at - began[code] <= limit * 1000) & (ended[code] - began[code] > limit * 1000)
    return events.filter(pa.array(kept))


def _has_struggle(body: Detection) -> bool:
    counts = [(signal["type"], signal["count"]) for signal in body["triggeringSignals"]]
    return any(kind == "rage" or (kind == "blocked" and count >= 2) for kind, count in counts)
