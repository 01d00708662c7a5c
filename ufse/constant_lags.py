"""Failures that come the same time after a press, again and again: a gateway or a client that gives up waiting.

Source: docs/decisions/0154. A collector may tell neither the address of a request nor its duration. What connects a time-out
with its press then is the clock: nothing else comes 30.1 s after a press three times. The failures of one address of a visit
(or all whose address is unknown) are answers to one control's presses if all of this holds:

* there are at least three, none has a duration, and each comes equally long, or a usual limit, after the first press of a run
  of presses of its own; more than 5 s (what comes sooner belongs to the press anyway) and at most 65 s;
* that are presses of one control, and no page was shown between press and failure;
* in at least two of the waits the person pressed the control again, and the client does not say that it was not loading: a
  save that waits for a pause in the person's work would be counted from the last press.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from ufse.actions import UserActions
from ufse.arrays import Ints, Small, equals_any, mark_group_starts
from ufse.causes import Causes
from ufse.config import Config
from ufse.feedback import NONE
from ufse.frame import Frame
from ufse.late_answers import TIME_OUT_MS
from ufse.sessions import CLICK, ERROR, NAVIGATION, NETWORK, SUBMIT

TIMES: Final = 3
"""Failures from which equal lags are no coincidence (own choice)."""
_MOST: Final = 40
"""More failures of one address are polling; a bound of the work for a visit (own choice)."""
SPREAD_MS: Final = 250
"""Lags differ by at most this from the first (own choice: what the network adds to a limit)."""
LIMITS_MS: Final = np.array([10, 15, 20, 30, 45, 60]) * 1_000
"""Limits that people write into clients and gateways."""
OVER_MS: Final = 300
"""A limit is told at most this late (own choice)."""
PRESSED_AGAIN: Final = 2
"""Waits in which the person pressed again."""
AGAIN_MS: Final = 1_000
"""What follows a press sooner is the same press (own choice)."""


def add_constant_lags(frame: Frame, actions: UserActions, causes: Causes, negative: Small, config: Config) -> Causes:
    """``causes``, where failures without a duration have the press before them as cause if they time out after it.

    ``negative``: kind of negative feedback of each event by itself.
    """
    failed = np.flatnonzero((frame.kind == NETWORK) & ~frame.noise & (frame.third_party != 1))
    failed = failed[~causes.timed[failed] & (negative[failed] != NONE)]
    group = frame.visit[failed] * (len(frame.endpoints) + 1) + frame.endpoint[failed] + 1
    order = np.argsort(group, kind="stable")
    failed, group = failed[order], group[order]
    begin = np.flatnonzero(mark_group_starts(group))
    size = np.diff(begin, append=len(group))
    cause = causes.cause.copy()
    some = (size >= TIMES) & (size <= _MOST)
    for first, count in zip(begin[some].tolist(), size[some].tolist(), strict=True):
        rows = failed[first : first + count]
        if (causes.cause[rows] < 0).any():
            by = _find_timed_out_presses(frame, actions, rows, config)
            new = (by >= 0) & (cause[rows] < 0)
            cause[rows[new]] = by[new]
    return replace(causes, cause=_take_errors_along(frame, cause, causes.cause, config))


def _find_timed_out_presses(frame: Frame, actions: UserActions, rows: Ints, config: Config) -> Ints:
    """Per failure of one address in one visit: the row of the press that it answers; -1 for all unless all are answers."""
    none = np.full(len(rows), -1)
    first, last = np.searchsorted(frame.visit, [frame.visit[rows[0]], frame.visit[rows[0]] + 1])
    presses = first + np.flatnonzero(equals_any(frame.kind[first:last], CLICK, SUBMIT) & actions.meaningful[first:last])
    if len(presses) < TIMES + PRESSED_AGAIN:
        return none
    at = frame.ts[presses]
    starts = presses[np.diff(at, prepend=at[0] - config.rage_gap_ms - 1) > config.rage_gap_ms]
    lag = frame.ts[rows][:, None] - frame.ts[starts]
    lag[(lag <= config.network_end_window_ms) | (lag > TIME_OUT_MS)] = -1
    by: Ints
    for wanted in lag[0][lag[0] > 0]:
        off = np.abs(lag - wanted)
        by = starts[off.argmin(axis=1)]
        if off.min(axis=1).max() <= SPREAD_MS and _are_tries(frame, actions, rows, by, presses):
            return by
    over = (lag[:, :, None] - LIMITS_MS).min(axis=2, where=lag[:, :, None] >= LIMITS_MS, initial=2**62)
    by = starts[over.argmin(axis=1)]
    return by if over.min(axis=1).max() <= OVER_MS and _are_tries(frame, actions, rows, by, presses) else none


def _are_tries(frame: Frame, actions: UserActions, rows: Ints, by: Ints, presses: Ints) -> bool:
    """Whether each of the failures ``rows`` answers a try ``by`` of its own, of one control. ``presses``: all of the visit."""
    if len(np.unique(by)) < len(by) or (actions.action[by] != actions.action[by[0]]).any():
        return False
    pages = np.flatnonzero(frame.kind == NAVIGATION)
    if (np.searchsorted(pages, rows) > np.searchsorted(pages, by)).any():
        return False
    # A control of which the client says that it does not wait is not waiting.
    ours = presses[(actions.action[presses] == actions.action[by[0]]) & (frame.source["loading"][presses] != 0)]
    later = np.searchsorted(frame.ts[ours], frame.ts[by] + AGAIN_MS, side="right")
    return int((np.searchsorted(ours, rows) > later).sum()) >= PRESSED_AGAIN


def _take_errors_along(frame: Frame, cause: Ints, before: Ints, config: Config) -> Ints:
    """``cause``, where an error right after a failure that has a new cause gets the same."""
    answers = np.flatnonzero(cause != before)
    if not len(answers):
        return cause
    errors = np.flatnonzero((frame.kind == ERROR) & (cause < 0))
    at = frame.find_last_until(answers, frame.visit[errors], frame.ts[errors])
    near = (at >= 0) & (frame.ts[errors] - frame.ts[at] <= config.chain_window_ms)
    cause[errors[near]] = cause[at[near]]
    return cause
