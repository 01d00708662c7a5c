"""What is read of Sentry's items: a white list. Texts of the page are masked by the SDK with asterisks; those are no names."""

from typing import Final

import msgspec


class Request(msgspec.Struct, gc=False):
    """The page that an item belongs to."""

    url: object = None


class ReplayEvent(msgspec.Struct, gc=False):
    """What accompanies a recording. ``timestamp``: when the segment was flushed, in seconds."""

    replay_id: object = None
    timestamp: object = None
    request: msgspec.Raw = msgspec.Raw(b"null")
    user: msgspec.Raw = msgspec.Raw(b"null")
    release: object = None
    environment: object = None


class User(msgspec.Struct, gc=False):
    """The id alone: e-mail address, name and IP address are not read."""

    id: object = None


class Attributes(msgspec.Struct, gc=False):
    """Attributes of a clicked node."""

    id: object = None
    test_id: object = msgspec.field(name="testId", default=None)
    role: object = None
    name: object = None
    type: object = None
    disabled: object = None
    aria_disabled: object = msgspec.field(name="aria-disabled", default=None)
    aria_label: object = msgspec.field(name="aria-label", default=None)


class Node(msgspec.Struct, gc=False):
    """A clicked node."""

    tag: object = msgspec.field(name="tagName", default=None)
    text: object = msgspec.field(name="textContent", default=None)
    attributes: msgspec.Raw = msgspec.Raw(b"null")


class CrumbData(msgspec.Struct, gc=False):
    """Data of the breadcrumbs that are read. ``from`` and ``to``: pages of a navigation."""

    node_id: object = msgspec.field(name="nodeId", default=None)
    node: msgspec.Raw = msgspec.Raw(b"null")
    left: object = msgspec.field(name="from", default=None)
    to: object = None
    end_reason: object = msgspec.field(name="endReason", default=None)
    click_count: object = msgspec.field(name="clickCount", default=None)


class Crumb(msgspec.Struct, gc=False):
    """A breadcrumb; ``timestamp`` in seconds."""

    category: object = None
    message: object = None
    timestamp: object = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class SpanData(msgspec.Struct, gc=False):
    """Data of a performance span of a replay. ``domInteractive``: milliseconds after the page load began."""

    method: object = None
    status: object = msgspec.field(name="statusCode", default=None)
    interactive: object = msgspec.field(name="domInteractive", default=None)


class PerformanceSpan(msgspec.Struct, gc=False):
    """A request or page load in a replay; times in seconds, ``description`` its address."""

    op: object = None
    description: object = None
    start: object = msgspec.field(name="startTimestamp", default=None)
    end: object = msgspec.field(name="endTimestamp", default=None)
    data: msgspec.Raw = msgspec.Raw(b"null")


class Frame(msgspec.Struct, gc=False):
    """A place in a script."""

    filename: object = None
    line: object = msgspec.field(name="lineno", default=None)
    column: object = msgspec.field(name="colno", default=None)


class Stack(msgspec.Struct, gc=False):
    """Frames, the innermost last."""

    frames: list[Frame] | None = None


class Mechanism(msgspec.Struct, gc=False):
    """How an exception came to Sentry."""

    type: object = None
    handled: object = None


class Thrown(msgspec.Struct, gc=False):
    """One exception of a chain."""

    type: object = None
    value: object = None
    stacktrace: Stack | None = None
    mechanism: Mechanism | None = None


class Exceptions(msgspec.Struct, gc=False):
    """A chain of exceptions; the last was caught by Sentry, the others are its causes."""

    values: list[Thrown] | None = None


class ErrorEvent(msgspec.Struct, gc=False):
    """An ``event`` item; ``timestamp`` in seconds or an ISO text."""

    event_id: object = None
    timestamp: object = None
    exception: Exceptions | list[Thrown] | None = None
    request: msgspec.Raw = msgspec.Raw(b"null")
    tags: msgspec.Raw = msgspec.Raw(b"null")
    contexts: msgspec.Raw = msgspec.Raw(b"null")
    user: msgspec.Raw = msgspec.Raw(b"null")
    release: object = None
    environment: object = None


class Tags(msgspec.Struct, gc=False):
    """The one tag that is read."""

    replay_id: object = msgspec.field(name="replayId", default=None)


class ReplayContext(msgspec.Struct, gc=False):
    """The replay during which something happened."""

    replay_id: object = None


class TraceContext(msgspec.Struct, gc=False):
    """The trace in which something happened. ``data``: attributes of a transaction's own span."""

    trace_id: object = None


class Contexts(msgspec.Struct, gc=False):
    """The contexts that are read."""

    replay: msgspec.Raw = msgspec.Raw(b"null")
    trace: msgspec.Raw = msgspec.Raw(b"null")


class StreamedSpan(msgspec.Struct, gc=False):
    """A span of version 2; times in seconds, attributes ``{name: {value, type}}``."""

    span_id: object = None
    trace_id: object = None
    start: object = msgspec.field(name="start_timestamp", default=None)
    end: object = msgspec.field(name="end_timestamp", default=None)
    attributes: dict[str, msgspec.Raw] = {}


class StreamedSpans(msgspec.Struct, gc=False):
    """A container of spans of version 2."""

    items: list[msgspec.Raw] = []


class SpanAttributes(msgspec.Struct, gc=False):
    """Attributes of a span before version 2."""

    method: object = msgspec.field(name="http.request.method", default=None)
    old_method: object = msgspec.field(name="http.method", default=None)
    status: object = msgspec.field(name="http.response.status_code", default=None)
    url: object = msgspec.field(name="url.full", default=None)
    old_url: object = msgspec.field(name="http.url", default=None)
    plain_url: object = msgspec.field(name="url", default=None)
    replay: object = msgspec.field(name="sentry.replay_id", default=None)
    old_replay: object = msgspec.field(name="replay_id", default=None)


class OldSpan(msgspec.Struct, gc=False):
    """A span of a transaction; times in seconds."""

    op: object = None
    span_id: object = None
    trace_id: object = None
    start: object = msgspec.field(name="start_timestamp", default=None)
    end: object = msgspec.field(name="timestamp", default=None)
    data: msgspec.Raw = msgspec.Raw(b"null")


class Transaction(msgspec.Struct, gc=False):
    """A ``transaction`` item."""

    spans: list[msgspec.Raw] = []
    request: msgspec.Raw = msgspec.Raw(b"null")
    tags: msgspec.Raw = msgspec.Raw(b"null")
    contexts: msgspec.Raw = msgspec.Raw(b"null")
    user: msgspec.Raw = msgspec.Raw(b"null")


class AttributeValue(msgspec.Struct, gc=False):
    """An attribute of a span of version 2."""

    value: object = None


REQUEST: Final = msgspec.json.Decoder(Request)
REPLAY_EVENT: Final = msgspec.json.Decoder(ReplayEvent)
USER: Final = msgspec.json.Decoder(User)
ATTRIBUTES: Final = msgspec.json.Decoder(Attributes)
NODE: Final = msgspec.json.Decoder(Node)
CRUMB: Final = msgspec.json.Decoder(Crumb)
CRUMB_DATA: Final = msgspec.json.Decoder(CrumbData)
SPAN_DATA: Final = msgspec.json.Decoder(SpanData)
PERFORMANCE_SPAN: Final = msgspec.json.Decoder(PerformanceSpan)
ERROR_EVENT: Final = msgspec.json.Decoder(ErrorEvent)
TAGS: Final = msgspec.json.Decoder(Tags)
CONTEXTS: Final = msgspec.json.Decoder(Contexts)
REPLAY_CONTEXT: Final = msgspec.json.Decoder(ReplayContext)
TRACE_CONTEXT: Final = msgspec.json.Decoder(TraceContext)
STREAMED_SPANS: Final = msgspec.json.Decoder(StreamedSpans)
STREAMED_SPAN: Final = msgspec.json.Decoder(StreamedSpan)
ATTRIBUTE_VALUE: Final = msgspec.json.Decoder(AttributeValue)
TRANSACTION: Final = msgspec.json.Decoder(Transaction)
OLD_SPAN: Final = msgspec.json.Decoder(OldSpan)
SPAN_ATTRIBUTES: Final = msgspec.json.Decoder(SpanAttributes)
