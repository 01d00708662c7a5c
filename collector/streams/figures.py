"""What each stream sent lately: events, rejects by reason, the last event. For `GET /v1/status` and ``furrow doctor``.

The figures of all processes of an installation are in one file of the spool's directory. They are written within seconds; a
process that is killed loses those of its last seconds. They name streams and fields, never anything that was sent.
"""

import asyncio
import fcntl
import os
import re
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from typing_extensions import TypedDict

from collector.metrics import STREAM_EVENTS, STREAM_IGNORED, STREAM_REJECTS
from collector.spool.durable_files import ensure_directory, write_all_bytes
from collector.streams.stream import Reading, Stream
from core.metrics import count_degraded

FILE: Final = "streams.json"
_WRITE_SECONDS: Final = 5.0
_MAX_REASONS: Final = 40  # of one stream
OTHER: Final = "other"
_NAME: Final = re.compile(r"[A-Za-z_$@][\w.$@:\[\]-]{0,63}")


class StreamFigures(msgspec.Struct):
    """One stream's figures; ``day`` (UTC, ``2026-01-31``) is that of the counts. ``last_ms``: receipt of the last event,
    epoch milliseconds, 0: never. ``rejects``: items and bodies by the field that was wrong (``body``: unreadable)."""

    day: str = ""
    last_ms: int = 0
    requests: int = 0
    events: int = 0
    rejects: dict[str, int] = {}
    ignored: dict[str, int] = {}

    def add_figures(self, more: "StreamFigures") -> None:
        """Add ``more``, of the same day or of a later one, which begins new counts."""
        self.last_ms = max(self.last_ms, more.last_ms)
        if more.day < self.day:
            return
        if more.day > self.day:
            self.day, self.requests, self.events, self.rejects, self.ignored = more.day, 0, 0, {}, {}
        self.requests += more.requests
        self.events += more.events
        self.rejects = _add_bounded(self.rejects, more.rejects)
        self.ignored = _add_bounded(self.ignored, more.ignored)


class StreamStatus(TypedDict):
    """A stream that has sent something, and its figures of today (UTC)."""

    name: str
    title: str
    lastEventSecondsAgo: float | None
    requestsToday: int
    eventsToday: int
    rejectsToday: dict[str, int]
    """By the field that was wrong; `body`: the whole body was unreadable."""
    ignoredToday: dict[str, int]
    """Items that are not for Furrow, by kind."""
    lacks: list[str]
    """What this stream never reports."""


class StreamCounts:
    """Counts the requests of each stream. Use it on the event loop."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE
        self.streams: tuple[Stream, ...] = ()
        """The streams that the collector serves; the endpoints set them."""
        self._unwritten: dict[str, StreamFigures] = {}
        self._written_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def count_request(
        self, stream: str, reading: Reading, stored: int, fields: Iterable[str], received_ms: int
    ) -> None:
        """Count a request whose ``stored`` events are durable; ``fields``: the field of each reject, ``body`` for a body that
        was unreadable."""
        rejects = Counter(name if _NAME.fullmatch(name) else OTHER for name in fields)
        ignored = Counter({name if _NAME.fullmatch(name) else OTHER: n for name, n in reading.ignored.items()})
        STREAM_EVENTS.labels(stream).inc(stored)
        unreadable = rejects.get("body", 0)
        STREAM_REJECTS.labels(stream, "unreadable").inc(unreadable)
        STREAM_REJECTS.labels(stream, "item").inc(rejects.total() - unreadable)
        STREAM_IGNORED.labels(stream).inc(ignored.total())
        day = datetime.fromtimestamp(received_ms / 1_000, UTC).date().isoformat()
        fresh = StreamFigures(day, received_ms if stored else 0, 1, stored, dict(rejects), dict(ignored))
        self._unwritten.setdefault(stream, StreamFigures()).add_figures(fresh)
        wait = self._written_at + _WRITE_SECONDS - time.monotonic()
        if wait <= 0:
            self.write_counts()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait, self.write_counts)

    def write_counts(self) -> None:
        """Write new counts to the file; on failure they are written next time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        fresh, self._unwritten = self._unwritten, {}
        self._written_at = time.monotonic()
        if not fresh:
            return
        try:
            _add_to_file(self._file, fresh)
        except OSError:
            count_degraded("streams", "counts_not_written")
            self._unwritten = fresh


def read_figures(directory: Path) -> dict[str, StreamFigures]:
    """The figures in the file, by stream. Never raises: an unreadable file counts as empty."""
    try:
        return _decode_figures((directory / FILE).read_bytes())
    except FileNotFoundError:
        return {}
    except OSError:
        count_degraded("streams", "counts_unreadable")
        return {}


def read_status(directory: Path, streams: Iterable[Stream]) -> list[StreamStatus]:
    """The streams that have ever sent something, in their order; counts of an earlier day are zero."""
    figures = read_figures(directory)
    now = time.time()
    today = datetime.fromtimestamp(now, UTC).date().isoformat()
    found: list[StreamStatus] = []
    for stream in streams:
        known = figures.get(stream.name)
        if known is None:
            continue
        known.add_figures(StreamFigures(today))
        found.append(
            {
                "name": stream.name,
                "title": stream.title,
                "lastEventSecondsAgo": round(max(0.0, now - known.last_ms / 1_000), 3) if known.last_ms else None,
                "requestsToday": known.requests,
                "eventsToday": known.events,
                "rejectsToday": known.rejects,
                "ignoredToday": known.ignored,
                "lacks": list(stream.lacks),
            }
        )
    return found


def _add_to_file(file: Path, fresh: dict[str, StreamFigures]) -> None:
    ensure_directory(file.parent)
    fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        figures = _decode_figures(os.pread(fd, os.fstat(fd).st_size, 0))
        for name, more in fresh.items():
            figures.setdefault(name, StreamFigures()).add_figures(more)
        content = msgspec.json.encode(figures)
        write_all_bytes(fd, content)
        os.ftruncate(fd, len(content))
    finally:
        os.close(fd)


def _decode_figures(content: bytes) -> dict[str, StreamFigures]:
    try:
        return msgspec.json.decode(content, type=dict[str, StreamFigures]) if content else {}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        count_degraded("streams", "counts_unreadable")
        return {}


def _add_bounded(known: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    total = dict(known)
    for name, number in more.items():
        kept = name if name in total or len(total) < _MAX_REASONS else OTHER
        total[kept] = total.get(kept, 0) + number
    return total
