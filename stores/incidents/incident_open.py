"""The table ``open_detections``: what was found in sessions that go on.

See docs/contracts/incidents-and-tickets.md, Open sessions.

A row is open until its session is complete or shows something else; then it ends, as ``complete`` or ``retracted``, and keeps
neither timeline nor texts. Nothing that decides about tickets reads this table. Lock order: pending sessions by key, then
`lock_incident_ids`, then incidents by id.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy import text

from core.plurals import format_count
from incidents import lifecycle
from incidents.lifecycle import HistoryChange
from incidents.model import SessionKey
from stores.incidents.session_queue import build_key_columns

_KEYS = "unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)"
# An incident that is not drafted yet has no row to lock. The server's room for locks is limited, so ids share these.
_LOCK = text("SELECT pg_advisory_xact_lock(:family, :number)")
_LOCK_FAMILY = 0x6F70656E  # "open" in ASCII
_LOCKS = 128
_INCIDENTS = text(f"""
    SELECT DISTINCT d.incident_id FROM open_detections d JOIN {_KEYS}
      ON (d.project, d.session_id) = (k.project, k.session_id)
    WHERE d.retracted_at IS NULL
""")
_SESSIONS = text(f"""
    SELECT DISTINCT d.project, d.session_id FROM open_detections d JOIN {_KEYS}
      ON (d.project, d.session_id) = (k.project, k.session_id)
    WHERE d.retracted_at IS NULL
""")
_COUNTS = text("""
    SELECT incident_id, sum(sessions)::integer AS sessions, sum(least(sessions, per_source))::integer AS counted
    FROM (
        SELECT d.incident_id, count(DISTINCT d.visit_id) AS sessions
        FROM open_detections d
        WHERE d.incident_id = ANY(CAST(:ids AS text[])) AND d.retracted_at IS NULL
        GROUP BY d.incident_id, coalesce(d.source, 0)
    ) of_source
    JOIN unnest(CAST(:ids AS text[]), CAST(:per_source AS integer[])) AS r(incident_id, per_source) USING (incident_id)
    GROUP BY incident_id
""")
# What ended keeps nothing of the person but the session's id, and nothing of who sent it.
_ENDED = """
    retracted_at = now(), updated_at = now(), body = '{}', label = '', user_hash = '', source = NULL, received_at = NULL
"""
_COMPLETE = text(f"""
    UPDATE open_detections d SET {_ENDED}, outcome = 'complete'
    FROM unnest(CAST(:project AS text[]), CAST(:detection_id AS text[])) AS k(project, detection_id)
    WHERE (d.project, d.detection_id) = (k.project, k.detection_id) AND d.retracted_at IS NULL
    RETURNING 1
""")
_RETRACT = text(f"""
    UPDATE open_detections d SET {_ENDED}, outcome = 'retracted', reason = k.reason
    FROM unnest(CAST(:project AS text[]), CAST(:session_id AS text[]), CAST(:reason AS text[]))
         AS k(project, session_id, reason)
    WHERE (d.project, d.session_id) = (k.project, k.session_id) AND d.retracted_at IS NULL
      AND (d.project, d.detection_id) NOT IN (
          SELECT * FROM unnest(CAST(:kept_project AS text[]), CAST(:kept AS text[])))
    RETURNING d.incident_id, d.reason
""")
_LOOKED = text(f"""
    UPDATE pending_sessions p SET look = false FROM {_KEYS}
    WHERE (p.project, p.session_id) = (k.project, k.session_id)
""")
_FORGET = text("""
    DELETE FROM open_detections WHERE retracted_at < now() - make_interval(days => :days) RETURNING 1
""")


class OpenCount(NamedTuple):
    """Open sessions of an incident, and how many of them count: only the first few of each source."""

    sessions: int
    counted: int


class Retraction(NamedTuple):
    """An open detection that its session no longer shows, and why."""

    incident_id: str
    reason: str


def lock_incident_ids(connection: sa.Connection, ids: Iterable[str]) -> None:
    """Let no other transaction change the open detections of these incidents, drafted or not, until this one ends."""
    for number in sorted({crc32(id_.encode("utf-8", "surrogatepass")) % _LOCKS for id_ in ids}):
        connection.execute(_LOCK, {"family": _LOCK_FAMILY, "number": number})


def find_open_incidents(connection: sa.Connection, keys: Iterable[SessionKey]) -> set[str]:
    """Ids of the incidents, drafted or not, of the open detections of these sessions."""
    return set(connection.execute(_INCIDENTS, build_key_columns(list(keys))).scalars())


def find_open_sessions(connection: sa.Connection, keys: Iterable[SessionKey]) -> set[SessionKey]:
    """Which of these sessions have an open detection."""
    return {(row.project, row.session_id) for row in connection.execute(_SESSIONS, build_key_columns(list(keys)))}


def count_open_sessions(connection: sa.Connection, caps: Mapping[str, object]) -> dict[str, OpenCount]:
    """By incident id, of those in ``caps["ids"]`` that have any: its open sessions. ``caps["per_source"]``: how many of one
    source count, for each id."""
    return {row.incident_id: OpenCount(row.sessions, row.counted) for row in connection.execute(_COUNTS, caps)}


def complete_open_detections(connection: sa.Connection, detections: Sequence[tuple[str, str]]) -> int:
    """End the open detections (project, detection id) that complete sessions show too. Returns how many there were."""
    values = {"project": [pair[0] for pair in detections], "detection_id": [pair[1] for pair in detections]}
    return len(connection.execute(_COMPLETE, values).all()) if detections else 0


def retract_open_detections(
    connection: sa.Connection, reasons: Mapping[SessionKey, str], kept: Sequence[tuple[str, str]] = ()
) -> list[Retraction]:
    """End the open detections of these sessions, for these reasons, but for those ``kept`` (project, detection id)."""
    if not reasons:
        return []
    values: dict[str, Any] = {
        **build_key_columns(list(reasons)),
        "reason": list(reasons.values()),
        "kept_project": [pair[0] for pair in kept],
        "kept": [pair[1] for pair in kept],
    }
    return [Retraction(row.incident_id, row.reason) for row in connection.execute(_RETRACT, values)]


def build_retraction_changes(
    retracted: Sequence[Retraction], statuses: Mapping[str, lifecycle.Status]
) -> list[tuple[str, HistoryChange]]:
    """The history of the incidents (``statuses``: of those that exist) whose open detections were retracted."""
    changes = []
    for id_ in sorted({found.incident_id for found in retracted} & statuses.keys()):
        reasons = Counter(found.reason for found in retracted if found.incident_id == id_)
        for reason, number in sorted(reasons.items()):
            what = f"{format_count(number, 'open detection')} retracted: {reason}"
            changes.append((id_, HistoryChange(lifecycle.RULE, statuses[id_], statuses[id_], what)))
    return changes


def mark_looked_at(connection: sa.Connection, keys: Iterable[SessionKey]) -> None:
    """These sessions were looked at; their rows in the queue are locked."""
    connection.execute(_LOOKED, build_key_columns(list(keys)))


def forget_ended_detections(connection: sa.Connection, days: int) -> int:
    """Delete the rows that ended more than ``days`` days ago. Returns how many."""
    return len(connection.execute(_FORGET, {"days": days}).all())
