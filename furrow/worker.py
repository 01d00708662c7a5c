"""The worker of type ``in-process``: runs flows in threads of this process, because chDB cannot be shared with another.

It executes Furrow's own flows alone (``furrow.admission``); what a work pool or a job variable says is not read.

Scheduled runs and runs started in the Prefect UI come through the same work pool. What Prefect's process worker gets from
the operating system is done here by hand: a run that is cancelled is asked to stop between its steps, and runs that a
killed process left behind are ended when the next one starts (architecture.md, Embedded by default).
"""

import gc
import logging
import threading
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import anyio
import anyio.abc
import anyio.to_thread
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.flow_engine import run_flow
from prefect.states import Cancelled, Crashed
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from furrow import admission
from furrow.metrics import RUNS_REFUSED, degraded
from tasks import stopping

POOL = "furrow"
"""Name of the work pool; prefect.yaml names it too."""

THREADS = 4
"""Runs at once: detect and export never wait for a run that was started by hand."""

_CANCEL_POLL_SECONDS = 2
_PAGE = 200
_WORKING = FlowRunFilter(
    state=FlowRunFilterState(
        type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING])
    )
)
_log = logging.getLogger("furrow.worker")


class InProcessResult(BaseWorkerResult):
    """Outcome of a run's thread; the state of the run itself is in Prefect."""


class InProcessConfiguration(BaseJobConfiguration):
    """What Prefect's worker wants to know of a run's process, of which there is none."""

    @classmethod
    async def resolve_for_flow_run(
        cls,
        flow_run: FlowRun,
        *,
        client: PrefectClient,
        work_pool: WorkPool,
        worker_name: str,
        worker_id: UUID | None = None,
        deployment: DeploymentResponse | None = None,
    ) -> Self:
        """The same for every run: neither the pool's template nor job variables (commands, environments) are read."""
        configuration = cls()
        configuration._related_objects = {"deployment": deployment, "flow": None, "flow-run": flow_run}
        return configuration


class InProcessWorker(BaseWorker[InProcessConfiguration, BaseVariables, InProcessResult]):
    """Runs each flow run in a thread, if it is of a deployment that is ours."""

    type: str = "in-process"
    job_configuration = InProcessConfiguration
    _description = "Runs flows in threads of Furrow's engine process, which holds the embedded ClickHouse."

    async def run(
        self,
        flow_run: FlowRun,
        configuration: InProcessConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> InProcessResult:
        """Run one flow run to its end. Its errors are in its state; only a broken thread is an error here."""
        if task_status:
            task_status.started(str(flow_run.id))
        stopping.register(flow_run.id)
        began = threading.Event()
        try:
            await anyio.to_thread.run_sync(_execute, flow_run, began, abandon_on_cancel=True)
        finally:
            # A thread goes on when this worker loses Prefect and another one takes its place: it forgets its run itself.
            if not began.is_set():
                stopping.forget(flow_run.id)
        return InProcessResult(status_code=0, identifier=str(flow_run.id))


def _execute(flow_run: FlowRun, began: threading.Event) -> None:
    began.set()
    try:
        with get_client(sync_client=True) as client:
            flow = admission.admitted(client, flow_run, admission.declared())
        run_flow(flow, flow_run=flow_run, return_type="state", error_logger=_log)
    except admission.Refused as refusal:
        RUNS_REFUSED.inc()
        _log.warning("the run %s is refused: %s", flow_run.id, refusal)
        with get_client(sync_client=True) as client:
            state: State[None] = Crashed(name="Refused", message=f"It is refused: {refusal}.")
            client.set_flow_run_state(flow_run.id, state, force=True)
    except Exception as error:
        # Raised before the flow began (unknown parameters, an entrypoint that is gone): without a state it would wait for ever.
        degraded("worker", type(error).__name__)
        _log.exception("the run %s could not be started", flow_run.id)
        with get_client(sync_client=True) as client:
            message = f"It could not be started: {type(error).__name__}: {error}"
            client.set_flow_run_state(flow_run.id, Crashed(message=message), force=True)
    finally:
        stopping.forget(flow_run.id)
        # A run leaves few objects in cycles, but among them are HTTP clients, each with a TLS context of a megabyte. Python
        # counts objects alone, and would come to collect these after hours.
        gc.collect()


async def serve(started: anyio.Event) -> None:
    """Run the worker until cancelled: first end what a killed process left behind, then take runs."""
    async with get_client() as client:
        await end_stranded_runs(client)
        await free_stranded_slots(client)
    worker = InProcessWorker(work_pool_name=POOL, name="furrow-engine", limit=THREADS, prefetch_seconds=1)
    async with anyio.create_task_group() as group:
        group.start_soon(_watch_for_cancelling)
        started.set()
        await worker.start(printer=_log.info)


async def end_stranded_runs(client: PrefectClient) -> int:
    """End runs that no thread works on any more; how many. The pool has one worker, and it is only now starting.

    Runs that were missed while nothing ran are cancelled too: the next one does the work of all of them.
    """
    count = 0
    for run in await _runs(client, _WORKING):
        if stopping.is_running(run.id):
            continue  # Prefect was away, not this process
        await client.set_flow_run_state(run.id, Crashed(message="The process that ran this was stopped."), force=True)
        count += 1
    missed = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
    )
    for run in await _runs(client, missed):
        if run.auto_scheduled:
            message = "Missed while Furrow was not running; the next run does its work."
            await client.set_flow_run_state(run.id, Cancelled(message=message), force=True)
            count += 1
    return count


async def free_stranded_slots(client: PrefectClient) -> int:
    """Give back what deployments count as taken (their ``concurrency_limit``) and no run holds; how many slots.

    A server that was killed between two writes may leave such a slot, and its deployment would never run again.
    """
    held = Counter(run.deployment_id for run in await _runs(client, _WORKING))
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    count = 0
    for deployment in await client.read_deployments(work_pool_filter=pool):
        limit = deployment.global_concurrency_limit
        taken = (limit.active_slots or 0) if limit else 0
        if limit and taken > held[deployment.id]:
            change = GlobalConcurrencyLimitUpdate(active_slots=held[deployment.id])
            await client.update_global_concurrency_limit(limit.name, change)
            _log.warning("%s: %d slots were held by no run and are free again", deployment.name, taken)
            count += taken - held[deployment.id]
    return count


async def _runs(client: PrefectClient, which: FlowRunFilter) -> list[FlowRun]:
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    found: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(flow_run_filter=which, work_pool_filter=pool, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return found


async def _watch_for_cancelling() -> None:
    # The stock worker only cancels runs that never started; those in "Cancelling" would stay so for ever.
    cancelling = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])))
    async with get_client() as client:
        while True:
            await anyio.sleep(_CANCEL_POLL_SECONDS)
            try:
                for run in await _runs(client, cancelling):
                    await _stop(client, run.id)
            except Exception:
                degraded("worker", "cancel_watch")
                _log.warning("could not look for runs that are to be cancelled; trying again", exc_info=True)


async def _stop(client: PrefectClient, flow_run_id: UUID) -> None:
    if not stopping.request(flow_run_id):
        message = "Cancelled; it was not running any more."
        await client.set_flow_run_state(flow_run_id, Cancelled(message=message), force=True)
