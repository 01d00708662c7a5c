"""The audit log: what people did, and what they were refused. Rows are only added.

What people did to incidents is in the history of the incidents and is read from there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import text

from incidents.audit import AuditAction, AuditEntry
from incidents.lifecycle import RULE
from stores.incidents.incident_database import Database, clean_for_postgres

_CHUNK = 1_000
_MAX_TEXT = 2_000
_ADD = text("""
    INSERT INTO audit_log (actor, action, project, subject, reason)
    VALUES (:actor, :action, :project, :subject, :reason)
""")
# Rows of both tables in one order, which a reader continues behind the last row it got: (time, table, id), newest first.
# The steps of rules are of no person.
_LIST = text("""
    SELECT at, kind, id, actor, action, project, subject, reason FROM (
        SELECT at, 0 AS kind, id, actor, action, project, subject, reason FROM audit_log
        WHERE at >= :since AND at < :until AND (CAST(:project AS text) IS NULL OR project = :project)
        UNION ALL
        SELECT h.at, 1 AS kind, h.id, h.actor,
            CASE WHEN h.from_status IS DISTINCT FROM h.to_status THEN 'incident.' || h.to_status ELSE 'incident.note' END,
            i.project, h.incident_id, h.reason
        FROM incident_history h JOIN incidents i USING (incident_id)
        WHERE h.actor <> 'rule' AND h.at >= :since AND h.at < :until
            AND (CAST(:project AS text) IS NULL OR i.project = :project)
    ) entries
    WHERE (at, kind, id) < (CAST(:at AS timestamptz), CAST(:kind AS integer), CAST(:id AS bigint))
    ORDER BY at DESC, kind DESC, id DESC LIMIT :most
""")
_FIRST = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_LAST = datetime.fromisoformat("9999-01-01T00:00:00+00:00")
assert RULE == "rule"  # as the statement and the index of migration 9 have it


@dataclass(frozen=True)
class AuditPlace:
    """Where in the log a reader is: behind this row."""

    at: datetime = _LAST
    kind: int = 0
    id: int = 0


@dataclass(frozen=True)
class AuditPage:
    """Entries, the newest first, and the place behind the last one; None: there are no older ones."""

    entries: tuple[AuditEntry, ...]
    after: AuditPlace | None


class AuditLog:
    """Adds to the audit log and reads it.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_audit_entry(
        self, actor: str, action: AuditAction, project: str, subject: str = "", reason: str = ""
    ) -> None:
        """Add an entry. ``project``: `*` for what is of no single project. Texts are cut at 2,000 characters."""
        with self._database.open_transaction() as connection:
            write_audit_entry(connection, actor, action, project, subject, reason)

    def list_audit_entries(
        self,
        project: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: AuditPlace | None = None,
        most: int = 200,
    ) -> AuditPage:
        """The newest ``most`` entries of one project, or (None) of all, with ``since`` <= time < ``until``, behind
        ``after``."""
        place = after or AuditPlace()
        values = {
            "project": project,
            "since": since or _FIRST,
            "until": until or _LAST,
            "at": place.at,
            "kind": place.kind,
            "id": place.id,
            "most": most + 1,
        }
        with self._database.open_transaction() as connection:
            rows = connection.execute(_LIST, values).all()
        shown = rows[:most]
        last = AuditPlace(shown[-1].at, shown[-1].kind, shown[-1].id) if len(rows) > most else None
        return AuditPage(
            tuple(AuditEntry(row.at, row.actor, row.action, row.project, row.subject, row.reason) for row in shown),
            last,
        )

    def iterate_audit_entries(
        self, project: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[AuditEntry]:
        """All entries as above, the newest first, read in chunks."""
        page = self.list_audit_entries(project, since, until, most=_CHUNK)
        yield from page.entries
        while page.after is not None:
            page = self.list_audit_entries(project, since, until, page.after, _CHUNK)
            yield from page.entries


def write_audit_entry(
    connection: sa.Connection, actor: str, action: AuditAction, project: str, subject: str = "", reason: str = ""
) -> None:
    """Add an entry in a transaction that does what it says."""
    values = {"actor": actor, "project": project, "subject": subject, "reason": reason}
    cleaned = {name: clean_for_postgres(value)[:_MAX_TEXT] for name, value in values.items()}
    connection.execute(_ADD, {**cleaned, "action": action})
