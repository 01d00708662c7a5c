"""Blocked: an action failed or was rejected, and was tried again within 30 s of the answer without success.

Source: docs/contracts/detection.md, Signals. The 30 s count from the ANSWER, so that a time-out of 25 s does not use them
up. The first failure alone does not count.

Not blocked: a retry that succeeds (the candidate is then resolved); controls made for repeated clicks, unless they are
steps that send a form; several clicks on one unanswered attempt; two failures of a nameless target that may be two
controls; another page of the same kind, or a page that loaded and was opened again; automatic retries (removed by
attribution); a single last try without a recorded answer.

To add an exclusion, add a condition to ``_is_failed_retry`` and a case to tests/unit/ufse/test_signals.py.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ufse.arrays import (
    NEVER,
    Bools,
    Ints,
    Ragged,
    any_by_owner,
    equals_any,
    is_among,
    is_pair_among,
    mark_group_starts,
    max_by_owner,
    min_by_owner,
)
from ufse.candidates import Clusters
from ufse.feedback import RETURNED, SILENT, SLOW
from ufse.formats import format_duration, format_repetitions
from ufse.index import Index
from ufse.sessions import CLICK, INPUT, SUBMIT
from ufse.signals.model import PLAIN, ClusterSignals, SignalFacts, SignalKind, Signals

_NO_ANSWER = 2**62
_ANGRY_CLICKS = 3
"""Clicks of an attempt from which it is no single try (own choice; a double click is two)."""
_FAILING_PAGES = 3
"""Pages of a list that failed, from which the next one is a retry (own choice)."""


@dataclass(frozen=True)
class Attempts:
    """One entry per attempt at a cluster's action: its clicks and submits up to an answer. Quick repeats are one attempt."""

    cluster: Ints
    rows: Ragged
    row_attempt: Ints
    """Per value of ``rows``: its attempt."""
    answer_attempt: Ints
    answer: Ints
    """Rows of the failures and rejections; ``answer_attempt`` has the attempt of each."""


def find_blocked_signals(index: Index, clusters: Clusters) -> ClusterSignals:
    """The signal of every cluster whose action is blocked; ``count`` is the number of failed retries."""
    tried = _gather_attempts(index, clusters)
    counted = _is_failed_retry(index, clusters, tried)
    size = len(clusters)
    retries = np.bincount(tried.cluster[counted], minlength=size) - _count_doubtful_retries(index, clusters)
    found = retries > 0
    before = np.append(counted[1:], False) & ~_has_chosen_before(counted, tried.cluster)
    used = (counted | before) & found[tried.cluster]
    rows = tried.rows.take_lists(np.flatnonzero(used))
    owner = tried.cluster[used][rows.owner]
    chosen = np.flatnonzero(found)
    listed = Ragged(rows.values, np.append(0, np.cumsum(np.bincount(owner, minlength=size)[chosen])))
    return ClusterSignals(chosen, _build_blocked_signals(index, clusters, chosen, listed, retries[chosen]))


def _has_chosen_before(chosen: Bools, owner: Ints) -> Bools:
    """Per entry: whether an entry of its owner up to it is chosen."""
    total = np.cumsum(chosen)
    begin = np.maximum.accumulate(np.where(mark_group_starts(owner), np.arange(len(owner)), 0)) if len(owner) else owner
    return np.asarray(total - (total[begin] - chosen[begin]) > 0, dtype=np.bool_)


def _build_blocked_signals(index: Index, clusters: Clusters, chosen: Ints, rows: Ragged, retries: Ints) -> Signals:
    frame, attribution = index.frame, index.attribution
    if not len(chosen):
        return Signals.make_empty()
    answers = clusters.negatives.take_lists(chosen)
    ours = is_pair_among(answers.owner, attribution.cause[answers.values], rows.owner, rows.values)
    answered = max_by_owner(answers.owner[ours], frame.ts[answers.values[ours]], len(chosen), NEVER)
    return Signals.of_form(
        PLAIN,
        start=frame.ts[rows.first],
        end=np.maximum(frame.ts[rows.last], answered),
        count=retries,
        action=clusters.action[chosen],
        row=rows.first,
        rows=rows,
    )


def _gather_attempts(index: Index, clusters: Clusters) -> Attempts:
    frame, attribution, config = index.frame, index.attribution, index.config
    negatives = clusters.negatives
    cause = attribution.cause[negatives.values]
    # Clicks shortly before the first failed interaction belong to its attempt, for example the click that caused a submit.
    asked = min_by_owner(negatives.owner, frame.ts[cause], len(clusters), 2**62) - config.rage_gap_ms
    low = frame.find_first_since(clusters.visit, np.maximum(asked, clusters.since + 1))
    latest = max_by_owner(negatives.owner, frame.ts[negatives.values], len(clusters), NEVER)
    high = frame.find_first_since(clusters.visit, latest + config.retry_window_ms + 1)
    high = np.where(_lacks_answer(index, clusters), frame.high[clusters.visit], high)
    owner, row = index.attempts_by_action.find_entries(
        index.visit_action_key(clusters.visit, clusters.action), low, high
    )
    answering = attribution.negative[negatives.values] != SLOW
    place = _find_places(owner, row, negatives.owner[answering], cause[answering], len(frame))
    placed = place >= 0
    place, answer = place[placed], negatives.values[answering][placed]
    answered = min_by_owner(place, frame.rel[answer], len(row), _NO_ANSWER)
    first = _mark_attempt_starts(owner, frame.rel[row], answered, config.rage_gap_ms)
    number = np.cumsum(first) - 1
    rows = Ragged.from_owners(number, row, int(first.sum()))
    return Attempts(owner[first], rows, number, number[place], answer)


def _find_places(owner: Ints, row: Ints, other_owner: Ints, other_row: Ints, base: int) -> Ints:
    """Per (other owner, other row): its place among the ascending (owner, row), -1 without one."""
    keys, asked = owner * base + row, other_owner * base + other_row
    if not len(keys):
        return np.full(len(asked), -1)
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, at, -1)


def _mark_attempt_starts(owner: Ints, at: Ints, answered: Ints, gap_ms: int) -> Bools:
    """Per click or submit: whether it begins an attempt: it follows a pause and an answer to the attempt before.

    For each row, the first later row of its owner after a pause and after its own answer is found. The least of these, from an
    attempt's first row on, is the first row of the next attempt.
    """
    size = len(owner)
    first = mark_group_starts(owner)
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


def _is_failed_retry(index: Index, clusters: Clusters, tried: Attempts) -> Bools:
    """Per attempt: whether it is a failed retry: the attempt before was answered at most 30 s earlier."""
    frame, config = index.frame, index.config
    size = len(tried.cluster)
    if not size:
        return np.zeros(0, dtype=np.bool_)
    begin = frame.ts[tried.rows.first]
    follows = ~mark_group_starts(tried.cluster)
    next_begin = np.append(begin[1:], NEVER)
    known = frame.ts[tried.answer] <= next_begin[tried.answer_attempt]
    answered = max_by_owner(tried.answer_attempt[known], frame.ts[tried.answer[known]], size, NEVER)
    before = np.append(NEVER, answered[:-1])
    soon = (before > NEVER) & (begin - _find_pause_starts(index, clusters, tried, before) <= config.retry_window_ms)
    target = index.target_of_action(clusters.action[tried.cluster])
    unanswered = np.bincount(tried.answer_attempt, minlength=size) == 0
    vague = _has_nameless_target(index, clusters)[tried.cluster] & unanswered
    steps = is_among(index.visit_action_key(clusters.visit, clusters.action), index.wizard_step_keys)[tried.cluster]
    repeated = index.target_property("repeated")[target] & ~steps
    missed = ~vague & ~repeated & ~_is_other_page(index, tried)
    missed &= ~unanswered | _is_surely_unanswered(index, clusters, tried)
    return np.asarray(follows & soon & missed, dtype=np.bool_)


def _is_surely_unanswered(index: Index, clusters: Clusters, tried: Attempts) -> Bools:
    """Per attempt: whether the person tried the action again later in the visit, or clicked at least three times; or whether
    no answer was due: the control was disabled, or a missing answer is the failure.

    Else the last try, without a recorded answer, proves nothing: its answer may be lost, or still on its way as the visit ends.
    Who tries again shows that it did not succeed.
    """
    frame, rows = index.frame, tried.rows
    visit = clusters.visit[tried.cluster]
    later = frame.find_first_since(visit, frame.ts[rows.first] + index.config.rage_gap_ms + 1, rows.first)
    key = index.visit_action_key(visit, clusters.action[tried.cluster])
    again = index.attempts_by_action.find_first_from(key, later) >= 0
    clicks = np.bincount(tried.row_attempt[frame.kind[rows.values] == CLICK], minlength=len(rows))
    disabled = frame.source.read_at("disabled", rows.first) == 1
    lacking = _lacks_answer(index, clusters)[tried.cluster]
    return np.asarray(again | disabled | lacking | (clicks >= _ANGRY_CLICKS), dtype=np.bool_)


def _lacks_answer(index: Index, clusters: Clusters) -> Bools:
    """Per cluster: whether a missing answer is its failure: the control stayed silent, or the form was sent back."""
    missing = equals_any(index.attribution.negative[clusters.negatives.values], SILENT, RETURNED)
    return any_by_owner(clusters.negatives.owner, missing, len(clusters))


def _find_pause_starts(index: Index, clusters: Clusters, tried: Attempts, before: Ints) -> Ints:
    """Per attempt: when the person last did something for it: the answer ``before`` (epoch ms), or a later change of a field.

    Changes count where an answer is missing: the page came back empty, and filling it in again is the way to try again.
    """
    frame = index.frame
    lacking = _lacks_answer(index, clusters)[tried.cluster]
    changes = np.flatnonzero((frame.kind == INPUT) & ~frame.column_equals("action", "focus", "blur"))
    if not lacking.any() or not len(changes):
        return before
    first = tried.rows.first
    change = changes[np.maximum(np.searchsorted(changes, first) - 1, 0)]
    own = lacking & (change < first) & (frame.visit[change] == frame.visit[first])
    return np.where(own, np.maximum(before, frame.ts[change]), before)


def _is_other_page(index: Index, tried: Attempts) -> Bools:
    """Per attempt: whether it opened another page than the attempt before, or opened the same page without a failure of its
    own.
    """
    size, first = len(tried.cluster), tried.rows.first
    shown = index.opened_routes[first]
    before = np.append(-1, shown[:-1])
    came = np.append(False, index.is_served[first][:-1])
    failed = np.bincount(tried.answer_attempt, minlength=size) > 0
    own = any_by_owner(tried.answer_attempt, index.attribution.lonely[tried.answer], size)
    both = (shown >= 0) & (before >= 0)
    other = (shown != before) & ~_is_failing_list(index, tried, failed)
    return np.asarray(both & (other | ~failed | (came & ~own)), dtype=np.bool_)


def _is_failing_list(index: Index, tried: Attempts, failed: Bools) -> Bools:
    """Per attempt: whether each attempt of its cluster, at least three, opened a page that failed and that got nothing else.

    The pages of a list that cannot be opened, one after the other, are one failure; one or two are no more than bad records.
    """
    size = int(tried.cluster.max()) + 1
    empty = failed & (index.opened_routes[tried.rows.first] >= 0) & ~index.is_served[tried.rows.first]
    count = np.bincount(tried.cluster, minlength=size)
    whole = (np.bincount(tried.cluster[empty], minlength=size) == count) & (count >= _FAILING_PAGES)
    return np.asarray(whole[tried.cluster], dtype=np.bool_)


def _has_nameless_target(index: Index, clusters: Clusters) -> Bools:
    """Per cluster: whether only the type of its target is known."""
    nameless = index.target_property("nameless")[index.target_of_action(clusters.action)]
    return np.asarray(nameless & ~index.is_page_action(clusters.action), dtype=np.bool_)


def _count_doubtful_retries(index: Index, clusters: Clusters) -> Ints:
    """Per cluster: 1 if two failures of its nameless target may be of two controls, else 0. A form or a known endpoint
    shows that they are one control.
    """
    rows, owner = clusters.negatives.values, clusters.negatives.owner
    form = any_by_owner(owner, index.frame.kind[index.attribution.cause[rows]] == SUBMIT, len(clusters))
    unknown = any_by_owner(owner, ~index.is_identified(rows), len(clusters))
    return (_has_nameless_target(index, clusters) & ~form & unknown).astype(np.int64)


def _describe_blocked(facts: SignalFacts) -> str:
    name = "the page" if facts.is_page else facts.target
    soon = format_duration(facts.config.retry_window_ms)
    times = format_repetitions(facts.times)
    return f"{name} was retried {times} within {soon} of a failed answer, without success"


SIGNAL: Final = SignalKind("blocked", describe=_describe_blocked, find=find_blocked_signals)
