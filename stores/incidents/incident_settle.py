"""Recomputes incidents from their live detections, applies the rules, and writes the changes.

The counts come from `incident_counts`, which Postgres keeps up with each change of a detection: they are those of a recount,
read under the lock of the incident's row, so a rerun, a replay, a late event and two workers at once lead to the same row
(docs/contracts/incidents-and-tickets.md, docs/decisions/0128).
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypedDict

import sqlalchemy as sa
from sqlalchemy import text

from incidents import lifecycle
from incidents.lifecycle import ConfirmRule, Evidence, HistoryChange, IncidentState, Sighting
from incidents.model import Rules
from stores.incidents import incident_fixes, incident_open
from stores.incidents.incident_counts import read_counted_figures
from stores.incidents.incident_database import clean_for_postgres
from stores.incidents.incident_detection import encode_json_text
from stores.incidents.incident_figures import Facets, Figures, read_figures
from ufse.detection import Detection, FailurePoint

# The first and last sessions of each source and hour are enough: more of them do not count in any window.
_SIGHTINGS = text("""
    SELECT incident_id, received_at, visit_id, user_hash, source, app_version, after_fix, after_until FROM (
        SELECT d.incident_id, d.received_at, d.visit_id, d.user_hash, coalesce(d.source, 0) AS source, d.app_version,
               f.after_fix, coalesce(d.received_at >= i.suppressed_until, false) AS after_until,
               row_number() OVER (hour ORDER BY d.received_at, d.detection_id) AS place,
               row_number() OVER (hour ORDER BY d.received_at DESC, d.detection_id DESC) AS place_from_end,
               r.per_source
        FROM unnest(CAST(:ids AS text[]), CAST(:per_source AS integer[]), CAST(:since AS timestamptz[]),
                    CAST(:showing AS text[])) AS r(id, per_source, since, showing)
        JOIN incidents i ON i.incident_id = r.id
        JOIN detections d ON d.incident_id = i.incident_id AND d.retracted_at IS NULL AND d.received_at >= r.since
            AND NOT d.suspect AND NOT d.key_suspect
        CROSS JOIN LATERAL (SELECT coalesce(
            d.visit_start > i.resolved_at AND d.received_at > i.resolved_at
            AND (r.showing IS NULL OR CAST(r.showing AS jsonb) ? (d.environment || E'\x1f' || d.app_version)), false
            ) AS after_fix) f
        WHERE i.status = 'draft' OR i.suppressed_from = 'draft' OR d.received_at > i.resolved_at
           OR d.received_at >= i.suppressed_until
        WINDOW hour AS (PARTITION BY d.incident_id, d.source, date_trunc('hour', d.received_at), f.after_fix)
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
_EVER = datetime.min.replace(tzinfo=UTC)
_COUNTS = ("affected_sessions", "counted_sessions", "affected_users", "ended_sessions", "overcome_sessions")
"""Counts of complete sessions alone."""
_OPEN = {
    "open_sessions": "integer",
    "only_open": "boolean",
    "opened_at": "timestamptz",
    "alerted_at": "timestamptz",
    "withdrawn_at": "timestamptz",
}
_DECIDED = {
    "status": "text",
    "resolved_at": "timestamptz",
    "suppressed_from": "text",
    "suppressed_until": "timestamptz",
    "suppressed_sessions": "integer",
    "generation": "integer",
    "fix_version": "text",
    "fix_environment": "text",
    "fix_next": "boolean",
}
_COLUMNS = _COMPUTED | _OPEN | _DECIDED


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
    facets: Facets


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
    caps: dict[str, list[Any]] = {
        "ids": ids,
        "per_source": [find_confirm_rule(rules, before[id_].project).per_source for id_ in ids],
    }
    known = _read_evidence(connection, caps, before)
    updates: list[dict[str, object]] = []
    changes: list[tuple[str, HistoryChange]] = []
    for id_ in ids:
        row, rule = before[id_], find_confirm_rule(rules, before[id_].project)
        evidence = _build_evidence(known.complete.totals.get(id_), known.sightings.get(id_, []))
        if backfill and row.status != "draft":
            state, moves = _keep_decided_state(row, evidence)
        else:
            state, moves = lifecycle.apply_rules(build_incident_state(row), evidence, rule)
        draft, notices = _settle_open_draft(row, state.status, rule, known)
        changes += [(id_, move) for move in [*moves, *notices]]
        computed = _compute_incident_columns(row, known)
        updates.append({"incident_id": id_, **computed, **draft, **build_state_columns(state)})
    connection.execute(_UPDATE, {"rows": encode_json_text(updates)})
    write_incident_history(connection, [*notes, *changes])
    return SettleResult(tuple(ids), tuple(changes))


@dataclass(frozen=True)
class _KnownEvidence:
    """What is known of the incidents at ``now``: the figures of complete sessions, those of open ones where there are no
    complete ones, the numbers of open sessions, and the sightings."""

    now: datetime
    complete: Figures
    open: Figures
    open_counts: Mapping[str, incident_open.OpenCount]
    sightings: "Mapping[str, list[_TimedSighting]]"


def _read_evidence(
    connection: sa.Connection, caps: Mapping[str, list[Any]], before: "Mapping[str, sa.Row[Any]]"
) -> _KnownEvidence:
    complete = read_counted_figures(connection, caps)
    counts = incident_open.count_open_sessions(connection, caps)
    limits = dict(zip(caps["ids"], caps["per_source"], strict=True))
    alone = [id_ for id_ in caps["ids"] if id_ in counts and id_ not in complete.totals]
    of_open = {"ids": alone, "per_source": [limits[id_] for id_ in alone]}
    return _KnownEvidence(
        now=connection.execute(text("SELECT now()")).scalar_one(),
        complete=complete,
        open=read_figures(connection, of_open, "open_detections"),
        open_counts=counts,
        sightings=_read_sightings(connection, caps, before),
    )


def _settle_open_draft(
    row: "sa.Row[Any]", status: lifecycle.Status, rule: ConfirmRule, known: _KnownEvidence
) -> tuple[dict[str, object], list[HistoryChange]]:
    """The columns about open sessions, and the history of what changes in them."""
    count = known.open_counts.get(row.incident_id, incident_open.OpenCount(0, 0))
    before = lifecycle.OpenDraft(row.only_open, row.opened_at is not None, row.withdrawn_at is not None)
    complete = row.incident_id in known.complete.totals
    after, changes = lifecycle.judge_open_draft(
        before, status, rule, complete=complete, sessions=count.sessions, counted=count.counted
    )
    columns: dict[str, object] = {
        "open_sessions": count.sessions,
        "only_open": after.only_open,
        "opened_at": (row.opened_at or known.now) if after.opened else None,
        "alerted_at": row.alerted_at if after.opened else None,
        "withdrawn_at": (row.withdrawn_at or known.now) if after.withdrawn else None,
    }
    return columns, changes


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
    """The confirm rule of ``project``: its own, else that of all other projects (``''``), else the default."""
    if isinstance(rules, ConfirmRule):
        return rules
    return rules.get(project) or rules.get("") or ConfirmRule()


class _TimedSighting(NamedTuple):
    """A sighting, and whether it counts after the fix or after the end of a suppression."""

    sighting: Sighting
    after_fix: bool
    after_until: bool
    version: str


def _read_sightings(
    connection: sa.Connection, caps: Mapping[str, list[Any]], before: "Mapping[str, sa.Row[Any]]"
) -> dict[str, list[_TimedSighting]]:
    """The sightings by which a rule may move these incidents. Of most there are none: nothing waits to be confirmed."""
    wanted = [
        (id_, most, since)
        for id_, most in zip(caps["ids"], caps["per_source"], strict=True)
        if (since := _find_first_receipt(before[id_])) is not None
    ]
    if not wanted:
        return {}
    showing = incident_fixes.find_showing_versions(connection, [before[id_] for id_, _, _ in wanted])
    values: dict[str, object] = {
        **dict(zip(("ids", "per_source", "since"), map(list, zip(*wanted, strict=True)), strict=True)),
        "showing": [incident_fixes.encode_versions(showing.get(id_)) for id_, _, _ in wanted],
    }
    found: dict[str, list[_TimedSighting]] = {}
    for row in connection.execute(_SIGHTINGS, values):
        sighting = Sighting(row.received_at, row.visit_id, row.user_hash, row.source)
        found.setdefault(row.incident_id, []).append(
            _TimedSighting(sighting, row.after_fix, row.after_until, row.app_version)
        )
    return found


def _find_first_receipt(row: "sa.Row[Any]") -> datetime | None:
    """Detections that were received before this time move the incident by no rule; None: none of them does."""
    if "draft" in (row.status, row.suppressed_from):
        return _EVER
    return min((at for at in (row.resolved_at, row.suppressed_until) if at is not None), default=None)


def _build_evidence(total: "sa.Row[Any] | None", seen: Sequence[_TimedSighting]) -> Evidence:
    if total is None:
        return Evidence(0)
    return Evidence(
        int(total.counted_sessions),
        since_fix=[timed.sighting for timed in seen if timed.after_fix],
        since_until=[timed.sighting for timed in seen if timed.after_until],
        sightings=[timed.sighting for timed in seen],
        fix_versions=[timed.version for timed in seen if timed.after_fix],
    )


def _compute_incident_columns(row: "sa.Row[Any]", known: _KnownEvidence) -> dict[str, object]:
    """The computed columns: of the complete sessions, else of the open ones, else without any."""
    id_ = row.incident_id
    if id_ in known.complete.totals:
        return {**_compute_columns(known.complete, id_)}
    if id_ in known.open.totals:
        return {**_compute_columns(known.open, id_, still_open=True), **dict.fromkeys(_COUNTS, 0)}
    return _build_empty_columns(row)


def _compute_columns(figures: Figures, incident_id: str, still_open: bool = False) -> _ComputedColumns:
    total, best = figures.totals[incident_id], figures.best[incident_id]
    sessions = total.affected_sessions
    impact = lifecycle.classify_impact(total.sources, total.ended_sources, total.overcome_sources)
    severity = lifecycle.look_up_severity(impact, sessions)
    confidence = round(total.median_score / 100, 2)
    label = str(best.get("context", {}).get("label") or "")
    return {
        **_describe_failure(best, label, sessions, impact, still_open),
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
        "shared_score": figures.shared_scores[incident_id],
        "median_score": total.median_score,
        "confidence": confidence,
        "facets": figures.facets.get(incident_id, {}),
    }


def _describe_failure(
    best: Detection, label: str, sessions: int, impact: lifecycle.Impact, still_open: bool
) -> _FailureColumns:
    point = best["failurePoint"]
    return {
        "title": _build_title(point, label, sessions, impact, still_open),
        "failure_point": point,
        "primary_failure_point": best.get("primaryFailurePoint") or "",
        "label": label,
        "route": point.get("route") or "",
    }


def _build_title(
    point: FailurePoint, label: str, sessions: int, impact: lifecycle.Impact, still_open: bool = False
) -> str:
    feedback, target, route = (str(point.get(part) or "") for part in ("feedback", "target", "route"))
    return lifecycle.format_incident_title(feedback, target, label, route, sessions, impact, still_open)


def _build_empty_columns(row: "sa.Row[Any]") -> dict[str, object]:
    """The columns without a live detection: nobody is affected, and the other columns stay."""
    impact = lifecycle.classify_impact(row.affected_sessions, row.ended_sessions, row.overcome_sessions)
    kept = {name: row._mapping[name] for name in _COMPUTED}
    return kept | dict.fromkeys(_COUNTS, 0) | {"title": _build_title(row.failure_point, row.label, 0, impact)}
