"""What a collector makes of a session: moments as they happened → events of the contract, as poor as the collector is."""

import random
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.simulated.applications import Collector, Control

SLOW_MS: Final = 4_000
"""An answer that takes longer is felt as trouble; whoever reads the events sees it if durations are told."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOLDS: Final = {
    "input": "inputs",
    "scroll": "scrolls",
    "hover": "scrolls",
    "loading": "loading",
    "session_end": "session_end",
}


@dataclass(slots=True, eq=False)
class Moment:
    """Something that happened, told in full. ``owner`` is the struggle it belongs to, if a person caused it."""

    at: float
    type: str
    control: Control | None = None
    data: dict[str, Any] = field(default_factory=dict)
    owner: Any = None

    def tells(self, collector: Collector) -> bool:
        """Whether this moment, as sent, says that something went wrong."""
        if self.type == "error":
            return True
        if self.type == "form_submit":
            return collector.states and not self.data["valid"]
        if self.type != "network":
            return False
        slow = self.data["durationMs"] >= SLOW_MS and (collector.durations or not collector.successes)
        if self.data.get("aborted"):
            return slow and collector.aborts
        return slow or not 0 < self.data["status"] < 400


def _metadata(moment: Moment, collector: Collector) -> dict[str, Any]:
    """The keys of a moment that this collector sends."""
    hidden: set[str] = set()
    if not collector.states:
        hidden |= {"clickCount", "inputMethod", "disabled", "loading", "selection", "valid"}
    if not collector.responded:
        hidden.add("responded")
    if not collector.pointer:
        hidden |= {"x", "y"}
    if not collector.navigation_type:
        hidden |= {"navigationType", "from", "external", "download"}
    if not collector.methods:
        hidden.add("method")
    if not collector.urls:
        hidden.add("url")
    if not collector.third_party:
        hidden |= {"thirdParty", "source"}
    if not collector.durations and moment.type == "network":
        hidden.add("durationMs")
    return {key: value for key, value in moment.data.items() if key not in hidden}


def _types(moment: Moment, collector: Collector) -> list[str]:
    """The event types that a moment is sent as: none, one, or two (a slow failure of a poor collector)."""
    if moment.type in _HOLDS and not getattr(collector, _HOLDS[moment.type]):
        return []
    if moment.type == "performance" and not collector.page_load:
        return []
    if moment.type == "network":
        failed = not 0 < moment.data["status"] < 400
        if moment.data.get("aborted") and not collector.aborts:
            return []
        if collector.successes:
            return ["network"] if not collector.aliases else ["network_error" if failed else "network_success"]
        slow = ["slow_response"] if moment.data["durationMs"] >= SLOW_MS else []
        return slow + (["network_error"] if failed else [])
    if collector.aliases:
        promise = moment.data.get("errorType") == "promise"
        return [{"navigation": "route_change"}.get(moment.type, "unhandled_rejection" if promise else moment.type)]
    return [moment.type]


def _stamp(at_ms: float, start: datetime, collector: Collector) -> str | int:
    time = start + timedelta(milliseconds=int(at_ms))
    if collector.epoch:
        return int((time - _EPOCH) / timedelta(milliseconds=1))
    if collector.seconds:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ")
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def name_of(control: Control | None, collector: Collector) -> str:
    """The best name of a control that is sent: id, then selector, then label; "" when none is."""
    if control is None:
        return ""
    return next((control.sent[key] for key in ("id", "selector", "label") if key in collector.target), "")


def record(
    moments: Iterable[Moment], routes: list[tuple[float, str]], collector: Collector, session: str, start: datetime
) -> list[tuple[float, dict[str, Any]]]:
    """The session's events with their client time (ms since ``start``), in the order in which they happened."""
    times = [at for at, _ in routes]
    events: list[tuple[float, dict[str, Any]]] = []
    for moment in sorted(moments, key=lambda each: each.at):
        route = routes[max(0, bisect_right(times, moment.at) - 1)][1]
        for sent in _types(moment, collector):
            event: dict[str, Any] = {"eventType": sent, "timestamp": _stamp(moment.at, start, collector)}
            event |= {"sessionId": session, "route": route}
            if moment.control is not None:
                event["target"] = {
                    key: moment.control.sent[key] for key in collector.target if moment.control.sent[key]
                }
            metadata = _metadata(moment, collector)
            if sent == "slow_response":
                metadata = {"durationMs": moment.data["durationMs"]}
            if metadata or not collector.aliases:
                event["metadata"] = metadata
            if collector.seq:
                event["seq"] = len(events)
            if collector.keys:
                event["idempotencyKey"] = f"{session}-{len(events)}"
            events.append((moment.at, event))
    return events


def disturb(
    rng: random.Random, events: list[tuple[float, Mapping[str, Any]]], keys: bool
) -> list[tuple[float, Mapping[str, Any]]]:
    """Arrival instead of occurrence: some sessions arrive out of order, some with resent events (same key)."""
    late = rng.random() < 0.2
    again = keys and rng.random() < 0.25
    arrived = []
    for at, event in events:
        arrived.append((at + (rng.expovariate(1 / 1_500) if late else 0), event))
        if again and rng.random() < 0.015:
            arrived.append((at + rng.uniform(500, 8_000), event))
    return sorted(arrived, key=lambda each: each[0])
