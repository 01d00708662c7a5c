"""The worker of type ``in-process``: executes flows in threads of this process, because only one process can open chDB.

It executes only Furrow's own flows (``furrow.engine.admission``); the work pool's template and job variables are not read.

Scheduled runs and runs started in the Prefect UI use the same work pool. Each deployment has at most one active run, without
a queue of scheduled runs behind it (``furrow.engine.run_queue``). Threads need what the operating system does for Prefect's
process worker: a cancelled run is requested to stop between its steps, and stranded runs are ended, at the start and
periodically (``furrow.engine.stranded``).
"""

import contextlib
import functools
import gc
import itertools
import logging
import threading
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
import anyio.to_thread
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow
from prefect.states import Cancelled, Crashed
from prefect.workers.base import BaseVariables, BaseWorker, BaseWorkerResult

from core.error_messages import describe_error
from core.metrics import count_degraded
from furrow import prefect_economy
from furrow.engine import admission, stranded
from furrow.engine.fixed_job import FixedConfiguration
from furrow.engine.run_queue import choose_due_runs
from furrow.engine.stranded import POOL
from tasks import stopping

SUPERSEDED = "Superseded by a later run, which does the work of both."
"""Message of a scheduled run that is cancelled because a later run does its work."""

THREADS = 4
"""Runs at the same time, so that detect and export need not wait for runs started by users."""

_CANCEL_POLL_SECONDS = 2
_IDLE_POLLS = 5  # while nothing runs here, it is asked once in so many times
_log = logging.getLogger("furrow.engine.worker")


class InProcessResult(BaseWorkerResult):
    """Result of a run's thread. The state of the run is in Prefect."""


class InProcessWorker(BaseWorker[FixedConfiguration, BaseVariables, InProcessResult]):
    """Executes each run of a declared deployment in a thread."""

    type: str = "in-process"
    job_configuration = FixedConfiguration
    _description = "Runs flows in threads of Furrow's engine process, which holds the embedded ClickHouse."

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._submitted: dict[UUID, UUID] = {}  # run → deployment, from submission until its thread starts

    async def _submit_scheduled_flow_runs(self, flow_run_response: list[WorkerFlowRunResponse]) -> list[FlowRun]:
        due = [entry.flow_run for entry in flow_run_response if not self.works_on(entry.flow_run.id)]
        choice = choose_due_runs(due, [*self._submitted.values(), *stopping.active_deployments()])
        for run in choice.superseded:
            with contextlib.suppress(ObjectNotFound):  # somebody deleted it
                await self.client.set_flow_run_state(run.id, Cancelled(message=SUPERSEDED))
        chosen = {run.id for run in choice.begin}
        return await super()._submit_scheduled_flow_runs(
            [entry for entry in flow_run_response if entry.flow_run.id in chosen]
        )

    async def _submit_run(self, flow_run: FlowRun) -> None:
        if flow_run.deployment_id is not None:
            self._submitted[flow_run.id] = flow_run.deployment_id
        try:
            await super()._submit_run(flow_run)
        finally:
            self._submitted.pop(flow_run.id, None)

    def works_on(self, flow_run_id: UUID) -> bool:
        """Whether this process is submitting or executing a run."""
        return flow_run_id in self._submitting_flow_run_ids or stopping.is_run_active(flow_run_id)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: FixedConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> InProcessResult:
        """Execute one run. Errors of the run are in its state; only a failure of the thread is raised."""
        if task_status:
            task_status.started(str(flow_run.id))
        stopping.register_run(flow_run.id, flow_run.deployment_id)
        began = threading.Event()
        try:
            await anyio.to_thread.run_sync(_execute_flow_run, flow_run, began, abandon_on_cancel=True)
        finally:
            # When this worker loses Prefect and is replaced, the thread continues and unregisters its run itself.
            if not began.is_set():
                stopping.forget_run(flow_run.id)
        return InProcessResult(status_code=0, identifier=str(flow_run.id))


def _execute_flow_run(flow_run: FlowRun, began: threading.Event) -> None:
    began.set()
    try:
        with get_client(sync_client=True) as client:
            flow = admission.admit_flow_run(client, flow_run, admission.declared_deployments())
        run_flow(flow, flow_run=flow_run, return_type="state", error_logger=_log)
    except admission.RunRefused as refusal:
        with get_client(sync_client=True) as client:
            admission.end_refused_run(client, flow_run, refusal)
    except Exception as error:
        # Raised before the flow started. Without a final state the run would stay pending.
        count_degraded("worker", type(error).__name__)
        _log.exception("the run %s could not be started", flow_run.id)
        with get_client(sync_client=True) as client:
            message = f"The run could not be started: {describe_error(error)}"
            client.set_flow_run_state(flow_run.id, Crashed(message=message), force=True)
    finally:
        stopping.forget_run(flow_run.id)
        # A run leaves few objects in reference cycles, but some are HTTP clients with a TLS context of 1 MB each. Python's
        # collector counts objects, not bytes, and would free these only after hours.
        gc.collect()
        _settle_once()


@functools.cache
def _settle_once() -> None:
    prefect_economy.freeze_loaded_objects()


async def serve_in_process_worker(started: anyio.Event) -> None:
    """Run the worker until cancelled. First it ends the runs that a killed process left behind."""
    async with get_client() as client:
        await stranded.end_stranded_runs(client, stopping.is_run_active)
        await stranded.cancel_missed_runs(client)
        await stranded.free_stranded_slots(client)
    worker = InProcessWorker(work_pool_name=POOL, name="furrow-engine", limit=THREADS, prefetch_seconds=1)
    async with anyio.create_task_group() as group:
        group.start_soon(_watch_for_cancelled_runs)
        group.start_soon(stranded.watch_stranded_runs, worker.works_on)
        started.set()
        await worker.start(printer=_log.info)


async def _watch_for_cancelled_runs() -> None:
    # Prefect's base worker only cancels runs that have not started. Active runs would stay in "Cancelling".
    cancelling = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])))
    async with get_client() as client:
        for look in itertools.count():
            await anyio.sleep(_CANCEL_POLL_SECONDS)
            # What nobody works on can wait a little; what runs here cannot.
            if look % _IDLE_POLLS and not stopping.active_deployments():
                continue
            try:
                for run in await stranded.read_pool_runs(client, cancelling):
                    await _stop_cancelled_run(client, run.id)
            except Exception:
                count_degraded("worker", "cancel_watch")
                _log.warning("could not check for cancelled runs; trying again", exc_info=True)


async def _stop_cancelled_run(client: PrefectClient, flow_run_id: UUID) -> None:
    if not stopping.request_stop(flow_run_id):
        message = "Cancelled. The run was no longer active."
        await client.set_flow_run_state(flow_run_id, Cancelled(message=message), force=True)
