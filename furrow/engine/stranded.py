"""Ends stranded runs and frees stranded concurrency slots, which a killed process or server or a lost response leaves behind.

The pool has one worker, in this process. A run that is pending or running in Prefect, but that no thread here executes, would
never end, and no other run of its deployment could start.
"""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import anyio
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
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled, Crashed

from core.metrics import count_degraded
from furrow.engine.run_queue import is_scheduled

POOL: Final = "furrow"
"""Name of the work pool; prefect.yaml names it too."""
INTERVAL_S: Final = 10.0
"""Interval of the checks, in seconds."""
OLD: Final = timedelta(seconds=30)
"""Minimum age of a run's state before the run counts as stranded; submitting a run takes a moment."""

WorksOn = Callable[[UUID], bool]
_LOOKS = 3  # consecutive checks after which a slot without a run is freed
_PAGE = 200
_WORKING = FlowRunFilter(
    state=FlowRunFilterState(
        type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING])
    )
)
_log = logging.getLogger("furrow.engine.stranded")


async def watch_stranded_runs(works_on: WorksOn) -> None:
    """End stranded runs and free stranded slots periodically, until cancelled. ``works_on``: whether it has a thread here."""
    seen: Counter[str] = Counter()
    async with get_client() as client:
        while True:
            await anyio.sleep(INTERVAL_S)
            try:
                await end_stranded_runs(client, works_on, OLD)
                found = await _find_stranded_slots(client)
                seen = Counter({name: seen[name] + 1 for name in found})
                if lasting := {name: found[name] for name, looks in seen.items() if looks >= _LOOKS}:
                    await _release_slots(client, lasting)
            except Exception:
                count_degraded("worker", "stranded_watch")
                _log.warning("could not check for stranded runs; trying again", exc_info=True)


async def end_stranded_runs(client: PrefectClient, works_on: WorksOn, old: timedelta = timedelta()) -> int:
    """End runs that no thread executes and whose state is at least ``old``. Returns their number."""
    count = 0
    before = datetime.now(UTC) - old
    for run in await read_pool_runs(client, _WORKING):
        if works_on(run.id) or (run.state is not None and run.state.timestamp > before):
            continue
        message = "The process of this run was stopped." if old == timedelta() else "No process executes this run."
        await client.set_flow_run_state(run.id, Crashed(message=message), force=True)
        count += 1
        if old:
            count_degraded("worker", "stranded_run")
            _log.warning("the run %s was stranded and is ended", run.name)
    return count


async def cancel_missed_runs(client: PrefectClient) -> int:
    """Cancel scheduled runs that were missed while Furrow did not run. Returns their number. The next run does their work."""
    missed = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
    )
    count = 0
    for run in await read_pool_runs(client, missed):
        if is_scheduled(run):
            message = "Missed while Furrow was not running. The next run does the work."
            await client.set_flow_run_state(run.id, Cancelled(message=message), force=True)
            count += 1
    return count


async def free_stranded_slots(client: PrefectClient) -> int:
    """Free the concurrency slots of deployments that no run holds. Returns their number.

    A server that was killed between two writes can leave such a slot, and the deployment would never run again.
    """
    return await _release_slots(client, await _find_stranded_slots(client))


async def _find_stranded_slots(client: PrefectClient) -> dict[str, tuple[int, int]]:
    """Concurrency limits with more slots in use than runs, by name: slots in use, runs that hold one."""
    held = Counter(run.deployment_id for run in await read_pool_runs(client, _WORKING))
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    found = {}
    for deployment in await client.read_deployments(work_pool_filter=pool):
        limit = deployment.global_concurrency_limit
        taken = (limit.active_slots or 0) if limit else 0
        if limit and taken > held[deployment.id]:
            found[limit.name] = (taken, held[deployment.id])
    return found


async def _release_slots(client: PrefectClient, slots: dict[str, tuple[int, int]]) -> int:
    for name, (taken, held) in slots.items():
        await client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=held))
        _log.warning("%s: freed %d slots that no run held", name, taken - held)
    return sum(taken - held for taken, held in slots.values())


async def read_pool_runs(client: PrefectClient, which: FlowRunFilter) -> list[FlowRun]:
    """All runs of our pool that match ``which``."""
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    found: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(flow_run_filter=which, work_pool_filter=pool, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return found
