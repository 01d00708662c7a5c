"""The state of tickets in their trackers: which are to be read, what was read, and what it does to incidents."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import text

from incidents import lifecycle
from incidents.fixes import NO_FIX, Fix
from incidents.lifecycle import Action, HistoryChange, IllegalTransition
from incidents.model import Rules
from incidents.ticket_reading import (
    Effect,
    KnownState,
    Meaning,
    TicketReading,
    choose_fix,
    decide_effect,
    describe_mover,
    describe_ticket_state,
)
from stores.incidents import incident_merge, incident_record, incident_resolution, incident_settle, releases
from stores.incidents.incident_database import Database, clean_for_postgres

# A ticket that is still to be told something, or that is being filed, is read later.
READABLE = """o.state = 'filed' AND o.ticket_key IS NOT NULL AND o.duplicate_of IS NULL AND i.merged_into IS NULL
    AND o.generation >= i.generation"""
"""Condition of a row ``o`` of the outbox and its incident ``i``."""
DUE_COLUMNS = """o.incident_id, i.project, o.ticket_key, o.client_id, coalesce(o.identity, o.incident_id) AS identity,
        o.read_at, o.generation, o.read_after AS claim, clock_timestamp() AS now,
        coalesce(o.remote_meaning <> 'open', false) AS was_closed"""
"""What `build_due_reading` reads of them."""
_CLAIM = text(f"""
    WITH due AS (
        SELECT o.incident_id, o.tracker FROM outbox o JOIN incidents i USING (incident_id)
        WHERE o.tracker = :tracker AND {READABLE} AND coalesce(o.read_after <= clock_timestamp(), true)
        ORDER BY o.read_after NULLS FIRST, o.incident_id LIMIT :limit
        FOR UPDATE OF o SKIP LOCKED
    )
    UPDATE outbox o SET read_after = clock_timestamp() + make_interval(secs => CAST(:pause_s AS float))
    FROM due, incidents i
    WHERE o.incident_id = due.incident_id AND o.tracker = due.tracker AND i.incident_id = due.incident_id
    RETURNING {DUE_COLUMNS}
""")
_LOCK = text("""
    SELECT * FROM outbox WHERE incident_id = :incident_id AND tracker = :tracker FOR UPDATE
""")
_CAME_BACK = text("""
    SELECT max(at) FROM incident_history WHERE incident_id = :incident_id AND from_status = 'resolved'
        AND to_status IN ('regressed', 'confirmed')
""")
_OWNER = text("""
    SELECT coalesce(i.merged_into, i.incident_id) AS incident_id, i.project FROM outbox o JOIN incidents i USING (incident_id)
    WHERE o.tracker = :tracker AND upper(o.ticket_key) = upper(:key) LIMIT 1
""")
_READ = text("""
    UPDATE outbox SET remote = CAST(:remote AS jsonb), read_at = :read_at, remote_meaning = coalesce(:known, remote_meaning),
        remote_closed_at = CASE WHEN CAST(:known AS text) IS NULL THEN remote_closed_at ELSE :since END
    WHERE incident_id = :incident_id AND tracker = :tracker
""")
_UNCHANGED = text("""
    UPDATE outbox SET read_at = :read_at
    WHERE tracker = :tracker AND incident_id = ANY(CAST(:ids AS text[])) AND read_at IS NOT NULL
""")
_SAME_GENERATION = text("""
    UPDATE outbox SET generation = (SELECT generation FROM incidents WHERE incident_id = :incident_id)
    WHERE incident_id = :incident_id AND tracker = :tracker
""")
_UNKNOWN = text("""
    SELECT tracker, remote ->> 'status' AS status, remote ->> 'resolution' AS resolution, count(*) AS number,
           min(ticket_key) AS example
    FROM outbox WHERE remote ->> 'meaning' = 'unknown' GROUP BY 1, 2, 3 ORDER BY number DESC, 1, 2, 3 LIMIT 20
""")
_CLOSED_BY_PEOPLE = text("""
    UPDATE former_tickets SET closed_at = now() WHERE incident_id = :incident_id AND tracker = :tracker AND ticket_key = :key
""")
_ACTIONS: Mapping[Effect, Action] = {"resolve": "resolve", "suppress": "suppress", "reopen": "reopen"}


@dataclass(frozen=True)
class DueReading:
    """A ticket whose state is to be read. ``read_at``: changes up to then are known, None: it was never read; ``now``: the
    database's time, up to which this reading knows them; ``generation``: what the ticket was told when it was claimed;
    ``was_closed``: what was last known of it;
    ``claim``: which claim this is, as two runs may read one ticket: the reading of the last claim counts."""

    incident_id: str
    project: str
    key: str
    client_id: UUID
    identity: str
    read_at: datetime | None
    generation: int
    claim: datetime
    now: datetime
    was_closed: bool


def build_due_reading(row: "sa.Row[Any]") -> DueReading:
    """A row with `DUE_COLUMNS`."""
    return DueReading(
        row.incident_id,
        row.project,
        row.ticket_key,
        row.client_id,
        row.identity,
        row.read_at,
        row.generation,
        row.claim,
        row.now,
        row.was_closed,
    )


class UnknownState(NamedTuple):
    """A state that neither the project nor Furrow knows: how many tickets have it, and the key of one."""

    tracker: str
    status: str
    resolution: str
    number: int
    example: str


class RecordedReading(NamedTuple):
    """What a reading did to the incident, and whether the ticket shows something else than before."""

    effect: Effect = "none"
    changed: bool = False


class TicketStates:
    """What trackers say of their tickets. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim_due_readings(self, tracker: str, limit: int, pause_s: float) -> list[DueReading]:
        """The tickets whose state is to be read now, the longest unread first; no other run gets them for ``pause_s``."""
        values = {"tracker": tracker, "limit": limit, "pause_s": pause_s}
        with self._database.open_transaction() as connection:
            return [build_due_reading(row) for row in connection.execute(_CLAIM, values)]

    def record_unchanged(self, tracker: str, due: Sequence[DueReading]) -> None:
        """These tickets did not change; those that were never read stay unread."""
        if due:
            values = {"tracker": tracker, "ids": [reading.incident_id for reading in due], "read_at": due[0].now}
            with self._database.open_transaction() as connection:
                connection.execute(_UNCHANGED, values)

    def record_reading(
        self, tracker: str, due: DueReading, reading: TicketReading, meaning: Meaning, rules: Rules
    ) -> RecordedReading:
        """Store what was read, and do to the incident what the change means, in one transaction.

        A ticket that was changed by Furrow or claimed again since it was claimed, or that is merged into one that is being
        filed, is left to the next reading.
        """
        try:
            return self._record_reading(tracker, due, reading, meaning, rules)
        except incident_merge.BeingFiled:
            return RecordedReading()

    def _record_reading(
        self, tracker: str, due: DueReading, reading: TicketReading, meaning: Meaning, rules: Rules
    ) -> RecordedReading:
        with self._database.open_transaction() as connection:
            original = _find_original(connection, tracker, due, reading) if meaning == "duplicate" else None
            ids = sorted({due.incident_id, original or due.incident_id})
            rows = {id_: incident_record.lock_incident_row(connection, id_, None) for id_ in ids}
            row, keys = rows[due.incident_id], {"incident_id": due.incident_id, "tracker": tracker}
            ticket = connection.execute(_LOCK, keys).one_or_none()
            if ticket is None or not _is_still_due(row, ticket, due):
                return RecordedReading()
            came_back = connection.execute(_CAME_BACK, keys).scalar_one()
            known = KnownState(ticket.remote_meaning, ticket.remote_closed_at)
            effect = decide_effect(known, meaning, reading.since, row.status, came_back)
            shown = _build_shown(reading, meaning)
            connection.execute(_READ, keys | _build_columns(due, reading, meaning, shown))
            change = _Change(tracker, due, reading, _describe_change(tracker, reading))
            if effect == "merge":
                effect = _merge(connection, change, rows, original, rules)
            elif effect != "none":
                _act(connection, change, row, ticket, _ACTIONS[effect], rules)
            elif meaning == "done" and row.status == "resolved" and _has_other_versions(ticket, reading):
                _adopt_fix(connection, change, row)
            return RecordedReading(effect, changed=ticket.remote != shown)

    def list_unknown_states(self) -> list[UnknownState]:
        """The states of tickets that a person has to name in the project setting ``ticketStates``, the most frequent first."""
        with self._database.open_transaction() as connection:
            return [
                UnknownState(row.tracker, row.status or "", row.resolution or "", row.number, row.example)
                for row in connection.execute(_UNKNOWN)
            ]


class _Change(NamedTuple):
    """A change of a ticket, and the reason in words for the history."""

    tracker: str
    due: DueReading
    reading: TicketReading
    words: str


def _is_still_due(row: "sa.Row[Any]", ticket: "sa.Row[Any]", due: DueReading) -> bool:
    same = ticket.state == "filed" and ticket.ticket_key == due.key and ticket.generation == due.generation
    latest = ticket.read_after == due.claim and ticket.generation >= row.generation
    return bool(same and latest and not row.merged_into and not ticket.duplicate_of)


def _has_other_versions(ticket: "sa.Row[Any]", reading: TicketReading) -> bool:
    return bool(ticket.remote) and ticket.remote["versions"] != list(reading.versions)


def _build_shown(reading: TicketReading, meaning: Meaning) -> dict[str, object]:
    """The reading as it is stored and compared; labels count by what they mean, and who moved it is told in the history."""
    left_out = ("incident_id", "labels", "moved_by")
    shown = {name: value for name, value in asdict(reading).items() if name not in left_out}
    since = reading.since.isoformat() if reading.since else None
    return {**shown, "versions": list(reading.versions), "since": since, "meaning": meaning}


def _build_columns(
    due: DueReading, reading: TicketReading, meaning: Meaning, shown: Mapping[str, object]
) -> dict[str, object]:
    known = None if meaning == "unknown" else meaning
    remote = json.dumps(clean_for_postgres(shown))
    return {"remote": remote, "read_at": due.now, "known": known, "since": reading.since}


def _describe_change(tracker: str, reading: TicketReading) -> str:
    state = describe_ticket_state(
        reading.status, reading.resolution, reading.versions, reading.duplicate_of, reading.assignee
    )
    return f"ticket {reading.key} at {tracker} is {state}{describe_mover(reading)}"


def _act(
    connection: sa.Connection,
    change: _Change,
    row: "sa.Row[Any]",
    ticket: "sa.Row[Any]",
    action: Action,
    rules: Rules,
) -> None:
    """Move the incident as a person would, in the tracker's name. Sessions after a fix that was learnt late count at once."""
    incident_id = row.incident_id
    if action == "resolve":
        if row.status == "suppressed":
            _move(connection, change, row, "reopen")
            row = incident_record.lock_incident_row(connection, incident_id, None)
        fix, at = _find_fix(connection, change, row), _find_fix_time(change, ticket)
        incident_resolution.resolve_incident(connection, row, fix, change.words, change.tracker, at)
    else:
        _move(connection, change, row, action)
    if action == "reopen":
        # The tracker that says so needs no report of it; the others get one.
        connection.execute(_SAME_GENERATION, {"incident_id": incident_id, "tracker": change.tracker})
    moved = incident_record.lock_incident_row(connection, incident_id, None)
    incident_settle.settle_incidents(connection, {incident_id: moved}, rules, [])


def _move(connection: sa.Connection, change: _Change, row: "sa.Row[Any]", action: Action) -> None:
    before = incident_settle.build_incident_state(row)
    state, entry = lifecycle.apply_action(before, action, change.words, change.tracker, now=datetime.now(UTC))
    incident_settle.write_incident_state(connection, row.incident_id, state)
    incident_settle.write_incident_history(connection, [(row.incident_id, entry)])


def _find_fix(connection: sa.Connection, change: _Change, row: "sa.Row[Any]") -> Fix:
    if not change.reading.versions:
        return NO_FIX
    known = releases.read_known_releases(connection, [change.due.project])
    shown_in = row.facets.get("appVersions", {})
    return choose_fix(change.reading.versions, known.get(change.due.project, []), shown_in)


def _adopt_fix(connection: sa.Connection, change: _Change, row: "sa.Row[Any]") -> None:
    """The fix version was told after the ticket was closed, or changed."""
    fix = _find_fix(connection, change, row)
    if fix != NO_FIX:
        incident_resolution.set_fix(connection, row, fix, change.words, change.tracker)


def _find_fix_time(change: _Change, ticket: "sa.Row[Any]") -> datetime:
    """When the ticket was closed: as the tracker says, but not before it was last seen open or filed, nor in the future."""
    now = datetime.now(UTC)
    earliest = ticket.read_at or ticket.filed_at or now
    return min(max(change.reading.since or now, earliest), now)


def _find_original(connection: sa.Connection, tracker: str, due: DueReading, reading: TicketReading) -> str | None:
    """The incident whose ticket the duplicate names, if it is another one of the same project."""
    row = connection.execute(_OWNER, {"tracker": tracker, "key": reading.duplicate_of}).one_or_none()
    return row.incident_id if row and row.project == due.project and row.incident_id != due.incident_id else None


def _merge(
    connection: sa.Connection,
    change: _Change,
    rows: "Mapping[str, sa.Row[Any]]",
    original: str | None,
    rules: Rules,
) -> Effect:
    """Merge the incident into the one whose ticket it duplicates; if that is not known or not possible, note it."""
    row, why = rows[change.due.incident_id], "that ticket is of no other incident here"
    if original is not None:
        try:
            incident_merge.merge_rows(connection, rows, row.incident_id, original, change.words, change.tracker, rules)
            closed = {"incident_id": original, "tracker": change.tracker, "key": change.due.key}
            connection.execute(_CLOSED_BY_PEOPLE, closed)
            return "merge"
        except incident_merge.BeingFiled:
            raise
        except IllegalTransition as refusal:
            why = str(refusal)
    note = HistoryChange(change.tracker, row.status, row.status, f"{change.words}; not merged: {why}")
    incident_settle.write_incident_history(connection, [(row.incident_id, note)])
    return "none"
