"""The engine's detections as they are stored."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text

from incidents.model import SessionKey
from stores.incidents import incident_aliases, incident_open
from stores.incidents.incident_database import Database
from stores.incidents.incident_detection import DetectionRow
from stores.incidents.session_queue import build_key_columns
from ufse.detection import Detection

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


class StoredDetection(NamedTuple):
    """A live detection of the engine as it is stored; ``body``: its Detection JSON."""

    project: str
    detection_id: str
    incident_id: str
    body: Detection


class StoredDetections:
    """The engine's live detections, by session; those that operators sent are not among them.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_detected_sessions(self, keys: Sequence[SessionKey]) -> set[SessionKey]:
        """Which of these sessions have a live detection of the engine."""
        with self._database.open_transaction() as connection:
            found = connection.execute(_WITH_DETECTIONS, build_key_columns(keys))
            return {(row.project, row.session_id) for row in found}

    def find_open_sessions(self, keys: Sequence[SessionKey]) -> set[SessionKey]:
        """Which of these sessions have an open detection."""
        with self._database.open_transaction() as connection:
            return incident_open.find_open_sessions(connection, keys)

    def assign_incidents(self, rows: Sequence[DetectionRow]) -> None:
        """Set ``incident_id`` of each row to the incident that it would belong to. Nothing is written."""
        with self._database.open_transaction() as connection:
            incident_aliases.assign_incidents(connection, rows, remember=False)

    def read_stored_detections(self, keys: Sequence[SessionKey]) -> list[StoredDetection]:
        """The live detections of these sessions."""
        with self._database.open_transaction() as connection:
            return [StoredDetection(*row) for row in connection.execute(_STORED, build_key_columns(keys))]
