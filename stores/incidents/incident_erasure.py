"""Erases people from the incident store: their detections with timelines, their queued and dead sessions.

The incidents are recomputed from the remaining detections. An incident stays, with its history and its ticket: it describes a
failure, not a person. If nobody else was affected, it has 0 sessions, and its browsers, routes and versions are deleted.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text

from core.errors import PermanentError
from incidents import lifecycle
from incidents.lifecycle import HistoryChange
from incidents.model import DEFAULT_RULE, Rules
from stores.incidents import exemption_ledger, incident_open, incident_source, silences, verdict_ledger
from stores.incidents.incident_database import Database
from stores.incidents.incident_settle import settle_incidents

_SESSIONS_OF = text("""
    SELECT session_id FROM detections WHERE project = :project AND user_hash = :user_hash AND user_hash <> ''
    UNION
    SELECT session_id FROM open_detections WHERE project = :project AND user_hash = :user_hash AND user_hash <> ''
""")
_KEYED = "project = :project AND session_id = ANY(CAST(:sessions AS text[]))"
_LOCK_PENDING = text(f"SELECT 1 FROM pending_sessions WHERE {_KEYED} ORDER BY project, session_id FOR UPDATE")
_DROP_PENDING = text(f"DELETE FROM pending_sessions WHERE {_KEYED} RETURNING 1")
_DROP_DEAD = text(f"DELETE FROM dead_sessions WHERE {_KEYED} RETURNING 1")
_OF_PERSON = """
    project = :project
    AND (session_id = ANY(CAST(:sessions AS text[])) OR (:user_hash <> '' AND user_hash = :user_hash))
"""
_INCIDENTS = text(f"SELECT DISTINCT incident_id FROM detections WHERE {_OF_PERSON}")
_OPEN_INCIDENTS = text(f"SELECT DISTINCT incident_id FROM open_detections WHERE {_OF_PERSON}")
_LOCK_INCIDENTS = text("""
    SELECT * FROM incidents WHERE incident_id = ANY(CAST(:ids AS text[])) ORDER BY incident_id FOR NO KEY UPDATE
""")
_DROP_DETECTIONS = text(f"""
    DELETE FROM detections WHERE {_OF_PERSON} AND incident_id = ANY(CAST(:ids AS text[]))
    RETURNING incident_id, retracted_at IS NULL AS live
""")
_DROP_OPEN = text(f"""
    DELETE FROM open_detections WHERE {_OF_PERSON} AND incident_id = ANY(CAST(:ids AS text[]))
    RETURNING incident_id, retracted_at IS NULL AS live
""")
_EMPTY = text("""
    UPDATE incidents SET facets = '{}', updated_at = now()
    WHERE incident_id = ANY(CAST(:ids AS text[])) AND affected_sessions = 0 RETURNING 1
""")
_TICKETS = text("""
    SELECT incident_id, tracker, ticket_key, url FROM outbox
    WHERE incident_id = ANY(CAST(:ids AS text[])) AND ticket_key IS NOT NULL ORDER BY incident_id, tracker
""")


@dataclass(frozen=True)
class ErasureTicket:
    """A ticket of an incident of the person. It may name their session; a person must edit it."""

    incident_id: str
    tracker: str
    key: str
    url: str


@dataclass(frozen=True)
class ErasedIncidentData:
    """The deleted rows, the number of recomputed incidents (``emptied``: those with 0 sessions left), and their tickets."""

    detections: int = 0
    pending: int = 0
    dead: int = 0
    incidents: int = 0
    emptied: int = 0
    tickets: tuple[ErasureTicket, ...] = ()
    verdicts: int = 0
    exemptions: int = 0
    """Exceptions for this person's test traffic."""


class IncidentErasure:
    """Erases people, and the senders of old detections.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_user_sessions(self, project: str, user_hash: str) -> set[str]:
        """Ids of the client sessions of ``project`` with a detection of this user."""
        with self._database.open_transaction() as connection:
            return set(connection.execute(_SESSIONS_OF, {"project": project, "user_hash": user_hash}).scalars())

    def erase_sessions(
        self, project: str, sessions: Sequence[str], user_hash: str = "", rules: Rules = DEFAULT_RULE
    ) -> ErasedIncidentData:
        """Delete all rows of these client sessions and of this user ('': none), and recompute their incidents.

        A worker that analyses one of the sessions finds no pending row and writes nothing. Raises PermanentError
        when neither a session nor a user is named.
        """
        if not (sessions or user_hash):
            raise PermanentError("name the session or the user to erase")
        values = {"project": project, "sessions": sorted(sessions), "user_hash": user_hash}
        with self._database.open_transaction() as connection:
            connection.execute(_LOCK_PENDING, values)
            pending = len(connection.execute(_DROP_PENDING, values).all())
            dead = len(connection.execute(_DROP_DEAD, values).all())
            silences.erase_silences(connection, project, values["sessions"])
            verdicts = verdict_ledger.erase_verdicts(connection, project, values["sessions"], user_hash)
            exemptions = exemption_ledger.erase_exemptions(connection, project, user_hash)
            opened = set(connection.execute(_OPEN_INCIDENTS, values).scalars())
            incident_open.lock_incident_ids(connection, opened)
            ids = sorted({*connection.execute(_INCIDENTS, values).scalars(), *opened})
            before = {row.incident_id: row for row in connection.execute(_LOCK_INCIDENTS, {"ids": ids})}
            gone = list(connection.execute(_DROP_DETECTIONS, {**values, "ids": ids}).all())
            gone += connection.execute(_DROP_OPEN, {**values, "ids": ids}).all()
            live = Counter(row.incident_id for row in gone if row.live and row.incident_id in before)
            affected = {id_: before[id_] for id_ in sorted(live)}
            settle_incidents(
                connection,
                affected,
                rules,
                [(id_, _build_erasure_change(affected[id_], live[id_])) for id_ in affected],
            )
            emptied = len(connection.execute(_EMPTY, {"ids": list(affected)}).all())
            tickets = tuple(
                ErasureTicket(row.incident_id, row.tracker, row.ticket_key, row.url or "")
                for row in connection.execute(_TICKETS, {"ids": ids})
            )
            return ErasedIncidentData(len(gone), pending, dead, len(affected), emptied, tickets, verdicts, exemptions)

    def forget_ended_detections(self, days: int) -> int:
        """Delete the open detections that ended more than ``days`` days ago. Returns how many."""
        with self._database.open_transaction() as connection:
            return incident_open.forget_ended_detections(connection, days)

    def forget_silences(self, days: int) -> int:
        """Delete the near misses that were analysed more than ``days`` days ago. Returns how many."""
        with self._database.open_transaction() as connection:
            return silences.forget_silences(connection, days)

    def forget_sources(self, days: Mapping[str, float]) -> int:
        """Delete the senders of detections that no longer count. Returns how many detections.

        ``days``: the window by project, '' for others.
        """
        with self._database.open_transaction() as connection:
            return incident_source.forget_sources(connection, days)


def _build_erasure_change(row: "sa.Row[Any]", number: int) -> HistoryChange:
    noun = "detection" if number == 1 else "detections"
    return HistoryChange(lifecycle.RULE, row.status, row.status, f"{number} {noun} erased on request")
