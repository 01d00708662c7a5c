"""Tickets after they were filed: facts that are out of date, second tickets of one identity, tickets that were deleted."""

# Statements are put together from constants of this module alone; values are always bound.

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy import text

from incidents.incident import IncidentDetail
from incidents.lifecycle import RULE, HistoryChange
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_read import read_incident_details
from stores.incidents.incident_settle import write_incident_history

SECOND_CHECK_S: Final = 3_600
"""A request may be carried out long after its client gave up: the tracker is searched again after so many seconds."""
_FACTS_S: Final = 3_600
"""A ticket is brought up to date at once when its sessions doubled or its priority changed, else after so many seconds."""
_PAUSE_S: Final = 600
_WORDS: Final = 2_000  # characters of a tracker's words that are kept
GROWTH: Final = 10
"""A comment reports so many times the sessions that were last reported, at most one in a day (incidents-and-tickets.md)."""

_GROWN = f"""(i.status IN ('confirmed', 'regressed') AND o.noted_sessions > 0
    AND i.affected_sessions >= o.noted_sessions * {GROWTH}
    AND coalesce(o.noted_at < clock_timestamp() - interval '1 day', true))"""
_PROVED = """(i.status = 'resolved' AND s.confirmed_at IS NOT NULL
    AND coalesce(o.proved_generation < i.generation, true))"""
_OUTDATED = f"""(i.status IN ('confirmed', 'regressed') AND o.shown_sessions IS NOT NULL
    AND (i.affected_sessions >= o.shown_sessions * 2 OR o.shown ->> 'for' <> i.priority
         OR (i.affected_sessions <> o.shown_sessions
             AND o.updated_at < clock_timestamp() - make_interval(secs => {_FACTS_S}))))"""
_DUE = text(f"""
    WITH due AS (
        SELECT o.incident_id, o.tracker, {_GROWN} IS TRUE AS grown, {_PROVED} IS TRUE AS proved
        FROM outbox o JOIN incidents i USING (incident_id) LEFT JOIN incident_steps s USING (incident_id)
        WHERE o.tracker = :tracker AND o.state = 'filed' AND o.ticket_key IS NOT NULL AND o.generation >= i.generation
            AND coalesce(o.upkeep_at <= clock_timestamp(), true) AND ({_GROWN} OR {_PROVED} OR {_OUTDATED})
        ORDER BY o.updated_at, o.incident_id LIMIT :limit
        FOR UPDATE OF o SKIP LOCKED
    )
    UPDATE outbox o SET upkeep_at = clock_timestamp() + make_interval(secs => {_PAUSE_S})
    FROM due WHERE o.incident_id = due.incident_id AND o.tracker = due.tracker
    RETURNING o.incident_id, o.ticket_key, o.shown, o.noted_sessions, due.grown, due.proved
""")
_DONE = text("""
    UPDATE outbox SET upkeep_at = NULL, shown = CAST(:shown AS jsonb), shown_sessions = :sessions, updated_at = now(),
        noted_sessions = CASE WHEN :noted THEN :sessions ELSE noted_sessions END,
        noted_at = CASE WHEN :noted THEN now() ELSE noted_at END,
        proved_generation = CASE WHEN :proved THEN generation ELSE proved_generation END
    WHERE incident_id = :incident_id AND tracker = :tracker AND ticket_key = :key
""")
_POSTPONE = text("""
    UPDATE outbox SET upkeep_at = clock_timestamp() + make_interval(secs => CAST(:seconds AS float))
    WHERE incident_id = :incident_id AND tracker = :tracker
""")
_CHECKS = text("""
    SELECT incident_id, ticket_key, checks_left, coalesce(identity, incident_id) AS identity FROM outbox
    WHERE tracker = :tracker AND check_at <= clock_timestamp() AND ticket_key IS NOT NULL
    ORDER BY check_at, incident_id LIMIT :limit
""")
_CHECKED = text(f"""
    UPDATE outbox SET checks_left = greatest(checks_left - 1, 0),
        check_at = CASE WHEN checks_left > 1 THEN clock_timestamp() + make_interval(secs => {SECOND_CHECK_S}) END
    WHERE tracker = :tracker AND incident_id = ANY(CAST(:ids AS text[]))
""")
# A part of these tickets was refused when they were filed; the reason stands beside the ticket until it is there.
_INCOMPLETE = text("""
    SELECT incident_id, ticket_key FROM outbox
    WHERE tracker = :tracker AND check_at <= clock_timestamp() AND state = 'filed' AND last_error IS NOT NULL
    ORDER BY check_at, incident_id LIMIT :limit
""")
_COMPLETED = text(f"""
    UPDATE outbox SET last_error = nullif(:refused, ''), check_at = CASE WHEN :refused <> ''
        THEN clock_timestamp() + make_interval(secs => {SECOND_CHECK_S}) END
    WHERE incident_id = :incident_id AND tracker = :tracker AND ticket_key = :key AND state = 'filed'
""")
_LOCK = text("""
    SELECT o.*, i.status, i.generation AS generation_now FROM outbox o JOIN incidents i USING (incident_id)
    WHERE o.incident_id = :incident_id AND o.tracker = :tracker FOR UPDATE OF o
""")
_FORMER = text("""
    INSERT INTO former_tickets (incident_id, tracker, ticket_key, why, generation)
    VALUES (:incident_id, :tracker, :key, :why, :generation) ON CONFLICT DO NOTHING RETURNING 1
""")
_KEEP = text("""
    UPDATE outbox SET ticket_key = :key, url = :url, shown = NULL, shown_sessions = NULL, remote = NULL, remote_meaning = NULL,
        remote_closed_at = NULL, read_at = NULL, read_after = NULL, updated_at = now()
    WHERE incident_id = :incident_id AND tracker = :tracker
""")
_CALL_BACK = text("""
    UPDATE outbox SET check_at = clock_timestamp(), checks_left = greatest(checks_left, 2), updated_at = now()
    WHERE incident_id = :incident_id AND tracker = :tracker
""")
_OPEN_TWINS = text("""
    SELECT f.incident_id, f.ticket_key, o.ticket_key AS kept
    FROM former_tickets f JOIN outbox o USING (incident_id, tracker)
    WHERE f.tracker = :tracker AND f.why = 'duplicate' AND f.closed_at IS NULL AND o.ticket_key IS NOT NULL
        AND o.ticket_key <> f.ticket_key
    ORDER BY f.found_at, f.ticket_key LIMIT :limit
""")
_CLOSED = text("""
    UPDATE former_tickets SET closed_at = now() WHERE incident_id = :incident_id AND tracker = :tracker AND ticket_key = :key
""")
_DELETED_BEFORE = text("""
    SELECT 1 FROM former_tickets WHERE incident_id = :incident_id AND tracker = :tracker AND why = 'deleted'
        AND generation = :generation AND ticket_key <> :key LIMIT 1
""")
_REPLACE = text("""
    UPDATE outbox SET ticket_key = NULL, url = NULL, client_id = gen_random_uuid(), state = :state, attempts = 0,
        last_error = :reason, retry_at = NULL, lease_until = NULL, lease_token = NULL, shown = NULL, shown_sessions = NULL,
        noted_sessions = NULL, filed_at = NULL, check_at = NULL, checks_left = 0, upkeep_at = NULL, remote = NULL,
        remote_meaning = NULL, remote_closed_at = NULL, read_at = NULL, read_after = NULL, updated_at = now()
    WHERE incident_id = :incident_id AND tracker = :tracker
""")


_RENAME = text("""
    UPDATE outbox o SET identity = incident_id || '-' || (SELECT 1 + count(*) FROM former_tickets f
        WHERE f.incident_id = o.incident_id AND f.tracker = o.tracker AND f.why = 'closed')
    WHERE incident_id = :incident_id AND tracker = :tracker
""")


@dataclass(frozen=True)
class DueTicket:
    """A ticket to bring up to date. ``shown``: what it showed after the last write, None if unknown; ``noted_sessions``: the
    number that was last reported; ``grown``, ``proved``: a comment is due."""

    incident: IncidentDetail
    key: str
    shown: Mapping[str, str | None] | None
    noted_sessions: int
    grown: bool
    proved: bool


@dataclass(frozen=True)
class DueCheck:
    """A ticket for whose twins the tracker is searched. ``last``: no search comes after this one. ``identity``: what it is
    known by in its tracker."""

    incident: IncidentDetail
    key: str
    last: bool
    identity: str


@dataclass(frozen=True)
class OpenTwin:
    """A second ticket that is still open in the tracker, and the one that stays."""

    incident: IncidentDetail
    key: str
    kept: str


class TicketUpkeep:
    """What happens to tickets after they were filed.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # Facts
    # ------------------------------------------------------------------------------------------------------------------

    def claim_due_tickets(self, tracker: str, limit: int) -> list[DueTicket]:
        """The tickets whose facts are out of date, or that get a comment; no other run gets them for ten minutes."""
        with self._database.open_transaction() as connection:
            rows = connection.execute(_DUE, {"tracker": tracker, "limit": limit}).all()
            whole = read_incident_details(connection, [row.incident_id for row in rows])
            return [
                DueTicket(incident, row.ticket_key, row.shown, row.noted_sessions or 0, row.grown, row.proved)
                for row, incident in zip(rows, whole, strict=True)
            ]

    def record_upkeep(
        self, due: DueTicket, tracker: str, shown: Mapping[str, str | None] | None, *, noted: bool, proved: bool
    ) -> None:
        """The ticket is up to date. ``noted``: its sessions were reported in a comment; ``proved``: so was the proof."""
        values = {
            "incident_id": due.incident["incidentId"],
            "tracker": tracker,
            "key": due.key,
            "shown": None if shown is None else json.dumps(clean_for_postgres(shown)),
            "sessions": due.incident["affectedSessions"],
            "noted": noted,
            "proved": proved,
        }
        with self._database.open_transaction() as connection:
            connection.execute(_DONE, values)

    def postpone_upkeep(self, incident_id: str, tracker: str, seconds: float) -> None:
        """Look at the ticket's facts again after ``seconds``."""
        with self._database.open_transaction() as connection:
            connection.execute(_POSTPONE, {"incident_id": incident_id, "tracker": tracker, "seconds": seconds})

    # Second tickets
    # ------------------------------------------------------------------------------------------------------------------

    def find_due_checks(self, tracker: str, limit: int) -> list[DueCheck]:
        """The tickets for whose twins the tracker is to be searched now."""
        with self._database.open_transaction() as connection:
            rows = connection.execute(_CHECKS, {"tracker": tracker, "limit": limit}).all()
            whole = read_incident_details(connection, [row.incident_id for row in rows])
            return [
                DueCheck(incident, row.ticket_key, row.checks_left <= 1, row.identity)
                for row, incident in zip(rows, whole, strict=True)
            ]

    def record_checks(self, tracker: str, incident_ids: Sequence[str]) -> None:
        """These were searched for; the next search, if there is one, is an hour later."""
        with self._database.open_transaction() as connection:
            connection.execute(_CHECKED, {"tracker": tracker, "ids": list(incident_ids)})

    def find_incomplete_tickets(self, tracker: str, limit: int) -> list[tuple[IncidentDetail, str]]:
        """Tickets (incident, key) of which the tracker refused a part; those that are to be completed now."""
        with self._database.open_transaction() as connection:
            rows = connection.execute(_INCOMPLETE, {"tracker": tracker, "limit": limit}).all()
            whole = read_incident_details(connection, [row.incident_id for row in rows])
            return [(incident, row.ticket_key) for row, incident in zip(rows, whole, strict=True)]

    def record_completion(self, incident_id: str, tracker: str, key: str, refused: str) -> None:
        """The ticket is whole, or (``refused``: the tracker's words) it is to be completed in an hour."""
        values = {
            "incident_id": incident_id,
            "tracker": tracker,
            "key": key,
            "refused": clean_for_postgres(refused)[:_WORDS],
        }
        with self._database.open_transaction() as connection:
            connection.execute(_COMPLETED, values)

    def record_twin(self, incident_id: str, tracker: str, kept: tuple[str, str], second: str) -> None:
        """There are two tickets: ``kept`` (key, URL) is the incident's from now on, ``second`` is to be closed."""
        values = {"incident_id": incident_id, "tracker": tracker}
        with self._database.open_transaction() as connection:
            row = connection.execute(_LOCK, values).one()
            former = values | {"key": second, "why": "duplicate", "generation": row.generation_now}
            new = connection.execute(_FORMER, former).one_or_none() is not None
            if row.ticket_key != kept[0]:
                connection.execute(_KEEP, values | {"key": kept[0], "url": kept[1]})
            if new:
                note = f"{second} at {tracker} is a second ticket of this incident; the older one, {kept[0]}, stays"
                _write_note(connection, row, note)

    def call_for_check(self, incident_id: str, tracker: str) -> None:
        """Search for twins of this ticket at once: another exporter has filed one."""
        with self._database.open_transaction() as connection:
            connection.execute(_CALL_BACK, {"incident_id": incident_id, "tracker": tracker})

    def find_open_twins(self, tracker: str, limit: int) -> list[OpenTwin]:
        """Second tickets that are not closed yet."""
        with self._database.open_transaction() as connection:
            rows = connection.execute(_OPEN_TWINS, {"tracker": tracker, "limit": limit}).all()
            ids = [row.incident_id for row in rows]
            whole = {
                found["incidentId"]: found for found in read_incident_details(connection, list(dict.fromkeys(ids)))
            }
            return [OpenTwin(whole[row.incident_id], row.ticket_key, row.kept) for row in rows]

    def record_closed_twin(self, incident_id: str, tracker: str, key: str, why_not: str = "") -> None:
        """The second ticket is closed in the tracker; ``why_not``: it cannot be, in the tracker's words, and stays open."""
        values = {"incident_id": incident_id, "tracker": tracker}
        with self._database.open_transaction() as connection:
            row = connection.execute(_LOCK, values).one()
            connection.execute(_CLOSED, values | {"key": key})
            if why_not:
                note = f"the second ticket {key} at {tracker} could not be closed: {clean_for_postgres(why_not)}"
                _write_note(connection, row, note)

    # Deleted tickets
    # ------------------------------------------------------------------------------------------------------------------

    def replace_deleted_ticket(self, incident_id: str, tracker: str, key: str) -> bool:
        """The ticket was deleted in the tracker: the next export files a new one. False: nobody wants one.

        One ticket is replaced once, until the incident comes back: who deletes the new one, too, means it.
        """
        values = {"incident_id": incident_id, "tracker": tracker, "key": key}
        with self._database.open_transaction() as connection:
            row = connection.execute(_LOCK, values).one()
            if row.ticket_key != key:
                return True
            keys = values | {"generation": row.generation_now}
            again = connection.execute(_DELETED_BEFORE, keys).one_or_none() is not None
            connection.execute(_FORMER, keys | {"why": "deleted"})
            reason = f"ticket {key} was deleted at {tracker}"
            reason += ", and so was the one before it: no other one is filed" if again else "; a new one is filed"
            connection.execute(_REPLACE, values | {"state": "export_failed" if again else "retry", "reason": reason})
            _write_note(connection, row, reason)
            return not again

    # Closed tickets
    # ------------------------------------------------------------------------------------------------------------------

    def follow_closed_ticket(self, incident_id: str, tracker: str, key: str) -> None:
        """The incident came back, and its project wants a new ticket then: the next export files one that names ``key``."""
        values = {"incident_id": incident_id, "tracker": tracker, "key": key}
        with self._database.open_transaction() as connection:
            row = connection.execute(_LOCK, values).one()
            if row.ticket_key != key:
                return
            former = values | {"why": "closed", "generation": row.generation_now}
            connection.execute(_FORMER, former)
            reason = f"ticket {key} at {tracker} is closed; a new one is filed"
            connection.execute(_REPLACE, values | {"state": "retry", "reason": reason})
            connection.execute(_RENAME, values)
            _write_note(connection, row, reason)


def _write_note(connection: sa.Connection, row: "sa.Row[tuple[object, ...]]", note: str) -> None:
    change = HistoryChange(RULE, row.status, row.status, note)
    write_incident_history(connection, [(row.incident_id, change)])
