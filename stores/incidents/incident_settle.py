"""Recomputes incidents from their live detections, applies the rules, and writes the changes.

Counts are never incremented: they are recomputed under the lock of the incident's row, so a rerun, a replay, a late event and
two workers at once lead to the same row (docs/contracts/incidents-and-tickets.md).
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

import sqlalchemy as sa
from sqlalchemy import text

from incidents import lifecycle
from incidents.lifecycle import ConfirmRule, Evidence, HistoryChange, IncidentState, Sighting
from incidents.model import Rules
from stores.incidents.incident_database import clean_for_postgres
from stores.incidents.incident_detection import encode_json_text
from ufse.detection import Detection, FailurePoint

# Maximum values of a facet: a hostile client could invent app versions without end.
_FACET_VALUES = 50

_LIVE = """
    SELECT d.* FROM detections d WHERE d.incident_id = ANY(CAST(:ids AS text[])) AND d.retracted_at IS NULL
"""
# Title, label and impact are decided by a vote: each source has one vote, however many sessions it sends; unknown sources share
# one vote.
_TOTALS = text(f"""
    WITH live AS MATERIALIZED (
        SELECT d.incident_id, coalesce(d.source, 0) AS source, d.visit_id, d.user_hash, d.ended_flow, d.resolved,
               d.happened_at, d.score, d.severity_type
        FROM ({_LIVE}) d
    ), sources AS (
        SELECT incident_id, source, count(DISTINCT visit_id) AS sessions, max(score) AS best,
               count(DISTINCT visit_id) FILTER (WHERE ended_flow) AS ended,
               count(DISTINCT visit_id) FILTER (WHERE resolved) AS overcome
        FROM live GROUP BY incident_id, source
    ), voices AS (
        SELECT s.incident_id, count(*) AS sources, sum(least(s.sessions, r.per_source)) AS counted_sessions,
               count(*) FILTER (WHERE s.ended * 2 >= s.sessions) AS ended_sources,
               count(*) FILTER (WHERE s.overcome * 2 >= s.sessions) AS overcome_sources,
               coalesce((array_agg(s.best ORDER BY s.best DESC))[2], max(s.best)) AS shared_score
        FROM sources s JOIN unnest(CAST(:ids AS text[]), CAST(:per_source AS integer[])) AS r(incident_id, per_source)
             USING (incident_id)
        GROUP BY s.incident_id
    ), figures AS (
        SELECT incident_id,
            count(*) AS detections,
            count(DISTINCT visit_id) AS affected_sessions,
            count(DISTINCT nullif(user_hash, '')) AS affected_users,
            count(DISTINCT visit_id) FILTER (WHERE ended_flow) AS ended_sessions,
            count(DISTINCT visit_id) FILTER (WHERE resolved) AS overcome_sessions,
            min(happened_at) AS first_seen, max(happened_at) AS last_seen,
            max(score) AS highest_score,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY score) AS median_score,
            mode() WITHIN GROUP (ORDER BY severity_type) AS severity_type
        FROM live GROUP BY incident_id
    )
    SELECT * FROM figures JOIN voices USING (incident_id)
""")
_FACETS_SQL = f"""
    WITH live AS MATERIALIZED (
        SELECT d.incident_id, d.visit_id, d.environment, d.app_version, d.browser, d.signals, d.routes FROM ({_LIVE}) d
    ), counted AS (
        SELECT incident_id, 'signals' AS facet, value, {{sessions}} AS sessions
        FROM live, unnest(signals) value GROUP BY incident_id, value
        UNION ALL
        SELECT incident_id, 'routes', value, {{sessions}}
        FROM live, unnest(routes) value GROUP BY incident_id, value
        UNION ALL
        SELECT incident_id, 'environments', environment, {{sessions}}
        FROM live WHERE environment <> '' GROUP BY incident_id, environment
        UNION ALL
        SELECT incident_id, 'appVersions', app_version, {{sessions}}
        FROM live WHERE app_version <> '' GROUP BY incident_id, app_version
        UNION ALL
        SELECT incident_id, 'browsers', browser, {{sessions}}
        FROM live WHERE browser <> '' GROUP BY incident_id, browser
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY incident_id, facet ORDER BY sessions DESC, value COLLATE "C") AS place
        FROM counted
    )
    SELECT incident_id, facet, jsonb_object_agg(value, sessions) AS counts
    FROM ranked WHERE place <= {_FACET_VALUES} GROUP BY incident_id, facet
"""
# Usually each detection of an incident is of another session; then counting rows gives the same, three times as fast.
_FACETS = text(_FACETS_SQL.replace("{sessions}", "count(*)"))
_FACETS_SHARED = text(_FACETS_SQL.replace("{sessions}", "count(DISTINCT visit_id)"))
# The label of most sources; the older one of equals.
_ELECTED = text(f"""
    SELECT DISTINCT ON (incident_id) incident_id, label FROM (
        SELECT d.incident_id, d.label, count(DISTINCT coalesce(d.source, 0)) AS sources, min(d.created_at) AS since,
               count(*) AS detections
        FROM ({_LIVE}) d GROUP BY d.incident_id, d.label
    ) votes
    ORDER BY incident_id, sources DESC, since, detections DESC, label COLLATE "C"
""")
_BEST = text("""
    SELECT i.id AS incident_id, best.body
    FROM unnest(CAST(:ids AS text[]), CAST(:labels AS text[]), CAST(:scores AS integer[])) AS i(id, label, score)
    CROSS JOIN LATERAL (
        SELECT body FROM detections d WHERE d.incident_id = i.id AND d.retracted_at IS NULL AND d.label = i.label
        ORDER BY d.score <= i.score DESC, d.score DESC, d.story_length, d.detection_id LIMIT 1
    ) best
""")
# The first and last sessions of each source and hour are enough: more of them do not count in any window.
_SIGHTINGS = text("""
    SELECT incident_id, received_at, visit_id, user_hash, source, after_fix, after_until FROM (
        SELECT d.incident_id, d.received_at, d.visit_id, d.user_hash, coalesce(d.source, 0) AS source,
               coalesce(d.visit_start > i.resolved_at AND d.received_at > i.resolved_at, false) AS after_fix,
               coalesce(d.received_at >= i.suppressed_until, false) AS after_until,
               row_number() OVER (hour ORDER BY d.received_at, d.detection_id) AS place,
               row_number() OVER (hour ORDER BY d.received_at DESC, d.detection_id DESC) AS place_from_end,
               r.per_source
        FROM unnest(CAST(:ids AS text[]), CAST(:per_source AS integer[])) AS r(id, per_source)
        JOIN incidents i ON i.incident_id = r.id
        JOIN detections d ON d.incident_id = i.incident_id AND d.retracted_at IS NULL AND d.received_at IS NOT NULL
        WHERE i.status = 'draft' OR i.suppressed_from = 'draft' OR d.received_at > i.resolved_at
           OR d.received_at >= i.suppressed_until
        WINDOW hour AS (PARTITION BY d.incident_id, d.source, date_trunc('hour', d.received_at),
                        d.visit_start > i.resolved_at AND d.received_at > i.resolved_at)
    ) seen
    WHERE place <= per_source OR place_from_end <= per_source
""")
_COMPUTED = {
    "title": "text",
    "failure_point": "jsonb",
    "primary_failure_point": "text",
    "label": "text",
    "route": "text",
    "severity": "text",
    "severity_type": "text",
    "priority": "text",
    "first_seen": "timestamptz",
    "last_seen": "timestamptz",
    "affected_sessions": "integer",
    "counted_sessions": "integer",
    "affected_users": "integer",
    "ended_sessions": "integer",
    "overcome_sessions": "integer",
    "highest_score": "integer",
    "shared_score": "integer",
    "median_score": "double precision",
    "confidence": "double precision",
    "facets": "jsonb",
}
_DECIDED = {
    "status": "text",
    "resolved_at": "timestamptz",
    "suppressed_from": "text",
    "suppressed_until": "timestamptz",
    "suppressed_sessions": "integer",
    "generation": "integer",
}
_COLUMNS = _COMPUTED | _DECIDED


def _join_columns(template: str) -> str:
    return ", ".join(template.format(name=name, type=kind) for name, kind in _COLUMNS.items())


_UPDATE = text(f"""
    UPDATE incidents i SET {_join_columns("{name} = new.{name}")}, updated_at = now()
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new(incident_id text, {_join_columns("{name} {type}")})
    WHERE i.incident_id = new.incident_id AND ({_join_columns("i.{name}")}) IS DISTINCT FROM ({_join_columns("new.{name}")})
""")
_HISTORY = text("""
    INSERT INTO incident_history (incident_id, actor, from_status, to_status, reason)
    VALUES (:incident_id, :actor, :before, :after, :reason)
""")
_DECIDE = text(
    f"UPDATE incidents SET {', '.join(f'{name} = :{name}' for name in _DECIDED)}, updated_at = now() "
    "WHERE incident_id = :incident_id"
)


_Facets = dict[str, dict[str, int]]
"""Sessions by facet and value."""


class _FailureColumns(TypedDict):
    """The columns that come from the representative detection."""

    title: str
    failure_point: FailurePoint
    primary_failure_point: str
    label: str
    route: str


class _ComputedColumns(_FailureColumns):
    """The columns that are computed from the live detections."""

    severity: lifecycle.Severity
    severity_type: str
    priority: str
    first_seen: datetime
    last_seen: datetime
    affected_sessions: int
    counted_sessions: int
    affected_users: int
    ended_sessions: int
    overcome_sessions: int
    highest_score: int
    shared_score: int
    median_score: float
    confidence: float
    facets: _Facets


@dataclass(frozen=True)
class SettleResult:
    """The recomputed incidents, and the changes of the rules."""

    incidents: tuple[str, ...]
    changes: tuple[tuple[str, HistoryChange], ...]

    def find_incidents_moved_to(self, status: str) -> tuple[str, ...]:
        """Ids of the incidents that a rule moved to ``status``."""
        return tuple(dict.fromkeys(id_ for id_, change in self.changes if change.after == status != change.before))


def settle_incidents(
    connection: sa.Connection,
    before: "Mapping[str, sa.Row[Any]]",
    rules: Rules,
    notes: Sequence[tuple[str, HistoryChange]] = (),
    backfill: bool = False,
) -> SettleResult:
    """Recompute the incidents (locked rows ``before``), apply the rules, and write the changes and their history.

    ``backfill``: the evidence is not new, so only drafts change their status.
    """
    ids = sorted(before)
    if not ids:
        return SettleResult((), ())
    caps = {"ids": ids, "per_source": [find_confirm_rule(rules, before[id_].project).per_source for id_ in ids]}
    totals = {row.incident_id: row for row in connection.execute(_TOTALS, caps)}
    facets = _read_facets(connection, totals)
    best = _read_best_detections(connection, totals)
    sightings = _read_sightings(connection, caps)
    updates: list[dict[str, object]] = []
    changes: list[tuple[str, HistoryChange]] = []
    for id_ in ids:
        row, total = before[id_], totals.get(id_)
        evidence = _build_evidence(total, sightings.get(id_, []))
        if backfill and row.status != "draft":
            state, moves = _keep_decided_state(row, evidence)
        else:
            state, moves = lifecycle.apply_rules(
                build_incident_state(row), evidence, find_confirm_rule(rules, row.project)
            )
        changes += [(id_, move) for move in moves]
        computed = _compute_columns(total, facets.get(id_, {}), best[id_]) if total else _build_empty_columns(row)
        updates.append({"incident_id": id_, **computed, **build_state_columns(state)})
    connection.execute(_UPDATE, {"rows": encode_json_text(updates)})
    write_incident_history(connection, [*notes, *changes])
    return SettleResult(tuple(ids), tuple(changes))


def write_incident_state(connection: sa.Connection, incident_id: str, state: IncidentState) -> None:
    """Store the decided columns of a locked incident."""
    connection.execute(_DECIDE, {"incident_id": incident_id, **build_state_columns(state)})


def write_incident_history(connection: sa.Connection, entries: Sequence[tuple[str, HistoryChange]]) -> None:
    """Append to the history of incidents, in this order."""
    if not entries:
        return
    connection.execute(
        _HISTORY,
        [
            {
                "incident_id": id_,
                "actor": clean_for_postgres(change.actor)[:200],
                "before": change.before,
                "after": change.after,
                "reason": clean_for_postgres(change.reason)[:2000],
            }
            for id_, change in entries
        ],
    )


def build_incident_state(row: "sa.Row[Any]") -> IncidentState:
    """The decided part of an incident's row."""
    return IncidentState(**{name: row._mapping[name] for name in _DECIDED})


def build_state_columns(state: IncidentState) -> dict[str, object]:
    """The columns of ``state``."""
    return {name: getattr(state, name) for name in _DECIDED}


def _keep_decided_state(row: "sa.Row[Any]", evidence: Evidence) -> tuple[IncidentState, list[HistoryChange]]:
    """The unchanged decision. "Until N more sessions" still means N more than were known at that time."""
    state = build_incident_state(row)
    more = evidence.sessions - row.counted_sessions
    if state.suppressed_sessions is None or not more:
        return state, []
    moved = replace(state, suppressed_sessions=state.suppressed_sessions + more)
    reason = (
        f"a backfill changed the affected sessions from {row.counted_sessions} to {evidence.sessions}; "
        f"suppressed until {moved.suppressed_sessions} instead of {state.suppressed_sessions}"
    )
    return moved, [HistoryChange(lifecycle.RULE, state.status, state.status, reason)]


def find_confirm_rule(rules: Rules, project: str) -> ConfirmRule:
    """The rule of ``project``."""
    if isinstance(rules, ConfirmRule):
        return rules
    return rules.get(project) or rules.get("") or ConfirmRule()


def _read_facets(connection: sa.Connection, totals: "Mapping[str, sa.Row[Any]]") -> dict[str, _Facets]:
    shared = [id_ for id_, total in totals.items() if total.detections != total.affected_sessions]
    alone = [id_ for id_, total in totals.items() if total.detections == total.affected_sessions]
    facets: dict[str, _Facets] = {}
    for ids, statement in ((alone, _FACETS), (shared, _FACETS_SHARED)):
        for row in connection.execute(statement, {"ids": ids}) if ids else ():
            facets.setdefault(row.incident_id, {})[row.facet] = row.counts
    return facets


class _TimedSighting(NamedTuple):
    """A sighting, and whether it counts after the fix or after the end of a suppression."""

    sighting: Sighting
    after_fix: bool
    after_until: bool


def _read_sightings(connection: sa.Connection, caps: Mapping[str, object]) -> dict[str, list[_TimedSighting]]:
    found: dict[str, list[_TimedSighting]] = {}
    for row in connection.execute(_SIGHTINGS, caps):
        sighting = Sighting(row.received_at, row.visit_id, row.user_hash, row.source)
        found.setdefault(row.incident_id, []).append(_TimedSighting(sighting, row.after_fix, row.after_until))
    return found


def _build_evidence(total: "sa.Row[Any] | None", seen: Sequence[_TimedSighting]) -> Evidence:
    if total is None:
        return Evidence(0)
    return Evidence(
        int(total.counted_sessions),
        since_fix=[timed.sighting for timed in seen if timed.after_fix],
        since_until=[timed.sighting for timed in seen if timed.after_until],
        sightings=[timed.sighting for timed in seen],
    )


def _read_best_detections(connection: sa.Connection, totals: "Mapping[str, sa.Row[Any]]") -> dict[str, Detection]:
    """The representative detection of each incident: of the elected label, if possible with a score that two sources reach."""
    if not totals:
        return {}
    elected = {row.incident_id: row.label for row in connection.execute(_ELECTED, {"ids": list(totals)})}
    values = {
        "ids": list(elected),
        "labels": list(elected.values()),
        "scores": [totals[id_].shared_score for id_ in elected],
    }
    return {row.incident_id: row.body for row in connection.execute(_BEST, values)}


def _compute_columns(total: "sa.Row[Any]", facets: _Facets, best: Detection) -> _ComputedColumns:
    sessions = total.affected_sessions
    impact = lifecycle.classify_impact(total.sources, total.ended_sources, total.overcome_sources)
    severity = lifecycle.look_up_severity(impact, sessions)
    confidence = round(total.median_score / 100, 2)
    label = str(best.get("context", {}).get("label") or "")
    return {
        **_describe_failure(best, label, sessions, impact),
        "severity": severity,
        "severity_type": total.severity_type,
        "priority": lifecycle.look_up_priority(severity, confidence),
        "first_seen": total.first_seen,
        "last_seen": total.last_seen,
        "affected_sessions": sessions,
        "counted_sessions": int(total.counted_sessions),
        "affected_users": total.affected_users,
        "ended_sessions": total.ended_sessions,
        "overcome_sessions": total.overcome_sessions,
        "highest_score": total.highest_score,
        "shared_score": total.shared_score,
        "median_score": total.median_score,
        "confidence": confidence,
        "facets": facets,
    }


def _describe_failure(best: Detection, label: str, sessions: int, impact: lifecycle.Impact) -> _FailureColumns:
    point = best["failurePoint"]
    return {
        "title": _build_title(point, label, sessions, impact),
        "failure_point": point,
        "primary_failure_point": best.get("primaryFailurePoint") or "",
        "label": label,
        "route": point.get("route") or "",
    }


def _build_title(point: FailurePoint, label: str, sessions: int, impact: lifecycle.Impact) -> str:
    feedback, target, route = (str(point.get(part) or "") for part in ("feedback", "target", "route"))
    return lifecycle.format_incident_title(feedback, target, label, route, sessions, impact)


def _build_empty_columns(row: "sa.Row[Any]") -> dict[str, object]:
    """The columns without a live detection: nobody is affected, and the other columns stay."""
    impact = lifecycle.classify_impact(row.affected_sessions, row.ended_sessions, row.overcome_sessions)
    kept = {name: row._mapping[name] for name in _COMPUTED}
    counts = ("affected_sessions", "counted_sessions", "affected_users", "ended_sessions", "overcome_sessions")
    none = dict.fromkeys(counts, 0)
    return kept | none | {"title": _build_title(row.failure_point, row.label, 0, impact)}
