"""Cooperative stop: what "Cancel" in the Prefect UI and a shutdown mean to a run that shares its process with others."""

import threading
from uuid import UUID

from prefect.context import FlowRunContext

from core.errors import FurrowError

_events: dict[UUID, threading.Event] = {}
_deployments: dict[UUID, UUID] = {}
_all = threading.Event()


class Stopped(FurrowError):
    """Somebody asked this run to stop; what it finished is kept, the rest stays pending for the next run."""


def register_run(flow_run_id: UUID, deployment_id: UUID | None = None) -> None:
    """Make a run of a deployment (None: of none) stoppable; `forget` it when it ended."""
    _events[flow_run_id] = threading.Event()
    if deployment_id is not None:
        _deployments[flow_run_id] = deployment_id


def forget_run(flow_run_id: UUID) -> None:
    """Drop a run that ended."""
    _events.pop(flow_run_id, None)
    _deployments.pop(flow_run_id, None)


def is_run_active(flow_run_id: UUID) -> bool:
    """Whether a thread of this process works on a run."""
    return flow_run_id in _events


def active_deployments() -> list[UUID]:
    """The deployments of which a thread of this process works on a run."""
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
    """Raise Stopped if this run was asked to stop; called between steps and batches, where nothing is half done."""
    context = FlowRunContext.get()
    event = _events.get(context.flow_run.id) if context and context.flow_run else None
    if _all.is_set() or (event is not None and event.is_set()):
        raise Stopped("the run was asked to stop; what is left stays pending")
