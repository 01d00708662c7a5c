"""PostHog's stream: recordings of posthog-js 1.449.2, the requests of recordings, and what strangers send."""

import base64
import gzip
import json
import tracemalloc
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.streams.posthog.adapter import MAX_BYTES, STREAM
from collector.streams.posthog.elements import parse_chain
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

PATHS = list_recordings("posthog")
TOLD_BY_TITLE = {"oscar-error_left.jsonl.gz", "oscar-rage500.jsonl.gz"}
"""Frustrated, with the evidence on the wire; Label Studio's failed requests were not recorded (no `/s/` in these files)."""
SESSION, WINDOW, NOW = "01a21d63-c0c4-737f", "01a21d63-aaaa", 1_795_789_400_000
PAGE = "https://shop.example/cart?token=querysecret"
CHAIN = 'span:nth-child="1"nth-of-type="1"text="Pay";button.btn:attr__id="pay"attr_id="pay"attr__type="submit"nth-of-type="2"'


def capture(name: str, number: int = 1, at: int = NOW, **properties: object) -> dict[str, object]:
    known = {
        "$session_id": SESSION,
        "$window_id": WINDOW,
        "$current_url": PAGE,
        "$lib": "web",
        "$lib_version": "1.449.2",
    }
    return {"uuid": f"u{number}", "event": name, "timestamp": at, "properties": known | properties}


def click(number: int = 1, at: int = NOW, chain: str = CHAIN) -> dict[str, object]:
    return capture("$autocapture", number, at, **{"$event_type": "click", "$elements_chain": chain})


def send(body: object, path: str = "e/", **query: str) -> SentBody:
    return SentBody(json.dumps(body).encode(), path, query, "application/json", NOW)


def read_batch(*events: object) -> Reading:
    return STREAM.read(send({"api_key": "phc", "batch": list(events), "sent_at": "2026-11-27T14:23:27.043Z"}))


def record_requests(*requests: object, is_initial: bool = False, page: str = "https://shop.example/cart") -> SentBody:
    plugin = {"plugin": "rrweb/network@1", "payload": {"requests": list(requests), "isInitial": is_initial}}
    data = [
        {"type": 4, "data": {"href": page}, "timestamp": NOW},
        {"type": 2, "data": {"node": {"text": "pagesecret"}}, "timestamp": NOW},
        {"type": 3, "cv": "2024-10", "data": "\u001f\u008b", "timestamp": NOW},
        {"type": 6, "data": plugin, "timestamp": NOW},
    ]
    return send([capture("$snapshot", **{"$snapshot_data": data, "$snapshot_bytes": 100, "$current_url": None})], "s/")


def make_request(**fields: object) -> dict[str, object]:
    known = {"name": "https://shop.example/api/orders?token=querysecret", "initiatorType": "fetch", "method": "POST"}
    return known | {"timestamp": NOW, "duration": 120.4, "responseStatus": 500} | fields


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_recordings_are_judged_as_they_were(path):
    check_judgement(STREAM, path, TOLD_BY_TITLE)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_order_and_repeats_of_requests_change_nothing(path):
    check_orders(STREAM, path)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_secrets_in_foreign_fields_do_not_pass(path):
    for sent in read_recording(path).requests:
        content = inflate(sent).content
        if not content:
            continue
        body = json.loads(content)
        planted = STREAM.read(send(plant(body), sent.path))
        shown = repr((planted.events, planted.rejects, planted.ignored))
        assert "SECRET" not in shown
        assert "bob@" not in shown


def plant(value: object, name: str = "") -> object:
    """``value`` with secrets in all texts that a person or page wrote, and with a query in each address."""
    if isinstance(value, dict):
        extra = {"email": "bob@example.com", "$console": "SECRET", "$el_value": "SECRET"}
        return {k: plant(v, k) for k, v in value.items()} | (extra if "event" in value or "$lib" in value else {})
    if isinstance(value, list):
        return [plant(item, name) for item in value]
    if name == "$elements_chain" and isinstance(value, str) and not value.startswith(("button", "a:", "a.", "span")):
        return value.replace(":attr", ':attr__value="SECRET"attr__title="SECRET"attr', 1) + 'text="SECRET"'
    if name in ("$current_url", "$referrer", "$session_entry_url"):
        return f"{value}?token=SECRET#SECRET"
    return "SECRET bob@example.com" if name in ("$el_text", "title", "$raw_user_agent", "distinct_id") else value


def test_a_chain_is_read_with_its_escapes():
    chain = r'a.x:y;z:attr__href="/a;b"text="say \"no\" attr__id=\"x\"; ok"nth-of-type="3";form:attr_id="f"'
    elements = parse_chain(chain.replace("y;z", "y"))
    assert [e.tag for e in elements] == ["a", "form"]
    assert elements[0].text == 'say "no" attr__id="x"; ok'
    assert (elements[0].position, elements[1].attributes) == (3, {"id": "f"})


def test_a_click_names_the_control_that_holds_the_element():
    (event,) = read_batch(click()).events
    assert event["target"] == {"type": "button", "tagName": "button", "id": "pay", "label": "Pay"}
    assert (event["route"], event["sessionId"], event["idempotencyKey"]) == ("/cart", SESSION, "u1")


@pytest.mark.parametrize(
    "chain",
    [
        'input:attr__type="email"attr__value="SECRET"attr__name="mail"text="SECRET"',
        'textarea:attr__value="SECRET"text="SECRET"',
        'div:attr__title="SECRET"text="SECRET"',
        'div:attr__role="combobox"text="SECRET"',
    ],
)
def test_values_and_texts_of_other_elements_do_not_pass(chain):
    for kind in ("click", "change"):
        reading = read_batch(
            capture("$autocapture", **{"$event_type": kind, "$elements_chain": chain, "$el_text": "SECRET"})
        )
        assert len(reading.events) == 1
        assert "SECRET" not in repr(reading)


def test_the_list_of_elements_is_read_like_the_chain():
    listed = [
        {"tag_name": "span", "$el_text": "Pay", "nth_of_type": 1},
        {"tag_name": "button", "attr__id": "pay", "attr__disabled": "", "nth_of_type": 2},
    ]
    (event,) = read_batch(capture("$autocapture", **{"$event_type": "click", "$elements": listed})).events
    assert event["target"] == {"type": "button", "tagName": "button", "id": "pay", "label": "Pay"}
    assert event["metadata"] == {"disabled": True}


@pytest.mark.parametrize("form", ["gzip", "base64", "form", "list", "one", "data"])
def test_all_forms_of_a_body_hold_the_same_event(form):
    event = click()
    plain = json.dumps({"api_key": "phc", "batch": [event]}).encode()
    encoded = base64.b64encode(plain)
    bodies = {
        "gzip": SentBody(gzip.compress(plain), "e/", {"compression": "gzip-js"}, "text/plain"),
        "base64": SentBody(encoded, "e/", {"compression": "base64"}, "text/plain"),
        "form": SentBody(b"data=" + quote(encoded).encode(), "e/", {}, "application/x-www-form-urlencoded"),
        "list": send([event]),
        "one": send(event, "capture/"),
        "data": send({"data": [event]}),
    }
    assert STREAM.read(inflate(bodies[form])).events == read_batch(event).events


@pytest.mark.parametrize(
    "content", [b"", b"%", b"data=%%%", b"3", b'{"a":1}', b"[1", b"\xff\xfe", b'"x"', b"[" * 10_000]
)
def test_another_body_is_unreadable(content):
    with pytest.raises(UnreadableBody):
        STREAM.read(SentBody(content, "e/"))


def test_one_bad_item_costs_itself_alone():
    reading = read_batch(
        3, capture("$pageview") | {"timestamp": "soon"}, capture("$pageview", **{"$session_id": 4}), click()
    )
    assert [reject.field for reject in reading.rejects] == ["event", "timestamp", "$session_id"]
    assert [event["eventType"] for event in reading.events] == ["click"]


def test_only_exceptions_that_nobody_handled_are_errors():
    def throw(handled: bool) -> dict[str, object]:
        frames = [{"filename": "a.js", "lineno": 1}, {"filename": "https://x/b.js?v=SECRET", "lineno": 7, "colno": 9}]
        mechanism = {"handled": handled, "type": "onunhandledrejection"}
        listed = [
            {"type": "TypeError", "value": "x is undefined", "mechanism": mechanism, "stacktrace": {"frames": frames}}
        ]
        return capture("$exception", **{"$exception_list": listed})

    (event,) = read_batch(throw(False)).events
    frame = "https://x/b.js:7:9"
    assert event["metadata"] == {"errorType": "promise", "message": "TypeError: x is undefined", "frame": frame}
    reading = read_batch(throw(True))
    assert (reading.events, reading.ignored) == ([], {"handled exception": 1})


def test_a_page_view_passes_its_title_only_if_it_names_a_failure():
    failed, good = read_batch(
        capture("$pageview", title="Server Error"), capture("$pageview", 2, title="Letters of bob@example.com")
    ).events
    assert failed["metadata"] == {"title": "Server Error"}
    assert good["metadata"] == {}


def dead(number: int = 9, at: int = NOW - 8, chain: str = CHAIN) -> dict[str, object]:
    named = {"$dead_click_event_timestamp": at, "$dead_click_absolute_delay_ms": 3_001}
    return capture("$dead_click", number, at, **{"$event_type": "click", "$elements_chain": chain} | named)


def test_a_dead_click_is_a_verdict_on_its_control_at_the_time_of_its_click():
    (click_,) = read_batch(click()).events
    (verdict,) = read_batch(dead()).events
    assert verdict["target"] == click_["target"]
    assert (verdict["eventType"], verdict["timestamp"], verdict["metadata"]) == (
        "verdict",
        NOW - 8,
        {"verdict": "dead"},
    )


def test_a_dead_click_in_another_body_is_evidence_and_no_second_try():
    """Two presses that fail, with PostHog's report of each: two tries; and of a press that is lost: none."""
    page, left = capture("$pageview", 90, NOW - 9_000), capture("$pageleave", 91, NOW + 60_000)
    presses = [click(i, NOW + 12_000 * i) for i in range(2)]
    reports = [dead(10 + i, NOW + 12_000 * i - 8) for i in range(2)]
    failures = STREAM.read(record_requests(*(make_request(timestamp=NOW + 12_000 * i + 20) for i in range(2))))
    plain = [read_batch(event) for event in (page, *presses, left)]
    (whole,) = judge([*plain, *(read_batch(event) for event in reports), failures])
    (bare,) = judge([*plain, failures])
    assert "another tool reported 2 clicks on button#pay" in whole["explanation"]
    assert "2 attempts" in bare["explanation"]
    assert "2 attempts" in whole["explanation"]
    lost = [read_batch(event) for event in (page, presses[0], left, *reports)]
    assert judge([*lost, failures]) == judge([*lost[:3], failures])


@pytest.mark.parametrize("chain", ['input:attr__id="mail"', "body:", 'div:text="a text"', 'select:attr__id="x"'])
def test_a_dead_click_on_nothing_to_press_is_no_evidence(chain):
    assert read_batch(dead(chain=chain)).events == []


def test_dead_clicks_alone_convict_nobody():
    tries = [e for i in range(4) for e in (click(i, NOW + 4_000 * i), dead(100 + i, NOW + 4_000 * i - 8))]
    readings = [read_batch(capture("$pageview", 50, NOW - 5_000)), *(read_batch(event) for event in tries)]
    assert judge(readings) == []


def test_requests_of_recordings_end_when_they_were_answered():
    (event,) = STREAM.read(record_requests(make_request())).events
    assert (event["timestamp"], event["sessionId"]) == (NOW + 120, SESSION)
    assert event["metadata"] == {"status": 500, "url": "/api/orders", "method": "POST", "durationMs": 120}
    assert "querysecret" not in repr(event)
    assert "route" not in event


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (make_request(status=422, responseStatus=None), 422),
        (make_request(responseStatus=0), 0),
        (make_request(responseStatus=0, name="https://metrics.example/beacon"), None),
        (make_request(status=0, responseStatus=503), 503),
        (make_request(name="https://furrow.example/intake/posthog/k/e/", status=503), None),
        (make_request(initiatorType="img"), None),
        (make_request(isInitial=True), None),
        (make_request(responseStatus="500"), None),
        (make_request(timestamp=-4), None),
    ],
)
def test_requests_without_a_certain_answer_are_left_out(request_, status):
    events = STREAM.read(record_requests(request_)).events
    assert [event["metadata"]["status"] for event in events] == ([] if status is None else [status])


def test_initial_requests_are_skipped():
    assert STREAM.read(record_requests(make_request(), is_initial=True)).events == []


def test_a_failing_button_is_found_from_clicks_and_recording():
    clicks = [click(i, NOW + 450 * i) for i in range(4)]
    requests = [make_request(timestamp=NOW + 450 * i + 20, duration=80) for i in range(4)]
    readings = [
        read_batch(capture("$pageview", 90, NOW - 9_000), *clicks, capture("$pageleave", 91, NOW + 9_000)),
        STREAM.read(record_requests(*requests)),
    ]
    ((point, score),) = summarise(readings)
    assert point.startswith("/cart › button#pay › POST /api/orders → 500")
    assert score >= 90
    assert summarise([*readings[::-1], *readings]) == [(point, score)]


def test_snapshots_take_no_memory_beside_the_body():
    filler = json.dumps({"type": 2, "data": {"node": {"childNodes": ["x" * 1_000] * 5_000}}, "timestamp": NOW})
    first, last = json.dumps(json.loads(record_requests(make_request()).content)).split('{"type": 2', 1)
    content = (first + filler + ", " + filler + ', {"type": 2' + last).encode()
    assert 9 << 20 < len(content) < MAX_BYTES
    sent = SentBody(content, "s/")
    tracemalloc.start()
    reading = STREAM.read(sent)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(reading.events) == 1
    assert peak < 1 << 20


def test_the_remote_configuration_switches_capture_on():
    answer = STREAM.configuration("array/phc_abc/config")
    config = json.loads(answer.content)
    assert answer.status == 200
    assert config["autocapture_opt_out"] is False
    assert config["elementsChainAsString"] is True
    assert config["sessionRecording"]["endpoint"] == "/s/"
    assert STREAM.configuration("static/recorder.js") is None


@pytest.mark.parametrize("path", ["flags/", "decide/", "flags"])
def test_questions_for_flags_hold_no_events(path):
    sent = send({"token": "phc", "distinct_id": "bob@example.com"}, path, v="2")
    reading = STREAM.read(sent)
    assert (reading.events, reading.rejects) == ([], [])
    assert json.loads(STREAM.answer(sent, reading).content)["featureFlags"] == {}


def test_the_answer_is_exactly_200():
    sent = send({"batch": []})
    assert STREAM.answer(sent, STREAM.read(sent)).status == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("$autocapture", "$dead_click", "$pageview", "$pageleave", "$exception", "$snapshot")
FIELDS = (
    *(
        "$session_id",
        "$window_id",
        "$user_id",
        "$current_url",
        "$prev_pageview_pathname",
        "$lib",
        "$event_type",
        "title",
    ),
    *("$elements_chain", "$elements", "$exception_list", "$dead_click_event_timestamp", "$snapshot_data", "$el_text"),
    *("$dead_click_absolute_delay_ms", "navigation_type", "$exception_message", "$lib_version"),
)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    kind=st.sampled_from(["click", "change", "submit", None]),
    odd=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
    outer=st.dictionaries(st.sampled_from(["uuid", "timestamp", "properties", "event"]), JSON, max_size=1),
    top=st.dictionaries(st.sampled_from(["sent_at", "data", "event", "batch"]), JSON, max_size=1),
)
def test_no_json_breaks_the_adapter_or_the_contract(name, kind, odd, outer, top):
    event = capture(name, **({"$event_type": kind, "$elements_chain": CHAIN} | odd)) | outer
    try:
        reading = STREAM.read(send({"batch": [event, click(2)]} | top))
    except UnreadableBody:
        return
    _, rejects = build_table(reading.events)
    assert rejects == []


@settings(max_examples=150, deadline=None)
@given(chain=st.text(alphabet='ab:;"\\=._ button attr__id', max_size=60) | st.text(max_size=40))
def test_any_chain_is_read(chain):
    for element in parse_chain(chain):
        assert element.tag


@settings(max_examples=100, deadline=None)
@given(
    odd=st.dictionaries(st.sampled_from(["name", "method", "status", "timestamp", "duration", "initiatorType"]), JSON)
)
def test_any_recorded_request_is_read(odd):
    reading = STREAM.read(record_requests(make_request(**odd), odd))
    _, rejects = build_table(reading.events)
    assert rejects == []
