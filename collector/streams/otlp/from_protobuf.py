"""OTLP in protobuf into `Telemetry`, with the messages of the package opentelemetry-proto."""

from collections.abc import Iterable

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from collector.streams.otlp.telemetry import READ_KEYS, Attributes, LogRecord, Span, SpanEvent, Telemetry
from collector.streams.stream import UnreadableBody


def decode_spans(content: bytes) -> Telemetry:
    """The spans of an `ExportTraceServiceRequest`. Raises UnreadableBody for other bytes, and for messages deeper than 100."""
    request = trace_pb2.TracesData()  # the same message under the name in which files are written
    try:
        request.ParseFromString(content)
    except DecodeError:
        raise UnreadableBody("not a request of OTLP in protobuf") from None
    found = Telemetry()
    for of_resource in request.resource_spans:
        if not found.has_room():
            continue
        resource = _read_attributes(of_resource.resource.attributes)
        for scope in of_resource.scope_spans:
            if found.has_room():
                found.spans.extend(_read_protobuf_span(span, resource) for span in scope.spans if found.has_room())
    return found


def decode_logs(content: bytes) -> Telemetry:
    """The log records of an `ExportLogsServiceRequest`. Raises UnreadableBody as `decode_spans`."""
    request = logs_pb2.LogsData()
    try:
        request.ParseFromString(content)
    except DecodeError:
        raise UnreadableBody("not a request of OTLP in protobuf") from None
    found = Telemetry()
    for of_resource in request.resource_logs:
        if not found.has_room():
            continue
        resource = _read_attributes(of_resource.resource.attributes)
        for scope in of_resource.scope_logs:
            if found.has_room():
                found.logs.extend(_read_log(log, resource) for log in scope.log_records if found.has_room())
    return found


def _read_protobuf_span(span: trace_pb2.Span, resource: Attributes) -> Span:
    return Span(
        name=span.name,
        kind=int(span.kind),
        status=int(span.status.code),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_read_attributes(span.attributes),
        events=tuple(
            SpanEvent(event.name, event.time_unix_nano, _read_attributes(event.attributes)) for event in span.events
        ),
        resource=resource,
    )


def _read_log(log: logs_pb2.LogRecord, resource: Attributes) -> LogRecord:
    attributes = _read_attributes(log.attributes)
    name = log.event_name or attributes.get("event.name")
    time_ns = log.time_unix_nano or log.observed_time_unix_nano
    return LogRecord(name if isinstance(name, str) else "", time_ns, attributes, resource)


def _read_attributes(attributes: Iterable[KeyValue]) -> Attributes:
    read: Attributes = {}
    for attribute in attributes:
        if attribute.key not in READ_KEYS:
            continue
        value = attribute.value
        match value.WhichOneof("value"):
            case "string_value":
                read[attribute.key] = value.string_value
            case "int_value":
                read[attribute.key] = value.int_value
            case "double_value":
                read[attribute.key] = value.double_value
            case "bool_value":
                read[attribute.key] = value.bool_value
            case _:
                pass  # arrays, maps and bytes are never read
    return read
