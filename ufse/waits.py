"""Slow answers: which of them are one wait, and which waits ended well.

Source: docs/decisions/0065. Slow and then served is served: several clicks during one wait are one slow request, and when the
answer comes the action succeeded. It stays a failure if the person left before the answer, if it never came, or if the wait
was repeated after each answer.
"""

from dataclasses import replace

import numpy as np

from ufse.arrays import Bools, Ints, Ragged, count_by_owner, mark_group_starts
from ufse.candidates import Clusters
from ufse.feedback import MEASURED_WITH_MS, SLOW
from ufse.index import Index
from ufse.sessions import LOADING, NETWORK, PERFORMANCE

REPEATED_WAITS = 3
"""Waits for one action, each after the answer to the one before, from which slowness is no longer served (own choice)."""

LEADS_ON_MS = 2_000
"""A loading phase ends at most this long before or after the page to which it leads begins, ms (as a reaction, own choice)."""


def count_waits(index: Index, rows: Ragged) -> Ints:
    """Per list of feedback rows: the number of waits. Answers whose waits overlap belong to one wait."""
    frame, values, owner = index.frame, rows.values, rows.owner
    if not len(values):
        return np.zeros(len(rows), dtype=np.int64)
    begin = frame.rel[index.attribution.cause[values]]
    end = np.maximum(frame.rel[values], begin)
    order = np.lexsort((begin, owner))
    begin, end, owner = begin[order], end[order], owner[order]
    span = int(end.max()) + 1
    latest = np.maximum.accumulate(owner * span + end) - owner * span
    apart = mark_group_starts(owner)
    apart[1:] |= begin[1:] > latest[:-1]
    return count_by_owner(owner, len(rows), apart)


def mark_served_waits(index: Index, clusters: Clusters, confused: Bools) -> Clusters:
    """``clusters``, where a cluster of slow answers counts as resolved if its last answer came, the wait was not repeated, and
    the answer led on: the person did not wander about around it (``confused``).

    What is normal for an endpoint is not known here: an answer far beyond it is served, too.
    """
    slow = index.attribution.negative[clusters.failure] == SLOW
    if not slow.any():
        return clusters
    last = clusters.negatives.last
    repeated = count_waits(index, clusters.negatives_since_success) >= REPEATED_WAITS
    served = slow & ~repeated & ~confused & _is_served(index, last)
    return replace(clusters, resolved=clusters.resolved | served)


def _is_served(index: Index, rows: Ints) -> Bools:
    """Per row of slow feedback: whether the answer came: a good answer, a measurement of one, the measured load of a page, or
    the page to which a loading phase led. The end of such a phase alone does not say whether the answer was good.
    """
    frame, attribution = index.frame, index.attribution
    kind = frame.kind[rows]
    good = index.last_good_answer[attribution.cause[rows]]
    answered = (good >= 0) & (frame.ts[np.maximum(good, 0)] >= frame.ts[rows] - MEASURED_WITH_MS)
    measured = answered | ~frame.column_equals("perf_kind", "slow_response", rows=rows)
    came = np.where(kind == NETWORK, attribution.success[rows], (kind == PERFORMANCE) & measured)
    led = np.flatnonzero(kind == LOADING)
    if len(led):
        came[led] = _is_led_on(index, rows[led])
    return np.asarray(came, dtype=np.bool_)


def _is_led_on(index: Index, rows: Ints) -> Bools:
    """Per loading phase: whether its control opened a page around its end: with nothing else done since, and no error page."""
    frame, moves = index.frame, index.navigation_rows
    if not len(moves):
        return np.zeros(len(rows), dtype=np.bool_)
    cause, end = index.attribution.cause[rows], frame.ts[rows] + frame.duration[rows]
    since = frame.find_first_since(frame.visit[rows], end - LEADS_ON_MS)
    move = moves[np.minimum(np.searchsorted(moves, np.maximum(since, cause + 1)), len(moves) - 1)]
    near = (move > cause) & (frame.visit[move] == frame.visit[rows]) & (np.abs(frame.ts[move] - end) <= LEADS_ON_MS)
    acts = index.interaction_rows
    last = acts[np.maximum(np.searchsorted(acts, move) - 1, 0)]
    same = index.attribution.action[last] == index.attribution.action[cause]
    opened = frame.column_equals("nav_type", "push", "replace", "link", "", rows=move)
    stray = frame.is_external_or_download(move) | index.is_failing[move]
    stray |= index.detour_patterns[frame.pattern[move]] & (frame.pattern[move] != frame.pattern[cause])
    return np.asarray(near & same & opened & ~stray & ~frame.endless[rows], dtype=np.bool_)
