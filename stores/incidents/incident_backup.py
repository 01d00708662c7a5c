"""Writes the tables of the incident store to files with COPY, all of one moment, and loads them.

Migrations create the schema; a backup holds rows only (docs/decisions/0009-backups-are-rows.md).
"""

# Statements are put together from constants of this module and names out of Postgres' own catalogue, which are quoted.

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from psycopg import sql

from core.errors import PermanentError
from stores.incidents import incident_schema
from stores.incidents.incident_database import Database

TABLES = (
    "projects",
    "api_keys",
    "cursors",
    "pending_sessions",
    "dead_sessions",
    "incidents",
    "detections",
    "open_detections",
    "incident_history",
    "incident_fingerprints",
    "outbox",
    "former_tickets",
    "alert_occasions",
    "alerts",
    "alert_snoozes",
    "floods",
    "uncounted_sessions",
    "incident_steps",
    "incident_reach",
    "reach_horizon",
    "audit_log",
    "saved_views",
    "verdicts",
    "exemptions",
    "exemption_history",
    "project_routes",
    "route_rules",
    "releases",
)
"""Every table; a table comes after those to which it refers."""
NOT_KEPT = (
    "page_sessions",
    "provider_visits",
    "sign_in_links",
    "silences",
    "tracker_checks",
    "alert_tests",
    "ticket_file_checks",
    "tracker_gates",
    "counted_visits",
    "incident_counts",
    "incident_moves",
    "incident_owners",
)
"""Tables that no backup holds: who restores it signs in again, near misses come from the next analyses, the counts from
the detections, as they are loaded, the legal moves from the schema, and owners from the rules."""
SEQUENCES = (
    "pending_versions",
    "incident_history_id_seq",
    "audit_log_id_seq",
    "exemption_history_id_seq",
    "page_sessions_session_id_seq",
)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class IncidentDump:
    """What a backup holds: the schema's revision; for each table its columns and row count; the last value of each sequence."""

    revision: str
    columns: Mapping[str, list[str]]
    rows: Mapping[str, int]
    sequences: Mapping[str, int]


def dump_incident_tables(url: str, folder: Path) -> IncidentDump:
    """Write each table to ``folder``/TABLE.copy.zst (zstd), in one snapshot. Others may write meanwhile.

    Raises PermanentError when there is no schema, and what ``Database`` raises.
    """
    with _open_transaction(url) as (connection, driver):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        revision = incident_schema.read_applied_revision(connection)
        if revision is None:
            raise PermanentError("the incident store is empty: there is nothing to back up")
        incident_schema.check_schema_version(connection)
        columns = {table: _read_column_names(connection, table) for table in TABLES}
        rows = {
            table: _copy_table_out(driver, table, columns[table], _build_table_path(folder, table)) for table in TABLES
        }
        sequences = {name: _read_last_value(driver, name) for name in SEQUENCES}
    return IncidentDump(revision, columns, rows, sequences)


def load_incident_tables(url: str, folder: Path, manifest: IncidentDump) -> None:
    """Load what `dump_incident_tables` wrote into an empty database, in one transaction; then upgrade its schema.

    Raises PermanentError when the database is not empty or when rows are missing.
    """
    with _open_transaction(url) as (connection, driver):
        refuse_unless_empty(connection, manifest.revision)
        incident_schema.migrate(connection, manifest.revision)
        # A backup of an older schema has not the tables of a newer one.
        for table in (table for table in TABLES if table in manifest.columns):
            found = _copy_table_in(driver, table, manifest.columns[table], _build_table_path(folder, table))
            if found != manifest.rows[table]:
                raise PermanentError(f"the backup's table {table} holds {found} rows instead of {manifest.rows[table]}")
        for name, value in manifest.sequences.items():
            driver.execute("SELECT setval(%s::regclass, %s::bigint)", (name, value))
    with _open_transaction(url) as (connection, _):
        incident_schema.migrate(connection)


def refuse_unless_empty(connection: sa.Connection, revision: str) -> None:
    """Raise PermanentError when the database holds a row, or a schema other than ``revision``."""
    found = incident_schema.read_applied_revision(connection)
    if found is None:
        return
    if any(connection.exec_driver_sql(f"SELECT EXISTS (SELECT FROM {table})").scalar() for table in TABLES):
        raise PermanentError("the incident store is not empty; restore into a new database or data directory")
    if found != revision:
        raise PermanentError(
            f"the incident store is empty, but its schema is {found} and the backup's {revision}: create a new database"
        )


@contextmanager
def _open_transaction(url: str) -> "Iterator[tuple[sa.Connection, psycopg.Connection[Any]]]":
    database = Database(url)
    try:
        with database.open_transaction() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            yield connection, driver
    finally:
        database.close()


def _read_column_names(connection: sa.Connection, table: str) -> list[str]:
    query = sa.text("""
        SELECT attname FROM pg_attribute
        WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
    """)
    return [str(name) for name in connection.execute(query, {"table": table}).scalars()]


def _copy_table_out(driver: "psycopg.Connection[Any]", table: str, columns: list[str], file: Path) -> int:
    statement = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(table), _quote_column_names(columns))
    with driver.cursor() as cursor, pa.CompressedOutputStream(str(file), "zstd") as out:
        with cursor.copy(statement) as copy:
            for block in copy:
                out.write(bytes(block))
        return cursor.rowcount


def _copy_table_in(driver: "psycopg.Connection[Any]", table: str, columns: list[str], file: Path) -> int:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _quote_column_names(columns))
    with driver.cursor() as cursor, pa.CompressedInputStream(str(file), "zstd") as source:
        with cursor.copy(statement) as copy:
            while block := source.read(_CHUNK):
                copy.write(block)
        return cursor.rowcount


def _quote_column_names(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _read_last_value(driver: "psycopg.Connection[Any]", name: str) -> int:
    # Sequences are not part of the snapshot: this value is at least the highest that the rows use.
    row = driver.execute(sql.SQL("SELECT last_value FROM {}").format(sql.Identifier(name))).fetchone()
    assert row is not None
    return int(row[0])


def _build_table_path(folder: Path, table: str) -> Path:
    return folder / f"{table}.copy.zst"
