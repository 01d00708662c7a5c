"""Items of other SDKs that were rejected: found with their reason, and sent again after a mend, stored exactly once."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from collector.contract import fields as contract_fields
from collector.spool.dead_letters import KEPT_OF_REASON
from collector.spool.open_segment import OPEN
from collector.streams import lenient
from collector.streams.datadog import adapter as datadog_adapter
from collector.streams.datadog import events as datadog_events
from collector.streams.datadog.wire import RumEvent
from collector.streams.otlp import events as otlp_events
from collector.streams.otlp import from_json
from furrow.clients.send import SendSummary, send_file
from lander.loop import Lander
from stores.events.event_store import EventStore
from tests.integration.test_streams import ServedStreams

NOW: Final = time.time_ns() // 1_000_000 - 60_000
SECRET: Final = "SECRET"  # planted where no adapter may take it
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"
PAGE: Final = f"https://shop.example/cart?token={SECRET}"


COLUMNS: Final = (
    *("event_type", "ts", "route", "target_id", "status", "url", "sdk_version", "user_agent", "message", "user_hash"),
)


class Bench:
    """A collector with its spool, and an embedded ClickHouse that its segments land in."""

    def __init__(self, directory: Path, store: EventStore, client: httpx.Client) -> None:
        self.directory, self.store, self.client = directory, store, client

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        name, _, rest = path.partition("/")
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", "user-agent": BROWSER, **headers}
        answer = self.client.post(f"/intake/{name}/test-key/{rest}", content=content, headers=sent)
        assert answer.status_code in (200, 202), answer.text
        return answer

    def read_letters(self) -> list[dict[str, Any]]:
        files = sorted((self.directory / "spool/dead-letters").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def replay(self, change: Callable[[dict[str, Any]], object] | None = None) -> SendSummary:
        """What `furrow send --format dead-letters` does with all letters, as they are or changed by a person."""
        letters = self.read_letters()
        for letter in letters if change else ():
            assert change is not None
            change(letter)
        file = self.directory / "letters.jsonl"
        file.write_text("".join(json.dumps(letter) + "\n" for letter in letters))
        return send_file(file, str(self.client.base_url), "test-key", "dead-letters")

    def read_events(self) -> list[dict[str, Any]]:
        """The distinct events that have landed, in their order."""
        self._wait_for_sealing()
        Lander(self.directory / "spool", lambda: self.store, self.directory / "lander.json").land_all_segments()
        # Every query of Furrow takes an event once, by its project, session and id.
        table = self.store.query_arrow(
            f"SELECT event_id, session_id, {', '.join(f'any({name}) AS {name}' for name in COLUMNS)} FROM"
            " (SELECT * FROM events) GROUP BY project, session_id, event_id ORDER BY event_id",
            {},
        )
        return table.to_pylist()  # type: ignore[no-any-return]

    def _wait_for_sealing(self) -> None:
        """What was answered is in an open segment, which is sealed after 0.05 s."""
        end = time.monotonic() + 60
        while any((self.directory / "spool").glob(f"*{OPEN}")):
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.fixture
def bench(tmp_path: Path, event_store: EventStore) -> Iterator[Bench]:
    with ServedStreams(tmp_path, seal_seconds=0.05) as client:
        yield Bench(tmp_path, event_store, client)


def make_span(number: int, **changes: Any) -> dict[str, Any]:
    """A request of a page that failed."""
    known = {"session.id": "visit", "http.method": "POST", "http.status_code": 500, "user.id": "ann@example.com"}
    known |= {"http.url": f"https://shop.example/api/{number}?q={SECRET}", "location.href": PAGE, "typed": SECRET}
    known |= changes.pop("attributes", {})
    values = {
        k: {"intValue": v} if isinstance(v, int) else {"stringValue": v} for k, v in known.items() if v is not None
    }
    start = (NOW + number * 1_000) * 1_000_000
    span = {"name": "POST", "kind": 3, "traceId": f"{number:032x}", "spanId": f"{number:016x}"}
    span |= {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 100_000_000)}
    return span | {"attributes": [{"key": k, "value": v} for k, v in values.items()]} | changes


def wrap(*spans: object) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": list(spans)}]}]}


def make_rum(number: int, **changes: Any) -> dict[str, Any]:
    """A click of Datadog's on a button."""
    target = {"selector": f"BUTTON#pay{number}", "composed_path_selector": f'BUTTON#pay{number}[value="{SECRET}"];'}
    return {
        "type": "action",
        "date": NOW + number * 1_000,
        "session": {"id": "visit", "type": "user"},
        "view": {"id": "v1", "url": PAGE},
        "usr": {"id": "ann@example.com", "name": SECRET},
        "action": {"id": f"a{number}", "type": "click", "target": {"name": "Pay"}},
        "_dd": {"action": {"target": target, "position": {"x": 3, "y": 4}}},
        "context": {"typed": SECRET},
    } | changes


def make_captured(number: int, **changes: Any) -> dict[str, Any]:
    """A click of PostHog's."""
    chain = f'button.btn:attr__id="pay{number}"attr_id="pay{number}"attr__value="{SECRET}"nth-of-type="2"'
    known = {
        "$session_id": "visit",
        "$current_url": PAGE,
        "$event_type": "click",
        "$elements_chain": chain,
        "typed": SECRET,
    }
    known |= {"$lib": "web", "$lib_version": "1.449.2"} | changes.pop("properties", {})
    made = {"uuid": f"u{number}", "event": "$autocapture", "timestamp": NOW + number * 1_000, "properties": known}
    return made | changes


def make_tracked(number: int, **changes: Any) -> dict[str, Any]:
    """A click of Amplitude's."""
    hierarchy = [{"tag": "button", "id": f"pay{number}", "attrs": {"data-x": SECRET}}]
    properties = {"[Amplitude] Element Hierarchy": hierarchy, "[Amplitude] Page URL": PAGE}
    made = {
        "event_type": "[Amplitude] Element Clicked",
        "device_id": "device",
        "session_id": 7,
        "insert_id": f"i{number}",
    }
    return made | {"time": NOW + number * 1_000, "event_properties": properties, "user_id": "ann@example.com"} | changes


def record_request(number: int, **changes: Any) -> dict[str, Any]:
    """A request of rrweb's network plugin."""
    held = {"name": f"https://shop.example/api/{number}?q={SECRET}", "initiatorType": "fetch", "method": "POST"}
    held |= {"timestamp": NOW + number * 1_000, "duration": 100, "responseStatus": 500, "requestBody": SECRET} | changes
    data = {"plugin": "rrweb/network@1", "payload": {"requests": [held]}}
    return {"type": 6, "data": data, "timestamp": NOW + number * 1_000 + 100}


def record(*events: object, **changes: Any) -> dict[str, Any]:
    head = {"type": 4, "data": {"href": PAGE}, "timestamp": NOW}
    return {"sessionId": "visit", "events": [head, *events]} | changes


def add(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    """The change of a person who adds to the event of each letter what its reason names."""

    def change(letter: dict[str, Any]) -> None:
        letter["event"][name] = value

    return change


CASES: Final = {
    # stream, body (the good item and a bad one), the letter's field, what a person adds
    "otlp: no session": (
        "otlp/v1/traces",
        wrap(make_span(1), make_span(2, attributes={"session.id": None})),
        "otlp.session.id",
        add("sessionId", "visit"),
    ),
    "otlp: no time": (
        "otlp/v1/traces",
        wrap(make_span(1), make_span(2, startTimeUnixNano="0", endTimeUnixNano="0")),
        "otlp.timeUnixNano",
        add("timestamp", NOW + 2_100),
    ),
    "datadog: no time": (
        "datadog/",
        [make_rum(1), make_rum(2, date=None)],
        "datadog.date",
        lambda letter: letter["event"]["item"].update(date=NOW + 2_000),
    ),
    "datadog: no session": (
        "datadog/",
        [make_rum(1), make_rum(2, session={"type": "user"})],
        "datadog.session.id",
        add("sessionId", "visit"),
    ),
    "datadog: rejected by the contract": (
        "datadog/",
        [make_rum(1), make_rum(2, date=NOW + 36_000_000)],
        "timestamp",
        add("timestamp", NOW + 2_000),
    ),
    "posthog: no time": (
        "posthog/e/",
        {"batch": [make_captured(1), make_captured(2, timestamp="soon")]},
        "posthog.timestamp",
        add("timestamp", NOW + 2_000),
    ),
    "posthog: a recording without a session": (
        "posthog/s/",
        {
            "batch": [
                make_captured(
                    n, event="$snapshot", properties={"$session_id": s, "$snapshot_data": [record_request(n)]}
                )
                for n, s in ((1, "visit"), (2, None))
            ]
        },
        "posthog.$session_id",
        add("sessionId", "visit"),
    ),
    "amplitude: no session": (
        "amplitude/2/httpapi",
        {"events": [make_tracked(1), make_tracked(2, session_id=-1)]},
        "amplitude.session_id",
        add("sessionId", "device:7"),
    ),
    "rrweb: a request without a time": (
        "rrweb/",
        record(record_request(1), record_request(2, timestamp=0)),
        "rrweb.rrweb/network@1",
        add("timestamp", NOW + 2_100),
    ),
    "faro: no session": (
        "faro/",
        {
            "meta": {"page": {"url": PAGE}, "user": {"id": "ann@example.com", "email": SECRET}},
            "exceptions": [{"type": "TypeError", "value": "x is none", "timestamp": "2026-01-15T10:00:00Z"}],
        },
        "faro.session.id",
        add("sessionId", "visit"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_item_is_found_with_its_reason_and_is_stored_once_when_it_is_sent_again(bench: Bench, name: str) -> None:
    path, body, field, change = CASES[name]
    bench.post(path, body)
    good = bench.read_events()
    (letter,) = bench.read_letters()
    assert letter["field"] == field
    assert letter["reason"]
    shown = json.dumps(letter)
    assert SECRET not in shown
    assert "ann@example.com" not in shown
    # As long as nothing is mended it is rejected again, and kept once.
    unchanged = bench.replay()
    assert (unchanged.accepted, len(unchanged.rejected)) == (0, 1)
    for _ in range(2):
        mended = bench.replay(change)
        assert (mended.accepted, mended.rejected) == (1, [])
    assert bench.read_letters() == [letter]
    stored = bench.read_events()
    assert len(stored) == len(good) + 1
    assert [event for event in stored if event in good] == good
    (replayed,) = [event for event in stored if event not in good]
    for other in [event for event in good if event["event_type"] == replayed["event_type"]]:
        for column in ("session_id", "route", "status", "sdk_version", "user_agent", "user_hash"):
            assert replayed[column] == other[column], column
    assert replayed["user_agent"] == BROWSER
    assert SECRET not in repr(stored)
    # The vendor's SDK sends the same request again: what was accepted stays one, what was rejected too.
    bench.post(path, body)
    assert bench.replay(change).rejected == []
    assert bench.read_events() == stored


LONG: Final = "x" * 140  # a session's id may have 128 characters
TYPED: Final = {"key": "same_document", "value": {"boolValue": "true"}}
ANSWERED: Final = {"id": "r2", "type": "xhr", "url": PAGE, "status_code": "500", "duration": 1e8}
MENDS: Final = {
    # stream, body, the letter's field; the mend is a wider limit, or an adapter that reads numbers and truths in texts
    "otlp: a longer session": (
        "otlp/v1/traces",
        wrap(make_span(1), make_span(2, attributes={"session.id": LONG})),
        "session.id",
    ),
    "otlp: another type": (
        "otlp/v1/traces",
        wrap(make_span(1), make_span(2) | {"attributes": [*make_span(2)["attributes"], TYPED]}),
        "span",
    ),
    "datadog: another type": (
        "datadog/",
        [make_rum(1), make_rum(2, type="resource", resource=ANSWERED)],
        "resource.status_code",
    ),
    "datadog: a longer session": ("datadog/", [make_rum(1), make_rum(2, session={"id": LONG})], "session.id"),
    "posthog: a longer session": (
        "posthog/e/",
        {"batch": [make_captured(1), make_captured(2, properties={"$session_id": LONG})]},
        "$session_id",
    ),
}


def read_numbers_in_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mend of both adapters."""
    monkeypatch.setattr(from_json, "_SPAN", msgspec.json.Decoder(from_json._SPAN.type, strict=False))
    monkeypatch.setattr(datadog_adapter, "EVENT_DECODER", msgspec.json.Decoder(RumEvent, strict=False))


@pytest.mark.parametrize("name", MENDS)
def test_an_item_is_stored_once_after_a_mend_with_its_letter_as_it_was(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, body, field = MENDS[name]
    bench.post(path, body)
    stream = path.partition("/")[0]
    assert [letter["field"] for letter in bench.read_letters()] == [f"{stream}.{field}"]
    good = bench.read_events()
    assert len(good) == 1
    assert bench.replay().accepted == 0
    assert bench.read_events() == good
    for module in (contract_fields, otlp_events, lenient):
        monkeypatch.setattr(module, "MAX_SESSION_ID", 200)
    monkeypatch.setattr(datadog_events, "MAX_ID", 200)
    read_numbers_in_texts(monkeypatch)
    assert [bench.replay().accepted for _ in range(2)] == [1, 1]
    stored = bench.read_events()
    assert len(stored) == 2
    (replayed,) = [event for event in stored if event not in good]
    assert (replayed["route"], replayed["user_agent"]) == ("/cart", BROWSER)
    assert replayed["session_id"] == (LONG if "session" in name else "visit")
    # The SDK's own second try of the request is accepted now, and is the same event.
    bench.post(path, body)
    assert bench.read_events() == stored


def test_of_an_item_with_many_attributes_those_that_are_read_are_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTelemetry's limit is 128 attributes."""
    others = [{"key": f"app.{n}", "value": {"stringValue": SECRET}} for n in range(118)]
    spans = [make_span(n) for n in (1, 2)]
    bench.post("otlp/v1/traces", wrap(spans[0], spans[1] | {"attributes": [*others, *spans[1]["attributes"], TYPED]}))
    (letter,) = bench.read_letters()
    assert SECRET not in json.dumps(letter)
    assert len(bench.replay().rejected) == 1
    read_numbers_in_texts(monkeypatch)
    assert bench.replay().accepted == 1
    good, replayed = bench.read_events()
    for column in ("session_id", "route", "status", "user_hash"):
        assert replayed[column] == good[column], column


def test_an_item_is_sent_again_with_the_session_user_and_browser_that_it_would_have_had(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program passes the spans of a phone on: of several ids and browsers, one counts."""
    ids = {"session.id": None, "user.id": None, "enduser.pseudo.id": "device", "rum.sessionId": "older"}
    ids |= {"enduser.id": "ann@example.com", "splunk.rumSessionId": "visit"}
    spans = [make_span(n, attributes=ids) for n in (1, 2)]
    told = {
        "name": "exception",
        "timeUnixNano": "1",
        "attributes": [{"key": "session.id", "value": {"stringValue": "x"}}],
    }
    spans[1] |= {"attributes": [*spans[1]["attributes"], TYPED], "events": [told]}
    body = wrap(*spans)
    phone = {"key": "user_agent.original", "value": {"stringValue": "Mozilla/5.0 (Linux; Android 15) Mobile"}}
    body["resourceSpans"][0]["resource"]["attributes"] = [phone]
    bench.post("otlp/v1/traces", body)
    read_numbers_in_texts(monkeypatch)
    assert bench.replay().accepted == 1
    good, replayed = bench.read_events()
    for column in ("session_id", "user_hash", "user_agent", "sdk_version"):
        assert replayed[column] == good[column], column
    assert (good["session_id"], good["user_agent"]) == ("visit", phone["value"]["stringValue"])  # type: ignore[index]


@pytest.mark.parametrize("value", [{"intValue": "4915123456"}, {"intValue": 4915123456}, {"doubleValue": 4915123456.0}])
def test_a_user_who_is_named_by_a_number_is_not_kept(bench: Bench, value: object) -> None:
    span = make_span(1, attributes={"user.id": None})
    bench.post(
        "otlp/v1/traces", wrap(span | {"attributes": [*span["attributes"], TYPED, {"key": "user.id", "value": value}]})
    )
    (letter,) = bench.read_letters()
    assert "4915123456" not in json.dumps(letter)


def test_a_session_of_a_test_tool_is_none_of_a_person_when_it_is_sent_again(bench: Bench) -> None:
    bench.post("datadog/", [make_rum(1), make_rum(2, date=None, session={"id": "robot", "type": "synthetics"})])
    (refused,) = bench.replay(lambda letter: letter["event"]["item"].update(date=NOW + 2_000)).rejected
    assert refused.reason == "is not for Furrow: synthetic session"
    assert [event["session_id"] for event in bench.read_events()] == ["visit"]


HOSTILE: Final = {
    "deep": "[" * 400 + "]" * 400,
    "deep objects": '{"a":' * 400 + "1" + "}" * 400,
    "huge": '"' + "y" * 200_000 + '"',
    "NUL": '"a\\u0000b"',
    "surrogate": '"a\\ud800b"',
    "number": "1e400",
    "integer": "9" * 400,
    "negative": "-1",
    "object": '{"a": {"SECRET": "SECRET"}}',
    "list": '[{"SECRET": "SECRET"}, 3]',
    "null": "null",
    "true": "true",
}
PLACED: Final = "@@"
TARGETS: Final = {
    "otlp/v1/traces": (wrap, make_span, ["name", "startTimeUnixNano", "attributes", "events", "status", "spanId"]),
    "datadog/": (lambda *items: list(items), make_rum, ["date", "session", "view", "action", "usr", "_dd"]),
    "posthog/e/": (lambda *items: {"batch": list(items)}, make_captured, ["uuid", "timestamp", "properties", "event"]),
    "amplitude/2/httpapi": (lambda *items: {"events": list(items)}, make_tracked, ["time", "session_id", "insert_id"]),
    "rrweb/": (record, record_request, ["timestamp", "data", "type"]),
}


@pytest.mark.parametrize("path", TARGETS)
def test_hostile_items_cost_no_other_and_their_letters_are_bounded(bench: Bench, path: str) -> None:
    wrap_items, make, places = TARGETS[path]
    for number, place in enumerate(places):
        hostile = [make(50 + n) | {place: f"{PLACED}{n}{PLACED}"} for n in range(len(HOSTILE))]
        body = json.dumps(wrap_items(make(10 + number), *hostile))
        for n, value in enumerate(HOSTILE.values()):
            body = body.replace(f'"{PLACED}{n}{PLACED}"', value)
        bench.post(path, body.encode())
    stored = [event["ts"] - NOW for event in bench.read_events() if event["event_type"] != "navigation"]
    for number in range(len(places)):
        assert {(10 + number) * 1_000, (10 + number) * 1_000 + 100} & set(stored)
    letters = bench.read_letters()
    assert letters
    for letter in letters:
        assert letter["reason"]
        assert SECRET not in json.dumps(letter)
        assert len(json.dumps(letter)) < 70_000
    bench.replay()  # and nothing of it breaks the command


@pytest.mark.parametrize("path", TARGETS)
def test_half_an_emoji_costs_nothing(bench: Bench, path: str) -> None:
    """A page that cuts a text may cut a character; browsers send it as an escape that stands alone."""
    wrap_items, make, _ = TARGETS[path]
    body = json.dumps(wrap_items(make(1), make(2) | {"more": PLACED})).replace(
        PLACED, r"Pay \ud83d \ud83d\ude00 \ude00"
    )
    bench.post(path, body.encode())
    assert bench.read_letters() == []
    assert len([event for event in bench.read_events() if event["event_type"] != "navigation"]) == 2


def test_a_body_that_is_too_deep_is_answered_and_kept_with_its_reason(bench: Bench) -> None:
    body = json.dumps({"batch": [make_captured(1), PLACED]}).replace(f'"{PLACED}"', "[" * 50_000 + "]" * 50_000)
    answer = bench.client.post("/intake/posthog/test-key/e/", content=body)
    assert answer.status_code in (200, 400)
    assert [letter["field"] for letter in bench.read_letters()] == ["posthog.body"]


def test_an_item_that_is_too_large_is_kept_with_what_was_cut(bench: Bench) -> None:
    bench.post("datadog/", [make_rum(1), make_rum(2, session={"id": "z" * 50_000})])
    (letter,) = bench.read_letters()
    assert (letter["event"]["truncated"], letter["event"]["cut"]) == (True, ["50000 characters of sessionId"])
    (refused,) = bench.replay().rejected
    assert refused.reason == "was truncated because it was too large to keep (50000 characters of sessionId)"
    assert len(bench.read_events()) == 1


def test_a_flood_of_rejected_items_is_bounded(bench: Bench) -> None:
    span = make_span(1, attributes={"session.id": None})
    for _ in range(3):
        bench.post("otlp/v1/traces", wrap(*[span] * 900))
    assert len(bench.read_letters()) == KEPT_OF_REASON
