"""Collectors of the verdict scenes: each takes the rows of a rich collector and returns what a poorer one would have reported."""

from collections.abc import Callable
from typing import Final

from tests.unit.ufse.scene import T0, Row, bodies

Collector = Callable[[list[Row]], list[Row]]
_NAMES: Final = ("target_id", "target_label", "target_selector")


def report_all(rows: list[Row]) -> list[Row]:
    """A rich collector: every event, to the millisecond, with durations."""
    return rows


def report_whole_seconds(rows: list[Row]) -> list[Row]:
    """Times are cut to whole seconds; the order of the events is kept by ``seq``."""
    return [{**r, "ts": r["ts"] // 1_000 * 1_000, "seq": i} for i, r in enumerate(rows)]


def report_failures_only(rows: list[Row]) -> list[Row]:
    """Requests that succeeded are not reported."""
    return [r for r in rows if r["event_type"] != "network" or not 200 <= r["status"] < 400]


def report_no_durations(rows: list[Row]) -> list[Row]:
    """Requests have no duration."""
    return [{**r, "duration_ms": -1} if r["event_type"] == "network" else r for r in rows]


def report_types_only(rows: list[Row]) -> list[Row]:
    """Of a target only its type is known; requests have a status and a duration, but no address."""
    return [{**r, **dict.fromkeys(_NAMES, ""), "url": "", "method": ""} for r in rows]


COLLECTORS: Final[dict[str, Collector]] = {
    "rich": report_all,
    "whole seconds": report_whole_seconds,
    "failures only": report_failures_only,
    "no durations": report_no_durations,
    "types only": report_types_only,
}


def count_detections(rows: list[Row], collector: Collector = report_all) -> int:
    """Detections in the session of ``rows``, as ``collector`` reports it."""
    return len(bodies(collector(rows)))


def shift(rows: list[Row], seconds: float) -> list[Row]:
    """The same events, ``seconds`` later."""
    moved = round(seconds * 1_000)
    return [{**r, "ts": r["ts"] + moved, "received_ms": r["received_ms"] + moved} for r in rows]


__all__ = ["COLLECTORS", "T0", "Collector", "count_detections", "shift"]
