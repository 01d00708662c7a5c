"""The gate of the export: the pace and the pauses that all exporters keep, and the lease of the ticket that is filed."""

import random
import time
from collections.abc import Callable
from typing import Final

from prefect import task

from blocks.documents import effective_settings
from core.errors import PermanentError
from core.plurals import format_count
from stores.incidents.log_incident_store import LogIncidentStore
from stores.incidents.tracker_gates import Pause, TrackerGates
from tasks import connections
from tasks.retrying import POLICY
from trackers.gate import RateLimited

PATIENCE_S: Final = 10.0
"""Longest wait requested by a tracker that is waited for within the run."""


class SharedGate:
    """The gate for one tracker; see `trackers.gate.Gate`."""

    def __init__(
        self,
        gates: TrackerGates,
        tracker: str,
        per_minute: int,
        until: float,
        check_lease: Callable[[], None] | None = None,
    ) -> None:
        """``until``: end of all waiting (``time.monotonic``). ``check_lease``: None for upkeep, which leaves room to others."""
        self._gates, self._tracker, self._per_minute, self._until = gates, tracker, per_minute, until
        self._check_lease = check_lease

    def wait_for_turn(self) -> None:
        """Return when a request may be sent. Raises RateLimited when that takes longer than `PATIENCE_S`."""
        while pause := self._gates.take_turn(self._tracker, self._per_minute, needed=self._check_lease is not None):
            if pause.seconds > PATIENCE_S or time.monotonic() + pause.seconds > self._until:
                why = f": {pause.reason}" if pause.reason else ""
                raise RateLimited(f"{self._tracker} takes no request now{why}", retry_after=pause.seconds)
            # Exporters that waited together do not ask together.
            time.sleep(pause.seconds * random.uniform(1.0, 1.05))

    def close(self, seconds: float, reason: str) -> None:
        """The tracker takes no request for so many seconds, from any exporter."""
        self._gates.close_gate(self._tracker, seconds, reason)

    def check_lease(self) -> None:
        """Raise LostLease unless the ticket is still this exporter's."""
        if self._check_lease is not None:
            self._check_lease()


@task(name="find what keeps a tracker", **POLICY)
def find_pause(tracker: str) -> Pause | None:
    """A pause that the tracker asked for and that is too long to wait for, if a ticket waits; else None."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return None
    pause = store.gates.find_pause(tracker)
    if pause is None or pause.seconds <= PATIENCE_S:
        return None
    least, access = effective_settings().export_min_score, connections.identify_access(tracker)
    return pause if store.outbox.find_exportable_incidents(tracker, 1, least, access=access) else None


@task(name="find refusal", **POLICY)
def find_refusal(tracker: str) -> PermanentError | None:
    """The words with which the tracker refuses Furrow under its present settings, while tickets wait because of that."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return None
    found = store.outbox.find_refusal(tracker, connections.identify_access(tracker))
    if found is None:
        return None
    waits = format_count(found[1], "ticket")
    return PermanentError(f"{found[0]} ({waits} tried again when the settings of {tracker} change, and every hour)")
