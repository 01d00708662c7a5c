"""The process of one run in server mode, and the pool that its worker takes runs from, against a real Prefect server."""

import subprocess
import sys
from collections.abc import Iterator
from uuid import UUID, uuid4

import anyio
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Pending, Scheduled

from core.errors import PermanentError
from core.metrics import DEGRADED
from furrow import server
from furrow.engine import admission, run_flow
from furrow.engine.process_worker import ProcessWorker
from furrow.engine.shards import MOST_SHARDS
from furrow.engine.stranded import POOL
from tests.e2e.installation import environment
from tests.integration.slow_flow import slow

ENTRYPOINT = "tests.integration.slow_flow.slow"
SHELL = "prefect.deployments.steps.run_shell_script"
pytestmark = pytest.mark.usefixtures("prefect")


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(autouse=True)
def no_pool(client: SyncPrefectClient) -> Iterator[None]:
    _delete_pool(client)
    yield
    _delete_pool(client)


def _delete_pool(client: SyncPrefectClient) -> None:
    try:
        client.delete_work_pool(POOL)
    except ObjectNotFound:
        return


def deployment(client: SyncPrefectClient, name: str, **fields: object) -> UUID:
    flow_id = client.create_flow_from_name("slow")
    body = {"flow_id": str(flow_id), "name": name, "entrypoint": ENTRYPOINT, "work_pool_name": POOL, **fields}
    answer = client._client.post("/deployments/", json=body)
    assert answer.is_success, answer.text
    return UUID(answer.json()["id"])


def state(client: SyncPrefectClient, run: FlowRun) -> State[None]:
    found = client.read_flow_run(run.id).state
    assert found is not None
    return found


def refusal(client: SyncPrefectClient, run: FlowRun) -> str:
    """Why the run is refused."""
    run_flow._run_admitted_flow(run.id)
    found = state(client, run)
    assert (found.type, found.name) == (StateType.CRASHED, "Refused")
    return found.message or ""


def test_it_runs_what_is_declared_and_refuses_what_is_not(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = admission.DeclaredDeployment("slow", ENTRYPOINT, slow)
    monkeypatch.setattr(admission, "declared_deployments", lambda _shards: {ours.key: ours})
    server._make_work_pool(client)
    target = deployment(client, "slow")
    run = client.create_flow_run_from_deployment(target, parameters={"seconds": 0})
    run_flow._run_admitted_flow(run.id)
    assert state(client, run).type == StateType.COMPLETED
    wrong = client.create_flow_run_from_deployment(target, parameters={"no_such_parameter": 1})
    foreign = client.create_flow_run_from_deployment(deployment(client, "foreign"), parameters={"seconds": 0})
    assert "no_such_parameter" in refusal(client, wrong)
    assert "no deployment slow/foreign" in refusal(client, foreign)
    pull = [{SHELL: {"script": "touch /nonexistent/x"}}]
    assert deployment(client, "slow", pull_steps=pull) == target
    assert "pull steps" in refusal(client, client.create_flow_run_from_deployment(target, parameters={"seconds": 0}))


def test_every_part_of_the_detection_is_known_and_no_more() -> None:
    known = admission.declared_deployments(MOST_SHARDS)
    assert {"detect/detect", "detect/detect-1", "detect/detect-63", "export/export"} <= set(known)
    assert "detect/detect-64" not in known
    assert known["detect/detect-63"].flow is known["detect/detect"].flow
    assert "detect/detect-1" not in admission.declared_deployments()


def test_it_wants_the_id_of_a_run() -> None:
    for arguments in ([], ["x"], [str(uuid4()), str(uuid4())]):
        assert run_flow.main(arguments) == 2


def test_a_pool_of_prefects_own_workers_is_made_again(client: SyncPrefectClient) -> None:
    client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    waiting = client.create_flow_run_from_deployment(deployment(client, "earlier"), state=Scheduled())
    server._make_work_pool(client)
    made = client.read_work_pool(POOL)
    assert made.type == ProcessWorker.type
    assert state(client, waiting).type == StateType.CANCELLED
    server._make_work_pool(client)
    assert client.read_work_pool(POOL).id == made.id


def test_a_pool_of_furrow_up_is_left_to_it_and_one_of_another_kind_to_its_owner(client: SyncPrefectClient) -> None:
    client.create_work_pool(WorkPoolCreate(name=POOL, type="in-process"))
    with pytest.raises(PermanentError, match="furrow up"):
        server._make_work_pool(client)
    client.delete_work_pool(POOL)
    client.create_work_pool(WorkPoolCreate(name=POOL, type="docker"))
    server._make_work_pool(client)
    assert client.read_work_pool(POOL).type == "docker"


def test_a_stopped_worker_ends_its_run_or_counts_that_it_could_not(client: SyncPrefectClient) -> None:
    server._make_work_pool(client)
    target = deployment(client, "stopped")
    run, gone = (client.create_flow_run_from_deployment(target, state=Pending()) for _ in range(2))
    client.delete_flow_run(gone.id)

    async def end() -> None:
        worker = ProcessWorker(work_pool_name=POOL)
        async with get_client() as worker._client:
            await worker._crash_unfinished_run(run)
            await worker._crash_unfinished_run(gone)

    counter = DEGRADED.labels("worker", "end_run")._value
    before = counter.get()
    anyio.run(end)
    assert (state(client, run).type, state(client, run).message) == (
        StateType.CRASHED,
        "The worker was stopped. The next run continues the work.",
    )
    assert counter.get() == before + 1


def test_a_worker_says_in_one_line_what_is_missing() -> None:
    url = {"PREFECT_API_URL": "http://127.0.0.1:1/api"}
    for extra, why in (({}, "PREFECT_API_URL"), (url, "--limit")):
        told = subprocess.run(
            [sys.executable, "-m", "furrow.server", "work", "--limit", "0"],
            env=environment(**extra),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert told.returncode == (2 if why == "--limit" else 1)
        assert why in told.stderr.splitlines()[-1]
