"""A database that schema 0006 filled is upgraded: nothing is lost, and it goes on."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import text

from collector.access.keys import hash_key
from incidents.fixes import Fix
from stores.incidents.incident_schema import migrate
from stores.incidents.incident_store import IncidentQuery, IncidentStore
from tests.integration.api_cases import whole_detection
from tests.integration.incident_store_cases import record

FILLED = Path(__file__).parents[1] / "data" / "upgrades" / "postgres-0006.json"
"""Each table of a store of schema 0006, as COPY wrote it: two projects, five sessions, two incidents, a filed ticket."""
TABLES = ("projects", "api_keys", "cursors", "incidents", "detections", "incident_history", "outbox")


@pytest.fixture
def upgraded(empty_postgres_url: str) -> IncidentStore:
    """The store after the upgrade."""
    stored = json.loads(FILLED.read_text(encoding="utf-8"))
    assert set(stored) - {"furrow_schema_version"} == set(TABLES)
    engine = sa.create_engine(empty_postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        migrate(connection, "0006")
        raw = connection.connection.driver_connection
        assert raw is not None
        for table in TABLES:
            columns = ", ".join(stored[table]["columns"])
            with raw.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                copy.write("\n".join([*stored[table]["rows"], ""]))
        connection.execute(text("SELECT setval('incident_history_id_seq', (SELECT max(id) FROM incident_history))"))
    engine.dispose()
    store = IncidentStore.connect(empty_postgres_url)
    store.migrate()
    return store


def test_incidents_keep_their_numbers_and_tickets(upgraded: IncidentStore) -> None:
    listed = {one["projectId"]: one for one in upgraded.incidents.list_incidents(IncidentQuery()).incidents}
    assert {project: one["affectedSessions"] for project, one in listed.items()} == {"shop": 3, "blog": 2}
    assert [ticket["key"] for ticket in listed["shop"]["tickets"]] == ["SHOP-1"]
    found = upgraded.incidents.read_incident(listed["shop"]["incidentId"])
    assert found is not None
    assert [change["to"] for change in found["history"]] == ["draft", "confirmed", "confirmed"]
    assert upgraded.incidents.read_store_counts()["detections"] == 5
    upgraded.close()


def test_a_further_session_joins_its_incident(upgraded: IncidentStore) -> None:
    (before,) = upgraded.incidents.list_incidents(IncidentQuery(project="shop")).incidents
    record(upgraded, whole_detection("s4", "shop"))
    record(upgraded, whole_detection("s4", "shop"))
    (after,) = upgraded.incidents.list_incidents(IncidentQuery(project="shop")).incidents
    assert after["incidentId"] == before["incidentId"]
    assert after["affectedSessions"] == 4
    upgraded.close()


def test_keys_keep_their_roles(upgraded: IncidentStore) -> None:
    roles = {key.key_hash: key.role for key in upgraded.keys.read_api_keys()}
    assert (roles[hash_key("shop-operator")], roles[hash_key("shop-sender")]) == ("operator", "ingest")
    upgraded.close()


def test_versions_that_were_seen_before_are_known_releases_and_a_fix_without_a_version_stays(
    upgraded: IncidentStore,
) -> None:
    (seen,) = upgraded.releases.list_releases("shop")
    assert (seen["environment"], seen["version"], seen["releasedAt"]) == ("production", "2.4.1", None)
    (incident,) = upgraded.incidents.list_incidents(IncidentQuery(project="shop")).incidents
    assert (incident["fixVersion"], incident["fixEnvironment"], incident["fixInNextRelease"]) == (None, None, False)
    resolved = upgraded.ledger.apply_action(incident["incidentId"], "resolve", "merged", "eve", fix=Fix("2.5"))
    assert (resolved["status"], resolved["fixVersion"]) == ("resolved", "2.5")
    upgraded.close()
