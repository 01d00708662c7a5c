"""The lag of an installation: events that wait to land, to be read by ``detect``, and sessions that wait for analysis.

This module calls neither Prefect nor the event store: the lag is known while they do not answer. The lander writes the times
of landings into its status file. The progress of ``detect`` is in the incident store; a file keeps its last known value.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from collector.spool.segments import list_segments
from core.landings import Landings
from core.last_errors import format_duration
from core.metrics import count_degraded
from core.settings import Settings
from incidents.model import Cursor, PendingSession

LIMIT_S: Final = 600.0
"""Lag (s) from which people are warned: twenty intervals of ``detect``."""
DETECTED: Final = "detected"
"""Name of the cursor with the time at which ``detect`` completed last (epoch µs)."""


class SessionQueue(Protocol):
    """The queue of sessions that wait for analysis, and the cursors of its readers, in either incident store."""

    def find_due_sessions(self, now_ms: int, limit: int) -> list[PendingSession]: ...
    def count_pending_sessions(self, now_ms: int) -> dict[str, int]: ...
    def read_cursor(self, name: str = "detect") -> Cursor: ...


class Progress(NamedTuple):
    """The progress of ``detect``.

    ``watermark_us``: the last landing that it has read; ``detected_us``: its last completed run (epoch µs; 0: never).
    ``oldest_due_ms``: when the longest waiting session became complete (epoch ms; 0: no session waits).
    """

    watermark_us: int
    detected_us: int
    oldest_due_ms: int = 0


class LandingStatus(NamedTuple):
    """The lander's status: its landings, the newest landing (epoch ms; 0: never), its start (epoch ms; 0: unknown)."""

    landings: Landings
    newest_ms: int
    began_ms: int


@dataclass(frozen=True)
class Lag:
    """The waiting work, in seconds (0: nothing waits; None: not known).

    ``landing_s``: since the oldest waiting spool segment was sealed; ``analysis_s``: since the longest waiting session became
    complete; ``landed_s``: since the newest events landed; ``unread_s``: since the oldest events landed that ``detect`` has
    not read; ``detect_s``: since ``detect`` completed last (None: never, as far as is known); ``running_s``: since the lander
    started. ``due``: number of complete sessions that wait; ``open``: number of sessions that may continue.
    """

    landing_s: float
    analysis_s: float | None
    landed_s: float | None = None
    due: int | None = None
    open: int | None = None
    unread_s: float | None = None
    detect_s: float | None = None
    running_s: float | None = None

    @property
    def longest_wait_seconds(self) -> float:
        """The longest known wait, seconds."""
        return max(self.landing_s, self.analysis_s or 0.0, self.unread_s or 0.0)

    @property
    def is_stalled(self) -> bool:
        """Whether ``detect`` has not completed within the limit although the engine has run for longer."""
        return (self.running_s or 0.0) > LIMIT_S and self.is_detect_overdue

    @property
    def is_detect_overdue(self) -> bool:
        """Whether ``detect`` has not completed within the limit, as far as is known."""
        return self.detect_s is None or self.detect_s > LIMIT_S

    @property
    def is_late(self) -> bool:
        """Whether people must be warned."""
        return self.longest_wait_seconds > LIMIT_S or self.is_stalled

    def describe_lag(self) -> list[str]:
        """The lag as lines of text for people."""
        landed = "unknown" if self.landed_s is None else f"{format_duration(self.landed_s)} ago"
        return [
            f"oldest segment that has not landed: {_describe_wait(self.landing_s)}",
            f"oldest landed events that `detect` has not read: {_describe_wait(self.unread_s)}",
            f"oldest complete session that is not analysed: {_describe_wait(self.analysis_s)}",
            f"newest events landed: {landed}",
            f"`detect` completed last: {self.describe_last_detect()}",
            f"queued sessions: {_format_count(self.due)} complete, {_format_count(self.open)} that may continue",
        ]

    def describe_last_detect(self) -> str:
        """When ``detect`` completed last, for people."""
        return "never, as far as is known" if self.detect_s is None else f"{format_duration(self.detect_s)} ago"


def measure_lag(settings: Settings, queue: SessionQueue | None) -> Lag:
    """The lag now. ``queue``: None when the incident store does not answer: then the last known progress is used, and the
    wait of sessions is not known. Raises what the store raises."""
    now_ms = time.time_ns() // 1_000_000
    if queue is None:
        return replace(
            compute_lag(settings.spool_dir, settings.lander_status, load_progress(settings.data_dir)), analysis_s=None
        )
    progress, counts = read_progress(queue, now_ms), queue.count_pending_sessions(now_ms)
    found = compute_lag(settings.spool_dir, settings.lander_status, progress)
    return replace(found, due=counts["due"], open=counts["open"])


def read_progress(queue: SessionQueue, now_ms: int) -> Progress:
    """The progress of ``detect``, from the incident store. Raises what the store raises."""
    oldest = queue.find_due_sessions(now_ms, 1)
    return Progress(
        queue.read_cursor().watermark_us, queue.read_cursor(DETECTED).watermark_us, oldest[0].due_ms if oldest else 0
    )


def compute_lag(spool_dir: Path, lander_status: Path | None, progress: Progress | None) -> Lag:
    """The lag now, from the spool, the lander's status file (None: there is none) and ``progress`` (None: not known)."""
    now_ms = time.time_ns() // 1_000_000
    waiting = list_segments(spool_dir)
    landed = _read_landing_status(lander_status)
    lag = Lag(
        _elapsed_seconds(now_ms, waiting[0].sealed_ns // 1_000_000) if waiting else 0.0,
        None,
        _elapsed_seconds(now_ms, landed.newest_ms) if landed.newest_ms else None,
        running_s=_elapsed_seconds(now_ms, landed.began_ms) if landed.began_ms else None,
    )
    if progress is None:
        return lag
    unread_us = landed.landings.oldest_landing_after(progress.watermark_us)
    return replace(
        lag,
        analysis_s=_elapsed_seconds(now_ms, progress.oldest_due_ms) if progress.oldest_due_ms else 0.0,
        unread_s=_elapsed_seconds(now_ms, unread_us // 1_000) if unread_us else 0.0,
        detect_s=_elapsed_seconds(now_ms, progress.detected_us // 1_000) if progress.detected_us else None,
    )


def load_progress(data_dir: Path) -> Progress | None:
    """The last known `Progress`; None: there is none."""
    try:
        held = json.loads(_progress_file(data_dir).read_text())
        return Progress(int(held["watermarkUs"]), int(held["detectedUs"]), int(held["oldestDueMs"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_progress(data_dir: Path, progress: Progress) -> None:
    """Save ``progress`` for times when the incident store does not answer. Never raises: a failed write is counted."""
    fresh = _progress_file(data_dir).with_suffix(f".{os.getpid()}.new")
    held = {
        "watermarkUs": progress.watermark_us,
        "detectedUs": progress.detected_us,
        "oldestDueMs": progress.oldest_due_ms,
    }
    try:
        fresh.write_text(json.dumps(held))
        os.replace(fresh, _progress_file(data_dir))
    except OSError:
        count_degraded("lag", "progress_unwritable")


def parse_landings(status: Mapping[str, Any]) -> Landings:
    """The landings in the lander's status file; empty for the file of an older version."""
    try:
        return Landings(int(moment) for moment in status["landings"])
    except (ValueError, KeyError, TypeError):
        return Landings()


def _read_landing_status(lander_status: Path | None) -> LandingStatus:
    if lander_status is None:
        return LandingStatus(Landings(), 0, 0)
    try:
        held = json.loads(lander_status.read_text())
        newest_ms = int(held["landedAtMs"])
    except (OSError, ValueError, KeyError, TypeError):
        return LandingStatus(Landings(), 0, 0)
    began_ms = held.get("beganAtMs")
    return LandingStatus(parse_landings(held), newest_ms, began_ms if isinstance(began_ms, int) else 0)


def _progress_file(data_dir: Path) -> Path:
    return data_dir / "progress.json"


def _elapsed_seconds(now_ms: int, then_ms: int) -> float:
    return max(0.0, (now_ms - then_ms) / 1000)


def _describe_wait(seconds: float | None) -> str:
    if seconds is None:
        return "not known, the incident store does not answer"
    return f"waiting for {format_duration(seconds)}" if seconds else "none"


def _format_count(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
