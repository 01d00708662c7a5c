"""ClickHouse: raw events in, the sessions that are worth a look out. One class for a server and for embedded chDB.

``clickhouse-connect`` speaks to both through one interface and one SQL dialect. A client serves one thread at a time:
each thread gets its own (architecture.md, chDB in threads). Text from a browser enters SQL as a bound parameter or as
data, never as SQL.
"""

import contextlib
import functools
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import urllib3.exceptions
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3 import PoolManager

from core.errors import PermanentError, TransientError
from stores.events import event_schema
from stores.events.clickhouse_pool import create_server_pool
from ufse.columns import DISTINCT, EVENT_SCHEMA

OVERLAP_US = 120_000_000
"""How far behind its watermark each batch reads again (µs); longer than an insert can take (`_INSERT_SECONDS`)."""

REPLAY_EVENTS = 200_000
"""Events of one batch of a replay: as few as suit the engine, so that fetching and detecting overlap from early on."""

SLICE_EVENTS = 500_000
"""Newly landed events that are put in line at once: a backlog of an hour at 500 events/s is worked off in four slices."""

BATCH_EVENTS = 300_000
"""Events that are analysed at once, unless one session has more: 0.2 to 1 M suit the engine, and some 100 MB hold them."""

EXACT_ROWS = 1_000_000
"""Up to so many rows the distinct events are counted exactly; above, within half a percent (`count_events`)."""

_INSERT_SECONDS = 60
_QUERY_SECONDS = 120
_VISIT_GAP_MS = 15 * 60_000  # detection.md, Sessions
_LATE_RECEIPT_MS = 75 * 60_000  # detection.md, Sessions
_LONG_SESSION_MS = 6 * 3_600_000  # rather many sessions are received within this time; see _slices
_MOST_SESSIONS = 20_000  # of one query: their hashes stand in its text, which may be so long (_STATEMENT_BYTES)
_STATEMENT_BYTES = 16_777_216  # the default limit of 256 KiB would be too small for thousands of hashes
_NO_END = 2**62

# Codes that the same statement cannot get over: unknown table or column, syntax, types, not implemented, refused access.
_PERMANENT_CODES = frozenset(
    {6, 16, 26, 27, 36, 38, 41, 43, 46, 47, 48, 53, 60, 62, 69, 70, 72, 81, 117, 130, 192, 193, 497, 516}
)

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
class TouchedSessions:
    """Client sessions with newly landed events: parallel columns, one entry a session; times in epoch milliseconds.

    ``later``: newly landed events (rows) that the next slice begins with.
    """

    project: list[str]
    session_id: list[str]
    session_hash: npt.NDArray[np.uint64]
    last_ts: npt.NDArray[np.int64]
    ended_ts: npt.NDArray[np.int64]
    first_received_ms: npt.NDArray[np.int64]
    last_received_ms: npt.NDArray[np.int64]
    events: int
    watermark_us: int
    seen: tuple[int, ...]
    later: int = 0

    def __len__(self) -> int:
        return len(self.project)


@dataclass(frozen=True)
class SessionBatch:
    """Client sessions that are read together: their hashes, and the span of receipt (epoch ms) that all of them lie in."""

    hashes: list[int]
    first_received_ms: int
    last_received_ms: int


@dataclass(frozen=True)
class EventCounts:
    """What the event store holds: distinct events, physical rows (resent events stay until they expire), last landing.

    ``distinct`` is exact up to `EXACT_ROWS` rows, and right within half a percent above.
    """

    distinct: int
    rows: int
    last_landed_us: int


@dataclass(frozen=True)
class SessionCounts:
    """Visits that were analysed, and how many of them with feedback stayed silent at which rule."""

    visits: int
    silent: dict[str, int]


class EventStore:
    """The event store behind one URL.

    ``chdb:///directory[?database=name]`` (embedded) or ``clickhouse[s]://user:password@host:port/database``.

    Every method raises TransientError when trying again may help and PermanentError when it cannot; their messages hold
    no credentials.
    """

    def __init__(self, url: str) -> None:
        self._connect, self._database = _parse_store_url(url)
        self._address = ":".join(str(self._connect[name]) for name in ("host", "port", "path") if name in self._connect)
        self._clients: set[Client] = set()
        self._free: list[Client] = []
        self._guard = threading.Lock()

    def migrate(self) -> None:
        """Create or upgrade the database: runs the files of ``schema/clickhouse`` that it has not seen, in order.

        Raises SchemaTooNew, and changes nothing, when a newer Furrow has upgraded it.
        """
        with self._use_client() as client:
            event_schema.migrate(client)

    def check_schema(self) -> None:
        """Raise SchemaTooNew if a newer Furrow has upgraded this database; changes nothing."""
        with self._use_client() as client:
            event_schema.check_schema_version(client)

    def borrow_client(self) -> contextlib.AbstractContextManager[Client]:
        """A client for the caller alone, for what the modules beside this one do; errors as in every method here."""
        return self._use_client()

    def ping(self) -> str:
        """The server's version, if it answers."""
        with self._use_client() as client:
            return str(client.command("SELECT version()"))

    def land_segment(self, rows: bytes, token: str) -> None:
        """Insert one segment (JSON lines) at once; the same ``token`` again changes nothing.

        The token must be the hash of ``rows``: ClickHouse drops other data that comes with a token it knows.
        """
        settings = {
            "insert_deduplicate": 1,
            "insert_deduplication_token": token,
            "input_format_skip_unknown_fields": 0,
            "max_execution_time": _INSERT_SECONDS,
            # One block: what is inserted has one landed_at, and the token covers it whole.
            "max_insert_block_size": 10_000_000,
            "min_insert_block_size_rows": 10_000_000,
            "input_format_parallel_parsing": 0,
        }
        with self._use_client() as client:
            client.raw_insert("events", insert_block=rows, fmt="JSONEachRow", settings=settings)

    def read_touched_sessions(
        self, watermark_us: int, seen: Sequence[int], most_events: int = SLICE_EVENTS
    ) -> TouchedSessions:
        """Client sessions with events landed after ``watermark_us`` less the overlap, but for the landings in ``seen``.

        The oldest landings alone, until they hold ``most_events`` events (whole landings, one at the least). One query
        answers both which sessions and which landings they came from, so that a segment that lands while it runs is either
        in both or in neither. A watermark ahead of the server's clock (which was set back) counts as now: what lands from
        then on would stay behind it.
        """
        now = int(self._query_arrow("SELECT toUnixTimestamp64Micro(now64(6)) AS now")["now"][0].as_py())
        watermark_us = min(watermark_us, now)
        since = {"since": max(watermark_us - OVERLAP_US, 0), "seen": list(seen)}
        until, later = self._find_slice_end(since, most_events)
        table = self._query_arrow(
            """
            SELECT project, session_id, session_hash,
                   max(ts) AS last_ts, maxIf(ts, event_type = 'session_end') AS ended_ts,
                   min(received_ms) AS first_received_ms, max(received_ms) AS last_received_ms,
                   count() AS events, groupUniqArray(toUnixTimestamp64Micro(landed_at)) AS landings
            FROM events
            WHERE landed_at > fromUnixTimestamp64Micro({since:Int64}, 'UTC')
              AND landed_at <= fromUnixTimestamp64Micro({until:Int64}, 'UTC')
              AND NOT has({seen:Array(Int64)}, toUnixTimestamp64Micro(landed_at))
            GROUP BY project, session_id, session_hash
            """,
            {**since, "until": until},
        )
        fresh = set(table["landings"].combine_chunks().flatten().unique().to_pylist())
        watermark = max(fresh | {watermark_us})
        return TouchedSessions(
            project=table["project"].to_pylist(),
            session_id=table["session_id"].to_pylist(),
            session_hash=_to_uint64_array(table["session_hash"]),
            last_ts=_to_int64_array(table["last_ts"]),
            ended_ts=_to_int64_array(table["ended_ts"]),
            first_received_ms=_to_int64_array(table["first_received_ms"]),
            last_received_ms=_to_int64_array(table["last_received_ms"]),
            events=int(_to_int64_array(table["events"]).sum()),
            watermark_us=watermark,
            seen=tuple(sorted(us for us in fresh | set(seen) if us > watermark - OVERLAP_US)),
            later=later,
        )

    def _find_slice_end(self, since: dict[str, Any], most_events: int) -> tuple[int, int]:
        """The last landing (µs) of a slice of ``most_events`` newly landed events, and how many events come after it."""
        landings = self._query_arrow(
            """
            SELECT toUnixTimestamp64Micro(landed_at) AS us, count() AS events
            FROM events
            WHERE landed_at > fromUnixTimestamp64Micro({since:Int64}, 'UTC')
              AND NOT has({seen:Array(Int64)}, toUnixTimestamp64Micro(landed_at))
            GROUP BY us ORDER BY us
            """,
            since,
        )
        if not landings.num_rows:
            return since["since"], 0
        reached = np.cumsum(_to_int64_array(landings["events"]))
        last = min(int(np.searchsorted(reached, most_events)), len(reached) - 1)
        return int(landings["us"][last].as_py()), int(reached[-1] - reached[last])

    def find_sessions_in_window(self, start_ms: int, end_ms: int, project: str | None = None) -> pa.Table:
        """The client sessions with an event in the window [``start_ms``, ``end_ms``) of event time, one row each.

        Columns as in ``Touched``: project, session_id, session_hash, last_ts, ended_ts (0: none), first_received_ms,
        last_received_ms, all of the whole session; ordered by first receipt, so that neighbours are read together.
        """
        return self._query_arrow(
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
        """Receipt (epoch ms) of the oldest event that is stored, 0 without any; read from the index of the parts."""
        return int(self._query_arrow("SELECT min(received_ms) AS oldest FROM events")["oldest"][0].as_py())

    def find_first_receipt(self, hashes: Sequence[int], first_received_ms: int) -> int:
        """The earliest receipt (epoch ms) that can matter for these client sessions; ``first_received_ms`` or earlier.

        What was analysed before is known in ``sessions``, so that nothing is read from the beginning of time, but from here.
        """
        known = self._query_arrow(
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
        """Those of the client sessions that could hold a detection (see `candidates`), in batches of ``most_events`` events.

        Whole sessions: one that is larger is a batch of its own.
        """
        suspects = self._query_arrow(
            f"""
            SELECT session_hash, count() AS events, min(received_ms) AS first, max(received_ms) AS last
            FROM events
            WHERE received_ms >= {{first:Int64}} AND received_ms <= {{last:Int64}}
              AND session_hash IN {{hashes:Array(UInt64)}}
            GROUP BY session_hash
            HAVING max(neg) = 1 OR last - first > {_LATE_RECEIPT_MS}
            """,
            _build_span_parameters(hashes, first_received_ms, last_received_ms),
        )
        return _group_into_batches(suspects, most_events)

    def read_candidate_events(
        self, hashes: Sequence[int], first_received_ms: int, last_received_ms: int | None = None
    ) -> pa.Table:
        """All events, once each, of those client sessions that could hold a detection (`EVENT_SCHEMA`, but see `_events`).

        That is: sessions with an event that may be negative feedback. Those whose receipt fell silent for more than
        75 min come too, because which of their events are late is the engine's to say. ``first_received_ms``: nothing
        received earlier is read (see `first_receipt`). ``last_received_ms``: nothing received later is read; for old
        sessions, so that not all that came since is scanned.
        """
        return self._query_events(
            f"""
            SELECT {_EVENT_COLUMNS}
            FROM events
            WHERE received_ms >= {{first:Int64}} AND received_ms <= {{last:Int64}}
              AND session_hash IN (
                SELECT session_hash FROM events
                WHERE received_ms >= {{first:Int64}} AND received_ms <= {{last:Int64}}
                  AND session_hash IN {{hashes:Array(UInt64)}}
                GROUP BY session_hash
                HAVING max(neg) = 1 OR max(received_ms) - min(received_ms) > {_LATE_RECEIPT_MS}
              )
            """,
            _build_span_parameters(hashes, first_received_ms, last_received_ms),
        )

    def replay_sessions(
        self, start_ms: int, end_ms: int, project: str | None = None, batch_events: int = REPLAY_EVENTS
    ) -> Iterator[pa.Table]:
        """The whole client sessions that could hold a detection and have an event in [``start_ms``, ``end_ms``).

        The window is of event time. Batches of about ``batch_events`` events (columns as `candidates` gives them), in the
        order of receipt; the next batch is fetched in a thread of its own while the caller works on this one.

        One query finds the sessions; then each batch reads its span of receipt alone. Buckets by session hash would be
        simpler, but the events of a bucket lie in every granule: 16 buckets decompress the table 16 times.
        """
        slices = _plan_replay_queries(self._find_suspect_sessions(start_ms, end_ms, project), batch_events)
        if not slices:
            return
        with ThreadPoolExecutor(1, thread_name_prefix="replay") as pool:
            ahead = pool.submit(self._query_events, *slices[0])
            for following in slices[1:]:
                table = ahead.result()
                ahead = pool.submit(self._query_events, *following)
                yield table
            yield ahead.result()

    def _find_suspect_sessions(self, start_ms: int, end_ms: int, project: str | None) -> pa.Table:
        """Sessions with possible feedback and an event in the window: hash, events, first and last receipt (ms)."""
        return self._query_arrow(
            """
            SELECT session_hash, count() AS events, min(received_ms) AS first, max(received_ms) AS last
            FROM events
            WHERE session_hash IN (
                SELECT session_hash FROM events
                WHERE neg = 1 AND ({all:UInt8} = 1 OR project = {project:String})
            )
            GROUP BY session_hash
            HAVING countIf(ts >= {start:Int64} AND ts < {end:Int64}) > 0
            """,
            {"start": start_ms, "end": end_ms, "all": int(project is None), "project": project or ""},
        )

    def record_calm_sessions(
        self, hashes: Sequence[int], first_received_ms: int, analysed_us: int, last_received_ms: int | None = None
    ) -> int:
        """Write the session rows of those client sessions that `candidates` leaves in ClickHouse; how many visits.

        ``first_received_ms``: nothing received earlier is read (see `first_receipt`).
        They hold no feedback and no late event, so their visits are the gaps of more than 15 min between their events.
        """
        calm = self._query_arrow(
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
            HAVING max(neg) = 0 AND max(received_ms) - first_received <= {_LATE_RECEIPT_MS}
            """,
            {**_build_span_parameters(hashes, first_received_ms, last_received_ms), "now": analysed_us},
        )
        # Their few numbers come out and go back in: to count what an INSERT … SELECT wrote, all rows would be looked through.
        rows = pa.Table.from_arrays(calm.columns, SESSION_COLUMNS.names).cast(SESSION_COLUMNS)
        self.record_analysed_sessions(rows)
        return int(_to_int64_array(rows["visits"]).sum())

    def record_analysed_sessions(self, rows: pa.Table) -> None:
        """Write the session rows of client sessions that the engine has seen (``SESSION_COLUMNS``)."""
        if rows.num_rows:
            with self._use_client() as client:
                # By default a hundred days at most: a backfill of sparse years has more.
                client.insert_arrow("sessions", rows, settings={"max_partitions_per_insert_block": 0})

    def count_events(self) -> EventCounts:
        """How many events there are. Few are counted each time; of many, only those that landed since the last time.

        Above `EXACT_ROWS` the table ``counted`` holds, of each day of receipt, a sketch of the ids in 100 kB at the most. A
        sketch that meets an event again stays as it is: so the overlap does no harm, nor does a count that was cut off.
        """
        rows = int(self._query_arrow("SELECT count() AS n FROM events")["n"][0].as_py())
        if rows <= EXACT_ROWS:
            exact = self._query_arrow(
                "SELECT uniqExact(project, session_id, event_id) AS distinct, count() AS rows, "
                "toUnixTimestamp64Micro(max(landed_at)) AS last FROM events"
            ).to_pylist()[0]
            return EventCounts(exact["distinct"], exact["rows"], exact["last"] if exact["rows"] else 0)
        counted = int(self._query_arrow("SELECT max(last_us) AS us FROM counted")["us"][0].as_py())
        with self._use_client() as client:
            client.command(_COUNT_ON, parameters={"since": max(counted - OVERLAP_US, 0)})
        known = self._query_arrow(
            "SELECT uniqCombined64Merge(ids) AS distinct, max(last_us) AS last FROM counted"
        ).to_pylist()
        return EventCounts(min(known[0]["distinct"], rows), rows, known[0]["last"])

    def count_sessions(self) -> SessionCounts:
        """How many sessions were analysed, and what kept silent those that had negative feedback.

        Reads two columns of all sessions, and puts together the versions of those that were received first on the same
        day; days that are over are merged and need no more than the reading.
        """
        settings = {"do_not_merge_across_partitions_select_final": 1}
        visits = self._query_arrow("SELECT sum(visits) AS n FROM sessions FINAL", extra=settings)["n"][0].as_py()
        silent = self._query_arrow(
            "SELECT arrayJoin(rules) AS rule, count() AS n FROM sessions FINAL GROUP BY rule ORDER BY n DESC, rule",
            extra=settings,
        )
        return SessionCounts(int(visits or 0), {row["rule"]: row["n"] for row in silent.to_pylist()})

    def stop_queries(self) -> None:
        """Ask every query of an embedded engine to stop, so that a shutdown does not wait for them.

        A server has the queries of others too; it stops those of a client that is gone by itself.
        """
        if not self._is_embedded:
            return
        with contextlib.suppress(TransientError, PermanentError), self._use_client() as client:
            client.command("KILL QUERY WHERE query_kind = 'Select' AND query NOT LIKE '%KILL QUERY%' ASYNC")

    def close(self) -> None:
        """Close every client; the embedded engine's directory is free for another process afterwards."""
        with self._guard:
            for client in self._clients:
                client.close()
            self._clients.clear()
            self._free.clear()
        if not self._is_embedded:
            self._server_pool.clear()

    def _query_arrow(
        self, sql: str, parameters: dict[str, Any] | None = None, extra: Mapping[str, int] | None = None
    ) -> pa.Table:
        settings: dict[str, Any] = {
            "max_query_size": _STATEMENT_BYTES,
            "max_execution_time": _QUERY_SECONDS,
            # Compressing Arrow for a reader in the same process took as long as reading the events.
            "output_format_arrow_compression_method": "none",
            **(extra or {}),
        }
        sql, bound = self._prepare_statement(sql, parameters or {})
        with self._use_client() as client:
            return client.query_arrow(sql, parameters=bound, settings=settings, use_strings=True)

    def _query_events(self, sql: str, parameters: dict[str, Any]) -> pa.Table:
        """Events, once each, from a query for ``_EVENT_COLUMNS``, in no particular order.

        The columns of `EVENT_SCHEMA`; texts of few values come as dictionaries, as ClickHouse keeps them.
        """
        table = _drop_repeated_events(self._query_arrow(sql, parameters, _EVENT_SETTINGS).combine_chunks())
        columns = [_format_uuids(table[n]) if n == "event_id" else table[n] for n in EVENT_SCHEMA.names]
        return pa.Table.from_arrays(columns, EVENT_SCHEMA.names, metadata={DISTINCT: b"1"})

    @property
    def _is_embedded(self) -> bool:
        return bool(self._connect["interface"] == "chdb")

    @functools.cached_property
    def _server_pool(self) -> PoolManager:
        return create_server_pool(self._connect)

    def _prepare_statement(self, sql: str, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        # In this process there is no such limit, and parsing 20,000 numbers twice would cost 75 ms of a batch.
        return (sql, parameters) if self._is_embedded else _inline_integer_lists(sql, parameters)

    @contextlib.contextmanager
    def _use_client(self) -> Iterator[Client]:
        try:
            with self._lend_client() as client:
                yield client
        except ClickHouseError as error:
            raise _translate_error(error, self._address) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TransientError(f"ClickHouse is not reachable at {self._address}") from error
        except pa.ArrowInvalid as error:
            raise TransientError(
                "ClickHouse's answer could not be read: it was cut, or something else answered"
            ) from error

    @contextlib.contextmanager
    def _lend_client(self) -> Iterator[Client]:
        # A client serves one caller at a time and costs megabytes. Runs come in ever new threads: one kept for each of them
        # would be one more for every run.
        with self._guard:
            client = self._free.pop() if self._free else None
        client = client or self._connect_client()
        try:
            yield client
        finally:
            with self._guard:
                if client in self._clients:  # nobody closed the store meanwhile
                    self._free.append(client)

    def _connect_client(self) -> Client:
        options: dict[str, Any] = (
            self._connect if self._is_embedded else {**self._connect, "pool_mgr": self._server_pool}
        )
        client = clickhouse_connect.get_client(**options)
        # Not just CREATE IF NOT EXISTS: on a server the user need not have the right to it.
        if not client.command(f"EXISTS DATABASE `{self._database}`"):
            client.command(f"CREATE DATABASE IF NOT EXISTS `{self._database}`")
        client.database = self._database
        with self._guard:
            self._clients.add(client)
        return client


# As `_events` wants them. An event id as its 16 bytes: as text it would cost as much as ten other columns.
_EVENT_COLUMNS = "session_hash, " + ", ".join(
    "UUIDToNum(event_id) AS event_id" if name == "event_id" else name for name in EVENT_SCHEMA.names
)

# Dictionaries halve the bytes of a batch. Blocks of the default 65,000 rows, of which a filter leaves a few thousand, would
# each carry dictionaries of their own: larger ones take a quarter less time.
_EVENT_SETTINGS = {
    "output_format_arrow_low_cardinality_as_dictionary": 1,
    "max_block_size": 524_288,
    "preferred_block_size_bytes": 0,
}


_COUNT_ON = """
    INSERT INTO counted (day, ids, last_us)
    SELECT toDate(fromUnixTimestamp64Milli(received_ms, 'UTC')) AS day, uniqCombined64State(session_hash, event_id),
           max(toUnixTimestamp64Micro(landed_at))
    FROM events
    WHERE landed_at > fromUnixTimestamp64Micro({since:Int64}, 'UTC')
    GROUP BY day
"""


def _parse_store_url(url: str) -> tuple[dict[str, Any], str]:
    """Arguments of the driver's ``get_client`` and the database to use, from one of our URLs."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise PermanentError("the event store's URL has a port or host that cannot be one") from error
    if parts.scheme == "chdb":
        return {"interface": "chdb", "path": parts.path}, _check_database_name(parts.query.removeprefix("database="))
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise PermanentError("the event store's URL must look like clickhouse://user:password@host:8123/database")
    interface = _SCHEMES[parts.scheme]
    return {
        "interface": interface,
        "host": parts.hostname,
        "port": port or (8443 if interface == "https" else 8123),
        "username": unquote(parts.username or "default"),
        "password": unquote(parts.password or ""),
        "connect_timeout": 5,
        "send_receive_timeout": _QUERY_SECONDS + 30,
        # A session serves one query at a time: one that we gave up but the server did not would refuse those that follow.
        "autogenerate_session_id": False,
        "settings": _SERVER_SETTINGS,
    }, _check_database_name(parts.path.strip("/"))


def _check_database_name(name: str) -> str:
    if not re.fullmatch(r"\w*", name):
        raise PermanentError("the event store's database may hold letters, digits and underscores alone")
    return name or "furrow"


_SERVER_SETTINGS = {
    # Gathered with others (the default since 26.x), an insert would lose its own `landed_at` and its deduplication token.
    "async_insert": 0,
    # On a cluster (docs/server-mode.md); without one these change nothing. An insert has landed when the shards have it,
    # a subquery may be answered by each shard for itself, and one replica answers everything as long as it is there.
    "distributed_foreground_insert": 1,
    "distributed_product_mode": "local",
    "load_balancing": "in_order",
}

_SCHEMES = {"clickhouse": "http", "clickhouses": "https", "http": "http", "https": "https"}


def _translate_error(error: ClickHouseError, address: str) -> TransientError | PermanentError:
    code = getattr(error, "code", None)
    if code is None and isinstance(error.__cause__, urllib3.exceptions.HTTPError | OSError):
        # The driver's own message quotes the address, with all parameters of the query in it.
        return TransientError(f"ClickHouse is not reachable at {address}")
    kind = PermanentError if code in _PERMANENT_CODES else TransientError
    # A server says 36 too, of arguments that it does not like.
    if (code == 36 and "Received ClickHouse exception" not in str(error)) or "Cannot lock" in str(error):
        return PermanentError(
            "the embedded ClickHouse's directory is in use by another process (one process may hold it)"
        )
    # The first sentence says what is wrong; what follows quotes the query, and with it text from browsers.
    return kind(f"ClickHouse refused ({code}): {str(error).splitlines()[0][:300]}")


def _inline_integer_lists(sql: str, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The statement with lists of integers in its text, and the parameters that are left.

    A server takes 128 KiB of one parameter (``http_max_field_value_size``), which is 6,000 hashes.
    """
    for name, values in parameters.items():
        if isinstance(values, list):
            literal = ",".join(str(int(value)) for value in values)
            sql = re.sub(rf"{{{name}:(Array\(U?Int64\))}}", rf"CAST([{literal}], '\1')", sql)
    return sql, {name: value for name, value in parameters.items() if not isinstance(value, list)}


def _to_int64_array(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _to_uint64_array(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    return np.asarray(column.to_numpy(), dtype=np.uint64)


def _build_span_parameters(
    hashes: Sequence[int], first_received_ms: int, last_received_ms: int | None
) -> dict[str, Any]:
    last = _NO_END if last_received_ms is None else last_received_ms
    return {"hashes": [int(h) for h in hashes], "first": first_received_ms, "last": last}


def _plan_replay_queries(suspects: pa.Table, batch_events: int) -> list[tuple[str, dict[str, Any]]]:
    """Queries for about ``batch_events`` events each, that together read every session of `_suspects` once."""
    sql = f"""
        SELECT {_EVENT_COLUMNS} FROM events
        WHERE received_ms >= {{first:Int64}} AND received_ms <= {{last:Int64}} AND session_hash IN {{hashes:Array(UInt64)}}
    """
    return [
        (sql, {"hashes": batch.hashes, "first": batch.first_received_ms, "last": batch.last_received_ms})
        for batch in _group_into_batches(suspects, batch_events)
    ]


def _group_into_batches(suspects: pa.Table, batch_events: int) -> list[SessionBatch]:
    """Sessions (session_hash, events, first, last) in groups of about ``batch_events`` events, neighbours in receipt together.

    The few that last for hours come last, so that they do not widen the span of the others.
    """
    hashes, events = _to_uint64_array(suspects["session_hash"]), _to_int64_array(suspects["events"])
    first, last = _to_int64_array(suspects["first"]), _to_int64_array(suspects["last"])
    order = np.lexsort((hashes, first, last - first > _LONG_SESSION_MS))
    weight = np.maximum(events, -(-batch_events // _MOST_SESSIONS))[order]
    number = (np.cumsum(weight) - 1) // batch_events
    groups = np.split(order, np.flatnonzero(np.diff(number)) + 1) if len(order) else []
    return [SessionBatch(hashes[rows].tolist(), int(first[rows].min()), int(last[rows].max())) for rows in groups]


def _drop_repeated_events(table: pa.Table) -> pa.Table:
    """The table without the later copies of an event: of one (session_hash, event_id) the copy received first stays.

    Here and not in the query: there it needs a sort of whole rows, which takes as long as reading them.
    """
    raw = _view_id_bytes(table["event_id"]).view(np.uint64)
    key = raw[:, 0] ^ raw[:, 1]
    ordered = np.sort(key)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(repeated):
        return table
    rows = np.flatnonzero(np.isin(key, repeated))
    session, received, ts = (
        _to_uint64_array(table["session_hash"]),
        _to_int64_array(table["received_ms"]),
        _to_int64_array(table["ts"]),
    )
    rows = rows[np.lexsort((ts[rows], received[rows], raw[rows, 1], raw[rows, 0], session[rows]))]
    same = (session[rows[1:]] == session[rows[:-1]]) & (raw[rows[1:]] == raw[rows[:-1]]).all(axis=1)
    keep = np.ones(table.num_rows, dtype=np.bool_)
    keep[rows[1:][same]] = False
    return table.filter(pa.array(keep))


def _view_id_bytes(column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """A column of 16-byte binaries without nulls as an array of (rows, 16)."""
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype=np.uint8)[16 * chunk.offset : 16 * (chunk.offset + len(chunk))]
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate([np.zeros(0, np.uint8), *parts]).reshape(-1, 16)


_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), dtype=np.uint16)
_DASHED = ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24))  # digits from, to; place in the text


def _format_uuids(column: pa.ChunkedArray) -> pa.Array:
    """Ids of 16 bytes as the usual text of 36 characters."""
    raw = _view_id_bytes(column)
    digits = _HEX[raw].view(np.uint8)
    texts = np.full((len(raw), 36), ord("-"), dtype=np.uint8)
    for low, high, place in _DASHED:
        texts[:, place : place + high - low] = digits[:, low:high]
    offsets = np.arange(0, 36 * (len(raw) + 1), 36, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(raw), [None, pa.py_buffer(offsets), pa.py_buffer(texts)])
