"""The lander: moves sealed spool segments into ClickHouse, each exactly once, and tells how far it has come.

One segment is one insert with the segment's hash as deduplication token, and it is deleted only when the insert returned.
A segment that is refused for good is set aside in the spool's quarantine, so that it does not stop those behind it.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from collector.spool import Segment, SpoolCorrupt, segments
from furrow.errors import FurrowError, NotConfigured, TransientError
from furrow.metrics import EVENTS_LANDED, SEGMENTS_LANDED, degraded
from stores.event_store import EventCounts, EventStore

_IDLE_SECONDS = 0.3
_LONGEST_WAIT_SECONDS = 30.0
# Counting distinct events reads all of their ids: it may take this share of the lander's time at the most.
_STATS_SHARE = 0.2
_STATS_SECONDS = 1.0
_log = logging.getLogger("furrow.lander")


class Lander:
    """Lands segments until stopped. ``connect`` gives the event store as it is configured now, or raises."""

    def __init__(self, spool: Path, connect: Callable[[], EventStore], status: Path) -> None:
        self._spool = spool
        self._connect = connect
        self._status = status
        self._stop = threading.Event()
        self._stats_due = 0.0
        self._dirty = True
        self._events = EventCounts(0, 0, 0)

    def run(self) -> None:
        """Land what comes, waiting longer and longer while the event store is away. Returns after `stop`."""
        wait = _IDLE_SECONDS
        while not self._stop.is_set():
            try:
                self.land_all()
                wait = _IDLE_SECONDS
            except NotConfigured as reason:
                wait = self._back_off(wait, "not_configured", reason)
            except FurrowError as error:
                wait = self._back_off(wait, type(error).__name__, error)
            except Exception as error:
                _log.exception("the lander failed unexpectedly")
                wait = self._back_off(wait, type(error).__name__, error)
            self._stop.wait(wait)

    def stop(self) -> None:
        """Ask `run` to return after the segment it is landing."""
        self._stop.set()

    def land_all(self) -> int:
        """Land every sealed segment, oldest first; how many. Raises what the event store raises, with the rest kept."""
        store = self._connect()
        landed = 0
        for segment in segments(self._spool):
            if self._stop.is_set():
                break
            landed += self._land(store, segment)
        if time.monotonic() >= self._stats_due:
            self._tell(store)
        return landed

    def _land(self, store: EventStore, segment: Segment) -> bool:
        try:
            store.land(segment.read(), segment.digest)
        except TransientError:
            raise
        except (SpoolCorrupt, FurrowError) as error:
            # Kept, with its reason, and out of the way of the others: it can be mended and put back by hand.
            degraded("lander", "quarantined")
            _log.error("segment %s is set aside: %s", segment.path.name, error)
            segment.quarantine(str(error))
            return False
        self._dirty = True
        segment.delete()
        SEGMENTS_LANDED.inc()
        EVENTS_LANDED.inc(segment.events)
        return True

    def _tell(self, store: EventStore) -> None:
        began = time.monotonic()
        if self._dirty:
            self._events = store.count_events()
            self._dirty = False
        sessions = store.count_sessions()
        text = json.dumps(
            {
                "eventsStored": self._events.distinct,
                "rowsStored": self._events.rows,
                "landedAtMs": self._events.last_landed_us // 1000,
                "sessionsComplete": sessions.visits,
                "silentByRule": sessions.silent,
                "toldAtMs": time.time_ns() // 1_000_000,
            }
        )
        fresh = self._status.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, self._status)
        took = time.monotonic() - began
        self._stats_due = time.monotonic() + max(_STATS_SECONDS, took / _STATS_SHARE)

    def _back_off(self, wait: float, reason: str, error: Exception) -> float:
        degraded("lander", reason)
        _log.warning("nothing lands, events stay in the spool: %s", error)
        return min(wait * 2, _LONGEST_WAIT_SECONDS)
