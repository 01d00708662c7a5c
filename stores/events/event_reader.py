"""Reading events back: the client sessions that could hold a detection, in batches that suit the engine."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stores.events.candidate_sessions import SPAN, select_candidates
from stores.events.event_database import EventDatabase
from stores.events.event_rows import EVENT_COLUMNS, to_int64_array, to_uint64_array

REPLAY_EVENTS = 200_000
"""Events of one batch of a replay: small, so that fetching and detection overlap early."""

BATCH_EVENTS = 300_000
"""Events of one analysis, unless one session has more. The engine is fastest with 0.2 to 1 million, about 100 MB."""

_LONG_SESSION_MS = 6 * 3_600_000  # nearly all sessions are received within this time; see group_into_batches
_MOST_SESSIONS = 20_000  # of one query: its text, whose length is limited, holds their hashes
_NO_END = 2**62


@dataclass(frozen=True)
class SessionBatch:
    """Client sessions to read together: their hashes, and the span of receipt (epoch ms) of all of them."""

    hashes: list[int]
    first_received_ms: int
    last_received_ms: int


class EventReader(EventDatabase):
    """Reads events and client sessions."""

    def find_sessions_in_window(self, start_ms: int, end_ms: int, project: str | None = None) -> pa.Table:
        """The client sessions with an event in the window [``start_ms``, ``end_ms``) of event time, one row each.

        Columns as in ``TouchedSessions``: project, session_id, session_hash, last_ts, ended_ts (0: none), first_received_ms,
        last_received_ms, all of the whole session. Ordered by first receipt, so that one batch covers a short span.
        """
        return self.query_arrow(
            """
            SELECT project, session_id, session_hash,
                   max(ts) AS last_ts, maxIf(ts, event_type = 'session_end') AS ended_ts,
                   min(received_ms) AS first_received_ms, max(received_ms) AS last_received_ms
            FROM events
            WHERE session_hash IN (
                SELECT session_hash FROM events
                WHERE ts >= {start:Int64} AND ts < {end:Int64} AND ({all:UInt8} = 1 OR project = {project:String})
            )
            GROUP BY project, session_id, session_hash
            ORDER BY first_received_ms, project, session_id
            """,
            {"start": start_ms, "end": end_ms, "all": int(project is None), "project": project or ""},
        )

    def find_oldest_receipt(self) -> int:
        """Receipt (epoch ms) of the oldest stored event; 0: none. Read from the index of the parts."""
        return int(self.query_arrow("SELECT min(received_ms) AS oldest FROM events")["oldest"][0].as_py())

    def find_first_receipt(self, hashes: Sequence[int], first_received_ms: int) -> int:
        """The earliest receipt (epoch ms) of an event of these client sessions; ``first_received_ms`` or earlier.

        The table ``sessions`` knows it from earlier analyses, so that a query need not scan all days.
        """
        known = self.query_arrow(
            "SELECT minOrNull(first_received_ms) AS first FROM sessions WHERE session_hash IN {hashes:Array(UInt64)}",
            {"hashes": [int(h) for h in hashes]},
        )["first"][0].as_py()
        return first_received_ms if known is None else min(known, first_received_ms)

    def plan_batches(
        self,
        hashes: Sequence[int],
        first_received_ms: int,
        last_received_ms: int | None = None,
        most_events: int = BATCH_EVENTS,
    ) -> list[SessionBatch]:
        """The client sessions that could hold a detection (see `read_candidate_events`), in batches of ``most_events`` events.

        Sessions are never split: a larger session is a batch of its own.
        """
        suspects = self.query_arrow(
            select_candidates(SPAN),
            build_span_parameters(hashes, first_received_ms, last_received_ms),
        )
        return group_into_batches(suspects, most_events)

    def read_candidate_events(
        self, hashes: Sequence[int], first_received_ms: int, last_received_ms: int | None = None
    ) -> pa.Table:
        """All events, once each, of the client sessions that could hold a detection (`EVENT_SCHEMA`; see `build_event_table`).

        `stores.events.candidate_sessions` says which these are. ``first_received_ms`` and ``last_received_ms`` (None: no end)
        limit the receipt of the events that are read (see `find_first_receipt`).
        """
        return self.query_events(
            f"""
            SELECT {EVENT_COLUMNS}
            FROM events
            WHERE received_ms >= {{first:Int64}} AND received_ms <= {{last:Int64}}
              AND session_hash IN (SELECT session_hash FROM ({select_candidates(SPAN)}))
            """,
            build_span_parameters(hashes, first_received_ms, last_received_ms),
        )

    def replay_sessions(
        self, start_ms: int, end_ms: int, project: str | None = None, batch_events: int = REPLAY_EVENTS
    ) -> Iterator[pa.Table]:
        """The whole client sessions that could hold a detection and have an event in [``start_ms``, ``end_ms``).

        The window is of event time. Batches of about ``batch_events`` events (columns as in `read_candidate_events`), in the
        order of receipt. A thread fetches the next batch while the caller works on this one.

        One query finds the sessions; then each batch reads its span of receipt alone. Buckets by session hash would be
        simpler, but the events of a bucket lie in every granule: 16 buckets decompress the table 16 times.
        """
        slices = _plan_replay_queries(self._find_suspect_sessions(start_ms, end_ms, project), batch_events)
        if not slices:
            return
        with ThreadPoolExecutor(1, thread_name_prefix="replay") as pool:
            ahead = pool.submit(self.query_events, *slices[0])
            for following in slices[1:]:
                table = ahead.result()
                ahead = pool.submit(self.query_events, *following)
                yield table
            yield ahead.result()

    def _find_suspect_sessions(self, start_ms: int, end_ms: int, project: str | None) -> pa.Table:
        """Sessions that could hold a detection, with an event in the window: hash, events, first and last receipt (ms)."""
        return self.query_arrow(
            select_candidates("{all:UInt8} = 1 OR project = {project:String}", "inside > 0", late=False),
            {"start": start_ms, "end": end_ms, "all": int(project is None), "project": project or ""},
        )


def build_span_parameters(
    hashes: Sequence[int], first_received_ms: int, last_received_ms: int | None
) -> dict[str, object]:
    """The parameters ``hashes``, ``first`` and ``last`` (receipt, epoch ms; None: no end) of a query."""
    last = _NO_END if last_received_ms is None else last_received_ms
    return {"hashes": [int(h) for h in hashes], "first": first_received_ms, "last": last}


def _plan_replay_queries(suspects: pa.Table, batch_events: int) -> list[tuple[str, dict[str, object]]]:
    """Queries for about ``batch_events`` events each, that together read every session of `_suspects` once."""
    sql = f"""
        SELECT {EVENT_COLUMNS} FROM events
        WHERE received_ms >= {{first:Int64}} AND received_ms <= {{last:Int64}} AND session_hash IN {{hashes:Array(UInt64)}}
    """
    return [
        (sql, {"hashes": batch.hashes, "first": batch.first_received_ms, "last": batch.last_received_ms})
        for batch in group_into_batches(suspects, batch_events)
    ]


def group_into_batches(suspects: pa.Table, batch_events: int) -> list[SessionBatch]:
    """Sessions (session_hash, events, first, last) in groups of about ``batch_events`` events, neighbours in receipt together.

    The few that last for hours come last, so that they do not widen the span of the others.
    """
    hashes, events = to_uint64_array(suspects["session_hash"]), to_int64_array(suspects["events"])
    first, last = to_int64_array(suspects["first"]), to_int64_array(suspects["last"])
    order = np.lexsort((hashes, first, last - first > _LONG_SESSION_MS))
    weight = np.maximum(events, -(-batch_events // _MOST_SESSIONS))[order]
    number = (np.cumsum(weight) - 1) // batch_events
    groups = np.split(order, np.flatnonzero(np.diff(number)) + 1) if len(order) else []
    return [SessionBatch(hashes[rows].tolist(), int(first[rows].min()), int(last[rows].max())) for rows in groups]
