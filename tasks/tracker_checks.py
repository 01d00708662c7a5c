"""Answers the questions of the page of settings: whether a tracker takes tickets. Nothing is changed in the tracker."""

from contextlib import closing
from typing import cast

from prefect import task

from core.errors import FurrowError
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.retrying import POLICY
from trackers.protocol import RemoteTracker


@task(name="check trackers", **POLICY)
def answer_tracker_checks() -> int:
    """Ask each tracker that a person asks about, and record its answer. Returns how many there were.

    A tracker that refuses or is away is an answer, and no failure of the run.
    """
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return 0
    asked = store.checks.list_unanswered()
    for name in asked:
        store.checks.record_answer(name, *ask_tracker(name))
    return len(asked)


def ask_tracker(name: str) -> tuple[bool | None, str]:
    """Whether the tracker takes tickets (None: it is not configured), and its words."""
    try:
        tracker = connections.open_tracker(name)
        if tracker is None:
            return None, "not configured: tickets are logged and wait"
        with closing(tracker):
            return True, cast(RemoteTracker, tracker).check_access()
    except FurrowError as error:
        return False, str(error)
