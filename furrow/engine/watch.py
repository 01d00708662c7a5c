"""A thread of the engine that checks the lag every minute, so that warnings are sent also when no flow runs.

It uses neither Prefect nor the event store. While Prefect is unavailable, the warning is a line in the log; `furrow doctor`,
``GET /v1/status`` and ``GET /metrics`` show the lag.
"""

import logging
import threading

from collector.lag import Lag
from core import last_errors
from core.errors import FurrowError, PermanentError
from core.metrics import count_degraded
from core.settings import Settings
from tasks import lag

INTERVAL_S = 60.0
_log = logging.getLogger("furrow.engine.watch")


def watch_lag(stop: threading.Event, interval_s: float = INTERVAL_S) -> None:
    """Check every ``interval_s`` seconds until ``stop`` is set, for the first time after one interval.

    A warning is sent when two consecutive checks exceed the limit. A single one is normal after a machine was suspended.
    """
    late = False
    while not stop.wait(interval_s):
        try:
            found = lag.measure_current_lag()
            was, late = late, found is not None and found.is_late
            if found is not None and was and late:
                _warn_of_lag(found)
        except FurrowError as error:
            count_degraded("watch", type(error).__name__)
            _log.warning("the lag could not be measured: %s", error)


def _warn_of_lag(found: Lag) -> None:
    summary = "; ".join(found.describe_lag())
    _log.warning("processing is behind: %s", summary)
    if found.is_detect_overdue:
        late = PermanentError(
            f"`detect` completed last: {found.describe_last_detect()}; check whether its deployment is paused or unscheduled"
        )
        last_errors.record_last_error(Settings().data_dir, "detect", late)
    lag.warn_of_lag(found)
