"""Geometry of charts, drawn as SVG by the templates. Lengths are units of the drawing's view box."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from stores.incidents.incident_review import Trend

SPARK_DAYS: Final = 14
SPARK_HEIGHT: Final = 22
_SPARK_BAR: Final = 5.0
_SPARK_GAP: Final = 1.0
# A list has many drawings of 14 bars: what does not depend on a height is written once.
_SPARK_STARTS: Final = [f"M{place * (_SPARK_BAR + _SPARK_GAP):g} {SPARK_HEIGHT}v-" for place in range(SPARK_DAYS)]
_SPARK_TOP: Final = f"h{_SPARK_BAR:g}v"

TREND_WIDTH: Final = 640.0
TREND_HEIGHT: Final = 112.0
_TREND_GAP: Final = 3.0
_TREND_TOP: Final = 18.0
"""Space above the bars, for the names of versions."""
_LEAST_BAR: Final = 2.0
"""Height of the bar of a day with any session, so that one session beside a thousand is seen."""


class Bar(NamedTuple):
    """A bar: the corner at the top left, the size, the day, and how many."""

    x: float
    y: float
    width: float
    height: float
    day: date
    number: int


class Sparkline(NamedTuple):
    """The bars of an incident in a list, as the path of an SVG; how many detections they stand for, and at most on a day."""

    path: str
    total: int
    highest: int


class Mark(NamedTuple):
    """A vertical line at the day on which a version was first seen. ``end``: the name stands left of the line."""

    x: float
    name: str
    day: date
    end: bool


class TrendChart(NamedTuple):
    """The chart of an incident by day."""

    bars: list[Bar]
    marks: list[Mark]
    highest: int
    first: date
    last: date
    total: int


class Share(NamedTuple):
    """A value of a facet: sessions, and percent of the affected sessions."""

    name: str
    number: int
    percent: float


def draw_sparkline(counts: Sequence[int]) -> Sparkline:
    """The bars of ``counts`` (of at most `SPARK_DAYS` days) as one path. Days without any have none."""
    highest = max(counts, default=0)
    path = "".join(
        f"{_SPARK_STARTS[place]}{(height := f'{max(_LEAST_BAR, SPARK_HEIGHT * count / highest):.1f}')}{_SPARK_TOP}{height}z"
        for place, count in enumerate(counts)
        if count
    )
    return Sparkline(path, sum(counts), highest)


def draw_trend(trend: "Trend") -> TrendChart:
    """The chart of an incident: a bar for each day, a mark for each version."""
    days = len(trend.counts)
    step = TREND_WIDTH / days
    bars = _draw_bars(trend.counts, trend.start, step - _TREND_GAP, _TREND_GAP, _TREND_TOP, TREND_HEIGHT)
    marks = []
    for seen in trend.versions:
        place = (seen.first_seen.date() - trend.start).days
        if 0 <= place < days:
            x = round(place * step, 1)
            marks.append(Mark(x, seen.version, seen.first_seen.date(), x > TREND_WIDTH * 0.8))
    return TrendChart(
        bars,
        marks,
        max(trend.counts, default=0),
        trend.start,
        trend.start + timedelta(days=days - 1),
        sum(trend.counts),
    )


def compute_shares(values: Mapping[str, int], whole: int, most: int = 5) -> list[Share]:
    """The first ``most`` values with their share of ``whole``."""
    return [
        Share(name, count, round(min(100.0, 100 * count / whole), 1) if whole else 0.0)
        for name, count in list(values.items())[:most]
    ]


def _draw_bars(counts: Sequence[int], start: date, width: float, gap: float, top: float, bottom: float) -> list[Bar]:
    highest = max(counts, default=0)
    bars = []
    for place, count in enumerate(counts):
        if count:
            height = round(max(_LEAST_BAR, (bottom - top) * count / highest), 1)
            x = round(place * (width + gap), 1)
            bars.append(Bar(x, round(bottom - height, 1), width, height, start + timedelta(days=place), count))
    return bars
