"""Alert people of incidents that are drafted while their sessions go on."""

import logging
from typing import Final

from prefect.events import emit_event

from blocks.documents import effective_settings
from core.metrics import count_degraded
from core.plurals import format_count
from stores.incidents.incident_store import IncidentStore
from stores.incidents.open_alerts import OpenAlert
from tasks.lag import RESOURCE

DRAFTED: Final = "furrow.incidents.open"
"""Event of Prefect: sessions that go on show an incident. The automation for it is in furrow/engine/automations.py."""
_log = logging.getLogger("furrow.open_alerts")


def alert_of_open_incidents(store: IncidentStore) -> int:
    """Emit the event of each draft that enough open sessions show, once each. Returns how many.

    An event that cannot be emitted is emitted by the next run.
    """
    emitted = [alert.incident_id for alert in store.alerts.find_pending_alerts() if _emit_alert(alert)]
    if emitted:
        store.alerts.mark_alerted(emitted)
    return len(emitted)


def _emit_alert(alert: OpenAlert) -> bool:
    settings = effective_settings()
    place = settings.data_dir.resolve().name
    message = (
        f"project {alert.project}: {alert.title} ({format_count(alert.sessions, 'session')} that go on);"
        f" {settings.pages_url}/incidents/{alert.incident_id}"
    )
    try:
        emit_event(
            event=DRAFTED,
            resource={
                "prefect.resource.id": f"{RESOURCE}.{place}.{alert.incident_id}",
                "prefect.resource.name": alert.incident_id,
            },
            payload={"message": message, "incidentId": alert.incident_id, "openSessions": alert.sessions},
        )
    except Exception:
        count_degraded("open_sessions", "event")
        _log.exception("the alert of an incident could not be emitted; the next run tries again")
        return False
    return True
