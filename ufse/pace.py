"""The pace of repeated events: whether a timer made them."""

from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, any_by_owner, count_by_owner

_GAPS: Final = 4
"""Even gaps from which on they are a timer's (own choice: three may be a person's)."""
_EVEN_SHARE, _EVEN_MS = 0.1, 600
"""Gaps differ from their median by at most this share and time, because loading a page delays a timer (own choice). A
person who waits for slow answers has gaps of nearly one length, too; what he adds to the waiting differs by more than this
time.
"""
_MANY_GAPS, _MANY_SHARE, _MANY_MS = 10, 0.2, 1_500
"""The same for trains with many gaps: nobody reloads ten times at nearly one pace (own choice)."""
_COARSE_MS, _STEADY_MS = 10_000, 3_000
"""In whole seconds, gaps are compared from ten seconds on; from three seconds on, they are a timer's if all are equal (own
choice).
"""
_MOST: Final = 0.8
"""Share of the gaps that keep the pace; the others are a person's reloads or a sleeping machine (own choice)."""
_LEFT_OUT: Final = 10
"""Ticks of a timer that may be left out in a row."""
_GROWTH: Final = 1.3
"""Least factor by which the pauses of a repeating script grow (own choice)."""


def is_paced_train(gap: Ints, first: Bools, whole: Bools) -> Bools:
    """Per entry: whether a timer or a script with growing pauses made it. A train is the entries from one ``first`` to the
    next.

    ``gap``: ms since the entry before, 0 at the first of a train. ``whole``: the time is a whole second.
    """
    if not len(gap):
        return np.zeros(0, dtype=np.bool_)
    train = np.cumsum(first) - 1
    size = int(train[-1]) + 1
    inner = ~first & (gap > 0)
    count = count_by_owner(train, size, ~first)
    median = _find_medians(gap, train, size, inner)
    share, most = (np.where(count >= _MANY_GAPS, *pair) for pair in ((_MANY_SHARE, _EVEN_SHARE), (_MANY_MS, _EVEN_MS)))
    width = np.minimum(share * median, most)[train]
    near = inner & (np.abs(gap - median[train]) <= width)
    ticks = np.clip(np.rint(gap / np.maximum(median[train], 1)), 1, _LEFT_OUT)
    tick = inner & (np.abs(gap - ticks * median[train]) <= width)
    even = count_by_owner(train, size, near)
    kept = np.where(2 * even > count, count_by_owner(train, size, tick), even)
    clocked = (count >= _GAPS) & (kept >= _MOST * count) & _is_measurable(gap, train, inner, median, whole)
    return np.asarray((tick & clocked[train]) | (inner & _is_growing_train(gap, train, inner, count)[train]))


def _is_measurable(gap: Ints, train: Ints, inner: Bools, median: Ints, whole: Bools) -> Bools:
    """Per train: whether its clock is fine enough for its pace. In whole seconds, a person's quick reloads look even."""
    size = len(median)
    coarse = ~any_by_owner(train, ~whole, size)
    uneven = any_by_owner(train, inner & (gap != median[train]), size)
    steady = ~uneven & ((median >= _STEADY_MS) | (count_by_owner(train, size) > _MANY_GAPS))
    return np.asarray(~coarse | (median >= _COARSE_MS) | steady, dtype=np.bool_)


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
