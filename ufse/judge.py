"""The judgement of every cluster: its signals, its score, and the rule that stops it or lets it pass.

docs/contracts/detection.md, Correlation, requires (1) two independent signals, one of them behavioural; (2) a feedback signal;
(3) one session; (4) each signal within 30 s of the evidence before it, waiting not counted; (5) one route or flow.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from ufse.achieved import find_last_successes
from ufse.arrays import (
    NEVER,
    Bools,
    Ints,
    Lookup,
    any_by_owner,
    count_by_owner,
    count_distinct_by_owner,
    expand_ranges,
    is_among,
    is_pair_among,
    mark_group_starts,
    max_by_owner,
    min_by_owner,
)
from ufse.candidates import Candidates, Clusters, find_candidates, find_clusters
from ufse.effort import is_effort_lost, is_pressed_once, is_seen_reacting
from ufse.feedback import CRASH, SLOW
from ufse.index import Index
from ufse.refused_tries import is_tried_while_disabled
from ufse.score import RAGE_PLACES, Evidence, compute_points, sum_points
from ufse.sessions import INPUT, LOADING, NETWORK, SUBMIT
from ufse.signals.model import ENDED, RELOADS, SILENCE, ClusterSignals, Signals
from ufse.signals.registry import ABANDONMENT, BLOCKED, CONFUSION, RAGE, SIGNALS, VERDICT, find_signals
from ufse.stray import is_stray_error
from ufse.waits import count_waits, mark_served_waits

(
    EMITTED,
    NO_BEHAVIOUR,
    OUTSIDE_WINDOW,
    NOT_INDEPENDENT,
    IGNORED,
    RESOLVED,
    BELOW_HIGH,
    EXEMPTED,
) = range(8)
RULE_NAMES: Final = (
    "emitted",
    "no_behavioural_signal",
    "outside_window",
    "not_independent",
    "ignored",
    "resolved",
    "below_high",
    "exempted",
)
"""Names of the rules in the order in which they are checked; the last one is found by judging without exceptions."""

_SAME, _RELOAD, _RELOAD_OTHER, _PAGE, _NEAR = (
    RAGE_PLACES.index(p) for p in ("same", "reload", "reload_other", "page", "near")
)
_FAR = len(RAGE_PLACES)


@dataclass(frozen=True)
class Judgement:
    """The result for all clusters; ``points``, ``score``, ``rule``, ``start`` and ``end`` have one entry per cluster."""

    index: Index
    clusters: Clusters
    signals: Signals
    """The behavioural signals that belong to a cluster."""
    owner: Ints
    """Per signal: its cluster."""
    points: Ints
    """Shape (clusters, rules)."""
    score: Ints
    """0 to 100; -1 without a behavioural signal."""
    rule: Ints
    """Index into RULE_NAMES."""
    start: Ints
    end: Ints
    """``start`` and ``end`` span all signals, feedback included; epoch ms."""

    @cached_property
    def best_clusters(self) -> Ints:
        """One cluster per candidate: the emitted one, else the one with the highest score, else the earliest. Ordered by
        visit and failure.
        """
        c = self.clusters
        order = np.lexsort((c.failure, -self.score, self.rule != EMITTED, c.candidate))
        first = order[mark_group_starts(c.candidate[order])]
        return first[np.lexsort((c.failure[first], c.visit[first]))]

    @cached_property
    def rows_of_clusters(self) -> tuple[Ints, Ints]:
        """(Cluster, row) of all feedback, of the interactions that caused it, and of all signals; in no order."""
        negatives, signals = self.clusters.negatives, self.signals.rows
        owner = np.concatenate((negatives.owner, negatives.owner, self.owner[signals.owner]))
        cause = self.index.attribution.cause[negatives.values]
        values = np.concatenate((negatives.values, np.maximum(cause, 0), signals.values))
        return owner, values

    @cached_property
    def signals_by_cluster(self) -> Lookup:
        """Numbers of the signals by cluster."""
        return Lookup(self.owner, np.arange(len(self.owner)))


def judge_clusters(index: Index) -> Judgement:
    """Judges every cluster of every candidate of the batch."""
    found = find_candidates(index)
    clusters = find_clusters(index, found, find_last_successes(index, found))
    behaviour = find_signals(index, clusters)
    near = behaviour.take_signals(np.flatnonzero(_is_connected_signal(index, clusters, behaviour)))
    confused = any_by_owner(near.cluster, near.signals.kind == CONFUSION, len(clusters))
    clusters = mark_served_waits(index, clusters, confused)
    start, end = _measure_extent(index, clusters, near)
    table = compute_points(_gather_evidence(index, found, clusters, near, end), index.config)
    size = len(clusters)
    total = sum_points(table)
    some, connected = (_has_own_behaviour(signals, size) for signals in (behaviour, near))
    rule = np.select(
        [
            ~some,
            ~connected,
            ~_is_independent(clusters, near),
            _is_ignored_cluster(index, found, clusters, near),
            total >= index.config.high_score,
            clusters.resolved,
        ],
        [NO_BEHAVIOUR, OUTSIDE_WINDOW, NOT_INDEPENDENT, IGNORED, EMITTED, RESOLVED],
        BELOW_HIGH,
    )
    return Judgement(
        index, clusters, near.signals, near.cluster, table, np.where(connected, total, -1), rule, start, end
    )


def _has_own_behaviour(signals: ClusterSignals, size: int) -> Bools:
    """Per cluster: whether it has a behavioural signal that is not only another tool's verdict."""
    own = signals.cluster[signals.signals.kind != VERDICT]
    return np.asarray(count_by_owner(own, size) > 0, dtype=np.bool_)


def _is_connected_signal(index: Index, clusters: Clusters, behaviour: ClusterSignals) -> Bools:
    """Per signal: whether it chains to its cluster's feedback without a gap over 30 s; pending requests are no gap."""
    owner, signals = behaviour.cluster, behaviour.signals
    low, high = _measure_feedback_span(index, clusters)
    connected = np.zeros(len(signals), dtype=np.bool_)
    while True:
        gap = _measure_signal_gaps(index, clusters, behaviour, _Spans(low[owner], high[owner]))
        joining = ~connected & (gap <= index.config.correlation_gap_ms)
        if not joining.any():
            return connected
        connected |= joining
        np.minimum.at(low, owner[joining], signals.start[joining])
        np.maximum.at(high, owner[joining], signals.end[joining])


@dataclass(frozen=True)
class _Spans:
    """A span of time per signal; epoch ms."""

    low: Ints
    high: Ints


def _measure_feedback_span(index: Index, clusters: Clusters) -> tuple[Ints, Ints]:
    """Per cluster: the first interaction that failed and the last answer; epoch ms."""
    frame, negatives = index.frame, clusters.negatives
    asked = frame.ts[index.attribution.cause[negatives.values]]
    size = len(clusters)
    low = np.minimum(min_by_owner(negatives.owner, asked, size, 2**62), frame.ts[negatives.first] if size else asked)
    return low, frame.ts[negatives.last] if size else asked


def _measure_signal_gaps(index: Index, clusters: Clusters, near: ClusterSignals, spans: _Spans) -> Ints:
    """Per signal: the time between it and its span, ms, without the time during which the failing requests were pending."""
    owner, signals = near.cluster, near.signals
    begin, end = np.minimum(signals.end, spans.high), np.maximum(signals.start, spans.low)
    gap = np.maximum(0, end - begin)
    wide = np.flatnonzero(gap > index.config.correlation_gap_ms)
    if len(wide):
        bounds = clusters.negatives.bounds
        place_owner, place = expand_ranges(bounds[owner[wide]], bounds[owner[wide] + 1])
        row = clusters.negatives.values[place]
        since, until = index.attribution.begin[row], index.frame.ts[row]
        waited = np.minimum(end[wide][place_owner], until) - np.maximum(begin[wide][place_owner], since)
        total = np.zeros(len(wide), dtype=np.int64)
        np.add.at(total, place_owner, np.maximum(waited, 0))
        gap[wide] = np.maximum(0, gap[wide] - total)
    return np.asarray(gap, dtype=np.int64)


def _measure_extent(index: Index, clusters: Clusters, near: ClusterSignals) -> tuple[Ints, Ints]:
    """Per cluster: start and end of its signals, feedback included; epoch ms."""
    owner, signals = near.cluster, near.signals
    size = len(clusters)
    if not size:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    ts = index.frame.ts
    start = np.minimum(min_by_owner(owner, signals.start, size, 2**62), ts[clusters.negatives.first])
    return start, np.maximum(max_by_owner(owner, signals.end, size, -(2**62)), ts[clusters.negatives.last])


def _gather_evidence(index: Index, found: Candidates, clusters: Clusters, near: ClusterSignals, end: Ints) -> Evidence:
    owner, signals = near.cluster, near.signals
    frame, attribution, size = index.frame, index.attribution, len(clusters)
    rows, of_row = clusters.negatives.values, clusters.negatives.owner
    failure = clusters.failure
    by_field = frame.kind[attribution.cause[failure]] == INPUT
    story = clusters.negatives_since_success
    acted = count_distinct_by_owner(story.owner, attribution.cause[story.values], size)
    slow = attribution.negative[failure] == SLOW
    failures = np.where(slow, count_waits(index, story), acted) if slow.any() else acted
    struggled = end - min_by_owner(story.owner, frame.ts[attribution.cause[story.values]], size, 2**62)
    left = max_by_owner(owner, np.where(signals.kind == ABANDONMENT, signals.form, 0), size, 0)
    lost = is_effort_lost(index, clusters, left) if left.any() else np.zeros(size, dtype=np.bool_)
    # After one failed press, the end of a visit in which nothing was lost says no more than silence.
    merely_ended = (left == ENDED) & ~lost & is_pressed_once(index, clusters) & ~slow
    return Evidence(
        feedback=attribution.negative[failure],
        vague=_is_vague_error(index, failure),
        stray=is_stray_error(index, clusters),
        by_field=by_field,
        rage=_find_rage_place(index, clusters, near),
        retries=max_by_owner(owner, np.where(signals.kind == BLOCKED, signals.count, 0), size, 0),
        left=np.where(merely_ended, SILENCE, left),
        form_sent=_is_form_sent(index, found, clusters, near, lost),
        confused=any_by_owner(owner, signals.kind == CONFUSION, size),
        vendor=any_by_owner(owner, signals.kind == VERDICT, size),
        failures=np.where(by_field, 1, failures),
        tries=np.where(
            is_tried_while_disabled(index, clusters), np.maximum(clusters.try_counts, 2), clusters.try_counts
        ),
        longest_wait_ms=max_by_owner(of_row, index.waiting_times(rows), size, 0),
        struggle_ms=struggled,
        resolved=clusters.resolved,
        declared=_count_declared_rules(near, size),
        answered_late=(attribution.negative[failure] == SLOW) & _is_answered_late(index, failure),
    )


def _count_declared_rules(near: ClusterSignals, size: int) -> dict[str, Ints | Bools]:
    """By rule that a signal declares: how often it applies to each of ``size`` clusters."""
    found: dict[str, Ints | Bools] = {}
    for number, kind in enumerate(SIGNALS):
        if kind.rules:
            found |= kind.apply_rules(near.take_signals(np.flatnonzero(near.signals.kind == number)), size)
    return found


def _is_answered_late(index: Index, row: Ints) -> Bools:
    """Per row of slow feedback: whether it ended: a good answer, a measured load, a loading phase with an end."""
    kind = index.frame.kind[row]
    came = (kind != LOADING) | ~index.frame.endless[row]
    return np.where(kind == NETWORK, index.attribution.success[row], came)


def _is_vague_error(index: Index, row: Ints) -> Bools:
    """Per row: whether it is an error without a message that no form submit caused."""
    crash = (index.attribution.negative[row] == CRASH) & ~index.is_identified(row)
    return np.asarray(crash & (index.frame.kind[index.attribution.cause[row]] != SUBMIT), dtype=np.bool_)


def _is_form_sent(index: Index, found: Candidates, clusters: Clusters, near: ClusterSignals, lost: Bools) -> Bools:
    """Per cluster: whether fields were filled in and its action sent the form. One field is enough if the action was retried;
    after one try more must be ``lost``, and the person must be seen to leave or to go on.

    Without a submit event, a button sends the form if two fields were filled in or validation failed.
    """
    owner, signals = near.cluster, near.signals
    frame, size = index.frame, len(clusters)
    left = np.flatnonzero(signals.kind == ABANDONMENT)
    touched = signals.rows.take_lists(left)
    field = frame.kind[touched.values] == INPUT
    of_field, fields_at = owner[left][touched.owner[field]], touched.values[field]
    fields = count_distinct_by_owner(of_field, frame.raw_target[fields_at], size)
    # Fields of which only the type is known look like one field; each is entered or left once.
    fields += any_by_owner(of_field, index.target_property("long_text")[frame.target[fields_at]], size)
    nameless = index.target_property("nameless")[frame.target[fields_at]]
    for step in ("focus", "blur"):
        stepped = nameless & frame.column_equals("action", step, rows=fields_at)
        fields = np.maximum(fields, count_by_owner(of_field, size, stepped))
    action_keys, pages = index.submitted_form_keys
    sent = is_among(index.visit_action_key(clusters.visit, clusters.action), action_keys)
    forms = is_among(index.visit_page_key(clusters.visit, index.pattern_of_action(clusters.action)), pages)
    formal = (fields > 1) | found.invalid[clusters.candidate]
    sends = index.target_property("meaningful")
    for other in ("link", "leaves", "toggle"):
        sends = sends & ~index.target_property(other)
    target = index.target_of_action(clusters.action)
    # Prints, shares and exports send no form, unless they send the fields that were filled in for them.
    sends = sends[target] & (~index.target_property("aside")[target] | (fields > 1))
    button = formal & ~forms & sends & ~index.is_page_action(clusters.action)
    # One failure says little; fewer fields than these may be a search, a voucher or a login.
    form = max_by_owner(owner[left], signals.form[left], size, 0)
    end = max_by_owner(owner[left], signals.end[left], size, NEVER)
    once = lost & is_seen_reacting(index, clusters, form, end)
    earnest = np.where(clusters.try_counts > 1, fields > 0, once)
    return np.asarray(earnest & (sent | button), dtype=np.bool_)


def _find_rage_place(index: Index, clusters: Clusters, near: ClusterSignals) -> Ints:
    """Per cluster: where its strongest rage was, as index into RAGE_PLACES."""
    owner, signals = near.cluster, near.signals
    action = clusters.action[owner]
    same = signals.action == action
    page = index.pattern_of_action(signals.action) == index.pattern_of_action(action)
    beside = np.where(index.is_page_action(action), _PAGE, _NEAR)
    clicked = np.where(same, _SAME, np.where(page, beside, _FAR))
    reloaded = np.where(same, _RELOAD, np.where(page, _RELOAD_OTHER, _FAR))
    place = np.where(signals.form == RELOADS, reloaded, clicked)
    raging = signals.kind == RAGE
    strongest = min_by_owner(owner[raging], place[raging], len(clusters), _FAR)
    return np.where(strongest == _FAR, 0, strongest)


def _is_independent(clusters: Clusters, near: ClusterSignals) -> Bools:
    """Per cluster: whether any signal includes an event that is not part of its feedback."""
    owner, signals = near.cluster, near.signals
    negatives = clusters.negatives
    of_row = owner[signals.rows.owner]
    other = ~is_pair_among(of_row, signals.rows.values, negatives.owner, negatives.values)
    return any_by_owner(of_row, other, len(clusters))


def _is_ignored_cluster(index: Index, found: Candidates, clusters: Clusters, near: ClusterSignals) -> Bools:
    """Per cluster: whether an event of its signals, or the cause of its feedback, is on an ignore list."""
    owner, signals = near.cluster, near.signals
    touched = any_by_owner(owner[signals.rows.owner], index.frame.target_ignored[signals.rows.values], len(clusters))
    return touched | found.ignored[clusters.candidate]


def drop_same_struggles(index: Index, judged: Judgement, emitted: Ints) -> Ints:
    """The emitted clusters (ordered by visit and failure) without those that belong to an earlier one's struggle.

    Two failing actions of one flow at the same time are one struggle, and the earlier one is its failure point. Both are
    reported if each was retried at a request of its own.
    """
    clusters = judged.clusters
    visit = clusters.visit[emitted]
    lonely = mark_group_starts(visit) & np.append(mark_group_starts(visit)[1:], True)
    kept = lonely.copy()
    failure = clusters.failure[emitted]
    flow = index.flow_of_action(clusters.action[emitted]).tolist()
    start, end = judged.start[emitted].tolist(), judged.end[emitted].tolist()
    own = index.is_request(failure) & index.is_identified(failure) & ~index.attribution.shared[failure]
    own &= clusters.try_counts[emitted] > 1
    request = np.where(own, index.frame.endpoint[failure], -1).tolist()
    begins = mark_group_starts(visit).tolist()
    kept_in_visit: list[int] = []
    for i in np.flatnonzero(~lonely).tolist():
        kept_in_visit = [] if begins[i] else kept_in_visit
        if not any(
            flow[i] == flow[j]
            and (request[i] < 0 or request[i] == request[j])
            and max(start[i], start[j]) - min(end[i], end[j]) <= index.config.correlation_gap_ms
            for j in kept_in_visit
        ):
            kept_in_visit.append(i)
            kept[i] = True
    return np.asarray(emitted[kept], dtype=np.int64)
