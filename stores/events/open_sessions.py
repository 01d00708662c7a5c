"""Sessions that go on: which of them could hold a detection already, seen from a few columns of their newest events."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import numpy as np

from stores.events.event_reader import SessionBatch, build_span_parameters, group_into_batches
from stores.events.event_rows import to_uint64_array
from stores.events.event_store import EventStore

NEWEST_MS: Final = 10 * 60_000
"""The newest events of a session are those received within this time: three tries that run into time-outs take minutes."""
TRIES: Final = 3
"""Failures, and tries of the person, among the newest events from which a session may be blocked (``ufse.open_visits``)."""
MOST_EVENTS: Final = 10_000
"""Events of a client session that is looked at, at most. A longer one waits until it is complete, so that a page that stays
open for days is not read again every half minute."""
BATCH_EVENTS: Final = 100_000
"""Events that are judged together, unless one session has more."""

# What the engine may take for a failure or rejection; being slow is none as long as the answer may come.
_FAILED = """(
    (event_type = 'network' AND (status = 0 OR status >= 400)) OR event_type = 'error'
    OR (event_type = 'navigation' AND status >= 400)
    OR (event_type = 'form_submit' AND valid = 0)
)"""
# One event may be a whole burst: how many clicks were joined to it is counted by the engine.
_JOINED = "(event_type = 'click' AND (clicks >= {clicks:Int64} OR verdict = 'rage'))"
_STRUGGLING = f"""
    SELECT session_hash
    FROM events
    WHERE received_ms >= {{since:Int64}} AND session_hash IN {{hashes:Array(UInt64)}}
    GROUP BY session_hash
    HAVING countIf({_FAILED}) >= 1 AND (
        (countIf({_FAILED}) >= {TRIES} AND countIf(event_type IN ('click', 'form_submit')) >= {TRIES})
        OR countIf(nav_type = 'reload') >= {{reloads:Int64}}
        OR countIf({_JOINED}) >= 1
        OR arrayExists(
            (at, place) -> place >= {{clicks:Int64}} AND at - clicked[place - {{clicks:Int64}} + 1] <= {{burst:Int64}},
            arraySort(groupArrayIf(ts, event_type = 'click')) AS clicked,
            arrayEnumerate(clicked)
        )
    )
"""
_SIZES = """
    SELECT session_hash, count() AS events, min(received_ms) AS first, max(received_ms) AS last
    FROM events
    WHERE received_ms >= {first:Int64} AND received_ms <= {last:Int64} AND session_hash IN {hashes:Array(UInt64)}
    GROUP BY session_hash HAVING max(neg) = 1
"""


class Burst(NamedTuple):
    """The least that could be rage: so many clicks within so many milliseconds, or so many reloads."""

    clicks: int
    span_ms: int
    reloads: int


def find_struggling_sessions(events: EventStore, hashes: Sequence[int], now_ms: int, burst: Burst) -> set[int]:
    """Of these sessions (hashes), those whose newest events hold three failures and three tries, or a failure and a burst.

    Reads six columns of the events that were received within `NEWEST_MS` before ``now_ms``.
    """
    found = events.query_arrow(
        _STRUGGLING,
        {
            "hashes": [int(h) for h in hashes],
            "since": now_ms - NEWEST_MS,
            "clicks": burst.clicks,
            "burst": burst.span_ms,
            "reloads": burst.reloads,
        },
    )
    return set(to_uint64_array(found["session_hash"]).tolist())


def plan_open_batches(events: EventStore, hashes: Collection[int], first_received_ms: int) -> list[SessionBatch]:
    """These client sessions in batches to read and judge, without those of more than `MOST_EVENTS` events.

    ``first_received_ms``: nothing received earlier is read (see `EventReader.find_first_receipt`).
    """
    sizes = events.query_arrow(_SIZES, build_span_parameters(list(hashes), first_received_ms, None))
    small = sizes.filter(np.asarray(sizes["events"]) <= MOST_EVENTS)
    return group_into_batches(small, BATCH_EVENTS)
