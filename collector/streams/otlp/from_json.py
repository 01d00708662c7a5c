"""OTLP/JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding) into `Telemetry`.

The structs name the fields that are read; msgspec skips all others without building them. Each span and log record is decoded
by itself, so that one that is malformed costs no other.
"""

from functools import partial
from typing import Final

import msgspec

from collector.streams.kept import list_fields
from collector.streams.otlp.kept import keep_part
from collector.streams.otlp.telemetry import (
    READ_KEYS,
    Attributes,
    LogRecord,
    Scalar,
    Span,
    SpanEvent,
    Telemetry,
    parse_integer,
)
from collector.streams.stream import UnreadableBody

_Number = int | float | str | None


class _Wire(msgspec.Struct, rename="camel"):
    pass


class _Value(_Wire):
    string_value: str | None = None
    int_value: _Number = None
    double_value: _Number = None
    bool_value: bool | None = None


class _Attribute(_Wire):
    key: str = ""
    value: _Value | None = None


class _Event(_Wire):
    name: str = ""
    time_unix_nano: _Number = None
    attributes: list[_Attribute] | None = None


class _Status(_Wire):
    code: int | str | None = None


class _Span(_Wire):
    name: str = ""
    kind: int | str | None = None
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = None
    start_time_unix_nano: _Number = None
    end_time_unix_nano: _Number = None
    attributes: list[_Attribute] | None = None
    events: list[_Event] | None = None
    status: _Status | None = None


class _Log(_Wire):
    event_name: str | None = None
    time_unix_nano: _Number = None
    observed_time_unix_nano: _Number = None
    attributes: list[_Attribute] | None = None


class _Resource(_Wire):
    attributes: list[_Attribute] | None = None


class _Scope(_Wire):
    spans: list[msgspec.Raw] | None = None
    log_records: list[msgspec.Raw] | None = None


class _OfResource(_Wire):
    resource: _Resource | None = None
    scope_spans: list[msgspec.Raw] | None = None
    scope_logs: list[msgspec.Raw] | None = None


class _Request(_Wire):
    resource_spans: list[msgspec.Raw] | None = None
    resource_logs: list[msgspec.Raw] | None = None


_REQUEST: Final = msgspec.json.Decoder(_Request)
_OF_RESOURCE: Final = msgspec.json.Decoder(_OfResource)
_SCOPE: Final = msgspec.json.Decoder(_Scope)
_SPAN: Final = msgspec.json.Decoder(_Span)
_LOG: Final = msgspec.json.Decoder(_Log)
_SPAN_SHAPE: Final = list_fields(_Span)
_LOG_SHAPE: Final = list_fields(_Log)
_KINDS: Final = {"SPAN_KIND_CLIENT": 3, "STATUS_CODE_ERROR": 2}
_WRONG_TYPE: Final = "a field has another type than in OTLP"


def decode_json(content: bytes) -> Telemetry:
    """Raises UnreadableBody for what is not a request of OTLP."""
    try:
        request = _REQUEST.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableBody("not a request of OTLP/JSON") from None
    if request.resource_spans is None and request.resource_logs is None:
        raise UnreadableBody("neither `resourceSpans` nor `resourceLogs`")
    found = Telemetry()
    for raw in request.resource_spans or ():
        read_resource(raw, "resourceSpans", found)
    for raw in request.resource_logs or ():
        read_resource(raw, "resourceLogs", found)
    return found


def read_resource(raw: msgspec.Raw, name: str, found: Telemetry) -> None:
    """Add to ``found`` what one element of `resourceSpans` or `resourceLogs` (``name``) holds, or a reject."""
    if not found.has_room():
        return
    try:
        part = _OF_RESOURCE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found.reject(name, _WRONG_TYPE)
        return
    resource = _read_attributes(part.resource.attributes) if part.resource else {}
    for scope in (*(part.scope_spans or ()), *(part.scope_logs or ())):
        _read_scope(scope, resource, found)


def _read_scope(raw: msgspec.Raw, resource: Attributes, found: Telemetry) -> None:
    if not found.has_room():
        return
    try:
        scope = _SCOPE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found.reject("scope", _WRONG_TYPE)
        return
    for item in filter(lambda _: found.has_room(), scope.spans or ()):
        try:
            found.spans.append(_read_json_span(_SPAN.decode(item), resource))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found.reject("span", _WRONG_TYPE, partial(keep_part, "spans", item, resource, _SPAN_SHAPE))
    for item in filter(lambda _: found.has_room(), scope.log_records or ()):
        try:
            found.logs.append(_read_log(_LOG.decode(item), resource))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found.reject("logRecord", _WRONG_TYPE, partial(keep_part, "logRecords", item, resource, _LOG_SHAPE))


def _read_json_span(span: _Span, resource: Attributes) -> Span:
    return Span(
        name=span.name,
        kind=_read_enumeration(span.kind),
        status=_read_enumeration(span.status.code) if span.status else 0,
        trace_id=span.trace_id.lower(),
        span_id=span.span_id.lower(),
        parent_id=(span.parent_span_id or "").lower(),
        start_ns=parse_integer(span.start_time_unix_nano) or 0,
        end_ns=parse_integer(span.end_time_unix_nano) or 0,
        attributes=_read_attributes(span.attributes),
        events=tuple(
            SpanEvent(event.name, parse_integer(event.time_unix_nano) or 0, _read_attributes(event.attributes))
            for event in span.events or ()
        ),
        resource=resource,
    )


def _read_log(log: _Log, resource: Attributes) -> LogRecord:
    attributes = _read_attributes(log.attributes)
    name = log.event_name or attributes.get("event.name")
    time_ns = parse_integer(log.time_unix_nano) or parse_integer(log.observed_time_unix_nano) or 0
    return LogRecord(name if isinstance(name, str) else "", time_ns, attributes, resource)


def _read_enumeration(value: int | str | None) -> int:
    """OTLP/JSON writes enumerations as numbers; ProtoJSON writes their names."""
    return _KINDS.get(value, 0) if isinstance(value, str) else value or 0


def _read_attributes(attributes: list[_Attribute] | None) -> Attributes:
    read: Attributes = {}
    for attribute in attributes or ():
        if attribute.key in READ_KEYS and attribute.value is not None:
            value = _read_value(attribute.value)
            if value is not None:
                read[attribute.key] = value
    return read


def _read_value(value: _Value) -> Scalar | None:
    if value.string_value is not None:
        return value.string_value
    if value.bool_value is not None:
        return value.bool_value
    return value.int_value if value.int_value is not None else value.double_value
