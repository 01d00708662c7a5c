"""Writes the tables of the event store to files, and loads them, in ClickHouse's format ``Native``.

It uses Furrow's connection and pieces of bounded size, for the embedded store and for a server alike
(docs/decisions/0009-backups-are-rows.md).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from core.errors import PermanentError
from stores.events import event_schema
from stores.events.event_store import EventStore

PIECE_ROWS = 500_000
"""Maximum rows of one file: about 60 MB in memory."""
TABLES = ("events", "sessions", "session_history", "session_steps")
_REPLACED = ("sessions", "session_history", "session_steps")
"""Of these, the tables whose rows replace each other, one for each client session."""
DERIVED = ("counted", "receipts")
"""Tables that are not in a backup: those computed from the others, and hashes of addresses, which must expire."""
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_SECONDS = 600
_COLUMNS = """
    SELECT name FROM system.columns
    WHERE database = currentDatabase() AND table = {table:String} AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')
    ORDER BY position
"""


@dataclass(frozen=True)
class EventDump:
    """What a backup holds: the schema's last version; for each table its columns, row count and file names."""

    version: str
    columns: Mapping[str, list[str]]
    rows: Mapping[str, int]
    files: Mapping[str, list[str]]


@dataclass(frozen=True)
class _TablePiece:
    """Rows of a table: a condition with parameters."""

    condition: str
    parameters: Mapping[str, int]


def dump_event_tables(store: EventStore, folder: Path) -> EventDump:
    """Write the tables to ``folder``, compressed with zstd. Rows that land after the start are not included."""
    with store.borrow_client() as client:
        event_schema.check_schema_version(client)
        versions = event_schema.read_applied_versions(client)
        if not versions:
            raise PermanentError("the event store is empty: there is nothing to back up")
        now = _query_number(client, "SELECT toUnixTimestamp64Micro(now64(6))")
        tables = _find_present_tables(client)
        columns = {table: [str(r[0]) for r in client.query(_COLUMNS, {"table": table}).result_rows] for table in tables}
        pieces = {
            table: list(_split_sessions(client, table) if table in _REPLACED else _split_events(client, now))
            for table in tables
        }
        files = {
            table: [
                _write_piece(client, table, columns[table], piece, n, folder) for n, piece in enumerate(pieces[table])
            ]
            for table in tables
        }
        rows = {table: _count_dumped_rows(client, table, now) for table in tables}
    return EventDump(max(versions), columns, rows, files)


def load_event_tables(store: EventStore, folder: Path, manifest: EventDump) -> None:
    """Load what `dump_event_tables` wrote into an empty database, and upgrade its schema.

    Raises PermanentError when the database is not empty, or when rows are missing afterwards.
    """
    with store.borrow_client() as client:
        refuse_unless_empty(client, manifest.version)
        event_schema.migrate(client, manifest.version)
        for table in manifest.files:
            for name in manifest.files[table]:
                _load_piece(client, table, manifest.columns[table], folder / name)
            found = _query_number(client, f"SELECT count() FROM {table}")
            if found < manifest.rows[table]:
                raise PermanentError(f"of {manifest.rows[table]} rows of {table}, {found} were restored")
        event_schema.migrate(client)


def refuse_unless_empty(client: Client, version: str) -> None:
    """Raise PermanentError when the database holds a row, or a schema that is later than ``version``."""
    found = event_schema.read_applied_versions(client)
    if not found:
        return
    if any(_query_number(client, f"SELECT count() FROM {table}") for table in _find_present_tables(client)):
        raise PermanentError("the event store is not empty; restore into a new database or data directory")
    if max(found) > version:
        raise PermanentError(
            f"the event store is empty, but its schema is {max(found)} and the backup's {version}: create a new database"
        )


def _find_present_tables(client: Client) -> list[str]:
    """The tables of a backup that this database has: an older schema has fewer."""
    query = "SELECT name FROM system.tables WHERE database = currentDatabase()"
    present = {str(row[0]) for row in client.query(query).result_rows}
    return [table for table in TABLES if table in present]


def _split_events(client: Client, now_us: int) -> Iterator[_TablePiece]:
    """Pieces of whole hours of receipt. No piece spans two days: a day is a partition."""
    rows = client.query(
        "SELECT intDiv(received_ms, {hour:Int64}) AS h, count() FROM events "
        "WHERE landed_at <= fromUnixTimestamp64Micro({now:Int64}) GROUP BY h ORDER BY h",
        {"hour": _HOUR_MS, "now": now_us},
    ).result_rows
    spans: list[list[int]] = []  # first hour, last hour, events
    for hour, count in rows:
        same_day = spans and spans[-1][1] * _HOUR_MS // _DAY_MS == hour * _HOUR_MS // _DAY_MS
        if same_day and spans[-1][2] + count <= PIECE_ROWS:
            spans[-1][1:] = [hour, spans[-1][2] + count]
        else:
            spans.append([hour, hour, count])
    for first, last, count in spans:
        for part, parts in _list_parts(count):
            yield _TablePiece(
                "received_ms >= {from:Int64} AND received_ms < {to:Int64} AND session_hash % {parts:UInt64} = {part:UInt64} "
                "AND landed_at <= fromUnixTimestamp64Micro({now:Int64})",
                {"from": first * _HOUR_MS, "to": (last + 1) * _HOUR_MS, "parts": parts, "part": part, "now": now_us},
            )


def _split_sessions(client: Client, table: str) -> Iterator[_TablePiece]:
    for part, parts in _list_parts(_query_number(client, f"SELECT count() FROM {table}")):
        yield _TablePiece("session_hash % {parts:UInt64} = {part:UInt64}", {"parts": parts, "part": part})


def _list_parts(rows: int) -> list[tuple[int, int]]:
    parts = -(-rows // PIECE_ROWS)
    return [(part, parts) for part in range(parts)]


def _count_dumped_rows(client: Client, table: str, now_us: int) -> int:
    if table in _REPLACED:
        return _query_number(client, f"SELECT count() FROM {table} FINAL")
    landed = "landed_at <= fromUnixTimestamp64Micro({now:Int64})"
    return _query_number(client, f"SELECT count() FROM events WHERE {landed}", {"now": now_us})


def _query_number(client: Client, query: str, parameters: dict[str, Any] | None = None) -> int:
    return int(client.query(query, parameters).result_rows[0][0])


def _write_piece(client: Client, table: str, columns: list[str], piece: _TablePiece, number: int, folder: Path) -> str:
    name = f"{table}-{number:05}.native.zst"
    final = " FINAL" if table in _REPLACED else ""
    query = f"SELECT {_quote_column_names(columns)} FROM {table}{final} WHERE {piece.condition}"
    parameters: dict[str, Any] = dict(piece.parameters)
    content = client.raw_query(query, parameters=parameters, fmt="Native", settings={"max_execution_time": _SECONDS})
    with pa.CompressedOutputStream(str(folder / name), "zstd") as out:
        out.write(content)
    return name


def _load_piece(client: Client, table: str, columns: list[str], file: Path) -> None:
    with pa.CompressedInputStream(str(file), "zstd") as source:
        content = source.read()
    settings = {
        # Two pieces may be equal, and no piece may have the token of a segment.
        "insert_deduplicate": 0,
        "max_insert_block_size": 10_000_000,
        "max_partitions_per_insert_block": 0,  # the sessions of a piece are of many days
        "max_execution_time": _SECONDS,
    }
    if content:
        client.raw_insert(table, column_names=columns, insert_block=content, fmt="Native", settings=settings)


def _quote_column_names(columns: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)
