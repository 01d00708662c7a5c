"""Late requests: those that begin long after the last recorded action and still belong to it.

Source: docs/decisions/0067. A file picker, typing that is not recorded, or a time-out without a duration lie between the
action and its request. Such a request belongs to the last action, up to 30 s before it, if that action was still waiting and
the requests of this address in the visit all belong to that one action, at most one each. A status that says that the answer
timed out may come up to 65 s after it. Where a visit reports no successes, nobody knows which action was waiting: there the
address must have answered this action at once before, or clicks on the control must have found it loading.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from ufse.actions import UserActions
from ufse.arrays import (
    Bools,
    Ints,
    any_by_owner,
    count_by_owner,
    equals_any,
    is_among,
    is_pair_among,
    mark_group_starts,
    max_by_owner,
    min_by_owner,
)
from ufse.causes import Causes
from ufse.config import Config
from ufse.frame import Frame
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT

TIME_OUT_MS: Final = 65_000
"""A time-out comes at most this long after its action: gateways give up after 30 s or 60 s and tell it later (own choice)."""
_TIMED_OUT: Final = (408, 504)


def add_late_causes(frame: Frame, actions: UserActions, causes: Causes, config: Config) -> Causes:
    """``causes``, where late requests have their action as cause."""
    requests = np.flatnonzero((frame.kind == NETWORK) & (frame.endpoint >= 0) & ~frame.noise)
    requests = requests[frame.endpoint_known[frame.endpoint[requests]]]
    late = requests[causes.cause[requests] < 0]
    late = late[frame.status[late] >= 0]
    group = frame.visit * len(frame.endpoints) + frame.endpoint
    late, by = _find_last_presses(frame, actions, causes, late, group, config)
    waiting = _is_waiting(frame, actions, causes, by, config)
    late, by = late[waiting], by[waiting]
    if not len(late):
        return causes
    # Of the groups without a late request nothing is asked.
    known, number = np.unique(group[late], return_inverse=True)
    place = np.minimum(np.searchsorted(known, group[requests]), len(known) - 1)
    ours = known[place] == group[requests]
    requests, owner = requests[ours], place[ours]
    cause = causes.cause.copy()
    cause[late] = by
    single = _has_single_action(owner, cause[requests], actions.action, len(known))
    direct = any_by_owner(owner, causes.cause[requests] >= 0, len(known))
    begun = late[_first_of(number)]
    known = direct | _reports_successes(frame, causes)[frame.visit[begun]]
    kept = single & (known | _shows_waiting(frame, actions, by[_first_of(number)]))
    late, by = late[kept[number]], by[kept[number]]
    cause = causes.cause.copy()
    cause[late] = by
    return replace(causes, cause=cause)


def _first_of(number: Ints) -> Ints:
    """Per group: the place of its first entry."""
    return np.unique(number, return_index=True)[1]


def _find_last_presses(
    frame: Frame, actions: UserActions, causes: Causes, late: Ints, group: Ints, config: Config
) -> tuple[Ints, Ints]:
    """The ``late`` requests before which the last act of the person was a click or submit; and the row of that.

    Where one request of a ``group`` (per event: visit and address) has no such act, the group is not one action's.
    """
    acts = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT, INPUT, NAVIGATION))
    begin = causes.begin[late]
    by = frame.find_last_until(acts, frame.visit[late], begin, near=late)
    safe = np.maximum(by, 0)
    near = (by >= 0) & equals_any(frame.kind[safe], CLICK, SUBMIT) & actions.meaningful[safe]
    near &= (by < late) & (begin - frame.ts[safe] <= _measure_patience(frame, late, config))
    if near.any() and not near.all():
        near &= ~is_among(group[late], group[late[~near]])
    return late[near], by[near]


def _measure_patience(frame: Frame, late: Ints, config: Config) -> Ints:
    """Per request: how long after its action it may come, ms."""
    usual = config.slow_end_window_ms
    return np.where(equals_any(frame.status[late], *_TIMED_OUT), max(TIME_OUT_MS, usual), usual)


def _is_waiting(frame: Frame, actions: UserActions, causes: Causes, by: Ints, config: Config) -> Bools:
    """Per click or submit of ``by``: whether it has no answer."""
    waiting = np.ones(len(by), dtype=np.bool_)
    if not len(by):
        return waiting
    answered = np.zeros(len(frame), dtype=np.bool_)
    came = np.flatnonzero((frame.kind == NETWORK) & ~frame.noise & (frame.third_party != 1))
    group = frame.visit[came] * (len(frame.endpoints) + 1) + frame.endpoint[came] + 1
    known, number = np.unique(group, return_inverse=True)
    caused = causes.cause[came] >= 0
    # What mostly comes by itself (polling) answers no press that it happens to follow.
    itself = count_by_owner(number, len(known), ~caused) > count_by_owner(number, len(known), caused)
    answered[causes.cause[came[caused & ~itself[number]]]] = True
    for step in (0, 1, 2):  # a click and the submit that it causes are one action
        twin = np.maximum(by - step, 0)
        near = (frame.visit[twin] == frame.visit[by]) & (actions.action[twin] == actions.action[by])
        near &= frame.ts[by] - frame.ts[twin] <= config.double_click_ms
        waiting &= ~(near & answered[twin])
    return waiting


def _has_single_action(owner: Ints, cause: Ints, action: Ints, size: int) -> Bools:
    """Per group of requests: whether it has several, all caused by one action, each by an interaction of its own."""
    asked = np.where(cause >= 0, action[np.maximum(cause, 0)], -1)
    low, high = min_by_owner(owner, asked, size, 2**62), max_by_owner(owner, asked, size, -1)
    order = np.lexsort((cause, owner))
    twice = ~mark_group_starts(owner[order], cause[order])
    several = np.bincount(owner, minlength=size) > 1
    return np.asarray((low == high) & (low >= 0) & several & ~any_by_owner(owner[order], twice, size), dtype=np.bool_)


def _shows_waiting(frame: Frame, actions: UserActions, by: Ints) -> Bools:
    """Per click or submit of ``by``: whether clicks on its control in the visit found it loading."""
    clicks = np.flatnonzero((frame.kind == CLICK) & (frame.source["loading"] == 1))
    pairs = (frame.visit[by], actions.action[by], frame.visit[clicks], actions.action[clicks])
    return is_pair_among(*pairs)


def _reports_successes(frame: Frame, causes: Causes) -> Bools:
    """Per visit: whether an action's success was reported, so that a missing answer means something."""
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & (causes.cause >= 0) & ~frame.noise
    good &= frame.third_party != 1
    return any_by_owner(frame.visit, good, len(frame.low))
