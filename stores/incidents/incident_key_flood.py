"""Floods from one key: more new incidents of a project within an hour than one ingest key may show, from whatever addresses.

Sessions that came with such a key do not count for the confirm rule at the incidents of that hour: these stay drafts, with the
reason, so that somebody with the public key and very many addresses (a botnet, a network of IPv6 addresses, addresses that a
trusted proxy forwards) has no tickets filed. A real outage has many failure points too, and many visitors at each of them:
an incident that very many independent sources show counts as usual. After the flood new sessions count again. Incidents that
only suspects show (incident_suspects.py) are not counted here, so that one address cannot use up what a key may show.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import text

from core.ingest_keys import number_ingest_key
from core.metrics import SUSPICIOUS_KEYS
from incidents.lifecycle import RULE, HistoryChange
from incidents.model import Rules
from stores.incidents.incident_flood import INDEPENDENT_AT_MOST
from stores.incidents.incident_settle import find_confirm_rule
from stores.incidents.incident_source import FIRST_HASH

INDEPENDENT_TIMES: Final = 3
"""So many times as many independent sources as the rule asks sessions confirm an incident of a flood. A source takes part in at
most three incidents of the flood (INDEPENDENT_AT_MOST), so that its sender needs three addresses for each incident."""

_IS_NEW = "i.project = :project AND i.created_at > now() - interval '1 hour'"
_BEGUN = text(f"SELECT count(*) FROM incidents i WHERE {_IS_NEW}")
_FLOODING = text(f"""
    SELECT d.ingest_key, count(DISTINCT d.incident_id) AS incidents
    FROM incidents i JOIN detections d ON d.incident_id = i.incident_id
    WHERE {_IS_NEW} AND d.retracted_at IS NULL AND NOT d.suspect AND d.ingest_key IS NOT NULL
    GROUP BY d.ingest_key HAVING count(DISTINCT d.incident_id) > :most
""")
# The incidents of the hour, and earlier ones of the flood that get new sessions now.
_FLOODED = text(f"""
    WITH flooded AS (
        SELECT i.incident_id, marked.sessions > 0 AS is_marked FROM incidents i CROSS JOIN LATERAL (
            SELECT count(*) AS sessions FROM detections k WHERE k.incident_id = i.incident_id AND k.key_suspect) marked
        WHERE i.status = 'draft' AND i.project = :project
          AND (i.created_at > now() - interval '1 hour' OR (i.incident_id = ANY(CAST(:ids AS text[])) AND marked.sessions > 0))
    ), seen AS (
        SELECT DISTINCT d.source, d.incident_id FROM incidents i JOIN detections d ON d.incident_id = i.incident_id
        WHERE ({_IS_NEW} OR i.incident_id IN (SELECT incident_id FROM flooded))
          AND d.retracted_at IS NULL AND NOT d.suspect AND d.source >= :first_hash
    ), independent AS (
        SELECT source FROM seen GROUP BY source HAVING count(*) <= :at_most
    )
    SELECT f.incident_id, f.is_marked, count(n.source) AS sources
    FROM flooded f LEFT JOIN seen s USING (incident_id) LEFT JOIN independent n USING (source)
    GROUP BY f.incident_id, f.is_marked
""")
# Rows that another writer holds are left out: it marks them itself, since it sees this flood too, or the next one does.
_MARK = text("""
    UPDATE detections d SET key_suspect = true, updated_at = now()
    FROM (SELECT project, detection_id FROM detections
          WHERE incident_id = ANY(CAST(:ids AS text[])) AND NOT key_suspect AND retracted_at IS NULL
            AND ingest_key = ANY(CAST(:keys AS bigint[]))
          ORDER BY project, detection_id FOR UPDATE SKIP LOCKED) marked
    WHERE (d.project, d.detection_id) = (marked.project, marked.detection_id)
    RETURNING d.incident_id, d.ingest_key
""")
_COUNT_AGAIN = text("""
    UPDATE detections SET key_suspect = false, updated_at = now()
    WHERE incident_id = ANY(CAST(:ids AS text[])) AND key_suspect
""")
_KEYS = text("SELECT key_hash, prefix, label FROM api_keys WHERE role = 'ingest' AND project = :project")


def mark_key_floods(
    connection: sa.Connection, incidents: Mapping[str, str], rules: Rules
) -> list[tuple[str, HistoryChange]]:
    """Mark the detections that a flood from one key keeps from counting, and return the history of their drafts.

    ``incidents``: those that new detections show, with their projects; they are locked. Runs after the suspects are marked and
    before the incidents are settled, in one transaction.
    """
    notes: list[tuple[str, HistoryChange]] = []
    for project in sorted(set(incidents.values())):
        rule = find_confirm_rule(rules, project)
        if connection.execute(_BEGUN, {"project": project}).scalar_one() <= rule.new_per_key:
            continue
        found = connection.execute(_FLOODING, {"project": project, "most": rule.new_per_key})
        shown = {row.ingest_key: row.incidents for row in found}
        if shown:
            SUSPICIOUS_KEYS.inc(len(shown))
            flood = _KeyFlood(project, shown, rule.new_per_key, rule.min_sessions * INDEPENDENT_TIMES)
            notes += flood.hold_incidents(connection, sorted(incidents))
    return notes


class _KeyFlood:
    """The flooding keys of a project, with the new incidents that each has ``shown``, more than ``most``.

    ``least``: independent sources that confirm an incident all the same.
    """

    def __init__(self, project: str, shown: Mapping[int, int], most: int, least: int) -> None:
        self._project = project
        self._shown = shown
        self._most = most
        self._least = least

    def hold_incidents(self, connection: sa.Connection, touched: Sequence[str]) -> list[tuple[str, HistoryChange]]:
        """Mark the detections of incidents that too few sources show, and let the others of the ``touched`` ones count again.

        Returns what the history says of an incident when it is held or counts again.
        """
        values = {"project": self._project, "ids": touched, "first_hash": FIRST_HASH, "at_most": INDEPENDENT_AT_MOST}
        flooded = connection.execute(_FLOODED, values).all()
        held = {row.incident_id: row.is_marked for row in flooded if row.sources < self._least}
        again = {
            row.incident_id: row.sources
            for row in flooded
            if row.is_marked and row.incident_id not in held and row.incident_id in touched
        }
        marked = connection.execute(_MARK, {"ids": sorted(held), "keys": sorted(self._shown)}).all()
        connection.execute(_COUNT_AGAIN, {"ids": sorted(again)})
        first = [row for row in marked if not held[row.incident_id]]
        return self._describe_held(connection, first) + [
            (id_, HistoryChange(RULE, "draft", "draft", _describe_return(sources)))
            for id_, sources in sorted(again.items())
        ]

    def _describe_held(
        self, connection: sa.Connection, marked: "Iterable[sa.Row[Any]]"
    ) -> list[tuple[str, HistoryChange]]:
        sessions: Counter[str] = Counter()
        key_of: dict[str, int] = {}
        for row in marked:
            sessions[row.incident_id] += 1
            key_of[row.incident_id] = row.ingest_key
        names = _read_key_names(connection, self._project) if sessions else {}
        return [
            (id_, HistoryChange(RULE, "draft", "draft", self._describe_reason(sessions[id_], key_of[id_], names)))
            for id_ in sorted(sessions)
        ]

    def _describe_reason(self, sessions: int, key: int, names: Mapping[int, str]) -> str:
        return (
            f"suspicious: {sessions} of its sessions came through {names.get(key, 'a configured ingest key')} that showed"
            f" {self._shown[key]} new incidents within an hour, more than the {self._most} that one key may; they do not"
            f" confirm it until {self._least} independent sources show it, and sessions after the flood do"
        )


def _describe_return(sources: int) -> str:
    return f"suspicious no more: {sources} independent sources show it, so that all of its sessions count"


def _read_key_names(connection: sa.Connection, project: str) -> dict[int, str]:
    """What people call the stored ingest keys of a project, by their numbers. Keys of the configuration are not stored."""
    return {
        number_ingest_key(row.key_hash): f"the ingest key {row.prefix}…" + (f" ({row.label})" if row.label else "")
        for row in connection.execute(_KEYS, {"project": project})
    }
