"""Sentry's envelopes → events of the contract (docs/streams/sentry.md says what is reported and what is not).

The session is the replay; without a replay it is the trace. Requests come from the replay; spans of requests are read only
where no replay runs.
"""

from typing import Final

import msgspec

from collector.streams.lenient import read_session, read_text, read_time
from collector.streams.rrweb.wire import read_shape
from collector.streams.sentry import envelopes, shapes
from collector.streams.sentry.errors import read_error
from collector.streams.sentry.recordings import Around, read_segment
from collector.streams.sentry.spans import read_spans, read_transaction
from collector.streams.sentry.values import read_page, read_seconds, read_user
from collector.streams.stream import Reading, RejectedItem, SentBody, Stream, UnreadableBody

_IGNORED_KINDS: Final = frozenset(
    {
        *(
            "session",
            "sessions",
            "client_report",
            "log",
            "feedback",
            "user_report",
            "profile",
            "profile_chunk",
            "check_in",
        ),
        *(
            "attachment",
            "replay_video",
            "statsd",
            "metric",
            "metric_buckets",
            "trace_metric",
            "raw_security",
            "span_v1",
        ),
    }
)


def read_body(sent: SentBody) -> Reading:
    """The events of one envelope. Raises UnreadableBody if its first line is no header."""
    header = envelopes.read_header(sent.content)
    reading = Reading()
    reading.sent_ms = read_time(header.sent_at) if isinstance(header.sent_at, str) else None
    reading.sdk_version = _read_sdk(header.sdk)
    trace = read_shape(envelopes.TRACE, header.trace) or envelopes.Trace()
    replay, trace_id = read_session(trace.replay_id), read_session(trace.trace_id)
    around = Around(read_session(header.event_id))
    for item in envelopes.split_items(sent.content):
        if item.payload is None:
            kind = (
                item.kind if item.kind in _IGNORED_KINDS | {"event", "replay_event", "replay_recording", "span"} else ""
            )
            reading.rejects.append(RejectedItem(kind or "item", "is cut or has no header", {}))
        elif item.kind == "replay_event":
            around = _read_replay_event(item.payload, around, reading)
        elif item.kind == "replay_recording":
            _read_recording(item.payload, around, reading)
        elif item.kind == "event":
            read_error(item.payload, replay, trace_id, reading)
        elif item.kind == "span":
            read_spans(item.payload, replay, reading)
        elif item.kind == "transaction":
            read_transaction(item.payload, replay, reading)
        else:
            reading.ignored[item.kind if item.kind in _IGNORED_KINDS else "unknown item"] += 1
    return reading


def _read_sdk(raw: msgspec.Raw) -> str:
    sdk = read_shape(envelopes.SDK, raw) or envelopes.Sdk()
    name, version = read_text(sdk.name, 64), read_text(sdk.version, 32)
    return f"{name}/{version}" if name and version else ""


def _read_replay_event(payload: bytes, around: Around, reading: Reading) -> Around:
    """What a replay's event says of the recording after it."""
    replay = read_shape(shapes.REPLAY_EVENT, payload)
    if replay is None:
        reading.rejects.append(RejectedItem("replay_event", "is no JSON object", {}))
        return around
    return Around(
        session=read_session(replay.replay_id) or around.session,
        user=read_user(replay.user),
        page=read_page(replay.request),
        ends_ms=round(read_seconds(replay.timestamp) or 0),
        app_version=read_text(replay.release, 128),
        environment=read_text(replay.environment, 64),
    )


def _read_recording(payload: bytes, around: Around, reading: Reading) -> None:
    if not around.session:
        reading.rejects.append(RejectedItem("replay_id", "the recording has no replay", {}))
        return
    try:
        _, content = envelopes.read_recording(payload)
        read_segment(content, around, reading)
    except UnreadableBody as error:
        reading.rejects.append(RejectedItem("replay_recording", str(error), {}))


def recognise_body(sent: SentBody) -> bool:
    """Whether the first two lines are headers of an envelope and of one of its items."""
    head, _, rest = sent.content.partition(b"\n")
    try:
        header = envelopes.read_header(head)
    except UnreadableBody:
        return False
    named = (
        any(value is not None for value in (header.sent_at, header.event_id, header.dsn))
        or bytes(header.sdk) != b"null"
    )
    line = rest.partition(b"\n")[0]
    return named and line[:1] == b"{" and b'"type"' in line and b'"eventType"' not in line


STREAM: Final = Stream(
    name="sentry",
    title="Sentry",
    read=read_body,
    recognises=recognise_body,
    unreadable_status=200,
    max_bytes=envelopes.MAX_BYTES,
    request_headers=("sentry-trace", "baggage", "x-sentry-auth"),
    lacks=(
        "everything but errors and requests, in visits without Session Replay",
        "forms and typing: a submit that the browser refuses is a click",
        "whether the page changed after a click (`responded`)",
        "names of controls, while Replay masks texts: a control is known by its id, test id or selector",
        "the status of a page that the server answered",
    ),
)
