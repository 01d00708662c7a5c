"""Finds what no change of a status shows: incidents that grow, that hit a large share, or that hit one user again and again.

Each finding is written once, as an occasion (stores/incidents/alert_outbox.py). The same search again finds nothing more.
"""

# Statements are put together from constants of this module alone; values are always bound.

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import text

from incidents.alerts import is_growing
from incidents.impact import Share
from stores.incidents.incident_database import Database
from stores.incidents.incident_times import format_utc_time

LEAST_HIT: Final = 5
"""Fewest sessions of 24 hours that the incident hit, for an alert of its share."""
_COUNTS = "d.retracted_at IS NULL AND NOT d.suspect AND NOT d.key_suspect"
_WANTED = """
    unnest(CAST(:projects AS text[]), CAST(:least AS float[]), CAST(:per_source AS integer[])) AS w(project, least, per_source)
"""
# Of each source only so many sessions count as the confirm rule takes.
_LAST_HOUR = text(f"""
    SELECT incident_id, project, generation, created_at, sum(least(sessions, per_source)) AS sessions, per_source FROM (
        SELECT i.incident_id, i.project, i.generation, i.created_at, w.least, w.per_source,
               count(DISTINCT d.visit_id) AS sessions
        FROM {_WANTED} JOIN incidents i USING (project) JOIN detections d USING (incident_id)
        WHERE i.status IN ('confirmed', 'regressed') AND {_COUNTS}
          AND d.received_at > CAST(:now AS timestamptz) - interval '1 hour' AND d.received_at <= :now
          AND NOT EXISTS (SELECT FROM alert_occasions o WHERE o.incident_id = i.incident_id AND o.kind = 'growing'
                              AND o.at > CAST(:now AS timestamptz) - interval '24 hours')
        GROUP BY i.incident_id, w.least, w.per_source, coalesce(d.source, 0)
    ) of_sources GROUP BY incident_id, project, generation, created_at, least, per_source
    HAVING sum(least(sessions, per_source)) >= least ORDER BY incident_id
""")
# Sessions by hour and source of the week before the last hour, capped as above.
_WEEK = text(f"""
    SELECT coalesce(sum(least(sessions, :per_source)), 0) AS sessions FROM (
        SELECT count(DISTINCT d.visit_id) AS sessions FROM detections d
        WHERE d.incident_id = :incident_id AND {_COUNTS} AND d.received_at > :since AND d.received_at <= :until
        GROUP BY coalesce(d.source, 0), floor(extract(epoch FROM CAST(:until AS timestamptz) - d.received_at) / 3600)
    ) of_hours
""")
_OTHERS = text(f"""
    SELECT coalesce(sum(least(of_hours.sessions, :per_source)), 0) AS sessions, count(DISTINCT incident_id) AS incidents FROM (
        SELECT i.incident_id, count(DISTINCT d.visit_id) AS sessions
        FROM incidents i JOIN detections d USING (incident_id)
        WHERE i.project = :project AND i.status IN ('confirmed', 'regressed') AND i.created_at <= :old AND {_COUNTS}
          AND d.received_at > :since AND d.received_at <= :until
        GROUP BY i.incident_id, coalesce(d.source, 0),
                 floor(extract(epoch FROM CAST(:until AS timestamptz) - d.received_at) / 3600)
    ) of_hours
""")
_SHARES = text(f"""
    SELECT i.incident_id, i.generation, w.least, sum(r.reached) AS reached, sum(r.hit) AS hit
    FROM {_WANTED} JOIN incidents i USING (project) JOIN incident_reach r USING (incident_id)
    WHERE i.status IN ('confirmed', 'regressed') AND r.facet = '' AND NOT r.is_day AND r.bucket_ms > :since_ms
      AND NOT EXISTS (SELECT FROM alert_occasions o WHERE (o.incident_id, o.kind, o.occasion)
                          = (i.incident_id, 'share', i.generation::text))
    GROUP BY i.incident_id, i.generation, w.least HAVING sum(r.hit) >= {LEAST_HIT} ORDER BY i.incident_id
""")
# Only users whom something hit lately; then all of their week.
_USERS = text(f"""
    SELECT incident_id, generation, max(sessions) AS sessions FROM (
        SELECT i.incident_id, i.generation, w.least, d.user_hash, count(DISTINCT d.visit_id) AS sessions
        FROM (SELECT DISTINCT l.incident_id, l.user_hash FROM detections l
              WHERE l.received_at > CAST(:now AS timestamptz) - interval '2 hours' AND l.user_hash <> ''
                AND l.retracted_at IS NULL) lately
        JOIN incidents i USING (incident_id) JOIN {_WANTED} USING (project)
        JOIN detections d ON d.incident_id = i.incident_id AND d.user_hash = lately.user_hash AND {_COUNTS}
            AND d.received_at > CAST(:now AS timestamptz) - interval '7 days'
        WHERE i.status IN ('draft', 'confirmed', 'regressed')
        GROUP BY i.incident_id, i.generation, w.least, d.user_hash HAVING count(DISTINCT d.visit_id) >= w.least
    ) of_users GROUP BY incident_id, generation ORDER BY incident_id
""")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('furrow alert search', 0))")
_NOTE = text("""
    INSERT INTO alert_occasions (incident_id, kind, occasion, facts, at)
    VALUES (:incident_id, :kind, :occasion, CAST(:facts AS jsonb), :now) ON CONFLICT DO NOTHING
""")
_DIGEST_COLUMNS = "i.incident_id AS id, i.title, i.severity, i.affected_sessions AS sessions"
_WORST = text(f"""
    SELECT {_DIGEST_COLUMNS}, count(DISTINCT d.visit_id) AS recent FROM incidents i JOIN detections d USING (incident_id)
    WHERE i.project = :project AND i.status IN ('confirmed', 'regressed') AND {_COUNTS}
      AND d.received_at > :since AND d.received_at <= :until
    GROUP BY i.incident_id
    ORDER BY array_position(ARRAY['Critical', 'High', 'Medium', 'Low'], i.severity), recent DESC, i.incident_id LIMIT 5
""")
_PROVEN = text(f"""
    SELECT {_DIGEST_COLUMNS} FROM incidents i JOIN incident_steps s USING (incident_id)
    WHERE i.project = :project AND i.status = 'resolved' AND s.confirmed_at > :since AND s.confirmed_at <= :until
    ORDER BY s.confirmed_at, i.incident_id LIMIT 20
""")
_MOVED = text(f"""
    SELECT {_DIGEST_COLUMNS} FROM incidents i
    WHERE i.project = :project AND EXISTS (
        SELECT FROM incident_history h WHERE h.incident_id = i.incident_id AND h.to_status = :status
            AND h.from_status IS DISTINCT FROM h.to_status AND h.at > :since AND h.at <= :until)
    ORDER BY i.affected_sessions DESC, i.incident_id LIMIT 20
""")
_PROJECTS = text("""
    WITH RECURSIVE names AS (
        SELECT min(project) AS project FROM incidents
        UNION ALL
        SELECT (SELECT min(project) FROM incidents WHERE project > n.project) FROM names n WHERE n.project IS NOT NULL
    )
    SELECT project FROM names WHERE project IS NOT NULL
""")
_WEEK_HOURS = 168
_NEW_HOURS = 24


@dataclass(frozen=True)
class SearchLimits:
    """What one project calls growing, a large share, and often; None: it does not want to know."""

    project: str
    per_source: int
    growth_sessions: int | None
    growth_factor: float
    share_percent: float | None
    user_times: int | None


class AlertSearch:
    """Searches for occasions of alerts, and collects the facts of a digest. Thread-safe; each call is one transaction.

    Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def note_findings(self, limits: Sequence[SearchLimits], now: datetime | None = None) -> int:
        """Search, and write what is new. Returns how many occasions that are. ``now``: for another time than the server's."""
        with self._database.open_transaction() as connection:
            connection.execute(_LOCK)
            at = now or connection.execute(text("SELECT now()")).scalar_one()
            found = [
                *_find_growing(connection, limits, at),
                *_find_shares(connection, limits, at),
                *_find_users(connection, limits, at),
            ]
            return sum(connection.execute(_NOTE, {**values, "now": at}).rowcount for values in found)

    def list_projects(self) -> list[str]:
        """The projects that have incidents."""
        with self._database.open_transaction() as connection:
            return [str(name) for name in connection.execute(_PROJECTS).scalars()]

    def collect_digest(self, project: str, since: datetime, until: datetime) -> dict[str, Any]:
        """The facts of a digest: the five worst, new ones, what was fixed and proven, and what came back."""
        span = {"project": project, "since": since, "until": until}
        with self._database.open_transaction() as connection:
            lists = {
                "worst": connection.execute(_WORST, span),
                "new": connection.execute(_MOVED, {**span, "status": "confirmed"}),
                "back": connection.execute(_MOVED, {**span, "status": "regressed"}),
                "resolved": connection.execute(_MOVED, {**span, "status": "resolved"}),
                "proven": connection.execute(_PROVEN, span),
            }
            named = {name: [dict(row._mapping) for row in rows] for name, rows in lists.items()}
        return {"since": format_utc_time(since), "until": format_utc_time(until), **named}


def _bind_limits(limits: Sequence[SearchLimits], name: str) -> dict[str, list[Any]] | None:
    """The arrays of the projects that want this kind; None if none does."""
    wanted = [
        (limit.project, getattr(limit, name), limit.per_source) for limit in limits if getattr(limit, name) is not None
    ]
    if not wanted:
        return None
    return dict(zip(("projects", "least", "per_source"), map(list, zip(*wanted, strict=True)), strict=True))


def _find_growing(connection: sa.Connection, limits: Sequence[SearchLimits], now: datetime) -> list[Mapping[str, Any]]:
    if (values := _bind_limits(limits, "growth_sessions")) is None:
        return []
    factors = {limit.project: limit.growth_factor for limit in limits}
    found: list[Mapping[str, Any]] = []
    for row in connection.execute(_LAST_HOUR, {**values, "now": now}).all():
        usual = _measure_usual(connection, row, now)
        if is_growing(row.sessions, usual, factors[row.project]):
            facts = {"sessions": int(row.sessions), "usual": round(usual or 0, 1)}
            found.append(_describe_occasion(row.incident_id, "growing", f"{now.astimezone(UTC):%Y-%m-%dT%H}", facts))
    return found


def _measure_usual(connection: sa.Connection, row: "sa.Row[Any]", now: datetime) -> float | None:
    """Sessions that are usual in an hour: of the incident itself, or of its project's others while it is new. None: unknown."""
    until = now - timedelta(hours=1)
    since = until - timedelta(hours=_WEEK_HOURS)
    age: float = (until - row.created_at).total_seconds() / 3600
    span = {"since": since, "until": until, "per_source": row.per_source}
    if age >= _NEW_HOURS:
        own = connection.execute(_WEEK, {**span, "incident_id": row.incident_id}).scalar_one()
        return float(own) / min(age, _WEEK_HOURS)
    old = until - timedelta(hours=_NEW_HOURS)
    others = connection.execute(_OTHERS, {**span, "project": row.project, "old": old}).one()
    if not others.incidents:
        return None
    sessions, incidents = float(others.sessions), int(others.incidents)
    return sessions / (incidents * _WEEK_HOURS)


def _find_shares(connection: sa.Connection, limits: Sequence[SearchLimits], now: datetime) -> list[Mapping[str, Any]]:
    if (values := _bind_limits(limits, "share_percent")) is None:
        return []
    since = int((now - timedelta(hours=24)).timestamp() * 1000)
    found: list[Mapping[str, Any]] = []
    for row in connection.execute(_SHARES, {**values, "since_ms": since}).all():
        share = Share(int(row.reached), int(row.hit))
        low, _ = share.interval
        if low * 100 > row.least:
            facts = {"reached": share.reached, "hit": share.hit, "low": round(low * 100, 1)}
            found.append(_describe_occasion(row.incident_id, "share", str(row.generation), facts))
    return found


def _find_users(connection: sa.Connection, limits: Sequence[SearchLimits], now: datetime) -> list[Mapping[str, Any]]:
    if (values := _bind_limits(limits, "user_times")) is None:
        return []
    return [
        _describe_occasion(row.incident_id, "user", str(row.generation), {"sessions": int(row.sessions)})
        for row in connection.execute(_USERS, {**values, "now": now}).all()
    ]


def _describe_occasion(incident_id: str, kind: str, occasion: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"incident_id": incident_id, "kind": kind, "occasion": occasion, "facts": json.dumps(facts)}
