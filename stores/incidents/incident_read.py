"""Reads incidents: lists, details, counts. It builds the values of `incidents.incident` from rows."""

# Statements are put together from constants of this module alone; values are always bound.

import re
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy import text
from typing_extensions import TypedDict

from core.errors import PermanentError
from incidents import lifecycle
from incidents.incident import (
    ExampleSession,
    HistoryEntry,
    Incident,
    IncidentDetail,
    Rate,
    TicketInTracker,
    TicketRecord,
)
from incidents.model import IncidentPage, IncidentQuery, Place, StoreCounts
from stores.incidents import impact_read, incident_flood
from stores.incidents.incident_database import Database
from stores.incidents.incident_flood import IS_HELD
from stores.incidents.incident_orders import ListOrder, build_list_order
from stores.incidents.incident_owners import HAS_OWNER, IS_UNOWNED
from stores.incidents.incident_suspects import IS_SUSPICIOUS
from stores.incidents.incident_times import format_utc_time
from stores.incidents.older_detections import (
    complete_context,
    complete_points,
    complete_signals,
    complete_timeline,
)
from ufse.detection import Detection

_T = TypeVar("_T")

MAX_LIMIT = 1_000
EXAMPLES = 5
# Maximum detections of an incident that are searched for examples, so that a large incident is read as fast as a small one.
_LOOKED_AT = 500
_RANKED = "project, detection_id, score, story_length, label, source"

# "Exported" means that a ticket exists; it is not a status (docs/contracts/incidents-and-tickets.md).
HAS_TICKET = "EXISTS (SELECT 1 FROM outbox o WHERE o.incident_id = i.incident_id AND o.ticket_key IS NOT NULL)"

# The title, the failure point, the label and the id, in lower case, one below the other.
_HAS_TEXT = "i.searched LIKE lower(CAST(:words AS text))"

IS_WITHDRAWN = "(i.status = 'draft' AND i.withdrawn_at IS NOT NULL)"

FLAGS = f"{IS_HELD} AS held, {IS_SUSPICIOUS} AS suspicious"
_WHOLE = text(f"SELECT i.*, {FLAGS} FROM incidents i WHERE i.incident_id = ANY(CAST(:ids AS text[]))")
_TICKETS = text("SELECT * FROM outbox WHERE incident_id = ANY(CAST(:ids AS text[])) ORDER BY tracker")
_HISTORY = text("""
    SELECT incident_id, at, actor, from_status, to_status, reason
    FROM incident_history WHERE incident_id = ANY(CAST(:ids AS text[])) ORDER BY id
""")
# One of each source before a second one of any source. First those that agree with the others: with the label of most sources,
# and with a score that at least two sources reach. Then the highest score, then the shortest timeline.
_EXAMPLES_SQL = f"""
    SELECT n.incident_id, d.body, {{still_open}} AS open
    FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS i(id, place)
    JOIN incidents n ON n.incident_id = i.id
    CROSS JOIN LATERAL (
        SELECT project, detection_id,
               row_number() OVER (ORDER BY agrees DESC, turn, score DESC, story_length, detection_id) AS rank
        FROM (
            SELECT d.project, d.score, d.story_length, d.detection_id,
                   d.label = n.label AND d.score <= n.shared_score AS agrees,
                   row_number() OVER (
                       PARTITION BY coalesce(d.source, 0), d.label = n.label AND d.score <= n.shared_score
                       ORDER BY d.score DESC, d.story_length, d.detection_id) AS turn
            FROM (
                (SELECT {_RANKED} FROM {{table}} WHERE incident_id = i.id AND retracted_at IS NULL AND score <= n.shared_score
                 ORDER BY score DESC, story_length, detection_id LIMIT {_LOOKED_AT})
                UNION ALL
                (SELECT {_RANKED} FROM {{table}} WHERE incident_id = i.id AND retracted_at IS NULL AND score > n.shared_score
                 ORDER BY score DESC, story_length, detection_id LIMIT {EXAMPLES})
            ) d
        ) ranked
        ORDER BY rank LIMIT {EXAMPLES}
    ) best
    JOIN {{table}} d ON (d.project, d.detection_id) = (best.project, best.detection_id)
    ORDER BY i.place, best.rank
"""
_EXAMPLES = text(_EXAMPLES_SQL.replace("{table}", "detections").replace("{still_open}", "false"))
_OPEN_EXAMPLES = text(_EXAMPLES_SQL.replace("{table}", "open_detections").replace("{still_open}", "true"))
# Of detections there are very many: their numbers are sums over what is counted of each incident.
_FIGURES = text(f"""
    SELECT 'detections' AS what, c.kind, sum(c.number)::bigint AS number
    FROM incident_counts c
    WHERE c.kind IN ('detections', 'retracted') AND (CAST(:project AS text) IS NULL OR c.incident_id IN (
        SELECT incident_id FROM incidents WHERE project = :project)) GROUP BY c.kind
    UNION ALL SELECT 'detections', 'open', count(*)
    FROM open_detections WHERE retracted_at IS NULL AND (CAST(:project AS text) IS NULL OR project = :project)
    UNION ALL SELECT 'incidents', status, count(*)
    FROM incidents i
    WHERE NOT {IS_WITHDRAWN} AND merged_into IS NULL AND (CAST(:project AS text) IS NULL OR project = :project) GROUP BY status
    UNION ALL SELECT 'tickets', o.state, count(*)
    FROM outbox o
    WHERE CAST(:project AS text) IS NULL OR EXISTS (
        SELECT FROM incidents i WHERE i.incident_id = o.incident_id AND i.project = :project) GROUP BY o.state
    UNION ALL SELECT 'unknown', 'tickets', count(*)
    FROM outbox o JOIN incidents i USING (incident_id)
    WHERE o.remote ->> 'meaning' = 'unknown' AND (CAST(:project AS text) IS NULL OR i.project = :project)
    UNION ALL SELECT 'dead', 'sessions', count(*)
    FROM dead_sessions WHERE CAST(:project AS text) IS NULL OR project = :project
    UNION ALL SELECT 'pending', 'sessions', count(*)
    FROM pending_sessions WHERE CAST(:project AS text) IS NULL OR project = :project
    UNION ALL SELECT 'pending', 'oldest', coalesce(min(due_ms), 0)
    FROM pending_sessions WHERE CAST(:project AS text) IS NULL OR project = :project
    UNION ALL SELECT 'cursor', name, watermark_us FROM cursors
""")
_NAMED = text("""
    SELECT incident_id, status, primary_failure_point FROM incidents
    WHERE incident_id = ANY(CAST(:ids AS text[]))
""")


class IncidentSummary(NamedTuple):
    """The status and failure point of an incident."""

    status: str
    failure_point: str


class IncidentReader:
    """Incidents as others see them: lists, one incident as a whole, counts.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_incidents(self, query: IncidentQuery) -> IncidentPage:
        """One page of incidents. Raises PermanentError for an unknown sort, a negative offset or a limit outside 1–1000."""
        order = build_list_order(query.sort, query.after)
        if not 1 <= query.limit <= MAX_LIMIT or query.offset < 0:
            raise PermanentError(f"limit must be 1 to {MAX_LIMIT} and offset at least 0")
        total = self._database.read_beside(lambda connection: _count_listed(connection, query))
        with self._database.open_transaction() as connection:
            page, after = read_listed_incidents(connection, query, order)
        return IncidentPage(page, total.result(), query.limit, query.offset, after)

    def read_incident(self, incident_id: str, project: str | None = None) -> IncidentDetail | None:
        """One incident with history, examples, timelines and tickets; None when unknown or of another project."""
        with self._database.open_transaction() as connection:
            found = read_incident_details(connection, [incident_id])
        return found[0] if found and project in (None, found[0]["projectId"]) else None

    def read_incident_summaries(self, ids: Sequence[str]) -> dict[str, IncidentSummary]:
        """Status and failure point of these incidents; unknown ids are left out."""
        with self._database.open_transaction() as connection:
            return {row[0]: IncidentSummary(row[1], row[2]) for row in connection.execute(_NAMED, {"ids": list(ids)})}

    def read_store_counts(self, project: str | None = None) -> StoreCounts:
        """Counts of one project, or (None) of all."""
        with self._database.open_transaction() as connection:
            found: dict[str, dict[str, int]] = {}
            for row in connection.execute(_FIGURES, {"project": project}):
                found.setdefault(row.what, {})[row.kind] = row.number
            detections = found.get("detections", {})
            return {
                "detections": detections.get("detections", 0),
                "retracted": detections.get("retracted", 0),
                "openDetections": detections.get("open", 0),
                "incidents": {status: found.get("incidents", {}).get(status, 0) for status in lifecycle.STATUSES},
                "tickets": found.get("tickets", {}),
                "unknownTicketStates": found["unknown"]["tickets"],
                "held": sum(flood.held for flood in incident_flood.list_floods(connection, project)),
                "deadSessions": found["dead"]["sessions"],
                "pendingSessions": found["pending"]["sessions"],
                "oldestDueMs": found["pending"]["oldest"],
                "cursors": found.get("cursor", {}),
            }


def _count_listed(connection: sa.Connection, query: IncidentQuery) -> int:
    where, values = build_filters(query)
    return int(connection.execute(text(f"SELECT count(*) FROM incidents i WHERE {where}"), values).scalar_one())


def read_listed_incidents(
    connection: sa.Connection, query: IncidentQuery, order: ListOrder
) -> tuple[tuple[Incident, ...], Place | None]:
    """The incidents of a page in ``order``, and where the next page begins."""
    where, values = build_filters(query)
    page = text(f"""
        SELECT i.*, {FLAGS}, CAST({order.value} AS text) AS place FROM incidents i
        WHERE {where} AND {order.condition} ORDER BY {order.clause} LIMIT :limit OFFSET :offset
    """)
    values |= {**order.values, "limit": query.limit + 1, "offset": query.offset}  # one more, if another page follows
    found = connection.execute(page, values).all()
    rows = found[: query.limit]
    ids = [row.incident_id for row in rows]
    tickets, rates = read_tickets(connection, ids), impact_read.read_rates(connection, ids)
    after = Place(rows[-1].place, rows[-1].incident_id) if len(found) > query.limit else None
    pairs = zip(ids, rows, strict=True)
    return tuple(build_incident_json(row, tickets.get(id_, []), rates.get(id_)) for id_, row in pairs), after


def build_filters(query: IncidentQuery) -> tuple[str, dict[str, object]]:
    """The condition, made of constants, and its bound values."""
    wanted: list[tuple[str, str, object]] = [
        ("i.project = :project", "project", query.project),
        ("i.status = ANY(CAST(:status AS text[]))", "status", list(query.status) or None),
        ("i.severity = ANY(CAST(:severity AS text[]))", "severity", list(query.severity) or None),
        ("i.route = :route", "route", query.route),
        ("i.last_seen >= :since", "since", query.since),
        ("i.highest_score >= :min_score", "min_score", query.min_score),
        (_choose(HAS_TICKET, query.exported), "exported", query.exported),
        (_choose(IS_HELD, query.held), "held", query.held),
        (_choose(IS_WITHDRAWN, query.withdrawn), "withdrawn", query.withdrawn),
        (_HAS_TEXT, "words", _build_pattern(query.words)),
        ("jsonb_exists(i.facets -> 'appVersions', :version)", "version", query.version),
        ("jsonb_exists(i.facets -> 'environments', :environment)", "environment", query.environment),
        ("jsonb_exists(i.facets -> 'browsers', :browser)", "browser", query.browser),
        (HAS_OWNER, "owner", query.owner),
        (_choose(IS_UNOWNED, not query.owned), "owned", query.owned),
    ]
    used = [(condition, name, value) for condition, name, value in wanted if value is not None]
    where = " AND ".join(["i.merged_into IS NULL", *(condition for condition, _, _ in used)])
    return where, {name: value for _, name, value in used}


def _choose(condition: str, wanted: bool | None) -> str:
    """The condition or its opposite, as such: compared with a value, its subquery would run for each row."""
    return condition if wanted else f"NOT {condition}"


def _build_pattern(words: str | None) -> str | None:
    """A pattern of LIKE that finds ``words`` anywhere; its signs mean themselves."""
    return None if words is None else "%" + re.sub(r"([\\%_])", r"\\\1", words) + "%"


def read_incident_details(connection: sa.Connection, ids: Sequence[str]) -> list[IncidentDetail]:
    """Incidents with history, examples and tickets, in the order of ``ids``; unknown ids are left out."""
    keys = {"ids": list(ids)}
    rows = connection.execute(_WHOLE, keys)
    row_of = {row.incident_id: row for row in rows}
    tickets, rates = read_tickets(connection, ids), impact_read.read_rates(connection, ids)
    impacts = impact_read.read_impacts(connection, ids)
    history = _group_by_incident(
        (row.incident_id, _build_history_json(row)) for row in connection.execute(_HISTORY, keys)
    )
    examples = _read_examples(connection, list(row_of.values()))
    return [
        {
            **build_incident_json(row_of[id_], tickets.get(id_, []), rates.get(id_)),
            "explanation": examples[id_][0]["explanation"] if id_ in examples else "",
            "impact": impacts.get(id_),
            "examples": examples.get(id_, []),
            "history": history.get(id_, []),
        }
        for id_ in ids
        if id_ in row_of
    ]


def _read_examples(connection: sa.Connection, rows: "Sequence[sa.Row[Any]]") -> dict[str, list[ExampleSession]]:
    """Example sessions: complete ones, or sessions that go on where there are no others."""
    complete = {"ids": [row.incident_id for row in rows if row.affected_sessions]}
    still_open = {"ids": [row.incident_id for row in rows if not row.affected_sessions and row.open_sessions]}
    return _group_by_incident(
        (row.incident_id, build_example_json(row.body, row.open))
        for statement, keys in ((_EXAMPLES, complete), (_OPEN_EXAMPLES, still_open))
        for row in (connection.execute(statement, keys) if keys["ids"] else ())
    )


def read_tickets(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[TicketRecord]]:
    if not ids:
        return {}
    rows = connection.execute(_TICKETS, {"ids": list(ids)})
    return _group_by_incident((row.incident_id, build_ticket_json(row)) for row in rows)


def _group_by_incident(pairs: Iterable[tuple[str, _T]]) -> dict[str, list[_T]]:
    groups: dict[str, list[_T]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def build_incident_json(row: "sa.Row[Any]", tickets: list[TicketRecord], rate: Rate | None) -> Incident:
    facets = {name: _sort_by_sessions(values) for name, values in row.facets.items()}
    return {
        "incidentId": row.incident_id,
        "projectId": row.project,
        "fingerprint": row.fingerprint,
        "title": row.title,
        "status": row.status,
        "severity": row.severity,
        "severityType": row.severity_type,
        "priority": row.priority,
        "failurePoint": row.failure_point,
        "primaryFailurePoint": row.primary_failure_point,
        "label": row.label,
        "firstSeen": format_utc_time(row.first_seen),
        "lastSeen": format_utc_time(row.last_seen),
        **_build_counts_json(row),
        "reached": rate,
        "highestScore": row.highest_score,
        "medianScore": row.median_score,
        "confidence": row.confidence,
        "signals": facets.get("signals", {}),
        "routes": list(facets.get("routes", {})),
        "environments": list(facets.get("environments", {})),
        "appVersions": list(facets.get("appVersions", {})),
        "browsers": list(facets.get("browsers", {})),
        "sessionsBy": facets,
        "exported": any(ticket["key"] for ticket in tickets),
        "held": row.held,
        "suspicious": row.suspicious,
        "tickets": tickets,
        **_build_decisions_json(row),
        "createdAt": format_utc_time(row.created_at),
        "updatedAt": format_utc_time(row.updated_at),
    }


class _Decisions(TypedDict):
    """What was decided about an incident."""

    resolvedAt: str | None
    fixVersion: str | None
    fixEnvironment: str | None
    fixInNextRelease: bool
    suppressedUntil: str | None
    suppressedSessions: int | None
    withdrawnAt: str | None
    mergedInto: str | None
    assignee: str | None
    assignedBy: str | None
    version: int
    generation: int
    allowedActions: list[lifecycle.Action]


def _build_decisions_json(row: "sa.Row[Any]") -> _Decisions:
    return {
        "resolvedAt": format_utc_time(row.resolved_at),
        "fixVersion": row.fix_version or None,
        "fixEnvironment": row.fix_environment or None,
        "fixInNextRelease": row.fix_next,
        "suppressedUntil": format_utc_time(row.suppressed_until),
        "suppressedSessions": row.suppressed_sessions,
        "withdrawnAt": format_utc_time(row.withdrawn_at) if row.status == "draft" else None,
        "mergedInto": row.merged_into,
        "assignee": row.assignee,
        "assignedBy": row.assigned_by,
        "version": row.version,
        "generation": row.generation,
        "allowedActions": [] if row.merged_into else list(lifecycle.list_allowed_actions(row.status, row.held)),
    }


class _Counts(TypedDict):
    """The counts of an incident's JSON."""

    affectedSessions: int
    countedSessions: int
    openSessions: int
    affectedUsers: int
    endedSessions: int
    overcomeSessions: int


def _build_counts_json(row: "sa.Row[Any]") -> _Counts:
    return {
        "affectedSessions": row.affected_sessions,
        "countedSessions": row.counted_sessions,
        "openSessions": row.open_sessions,
        "affectedUsers": row.affected_users,
        "endedSessions": row.ended_sessions,
        "overcomeSessions": row.overcome_sessions,
    }


def _sort_by_sessions(values: dict[str, int]) -> dict[str, int]:
    return dict(sorted(sorted(values.items()), key=itemgetter(1), reverse=True))


def build_ticket_json(row: "sa.Row[Any]") -> TicketRecord:
    return {
        "tracker": row.tracker,
        "state": row.state,
        "key": row.ticket_key,
        "url": row.url,
        "attempts": row.attempts,
        "lastError": row.last_error,
        "retryAt": format_utc_time(row.retry_at),
        "filedAt": format_utc_time(row.filed_at),
        "clientId": str(row.client_id),
        "inTracker": _build_remote_json(row),
    }


def _build_remote_json(row: "sa.Row[Any]") -> TicketInTracker | None:
    remote = row.remote
    if not remote:
        return None
    return {
        "status": remote["status"],
        "resolution": remote["resolution"],
        "meaning": remote["meaning"],
        "assignee": remote["assignee"],
        "comments": remote["comments"],
        "versions": remote["versions"],
        "duplicateOf": remote["duplicate_of"],
        "since": format_utc_time(row.remote_closed_at),
        "readAt": format_utc_time(row.read_at),
    }


def _build_history_json(row: "sa.Row[Any]") -> HistoryEntry:
    return {
        "at": format_utc_time(row.at),
        "actor": row.actor,
        "from": row.from_status,
        "to": row.to_status,
        "reason": row.reason,
    }


def build_example_json(body: Detection, still_open: bool) -> ExampleSession:
    """The example session of a stored detection, of whatever version."""
    return {
        "open": still_open,
        "detectionId": body["detectionId"],
        "sessionId": body["sessionId"],
        "visitId": body["visitId"],
        "visitStart": body["visitStart"],
        "timestamp": body["timestamp"],
        "score": body["frustrationScore"],
        "explanation": body.get("explanation") or "",
        "points": complete_points(body.get("points")),
        "triggeringSignals": complete_signals(body.get("triggeringSignals"), body["timestamp"]),
        "timeline": complete_timeline(body.get("timeline"), body["timestamp"]),
        "endedFlow": bool(body.get("endedFlow")),
        "resolved": bool(body.get("resolved")),
        "context": complete_context(body.get("context")),
    }
