"""What the review pages read beside the incidents themselves: pages by cursor, figures by day, sessions, exports."""

# Statements are put together from constants of this module and of `incident_read` alone; values are always bound.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from core.errors import PermanentError
from incidents.incident import ExampleSession, Incident, TicketRecord
from incidents.lifecycle import HistoryChange, Status
from incidents.model import IncidentQuery, NotFound, Place
from stores.incidents import incident_read
from stores.incidents.incident_database import Database
from stores.incidents.incident_figures import FACET_VALUES
from stores.incidents.incident_orders import build_list_order
from stores.incidents.incident_settle import write_incident_history
from stores.incidents.silences import Silence, read_session_silences

MAX_PAGE = 200
_SESSIONS_SHOWN = 50
_EXPORTS_SHOWN = 100

_COUNT_BY_STATUS = "SELECT i.status, count(*) AS number FROM incidents i WHERE {where} GROUP BY i.status"
# Counted with each detection: the detections of one incident may be very many.
_BY_DAY = text("""
    SELECT c.incident_id, CAST(c.value AS date) AS day, c.number
    FROM unnest(CAST(:ids AS text[])) AS i(id) CROSS JOIN LATERAL (
        SELECT * FROM incident_counts WHERE incident_id = i.id AND kind = 'day'
            AND key = ANY(ARRAY(SELECT md5(d.day)::uuid FROM unnest(CAST(:days AS text[])) AS d(day)))
    ) c
""")
_VERSIONS = text(f"""
    SELECT top.value AS version, seen.first_seen, top.number
    FROM (
        SELECT value, number FROM incident_counts WHERE incident_id = :incident_id AND kind = 'appVersions'
        ORDER BY number DESC, value LIMIT {FACET_VALUES}
    ) top
    CROSS JOIN LATERAL (
        SELECT min(d.happened_at) AS first_seen FROM detections d
        WHERE d.incident_id = :incident_id AND d.retracted_at IS NULL AND d.app_version <> '' AND d.app_version = top.value
    ) seen
    ORDER BY seen.first_seen, top.value LIMIT 20
""")
_SESSION = """
    SELECT d.body, d.incident_id, i.title, i.status, i.severity, {still_open} AS open
    FROM {table} d JOIN incidents i USING (incident_id)
    WHERE d.project = :project AND d.session_id = :session_id AND d.retracted_at IS NULL
    ORDER BY d.visit_start, d.score DESC, d.detection_id LIMIT :limit
"""
_DETECTIONS = text(_SESSION.format(table="detections", still_open="false"))
_OPEN_DETECTIONS = text(_SESSION.format(table="open_detections", still_open="true"))
_ENDED = text("""
    SELECT d.incident_id, i.title, d.score, d.happened_at, d.retracted_at, d.reason
    FROM (
        SELECT incident_id, score, happened_at, retracted_at, '' AS reason FROM detections
        WHERE project = :project AND session_id = :session_id AND retracted_at IS NOT NULL
        UNION ALL
        SELECT incident_id, score, happened_at, retracted_at, reason FROM open_detections
        WHERE project = :project AND session_id = :session_id AND outcome = 'retracted'
    ) d
    JOIN incidents i USING (incident_id)
    ORDER BY d.retracted_at DESC LIMIT :limit
""")
_QUEUED = text("""
    SELECT 'waiting' AS state, due_ms, '' AS reason FROM pending_sessions
    WHERE project = :project AND session_id = :session_id
    UNION ALL SELECT 'dead', due_ms, reason FROM dead_sessions WHERE project = :project AND session_id = :session_id
    LIMIT 1
""")
_EXPORTS = text("""
    SELECT o.*, i.title, i.project, i.status FROM outbox o JOIN incidents i USING (incident_id)
    WHERE o.state IN ('retry', 'export_failed', 'claimed', 'logged') AND i.status IN ('confirmed', 'regressed')
      AND i.merged_into IS NULL
      AND (CAST(:project AS text) IS NULL OR i.project = :project)
    ORDER BY array_position(ARRAY['export_failed', 'retry', 'claimed', 'logged'], o.state), o.updated_at DESC, o.incident_id
    LIMIT :limit
""")
_DEAD = text("""
    SELECT project, session_id, attempts, reason, died_at FROM dead_sessions
    WHERE CAST(:project AS text) IS NULL OR project = :project ORDER BY died_at DESC, session_id LIMIT :limit
""")
_RETRY = text("""
    UPDATE outbox o SET state = 'retry', retry_at = NULL, updated_at = now()
    FROM incidents i
    WHERE o.incident_id = :incident_id AND o.tracker = :tracker AND i.incident_id = o.incident_id
      AND o.state IN ('export_failed', 'retry') AND (CAST(:project AS text) IS NULL OR i.project = :project)
    RETURNING i.status
""")


_OPEN: tuple[Status, ...] = ("draft", "confirmed", "regressed")
# The value of this incident comes from a subquery that runs once, so that an index of the list's order finds the neighbour.
_NEIGHBOUR = """
    SELECT i.incident_id FROM incidents i
    WHERE {where} AND {value} {sign}= {here} AND ({value} {sign} {here} OR i.incident_id {other} :incident_id)
    ORDER BY {value} {order} LIMIT 1
"""
_SEEN = "coalesce(i.last_seen, i.created_at)"
_HERE = "(SELECT coalesce(last_seen, created_at) FROM incidents WHERE incident_id = :incident_id)"
_SIDES = ((">", "<", "ASC, i.incident_id DESC"), ("<", ">", "DESC, i.incident_id"))


@dataclass(frozen=True)
class CursorPage:
    """One page of incidents. ``after``: where the next begins, None on the last; ``counts``: incidents by status that match
    the filters without the one of status; ``activity``: detections of each incident by day, the oldest of `DAYS` first."""

    incidents: tuple[Incident, ...]
    after: Place | None
    counts: Mapping[Status, int]
    activity: Mapping[str, list[int]]


class VersionSeen(NamedTuple):
    """A version of the application, the time of its first detection, and how many sessions (visits) it has."""

    version: str
    first_seen: datetime
    number: int


@dataclass(frozen=True)
class Trend:
    """Detections of an incident by day (UTC): ``counts`` begins at ``start``."""

    start: date
    counts: list[int]
    versions: list[VersionSeen]


@dataclass(frozen=True)
class SessionDetection:
    """A detection of a session, and the incident to which it belongs."""

    incident_id: str
    title: str
    status: Status
    severity: str
    example: ExampleSession


class EndedDetection(NamedTuple):
    """A detection that was retracted. ``reason``: '' when it was of a complete session."""

    incident_id: str
    title: str
    score: int
    happened_at: datetime
    retracted_at: datetime
    reason: str


@dataclass(frozen=True)
class SessionView:
    """What is known of one client session. ``queue``: ``waiting`` for its analysis, ``dead``, or '' when analysed or unknown;
    ``due_ms``: epoch ms; ``reason``: why it is dead."""

    detections: tuple[SessionDetection, ...]
    ended: tuple[EndedDetection, ...]
    silences: tuple[Silence, ...]
    queue: str = ""
    due_ms: int = 0
    reason: str = ""

    @property
    def is_known(self) -> bool:
        """Whether anything is stored about the session."""
        return bool(self.detections or self.ended or self.silences or self.queue)


@dataclass(frozen=True)
class WaitingExport:
    """A ticket that is not filed yet."""

    incident_id: str
    title: str
    project: str
    ticket: TicketRecord


class DeadSession(NamedTuple):
    """A session whose analysis failed for good."""

    project: str
    session_id: str
    attempts: int
    reason: str
    died_at: datetime


class ReviewReader:
    """Reads for the review pages. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_page(self, query: IncidentQuery, after: Place | None, days: int) -> CursorPage:
        """The incidents after ``after``, with figures of the last ``days`` days. ``query.offset`` is not used. Raises
        PermanentError for an unknown sort, a wrong place, or a limit outside 1–200."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise PermanentError(f"limit must be 1 to {MAX_PAGE}")
        order = build_list_order(query.sort, after)
        counts = self._database.read_beside(lambda connection: _count_by_status(connection, query))
        with self._database.open_transaction() as connection:
            incidents, following = incident_read.read_listed_incidents(connection, replace(query, offset=0), order)
            activity = _read_activity(connection, [incident["incidentId"] for incident in incidents], days)
        return CursorPage(incidents, following, counts.result(), activity)

    def read_trend(self, incident_id: str, last_seen: datetime, days: int) -> Trend:
        """The last ``days`` days of an incident: until today, or until ``last_seen`` where that is longer ago."""
        today = datetime.now(UTC).date()
        last = last_seen.astimezone(UTC).date()
        stop = today if (today - last).days < days else last
        start = stop - timedelta(days=days - 1)
        with self._database.open_transaction() as connection:
            counts = _read_days(connection, [incident_id], start, days)
            seen = [VersionSeen(*row) for row in connection.execute(_VERSIONS, {"incident_id": incident_id})]
        return Trend(start, counts.get(incident_id, [0] * days), seen)

    def find_neighbours(self, incident_id: str, status: Status, project: str | None) -> tuple[str, str]:
        """The incidents before and after this one in the list, last seen first; '' at its ends.

        The list is that of the open incidents for one of them, else that of the incidents with the same status.
        """
        query = IncidentQuery(project=project, status=_OPEN if status in _OPEN else (status,))
        where, values = incident_read.build_filters(query)
        found = []
        with self._database.open_transaction() as connection:
            for sign, other, order in _SIDES:
                statement = _NEIGHBOUR.format(where=where, value=_SEEN, here=_HERE, sign=sign, other=other, order=order)
                found.append(connection.execute(text(statement), {**values, "incident_id": incident_id}).scalar() or "")
        return found[0], found[1]

    def read_session(self, project: str, session_id: str) -> SessionView:
        """What is stored about one client session."""
        keys = {"project": project, "session_id": session_id, "limit": _SESSIONS_SHOWN}
        with self._database.open_transaction() as connection:
            rows = [row for found in (_DETECTIONS, _OPEN_DETECTIONS) for row in connection.execute(found, keys)]
            queued = connection.execute(_QUEUED, keys).one_or_none()
            silent = read_session_silences(connection, project, session_id)
            ended = tuple(EndedDetection(*row) for row in connection.execute(_ENDED, keys))
        found = tuple(
            SessionDetection(
                row.incident_id,
                row.title,
                row.status,
                row.severity,
                incident_read.build_example_json(row.body, row.open),
            )
            for row in rows
        )
        return SessionView(found, ended, silent, *(queued or ()))

    def list_waiting_exports(self, project: str | None) -> list[WaitingExport]:
        """Tickets that wait or failed, failed ones first; at most 100."""
        with self._database.open_transaction() as connection:
            return [
                WaitingExport(row.incident_id, row.title, row.project, incident_read.build_ticket_json(row))
                for row in connection.execute(_EXPORTS, {"project": project, "limit": _EXPORTS_SHOWN})
            ]

    def list_dead_sessions(self, project: str | None) -> list[DeadSession]:
        """Sessions whose analysis failed for good, newest first; at most 50."""
        with self._database.open_transaction() as connection:
            values = {"project": project, "limit": _SESSIONS_SHOWN}
            return [DeadSession(*row) for row in connection.execute(_DEAD, values)]

    def retry_export(self, incident_id: str, tracker: str, actor: str, project: str | None) -> None:
        """Let the next export file this ticket, also when it failed for good. Raises NotFound when it does not wait."""
        values = {"incident_id": incident_id, "tracker": tracker, "project": project}
        with self._database.open_transaction() as connection:
            status = connection.execute(_RETRY, values).scalar_one_or_none()
            if status is None:
                raise NotFound(f"no ticket of {incident_id} waits at {tracker}")
            change = HistoryChange(actor, status, status, f"export to {tracker} asked for again")
            write_incident_history(connection, [(incident_id, change)])


def _count_by_status(connection: sa.Connection, query: IncidentQuery) -> dict[Status, int]:
    where, values = incident_read.build_filters(replace(query, status=()))
    found = connection.execute(text(_COUNT_BY_STATUS.format(where=where)), values)
    return {row.status: row.number for row in found}


def _read_activity(connection: sa.Connection, ids: Sequence[str], days: int) -> dict[str, list[int]]:
    start = datetime.now(UTC).date() - timedelta(days=days - 1)
    found = _read_days(connection, ids, start, days) if ids else {}
    return {id_: found.get(id_, [0] * days) for id_ in ids}


def _read_days(connection: sa.Connection, ids: Sequence[str], start: date, days: int) -> dict[str, list[int]]:
    values = {"ids": list(ids), "days": [(start + timedelta(days=n)).isoformat() for n in range(days)]}
    counts: dict[str, list[int]] = {}
    for incident_id, day, number in connection.execute(_BY_DAY, values).all():
        counts.setdefault(incident_id, [0] * days)[(day - start).days] = number
    return counts
