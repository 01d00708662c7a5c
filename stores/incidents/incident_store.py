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
    AnalysedSession,
    Cursor,
    DeadSession,
    IncidentPage,
    IncidentQuery,
    Json,
    KeyRecord,
    NotFound,
    PendingSession,
    ProjectRecord,
    RecordResult,
    Rules,
    SessionOrigin,
    TicketClaim,
    TouchedSession,
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
from stores.incidents.incident_backfill import IncidentSummary, StoredDetection
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_detection import encode_json_text
from stores.incidents.incident_flood import Flood
from stores.incidents.incident_waiting import WaitingTickets

__all__ = [
    "AnalysedSession",
    "ConfirmRule",
    "Cursor",
    "DeadSession",
    "Flood",
    "IllegalTransition",
    "IncidentPage",
    "IncidentQuery",
    "IncidentStore",
    "IncidentSummary",
    "KeyRecord",
    "NotFound",
    "PendingSession",
    "ProjectRecord",
    "RecordResult",
    "SessionOrigin",
    "StoredDetection",
    "TicketClaim",
    "TouchedSession",
    "WaitingTickets",
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
        with self._database.open_transaction() as connection:
            incident_schema.migrate(connection)

    def check_schema(self) -> None:
        """Raise SchemaTooNew if a newer Furrow has upgraded this database; changes nothing."""
        with self._database.open_transaction() as connection:
            incident_schema.check_schema_version(connection)

    def ping(self) -> None:
        """Raise unless the server answers."""
        with self._database.open_transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    # The queue of sessions
    # ------------------------------------------------------------------------------------------------

    def read_cursor(self, name: str = "detect") -> Cursor:
        """How far the reader ``name`` has come; ``Cursor(0, ())`` when it has never run."""
        with self._database.open_transaction() as connection:
            return session_queue.read_cursor(connection, name)

    def enqueue_sessions(
        self, touched: Sequence[TouchedSession], cursor: Cursor, name: str = "detect", since: Cursor | None = None
    ) -> int:
        """Put sessions in line and move the cursor, both or neither. Returns how many sessions (each counted once).

        ``since``: where the cursor stood when they were read; 0, and nothing done, if another run has moved it since.
        """
        with self._database.open_transaction() as connection:
            return session_queue.enqueue_sessions(connection, touched, cursor, name, since)

    def find_due_sessions(self, now_ms: int, limit: int, shard: int = 0, shards: int = 1) -> list[PendingSession]:
        """Up to ``limit`` sessions whose time has come at ``now_ms`` (epoch ms), oldest due first.

        ``shard`` of ``shards``: only those of this part, by their hash.
        """
        with self._database.open_transaction() as connection:
            return session_queue.find_due_sessions(connection, now_ms, limit, shard, shards)

    def count_pending_sessions(self, now_ms: int) -> dict[str, int]:
        """``{"open": not yet due, "due": due}`` at ``now_ms`` (epoch ms)."""
        with self._database.open_transaction() as connection:
            return session_queue.count_pending_sessions(connection, now_ms)

    def record_session_failure(self, pending: PendingSession, reason: str, max_attempts: int = 3) -> bool:
        """Count a permanent failure of one session; True when this was the last and it became a dead session.

        False, and nothing counted, when the session got new events meanwhile.
        """
        with self._database.open_transaction() as connection:
            return session_queue.record_session_failure(connection, pending, clean_for_postgres(reason), max_attempts)

    def list_dead_sessions(self, project: str | None = None, limit: int = 100, offset: int = 0) -> list[DeadSession]:
        """The sessions that were given up, oldest first."""
        with self._database.open_transaction() as connection:
            return session_queue.list_dead_sessions(connection, project, limit, offset)

    def requeue_dead_session(self, project: str, session_id: str) -> bool:
        """Put a dead session back in line, due now; False when new events had done that already. Raises NotFound."""
        with self._database.open_transaction() as connection:
            return session_queue.requeue_dead_session(connection, project, session_id)

    # Writing
    # --------------------------------------------------------------------------------------------------------------

    def record_detections(
        self, analysed: Sequence[AnalysedSession], rules: Rules = _DEFAULT_RULE, backfill: bool = False
    ) -> RecordResult:
        """Store what the engine found in whole client sessions and bring their incidents up to date (``Recorded``).

        A session whose version moved on since it was read is skipped and stays in line. Running it again changes
        nothing. ``backfill``: drafts may be confirmed by rule, every other status stays as it was decided.
        """
        with self._database.open_transaction() as connection:
            return incident_record.record_detections(connection, analysed, rules, backfill)

    def record_external_detection(self, detection: Json, rules: Rules = _DEFAULT_RULE) -> tuple[str, bool]:
        """Store one detection that was made elsewhere; returns its incident's id and whether it was known already."""
        with self._database.open_transaction() as connection:
            return incident_record.record_external_detection(connection, detection, rules)

    def apply_action(
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
        with self._database.open_transaction() as connection:
            row = incident_record.lock_incident_row(connection, incident_id, project)
            before, why = incident_settle.build_incident_state(row), reason.strip() or "no reason given"
            # A person looks at it, which is what it was held back for.
            held = incident_flood.release_held_incident(connection, incident_id)
            if action == "confirm" and held and before.status in lifecycle.EXPORTABLE:
                state, change = before, lifecycle.confirm_held_incident(before, why, actor)
            else:
                counted = row.counted_sessions
                state, change = lifecycle.apply_action(
                    before, action, why, actor, now=now, sessions=counted, until=until, more_sessions=sessions
                )
            incident_settle.write_incident_state(connection, incident_id, state)
            incident_settle.write_incident_history(connection, [(incident_id, change)])
            return incident_read.read_incident_details(connection, [incident_id])[0]

    # Floods and sources
    # ------------------------------------------------------------------------------------------------

    def release_flood_incidents(self, rules: Rules = _DEFAULT_RULE) -> list[str]:
        """Let through the incidents of floods that independent sources have shown; their ids."""
        with self._database.open_transaction() as connection:
            return incident_flood.release_flood_incidents(connection, rules)

    def list_floods(self, project: str | None = None) -> list[Flood]:
        """The times in which a project, or (None) any of them, had more new incidents than its budget; oldest first."""
        with self._database.open_transaction() as connection:
            return incident_flood.list_floods(connection, project)

    def forget_sources(self, days: Mapping[str, float]) -> int:
        """Forget who sent the detections that count no more; how many. ``days``: the window by project, '' for others."""
        with self._database.open_transaction() as connection:
            return incident_source.forget_sources(connection, days)

    def find_user_sessions(self, project: str, user_hash: str) -> set[str]:
        """Ids of the client sessions with a detection of this user."""
        with self._database.open_transaction() as connection:
            return incident_erasure.find_user_sessions(connection, project, user_hash)

    def erase_sessions(
        self, project: str, sessions: Sequence[str], user_hash: str = "", rules: Rules = _DEFAULT_RULE
    ) -> incident_erasure.ErasedIncidentData:
        """Delete all that is known of these client sessions and of this user, and recompute their incidents.

        Raises PermanentError when neither is named.
        """
        if not (sessions or user_hash):
            raise PermanentError("name the session or the user to erase")
        with self._database.open_transaction() as connection:
            return incident_erasure.erase_sessions(connection, project, sessions, user_hash, rules)

    # A backfill: sessions analysed again by hand
    # ------------------------------------------------------------------------------------------------

    def enqueue_missing_sessions(self, touched: Sequence[TouchedSession]) -> list[PendingSession]:
        """Queue the sessions that do not wait already, and return these; no cursor moves."""
        with self._database.open_transaction() as connection:
            return incident_backfill.enqueue_missing_sessions(connection, touched)

    def find_pending_sessions(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these sessions (project, session id) are in line."""
        with self._database.open_transaction() as connection:
            return incident_backfill.find_pending_sessions(connection, keys)

    def find_detected_sessions(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these sessions (project, session id) have a live detection of the engine."""
        with self._database.open_transaction() as connection:
            return incident_backfill.find_detected_sessions(connection, keys)

    def read_stored_detections(self, keys: Sequence[tuple[str, str]]) -> list[StoredDetection]:
        """The live detections of these sessions (project, session id), without those that were made elsewhere."""
        with self._database.open_transaction() as connection:
            return incident_backfill.read_stored_detections(connection, keys)

    def read_incident_summaries(self, ids: Sequence[str]) -> dict[str, IncidentSummary]:
        """The incidents that exist of these ids, each in few words."""
        with self._database.open_transaction() as connection:
            return incident_backfill.read_incident_summaries(connection, ids)

    # Reading
    # --------------------------------------------------------------------------------------------------------------

    def list_incidents(self, query: IncidentQuery) -> IncidentPage:
        """One page of incidents. Raises PermanentError for an unknown sort or a limit outside 1–1000."""
        with self._database.open_transaction() as connection:
            return incident_read.list_incidents(connection, query)

    def read_incident(self, incident_id: str, project: str | None = None) -> Json | None:
        """One incident with history, examples, timelines and tickets; None when unknown or of another project."""
        with self._database.open_transaction() as connection:
            return incident_read.read_incident(connection, incident_id, project)

    def read_store_counts(self, project: str | None = None) -> Json:
        """``{"detections": live, "retracted", "incidents": {status: n}, "tickets": {state: n}, "deadSessions",
        "pendingSessions", "oldestDueMs"}`` of one project, or (None) of all."""
        with self._database.open_transaction() as connection:
            return incident_read.read_store_counts(connection, project)

    # Tickets
    # --------------------------------------------------------------------------------------------------------------

    def find_exportable_incidents(
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
        with self._database.open_transaction() as connection:
            ids = incident_outbox.find_exportable_incidents(connection, tracker, limit, min_score, project, unlogged)
            return incident_read.read_incident_details(connection, ids)

    def list_waiting_tickets(self) -> list[WaitingTickets]:
        """Which tickets no export files now, and why, by tracker and state."""
        with self._database.open_transaction() as connection:
            return incident_waiting.list_waiting_tickets(connection)

    def retry_tickets_now(self) -> int:
        """Let the next export try again what was put off after an error; how many tickets."""
        with self._database.open_transaction() as connection:
            return incident_waiting.retry_tickets_now(connection)

    def mark_ticket_logged(self, incident_id: str, tracker: str, digest: str) -> bool:
        """Remember that a ticket text with this digest was logged; True unless the last one logged was the same."""
        with self._database.open_transaction() as connection:
            return incident_outbox.mark_ticket_logged(connection, incident_id, tracker, digest)

    def claim_incidents(
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
    ) -> list[TicketClaim]:
        """Lease incidents to file now; nobody else gets them until the lease is over.

        ``failed`` claims those that failed for good, and only those; ``only`` restricts to ids; ``rate`` is the number
        of new tickets per project in ``rate_window_s`` seconds.
        """
        with self._database.open_transaction() as connection:
            rows = incident_outbox.claim_incidents(
                connection, tracker, limit, min_score, lease_s, only, failed, project, rate, rate_window_s
            )
            whole = incident_read.read_incident_details(connection, [row["incident_id"] for row in rows])
            return [
                incident_outbox.build_ticket_claim(row, incident) for row, incident in zip(rows, whole, strict=True)
            ]

    def record_filed_ticket(self, incident_id: str, tracker: str, key: str, url: str) -> None:
        """Remember the ticket. The same key again is harmless; another one raises PermanentError."""
        with self._database.open_transaction() as connection:
            incident_outbox.record_filed_ticket(connection, incident_id, tracker, key, url)

    def record_failed_export(self, incident_id: str, tracker: str, reason: str, retry_at: datetime | None) -> None:
        """Remember a failure: tried again after ``retry_at``, or (None) never by itself (``export_failed``)."""
        with self._database.open_transaction() as connection:
            incident_outbox.record_failed_export(connection, incident_id, tracker, clean_for_postgres(reason), retry_at)

    # Keys and projects
    # ----------------------------------------------------------------------------------------------------

    def read_api_keys(self) -> list[KeyRecord]:
        """All API keys, the revoked ones too."""
        query = text("""
            SELECT key_hash, prefix, project, role, revoked_at IS NOT NULL AS revoked, label, created_at, last_used_at
            FROM api_keys ORDER BY project, role, created_at, key_hash
        """)
        with self._database.open_transaction() as connection:
            return [KeyRecord(**row._mapping) for row in connection.execute(query)]

    def save_api_key(self, key_hash: str, prefix: str, project: str, role: str, label: str = "") -> None:
        """Create or change the key with this hash; a revoked one is valid again."""
        statement = text("""
            INSERT INTO api_keys (key_hash, prefix, project, role, label)
            VALUES (:key_hash, :prefix, :project, :role, :label)
            ON CONFLICT (key_hash) DO UPDATE SET prefix = excluded.prefix, project = excluded.project,
                role = excluded.role, label = excluded.label, revoked_at = NULL
        """)
        record = {"key_hash": key_hash, "prefix": prefix, "project": project, "role": role, "label": label}
        with self._database.open_transaction() as connection:
            connection.execute(statement, record)

    def record_keys_used(self, used: Mapping[str, datetime]) -> None:
        """Remember when keys (by hash) were last used; earlier times than the known ones change nothing."""
        statement = text("""
            UPDATE api_keys k SET last_used_at = u.at
            FROM unnest(CAST(:hashes AS text[]), CAST(:times AS timestamptz[])) AS u(key_hash, at)
            WHERE k.key_hash = u.key_hash AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
        """)
        columns = {"hashes": list(used), "times": list(used.values())}
        with self._database.open_transaction() as connection:
            connection.execute(statement, columns)

    def revoke_api_keys(self, prefix: str) -> int:
        """Revoke the keys with this prefix; returns how many were valid until now."""
        statement = text("""
            UPDATE api_keys SET revoked_at = now() WHERE prefix = :prefix AND revoked_at IS NULL RETURNING 1
        """)
        with self._database.open_transaction() as connection:
            return len(connection.execute(statement, {"prefix": prefix}).all())

    def read_projects(self) -> list[ProjectRecord]:
        """All projects that were given origins or settings."""
        query = text("SELECT id, origins, settings FROM projects ORDER BY id")
        with self._database.open_transaction() as connection:
            return [ProjectRecord(**row._mapping) for row in connection.execute(query)]

    def save_project(self, id: str, origins: Sequence[str] | None = None, settings: Json | None = None) -> None:
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
            "settings": None if settings is None else encode_json_text(clean_for_postgres(settings)),
        }
        with self._database.open_transaction() as connection:
            connection.execute(statement, values)
