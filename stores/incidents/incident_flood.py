"""Floods: more new incidents of a project within an hour than its budget. New incidents of a flood are held back from export.

No incident is dropped: all are stored, counted and confirmed as usual. An incident of a flood without a ticket is held until a
person decides about it, or until enough independent sources show it. Enough is the number of sessions of the confirm rule; a
source is independent if it takes part in few incidents of the flood. So visitors with a real problem release it, and the
sender of a flood cannot. At most the budget is released in this way in an hour.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import text

from incidents.lifecycle import RULE, HistoryChange
from incidents.model import DEFAULT_RULE, Rules
from stores.incidents.incident_database import Database
from stores.incidents.incident_settle import find_confirm_rule, write_incident_history

INDEPENDENT_AT_MOST: Final = 3
"""Maximum incidents of one flood for an independent source."""

# An incident with a ticket is not held. "Exported" is not a status.
IS_HELD: Final = """(
    i.released_at IS NULL
    AND EXISTS (SELECT FROM floods f WHERE f.project = i.project AND i.created_at BETWEEN f.from_at AND f.until_at)
    AND NOT EXISTS (SELECT FROM outbox o WHERE o.incident_id = i.incident_id AND o.ticket_key IS NOT NULL)
)"""

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('furrow flood ' || :project, 0))")
_NEW = text("""
    SELECT count(*) AS incidents, min(created_at) AS since FROM incidents
    WHERE project = :project AND created_at > now() - interval '1 hour'
""")
_EXTEND = text("""
    UPDATE floods SET until_at = now(), budget = :budget, incidents = (
        SELECT count(*) FROM incidents i WHERE i.project = :project AND i.created_at BETWEEN from_at AND now())
    WHERE project = :project AND until_at >= :since
    RETURNING 1
""")
_BEGIN = text("""
    INSERT INTO floods (project, from_at, until_at, budget, incidents)
    VALUES (:project, :since, now(), :budget, :incidents)
    ON CONFLICT (project, from_at) DO UPDATE SET until_at = excluded.until_at, incidents = excluded.incidents
""")
_HELD = text(f"""
    SELECT f.project, f.from_at, f.until_at, f.budget, f.incidents,
           f.until_at > now() - interval '1 hour' AS lasts,
           (SELECT count(*) FROM incidents i WHERE i.project = f.project
               AND i.created_at BETWEEN f.from_at AND f.until_at AND {IS_HELD}
               AND i.status IN ('confirmed', 'regressed') AND i.affected_sessions > 0) AS held
    FROM floods f WHERE CAST(:project AS text) IS NULL OR f.project = :project ORDER BY f.project, f.from_at
""")
_RELEASED = text("""
    SELECT count(*) FROM incidents WHERE project = :project AND released_at > now() - interval '1 hour'
""")
# A small number stands for a forgotten hash; it cannot be compared across incidents.
_INDEPENDENT = text(f"""
    WITH flooded AS (
        SELECT i.incident_id, {IS_HELD} AND i.status IN ('confirmed', 'regressed') AS waits
        FROM incidents i JOIN floods f ON f.project = i.project AND i.created_at BETWEEN f.from_at AND f.until_at
        WHERE i.project = :project
    ), seen AS (
        SELECT DISTINCT d.source, d.incident_id, x.waits FROM flooded x
        JOIN detections d ON d.incident_id = x.incident_id AND d.retracted_at IS NULL
        WHERE d.source >= 4611686018427387904
    ), shares AS (
        SELECT source, count(*) AS incidents FROM seen GROUP BY source
    )
    SELECT s.incident_id, count(*) AS sources
    FROM seen s JOIN shares USING (source) WHERE s.waits AND shares.incidents <= :most
    GROUP BY s.incident_id HAVING count(*) >= :least
    ORDER BY sources DESC, s.incident_id LIMIT :limit
""")
_LET_THROUGH = text(f"""
    UPDATE incidents i SET released_at = now(), updated_at = now()
    WHERE i.incident_id = :incident_id AND {IS_HELD} RETURNING 1
""")
_RELEASE = text("""
    UPDATE incidents i SET released_at = now(), updated_at = now()
    FROM (SELECT incident_id FROM incidents WHERE incident_id = ANY(CAST(:ids AS text[])) AND released_at IS NULL
          ORDER BY incident_id FOR NO KEY UPDATE SKIP LOCKED) locked
    WHERE i.incident_id = locked.incident_id RETURNING i.incident_id, i.status
""")


@dataclass(frozen=True)
class Flood:
    """A period with ``incidents`` new incidents in ``project``, more than its ``budget`` an hour; ``held`` of them are held
    back. ``lasts``: it has not ended, or ended within the last hour."""

    project: str
    since: datetime
    until: datetime
    budget: int
    incidents: int
    lasts: bool
    held: int


def update_floods(connection: sa.Connection, projects: Iterable[str], rules: Rules) -> None:
    """Begin or extend a flood in each of these projects whose new incidents exceed the budget.

    Runs in the transaction that creates the incidents, so no export sees them before. It takes its locks last.
    """
    for project in sorted(projects):
        budget = find_confirm_rule(rules, project).new_per_hour
        connection.execute(_LOCK, {"project": project})
        new = connection.execute(_NEW, {"project": project}).one()
        if new.incidents <= budget:
            continue
        values = {"project": project, "since": new.since, "budget": budget, "incidents": new.incidents}
        if not connection.execute(_EXTEND, values).all():
            connection.execute(_BEGIN, values)


class FloodGate:
    """The floods of new incidents, and the incidents held back in them.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_floods(self, project: str | None = None) -> list[Flood]:
        """The floods of one project, or (None) of all, oldest first."""
        with self._database.open_transaction() as connection:
            return list_floods(connection, project)

    def release_flood_incidents(self, rules: Rules = DEFAULT_RULE) -> list[str]:
        """Release held incidents that independent sources show, those with most sources first. Returns their ids.

        At most a project's budget in an hour.
        """
        with self._database.open_transaction() as connection:
            released: list[str] = []
            for project in sorted({flood.project for flood in list_floods(connection) if flood.held}):
                rule = find_confirm_rule(rules, project)
                connection.execute(_LOCK, {"project": project})
                left = rule.new_per_hour - connection.execute(_RELEASED, {"project": project}).scalar_one()
                values = {
                    "project": project,
                    "most": INDEPENDENT_AT_MOST,
                    "least": rule.min_sessions,
                    "limit": max(0, left),
                }
                sources = {row.incident_id: row.sources for row in connection.execute(_INDEPENDENT, values)}
                for row in connection.execute(_RELEASE, {"ids": list(sources)}).all():
                    reason = f"released from the flood: {sources[row.incident_id]} independent sources show it"
                    write_incident_history(
                        connection, [(row.incident_id, HistoryChange(RULE, row.status, row.status, reason))]
                    )
                    released.append(row.incident_id)
            return released


def release_held_incident(connection: sa.Connection, incident_id: str) -> bool:
    """Release this incident, whose row is locked. Returns whether it was held."""
    return bool(connection.execute(_LET_THROUGH, {"incident_id": incident_id}).all())


def list_floods(connection: sa.Connection, project: str | None = None) -> list[Flood]:
    """The floods of one project, or (None) of all, oldest first."""
    return [
        Flood(row.project, row.from_at, row.until_at, row.budget, row.incidents, row.lasts, row.held)
        for row in connection.execute(_HELD, {"project": project})
    ]
