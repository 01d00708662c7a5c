"""The incident store of the mode ``log``: it logs each detection once, in full, and stores nothing.

Queue and cursors are in memory. A real store that is configured later starts at the beginning and finds every detection.
"""

import json
import logging
import threading
from collections.abc import Sequence

from incidents.model import (
    AnalysedSession,
    Cursor,
    PendingSession,
    RecordResult,
    Rules,
    TouchedSession,
)
from stores.incidents.session_queue import compute_shard
from ufse.detection import Detection

_log = logging.getLogger("furrow.incidents")


class LogSessionQueue:
    """The queue and its cursors in the memory of one process. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._cursors: dict[str, Cursor] = {}
        self._pending: dict[tuple[str, str], PendingSession] = {}
        self._versions = 0

    def read_cursor(self, name: str = "detect") -> Cursor:
        """The cursor of the reader ``name`` since this process started."""
        with self._guard:
            return self._cursors.get(name, Cursor())

    def enqueue_sessions(
        self, touched: Sequence[TouchedSession], cursor: Cursor, name: str = "detect", since: Cursor | None = None
    ) -> int:
        """Enqueue sessions and move the cursor, unless it has moved from ``since``."""
        with self._guard:
            if since not in (None, self._cursors.get(name, Cursor())):
                return 0
            for session in touched:
                self._versions += 1
                key = (session.project, session.session_id)
                first = min(
                    session.received_ms, self._pending[key].received_ms if key in self._pending else session.received_ms
                )
                self._pending[key] = PendingSession(
                    *key, session.session_hash, self._versions, 0, session.due_ms, first
                )
            self._cursors[name] = cursor
        return len(touched)

    def find_due_sessions(self, now_ms: int, limit: int, shard: int = 0, shards: int = 1) -> list[PendingSession]:
        """The due sessions of this shard at ``now_ms`` (epoch ms), the longest due first."""
        with self._guard:
            ours = (
                pending for pending in self._pending.values() if compute_shard(pending.session_hash, shards) == shard
            )
            ready = sorted(
                (pending for pending in ours if pending.due_ms <= now_ms),
                key=lambda pending: (pending.due_ms, pending.project, pending.session_id),
            )
        return ready[:limit]

    def find_sessions_to_look_at(
        self, now_ms: int, limit: int, shard: int = 0, shards: int = 1
    ) -> list[PendingSession]:
        """None: without an incident store, only complete sessions are analysed."""
        return []

    def count_pending_sessions(self, now_ms: int) -> dict[str, int]:
        """``{"open", "due"}`` at ``now_ms`` (epoch ms)."""
        with self._guard:
            due = sum(pending.due_ms <= now_ms for pending in self._pending.values())
            return {"open": len(self._pending) - due, "due": due}

    def record_session_failure(self, pending: PendingSession, reason: str, max_attempts: int = 3) -> bool:
        """Log the failure and drop the session."""
        _log.error("the engine failed over a session: %s", json.dumps([pending.project, pending.session_id, reason]))
        self.remove_session(pending)
        return True

    def remove_session(self, pending: PendingSession) -> None:
        """Remove a session from the queue, unless it got new events meanwhile."""
        with self._guard:
            key = (pending.project, pending.session_id)
            if key in self._pending and self._pending[key].version == pending.version:
                del self._pending[key]


class LogIncidentLedger:
    """Logs each detection once in the life of the process. Thread-safe."""

    def __init__(self, queue: LogSessionQueue) -> None:
        self._queue = queue
        self._guard = threading.Lock()
        self._logged: set[str] = set()

    def record_detections(self, analysed: Sequence[AnalysedSession], rules: Rules | None = None) -> RecordResult:
        """Log the new detections and remove their sessions from the queue."""
        logged = 0
        for item in analysed:
            for detection in item.detections:
                logged += self._log_detection_once(detection)
            self._queue.remove_session(item.pending)
        return RecordResult(sessions=len(analysed), stored=logged)

    def _log_detection_once(self, detection: Detection) -> bool:
        with self._guard:
            fresh = detection["detectionId"] not in self._logged
            self._logged.add(detection["detectionId"])
        if fresh:
            # json.dumps escapes control characters: text from a browser cannot forge a line of the log.
            _log.warning("detection (log-only): %s", json.dumps(detection, ensure_ascii=True))
        return fresh


class LogIncidentStore:
    """The queue and the ledger of the mode ``log``. It has no incidents, tickets, keys and projects."""

    def __init__(self) -> None:
        self.queue = LogSessionQueue()
        self.ledger = LogIncidentLedger(self.queue)

    def close(self) -> None:
        """Nothing to close."""
