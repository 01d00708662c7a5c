"""Cooperative stop of runs that share a process: "Cancel" in the Prefect UI, and shutdown."""

import threading
from uuid import UUID

from prefect.context import FlowRunContext

from core.errors import FurrowError

_events: dict[UUID, threading.Event] = {}
_deployments: dict[UUID, UUID] = {}
_all = threading.Event()


class Stopped(FurrowError):
    """The run was asked to stop; finished work is kept, the rest stays pending for the next run."""


def register_run(flow_run_id: UUID, deployment_id: UUID | None = None) -> None:
    """Make a run stoppable until `forget_run`; ``deployment_id`` is None for a run without a deployment."""
    _events[flow_run_id] = threading.Event()
    if deployment_id is not None:
        _deployments[flow_run_id] = deployment_id


def forget_run(flow_run_id: UUID) -> None:
    """Remove a run that has ended."""
    _events.pop(flow_run_id, None)
    _deployments.pop(flow_run_id, None)


def is_run_active(flow_run_id: UUID) -> bool:
    """Whether a thread of this process executes the run."""
    return flow_run_id in _events


def active_deployments() -> list[UUID]:
    """The deployments with a run in this process."""
    return list(_deployments.copy().values())


def request_stop(flow_run_id: UUID) -> bool:
    """Ask one run to stop at its next step; False when it does not run in this process."""
    event = _events.get(flow_run_id)
    if event is not None:
        event.set()
    return event is not None


def request_stop_of_all() -> None:
    """Ask every run of this process to stop at its next step (shutdown)."""
    _all.set()


def raise_if_stopped() -> None:
    """Raise Stopped if this run was asked to stop. Called between steps and batches, where no work is half done."""
    context = FlowRunContext.get()
    event = _events.get(context.flow_run.id) if context and context.flow_run else None
    if _all.is_set() or (event is not None and event.is_set()):
        raise Stopped("the run was asked to stop; the remaining work stays pending")
