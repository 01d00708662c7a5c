"""How far the work of an installation is behind: how long the oldest segment waits to be landed, and the oldest complete
session to be analysed."""

import json
import time
from dataclasses import dataclass
from typing import Final, Protocol

from collector.spool import segments
from furrow.last_errors import ago
from furrow.settings import Settings
from stores.incident_model import Pending

LIMIT_S: Final = 600.0
"""Lag (s) from which people are warned: twenty intervals of ``detect``."""


class Line(Protocol):
    """The line of sessions that wait for analysis, in either incident store."""

    def due(self, now_ms: int, limit: int) -> list[Pending]: ...
    def pending_counts(self, now_ms: int) -> dict[str, int]: ...


@dataclass(frozen=True)
class Lag:
    """What waits, and for how long (seconds; 0: nothing waits).

    ``landing_s``: since the oldest spool segment that has not landed was sealed; ``analysis_s``: since the session that
    waits longest was complete (None: not known, the incident store is away); ``landed_s``: since the newest events landed
    (None: not known here); ``due`` and ``open``: sessions that are complete and wait, and that may still go on.
    """

    landing_s: float
    analysis_s: float | None
    landed_s: float | None = None
    due: int | None = None
    open: int | None = None

    @property
    def seconds(self) -> float:
        """The longest wait that is known."""
        return max(self.landing_s, self.analysis_s or 0.0)

    def lines(self) -> list[str]:
        """For people."""
        landed = "not known here" if self.landed_s is None else f"{ago(self.landed_s)} ago"
        return [
            f"oldest segment that has not landed: {_wait(self.landing_s)}",
            f"oldest complete session that is not analysed: {_wait(self.analysis_s)}",
            f"newest events landed: {landed}",
            f"sessions in line: {_number(self.due)} complete, {_number(self.open)} that may still go on",
        ]


def measure(settings: Settings, line: Line | None) -> Lag:
    """The lag now. ``line``: None when the incident store cannot be asked. Raises what the store raises."""
    now_ms = time.time_ns() // 1_000_000
    waiting = segments(settings.spool_dir)
    landing = _since(now_ms, waiting[0].sealed_ns // 1_000_000) if waiting else 0.0
    landed_ms = _landed_ms(settings)
    landed = _since(now_ms, landed_ms) if landed_ms else None
    if line is None:
        return Lag(landing, None, landed)
    oldest, counts = line.due(now_ms, 1), line.pending_counts(now_ms)
    return Lag(landing, _since(now_ms, oldest[0].due_ms) if oldest else 0.0, landed, counts["due"], counts["open"])


def _since(now_ms: int, then_ms: int) -> float:
    return max(0.0, (now_ms - then_ms) / 1000)


def _landed_ms(settings: Settings) -> int:
    try:
        return int(json.loads(settings.lander_status.read_text())["landedAtMs"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _wait(seconds: float | None) -> str:
    if seconds is None:
        return "not known, the incident store does not answer"
    return f"waits for {ago(seconds)}" if seconds else "none waits"


def _number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
