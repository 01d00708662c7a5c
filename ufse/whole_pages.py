"""Pages that came whole: a page that failed and was opened again until nothing failed is achieved.

Source: docs/decisions/0065. A page came whole if nothing that its opening requested failed, and the person used something of
it or stayed. This needs no good answer, because many collectors report failures only.
"""

import numpy as np

from ufse.arrays import Bools, Ints, is_among, sort_unique
from ufse.feedback import NONE, SLOW
from ufse.index import Index
from ufse.sessions import CLICK, INPUT, SUBMIT

STAYED_MS = 10_000
"""Who stays on a page this long, ms, reads it (docs/decisions/0065)."""


def find_whole_pages(index: Index) -> Ints:
    """Rows of the navigations to pages that came whole and were used, or on which the person stayed; ascending."""
    frame, rows = index.frame, index.navigation_rows
    following = np.append(rows[1:], len(frame))
    until = np.minimum(following, frame.high[frame.visit[rows]])
    last = np.where(following < frame.high[frame.visit[rows]], until, until - 1)
    stayed = frame.ts[np.minimum(last, len(frame) - 1)] - frame.ts[rows] >= STAYED_MS
    used = _has_rows_between(_find_uses(index), rows, until)
    broken = _has_rows_between(_find_breaks(index), rows, until)
    return np.asarray(rows[(stayed | used) & ~broken & ~index.is_failing[rows]], dtype=np.int64)


def _find_uses(index: Index) -> Ints:
    """Rows of interactions with a control or a field, without a failure of their own; ascending."""
    frame = index.frame
    acts = np.flatnonzero((frame.kind == INPUT) | (frame.kind == SUBMIT) | (frame.kind == CLICK))
    kept = index.attribution.meaningful[acts] | (frame.kind[acts] == INPUT)
    return np.asarray(acts[kept & ~index.is_failing[acts]], dtype=np.int64)


def _find_breaks(index: Index) -> Ints:
    """Rows of failures without a cause, or caused by the opening of a page; ascending."""
    attribution = index.attribution
    bad = np.flatnonzero((attribution.negative != NONE) & (attribution.negative != SLOW))
    cause = attribution.cause[bad]
    return sort_unique(bad[(cause < 0) | is_among(cause, index.navigation_rows)])


def _has_rows_between(rows: Ints, since: Ints, until: Ints) -> Bools:
    """Per span: whether any of the ascending ``rows`` stands in since < row < until."""
    return np.asarray(np.searchsorted(rows, until) > np.searchsorted(rows, since, "right"), dtype=np.bool_)
