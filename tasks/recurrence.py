"""An incident came back: what its ticket is told, and whether it is opened again, as its project says (``onRegression``)."""

from dataclasses import replace

from prefect import task

from stores.incidents.incident_store import IncidentStore
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.retrying import POLICY
from tasks.thresholds import read_project_thresholds
from trackers.gate import ClosedTicket
from trackers.protocol import Filed, Logged, Tracker
from trackers.ticket import Ticket


def report_recurrence(store: IncidentStore, tracker: Tracker, key: str, ticket: Ticket) -> Filed | Logged:
    """Report it in the ticket ``key``. Raises ClosedTicket when a new ticket is wanted; the old one has the comment then."""
    wanted = read_project_thresholds(store).get(ticket.project, {}).get("onRegression", "reopen")
    filed = tracker.report_recurrence(key, replace(ticket, reopens=wanted == "reopen"))
    if wanted == "newTicket" and isinstance(filed, Filed) and not filed.is_open:
        raise ClosedTicket(f"{key} is closed")
    return filed


@task(name="record closed ticket", **POLICY)
def record_closed(incident_id: str, tracker: str, key: str) -> bool:
    """Note that a new ticket follows the closed one; whether the next export files it."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return False
    store.tickets.follow_closed_ticket(incident_id, tracker, key)
    return True
