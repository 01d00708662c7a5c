"""A rejected item of OTLP/JSON as it is kept, and the way back.

Only items that have a field of a wrong type: all others are kept in the shape of events. Protobuf has no such items.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from collector.streams.kept import keep_address, keep_item, keep_shape, keep_value
from collector.streams.otlp.addresses import cut_to_path
from collector.streams.otlp.events import GESTURES, KNOWN_SPANS, MAX_MESSAGE, NAVIGATION, UNCAUGHT, find_frame
from collector.streams.otlp.telemetry import (
    PAGE_KEYS,
    READ_KEYS,
    SESSION_KEYS,
    USER_KEYS,
    Attributes,
    find_text,
)
from collector.streams.stream import WireEvent

_ADDRESSES: Final = frozenset((*PAGE_KEYS, "http.url", "url.full", "prev.href"))
_STACKS: Final = frozenset({"error.stack", "exception.stacktrace"})
_MESSAGES: Final = frozenset({"error.message", "error.object", "exception.message"})
_TIMES: Final = ("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "observedTimeUnixNano")
_NAMES: Final = (
    KNOWN_SPANS | UNCAUGHT.keys() | GESTURES.keys() | {"exception", "browser.user_action.click", "browser.navigation"}
)
_PERSONS: Final = frozenset((*SESSION_KEYS, *USER_KEYS))
_MILLION: Final = 1_000_000


def keep_part(kind: str, raw: msgspec.Raw, resource: Attributes, shape: inspect.StructType) -> WireEvent:
    """The letter's ``event`` of a span or log record (``kind``: `spans` or `logRecords`) that was rejected; empty if it is no
    object. ``resource``: of its sender."""
    try:
        part = keep_shape(msgspec.json.decode(raw), shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(part, dict):
        return {}
    own: Attributes = {}
    failed = _is_failed(part)
    for name in ("name", "eventName"):
        if name in part:
            part[name] = _keep_name(part[name])
    uncaught = str(part.get("name", part.get("eventName"))) in UNCAUGHT
    _keep_times(part)
    part["attributes"] = _keep_attributes(part.get("attributes"), uncaught, own)
    events = part.get("events")
    for event in events if isinstance(events, list) else ():
        if isinstance(event, dict):
            _keep_times(event)
            event["name"] = _keep_name(event.get("name", ""))
            event["attributes"] = _keep_attributes(event.get("attributes"), failed, {})
    sender = _keep_attributes(_write_attributes(resource), False, {})
    session, user = (find_text(own, *keys) or find_text(resource, *keys) for keys in (SESSION_KEYS, USER_KEYS))
    return keep_item("otlp", part, session, user) | {"kind": kind, "resource": sender}


def restore_part(kept: Mapping[str, Any]) -> bytes:
    """The request of an item that `keep_part` has kept and a letter has masked."""
    kind, part = kept["kind"], dict(kept["item"])
    events = part.get("events")
    for held in (part, *(event for event in (events if isinstance(events, list) else ()) if isinstance(event, dict))):
        held["attributes"] = _restore_attributes(held.get("attributes"))
        for name in _TIMES:
            if isinstance(pair := held.get(name), list) and len(pair) == 2 and all(type(n) is int for n in pair):
                held[name] = str(pair[0] * _MILLION + pair[1])
    known = {"session.id": kept.get("sessionId"), "user.id": kept.get("userId")}
    sender = [*kept.get("resource", ()), *_write_attributes({k: v for k, v in known.items() if isinstance(v, str)})]
    scopes, resources = ("scopeSpans", "resourceSpans") if kind == "spans" else ("scopeLogs", "resourceLogs")
    resource = {"attributes": _restore_attributes(sender)}
    return msgspec.json.encode({resources: [{"resource": resource, scopes: [{kind: [part]}]}]})


def _restore_attributes(attributes: object) -> object:
    if not isinstance(attributes, list):
        return attributes
    return [
        {"key": held["key"], "value": {k: v for k, v in held.items() if k != "key"}}
        if isinstance(held, dict) and "key" in held and "value" not in held
        else held
        for held in attributes
    ]


def _write_attributes(attributes: Mapping[str, object]) -> list[dict[str, object]]:
    return [{"key": key, "value": _write_value(value)} for key, value in attributes.items()]


def _write_value(value: object) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"stringValue": value} if isinstance(value, str) else {"doubleValue": value}


def _empty(value: object) -> Any:
    """The types of ``value`` without its content."""
    if isinstance(value, dict):
        return {name: _empty(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_empty(part) for part in value]
    return type(value)() if isinstance(value, str | int | float) else value


def _keep_name(name: object) -> object:
    """The name of a span, if it is one that is read: others may hold anything."""
    if not isinstance(name, str):
        return keep_value(name)
    if name.startswith(NAVIGATION):
        return f"{NAVIGATION} {cut_to_path(name.removeprefix(NAVIGATION).strip())}"
    return name if name in _NAMES else ""


def _is_failed(span: Mapping[str, Any]) -> bool:
    """Whether an exception of a span was handled by nobody, so that its message may be kept."""
    status = span.get("status")
    return isinstance(status, dict) and status.get("code") in (2, "STATUS_CODE_ERROR")


def _keep_times(held: dict[str, Any]) -> None:
    """Times in millions and the rest: so many digits in one piece may be taken for a card's number."""
    for name in _TIMES:
        value = held.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
            value = int(value)
        if type(value) is int and 0 <= value < 10**20:
            held[name] = list(divmod(value, _MILLION))


def _keep_attributes(attributes: object, uncaught: bool, found: Attributes) -> object:
    """The attributes that are read. What names session and user is put into ``found``; a message stays only of an uncaught
    error."""
    return (
        list(_select_attributes(attributes, uncaught, found))
        if isinstance(attributes, list)
        else keep_value(attributes)
    )


def _select_attributes(attributes: list[Any], uncaught: bool, found: Attributes) -> Iterator[object]:
    for attribute in attributes:
        key = attribute.get("key") if isinstance(attribute, dict) else None
        if not isinstance(key, str):
            yield {} if isinstance(attribute, dict) else keep_value(attribute)
            continue
        value = attribute.get("value")
        text = value.get("stringValue") if isinstance(value, dict) else None
        if key not in READ_KEYS or (key in _MESSAGES and not uncaught):
            continue
        if key in _PERSONS:
            if isinstance(text, str):  # of several with one key, the last counts
                found[key] = text
            rest = (
                {name: part for name, part in value.items() if part is not text} if isinstance(value, dict) else value
            )
            if rest not in ({}, None):
                yield {"key": key, **_empty(rest)} if isinstance(rest, dict) else {"key": key, "value": _empty(rest)}
        elif isinstance(text, str):
            kept = keep_address(text) if key in _ADDRESSES else find_frame(text) if key in _STACKS else text
            kept = text[:MAX_MESSAGE] if key in _MESSAGES else kept
            yield {"key": key, **value, "stringValue": kept}
        else:  # one level less than on the wire: letters are not deep
            yield {"key": key, **value} if isinstance(value, dict) else {"key": key, "value": keep_value(value)}
