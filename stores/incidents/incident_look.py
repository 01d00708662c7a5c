"""Writes what was found in sessions that go on, and drafts the incidents that enough of them show.

One transaction a batch, locks in the order of `incident_record`. The pending rows stay in the queue: the complete sessions are
analysed as if nobody had looked.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from core.plurals import format_count
from incidents import lifecycle
from incidents.lifecycle import HistoryChange
from incidents.model import AnalysedSession, OpenResult, Rules, SessionKey
from stores.incidents import incident_aliases, incident_flood, incident_open, incident_source
from stores.incidents.incident_record import (
    SentRow,
    build_sent_rows,
    describe_outcome,
    has_mixed_senders,
    insert_missing_incidents,
    lock_incident_rows,
    lock_pending_sessions,
    session_key_of,
    upsert_detections,
)
from stores.incidents.incident_settle import find_confirm_rule, settle_incidents

# A detection of an earlier visit may be known from a complete analysis; it is not open.
_KNOWN = text("""
    SELECT d.project, d.detection_id FROM detections d
    JOIN unnest(CAST(:project AS text[]), CAST(:detection_id AS text[])) AS k(project, detection_id)
      ON (d.project, d.detection_id) = (k.project, k.detection_id)
    WHERE d.retracted_at IS NULL
""")
_MARK = text("UPDATE incidents SET only_open = true WHERE incident_id = ANY(CAST(:ids AS text[]))")
_EXISTING = text("SELECT incident_id FROM incidents WHERE incident_id = ANY(CAST(:ids AS text[]))")


class _Draft(NamedTuple):
    """An incident to draft: its project, its open sessions, and the highest score of those found now."""

    project: str
    sessions: int
    score: int


def record_open_detections(
    connection: sa.Connection, looked: Sequence[AnalysedSession], rules: Rules, unjudged: Sequence[AnalysedSession] = ()
) -> OpenResult:
    """Replace the open detections of these sessions by those that they show now; draft what enough open sessions show.

    A session whose version has changed, or that is no longer in the queue, is skipped. Of a ``mixed`` session
    (``SessionOrigin``) nothing is retracted before it is complete. A second call with the same sessions changes nothing.
    ``unjudged``: sessions that could not be judged; what they showed before stays. Raises PermanentError for an unusable
    detection.
    """
    sources = incident_source.find_session_sources(connection, [item for item in looked if item.detections])
    items = {session_key_of(item): item for item in looked}
    versions = lock_pending_sessions(connection, [*looked, *unjudged])
    keys = sorted(key for key, item in items.items() if versions.get(key) == item.pending.version)
    rows = _leave_out_known(connection, [row for key in keys for row in build_sent_rows(items[key], sources.get(key))])
    incident_aliases.assign_incidents(connection, rows, remember=False)
    projects = {row["incident_id"]: row["project"] for row in rows}
    touched = sorted({*incident_open.find_open_incidents(connection, keys), *projects})
    incident_open.lock_incident_ids(connection, touched)
    found = upsert_detections(connection, rows, still_open=True)
    retracted = incident_open.retract_open_detections(
        connection, _retraction_reasons(items, keys), [(row["project"], row["detection_id"]) for row in rows]
    )
    drafts = _find_new_drafts(connection, touched, rows, rules)
    # Fingerprints before rows, as where whole sessions are stored (incident_record).
    incident_aliases.assign_incidents(connection, [row for row in rows if row["incident_id"] in drafts])
    created = insert_missing_incidents(connection, {id_: draft.project for id_, draft in drafts.items()})
    connection.execute(_MARK, {"ids": created})
    before = lock_incident_rows(connection, touched, {id_: projects[id_] for id_ in created})
    notes = [(id_, _build_draft_change(drafts[id_])) for id_ in created]
    notes += incident_open.build_retraction_changes(retracted, {id_: row.status for id_, row in before.items()})
    settled = settle_incidents(connection, before, rules, notes)
    incident_flood.update_floods(connection, {projects[id_] for id_ in created}, rules)
    passed = [key for item in unjudged if versions.get(key := session_key_of(item)) == item.pending.version]
    incident_open.mark_looked_at(connection, [*keys, *passed])
    return OpenResult(
        sessions=len(keys),
        found=found,
        retracted=len(retracted),
        stale=len(items) - len(keys),
        incidents=settled.incidents,
        drafted=tuple(created),
    )


def _leave_out_known(connection: sa.Connection, rows: Sequence[SentRow]) -> list[SentRow]:
    if not rows:
        return []
    columns = {"project": [row["project"] for row in rows], "detection_id": [row["detection_id"] for row in rows]}
    known = {(row.project, row.detection_id) for row in connection.execute(_KNOWN, columns)}
    return [row for row in rows if (row["project"], row["detection_id"]) not in known]


def _retraction_reasons(
    items: Mapping[SessionKey, AnalysedSession], keys: Sequence[SessionKey]
) -> dict[SessionKey, str]:
    return {key: describe_outcome(items[key].rules) for key in keys if not has_mixed_senders(items[key])}


def _find_new_drafts(
    connection: sa.Connection, touched: Sequence[str], rows: Sequence[SentRow], rules: Rules
) -> dict[str, _Draft]:
    """The incidents that have no row, and that enough open sessions show now."""
    existing = set(connection.execute(_EXISTING, {"ids": list(touched)}).scalars())
    new = {row["incident_id"]: row["project"] for row in rows if row["incident_id"] not in existing}
    own = {id_: find_confirm_rule(rules, project) for id_, project in new.items()}
    caps = {"ids": list(own), "per_source": [rule.per_source for rule in own.values()]}
    return {
        id_: _Draft(new[id_], count.sessions, max(row["score"] for row in rows if row["incident_id"] == id_))
        for id_, count in incident_open.count_open_sessions(connection, caps).items()
        if 0 < own[id_].open_sessions <= count.counted
    }


def _build_draft_change(draft: _Draft) -> HistoryChange:
    seen = f"first seen in {format_count(draft.sessions, 'open session')}, with score {draft.score}"
    return HistoryChange(lifecycle.RULE, None, "draft", seen)
