"""The outbox: one row for each incident and tracker, created before the first call of the tracker.

A row's ``state``: ``logged`` (log-only wrote it to the log; still to be filed) · ``claimed`` (an exporter holds it until
``lease_until``; after that the exporter is considered dead) · ``retry`` (again after ``retry_at``) · ``filed`` ·
``export_failed`` (rejected permanently). A ticket exists when ``ticket_key`` is set, in any state. An incident has at most one
ticket for each tracker.
"""

# Statements are put together from constants of this module alone; values are always bound.

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import text

from incidents.incident import IncidentDetail
from incidents.lifecycle import RULE, HistoryChange
from incidents.model import LostLease, NotFound, SecondTicket, TicketClaim
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_flood import IS_HELD
from stores.incidents.incident_read import read_incident_details
from stores.incidents.incident_settle import write_incident_history

# Minimum score of an export; projects cannot lower it (docs/contracts/incidents-and-tickets.md, Export).
LEAST_SCORE = 70
_REASON_LENGTH = 2_000

# Most severe first, then the order of storage. Never by a time of a client, which could move its incidents to the front.
_SEVERITY = "array_position(ARRAY['Critical', 'High', 'Medium', 'Low'], i.severity)"
_ORDER = f"{_SEVERITY}, i.created_at, i.highest_score DESC, i.incident_id"

_ELIGIBLE = f"""
    i.status IN ('confirmed', 'regressed')
    AND i.affected_sessions > 0
    AND i.highest_score >= :min_score
    AND NOT {IS_HELD}
    AND (CAST(:project AS text) IS NULL OR i.project = :project)
"""
# No row yet, or one that waits; a filed one only after a recurrence.
_WAITS = """
    (o.incident_id IS NULL
     OR o.state = 'logged'
     OR (o.state = 'retry' AND (o.retry_at IS NULL OR o.retry_at <= clock_timestamp()))
     OR (o.state = 'claimed' AND o.lease_until <= clock_timestamp())
     OR (o.state = 'filed' AND o.generation < i.generation)
     -- The tracker itself refused: again with other credentials, and after a while.
     OR (o.state = 'export_failed' AND o.refused_by IS NOT NULL
         AND (o.refused_by <> CAST(:access AS text) OR o.retry_at <= clock_timestamp())))
"""
_JOIN = "incidents i LEFT JOIN outbox o ON o.incident_id = i.incident_id AND o.tracker = :tracker"

_EXPORTABLE = text(f"""
    SELECT i.incident_id FROM {_JOIN}
    WHERE {_ELIGIBLE} AND {_WAITS} AND NOT (:unlogged AND o.state IS NOT DISTINCT FROM 'logged')
    ORDER BY {_ORDER} LIMIT :limit
""")
# New tickets of a project in the window, and those that are being filed.
_RECENT = """
    SELECT i.project, count(*) AS number FROM outbox o JOIN incidents i USING (incident_id)
    WHERE o.tracker = :tracker AND (
        (o.state = 'claimed' AND o.ticket_key IS NULL AND o.lease_until > clock_timestamp())
        OR o.filed_at > clock_timestamp() - make_interval(secs => :rate_window_s))
    GROUP BY i.project
"""
_CANDIDATES = f"""
    SELECT i.incident_id, i.project, i.generation, coalesce(o.state, 'new') AS state, o.ticket_key,
           row_number() OVER (ORDER BY {_ORDER}) AS place,
           row_number() OVER (PARTITION BY i.project, o.ticket_key IS NULL ORDER BY {_ORDER}) AS place_in_project
    FROM {_JOIN}
    WHERE {_ELIGIBLE} AND (CAST(:only AS text[]) IS NULL OR i.incident_id = ANY(CAST(:only AS text[])))
      AND CASE WHEN :failed THEN o.state IS NOT DISTINCT FROM 'export_failed' ELSE {_WAITS} END
"""
_CHOSEN = f"""
    WITH recent AS ({_RECENT}), candidates AS ({_CANDIDATES}), picked AS (
        SELECT c.incident_id, c.state, c.generation, c.place
        FROM candidates c LEFT JOIN recent r USING (project)
        WHERE CAST(:rate AS bigint) IS NULL OR c.ticket_key IS NOT NULL
           OR c.place_in_project + coalesce(r.number, 0) <= CAST(:rate AS bigint)
        ORDER BY c.place LIMIT :limit
    )
"""
# The next ones in the order of export. Each project is read in this order from an index, until enough are found, so that the
# cost does not follow the number that waits. Told again are only incidents that came back, or whose last attempt failed.
_NEXT_COLUMNS = f"""
    i.incident_id, i.generation, coalesce(o.state, 'new') AS state, {_SEVERITY} AS severity_rank, i.created_at, i.highest_score
"""
_NEXT = f"""
    WITH RECURSIVE recent AS ({_RECENT}), names AS (
        SELECT min(project) AS project FROM incidents WHERE status IN ('confirmed', 'regressed')
        UNION ALL
        SELECT (SELECT min(project) FROM incidents WHERE status IN ('confirmed', 'regressed') AND project > n.project)
        FROM names n WHERE n.project IS NOT NULL
    ), candidates AS (
        SELECT c.* FROM names n LEFT JOIN recent r USING (project) CROSS JOIN LATERAL (
            (SELECT {_NEXT_COLUMNS} FROM {_JOIN}
             WHERE i.project = n.project AND {_ELIGIBLE} AND {_WAITS} AND o.ticket_key IS NULL
             ORDER BY {_ORDER}
             LIMIT least(:limit, greatest(0, coalesce(CAST(:rate AS bigint) - coalesce(r.number, 0), :limit))))
            UNION ALL
            (SELECT {_NEXT_COLUMNS} FROM incidents i JOIN outbox o ON o.incident_id = i.incident_id AND o.tracker = :tracker
             WHERE i.project = n.project AND i.generation > 0 AND {_ELIGIBLE} AND {_WAITS} AND o.ticket_key IS NOT NULL)
            UNION ALL
            (SELECT {_NEXT_COLUMNS} FROM outbox o JOIN incidents i USING (incident_id)
             WHERE i.project = n.project AND i.generation = 0 AND o.tracker = :tracker AND o.state <> 'filed'
               AND {_ELIGIBLE} AND {_WAITS} AND o.ticket_key IS NOT NULL)
        ) c
        WHERE n.project IS NOT NULL
    ), picked AS (
        SELECT incident_id, state, generation,
               row_number() OVER (ORDER BY severity_rank, created_at, highest_score DESC, incident_id) AS place
        FROM candidates ORDER BY place LIMIT :limit
    )
"""
_LEASE = """
    , leased AS (
        INSERT INTO outbox AS o (incident_id, tracker, state, attempts, generation, lease_until, lease_token)
        SELECT incident_id, :tracker, 'claimed', 1, generation, clock_timestamp() + make_interval(secs => :lease_s),
               gen_random_uuid()
        FROM picked ORDER BY incident_id
        ON CONFLICT (incident_id, tracker) DO UPDATE SET state = 'claimed', attempts = o.attempts + 1,
            generation = excluded.generation, lease_until = excluded.lease_until, lease_token = excluded.lease_token,
            retry_at = NULL, refused_by = NULL, updated_at = now()
        RETURNING *
    )
    SELECT l.*, p.state AS state_before,
           former.ticket_key AS replaces, former.why AS replaces_why
    FROM leased l JOIN picked p USING (incident_id) LEFT JOIN LATERAL (
        SELECT f.ticket_key, f.why FROM former_tickets f WHERE f.incident_id = l.incident_id AND f.tracker = l.tracker
            AND f.why IN ('deleted', 'closed') ORDER BY f.found_at DESC LIMIT 1) former ON true
    ORDER BY p.place
"""
_CLAIM_NEXT, _CLAIM_CHOSEN = text(_NEXT + _LEASE), text(_CHOSEN + _LEASE)
_COUNT_EXPORTABLE = text(f"SELECT count(*) FROM {_JOIN} WHERE {_ELIGIBLE} AND {_WAITS}")
_LOCK_TRACKER = text("SELECT pg_advisory_xact_lock(hashtextextended('furrow outbox ' || :tracker, 0))")
_LOCK_ROW = text("""
    SELECT o.*, i.status FROM outbox o JOIN incidents i USING (incident_id)
    WHERE o.incident_id = :incident_id AND o.tracker = :tracker FOR UPDATE OF o
""")
_FILED = text("""
    UPDATE outbox SET state = 'filed', identity = coalesce(identity, incident_id),
        ticket_key = :key, url = :url, filed_at = coalesce(filed_at, now()),
        last_error = nullif(:refused, ''), retry_at = NULL, lease_until = NULL, lease_token = NULL, updated_at = now(),
        shown = CASE WHEN ticket_key IS NULL THEN CAST(:shown AS jsonb) ELSE shown END,
        shown_sessions = CASE WHEN ticket_key IS NULL THEN CAST(:sessions AS integer) ELSE shown_sessions END,
        noted_sessions = coalesce(:sessions, noted_sessions),
        noted_at = CASE WHEN ticket_key IS NULL THEN noted_at ELSE now() END,
        check_at = CASE WHEN ticket_key IS NULL OR :refused <> '' THEN now() ELSE check_at END,
        checks_left = CASE WHEN ticket_key IS NULL THEN 2 ELSE checks_left END,
        remote_meaning = CASE WHEN :is_open THEN 'open' ELSE remote_meaning END,
        remote_closed_at = CASE WHEN :is_open THEN NULL ELSE remote_closed_at END
    WHERE incident_id = :incident_id AND tracker = :tracker
""")
_HOLDS = text("""
    SELECT 1 FROM outbox WHERE incident_id = :incident_id AND tracker = :tracker AND state = 'claimed'
        AND lease_token = CAST(:token AS uuid)
        AND lease_until > clock_timestamp() + make_interval(secs => CAST(:seconds AS float))
""")
_FAILED = text("""
    UPDATE outbox SET state = :state, last_error = :reason, retry_at = :retry_at, lease_until = NULL, lease_token = NULL,
        refused_by = :refused_by, updated_at = now()
    WHERE incident_id = :incident_id AND tracker = :tracker
""")
_LOGGED = text("""
    INSERT INTO outbox AS o (incident_id, tracker, state, digest)
    SELECT incident_id, :tracker, 'logged', :digest FROM incidents WHERE incident_id = :incident_id
    ON CONFLICT (incident_id, tracker) DO UPDATE SET digest = excluded.digest, updated_at = now()
    WHERE o.digest IS DISTINCT FROM excluded.digest
    RETURNING 1
""")
_WAITING_TICKETS = text("""
    SELECT o.tracker, o.state, count(*) AS number, min(coalesce(o.retry_at, o.lease_until)) AS until,
           (array_agg(o.last_error ORDER BY o.updated_at DESC) FILTER (WHERE o.last_error IS NOT NULL))[1] AS reason
    FROM outbox o JOIN incidents i USING (incident_id)
    WHERE i.status IN ('confirmed', 'regressed') AND i.merged_into IS NULL
      AND (o.state = 'export_failed' OR (o.state = 'retry' AND o.retry_at > clock_timestamp())
           OR (o.state = 'claimed' AND o.lease_until > clock_timestamp()))
    GROUP BY o.tracker, o.state, o.refused_by IS NOT NULL ORDER BY o.tracker, o.state, o.refused_by IS NOT NULL
""")
_HASTEN = text("UPDATE outbox SET retry_at = NULL, updated_at = now() WHERE state = 'retry' AND retry_at IS NOT NULL")


_REFUSED = text("""
    SELECT (array_agg(o.last_error ORDER BY o.updated_at DESC))[1] AS reason, count(*) AS number
    FROM outbox o JOIN incidents i USING (incident_id)
    WHERE o.tracker = :tracker AND o.state = 'export_failed' AND o.refused_by = :access
        AND i.status IN ('confirmed', 'regressed') AND i.merged_into IS NULL
    HAVING count(*) > 0
""")


class WaitingTickets(NamedTuple):
    """Tickets of one tracker in one state (``retry``, ``claimed``, ``export_failed``): how many, until when the first of them
    waits (None: until a person retries it), and the latest error of the tracker. Those that the tracker itself refused, and not
    their content, are an entry of their own: they are ``export_failed`` and wait until a time."""

    tracker: str
    state: str
    number: int
    until: datetime | None
    reason: str


class Outbox:
    """The tickets: which incidents need one, who files it, and the result.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_exportable_incidents(
        self,
        tracker: str,
        limit: int,
        min_score: int,
        project: str | None = None,
        unlogged: bool = False,
        access: str | None = None,
    ) -> list[IncidentDetail]:
        """Incidents that wait for a ticket at ``tracker``, in the order of export. It claims nothing.

        ``unlogged`` leaves out those that ``mark_ticket_logged`` remembers, so that log-only gets beyond its first ``limit``.
        """
        values = {
            "tracker": tracker,
            "limit": limit,
            "min_score": max(min_score, LEAST_SCORE),
            "project": project,
            "unlogged": unlogged,
            "access": access,
        }
        with self._database.open_transaction() as connection:
            ids = list(connection.execute(_EXPORTABLE, values).scalars())
            return read_incident_details(connection, ids)

    def count_exportable_incidents(self, tracker: str, min_score: int) -> int:
        """How many incidents wait for a ticket at ``tracker``."""
        values = {"tracker": tracker, "min_score": max(min_score, LEAST_SCORE), "project": None, "access": None}
        with self._database.open_transaction() as connection:
            return int(connection.execute(_COUNT_EXPORTABLE, values).scalar_one())

    def list_waiting_tickets(self) -> list[WaitingTickets]:
        """The tickets that the next export does not file, and why, by tracker and state."""
        with self._database.open_transaction() as connection:
            return [
                WaitingTickets(row.tracker, row.state, row.number, row.until, row.reason or "")
                for row in connection.execute(_WAITING_TICKETS)
            ]

    def retry_tickets_now(self) -> int:
        """Let the next export retry the tickets that wait after an error. Returns how many."""
        with self._database.open_transaction() as connection:
            return connection.execute(_HASTEN).rowcount

    def mark_ticket_logged(self, incident_id: str, tracker: str, digest: str) -> bool:
        """Record that a ticket text with this digest was logged; True unless the last logged one was the same."""
        values = {"incident_id": incident_id, "tracker": tracker, "digest": digest}
        with self._database.open_transaction() as connection:
            return connection.execute(_LOGGED, values).one_or_none() is not None

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
        access: str | None = None,
    ) -> list[TicketClaim]:
        """Lease incidents to file now, in the order of export; no other run gets them until the lease ends.

        ``failed`` claims those that failed for good, and only those; ``only`` restricts to ids; ``rate`` is the number
        of new tickets per project in ``rate_window_s`` seconds; ``access`` identifies the tracker's settings: tickets that
        it refused under others are claimed again.
        """
        values = {
            "tracker": tracker,
            "limit": limit,
            "min_score": max(min_score, LEAST_SCORE),
            "lease_s": lease_s,
            "only": None if only is None else list(only),
            "failed": failed,
            "project": project,
            "rate": rate,
            "rate_window_s": rate_window_s,
            "access": access,
        }
        with self._database.open_transaction() as connection:
            # One claim at a time per tracker (they take milliseconds): the second sees the leases of the first, so that
            # no ticket and no place within the rate is used twice.
            connection.execute(_LOCK_TRACKER, {"tracker": tracker})
            statement = _CLAIM_NEXT if only is None and not failed else _CLAIM_CHOSEN
            rows = connection.execute(statement, values).all()
            whole = read_incident_details(connection, [row.incident_id for row in rows])
            return [_build_ticket_claim(row, incident) for row, incident in zip(rows, whole, strict=True)]

    def find_refusal(self, tracker: str, access: str) -> tuple[str, int] | None:
        """The words with which the tracker refuses Furrow under these settings, and how many tickets wait because of that."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_REFUSED, {"tracker": tracker, "access": access}).one_or_none()
            return None if row is None else (row.reason or "", row.number)

    def check_lease(self, incident_id: str, tracker: str, token: UUID | None, seconds: float) -> None:
        """Raise LostLease unless the row is claimed with this token for ``seconds`` more."""
        values = {"incident_id": incident_id, "tracker": tracker, "token": token, "seconds": seconds}
        with self._database.open_transaction() as connection:
            if connection.execute(_HOLDS, values).one_or_none() is None:
                raise LostLease(
                    "the lease of this ticket is nearly over, or another run holds it; the next run continues"
                )

    def record_filed_ticket(
        self,
        incident_id: str,
        tracker: str,
        key: str,
        url: str,
        *,
        shown: Mapping[str, str | None] | None = None,
        sessions: int | None = None,
        is_open: bool = False,
        refused: str = "",
    ) -> None:
        """Record the ticket. The same key again changes nothing; another key raises SecondTicket.

        ``shown``: what the ticket shows, for `stores.incidents.ticket_upkeep`; ``sessions``: the number that its text names.
        ``is_open``: a report of a recurrence saw it open, or opened it again: that it is open is then no news of others.
        ``refused``: the tracker's words about a part of it; that part is due for `stores.incidents.ticket_upkeep`.
        """
        with self._database.open_transaction() as connection:
            row = _lock_outbox_row(connection, incident_id, tracker)
            if row.ticket_key not in (None, key):
                raise SecondTicket(
                    f"incident {incident_id} has the ticket {row.ticket_key} at {tracker} already; {key} is a second one"
                )
            if row.state == "filed":
                return
            values = {"incident_id": incident_id, "tracker": tracker, "key": key, "url": url, "sessions": sessions}
            texts = {"shown": None if shown is None else json.dumps(clean_for_postgres(shown))}
            connection.execute(
                _FILED, values | texts | {"is_open": is_open, "refused": clean_for_postgres(refused)[:_REASON_LENGTH]}
            )
            note = (
                f"ticket {key} at {tracker} filed" if row.ticket_key is None else f"ticket {key} at {tracker} updated"
            )
            write_incident_history(connection, [(incident_id, HistoryChange(RULE, row.status, row.status, note))])

    def record_failed_export(
        self,
        incident_id: str,
        tracker: str,
        reason: str,
        retry_at: datetime | None,
        *,
        token: UUID | None = None,
        refused_by: str | None = None,
        refused_until: datetime | None = None,
    ) -> None:
        """Record a failure: retried after ``retry_at``; None: only by a person (``export_failed``).

        ``token``: of the claim; nothing is recorded when another exporter holds the row now. ``refused_by``: the tracker's
        settings under which it refused Furrow: the ticket is claimed again under others, and after ``refused_until``.
        """
        reason = clean_for_postgres(reason)
        with self._database.open_transaction() as connection:
            row = _lock_outbox_row(connection, incident_id, tracker)
            if token is not None and row.lease_token != token:
                return
            state = "export_failed" if retry_at is None else "retry"
            values = {"incident_id": incident_id, "tracker": tracker, "state": state, "refused_by": refused_by}
            times = {"retry_at": refused_until if refused_by else retry_at}
            connection.execute(_FAILED, values | times | {"reason": reason[:_REASON_LENGTH]})
            if retry_at is None and (refused_by is None or row.last_error != reason[:_REASON_LENGTH]):
                note = f"export to {tracker} failed permanently: {reason}"
                write_incident_history(connection, [(incident_id, HistoryChange(RULE, row.status, row.status, note))])


def _build_ticket_claim(row: "sa.Row[Any]", incident: IncidentDetail) -> TicketClaim:
    return TicketClaim(
        incident=incident,
        client_id=row.client_id,
        attempts=row.attempts,
        state=row.state_before,
        generation=row.generation,
        key=row.ticket_key,
        url=row.url,
        token=row.lease_token,
        replaces=row.replaces or "",
        follows=row.replaces_why == "closed",
        identity=row.identity or row.incident_id,
    )


def _lock_outbox_row(connection: sa.Connection, incident_id: str, tracker: str) -> "sa.Row[Any]":
    values = {"incident_id": incident_id, "tracker": tracker}
    row = connection.execute(_LOCK_ROW, values).one_or_none()
    if row is None:
        raise NotFound(f"incident {incident_id} was never claimed for {tracker}")
    return row
