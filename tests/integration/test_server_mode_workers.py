"""Server mode with every process real: collector, lander, Prefect server and two workers.

ClickHouse is the stand-in over HTTP (tests/fakes/clickhouse_http.py), Postgres a server on a port with a password.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from blocks import documents
from core.errors import PermanentError
from furrow.engine.shards import MOST_SHARDS, split_into_shards
from stores.incidents.incident_store import IncidentStore
from tasks import connections
from tests.e2e.installation import ROOT, environment, free_port, frustrated_session, patient, until
from tests.fakes.clickhouse_http import ClickHouseServer
from tests.fakes.servers import (
    clickhouse,
    clickhouse_process,
    empty_event_store_url,
    event_databases,
    postgres_process,
    postgres_url,
)
from tests.integration.test_server_mode_flows import story, work

pytestmark = pytest.mark.long

__all__ = [
    "clickhouse",
    "clickhouse_process",
    "empty_event_store_url",
    "event_databases",
    "postgres_process",
    "postgres_url",
]

SESSIONS = 30
KEY = "server-mode-key"
other_postgres_url = postgres_url


PREFECT_AUTH = "furrow:of-the-servers-test"


class Processes:
    """The processes of one installation in server mode, as docs/server-mode.md starts them."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self.prefect_port, self.port = free_port(), free_port()
        self._stack = ExitStack()
        self.environment = environment(
            **settings,
            FURROW_PORT=str(self.port),
            FURROW_DATA_DIR=str(folder / "collector"),
            FURROW_INGEST_KEY=KEY,
            PREFECT_HOME=str(folder / "prefect"),
            PREFECT_API_URL=self.prefect_url,
            PREFECT_API_AUTH_STRING=PREFECT_AUTH,
            PREFECT_SERVER_API_AUTH_STRING=PREFECT_AUTH,
            PREFECT_SERVER_API_PORT=str(self.prefect_port),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DO_NOT_TRACK="1",
            PREFECT_LOGGING_EXTRA_LOGGERS="furrow",
            PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
            PREFECT_WORKER_QUERY_SECONDS="2",
            PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS="3",
            PYTHONPATH=str(ROOT),
            PYTHONUNBUFFERED="1",
        )

    @property
    def prefect_url(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}/api"

    def start(self, name: str, *module: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *module], env=self.environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
            )
        self._stack.callback(end, process)
        return process

    def run(self, *module: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *module], env=self.environment, cwd=ROOT, text=True, capture_output=True, timeout=240
        )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def prefect(self, path: str, body: Any = None) -> Any:
        with patient(self.prefect_url, PREFECT_AUTH) as client:
            answer = client.post(path, json=body or {})
        answer.raise_for_status()
        return answer.json()

    def stop(self) -> None:
        self._stack.close()


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(url: str) -> Callable[[], bool]:
    def ask() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(url, timeout=2).is_success
        return False

    return ask


def without_chance(value: Any) -> Any:
    """The same without what depends on how the sessions fell into runs: the texts of explanations (a later run has the history
    of an earlier one), and whether an incident was first seen while its sessions were still open."""
    if isinstance(value, list):
        return [without_chance(item) for item in value]
    if isinstance(value, dict):
        first_sight = str(value.get("reason", "")).startswith("first seen")
        by_chance = {"explanation", "reason"} if first_sight else {"explanation"}
        return {key: without_chance(item) for key, item in value.items() if key not in by_chance}
    return value


@pytest.fixture
def processes(tmp_path: Path, empty_event_store_url: str, postgres_url: str) -> Iterator[Processes]:
    made = Processes(
        tmp_path, {"FURROW_EVENT_STORE_URL": empty_event_store_url, "FURROW_INCIDENT_STORE_URL": postgres_url}
    )
    yield made
    made.stop()


def test_two_workers_share_the_sessions_and_find_what_one_run_finds(
    processes: Processes,
    clickhouse: ClickHouseServer,
    empty_event_store_url: str,
    postgres_url: str,
    other_postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes.start("prefect", "furrow.prefect_server")
    until(answers(f"{processes.prefect_url}/health"), 180)
    deployed = processes.run("furrow.server", "deploy", "--shards", "2")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    processes.start("collector", "collector")
    lander = processes.start("lander", "furrow.server", "land")
    for worker in ("w1", "w2"):
        processes.start(worker, "furrow.server", "work", "--name", worker, "--limit", "1")
    until(answers(f"http://127.0.0.1:{processes.port}/v1/health"), 60)
    send(processes, [frustrated_session(f"session-{n}") for n in range(SESSIONS)])

    monkeypatch.setenv("FURROW_EVENT_STORE_URL", empty_event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    documents.forget_blocks()
    store = connections.incident_store()
    assert isinstance(store, IncidentStore)
    until(lambda: analysed(clickhouse, empty_event_store_url) == SESSIONS, 300)
    until(lambda: store.queue.count_pending_sessions(2**60) == {"open": 0, "due": 0}, 60)

    # The work is written before its run has ended and told of it.
    until(lambda: done_by(processes, 0) + done_by(processes, 1) >= SESSIONS, 120)
    by_shard = {shard: done_by(processes, shard) for shard in (0, 1)}
    assert sum(by_shard.values()) == SESSIONS, by_shard
    assert all(by_shard.values())
    # Each takes one run at a time, and the runs of both shards are due together: neither worker was idle.
    for worker in ("w1", "w2"):
        assert "submitted to infrastructure" in processes.log(worker), processes.log(worker)
    together = story(store)
    assert [one["affectedSessions"] for one in together] == [SESSIONS]
    lander.terminate()
    assert lander.wait(20) == 0

    # The same stored events, analysed by one run, into another database.
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", other_postgres_url)
    documents.forget_blocks()
    assert len(work(0, 1)) == SESSIONS
    alone = connections.incident_store()
    assert isinstance(alone, IncidentStore)
    assert without_chance(story(alone)) == without_chance(together)
    connections.close_connections()

    again = processes.run("furrow.server", "deploy", "--shards", "1")
    assert again.returncode == 0, again.stdout + again.stderr
    names = {one["name"] for one in processes.prefect("/deployments/filter")}
    assert "detect" in names
    assert "detect-1" not in names


def send(processes: Processes, sessions: list[list[dict[str, Any]]]) -> None:
    for session in sessions:
        answer = httpx.post(
            f"http://127.0.0.1:{processes.port}/v1/events",
            json={"events": session},
            headers={"X-API-Key": KEY},
            timeout=20,
        )
        assert answer.status_code == 202, answer.text


def analysed(clickhouse: ClickHouseServer, url: str) -> int:
    database = url.rsplit("/", 1)[1]
    try:
        return int(clickhouse.execute(database, "SELECT count() FROM sessions FINAL"))
    except Exception:  # not there yet
        return 0


def done_by(processes: Processes, shard: int) -> int:
    """Sessions that the runs of this shard say they have analysed."""
    name = f"detect-{shard}" if shard else "detect"
    runs = processes.prefect("/flow_runs/filter", {"deployments": {"name": {"any_": [name]}}, "limit": 200})
    assert {one["state"]["type"] for one in runs} <= {"COMPLETED", "SCHEDULED", "PENDING", "RUNNING"}, runs
    assert all(one["parameters"] == {"shard": shard, "shards": 2} for one in runs)
    told = [one["state"].get("message") or "" for one in runs if one["state"]["type"] == "COMPLETED"]
    return sum(
        int(part.split()[0]) for message in told for part in message.split(", ") if part.endswith("sessions analysed")
    )


def test_each_shard_is_a_deployment_that_runs_once_at_a_time() -> None:
    project = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    made = split_into_shards(project, 3)["deployments"]
    detection = [one for one in made if one["entrypoint"] == "flows.detect.detect"]
    assert [(one["name"], one["parameters"]) for one in detection] == [
        ("detect", {"shard": 0, "shards": 3}),
        ("detect-1", {"shard": 1, "shards": 3}),
        ("detect-2", {"shard": 2, "shards": 3}),
    ]
    assert all(one["concurrency_limit"]["limit"] == 1 for one in detection)
    assert len(made) == len(project["deployments"]) + 2
    for wrong in (0, MOST_SHARDS + 1):
        with pytest.raises(PermanentError, match="shards"):
            split_into_shards(project, wrong)


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    plain = environment(PYTHONPATH=str(ROOT), FURROW_DATA_DIR=str(tmp_path), PREFECT_HOME=str(tmp_path))

    def told(**settings: str) -> str:
        command = [sys.executable, "-m", "furrow.server", "deploy"]
        result = subprocess.run(command, env={**plain, **settings}, cwd=tmp_path, text=True, capture_output=True)
        assert result.returncode == 1, result.stderr
        (line,) = [one for one in result.stderr.splitlines() if one.startswith("furrow: ")]
        assert "Traceback" not in result.stderr
        return line

    assert "PREFECT_API_URL" in told()
    away = f"http://127.0.0.1:{free_port()}/api"
    assert "does not answer" in told(PREFECT_API_URL=away)
