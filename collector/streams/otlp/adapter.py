"""The stream `otlp`: `/v1/traces` and `/v1/logs` of OTLP/HTTP."""

import json
from collections.abc import Mapping
from typing import Final

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from collector.streams.otlp.events import make_events
from collector.streams.otlp.from_json import decode_json
from collector.streams.otlp.from_protobuf import decode_logs, decode_spans
from collector.streams.otlp.kept import restore_part
from collector.streams.stream import Reading, SentBody, Stream, StreamAnswer, UnreadableBody

PROTOBUF: Final = "application/x-protobuf"
MAX_OTLP_BYTES: Final = 4 << 20
"""A Collector sends up to 8,192 spans at once (about 500 bytes each)."""


def read(sent: SentBody) -> Reading:
    """The events of one request. Raises UnreadableBody."""
    if not _is_protobuf(sent):
        return make_events(decode_json(sent.content))
    return make_events(decode_logs(sent.content) if _is_of_logs(sent) else decode_spans(sent.content))


def reread(kept: Mapping[str, object]) -> Reading:
    """What the item of a letter gives now (`collector.streams.otlp.kept`)."""
    return make_events(decode_json(restore_part(kept)))


def recognises(sent: SentBody) -> bool:
    """Only JSON: protobuf has no signs of its own."""
    head = sent.content[:4_096].lstrip()
    if not head.startswith(b"{") or (b'"resourceSpans"' not in head and b'"resourceLogs"' not in head):
        return False
    try:
        decode_json(sent.content)
    except UnreadableBody:
        return False
    # Faro's requests hold OTLP below `traces`, which is no request of OTLP itself.
    return True


def answer(sent: SentBody, reading: Reading) -> StreamAnswer:
    """200 in the media type of the request, with a partial success where items were rejected
    (https://opentelemetry.io/docs/specs/otlp/#partial-success-1)."""
    rejected, message = len(reading.rejects), ""
    if rejected:
        reasons = sorted({f"{item.field}: {item.reason}" for item in reading.rejects})
        message = "; ".join(reasons[:5])
    logs = _is_of_logs(sent)
    if _is_protobuf(sent):
        return StreamAnswer(content=_encode_answer(logs, rejected, message), media_type=PROTOBUF)
    if not rejected:
        return StreamAnswer()
    count = "rejectedLogRecords" if logs else "rejectedSpans"
    partial = {"partialSuccess": {count: str(rejected), "errorMessage": message}}
    return StreamAnswer(content=json.dumps(partial).encode())


def _encode_answer(logs: bool, rejected: int, message: str) -> bytes:
    if logs:
        of_logs = logs_service_pb2.ExportLogsServiceResponse()
        if rejected:
            of_logs.partial_success.rejected_log_records = rejected
            of_logs.partial_success.error_message = message
        return of_logs.SerializeToString()
    of_spans = trace_service_pb2.ExportTraceServiceResponse()
    if rejected:
        of_spans.partial_success.rejected_spans = rejected
        of_spans.partial_success.error_message = message
    return of_spans.SerializeToString()


def _is_protobuf(sent: SentBody) -> bool:
    if sent.media_type in (PROTOBUF, "application/protobuf"):
        return True
    # A message begins with 0x0A, which JSON may begin with, too, but not with a quote after the next byte.
    return sent.media_type == "" and not (sent.content[:1] == b"{" or sent.content.lstrip().startswith((b'{"', b"{}")))


def _is_of_logs(sent: SentBody) -> bool:
    return sent.path.rstrip("/").endswith("v1/logs")


STREAM: Final = Stream(
    name="otlp",
    title="OpenTelemetry (OTLP/HTTP)",
    read=read,
    recognises=recognises,
    answer=answer,
    reread=reread,
    max_bytes=MAX_OTLP_BYTES,
    lacks=(
        "`disabled`: clicks on disabled controls are not reported",
        "`responded`: whether the page changed",
        "labels of controls",
        "input",
        "form validity",
        "`status` of documents: a page that failed looks like one that was shown",
        "uncaught errors, unless an instrumentation for them is installed",
    ),
)
