"""The stream `faro` on recordings of Faro's web SDK, and on what the recordings do not have."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.streams.faro.adapter import STREAM
from collector.streams.registry import STREAMS
from collector.streams.stream import Reading, SentBody, UnreadableBody
from tests.streams.recordings import judge, list_recordings, read_all, read_recording
from tests.tables import build_table
from tests.unit.collector.streams.test_otlp import ANY_JSON, list_places, put

RECORDINGS = {path.name.removesuffix(".jsonl.gz"): read_recording(path) for path in list_recordings("faro")}
FOUND = {"oscar-rage500": "/basket/add/:id › page load › /basket/add/:id → 500"}
"""The others failed in requests after clicks, and Faro reports no clicks."""


def list_points(readings: list[Reading]) -> list[str]:
    return [detection["primaryFailurePoint"] for detection in judge(readings)]


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings(name: str) -> None:
    readings = read_all(STREAM, RECORDINGS[name].requests)
    assert not [reject for reading in readings for reject in reading.rejects]
    expected = [FOUND[name]] if name in FOUND else []
    assert list_points(readings) == expected
    assert list_points([*reversed(readings), *readings]) == expected
    assert {reading.sdk_version for reading in readings} == {"faro/2.12.1"}


@pytest.mark.parametrize("name", RECORDINGS)
def test_each_request_is_one(name: str) -> None:
    """The recordings hold each request as span, as event, as resource, and some of them sent again."""
    recording = RECORDINGS[name]
    events = {e["idempotencyKey"]: e for reading in read_all(STREAM, recording.requests) for e in reading.events}
    requests = [event["metadata"] for event in events.values() if event["eventType"] == "network"]
    log: Any = recording.truth["log"]
    answered = Counter(part["status"] for part in log if part["kind"] == "server" and part["path"].startswith("/api/"))
    seen = Counter(part["status"] for part in requests if isinstance(part, dict) and part["url"].startswith("/api/"))
    assert {status: seen[status] for status in (400, 500)} == {status: answered[status] for status in (400, 500)}


META: dict[str, Any] = {
    "session": {"id": "f-1"},
    "page": {"url": "https://shop.example/cart?token=PLANTED"},
    "sdk": {"version": "2.12.1"},
    "user": {"id": "u-1"},
}
FETCH = {
    "name": "faro.tracing.fetch",
    "timestamp": "2026-11-27T14:20:57.343Z",
    "attributes": {
        "http.request.method": "POST",
        "url.full": "https://shop.example/api/pay?card=PLANTED",
        "http.response.status_code": "500",
        "duration_ns": "736000000",
        "http.request.body": "PLANTED",
    },
    "trace": {"trace_id": "aa", "span_id": "2DB6"},
}
FAILURE = {
    "type": "TypeError",
    "value": "x is undefined",
    "timestamp": "2026-11-27T14:20:58.000Z",
    "stacktrace": {"frames": [{"filename": "https://shop.example/app.js?k=PLANTED", "lineno": 3, "colno": 9}]},
    "context": {"password": "PLANTED"},
}
LOAD = {
    "name": "faro.performance.navigation",
    "timestamp": "2026-11-27T14:20:50.000Z",
    "attributes": {
        "name": "https://shop.example/cart?x=PLANTED",
        "duration": "900",
        "ttfb": "400",
        "responseStatus": "502",
        "type": "reload",
    },
}
BODY = {
    "meta": META,
    "events": [FETCH, LOAD, {"name": "PLANTED", "attributes": {"a": "PLANTED"}}],
    "exceptions": [FAILURE, {**FAILURE, "value": "console.error: PLANTED"}],
    "logs": [{"message": "PLANTED"}],
    "traces": {"resourceSpans": []},
}


def read_json(body: object) -> Reading:
    return STREAM.read(SentBody(json.dumps(body).encode(), "collect", media_type="application/json"))


def test_events_and_exceptions() -> None:
    reading = read_json(BODY)
    events = {str(event["eventType"]): event for event in reading.events}
    assert events["network"]["metadata"] == {"durationMs": 736, "method": "POST", "url": "/api/pay", "status": 500}
    assert events["network"]["idempotencyKey"] == "request:aa:2db6"
    assert events["navigation"]["metadata"] == {"status": 502, "navigationType": "reload"}
    assert events["error"]["metadata"] == {
        "errorType": "javascript",
        "message": "TypeError: x is undefined",
        "frame": "https://shop.example/app.js:3:9",
    }
    assert {(event["sessionId"], event["route"], event["userId"]) for event in reading.events} == {
        ("f-1", "/cart", "u-1")
    }
    assert reading.ignored == {"other_event": 1, "document_fetch": 1, "console_error": 1}
    assert "PLANTED" not in repr(reading)
    assert not build_table(reading.events)[1]


def test_one_bad_item_costs_no_other() -> None:
    reading = read_json({**BODY, "events": [4, {"name": 7}, FETCH], "exceptions": [None], "traces": 5})
    assert [event["eventType"] for event in reading.events] == ["network"]
    assert sorted(reject.field for reject in reading.rejects) == ["events", "events", "exceptions", "traces"]


def test_without_a_session_all_is_rejected() -> None:
    reading = read_json({**BODY, "meta": {}})
    assert not reading.events
    assert {reject.field for reject in reading.rejects} == {"session.id"}


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"meta": 3}', b'{"meta": {}, "events": 1}', b"[" * 100_000])
def test_unreadable_bodies(content: bytes) -> None:
    with pytest.raises(UnreadableBody):
        STREAM.read(SentBody(content))


def test_the_stream_is_registered_and_recognised() -> None:
    assert STREAM in STREAMS
    for recording in RECORDINGS.values():
        for sent in recording.requests:
            assert [stream.name for stream in STREAMS if stream.recognises(sent)] == ["faro"]
            assert STREAM.read(replace(sent, media_type="")) == STREAM.read(sent)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(list(list_places(BODY))), ANY_JSON)
def test_any_json_in_any_place(path: tuple[Any, ...], value: object) -> None:
    try:
        reading = read_json(put(BODY, path, value))
    except UnreadableBody:
        return
    assert not build_table(reading.events)[1]
    assert all(event["idempotencyKey"] for event in reading.events)
