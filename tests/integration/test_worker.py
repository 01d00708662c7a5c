"""The in-process worker against a real Prefect server: scheduled runs, cancelling, and what a killed process left behind."""

import contextlib
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import anyio
import anyio.to_thread
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectAlreadyExists
from prefect.flow_engine import run_flow
from prefect.states import Cancelling, Pending, Running, Scheduled

from furrow.engine import admission, stranded, worker
from tasks import stopping
from tests.integration.slow_flow import slow

ENTRYPOINT = "tests.integration.slow_flow.slow"
pytestmark = [pytest.mark.long, pytest.mark.anyio, pytest.mark.usefixtures("prefect")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def slow_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if prefect.yaml had the deployments of these tests."""
    ours = [admission.DeclaredDeployment(name, ENTRYPOINT, slow) for name in ("slow", "left", "queue")]
    known = {**admission.declared_deployments(), **{one.key: one for one in ours}}
    monkeypatch.setattr(admission, "declared_deployments", lambda: known)


@pytest.fixture
async def client() -> AsyncIterator[PrefectClient]:
    async with get_client() as client:
        yield client


async def deployment(client: PrefectClient, name: str = "slow", **limits: Any) -> UUID:
    with contextlib.suppress(ObjectAlreadyExists):
        await client.create_work_pool(WorkPoolCreate(name=worker.POOL, type=worker.InProcessWorker.type))
    flow_id = await client.create_flow_from_name("slow")
    return await client.create_deployment(
        flow_id, name, entrypoint=ENTRYPOINT, work_pool_name=worker.POOL, path=None, pull_steps=[], **limits
    )


async def until(done: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    with anyio.fail_after(seconds):
        while not await done():
            await anyio.sleep(0.2)


async def state_type(client: PrefectClient, run: FlowRun) -> StateType | None:
    return (await client.read_flow_run(run.id)).state_type


async def test_a_run_completes_and_one_that_is_cancelled_stops(client: PrefectClient) -> None:
    target = await deployment(client)
    quick = await client.create_flow_run_from_deployment(target, parameters={"seconds": 0})
    long = await client.create_flow_run_from_deployment(target, parameters={"seconds": 600})
    async with anyio.create_task_group() as group:
        group.start_soon(worker.serve_in_process_worker, anyio.Event())

        async def is_completed() -> bool:
            return await state_type(client, quick) == StateType.COMPLETED

        async def is_running() -> bool:
            return await state_type(client, long) == StateType.RUNNING

        async def is_cancelled() -> bool:
            return await state_type(client, long) == StateType.CANCELLED

        await until(is_completed)
        await until(is_running)
        await client.set_flow_run_state(long.id, Cancelling())
        await until(is_cancelled)
        group.cancel_scope.cancel()


async def test_a_run_that_cannot_even_begin_ends(client: PrefectClient) -> None:
    target = await deployment(client)
    wrong = await client.create_flow_run_from_deployment(target, parameters={"no_such_parameter": 1})
    async with anyio.create_task_group() as group:
        group.start_soon(worker.serve_in_process_worker, anyio.Event())

        async def has_ended() -> bool:
            return await state_type(client, wrong) == StateType.CRASHED

        await until(has_ended)
        group.cancel_scope.cancel()


async def test_what_a_run_left_in_cycles_is_gone_with_it(
    client: PrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's client holds a TLS context of a megabyte, and is part of a cycle."""

    class Held:
        def __init__(self) -> None:
            self.me = self

    left: list[weakref.ref[Held]] = []

    def leaving(*arguments: Any, **named: Any) -> object:
        left.append(weakref.ref(Held()))
        return run_flow(*arguments, **named)

    monkeypatch.setattr(worker, "run_flow", leaving)
    run = await client.create_flow_run_from_deployment(await deployment(client), parameters={"seconds": 0})
    gc.disable()
    try:
        await anyio.to_thread.run_sync(worker._execute_flow_run, run, threading.Event())
        assert left[0]() is None
    finally:
        gc.enable()
    assert await state_type(client, run) == StateType.COMPLETED


async def test_what_a_killed_process_left_behind_is_ended(client: PrefectClient) -> None:
    target = await deployment(client)
    stranded = await client.create_flow_run_from_deployment(target, state=Scheduled())
    await client.set_flow_run_state(stranded.id, Running(), force=True)
    by_hand = await client.create_flow_run_from_deployment(
        target, state=Scheduled(scheduled_time=datetime.now(UTC) - timedelta(minutes=5))
    )
    assert await end_and_cancel(client) == 1
    assert await state_type(client, stranded) == StateType.CRASHED
    # Somebody asked for it: it is late, not superfluous.
    assert await state_type(client, by_hand) == StateType.SCHEDULED
    assert await end_and_cancel(client) == 0
    await client.delete_flow_run(by_hand.id)  # no worker of another test is to run it


async def end_and_cancel(client: PrefectClient) -> int:
    return await stranded.end_stranded_runs(client, stopping.is_run_active) + await stranded.cancel_missed_runs(client)


async def test_a_run_that_is_left_pending_is_ended_while_the_worker_works_and_the_next_one_completes(
    client: PrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stranded, "OLD", timedelta(seconds=3))
    monkeypatch.setattr(stranded, "INTERVAL_S", 1.0)
    target = await deployment(client, "left", concurrency_limit=1)
    async with anyio.create_task_group() as group:
        started = anyio.Event()
        group.start_soon(worker.serve_in_process_worker, started)
        await started.wait()
        await anyio.sleep(2)
        # What is left of a run whose submission was accepted by the server, but the answer got lost.
        left = await client.create_flow_run_from_deployment(
            target, state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=1)), parameters={"seconds": 0}
        )
        took = await client.set_flow_run_state(left.id, Pending())
        assert took.status == SetStateStatus.ACCEPT
        following = await client.create_flow_run_from_deployment(target, parameters={"seconds": 0})

        async def is_crashed() -> bool:
            return await state_type(client, left) == StateType.CRASHED

        async def is_completed() -> bool:
            return await state_type(client, following) == StateType.COMPLETED

        await until(is_crashed)
        await until(is_completed)
        group.cancel_scope.cancel()


async def test_scheduled_runs_make_no_queue_behind_one_that_works(client: PrefectClient) -> None:
    target = await deployment(client, "queue", concurrency_limit=1, parameters={"seconds": 0})
    async with anyio.create_task_group() as group:
        group.start_soon(worker.serve_in_process_worker, anyio.Event())
        long = await client.create_flow_run_from_deployment(target, parameters={"seconds": 600})

        async def is_running() -> bool:
            return await state_type(client, long) == StateType.RUNNING

        await until(is_running)
        await client.create_deployment_schedules(target, [(IntervalSchedule(interval=timedelta(seconds=1)), True)])
        await client._client.post(f"/deployments/{target}/schedule", json={"min_runs": 20, "max_runs": 20})

        async def most_are_superseded() -> bool:
            return len(await of_state(client, target, StateType.CANCELLED)) >= 3

        await until(most_are_superseded)
        assert await of_state(client, target, StateType.PENDING) == []
        every = await client.read_flow_runs(deployment_filter=only(target))
        assert [run for run in every if run.state_name == "AwaitingConcurrencySlot"] == []
        await client.set_flow_run_state(long.id, Cancelling())

        async def the_next_one_begins() -> bool:
            return await of_state(client, target, StateType.RUNNING, StateType.COMPLETED) != []

        await until(the_next_one_begins)
        await client.delete_deployment(target)
        group.cancel_scope.cancel()


def only(target: UUID) -> DeploymentFilter:
    return DeploymentFilter(id=DeploymentFilterId(any_=[target]))


async def of_state(client: PrefectClient, target: UUID, *types: StateType) -> list[FlowRun]:
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types))))
    return await client.read_flow_runs(deployment_filter=only(target), flow_run_filter=wanted)
