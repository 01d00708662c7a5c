"""The drafts of which people are to be alerted: enough sessions that go on show them."""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text

from stores.incidents.incident_database import Database
from stores.incidents.incident_flood import IS_HELD

_MOST = 50
"""Prefect shows no more events at once, and they are looked for by id."""
_PENDING = text(f"""
    SELECT i.incident_id, i.project, i.title, i.open_sessions, i.opened_at FROM incidents i
    WHERE i.opened_at IS NOT NULL AND i.alerted_at IS NULL AND i.status = 'draft' AND NOT {IS_HELD}
    ORDER BY i.opened_at, i.incident_id LIMIT {_MOST}
""")
_ALERTED = text("""
    UPDATE incidents SET alerted_at = now()
    WHERE incident_id = ANY(CAST(:ids AS text[])) AND opened_at IS NOT NULL AND alerted_at IS NULL
""")


class OpenAlert(NamedTuple):
    """A draft to alert people of: ``sessions`` that go on show it, since ``opened_at``."""

    incident_id: str
    project: str
    title: str
    sessions: int
    opened_at: datetime


class OpenAlerts:
    """The drafts that wait for an alert. Those of a flood have a warning of their own.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_pending_alerts(self) -> list[OpenAlert]:
        """The first drafts that wait for their alert, the oldest first."""
        with self._database.open_transaction() as connection:
            return [OpenAlert(*row) for row in connection.execute(_PENDING)]

    def mark_alerted(self, ids: Sequence[str]) -> None:
        """People were alerted of these incidents."""
        with self._database.open_transaction() as connection:
            connection.execute(_ALERTED, {"ids": list(ids)})
