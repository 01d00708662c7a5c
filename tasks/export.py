"""Turn confirmed incidents into tickets; with no tracker configured, into log entries that say what would be filed."""

from dataclasses import dataclass, field
from uuid import UUID

from prefect import task

from blocks.documents import effective_settings
from furrow.errors import NotConfigured
from stores.incident_model import Json
from stores.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.report import escape
from tasks.retrying import POLICY
from trackers.ticket import Ticket, ticket_of

_MOST_WAITING = 1_000
_NO_IDENTITY = UUID(int=0)  # a log keeps none


@dataclass
class Logged:
    """What was logged now (one line for people each), and how many tickets wait for a tracker altogether."""

    lines: list[str] = field(default_factory=list)
    waiting: int = 0


@task(name="log tickets", **POLICY)
def log_tickets() -> Logged:
    """Log the ticket of each exportable incident in full, once; it stays exportable, so that it is filed later."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        raise NotConfigured("the incident store is log-only: there are no incidents to export")
    settings = effective_settings()
    tracker = connections.log_tracker()
    logged = Logged()
    for incident in store.exportable(tracker.name, settings.export_limit, settings.export_min_score, unlogged=True):
        ticket = ticket_of(incident, settings.public_url or None)
        # Logged first, remembered second: a crash between the two logs it twice, never not at all.
        store.mark_logged(incident["incidentId"], tracker.name, tracker.file(ticket, _NO_IDENTITY).digest)
        logged.lines.append(_line(incident, ticket))
    logged.waiting = len(store.exportable(tracker.name, _MOST_WAITING, settings.export_min_score))
    return logged


def _line(incident: Json, ticket: Ticket) -> str:
    return f"**{escape(ticket.priority)}** {escape(ticket.title)} (`{escape(incident['incidentId'])}`)"
