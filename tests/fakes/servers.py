"""Fixtures of the tests in server mode: a ClickHouse reached over HTTP, and a Postgres on a port that asks for a password."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stores.embedded_postgres import HERE, EmbeddedPostgres
from tests.event_databases import EventDatabases
from tests.fakes.clickhouse_http import ClickHouseServer
from tests.ports import free_port

POSTGRES_PASSWORD = "p:w/d#é"
QUOTED_PASSWORD = "p%3Aw%2Fd%23%C3%A9"


@pytest.fixture(scope="session")
def clickhouse_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse-server")) as server:
        yield server


@pytest.fixture
def clickhouse(clickhouse_process: ClickHouseServer) -> ClickHouseServer:
    """The server, without faults and without a memory of the tests before."""
    clickhouse_process.start()  # a test may have failed while it was killed
    clickhouse_process.fault()
    clickhouse_process.forget()
    return clickhouse_process


@pytest.fixture(scope="session")
def event_databases(clickhouse_process: ClickHouseServer) -> EventDatabases:
    """The databases that the tests of this process make in that server."""
    return EventDatabases(clickhouse_process.url)


@pytest.fixture
def event_store_url(clickhouse: ClickHouseServer, event_databases: EventDatabases) -> Iterator[str]:
    """URL of a database of that server: what stands in for the embedded one of the shared cases."""
    with event_databases.make_migrated() as url:
        yield url


@pytest.fixture
def empty_event_store_url(clickhouse: ClickHouseServer, event_databases: EventDatabases) -> Iterator[str]:
    """URL of a database of that server that is not there yet."""
    with event_databases.make_empty() as url:
        yield url


class PostgresServer(EmbeddedPostgres):
    """The same binaries, run as a server is: on a port, with passwords (SCRAM) over TCP."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.port = free_port()

    def server_url(self, database: str = "postgres") -> str:
        return f"postgresql://furrow:{QUOTED_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def serve(self) -> None:
        self.start()
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE furrow LOGIN CREATEDB PASSWORD '{POSTGRES_PASSWORD}'")
        rules = self.data_dir / "pg_hba.conf"
        rules.write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self._run_pg_ctl("reload")

    def _start_server(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k {self._socket_dir} -c max_connections=100 -c timezone=UTC"
        self._run_pg_ctl("start", "-w", "-l", f"{HERE}/server.log", "-o", options)

    def build_database_url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._socket_dir}&port={self.port}"


@pytest.fixture(scope="session")
def postgres_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres-server") / "data")
    server.serve()
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_process: PostgresServer) -> Iterator[str]:
    """URL, with its password, of an empty database that only this test uses."""
    name = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_process.server_url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres_process.server_url(name)
    with psycopg.connect(postgres_process.server_url(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
