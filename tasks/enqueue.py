"""Find out which client sessions have new events, and put them in line for analysis."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from prefect import task

from stores.events import event_store as events
from stores.events.event_store import SLICE_EVENTS
from stores.incidents.incident_store import Cursor
from stores.incidents.incident_store import TouchedSession as Row
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.retrying import POLICY

ENDED_MS = 15_000
"""A session is complete this long after its `session_end` (detection.md, Sessions)."""
LEAVING_MS = 100
"""Events so shortly after a `session_end` belong to it: Chromium reports a closed tab as hidden 2 ms after `pagehide`. A next
page needs longer (own choice)."""
SILENT_MS = 15 * 60_000
"""... or after this long without an action of a person (detection.md, Sessions)."""
UNATTENDED_MS = 60 * 60_000
"""Events without an action, alone, are analysed after this long (own choice: a page that polls all day costs 24 analyses)."""

_log = logging.getLogger("furrow.sessionize")


@dataclass(frozen=True)
class Sessionized:
    """What one step found: newly landed events (rows), the client sessions that they belong to, and the events after them.

    ``log_only``: there is no incident store; detections will be logged and nothing is remembered.
    """

    events: int
    sessions: int
    log_only: bool
    later: int = 0


@task(name="sessionize", **POLICY)
def sessionize() -> Sessionized:
    """Read the oldest slice of what landed since the watermark; in one transaction queue its sessions and advance that.

    Reading overlaps the watermark by more than an insert can take, and landings that were read already are left out
    by name, so that a slow insert is not missed and a quick one is not queued twice. Of two runs that read at the same
    time the first one queues; a session that is queued again would be analysed again.
    """
    store = connections.incident_store()
    cursor = store.queue.read_cursor()
    found = connections.event_store().read_touched_sessions(cursor.watermark_us, cursor.seen, SLICE_EVENTS)
    if found and not store.queue.enqueue_sessions(
        _queue_rows(found), Cursor(found.watermark_us, found.seen), since=cursor
    ):
        _log.info("another run has put the new events in line meanwhile")
        return Sessionized(0, 0, isinstance(store, LogIncidentStore))
    _log.info("%d new events in %d sessions, %d events after them", found.events, len(found), found.later)
    return Sessionized(found.events, len(found), isinstance(store, LogIncidentStore), found.later)


def compute_due_ms(
    last_ts: npt.NDArray[np.int64], ended_ts: npt.NDArray[np.int64], last_received_ms: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """When each client session is complete (epoch ms), by its last event, its `session_end` (0: none) and last receipt.

    Silence is counted in event time, so that a file of old events need not wait; but never before 15 s after the last
    receipt (more of the same batch may follow) and never later than 15 min after it (a fast clock).
    """
    silent = np.clip(last_ts + SILENT_MS, last_received_ms + ENDED_MS, last_received_ms + SILENT_MS)
    return np.where(_have_ended(ended_ts, last_ts), last_received_ms + ENDED_MS, silent)


def _have_ended(ended_ts: npt.NDArray[np.int64], last_ts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return (ended_ts > 0) & (ended_ts + LEAVING_MS >= last_ts)


def compute_touched_due_ms(found: events.TouchedSessions) -> npt.NDArray[np.int64]:
    """When each touched session is to be analysed (epoch ms), by its new events.

    Silence is counted from the last action of a person: what a page does by itself keeps no session waiting. Sessions without a
    new action and without a `session_end` wait longer, because nothing is missed.
    """
    ended = _have_ended(found.ended_ts, found.last_ts)
    acted = found.acted_ts > 0
    received = found.last_received_ms
    alone = np.clip(found.last_ts + UNATTENDED_MS, received + ENDED_MS, received + UNATTENDED_MS)
    silent = compute_due_ms(np.where(acted, found.acted_ts, found.last_ts), np.zeros_like(received), received)
    return np.where(ended, received + ENDED_MS, np.where(acted, silent, alone))


def _queue_rows(found: events.TouchedSessions) -> list[Row]:
    # A file of old events is complete as soon as it is here: there is nothing to look at before, and nobody to alert.
    goes_on = found.last_ts + SILENT_MS > found.last_received_ms
    return [
        Row(project, session_id, session_hash, due_at, first, acted > 0, failed)
        for project, session_id, session_hash, due_at, first, acted, failed in zip(
            found.project,
            found.session_id,
            found.session_hash.tolist(),
            compute_touched_due_ms(found).tolist(),
            found.first_received_ms.tolist(),
            found.acted_ts.tolist(),
            (found.failed & goes_on).tolist(),
            strict=True,
        )
    ]
