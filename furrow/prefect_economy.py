"""What an idle Prefect costs, made cheaper: the loops of its server, and what its client and server compute again and again.

Measured by ``python -m bench sizing``; docs/sizing.md shows where the rest goes. Everything here is looked for more rarely
or computed once; nothing is switched off that an installation uses:

* Prefect's server looks for late runs, expired pauses, missing workers and the like every 5 to 20 s. `SETTINGS` says how
  often it does in an installation of one worker. Runs, events and reactive automations do not wait for these loops.
* Its queue of such work (docket, in memory) looks four times a second whether work is due, and ten times a second whether a
  task is to be cancelled, which Prefect never asks for.
* Each schedule that is read lists all time zones on the disk.
* Each client reads all certificates, for an address of this machine without TLS.
"""

import ctypes
import functools
import gc
import ssl
import types
import zoneinfo
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

_LOOPS: Final[Mapping[str, int]] = {
    "SERVICES_CANCELLATION_CLEANUP": 60,  # child runs of runs that were cancelled; Furrow's runs have none
    "SERVICES_CLEANUP_RECONCILER": 60,  # messages to workers of types that Furrow does not have
    "SERVICES_FOREMAN": 30,  # whether the worker is online, by heartbeats that come every 30 s
    "SERVICES_LATE_RUNS": 15,  # a run is late after 15 s
    "SERVICES_PAUSE_EXPIRATIONS": 60,  # runs that wait for a person's answer; they expire after an hour
    "SERVICES_REPOSSESSOR": 30,  # slots whose lease ended; a lease lasts five minutes
}
SETTINGS: Final[Mapping[str, str]] = {
    **{f"PREFECT_SERVER_{name}_LOOP_SECONDS": str(seconds) for name, seconds in _LOOPS.items()},
    # Schedules that somebody has just changed; the scheduler looks at all of them every minute.
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "20",
    # Automations that fire because something did not happen; ours fire because something did, and at once.
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT30S",
}
"""Prefect's settings for its server; an operator's own environment goes first."""

_CHECK: Final = timedelta(seconds=1)
_HEARTBEAT: Final = timedelta(seconds=30)


def list_time_zones_once() -> None:
    """List the time zones once in this process."""
    from prefect.types import _datetime

    _datetime.available_timezones = functools.cache(zoneinfo.available_timezones)  # type: ignore[attr-defined]


def prepare_client() -> None:
    """Read the certificates once in this process: clients of Prefect share a TLS context for each file of them."""
    from prefect.client import orchestration

    list_time_zones_once()
    shared = types.SimpleNamespace(**vars(ssl))
    shared.create_default_context = functools.cache(ssl.create_default_context)
    orchestration.ssl = shared  # type: ignore[assignment,attr-defined]


def prepare_server() -> None:
    """Let the queue of the server's background work look once a second; before its application is made."""
    from docket import Docket, Worker
    from prefect.server.api import background_workers, server

    class QuietWorker(Worker):
        """Looks for work once a second, and not whether tasks are to be cancelled: Prefect cancels none."""

        async def _cancellation_listener(self) -> None:
            if (session := self._processing_session) is not None:
                session.cancellation_ready.set()
                await session.stopping.wait()

    list_time_zones_once()
    background_workers.Worker = functools.partial(  # type: ignore[assignment,attr-defined]
        QuietWorker, minimum_check_interval=_CHECK, scheduling_resolution=_CHECK
    )
    server.Docket = functools.partial(Docket, heartbeat_interval=_HEARTBEAT)  # type: ignore[assignment,attr-defined]


def freeze_loaded_objects() -> None:
    """Take what was loaded so far out of Python's collections of garbage, and give freed memory back where that is glibc's."""
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
