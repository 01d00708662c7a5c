"""The lag of the pipeline, for the artifact of a run, and the event that warns of it."""

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
"""Resource of the event; its name is that of the data directory."""

_log = logging.getLogger("collector.lag")


def measure_current_lag() -> Lag | None:
    """The current lag; without queued sessions while the incident store is unavailable. None (and counted) if it is unknown.

    The progress of ``detect`` is saved in the data directory, for processes that cannot reach the incident store.
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
        # The lag is only shown: a failure must not change the state of the run.
        count_degraded("lag", "unknown")
        _log.warning("the lag is not known", exc_info=True)
        return None


def record_detect_completion() -> None:
    """Record that ``detect`` has completed now. Never raises: the run itself reports an unavailable store."""
    try:
        # A cursor of its own: no reader uses it, and it needs no table.
        connections.incident_store().queue.enqueue_sessions([], Cursor(time.time_ns() // 1_000), DETECTED)
    except FurrowError as error:
        count_degraded("lag", "not_noted")
        _log.warning("the completion of this run could not be recorded: %s", error)


def warn_of_lag(lag: Lag) -> bool:
    """Emit the event if the lag exceeds its limit; returns whether. Prefect warns at most every 30 minutes."""
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
