"""The schema of the incident store: alembic's revisions in ``schema/postgres``, run within one transaction, under a lock.

Alembic takes 9 MB of memory in each process that loads it. It is loaded when there is something to upgrade.
"""

import re

import sqlalchemy as sa
from sqlalchemy import text

from core.errors import PermanentError
from core.package import ROOT
from stores.schema_version import refuse_newer_schema

_MIGRATIONS = ROOT / "schema" / "postgres"
# Any number will do, as long as every process of Furrow takes the same one ("furrow" in ASCII).
_LOCK = 0x667572726F77
_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)


def list_known_revisions() -> list[str]:
    """The revisions that there are, oldest first."""
    texts = (file.read_text(encoding="utf-8") for file in (_MIGRATIONS / "versions").glob("*.py"))
    return sorted(found[1] for sql in texts if (found := _REVISION.search(sql)))


def read_applied_revision(connection: sa.Connection) -> str | None:
    """The revision of this database; None when it is new. Changes nothing."""
    if connection.execute(text("SELECT to_regclass('furrow_schema_version')")).scalar() is None:
        return None
    found = connection.execute(text("SELECT version_num FROM furrow_schema_version")).scalar()
    return None if found is None else str(found)


def check_schema_version(connection: sa.Connection) -> None:
    """Raise SchemaTooNew if a newer Furrow has upgraded this database. Changes nothing."""
    found = read_applied_revision(connection)
    refuse_newer_schema("incident store", [found] if found else [], list_known_revisions())


def migrate(connection: sa.Connection, revision: str = "head") -> None:
    """Bring the database to ``revision``; waits for whoever does so at the same time. Raises SchemaTooNew."""
    # A slow migration by another process is waited for; the lock ends with the transaction.
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    check_schema_version(connection)
    if read_applied_revision(connection) != (list_known_revisions()[-1] if revision == "head" else revision):
        _upgrade(connection, revision)


def _upgrade(connection: sa.Connection, revision: str) -> None:
    import alembic.command
    import alembic.config
    import alembic.util

    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        alembic.command.upgrade(config, revision)
    except alembic.util.CommandError as error:
        raise PermanentError(f"the incident store's schema does not belong to this version: {error}") from error
