"""Prefect's server on SQLite, in a process of its own: reads do not wait for writers, however many writers wait."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from core.settings import Settings
from furrow.installation.up import Installation
from tests.e2e.installation import PATIENT_SECONDS, until
from tests.ports import free_port

AUTH = ("furrow", "a-password-of-tests")
WRITERS = 40
"""More than the server's pool has connections (15), so that writers that each held one would leave none for reads."""


@dataclass(frozen=True)
class Server:
    """The address of a running server's API, and its database."""

    api: str
    database: Path

    def client(self) -> httpx.Client:
        # Longer than a request waits for a connection of the pool (30 s): a read without a connection is an error, not a
        # time-out, so that a slow machine fails no test.
        return httpx.Client(base_url=self.api, auth=AUTH, timeout=PATIENT_SECONDS)


def answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("prefect-database")
    port = free_port()
    settings = Settings(data_dir=data, prefect_port=port)
    login = {name: ":".join(AUTH) for name in ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")}
    environment = {**Installation(settings, print).make_environment(), **login}
    environment.pop("PROMETHEUS_MULTIPROC_DIR")
    api = f"http://127.0.0.1:{port}/api"
    with (data / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "furrow.prefect_server"], env=environment, stdout=log, stderr=log
        )
    try:
        until(lambda: answers(api) or process.poll() is not None, 180)
        assert process.poll() is None, (data / "server.log").read_text()
        (database,) = data.rglob("*.db")
        yield Server(api, database)
    finally:
        process.terminate()
        process.wait(60)


def write(server: Server, name: str) -> int:
    with httpx.Client(base_url=server.api, auth=AUTH, timeout=PATIENT_SECONDS) as client:
        return client.post("/flows/", json={"name": name}).status_code


def test_reads_are_answered_while_more_writers_wait_than_there_are_connections(server: Server) -> None:
    with (
        closing(sqlite3.connect(server.database, timeout=60, isolation_level=None)) as other,
        ThreadPoolExecutor(WRITERS) as pool,
        server.client() as client,
    ):
        assert client.get("/flows/name/nothing").status_code == 404
        other.execute("BEGIN IMMEDIATE")
        try:
            writers: list[Future[int]] = [pool.submit(write, server, f"flow-{n}") for n in range(WRITERS)]
            time.sleep(3)  # enough for all of them to send their request
            assert not any(one.done() for one in writers)
            assert client.get("/flows/name/nothing").status_code == 404
            assert client.post("/flow_runs/filter", json={"limit": 5}).status_code == 200
            assert client.post("/flows/count", json={}).json() == 0
            assert not any(one.done() for one in writers)
        finally:
            other.execute("ROLLBACK")
        assert {one.result(timeout=PATIENT_SECONDS) for one in writers} == {201}
        assert client.post("/flows/count", json={}).json() == WRITERS
