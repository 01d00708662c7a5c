"""The table ``sessions``: the result of the analysis of each client session, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from stores.events.candidate_sessions import SPAN, select_candidates
from stores.events.event_database import EventDatabase
from stores.events.event_reader import build_span_parameters
from stores.events.event_rows import to_int64_array
from ufse.clocks import TOLERANCE_MS
from ufse.visits import ACTION_TYPES, POINTER_TYPES

_VISIT_GAP_MS = 15 * 60_000  # docs/contracts/detection.md, Sessions
_ACTION, _HOVER, _PAGE = 1, 2, 3
_PART = (
    f"multiIf(event_type IN {ACTION_TYPES}, {_ACTION}, event_type IN {POINTER_TYPES}, {_HOVER}, "
    f"event_type = 'navigation', {_PAGE}, 0)"
)
"""What an event is for the count of visits; see `ufse.visits`."""
_VISIT_ARRAYS = f"""
    arraySort(groupArrayArray(moments)) AS ordered,
    arrayMap(m -> m.1, ordered) AS times,
    arrayExists(m -> m.2 IN ({_ACTION}, {_HOVER}), ordered) AS pointed,
    arrayMap(m -> m.2 = {_ACTION} OR (m.2 = {_PAGE} AND NOT pointed), ordered) AS acts,
    arrayFill(t -> t >= 0, arrayMap((t, a) -> if(a, t, -1), times, acts)) AS action_before,
    arrayReverseFill(t -> t >= 0, arrayMap((t, a) -> if(a, t, -1), times, acts)) AS action_after,
    arrayMap((t, b, a) -> multiIf(b >= 0 AND t - b <= {_VISIT_GAP_MS}, 1, a >= 0 AND a - t <= {_VISIT_GAP_MS}, 2, 0),
             times, action_before, action_after) AS states
"""
"""The events of a session in order, from its ``moments`` (time in ms, what it is); see `ufse.visits.mark_visit_starts`."""
_COUNT_VISITS = f"""
    1 + arrayCount(i -> times[i + 1] - times[i] > {_VISIT_GAP_MS}
                        OR (states[i] != states[i + 1] AND NOT (states[i] = 2 AND states[i + 1] = 1))
                        OR (states[i] = 1 AND acts[i + 1] AND times[i + 1] - action_before[i] > {_VISIT_GAP_MS}),
                   range(1, length(times)))"""

SESSION_COLUMNS = pa.schema(
    [
        ("project", pa.string()),
        ("session_id", pa.string()),
        ("session_hash", pa.uint64()),
        ("visits", pa.uint32()),
        ("events", pa.uint32()),
        ("late_events", pa.uint32()),
        ("first_received_ms", pa.int64()),
        ("first_ts", pa.int64()),
        ("last_ts", pa.int64()),
        ("detections", pa.uint32()),
        ("rules", pa.list_(pa.string())),
        ("analysed_us", pa.uint64()),
    ]
)
"""Columns of the table ``sessions`` (schema/clickhouse) in the order in which they are inserted."""


@dataclass(frozen=True)
class SessionCounts:
    """Analysed visits, and how many with feedback each rule kept silent."""

    visits: int
    silent: dict[str, int]


class SessionTable(EventDatabase):
    """Writes and counts the sessions that were analysed."""

    def record_calm_sessions(
        self, hashes: Sequence[int], first_received_ms: int, analysed_us: int, last_received_ms: int | None = None
    ) -> int:
        """Write the rows of the client sessions that `read_candidate_events` does not return. Returns how many visits.

        They have no feedback, no late event and no actions that may lack an answer, so their visits are counted by the rules of
        `ufse.visits` alone, with the clock offset of each sender (`ufse.clocks`; a clock that was set in mid-session is not
        looked for). ``first_received_ms``: nothing received earlier is read (see `find_first_receipt`).
        """
        calm = self.query_arrow(
            f"""
            WITH {_VISIT_ARRAYS}
            SELECT project, session_id, session_hash, {_COUNT_VISITS} AS visits,
                   uniqExactMerge(ids) AS events, 0 AS late_events,
                   min(first_received) AS first_received_ms, min(first_at) AS first_ts, max(last_at) AS last_ts,
                   0 AS detections, CAST([], 'Array(String)') AS rules, {{now:UInt64}} AS analysed_us
            FROM (
                SELECT project, session_id, session_hash, user_agent, uniqExactState(event_id) AS ids,
                       minIf(received_ms - sent_ms, sent_ms >= 0) AS least,
                       if(abs(least) > {TOLERANCE_MS}, least, 0) AS clock_offset,
                       arrayMap(e -> (if(e.1 >= 0, e.1 + clock_offset, e.2), e.3),
                                groupArray((client_ts, ts, {_PART}))) AS moments,
                       min(received_ms) AS first_received,
                       min(ts) AS first_at, max(ts) AS last_at
                FROM events
                WHERE {SPAN} AND session_hash NOT IN (SELECT session_hash FROM ({select_candidates(SPAN)}))
                GROUP BY project, session_id, session_hash, user_agent
            )
            GROUP BY project, session_id, session_hash
            """,
            {**build_span_parameters(hashes, first_received_ms, last_received_ms), "now": analysed_us},
        )
        # Read and inserted again: counting what an INSERT … SELECT wrote would scan all rows.
        rows = pa.Table.from_arrays(calm.columns, SESSION_COLUMNS.names).cast(SESSION_COLUMNS)
        self.record_analysed_sessions(rows)
        return int(to_int64_array(rows["visits"]).sum())

    def record_analysed_sessions(self, rows: pa.Table) -> None:
        """Write the rows of client sessions that the engine has analysed (``SESSION_COLUMNS``)."""
        if rows.num_rows:
            with self.borrow_client() as client:
                # The default limit is 100 days; a backfill may have more.
                client.insert_arrow("sessions", rows, settings={"max_partitions_per_insert_block": 0})

    def count_sessions(self) -> SessionCounts:
        """Count the analysed visits, and the visits with negative feedback by the rule that kept them silent.

        Reads two columns of all sessions and merges the versions of each session within its day of receipt. Past days are
        merged already.
        """
        settings = {"do_not_merge_across_partitions_select_final": 1}
        visits = self.query_arrow("SELECT sum(visits) AS n FROM sessions FINAL", extra=settings)["n"][0].as_py()
        silent = self.query_arrow(
            "SELECT arrayJoin(rules) AS rule, count() AS n FROM sessions FINAL GROUP BY rule ORDER BY n DESC, rule",
            extra=settings,
        )
        return SessionCounts(int(visits or 0), {row["rule"]: row["n"] for row in silent.to_pylist()})
