"""The worker of type ``furrow-process``, for server mode: it starts a process for each run, always with the same command.

Prefect's process worker executes what a deployment names: commands, pull steps, files, in the environment of the job
variables and the pool's template. This worker starts ``python -m furrow.engine.run_flow`` with the run's id and the worker's
environment, and that process executes only Furrow's own flows (``furrow.engine.admission``). For starting, cancelling and
ending runs it uses the same parts of Prefect as Prefect's process worker.
"""

import asyncio
import logging
import os
import signal
import sys
from typing import Any, Final

import anyio
import anyio.abc
from prefect.client.schemas.objects import FlowRun, State
from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutor, FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.states import Crashed
from prefect.utilities.processutils import command_to_string
from prefect.workers.base import BaseVariables, BaseWorker, BaseWorkerResult

from core.metrics import count_degraded
from core.package import ROOT
from furrow.engine.fixed_job import FixedConfiguration
from furrow.engine.stranded import POOL

RUNS_AT_ONCE: Final = 4
"""Default number of runs that a worker executes at the same time."""

_END_SECONDS: Final = 10.0  # timeout of requests to Prefect when the worker stops
_log = logging.getLogger("furrow.engine.process_worker")


class ProcessResult(BaseWorkerResult):
    """Result of a run's process. The state of the run is in Prefect."""


class ProcessWorker(BaseWorker[FixedConfiguration, BaseVariables, ProcessResult]):
    """Executes each run of a declared deployment in a process."""

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

        When the run is cancelled, the process gets SIGTERM, and SIGKILL after 30 s. When the worker is stopped, the process
        ends and the run becomes ``Crashed``: in any other state it would keep its deployment's concurrency slot.
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
                    message = "The worker was stopped. The next run continues the work."
                    await self.client.set_flow_run_state(flow_run.id, Crashed(message=message), force=True)
        except Exception as error:
            count_degraded("worker", "end_run")
            _log.warning("the run %s could not be ended: %s", flow_run.id, type(error).__name__)


class _NoHooks:
    """Runs no hooks: to find a flow's hooks, Prefect would load what the deployment names. Our flows have none."""

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
    """Execute runs until SIGTERM or SIGINT; the processes of active runs then get SIGTERM. A second signal kills the worker.

    ``with_healthcheck``: answer ``GET /health`` at ``PREFECT_WORKER_WEBSERVER_HOST`` and ``…_PORT`` (0.0.0.0:8080).
    """
    # `deploy` creates the pool with this type. The worker must not create it again after somebody deletes it.
    worker = ProcessWorker(work_pool_name=POOL, name=name, limit=limit, create_pool_if_not_found=False)
    _cancel_at_signals()
    try:
        await worker.start(with_healthcheck=with_healthcheck, printer=_print_line)
    except asyncio.CancelledError:
        _print_line(f"Worker {worker.name!r} stopped!")


def _cancel_at_signals() -> None:
    """Cancel the current task at the first SIGTERM or SIGINT, and end this process at the second.

    Prefect's own handlers pass SIGTERM on as SIGINT. A process that a script starts with ``&`` ignores SIGINT, asyncio leaves
    it so, and the worker would never end.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    received: list[signal.Signals] = []

    def stop_worker(number: signal.Signals) -> None:
        received.append(number)
        if len(received) > 1 or task is None:
            os.kill(os.getpid(), signal.SIGKILL)
            return
        _print_line(f"Received {number.name}. The worker stops and ends its runs.")
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_worker, number)


def _print_line(line: str) -> None:
    print(line, flush=True)
