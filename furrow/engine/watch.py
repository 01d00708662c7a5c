"""A thread of the engine that looks at the lag once a minute, so that people are warned when no run does so any more.

It asks neither Prefect nor the event store. While Prefect is away its warning is a line in the log, and `furrow doctor`,
``GET /v1/status`` and ``GET /metrics`` show the lag.
"""

import logging
import threading

from collector.lag import Lag
from core import last_errors
from core.errors import FurrowError, PermanentError
from core.metrics import degraded
from core.settings import Settings
from tasks import lag

INTERVAL_S = 60.0
_log = logging.getLogger("furrow.engine.watch")


def watch(stop: threading.Event, interval_s: float = INTERVAL_S) -> None:
    """Look every ``interval_s`` seconds until ``stop`` is set; the first time after one interval: a start may catch up.

    People are warned when two looks, one after the other, find the work behind: after a laptop slept, the first one finds
    nothing done for hours, and the second one that it is being done.
    """
    late = False
    while not stop.wait(interval_s):
        try:
            found = lag.current()
            was, late = late, found is not None and found.is_late
            if found is not None and was and late:
                _warn(found)
        except FurrowError as error:
            degraded("watch", type(error).__name__)
            _log.warning("the lag could not be told: %s", error)


def _warn(found: Lag) -> None:
    told = "; ".join(found.lines())
    _log.warning("the work is behind: %s", told)
    if found.detect_is_old:
        late = PermanentError(
            f"`detect` completed last: {found.detected()}; is its deployment paused or without schedule?"
        )
        last_errors.note(Settings().data_dir, "detect", late)
    lag.warn(found)
