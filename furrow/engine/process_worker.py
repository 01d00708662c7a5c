"""The worker of type ``furrow-process``, for server mode: each run is a process of its own, and always the same command.

Prefect's own process worker executes what a deployment says: commands, pull steps, files, in an environment that job variables
and the pool's template describe. This one starts ``python -m furrow.engine.run_flow`` with the run's id and its own
environment, and that process runs Furrow's own flows alone (``furrow.engine.admission``). Starting, cancelling, and ending a
run whose process died are Prefect's own parts, as its process worker uses them.
"""

import asyncio
import functools
import logging
import os
import sys
from typing import Any, Final

import anyio
import anyio.abc
from prefect.client.schemas.objects import FlowRun, State
from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutor, FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.states import Crashed
from prefect.utilities.processutils import command_to_string, setup_signal_handlers_worker
from prefect.workers.base import BaseVariables, BaseWorker, BaseWorkerResult

from core.metrics import count_degraded
from core.package import ROOT
from furrow.engine.fixed_job import FixedConfiguration
from furrow.engine.stranded import POOL

RUNS_AT_ONCE: Final = 4
"""So many runs a worker takes at the same time, if nobody says otherwise."""

_END_SECONDS: Final = 10.0  # in which Prefect must answer when the worker stops
_log = logging.getLogger("furrow.engine.process_worker")


class ProcessResult(BaseWorkerResult):
    """Outcome of a run's process; the state of the run itself is in Prefect."""


class ProcessWorker(BaseWorker[FixedConfiguration, BaseVariables, ProcessResult]):
    """Runs each flow run in a process, if it is of a deployment that is ours."""

    type: str = "furrow-process"
    job_configuration = FixedConfiguration
    _display_name = "Furrow process"
    _description = "Runs Furrow's own flows in processes; commands, pull steps and environments are not read."

    async def run(
        self,
        flow_run: FlowRun,
        configuration: FixedConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> ProcessResult:
        """Start the process of one run and wait for its end. Raises RuntimeError if it could not be started.

        A run that is cancelled meanwhile gets SIGTERM, and SIGKILL after 30 s. If the worker itself is stopped, the process
        ends and its run becomes ``Crashed``: in any other state it would hold its deployment's slot.
        """
        try:
            return await self._run_flow_process(flow_run, task_status)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._crash_unfinished_run(flow_run)
            raise

    async def _run_flow_process(
        self, flow_run: FlowRun, task_status: anyio.abc.TaskStatus[Any] | None
    ) -> ProcessResult:
        started = task_status or anyio.TASK_STATUS_IGNORED
        ended: list[FlowRunExecutionResult | None] = []
        async with FlowRunExecutorContext() as context:
            executor = _make_run_executor(context, flow_run)

            async def execute_flow_run(*, task_status: anyio.abc.TaskStatus[ProcessHandle]) -> None:
                ended.append(await executor.submit(task_status=task_status))

            async with anyio.create_task_group() as group:
                handle = await group.start(execute_flow_run)
                started.started(handle.pid)
        result = ended[0] if ended else None
        if result is None or result.status_code is None:
            raise RuntimeError("the run's process did not start")
        return ProcessResult(status_code=result.status_code, identifier=str(result.handle.pid))

    async def _crash_unfinished_run(self, flow_run: FlowRun) -> None:
        try:
            with anyio.fail_after(_END_SECONDS):
                now = (await self.client.read_flow_run(flow_run.id)).state
                if now is None or not now.is_final():
                    message = "Its worker was stopped; the next run does its work."
                    await self.client.set_flow_run_state(flow_run.id, Crashed(message=message), force=True)
        except Exception as error:
            count_degraded("worker", "end_run")
            _log.warning("the run %s could not be ended: %s", flow_run.id, type(error).__name__)


class _NoHooks:
    """Hooks of a flow are found by loading what the deployment names; no flow of ours has any."""

    async def run_cancellation_hooks(self, flow_run: FlowRun, state: State[Any]) -> None:
        pass

    async def run_crashed_hooks(self, flow_run: FlowRun, state: State[Any]) -> None:
        pass


def _make_run_executor(context: FlowRunExecutorContext, flow_run: FlowRun) -> FlowRunExecutor:
    starter = EngineCommandStarter(
        command=command_to_string([sys.executable, "-m", "furrow.engine.run_flow", str(flow_run.id)]),
        cwd=ROOT,
        control_channel=context.control_channel,
    )
    return context.create_executor(flow_run, starter, propose_submitting=False, hook_runner=_NoHooks())


async def serve_process_worker(name: str | None, limit: int, with_healthcheck: bool) -> None:
    """Take runs until SIGTERM or SIGINT; the runs that work then are ended with SIGTERM.

    ``with_healthcheck`` answers ``GET /health`` where ``PREFECT_WORKER_WEBSERVER_HOST`` and ``…_PORT`` say (0.0.0.0:8080).
    """
    # The pool is made by `deploy`, of this type; a worker that made it would make it after a deletion too.
    worker = ProcessWorker(work_pool_name=POOL, name=name, limit=limit, create_pool_if_not_found=False)
    say = functools.partial(print, flush=True)
    setup_signal_handlers_worker(os.getpid(), "the worker", say)
    try:
        await worker.start(with_healthcheck=with_healthcheck, printer=say)
    except asyncio.CancelledError:
        say(f"Worker {worker.name!r} stopped!")
