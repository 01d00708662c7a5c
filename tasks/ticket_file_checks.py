"""Checks the whole file of ticket fields against a tracker, before the first ticket after each change of the file."""

import time
from typing import Final, cast

from prefect import task

from blocks.documents import effective_settings
from core.error_messages import describe_error
from core.errors import PermanentError, TransientError
from core.metrics import count_degraded
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.retrying import POLICY
from tasks.tracker_gate import SharedGate
from trackers.gate import AccessRefused, WrongFields, use_gate
from trackers.protocol import RemoteTracker, Tracker
from trackers.ticket_plan import WITH_FIELDS

_LONGEST_CHECK_S: Final = 60.0
"""No request of a check waits for the tracker's pace after so many seconds."""


@task(name="check ticket fields", **POLICY)
def find_file_problem(tracker: Tracker) -> PermanentError | None:
    """What the tracker says against the file, asked once for each content of it; None for nothing.

    Tickets whose own fields are right are filed all the same. A file that is wrong is checked again after an hour.
    """
    store, settings = connections.incident_store(), effective_settings()
    if tracker.name not in WITH_FIELDS or not settings.ticket_fields or isinstance(store, LogIncidentStore):
        return None
    access = connections.identify_access(tracker.name)
    problem = store.file_checks.find_problem(tracker.name, access)
    if problem is None:
        gate = SharedGate(store.gates, tracker.name, settings.tracker_requests, time.monotonic() + _LONGEST_CHECK_S)
        with use_gate(gate):
            problem = _ask_tracker(tracker)
        if problem is not None:
            store.file_checks.record_problem(tracker.name, access, problem)
    return PermanentError(problem) if problem else None


def _ask_tracker(tracker: Tracker) -> str | None:
    """What the tracker says against the file; None if it cannot be asked now, so that the next run asks."""
    try:
        cast(RemoteTracker, tracker).check_access()
    except (TransientError, PermanentError) as error:
        refused = isinstance(error, AccessRefused) and not isinstance(error, WrongFields)
        if refused or isinstance(error, TransientError):
            # The export meets the same, and reports it.
            count_degraded("ticket_fields", "unchecked")
            return None
        return f"FURROW_TICKET_FIELDS: {describe_error(error)}"
    return ""
