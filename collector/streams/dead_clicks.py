"""Dead clicks: a verdict of PostHog or Amplitude on an earlier click, which names the click's time and control, not its id."""

from collections.abc import Sequence
from typing import Final

from collector.streams.stream import Reading, WireEvent

_NEARNESS_MS: Final = 1_000
"""Another listener takes the click's time: 8 ms (PostHog) and 70 ms (Amplitude) apart as measured (own choice)."""


def add_verdicts(reading: Reading, reports: Sequence[WireEvent]) -> None:
    """Adds each report as a verdict on its click, if that is in the same body: same control, nearest in time.

    ``reports`` are clicks with a verdict, dated at their click. Without its click, a report would be a second try that nobody
    made; it is counted. The click itself came in another body.
    """
    clicks = [event for event in reading.events if event["eventType"] == "click"]
    for report in reports:
        near = [click for click in clicks if _is_about(report, click)]
        if not near:
            reading.ignored["dead click apart from its click"] += 1
            continue
        nearest = min(near, key=lambda click: _measure_distance(report, click))
        reading.events.append({**report, "eventType": "verdict", "verdictFor": nearest["eventId"]})


def _is_about(report: WireEvent, click: WireEvent) -> bool:
    same = all(report.get(name) == click.get(name) for name in ("sessionId", "target"))
    return same and _measure_distance(report, click) <= _NEARNESS_MS


def _measure_distance(report: WireEvent, click: WireEvent) -> int:
    """Milliseconds between the two; both times were written by an adapter."""
    times = report["timestamp"], click["timestamp"]
    return abs(times[0] - times[1]) if isinstance(times[0], int) and isinstance(times[1], int) else _NEARNESS_MS + 1
