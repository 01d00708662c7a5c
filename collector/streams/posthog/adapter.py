"""A request of a PostHog SDK → events of the contract (docs/streams/posthog.md)."""

import re
from typing import Final

import msgspec

from collector.streams.event_parts import Unneeded
from collector.streams.lenient import read_route, read_session, read_text, read_time
from collector.streams.posthog.bodies import split_body
from collector.streams.posthog.failures import read_requests
from collector.streams.posthog.interactions import read_interaction
from collector.streams.posthog.remote import answer_configuration, answer_request, asks_only
from collector.streams.posthog.shapes import Captured, CapturedProperties
from collector.streams.stream import Reading, RejectedItem, SentBody, Stream, WireEvent

_CAPTURED: Final = msgspec.json.Decoder(Captured)
_LIBRARY: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")
MAX_BYTES: Final = 10 << 20
"""A part of a recording may hold a snapshot of the whole page."""
_MAX_KEPT: Final = 100
"""Requests of one part of a recording without a session that are kept."""


class _Rejected(Exception):
    def __init__(self, field: str, reason: str, kept: WireEvent) -> None:
        super().__init__(field)
        self.item: Final = RejectedItem(field, reason, kept)


def read(sent: SentBody) -> Reading:
    """The events of one request. Raises UnreadableBody."""
    reading = Reading()
    if asks_only(sent.path):
        reading.ignored["question of the SDK"] += 1
        return reading
    body = split_body(sent)
    reading.sent_ms = body.sent_ms
    for item in body.items:
        try:
            captured = _decode_item(item)
            reading.sdk_version = reading.sdk_version or _read_version(captured.properties)
            if captured.event == "$snapshot":
                _read_recording(captured.properties, reading)
                continue
            reading.events.append(_read_event(captured))
        except Unneeded as kind:
            reading.ignored[str(kind)] += 1
        except _Rejected as why:
            reading.rejects.append(why.item)
    return reading


def _decode_item(item: msgspec.Raw | bytes) -> Captured:
    try:
        return _CAPTURED.decode(item)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _Rejected("event", "is not of PostHog's form", {}) from None


def _read_event(captured: Captured) -> WireEvent:
    properties = captured.properties
    event = read_interaction(captured.event, properties)
    ts, key = read_time(captured.timestamp), read_session(captured.uuid)
    if captured.event == "$dead_click":
        ts = read_time(properties.dead_at) or ts
    known = {"timestamp": ts, "idempotencyKey": key, "eventId": key}
    event |= {name: value for name, value in known.items() if value not in (None, "")}
    if route := read_route(properties.url):
        event["route"] = route
    if user := read_text(properties.user):
        event["userId"] = user
    event["sessionId"] = _read_session(properties, event)
    if ts is None:
        raise _Rejected("timestamp", "is neither RFC 3339 nor epoch milliseconds", event)
    if not key:
        raise _Rejected("uuid", "is required: 1 to 128 printable characters", event)
    return event


def _read_recording(properties: CapturedProperties, reading: Reading) -> None:
    kept: WireEvent = {"eventType": "network"}
    if not bytes(memoryview(properties.snapshots)[:1]):
        kept["sessionId"] = _read_session(properties, kept)
        raise _Rejected("$snapshot_data", "is required", kept)
    page = properties.url if isinstance(properties.url, str) else ""
    try:
        found = read_requests(properties.snapshots, page, read_text(properties.window, 128))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        kept["sessionId"] = _read_session(properties, kept)
        size = len(memoryview(properties.snapshots))
        raise _Rejected("$snapshot_data", f"is no list; its {size} bytes are not kept", kept) from None
    try:
        session = _read_session(properties, kept)
    except _Rejected as why:
        # A recording holds the requests of a page: each is kept by itself, its snapshots never.
        requests = [event | why.item.kept for event in found.events[:_MAX_KEPT]]
        reading.rejects += [
            RejectedItem(why.item.field, why.item.reason, event) for event in requests or [why.item.kept]
        ]
        if len(found.events) > _MAX_KEPT:
            reading.ignored["request beyond the limit"] += len(found.events) - _MAX_KEPT
        return
    reading.events.extend(event | {"sessionId": session} for event in found.events)
    reading.ignored["part of a recording"] += 1
    if found.skipped:
        reading.ignored["request without a status"] += found.skipped
    if found.broken:
        reading.ignored["broken part of a recording"] += found.broken


def _read_session(properties: CapturedProperties, kept: WireEvent) -> str:
    session = read_session(properties.session)
    if not session:
        sent = {"sessionId": properties.session} if isinstance(properties.session, str) and properties.session else {}
        raise _Rejected("$session_id", "is required: 1 to 128 printable characters", kept | sent)
    return session


def _read_version(properties: CapturedProperties) -> str:
    name, version = properties.library, properties.library_version
    if not isinstance(name, str) or not isinstance(version, str):
        return ""
    if not _LIBRARY.fullmatch(name) or not _LIBRARY.fullmatch(version):
        return ""
    return f"{'posthog-js' if name == 'web' else name}/{version}"


def recognises(sent: SentBody) -> bool:
    """Whether a body is PostHog's: its events have the names and properties that only this SDK gives them."""
    head = sent.content[:65_536]
    return b'"$session_id"' in head and (b'"$lib"' in head or b'"$snapshot_data"' in head or b'"token"' in head)


STREAM: Final = Stream(
    name="posthog",
    title="PostHog",
    read=read,
    recognises=recognises,
    answer=answer_request,
    configuration=answer_configuration,
    max_bytes=MAX_BYTES,
    lacks=(
        "the validity of forms",
        "what the page did after a click (`responded`), only PostHog's own verdict",
        "clicks on disabled controls and on plain elements",
        "requests, unless recordings with network timing are on",
        "whether a request was aborted by the page",
        "the method of requests, unless headers or bodies are recorded",
    ),
)
