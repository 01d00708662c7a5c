"""The stream `faro`: Faro's items become spans and log records of OTLP, and those the events (`collector.streams.otlp`).

Faro sends each request up to three times: as a span in `traces`, as the event `faro.tracing.fetch` with the ids of that span,
and as `faro.performance.resource`. The first two have one identity, the third is not read.
"""

from dataclasses import replace
from typing import Final

import msgspec

from collector.contract.times import parse_time
from collector.streams.otlp.events import make_events
from collector.streams.otlp.from_json import read_resource
from collector.streams.otlp.gestures import make_key
from collector.streams.otlp.telemetry import CLIENT, Attributes, LogRecord, Span, SpanEvent, Telemetry, parse_integer
from collector.streams.stream import Reading, SentBody, Stream, UnreadableBody

_REQUESTS: Final = ("faro.tracing.fetch", "faro.tracing.xml-http-request")
_REQUEST_KEYS: Final = (
    "http.request.method",
    "http.method",
    "url.full",
    "http.url",
    "http.response.status_code",
    "http.status_code",
    "error.type",
)
_WRONG_TYPE: Final = "a field has another type than in Faro"
_DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Named(msgspec.Struct):
    id: str | None = None
    version: str | None = None
    environment: str | None = None


class _Page(msgspec.Struct):
    url: str | None = None


class _Browser(msgspec.Struct):
    user_agent: str | None = msgspec.field(name="userAgent", default=None)


class _Meta(msgspec.Struct):
    session: _Named | None = None
    user: _Named | None = None
    app: _Named | None = None
    sdk: _Named | None = None
    page: _Page | None = None
    browser: _Browser | None = None


class _Trace(msgspec.Struct):
    trace_id: str = ""
    span_id: str = ""


class _Event(msgspec.Struct):
    name: str = ""
    timestamp: str = ""
    attributes: dict[str, msgspec.Raw] | None = None
    trace: _Trace | None = None


class _Frame(msgspec.Struct):
    filename: str | None = None
    lineno: int | None = None
    colno: int | None = None


class _Stack(msgspec.Struct):
    frames: list[_Frame] | None = None


class _Exception(msgspec.Struct):
    type: str = ""
    value: str = ""
    timestamp: str = ""
    stacktrace: _Stack | None = None


class _Traces(msgspec.Struct):
    resource_spans: list[msgspec.Raw] | None = msgspec.field(name="resourceSpans", default=None)


class _Body(msgspec.Struct):
    meta: msgspec.Raw
    events: list[msgspec.Raw] | None = None
    exceptions: list[msgspec.Raw] | None = None
    traces: msgspec.Raw = msgspec.Raw(b"null")


_BODY: Final = msgspec.json.Decoder(_Body)
_META: Final = msgspec.json.Decoder(_Meta)
_EVENT: Final = msgspec.json.Decoder(_Event)
_EXCEPTION: Final = msgspec.json.Decoder(_Exception)
_TRACES: Final = msgspec.json.Decoder(_Traces)


def read(sent: SentBody) -> Reading:
    """The events of one request. Raises UnreadableBody."""
    try:
        body = _BODY.decode(sent.content)
        meta = _META.decode(body.meta)
    except _DECODE_ERRORS:
        raise UnreadableBody("not a request of Faro") from None
    found, sender = Telemetry(), _describe_sender(meta)
    page: Attributes = {"page.url": meta.page.url} if meta.page and meta.page.url else {}
    _read_traces(body.traces, page, sender, found)
    known = {span.span_id for span in found.spans}
    for raw in body.events or ():
        try:
            _read_event(_EVENT.decode(raw), page, sender, known, found)
        except _DECODE_ERRORS:
            found.reject("events", _WRONG_TYPE)
    for raw in body.exceptions or ():
        try:
            _read_exception(_EXCEPTION.decode(raw), page, sender, found)
        except _DECODE_ERRORS:
            found.reject("exceptions", _WRONG_TYPE)
    reading = make_events(found)
    version = (meta.sdk.version if meta.sdk else None) or ""
    if 0 < len(version) <= 40 and version.isascii() and version.replace(".", "").replace("-", "").isalnum():
        reading.sdk_version = f"faro/{version}"
    return reading


def _describe_sender(meta: _Meta) -> Attributes:
    parts = {
        "session.id": meta.session and meta.session.id,
        "user.id": meta.user and meta.user.id,
        "service.version": meta.app and meta.app.version,
        "deployment.environment.name": meta.app and meta.app.environment,
        "user_agent.original": meta.browser and meta.browser.user_agent,
    }
    return {key: value for key, value in parts.items() if isinstance(value, str) and value}


def _read_traces(raw: msgspec.Raw, page: Attributes, sender: Attributes, found: Telemetry) -> None:
    if bytes(raw) == b"null":
        return
    try:
        traces = _TRACES.decode(raw)
    except _DECODE_ERRORS:
        found.reject("traces", _WRONG_TYPE)
        return
    for part in traces.resource_spans or ():
        read_resource(part, "traces.resourceSpans", found)
    found.logs.clear()  # Faro's traces hold spans only
    found.spans = [
        replace(span, attributes={**page, **span.attributes}, resource={**span.resource, **sender})
        for span in found.spans
    ]


def _read_event(event: _Event, page: Attributes, sender: Attributes, known: set[str], found: Telemetry) -> None:
    if event.name in _REQUESTS:
        span_id = event.trace.span_id.lower() if event.trace else ""
        if not span_id or span_id not in known:
            found.spans.append(_make_request(event, page, sender))
    elif event.name == "faro.performance.navigation":
        found.spans.extend(_make_navigation(event, sender))
    elif event.name == "route_change":
        found.spans.append(_make_route_change(event, sender))
    else:
        kinds = {"faro.performance.resource": "performance_resource", "faro.user.action": "user_action"}
        found.ignored[kinds.get(event.name, "other_event")] += 1


def _make_request(event: _Event, page: Attributes, sender: Attributes) -> Span:
    """Its timestamp is the end of the request."""
    attributes = {**page, **{key: value for key in _REQUEST_KEYS if (value := _find_text(event, key))}}
    end_ns = _find_time_ns(event.timestamp)
    took_ns = max(0, parse_integer(_find_text(event, "duration_ns")) or 0)
    trace_id, span_id = (event.trace.trace_id, event.trace.span_id) if event.trace else ("", "")
    return _make_span("request", span_id, end_ns - took_ns, end_ns, attributes, sender, trace_id=trace_id, kind=CLIENT)


def _make_navigation(event: _Event, sender: Attributes) -> list[Span]:
    """The page and its document, which has the status. Timestamp: its start; ``ttfb``: when the answer came."""
    start_ns = _find_time_ns(event.timestamp)
    took_ms, first_byte_ms = (max(0, parse_integer(_find_text(event, key)) or 0) for key in ("duration", "ttfb"))
    address, kind, status = (_find_text(event, key) for key in ("name", "type", "responseStatus"))
    span_id = _find_text(event, "faroNavigationId") or make_key(event.timestamp, address)
    attributes: Attributes = {"url.full": address, "browser.navigation.type": kind}
    shown = SpanEvent("domInteractive", start_ns + min(first_byte_ms, took_ms) * 1_000_000, {})
    end_ns = start_ns + took_ms * 1_000_000
    page = _make_span("documentLoad", span_id, start_ns, end_ns, attributes, sender, events=(shown,))
    document = _make_span(
        "documentFetch", "", start_ns, end_ns, {"http.status_code": status}, sender, parent_id=span_id
    )
    return [page, document]


def _make_route_change(event: _Event, sender: Attributes) -> Span:
    """Faro's integration of React Router."""
    at_ns = _find_time_ns(event.timestamp)
    attributes: Attributes = {"location.href": _find_text(event, "toUrl"), "prev.href": _find_text(event, "fromUrl")}
    return _make_span("routeChange", make_key(event.timestamp, *attributes.values()), at_ns, at_ns, attributes, sender)


def _make_span(
    name: str,
    span_id: str,
    start_ns: int,
    end_ns: int,
    attributes: Attributes,
    sender: Attributes,
    *,
    trace_id: str = "",
    parent_id: str = "",
    kind: int = 1,
    events: tuple[SpanEvent, ...] = (),
) -> Span:
    ids = trace_id.lower(), span_id.lower(), parent_id.lower()
    return Span(name, kind, 0, *ids, start_ns, end_ns, attributes, events, sender)


def _read_exception(exception: _Exception, page: Attributes, sender: Attributes, found: Telemetry) -> None:
    if exception.value.startswith("console.error:"):
        found.ignored["console_error"] += 1
        return
    frames = exception.stacktrace.frames if exception.stacktrace else None
    top = next((frame for frame in frames or () if frame.filename), None)
    attributes: Attributes = {
        **page,
        "exception.type": exception.type,
        "exception.message": exception.value,
        "exception.stacktrace": f"{top.filename}:{top.lineno or 0}:{top.colno or 0}" if top else "",
    }
    name = "unhandledrejection" if exception.type == "UnhandledRejection" else "exception"
    found.logs.append(LogRecord(name, _find_time_ns(exception.timestamp), attributes, sender))


def _find_text(event: _Event, key: str) -> str:
    """Attributes of Faro's events are texts."""
    raw = (event.attributes or {}).get(key)
    value = msgspec.json.decode(raw) if raw is not None else ""
    return value if isinstance(value, str) else ""


def _find_time_ns(timestamp: str) -> int:
    return (parse_time(timestamp) or 0) * 1_000_000


def recognises(sent: SentBody) -> bool:
    if not sent.content.lstrip().startswith(b"{") or b'"faro' not in sent.content:
        return False
    try:
        body = _BODY.decode(sent.content)
        return _META.decode(body.meta).session is not None
    except _DECODE_ERRORS:
        return False


STREAM: Final = Stream(
    name="faro",
    title="Grafana Faro",
    read=read,
    recognises=recognises,
    request_headers=("x-faro-session-id", "x-api-key", "idempotency-key"),
    lacks=(
        "clicks: Faro has none, so what rests on a person's action is not found",
        "forms and input",
        "requests, where @grafana/faro-web-tracing is not installed",
    ),
)
