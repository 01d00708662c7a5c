"""Uncaught exceptions, and the failed and good requests of recordings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from collector.streams.event_parts import make_error, make_frame
from collector.streams.lenient import (
    digest_parts,
    is_own_intake,
    read_number,
    read_origin,
    read_route,
    read_status,
    read_text,
    read_time,
)
from collector.streams.posthog.shapes import (
    CapturedProperties,
    PageData,
    PluginData,
    RecordedRequest,
    RequestPayload,
    Snapshot,
)
from collector.streams.stream import WireEvent

_PAGE, _PLUGIN = 4, 6
_NETWORK_PLUGIN: Final = "rrweb/network@1"
_PROGRAM_REQUESTS: Final = frozenset({"fetch", "xmlhttprequest"})
_SNAPSHOTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_SNAPSHOT: Final = msgspec.json.Decoder(Snapshot)
_PAGE_DATA: Final = msgspec.json.Decoder(PageData)
_PLUGIN_DATA: Final = msgspec.json.Decoder(PluginData)
_PAYLOAD: Final = msgspec.json.Decoder(RequestPayload)
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
_REQUEST: Final = msgspec.json.Decoder(RecordedRequest)


def read_exception(properties: CapturedProperties) -> WireEvent | None:
    """The first of `$exception_list` if nobody handled it; None for one that the application reported itself."""
    listed = properties.exceptions
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else None
    if first is None:
        message = read_text(properties.exception_message, 1_024)
        kind = read_text(properties.exception_type, 128)
        return make_error(kind, message, "", promise=False) if message else None
    mechanism = first.get("mechanism")
    mechanism = mechanism if isinstance(mechanism, dict) else {}
    if mechanism.get("handled") is not False:
        return None
    promise = read_text(mechanism.get("type"), 40).lower() == "onunhandledrejection"
    kind, message = read_text(first.get("type"), 128), read_text(first.get("value"), 1_024)
    return make_error(kind, message, _find_frame(first.get("stacktrace")), promise=promise)


def _find_frame(stack: object) -> str:
    """``file:line:column`` of the frame that threw, the last of the list; '' without one."""
    frames = stack.get("frames") if isinstance(stack, dict) else None
    top = frames[-1] if isinstance(frames, list) and frames else None
    if not isinstance(top, dict):
        return ""
    return make_frame(top.get("filename"), read_number(top.get("lineno")), read_number(top.get("colno")))


@dataclass(slots=True)
class RecordedRequests:
    """The ``events`` of a part of a recording (without session and route); ``skipped``: requests that say nothing certain;
    ``broken``: items of another shape."""

    events: list[WireEvent] = field(default_factory=list)
    skipped: int = 0
    broken: int = 0


def read_requests(snapshots: msgspec.Raw, page: str, window: str) -> RecordedRequests:
    """The requests that a page's program made. ``page``: its address, if known; ``window``: PostHog's id of the tab.

    Snapshots and mutations are skipped while decoding, and never copied.
    """
    found, origin = RecordedRequests(), read_origin(page)
    for item in _decode_items(snapshots):
        try:
            snapshot = _SNAPSHOT.decode(item)
            if snapshot.type == _PAGE:
                origin = read_origin(_PAGE_DATA.decode(snapshot.data).href) or origin
            elif snapshot.type == _PLUGIN:
                _add_requests(_list_requests(snapshot.data), origin, window, found)
        except _UNREADABLE:
            found.broken += 1
    return found


def _add_requests(items: Sequence[msgspec.Raw], origin: str, window: str, found: RecordedRequests) -> None:
    for item in items:
        try:
            request = _REQUEST.decode(item)
        except _UNREADABLE:
            found.broken += 1
            continue
        if read_text(request.initiator_type, 20) not in _PROGRAM_REQUESTS or request.is_initial is True:
            continue
        event = _read_request(request, origin, window)
        found.skipped += event is None
        found.events += [] if event is None else [event]


def _decode_items(snapshots: msgspec.Raw) -> list[msgspec.Raw]:
    """A part of a recording is a list; older SDKs send one rrweb event."""
    return _SNAPSHOTS.decode(snapshots) if bytes(memoryview(snapshots)[:1]) == b"[" else [snapshots]


def _list_requests(data: msgspec.Raw) -> Sequence[msgspec.Raw]:
    plugin = _PLUGIN_DATA.decode(data)
    if plugin.plugin != _NETWORK_PLUGIN:
        return ()
    payload = _PAYLOAD.decode(plugin.payload)
    return () if payload.is_initial is True else payload.requests


def _read_request(request: RecordedRequest, origin: str, window: str) -> WireEvent | None:
    """A request; its time is the END. None if it is unknown whether it was answered, and for a copy to Furrow itself.

    The browser hides the status of a request to another site that does not allow its timings to be read: 0 means "never
    answered" only for the page's own site.
    """
    start, duration = read_number(request.timestamp), read_number(request.duration)
    url, method = read_route(request.name), read_text(request.method, 16).upper()
    status = read_status(request.status)
    if status is None or status == 0:
        status = read_status(request.response_status)
    ended = None if start is None else read_time(round(start + (duration or 0)))
    own = bool(origin) and read_origin(request.name) == origin
    if ended is None or not url or is_own_intake(url) or status is None or (status == 0 and not own):
        return None
    metadata: WireEvent = {"status": status, "url": url}
    if method:
        metadata["method"] = method
    if duration is not None:
        metadata["durationMs"] = round(duration)
    key = digest_parts(window, start, url, method, status, duration)
    return {
        "eventType": "network",
        "timestamp": ended,
        "metadata": metadata,
        "idempotencyKey": f"request:{key}",
    }
