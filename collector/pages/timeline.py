"""The timeline of a session as a drawing: a lane each for the person, the page, the network and errors."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from incidents.incident import ExampleSession
    from ufse.detection import SignalEntry, TimelineEntry

LANES: Final = ("Person", "Page", "Network", "Errors")
_LANE_OF: Final = {
    "click": 0,
    "input": 0,
    "scroll": 0,
    "hover": 0,
    "form_submit": 0,
    "network": 2,
    "error": 3,
}
"""By type of event; the page's lane has all others."""
WIDTH: Final = 900.0
LEFT: Final = 70.0
RIGHT: Final = 16.0
TOP: Final = 40.0
"""Space above the lanes, for the signals."""
LANE_HEIGHT: Final = 26.0
_AXIS: Final = 20.0
_RADIUS: Final = 6.0
_MOST: Final = 200
_LEAST_SPAN_MS: Final = 1_000
_BRACKET_ROWS: Final = 2
_TICKS: Final = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000)
_MOST_TICKS: Final = 9


class LaneLayout(NamedTuple):
    """What a template needs to draw the lanes."""

    names: tuple[str, ...] = LANES
    width: float = WIDTH
    top: float = TOP
    lane_height: float = LANE_HEIGHT


class Step(NamedTuple):
    """An event: its place in the drawing, its milliseconds since the first signal, and its text."""

    x: float
    y: float
    lane: int
    offset_ms: int
    text: str
    route: str
    kind: str
    failed: bool
    number: int


class Bracket(NamedTuple):
    """A signal, over the span of its events."""

    x: float
    width: float
    y: float
    kind: str
    text: str


class Tick(NamedTuple):
    """A label of the axis."""

    x: float
    label: str


class Timeline(NamedTuple):
    """The drawing. ``failure_x``: the moment of failure, which has ``failure_ms``; ``more``: events that are not shown."""

    steps: list[Step]
    brackets: list[Bracket]
    ticks: list[Tick]
    failure_x: float
    failure_ms: int
    height: float
    more: int


def draw_timeline(example: "ExampleSession") -> Timeline | None:
    """The drawing of an example session; None when it has no events."""
    entries = [entry for entry in example["timeline"] if isinstance(entry.get("offsetMs"), int)][:_MOST]
    if not entries:
        return None
    signals = _measure_signals(example)
    failure = next((begin for entry, begin, _ in signals if entry["type"] == "feedback"), 0)
    times = [entry["offsetMs"] for entry in entries] + [failure]
    low, high = min(times), max(times)
    scale = (WIDTH - LEFT - RIGHT) / max(high - low, _LEAST_SPAN_MS)

    def place(offset_ms: int) -> float:
        return round(LEFT + (min(max(offset_ms, low), high) - low) * scale, 1)

    evidence = {id_ for entry, _, _ in signals if entry["type"] == "feedback" for id_ in entry.get("eventIds") or ()}
    brackets = [
        Bracket(
            place(begin) - _RADIUS,
            round(place(end) - place(begin) + 2 * _RADIUS, 1),
            12.0 + 14 * (row % _BRACKET_ROWS),
            entry["type"],
            entry.get("text") or entry["type"],
        )
        for row, (entry, begin, end) in enumerate(signals)
    ]
    return Timeline(
        _place_steps(entries, place_of=[place(entry["offsetMs"]) for entry in entries], evidence=evidence),
        brackets,
        [Tick(place(at), _format_offset(at)) for at in _choose_ticks(low, high)],
        place(failure),
        failure,
        TOP + LANE_HEIGHT * len(LANES) + _AXIS,
        len(example["timeline"]) - len(entries),
    )


def _place_steps(entries: "Sequence[TimelineEntry]", *, place_of: list[float], evidence: set[str]) -> list[Step]:
    return [
        Step(
            x,
            TOP + LANE_HEIGHT * (lane + 0.5),
            lane,
            entry["offsetMs"],
            entry.get("text") or entry["eventType"],
            entry.get("route") or "",
            entry["eventType"],
            lane == 3 or entry.get("eventId") in evidence,
            number,
        )
        for number, (entry, x) in enumerate(zip(entries, place_of, strict=True), start=1)
        for lane in (_LANE_OF.get(entry["eventType"], 1),)
    ]


def _measure_signals(example: "ExampleSession") -> "list[tuple[SignalEntry, int, int]]":
    """Each signal with its begin and end, in milliseconds since the first signal."""
    zero = _parse_time(example["timestamp"])
    measured = []
    for signal in example["triggeringSignals"]:
        begin, end = _parse_time(signal.get("start", "")), _parse_time(signal.get("end", ""))
        if zero is not None and begin is not None:
            offset = round((begin - zero).total_seconds() * 1000)
            length = round(((end or begin) - begin).total_seconds() * 1000)
            measured.append((signal, offset, offset + max(0, length)))
    return measured


def _parse_time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


def _choose_ticks(low: int, high: int) -> list[int]:
    span = max(high - low, 1)
    step = next((size for size in _TICKS if span / size <= _MOST_TICKS), span)
    first = -(-low // step) * step
    return list(range(first, high + 1, step))


def _format_offset(milliseconds: int) -> str:
    if abs(milliseconds) >= 60_000:
        return f"{milliseconds / 60_000:g} min"
    return f"{milliseconds / 1000:g} s"
