"""A thread of the engine that looks at the lag once a minute, so that people are warned when no run does so any more."""

import logging
import threading

from furrow.errors import FurrowError
from furrow.metrics import degraded
from tasks import lag

INTERVAL_S = 60.0
_log = logging.getLogger("furrow.watch")


def watch(stop: threading.Event, interval_s: float = INTERVAL_S) -> None:
    """Look every ``interval_s`` seconds until ``stop`` is set; the first time after one interval: a start may catch up."""
    while not stop.wait(interval_s):
        try:
            found = lag.current()
            if found is not None and lag.warn(found):
                _log.warning("the work is behind: %s", "; ".join(found.lines()))
        except FurrowError as error:
            degraded("watch", type(error).__name__)
            _log.warning("the lag could not be told: %s", error)
