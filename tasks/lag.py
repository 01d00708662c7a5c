"""How far the work is behind, for a run's artifact, and the event that warns of it."""

import logging
import time
from typing import Final

from prefect.events import emit_event

from blocks.documents import known_settings
from collector.lag import DETECTED, LIMIT_S, Lag, measure_lag, read_progress, save_progress
from core.errors import FurrowError, TransientError
from core.last_errors import format_duration
from core.metrics import count_degraded
from core.settings import Settings
from stores.incidents.incident_store import Cursor
from tasks import connections

EXCEEDED: Final = "furrow.lag.exceeded"
"""Event of Prefect: work waits for longer than ``LIMIT_S``, or ``detect`` has not completed for as long.

The automation for it is in furrow/engine/automations.py.
"""
RESOURCE: Final = "furrow.installation"
"""What the event is about; its name is the data directory's."""

_log = logging.getLogger("collector.lag")


def measure_current_lag() -> Lag | None:
    """The lag now; without the sessions in line while the incident store is away. None (and counted) if nothing is known.

    How far ``detect`` has come is kept in the data directory, for those who cannot ask the incident store.
    """
    try:
        try:
            settings = known_settings()
        except TransientError:  # the incident store is not known yet
            return measure_lag(Settings(), None)
        try:
            queue = connections.incident_store(settings).queue
            save_progress(settings.data_dir, read_progress(queue, time.time_ns() // 1_000_000))
            return measure_lag(settings, queue)
        except FurrowError:
            count_degraded("lag", "incident_store")
            return measure_lag(settings, None)
    except Exception:
        # A figure for people: its lack must not change how a run ends.
        count_degraded("lag", "unknown")
        _log.warning("the lag is not known", exc_info=True)
        return None


def record_detect_completion() -> None:
    """Remember that ``detect`` has completed now. Never raises: a store that is away shows by the run itself."""
    try:
        # A cursor of its own: no reader uses it, and it needs no table.
        connections.incident_store().queue.enqueue_sessions([], Cursor(time.time_ns() // 1_000), DETECTED)
    except FurrowError as error:
        count_degraded("lag", "not_noted")
        _log.warning("that this run has completed could not be noted: %s", error)


def warn_of_lag(lag: Lag) -> bool:
    """Emit the event if people are to be warned; whether they are. Prefect tells people at most every 30 minutes."""
    if not lag.is_late:
        return False
    place = Settings().data_dir.resolve().name
    waits = (
        f"work waits for {format_duration(lag.longest_wait_seconds)}"
        if lag.longest_wait_seconds > LIMIT_S
        else "`detect` does not run"
    )
    emit_event(
        event=EXCEEDED,
        resource={"prefect.resource.id": f"{RESOURCE}.{place}", "prefect.resource.name": place},
        payload={"message": f"{waits}: {'; '.join(lag.describe_lag())}", "seconds": lag.longest_wait_seconds},
    )
    return True
