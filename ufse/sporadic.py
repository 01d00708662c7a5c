"""Requests that come after some presses of a control and not after others: they are not its answer.

A control sends its request when it is pressed, or, where it waits for the end of a burst, after the last press. An autosave,
a heartbeat or a tag that is sent a moment after *some* of many fast clicks seems to answer these clicks. What tells them
apart is the presses that came to nothing although the control was free: those of a burst before its first request. Presses
after a request do not count (the control may be locked, or have died), nor does a burst without any request (an angry one at
a locked control).
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    Lookup,
    any_by_owner,
    count_by_owner,
    equals_any,
    mark_group_starts,
    max_by_owner,
    min_by_owner,
)
from ufse.frame import Frame
from ufse.sessions import CLICK, NETWORK, SUBMIT

if TYPE_CHECKING:
    from ufse.background import Requests

LEAST_IDLE: Final = 3
"""Presses that came to nothing, from which requests are sporadic (own choice)."""
DOUBLE_CLICK_MS: Final = 500
"""A press so short before an answered one may be the first of a double click, both of which the request answers."""
BURST_GAP_MS: Final = 1_000
"""Presses with a longer pause are not of one burst, as in the rage rule."""


def find_sporadic_requests(frame: Frame, requests: "Requests", action: Ints) -> Bools:
    """Per request: whether it failed, and only some presses of its action seem to cause it.

    ``action``: packed action of each event of the frame. Groups with a request of unknown duration are left out: nobody knows
    whether it was pending.
    """
    rows, cause, begin, group = requests.row, requests.cause, requests.begin, requests.group
    timed = requests.count_by_group(frame.duration[rows] <= 0) == 0
    found = np.zeros(len(rows), dtype=np.bool_)
    at = np.flatnonzero((cause >= 0) & (frame.kind[rows] == NETWORK) & timed[group])
    at = at[frame.kind[cause[at]] == CLICK]
    precise = any_by_owner(frame.visit, frame.ts % 1_000 != 0, len(frame.low))
    at = at[precise[frame.visit[rows[at]]]]
    if not requests.failed[at].any():
        return found
    base = int(action.max(initial=0)) + 1
    clicks = np.flatnonzero(frame.kind == CLICK)
    of_action = Lookup(frame.visit[clicks] * base + action[clicks], clicks)
    key = frame.visit[cause] * base + action[cause]
    at = at[_has_idle_presses(of_action, key[at], group[at], cause[at], requests.failed[at])]
    if not len(at):
        return found
    pair, number = np.unique(group[at] * base + action[cause[at]], return_inverse=True)
    size = len(pair)
    head = np.zeros(size, dtype=np.int64)
    head[number[::-1]] = cause[at][::-1]
    last = np.zeros(size, dtype=np.int64)
    np.maximum.at(last, number, cause[at])
    owner, press = of_action.find_entries(
        frame.visit[head] * base + action[head], frame.low[frame.visit[head]], last + 1
    )
    if not len(press) or len(press) < LEAST_IDLE:
        return found
    answered = _is_among_pairs(owner, press, number, cause[at])
    pending = _is_pending(frame, owner, press, number, begin[at], frame.ts[rows[at]])
    begins = _mark_bursts(frame, owner, press)
    idle = _count_idle(frame, owner, press, begins, answered, pending, size)
    asked = count_by_owner(owner, size, answered)
    prompt = 2 * count_by_owner(owner, size, begins & answered)
    bursts = count_by_owner(owner, size, begins & _has_any(begins, answered))
    found[at] = ((idle >= LEAST_IDLE) & (idle >= asked) & (prompt <= bursts))[number]
    return found & requests.failed


def _has_idle_presses(of_action: Lookup, key: Ints, group: Ints, cause: Ints, failed: Bools) -> Bools:
    """Per request: whether one of its group and action failed, and presses enough of that action (``key``) have no request of
    them. Of the others nothing more is asked.
    """
    order = np.lexsort((cause, key, group))
    first = mark_group_starts(group[order], key[order])
    number, size = np.cumsum(first) - 1, int(first.sum())
    asked = count_by_owner(number, size, first | mark_group_starts(cause[order]))
    whole = np.zeros(size, dtype=np.int64)
    low, high = of_action.find_span(key[order][first], whole, whole + 2**62)
    chosen = (high - low - asked >= LEAST_IDLE) & any_by_owner(number, failed[order], size)
    found = np.zeros(len(key), dtype=np.bool_)
    found[order] = chosen[number]
    return found


def _mark_bursts(frame: Frame, owner: Ints, press: Ints) -> Bools:
    """Per press: whether it begins a burst."""
    first = mark_group_starts(owner)
    first[1:] |= np.diff(frame.ts[press]) > BURST_GAP_MS
    return first


def _has_any(begins: Bools, chosen: Bools) -> Bools:
    """Per press: whether any press of its burst is chosen."""
    burst = np.cumsum(begins) - 1
    return np.asarray(any_by_owner(burst, chosen, int(burst[-1]) + 1)[burst], dtype=np.bool_)


def _is_among_pairs(owner: Ints, row: Ints, other_owner: Ints, other_row: Ints) -> Bools:
    base = int(max(row.max(initial=0), other_row.max(initial=0))) + 1
    return np.isin(owner * base + row, other_owner * base + other_row)


def _is_pending(frame: Frame, owner: Ints, press: Ints, number: Ints, begin: Ints, end: Ints) -> Bools:
    """Per press: whether a request of its group and action had begun before it and ended after it."""
    order = np.lexsort((begin, number))
    number, begin, end = number[order], begin[order], end[order]
    low = int(min(begin.min(), frame.ts[press].min()))
    span = int(max(end.max(), frame.ts[press].max())) - low + 2
    latest = np.maximum.accumulate(number * span + (end - low)) - number * span
    place = np.searchsorted(number * span + (begin - low), owner * span + (frame.ts[press] - low), "right") - 1
    safe = np.maximum(place, 0)
    return np.asarray((place >= 0) & (number[safe] == owner) & (latest[safe] >= frame.ts[press] - low), dtype=np.bool_)


def _count_idle(
    frame: Frame, owner: Ints, press: Ints, begins: Bools, answered: Bools, pending: Bools, size: int
) -> Ints:
    """Per owner: the idle presses: those before the last answered one of their burst that no request answered, none pending.

    A double click before the first answered one is left out.
    """
    ts, burst = frame.ts[press], np.cumsum(begins) - 1
    count, never = int(burst[-1]) + 1, int(ts.max()) + 1
    begun = min_by_owner(burst[answered], ts[answered], count, never)[burst]
    last = max_by_owner(burst[answered], ts[answered], count, -never)[burst]
    free = ~answered & ~pending & (ts < last)
    return count_by_owner(owner, size, free & ((ts > begun) | (begun - ts > DOUBLE_CLICK_MS)))


def is_unknown_answer(frame: Frame, rows: Ints, by: Ints, chosen: Bools) -> Bools:
    """Per entry: whether it is a good answer right after a click or submit ``by``, among the ``chosen``, of unknown address.

    Without addresses, failing polls and the answers of actions are one group. That the polls fail does not make the others
    background.
    """
    good = (frame.status[rows] >= 200) & (frame.status[rows] < 400) & (frame.kind[rows] == NETWORK)
    return np.asarray(good & chosen & equals_any(frame.kind[by], CLICK, SUBMIT), dtype=np.bool_)
