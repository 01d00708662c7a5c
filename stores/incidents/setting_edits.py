"""What people change on the page of settings: keys and projects, each with a line of who changed what."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text

from incidents.lifecycle import IllegalTransition
from incidents.model import ProjectRecord
from stores.incidents.audit_log import write_audit_entry
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_detection import encode_json_text

_CHANGES_SHOWN: Final = 50
_ADD_KEY = text("""
    INSERT INTO api_keys (key_hash, prefix, project, role, label) VALUES (:key_hash, :prefix, :project, :role, :label)
""")
_REVOKE = text("""
    UPDATE api_keys SET revoked_at = now() WHERE prefix = :prefix AND project = :project AND revoked_at IS NULL
    RETURNING key_hash
""")
_END_SESSIONS = text("DELETE FROM page_sessions WHERE key_hash = ANY(CAST(:hashes AS text[]))")
_CREATE_PROJECT = text("INSERT INTO projects (id) VALUES (:id) ON CONFLICT (id) DO NOTHING")
_LOCK_PROJECT = text("SELECT id, origins, settings FROM projects WHERE id = :id FOR UPDATE")
_SAVE_PROJECT = text("""
    UPDATE projects SET origins = CAST(:origins AS text[]), settings = CAST(:settings AS jsonb), updated_at = now()
    WHERE id = :id
""")
_CHANGES = text(f"""
    SELECT at, actor, project, action, subject, reason FROM audit_log
    WHERE action IN ('key.created', 'key.revoked', 'project.changed', 'tracker.asked', 'alerts.tested')
      AND (CAST(:project AS text) IS NULL OR project = :project)
    ORDER BY id DESC LIMIT {_CHANGES_SHOWN}
""")


class StaleEdit(IllegalTransition):
    """The settings are no longer those that the person saw."""


class NewKey(NamedTuple):
    """A key to store: its hash (never the key), its first characters, and what it is for."""

    key_hash: str
    prefix: str
    project: str
    role: str
    label: str


class SettingChange(NamedTuple):
    """What was changed, by whom and when, as the audit log has it; ``project``: '*' for a key of all projects."""

    at: datetime
    actor: str
    project: str
    action: str
    subject: str
    change: str


class SettingEdits:
    """Changes of keys and projects. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_key(self, key: NewKey, actor: str) -> None:
        """Store a new key."""
        with self._database.open_transaction() as connection:
            connection.execute(_ADD_KEY, key._asdict())
            write_audit_entry(
                connection, actor, "key.created", key.project, key.prefix, f"{key.role} key {key.label}".rstrip()
            )

    def revoke_key(self, prefix: str, project: str, actor: str) -> bool:
        """Revoke the keys of a project with this prefix, and end the sessions that they began. False if none is valid."""
        with self._database.open_transaction() as connection:
            hashes = list(connection.execute(_REVOKE, {"prefix": prefix, "project": project}).scalars())
            if hashes:
                connection.execute(_END_SESSIONS, {"hashes": hashes})
                write_audit_entry(connection, actor, "key.revoked", project, prefix)
        return bool(hashes)

    def change_project(
        self, before: ProjectRecord, origins: Sequence[str], settings: Mapping[str, object], actor: str, change: str
    ) -> None:
        """Replace origins and settings of the project ``before.id``, which is created if there is none.

        Raises StaleEdit, and changes nothing, when the project is no longer as ``before``.
        """
        values = {
            "id": before.id,
            "origins": list(origins),
            "settings": encode_json_text(clean_for_postgres(settings)),
        }
        with self._database.open_transaction() as connection:
            connection.execute(_CREATE_PROJECT, {"id": before.id})
            row = connection.execute(_LOCK_PROJECT, {"id": before.id}).one()
            if ProjectRecord(**row._mapping) != before:
                raise StaleEdit("somebody changed this project after your page was loaded")
            connection.execute(_SAVE_PROJECT, values)
            write_audit_entry(connection, actor, "project.changed", before.id, before.id, change)

    def list_changes(self, project: str | None) -> list[SettingChange]:
        """The newest changes of a project (None: of all), the newest first; at most 50."""
        with self._database.open_transaction() as connection:
            return [SettingChange(*row) for row in connection.execute(_CHANGES, {"project": project})]
