"""The table ``sessions``: the result of the analysis of each client session, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from stores.events.event_database import EventDatabase
from stores.events.event_reader import LATE_RECEIPT_MS, build_span_parameters
from stores.events.event_rows import to_int64_array

_VISIT_GAP_MS = 15 * 60_000  # docs/contracts/detection.md, Sessions

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

        They have no feedback and no late event, so gaps of more than 15 min between events separate their visits.
        ``first_received_ms``: nothing received earlier is read (see `find_first_receipt`).
        """
        calm = self.query_arrow(
            f"""
            SELECT project, session_id, session_hash,
                   1 + arrayCount(gap -> gap > {_VISIT_GAP_MS}, arrayDifference(arraySort(groupArray(ts)))) AS visits,
                   uniqExact(event_id) AS events, 0 AS late_events,
                   min(received_ms) AS first_received, min(ts) AS first_at, max(ts) AS last_at,
                   0 AS detections, CAST([], 'Array(String)') AS rules, {{now:UInt64}} AS analysed_us
            FROM events
            WHERE received_ms >= {{first:Int64}} AND received_ms <= {{last:Int64}}
              AND session_hash IN {{hashes:Array(UInt64)}}
            GROUP BY project, session_id, session_hash
            HAVING max(neg) = 0 AND max(received_ms) - first_received <= {LATE_RECEIPT_MS}
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
