"""Requests that a field sends while it is typed in (autosave, presence), however the field is left.

Who clicks elsewhere leaves the field: its change is reported in the instant of that click, and what the field sends then looks
like the answer of the click (a toolbar, a menu).
"""

from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, is_among, mark_group_starts, sort_unique
from ufse.config import Config
from ufse.frame import Frame
from ufse.sessions import CLICK, INPUT, NETWORK

SAME_INSTANT_MS: Final = 50
"""A click so soon after a change of a field is what left the field (as two reports of one event)."""


def is_autosave_request(frame: Frame, rows: Ints, group: Ints, cause: Ints, action: Ints, config: Config) -> Bools:
    """Per request: whether it is sent again and again while one field is typed in.

    ``rows``: the requests; ``group``: their endpoint in their visit; ``cause``: the interaction that caused each, -1 without
    one; ``action``: packed action of each event of the frame.
    """
    by, fired = np.maximum(cause, 0), cause >= 0
    width, base = int(action.max(initial=0)) + 2, len(frame) + 1
    typing = np.flatnonzero(fired & (frame.kind[by] == INPUT) & (frame.kind[rows] == NETWORK))
    once = sort_unique((group[typing] * width + action[by[typing]]) * base + by[typing]) // base
    first = mark_group_starts(once)
    begin = np.flatnonzero(first)
    often = once[begin][np.diff(np.append(begin, len(once))) >= config.unrelated_actions]
    if not len(often):
        return np.zeros(len(group), dtype=np.bool_)
    field = _find_left_fields(frame, by)
    return np.asarray(fired & is_among(group * width + action[field], often), dtype=np.bool_)


def _find_left_fields(frame: Frame, by: Ints) -> Ints:
    """Per interaction: the change of a field that it made by leaving the field in the same instant; else itself."""
    changes = np.flatnonzero((frame.kind == INPUT) & frame.column_equals("action", "change"))
    if not len(changes):
        return by
    change = changes[np.maximum(np.searchsorted(changes, by) - 1, 0)]
    left = (frame.kind[by] == CLICK) & (change < by) & (frame.visit[change] == frame.visit[by])
    left &= (frame.ts[by] - frame.ts[change] <= SAME_INSTANT_MS) & (frame.pattern[change] == frame.pattern[by])
    return np.where(left, change, by)
