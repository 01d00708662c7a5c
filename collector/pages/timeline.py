"""The timeline of a session as a drawing: a lane each for the person, the page, the network and errors."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from incidents.incident import ExampleSession

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
FEEDBACK: Final = "feedback"
"""The signal that is the failure itself."""
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


class Failure(NamedTuple):
    """A moment of failure: its place, and its milliseconds since the first signal."""

    x: float
    offset_ms: int


class Timeline(NamedTuple):
    """The drawing. ``failures``: the moments of failure within it; ``more``: events that are not shown."""

    steps: list[Step]
    brackets: list[Bracket]
    ticks: list[Tick]
    failures: list[Failure]
    height: float
    more: int


class Entry(NamedTuple):
    """An event to draw. ``failed``: it is an error, or a request that failed."""

    event_id: str
    offset_ms: int
    kind: str
    text: str
    route: str
    failed: bool = False


class Signal(NamedTuple):
    """A signal of a detection: when it began and ended (ms since the first signal), and the events that it rests on."""

    kind: str
    text: str
    begin: int
    end: int
    event_ids: tuple[str, ...]


def draw_timeline(example: "ExampleSession") -> Timeline | None:
    """The drawing of the events that explain an example session; None when it has none."""
    entries = [
        Entry(
            entry.get("eventId") or "",
            entry["offsetMs"],
            entry["eventType"],
            entry.get("text") or entry["eventType"],
            entry.get("route") or "",
        )
        for entry in example["timeline"]
        if isinstance(entry.get("offsetMs"), int)
    ][:_MOST]
    zero = parse_epoch_ms(example["timestamp"])
    signals = [] if zero is None else measure_signals(example, zero)
    begins = [signal.begin for signal in signals if signal.kind == FEEDBACK][:1] or [0]
    return draw_entries(entries, signals, begins, len(example["timeline"]) - len(entries)) if entries else None


def draw_entries(
    entries: Sequence[Entry], signals: Sequence[Signal], failures: Sequence[int], more: int = 0, *, whole: bool = True
) -> Timeline:
    """The drawing of ``entries``, of which there is at least one, with brackets for ``signals`` and a line at each of
    ``failures`` (ms since the first signal).

    ``whole``: the drawing reaches to the failures; else only what lies between its first and last event is drawn.
    """
    times = [entry.offset_ms for entry in entries] + (list(failures) if whole else [])
    low, high = min(times), max(times)
    scale = (WIDTH - LEFT - RIGHT) / max(high - low, _LEAST_SPAN_MS)

    def place(offset_ms: int) -> float:
        return round(LEFT + (min(max(offset_ms, low), high) - low) * scale, 1)

    evidence = {id_ for signal in signals if signal.kind == FEEDBACK for id_ in signal.event_ids}
    seen = [signal for signal in signals if whole or (signal.end >= low and signal.begin <= high)]
    brackets = [
        Bracket(
            place(signal.begin) - _RADIUS,
            round(place(signal.end) - place(signal.begin) + 2 * _RADIUS, 1),
            12.0 + 14 * (row % _BRACKET_ROWS),
            signal.kind,
            signal.text,
        )
        for row, signal in enumerate(seen)
    ]
    return Timeline(
        _place_steps(entries, [place(entry.offset_ms) for entry in entries], evidence),
        brackets,
        [Tick(place(at), _format_offset(at)) for at in _choose_ticks(low, high)],
        [Failure(place(at), at) for at in failures if low <= at <= high],
        TOP + LANE_HEIGHT * len(LANES) + _AXIS,
        more,
    )


def _place_steps(entries: Sequence[Entry], place_of: list[float], evidence: set[str]) -> list[Step]:
    return [
        Step(
            x,
            TOP + LANE_HEIGHT * (lane + 0.5),
            lane,
            entry.offset_ms,
            entry.text,
            entry.route,
            entry.kind,
            lane == 3 or entry.failed or entry.event_id in evidence,
            number,
        )
        for number, (entry, x) in enumerate(zip(entries, place_of, strict=True), start=1)
        for lane in (_LANE_OF.get(entry.kind, 1),)
    ]


def measure_signals(example: "ExampleSession", zero_ms: int) -> list[Signal]:
    """The signals of a detection, in milliseconds since ``zero_ms`` (epoch ms); those without a time are left out."""
    measured = []
    for signal in example["triggeringSignals"]:
        begin, end = parse_epoch_ms(signal.get("start", "")), parse_epoch_ms(signal.get("end", ""))
        if begin is not None:
            last = max(begin, begin if end is None else end)
            text, ids = signal.get("text") or signal["type"], tuple(signal.get("eventIds") or ())
            measured.append(Signal(signal["type"], text, begin - zero_ms, last - zero_ms, ids))
    return measured


def parse_epoch_ms(text: str) -> int | None:
    """Epoch ms of an RFC 3339 text with a zone; None for another text."""
    at = _parse_time(text)
    return None if at is None else round(at.timestamp() * 1000)


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
