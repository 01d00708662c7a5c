"""Requests from spans: version 2 (streamed) and transactions. Where a replay runs, it carries them, and spans are skipped."""

from typing import Final

import msgspec

from collector.streams.lenient import read_route, read_session, read_status, read_text, read_time
from collector.streams.rrweb.requests import make_request
from collector.streams.rrweb.wire import read_shape
from collector.streams.sentry import shapes
from collector.streams.sentry.values import find_replay, find_trace, read_page, read_seconds, read_user
from collector.streams.stream import Reading, RejectedItem, WireEvent

_OP: Final = "sentry.op"
_REQUEST_OP: Final = "http.client"


def read_spans(payload: bytes, replay: str, reading: Reading) -> None:
    """Adds the requests of a container of spans to ``reading``. ``replay``: the envelope's, or ''."""
    held = read_shape(shapes.STREAMED_SPANS, payload)
    if held is None:
        reading.rejects.append(RejectedItem("span", "is no container of spans", {}))
        return
    for raw in held.items:
        span = read_shape(shapes.STREAMED_SPAN, raw)
        if span is None:
            reading.rejects.append(RejectedItem("span", "has a wrong shape", {}))
        elif _read_attribute(span, _OP) != _REQUEST_OP:
            reading.ignored["other span"] += 1
        elif replay or _read_attribute(span, "sentry.replay_id"):
            reading.ignored["request that the replay has"] += 1
        else:
            _add_streamed(span, reading)


def _read_attribute(span: shapes.StreamedSpan, name: str) -> object:
    held = read_shape(shapes.ATTRIBUTE_VALUE, span.attributes.get(name, msgspec.Raw(b"null")))
    return held.value if held is not None else None


def _add_streamed(span: shapes.StreamedSpan, reading: Reading) -> None:
    url = _read_attribute(span, "url.full") or _read_attribute(span, "http.url")
    status = read_status(_read_attribute(span, "http.response.status_code"))
    method = _read_attribute(span, "http.request.method")
    user = read_text(_read_attribute(span, "user.id"), 128)
    _add_request(read_session(span.trace_id), (span.start, span.end), (url, method, status), ("", user), reading)


def read_transaction(payload: bytes, replay: str, reading: Reading) -> None:
    """Adds the requests of a transaction to ``reading``. ``replay``: the envelope's, or ''."""
    transaction = read_shape(shapes.TRANSACTION, payload)
    if transaction is None:
        reading.rejects.append(RejectedItem("transaction", "has a wrong shape", {}))
        return
    replay = replay or find_replay(transaction.tags, transaction.contexts)
    trace = find_trace(transaction.contexts)
    page, user = read_page(transaction.request), read_user(transaction.user)
    for raw in transaction.spans:
        span = read_shape(shapes.OLD_SPAN, raw)
        if span is None:
            reading.rejects.append(RejectedItem("span", "has a wrong shape", {}))
        elif span.op != _REQUEST_OP:
            reading.ignored["other span"] += 1
        else:
            data = read_shape(shapes.SPAN_ATTRIBUTES, span.data) or shapes.SpanAttributes()
            if replay or data.replay or data.old_replay:
                reading.ignored["request that the replay has"] += 1
                continue
            request = (
                data.url or data.old_url or data.plain_url,
                data.method or data.old_method,
                read_status(data.status),
            )
            session = trace or read_session(span.trace_id)
            _add_request(session, (span.start, span.end), request, (page, user), reading)


def _add_request(
    session: str,
    times: tuple[object, object],
    request: tuple[object, object, int | None],
    around: tuple[str, str],
    reading: Reading,
) -> None:
    """``times``: start and end in seconds. ``request``: address, method, status. ``around``: the page's address, the user."""
    start, end = read_seconds(times[0]), read_seconds(times[1])
    url, method, status = request
    page, user = around
    event = None
    if session and start is not None and end is not None and isinstance(url, str):
        event = make_request(session, url, start, end, read_text(method, 16), status, page)
    if event is None:
        kept = _keep_request(session, end, (read_route(url).partition("#")[0], read_text(method, 16).upper(), status))
        reading.rejects.append(RejectedItem("span", "has no trace, time or address", kept))
    else:
        reading.events.append(event | ({"userId": user} if user else {}))


def _keep_request(session: str, end: float | None, request: tuple[str, str, int | None]) -> WireEvent:
    """What is known of a request that became no event, in the shape of an event: it can be sent again when a person has added
    what is missing."""
    at_ms = read_time(round(end)) if end is not None else None
    named = zip(("url", "method", "status"), request, strict=True)
    known: WireEvent = {"timestamp": at_ms, "sessionId": session}
    metadata = {name: value for name, value in named if value not in (None, "")}
    return {"eventType": "network", "metadata": metadata} | {name: value for name, value in known.items() if value}
