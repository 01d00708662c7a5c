"""Suspects: senders that show more new incidents of a project within an hour than one address may.

Their detections of these incidents are kept and shown, and do not count for the confirm rule: the incidents stay drafts until
other senders show them, or a person decides. So a visitor cannot have tickets filed with a few addresses and invented failures.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import text

from core.metrics import SUSPECTS
from incidents.lifecycle import RULE, HistoryChange
from incidents.model import Rules
from stores.incidents.incident_settle import find_confirm_rule
from stores.incidents.incident_source import FIRST_HASH

IS_SUSPICIOUS: Final = """(
    i.status = 'draft'
    AND (EXISTS (SELECT FROM detections s
                 WHERE s.incident_id = i.incident_id AND s.suspect AND s.retracted_at IS NULL)
         OR EXISTS (SELECT FROM detections s
                    WHERE s.incident_id = i.incident_id AND s.key_suspect AND s.retracted_at IS NULL))
)"""
"""A draft with detections that do not count because of their senders or their key (incident_key_flood.py); ``i``: its row."""

_SUSPECTS = text("""
    SELECT d.source, count(DISTINCT d.incident_id) AS incidents
    FROM incidents i JOIN detections d ON d.incident_id = i.incident_id
    WHERE i.project = :project AND i.created_at > now() - interval '1 hour'
      AND d.retracted_at IS NULL AND d.source >= :first_hash
    GROUP BY d.source HAVING count(DISTINCT d.incident_id) > :most
""")
# Rows that another writer holds are left out: it marks them itself, since it sees these sources too, or the next one does.
_MARK = text("""
    UPDATE detections d SET suspect = true, updated_at = now()
    FROM (SELECT s.project, s.detection_id, i.status FROM detections s JOIN incidents i ON i.incident_id = s.incident_id
          WHERE i.project = :project AND i.created_at > now() - interval '1 hour' AND NOT s.suspect
            AND s.retracted_at IS NULL AND s.source = ANY(CAST(:sources AS bigint[]))
          ORDER BY s.project, s.detection_id FOR UPDATE OF s SKIP LOCKED) marked
    WHERE (d.project, d.detection_id) = (marked.project, marked.detection_id)
    RETURNING d.incident_id, d.source, marked.status
""")
_SUSPECTED = text("""
    SELECT DISTINCT incident_id FROM detections WHERE incident_id = ANY(CAST(:ids AS text[])) AND suspect
""")
# Later sessions of a suspect at the same incident.
_MARK_LATER = text("""
    UPDATE detections d SET suspect = true, updated_at = now()
    WHERE d.incident_id = ANY(CAST(:ids AS text[])) AND NOT d.suspect AND d.retracted_at IS NULL
      AND d.source >= :first_hash
      AND EXISTS (SELECT FROM detections k
                  WHERE k.incident_id = d.incident_id AND k.source = d.source AND k.suspect)
""")


def mark_suspects(
    connection: sa.Connection, incidents: Mapping[str, str], rules: Rules
) -> list[tuple[str, HistoryChange]]:
    """Mark the detections of suspects, and return the history of the drafts that have some.

    ``incidents``: those that new detections show, with their projects. Runs after the detections are written and before the
    incidents are settled, in one transaction.
    """
    # Most incidents have no suspect: what is marked is in an index of its own, and their detections are not looked through.
    if known := sorted(connection.execute(_SUSPECTED, {"ids": sorted(incidents)}).scalars()):
        connection.execute(_MARK_LATER, {"ids": known, "first_hash": FIRST_HASH})
    notes: list[tuple[str, HistoryChange]] = []
    for project in sorted(set(incidents.values())):
        most = find_confirm_rule(rules, project).new_per_source
        found = connection.execute(_SUSPECTS, {"project": project, "most": most, "first_hash": FIRST_HASH})
        suspects = {row.source: row.incidents for row in found}
        if not suspects:
            continue
        marked = connection.execute(_MARK, {"project": project, "sources": sorted(suspects)}).all()
        notes += _describe_marked(marked, suspects, most)
        SUSPECTS.inc(len(suspects))
    return notes


def _describe_marked(
    marked: "Iterable[sa.Row[Any]]", suspects: Mapping[int, int], most: int
) -> list[tuple[str, HistoryChange]]:
    sessions: Counter[str] = Counter()
    shown: dict[str, int] = {}
    for row in marked:
        if row.status != "draft":
            continue
        sessions[row.incident_id] += 1
        shown[row.incident_id] = max(shown.get(row.incident_id, 0), suspects[row.source])
    return [
        (id_, HistoryChange(RULE, "draft", "draft", _describe_reason(sessions[id_], shown[id_], most)))
        for id_ in sorted(sessions)
    ]


def _describe_reason(sessions: int, shown: int, most: int) -> str:
    return (
        f"suspicious: senders of {sessions} of its sessions showed up to {shown} new incidents each within an hour, more than"
        f" the {most} that one address may; these sessions do not confirm it"
    )
