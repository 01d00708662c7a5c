"""Assignment of incidents to persons and teams, and changes that are refused because somebody else was faster."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import text

from core.errors import PermanentError
from incidents.lifecycle import HistoryChange, IllegalTransition, VersionChanged
from stores.incidents.incident_database import clean_for_postgres
from stores.incidents.incident_settle import write_incident_history

MAX_ASSIGNEE = 100
_ASSIGN = text("""
    UPDATE incidents SET assignee = :assignee, assigned_by = :actor, updated_at = now() WHERE incident_id = :incident_id
""")
_RAISE = text("UPDATE incidents SET version = version + 1 WHERE incident_id = :incident_id")
_LAST = text("""
    SELECT actor, to_status, reason FROM incident_history WHERE incident_id = :incident_id ORDER BY id DESC LIMIT 1
""")
_INHERIT = text("""
    UPDATE incidents t SET assignee = s.assignee, assigned_by = s.assigned_by
    FROM incidents s
    WHERE t.incident_id = :target AND s.incident_id = :source AND t.assignee IS NULL AND s.assignee IS NOT NULL
    RETURNING t.assignee
""")


def require_version(connection: sa.Connection, row: "sa.Row[Any]", version: int | None) -> None:
    """Raise VersionChanged if the locked ``row`` has another version than ``version`` (None: any is right)."""
    if version in (None, row.version):
        return
    last = connection.execute(_LAST, {"incident_id": row.incident_id}).one_or_none()
    words = f"{last.to_status}, by {last.actor}: {last.reason}" if last else row.status
    raise VersionChanged(row.version, int(version or 0), words)


def raise_version(connection: sa.Connection, incident_id: str) -> None:
    """Note a decision about a locked incident that changes no column which the database's trigger compares."""
    connection.execute(_RAISE, {"incident_id": incident_id})


def write_assignment(
    connection: sa.Connection, row: "sa.Row[Any]", assignee: str | None, reason: str, actor: str
) -> None:
    """Assign the locked ``row``, with a line in its history. The same assignee again changes nothing."""
    if row.merged_into:
        raise IllegalTransition(f"the incident is merged into {row.merged_into}; act on that one")
    name = clean_for_postgres(assignee).strip() if assignee else ""
    if len(name) > MAX_ASSIGNEE:
        raise PermanentError(f"the name of a person or team has at most {MAX_ASSIGNEE} characters")
    if name == (row.assignee or ""):
        return
    by = clean_for_postgres(actor)[:200]
    values = {"incident_id": row.incident_id, "assignee": name or None, "actor": by if name else None}
    connection.execute(_ASSIGN, values)
    what = f"assigned to {name}" if name else f"no longer assigned to {row.assignee}"
    more = f": {reason.strip()}" if reason.strip() else ""
    write_incident_history(
        connection, [(row.incident_id, HistoryChange(actor, row.status, row.status, f"{what}{more}"))]
    )


def inherit_assignment(connection: sa.Connection, pair: dict[str, str]) -> list[str]:
    """After a merge: the target that nobody was assigned to takes over the source's. Returns it in words."""
    return [f"assigned to {name}" for name in connection.execute(_INHERIT, pair).scalars()]
