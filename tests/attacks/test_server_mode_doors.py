"""Prefect's API as a way into the workers of server mode, from somebody who knows its password; every process is real.

The tests of this file share one installation and build on each other, in the order in which they stand here.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from furrow.engine.process_worker import ProcessWorker
from furrow.engine.stranded import POOL
from tests.attacks.test_prefect_doors import Api, Json, touching
from tests.e2e.installation import patient, until
from tests.fakes.clickhouse_http import ClickHouseServer
from tests.fakes.servers import PostgresServer, clickhouse_process, postgres_process
from tests.integration.test_server_mode_workers import PREFECT_AUTH, Processes, answers
from tests.ports import free_port

pytestmark = pytest.mark.long

__all__ = ["clickhouse_process", "postgres_process"]

DATABASE = "server_doors"


@pytest.fixture(scope="module")
def health_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def processes(
    tmp_path_factory: pytest.TempPathFactory,
    clickhouse_process: ClickHouseServer,
    postgres_process: PostgresServer,
    health_port: int,
) -> Iterator[Processes]:
    with psycopg.connect(postgres_process.server_url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    made = Processes(
        tmp_path_factory.mktemp("server-doors"),
        {
            "FURROW_EVENT_STORE_URL": clickhouse_process.url(DATABASE),
            "FURROW_INCIDENT_STORE_URL": postgres_process.server_url(DATABASE),
            "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
            "PREFECT_WORKER_WEBSERVER_PORT": str(health_port),
        },
    )
    try:
        made.start("prefect", "furrow.prefect_server")
        until(answers(f"{made.prefect_url}/health"), 180)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def api(processes: Processes) -> Iterator[Api]:
    with patient(processes.prefect_url, PREFECT_AUTH) as client:
        yield Api(client)


@pytest.fixture(scope="module")
def trace(processes: Processes) -> Path:
    """The directory in which each attack would leave a file."""
    folder = processes.folder / "written-by-attacks"
    folder.mkdir()
    return folder


@contextmanager
def ignoring_sigint() -> Iterator[None]:
    """What is started within ignores SIGINT, as a shell's script starts programs with ``&``."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def deploy(processes: Processes, api: Api) -> str:
    """In two parts, without their schedules: each run is a process, and those of the tests are enough for a small machine."""
    done = processes.run("furrow.server", "deploy", "--shards", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, flow in (("detect", "detect"), ("detect-1", "detect"), ("export", "export"), ("retention", "retention")):
        api.patch(f"/deployments/{named(api, name, flow)}", {"paused": True})
    return done.stderr


def ended(api: Api, run: str) -> Json:
    """The run's final state."""
    final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    until(lambda: api.get(f"/flow_runs/{run}")["state"]["type"] in final, 240)
    return dict(api.get(f"/flow_runs/{run}")["state"])


def named(api: Api, name: str, flow: str = "") -> str:
    return str(api.get(f"/deployments/name/{flow or name}/{name}")["id"])


def refused(api: Api, run: str) -> str:
    """Why."""
    state = ended(api, run)
    assert (state["type"], state["name"]) == ("CRASHED", "Refused"), state
    return str(state["message"])


def test_a_pool_of_an_earlier_version_is_made_again(processes: Processes, api: Api) -> None:
    api.post("/work_pools/", {"name": POOL, "type": "process"})
    waits = api.run(api.deployment("earlier"))
    told = deploy(processes, api)
    assert "It is replaced by a pool of the type 'furrow-process'" in told
    assert api.get(f"/work_pools/{POOL}")["type"] == ProcessWorker.type
    assert ended(api, waits)["type"] == "CANCELLED"
    for name in ("detect", "detect-1"):
        assert api.get(f"/deployments/name/detect/{name}")["work_pool_name"] == POOL
    assert "is replaced" not in deploy(processes, api)


def test_the_worker_starts_and_says_that_it_lives(processes: Processes, health_port: int) -> None:
    with ignoring_sigint():
        processes.start("worker", "furrow.server", "work", "--name", "w", "--limit", "4", "--with-healthcheck")
    until(answers(f"http://127.0.0.1:{health_port}/health"), 60)


def test_foreign_deployments_are_refused(processes: Processes, api: Api, trace: Path) -> None:
    script = trace.parent / "script.py"
    script.write_text(f"import pathlib\npathlib.Path({str(trace / 'file')!r}).touch()\ndef main(): pass\n")
    command = {"parameters": {"command": f"touch {trace / 'command'}"}, "enforce_parameter_schema": False}
    attacks: Json = {
        "pull": {"entrypoint": "flows.detect.detect", "pull_steps": touching(trace / "pull")},
        "dots": {"entrypoint": "os.system", **command},
        "file": {"entrypoint": f"{script}:main"},
        "variables": {
            "entrypoint": "flows.detect.detect",
            "job_variables": {
                "command": f"touch {trace / 'variables'}",
                "env": {"PREFECT__FLOW_ENTRYPOINT": "os.system"},
            },
        },
    }
    runs = {name: api.run(api.deployment(f"evil-{name}", **said)) for name, said in attacks.items()}
    flow = api.get("/deployments/name/detect/detect")["flow_id"]
    for shard in ("detect-64", "detect-01", "detect-x"):  # there are 64 parts at the most
        body = {"name": shard, "flow_id": flow, "work_pool_name": POOL, "entrypoint": "flows.detect.detect"}
        runs[shard] = api.run(str(api.post("/deployments/", body)["id"]))
    for name, run in runs.items():
        assert "Furrow has no deployment" in refused(api, run), name
    assert list(trace.iterdir()) == []
    assert "is refused: Furrow has no deployment evil-pull/evil-pull" in processes.log("worker")


def test_what_the_pool_and_a_run_say_of_a_process_is_not_used(api: Api, trace: Path) -> None:
    command = f"touch {trace / 'template'}"
    evil = {"PREFECT__FLOW_ENTRYPOINT": "os.system", "FURROW_DATA_DIR": str(trace), "PYTHONPATH": str(trace)}
    pool = api.get(f"/work_pools/{POOL}")
    template = {
        "job_configuration": {"command": command, "env": evil, "working_dir": str(trace)},
        "variables": {"type": "object", "properties": {}},
    }
    api.patch(f"/work_pools/{POOL}", {"base_job_template": template})
    until(lambda: api.get(f"/work_pools/{POOL}")["base_job_template"] == template, 30)
    retention = named(api, "retention")
    assert ended(api, api.run(retention))["type"] == "COMPLETED"
    api.patch(f"/work_pools/{POOL}", {"base_job_template": pool["base_job_template"]})
    for said in ({"command": command}, {"env": evil}):
        assert "job variables" in refused(api, api.run(retention, job_variables=said))
    assert list(trace.iterdir()) == []


def test_parameters_must_fit(api: Api) -> None:
    for name, flow, given, why in (
        ("retention", "retention", {"command": "touch x"}, "retention has no parameter command"),
        ("detect-1", "detect", {"shard": "; touch x", "shards": 2}, "do not fit"),
    ):
        deployment = named(api, name, flow)
        api.patch(f"/deployments/{deployment}", {"enforce_parameter_schema": False})
        assert why in refused(api, api.run(deployment, parameters=given, enforce_parameter_schema=False))


def test_changed_deployments_of_ours_are_refused_until_the_next_deploy(
    processes: Processes, api: Api, trace: Path
) -> None:
    env = {"env": {"PREFECT__FLOW_ENTRYPOINT": "os.system"}}
    changes: list[tuple[str, str, Json, str]] = [
        ("detect-1", "detect", {"pull_steps": touching(trace / "detect")}, "pull steps"),
        ("detect", "detect", {"job_variables": {"command": f"touch {trace / 'variable'}"}}, "job variables"),
        ("retention", "retention", {"job_variables": env}, "job variables"),
        ("export", "export", {"entrypoint": "os.system"}, "os.system"),
    ]
    for name, flow, said, why in changes:
        deployment = named(api, name, flow)
        api.patch(f"/deployments/{deployment}", said)
        message = refused(api, api.run(deployment))
        assert why in message
        assert "`python -m furrow.server deploy`" in message
    assert list(trace.iterdir()) == []
    told = deploy(processes, api)
    assert all(name in told for name, *_ in changes)
    for name, flow, *_ in changes:
        assert ended(api, api.run(named(api, name, flow)))["type"] == "COMPLETED", name
    assert list(trace.iterdir()) == []


def children(processes: Processes, run: str) -> list[psutil.Process]:
    """The processes of one run; their environment is the worker's own."""
    found = [one for one in psutil.process_iter() if _command(one)[-2:] == ["furrow.engine.run_flow", run]]
    for one in found:
        assert one.environ()["PREFECT_HOME"] == processes.environment["PREFECT_HOME"]
    return found


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_run_that_is_cancelled_is_killed_even_if_it_hangs(processes: Processes, api: Api) -> None:
    run = api.run(named(api, "backfill"), parameters={"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"})
    until(lambda: children(processes, run) != [], 90)
    (child,) = children(processes, run)
    child.send_signal(signal.SIGSTOP)
    api.post(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert ended(api, run)["type"] == "CANCELLED"
    until(lambda: not child.is_running(), 30)


def test_runs_end_with_their_worker(processes: Processes, api: Api) -> None:
    """A run that stayed pending or running would hold its deployment's slot, and no other would begin."""
    run = api.run(named(api, "detect"))
    until(lambda: children(processes, run) != [], 90)
    (worker,) = (
        one for one in psutil.process_iter() if _command(one)[2:4] == ["furrow.server", "work"] and "w" in _command(one)
    )
    assert worker.environ()["PREFECT_API_URL"] == processes.prefect_url
    os.kill(worker.pid, signal.SIGTERM)
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 60)
    assert children(processes, run) == []
    assert "The worker was stopped" in ended(api, run)["message"]
    assert "Traceback" not in processes.log("worker").rpartition("SIGTERM")[2]
    processes.start("second", "furrow.server", "work", "--name", "second")
    assert ended(api, api.run(named(api, "detect")))["type"] == "COMPLETED"
    assert json.dumps(PREFECT_AUTH)[1:-1] not in processes.log("worker")
