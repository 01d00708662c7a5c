"""The figures of incidents from the counts that Postgres keeps up (``incident_counts``; docs/decisions/0128).

They are those of `incident_figures`, and their cost does not depend on how many sessions an incident has. Exceptions: labels
with equally many sources are compared by their detections, and the scores of an incident that one source alone shows are walked
through (there are at most 101).
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import text

from stores.incidents.incident_figures import FACET_VALUES, Facets, Figures, read_elected_labels
from ufse.detection import Detection

_FACETS: Final = "ARRAY['signals', 'routes', 'environments', 'appVersions', 'browsers']"

# The middle one of the scores, or the mean of the two middle ones, as percentile_cont(0.5).
_TOTALS = text("""
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:per_source AS integer[])) AS r(incident_id, per_source)
    ), counted AS (
        SELECT c.incident_id, c.kind, c.value, c.number, w.per_source
        FROM wanted w JOIN incident_counts c ON c.incident_id = w.incident_id
            AND c.kind IN ('detections', 'sessions', 'ended', 'overcome', 'users', 'sources', 'severity', 'score')
    ), numbers AS (
        SELECT incident_id,
            coalesce(max(number) FILTER (WHERE kind = 'detections'), 0) AS detections,
            coalesce(max(number) FILTER (WHERE kind = 'sessions'), 0) AS affected_sessions,
            coalesce(max(number) FILTER (WHERE kind = 'ended'), 0) AS ended_sessions,
            coalesce(max(number) FILTER (WHERE kind = 'overcome'), 0) AS overcome_sessions,
            coalesce(max(number) FILTER (WHERE kind = 'users'), 0) AS affected_users
        FROM counted WHERE kind IN ('detections', 'sessions', 'ended', 'overcome', 'users') GROUP BY incident_id
    ), sources AS (
        SELECT incident_id, sum(number) AS sources,
            sum(number * least(CAST(split_part(value, '/', 1) AS integer), per_source)) AS counted_sessions,
            coalesce(sum(number) FILTER (WHERE split_part(value, '/', 2) = '1'), 0) AS ended_sources,
            coalesce(sum(number) FILTER (WHERE split_part(value, '/', 3) = '1'), 0) AS overcome_sources
        FROM counted WHERE kind = 'sources' GROUP BY incident_id
    ), kinds AS (
        SELECT DISTINCT ON (incident_id) incident_id, value COLLATE "default" AS severity_type
        FROM counted WHERE kind = 'severity' ORDER BY incident_id, number DESC, value COLLATE "default"
    ), scores AS (
        SELECT incident_id, max(score) AS highest_score,
            (min(score) FILTER (WHERE upto > (whole - 1) / 2) + min(score) FILTER (WHERE upto > whole / 2))
                / CAST(2 AS double precision) AS median_score
        FROM (
            SELECT incident_id, CAST(value AS integer) AS score,
                sum(number) OVER (PARTITION BY incident_id ORDER BY CAST(value AS integer))::bigint AS upto,
                sum(number) OVER (PARTITION BY incident_id)::bigint AS whole
            FROM counted WHERE kind = 'score'
        ) placed GROUP BY incident_id
    )
    SELECT n.*, s.sources, s.counted_sessions, s.ended_sources, s.overcome_sources, k.severity_type, p.highest_score,
        p.median_score, seen.first_seen, seen.last_seen
    FROM numbers n JOIN sources s USING (incident_id) JOIN kinds k USING (incident_id) JOIN scores p USING (incident_id)
    CROSS JOIN LATERAL (
        SELECT min(happened_at) AS first_seen, max(happened_at) AS last_seen
        FROM detections d WHERE d.incident_id = n.incident_id AND d.retracted_at IS NULL
    ) seen
""")
# From the highest score down, until a second source reaches one. `low` and `high`: the sources so far.
_SHARED_SCORES = text("""
    WITH RECURSIVE walked AS (
        SELECT i.incident_id, i.score, p.low, p.high
        FROM unnest(CAST(:ids AS text[]), CAST(:highest AS integer[])) AS i(incident_id, score)
        CROSS JOIN LATERAL (
            SELECT min(coalesce(d.source, 0)) AS low, max(coalesce(d.source, 0)) AS high FROM detections d
            WHERE d.incident_id = i.incident_id AND d.score = i.score AND d.retracted_at IS NULL
        ) p
        UNION ALL
        SELECT w.incident_id, n.score, least(w.low, p.low), greatest(w.high, p.high)
        FROM walked w
        CROSS JOIN LATERAL (
            SELECT max(d.score) AS score FROM detections d
            WHERE d.incident_id = w.incident_id AND d.score < w.score AND d.retracted_at IS NULL
        ) n
        CROSS JOIN LATERAL (
            SELECT min(coalesce(d.source, 0)) AS low, max(coalesce(d.source, 0)) AS high FROM detections d
            WHERE d.incident_id = w.incident_id AND d.score = n.score AND d.retracted_at IS NULL
        ) p
        WHERE w.low = w.high AND n.score IS NOT NULL
    )
    SELECT incident_id, coalesce(max(score) FILTER (WHERE low <> high), max(score)) AS score
    FROM walked GROUP BY incident_id
""")
_FACET_COUNTS = text(f"""
    SELECT i.id AS incident_id, k.kind AS facet, jsonb_object_agg(top.value, top.number) AS counts
    FROM unnest(CAST(:ids AS text[])) AS i(id) CROSS JOIN unnest({_FACETS}) AS k(kind)
    CROSS JOIN LATERAL (
        SELECT c.value, c.number FROM incident_counts c
        WHERE c.incident_id = i.id AND c.kind = k.kind ORDER BY c.number DESC, c.value LIMIT {FACET_VALUES}
    ) top
    GROUP BY i.id, k.kind
""")
_ELECTED = text("""
    SELECT i.id AS incident_id, top.value AS label
    FROM unnest(CAST(:ids AS text[])) AS i(id)
    CROSS JOIN LATERAL (
        SELECT c.value FROM incident_counts c WHERE c.incident_id = i.id AND c.kind = 'label sources'
        ORDER BY c.number DESC FETCH FIRST 1 ROW WITH TIES
    ) top
""")
# With a score that a second source reaches, else above it.
_CHOSEN = """
    SELECT d.project, d.detection_id FROM detections d
    WHERE d.incident_id = i.id AND d.retracted_at IS NULL AND d.label = i.label AND d.score {sign} i.score
    ORDER BY d.score DESC, d.story_length, d.detection_id LIMIT 1
"""
_BEST = text(f"""
    SELECT i.id AS incident_id, d.body
    FROM unnest(CAST(:ids AS text[]), CAST(:labels AS text[]), CAST(:scores AS integer[])) AS i(id, label, score)
    LEFT JOIN LATERAL ({_CHOSEN.format(sign="<=")}) shared ON true
    LEFT JOIN LATERAL ({_CHOSEN.format(sign=">")}) above ON shared.project IS NULL
    JOIN detections d ON d.project = coalesce(shared.project, above.project)
        AND d.detection_id = coalesce(shared.detection_id, above.detection_id)
""")


def read_counted_figures(connection: sa.Connection, caps: Mapping[str, Sequence[Any]]) -> Figures:
    """As `incident_figures.read_figures` of ``detections``, from what is counted already."""
    if not caps["ids"]:
        return Figures({}, {}, {}, {})
    totals = {row.incident_id: row for row in connection.execute(_TOTALS, caps)}
    if not totals:
        return Figures({}, {}, {}, {})
    ids = list(totals)
    facets: dict[str, Facets] = {}
    for row in connection.execute(_FACET_COUNTS, {"ids": ids}):
        facets.setdefault(row.incident_id, {})[row.facet] = row.counts
    highest = {"ids": ids, "highest": [totals[id_].highest_score for id_ in ids]}
    shared = {row.incident_id: row.score for row in connection.execute(_SHARED_SCORES, highest)}
    return Figures(totals, facets, _read_best(connection, ids, shared), shared)


def _read_best(connection: sa.Connection, ids: Sequence[str], shared: Mapping[str, int]) -> dict[str, Detection]:
    elected: dict[str, list[str]] = {}
    for row in connection.execute(_ELECTED, {"ids": list(ids)}):
        elected.setdefault(row.incident_id, []).append(row.label)
    labels = {id_: found[0] for id_, found in elected.items()}
    tied = [id_ for id_, found in elected.items() if len(found) > 1]
    if tied:
        labels |= read_elected_labels(connection, tied)
    values = {"ids": list(labels), "labels": list(labels.values()), "scores": [shared[id_] for id_ in labels]}
    return {row.incident_id: row.body for row in connection.execute(_BEST, values)}
