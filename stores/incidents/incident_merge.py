"""Merging and splitting of incidents by a person: remembered, and stronger than every version of the rules of grouping.

A merge moves the detections and fingerprints of one incident to another. The merged incident stays, empty, and names the
other. At each tracker one ticket remains: if only the merged incident has one, it moves; if both have, the other's remains
and the ledger marks the merged incident's as its duplicate, which the next export closes. A split moves the detections
of one failure point to an incident of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text

from incidents import lifecycle
from incidents.incident import IncidentDetail
from incidents.lifecycle import HistoryChange, IllegalTransition
from incidents.model import DEFAULT_RULE, Rules
from stores.incidents import incident_assignment, incident_read, incident_record, incident_settle
from stores.incidents.incident_database import Database
from ufse.grouping.fingerprint import FINGERPRINT_VERSION
from ufse.patterns import digest_texts

_MOVE = "UPDATE {table} SET incident_id = :target, updated_at = now() WHERE incident_id = :source"
_MOVE_DETECTIONS = text(_MOVE.format(table="detections"))
_MOVE_OPEN = text(_MOVE.format(table="open_detections"))
_MOVE_FINGERPRINTS = text("""
    UPDATE incident_fingerprints SET incident_id = :target, decided = true WHERE incident_id = :source
""")
_MERGED = text("UPDATE incidents SET merged_into = :target, updated_at = now() WHERE incident_id = :source")
_FOLLOW = text("UPDATE incidents SET merged_into = :target WHERE merged_into = :source")
# Where the target has no ticket, the source's moves, its identity included; a row of the target without a ticket gives way.
_DROP_UNFILED = text("""
    DELETE FROM outbox t USING outbox s
    WHERE t.incident_id = :target AND s.incident_id = :source AND s.tracker = t.tracker
      AND t.ticket_key IS NULL AND s.ticket_key IS NOT NULL
      AND NOT (t.state = 'claimed' AND t.lease_until > clock_timestamp())
""")
_MOVE_TICKETS = text("""
    UPDATE outbox s SET incident_id = :target, identity = coalesce(s.identity, s.incident_id), updated_at = now()
    WHERE s.incident_id = :source AND s.ticket_key IS NOT NULL
      AND NOT EXISTS (SELECT FROM outbox t WHERE t.incident_id = :target AND t.tracker = s.tracker)
    RETURNING s.tracker, s.ticket_key
""")
_MARK_DUPLICATES = text("""
    UPDATE outbox s SET duplicate_of = t.ticket_key, updated_at = now() FROM outbox t
    WHERE s.incident_id = :source AND t.incident_id = :target AND t.tracker = s.tracker
      AND s.ticket_key IS NOT NULL AND t.ticket_key IS NOT NULL
    RETURNING s.tracker, s.ticket_key, t.ticket_key AS remains
""")
_FORMER = text("""
    INSERT INTO former_tickets (incident_id, tracker, ticket_key, why)
    SELECT :target, tracker, ticket_key, 'duplicate' FROM outbox
    WHERE incident_id = :source AND duplicate_of IS NOT NULL AND ticket_key IS NOT NULL
    ON CONFLICT DO NOTHING
""")
_BEING_FILED = text("""
    SELECT incident_id, tracker FROM outbox
    WHERE incident_id IN (:source, :target) AND state = 'claimed' AND lease_until > clock_timestamp()
    ORDER BY incident_id, tracker
""")
_POINTS = text("""
    SELECT body ->> 'primaryFailurePoint' AS point,
           coalesce(body -> 'olderFingerprints' ->> 0, body ->> 'fingerprint') AS first,
           count(DISTINCT visit_id) AS sessions
    FROM detections WHERE incident_id = :incident_id AND retracted_at IS NULL
    GROUP BY point, first ORDER BY sessions DESC, point, first
""")
_SPLIT = """
    UPDATE {table} SET incident_id = :target, updated_at = now()
    WHERE incident_id = :source AND body ->> 'primaryFailurePoint' = :point
"""
_SPLIT_DETECTIONS = text(_SPLIT.format(table="detections"))
_SPLIT_OPEN = text(_SPLIT.format(table="open_detections"))
_DECIDE = text("""
    INSERT INTO incident_fingerprints (project, fingerprint, incident_id, version, decided)
    SELECT :project, fingerprint, :incident_id, 1, true FROM unnest(CAST(:fingerprints AS text[])) AS fingerprint
    ON CONFLICT (project, fingerprint) DO UPDATE SET incident_id = excluded.incident_id, decided = true
""")
_NAME = text("""
    INSERT INTO incident_fingerprints (project, fingerprint, incident_id, version)
    VALUES (:project, :fingerprint, :incident_id, :version)
    ON CONFLICT (project, fingerprint) DO NOTHING
""")


class BeingFiled(IllegalTransition):
    """A ticket of one of the incidents is being filed at this moment: the same may be possible in a few minutes."""


class IncidentMerger:
    """Merges and splits incidents. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def merge_incidents(
        self,
        source: str,
        target: str,
        reason: str,
        actor: str,
        project: str | None = None,
        rules: Rules = DEFAULT_RULE,
        version: int | None = None,
    ) -> IncidentDetail:
        """Merge ``source`` into ``target``; returns the target.

        ``version``: of the source, as the person saw it. Raises VersionChanged if it is another now, NotFound, and
        IllegalTransition for the same incident, another project, one that is merged already, or one whose ticket is being filed
        at this moment. A second call with the same incidents changes nothing.
        """
        with self._database.open_transaction() as connection:
            rows = _lock_incidents(connection, (source, target), project)
            if rows[source].merged_into == target:
                return incident_read.read_incident_details(connection, [target])[0]
            incident_assignment.require_version(connection, rows[source], version)
            merge_rows(connection, rows, source, target, reason, actor, rules)
            return incident_read.read_incident_details(connection, [target])[0]

    def split_incident(
        self,
        source: str,
        point: str,
        reason: str,
        actor: str,
        project: str | None = None,
        rules: Rules = DEFAULT_RULE,
        version: int | None = None,
    ) -> IncidentDetail:
        """Move the detections of the failure point ``point`` (``primaryFailurePoint``) to a draft of their own; returns it.

        ``version``: of the source, as the person saw it. Raises VersionChanged if it is another now, NotFound, and
        IllegalTransition if the incident has no such failure point, or no other; the message lists them.
        """
        with self._database.open_transaction() as connection:
            row = incident_record.lock_incident_row(connection, source, project)
            incident_assignment.require_version(connection, row, version)
            points = connection.execute(_POINTS, {"incident_id": source}).all()
            firsts = sorted({found.first for found in points if found.point == point})
            if not firsts or len({found.point for found in points}) < 2:
                listed = "; ".join(sorted({found.point for found in points})) or "none"
                raise IllegalTransition(f"one of several failure points can be split off; the incident has: {listed}")
            print_ = digest_texts(("split", row.project, source, *firsts))
            target = f"inc_{print_}"
            created = incident_record.insert_missing_incidents(connection, {target: row.project})
            rows = _lock_incidents(connection, (source, target), row.project)
            move = {"source": source, "target": target, "point": point}
            connection.execute(_SPLIT_DETECTIONS, move)
            connection.execute(_SPLIT_OPEN, move)
            incident_assignment.raise_version(connection, source)
            connection.execute(_DECIDE, {"project": row.project, "incident_id": target, "fingerprints": firsts})
            named = {"project": row.project, "fingerprint": print_, "incident_id": target}
            connection.execute(_NAME, {**named, "version": FINGERPRINT_VERSION})
            why = f"split off from {source} ({point}): {reason}"
            notes = [
                (target, HistoryChange(actor, None if created else rows[target].status, rows[target].status, why)),
                (source, HistoryChange(actor, row.status, row.status, f"{point} split off to {target}: {reason}")),
            ]
            incident_settle.settle_incidents(connection, rows, rules, notes)
            return incident_read.read_incident_details(connection, [target])[0]


def merge_rows(
    connection: sa.Connection,
    rows: "Mapping[str, sa.Row[Any]]",
    source: str,
    target: str,
    reason: str,
    actor: str,
    rules: Rules,
) -> None:
    """Merge ``source`` into ``target``, whose ``rows`` are locked. Raises IllegalTransition before anything is written."""
    _require_mergeable(connection, rows[source], rows[target])
    pair = {"source": source, "target": target}
    for statement in (_MOVE_DETECTIONS, _MOVE_OPEN, _MOVE_FINGERPRINTS, _FOLLOW, _MERGED):
        connection.execute(statement, pair)
    incident_assignment.raise_version(connection, target)
    more = [*_join_tickets(connection, pair), *incident_assignment.inherit_assignment(connection, pair)]
    notes = _build_merge_notes(rows[source], rows[target], reason, actor, more)
    incident_settle.settle_incidents(connection, rows, rules, notes, backfill=True)


def _lock_incidents(connection: sa.Connection, ids: Sequence[str], project: str | None) -> "dict[str, sa.Row[Any]]":
    """Both rows, locked in the order of ids. Raises NotFound if one is missing or of another project than ``project``."""
    return {id_: incident_record.lock_incident_row(connection, id_, project) for id_ in sorted(set(ids))}


def _require_mergeable(connection: sa.Connection, source: "sa.Row[Any]", target: "sa.Row[Any]") -> None:
    if source.incident_id == target.incident_id:
        raise IllegalTransition("an incident cannot be merged into itself")
    if source.project != target.project:
        raise IllegalTransition("incidents of two projects cannot be merged")
    for row in (source, target):
        if row.merged_into:
            raise IllegalTransition(f"{row.incident_id} is merged into {row.merged_into}")
    pair = {"source": source.incident_id, "target": target.incident_id}
    if filing := connection.execute(_BEING_FILED, pair).first():
        raise BeingFiled(f"the ticket of {filing.incident_id} at {filing.tracker} is being filed; merge it afterwards")


def _join_tickets(connection: sa.Connection, pair: dict[str, str]) -> list[str]:
    """Leave one ticket at each tracker. Returns what became of the source's, in words."""
    connection.execute(_DROP_UNFILED, pair)
    moved = [f"its ticket {row.ticket_key} at {row.tracker} moves" for row in connection.execute(_MOVE_TICKETS, pair)]
    duplicates = connection.execute(_MARK_DUPLICATES, pair).all()
    connection.execute(_FORMER, pair)
    return moved + [
        f"its ticket {row.ticket_key} at {row.tracker} duplicates {row.remains}, and the export closes it"
        for row in duplicates
    ]


def _build_merge_notes(
    source: "sa.Row[Any]", target: "sa.Row[Any]", reason: str, actor: str, moved: Sequence[str]
) -> list[tuple[str, lifecycle.HistoryChange]]:
    more = "".join(f"; {text_}" for text_ in moved)
    into = f"merged into {target.incident_id}: {reason}{more}"
    taken = f"{source.incident_id} merged into this incident: {reason}{more}"
    return [
        (source.incident_id, HistoryChange(actor, source.status, source.status, into)),
        (target.incident_id, HistoryChange(actor, target.status, target.status, taken)),
    ]
