"""Collectors of the verdict scenes: each takes the rows of a rich collector and returns what a poorer one would have sent."""

from collections.abc import Callable
from typing import Final

from tests.unit.ufse.scene import Row, bodies, typed

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


def field(t: float, name: str, route: str = "/checkout") -> Row:
    """A change of the field ``name``."""
    return typed(t, route, {"target_type": "input", "target_id": name})


def fields(count: int, route: str = "/checkout", t: float = 1.0) -> list[Row]:
    """Changes of ``count`` fields, one every 3 s from ``t`` on."""
    return [field(t + 3 * i, f"f{i}", route) for i in range(count)]


def pair_with_collectors(scenes: dict[str, list[Row]], *blind: tuple[str, str]) -> list[tuple[str, str]]:
    """Every (scene, collector) except the ``blind`` ones, where the collector does not report what the rule needs."""
    return [(scene, name) for scene in scenes for name in COLLECTORS if (scene, name) not in blind]
