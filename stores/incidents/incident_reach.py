"""Counts of sessions that reached the steps of incidents: what is to be counted, and the counts by bucket of receipt.

The steps of sessions are in the event store; this module holds what was counted there (docs/impact.md). A bucket of an incident
is replaced as a whole, in one transaction with the removal of what was to be counted.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from incidents.fixes import NO_FIX, Fix
from incidents.impact import BucketCount, Share, describe_proof, is_fix_confirmed
from incidents.lifecycle import RULE, HistoryChange
from incidents.model import SessionKey
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_detection import encode_json_text
from stores.incidents.incident_settle import write_incident_history
from stores.incidents.releases import SeenVersions
from stores.incidents.session_queue import build_key_columns
from ufse.detection import FailurePoint

RECENT_MS: Final = 24 * 3_600_000
"""Counts are kept by slot for so long, then by day (own choice): pages that are open all day change theirs."""
DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000
MOST_BATCHES: Final = 1_000
"""Batches that are taken at once, however few sessions they have."""

_ONE_AT_A_TIME = text("SELECT pg_try_advisory_xact_lock(hashtextextended('furrow reach', 0))")
_ADD_WAITING = text("""
    INSERT INTO uncounted_sessions (due_at, hashes, first_received_ms, slots, steps)
    VALUES (now() + make_interval(secs => :delay_s), CAST(:hashes AS bigint[]), :first, CAST(:slots AS bigint[]),
            CAST(:steps AS bigint[]))
""")
# Batches, the oldest first, until they have so many sessions.
_WAITING = text("""
    SELECT batch, hashes, first_received_ms, slots, steps FROM (
        SELECT *, sum(cardinality(hashes) + 1) OVER (ORDER BY due_at, batch) - cardinality(hashes) - 1 AS before
        FROM uncounted_sessions WHERE due_at <= now()
    ) placed
    WHERE before < :sessions ORDER BY due_at, batch LIMIT :batches
""")
_YOUNG = text("""
    SELECT min(due_at) > now() - make_interval(secs => :wait_s) AND sum(cardinality(hashes)) < :sessions
    FROM uncounted_sessions WHERE due_at <= now()
""")
_WAITING_COUNT = text("""
    SELECT coalesce(sum(cardinality(hashes)), 0) AS sessions FROM uncounted_sessions WHERE due_at <= now()
""")
_DONE = text("DELETE FROM uncounted_sessions WHERE batch = ANY(CAST(:batches AS uuid[]))")
_HORIZON = text("SELECT horizon_ms FROM reach_horizon")
_SET_HORIZON = text("""
    INSERT INTO reach_horizon (horizon_ms) VALUES (:horizon)
    ON CONFLICT (only_row) DO UPDATE SET horizon_ms = excluded.horizon_ms
""")
_SLOTS_TO_DAYS = text(f"""
    WITH moved AS (
        DELETE FROM incident_reach WHERE NOT is_day AND bucket_ms < :horizon RETURNING *
    )
    INSERT INTO incident_reach AS r (incident_id, bucket_ms, is_day, after_fix, facet, value, reached, hit)
    SELECT incident_id, bucket_ms - bucket_ms % {DAY_MS} AS day, true, after_fix, facet, value, sum(reached), sum(hit)
    FROM moved GROUP BY incident_id, day, after_fix, facet, value
    ON CONFLICT (incident_id, facet, bucket_ms, is_day, after_fix, value)
    DO UPDATE SET reached = r.reached + excluded.reached, hit = r.hit + excluded.hit
""")
# Where the fix is, as text.
_FIXED_IN = """CASE WHEN i.fix_next THEN 'next' ELSE i.fix_version END
    || CASE WHEN i.fix_environment <> '' THEN E'\x1f' || i.fix_environment ELSE '' END"""
_NOT_COUNTED = text(f"""
    SELECT i.incident_id, i.project, i.failure_point, i.resolved_at, i.fix_version, i.fix_environment, i.fix_next
    FROM incidents i LEFT JOIN incident_steps s USING (incident_id)
    WHERE (s.incident_id IS NULL OR s.fixed_at IS DISTINCT FROM i.resolved_at OR s.fixed_in <> {_FIXED_IN})
      AND i.failure_point ? 'route'
    ORDER BY i.incident_id LIMIT :limit
""")
# A fix whose version became known later stays confirmed if it was.
_SET_STEPS = text(f"""
    INSERT INTO incident_steps AS s (incident_id, code, kind, step, fixed_at, fixed_in)
    SELECT new.*, {_FIXED_IN}
    FROM json_to_recordset(CAST(:rows AS json))
        AS new(incident_id text, code bigint, kind text, step bigint, fixed_at timestamptz)
    JOIN incidents i ON i.incident_id = new.incident_id
    ON CONFLICT (incident_id) DO UPDATE
    SET code = excluded.code, kind = excluded.kind, step = excluded.step, fixed_at = excluded.fixed_at,
        fixed_in = excluded.fixed_in,
        confirmed_at = CASE WHEN s.fixed_at = excluded.fixed_at THEN s.confirmed_at END
""")
_WATCHED = text("""
    SELECT s.incident_id, s.code, s.step, s.fixed_at, i.project, i.fix_version, i.fix_environment, i.fix_next
    FROM incident_steps s JOIN incidents i USING (incident_id)
    WHERE s.step = ANY(CAST(:steps AS bigint[])) ORDER BY s.incident_id
""")
_HITS = text("""
    SELECT DISTINCT d.project, d.session_id, d.incident_id, i.failure_point
    FROM detections d
    JOIN unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
      ON (d.project, d.session_id) = (k.project, k.session_id)
    JOIN incidents i ON i.incident_id = d.incident_id
    WHERE d.retracted_at IS NULL AND d.origin = 'engine'
    ORDER BY d.project, d.session_id, d.incident_id
""")
_DROP_ALL = text("DELETE FROM incident_reach WHERE incident_id = ANY(CAST(:ids AS text[]))")
_DROP_BUCKETS = text("""
    DELETE FROM incident_reach
    WHERE incident_id = ANY(CAST(:ids AS text[]))
      AND ((NOT is_day AND bucket_ms = ANY(CAST(:slots AS bigint[]))) OR (is_day AND bucket_ms = ANY(CAST(:days AS bigint[]))))
""")
_ADD = text("""
    INSERT INTO incident_reach (incident_id, bucket_ms, is_day, after_fix, facet, value, reached, hit)
    SELECT * FROM unnest(CAST(:incident_id AS text[]), CAST(:bucket_ms AS bigint[]), CAST(:is_day AS boolean[]),
        CAST(:after_fix AS boolean[]), CAST(:facet AS text[]), CAST(:value AS text[]), CAST(:reached AS integer[]),
        CAST(:hit AS integer[]))
""")
_DROP_BEFORE = text("DELETE FROM incident_reach WHERE bucket_ms < :first")
_FIXES = text("""
    SELECT i.incident_id, i.fix_version, i.fix_environment, r.after_fix, sum(r.reached) AS reached, sum(r.hit) AS hit
    FROM incidents i
    JOIN incident_steps s ON s.incident_id = i.incident_id AND s.fixed_at = i.resolved_at AND s.confirmed_at IS NULL
    JOIN incident_reach r ON r.incident_id = i.incident_id AND r.facet = ''
    WHERE i.status = 'resolved' AND i.incident_id = ANY(CAST(:ids AS text[]))
    GROUP BY i.incident_id, r.after_fix ORDER BY i.incident_id
""")
_CONFIRM = text("UPDATE incident_steps SET confirmed_at = now() WHERE incident_id = ANY(CAST(:ids AS text[]))")


@dataclass(frozen=True)
class WaitingBatch:
    """Client sessions to count, none of which began before ``first_received_ms``; and slots and steps to count anew."""

    batch: str
    hashes: tuple[int, ...]
    first_received_ms: int
    slots: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()


@dataclass(frozen=True)
class UncountedIncident:
    """An incident that is not counted yet, or whose fix has changed since."""

    incident_id: str
    project: str
    failure_point: FailurePoint
    fixed_at: datetime | None
    fix: Fix = NO_FIX


@dataclass(frozen=True)
class IncidentStep:
    """The step of an incident. ``code``: see ``compute_incident_code``; ``fix``: where it was fixed, if that is known."""

    incident_id: str
    code: int
    step: int
    fixed_at: datetime | None
    kind: str = ""
    project: str = ""
    fix: Fix = NO_FIX


class SessionHit(NamedTuple):
    """A client session with a live detection of the incident."""

    key: SessionKey
    incident_id: str
    failure_point: FailurePoint


def compute_incident_code(incident_id: str) -> int:
    """The number of an incident in the event store: signed, 64 bits."""
    return int.from_bytes(blake2b(incident_id.encode(), digest_size=8).digest(), "big", signed=True)


def add_waiting_sessions(
    connection: sa.Connection,
    hashes: Sequence[int],
    first_received_ms: int,
    slots: Sequence[int] = (),
    steps: Sequence[int] = (),
    delay_s: float = 0,
) -> None:
    """Put client sessions (hashes without sign) in line for counting, in the caller's transaction."""
    values = {"hashes": [_to_signed(h) for h in hashes], "slots": list(slots), "steps": list(steps)}
    connection.execute(_ADD_WAITING, {**values, "first": first_received_ms, "delay_s": delay_s})


class ReachCount:
    """One count, in the one transaction that may count."""

    def __init__(self, connection: sa.Connection, now_ms: int) -> None:
        self._connection = connection
        self.versions = SeenVersions(connection)
        """The versions that the counted sessions have."""
        self.horizon_ms = self._move_horizon(now_ms)
        """Counts are by slot from here on, and by day before it; epoch ms."""

    def _move_horizon(self, now_ms: int) -> int:
        known = self._connection.execute(_HORIZON).scalar_one_or_none()
        wanted = (now_ms - RECENT_MS) // _HOUR_MS * _HOUR_MS
        if known is not None and known >= wanted:
            return int(known)
        self._connection.execute(_SLOTS_TO_DAYS, {"horizon": wanted})
        self._connection.execute(_SET_HORIZON, {"horizon": wanted})
        return wanted

    def take_waiting(self, sessions: int) -> list[WaitingBatch]:
        """Batches to count, the oldest first, until they have ``sessions`` client sessions, at most 1,000 batches."""
        return [
            WaitingBatch(
                str(row.batch),
                tuple(map(_to_unsigned, row.hashes)),
                row.first_received_ms,
                tuple(row.slots),
                tuple(row.steps),
            )
            for row in self._connection.execute(_WAITING, {"sessions": sessions, "batches": MOST_BATCHES})
        ]

    def remove_waiting(self, batches: Sequence[WaitingBatch]) -> None:
        """These batches are counted."""
        self._connection.execute(_DONE, {"batches": [batch.batch for batch in batches]})

    def list_uncounted_incidents(self, limit: int) -> list[UncountedIncident]:
        """Up to ``limit`` incidents that are not counted yet, or not since their last fix."""
        return [
            UncountedIncident(row.incident_id, row.project, row.failure_point, row.resolved_at, _read_fix(row))
            for row in self._connection.execute(_NOT_COUNTED, {"limit": limit})
        ]

    def set_steps(self, steps: Sequence[IncidentStep]) -> None:
        """The steps and fixes with which these incidents are counted from now on."""
        rows = [
            {
                "incident_id": step.incident_id,
                "code": step.code,
                "kind": step.kind,
                "step": step.step,
                "fixed_at": step.fixed_at.isoformat() if step.fixed_at else None,
            }
            for step in steps
        ]
        self._connection.execute(_SET_STEPS, {"rows": encode_json_text(rows)})

    def find_incidents_of_steps(self, steps: Sequence[int]) -> list[IncidentStep]:
        """The counted incidents with one of these steps."""
        return [
            IncidentStep(row.incident_id, row.code, row.step, row.fixed_at, project=row.project, fix=_read_fix(row))
            for row in self._connection.execute(_WATCHED, {"steps": list(steps)})
        ]

    def find_hits(self, keys: Sequence[SessionKey]) -> list[SessionHit]:
        """Which of these client sessions have live detections of the engine, and of which incidents."""
        rows = self._connection.execute(_HITS, build_key_columns(list(keys)))
        return [SessionHit((row.project, row.session_id), row.incident_id, row.failure_point) for row in rows]

    def replace_counts(
        self, ids: Mapping[int, str], rows: Sequence[BucketCount], slots: Sequence[int] | None, days: Sequence[int]
    ) -> None:
        """Replace the counts of these incidents (code → id) in these buckets (``slots`` None: all) by ``rows``."""
        listed = list(ids.values())
        if slots is None:
            self._connection.execute(_DROP_ALL, {"ids": listed})
        else:
            self._connection.execute(_DROP_BUCKETS, {"ids": listed, "slots": list(slots), "days": list(days)})
        if rows:
            columns = {name: [getattr(row, name) for row in rows] for name in BucketCount._fields[1:]}
            columns["value"] = [clean_for_postgres(value) for value in columns["value"]]
            self._connection.execute(_ADD, {**columns, "incident_id": [ids[row.incident] for row in rows]})

    def note_confirmed_fixes(self, ids: Sequence[str]) -> list[str]:
        """Of these incidents, those whose fix the counts confirm now: it is noted in their history, once for each fix."""
        shares: dict[str, dict[bool, Share]] = {}
        fixes: dict[str, Fix] = {}
        for row in self._connection.execute(_FIXES, {"ids": list(ids)}):
            shares.setdefault(row.incident_id, {})[row.after_fix] = Share(int(row.reached), int(row.hit))
            fixes[row.incident_id] = Fix(row.fix_version, row.fix_environment) if row.fix_version else NO_FIX
        notes = [
            (id_, HistoryChange(RULE, "resolved", "resolved", describe_proof(before, since, str(fixes[id_]))))
            for id_, found in shares.items()
            if is_fix_confirmed(before := found.get(False, Share()), since := found.get(True, Share()))
        ]
        if notes:
            write_incident_history(self._connection, notes)
            self._connection.execute(_CONFIRM, {"ids": [id_ for id_, _ in notes]})
        return [id_ for id_, _ in notes]


class ReachLedger:
    """Counts of sessions that reached the steps of incidents. Thread-safe; raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def open_count(self, now: datetime | None = None) -> Iterator[ReachCount | None]:
        """A transaction that counts; None if another one does at the moment. An error leaves everything as it was."""
        moment = now or datetime.now(UTC)
        with self._database.open_transaction() as connection:
            free = connection.execute(_ONE_AT_A_TIME).scalar_one()
            yield ReachCount(connection, round(moment.timestamp() * 1000)) if free else None

    def may_wait(self, wait_s: float, sessions: int) -> bool:
        """Whether all that waits to be counted has waited less than ``wait_s`` seconds and is fewer than ``sessions`` client
        sessions. False when nothing waits."""
        with self._database.open_transaction() as connection:
            return bool(connection.execute(_YOUNG, {"wait_s": wait_s, "sessions": sessions}).scalar_one())

    def count_waiting_sessions(self) -> int:
        """Client sessions that are analysed and not counted yet; one that is there twice counts twice."""
        with self._database.open_transaction() as connection:
            return int(connection.execute(_WAITING_COUNT).scalar_one())

    def recount_slots(self, slots: Sequence[int], steps: Sequence[int], delay_s: float = 0) -> None:
        """Have these slots of the incidents with these steps counted anew, not before ``delay_s`` from now."""
        with self._database.open_transaction() as connection:
            add_waiting_sessions(connection, [], 0, slots, steps, delay_s)

    def drop_counts_before(self, first_ms: int) -> int:
        """Delete the counts of the days before ``first_ms`` (epoch ms, a midnight in UTC). Returns how many rows."""
        with self._database.open_transaction() as connection:
            return int(connection.execute(_DROP_BEFORE, {"first": first_ms}).rowcount)


def _read_fix(row: "sa.Row[Any]") -> Fix:
    return Fix(row.fix_version, row.fix_environment, row.fix_next)


def _to_signed(unsigned: int) -> int:
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


def _to_unsigned(signed: int) -> int:
    return signed & ((1 << 64) - 1)
