"""Whole client sessions for the engine's benchmark, as the event store delivers them.

A session of *n* events opens a page, uses the application (scrolls, requests, clicks, typing, pages; an event every
2 s) and ends. Every 400 events, in shorter ones once, six controls are clicked and each click sends a request. In a
frustrated session those six clicks hit one button 400 ms apart and every request is answered 500, each time on another
page with another button: a long session holds several detections. In a calm one they hit different controls 2.5 s apart
and succeed. The variant ``struggle`` repeats such bursts at one button, 10 s apart.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ufse import EVENT_SCHEMA, UNKNOWN_POSITION
from ufse.columns import DISTINCT

Ints = npt.NDArray[np.int64]

START_MS: Final = 1_767_225_600_000  # 2026-01-01; any time works
EPISODE: Final = 12
"""Events of one episode: six clicks, each with its request."""
_SPACING = 400  # events from one episode to the next
_PACE_MS = 2_000
_USE = ("scroll", "network", "click", "network", "input", "hover")
_KINDS = (*dict.fromkeys(_USE), "navigation", "session_end")
_PAGES = ("checkout", "profile", "search", "basket", "invoices", "reports", "settings", "team", "billing", "export")


@dataclass(frozen=True)
class Shape:
    """The sessions to generate, of ``length`` events; ``share`` of them (0 to 1, evenly spread) frustrated."""

    length: int
    share: float
    struggle: bool = False

    def frustrated(self, sessions: int) -> int:
        """How many of these sessions are frustrated."""
        return int(sessions * self.share + 1e-9)

    def make(self, sessions: int) -> pa.Table:
        """The table: session after session, each in order of time; texts of few values as dictionaries."""
        number = np.repeat(np.arange(sessions), self.length)
        place = np.tile(np.arange(self.length), sessions)
        bad = np.diff(np.floor(np.arange(sessions + 1) * self.share + 1e-9)).astype(np.bool_)
        plans = [_plan(self.length, False), _plan(self.length, self.struggle)]
        episode = np.where(bad[number], plans[1].episode[place], plans[0].episode[place])
        kind = np.where(bad[number], plans[1].kind[place], plans[0].kind[place])
        at = np.where(bad[number], plans[1].bad_ms[place], plans[0].calm_ms[place])
        return _table(number, place, kind, np.where(episode >= 0, episode % len(_PAGES), -1), bad[number], at)


@dataclass(frozen=True)
class _Plan:
    """One session by its places: kind, episode (-1: none) and time from its start, frustrated and calm."""

    kind: Ints
    episode: Ints
    bad_ms: Ints
    calm_ms: Ints


def _plan(length: int, struggle: bool) -> _Plan:
    place = np.arange(length)
    # The last ordinary events follow an episode; a session of 40 has room for one event after it, its end.
    spacing = min(_SPACING, length)
    offset = place % spacing - (spacing - EPISODE - 1)
    inside = (offset >= 0) & (offset < EPISODE)
    if struggle:
        offset, inside = (place - 1) % EPISODE, (place > 0) & (place < length - 1)
    kind = np.array([_KINDS.index(_USE[i % len(_USE)]) for i in range(length)])
    kind[inside] = np.where(offset[inside] % 2 == 0, _KINDS.index("click"), _KINDS.index("network"))
    kind[0], kind[-1] = _KINDS.index("navigation"), _KINDS.index("session_end")
    episode = np.where(inside, 0 if struggle else place // spacing, -1)
    begins = np.append(False, np.diff(offset) != 1) if struggle else offset == 0
    return _Plan(
        kind,
        episode,
        _times(inside, offset, begins, 400, 10_000 if struggle else _PACE_MS),
        _times(inside, offset, begins, 2_500, _PACE_MS),
    )


def _times(inside: npt.NDArray[np.bool_], offset: Ints, begins: npt.NDArray[np.bool_], pace: int, rest: int) -> Ints:
    step = np.full(len(offset), _PACE_MS)
    step[inside] = np.where(offset[inside] % 2 == 0, pace - 300, 300)  # the request ends 300 ms after its click
    step[begins] = rest
    step[0] = 0
    return np.cumsum(step)


def _table(number: Ints, place: Ints, kind: Ints, episode: Ints, bad: npt.NDArray[np.bool_], at: Ints) -> pa.Table:
    count = len(number)
    is_ = {name: kind == _KINDS.index(name) for name in _KINDS}
    failing = (episode >= 0) & bad
    any_target = is_["click"] | is_["hover"] | is_["input"]
    control = np.where(any_target, np.where(failing, episode, 10 + (number * 7 + place) % 300), 310)
    item = np.where(is_["network"], np.where(failing, episode, 10 + (number * 31 + place) % 50_000), 50_010)
    page = np.where(episode >= 0, episode, 10 + (number * 31 + place // 8) % 200)
    ts = START_MS + number * 500 + at
    columns = {
        "project": _words(number % 4, [f"shop-{i}" for i in range(4)]),
        "session_id": pa.array([f"{i:032x}" for i in range(int(number[-1]) + 1)]).take(pa.array(number)),
        "event_id": _event_ids(count),
        "event_type": _words(kind, _KINDS),
        "ts": ts,
        "seq": place,
        "received_ms": ts // 5_000 * 5_000 + 5_000,
        "user_hash": pa.array([f"{i:032x}" for i in range(1000)]).take(pa.array(number % 1000)),
        "route": _words(page, [*(f"/{p}" for p in _PAGES), *(f"/catalogue/{i}" for i in range(200))]),
        "target_type": _words(np.where(is_["input"], 1, np.where(any_target, 0, 2)), ["button", "field", ""]),
        "target_id": _words(control, [*(f"do-{p}" for p in _PAGES), *(f"control-{i}" for i in range(300)), ""], True),
        "target_tag": _words(np.where(is_["input"], 1, np.where(any_target, 0, 2)), ["button", "input", ""]),
        "x": np.where(is_["click"], np.where(failing, 600 + place % 20, place * 37 % 1200), UNKNOWN_POSITION),
        "y": np.where(is_["click"], np.where(failing, 400 + place % 10, place * 53 % 800), UNKNOWN_POSITION),
        "input_method": _words(is_["click"].astype(int), ["", "mouse"]),
        "action": _words(is_["input"].astype(int), ["", "change"]),
        "depth": np.where(is_["scroll"], place * 3, -1),
        "direction": _words(is_["scroll"].astype(int), ["", "down"]),
        "nav_type": _words(is_["navigation"].astype(int), ["", "link"]),
        "status": np.where(is_["network"], np.where(failing, 500, 200), -1),
        "method": _words(np.where(is_["network"], np.where(episode >= 0, 2, 1), 0), ["", "GET", "POST"]),
        "url": _words(item, [*(f"/api/{p}" for p in _PAGES), *(f"/api/items/{i}" for i in range(50_000)), ""], True),
        "duration_ms": np.where(is_["network"], 250, -1),
        "app_version": _words(number % 5, [f"4.2.{i}" for i in range(5)]),
        "user_agent": _words(number % 40, [f"Mozilla/5.0 (X11; Linux x86_64) Chrome/{100 + i}.0" for i in range(40)]),
        "metadata": _words((place % 4 == 0).astype(int), ["{}", '{"cartItems":3,"plan":"pro"}'], True),
    }
    made = [columns.get(field.name, _unknown(field, count)) for field in EVENT_SCHEMA]
    arrays = [
        one if isinstance(one, pa.Array) else pa.array(one, field.type)
        for one, field in zip(made, EVENT_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, EVENT_SCHEMA.names, metadata={DISTINCT: b"1"})


_PLAIN = frozenset(
    (
        "target_selector",
        "target_label",
        "nav_from",
        "message",
        "source",
        "own_id",
        "cause",
        "verdict_for",
        "frame",
        "during",
    )
)
"""Columns of texts that are not LowCardinality in ClickHouse."""


def _unknown(field: pa.Field, count: int) -> pa.Array:
    if field.type != pa.string():
        return pa.array(np.full(count, -1), field.type)
    plain = field.name in _PLAIN
    return _words(np.zeros(count, np.int64), [""], plain)


def _words(code: npt.NDArray[np.int_], texts: list[str] | tuple[str, ...], plain: bool = False) -> pa.Array:
    """Texts by code: a dictionary, as a column of ClickHouse's LowCardinality comes; ``plain``: texts, as String comes."""
    known = pa.DictionaryArray.from_arrays(pa.array(code.astype(np.int32)), pa.array(texts, pa.string()))
    return known.cast(pa.string()) if plain else known


def _event_ids(count: int) -> pa.Array:
    digits = np.random.default_rng(7).bytes(16 * count).hex()
    starts = range(0, 32 * count, 32)
    return pa.array([f"{(d := digits[i : i + 32])[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for i in starts])
