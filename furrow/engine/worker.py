"""The worker of type ``in-process``: runs flows in threads of this process, because chDB cannot be shared with another.

It executes Furrow's own flows alone (``furrow.engine.admission``); what a work pool or a job variable says is not read.

Scheduled runs and runs started in the Prefect UI come through the same work pool; one run of a deployment works at a time, and
no queue of scheduled runs forms behind it (``furrow.engine.run_queue``). What Prefect's process worker gets from the
operating system is done here by hand: a run that is cancelled is asked to stop between its steps, and runs that no thread
works on, left behind by a killed process or a lost answer, are ended, at the start and ever after
(``furrow.engine.stranded``).
"""

import contextlib
import gc
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

from core.metrics import count_degraded
from furrow.engine import admission, stranded
from furrow.engine.fixed_job import FixedConfiguration
from furrow.engine.run_queue import choose_due_runs
from furrow.engine.stranded import POOL
from tasks import stopping

SUPERSEDED = "Superseded by a later one, which does the work of both."
"""Message of a scheduled run that is not needed."""

THREADS = 4
"""Runs at once: detect and export never wait for a run that was started by hand."""

_CANCEL_POLL_SECONDS = 2
_log = logging.getLogger("furrow.engine.worker")


class InProcessResult(BaseWorkerResult):
    """Outcome of a run's thread; the state of the run itself is in Prefect."""


class InProcessWorker(BaseWorker[FixedConfiguration, BaseVariables, InProcessResult]):
    """Runs each flow run in a thread, if it is of a deployment that is ours."""

    type: str = "in-process"
    job_configuration = FixedConfiguration
    _description = "Runs flows in threads of Furrow's engine process, which holds the embedded ClickHouse."

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._submitted: dict[UUID, UUID] = {}  # run → deployment, from the submission until a thread has it

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
        """Whether this process is submitting or running a run."""
        return flow_run_id in self._submitting_flow_run_ids or stopping.is_run_active(flow_run_id)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: FixedConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> InProcessResult:
        """Run one flow run to its end. Its errors are in its state; only a broken thread is an error here."""
        if task_status:
            task_status.started(str(flow_run.id))
        stopping.register_run(flow_run.id, flow_run.deployment_id)
        began = threading.Event()
        try:
            await anyio.to_thread.run_sync(_execute_flow_run, flow_run, began, abandon_on_cancel=True)
        finally:
            # A thread goes on when this worker loses Prefect and another one takes its place: it forgets its run itself.
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
        # Raised before the flow began (unknown parameters, an entrypoint that is gone): without a state it would wait for ever.
        count_degraded("worker", type(error).__name__)
        _log.exception("the run %s could not be started", flow_run.id)
        with get_client(sync_client=True) as client:
            message = f"It could not be started: {type(error).__name__}: {error}"
            client.set_flow_run_state(flow_run.id, Crashed(message=message), force=True)
    finally:
        stopping.forget_run(flow_run.id)
        # A run leaves few objects in cycles, but among them are HTTP clients, each with a TLS context of a megabyte. Python
        # counts objects alone, and would come to collect these after hours.
        gc.collect()


async def serve_in_process_worker(started: anyio.Event) -> None:
    """Run the worker until cancelled: first end what a killed process left behind, then take runs."""
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
    # The stock worker only cancels runs that never started; those in "Cancelling" would stay so for ever.
    cancelling = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])))
    async with get_client() as client:
        while True:
            await anyio.sleep(_CANCEL_POLL_SECONDS)
            try:
                for run in await stranded.read_pool_runs(client, cancelling):
                    await _stop_cancelled_run(client, run.id)
            except Exception:
                count_degraded("worker", "cancel_watch")
                _log.warning("could not look for runs that are to be cancelled; trying again", exc_info=True)


async def _stop_cancelled_run(client: PrefectClient, flow_run_id: UUID) -> None:
    if not stopping.request_stop(flow_run_id):
        message = "Cancelled; it was not running any more."
        await client.set_flow_run_state(flow_run_id, Cancelled(message=message), force=True)
