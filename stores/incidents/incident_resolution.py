"""Resolves incidents in a version, and changes the version of a fix.

`IncidentLedger.apply_action(…, "resolve", …, fix=Fix("2.5", "production"))` and `IncidentLedger.set_fix` are the same in a
transaction of their own. What a fix means for later sessions: `incidents.fixes`; why: docs/decisions/0139.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from incidents import lifecycle
from incidents.fixes import Fix
from incidents.lifecycle import HistoryChange
from stores.incidents.incident_settle import build_incident_state, write_incident_history, write_incident_state


def resolve_incident(
    connection: sa.Connection,
    row: "sa.Row[Any]",
    fix: Fix,
    reason: str,
    actor: str,
    at: datetime | None = None,
) -> None:
    """Resolve the incident of a locked ``row`` (`incident_record.lock_incident_row`), and note it in its history.

    ``fix``: where it was fixed; `NO_FIX` if that is not known. ``at``: time of the fix, by default now. Raises
    IllegalTransition unless the incident is confirmed or regressed.
    """
    before = build_incident_state(row)
    state, change = lifecycle.apply_action(before, "resolve", reason, actor, now=at or datetime.now(UTC), fix=fix)
    write_incident_state(connection, row.incident_id, state)
    write_incident_history(connection, [(row.incident_id, change)])


def set_fix(connection: sa.Connection, row: "sa.Row[Any]", fix: Fix, reason: str, actor: str) -> bool:
    """Change where the locked incident ``row`` was fixed, and note it in its history. Returns whether that changed anything.

    The time of the fix stays. Raises IllegalTransition unless the incident is resolved.
    """
    before = build_incident_state(row)
    if before.status != "resolved":
        raise lifecycle.IllegalTransition(f"an incident that is {before.status} has no fix whose version could change")
    if before.fix == fix:
        return False
    where = f"fixed in {fix}" if str(fix) else "the version of the fix is unknown"
    change = HistoryChange(actor, "resolved", "resolved", f"{where}: {reason}")
    write_incident_state(connection, row.incident_id, lifecycle.replace_fix(before, fix))
    write_incident_history(connection, [(row.incident_id, change)])
    return True
