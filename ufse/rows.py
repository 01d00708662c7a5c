"""Rows of a list: controls with ids of their own that are one kind of control, because the same failure answers each."""

import numpy as np

from ufse.arrays import Bools, Ints, any_by_owner, count_distinct_by_owner, mark_group_starts, min_by_owner, pack_pairs
from ufse.frame import Frame
from ufse.sessions import CLICK, NETWORK
from ufse.target_codes import PAGE

_ROWS = 3
"""Controls from which a list has rows: two buttons beside each other are no list (own choice)."""


def merge_row_actions(frame: Frame, action: Ints, cause: Ints, failed: Bools) -> Ints:
    """``action``, where the rows of a list get the action of the first row that failed.

    Rows are at least three controls of one page and one type, each of which asks the same endpoint for a thing of its own:
    another exact URL, all of them failed. A beacon has one URL, and is background after unrelated actions.

    ``failed``: per event, whether it is negative feedback.
    """
    rows = np.flatnonzero((frame.kind == NETWORK) & failed & (cause >= 0) & ~frame.noise)
    rows = rows[frame.endpoint_known[frame.endpoint[rows]] & (frame.kind[cause[rows]] == CLICK)]
    rows = rows[frame.target[cause[rows]] != PAGE]
    rows = _select_varied_rows(
        rows, frame.visit[rows] * len(frame.endpoints) + frame.endpoint[rows], frame.raw_target[cause[rows]]
    )
    if len(rows) < _ROWS:
        return action
    by = cause[rows]
    page = pack_pairs(frame.visit[by].astype(np.int64), frame.route[by], len(frame.routes))
    sort = frame.target_sort[frame.target[by]]
    key = pack_pairs(
        pack_pairs(page, sort, int(frame.target_sort.max()) + 1), frame.endpoint[rows], len(frame.endpoints)
    )
    _, owner = np.unique(key, return_inverse=True)
    size = int(owner.max()) + 1
    url, _ = frame.source.read_codes("url", rows)
    control = frame.raw_target[by]
    controls, urls = count_distinct_by_owner(owner, control, size), count_distinct_by_owner(owner, url, size)
    pairs = count_distinct_by_owner(owner, pack_pairs(control, url), size)
    listed = (controls >= _ROWS) & (urls == controls) & (pairs == controls)
    listed &= ~any_by_owner(owner, frame.third_party[rows] == 1, size)
    if not listed.any():
        return action
    first = min_by_owner(owner, by, size, len(frame))
    found = np.flatnonzero(listed[owner])
    action = action.copy()
    action[by[found]] = action[first[owner[found]]]
    return action


def _select_varied_rows(rows: Ints, key: Ints, control: Ints) -> Ints:
    """The rows (ascending) whose key has more than one control; few have."""
    if len(rows) < _ROWS:
        return rows
    order = np.argsort(key, kind="stable")
    begin = np.flatnonzero(mark_group_starts(key[order]))
    ordered = control[order]
    varied = np.minimum.reduceat(ordered, begin) != np.maximum.reduceat(ordered, begin)
    return np.sort(rows[order[np.repeat(varied, np.diff(np.append(begin, len(rows))))]])
