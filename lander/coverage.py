"""Counts the fields that detection needs in the stream of events, over the current day and the day before."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SPAN_US: Final = 86_400_000_000
"""Length of a period, µs. The current and the previous period are reported, so a change shows within a day."""

_LEAST: Final = 20
"""Minimum events of a kind before gaps in it are reported."""


@dataclass
class Coverage:
    """Counts by name (`stores.events.event_coverage.COUNTED`) of the current period and of the previous one."""

    began_us: int = 0
    until_us: int = 0
    current: Counter[str] = field(default_factory=Counter)
    previous: Counter[str] = field(default_factory=Counter)

    @classmethod
    def from_json(cls, stored: Any) -> "Coverage":
        """Read what `to_json` wrote; empty for any other value."""
        try:
            return cls(
                int(stored["beganUs"]),
                int(stored["untilUs"]),
                _to_counter(stored["current"]),
                _to_counter(stored["previous"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def advance_period(self, now_us: int) -> int:
        """Start the next period when this one has ended. Returns the landing (epoch µs) after which to continue counting."""
        if now_us - self.began_us > SPAN_US:
            is_next = now_us - self.began_us <= 2 * SPAN_US
            self.previous = self.current if is_next else Counter()
            self.current, self.began_us = Counter(), now_us
        self.until_us = max(self.until_us, now_us - SPAN_US)  # older landings are not counted
        return self.until_us

    def add_counts(self, counts: Mapping[str, int], until_us: int) -> None:
        """Add what landed up to ``until_us`` (epoch µs)."""
        self.current.update(counts)
        self.until_us = until_us

    def to_json(self) -> dict[str, Any]:
        """The value for the lander's status file."""
        return {
            "beganUs": self.began_us,
            "untilUs": self.until_us,
            "current": dict(self.current),
            "previous": dict(self.previous),
        }

    def describe_gaps(self) -> list[str]:
        """The gaps of the stream, one line each; empty if there are none."""
        return describe_stream_gaps(self.current + self.previous)


def describe_stream_gaps(counts: Mapping[str, int]) -> list[str]:
    """The gaps of a stream with these counts, one line each, with the consequence for detection."""
    found = []

    def note_missing_part(kind: str, part: str, words: str, cost: str) -> None:
        whole, some = counts.get(kind, 0), counts.get(part, 0)
        if whole >= _LEAST and some * 2 < whole:
            found.append(f"{some:,} of {whole:,} {words}: {cost}")

    note_missing_part(
        "network", "network with a status", "network events have a status", "no failed answer can be seen"
    )
    note_missing_part(
        "network", "network with a url", "network events have a url", "an answer cannot be told from another"
    )
    note_missing_part(
        "network", "network with a duration", "network events have a durationMs", "no slow answer can be seen"
    )
    note_missing_part(
        "clicks", "clicks with responded", "clicks have `responded`", "a click that did nothing looks like any other"
    )
    note_missing_part("clicks", "clicks with a named target", "clicks name their target", "clicks cannot be told apart")
    note_missing_part("events", "with a route", "events have a route", "it is not known on which page something failed")
    events = counts.get("events", 0)
    if events >= _LEAST and not counts.get("network", 0):
        found.append(f"0 of {events:,} events are of the network: no failed answer can be seen")
    if events >= _LEAST and not counts.get("session ends", 0):
        found.append(
            f"0 of {events:,} events are a session_end: sessions are complete 15 min after their last event, no sooner"
        )
    return found


def current_time_us() -> int:
    """Now (epoch µs)."""
    return time.time_ns() // 1_000


def _to_counter(stored: Mapping[str, Any]) -> Counter[str]:
    return Counter({str(name): int(count) for name, count in stored.items()})
