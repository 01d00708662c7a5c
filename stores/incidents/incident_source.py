"""The source of a detection: the sender of its session (collector/senders/receipts.py).

A source is identified by its hash under the salt of the day. If its hash under the salt of the day before is known, it keeps
that one, so that events before and after midnight have one source.
"""

# Statements are put together from constants of this module alone; values are always bound.

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import text

from incidents.model import AnalysedSession

FIRST_HASH: Final = 1 << 62
"""Minimum of a hash; smaller numbers stand for sources whose hash was deleted."""

_KNOWN = text("""
    SELECT DISTINCT d.project, d.source FROM detections d
    JOIN unnest(CAST(:project AS text[]), CAST(:source AS bigint[])) AS k(project, source)
      ON (d.project, d.source) = (k.project, k.source)
""")
_OLD = """
    FROM detections d
    LEFT JOIN unnest(CAST(:projects AS text[]), CAST(:days AS double precision[])) AS r(project, days) USING (project)
    WHERE d.received_at IS NOT NULL
      AND greatest(d.received_at, d.created_at)
          < now() - make_interval(secs => 86400 * (coalesce(r.days, CAST(:default_days AS double precision)) + 1))
"""
# Their counts change, and writers of detections lock incidents first.
_LOCK_OLD = text(f"""
    SELECT incident_id FROM incidents WHERE incident_id IN (SELECT d.incident_id {_OLD})
    ORDER BY incident_id FOR NO KEY UPDATE
""")
# Numbers replace hashes: the sources of one incident stay distinct, and nothing else is known of them.
_FORGET = text(f"""
    WITH old AS (
        SELECT d.project, d.detection_id, d.incident_id, d.source {_OLD} AND d.incident_id = ANY(CAST(:ids AS text[]))
    ), used AS (
        SELECT d.incident_id, max(d.source) AS last FROM detections d
        WHERE d.incident_id IN (SELECT incident_id FROM old) AND d.source < :first_hash GROUP BY d.incident_id
    ), numbered AS (
        SELECT o.project, o.detection_id,
               CASE WHEN o.source >= :first_hash THEN coalesce(u.last, 0) + dense_rank() OVER (
                   PARTITION BY o.incident_id ORDER BY CASE WHEN o.source >= :first_hash THEN o.source END)
               ELSE o.source END AS source
        FROM old o LEFT JOIN used u USING (incident_id)
    )
    UPDATE detections d SET received_at = NULL, source = n.source, ingest_key = NULL
    FROM numbered n WHERE (d.project, d.detection_id) = (n.project, n.detection_id)
    RETURNING 1
""")


def derive_own_source(project: str, session: str) -> int:
    """The own source of a session whose sender is trusted or was not recorded."""
    digest = hashlib.sha256(f"own\x1f{project}\x1f{session}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 2 | FIRST_HASH


def find_session_sources(
    connection: sa.Connection, analysed: Sequence[AnalysedSession]
) -> dict[tuple[str, str], int | None]:
    """The source of the new events of each session, by (project, session id); None: not known."""
    today = {(item.pending.project, item.origin.source) for item in analysed if item.origin is not None}
    yesterday = {
        (item.pending.project, item.origin.before)
        for item in analysed
        if item.origin is not None and item.origin.before is not None
    }
    known = today | _find_stored_sources(connection, sorted(yesterday))
    return {(item.pending.project, item.pending.session_id): _choose_source(item, known) for item in analysed}


def forget_sources(connection: sa.Connection, days: Mapping[str, float]) -> int:
    """Delete receipt and source of the detections that are older than the window in which they count, plus a day.

    ``days``: the window by project, '' for all others. Returns how many detections.
    """
    own_days = {project: value for project, value in days.items() if project}
    values = {
        "projects": list(own_days),
        "days": list(own_days.values()),
        "default_days": days[""],
        "first_hash": FIRST_HASH,
    }
    ids = list(connection.execute(_LOCK_OLD, values).scalars())
    return len(connection.execute(_FORGET, {**values, "ids": ids}).all())


def _find_stored_sources(connection: sa.Connection, names: Sequence[tuple[str, int]]) -> set[tuple[str, int | None]]:
    if not names:
        return set()
    values = {"project": [name[0] for name in names], "source": [name[1] for name in names]}
    return {(row.project, row.source) for row in connection.execute(_KNOWN, values)}


def _choose_source(item: AnalysedSession, known: set[tuple[str, int | None]]) -> int | None:
    project = item.pending.project
    if item.origin is None:
        return derive_own_source(project, item.pending.session_id)
    if item.origin.before is not None and (project, item.origin.before) in known:
        return item.origin.before
    return item.origin.source
