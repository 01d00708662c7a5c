"""Alert people of incidents that are drafted while their sessions go on."""

import logging
from typing import Final
from uuid import UUID, uuid5

from prefect.client.orchestration import get_client
from prefect.events import Event, Resource
from prefect.events.filters import EventFilter, EventIDFilter

from blocks.documents import effective_settings
from core.metrics import count_degraded
from core.plurals import format_count
from stores.incidents.incident_store import IncidentStore
from stores.incidents.open_alerts import OpenAlert
from tasks.lag import RESOURCE

DRAFTED: Final = "furrow.incidents.open"
"""Event of Prefect: sessions that go on show an incident. The automation for it is in furrow/engine/automations.py."""
_NAMESPACE: Final = UUID("7c491367-3c12-4979-8b2e-17b7460a98e4")
"""Of the ids of these events. An event that is emitted again has the id that it had: Prefect keeps one."""
_log = logging.getLogger("furrow.open_alerts")


def alert_of_open_incidents(store: IncidentStore) -> int:
    """Emit the event of each draft that enough open sessions show. Returns how many were emitted.

    Prefect's own queue of events is in memory and drops what it cannot send, and its server stores events some seconds later.
    So events are posted, and an incident is marked when Prefect shows its event, in a later run; until then each run emits it
    again.
    """
    pending = {_event_id(alert): alert for alert in store.alerts.find_pending_alerts()}
    if not pending:
        return 0
    try:
        with get_client(sync_client=True) as client:
            which = EventFilter(id=EventIDFilter(id=list(pending)))
            recorded = {event.id for event in client.read_events(which, limit=len(pending)).events}
            events = [_describe_alert(alert, id_) for id_, alert in pending.items() if id_ not in recorded]
            if events:
                client.request("POST", "/events", json=[event.model_dump(mode="json") for event in events])
    except Exception:
        count_degraded("open_sessions", "event")
        _log.exception("the alerts of incidents could not be emitted; the next run tries again")
        return 0
    if recorded:
        store.alerts.mark_alerted([pending[id_].incident_id for id_ in recorded])
    return len(events)


def _event_id(alert: OpenAlert) -> UUID:
    return uuid5(_NAMESPACE, f"{_place()} {alert.incident_id} {alert.opened_at.isoformat()}")


def _place() -> str:
    return effective_settings().data_dir.resolve().name


def _describe_alert(alert: OpenAlert, id_: UUID) -> Event:
    message = (
        f"project {alert.project}: {alert.title} ({format_count(alert.sessions, 'session')} that go on);"
        f" {effective_settings().pages_url}/incidents/{alert.incident_id}"
    )
    return Event(
        event=DRAFTED,
        id=id_,
        resource=Resource(
            {
                "prefect.resource.id": f"{RESOURCE}.{_place()}.{alert.incident_id}",
                "prefect.resource.name": alert.incident_id,
            }
        ),
        payload={"message": message, "incidentId": alert.incident_id, "openSessions": alert.sessions},
    )
