"""A Postgres with as many incidents and detections as an installation has after some years, written by SQL.

The rows go through the real schema: triggers, keys and indexes see each of them. Incidents differ in size: the largest of
10,000 has about 1 in 22 detections, the median about 40 of a million. Everything is derived from row numbers, so that two runs
write the same rows; only times are relative to now.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import psycopg

PROJECTS: Final = ("default", "shop", "blog")
_CHUNK: Final = 100_000
_DAYS: Final = 60
_STEPS: Final = 12

_TIMELINE = [
    {
        "eventId": f"e{n:02d}",
        "at": f"2026-01-15T10:00:{n:02d}.000Z",
        "offsetMs": n * 1000,
        "eventType": "click" if n % 2 == 0 else "network",
        "text": "clicked button#pay" if n % 2 == 0 else "POST /api/orders → 500 after 240 ms",
        "route": "/checkout",
        "target": "button#pay",
    }
    for n in range(_STEPS)
]
_BODY = {
    "confidenceLevel": "High",
    "confidenceScore": 0.9,
    "severityType": "Bug",
    "triggeringSignals": [
        {"type": kind, "start": "2026-01-15T10:00:00Z", "end": "2026-01-15T10:00:12Z", "route": "/checkout",
         "target": "button#pay", "count": 4, "text": "4 clicks in 1.9 s", "eventIds": ["e00", "e02", "e04"]}
        for kind in ("rage", "feedback")
    ],
    "points": [{"rule": "rage on the failing control", "points": 35}, {"rule": "the answer failed", "points": 30}],
    "explanation": "4 clicks on button#pay in 1.9 s, each answered by POST /api/orders → 500",
    "timeline": _TIMELINE,
    "endedFlow": True,
    "resolved": False,
    "engineVersion": "1",
}  # fmt: skip

# A number from 0 to 1 for row n and column c; the same in every run.
_PART = "((hashint8extended({n}, {c}) & 2147483647) / 2147483648.0)"
_ID = "'inc_' || md5('incident ' || {n})"
_PROJECT = "(ARRAY['default', 'shop', 'blog'])[1 + {n} %% 3]"
_INCIDENTS = f"""
    INSERT INTO incidents (incident_id, project, fingerprint, status, title, failure_point, primary_failure_point, label,
        route, severity, severity_type, priority, resolved_at, created_at, updated_at)
    SELECT {_ID.format(n="n")}, {_PROJECT.format(n="n")}, md5('incident ' || n),
        (ARRAY['confirmed', 'confirmed', 'draft', 'resolved', 'suppressed', 'regressed', 'draft'])[1 + n %% 7],
        word || ' on ' || path || ' fails: POST /api/' || word || ' → 500',
        jsonb_build_object('route', path, 'target', 'button#' || word, 'feedback', 'POST /api/' || word || ' → 500'),
        path || ' › button#' || word || ' › POST /api/' || word || ' → 500', initcap(word), path,
        (ARRAY['Critical', 'High', 'Medium', 'Low'])[1 + n %% 4], 'Bug', (ARRAY['P0', 'P1', 'P2', 'P3'])[1 + n %% 4],
        CASE WHEN n %% 7 = 3 THEN now() - make_interval(days => 1 + n %% 20) END,
        now() - make_interval(days => {_DAYS}) + make_interval(secs => n), now()
    FROM (
        SELECT n, '/area-' || n %% 50 || '/page-' || n %% 400 AS path,
            (ARRAY['pay', 'save', 'search', 'upload', 'checkout', 'filter', 'login', 'invite'])[1 + n %% 8] || '-' || n AS word
        FROM generate_series(0, %(incidents)s - 1) n
    ) named
"""
_DETECTIONS = f"""
    INSERT INTO detections (project, detection_id, session_id, visit_id, visit_start, incident_id, score, happened_at,
        last_seen, user_hash, environment, app_version, browser, severity_type, ended_flow, resolved, signals, routes,
        story_length, label, body, received_at, source, retracted_at, created_at)
    SELECT {_PROJECT.format(n="i")}, md5('detection ' || n), 'session-' || n, md5('visit ' || n), at - interval '20 s',
        {_ID.format(n="i")}, 70 + (n * 7 %% 31)::integer, at, at + interval '9 s', md5('user ' || n / 3),
        (ARRAY['production', 'production', 'staging'])[1 + n %% 3], '2.' || n %% 9 || '.' || n %% 4,
        (ARRAY['Chrome', 'Firefox', 'Safari', 'Edge'])[1 + n %% 4], 'Bug', n %% 3 = 0, n %% 5 = 0,
        ARRAY['rage', 'feedback'], ARRAY['/area-' || i %% 50 || '/page-' || i %% 400], {_STEPS}, 'Pay',
        CAST(%(body)s AS jsonb) || jsonb_build_object('detectionId', md5('detection ' || n), 'sessionId', 'session-' || n,
            'projectId', {_PROJECT.format(n="i")}, 'visitId', md5('visit ' || n), 'visitStart', '2026-01-15T10:00:00Z',
            'timestamp', '2026-01-15T10:00:05Z', 'frustrationScore', 70 + n * 7 %% 31, 'failurePoint', jsonb_build_object(
            'route', '/area-' || i %% 50, 'target', 'button#pay', 'feedback', 'POST /api/orders → 500'),
            'primaryFailurePoint', '/area-' || i %% 50 || ' › button#pay › POST /api/orders → 500',
            'context', jsonb_build_object('label', 'Pay', 'appVersion', '2.' || n %% 9, 'environment', 'production')),
        CASE WHEN at > now() - interval '9 days' THEN at END,
        CASE WHEN at > now() - interval '9 days' THEN 4611686018427387904 + n / 2 ELSE n / 2 + 1 END,
        CASE WHEN n %% 50 = 49 THEN now() END, at
    FROM (
        SELECT n, coalesce(CAST(%(incident)s AS bigint),
                floor(%(incidents)s * power({_PART.format(n="n", c=1)}, 3))::bigint) AS i,
            now() - make_interval(secs => {_DAYS} * 86400 * {_PART.format(n="n", c=2)}) AS at
        FROM generate_series(%(first)s, %(last)s - 1) n
    ) placed
"""
_FIGURES = """
    UPDATE incidents i SET first_seen = f.first_seen, last_seen = f.last_seen, affected_sessions = f.sessions,
        counted_sessions = f.sessions, affected_users = f.users, highest_score = f.best, shared_score = f.best,
        median_score = 85, confidence = 0.85, ended_sessions = f.ended, facets = jsonb_build_object(
            'signals', jsonb_build_object('rage', f.sessions, 'feedback', f.sessions),
            'routes', jsonb_build_object(i.route, f.sessions), 'environments', f.environments,
            'appVersions', f.versions, 'browsers', f.browsers)
    FROM (
        SELECT incident_id, sum(number)::integer AS sessions, sum(users)::integer AS users, max(best) AS best,
            sum(ended)::integer AS ended, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
            jsonb_object_agg(environment, number) FILTER (WHERE environment <> '') AS environments,
            jsonb_object_agg(app_version, number) AS versions, jsonb_object_agg(browser, number) AS browsers
        FROM (
            SELECT incident_id, environment, app_version, browser, count(*) AS number, count(DISTINCT user_hash) AS users,
                max(score) AS best, count(*) FILTER (WHERE ended_flow) AS ended, min(happened_at) AS first_seen,
                max(happened_at) AS last_seen
            FROM detections WHERE retracted_at IS NULL GROUP BY incident_id, environment, app_version, browser
        ) cells GROUP BY incident_id
    ) f WHERE f.incident_id = i.incident_id
"""
_BESIDE = (
    f"""
    INSERT INTO outbox (incident_id, tracker, state, ticket_key, url, attempts, filed_at, generation)
    SELECT {_ID.format(n="n")}, 'jira', CASE WHEN n %% 40 = 0 THEN 'export_failed' ELSE 'filed' END,
        CASE WHEN n %% 40 <> 0 THEN 'WEB-' || n END, CASE WHEN n %% 40 <> 0 THEN 'https://jira.example/browse/WEB-' || n END, 1,
        CASE WHEN n %% 40 <> 0 THEN now() - interval '2 days' END, 0
    FROM generate_series(0, %(incidents)s - 1) n WHERE n %% 7 NOT IN (2, 6)
    """,
    f"""
    INSERT INTO incident_history (incident_id, actor, from_status, to_status, reason)
    SELECT {_ID.format(n="n")}, 'rule', 'draft', 'draft', 'entry ' || k
    FROM generate_series(0, %(incidents)s - 1) n, generate_series(1, 4) k
    """,
    f"""
    INSERT INTO incident_steps (incident_id, code, kind, step)
    SELECT {_ID.format(n="n")}, n, 'control', n FROM generate_series(0, %(incidents)s - 1) n
    """,
    f"""
    INSERT INTO incident_reach (incident_id, bucket_ms, is_day, after_fix, facet, value, reached, hit)
    SELECT {_ID.format(n="n")}, (20000 + day) * 86400000::bigint, true, false, facet, CASE WHEN facet = '' THEN '' ELSE 'a' END,
        1000, 3
    FROM generate_series(0, %(incidents)s - 1) n, generate_series(1, 14) day,
        unnest(ARRAY['', 'appVersions', 'environments', 'browsers']) facet
    """,
    """
    INSERT INTO silences (project, visit_id, session_id, visit_start, rule, text, failure_point, score, analysed_at)
    SELECT (ARRAY['default', 'shop', 'blog'])[1 + n %% 3], md5('silence ' || n), 'silent-' || n, now(),
        (ARRAY['resolved', 'low', 'no_signal', 'background', 'slow'])[1 + n %% 5], 'The person got there after all.',
        '/checkout › button#pay › POST /api/orders → 500', 60, now() - make_interval(secs => n)
    FROM generate_series(1, %(silences)s) n
    """,
    """
    INSERT INTO pending_sessions (project, session_id, session_hash, due_ms, received_ms)
    SELECT 'shop', 'waiting-' || n, n, 1700000000000 + n, 1700000000000 FROM generate_series(1, 2000) n
    """,
    """
    INSERT INTO dead_sessions (project, session_id, session_hash, attempts, due_ms, received_ms, reason)
    SELECT 'shop', 'dead-' || n, n, 3, 1700000000000, 1700000000000, 'the engine failed' FROM generate_series(1, 100) n
    """,
)


@dataclass(frozen=True)
class Size:
    """How much is written: rows of incidents, detections and near misses."""

    incidents: int = 10_000
    detections: int = 1_000_000
    silences: int = 200_000


def fill_incident_store(url: str, size: Size) -> None:
    """Write the rows into a migrated, empty store, and have Postgres collect its statistics, as its autovacuum does."""
    values: dict[str, Any] = {"incidents": size.incidents, "silences": size.silences}
    with psycopg.connect(url) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(_INCIDENTS, values)
        _add_detections(connection, size, 0, size.detections)
        connection.execute(_FIGURES)
        for statement in _BESIDE:
            connection.execute(statement, values)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def fill_one_incident(url: str, incident: int, sessions: int) -> None:
    """Write ``sessions`` detections of one incident; there are at most 10^6 of each of the first incidents."""
    with psycopg.connect(url) as connection:
        first = (incident + 1) * 1_000_000
        _add_detections(connection, Size(), first, first + sessions, incident)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def _add_detections(
    connection: "psycopg.Connection[Any]", size: Size, first: int, stop: int, incident: int | None = None
) -> None:
    values = {"incidents": size.incidents, "incident": incident, "body": json.dumps(_BODY)}
    for start in range(first, stop, _CHUNK):
        connection.execute(_DETECTIONS, {**values, "first": start, "last": min(stop, start + _CHUNK)})
        connection.commit()


def name_incident(number: int) -> str:
    """The id of incident ``number``."""
    return f"inc_{hashlib.md5(f'incident {number}'.encode(), usedforsecurity=False).hexdigest()}"


def name_project(number: int) -> str:
    """The project of incident ``number``."""
    return PROJECTS[number % len(PROJECTS)]
