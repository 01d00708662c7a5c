"""What a backfill asks of the incident store: sessions put in line only if they are not, and what is stored of them.

A backfill analyses sessions beside the flow that does so all day. Their rows in ``pending_sessions`` keep the two apart:
a session that waits already belongs to that flow, and one that gets new events meanwhile has another version then.
"""

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from incidents.model import Json, PendingSession, TouchedSession
from stores.incidents.session_queue import build_key_columns, build_pending_session, build_touched_columns

_PUT_IN_LINE = text("""
    INSERT INTO pending_sessions (project, session_id, session_hash, due_ms, received_ms)
    SELECT * FROM unnest(CAST(:project AS text[]), CAST(:session_id AS text[]), CAST(:session_hash AS bigint[]),
                         CAST(:due_ms AS bigint[]), CAST(:received_ms AS bigint[]))
    ON CONFLICT (project, session_id) DO NOTHING
    RETURNING project, session_id, session_hash, version, attempts, due_ms, received_ms
""")
_WAITING = text("""
    SELECT p.project, p.session_id
    FROM pending_sessions p
    JOIN unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
      ON (p.project, p.session_id) = (k.project, k.session_id)
""")
_STORED = text("""
    SELECT d.project, d.detection_id, d.incident_id, d.body
    FROM detections d
    JOIN unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
      ON (d.project, d.session_id) = (k.project, k.session_id)
    WHERE d.retracted_at IS NULL AND d.origin = 'engine'
    ORDER BY d.project, d.detection_id
""")
_WITH_DETECTIONS = text("""
    SELECT DISTINCT d.project, d.session_id
    FROM detections d
    JOIN unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
      ON (d.project, d.session_id) = (k.project, k.session_id)
    WHERE d.retracted_at IS NULL AND d.origin = 'engine'
""")
_NAMED = text("""
    SELECT incident_id, status, primary_failure_point FROM incidents
    WHERE incident_id = ANY(CAST(:ids AS text[]))
""")


class StoredDetection(NamedTuple):
    """A live detection of the engine as it is stored; ``body``: its Detection JSON."""

    project: str
    detection_id: str
    incident_id: str
    body: Json


class IncidentSummary(NamedTuple):
    """An incident in few words: its status and what fails where."""

    status: str
    failure_point: str


def enqueue_missing_sessions(connection: sa.Connection, touched: Sequence[TouchedSession]) -> list[PendingSession]:
    """Queue the sessions that do not wait already, and return these; cursors stay where they are."""
    rows = sorted(touched, key=lambda session: (session.project, session.session_id))
    if not rows:
        return []
    inserted = connection.execute(_PUT_IN_LINE, build_touched_columns(rows))
    return sorted(
        (build_pending_session(row) for row in inserted), key=lambda session: (session.project, session.session_id)
    )


def find_pending_sessions(connection: sa.Connection, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these sessions (project, session id) are in line."""
    return {(row.project, row.session_id) for row in connection.execute(_WAITING, build_key_columns(keys))}


def read_stored_detections(connection: sa.Connection, keys: Sequence[tuple[str, str]]) -> list[StoredDetection]:
    """The live detections of these sessions (project, session id), without those that were made elsewhere."""
    return [StoredDetection(*row) for row in connection.execute(_STORED, build_key_columns(keys))]


def find_detected_sessions(connection: sa.Connection, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these sessions (project, session id) have a live detection of the engine."""
    return {(row.project, row.session_id) for row in connection.execute(_WITH_DETECTIONS, build_key_columns(keys))}


def read_incident_summaries(connection: sa.Connection, ids: Sequence[str]) -> dict[str, IncidentSummary]:
    """The incidents that exist of these, in few words."""
    return {row[0]: IncidentSummary(row[1], row[2]) for row in connection.execute(_NAMED, {"ids": list(ids)})}
