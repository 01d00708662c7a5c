"""API keys (their hashes) and projects."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import text

from incidents.model import KeyRecord, ProjectRecord
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_detection import encode_json_text

# Incidents are very many, and their projects few: each project is found by the one before it in an index.
_KNOWN_PROJECTS = text("""
    WITH RECURSIVE shown AS (
        (SELECT project FROM incidents ORDER BY project LIMIT 1)
        UNION ALL
        SELECT (SELECT i.project FROM incidents i WHERE i.project > s.project ORDER BY i.project LIMIT 1)
        FROM shown s WHERE s.project IS NOT NULL
    )
    SELECT id FROM projects UNION SELECT project FROM api_keys UNION SELECT project FROM shown WHERE project IS NOT NULL
    UNION SELECT 'default' EXCEPT SELECT '*' ORDER BY 1
""")


class KeyRegistry:
    """The API keys, and the projects with their origins and settings.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def read_api_keys(self) -> list[KeyRecord]:
        """All API keys, revoked ones included."""
        query = text("""
            SELECT key_hash, prefix, project, role, revoked_at IS NOT NULL AS revoked, label, created_at, last_used_at
            FROM api_keys ORDER BY project, role, created_at, key_hash
        """)
        with self._database.open_transaction() as connection:
            return [KeyRecord(**row._mapping) for row in connection.execute(query)]

    def save_api_key(self, key_hash: str, prefix: str, project: str, role: str, label: str = "") -> None:
        """Create or change the key with this hash; a revoked one is valid again."""
        statement = text("""
            INSERT INTO api_keys (key_hash, prefix, project, role, label)
            VALUES (:key_hash, :prefix, :project, :role, :label)
            ON CONFLICT (key_hash) DO UPDATE SET prefix = excluded.prefix, project = excluded.project,
                role = excluded.role, label = excluded.label, revoked_at = NULL
        """)
        record = {"key_hash": key_hash, "prefix": prefix, "project": project, "role": role, "label": label}
        with self._database.open_transaction() as connection:
            connection.execute(statement, record)

    def record_keys_used(self, used: Mapping[str, datetime]) -> None:
        """Record when keys (by hash) were last used; an earlier time than the stored one changes nothing."""
        statement = text("""
            UPDATE api_keys k SET last_used_at = u.at
            FROM unnest(CAST(:hashes AS text[]), CAST(:times AS timestamptz[])) AS u(key_hash, at)
            WHERE k.key_hash = u.key_hash AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
        """)
        columns = {"hashes": list(used), "times": list(used.values())}
        with self._database.open_transaction() as connection:
            connection.execute(statement, columns)

    def revoke_api_keys(self, prefix: str) -> int:
        """Revoke the keys with this prefix; returns how many were valid."""
        statement = text("""
            UPDATE api_keys SET revoked_at = now() WHERE prefix = :prefix AND revoked_at IS NULL RETURNING 1
        """)
        with self._database.open_transaction() as connection:
            return len(connection.execute(statement, {"prefix": prefix}).all())

    def read_projects(self) -> list[ProjectRecord]:
        """All projects with origins or settings."""
        query = text("SELECT id, origins, settings FROM projects ORDER BY id")
        with self._database.open_transaction() as connection:
            return [ProjectRecord(**row._mapping) for row in connection.execute(query)]

    def list_known_projects(self) -> list[str]:
        """The sorted ids of all projects that were created, or that have a key or an incident; always with `default`."""
        with self._database.open_transaction() as connection:
            return [str(name) for name in connection.execute(_KNOWN_PROJECTS).scalars()]

    def save_project(
        self, id: str, origins: Sequence[str] | None = None, settings: Mapping[str, object] | None = None
    ) -> None:
        """Create a project, or replace its origins or settings; None leaves that part unchanged."""
        statement = text("""
            INSERT INTO projects AS p (id, origins, settings)
            VALUES (:id, coalesce(CAST(:origins AS text[]), '{}'), coalesce(CAST(:settings AS jsonb), '{}'))
            ON CONFLICT (id) DO UPDATE SET origins = coalesce(CAST(:origins AS text[]), p.origins),
                settings = coalesce(CAST(:settings AS jsonb), p.settings), updated_at = now()
        """)
        values = {
            "id": id,
            "origins": None if origins is None else list(origins),
            "settings": None if settings is None else encode_json_text(clean_for_postgres(settings)),
        }
        with self._database.open_transaction() as connection:
            connection.execute(statement, values)
