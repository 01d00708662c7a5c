"""The shape of what comes out, explanations, why-not, configuration by project, isolation of failures."""

import importlib
import json
import re

import pyarrow as pa
import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, go, run, submit, table, typed
from ufse import DEFAULT, Config, detect, detect_each
from ufse.arrays import Ints
from ufse.event_columns import EventColumns

KEYS = [
    *("detectionId", "projectId", "sessionId", "visitId", "visitStart", "fingerprint"),
    *("fingerprintVersion", "olderFingerprints", "failurePoint"),
    *(
        "primaryFailurePoint",
        "frustrationScore",
        "confidenceLevel",
        "confidenceScore",
        "severityType",
        "timestamp",
    ),
    *(
        "lastSeen",
        "triggeringSignals",
        "points",
        "explanation",
        "timeline",
        "endedFlow",
        "resolved",
        "context",
    ),
    "engineVersion",
    "configHash",
]
STORY = [
    go(0, "/checkout"),
    typed(4),
    *(r for i in range(5) for r in (click(10 + 0.4 * i), answer(10.3 + 0.4 * i, 500, took=0.25))),
    go(20, "/home"),
    end(25, "/home"),
]


def test_the_shape_of_a_detection() -> None:
    (body,) = bodies(STORY)
    assert list(body) == KEYS
    assert body["timestamp"] == "2024-01-15T10:00:10.000Z"
    assert body["lastSeen"] == "2024-01-15T10:00:20.000Z"
    assert body["visitStart"] == "2024-01-15T10:00:00.000Z"
    assert body["confidenceScore"] == body["frustrationScore"] / 100
    assert sum(p["points"] for p in body["points"]) >= body["frustrationScore"]
    for name in ("detectionId", "visitId", "fingerprint"):
        assert re.fullmatch(r"[0-9a-f]{32}", body[name])
    assert json.loads(json.dumps(body)) == body


def test_signals_and_timeline_name_their_events() -> None:
    (body,) = bodies(STORY)
    known = {r["event_id"] for r in table(STORY).to_pylist()}
    for signal in body["triggeringSignals"]:
        assert set(signal["eventIds"]) <= known
        assert signal["start"] <= signal["end"]
    assert {e["eventId"] for e in body["timeline"]} <= known
    assert [e["at"] for e in body["timeline"]] == sorted(e["at"] for e in body["timeline"])
    assert body["timeline"][0]["text"] == "went to /checkout"
    assert "clicked button#pay “Pay now”" in {e["text"] for e in body["timeline"]}


def test_the_explanation_says_what_and_how_often_and_when() -> None:
    (body,) = bodies(STORY)
    said = body["explanation"]
    for part in (
        "POST /api/orders returned 500",
        "5 clicks on button#pay in 1.6 s",
        "10:00:10.300",
        "Score 100",
    ):
        assert part in said
    for points in body["points"]:
        assert points["rule"] in said
    assert not re.search(r"\b(seems|should|probably|please|unfortunately|frustrated)\b", said)


def test_a_long_story_keeps_a_short_timeline() -> None:
    rows = [r for i in range(40) for r in (click(10 + 0.4 * i), answer(10.3 + 0.4 * i, 500, took=0.25))]
    (body,) = bodies(rows)
    assert len(body["timeline"]) <= DEFAULT.timeline_events
    assert any("500" in e["text"] for e in body["timeline"])


def test_why_not_is_one_line_for_each_silent_visit() -> None:
    calm = [{**click(10), "session_id": "calm"}]
    fixed = [
        {**r, "session_id": "fixed"} for r in (typed(5), submit(8), answer(8.3, 500), submit(15), answer(15.3, 200))
    ]
    result = run([*STORY, *calm, *fixed])
    assert [(w.to_json()["sessionId"], w.to_json()["rule"]) for w in result.why_not] == [
        ("calm", "no_negative_feedback"),
        ("fixed", "resolved"),
    ]
    (candidate,) = result.why_not[1].to_json()["candidates"]
    assert candidate["failurePoint"] == "/checkout › form#checkout-form › POST /api/orders → 500"
    assert detect(table(STORY)).why_not == []


def test_each_project_has_its_own_configuration() -> None:
    rows = [*STORY, *({**r, "project": "q"} for r in STORY)]
    result = detect(table(rows), {"": DEFAULT, "q": Config(ignored_routes=("/checkout",))})
    assert [d.to_json()["projectId"] for d in result.detections] == ["p"]
    assert len(result.visits) == 2
    assert len(detect(table(rows), {}).detections) == 2


def test_detections_are_ordered_by_project_time_and_id() -> None:
    rows = [
        {**r, "project": p, "session_id": s, "ts": r["ts"] + shift, "received_ms": r["received_ms"] + shift}
        for p, s, shift in (("q", "1", 0), ("p", "2", 5000), ("p", "1", 9000))
        for r in STORY
    ]
    found = [(d.to_json()["projectId"], d.to_json()["timestamp"]) for d in run(rows).detections]
    assert found == sorted(found)


def test_detect_each_isolates_a_session_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that raises stands for any defect that one session's values could bring to light."""
    rows: list[Row] = [{**r, "session_id": s} for s in ("a", "b", "c", "poison", "z") for r in STORY]
    whole = detect(table(rows))
    assert len(whole.detections) == 5

    real = EventColumns.read_codes

    def failing(self: EventColumns, name: str, at: Ints) -> tuple[Ints, list[str]]:
        if "poison" in self.read_texts("session_id", at):
            raise RuntimeError("defect")
        return real(self, name, at)

    monkeypatch.setattr(EventColumns, "read_codes", failing)
    result = detect_each(table(rows), why_not=True)
    assert sorted(d.to_json()["sessionId"] for d in result.detections) == ["a", "b", "c", "z"]
    (error,) = result.errors
    assert (error["projectId"], error["sessionId"]) == ("p", "poison")
    assert re.fullmatch(r"an error of the engine in ufse\.\w+, line \d+; the log has its details", error["error"])
    assert len(result.visits) == 4


def test_detect_each_is_detect_when_nothing_fails() -> None:
    rows = table([{**r, "session_id": s} for s in ("a", "b") for r in STORY])
    assert [d.to_json() for d in detect_each(rows).detections] == [d.to_json() for d in detect(rows).detections]
    assert detect_each(rows.slice(0, 0)).errors == []
    assert isinstance(rows, pa.Table)


def test_a_large_batch_is_worked_off_in_slices_of_whole_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"s{i:02d}" for i in range(12)]
    stored = [{**r, "session_id": s, "event_id": f"{s}-{i}"} for s in names for i, r in enumerate(STORY)]
    whole = detect(table(stored), why_not=True)
    rows = table(stored)
    coded = rows.set_column(1, "session_id", rows["session_id"].dictionary_encode())
    engine = importlib.import_module("ufse.batches")
    monkeypatch.setattr(importlib.import_module("ufse.encoding"), "_FEW", 1)
    for size in (1, 10, len(STORY) * 5, 10**6):
        monkeypatch.setattr(engine, "SLICE_EVENTS", size)
        for batch in (rows, coded, table(list(reversed(stored)))):
            parts = detect(batch, why_not=True)
            assert [d.to_json() for d in parts.detections] == [d.to_json() for d in whole.detections]
            assert (parts.visits.session_id, parts.visits.visit_id) == (whole.visits.session_id, whole.visits.visit_id)
    assert len(whole.detections) == len(names)
