"""The figures of incidents: totals, facets and the representative detection of those that are live, counted anew.

Of sessions that go on (the table ``open_detections``), and of complete ones (``detections``) where `incident_counts`, which
keeps its counts up, is compared with a recount.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import text

from ufse.detection import Detection

Facets = dict[str, dict[str, int]]
"""Sessions by facet and value."""
Table = Literal["detections", "open_detections"]

# Maximum values of a facet: a hostile client could invent app versions without end.
FACET_VALUES = 50

_LIVE = """
    SELECT d.* FROM {table} d WHERE d.incident_id = ANY(CAST(:ids AS text[])) AND d.retracted_at IS NULL
"""
# Title, label and impact are decided by a vote: each source has one vote, however many sessions it sends; unknown sources share
# one vote.
_TOTALS = f"""
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
"""
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
    FROM ranked WHERE place <= {FACET_VALUES} GROUP BY incident_id, facet
"""
# Usually each detection of an incident is of another session; then counting rows gives the same, three times as fast.
_FACETS = _FACETS_SQL.replace("{sessions}", "count(*)")
_FACETS_SHARED = _FACETS_SQL.replace("{sessions}", "count(DISTINCT visit_id)")
# The label of most sources; the older one of equals.
_ELECTED = f"""
    SELECT DISTINCT ON (incident_id) incident_id, label FROM (
        SELECT d.incident_id, d.label, count(DISTINCT coalesce(d.source, 0)) AS sources, min(d.created_at) AS since,
               count(*) AS detections
        FROM ({_LIVE}) d GROUP BY d.incident_id, d.label
    ) votes
    ORDER BY incident_id, sources DESC, since, detections DESC, label COLLATE "C"
"""
_BEST = """
    SELECT i.id AS incident_id, best.body
    FROM unnest(CAST(:ids AS text[]), CAST(:labels AS text[]), CAST(:scores AS integer[])) AS i(id, label, score)
    CROSS JOIN LATERAL (
        SELECT body FROM {table} d WHERE d.incident_id = i.id AND d.retracted_at IS NULL AND d.label = i.label
        ORDER BY d.score <= i.score DESC, d.score DESC, d.story_length, d.detection_id LIMIT 1
    ) best
"""


class _Statements:
    """The statements above for one table."""

    def __init__(self, table: Table) -> None:
        self.totals, self.facets, self.facets_shared, self.elected, self.best = (
            text(sql.replace("{table}", table)) for sql in (_TOTALS, _FACETS, _FACETS_SHARED, _ELECTED, _BEST)
        )


_STATEMENTS: dict[Table, _Statements] = {
    "detections": _Statements("detections"),
    "open_detections": _Statements("open_detections"),
}


@dataclass(frozen=True)
class Figures:
    """By incident id: the totals of its live detections, their facets, the representative one, and the highest score that two
    sources reach (of one source alone: its highest). Without any: no entry."""

    totals: "Mapping[str, sa.Row[Any]]"
    facets: Mapping[str, Facets]
    best: Mapping[str, Detection]
    shared_scores: Mapping[str, int]


def read_figures(connection: sa.Connection, caps: Mapping[str, object], table: Table = "detections") -> Figures:
    """The figures of the incidents ``caps["ids"]``; ``caps["per_source"]``: sessions of one source that count for each."""
    statements = _STATEMENTS[table]
    totals = {row.incident_id: row for row in connection.execute(statements.totals, caps)} if caps["ids"] else {}
    return Figures(
        totals,
        _read_facets(connection, totals, statements),
        _read_best(connection, totals, statements),
        {id_: total.shared_score for id_, total in totals.items()},
    )


def read_elected_labels(connection: sa.Connection, ids: Sequence[str], table: Table = "detections") -> dict[str, str]:
    """The label of most sources of each of these incidents; of equals, the older one."""
    rows = connection.execute(_STATEMENTS[table].elected, {"ids": list(ids)})
    return {row.incident_id: row.label for row in rows}


def _read_facets(
    connection: sa.Connection, totals: "Mapping[str, sa.Row[Any]]", statements: _Statements
) -> dict[str, Facets]:
    shared = [id_ for id_, total in totals.items() if total.detections != total.affected_sessions]
    alone = [id_ for id_, total in totals.items() if total.detections == total.affected_sessions]
    facets: dict[str, Facets] = {}
    for ids, statement in ((alone, statements.facets), (shared, statements.facets_shared)):
        for row in connection.execute(statement, {"ids": ids}) if ids else ():
            facets.setdefault(row.incident_id, {})[row.facet] = row.counts
    return facets


def _read_best(
    connection: sa.Connection, totals: "Mapping[str, sa.Row[Any]]", statements: _Statements
) -> dict[str, Detection]:
    """The representative detection of each incident: of the elected label, if possible with a score that two sources reach."""
    if not totals:
        return {}
    elected = {row.incident_id: row.label for row in connection.execute(statements.elected, {"ids": list(totals)})}
    values = {
        "ids": list(elected),
        "labels": list(elected.values()),
        "scores": [totals[id_].shared_score for id_ in elected],
    }
    return {row.incident_id: row.body for row in connection.execute(statements.best, values)}
