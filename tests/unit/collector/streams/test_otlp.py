"""The stream `otlp` on recordings of OpenTelemetry's browser SDK, and on what the recordings do not have."""

import base64
import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from collector.streams.otlp import from_json
from collector.streams.otlp.adapter import STREAM, reread
from collector.streams.registry import STREAMS
from collector.streams.stream import Reading, SentBody, UnreadableBody
from tests.streams.recordings import Recording, inflate, judge, list_recordings, read_all, read_recording
from tests.tables import build_table

FOUND = {
    # recording → its failure point as the engine names it
    "labelstudio-error_left": "/projects/:id/settings › form > div:nth-of-type(2) > div:nth-of-type(2) > button"
    " › PATCH /api/projects/:id → 503",
    "labelstudio-invalid_left": "/projects/:id/settings › form > div:nth-of-type(2) > div:nth-of-type(2) > button"
    " › PATCH /api/projects/:id → 400",
}
NOT_ON_THE_WIRE = {
    "oscar-js_error": "no instrumentation reports the uncaught error, and the button disables itself at its first click",
    "oscar-rage500": "the document answered 500 and the SDK reports no status of documents; two clicks were reported",
}
RECORDINGS = {path.name.removesuffix(".jsonl.gz"): read_recording(path) for path in list_recordings("otel")}
NS = 1_795_789_339_386_000_000


def list_points(readings: list[Reading]) -> list[str]:
    return [detection["primaryFailurePoint"] for detection in judge(readings)]


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_are_found_where_the_evidence_was_sent(name: str) -> None:
    recording = RECORDINGS[name]
    readings = read_all(STREAM, recording.requests)
    assert not [reject for reading in readings for reject in reading.rejects]
    expected = [FOUND[name]] if name in FOUND else []
    assert list_points(readings) == expected
    assert recording.frustrated == (name in FOUND or name in NOT_ON_THE_WIRE)


@pytest.mark.parametrize("name", RECORDINGS)
def test_doubled_and_reversed_requests_change_nothing(name: str) -> None:
    readings = read_all(STREAM, RECORDINGS[name].requests)
    assert list_points([*reversed(readings), *readings]) == list_points(readings)


def test_each_click_of_the_person_is_one() -> None:
    """One click in React arrives as 8 spans, in Oscar as 3."""
    for name, recording in RECORDINGS.items():
        events = [event for reading in read_all(STREAM, recording.requests) for event in reading.events]
        clicks = [event for event in events if event["eventType"] == "click"]
        times = sorted(int(str(click["timestamp"])) for click in clicks)
        assert all(later - earlier > 200 for earlier, later in pairwise(times)), name
    events = [
        event
        for reading in read_all(STREAM, RECORDINGS["labelstudio-invalid_left"].requests)
        for event in reading.events
    ]
    assert sum(event["eventType"] == "form_submit" for event in events) == 3


# --- Requests made by hand


def write_attributes(values: dict[str, object]) -> list[dict[str, object]]:
    names = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    return [{"key": key, "value": {names[type(value)]: value}} for key, value in values.items()]


def make_span(name: str, start_ms: int = 0, took_ms: int = 0, **rest: Any) -> dict[str, Any]:
    start = NS + start_ms * 1_000_000
    attributes = {"session.id": "s-1", **rest.pop("attributes", {})}
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": f"{abs(hash((name, start_ms))) % 2**60:016x}",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + took_ms * 1_000_000),
        "attributes": write_attributes({key: value for key, value in attributes.items() if value is not None}),
        "status": {"code": 0},
        **rest,
    }


def make_click(start_ms: int, **attributes: object) -> dict[str, Any]:
    base = {"event_type": "click", "target_element": "BUTTON", "target_xpath": '//*[@id="pay"]'}
    return make_span("click", start_ms, attributes={**base, "url.full": "https://shop.example/cart?a=1", **attributes})


def make_request(attributes: dict[str, object], start_ms: int = 5, took_ms: int = 300, **rest: Any) -> dict[str, Any]:
    return make_span("GET", start_ms, took_ms, kind=3, attributes=attributes, **rest)


def make_log(name: str, start_ms: int = 0, **attributes: object) -> dict[str, Any]:
    return {
        "eventName": name,
        "timeUnixNano": str(NS + start_ms * 1_000_000),
        "attributes": write_attributes({"session.id": "s-1", **attributes}),
    }


def wrap(*spans: object, logs: tuple[object, ...] = (), resource: dict[str, object] | None = None) -> dict[str, Any]:
    sender = {"attributes": write_attributes(resource or {})}
    if logs:
        return {
            "resourceLogs": [{"resource": sender, "scopeLogs": [{"scope": {"name": "x"}, "logRecords": list(logs)}]}]
        }
    return {"resourceSpans": [{"resource": sender, "scopeSpans": [{"scope": {"name": "x"}, "spans": list(spans)}]}]}


def read_json(body: object, path: str = "v1/traces") -> Reading:
    return STREAM.read(SentBody(json.dumps(body).encode(), path, media_type="application/json"))


def read_metadata(*spans: object) -> list[object]:
    return [event.get("metadata") for event in read_json(wrap(*spans)).events]


@pytest.mark.parametrize(
    ("attributes", "rest", "expected"),
    [
        ({"http.request.method": "POST", "http.response.status_code": 500}, {}, {"status": 500}),
        ({"http.method": "POST", "http.status_code": 422}, {}, {"status": 422}),
        ({"http.method": "POST", "http.status_code": "404"}, {}, {"status": 404}),
        ({"http.request.method": "POST", "http.response.status_code": 0}, {}, {"status": 0}),
        ({"http.request.method": "POST", "error.type": "error"}, {}, {"status": 0}),
        ({"http.request.method": "POST", "error.type": "timeout"}, {"status": {"code": 2}}, {"status": 0}),
        ({"http.request.method": "POST", "error.type": "abort"}, {}, {"status": 0, "aborted": True}),
        (
            {"http.request.method": "POST", "error.type": "AbortError", "http.response.status_code": 0},
            {},
            {"status": 0, "aborted": True},
        ),
        ({"http.method": "POST"}, {"events": [{"name": "abort"}]}, {"status": 0, "aborted": True}),
        ({"http.method": "POST"}, {"events": [{"name": "timeout"}]}, {"status": 0}),
        ({"http.request.method": "POST", "error.type": "503"}, {}, {"status": 503}),
        ({"http.request.method": "POST"}, {}, {}),
    ],
)
def test_outcomes_of_requests(attributes: dict[str, object], rest: dict[str, Any], expected: dict[str, object]) -> None:
    span = make_request({**attributes, "url.full": "https://shop.example/api/pay?token=1#x"}, **rest)
    (metadata,) = read_metadata(span)
    assert metadata == {"durationMs": 300, "method": "POST", "url": "/api/pay", **expected}


def test_requests_of_another_site_are_marked() -> None:
    reading = read_json(
        wrap(
            make_click(0),
            make_request({"http.method": "GET", "http.url": "https://api.shop.example/a"}),
            make_request({"http.method": "GET", "http.url": "https://cdn.other.example2/b"}, 7),
            make_request({"http.method": "POST", "http.url": "https://collector.example/v1/traces"}, 9),
        )
    )
    requests = [event["metadata"] for event in reading.events if event["eventType"] == "network"]
    assert [isinstance(part, dict) and part.get("thirdParty") for part in requests] == [None, True]
    assert reading.ignored["own_export"] == 1


@pytest.mark.parametrize(
    ("session", "page"),
    [
        ("session.id", "browser.document.url.full"),
        ("splunk.rumSessionId", "location.href"),
        ("rum.sessionId", "location.href"),
        ("session.id", "page.url"),
    ],
)
def test_names_of_sessions_and_pages(session: str, page: str) -> None:
    span = make_request(
        {"session.id": None, session: "abc", page: "https://shop.example/cart/7?x=1", "http.method": "GET"}
    )
    (event,) = read_json(wrap(span)).events
    assert (event["sessionId"], event["route"]) == ("abc", "/cart/7")


def test_session_of_the_resource_and_what_it_says_of_the_page() -> None:
    resource: dict[str, object] = {
        "session.id": "r-1",
        "telemetry.sdk.language": "webjs",
        "telemetry.sdk.version": "2.12.0",
        "service.version": "7",
        "deployment.environment.name": "live",
    }
    reading = read_json(wrap(make_click(0, **{"session.id": None}), resource=resource))
    (event,) = reading.events
    assert (event["sessionId"], event["appVersion"], event["environment"]) == ("r-1", "7", "live")
    assert reading.sdk_version == "opentelemetry/2.12.0"


def test_spans_of_servers_are_no_events() -> None:
    reading = read_json(wrap(make_request({"http.method": "GET"}), resource={"telemetry.sdk.language": "java"}))
    assert not reading.events
    assert not reading.rejects
    assert reading.ignored == {"not_browser": 1}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"target_xpath": '//*[@id="pay"]/span', "target_element": "SPAN"}, {"id": "pay", "selector": "#pay"}),
        ({"target_xpath": '//*[@id="pay"]'}, {"id": "pay", "selector": "#pay", "tagName": "button"}),
        (
            {"target_xpath": '//*[@id="f"]/div[2]/button/span', "target_element": "SPAN"},
            {"selector": "#f > div:nth-of-type(2) > button", "tagName": "button"},
        ),
        (
            {"target_xpath": '//*[@id="main"]/div/p', "target_element": "P"},
            {"selector": "#main > div > p", "tagName": "p"},
        ),
        ({"target_xpath": "", "target_element": "A"}, {"tagName": "a"}),
        (
            {"target_xpath": "//html/body/div[6]", "target_element": "DIV"},
            {"selector": "div:nth-of-type(6)", "tagName": "div"},
        ),
    ],
)
def test_targets_of_spans(attributes: dict[str, object], expected: dict[str, object]) -> None:
    (event,) = read_json(wrap(make_click(0, **attributes))).events
    assert event["target"] == expected


@pytest.mark.parametrize(
    ("selector", "tag", "expected"),
    [
        ("#pay > span", "span", {"id": "pay", "selector": "#pay"}),
        ("form > button.btn", "button", {"selector": "form > button.btn", "tagName": "button"}),
        ('form > button[aria-label="Ada Lovelace"] > i', "i", {"selector": "form > button", "tagName": "button"}),
        ("#root div.card", "div", {"selector": "#root > div.card", "tagName": "div"}),
    ],
)
def test_targets_of_log_records(selector: str, tag: str, expected: dict[str, object]) -> None:
    log = make_log(
        "browser.user_action.click",
        **{"browser.css_selector": selector, "browser.tag_name": tag, "browser.page.x": 10, "browser.page.y": "20"},
    )
    (event,) = read_json(wrap(logs=(log,)), "v1/logs").events
    assert (event["target"], event["metadata"]) == (expected, {"x": 10, "y": 20})


def test_listeners_fold_and_clicks_do_not() -> None:
    listeners = [make_click(at) for at in (0, 1, 1, 2, 4)]
    late = [
        make_span("click", 300, 63, attributes={"event_type": "click"}),
        make_span("click", 364, attributes={"event_type": "click"}),
    ]
    reading = read_json(wrap(*listeners, *late, make_click(700), make_click(820)))
    times = [int(str(event["timestamp"])) - NS // 1_000_000 for event in reading.events]
    assert times == [0, 300, 700, 820]
    assert reading.ignored["repeated_listener"] == 5


def test_listeners_of_a_busy_page_are_one_click() -> None:
    """As in `oscar-calm`: 3 listeners of one click within 300 ms; other clicks of the request show that a click has 3."""
    whole = [make_click(at) for at in (0, 1, 2)]
    busy = [make_click(at) for at in (1_000, 1_183, 1_298)]
    assert len(read_json(wrap(*whole, *busy)).events) == 2
    assert len(read_json(wrap(*busy)).events) == 3  # nothing shows that they are one
    fast = [make_click(first + at) for first in (0, 150, 300, 450) for at in (0, 1, 2)]
    pairs = [make_click(first + at) for first in (2_000, 2_150, 2_300, 2_450) for at in (0, 1)]
    assert len(read_json(wrap(*fast)).events) == 4
    assert len(read_json(wrap(*fast, *pairs[:4])).events) == 6


def test_a_span_and_a_log_record_of_one_click_are_stored_once() -> None:
    span = read_json(wrap(make_click(20))).events[0]
    log = read_json(wrap(logs=(make_log("browser.user_action.click", 21),)), "v1/logs").events[0]
    assert span["idempotencyKey"] == log["idempotencyKey"]


def test_the_busiest_listener_names_the_cause() -> None:
    busy = {**make_click(1), "spanId": "b" * 16, "endTimeUnixNano": str(NS + 18_000_000)}
    sent = make_request({"http.method": "POST", "http.status_code": 500}, 6, parentSpanId="b" * 16)
    much_later = make_request({"http.method": "POST", "http.status_code": 500}, 9_000, parentSpanId="b" * 16)
    click, first, second = read_json(wrap(make_click(0), busy, make_click(2), sent, much_later)).events
    assert (click["eventId"], first["cause"], "cause" in second) == ("b" * 16, "b" * 16, False)


def test_navigations() -> None:
    load = make_span(
        "documentLoad",
        100,
        9_000,
        spanId="c" * 16,
        attributes={"url.full": "https://shop.example/a?x=1"},
        events=[{"name": "domInteractive", "timeUnixNano": str(NS + 700_000_000)}],
    )
    fetch = make_span("documentFetch", 100, 300, parentSpanId="c" * 16, attributes={"http.status_code": 502})
    splunk = make_span(
        "routeChange",
        9_500,
        attributes={"location.href": "https://shop.example/b", "prev.href": "https://shop.example/a?t=1"},
    )
    renamed = make_span(
        "Navigation: /c?token=1",
        9_900,
        40,
        attributes={"event_type": "click", "target_element": "A", "url.full": "https://shop.example/b"},
    )
    reading = read_json(wrap(load, fetch, splunk, renamed))
    shown = [event for event in reading.events if event["eventType"] == "navigation"]
    assert [(event["route"], event.get("metadata")) for event in shown] == [
        ("/a", {"status": 502}),
        ("/b", {"navigationType": "push", "from": "/a"}),
        ("/c", {"navigationType": "push", "from": "/b"}),
    ]
    assert int(str(shown[0]["timestamp"])) == NS // 1_000_000 + 700
    assert [event["route"] for event in reading.events if event["eventType"] == "click"] == ["/b"]


def test_navigations_of_logs() -> None:
    log = make_log(
        "browser.navigation", **{"url.full": "https://x.example/#/orders?q=1", "browser.navigation.type": "traverse"}
    )
    (event,) = read_json(wrap(logs=(log,)), "v1/logs").events
    assert (event["route"], event["metadata"]) == ("/#/orders", {"navigationType": "back_forward"})


def test_a_page_that_two_instrumentations_report_is_shown_once() -> None:
    load = make_span(
        "documentLoad",
        100,
        9_000,
        attributes={"url.full": "https://shop.example/a?x=1"},
        events=[
            {"name": "domInteractive", "timeUnixNano": str(NS + 2_150_000_000)},
            {"name": "domContentLoadedEventStart", "timeUnixNano": str(NS + 3_170_000_000)},
        ],
    )
    pushed = make_span(
        "Navigation: /c?token=1",
        9_300,
        40,
        attributes={"event_type": "click", "target_element": "A", "url.full": "https://shop.example/b"},
    )
    logs = (
        make_log("browser.navigation", 3_174, **{"url.full": "https://shop.example/a?x=1"}),
        make_log(
            "browser.navigation", 9_312, **{"url.full": "https://shop.example/c", "browser.navigation.type": "push"}
        ),
        make_log("browser.navigation", 14_000, **{"url.full": "https://shop.example/a"}),
    )
    seen = [e for e in read_json(wrap(load, pushed)).events if e["eventType"] == "navigation"]
    told = read_json(wrap(logs=logs), "v1/logs").events
    assert [event["route"] for event in told] == ["/a", "/c", "/a"]
    assert len({event["idempotencyKey"] for event in told}) == 3
    assert [event["idempotencyKey"] for event in seen] == [event["idempotencyKey"] for event in told[:2]]


STACK = "TypeError: x\n    at pay (https://shop.example/app.js?v=token:12:34)\n    at https://shop.example/b.js:1:1"


def test_errors() -> None:
    described: dict[str, object] = {
        "exception.type": "TypeError",
        "exception.message": "x",
        "exception.stacktrace": STACK,
    }
    expected = {"errorType": "javascript", "message": "TypeError: x", "frame": "https://shop.example/app.js:12:34"}
    (logged,) = read_json(wrap(logs=(make_log("exception", **described),)), "v1/logs").events
    assert logged["metadata"] == expected
    assert read_metadata(make_span("exception", attributes=described)) == [expected]
    splunk = make_span("onerror", attributes={"error.message": "x", "error.stack": STACK})
    assert read_metadata(splunk) == [{**expected, "message": "x"}]
    event = {"name": "exception", "timeUnixNano": str(NS), "attributes": write_attributes(described)}
    assert read_metadata(make_span("work", events=[event], status={"code": 2})) == [expected]
    handled = read_json(wrap(make_span("work", events=[event])))
    assert not handled.events
    assert handled.ignored == {"handled_exception": 1}


def test_long_tasks_and_what_is_ignored() -> None:
    reading = read_json(wrap(make_span("longtask", 0, 180), make_span("resourceFetch"), make_span("secret name")))
    assert [event["metadata"] for event in reading.events] == [{"kind": "long_task", "durationMs": 180}]
    assert reading.ignored == {"resource_fetch": 1, "other_span": 1}


def test_one_bad_item_costs_no_other() -> None:
    bad = [7, None, {"name": 5}, {**make_click(900), "attributes": "x"}, make_click(1_000, **{"session.id": None})]
    timeless = {**make_click(2_000), "startTimeUnixNano": "0"}
    body = wrap(make_click(0), *bad, timeless, make_click(3_000))
    body["resourceSpans"] += [3, {"scopeSpans": [4, {"spans": [make_click(4_000)]}]}]
    reading = read_json(body)
    assert len(reading.events) == 3
    assert sorted(reject.field for reject in reading.rejects) == [
        "resourceSpans",
        "scope",
        "session.id",
        "span",
        "span",
        "span",
        "span",
        "timeUnixNano",
    ]


# --- Answers, and other encodings


def to_protobuf(body: dict[str, Any]) -> bytes:
    def convert(value: object) -> object:
        if isinstance(value, list):
            return [convert(part) for part in value]
        if not isinstance(value, dict):
            return value
        ids = ("traceId", "spanId", "parentSpanId")
        return {
            key: base64.b64encode(bytes.fromhex(str(part))).decode() if key in ids else convert(part)
            for key, part in value.items()
        }

    kind = (
        logs_service_pb2.ExportLogsServiceRequest
        if "resourceLogs" in body
        else trace_service_pb2.ExportTraceServiceRequest
    )
    return bytes(json_format.ParseDict(convert(body), kind()).SerializeToString())


@pytest.mark.parametrize("name", RECORDINGS)
def test_protobuf_reads_as_json(name: str) -> None:
    for sent in RECORDINGS[name].requests:
        binary = replace(sent, content=to_protobuf(json.loads(sent.content)), media_type="application/x-protobuf")
        assert STREAM.read(binary).events == STREAM.read(sent).events


def test_logs_in_protobuf() -> None:
    body = wrap(logs=(make_log("browser.user_action.click", **{"browser.css_selector": "#pay"}),))
    sent = SentBody(to_protobuf(body), "v1/logs", media_type="application/x-protobuf")
    assert STREAM.read(sent).events == read_json(body, "v1/logs").events != []


def test_answers() -> None:
    bad, good = wrap(make_click(0, **{"session.id": None})), wrap(make_click(0))
    sent = SentBody(json.dumps(bad).encode(), "v1/traces", media_type="application/json")
    partial = json.loads(STREAM.answer(sent, STREAM.read(sent)).content)["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "session.id" in partial["errorMessage"]
    assert STREAM.answer(sent, read_json(good)).content == b"{}"
    logs = replace(sent, path="v1/logs", media_type="application/x-protobuf")
    answer = STREAM.answer(logs, read_json(bad))
    assert answer.media_type == "application/x-protobuf"
    response = logs_service_pb2.ExportLogsServiceResponse.FromString(answer.content)
    assert response.partial_success.rejected_log_records == 1
    assert STREAM.answer(replace(logs, path="v1/traces"), read_json(good)).content == b""


@pytest.mark.parametrize(
    "sent",
    [
        SentBody(b"", media_type="application/json"),
        SentBody(b"[]", media_type="application/json"),
        SentBody(b"{}", media_type="application/json"),
        SentBody(b'{"resourceSpans":' + b"[" * 100_000, media_type="application/json"),
        SentBody(b'{"resourceSpans": NaN}', media_type="application/json"),
        SentBody(b"\xff\xff\xff", "v1/traces", media_type="application/x-protobuf"),
        SentBody(b"\xff\xff\xff", "v1/logs", media_type="application/x-protobuf"),
    ],
)
def test_unreadable_bodies(sent: SentBody) -> None:
    with pytest.raises(UnreadableBody):
        STREAM.read(sent)


def test_a_body_of_empty_items_is_not_read_to_its_end() -> None:
    reading = read_json({"resourceSpans": [1] * 30_000})
    assert len(reading.rejects) == 1_000
    assert reading.ignored == {"beyond_limit": 29_000}
    empty = STREAM.read(SentBody(b"\n\0" * 30_000, "v1/traces", media_type="application/x-protobuf"))
    assert empty.ignored == {"beyond_limit": 10_000}


def test_the_stream_is_registered_and_recognised() -> None:
    assert STREAM in STREAMS
    assert all(STREAM.recognises(sent) for recording in RECORDINGS.values() for sent in recording.requests)
    assert not STREAM.recognises(SentBody(b'{"meta": {}, "traces": {"resourceSpans": []}}'))
    assert not STREAM.recognises(SentBody(b'{"resourceSpans": 7}'))


# --- Privacy, and hostile bodies

SECRET = "PLANTED"


def plant(value: Any, read: frozenset[str] = frozenset()) -> Any:
    """``value`` with secrets in every place that is not read, and in the query of each address."""
    if isinstance(value, list):
        return [plant(part) for part in value]
    if isinstance(value, dict):
        planted = {key: plant(part) for key, part in value.items()}
        planted[f"x{SECRET}"] = SECRET
        if "attributes" in value and isinstance(value["attributes"], list):
            planted["attributes"] += write_attributes(
                {"input.value": SECRET, "http.request.body": SECRET, "code.args": SECRET}
            )
        if "droppedAttributesCount" in value:
            planted["body"] = {"stringValue": SECRET}
        return planted
    if isinstance(value, str) and value.startswith("http://"):
        return f"{value}?token={SECRET}#access={SECRET}"
    return value


@pytest.mark.parametrize("name", RECORDINGS)
def test_nothing_passes_that_is_not_named(name: str) -> None:
    for sent in RECORDINGS[name].requests:
        reading = STREAM.read(replace(sent, content=json.dumps(plant(json.loads(sent.content))).encode()))
        assert reading.events == STREAM.read(sent).events
        assert SECRET not in repr(reading)


WRONG_TYPES: list[dict[str, Any]] = [
    {"name": 5},
    {"name": {"a": SECRET}},
    {"attributes": SECRET},
    {"startTimeUnixNano": {"a": SECRET}},
    {"kind": [SECRET]},
    {"status": {"code": [SECRET]}},
    {"events": SECRET},
    {"events": [{"name": SECRET, "timeUnixNano": [1], "attributes": [SECRET, {"key": SECRET}]}]},
    {"attributes": [{"key": "http.status_code", "value": {"intValue": {"a": SECRET}}}, 3]},
    {"attributes": [{"key": "http.url", "value": {"stringValue": f"/a?{SECRET}", "intValue": []}}]},
    {"attributes": [{"key": "exception.message", "value": {"stringValue": SECRET}}], "kind": []},
]


@pytest.mark.parametrize("changes", WRONG_TYPES)
def test_an_item_of_another_type_is_kept_without_what_is_not_read_and_is_rejected_again(
    changes: dict[str, Any],
) -> None:
    reading = read_json(wrap(make_click(0), {**make_span(SECRET, attributes={SECRET: SECRET}), **changes}))
    assert len(reading.events) == 1
    (reject,) = reading.rejects
    assert SECRET not in repr(reject)
    (again,) = reread(json.loads(json.dumps(reject.kept))).rejects
    assert (again.field, again.reason) == (reject.field, reject.reason)


def test_a_kept_item_gives_what_it_would_have_given(monkeypatch: pytest.MonkeyPatch) -> None:
    described: dict[str, object] = {
        "exception.type": "TypeError",
        "exception.message": "x",
        "exception.stacktrace": STACK,
    }
    event = {"name": "exception", "timeUnixNano": str(NS), "attributes": write_attributes(described)}
    flag = {"key": "same_document", "value": {"boolValue": "true"}}
    spans = [
        make_click(0),
        make_request({"http.method": "GET", "http.url": "https://api.example/a?b=c", "http.status_code": 500}),
        make_span("exception", attributes=described),
        make_span("work", events=[event], status={"code": 2}),
        make_span("Navigation: /cart?x=1"),
    ]
    wrong = [{**span, "attributes": [*span["attributes"], flag]} for span in spans]
    kept = [json.loads(json.dumps(reject.kept)) for reject in read_json(wrap(*wrong)).rejects]
    assert len(kept) == len(spans)
    monkeypatch.setattr(from_json, "_SPAN", msgspec.json.Decoder(from_json._SPAN.type, strict=False))
    for letter, span in zip(kept, wrong, strict=True):
        assert reread(letter).events == read_json(wrap(span)).events


def test_rejects_and_ignored_kinds_hold_no_text_of_the_body() -> None:
    spans = [
        make_span(SECRET),
        make_click(0, **{"session.id": None, "user.id": SECRET}),
        make_click(0, event_type=SECRET),
    ]
    logs = [make_log(SECRET), {"body": {"stringValue": SECRET}, "attributes": SECRET}]
    reading = read_json(wrap(*spans))
    # A rejected item is kept as an event; its letter has the hash of its user, as the row of an accepted one.
    assert [reject.kept.pop("userId", "") for reject in reading.rejects] == [SECRET]
    assert SECRET not in repr(reading)
    assert SECRET not in repr(read_json(wrap(logs=tuple(logs)), "v1/logs"))


def list_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from list_places(part, (*path, key))


def put(body: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(body)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from(["x" * 3_000, "http://[", "//a/b", "\x00", "9" * 30, -(2**63), 2**64, 1e308]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TRACES = wrap(
    make_click(0),
    make_request({"http.method": "POST", "http.url": "https://a.example/b", "http.status_code": 500}),
    make_span(
        "documentLoad",
        9,
        5,
        attributes={"url.full": "https://a.example/b"},
        events=[{"name": "domInteractive", "timeUnixNano": NS}],
    ),
    make_span("exception", attributes={"exception.message": "x", "exception.stacktrace": STACK}),
)
LOGS = wrap(
    logs=(
        make_log(
            "browser.user_action.click", **{"browser.css_selector": "#pay", "browser.page.x": 1, "browser.page.y": 2}
        ),
    )
)
PLACES = [(body, path) for body in (TRACES, LOGS) for path in list_places(body)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PLACES), ANY_JSON)
def test_any_json_in_any_place(place: tuple[Any, tuple[Any, ...]], value: object) -> None:
    body, path = place
    try:
        reading = read_json(put(body, path, value))
    except UnreadableBody:
        return
    table, rejects = build_table(reading.events)
    assert not rejects
    assert len(table) == len(reading.events)
    assert all(event["idempotencyKey"] for event in reading.events)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_bytes(data: st.DataObject) -> None:
    whole = bytearray(to_protobuf(TRACES))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for content in (bytes(whole), data.draw(st.binary(max_size=60))):
        for path in ("v1/traces", "v1/logs"):
            try:
                reading = STREAM.read(SentBody(content, path, media_type="application/x-protobuf"))
            except UnreadableBody:
                continue
            assert not build_table(reading.events)[1]


def test_recordings_are_as_described() -> None:
    assert {name for name, recording in RECORDINGS.items() if recording.frustrated} == {*FOUND, *NOT_ON_THE_WIRE}
    assert isinstance(next(iter(RECORDINGS.values())), Recording)
    assert all(inflate(sent) == sent for recording in RECORDINGS.values() for sent in recording.requests)
