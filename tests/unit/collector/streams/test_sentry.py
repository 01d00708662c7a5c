"""Sentry's stream: recordings of @sentry/browser 11.12.0, replays of any shape, and what must never pass."""

import json
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.streams.sentry.adapter import STREAM
from collector.streams.sentry.envelopes import MAX_BYTES
from collector.streams.stream import Reading, SentBody, UnreadableBody
from tests.streams.recordings import check_orders, list_recordings, read_all, read_recording, summarise
from tests.tables import build_table

PATHS = list_recordings("sentry")
FOUND = {
    "labelstudio-rage500.jsonl.gz": ("/projects/:id/data › button#", "POST /api/tasks/:id/annotations → 500"),
    "oscar-js_error.jsonl.gz": ("/catalogue/:id › form#add_to_basket_form > button", "(reading 'items')"),
}
"""The recordings that are found: how the failure point begins and ends."""
"""The only frustrated recording of which the wire has the clicks and the failure: see docs/streams/sentry.md."""
NOW, REPLAY, TRACE = 1_795_789_400_000, "666d2fbb20ce482aa57f94962b243003", "366ed51d288b4d0598f71a606c5bbf1f"
PAGE = "https://shop.example/cart?token=SECRET"


def make_envelope(*items: tuple[str, bytes], **header: object) -> SentBody:
    known = {"event_id": REPLAY, "sent_at": "2026-11-27T14:19:26.417Z"}
    sdk = {"name": "sentry.javascript.browser", "version": "11.12.0"}
    lines = [json.dumps(known | {"sdk": sdk} | header).encode()]
    for kind, payload in items:
        lines += [json.dumps({"type": kind, "length": len(payload)}).encode(), payload]
    return SentBody(b"\n".join(lines) + b"\n", "api/1/envelope/", {}, "text/plain", NOW)


def record(
    *events: object, page: str = PAGE, plain: bool = False, segment: int = 1, ends: int = NOW + 60_000
) -> SentBody:
    replay = {"type": "replay_event", "replay_id": REPLAY, "timestamp": ends / 1_000, "request": {"url": page}}
    content = json.dumps(list(events)).encode()
    body = json.dumps({"segment_id": segment}).encode() + b"\n" + (content if plain else zlib.compress(content))
    return make_envelope(("replay_event", json.dumps(replay).encode()), ("replay_recording", body))


def touch(kind: int, at: int, node: int = 5, **fields: object) -> dict[str, object]:
    data = {"source": 2, "type": kind, "id": node, "x": 10, "y": 20, "pointerType": 0} | fields
    return {"type": 3, "data": data, "timestamp": NOW + at}


def crumb(category: str, at: int, message: str = "div > button#pay", **data: object) -> dict[str, object]:
    payload = {"timestamp": (NOW + at) / 1_000, "category": category, "message": message, "data": data}
    return {"type": 5, "timestamp": NOW + at, "data": {"tag": "breadcrumb", "payload": payload}}


def click_crumb(
    at: int, node: int = 5, tag: str = "button", text: str = "***", **attributes: object
) -> dict[str, object]:
    held = {"id": node, "tagName": tag, "textContent": text, "attributes": attributes or {"id": "pay"}}
    return crumb("ui.click", at, nodeId=node, node=held)


def request(at: int, status: int = 500, url: str = "https://shop.example/api/orders?token=SECRET") -> dict[str, object]:
    times = {"startTimestamp": (NOW + at) / 1_000, "endTimestamp": (NOW + at + 100) / 1_000}
    payload = {"op": "resource.fetch", "description": url, "data": {"method": "POST", "statusCode": status}} | times
    return {"type": 5, "timestamp": (NOW + at) / 1_000, "data": {"tag": "performanceSpan", "payload": payload}}


def make_error(handled: bool = False, **fields: object) -> tuple[str, bytes]:
    frames = [
        {"filename": "https://a/sdk.js", "lineno": 1},
        {"filename": "https://a/x.js?k=SECRET", "lineno": 6, "colno": 9},
    ]
    thrown = {"type": "TypeError", "value": "x is undefined", "stacktrace": {"frames": frames}}
    chain = {"values": [thrown | {"mechanism": {"handled": handled, "type": "auto.browser.global_handlers.onerror"}}]}
    known = {"event_id": "e1", "timestamp": NOW / 1_000, "exception": chain, "request": {"url": PAGE}}
    return "event", json.dumps(known | {"tags": {"replayId": REPLAY}} | fields).encode()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_recordings_are_judged_as_they_were(path):
    recording = read_recording(path)
    found = summarise(read_all(STREAM, recording.requests))
    assert bool(found) == (path.name in FOUND)
    assert recording.frustrated or not found
    if found:
        assert len(found) == 1
        begin, end = FOUND[path.name]
        assert found[0][0].startswith(begin)
        assert found[0][0].endswith(end)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_order_and_repeats_of_requests_change_nothing(path):
    check_orders(STREAM, path)


def test_a_failing_button_pressed_four_times_is_found():
    clicks = [touch(kind, 400 * i + step) for i in range(4) for step, kind in ((0, 1), (60, 0), (64, 2))]
    body = record(click_crumb(62), *clicks, *(request(70 + 400 * i) for i in range(4)))
    ((point, score),) = summarise([STREAM.read(body)])
    assert (point, score >= 80) == ("/cart › button#pay › POST /api/orders → 500", True)


def test_a_click_has_the_control_of_the_last_crumb():
    reading = STREAM.read(
        record(click_crumb(2), touch(2, 4), touch(2, 500, 9), click_crumb(900, 7, id="buy"), touch(2, 903, 7))
    )
    assert [event["target"]["id"] for event in reading.events] == ["pay", "pay", "buy"]
    assert [event["eventId"] for event in reading.events] == [f"click:{NOW + at}" for at in (2, 500, 900)]
    assert {event["route"] for event in reading.events} == {"/cart"}
    assert reading.events[0]["metadata"] == {"x": 10, "y": 20, "inputMethod": "mouse"}


def test_a_press_without_a_click_is_one_on_a_disabled_control():
    before = (click_crumb(2), touch(2, 4))
    press = (touch(1, 2_000), touch(0, 2_100))
    swallowed = STREAM.read(record(*before, *press)).events[1]
    assert swallowed["metadata"]["disabled"] is True
    for other in (
        (*press, touch(2, 2_105)),
        (touch(1, 2_000), touch(3, 2_050), touch(0, 2_100)),
        (touch(1, 2_000), touch(0, 2_100, x=90)),
        (touch(1, 2_000), touch(0, 3_900)),
        (touch(1, 2_000), touch(0, 2_100, 6)),
        (touch(1, 2_000, 6), touch(0, 2_100, 6)),
    ):
        clicks = STREAM.read(record(*before, *other)).events
        assert not any("disabled" in event["metadata"] for event in clicks)
    assert len(STREAM.read(record(*before, *press, ends=NOW + 2_200)).events) == 1


@pytest.mark.parametrize(
    ("category", "data", "verdict"),
    [
        ("ui.slowClickDetected", {"endReason": "timeout", "clickCount": 1}, "dead"),
        ("ui.slowClickDetected", {"endReason": "mutation", "clickCount": 1}, "slow"),
        ("ui.slowClickDetected", {"endReason": "timeout", "clickCount": 4}, "rage"),
        ("ui.multiClick", {"clickCount": 5}, "rage"),
    ],
)
def test_a_verdict_of_a_later_segment_finds_its_click(category, data, verdict):
    first = STREAM.read(record(click_crumb(2), touch(2, 30)))
    later = STREAM.read(record(crumb(category, 2, **data), segment=2))
    (click,), (event,) = first.events, later.events
    assert event["verdictFor"] == click["eventId"]
    assert event["metadata"] == {"verdict": verdict}


def test_pages_follow_the_navigations_of_the_segment():
    moved = crumb("navigation", 1_000, **{"from": "/cart?a=1", "to": "/pay?token=SECRET"})
    same = crumb("navigation", 2_000, **{"from": "/pay?a=1", "to": "/pay?b=2"})
    reading = STREAM.read(
        record(click_crumb(2), touch(2, 4), moved, same, touch(2, 2_500), page="https://shop.example/pay")
    )
    shown = [
        (event["eventType"], event["route"]) for event in sorted(reading.events, key=lambda event: event["timestamp"])
    ]
    assert shown == [("click", "/cart"), ("navigation", "/pay"), ("click", "/pay")]


def test_a_request_has_its_times_and_whose_it_is():
    own, other, relative = STREAM.read(
        record(request(0), request(0, 0, "https://cdn.example/x"), request(5, 404, "/api/x"))
    ).events
    assert own["metadata"] == {"url": "/api/orders", "durationMs": 100, "method": "POST", "status": 500}
    assert (own["timestamp"], other["metadata"]["thirdParty"]) == (NOW + 100, True)
    assert "thirdParty" not in relative["metadata"]


def test_plain_and_compressed_recordings_are_the_same():
    events = (click_crumb(2), touch(2, 4), request(10))
    assert STREAM.read(record(*events)).events == STREAM.read(record(*events, plain=True)).events


def test_only_errors_that_nobody_handled_are_read():
    (error,) = STREAM.read(make_envelope(make_error())).events
    assert error["metadata"] == {
        "errorType": "javascript",
        "message": "TypeError: x is undefined",
        "frame": "https://a/x.js:6:9",
    }
    assert (error["sessionId"], error["idempotencyKey"], error["route"]) == (REPLAY, "error:e1", "/cart")
    for other in (make_error(handled=True), make_error(exception=None), make_error(exception={"values": []})):
        assert STREAM.read(make_envelope(other)).ignored == {"handled exception or message": 1}
    (alone,) = STREAM.read(make_envelope(make_error(tags={}, contexts={"trace": {"trace_id": TRACE}}))).events
    assert alone["sessionId"] == TRACE


def make_span(**attributes: object) -> dict[str, object]:
    known = {"sentry.op": "http.client", "url.full": "https://a/api?token=SECRET", "http.response.status_code": 503}
    held = {name: {"value": value, "type": "string"} for name, value in (known | attributes).items()}
    times = {"start_timestamp": NOW / 1_000, "end_timestamp": NOW / 1_000 + 1}
    return {"trace_id": TRACE, "span_id": "s1", "attributes": held} | times


def test_spans_are_read_where_no_replay_runs():
    def read(span: dict[str, object], **header: object) -> Reading:
        return STREAM.read(make_envelope(("span", json.dumps({"version": 2, "items": [span]}).encode()), **header))

    (event,) = read(make_span()).events
    assert event["metadata"] == {"url": "/api", "durationMs": 1_000, "status": 503}
    assert event["sessionId"] == TRACE
    for reading in (read(make_span(**{"sentry.replay_id": REPLAY})), read(make_span(), trace={"replay_id": REPLAY})):
        assert reading.ignored == {"request that the replay has": 1}
    assert read(make_span(**{"sentry.op": "pageload"})).ignored == {"other span": 1}


def test_transactions_are_read_like_spans():
    span = {"op": "http.client", "start_timestamp": NOW / 1_000, "timestamp": NOW / 1_000 + 1, "trace_id": TRACE}
    span["data"] = {"http.method": "PUT", "url": "/api", "http.response.status_code": 500}
    body = {"spans": [span, {"op": "db"}, 3], "contexts": {"trace": {"trace_id": TRACE}}, "request": {"url": PAGE}}
    reading = STREAM.read(make_envelope(("transaction", json.dumps(body).encode())))
    assert [event["metadata"]["method"] for event in reading.events] == ["PUT"]
    assert (len(reading.rejects), reading.ignored) == (1, {"other span": 1})


def test_one_bad_item_costs_itself_alone():
    good = record(click_crumb(2), touch(2, 4)).content.partition(b"\n")[2]
    bad = make_envelope(
        ("event", b"{"), ("replay_event", b"["), ("SECRET", b"x"), ("replay_recording", b"x"), ("span", b"3")
    )
    reading = STREAM.read(SentBody(bad.content + good))
    assert len(reading.events) == 1
    assert [reject.field for reject in reading.rejects] == ["event", "replay_event", "replay_recording", "span"]
    assert reading.ignored == {"unknown item": 1}


@pytest.mark.parametrize("kept", [0.6, 0.8, 0.9, 0.99])
def test_a_cut_envelope_is_a_reject(kept):
    body = record(click_crumb(2), touch(2, 4)).content
    reading = STREAM.read(SentBody(body[: int(len(body) * kept)]))
    assert len(reading.rejects) == 1
    assert not reading.events


def test_a_recording_that_breaks_off_or_swells_is_a_reject():
    def read(compressed: bytes) -> Reading:
        return STREAM.read(make_envelope(("replay_recording", b'{"segment_id":0}\n' + compressed)))

    reasons = [
        read(body).rejects[0].reason
        for body in (zlib.compress(b"[]")[:-3], b"x\x9c\xff\xff\xff\xff", zlib.compress(b"[" + b" " * MAX_BYTES))
    ]
    expected = ["is cut", "is not zlib data", "is too large after inflating"]
    assert reasons == [f"the recording {text}" for text in expected]


def test_a_snapshot_of_ten_megabytes_is_never_built():
    node = {"type": 2, "tagName": "div", "attributes": {"class": "a b c"}, "childNodes": [], "id": 7}
    count = (MAX_BYTES - 20_000) // (len(json.dumps(node)) + 2)
    snapshot = {"type": 2, "data": {"node": {"type": 0, "childNodes": [node] * count}}, "timestamp": NOW}
    body = record(snapshot, click_crumb(2), touch(2, 4), plain=False)
    tracemalloc.start()
    reading = STREAM.read(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(reading.events) == 1
    assert peak < 2.5 * MAX_BYTES  # the inflated bytes (and their growing buffer), but no object for a node


def test_nothing_that_a_person_typed_or_read_passes():
    texts = {"title": "SECRET", "value": "SECRET", "alt": "SECRET", "placeholder": "SECRET"}
    selector = 'p[title="SECRET"] > input[name="x"][alt="SECRET [a]"][aria-label="SECRET'
    body = record(
        {"type": 4, "data": {"href": PAGE}, "timestamp": NOW},
        {"type": 3, "data": {"source": 5, "text": "SECRET", "id": 3}, "timestamp": NOW},
        {"type": 5, "data": {"tag": "SECRET", "payload": "SECRET"}, "timestamp": NOW},
        crumb("console", 1, "SECRET", arguments=["SECRET"]),
        crumb("SECRET", 1, "SECRET"),
        crumb(
            "ui.click", 2, selector, nodeId=5, node={"tagName": "input", "textContent": "SECRET", "attributes": texts}
        ),
        touch(2, 4),
        crumb("ui.click", 12, selector, nodeId=6, node={"tagName": "p", "textContent": "SECRET", "attributes": texts}),
        touch(2, 14, 6),
        request(20),
        crumb("navigation", 30, **{"from": "/a?SECRET", "to": "/b?SECRET#SECRET"}),
    )
    error = make_error(
        user={"id": "u1", "email": "SECRET", "ip_address": "SECRET"}, extra={"a": "SECRET"}, message="SECRET"
    )
    span = ("span", json.dumps({"items": [make_span(**{"user.email": "SECRET", "url.query": "SECRET"})]}).encode())
    other = make_envelope(error, span, ("log", b"SECRET"), user="SECRET")
    for sent in (body, other):
        reading = STREAM.read(sent)
        assert len(reading.events) >= 2
        assert "SECRET" not in repr((reading.events, reading.rejects, reading.ignored))


@pytest.mark.parametrize("content", [b"", b"{", b"[]\n{}", b"3", b"\xff\n{}", b"[" * 100_000])
def test_another_body_is_unreadable(content):
    with pytest.raises(UnreadableBody):
        STREAM.read(SentBody(content))
    assert not STREAM.recognises(SentBody(content))


def test_its_own_bodies_are_recognised():
    assert all(STREAM.recognises(sent) for path in PATHS for sent in read_recording(path).requests)
    assert not STREAM.recognises(SentBody(b'{"eventType":"click","sent_at":1}\n{"eventType":"click","type":1}'))


def test_what_the_envelope_says_of_itself_is_kept():
    reading = STREAM.read(make_envelope())
    assert (reading.sent_ms, reading.sdk_version) == (1_795_789_166_417, "sentry.javascript.browser/11.12.0")


JSON = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(
        [[], {}, [1], {"a": None}, "x" * 600, "//[", "http://[", "/" + "y" * 600, 1e300, -1, 2**70, "***"]
    )
)
CATEGORIES = ("ui.click", "navigation", "ui.multiClick", "ui.slowClickDetected")


def make_items() -> dict[str, object]:
    """One item of each kind, as decoded JSON."""
    data = {"nodeId": 5, "node": {"tagName": "a", "attributes": {"id": "x"}}, "from": "/a", "to": "/b", "clickCount": 3}
    crumbs = [crumb(category, 2, **json.loads(json.dumps(data))) for category in CATEGORIES]
    return {
        "replay_event": {"replay_id": REPLAY, "timestamp": NOW / 1_000, "request": {"url": PAGE}, "user": {"id": 3}},
        "event": json.loads(make_error()[1]),
        "span": {"items": [make_span()]},
        "transaction": {"spans": [{"op": "http.client", "timestamp": 3, "start_timestamp": 2, "data": {"url": "/a"}}]},
        "replay_recording": [*crumbs, touch(2, 4), touch(1, 9), touch(0, 10), request(20)],
    }


def list_places(value: object, place: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The paths of all places in ``value``, ``value`` itself included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, item in inner for found in list_places(item, (*place, key)))]


PLACES = [place for place in list_places(make_items()) if place]


def send_wrong(changes: list[tuple[tuple[object, ...], object]]) -> SentBody:
    """An envelope with other values at some places."""
    items: object = make_items()
    for place, value in changes:
        at: object = items
        for key in place[:-1]:
            if (
                not isinstance(at, dict | list)
                or (isinstance(at, list) and key not in range(len(at)))
                or (isinstance(at, dict) and key not in at)
            ):
                break
            at = at[key]  # type: ignore[index,call-overload]
        else:
            if isinstance(at, dict) or (isinstance(at, list) and place[-1] in range(len(at))):
                at[place[-1]] = value  # type: ignore[index,call-overload]
    held = items if isinstance(items, dict) else {}
    header = b'{"segment_id":0}\n'
    encoded = [
        (kind, header * (kind == "replay_recording") + json.dumps(value).encode()) for kind, value in held.items()
    ]
    return make_envelope(*encoded)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=2))
def test_any_json_at_any_place_is_borne(changes):
    reading = STREAM.read(send_wrong(changes))
    json.dumps(reading.events, allow_nan=False)
    _, rejects = build_table(reading.events)
    assert not rejects, rejects[:2]
