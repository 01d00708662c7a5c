"""Dead clicks: a verdict of PostHog or Amplitude on an earlier click, which names the click's time and control, not its id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from collector.streams.stream import WireEvent

_NEARNESS_MS: Final = 1_000
"""Another listener takes the click's time: 8 ms (PostHog) and 70 ms (Amplitude) apart as measured (own choice)."""


@dataclass(frozen=True, slots=True)
class DatedEvent:
    """An ``event`` and the time of its click, epoch milliseconds. ``delay_ms``: of a report, how much later it was made."""

    event: WireEvent
    click_ms: int
    delay_ms: int = 0


def place_reports(reports: Sequence[DatedEvent], clicks: Sequence[DatedEvent]) -> None:
    """Turns each report into a verdict on its click where that is in the same body: same control, nearest in time.

    Elsewhere it remains a click with a verdict, dated when it was reported: so the engine knows it as a report about its
    click, and not as one more try (docs/contracts/events.md, Shapes).
    """
    for report in reports:
        near = [click for click in clicks if _is_about(report, click)]
        if near:
            report.event["eventType"] = "verdict"
            report.event["verdictFor"] = min(near, key=lambda c: abs(c.click_ms - report.click_ms)).event["eventId"]
        report.event["timestamp"] = report.click_ms + report.delay_ms


def _is_about(report: DatedEvent, click: DatedEvent) -> bool:
    same = all(report.event.get(name) == click.event.get(name) for name in ("sessionId", "target"))
    return same and abs(click.click_ms - report.click_ms) <= _NEARNESS_MS
