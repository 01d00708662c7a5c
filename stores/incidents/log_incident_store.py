"""The incident store of the mode ``log``: nothing is kept but in memory; each detection is logged once, in full.

It moves no state: the watermark lives as long as the process, so that a real store that is configured later starts at the
beginning and finds every detection itself.
"""

import json
import logging
import threading
from collections.abc import Sequence

from incidents.model import Analysed, Cursor, IncidentPage, IncidentQuery, Json, Pending, Recorded, Rules, Touched
from stores.incidents.session_queue import shard_of

_log = logging.getLogger("furrow.incidents")


class LogIncidentStore:
    """The queue, the cursor and the ids of logged detections of one process. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._cursors: dict[str, Cursor] = {}
        self._pending: dict[tuple[str, str], Pending] = {}
        self._versions = 0
        self._logged: set[str] = set()

    def cursor(self, name: str = "detect") -> Cursor:
        """How far the reader ``name`` has come since this process started."""
        with self._guard:
            return self._cursors.get(name, Cursor())

    def enqueue(
        self, touched: Sequence[Touched], cursor: Cursor, name: str = "detect", since: Cursor | None = None
    ) -> int:
        """Put sessions in line and move the cursor; not if it has moved from ``since``."""
        with self._guard:
            if since not in (None, self._cursors.get(name, Cursor())):
                return 0
            for one in touched:
                self._versions += 1
                key = (one.project, one.session_id)
                first = min(
                    one.received_ms, self._pending[key].received_ms if key in self._pending else one.received_ms
                )
                self._pending[key] = Pending(*key, one.session_hash, self._versions, 0, one.due_ms, first)
            self._cursors[name] = cursor
        return len(touched)

    def due(self, now_ms: int, limit: int, shard: int = 0, shards: int = 1) -> list[Pending]:
        """Sessions of this shard whose time has come (epoch ms), oldest first."""
        with self._guard:
            ours = (one for one in self._pending.values() if shard_of(one.session_hash, shards) == shard)
            ready = sorted(
                (one for one in ours if one.due_ms <= now_ms),
                key=lambda one: (one.due_ms, one.project, one.session_id),
            )
        return ready[:limit]

    def pending_counts(self, now_ms: int) -> dict[str, int]:
        """``{"open", "due"}`` at ``now_ms`` (epoch ms)."""
        with self._guard:
            due = sum(one.due_ms <= now_ms for one in self._pending.values())
            return {"open": len(self._pending) - due, "due": due}

    def record(self, analysed: Sequence[Analysed], rules: Rules | None = None) -> Recorded:
        """Log the detections that were not logged yet and take their sessions off the line."""
        logged = 0
        for one in analysed:
            for detection in one.detections:
                logged += self._log_once(detection)
            self._clear(one.pending)
        return Recorded(sessions=len(analysed), stored=logged)

    def session_failed(self, pending: Pending, reason: str, max_attempts: int = 3) -> bool:
        """Log the failure and drop the session: there is no place to keep it."""
        _log.error("the engine failed over a session: %s", json.dumps([pending.project, pending.session_id, reason]))
        self._clear(pending)
        return True

    def incidents(self, query: IncidentQuery) -> IncidentPage:
        """No incidents: they need a store."""
        return IncidentPage((), 0, query.limit, query.offset)

    def incident(self, incident_id: str, project: str | None = None) -> Json | None:
        """No incidents: they need a store."""
        return None

    def exportable(self, *_: object, **__: object) -> list[Json]:
        """No incidents: they need a store."""
        return []

    def close(self) -> None:
        """Nothing to close."""

    def _log_once(self, detection: Json) -> bool:
        with self._guard:
            fresh = detection["detectionId"] not in self._logged
            self._logged.add(detection["detectionId"])
        if fresh:
            # json.dumps escapes control characters: text from a browser cannot forge a line of the log.
            _log.warning("detection (log-only): %s", json.dumps(detection, ensure_ascii=True))
        return fresh

    def _clear(self, pending: Pending) -> None:
        with self._guard:
            key = (pending.project, pending.session_id)
            if key in self._pending and self._pending[key].version == pending.version:
                del self._pending[key]
