"""The lander: moves sealed spool segments into ClickHouse, each exactly once, and reports its progress.

One segment is one insert, with the segment's hash as deduplication token; its receipts are inserted before it. The segment
is deleted after both inserts have returned.
A damaged segment, or one whose rows ClickHouse rejects permanently, moves to the spool's quarantine; the next segments land.
After any other error of the event store, segments wait in the spool.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from collector import lag
from collector.spool.segments import Segment, SpoolCorrupt, list_segments
from core import last_errors
from core.errors import FurrowError, NotConfigured, PermanentError, TransientError
from core.health import BEAT_S
from core.landings import Landings
from core.metrics import EVENTS_LANDED, SEGMENTS_LANDED, count_degraded
from lander.coverage import Coverage, current_time_us
from stores.events import event_coverage, event_receipts
from stores.events.event_store import EventCounts, EventStore
from stores.events.session_table import SessionCounts

_IDLE_SECONDS = 0.3
_LONGEST_WAIT_SECONDS = 30.0
# Maximum share of the lander's time for counting: with millions of sessions it counts less often.
_STATS_SHARE = 0.02
_STATS_SECONDS = 1.0
_STATS_IDLE_SECONDS = 10.0  # while nothing changes it is counted ever more rarely, down to this
_COVERAGE_SECONDS = 30.0
_log = logging.getLogger("lander.loop")


class Lander:
    """Lands segments until stopped. ``connect`` returns the event store that is configured now, or raises; it must not block.

    ``beat`` is called in each iteration of the loop and after each segment: the heartbeat.
    """

    def __init__(
        self,
        spool: Path,
        connect: Callable[[], EventStore],
        status: Path,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._spool = spool
        self._connect = connect
        self._status = status
        self._beat = beat
        self._began_ms = time.time_ns() // 1_000_000
        self._landings = _read_stored_landings(status)
        self._stop = threading.Event()
        self._stats_due = 0.0
        self._stats_earliest = 0.0  # what has landed since may be counted then
        self._stats_pause = _STATS_SECONDS
        self._sessions: SessionCounts | None = None
        self._dirty = True
        self._events = EventCounts(0, 0, 0)
        self._coverage = _read_stored_coverage(status)
        self._covered_us = 0
        self._coverage_due = 0.0

    def land_until_stopped(self) -> None:
        """Land new segments; wait with increasing delays while the event store is unavailable. Returns after `stop`."""
        wait = _IDLE_SECONDS
        while not self._stop.is_set():
            try:
                self.land_all_segments()
                wait = _IDLE_SECONDS
            except NotConfigured as reason:
                wait = self._back_off(wait, "not_configured", reason)
            except FurrowError as error:
                wait = self._back_off(wait, type(error).__name__, error)
            except Exception as error:
                _log.exception("the lander failed unexpectedly")
                wait = self._back_off(wait, type(error).__name__, error)
            self._wait_and_beat(wait)

    def stop(self) -> None:
        """Let `land_until_stopped` return after the current segment."""
        self._stop.set()

    def _wait_and_beat(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            self._beat()
            if self._stop.wait(max(0.0, min(BEAT_S, until - time.monotonic()))) or time.monotonic() >= until:
                return

    def land_all_segments(self) -> int:
        """Land every sealed segment, oldest first. Returns how many. Raises what the event store raises; the rest stays.

        A segment that cannot be read or deleted does not stop the others: TransientError follows after they have landed.
        """
        store = self._connect()
        landed = 0
        failed: OSError | None = None
        for segment in list_segments(self._spool):
            if self._stop.is_set():
                break
            self._beat()
            try:
                landed += self._land_segment(store, segment)
            except FileNotFoundError:  # another lander has landed it, or a person has moved it
                continue
            except OSError as error:
                failed = error
        if time.monotonic() >= self._stats_due:
            self._write_status(store)
        if failed is not None:
            raise TransientError(f"a segment of the spool cannot be read or deleted: {failed}") from failed
        return landed

    def _land_segment(self, store: EventStore, segment: Segment) -> bool:
        try:
            parts = segment.parts()
            # Receipts first: a reader of the events finds their senders.
            event_receipts.land_receipts(store, parts.receipts, segment.digest)
            store.land_segment(parts.rows, segment.digest)
        except FurrowError as error:
            if not _is_fault_of_segment(error):
                raise
            # It is kept with its reason; a person can repair it and move it back.
            count_degraded("lander", "quarantined")
            _log.error("segment %s is set aside: %s", segment.path.name, error)
            segment.quarantine(str(error))
            last_errors.record_last_error(self._status.parent, "lander", error)
            return False
        self._dirty = True
        self._stats_due = self._stats_earliest
        segment.delete()
        SEGMENTS_LANDED.inc()
        EVENTS_LANDED.inc(segment.events)
        return True

    def _write_status(self, store: EventStore) -> None:
        began, landed = time.monotonic(), self._dirty
        if self._dirty:
            self._events = store.count_events()
            self._dirty = False
            if self._events.last_landed_us:
                self._landings.add_landing(self._events.last_landed_us)
        sessions = store.count_sessions()
        unchanged = sessions == self._sessions and not landed
        self._stats_pause = min(self._stats_pause * 2, _STATS_IDLE_SECONDS) if unchanged else _STATS_SECONDS
        self._sessions = sessions
        text = json.dumps(
            {
                "eventsStored": self._events.distinct,
                "rowsStored": self._events.rows,
                "landedAtMs": self._events.last_landed_us // 1000,
                "sessionsComplete": sessions.visits,
                "silentByRule": sessions.silent,
                "toldAtMs": time.time_ns() // 1_000_000,
                "beganAtMs": self._began_ms,
                "landings": self._landings.list_moments(),
                "coverage": self._update_coverage(store).to_json(),
            }
        )
        fresh = self._status.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, self._status)
        took = time.monotonic() - began
        ended = time.monotonic()
        self._stats_earliest = ended + max(_STATS_SECONDS, took / _STATS_SHARE)
        self._stats_due = max(self._stats_earliest, ended + self._stats_pause)

    def _update_coverage(self, store: EventStore) -> Coverage:
        """The coverage of the stream, updated at most every `_COVERAGE_SECONDS`, and only after a landing."""
        newest = self._events.last_landed_us
        if newest > self._covered_us and time.monotonic() >= self._coverage_due:
            counts, until = event_coverage.count_landed_events(store, self._coverage.advance_period(current_time_us()))
            self._coverage.add_counts(counts, until)
            self._covered_us = newest
            self._coverage_due = time.monotonic() + _COVERAGE_SECONDS
        return self._coverage

    def _back_off(self, wait: float, reason: str, error: Exception) -> float:
        count_degraded("lander", reason)
        if not isinstance(error, NotConfigured):
            last_errors.record_last_error(self._status.parent, last_errors.find_failed_part(error, "lander"), error)
        _log.warning("nothing lands, events stay in the spool: %s", error)
        return min(wait * 2, _LONGEST_WAIT_SECONDS)


def _read_stored_landings(status: Path) -> Landings:
    try:
        return lag.parse_landings(json.loads(status.read_text()))
    except (OSError, ValueError):
        return Landings()


def _read_stored_coverage(status: Path) -> Coverage:
    try:
        return Coverage.from_json(json.loads(status.read_text()).get("coverage"))
    except (OSError, ValueError, AttributeError):
        return Coverage()


# ClickHouse's error codes for bad rows: they cannot be parsed or converted, or have unknown columns.
_DATA_CODES = frozenset({6, 26, 27, 38, 41, 53, 69, 70, 72, 117, 130})


def _is_fault_of_segment(error: FurrowError) -> bool:
    """Whether the error concerns this segment's rows alone. A wrong password or a missing table affects every segment:
    then all wait in the spool until the cause is fixed."""
    if isinstance(error, SpoolCorrupt):
        return True
    return isinstance(error, PermanentError) and getattr(error.__cause__, "code", None) in _DATA_CODES
