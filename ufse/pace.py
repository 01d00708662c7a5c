"""The pace of repeated events: whether a timer made them."""

from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, any_by_owner, count_by_owner

_GAPS: Final = 4
"""Even gaps that are a timer's; three are, if they are even to 2 % and nobody touched the page (own choice: no person has so
even a rhythm).
"""
_MANY_GAPS: Final = 10
"""From this many gaps on, they may vary by 20 % instead of 10 %: page loads delay a timer."""
_MOST: Final = 0.8
"""Share of the gaps that keep the pace; the others are a person's reloads or a sleeping machine (own choice)."""
_LEFT_OUT: Final = 10
"""Ticks of a timer that may be left out in a row."""
_GROWTH: Final = 1.3
"""Least factor by which the pauses of a repeating script grow (own choice)."""


def is_paced_train(gap: Ints, first: Bools, touched: Bools) -> Bools:
    """Per entry: whether a timer or a script with growing pauses made it. A train is the entries from one ``first`` to the next.

    ``gap``: ms since the entry before, 0 at the first of a train. ``touched``: whether a person did anything in that time.
    """
    if not len(gap):
        return np.zeros(0, dtype=np.bool_)
    train = np.cumsum(first) - 1
    size = int(train[-1]) + 1
    inner = ~first & (gap > 0)
    count = count_by_owner(train, size, ~first)
    median = _find_medians(gap, train, size, inner)
    alone = ~any_by_owner(train, touched, size)
    fraction = np.select([count >= _MANY_GAPS, count >= _GAPS, (count == _GAPS - 1) & alone], [0.2, 0.1, 0.02], 0.0)
    near = inner & (np.abs(gap - median[train]) <= (fraction * median)[train])
    ticks = np.clip(np.rint(gap / np.maximum(median[train], 1)), 1, _LEFT_OUT)
    tick = inner & (np.abs(gap - ticks * median[train]) <= (fraction * median)[train])
    even = count_by_owner(train, size, near)
    kept = np.where(2 * even > count, count_by_owner(train, size, tick), even)
    clocked = (fraction > 0) & (kept >= np.where(count < _GAPS, count, _MOST * count)) & (median > 0)
    return np.asarray((tick & clocked[train]) | (inner & _is_growing_train(gap, train, inner, count)[train]))


def _find_medians(gap: Ints, train: Ints, size: int, inner: Bools) -> Ints:
    """Per train: the lower median of its gaps, 0 without any."""
    value, owner = gap[inner], train[inner]
    order = np.lexsort((value, owner))
    count = count_by_owner(owner, size)
    begin = np.cumsum(count) - count
    middle = begin + np.maximum(count - 1, 0) // 2
    found = np.zeros(size, dtype=np.int64)
    found[count > 0] = value[order][middle[count > 0]]
    return found


def _is_growing_train(gap: Ints, train: Ints, inner: Bools, count: Ints) -> Bools:
    """Per train: whether each gap is longer than the one before by the same factor (within 5 %)."""
    size = len(count)
    pair = inner & np.append(False, inner[:-1])
    ratio = np.where(pair, 1_000 * gap // np.maximum(np.append(0, gap[:-1]), 1), 0)
    low, high = np.full(size, 2**40), np.zeros(size, dtype=np.int64)
    np.minimum.at(low, train[pair], ratio[pair])
    np.maximum.at(high, train[pair], ratio[pair])
    return np.asarray((count >= _GAPS) & (low >= 1_000 * _GROWTH) & (100 * (high - low) <= 5 * high))
