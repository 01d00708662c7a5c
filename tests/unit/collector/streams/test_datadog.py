"""Datadog RUM: recordings of the real SDK, its shapes of versions 4 to 7, and what must never pass."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.streams.datadog.adapter import STREAM, reread
from collector.streams.datadog.controls import find_control
from collector.streams.registry import STREAMS
from collector.streams.stream import Reading, SentBody, UnreadableBody, WireEvent
from tests.streams.recordings import Recording, inflate, judge, list_recordings, read_all, read_recording
from tests.tables import build_table

RECORDINGS = list_recordings("datadog")
FOUND = {
    "labelstudio-error_left": ("/projects/:id/settings", 'button "Save"', "PATCH /api/projects/:id → 503"),
    "labelstudio-rage500": (
        "/projects/:id/data",
        "button#bottombar-submit-button",
        "POST /api/tasks/:id/annotations → 500",
    ),
    "oscar-error_left": ("/catalogue/:id", "#add_to_basket_form > BUTTON.btn", "/basket/add/:id → 503"),
    "oscar-js_error": (
        "/catalogue/:id",
        "#add_to_basket_form > BUTTON.btn",
        "Cannot read properties of undefined (reading 'items')",
    ),
    "oscar-invalid_left": (
        "/checkout/shipping-address",
        "#new_shipping_address > DIV.form-group > DIV > BUTTON.btn",
        "sent back",
    ),
}
"""Where each frustrated recording fails."""
SESSION = "8c1f2a34-0000-4000-8000-000000000001"


def points(recording: Recording, requests: tuple[SentBody, ...]) -> list[tuple[str, str, str]]:
    found = [d["failurePoint"] for d in judge(read_all(STREAM, requests))]
    return [(point["route"], point["target"], point["feedback"]) for point in found]


def read(*items: object, **sent: Any) -> Reading:
    body = "\n".join(item if isinstance(item, str) else json.dumps(item) for item in items)
    return STREAM.read(SentBody(content=body.encode(), **sent))


def item(kind: str, **parts: Any) -> dict[str, Any]:
    known = {
        "type": kind,
        "date": 1_795_789_399_769,
        "session": {"id": SESSION, "type": "user"},
        "_dd": {"format_version": 2},
    }
    return {**known, "view": {"id": "v1", "url": "https://shop.example/cart?token=geheim#x"}, **parts}


def click(target: dict[str, Any], name: str = "Pay", **parts: Any) -> dict[str, Any]:
    action = {"id": "a1", "type": "click", "target": {"name": name}, **parts}
    return item("action", action=action, _dd={"action": {"target": target, "position": {"x": 3, "y": 4}}})


def only(reading: Reading) -> WireEvent:
    assert len(reading.events) == 1, reading
    return reading.events[0]


# ------------------------------------------------------------------------------------------------------- recordings


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.name.split(".")[0])
def test_recordings(path: Path) -> None:
    recording = read_recording(path)
    name = path.name.split(".")[0]
    assert points(recording, recording.requests) == ([FOUND[name]] if name in FOUND else [])
    readings = read_all(STREAM, recording.requests)
    assert not [reject for reading in readings for reject in reading.rejects]
    assert all(reading.sdk_version == "datadog-rum/7.16.2" and reading.sent_ms for reading in readings)
    assert recording.frustrated == (name in FOUND)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.name.split(".")[0])
def test_any_order_and_doubled_requests_give_the_same(path: Path) -> None:
    recording = read_recording(path)
    expected = points(recording, recording.requests)
    for seed in range(3):
        shuffled = list(recording.requests) * (1 + seed % 2)
        random.Random(seed).shuffle(shuffled)
        assert points(recording, tuple(shuffled)) == expected


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.name.split(".")[0])
def test_a_recording_that_breaks_off_is_never_found_where_it_was_calm(path: Path) -> None:
    recording = read_recording(path)
    if recording.frustrated:
        return
    for end in range(1, len(recording.requests)):
        assert points(recording, recording.requests[:end]) == []


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.name.split(".")[0])
def test_a_body_that_was_cut_costs_its_last_line(path: Path) -> None:
    for sent in read_recording(path).requests:
        whole = inflate(sent)
        lines = whole.content.strip().split(b"\n")
        if len(lines) > 1:
            cut = STREAM.read(replace(whole, content=b"\n".join(lines)[: -len(lines[-1]) // 2]))
            assert cut.events == STREAM.read(replace(whole, content=b"\n".join(lines[:-1]))).events
            assert [(r.field, r.reason) for r in cut.rejects] == [("", "the line is no JSON object")]


def test_every_recording_is_recognised() -> None:
    assert STREAM in STREAMS
    for path in RECORDINGS:
        for sent in read_recording(path).requests:
            assert STREAM.recognises(inflate(sent)) or not sent.content.strip()
    assert not STREAM.recognises(SentBody(content=b'{"type": "click"}'))
    assert not STREAM.recognises(SentBody(content=b"\xff\xfe"))


# ----------------------------------------------------------------------------------------------------------- privacy

_KEPT = frozenset("type id date source version ddtags url referrer loading_type state start method".split())  # noqa: SIM905
_KEPT_TOO = frozenset(
    [
        "status_code",
        "duration",
        "handling",
        "message",
        "stack",
        "selector",
        "composed_path_selector",
        "loading_time",
        "x",
        "y",
    ]
)
SECRET = "s3cr3t"


def plant(value: Any, key: str = "", inside: str = "") -> Any:
    """The item with a secret in every text that the adapter does not take, and a query in every address."""
    if isinstance(value, dict):
        planted = {k: plant(v, k, f"{inside}.{key}") for k, v in value.items()}
        return {**planted, f"new_{key}": SECRET}
    if isinstance(value, list):
        return [plant(v, key, inside) for v in value]
    if not isinstance(value, str):
        return value
    if key in ("url", "referrer") and value.startswith("http"):
        return value.partition("?")[0] + f"?token={SECRET}"
    return value if key in _KEPT | _KEPT_TOO or inside.endswith(".frustration") else SECRET


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.name.split(".")[0])
def test_nothing_passes_that_is_not_on_the_white_list(path: Path) -> None:
    planted = 0
    for sent in read_recording(path).requests:
        items = [plant(json.loads(line)) for line in inflate(sent).content.strip().split(b"\n") if line]
        for one in items:
            action = one.get("action", {}) if one["type"] == "action" else {}
            if action and "BUTTON" not in json.dumps(one["_dd"])[:9_000] and "A" not in json.dumps(one["_dd"])[:9_000]:
                assert SECRET in json.dumps(action["target"])
        reading = read(*items)
        planted += len(items)
        shown = repr([{**event, "target": {**event.get("target", {}), "label": ""}} for event in reading.events])
        assert SECRET not in shown + repr(reading.rejects) + repr(reading.ignored)
        for wrong in ({"date": "today"}, {"session": {"id": ""}}, {"view": SECRET}, {"long_task": SECRET}):
            assert SECRET not in repr(show_kept(read(*(one | wrong for one in items))))
    assert planted


def show_kept(reading: Reading) -> list[WireEvent]:
    """What is kept of rejected items, without the labels of controls."""
    for reject in reading.rejects:
        reject.kept.get("item", {}).get("action", {}).get("target", {}).pop("name", "")  # type: ignore[attr-defined]
    return [reject.kept for reject in reading.rejects]


def test_texts_of_other_elements_and_typed_values_are_no_labels() -> None:
    for path in ("DIV.content;BODY;", "TEXTAREA.note;FORM;", "INPUT#mail;FORM;", "SELECT#plan;"):
        event = only(read(click({"composed_path_selector": path}, name="Mail anna@example.com")))
        assert "label" not in event["target"], path  # type: ignore[operator]
    event = only(read(click({"composed_path_selector": "SPAN;BUTTON#pay;"}, name="Masked Element")))
    assert event["target"] == {"type": "button", "id": "pay", "tagName": "button"}


def test_console_errors_and_handled_ones_are_not_taken() -> None:
    for source, handling in (
        ("console", "handled"),
        ("custom", "handled"),
        ("report", "unhandled"),
        ("network", "unhandled"),
    ):
        reading = read(item("error", error={"id": "e", "message": SECRET, "source": source, "handling": handling}))
        assert not reading.events
        assert reading.ignored == {"handled or reported error": 1}
        assert SECRET not in repr(reading)


# ------------------------------------------------------------------------------------------------------------ shapes


def test_the_nearest_control_is_the_target() -> None:
    path = 'SPAN;SVG.icon;BUTTON[disabled=""][data-testid="pay-now"].btn.btn\\:x:nth-child(2);FORM#f;'
    event = only(read(click({"composed_path_selector": path, "selector": "#f>BUTTON.btn>SVG.icon>SPAN"})))
    assert event["target"] == {
        "type": "button",
        "id": "pay-now",
        "selector": "#f>BUTTON.btn",
        "tagName": "button",
        "label": "Pay",
    }
    assert event["metadata"] == {"disabled": True, "x": 3, "y": 4}
    assert (event["eventId"], event["idempotencyKey"], event["route"]) == ("a1", "datadog:action:a1", "/cart")


def test_version_4_has_a_selector_alone_and_one_running_action() -> None:
    event = only(read(click({"selector": "#main>DIV.box>A#next>SPAN:nth-of-type(2)"})))
    assert event["target"] == {
        "type": "link",
        "id": "next",
        "selector": "#main>DIV.box>A#next",
        "tagName": "a",
        "label": "Pay",
    }
    request = item(
        "resource", action={"id": "a1"}, resource={"id": "r", "type": "xhr", "url": "/api/x", "duration": 5e8}
    )
    assert only(read(request))["metadata"] == {"during": "a1", "url": "/api/x", "durationMs": 500}


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ('DIV[role="button"]#a;BODY;', "button", "a"),
        ('INPUT[type="submit"];', "button", ""),
        ('INPUT[type="checkbox"]#b;', "checkbox", "b"),
        ("INPUT;", "input", ""),
        ("LI.row;UL;BODY;", "li", ""),
        ('BUTTON[data-testid="a;b>c"];', "button", "a;b>c"),
        ("BUTTON#\\31 23;", "button", "123"),
        ("BUTTON#\\110000 ;", "button", "\ufffd"),
        (";;;", None, ""),
        ("", None, ""),
        ('"' * 20_000, "", ""),
        ("\\" * 20_000, None, ""),
    ],
)
def test_paths_of_elements(path: str, kind: str | None, name: str) -> None:
    found = find_control(path, None)
    assert (found.kind if found else None) in (kind, "" if kind is None else kind)
    assert (found.name if found else "") == name


def test_a_request_ends_after_its_duration() -> None:
    resource = {"id": "r", "type": "fetch", "method": "POST", "status_code": 500, "duration": 512_500_000}
    event = only(read(item("resource", resource={**resource, "url": f"https://api.shop.example/pay?token={SECRET}"})))
    assert event["timestamp"] == 1_795_789_399_769 + 512
    assert event["metadata"] == {"status": 500, "method": "POST", "url": "/pay", "durationMs": 512}
    event = only(read(item("resource", resource={**resource, "url": "https://tags.example.net/t"})))
    assert event["metadata"]["thirdParty"] is True  # type: ignore[index]


def test_only_pages_that_failed_have_a_status() -> None:
    view = item("view", view={"id": "v1", "url": "https://shop.example/cart", "loading_type": "initial_load"})
    page = {"id": "r", "type": "document", "url": "https://shop.example/cart", "duration": 1}
    assert read(item("resource", resource={**page, "status_code": 200})).ignored == {"page that came": 1}
    opened, failed = (only(read(one)) for one in (view, item("resource", resource={**page, "status_code": 503})))
    assert (opened["eventType"], opened["eventId"], opened["idempotencyKey"]) == ("navigation", "v1", "datadog:view:v1")
    assert (failed["eventType"], failed["eventId"], failed["metadata"]) == ("navigation", "v1", {"status": 503})


def test_views_are_navigations_once_and_tell_visibility() -> None:
    states = [{"state": "active", "start": 0}, {"state": "hidden", "start": 2e9}, {"state": "frozen", "start": 3e9}]
    states += [{"state": "passive", "start": 4e9}, {"state": "active", "start": 5e9}]
    view = {
        "id": "v1",
        "url": "https://shop.example/a",
        "referrer": "https://shop.example/b?x=1",
        "loading_type": "route_change",
    }
    reading = read(
        item("view", view=view, _dd={"page_states": states}), item("view", view=view, _dd={"page_states": states[:2]})
    )
    keys = [event["idempotencyKey"] for event in reading.events]
    assert len(keys) == 5
    assert len(set(keys)) == 3
    assert [e["metadata"] for e in reading.events[:3]] == [
        {"navigationType": "push", "from": "/b"},
        {"state": "hidden"},
        {"state": "visible"},
    ]
    renewed = read(item("view", view={**view, "loading_type": "session_renewal"}))
    assert (renewed.events, renewed.ignored) == ([], {"session renewal": 1})


def test_rage_is_at_least_three_clicks() -> None:
    frustration = {"type": ["rage_click", "dead_click"]}
    for loading_time, metadata in ((1_831_000_000, {"spanMs": 831}), (9_238_000_000, {}), (None, {}), (5, {})):
        event = only(read(click({"selector": "BUTTON#pay"}, frustration=frustration, loading_time=loading_time)))
        assert event["metadata"] == {"verdict": "rage_click", "count": 3, **metadata, "x": 3, "y": 4}


def test_other_kinds_are_counted() -> None:
    reading = read(
        item("vital"),
        item("view_update"),
        item("telemetry"),
        item("feature"),
        item("action", action={"id": "a", "type": "custom"}),
        item("resource", resource={"type": "css"}),
        item("error", source="ios"),
        item("long_task", session={"id": "s", "type": "synthetics"}),
    )
    assert (reading.events, reading.rejects) == ([], [])
    assert reading.ignored == {
        "vital": 1,
        "view_update": 1,
        "telemetry": 1,
        "unknown kind": 1,
        "action that is no click": 1,
        "static resource": 1,
        "not from a browser": 1,
        "synthetic session": 1,
    }
    for track, name in (("logs", "track logs"), ("replay", "track replay"), ("unheard", "track other")):
        sent = read("binary \x00", query={"ddforward": f"/api/v2/{track}?batch_time=5"})
        assert (sent.ignored, sent.sent_ms) == ({name: 1}, 5)
    assert only(
        read(item("long_task", long_task={"duration": 9e7}), query={"ddforward": "https://x.example/api/v2/rum?a=1"})
    )


def test_a_json_list_is_read_like_lines() -> None:
    one, two = click({"selector": "BUTTON#pay"}), item("error", error={"id": "e", "message": "m", "source": "source"})
    assert read(json.dumps([one, two], indent=1)).events == read(one, two).events


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"date": "today"}, "date"),
        ({"date": -1}, "date"),
        ({"date": 1e300}, "date"),
        ({"date": None}, "date"),
        ({"session": {}}, "session.id"),
        ({"session": {"id": "x" * 129}}, "session.id"),
        ({"session": {"id": "a\n"}}, "session.id"),
        ({"session": None}, "session.id"),
        ({"view": {"url": "/" + "x" * 600}}, "view.url"),
        ({"view": {"url": "http://["}}, "view.url"),
        ({"usr": {"id": "x" * 600}}, "usr.id"),
        ({"action": 7}, "action"),
        ({"action": {"id": [1]}}, "action.id[0]"),
    ],
)
def test_a_bad_item_is_rejected_alone(changes: dict[str, Any], field: str) -> None:
    good = click({"selector": "BUTTON#pay"})
    reading = read({**good, **changes}, good)
    assert len(reading.events) == 1
    assert [reject.field for reject in reading.rejects] == [field]
    # What is kept of it is read again, and rejected for the same reason until something is mended.
    (again,) = reread(json.loads(json.dumps(reading.rejects[0].kept))).rejects
    assert (again.field, again.reason) == (reading.rejects[0].field, reading.rejects[0].reason)


@pytest.mark.parametrize(
    "body", [b"no json", b"[1, 2", b"7\nnull", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_a_body_of_another_format_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        STREAM.read(SentBody(content=body))


_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["click", "xhr", "/a?b"])
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
_WHOLE = [
    click(
        {"selector": "BUTTON#pay", "composed_path_selector": "SPAN;BUTTON#pay;"},
        frustration={"type": ["rage_click"]},
        loading_time=1,
    ),
    item(
        "resource",
        action={"id": ["a1"]},
        resource={"id": "r", "type": "xhr", "url": "/x", "duration": 5, "status_code": 500},
    ),
    item("resource", resource={"id": "r", "type": "document", "status_code": 500}),
    item("error", error={"id": "e", "message": "m", "source": "source", "stack": "Error\n  at f @ http://a/b.js:1:2"}),
    item("view", usr={"id": 5}, version="1", ddtags="env:test", _dd={"page_states": [{"state": "hidden", "start": 5}]}),
    item("long_task", long_task={"id": "l", "duration": 9e7}),
]


def _list_places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [before] * bool(before) + [place for key in keys for place in _list_places(value[key], (*before, key))]


_PLACES = [(i, place) for i, whole in enumerate(_WHOLE) for place in _list_places(whole)]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(_PLACES), _VALUES)
def test_any_value_in_any_place_raises_nothing(where: tuple[int, tuple[Any, ...]], value: Any) -> None:
    changed = json.loads(json.dumps(_WHOLE[where[0]]))
    inner = changed
    for key in where[1][:-1]:
        inner = inner[key]
    inner[where[1][-1]] = value
    reading = read(changed, _WHOLE[3])  # a line that is no JSON (Infinity) costs itself alone
    assert len(reading.events) + len(reading.rejects) + sum(reading.ignored.values()) >= 2
    _, rejects = build_table(reading.events)
    assert not rejects


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | _VALUES.map(lambda v: json.dumps(v).encode()))
def test_any_body_is_read_or_unreadable(body: bytes) -> None:
    sent = SentBody(content=body)
    STREAM.recognises(sent)
    try:
        assert not STREAM.read(sent).events
    except UnreadableBody:
        return
