"""The role that compose.yaml's Postgres makes for Furrow: it owns its database, and may do nothing else."""

import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from stores.embedded_postgres import _BIN, EmbeddedPostgres
from stores.incidents.incident_store import IncidentStore

SCRIPT = Path(__file__).resolve().parents[2] / "containers" / "postgres-role.sh"
PASSWORD = "it's a $(secret) `one`"


def test_the_role_owns_its_database_and_is_no_superuser(stoppable_postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    environment = {
        "PATH": f"{_BIN}:{os.environ['PATH']}",
        "PGHOST": make_url(stoppable_postgres.url).query["host"],
        "POSTGRES_USER": "postgres",
        "FURROW_PASSWORD_FILE": str(tmp_path / "password"),
    }
    done = subprocess.run(["sh", str(SCRIPT)], env=environment, capture_output=True, text=True)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    with psycopg.connect(stoppable_postgres.url) as connection:
        rights = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolcanlogin"
        role = connection.execute(f"SELECT {rights} FROM pg_roles WHERE rolname = 'furrow'").fetchone()
        assert role == (False, False, False, False, False, True)
        kept = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'furrow'").fetchone()
        assert kept is not None
        assert kept[0].startswith("SCRAM-SHA-256$")
    ours = stoppable_postgres.build_database_url("furrow").replace("postgres@", "furrow@")
    store = IncidentStore.connect(ours)
    store.migrate()
    store.keys.save_project("shop", ["https://shop.example"])
    assert [one.id for one in store.keys.read_projects()] == ["shop"]
    store.close()
    with psycopg.connect(ours, autocommit=True) as connection:
        for forbidden in (
            "CREATE ROLE other",
            "CREATE DATABASE other",
            "COPY projects TO PROGRAM 'id'",
            "SELECT pg_read_file('/etc/passwd')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)
