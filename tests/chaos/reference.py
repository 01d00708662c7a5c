"""A sessionizer as detection.md (Sessions) says it, in plain Python and as slow as it likes; it shares no line with the engine.

docs/decisions/0003 reads: an event is late only if it lies in or
within 15 min of a visit that was there before the silence of receipt.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

GAP_MS = 15 * 60_000
SILENCE_MS = 75 * 60_000


class Seen(NamedTuple):
    """One stored copy of an event of one client session; times in epoch ms."""

    event_id: str
    ts: int
    received_ms: int


@dataclass(frozen=True)
class Told:
    """``visits``: the ids of the events of each, by start; ``late``: ids of those that are kept and not analysed."""

    visits: tuple[frozenset[str], ...]
    late: frozenset[str]


def told(copies: Iterable[Seen]) -> Told:
    """The visits of one client session and its late events, from all stored copies in any order."""
    first: dict[str, Seen] = {}
    for copy in copies:
        if copy.event_id not in first or copy.received_ms < first[copy.event_id].received_ms:
            first[copy.event_id] = copy
    accepted: list[Seen] = []
    late: list[Seen] = []
    for epoch in _epochs(sorted(first.values(), key=lambda one: one.received_ms)):
        before = [one.ts for one in accepted]
        for event in epoch:
            is_late = any(abs(event.ts - ts) <= GAP_MS for ts in before)
            (late if is_late else accepted).append(event)
    return Told(tuple(_visits(accepted)), frozenset(one.event_id for one in late))


def _epochs(by_receipt: list[Seen]) -> Iterable[list[Seen]]:
    epoch: list[Seen] = []
    for event in by_receipt:
        if epoch and event.received_ms - epoch[-1].received_ms > SILENCE_MS:
            yield epoch
            epoch = []
        epoch.append(event)
    yield epoch


def _visits(events: list[Seen]) -> Iterable[frozenset[str]]:
    visit: list[Seen] = []
    for event in sorted(events, key=lambda one: one.ts):
        if visit and event.ts - visit[-1].ts > GAP_MS:
            yield frozenset(one.event_id for one in visit)
            visit = []
        visit.append(event)
    if visit:
        yield frozenset(one.event_id for one in visit)
