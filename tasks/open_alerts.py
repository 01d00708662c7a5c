"""Alert people of incidents that are drafted while their sessions go on."""

import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid5

from prefect.client.orchestration import get_client
from prefect.events import emit_event
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

    Prefect sends events from a queue in memory and drops what it cannot send. So an incident is marked when Prefect shows its
    event, in a later run; until then each run emits it again.
    """
    pending = store.alerts.find_pending_alerts()
    if not pending:
        return 0
    recorded = _find_recorded(pending)
    if recorded is None:
        return 0
    arrived = [alert.incident_id for alert in pending if _event_id(alert) in recorded]
    if arrived:
        store.alerts.mark_alerted(arrived)
    return sum(_emit_alert(alert) for alert in pending if _event_id(alert) not in recorded)


def _event_id(alert: OpenAlert) -> UUID:
    return uuid5(_NAMESPACE, f"{_place()} {alert.incident_id} {alert.opened_at.isoformat()}")


def _place() -> str:
    return effective_settings().data_dir.resolve().name


def _find_recorded(pending: Sequence[OpenAlert]) -> set[UUID] | None:
    """Which of their events Prefect has stored. None if it does not answer."""
    which = EventFilter(id=EventIDFilter(id=[_event_id(alert) for alert in pending]))
    try:
        with get_client(sync_client=True) as client:
            return {event.id for event in client.read_events(which, limit=len(pending)).events}
    except Exception:
        _report_failure("Prefect does not show whether the alerts of incidents arrived; the next run asks again")
        return None


def _emit_alert(alert: OpenAlert) -> bool:
    message = (
        f"project {alert.project}: {alert.title} ({format_count(alert.sessions, 'session')} that go on);"
        f" {effective_settings().pages_url}/incidents/{alert.incident_id}"
    )
    try:
        emit_event(
            event=DRAFTED,
            id=_event_id(alert),
            resource={
                "prefect.resource.id": f"{RESOURCE}.{_place()}.{alert.incident_id}",
                "prefect.resource.name": alert.incident_id,
            },
            payload={"message": message, "incidentId": alert.incident_id, "openSessions": alert.sessions},
        )
    except Exception:
        _report_failure("the alert of an incident could not be emitted; the next run tries again")
        return False
    return True


def _report_failure(message: str) -> None:
    count_degraded("open_sessions", "event")
    _log.exception(message)
