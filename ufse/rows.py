"""Rows of a list: controls with ids of their own that are one kind of control, because the same failure answers each."""

import re
from typing import Final

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    any_by_owner,
    count_distinct_by_owner,
    equals_any,
    is_among,
    mark_group_starts,
    min_by_owner,
    pack_pairs,
)
from ufse.event_columns import encode_text_tuples
from ufse.frame import Frame
from ufse.sessions import CLICK, ERROR, NETWORK, SUBMIT
from ufse.target_codes import PAGE

_ROWS = 3
"""Controls from which a list has rows: two buttons beside each other are no list (own choice)."""
_NUMBER: Final = re.compile(r"\d+")


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


def merge_crashing_rows(frame: Frame, action: Ints, cause: Ints, failed: Bools, by_click: Ints) -> Ints:
    """``action``, where rows of a list that crash get the action of the first of them.

    An error has no address that names its row. So the rows must look alike: their ids (without one, their selectors) differ by
    numbers only. One error of a script of the page answers each of at least three of them, and nothing that the person clicks
    on the page from then on has an answer or opens a page: a script that counts clicks fails beside a list that works. Where
    the visit has no answer to a click at all, its collector may not report any.

    ``failed``: per event, whether it is negative feedback. ``by_click``: per navigation, the click that opened the page, or -1.
    """
    rows = np.flatnonzero((frame.kind == ERROR) & failed & (cause >= 0) & ~frame.noise)
    rows = rows[frame.endpoint_known[frame.endpoint[rows]] & (frame.kind[cause[rows]] == CLICK)]
    rows = _select_varied_rows(
        rows, frame.visit[rows] * len(frame.endpoints) + frame.endpoint[rows], frame.raw_target[cause[rows]]
    )
    if len(rows) < _ROWS:
        return action
    by = cause[rows]
    page = pack_pairs(frame.visit[by].astype(np.int64), frame.route[by], len(frame.routes))
    shape = _encode_shapes(frame, by)
    key = pack_pairs(pack_pairs(page, shape + 1), frame.endpoint[rows], len(frame.endpoints))
    _, owner = np.unique(key, return_inverse=True)
    size = int(owner.max()) + 1
    first = min_by_owner(owner, by, size, len(frame))
    listed = count_distinct_by_owner(owner, frame.raw_target[by], size) >= _ROWS
    listed &= ~any_by_owner(owner, shape < 0, size)
    answered = _find_answered_clicks(frame, cause, by_click)
    listed &= is_among(frame.visit[first], frame.visit[answered])
    last = np.full(len(frame.low) * len(frame.routes), -1, dtype=np.int64)
    last[frame.visit[answered] * len(frame.routes) + frame.route[answered]] = (
        answered  # rows ascend: the last one stays
    )
    listed &= last[frame.visit[first] * len(frame.routes) + frame.route[first]] < first
    found = np.flatnonzero(listed[owner])
    action = action.copy()
    action[by[found]] = action[first[owner[found]]]
    return action


def _encode_shapes(frame: Frame, clicks: Ints) -> Ints:
    """Per click: a code of its control's id or selector without numbers; -1 where these have no number."""
    code, names = encode_text_tuples(frame.source, clicks, ("target_id", "target_selector"))
    texts = [own or selector for own, selector in names]
    shapes = [_NUMBER.sub("#", t) for t in texts]
    place = {s: i for i, s in enumerate(sorted(set(shapes)))}
    return np.array([place[s] if s != t else -1 for s, t in zip(shapes, texts, strict=True)], dtype=np.int64)[code]


def _find_answered_clicks(frame: Frame, cause: Ints, by_click: Ints) -> Ints:
    """The clicks and submits, ascending, that a request answered with success or that opened a page."""
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & ~frame.noise
    by = np.concatenate([cause[good & (cause >= 0) & (frame.third_party != 1)], by_click[by_click >= 0]])
    return np.unique(by[equals_any(frame.kind[by], CLICK, SUBMIT)])


def _select_varied_rows(rows: Ints, key: Ints, control: Ints) -> Ints:
    """The rows (ascending) whose key has more than one control; few have."""
    if len(rows) < _ROWS:
        return rows
    order = np.argsort(key, kind="stable")
    begin = np.flatnonzero(mark_group_starts(key[order]))
    ordered = control[order]
    varied = np.minimum.reduceat(ordered, begin) != np.maximum.reduceat(ordered, begin)
    return np.sort(rows[order[np.repeat(varied, np.diff(np.append(begin, len(rows))))]])
