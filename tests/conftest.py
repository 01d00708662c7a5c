"""Fixtures shared by all tests: one real embedded Postgres for the run, a fresh database for each test that asks.

A run may have several workers (``tests/distribution.py``). They share the Postgres; each has an embedded ClickHouse of its
own, because only one process may open its directory, and a Prefect server of its own if one of its tests asks for it.
"""

import os
import shutil
import ssl
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, LiteralString

import httpx
import hypothesis
import psycopg
import pytest
from prefect import settings
from prefect.settings import temporary_settings
from prefect.testing import utilities
from prefect.testing.utilities import prefect_test_harness

from furrow.prefect_economy import prepare_client
from stores.embedded_postgres import EmbeddedPostgres
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentStore
from tests.distribution import sort_by_length
from tests.event_databases import EventDatabases
from tests.ports import free_port

# A deadline would be a timing assertion: a machine that is busy must not fail a property, nor must one that is slow to make
# examples. A run repeats what the last one tried; `--hypothesis-profile exploring` tries what no run has.
_PATIENT = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("repeatable", _PATIENT, derandomize=True)
hypothesis.settings.register_profile("exploring", _PATIENT)
hypothesis.settings.load_profile("repeatable")

_FAILED = pytest.StashKey[bool]()


def share_tls_context() -> None:
    """Give httpx's clients of this process one TLS context, where they ask for none of their own.

    Each client reads all certificates of the machine, which takes longer than most requests of tests; those are without TLS.
    """
    create, usual = httpx.create_ssl_context, httpx.create_ssl_context()

    def find_context(verify: ssl.SSLContext | str | bool = True, cert: Any = None, trust_env: bool = True) -> Any:
        changed = cert or verify is not True or os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}
        return create(verify, cert, trust_env) if changed else usual

    for module in (httpx, httpx._transports.default):
        vars(module)["create_ssl_context"] = find_context


share_tls_context()


@pytest.hookimpl(tryfirst=True)  # before pytest reads the option
def pytest_configure(config: pytest.Config) -> None:
    """Give this run a folder that no other run knows; its path is short, for sockets below it.

    pytest closes its common folder of all runs to other users whenever a run starts, and the Postgres of a run of root's
    that is under way, being another user, panics over files that it may no longer open.
    """
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="furrow-tests-")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    name_operations(items)
    if is_worker(config):
        sort_by_length(items)


def name_operations(items: list[pytest.Item]) -> None:
    """Give each operation of a fuzzed API an id of its own. schemathesis gives all of a test the same one, and pytest-xdist
    runs one test for each id.
    """
    for item in items:
        if label := getattr(item, "operation_label", ""):
            item._id = item.id.with_params(label)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_FAILED] = exitstatus != pytest.ExitCode.OK


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what the workers shared, and remove the folder of a run in which all passed; whoever looks for a failure finds
    its files."""
    if config.option.basetemp is None:
        return
    if not is_worker(config) and (folder := find_postgres_folder(config)).exists():
        EmbeddedPostgres(folder).stop()
    if not config.stash.get(_FAILED, True):
        shutil.rmtree(config.option.basetemp, ignore_errors=True)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process runs tests for another one, which collects the results (pytest-xdist)."""
    return hasattr(config, "workerinput")


def find_postgres_folder(config: pytest.Config) -> Path:
    """Data directory of the run's Postgres; the folder of a worker lies in that of the run."""
    folder = Path(config.option.basetemp).resolve()
    return (folder.parent if is_worker(config) else folder) / "postgres" / "data"


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedPostgres:
    """The run's Postgres. The first worker that asks starts it, the others find it running; the run's end stops it."""
    tmp_path_factory.getbasetemp()  # which empties the folder of the run when it is first asked for
    server = EmbeddedPostgres(find_postgres_folder(request.config))
    server.start()
    # A killed server loses nothing by this, only a machine without power does; databases are made and dropped much faster.
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database with the incident store's schema. To copy it takes a tenth of the time of all migrations."""
    name = "furrow_template"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        # Session-level lock: another worker waits until the template is whole.
        connection.execute("SELECT pg_advisory_lock(1)")
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {name}")
            with closing(IncidentStore.connect(postgres_server.build_database_url(name))) as store:
                store.migrate()
    return name


@pytest.fixture
def postgres_url(postgres_server: EmbeddedPostgres, postgres_template: str) -> Iterator[str]:
    """URL of a database that only this test uses, with the incident store's schema and nothing in it."""
    with make_database(postgres_server, f"TEMPLATE {postgres_template} STRATEGY file_copy") as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of an empty database that only this test uses, as for a first start."""
    with make_database(postgres_server) as url:
        yield url


@contextmanager
def make_database(server: EmbeddedPostgres, how: LiteralString = "") -> Iterator[str]:
    name = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" {how}')
    yield server.build_database_url(name)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def stoppable_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres of this test's own, which it may ``stop()`` and ``start()`` again (``url`` stays the same)."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """A Prefect server of this worker's own; it takes 10 CPU seconds to start, hence one for all tests that need it."""
    prepare_client()  # as every process of an installation does
    # A run waits for the thread of its heartbeat, which looks once a second whether the run is over. No test with this server
    # reads the logs that runs send to it.
    quiet = temporary_settings(
        {settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, settings.PREFECT_LOGGING_TO_API_ENABLED: False}
    )
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            # Its own choice out of a thousand ports may be the same in two workers that start at once.
            patch.setattr(utilities, "_find_available_port", free_port)
            # For this server alone: installations that a test starts inherit the environment.
            for service in _UNREAD_SERVICES:
                patch.setenv(f"PREFECT_SERVER_SERVICES_{service}_ENABLED", "false")
            stack.enter_context(prefect_test_harness(server_startup_timeout=600))
        stack.enter_context(quiet)
        yield


_UNREAD_SERVICES = ("FOREMAN", "LATE_RUNS", "SCHEDULER", "TASK_RUN_RECORDER", "TRIGGERS")
"""Services whose results no test with this server reads; they take a tenth of its time. Tests of installations run them all."""


@pytest.fixture(scope="session")
def clickhouse_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one directory that this process may open with chDB."""
    return tmp_path_factory.mktemp("clickhouse")


@pytest.fixture(scope="session")
def event_databases(clickhouse_dir: Path) -> EventDatabases:
    """The databases that the tests of this process make in that directory."""
    return EventDatabases(lambda name: f"chdb://{clickhouse_dir}?database={name}")


@pytest.fixture
def event_store_url(event_databases: EventDatabases) -> Iterator[str]:
    """URL of a database of the embedded ClickHouse that only this test uses, with the event store's schema and no events."""
    with event_databases.make_migrated() as url:
        yield url


@pytest.fixture
def empty_event_store_url(event_databases: EventDatabases) -> Iterator[str]:
    """URL of a database that only this test uses and that is not there yet, as for a first start."""
    with event_databases.make_empty() as url:
        yield url


@pytest.fixture
def event_store(event_store_url: str) -> Iterator[EventStore]:
    """A migrated event store of this test's own."""
    store = EventStore(event_store_url)
    store.migrate()
    yield store
    store.close()
