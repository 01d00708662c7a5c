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
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectAlreadyExists
from prefect.flow_engine import run_flow
from prefect.states import Cancelling, Running, Scheduled

from furrow import admission, worker
from tests.integration.slow_flow import slow

ENTRYPOINT = "tests.integration.slow_flow.slow"
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("prefect")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def slow_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if prefect.yaml had the flow of these tests."""
    ours = admission.Declared("slow", ENTRYPOINT, slow)
    known = {**admission.declared(), ours.key: ours}
    monkeypatch.setattr(admission, "declared", lambda: known)


@pytest.fixture
async def client() -> AsyncIterator[PrefectClient]:
    async with get_client() as client:
        yield client


async def deployment(client: PrefectClient) -> UUID:
    with contextlib.suppress(ObjectAlreadyExists):
        await client.create_work_pool(WorkPoolCreate(name=worker.POOL, type=worker.InProcessWorker.type))
    flow_id = await client.create_flow_from_name("slow")
    return await client.create_deployment(
        flow_id, "slow", entrypoint=ENTRYPOINT, work_pool_name=worker.POOL, path=None, pull_steps=[]
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
        group.start_soon(worker.serve, anyio.Event())

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
        group.start_soon(worker.serve, anyio.Event())

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
        await anyio.to_thread.run_sync(worker._execute, run, threading.Event())
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
    assert await worker.end_stranded_runs(client) == 1
    assert await state_type(client, stranded) == StateType.CRASHED
    # Somebody asked for it: it is late, not superfluous.
    assert await state_type(client, by_hand) == StateType.SCHEDULED
    assert await worker.end_stranded_runs(client) == 0
