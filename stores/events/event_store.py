"""The event store: takes raw events, and finds the client sessions to analyse.

Text from a browser enters SQL as a bound parameter or as data, never as SQL.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stores.events import event_schema
from stores.events.event_database import INSERT_SECONDS
from stores.events.event_reader import EventReader
from stores.events.event_rows import to_int64_array, to_uint64_array
from stores.events.session_table import SESSION_COLUMNS, SessionTable
from ufse.visits import ACTION_TYPES, POINTER_TYPES

__all__ = ["OVERLAP_US", "SESSION_COLUMNS", "SLICE_EVENTS", "EventCounts", "EventStore", "TouchedSessions"]

OVERLAP_US = 120_000_000
"""How far behind the watermark each batch reads again, µs; longer than an insert can take (`INSERT_SECONDS`)."""

SLICE_EVENTS = 500_000
"""Newly landed events of one slice: a backlog of one hour at 500 events/s takes four slices."""

EXACT_ROWS = 1_000_000
"""Maximum rows for an exact count of distinct events; above it the error is below 0.5 % (`count_events`)."""

_COUNT_ON = """
    INSERT INTO counted (day, ids, last_us)
    SELECT toDate(fromUnixTimestamp64Milli(received_ms, 'UTC')) AS day, uniqCombined64State(session_hash, event_id),
           max(toUnixTimestamp64Micro(landed_at))
    FROM events
    WHERE landed_at > fromUnixTimestamp64Micro({since:Int64}, 'UTC')
    GROUP BY day
"""


@dataclass(frozen=True)
class TouchedSessions:
    """Client sessions with newly landed events: parallel columns, one entry a session; times in epoch milliseconds.

    ``acted_ts``: the last new event by which a person acts (`ufse.visits`); 0: none.
    ``later``: newly landed events (rows) that are left for the next slices.
    """

    project: list[str]
    session_id: list[str]
    session_hash: npt.NDArray[np.uint64]
    last_ts: npt.NDArray[np.int64]
    acted_ts: npt.NDArray[np.int64]
    ended_ts: npt.NDArray[np.int64]
    first_received_ms: npt.NDArray[np.int64]
    last_received_ms: npt.NDArray[np.int64]
    failed: npt.NDArray[np.bool_]
    events: int
    watermark_us: int
    seen: tuple[int, ...]
    later: int = 0

    def __len__(self) -> int:
        return len(self.project)


@dataclass(frozen=True)
class EventCounts:
    """Counts of the event store: distinct events, rows (resent events stay until they expire), last landing.

    ``distinct`` is exact up to `EXACT_ROWS` rows; above, its error is below 0.5 %.
    """

    distinct: int
    rows: int
    last_landed_us: int


class EventStore(EventReader, SessionTable):
    """The event store behind one URL.

    ``chdb:///directory[?database=name]`` (embedded) or ``clickhouse[s]://user:password@host:port/database``.
    """

    def migrate(self) -> None:
        """Create or upgrade the database: run the new files of ``schema/clickhouse``, in order.

        Raises SchemaTooNew, and changes nothing, when a newer Furrow has upgraded it.
        """
        with self.borrow_client() as client:
            event_schema.migrate(client)

    def check_schema(self) -> None:
        """Raise SchemaTooNew if a newer Furrow has upgraded this database; changes nothing."""
        with self.borrow_client() as client:
            event_schema.check_schema_version(client)

    def land_segment(self, rows: bytes, token: str) -> None:
        """Insert one segment (JSON lines). A second insert with the same ``token`` changes nothing.

        The token must be the hash of ``rows``: ClickHouse drops other data with a known token.
        """
        settings = {
            "insert_deduplicate": 1,
            "insert_deduplication_token": token,
            "input_format_skip_unknown_fields": 0,
            "max_execution_time": INSERT_SECONDS,
            # One block: all rows get one landed_at, and one token covers them.
            "max_insert_block_size": 10_000_000,
            "min_insert_block_size_rows": 10_000_000,
            "input_format_parallel_parsing": 0,
        }
        with self.borrow_client() as client:
            client.raw_insert("events", insert_block=rows, fmt="JSONEachRow", settings=settings)

    def read_touched_sessions(
        self, watermark_us: int, seen: Sequence[int], most_events: int = SLICE_EVENTS
    ) -> TouchedSessions:
        """Client sessions with events that landed after ``watermark_us`` minus the overlap, without the landings in ``seen``.

        One slice: the oldest landings with together ``most_events`` events (whole landings, at least one). One query
        returns the sessions and their landings, so a segment that lands meanwhile is in both or in neither. A watermark ahead
        of the server's clock (which was set back) counts as now; else later landings would stay behind it.
        """
        now = int(self.query_arrow("SELECT toUnixTimestamp64Micro(now64(6)) AS now")["now"][0].as_py())
        watermark_us = min(watermark_us, now)
        since_us = max(watermark_us - OVERLAP_US, 0)
        until, later = self._find_slice_end(since_us, seen, most_events)
        table = self.query_arrow(
            f"""
            SELECT project, session_id, session_hash,
                   max(ts) AS last_ts, maxIf(ts, event_type = 'session_end') AS ended_ts,
                   if(countIf(event_type IN {POINTER_TYPES}) > 0, maxIf(ts, event_type IN {ACTION_TYPES}),
                      maxIf(ts, event_type IN {(*ACTION_TYPES, "navigation")})) AS acted_ts,
                   min(received_ms) AS first_received_ms, max(received_ms) AS last_received_ms,
                   max(neg) AS failed, count() AS events, groupUniqArray(toUnixTimestamp64Micro(landed_at)) AS landings
            FROM events
            WHERE landed_at > fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')
              AND landed_at <= fromUnixTimestamp64Micro({{until:Int64}}, 'UTC')
              AND NOT has({{seen:Array(Int64)}}, toUnixTimestamp64Micro(landed_at))
            GROUP BY project, session_id, session_hash
            """,
            {"since": since_us, "seen": list(seen), "until": until},
        )
        fresh = set(table["landings"].combine_chunks().flatten().unique().to_pylist())
        watermark = max(fresh | {watermark_us})
        return TouchedSessions(
            project=table["project"].to_pylist(),
            session_id=table["session_id"].to_pylist(),
            session_hash=to_uint64_array(table["session_hash"]),
            last_ts=to_int64_array(table["last_ts"]),
            acted_ts=to_int64_array(table["acted_ts"]),
            ended_ts=to_int64_array(table["ended_ts"]),
            first_received_ms=to_int64_array(table["first_received_ms"]),
            last_received_ms=to_int64_array(table["last_received_ms"]),
            failed=to_int64_array(table["failed"]) > 0,
            events=int(to_int64_array(table["events"]).sum()),
            watermark_us=watermark,
            seen=tuple(sorted(us for us in fresh | set(seen) if us > watermark - OVERLAP_US)),
            later=later,
        )

    def _find_slice_end(self, since_us: int, seen: Sequence[int], most_events: int) -> tuple[int, int]:
        """The last landing (µs) of a slice of ``most_events`` newly landed events, and how many events follow it."""
        landings = self.query_arrow(
            """
            SELECT toUnixTimestamp64Micro(landed_at) AS us, count() AS events
            FROM events
            WHERE landed_at > fromUnixTimestamp64Micro({since:Int64}, 'UTC')
              AND NOT has({seen:Array(Int64)}, toUnixTimestamp64Micro(landed_at))
            GROUP BY us ORDER BY us
            """,
            {"since": since_us, "seen": list(seen)},
        )
        if not landings.num_rows:
            return since_us, 0
        reached = np.cumsum(to_int64_array(landings["events"]))
        last = min(int(np.searchsorted(reached, most_events)), len(reached) - 1)
        return int(landings["us"][last].as_py()), int(reached[-1] - reached[last])

    def count_events(self) -> EventCounts:
        """Count the events. Above `EXACT_ROWS` only those that landed since the last count.

        The table ``counted`` then holds a sketch of the ids for each day of receipt, at most 100 kB. Adding an event twice
        does not change a sketch, so overlaps and interrupted counts are harmless.
        """
        rows = int(self.query_arrow("SELECT count() AS n FROM events")["n"][0].as_py())
        if rows <= EXACT_ROWS:
            exact = self.query_arrow(
                "SELECT uniqExact(project, session_id, event_id) AS distinct, count() AS rows, "
                "toUnixTimestamp64Micro(max(landed_at)) AS last FROM events"
            ).to_pylist()[0]
            return EventCounts(exact["distinct"], exact["rows"], exact["last"] if exact["rows"] else 0)
        counted = int(self.query_arrow("SELECT max(last_us) AS us FROM counted")["us"][0].as_py())
        with self.borrow_client() as client:
            client.command(_COUNT_ON, parameters={"since": max(counted - OVERLAP_US, 0)})
        known = self.query_arrow(
            "SELECT uniqCombined64Merge(ids) AS distinct, max(last_us) AS last FROM counted"
        ).to_pylist()
        return EventCounts(min(known[0]["distinct"], rows), rows, known[0]["last"])
