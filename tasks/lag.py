"""How far the work is behind, for a run's artifact, and the event that warns of it."""

import logging
from typing import Final

from prefect.events import emit_event

from blocks.documents import effective_settings
from furrow.errors import FurrowError
from furrow.lag import LIMIT_S, Lag, measure
from furrow.last_errors import ago
from furrow.metrics import degraded
from tasks import connections

EXCEEDED: Final = "furrow.lag.exceeded"
"""Event of Prefect: work waits for longer than ``LIMIT_S``. The automation for it is in furrow/automations.py."""
RESOURCE: Final = "furrow.installation"
"""What the event is about; its name is the data directory's."""

_log = logging.getLogger("furrow.lag")


def current() -> Lag | None:
    """The lag now; without the sessions in line while the incident store is away. None (and counted) if nothing is known."""
    try:
        settings = effective_settings()
        try:
            return measure(settings, connections.incident_store())
        except FurrowError:
            degraded("lag", "incident_store")
            return measure(settings, None)
    except Exception:
        # A figure for people: its lack must not change how a run ends.
        degraded("lag", "unknown")
        _log.warning("the lag is not known", exc_info=True)
        return None


def warn(lag: Lag) -> bool:
    """Emit the event if the lag exceeds the limit; whether it does. Prefect tells people at most every 30 minutes."""
    if lag.seconds <= LIMIT_S:
        return False
    place = effective_settings().data_dir.resolve().name
    emit_event(
        event=EXCEEDED,
        resource={"prefect.resource.id": f"{RESOURCE}.{place}", "prefect.resource.name": place},
        payload={"message": f"work waits for {ago(lag.seconds)}: {'; '.join(lag.lines())}", "seconds": lag.seconds},
    )
    return True
