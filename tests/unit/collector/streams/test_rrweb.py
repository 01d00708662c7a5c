"""Recordings of rrweb: targets from snapshots, presses, requests of the plugin, and what must never pass."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.streams.rrweb.adapter import STREAM
from collector.streams.stream import SentBody, UnreadableBody
from tests.streams.recordings import judge
from tests.tables import build_table

NOW = 1_795_789_400_000


def element(number: int, tag: str, *inner: object, **attributes: object) -> dict[str, object]:
    held = {name.replace("_", "-"): value for name, value in attributes.items()}
    return {"type": 2, "id": number, "tagName": tag, "attributes": held, "childNodes": list(inner)}


def text(number: int, words: str) -> dict[str, object]:
    return {"type": 3, "id": number, "textContent": words}


def snapshot(*inner: object, at: int = 0) -> dict[str, object]:
    return {"type": 2, "data": {"node": {"type": 0, "id": 1, "childNodes": list(inner)}}, "timestamp": NOW + at}


def meta(url: str, at: int = 0) -> dict[str, object]:
    return {"type": 4, "data": {"href": url}, "timestamp": NOW + at}


def touch(kind: int, at: int, node: int) -> dict[str, object]:
    return {"type": 3, "data": {"source": 2, "type": kind, "id": node, "x": 10, "y": 20}, "timestamp": NOW + at}


def mutate(at: int, **changes: object) -> dict[str, object]:
    return {"type": 3, "data": {"source": 0, **changes}, "timestamp": NOW + at}


def request(at: int, status: int = 500) -> dict[str, object]:
    held = {"name": "https://a.example/api/pay?k=SECRET", "initiatorType": "fetch", "method": "POST"}
    held |= {"timestamp": NOW + at, "duration": 100.4, "responseStatus": status, "requestBody": "SECRET"}
    return {
        "type": 6,
        "data": {"plugin": "rrweb/network@1", "payload": {"requests": [held]}},
        "timestamp": NOW + at + 101,
    }


PAGE = (
    meta("https://a.example/cart?k=SECRET"),
    snapshot(
        element(2, "button", element(3, "span", text(4, "Pay now")), data_testid="pay", value="SECRET"),
        element(5, "input", type="email", name="mail", value="SECRET", placeholder="SECRET"),
        element(6, "p", text(7, "SECRET")),
        element(8, "textarea", text(9, "SECRET")),
    ),
)


def send(*events: object, **body: object) -> SentBody:
    return SentBody(json.dumps({"sessionId": "s1", "events": list(events)} | body).encode())


def test_a_click_names_its_control():
    events = STREAM.read(
        send(*PAGE, *(touch(2, at, node) for at, node in ((10, 4), (20, 5), (30, 7), (40, 8), (50, 99))))
    ).events
    assert [event.get("target") for event in events[1:]] == [
        {"type": "button", "tagName": "button", "id": "pay", "label": "Pay now"},
        {"type": "email", "tagName": "input", "id": "mail"},
        {"type": "p", "tagName": "p", "selector": "p"},
        {"type": "textarea", "tagName": "textarea", "selector": "textarea"},
        None,
    ]
    assert "SECRET" not in repr(events)
    assert {event["route"] for event in events} == {"/cart"}


def test_presses_on_a_control_that_was_disabled_are_clicks():
    off = mutate(50, attributes=[{"id": 2, "attributes": {"disabled": ""}}])
    on = mutate(1_000, attributes=[{"id": 2, "attributes": {"disabled": None}}])
    presses = [touch(kind, at + kind * -20, 3) for at in (300, 1_300) for kind in (1, 0)]
    reading = STREAM.read(send(*PAGE, touch(2, 10, 3), off, on, *presses, meta("https://a.example/cart", 9_000)))
    assert [event["metadata"].get("disabled") for event in reading.events[1:]] == [None, True]
    assert reading.ignored == {"press without a click": 1}


def test_nodes_that_were_added_are_known_until_the_next_page():
    added = mutate(5, adds=[{"parentId": 1, "node": element(20, "a", text(21, "Help"), id="help")}])
    broken = {"type": 2, "data": {"cut": 1}, "timestamp": NOW + 60}
    events = STREAM.read(
        send(*PAGE, added, touch(2, 10, 20), meta("https://a.example/b", 60), broken, touch(2, 70, 20))
    ).events
    assert [event.get("target", {}).get("id") for event in events if event["eventType"] == "click"] == ["help", None]


def test_only_the_title_of_an_error_page_passes():
    def show(words: str, at: int, url: str) -> tuple[dict[str, object], dict[str, object]]:
        return meta(url, at), snapshot(element(2, "title", text(3, words)), at=at + 1)

    here, there = "https://a.example/cart", "https://a.example/pay"
    visit = (*show("SECRET", 0, here), *show("Server Error", 9, here), *show("404 Not Found", 20, there))
    events = STREAM.read(send(*visit)).events
    assert [event["route"] for event in events] == ["/cart", "/cart", "/pay"]
    assert [event["metadata"].get("title") for event in events] == [None, "Server Error", "404 Not Found"]


def own_request(at: int, *held: dict[str, object], **more: object) -> dict[str, object]:
    """What @rrweb/rrweb-plugin-network-record emits: times since the page was opened, and no method."""
    payload = {"requests": [{"initiatorType": "fetch", "entryType": "resource", **one} for one in held], **more}
    return {"type": 6, "data": {"plugin": "rrweb/network@1", "payload": payload}, "timestamp": NOW + at}


def test_requests_of_rrwebs_own_plugin_get_the_time_at_which_they_were_emitted():
    first = {
        "name": "https://a.example/api/pay?k=SECRET",
        "startTime": 900,
        "endTime": 1_000,
        "duration": 100.2,
        "status": 500,
    }
    later = {"name": "https://a.example/api/stock", "startTime": 1_100, "endTime": 1_250, "duration": 150, "status": 0}
    copy = {"name": "https://furrow.example/intake/rrweb/k", "startTime": 1, "endTime": 9, "status": 200}
    reading = STREAM.read(
        send(*PAGE, own_request(2_000, first, later, copy), own_request(2_001, first, isInitial=True))
    )
    assert not reading.rejects
    got = [(e["timestamp"], e["metadata"]) for e in reading.events if e["eventType"] == "network"]
    assert got == [
        (NOW + 1_750, {"url": "/api/pay", "durationMs": 100.0, "status": 500}),
        (NOW + 2_000, {"url": "/api/stock", "durationMs": 150.0}),
    ]


def test_a_failing_control_is_found_with_the_plugin():
    visit = [event for i in range(5) for event in (touch(2, 500 * i, 3), request(500 * i + 5))]
    (detection,) = judge([STREAM.read(send(*PAGE, *visit))])
    assert detection["primaryFailurePoint"] == "/cart › button#pay › POST /api/pay → 500"


@pytest.mark.parametrize("form", ["object", "list", "lines", "bodies"])
def test_all_forms_hold_the_same(form):
    visit = [*PAGE, touch(2, 10, 3), request(20)]
    contents = {
        "object": json.dumps({"events": visit}),
        "list": json.dumps(visit),
        "lines": "\n".join(map(json.dumps, visit)),
        "bodies": "\n".join(json.dumps({"events": [event]}) for event in visit),
    }
    events = STREAM.read(SentBody(contents[form].encode())).events
    assert [event["eventType"] for event in events] == ["navigation", "click", "network"]
    assert events == STREAM.read(SentBody(contents["list"].encode())).events
    assert STREAM.recognises(SentBody(contents[form].encode()))


def test_one_bad_item_costs_itself_alone():
    reading = STREAM.read(send(*PAGE, 3, {"type": "x"}, touch(2, 10, 3), request(5) | {"type": 6, "data": None}))
    assert [event["eventType"] for event in reading.events] == ["navigation", "click"]
    assert [reject.reason for reject in reading.rejects] == ["2 items are no events of rrweb"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"3", b'{"events":3}', b"\xff", b"[" * 100_000, b'[{"type":'])
def test_another_body_is_unreadable(content):
    with pytest.raises(UnreadableBody):
        STREAM.read(SentBody(content))


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
WRONG = VALUES | st.sampled_from([[], {}, [1], 2**70, 1e300, "//[", [{"id": 3}], {"a": {}}])
FIELDS = ["type", "source", "id", "x", "y", "href", "node", "adds", "attributes", "payload", "plugin", "requests"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(FIELDS), WRONG), max_size=3),
    st.sampled_from([NOW, -1, 0, 2**63]),
)
def test_any_json_at_any_place_is_borne(changes, at):
    events = json.loads(json.dumps([*PAGE, touch(2, 10, 3), request(5)]))
    for place, name, value in changes:
        events[place]["data"][name] = value
    events.append({"type": 3, "data": {"source": 2, "type": 2}, "timestamp": at})
    reading = STREAM.read(send(*events))
    json.dumps(reading.events, allow_nan=False)
    _, rejects = build_table(reading.events)
    assert not rejects, rejects[:2]
