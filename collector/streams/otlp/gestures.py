"""One click is one event: OpenTelemetry sends a span for each listener that a click reached (8 to 19 in React), and both a span
and a log record where both of its instrumentations are installed."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from collector.streams.otlp.targets import Target
from collector.streams.stream import WireEvent

NEAR_NS: Final = 20_000_000
"""Listeners of one click begin within 5 ms in the recordings; two clicks of a person are 80 ms apart and more."""

HANDOVER_NS: Final = 5_000_000
"""The next listener begins when the one before returns, which may be late (63 ms in a recording)."""

BUSY_NS: Final = 300_000_000
"""Gap between the listeners of one click on a busy page (183 ms in a recording of a calm visit)."""

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
    groups: list[list[Gesture]] = []
    for gesture in sorted(gestures, key=_order):
        if groups and _continues(groups[-1], gesture):
            groups[-1].append(gesture)
        else:
            groups.append([gesture])
    for group in _join_late_listeners(groups):
        _add_group(group, keys, folded)
    return folded


def _join_late_listeners(groups: list[list[Gesture]]) -> list[list[Gesture]]:
    """Put together what one click left in several groups because the page was busy between its listeners.

    How many listeners a click reaches is seen from the other clicks of the request: the most common number of two and more,
    of equally common ones the larger. Neighbours on one element join where together they have exactly as many.
    """
    sizes = Counter((_kind(group[0]), len(group)) for group in groups if len(group) > 1)
    usual: dict[tuple[str, str], tuple[int, int]] = {}
    for (kind, size), often in sizes.items():
        usual[kind] = max(usual.get(kind, (0, 0)), (often, size))
    joined: list[list[Gesture]] = []
    at = 0
    while at < len(groups):
        size = usual.get(_kind(groups[at][0]), (0, 0))[1]
        end = _find_end_of_click(groups, at, size)
        joined.append([gesture for group in groups[at:end] for gesture in group])
        at = end
    return joined


def _find_end_of_click(groups: list[list[Gesture]], at: int, size: int) -> int:
    """The end of the run of groups from ``at`` that has ``size`` listeners in all; of one group where no run has."""
    count, end = len(groups[at]), at + 1
    while count < size and end < len(groups):
        last, first = groups[end - 1][-1], groups[end][0]
        gap = first.start_ns - max(last.start_ns, last.end_ns)
        if _kind(last) != _kind(first) or last.target != first.target or gap > BUSY_NS:
            break
        count += len(groups[end])
        end += 1
    return end if count == size else at + 1


def _kind(gesture: Gesture) -> tuple[str, str]:
    return gesture.event_type, gesture.session_id


def _order(gesture: Gesture) -> tuple[str, str, int, str, str]:
    return gesture.event_type, gesture.session_id, gesture.start_ns, gesture.span_id, gesture.target.selector


def _continues(group: list[Gesture], gesture: Gesture) -> bool:
    last = group[-1]
    if _kind(last) != _kind(gesture):
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
