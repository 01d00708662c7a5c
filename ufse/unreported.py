"""Successes that a collector does not report (docs/contracts/detection.md, What a collector does not report).

A collector that reports failed requests only shows a success as a later try without a new failure.
"""

from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, Lookup, mark_group_starts
from ufse.candidates import Candidates
from ufse.index import Index
from ufse.sessions import CLICK, NAVIGATION

LEAST_WAIT_MS: Final = 2_000
"""The visit goes on this long after the try, so that a failure of it would have been reported (own choice)."""
_BURST = 3
"""Presses of one burst from which it is no deliberate try (own choice; a double click is two)."""


def find_quiet_successes(index: Index, found: Candidates) -> tuple[Ints, Ints]:
    """(Candidate, epoch ms) of the tries after the last failure that had no failure, where only failures are reported.

    A try is deliberate: more than ``rage_gap_ms`` after the failed one, and no part of a burst. The visit must go on for as
    long as the failure took, so that a failure of the try would be known.
    """
    frame, nothing = index.frame, np.zeros(0, dtype=np.int64)
    chosen = np.flatnonzero(found.negatives.sizes > 0)
    if len(chosen):
        chosen = chosen[frame.known.reports_no_successes[found.visit[chosen]]]
    if not len(chosen):
        return nothing, nothing
    last = found.negatives.values[found.negatives.bounds[chosen + 1] - 1]
    visit, cause = found.visit[chosen], index.attribution.cause[last]
    tries = np.flatnonzero(index.attribution.meaningful | (frame.kind == CLICK) | (frame.kind == NAVIGATION))
    action = index.attribution.action
    tries = tries[action[tries] >= 0]
    by_action = Lookup(index.visit_action_key(frame.visit[tries], action[tries]), tries)
    owner, row = by_action.find_entries(index.visit_action_key(visit, found.action[chosen]), last + 1, frame.high[visit])
    waited = frame.ts[frame.high[frame.visit[row]] - 1] - frame.ts[row]
    delay = frame.ts[last] - frame.ts[cause]
    kept = ~index.is_failing[row] & (frame.ts[row] - frame.ts[cause[owner]] > index.config.rage_gap_ms)
    kept &= (waited >= np.maximum(LEAST_WAIT_MS, delay[owner])) & ~_is_in_burst(index, owner, row)
    return chosen[owner[kept]], frame.ts[row[kept]]


def _is_in_burst(index: Index, owner: Ints, row: Ints) -> Bools:
    """Per try (ordered by owner and row): whether it belongs to at least three that follow each other at the pace of rage."""
    if not len(row):
        return np.zeros(0, dtype=np.bool_)
    ts = index.frame.ts[row]
    apart = mark_group_starts(owner)
    apart[1:] |= ts[1:] - ts[:-1] > index.config.rage_gap_ms
    run = np.cumsum(apart) - 1
    return np.asarray(np.bincount(run)[run] >= _BURST, dtype=np.bool_)
