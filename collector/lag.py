"""How far the work of an installation is behind: landing, reading what landed (``detect``), and analysing complete sessions.

Nothing here asks Prefect or the event store, so that the lag can be told while either is away. The lander writes into its
status file when events landed; how far ``detect`` has read is in the incident store, and as it was known last in a file.
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
"""Name of the cursor that tells when ``detect`` completed last (epoch µs)."""


class SessionQueue(Protocol):
    """The line of sessions that wait for analysis, and how far readers have come, in either incident store."""

    def find_due_sessions(self, now_ms: int, limit: int) -> list[PendingSession]: ...
    def count_pending_sessions(self, now_ms: int) -> dict[str, int]: ...
    def read_cursor(self, name: str = "detect") -> Cursor: ...


class Progress(NamedTuple):
    """How far ``detect`` has come. Times: of the last landing that it has read, and of its last completed run (epoch µs; 0:
    never), since when the session is complete that waits longest (epoch ms; 0: none waits)."""

    watermark_us: int
    detected_us: int
    oldest_due_ms: int = 0


class LandingStatus(NamedTuple):
    """What the lander says: when events landed, the newest one (epoch ms; 0: never), and when it began (epoch ms; 0: ?)."""

    landings: Landings
    newest_ms: int
    began_ms: int


@dataclass(frozen=True)
class Lag:
    """What waits, and for how long (seconds; 0: nothing waits; None: not known).

    ``landing_s``: since the oldest spool segment that has not landed was sealed; ``analysis_s``: since the session that
    waits longest was complete; ``landed_s``: since the newest events landed; ``unread_s``: since the oldest events landed
    that no ``detect`` has put in line; ``detect_s``: since ``detect`` completed last (None: never, as far as is known);
    ``running_s``: since the lander began. ``due`` and ``open``: sessions that are complete and wait, and that may still go on.
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
        """The longest wait that is known."""
        return max(self.landing_s, self.analysis_s or 0.0, self.unread_s or 0.0)

    @property
    def is_stalled(self) -> bool:
        """Whether ``detect`` has not completed for longer than the limit, though the engine has run for as long."""
        return (self.running_s or 0.0) > LIMIT_S and self.is_detect_overdue

    @property
    def is_detect_overdue(self) -> bool:
        """Whether ``detect`` has not completed for longer than the limit, as far as is known."""
        return self.detect_s is None or self.detect_s > LIMIT_S

    @property
    def is_late(self) -> bool:
        """Whether people are to be warned."""
        return self.longest_wait_seconds > LIMIT_S or self.is_stalled

    def describe_lag(self) -> list[str]:
        """For people."""
        landed = "not known here" if self.landed_s is None else f"{format_duration(self.landed_s)} ago"
        return [
            f"oldest segment that has not landed: {_describe_wait(self.landing_s)}",
            f"oldest landed events that `detect` has not read: {_describe_wait(self.unread_s)}",
            f"oldest complete session that is not analysed: {_describe_wait(self.analysis_s)}",
            f"newest events landed: {landed}",
            f"`detect` completed last: {self.describe_last_detect()}",
            f"sessions in line: {_format_count(self.due)} complete, {_format_count(self.open)} that may still go on",
        ]

    def describe_last_detect(self) -> str:
        """When ``detect`` completed last, for people."""
        return "never, as far as is known" if self.detect_s is None else f"{format_duration(self.detect_s)} ago"


def measure_lag(settings: Settings, queue: SessionQueue | None) -> Lag:
    """The lag now. ``line``: None when the incident store cannot be asked: what was known of it last counts then, and no
    session's wait is known. Raises what the store raises."""
    now_ms = time.time_ns() // 1_000_000
    if queue is None:
        return replace(
            compute_lag(settings.spool_dir, settings.lander_status, load_progress(settings.data_dir)), analysis_s=None
        )
    progress, counts = read_progress(queue, now_ms), queue.count_pending_sessions(now_ms)
    found = compute_lag(settings.spool_dir, settings.lander_status, progress)
    return replace(found, due=counts["due"], open=counts["open"])


def read_progress(queue: SessionQueue, now_ms: int) -> Progress:
    """How far ``detect`` has come, asked of the incident store. Raises what the store raises."""
    oldest = queue.find_due_sessions(now_ms, 1)
    return Progress(
        queue.read_cursor().watermark_us, queue.read_cursor(DETECTED).watermark_us, oldest[0].due_ms if oldest else 0
    )


def compute_lag(spool_dir: Path, lander_status: Path | None, progress: Progress | None) -> Lag:
    """The lag now by the spool, the lander's status file (None: there is none) and ``progress`` (None: not known)."""
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
    """What was known last of `Progress`; None if nothing was."""
    try:
        held = json.loads(_progress_file(data_dir).read_text())
        return Progress(int(held["watermarkUs"]), int(held["detectedUs"]), int(held["oldestDueMs"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_progress(data_dir: Path, progress: Progress) -> None:
    """Remember ``progress`` for when the incident store is away. Never raises: what cannot be written is counted."""
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
    """The landings that the lander's status file holds; none if it is an older one's."""
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
    return f"waits for {format_duration(seconds)}" if seconds else "none waits"


def _format_count(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
