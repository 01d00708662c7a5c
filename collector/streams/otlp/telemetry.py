"""Spans and log records of one request, whatever their encoding; of their attributes only those that Furrow reads."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from collector.streams.kept import MAX_KEPT
from collector.streams.stream import RejectedItem, WireEvent

Scalar = str | int | float | bool
Attributes = dict[str, Scalar]

SESSION_KEYS: Final = ("session.id", "splunk.rumSessionId", "rum.sessionId")
"""OpenTelemetry and Honeycomb, Splunk, HyperDX."""

PAGE_KEYS: Final = ("browser.document.url.full", "location.href", "page.url", "url.path")
"""OpenTelemetry's browser-sdk 0.4.0, Splunk and HyperDX, Honeycomb (both of the last)."""

USER_KEYS: Final = ("user.id", "enduser.id", "enduser.pseudo.id")

READ_KEYS: Final = frozenset(
    (
        *SESSION_KEYS,
        *PAGE_KEYS,
        *USER_KEYS,
        "browser.css_selector",
        "browser.navigation.same_document",
        "browser.navigation.type",
        "browser.page.x",
        "browser.page.y",
        "browser.tag_name",
        "component",
        "error.message",
        "error.object",
        "error.stack",
        "error.type",
        "event.name",
        "event_type",
        "exception.message",
        "exception.stacktrace",
        "exception.type",
        "http.method",
        "http.request.method",
        "http.response.status_code",
        "http.status_code",
        "http.url",
        "prev.href",
        "same_document",
        "target_element",
        "target_xpath",
        "type",
        "url.full",
        # of resources
        "deployment.environment",
        "deployment.environment.name",
        "service.version",
        "telemetry.sdk.language",
        "telemetry.sdk.version",
        "user_agent.original",
    )
)
"""All attributes that are read; others are dropped while decoding."""

MAX_REJECTS: Final = 1_000
"""Rejected items that one reading lists; more are counted as ``beyond_limit``."""

MAX_ITEMS: Final = 20_000
"""Senders, scopes, spans and log records of one request that are read: a Collector sends 8,192 items at once, an SDK 512. More
are counted as ``beyond_limit``, so that a body of empty items costs no minute."""

CLIENT: Final = 3
"""`SpanKind` of a request that the page sends."""

FAILED: Final = 2
"""`Status.code` ERROR."""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    name: str
    time_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """Times are in nanoseconds since 1970; ids are lower-case hexadecimal; ``kind`` and ``status`` are OTLP's numbers.

    ``resource`` holds what the sender says of itself, and is the same object for all spans of one sender.
    """

    name: str
    kind: int
    status: int
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: tuple[SpanEvent, ...]
    resource: Attributes


@dataclass(frozen=True, slots=True)
class LogRecord:
    """``time_ns``: when it happened, else when it was observed; nanoseconds since 1970. Its body is never read."""

    name: str
    time_ns: int
    attributes: Attributes
    resource: Attributes


@dataclass(slots=True)
class Telemetry:
    """What one request holds, in its order. ``rejects`` and ``ignored`` as in `Reading`."""

    spans: list[Span] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)
    rejects: list[RejectedItem] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    taken: int = 0

    def has_room(self) -> bool:
        """Take one item more; False, and counted, once MAX_ITEMS are taken."""
        self.taken += 1
        if self.taken > MAX_ITEMS:
            self.ignored["beyond_limit"] += 1
            return False
        return True

    def reject(self, field_name: str, reason: str, keep: Callable[[], WireEvent] = dict) -> None:
        """``keep`` makes what is kept of the item; it is asked only where the item is listed."""
        kept = keep() if len(self.rejects) < MAX_KEPT else {}
        add_reject(self.rejects, self.ignored, RejectedItem(field_name, reason, kept))


def add_reject(rejects: list[RejectedItem], ignored: Counter[str], item: RejectedItem) -> None:
    """List ``item``, or count it once MAX_REJECTS are listed."""
    if len(rejects) < MAX_REJECTS:
        rejects.append(item)
    else:
        ignored["beyond_limit"] += 1


def find_text(attributes: Attributes, *keys: str) -> str:
    """The first text under ``keys`` that is not empty, or an empty one."""
    for key in keys:
        value = attributes.get(key)
        if isinstance(value, str) and value:
            return value
    return ""


def find_number(attributes: Attributes, *keys: str) -> int | None:
    """The first whole number under ``keys``, also one written as text."""
    for key in keys:
        number = parse_integer(attributes.get(key))
        if number is not None:
            return number
    return None


def parse_integer(value: object) -> int | None:
    """``value`` as a whole number of at most 20 digits: OTLP/JSON writes 64-bit numbers as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**20 else None
    if isinstance(value, float):
        return int(value) if abs(value) < 10**20 else None  # NaN compares false
    if isinstance(value, str) and len(value) <= 21 and value.isascii() and value.removeprefix("-").isdigit():
        return int(value)
    return None
