"""ClickHouse: raw events in, the sessions that are worth a look out. One class for a server and for embedded chDB.

``clickhouse-connect`` speaks to both through one interface and one SQL dialect. A client serves one thread at a time:
each thread gets its own (architecture.md, chDB in threads). Text from a browser enters SQL as a bound parameter or as
data, never as SQL.
"""

import contextlib
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import urllib3.exceptions
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from furrow.errors import PermanentError, TransientError
from ufse.columns import EVENT_SCHEMA

OVERLAP_US = 120_000_000
"""How far behind its watermark each batch reads again (µs); longer than an insert can take (`_INSERT_SECONDS`)."""

_INSERT_SECONDS = 60
_QUERY_SECONDS = 120
_VISIT_GAP_MS = 15 * 60_000  # detection.md, Sessions
_LATE_RECEIPT_MS = 75 * 60_000  # detection.md, Sessions

# Codes that the same statement cannot get over: unknown table or column, syntax, types, refused access, read-only data.
_PERMANENT_CODES = frozenset(
    {6, 16, 26, 27, 36, 38, 41, 43, 46, 47, 53, 60, 62, 69, 70, 72, 81, 117, 130, 192, 193, 497, 516}
)

_SQL = Path(__file__).resolve().parent.parent / "schema" / "clickhouse"


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
class Touched:
    """Client sessions with newly landed events: parallel columns, one entry a session; times in epoch milliseconds."""

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

    def __len__(self) -> int:
        return len(self.project)


@dataclass(frozen=True)
class EventCounts:
    """What the event store holds: distinct events, physical rows (resent events stay until they expire), last landing."""

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
        self._connect, self._database = _connection(url)
        self._local = threading.local()
        self._clients: list[Client] = []
        self._guard = threading.Lock()

    def migrate(self) -> None:
        """Create or upgrade the database: runs the files of ``schema/clickhouse`` that it has not seen, in order."""
        with self._calling() as client:
            client.command("CREATE TABLE IF NOT EXISTS schema_versions (version String, at DateTime DEFAULT now()) "
                           "ENGINE = ReplacingMergeTree ORDER BY version")  # fmt: skip
            done = {row[0] for row in client.query("SELECT DISTINCT version FROM schema_versions").result_rows}
            for path in sorted(_SQL.glob("*.sql")):
                if path.stem not in done:
                    for statement in _statements(path.read_text()):
                        client.command(statement)
                    client.insert("schema_versions", [[path.stem]], column_names=["version"])

    def ping(self) -> str:
        """The server's version, if it answers."""
        with self._calling() as client:
            return str(client.command("SELECT version()"))

    def land(self, rows: bytes, token: str) -> None:
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
        with self._calling() as client:
            client.raw_insert("events", insert_block=rows, fmt="JSONEachRow", settings=settings)

    def touched(self, watermark_us: int, seen: Sequence[int]) -> Touched:
        """Client sessions with events landed after ``watermark_us`` less the overlap, but for the landings in ``seen``.

        One query answers both which sessions and which landings they came from, so that a segment that lands while it
        runs is either in both or in neither. A watermark ahead of the server's clock (which was set back) counts as now:
        what lands from then on would stay behind it.
        """
        now = int(self._arrow("SELECT toUnixTimestamp64Micro(now64(6)) AS now")["now"][0].as_py())
        watermark_us = min(watermark_us, now)
        table = self._arrow(
            """
            SELECT project, session_id, session_hash,
                   max(ts) AS last_ts, maxIf(ts, event_type = 'session_end') AS ended_ts,
                   min(received_ms) AS first_received_ms, max(received_ms) AS last_received_ms,
                   count() AS events, groupUniqArray(toUnixTimestamp64Micro(landed_at)) AS landings
            FROM events
            WHERE landed_at > fromUnixTimestamp64Micro({since:Int64}, 'UTC')
              AND NOT has({seen:Array(Int64)}, toUnixTimestamp64Micro(landed_at))
            GROUP BY project, session_id, session_hash
            """,
            {"since": max(watermark_us - OVERLAP_US, 0), "seen": list(seen)},
        )
        fresh = set(table["landings"].combine_chunks().flatten().unique().to_pylist())
        watermark = max(fresh | {watermark_us})
        return Touched(
            project=table["project"].to_pylist(),
            session_id=table["session_id"].to_pylist(),
            session_hash=_uint64(table["session_hash"]),
            last_ts=_int64(table["last_ts"]),
            ended_ts=_int64(table["ended_ts"]),
            first_received_ms=_int64(table["first_received_ms"]),
            last_received_ms=_int64(table["last_received_ms"]),
            events=int(_int64(table["events"]).sum()),
            watermark_us=watermark,
            seen=tuple(sorted(us for us in fresh | set(seen) if us > watermark - OVERLAP_US)),
        )

    def sessions_in(self, start_ms: int, end_ms: int, project: str | None = None) -> pa.Table:
        """The client sessions with an event in the window [``start_ms``, ``end_ms``) of event time, one row each.

        Columns as in ``Touched``: project, session_id, session_hash, last_ts, ended_ts (0: none), first_received_ms,
        last_received_ms, all of the whole session; ordered by first receipt, so that neighbours are read together.
        """
        return self._arrow(
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

    def candidates(self, hashes: Sequence[int], first_received_ms: int) -> pa.Table:
        """All events, once each, of those client sessions that could hold a detection (`EVENT_SCHEMA`).

        That is: sessions with an event that may be negative feedback. Those whose receipt fell silent for more than
        75 min come too, because which of their events are late is the engine's to say. ``first_received_ms``: the
        earliest receipt among the events for which they are due now; that of sessions analysed before is known here.
        """
        columns = ", ".join("toString(event_id) AS event_id" if n == "event_id" else n for n in EVENT_SCHEMA.names)
        table = self._arrow(
            f"""
            WITH bound AS ({_FIRST_RECEIVED})
            SELECT {columns}
            FROM (
                SELECT * FROM events
                WHERE received_ms >= (SELECT * FROM bound) AND session_hash IN {{hashes:Array(UInt64)}}
                  AND session_hash IN (
                    SELECT session_hash FROM events
                    WHERE received_ms >= (SELECT * FROM bound) AND session_hash IN {{hashes:Array(UInt64)}}
                    GROUP BY session_hash
                    HAVING max(neg) = 1 OR max(received_ms) - min(received_ms) > {_LATE_RECEIPT_MS}
                  )
                ORDER BY landed_at
                LIMIT 1 BY project, session_id, event_id
            )
            """,
            {"hashes": [int(h) for h in hashes], "first": first_received_ms},
        )
        return table.cast(EVENT_SCHEMA)

    def note_calm(self, hashes: Sequence[int], first_received_ms: int, analysed_us: int) -> int:
        """Write the session rows of those client sessions that `candidates` leaves in ClickHouse; how many visits.

        They hold no feedback and no late event, so their visits are the gaps of more than 15 min between their events.
        """
        parameters = {"hashes": [int(h) for h in hashes], "first": first_received_ms, "now": analysed_us}
        calm = f"""
            WITH bound AS ({_FIRST_RECEIVED})
            SELECT project, session_id, any(hash) AS session_hash,
                   1 + arrayCount(gap -> gap > {_VISIT_GAP_MS}, arrayDifference(arraySort(groupArray(at)))) AS visits,
                   count() AS events, 0 AS late_events,
                   min(received) AS first_received_ms, min(at) AS first_ts, max(at) AS last_ts,
                   0 AS detections, [] AS rules, {{now:UInt64}} AS analysed_us
            FROM (
                SELECT project, session_id, event_id, any(session_hash) AS hash, any(ts) AS at,
                       min(received_ms) AS received, max(received_ms) AS received_last, max(neg) AS negative
                FROM events
                WHERE received_ms >= (SELECT * FROM bound) AND session_hash IN {{hashes:Array(UInt64)}}
                GROUP BY project, session_id, event_id
            )
            GROUP BY project, session_id
            HAVING max(negative) = 0 AND max(received_last) - min(received) <= {_LATE_RECEIPT_MS}
        """
        names = ("project", "session_id", "session_hash", "visits", "events", "late_events", "first_received_ms",
                 "first_ts", "last_ts", "detections", "rules", "analysed_us")  # fmt: skip
        with self._calling() as client:
            client.command(f"INSERT INTO sessions ({', '.join(names)}) {calm}", parameters=parameters)
        written = self._arrow(
            "SELECT sum(visits) AS n FROM sessions FINAL WHERE analysed_us = {now:UInt64}", {"now": analysed_us}
        )
        return int(written["n"][0].as_py() or 0)

    def note_analysed(self, rows: pa.Table) -> None:
        """Write the session rows of client sessions that the engine has seen (``SESSION_COLUMNS``)."""
        if rows.num_rows:
            with self._calling() as client:
                client.insert_arrow("sessions", rows)

    def count_events(self) -> EventCounts:
        """How many events there are. Reads the id of every event, so callers ask for it sparingly."""
        row = self._arrow(
            "SELECT uniqExact(project, session_id, event_id) AS distinct, count() AS rows, "
            "toUnixTimestamp64Micro(max(landed_at)) AS last FROM events"
        ).to_pylist()[0]
        return EventCounts(row["distinct"], row["rows"], row["last"] if row["rows"] else 0)

    def count_sessions(self) -> SessionCounts:
        """How many sessions were analysed, and what kept silent those that had negative feedback."""
        visits = self._arrow("SELECT sum(visits) AS n FROM sessions FINAL")["n"][0].as_py()
        silent = self._arrow(
            "SELECT arrayJoin(rules) AS rule, count() AS n FROM sessions FINAL GROUP BY rule ORDER BY n DESC, rule"
        )
        return SessionCounts(int(visits or 0), {row["rule"]: row["n"] for row in silent.to_pylist()})

    def stop_queries(self) -> None:
        """Ask every query of this embedded engine to stop, so that a shutdown does not wait for them."""
        with contextlib.suppress(TransientError, PermanentError), self._calling() as client:
            client.command("KILL QUERY WHERE query_kind = 'Select' AND query NOT LIKE '%KILL QUERY%' ASYNC")

    def close(self) -> None:
        """Close every thread's client; the embedded engine's directory is free for another process afterwards."""
        with self._guard:
            for client in self._clients:
                client.close()
            self._clients.clear()
        self._local = threading.local()

    def _arrow(self, sql: str, parameters: dict[str, Any] | None = None) -> pa.Table:
        # Thousands of hashes stand in the query text; the default limit of 256 KiB would be too small for them.
        settings = {"max_query_size": 16_777_216, "max_execution_time": _QUERY_SECONDS}
        with self._calling() as client:
            return client.query_arrow(sql, parameters=parameters, settings=settings, use_strings=True)

    @contextlib.contextmanager
    def _calling(self) -> Iterator[Client]:
        try:
            yield self._client()
        except ClickHouseError as error:
            raise _translated(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TransientError(f"ClickHouse is not reachable: {type(error).__name__}") from error

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = clickhouse_connect.get_client(**self._connect)
            client.command(f"CREATE DATABASE IF NOT EXISTS `{self._database}`")
            client.database = self._database
            self._local.client = client
            with self._guard:
                self._clients.append(client)
        return client


# The earliest receipt that can matter for the sessions asked for: their events are read from there on, not from the
# beginning of time, so that a batch costs what is new.
_FIRST_RECEIVED = """
    SELECT least({first:Int64}, ifNull(minOrNull(first_received_ms), {first:Int64}))
    FROM sessions WHERE session_hash IN {hashes:Array(UInt64)}
"""


def _connection(url: str) -> tuple[dict[str, Any], str]:
    """Arguments of the driver's ``get_client`` and the database to use, from one of our URLs."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise PermanentError("the event store's URL has a port or host that cannot be one") from error
    if parts.scheme == "chdb":
        return {"interface": "chdb", "path": parts.path}, _database(parts.query.removeprefix("database="))
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
    }, _database(parts.path.strip("/"))


def _database(name: str) -> str:
    if not re.fullmatch(r"\w*", name):
        raise PermanentError("the event store's database may hold letters, digits and underscores alone")
    return name or "furrow"


_SCHEMES = {"clickhouse": "http", "clickhouses": "https", "http": "http", "https": "https"}


def _statements(text: str) -> list[str]:
    without_comments = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return [part.strip() for part in without_comments.split(";\n") if part.strip(" \n;")]


def _translated(error: ClickHouseError) -> TransientError | PermanentError:
    code = getattr(error, "code", None)
    kind = PermanentError if code in _PERMANENT_CODES else TransientError
    if code == 36 or "Cannot lock" in str(error):
        return PermanentError(
            "the embedded ClickHouse's directory is in use by another process (one process may hold it)"
        )
    # The first sentence says what is wrong; what follows quotes the query, and with it text from browsers.
    return kind(f"ClickHouse refused ({code}): {str(error).splitlines()[0][:300]}")


def _int64(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _uint64(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    return np.asarray(column.to_numpy(), dtype=np.uint64)
