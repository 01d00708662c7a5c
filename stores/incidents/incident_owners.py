"""Who owns which incident, kept for lists by owner (docs/decisions/0149).

The rules of owners are a file. Each row names the rules that decided it. Rows of other rules, and of incidents that changed,
are decided again before a list by owner is read.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy import text

from incidents.owner_patterns import Place, find_request
from incidents.owners import OwnerRules, find_place_owner
from stores.incidents.incident_database import Database

_BATCH: Final = 1_000
"""Incidents that one transaction decides."""
_NOBODY: Final = ""
_IS_OLD: Final = "(rules IS NULL OR rules < :rules OR rules > :rules)"
_ANY_OLD = text(f"SELECT EXISTS (SELECT FROM incident_owners WHERE {_IS_OLD})")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('furrow owners', 0))")
# Locked before the incidents are read: who changes one meanwhile waits here, and makes the row old again. What somebody else
# is changing right now is left to the next list.
_LOCK_OLD = text(f"""
    SELECT incident_id FROM incident_owners WHERE {_IS_OLD} ORDER BY incident_id LIMIT {_BATCH} FOR UPDATE SKIP LOCKED
""")
_READ = text("""
    SELECT incident_id, project, failure_point, label, assignee FROM incidents
    WHERE incident_id = ANY(CAST(:ids AS text[]))
""")
_WRITE = text("""
    UPDATE incident_owners SET owners = CAST(:owners AS text[]), rules = :rules WHERE incident_id = :incident_id
""")

HAS_OWNER: Final = """EXISTS (
    SELECT FROM incident_owners w WHERE w.incident_id = i.incident_id AND w.owners @> ARRAY[CAST(:owner AS text)])"""
"""Whether `owner` is one of an incident's owners."""
IS_UNOWNED: Final = """EXISTS (
    SELECT FROM incident_owners w WHERE w.incident_id = i.incident_id AND w.owners @> ARRAY[''])"""
"""Whether nobody owns an incident."""


class OwnerIndex:
    """Who owns which incident. Thread-safe; each batch is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bring_up_to_date(self, rules: OwnerRules) -> int:
        """Decide again who owns what changed, or was decided by other rules; how many incidents that were.

        Rules that could not be read even once (``is_known``) decide nothing.
        """
        decided = 0
        while rules.is_known and (batch := self._decide_batch(rules)):
            decided += batch
        return decided

    def _decide_batch(self, rules: OwnerRules) -> int:
        with self._database.open_transaction() as connection:
            if not connection.execute(_ANY_OLD, {"rules": rules.digest}).scalar_one():
                return 0
            # Two lists at once: the second one waits until the first one decided.
            connection.execute(_LOCK)
            ids = connection.execute(_LOCK_OLD, {"rules": rules.digest}).scalars().all()
            rows = connection.execute(_READ, {"ids": list(ids)}).all()
            values = [
                {"incident_id": row.incident_id, "owners": _list_owners(row, rules), "rules": rules.digest}
                for row in rows
            ]
            if values:
                connection.execute(_WRITE, values)
            return len(values)


def _list_owners(row: "sa.Row[tuple[str, str, dict[str, str], str, str | None]]", rules: OwnerRules) -> list[str]:
    if row.assignee:
        return [row.assignee]
    point = row.failure_point
    place = Place(row.project, point["route"], find_request(point["feedback"]), point["target"], row.label)
    owner = find_place_owner(place, rules)
    return list(owner.names) if owner else [_NOBODY]
