"""`furrow backup` and `furrow restore` in server mode: a ClickHouse over HTTP, a Postgres on a port, a spool that goes on."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from collector.spool.segments import list_segments
from collector.spool.spool import Spool
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentStore
from tests.e2e.test_commands_operators import furrow, refused, succeeded
from tests.fakes.clickhouse_http import ClickHouseServer
from tests.fakes.servers import PostgresServer
from tests.integration.incident_store_cases import detection, incident, record
from tests.integration.test_care import content, whole
from tests.rows import lines, row

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres") / "data")
    server.serve()
    with psycopg.connect(server.server_url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE before")
        connection.execute("CREATE DATABASE after")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


def test_a_round_trip(postgres: PostgresServer, clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    urls = {
        name: {
            "FURROW_EVENT_STORE_URL": clickhouse.url(name),
            "FURROW_INCIDENT_STORE_URL": postgres.server_url(name),
        }
        for name in ("before", "after")
    }
    data, target = tmp_path / "data", tmp_path / "backup"
    events = EventStore(clickhouse.url("before"))
    events.migrate()
    events.land_segment(lines(row(f"s{n % 9}", n, target_label="ä") for n in range(500)), "token")
    incidents = IncidentStore.connect(postgres.server_url("before"))
    incidents.migrate()
    record(incidents, *(detection(f"s{n}") for n in range(3)))
    spool = Spool(data / "spool", seal_seconds=60)  # a collector that goes on: its segment is open
    spool.append(lines([row("spooled")]), 1).result(10)
    told = json.loads(succeeded(furrow("backup", str(target), "--data-dir", str(data), "--json", **urls["before"])))
    spool.close()
    assert (told["rows"]["events"], told["rows"]["detections"]) == (500, 3)
    restored = tmp_path / "restored"
    succeeded(furrow("restore", str(target), "--data-dir", str(restored), **urls["after"]))
    other = EventStore(clickhouse.url("after"))
    assert content(other) == content(events)
    assert whole(postgres.server_url("after")) == whole(postgres.server_url("before"))
    assert incident(IncidentStore.connect(postgres.server_url("after")))["affectedSessions"] == 3
    # What was accepted and had not landed is sealed by the next collector, and lands.
    Spool(restored / "spool").close()
    assert [segment.events for segment in list_segments(restored / "spool")] == [1]
    assert "not empty" in refused(furrow("restore", str(target), "--data-dir", str(tmp_path / "x"), **urls["after"]))
