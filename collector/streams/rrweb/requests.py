"""Requests of a page as events of the contract, and those that rrweb's network plugin (``rrweb/network@1``) recorded."""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from collector.streams.lenient import digest_parts, is_own_intake, read_origin, read_route, read_status, read_time
from collector.streams.rrweb import wire
from collector.streams.stream import WireEvent

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_LONGEST_MS: Final = 86_400_000.0
_KINDS: Final = frozenset({"fetch", "xmlhttprequest"})


class PluginRequest(msgspec.Struct, gc=False):
    """One request: ``timestamp`` is its start in epoch milliseconds (PostHog's plugin), ``start_time`` and ``end_time`` are
    milliseconds since the page was opened (rrweb's own), ``duration`` is in milliseconds."""

    name: str = ""
    initiator_type: str = msgspec.field(name="initiatorType", default="")
    method: str | None = None
    status: int | None = None
    response_status: int | None = msgspec.field(name="responseStatus", default=None)
    timestamp: float = 0.0
    start_time: float | None = msgspec.field(name="startTime", default=None)
    end_time: float | None = msgspec.field(name="endTime", default=None)
    duration: float | None = None


class PluginRequests(msgspec.Struct, gc=False):
    """``is_initial``: what the page had loaded before the recording began."""

    requests: list[msgspec.Raw] = []
    is_initial: bool = msgspec.field(name="isInitial", default=False)


_REQUESTS: Final = msgspec.json.Decoder(PluginRequests)
_REQUEST: Final = msgspec.json.Decoder(PluginRequest)


def make_request(
    session: str, url: str, start_ms: float, end_ms: float, method: str, status: int | None, page: str
) -> WireEvent | None:
    """A request that began and ended at these epoch milliseconds; None if its times or its address are none.

    ``page``: the address of the page; a request to another origin is of a third party. ``status``: 0 = never answered.
    """
    times = math.isfinite(start_ms) and math.isfinite(end_ms) and 0 <= end_ms - start_ms <= _LONGEST_MS
    ended = read_time(round(end_ms)) if times and start_ms > 0 else None
    path = read_route(url).partition("#")[0]
    if ended is None or not path:
        return None
    metadata: dict[str, object] = {"url": path, "durationMs": round(end_ms - start_ms, 1)}
    if method.upper() in _METHODS:
        metadata["method"] = method.upper()
    if read_status(status) is not None:
        metadata["status"] = status
    origin = read_origin(url)
    if origin and read_origin(page) not in ("", origin):
        metadata["thirdParty"] = True
    key = digest_parts(session, round(start_ms * 10), round(end_ms * 10), path, method.upper(), status)
    return {
        "eventType": "network",
        "timestamp": ended,
        "sessionId": session,
        "idempotencyKey": f"request:{key}",
        "metadata": metadata,
    }


def keep_request(session: str, request: PluginRequest | None) -> WireEvent:
    """What is known of a request that became no event, in the shape of an event: it can be sent again when a person has added
    what is missing."""
    if request is None:
        return {"eventType": "network", "sessionId": session}
    status = read_status(request.status) or read_status(request.response_status)
    method = (request.method or "").upper()
    named: WireEvent = {
        "url": read_route(request.name).partition("#")[0],
        "method": method if method in _METHODS else None,
        "status": status,
    }
    if request.duration is not None and 0 <= request.duration <= _LONGEST_MS:
        named["durationMs"] = request.duration
    kept: WireEvent = {"eventType": "network", "sessionId": session}
    ended = request.timestamp + (request.duration or 0.0)
    if request.timestamp > 0 and math.isfinite(ended) and (at_ms := read_time(round(ended))) is not None:
        kept["timestamp"] = at_ms
    return kept | {"metadata": {name: value for name, value in named.items() if value not in (None, "")}}


class NoRequest(NamedTuple):
    """A recorded request that became no event, as it is kept."""

    kept: WireEvent


def read_plugin_requests(
    plugin: wire.Plugin, session: str, page: str, emitted_ms: float
) -> Iterable[WireEvent | NoRequest]:
    """The fetches and XHRs in an event of the network plugin, and each that is no request.

    ``emitted_ms``: the event's own time. rrweb's plugin emits it as soon as the last of its requests ended, and names times
    since the page was opened only; so that moment tells when the page was opened. Requests to Furrow's intake are left out.
    """
    held = wire.read_shape(_REQUESTS, plugin.payload)
    if held is None:
        yield NoRequest(keep_request(session, None))
        return
    requests = [wire.read_shape(_REQUEST, raw) for raw in held.requests] if not held.is_initial else []
    opened_ms = emitted_ms - max((known.end_time or 0.0 for known in requests if known is not None), default=0.0)
    for request in requests:
        if request is None:
            yield NoRequest(keep_request(session, None))
        elif request.initiator_type in _KINDS and not is_own_intake(request.name):
            made = _time_request(request, session, page, opened_ms)
            yield NoRequest(keep_request(session, request)) if made is None else made


def _time_request(request: PluginRequest, session: str, page: str, opened_ms: float) -> WireEvent | None:
    status = request.status if request.status is not None else request.response_status
    start_ms, end_ms = request.timestamp, request.timestamp + (request.duration or 0.0)
    if not start_ms and request.start_time is not None and request.end_time is not None:
        start_ms, end_ms = opened_ms + request.start_time, opened_ms + request.end_time
        # Aborted by the page, never answered, or hidden by the other site: this plugin does not say which.
        status = status or None
    return make_request(session, request.name, start_ms, end_ms, request.method or "", status, page)
