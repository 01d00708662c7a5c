"""Blocked: an action was answered by failure or rejection, and tried again within 30 s of the answer without success.

Source: detection.md, Signals. The 30 s count from the ANSWER, so that a time-out of 25 s does not eat them. The first failure
alone never counts. Never: the retry succeeds (then the candidate is resolved); controls made to be repeated, unless they
are steps that send a form; several clicks on one unanswered attempt; two failures of a nameless target that may be
two controls; a second attempt that failed at other requests only; another page of the same kind, or a page that came, opened
again; automatic repeats (taken out by attribution).

To add an exclusion, add a condition to ``_counted`` and a case to tests/unit/ufse/test_signals.py.
"""

from dataclasses import dataclass

import numpy as np

from ufse.arrays import NEVER, Bools, Ints, Ragged, among, any_by, heads, max_by, min_by, within
from ufse.candidates import Clusters
from ufse.feedback import SLOW
from ufse.index import Index
from ufse.sessions import SUBMIT
from ufse.signals.model import BLOCKED, PLAIN, Signals

_NO_ANSWER = 2**62


@dataclass(frozen=True)
class Attempts:
    """The attempts at each cluster's action: clicks and submits up to an answer; quick repeats are the same attempt."""

    cluster: Ints
    rows: Ragged
    row_attempt: Ints
    """Per row of ``rows``: its attempt."""
    answer_attempt: Ints
    answer: Ints
    """Negative answers (slow ones are none here), each with its attempt."""


def blocked(index: Index, clusters: Clusters) -> tuple[Ints, Signals]:
    """(Cluster, signal) of every cluster whose action is blocked; ``count`` is the number of failed retries."""
    tried = _attempts(index, clusters)
    counted = _counted(index, clusters, tried)
    size = len(clusters)
    retries = np.bincount(tried.cluster[counted], minlength=size) - _doubtful(index, clusters)
    found = retries > 0
    before = np.append(counted[1:], False) & ~_any_before(counted, tried.cluster)
    used = (counted | before) & found[tried.cluster]
    rows = tried.rows.take(np.flatnonzero(used))
    owner = tried.cluster[used][rows.owner]
    chosen = np.flatnonzero(found)
    listed = Ragged(rows.values, np.append(0, np.cumsum(np.bincount(owner, minlength=size)[chosen])))
    return chosen, _signals(index, clusters, chosen, listed, retries[chosen])


def _any_before(chosen: Bools, owner: Ints) -> Bools:
    """Per entry: whether an entry of its owner up to it is chosen."""
    total = np.cumsum(chosen)
    begin = np.maximum.accumulate(np.where(heads(owner), np.arange(len(owner)), 0)) if len(owner) else owner
    return np.asarray(total - (total[begin] - chosen[begin]) > 0, dtype=np.bool_)


def _signals(index: Index, clusters: Clusters, chosen: Ints, rows: Ragged, retries: Ints) -> Signals:
    frame, given = index.frame, index.given
    if not len(chosen):
        return Signals.none()
    answers = clusters.negatives.take(chosen)
    ours = within(answers.owner, given.cause[answers.values], rows.owner, rows.values)
    answered = max_by(answers.owner[ours], frame.ts[answers.values[ours]], len(chosen), NEVER)
    return Signals.of(
        BLOCKED,
        PLAIN,
        start=frame.ts[rows.first],
        end=np.maximum(frame.ts[rows.last], answered),
        count=retries,
        action=clusters.action[chosen],
        row=rows.first,
        rows=rows,
    )


def _attempts(index: Index, clusters: Clusters) -> Attempts:
    frame, given, config = index.frame, index.given, index.config
    negatives = clusters.negatives
    cause = given.cause[negatives.values]
    # The click that caused a submit, and clicks that an unanswered one followed at once, are its attempt.
    asked = min_by(negatives.owner, frame.ts[cause], len(clusters), 2**62) - config.rage_gap_ms
    low = frame.first_at(clusters.visit, np.maximum(asked, clusters.since + 1))
    latest = max_by(negatives.owner, frame.ts[negatives.values], len(clusters), NEVER)
    high = frame.first_at(clusters.visit, latest + config.retry_window_ms + 1)
    owner, row = index.attempts.each(index.deed(clusters.visit, clusters.action), low, high)
    answering = given.negative[negatives.values] != SLOW
    place = _places(owner, row, negatives.owner[answering], cause[answering], len(frame))
    mine = place >= 0
    place, answer = place[mine], negatives.values[answering][mine]
    answered = min_by(place, frame.rel[answer], len(row), _NO_ANSWER)
    first = _begins(owner, frame.rel[row], answered, config.rage_gap_ms)
    number = np.cumsum(first) - 1
    rows = Ragged.of(number, row, int(first.sum()))
    return Attempts(owner[first], rows, number, number[place], answer)


def _places(owner: Ints, row: Ints, other_owner: Ints, other_row: Ints, base: int) -> Ints:
    """Where each (other owner, other row) stands among the ascending (owner, row), -1 for nowhere."""
    keys, asked = owner * base + row, other_owner * base + other_row
    if not len(keys):
        return np.full(len(asked), -1)
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, at, -1)


def _begins(owner: Ints, at: Ints, answered: Ints, gap_ms: int) -> Bools:
    """Which clicks and submits begin an attempt: those after a pause that follow an answer to the attempt before.

    For each row the first later row of its owner that a pause and its own answer make a beginning is found; the least of
    these from an attempt's first row on is the next attempt's first row.
    """
    size = len(owner)
    first = heads(owner)
    if not size:
        return first
    span = int(at.max()) + 2
    clock = owner * span + at
    after = np.searchsorted(clock, owner * span + np.minimum(answered, span - 1))
    paused = ~first & (np.append(0, np.diff(at)) > gap_ms)
    following = np.append(np.where(paused, np.arange(size), size), size)
    following = np.minimum.accumulate(following[::-1])[::-1]
    begins = following[np.maximum(after, np.arange(size) + 1)]
    begins = np.where(answered < _NO_ANSWER, begins, size)
    begins = np.minimum.accumulate(begins[::-1])[::-1]
    heads_at = np.flatnonzero(first)
    ends = np.append(heads_at[1:], size)
    at_row, end = heads_at, ends
    while len(at_row):
        following_row = begins[at_row]
        inside = following_row < end
        at_row, end = following_row[inside], end[inside]
        first[at_row] = True
    return first


def _counted(index: Index, clusters: Clusters, tried: Attempts) -> Bools:
    """Attempts that are a retry without success: the attempt before was answered, and not more than 30 s earlier."""
    frame, config = index.frame, index.config
    size = len(tried.cluster)
    if not size:
        return np.zeros(0, dtype=np.bool_)
    begin = frame.ts[tried.rows.first]
    follows = ~heads(tried.cluster)
    next_begin = np.append(begin[1:], NEVER)
    known = frame.ts[tried.answer] <= next_begin[tried.answer_attempt]
    answered = max_by(tried.answer_attempt[known], frame.ts[tried.answer[known]], size, NEVER)
    before = np.append(NEVER, answered[:-1])
    soon = (before > NEVER) & (begin - before <= config.retry_window_ms)
    target = index.target_of(clusters.action[tried.cluster])
    unanswered = np.bincount(tried.answer_attempt, minlength=size) == 0
    vague = _vague(index, clusters)[tried.cluster] & unanswered
    steps = among(index.deed(clusters.visit, clusters.action), index.step_deeds)[tried.cluster]
    repeated = index.target_is("repeated")[target] & ~steps
    missed = ~vague & ~repeated & ~_other_request(index, tried) & ~_other_page(index, tried)
    return np.asarray(follows & soon & missed, dtype=np.bool_)


def _other_page(index: Index, tried: Attempts) -> Bools:
    """Attempts that opened another page than the one before, or that opened the same one again and had no failure; a page
    that answered is there, whatever every page asks for beside it.
    """
    size, first = len(tried.cluster), tried.rows.first
    shown = index.opened[first]
    before = np.append(-1, shown[:-1])
    came = np.append(False, index.served[first][:-1])
    failed = np.bincount(tried.answer_attempt, minlength=size) > 0
    own = any_by(tried.answer_attempt, index.given.lonely[tried.answer], size)
    both = (shown >= 0) & (before >= 0)
    return np.asarray(both & ((shown != before) | ~failed | (came & ~own)), dtype=np.bool_)


def _other_request(index: Index, tried: Attempts) -> Bools:
    """Attempts that failed only at requests at which the one before did not: answers are judged per request."""
    size = len(tried.cluster)
    asked = index.is_request(tried.answer)
    attempt, endpoint = tried.answer_attempt[asked], index.frame.endpoint[tried.answer[asked]]
    some = np.bincount(attempt, minlength=size) > 0
    shared = any_by(attempt, within(attempt, endpoint, attempt + 1, endpoint), size)
    return np.asarray(some & np.append(False, some[:-1]) & ~shared, dtype=np.bool_)


def _vague(index: Index, clusters: Clusters) -> Bools:
    """Clusters of a target of which only the type is known."""
    nameless = index.target_is("nameless")[index.target_of(clusters.action)]
    return np.asarray(nameless & ~index.is_page(clusters.action), dtype=np.bool_)


def _doubtful(index: Index, clusters: Clusters) -> Ints:
    """One retry does not count where two failures of a nameless target may be two controls: neither a form nor one known
    endpoint says that they are one.
    """
    rows, owner = clusters.negatives.values, clusters.negatives.owner
    form = any_by(owner, index.frame.kind[index.given.cause[rows]] == SUBMIT, len(clusters))
    unknown = any_by(owner, ~index.known(rows), len(clusters))
    return (_vague(index, clusters) & ~form & unknown).astype(np.int64)
