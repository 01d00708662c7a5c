"""The queue of client sessions that wait for analysis, the readers' cursors, and dead sessions.

Every writer locks rows in the order of (project, session_id), which prevents deadlocks.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text

from incidents.model import Cursor, PendingSession, SessionKey, TouchedSession
from stores.incidents.incident_database import Database, clean_for_postgres

_ROWS_PER_STATEMENT = 5_000
_REASON_LENGTH = 2_000

_CURSOR = text("SELECT watermark_us, seen FROM cursors WHERE name = :name")
_SET_CURSOR = text("""
    INSERT INTO cursors AS c (name, watermark_us, seen) VALUES (:name, :watermark_us, CAST(:seen AS bigint[]))
    ON CONFLICT (name) DO UPDATE SET watermark_us = excluded.watermark_us, seen = excluded.seen, updated_at = now()
    WHERE (c.watermark_us, c.seen) IS DISTINCT FROM (excluded.watermark_us, excluded.seen)
""")
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('furrow cursor ' || :name, 0))")
_ENQUEUE = text("""
    INSERT INTO pending_sessions AS p (project, session_id, session_hash, due_ms, received_ms, failed, look)
    SELECT t.project, t.session_id, t.session_hash, CASE WHEN t.delays THEN t.due_ms ELSE least(t.due_ms, (
               SELECT q.due_ms FROM pending_sessions q WHERE q.project = t.project AND q.session_id = t.session_id
           )) END, t.received_ms, t.failed, t.failed
    FROM unnest(CAST(:project AS text[]), CAST(:session_id AS text[]), CAST(:session_hash AS bigint[]),
                CAST(:due_ms AS bigint[]), CAST(:received_ms AS bigint[]), CAST(:delays AS boolean[]),
                CAST(:failed AS boolean[]))
         AS t(project, session_id, session_hash, due_ms, received_ms, delays, failed)
    ON CONFLICT (project, session_id) DO UPDATE
    SET version = excluded.version, attempts = 0, due_ms = excluded.due_ms,
        failed = p.failed OR excluded.failed, look = p.failed OR excluded.failed,
        received_ms = least(p.received_ms, excluded.received_ms)
""")
_PENDING_COLUMNS = "project, session_id, session_hash, version, attempts, due_ms, received_ms"
# Hashes are stored as signed numbers; without the sign bit this is `compute_shard`.
_DUE = text(f"""
    SELECT {_PENDING_COLUMNS} FROM pending_sessions
    WHERE due_ms <= :now_ms AND (session_hash & 9223372036854775807) % :shards = :shard
    ORDER BY due_ms, project, session_id LIMIT :limit
""")
_TO_LOOK_AT = text(f"""
    SELECT {_PENDING_COLUMNS} FROM pending_sessions
    WHERE look AND due_ms > :now_ms AND (session_hash & 9223372036854775807) % :shards = :shard
    ORDER BY due_ms, project, session_id LIMIT :limit
""")
_PENDING_COUNTS = text("""
    SELECT count(*) FILTER (WHERE due_ms > :now_ms) AS open, count(*) FILTER (WHERE due_ms <= :now_ms) AS due
    FROM pending_sessions
""")
_ENQUEUE_MISSING = text(f"""
    INSERT INTO pending_sessions (project, session_id, session_hash, due_ms, received_ms)
    SELECT * FROM unnest(CAST(:project AS text[]), CAST(:session_id AS text[]), CAST(:session_hash AS bigint[]),
                         CAST(:due_ms AS bigint[]), CAST(:received_ms AS bigint[]))
    ON CONFLICT (project, session_id) DO NOTHING
    RETURNING {_PENDING_COLUMNS}
""")
_WAITING = text("""
    SELECT p.project, p.session_id
    FROM pending_sessions p
    JOIN unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
      ON (p.project, p.session_id) = (k.project, k.session_id)
""")
_OLDEST = text("SELECT coalesce(min(received_ms) FILTER (WHERE received_ms > 0), 0) FROM pending_sessions")
_FAIL = text("""
    UPDATE pending_sessions SET attempts = attempts + 1
    WHERE project = :project AND session_id = :session_id AND version = :version
    RETURNING attempts
""")
_BURY = text("""
    WITH gone AS (
        DELETE FROM pending_sessions WHERE project = :project AND session_id = :session_id RETURNING *
    )
    INSERT INTO dead_sessions (project, session_id, session_hash, attempts, due_ms, received_ms, reason)
    SELECT project, session_id, session_hash, attempts, due_ms, received_ms, :reason FROM gone
    ON CONFLICT (project, session_id) DO UPDATE
    SET attempts = excluded.attempts, due_ms = excluded.due_ms, received_ms = excluded.received_ms,
        reason = excluded.reason, died_at = now()
""")


class SessionQueue:
    """The sessions that wait for analysis, the cursors of readers, and dead sessions.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def read_cursor(self, name: str = "detect") -> Cursor:
        """The cursor of the reader ``name``; ``Cursor(0, ())`` when it has never run."""
        with self._database.open_transaction() as connection:
            return _read_cursor(connection, name)

    def enqueue_sessions(
        self, touched: Sequence[TouchedSession], cursor: Cursor, name: str = "detect", since: Cursor | None = None
    ) -> int:
        """Enqueue sessions and move the cursor, both or neither. Returns how many sessions (each counted once).

        ``since``: the cursor at which they were read. If another run has moved it, nothing happens and 0 is returned: a
        new version would discard the results of the analysis that is running.
        """
        latest = {(item.project, item.session_id): item for item in touched}
        rows = [latest[key] for key in sorted(latest)]
        with self._database.open_transaction() as connection:
            if since is not None:
                connection.execute(_ONE_AT_A_TIME, {"name": name})
                if _read_cursor(connection, name) != since:
                    return 0
            for chunk in _split_into_chunks(rows):
                flags = {"delays": [row.delays for row in chunk], "failed": [row.failed for row in chunk]}
                connection.execute(_ENQUEUE, {**_build_touched_columns(chunk), **flags})
            seen = [int(moment) for moment in cursor.seen]
            connection.execute(_SET_CURSOR, {"name": name, "watermark_us": int(cursor.watermark_us), "seen": seen})
        return len(rows)

    def enqueue_missing_sessions(self, touched: Sequence[TouchedSession]) -> list[PendingSession]:
        """Enqueue the sessions that are not in the queue yet, and return these; no cursor moves."""
        rows = sorted(touched, key=lambda session: (session.project, session.session_id))
        if not rows:
            return []
        with self._database.open_transaction() as connection:
            added = connection.execute(_ENQUEUE_MISSING, _build_touched_columns(rows))
            return sorted(map(_build_pending_session, added), key=lambda pending: (pending.project, pending.session_id))

    def find_due_sessions(self, now_ms: int, limit: int, shard: int = 0, shards: int = 1) -> list[PendingSession]:
        """Up to ``limit`` sessions that are due at ``now_ms`` (epoch ms), the longest due first.

        ``shard`` of ``shards``: only the sessions of this part, by their hash.
        """
        values = {"now_ms": now_ms, "limit": limit, "shard": shard, "shards": shards}
        with self._database.open_transaction() as connection:
            return [_build_pending_session(row) for row in connection.execute(_DUE, values)]

    def find_sessions_to_look_at(
        self, now_ms: int, limit: int, shard: int = 0, shards: int = 1
    ) -> list[PendingSession]:
        """Up to ``limit`` sessions that go on at ``now_ms`` (epoch ms), in which something failed, with events since the last
        look. Those that are due first come first.

        ``shard`` of ``shards``: only the sessions of this part, by their hash.
        """
        values = {"now_ms": now_ms, "limit": limit, "shard": shard, "shards": shards}
        with self._database.open_transaction() as connection:
            return [_build_pending_session(row) for row in connection.execute(_TO_LOOK_AT, values)]

    def find_pending_sessions(self, keys: Sequence[SessionKey]) -> set[SessionKey]:
        """Which of these sessions are in the queue."""
        with self._database.open_transaction() as connection:
            return {(row.project, row.session_id) for row in connection.execute(_WAITING, build_key_columns(keys))}

    def find_oldest_pending_ms(self) -> int:
        """Earliest receipt (epoch ms) among the new events of the sessions in the queue; 0: the queue is empty."""
        with self._database.open_transaction() as connection:
            return int(connection.execute(_OLDEST).scalar_one())

    def count_pending_sessions(self, now_ms: int) -> dict[str, int]:
        """``{"open": not yet due, "due": due}`` at ``now_ms`` (epoch ms)."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_PENDING_COUNTS, {"now_ms": now_ms}).one()
            return {"open": row.open, "due": row.due}

    def record_session_failure(self, pending: PendingSession, reason: str, max_attempts: int = 3) -> bool:
        """Count a permanent failure of one session; True when this was the last and it became a dead session.

        False, and nothing counted, when the session got new events meanwhile.
        """
        key = {"project": pending.project, "session_id": pending.session_id}
        words = clean_for_postgres(reason)[:_REASON_LENGTH]
        with self._database.open_transaction() as connection:
            attempts = connection.execute(_FAIL, {**key, "version": pending.version}).scalar_one_or_none()
            if attempts is None or attempts < max_attempts:
                return False
            connection.execute(_BURY, {**key, "reason": words})
            return True


def _read_cursor(connection: sa.Connection, name: str) -> Cursor:
    row = connection.execute(_CURSOR, {"name": name}).one_or_none()
    return Cursor(row.watermark_us, tuple(row.seen)) if row else Cursor()


def _split_into_chunks(rows: Sequence[TouchedSession]) -> Iterator[Sequence[TouchedSession]]:
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        yield rows[start : start + _ROWS_PER_STATEMENT]


def _build_touched_columns(rows: Sequence[TouchedSession]) -> dict[str, list[Any]]:
    """Parallel arrays, as ``unnest`` takes them."""
    return {
        "project": [row.project for row in rows],
        "session_id": [row.session_id for row in rows],
        "session_hash": [_to_signed_hash(int(row.session_hash)) for row in rows],
        "due_ms": [int(row.due_ms) for row in rows],
        "received_ms": [int(row.received_ms) for row in rows],
    }


def build_key_columns(keys: Sequence[SessionKey]) -> dict[str, list[str]]:
    """Parallel arrays of projects and session ids, as ``unnest`` takes them."""
    return {"project": [project for project, _ in keys], "session_id": [session_id for _, session_id in keys]}


def _to_signed_hash(unsigned: int) -> int:
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


def _to_unsigned_hash(signed: int) -> int:
    return signed & ((1 << 64) - 1)


def compute_shard(session_hash: int, shards: int) -> int:
    """The part, of ``shards``, that a client session belongs to."""
    return (session_hash & ((1 << 63) - 1)) % shards


def _build_pending_session(row: "sa.Row[Any]") -> PendingSession:
    return PendingSession(
        row.project,
        row.session_id,
        _to_unsigned_hash(row.session_hash),
        row.version,
        row.attempts,
        row.due_ms,
        row.received_ms,
    )
