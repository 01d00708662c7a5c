"""A request of Amplitude's browser SDK → events of the contract (docs/streams/amplitude.md)."""

import re
from typing import Final

import msgspec

from collector.streams.amplitude.interactions import read_interaction
from collector.streams.amplitude.shapes import Tracked, TrackedProperties, Upload
from collector.streams.event_parts import Unneeded
from collector.streams.lenient import digest_parts, read_number, read_route, read_session, read_text, read_time
from collector.streams.stream import Reading, RejectedItem, SentBody, Stream, StreamAnswer, UnreadableBody, WireEvent

_UPLOAD: Final = msgspec.json.Decoder(Upload)
_TRACKED: Final = msgspec.json.Decoder(Tracked)
_PROPERTIES: Final = msgspec.json.Decoder(TrackedProperties)
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
_LIBRARY: Final = re.compile(r"[A-Za-z0-9._-]{1,40}/[A-Za-z0-9._-]{1,40}")


class _Rejected(Exception):
    def __init__(self, field: str, reason: str, kept: WireEvent) -> None:
        super().__init__(field)
        self.item: Final = RejectedItem(field, reason, kept)


def read(sent: SentBody) -> Reading:
    """The events of one request. Raises UnreadableBody."""
    try:
        upload = _UPLOAD.decode(sent.content)
    except _UNREADABLE:
        raise UnreadableBody("the body is not JSON with a list of events") from None
    reading = Reading(sent_ms=read_time(upload.client_upload_time))
    for item in upload.events:
        try:
            tracked = _decode_item(item)
            reading.sdk_version = reading.sdk_version or _read_version(tracked.library)
            reading.events.append(_read_event(tracked))
        except Unneeded as kind:
            reading.ignored[str(kind)] += 1
        except _Rejected as why:
            reading.rejects.append(why.item)
    return reading


def _decode_item(item: msgspec.Raw) -> Tracked:
    try:
        return _TRACKED.decode(item)
    except _UNREADABLE:
        raise _Rejected("event_type", "is not of Amplitude's form", {}) from None


def _read_event(tracked: Tracked) -> WireEvent:
    properties = _decode_properties(tracked.event_properties)
    event = read_interaction(tracked.event_type, properties)
    ts, session = read_time(tracked.time), _read_session(tracked)
    key = read_session(tracked.insert_id) or digest_parts(
        session, ts, tracked.event_type, bytes(tracked.event_properties)
    )
    known = {"timestamp": ts, "sessionId": session, "idempotencyKey": key, "eventId": key}
    event = {name: value for name, value in known.items() if value not in (None, "")} | event
    if route := read_route(properties.page_location) or read_route(properties.page_url):
        event["route"] = route
    if user := read_text(tracked.user_id):
        event["userId"] = user
    if ts is None:
        raise _Rejected("time", "is not in epoch milliseconds", event)
    if not session:
        raise _Rejected("session_id", "is required, with device_id", event)
    return event


def _decode_properties(sent: msgspec.Raw) -> TrackedProperties:
    if bytes(memoryview(sent)[:1]) != b"{":
        return TrackedProperties()
    try:
        return _PROPERTIES.decode(sent)
    except _UNREADABLE:
        raise _Rejected("event_properties", "is not of Amplitude's form", {}) from None


def _read_session(tracked: Tracked) -> str:
    """Device and start of the session: Amplitude's own identity of one, or ''. A session of -1 is "outside of any"."""
    device = tracked.device_id if isinstance(tracked.device_id, str) else ""
    start = read_number(tracked.session_id)
    return read_session(f"{device}:{int(start)}") if device and start is not None else ""


def _read_version(library: object) -> str:
    return library if isinstance(library, str) and _LIBRARY.fullmatch(library) else ""


def answer_request(sent: SentBody, reading: Reading) -> StreamAnswer:
    """What Amplitude's SDK takes for success: its own shape, with ``code`` 200."""
    content = {
        "code": 200,
        "events_ingested": len(reading.events),
        "payload_size_bytes": len(sent.content),
        "server_upload_time": sent.received_ms,
    }
    return StreamAnswer(200, msgspec.json.encode(content))


def recognises(sent: SentBody) -> bool:
    """Whether a body is Amplitude's: its events have a device, a session and a type."""
    head = sent.content[:65_536]
    return b'"event_type"' in head and b'"device_id"' in head and b'"session_id"' in head


STREAM: Final = Stream(
    name="amplitude",
    title="Amplitude",
    read=read,
    recognises=recognises,
    answer=answer_request,
    lacks=(
        "uncaught errors, unless error clicks are on",
        "requests that failed with 4xx, unless `captureRules` name them, and requests that were never answered",
        "the validity of forms",
        "what the page did after a click (`responded`), only Amplitude's own verdict",
        "clicks on disabled controls",
    ),
)
