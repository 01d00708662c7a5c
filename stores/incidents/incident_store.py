"""The incident store: everything that Furrow keeps in Postgres, behind one class.

The class only opens transactions; the statements live beside it: ``incident_queue`` (sessions in line),
``incident_record`` (detections → incidents), ``incident_read`` (lists and JSON), ``incident_outbox`` (tickets). What an
incident may become is decided in ``lifecycle``, without a database.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Self

from sqlalchemy import text

from core.errors import PermanentError
from incidents import lifecycle
from incidents.lifecycle import Action, ConfirmRule, IllegalTransition
from incidents.model import (
    Analysed,
    Claim,
    Cursor,
    DeadSession,
    IncidentPage,
    IncidentQuery,
    Json,
    KeyRecord,
    NotFound,
    Origin,
    Pending,
    ProjectRecord,
    Recorded,
    Rules,
    Touched,
)
from stores.incidents import (
    incident_backfill,
    incident_erasure,
    incident_flood,
    incident_outbox,
    incident_read,
    incident_record,
    incident_schema,
    incident_settle,
    incident_source,
    incident_waiting,
    session_queue,
)
from stores.incidents.incident_backfill import Named, Stored
from stores.incidents.incident_database import Database, clean
from stores.incidents.incident_detection import to_json
from stores.incidents.incident_flood import Flood
from stores.incidents.incident_waiting import Waiting

__all__ = [
    "Analysed",
    "Claim",
    "ConfirmRule",
    "Cursor",
    "DeadSession",
    "Flood",
    "IllegalTransition",
    "IncidentPage",
    "IncidentQuery",
    "IncidentStore",
    "KeyRecord",
    "Named",
    "NotFound",
    "Origin",
    "Pending",
    "ProjectRecord",
    "Recorded",
    "Stored",
    "Touched",
    "Waiting",
]

_DEFAULT_RULE = ConfirmRule()


class IncidentStore:
    """One Postgres database of Furrow. Thread-safe; every method is one transaction.

    Raises TransientError when the same call may succeed later (connection lost, lock timeout, server shutting down) and
    PermanentError otherwise; messages never hold the password of the URL.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def connect(cls, url: str) -> Self:
        """A store at ``postgresql://`` or ``postgres://``; the first call connects."""
        return cls(Database(url))

    def migrate(self) -> None:
        """Bring the schema up to date; harmless when it is, and safe when several processes do it at once.

        Raises SchemaTooNew, and changes nothing, when a newer Furrow has upgraded it.
        """
        with self._database.transaction() as connection:
            incident_schema.migrate(connection)

    def check_schema(self) -> None:
        """Raise SchemaTooNew if a newer Furrow has upgraded this database; changes nothing."""
        with self._database.transaction() as connection:
            incident_schema.check(connection)

    def ping(self) -> None:
        """Raise unless the server answers."""
        with self._database.transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    # The queue of sessions
    # ------------------------------------------------------------------------------------------------

    def cursor(self, name: str = "detect") -> Cursor:
        """How far the reader ``name`` has come; ``Cursor(0, ())`` when it has never run."""
        with self._database.transaction() as connection:
            return session_queue.cursor(connection, name)

    def enqueue(
        self, touched: Sequence[Touched], cursor: Cursor, name: str = "detect", since: Cursor | None = None
    ) -> int:
        """Put sessions in line and move the cursor, both or neither. Returns how many sessions (each counted once).

        ``since``: where the cursor stood when they were read; 0, and nothing done, if another run has moved it since.
        """
        with self._database.transaction() as connection:
            return session_queue.enqueue(connection, touched, cursor, name, since)

    def due(self, now_ms: int, limit: int, shard: int = 0, shards: int = 1) -> list[Pending]:
        """Up to ``limit`` sessions whose time has come at ``now_ms`` (epoch ms), oldest due first.

        ``shard`` of ``shards``: only those of this part, by their hash.
        """
        with self._database.transaction() as connection:
            return session_queue.due(connection, now_ms, limit, shard, shards)

    def pending_counts(self, now_ms: int) -> dict[str, int]:
        """``{"open": not yet due, "due": due}`` at ``now_ms`` (epoch ms)."""
        with self._database.transaction() as connection:
            return session_queue.pending_counts(connection, now_ms)

    def session_failed(self, pending: Pending, reason: str, max_attempts: int = 3) -> bool:
        """Count a permanent failure of one session; True when this was the last and it became a dead session.

        False, and nothing counted, when the session got new events meanwhile.
        """
        with self._database.transaction() as connection:
            return session_queue.session_failed(connection, pending, clean(reason), max_attempts)

    def dead_sessions(self, project: str | None = None, limit: int = 100, offset: int = 0) -> list[DeadSession]:
        """The sessions that were given up, oldest first."""
        with self._database.transaction() as connection:
            return session_queue.dead_sessions(connection, project, limit, offset)

    def requeue_dead_session(self, project: str, session_id: str) -> bool:
        """Put a dead session back in line, due now; False when new events had done that already. Raises NotFound."""
        with self._database.transaction() as connection:
            return session_queue.requeue_dead_session(connection, project, session_id)

    # Writing
    # --------------------------------------------------------------------------------------------------------------

    def record(self, analysed: Sequence[Analysed], rules: Rules = _DEFAULT_RULE, backfill: bool = False) -> Recorded:
        """Store what the engine found in whole client sessions and bring their incidents up to date (``Recorded``).

        A session whose version moved on since it was read is skipped and stays in line. Running it again changes
        nothing. ``backfill``: drafts may be confirmed by rule, every other status stays as it was decided.
        """
        with self._database.transaction() as connection:
            return incident_record.record(connection, analysed, rules, backfill)

    def record_external(self, detection: Json, rules: Rules = _DEFAULT_RULE) -> tuple[str, bool]:
        """Store one detection that was made elsewhere; returns its incident's id and whether it was known already."""
        with self._database.transaction() as connection:
            return incident_record.record_external(connection, detection, rules)

    def act(
        self,
        incident_id: str,
        action: Action,
        reason: str,
        actor: str,
        project: str | None = None,
        until: datetime | None = None,
        sessions: int | None = None,
        at: datetime | None = None,
    ) -> Json:
        """Let ``actor`` move an incident; returns it as ``incident`` does.

        ``until`` or ``sessions`` (so many more) end a suppression; ``at`` is the time of the fix, by default now. Whatever is
        done releases an incident that was held back in a flood; "confirm" does so also when it was trusted already.
        Raises IllegalTransition, NotFound, or PermanentError for a number of sessions below 1.
        """
        if sessions is not None and sessions < 1:
            raise PermanentError("a suppression ends after at least 1 more session")
        now = at or datetime.now(UTC)
        with self._database.transaction() as connection:
            row = incident_record.lock_incident(connection, incident_id, project)
            before, why = incident_settle.state_of(row), reason.strip() or "no reason given"
            # A person looks at it, which is what it was held back for.
            held = incident_flood.let_through(connection, incident_id)
            if action == "confirm" and held and before.status in lifecycle.EXPORTABLE:
                state, change = before, lifecycle.let_through(before, why, actor)
            else:
                counted = row.counted_sessions
                state, change = lifecycle.act(
                    before, action, why, actor, now=now, sessions=counted, until=until, more_sessions=sessions
                )
            incident_settle.write_state(connection, incident_id, state)
            incident_settle.write_history(connection, [(incident_id, change)])
            return incident_read.details(connection, [incident_id])[0]

    # Floods and sources
    # ------------------------------------------------------------------------------------------------

    def release(self, rules: Rules = _DEFAULT_RULE) -> list[str]:
        """Let through the incidents of floods that independent sources have shown; their ids."""
        with self._database.transaction() as connection:
            return incident_flood.release(connection, rules)

    def floods(self, project: str | None = None) -> list[Flood]:
        """The times in which a project, or (None) any of them, had more new incidents than its budget; oldest first."""
        with self._database.transaction() as connection:
            return incident_flood.floods(connection, project)

    def forget_sources(self, days: Mapping[str, float]) -> int:
        """Forget who sent the detections that count no more; how many. ``days``: the window by project, '' for others."""
        with self._database.transaction() as connection:
            return incident_source.forget(connection, days)

    def sessions_of(self, project: str, user_hash: str) -> set[str]:
        """Ids of the client sessions with a detection of this user."""
        with self._database.transaction() as connection:
            return incident_erasure.sessions_of(connection, project, user_hash)

    def erase(
        self, project: str, sessions: Sequence[str], user_hash: str = "", rules: Rules = _DEFAULT_RULE
    ) -> incident_erasure.Erased:
        """Delete all that is known of these client sessions and of this user, and recompute their incidents.

        Raises PermanentError when neither is named.
        """
        if not (sessions or user_hash):
            raise PermanentError("name the session or the user to erase")
        with self._database.transaction() as connection:
            return incident_erasure.erase(connection, project, sessions, user_hash, rules)

    # A backfill: sessions analysed again by hand
    # ------------------------------------------------------------------------------------------------

    def put_in_line(self, touched: Sequence[Touched]) -> list[Pending]:
        """Queue the sessions that do not wait already, and return these; no cursor moves."""
        with self._database.transaction() as connection:
            return incident_backfill.put_in_line(connection, touched)

    def waiting(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these sessions (project, session id) are in line."""
        with self._database.transaction() as connection:
            return incident_backfill.waiting(connection, keys)

    def with_detections(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these sessions (project, session id) have a live detection of the engine."""
        with self._database.transaction() as connection:
            return incident_backfill.with_detections(connection, keys)

    def stored(self, keys: Sequence[tuple[str, str]]) -> list[Stored]:
        """The live detections of these sessions (project, session id), without those that were made elsewhere."""
        with self._database.transaction() as connection:
            return incident_backfill.stored(connection, keys)

    def named(self, ids: Sequence[str]) -> dict[str, Named]:
        """The incidents that exist of these ids, each in few words."""
        with self._database.transaction() as connection:
            return incident_backfill.named(connection, ids)

    # Reading
    # --------------------------------------------------------------------------------------------------------------

    def incidents(self, query: IncidentQuery) -> IncidentPage:
        """One page of incidents. Raises PermanentError for an unknown sort or a limit outside 1–1000."""
        with self._database.transaction() as connection:
            return incident_read.incidents(connection, query)

    def incident(self, incident_id: str, project: str | None = None) -> Json | None:
        """One incident with history, examples, timelines and tickets; None when unknown or of another project."""
        with self._database.transaction() as connection:
            return incident_read.incident(connection, incident_id, project)

    def counts(self, project: str | None = None) -> Json:
        """``{"detections": live, "retracted", "incidents": {status: n}, "tickets": {state: n}, "deadSessions",
        "pendingSessions", "oldestDueMs"}`` of one project, or (None) of all."""
        with self._database.transaction() as connection:
            return incident_read.counts(connection, project)

    # Tickets
    # --------------------------------------------------------------------------------------------------------------

    def exportable(
        self,
        tracker: str,
        limit: int,
        min_score: int,
        project: str | None = None,
        unlogged: bool = False,
    ) -> list[Json]:
        """Whole incidents that wait for a ticket at ``tracker``, in the order of export, without claiming them.

        ``unlogged`` leaves out those that ``mark_logged`` remembers, so that log-only gets past its first ``limit``.
        """
        with self._database.transaction() as connection:
            ids = incident_outbox.exportable(connection, tracker, limit, min_score, project, unlogged)
            return incident_read.details(connection, ids)

    def waiting_tickets(self) -> list[Waiting]:
        """Which tickets no export files now, and why, by tracker and state."""
        with self._database.transaction() as connection:
            return incident_waiting.waiting(connection)

    def hasten_tickets(self) -> int:
        """Let the next export try again what was put off after an error; how many tickets."""
        with self._database.transaction() as connection:
            return incident_waiting.hasten(connection)

    def mark_logged(self, incident_id: str, tracker: str, digest: str) -> bool:
        """Remember that a ticket text with this digest was logged; True unless the last one logged was the same."""
        with self._database.transaction() as connection:
            return incident_outbox.mark_logged(connection, incident_id, tracker, digest)

    def claim(
        self,
        tracker: str,
        *,
        limit: int,
        min_score: int,
        lease_s: float = 120,
        only: Sequence[str] | None = None,
        failed: bool = False,
        project: str | None = None,
        rate: int | None = None,
        rate_window_s: float = 3600,
    ) -> list[Claim]:
        """Lease incidents to file now; nobody else gets them until the lease is over.

        ``failed`` claims those that failed for good, and only those; ``only`` restricts to ids; ``rate`` is the number
        of new tickets per project in ``rate_window_s`` seconds.
        """
        with self._database.transaction() as connection:
            rows = incident_outbox.claim(
                connection, tracker, limit, min_score, lease_s, only, failed, project, rate, rate_window_s
            )
            whole = incident_read.details(connection, [row["incident_id"] for row in rows])
            return [incident_outbox.to_claim(row, incident) for row, incident in zip(rows, whole, strict=True)]

    def filed(self, incident_id: str, tracker: str, key: str, url: str) -> None:
        """Remember the ticket. The same key again is harmless; another one raises PermanentError."""
        with self._database.transaction() as connection:
            incident_outbox.filed(connection, incident_id, tracker, key, url)

    def failed(self, incident_id: str, tracker: str, reason: str, retry_at: datetime | None) -> None:
        """Remember a failure: tried again after ``retry_at``, or (None) never by itself (``export_failed``)."""
        with self._database.transaction() as connection:
            incident_outbox.failed(connection, incident_id, tracker, clean(reason), retry_at)

    # Keys and projects
    # ----------------------------------------------------------------------------------------------------

    def keys(self) -> list[KeyRecord]:
        """All API keys, the revoked ones too."""
        query = text("""
            SELECT key_hash, prefix, project, role, revoked_at IS NOT NULL AS revoked, label, created_at, last_used_at
            FROM api_keys ORDER BY project, role, created_at, key_hash
        """)
        with self._database.transaction() as connection:
            return [KeyRecord(**row._mapping) for row in connection.execute(query)]

    def put_key(self, key_hash: str, prefix: str, project: str, role: str, label: str = "") -> None:
        """Create or change the key with this hash; a revoked one is valid again."""
        statement = text("""
            INSERT INTO api_keys (key_hash, prefix, project, role, label)
            VALUES (:key_hash, :prefix, :project, :role, :label)
            ON CONFLICT (key_hash) DO UPDATE SET prefix = excluded.prefix, project = excluded.project,
                role = excluded.role, label = excluded.label, revoked_at = NULL
        """)
        record = {"key_hash": key_hash, "prefix": prefix, "project": project, "role": role, "label": label}
        with self._database.transaction() as connection:
            connection.execute(statement, record)

    def note_keys_used(self, used: Mapping[str, datetime]) -> None:
        """Remember when keys (by hash) were last used; earlier times than the known ones change nothing."""
        statement = text("""
            UPDATE api_keys k SET last_used_at = u.at
            FROM unnest(CAST(:hashes AS text[]), CAST(:times AS timestamptz[])) AS u(key_hash, at)
            WHERE k.key_hash = u.key_hash AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
        """)
        columns = {"hashes": list(used), "times": list(used.values())}
        with self._database.transaction() as connection:
            connection.execute(statement, columns)

    def revoke_key(self, prefix: str) -> int:
        """Revoke the keys with this prefix; returns how many were valid until now."""
        statement = text("""
            UPDATE api_keys SET revoked_at = now() WHERE prefix = :prefix AND revoked_at IS NULL RETURNING 1
        """)
        with self._database.transaction() as connection:
            return len(connection.execute(statement, {"prefix": prefix}).all())

    def projects(self) -> list[ProjectRecord]:
        """All projects that were given origins or settings."""
        query = text("SELECT id, origins, settings FROM projects ORDER BY id")
        with self._database.transaction() as connection:
            return [ProjectRecord(**row._mapping) for row in connection.execute(query)]

    def put_project(self, id: str, origins: Sequence[str] | None = None, settings: Json | None = None) -> None:
        """Create a project, or replace what is given of it; None leaves that part as it is."""
        statement = text("""
            INSERT INTO projects AS p (id, origins, settings)
            VALUES (:id, coalesce(CAST(:origins AS text[]), '{}'), coalesce(CAST(:settings AS jsonb), '{}'))
            ON CONFLICT (id) DO UPDATE SET origins = coalesce(CAST(:origins AS text[]), p.origins),
                settings = coalesce(CAST(:settings AS jsonb), p.settings), updated_at = now()
        """)
        values = {
            "id": id,
            "origins": None if origins is None else list(origins),
            "settings": None if settings is None else to_json(clean(settings)),
        }
        with self._database.transaction() as connection:
            connection.execute(statement, values)
