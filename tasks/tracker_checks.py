"""Answers the questions of the page of settings: whether a tracker takes tickets. Nothing is changed in the tracker."""

from contextlib import closing
from typing import cast

from prefect import task

from blocks.documents import effective_settings
from core.errors import FurrowError
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.retrying import POLICY
from trackers.protocol import RemoteTracker
from trackers.ticket_making import check_templates
from trackers.ticket_plan import load_ticket_plan


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
            check_templates(load_ticket_plan(effective_settings().ticket_fields))
            return True, cast(RemoteTracker, tracker).check_access()
    except FurrowError as error:
        return False, str(error)
