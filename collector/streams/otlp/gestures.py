"""One click is one event: OpenTelemetry sends a span for each listener that a click reached (8 to 19 in React), and both a span
and a log record where both of its instrumentations are installed."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from collector.streams.otlp.targets import Target
from collector.streams.stream import WireEvent

NEAR_NS: Final = 20_000_000
"""Listeners of one click begin within 5 ms in the recordings; two clicks of a person are 80 ms apart and more."""

HANDOVER_NS: Final = 5_000_000
"""The next listener begins when the one before returns, which may be late (63 ms in a recording)."""

BUCKET_MS: Final = 100
"""Gestures of one kind, session and stretch of this length have one key: a fold across requests, where no gesture crosses from
one stretch to the next (5 ms of 100)."""


@dataclass(frozen=True, slots=True)
class Gesture:
    """One span or log record of a click or submit. ``span_id`` is empty for a log record."""

    event_type: str
    session_id: str
    start_ns: int
    end_ns: int
    span_id: str
    target: Target
    event: WireEvent


@dataclass(slots=True)
class Folded:
    """``events``: one for each gesture. ``event_ids``: span → the `eventId` of its gesture. ``repeated``: folded away."""

    events: list[WireEvent] = field(default_factory=list)
    event_ids: dict[str, str] = field(default_factory=dict)
    repeated: int = 0


def fold_gestures(gestures: Iterable[Gesture]) -> Folded:
    """The gestures of one request, whatever their order: those whose listeners follow each other are one."""
    folded = Folded()
    keys: set[tuple[str, str]] = set()
    group: list[Gesture] = []
    for gesture in sorted(gestures, key=_order):
        if group and not _continues(group, gesture):
            _add_group(group, keys, folded)
            group = []
        group.append(gesture)
    if group:
        _add_group(group, keys, folded)
    return folded


def _order(gesture: Gesture) -> tuple[str, str, int, str, str]:
    return gesture.event_type, gesture.session_id, gesture.start_ns, gesture.span_id, gesture.target.selector


def _continues(group: list[Gesture], gesture: Gesture) -> bool:
    last = group[-1]
    if (last.event_type, last.session_id) != (gesture.event_type, gesture.session_id):
        return False
    if gesture.start_ns - last.start_ns <= NEAR_NS:
        return True
    # One element only: another one that is clicked when a handler returns was clicked by the person.
    same = gesture.target == last.target
    return same and any(abs(gesture.start_ns - member.end_ns) <= HANDOVER_NS for member in group[-32:])


def _add_group(group: list[Gesture], keys: set[tuple[str, str]], folded: Folded) -> None:
    """One event out of ``group``: its first time, the best target, and the span whose handler did most as its id, because that
    one is the parent of what the handler sent."""
    first, best = group[0], max(group, key=lambda member: member.target.rank)
    busiest = max(group, key=lambda member: (bool(member.span_id), member.end_ns - member.start_ns))
    start_ms = first.start_ns // 1_000_000
    key = f"{first.event_type}:{start_ms // BUCKET_MS}"
    event: WireEvent = {**best.event, "timestamp": start_ms, "idempotencyKey": key}
    if best.target.to_wire():
        event["target"] = best.target.to_wire()
    placed = next((member.event["metadata"] for member in group if member.event.get("metadata")), None)
    if placed is not None:
        event["metadata"] = placed
    if busiest.span_id:
        event["eventId"] = busiest.span_id
        folded.event_ids.update((member.span_id, busiest.span_id) for member in group if member.span_id)
    folded.repeated += len(group) - 1
    if (first.session_id, key) not in keys:
        keys.add((first.session_id, key))
        folded.events.append(event)
    else:
        folded.repeated += 1


def make_key(*parts: object) -> str:
    """An idempotency key of what has no id of its own."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "replace"), digest_size=16).hexdigest()
