"""From live detections to an incident's row: recompute, let the rules act, write what changed.

Counts are never counted up; they are recomputed from the live detections under the incident's row lock, so that a
rerun, a replay, a late event and two workers at once all end in the same row (incidents-and-tickets.md).
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text

from stores import lifecycle
from stores.incident_database import clean
from stores.incident_detection import to_json
from stores.incident_model import Json, Rules
from stores.lifecycle import Change, ConfirmRule, Evidence, Sighting, State

# So many different values of a facet are kept; a hostile client could invent app versions for ever.
_FACET_VALUES = 50

_LIVE = """
    SELECT d.* FROM detections d WHERE d.incident_id = ANY(CAST(:ids AS text[])) AND d.retracted_at IS NULL
"""
_TOTALS = text(f"""
    SELECT i.incident_id,
        count(*) AS detections,
        count(DISTINCT d.visit_id) AS affected_sessions,
        count(DISTINCT nullif(d.user_hash, '')) AS affected_users,
        count(DISTINCT d.visit_id) FILTER (WHERE d.ended_flow) AS ended_sessions,
        count(DISTINCT d.visit_id) FILTER (WHERE d.resolved) AS overcome_sessions,
        count(DISTINCT d.visit_id) FILTER (WHERE d.visit_start > i.resolved_at) AS since_fix,
        count(DISTINCT d.visit_id) FILTER (WHERE d.happened_at >= i.suppressed_until) AS since_until,
        min(d.happened_at) AS first_seen, max(d.happened_at) AS last_seen,
        max(d.score) AS highest_score,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY d.score) AS median_score,
        mode() WITHIN GROUP (ORDER BY d.severity_type) AS severity_type
    FROM incidents i JOIN ({_LIVE}) d USING (incident_id)
    GROUP BY i.incident_id
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
# Nearly always each detection of an incident is another session, and counting rows says the same three times as fast.
_FACETS = text(_FACETS_SQL.replace("{sessions}", "count(*)"))
_FACETS_SHARED = text(_FACETS_SQL.replace("{sessions}", "count(DISTINCT visit_id)"))
_BEST = text("""
    SELECT i.id AS incident_id, best.body
    FROM unnest(CAST(:ids AS text[])) AS i(id)
    CROSS JOIN LATERAL (
        SELECT body FROM detections d WHERE d.incident_id = i.id AND d.retracted_at IS NULL
        ORDER BY score DESC, story_length, detection_id LIMIT 1
    ) best
""")
_SIGHTINGS = text("""
    SELECT incident_id, happened_at, visit_id, user_hash
    FROM detections WHERE incident_id = ANY(CAST(:ids AS text[])) AND retracted_at IS NULL
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
    "affected_users": "integer",
    "ended_sessions": "integer",
    "overcome_sessions": "integer",
    "highest_score": "integer",
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


def _list(template: str) -> str:
    return ", ".join(template.format(name=name, type=kind) for name, kind in _COLUMNS.items())


_UPDATE = text(f"""
    UPDATE incidents i SET {_list("{name} = new.{name}")}, updated_at = now()
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new(incident_id text, {_list("{name} {type}")})
    WHERE i.incident_id = new.incident_id AND ({_list("i.{name}")}) IS DISTINCT FROM ({_list("new.{name}")})
""")
_HISTORY = text("""
    INSERT INTO incident_history (incident_id, actor, from_status, to_status, reason)
    VALUES (:incident_id, :actor, :before, :after, :reason)
""")
_DECIDE = text(
    f"UPDATE incidents SET {', '.join(f'{name} = :{name}' for name in _DECIDED)}, updated_at = now() "
    "WHERE incident_id = :incident_id"
)


@dataclass(frozen=True)
class Settled:
    """The incidents that were recomputed, and what the rules did to them."""

    incidents: tuple[str, ...]
    changes: tuple[tuple[str, Change], ...]

    def moved_to(self, status: str) -> tuple[str, ...]:
        """Ids of the incidents that ended up in ``status`` by a rule."""
        return tuple(dict.fromkeys(id_ for id_, change in self.changes if change.after == status != change.before))


def settle(
    connection: sa.Connection,
    before: "Mapping[str, sa.Row[Any]]",
    rules: Rules,
    notes: Sequence[tuple[str, Change]] = (),
    backfill: bool = False,
) -> Settled:
    """Recompute the incidents (locked rows ``before``), let the rules act, write what changed and its history.

    ``backfill``: the evidence is not new, it was looked at anew; it moves no status that somebody decided on.
    """
    ids = sorted(before)
    if not ids:
        return Settled((), ())
    totals = {row.incident_id: row for row in connection.execute(_TOTALS, {"ids": ids})}
    facets = _facets(connection, totals)
    best = {row.incident_id: row.body for row in connection.execute(_BEST, {"ids": ids})}
    sightings = _sightings(connection, before.values())
    updates: list[Json] = []
    changes: list[tuple[str, Change]] = []
    for id_ in ids:
        row, total = before[id_], totals.get(id_)
        evidence = _evidence(total, sightings.get(id_, ()))
        if backfill and row.status != "draft":
            state, moves = _kept(row, evidence)
        else:
            state, moves = lifecycle.settle(state_of(row), evidence, _rule(rules, row.project))
        changes += [(id_, move) for move in moves]
        computed = _computed(total, facets.get(id_, {}), best[id_]) if total else _emptied(row)
        updates.append({"incident_id": id_, **computed, **decided(state)})
    connection.execute(_UPDATE, {"rows": to_json(updates)})
    write_history(connection, [*notes, *changes])
    return Settled(tuple(ids), tuple(changes))


def write_state(connection: sa.Connection, incident_id: str, state: State) -> None:
    """Store what was decided about a locked incident."""
    connection.execute(_DECIDE, {"incident_id": incident_id, **decided(state)})


def write_history(connection: sa.Connection, entries: Sequence[tuple[str, Change]]) -> None:
    """Append to the history of incidents, in the order given."""
    if not entries:
        return
    connection.execute(
        _HISTORY,
        [
            {
                "incident_id": id_,
                "actor": clean(change.actor)[:200],
                "before": change.before,
                "after": change.after,
                "reason": clean(change.reason)[:2000],
            }
            for id_, change in entries
        ],
    )


def state_of(row: "sa.Row[Any]") -> State:
    """The decided part of an incident's row."""
    return State(**{name: row._mapping[name] for name in _DECIDED})


def decided(state: State) -> Json:
    """The columns of ``state``."""
    return {name: getattr(state, name) for name in _DECIDED}


def _kept(row: "sa.Row[Any]", evidence: Evidence) -> tuple[State, list[Change]]:
    """The decision as it was. "Until N more sessions" goes on meaning N more than were known when it was made."""
    state = state_of(row)
    more = evidence.sessions - row.affected_sessions
    if state.suppressed_sessions is None or not more:
        return state, []
    moved = replace(state, suppressed_sessions=state.suppressed_sessions + more)
    reason = (
        f"a backfill changed the affected sessions from {row.affected_sessions} to {evidence.sessions}; "
        f"suppressed until {moved.suppressed_sessions} instead of {state.suppressed_sessions}"
    )
    return moved, [Change(lifecycle.RULE, state.status, state.status, reason)]


def _rule(rules: Rules, project: str) -> ConfirmRule:
    if isinstance(rules, ConfirmRule):
        return rules
    return rules.get(project) or rules.get("") or ConfirmRule()


def _facets(connection: sa.Connection, totals: "Mapping[str, sa.Row[Any]]") -> dict[str, Json]:
    shared = [id_ for id_, total in totals.items() if total.detections != total.affected_sessions]
    alone = [id_ for id_, total in totals.items() if total.detections == total.affected_sessions]
    facets: dict[str, Json] = {}
    for ids, statement in ((alone, _FACETS), (shared, _FACETS_SHARED)):
        for row in connection.execute(statement, {"ids": ids}) if ids else ():
            facets.setdefault(row.incident_id, {})[row.facet] = row.counts
    return facets


def _sightings(connection: sa.Connection, rows: "Iterable[sa.Row[Any]]") -> dict[str, list[Sighting]]:
    drafts = [row.incident_id for row in rows if "draft" in (row.status, row.suppressed_from)]
    found: dict[str, list[Sighting]] = {}
    if drafts:
        for row in connection.execute(_SIGHTINGS, {"ids": drafts}):
            found.setdefault(row.incident_id, []).append(Sighting(row.happened_at, row.visit_id, row.user_hash))
    return found


def _evidence(total: "sa.Row[Any] | None", sightings: Sequence[Sighting]) -> Evidence:
    if total is None:
        return Evidence(0)
    return Evidence(total.affected_sessions, total.since_fix, total.since_until, sightings)


def _computed(total: "sa.Row[Any]", facets: Json, best: Json) -> Json:
    sessions = total.affected_sessions
    impact = lifecycle.impact_of(sessions, total.ended_sessions, total.overcome_sessions)
    severity = lifecycle.severity_of(impact, sessions)
    confidence = round(total.median_score / 100, 2)
    label = str(best.get("context", {}).get("label") or "")
    return {
        **_named(best, label, sessions, impact),
        "severity": severity,
        "severity_type": total.severity_type,
        "priority": lifecycle.priority_of(severity, confidence),
        "first_seen": total.first_seen,
        "last_seen": total.last_seen,
        "affected_sessions": sessions,
        "affected_users": total.affected_users,
        "ended_sessions": total.ended_sessions,
        "overcome_sessions": total.overcome_sessions,
        "highest_score": total.highest_score,
        "median_score": total.median_score,
        "confidence": confidence,
        "facets": facets,
    }


def _named(best: Json, label: str, sessions: int, impact: lifecycle.Impact) -> Json:
    point = best["failurePoint"]
    return {
        "title": _title(point, label, sessions, impact),
        "failure_point": point,
        "primary_failure_point": best.get("primaryFailurePoint") or "",
        "label": label,
        "route": point.get("route") or "",
    }


def _title(point: Json, label: str, sessions: int, impact: lifecycle.Impact) -> str:
    feedback, target, route = (str(point.get(part) or "") for part in ("feedback", "target", "route"))
    return lifecycle.title_of(feedback, target, label, route, sessions, impact)


def _emptied(row: "sa.Row[Any]") -> Json:
    """No live detection is left: nobody is affected, and the rest stays as it was last known."""
    impact = lifecycle.impact_of(row.affected_sessions, row.ended_sessions, row.overcome_sessions)
    kept = {name: row._mapping[name] for name in _COMPUTED}
    none = {"affected_sessions": 0, "affected_users": 0, "ended_sessions": 0, "overcome_sessions": 0}
    return kept | none | {"title": _title(row.failure_point, row.label, 0, impact)}
