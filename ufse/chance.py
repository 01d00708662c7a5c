"""Failures that fell into a series of quick presses by chance: what fails is an endpoint that the pressed control never asked.

Source: issue 17, A 5. A control that fails does so from its first press on. An autosave or a tag that fails while somebody
pages, zooms or flips cards comes after some presses in the middle of the series, and most presses have no failure.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from ufse.arrays import Bools, any_by_owner, count_distinct_by_owner, max_by_owner, min_by_owner, pack_pairs
from ufse.config import Config
from ufse.frame import Frame
from ufse.sessions import CLICK

if TYPE_CHECKING:
    from ufse.background import Clicks, Requests

SERIES: Final = 6
"""Presses of one control from which they are a series (own choice: somebody who tries again presses less often)."""
SPARED_FIRST: Final = 2
"""So many presses before the first failure had none (own choice)."""
PRESSES_PER_FAILURE: Final = 2
"""Presses for each that seemed to cause a failure (own choice). Presses while such a request is pending do not count."""


def is_in_series_by_chance(frame: Frame, requests: "Requests", clicks: "Clicks", config: Config) -> Bools:
    """Per request or error: whether its cause is a press of a series that it only happened to fall into."""
    found = np.zeros(len(requests.row), dtype=np.bool_)
    clicked = requests.fired & (frame.kind[requests.by] == CLICK)
    # Without a duration nobody knows which press asked; presses during a long wait are no series of their own.
    lasted = frame.duration[requests.row]
    unclear = requests.any_by_group((lasted <= 0) | (lasted >= config.slow_ms))
    clicked &= (requests.any_by_group(requests.failed) & ~unclear)[requests.group]
    if not clicked.any():
        return found
    some = requests.take_requests(clicked)
    by, visit = some.cause, frame.visit[some.cause]
    pair, number = np.unique(pack_pairs(some.group, some.action, clicks.base), return_inverse=True)
    size = len(pair)
    asked = count_distinct_by_owner(number, by, size)
    first = min_by_owner(number, by, size, len(frame))[number]
    waiting = np.bincount(number, weights=clicks.count_between(by, by + 1, some.row), minlength=size)
    presses = max_by_owner(number, clicks.count_between(by, frame.low[visit], frame.high[visit]), size, 0) - waiting
    spared = max_by_owner(number, clicks.count_between(by, frame.low[visit], first), size, 0)
    before = frame.find_first_since(visit, frame.ts[by] - config.rage_gap_ms)
    apart = any_by_owner(number, clicks.count_between(by, before, by) == 0, size)
    chance = ~apart & (presses >= SERIES) & (spared >= SPARED_FIRST) & (presses >= PRESSES_PER_FAILURE * asked)
    found[clicked] = chance[number]
    return found
