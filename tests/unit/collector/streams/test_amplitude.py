"""Amplitude's stream: recordings of analytics-browser 2.48.1, failed requests, and what strangers send."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.streams.amplitude.adapter import STREAM
from collector.streams.stream import Reading, SentBody, UnreadableBody
from tests.streams.recordings import (
    check_judgement,
    check_orders,
    inflate,
    judge,
    list_recordings,
    read_recording,
    summarise,
)
from tests.tables import build_table

PATHS = list_recordings("amplitude")
EVIDENT = {"oscar-error_left.jsonl.gz", "oscar-invalid_left.jsonl.gz", "oscar-rage500.jsonl.gz"}
"""Frustrated, with the evidence on the wire. Not on it: the uncaught error (error clicks were off), and the server's refusal of
a form, which is a page with status 200."""
NOW = 1_795_789_400_000
PAGE = "https://shop.example/cart?token=SECRET"
BUTTON = [
    {"tag": "button", "id": "pay", "indexOfType": 1, "attrs": {"type": "submit", "data-x": "SECRET"}},
    {"tag": "form", "id": "checkout", "indexOfType": 0},
]


def track(name: str, number: int = 1, at: int = NOW, **properties: object) -> dict[str, object]:
    known = {"Page Location": PAGE, "Page URL": PAGE, "Page Title": "SECRET", "Element Parent Label": "SECRET"}
    named = {f"[Amplitude] {key.replace('_', ' ')}": value for key, value in (known | properties).items()}
    event = {"event_type": f"[Amplitude] {name}", "time": at, "insert_id": f"i{number}", "device_id": "d1"}
    return event | {"session_id": NOW - 60_000, "library": "amplitude-ts/2.48.1", "event_properties": named}


def click(number: int = 1, at: int = NOW) -> dict[str, object]:
    return track("Element Clicked", number, at, Element_Hierarchy=BUTTON, Element_Text="Pay")


def fail(number: int = 1, at: int = NOW, **properties: object) -> dict[str, object]:
    request = {
        "URL": "https://shop.example/api/orders",
        "URL_Query": "SECRET",
        "Request_Method": "POST",
        "Status_Code": 500,
    }
    times = {
        "Completion_Time": at,
        "Duration": 80.4,
        "Response_Body": "SECRET",
        "Request_Headers": {"cookie": "SECRET"},
    }
    return track("Network Request", number, at + 5, **(request | times | properties))


def send(body: object) -> SentBody:
    return SentBody(json.dumps(body).encode(), "2/httpapi", {}, "application/json", NOW)


def read_events(*events: object) -> Reading:
    return STREAM.read(send({"api_key": "k", "events": list(events), "client_upload_time": "2026-11-27T14:18:43.677Z"}))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_recordings_are_judged_as_they_were(path):
    check_judgement(STREAM, path, EVIDENT)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_order_and_repeats_of_requests_change_nothing(path):
    check_orders(STREAM, path)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_secrets_in_foreign_fields_do_not_pass(path):
    for sent in read_recording(path).requests:
        shown = repr(STREAM.read(send(plant(json.loads(inflate(sent).content)))))
        assert "SECRET" not in shown
        assert "bob@" not in shown


def plant(value: object, name: str = "") -> object:
    """``value`` with secrets in all texts that a person or page wrote, and with a query in each address."""
    if isinstance(value, dict):
        planted = {key: plant(item, key) for key, item in value.items()} | {"email": "bob@example.com"}
        is_text = planted.get("[Amplitude] Element Tag") in ("input", "select", "textarea", "div", "span")
        return planted | ({"[Amplitude] Element Text": "SECRET"} if is_text else {})
    if isinstance(value, list):
        return [plant(item, name) for item in value]
    if isinstance(value, str) and name.endswith((" URL", " Location", "referrer", "Destination")):
        return f"{value}?token=SECRET#SECRET"
    return "SECRET" if name.endswith((" Title", " Label", "ip", "prevSib", "language")) else value


def test_a_click_names_its_control_and_its_session():
    (event,) = read_events(click()).events
    assert event["target"] == {"type": "button", "tagName": "button", "id": "pay", "label": "Pay"}
    assert (event["sessionId"], event["idempotencyKey"], event["route"]) == (f"d1:{NOW - 60_000}", "i1", "/cart")


def test_the_clock_and_the_version_of_the_sender_are_known():
    reading = read_events(click())
    assert (reading.sent_ms, reading.sdk_version) == (1_795_789_123_677, "amplitude-ts/2.48.1")


def test_values_of_fields_do_not_pass():
    hierarchy = [{"tag": "input", "id": "mail", "attrs": {"type": "email", "value": "SECRET"}}]
    event, _ = read_events(
        track("Element Changed", Element_Hierarchy=hierarchy, Element_Text="SECRET"),
        track("Element Clicked", 2, Element_Tag="textarea", Element_Text="SECRET"),
    ).events
    assert event["metadata"] == {"action": "change", "fieldType": "email"}
    assert "SECRET" not in repr(event)


def test_a_request_ends_when_it_was_completed():
    (event,) = read_events(fail()).events
    assert event["timestamp"] == NOW
    assert event["metadata"] == {"status": 500, "url": "/api/orders", "method": "POST", "durationMs": 80}


@pytest.mark.parametrize("status", [None, 0, "500", -1, 99, 1e300, True])
def test_a_request_without_a_status_may_have_been_aborted(status):
    reading = read_events(fail(Status_Code=status))
    assert (reading.events, reading.ignored) == ([], {"request without a status": 1})


def test_a_failed_copy_to_furrow_is_no_failure_of_the_page():
    reading = read_events(fail(URL="https://furrow.example/intake/amplitude/k/2/httpapi", Status_Code=503))
    assert (reading.events, reading.ignored) == ([], {"request to Furrow": 1})


def test_a_failing_button_is_found_although_its_clicks_are_stamped_after_their_requests():
    page = track("Page Viewed", 90, NOW - 9_000)
    tries = [event for i in range(4) for event in (click(i, NOW + 450 * i), fail(50 + i, NOW + 450 * i + 70))]
    ((point, score),) = summarise([read_events(page, *tries)])
    assert point.startswith("/cart › button#pay › POST /api/orders → 500")
    assert score >= 90


def test_an_error_click_is_an_uncaught_error_only_if_nobody_handled_it():
    where = {"Message": "x is undefined", "Filename": "https://x/a.js?v=SECRET", "Line_Number": 3, "Column_Number": 4}
    thrown, rejected = read_events(
        track("Error Click", Kind="error", **where),
        track("Error Click", 2, Kind="unhandledrejection", Message="no"),
        track("Error Click", 3, Kind="console", Message="SECRET"),
    ).events
    frame = "https://x/a.js:3:4"
    assert thrown["metadata"] == {"errorType": "javascript", "message": "x is undefined", "frame": frame}
    assert rejected["metadata"] == {"errorType": "promise", "message": "no"}


def test_a_dead_click_is_a_verdict_on_its_control_at_the_time_of_its_click():
    report = track("Dead Click", 9, NOW - 70, Element_Hierarchy=BUTTON, Element_Text="Pay", X=4, Y=5)
    pressed, verdict = read_events(click(), report).events
    assert verdict["target"] == pressed["target"]
    assert (verdict["eventType"], verdict["timestamp"], verdict["metadata"]) == (
        "verdict",
        NOW - 70,
        {"verdict": "dead"},
    )


def test_dead_clicks_alone_convict_nobody():
    readings = [read_events(track("Page Viewed", 90, NOW - 9_000))]
    for i in range(4):
        at = NOW + 5_000 * i
        readings.append(read_events(click(i, at)))
        readings.append(read_events(track("Dead Click", 50 + i, at - 70, Element_Hierarchy=BUTTON, Element_Text="Pay")))
    assert judge(readings) == []


def test_one_bad_item_costs_itself_alone():
    bad_time, bad_session = click(2) | {"time": "soon"}, click(3) | {"session_id": -1}
    reading = read_events(4, bad_time, bad_session, click() | {"device_id": None}, click(5))
    assert [reject.field for reject in reading.rejects] == ["event_type", "time", "session_id", "session_id"]
    assert [event["idempotencyKey"] for event in reading.events] == ["i5"]


def test_an_event_without_an_insert_id_has_the_same_key_when_it_is_sent_again():
    first, again = (read_events(click() | {"insert_id": None}).events[0] for _ in range(2))
    assert first["idempotencyKey"] == again["idempotencyKey"]


def test_the_answer_has_amplitudes_shape():
    sent = send({"events": [click()]})
    answer = STREAM.answer(sent, STREAM.read(sent))
    assert answer.status == 200
    assert json.loads(answer.content) | {"payload_size_bytes": 0} == {
        "code": 200,
        "events_ingested": 1,
        "payload_size_bytes": 0,
        "server_upload_time": NOW,
    }


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"events":3}', b"\xff", b"[" * 10_000])
def test_another_body_is_unreadable(content):
    with pytest.raises(UnreadableBody):
        STREAM.read(SentBody(content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "Element Clicked",
    "Element Changed",
    "Dead Click",
    "Error Click",
    "Form Submitted",
    "Page Viewed",
    "Network Request",
)
OUTER = ("time", "insert_id", "device_id", "session_id", "user_id", "library")
FIELDS = (
    *(
        "Element_Hierarchy",
        "Element_Tag",
        "Element_Text",
        "Form_ID",
        "Page_Location",
        "Page_URL",
        "Previous_Page_Location",
    ),
    *("URL", "Status_Code", "Completion_Time", "Duration", "Kind", "Message", "Filename", "Line_Number", "Page_Title"),
)


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    odd=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
    outer=st.dictionaries(st.sampled_from(OUTER), JSON, max_size=1),
    properties=st.dictionaries(st.just("event_properties"), JSON, max_size=1),
    top=st.dictionaries(st.sampled_from(["events", "client_upload_time"]), JSON, max_size=1),
)
def test_no_json_breaks_the_adapter_or_the_contract(name, odd, outer, properties, top):
    known = {"Kind": "error", "Message": "x"} if name == "Error Click" else {}
    event = fail(**odd) if name == "Network Request" else track(name, **(known | odd))
    try:
        reading = STREAM.read(send({"events": [event | outer | properties, click(2)]} | top))
    except UnreadableBody:
        return
    _, rejects = build_table(reading.events)
    assert rejects == []
