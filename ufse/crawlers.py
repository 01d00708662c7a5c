"""Visits of crawlers that declare no agent: pages opened one after the other, without any input, faster than anyone reads or
at a pace more even than anyone's.

Source: docs/decisions/0067. A person who opens pages leaves clicks, scrolls or pointer moves, or needs more time; in an access
log, which has none of these, only the time remains.
"""

from typing import Final

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    any_by_owner,
    count_by_owner,
    count_distinct_by_owner,
    equals_any,
    mark_group_starts,
)
from ufse.frame import Frame
from ufse.sessions import CLICK, HOVER, INPUT, NAVIGATION, SCROLL, SUBMIT, OrderedEvents

CRAWLED_OPENINGS: Final = 8
"""Openings of pages from which a visit may be a crawler's (own choice)."""
CRAWLED_PAGES: Final = 3
"""Distinct pages among them: one page alone may be reloaded in anger (own choice)."""
UNREAD_MS: Final = 1_500
"""A page that is left sooner was not read (own choice)."""
EVEN_MS: Final = 10_000
"""Pages that are left sooner on average may be opened by a program at a fixed delay (own choice)."""
EVEN_SPREAD: Final = 0.35
"""Times on pages that spread less, as the standard deviation by the mean, are a program's delay (own choice). The times that
people spend on pages spread by about their mean.
"""


def find_touched_visits(ordered: OrderedEvents, rows: Ints) -> Bools:
    """Per visit: whether its ordered events ``rows`` have any input: a click, typing, a submit, a scroll or a pointer move."""
    touch = equals_any(ordered.kind[rows], CLICK, INPUT, SUBMIT, SCROLL, HOVER)
    return any_by_owner(ordered.visit[rows], touch, len(ordered.visits))


def find_crawled_visits(frame: Frame, touched: Bools) -> Bools:
    """Per visit: whether it opened many pages, too fast to read or at an even pace, and has no input (``touched``)."""
    size = len(touched)
    rows = np.flatnonzero(frame.kind == NAVIGATION)
    rows = rows[~touched[frame.visit[rows]]]
    visit = frame.visit[rows]
    pace = np.diff(frame.ts[rows], append=frame.ts[rows[-1:]])
    inner = ~np.append(mark_group_starts(visit)[1:], True) if len(rows) else np.zeros(0, dtype=np.bool_)
    openings = count_by_owner(visit, size)
    fast = count_by_owner(visit, size, inner & (pace < UNREAD_MS))
    pages = count_distinct_by_owner(visit, frame.route[rows], size)
    hurried = 2 * fast > np.maximum(openings - 1, 0)
    even = _is_even(visit[inner], pace[inner], size)
    return np.asarray((openings >= CRAWLED_OPENINGS) & (pages >= CRAWLED_PAGES) & (hurried | even), dtype=np.bool_)


def _is_even(visit: Ints, pace: Ints, size: int) -> Bools:
    """Per visit: whether its times on pages (ms) are short and hardly differ."""
    count = np.maximum(count_by_owner(visit, size), 1)
    mean = np.bincount(visit, weights=pace, minlength=size) / count
    off = pace - mean[visit]
    spread = np.sqrt(np.bincount(visit, weights=off * off, minlength=size) / count)
    return np.asarray((mean > 0) & (mean <= EVEN_MS) & (spread <= EVEN_SPREAD * mean), dtype=np.bool_)
