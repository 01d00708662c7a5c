"""Candidates: the actions of a visit that met negative feedback, and the clusters of it that hang together in time."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ufse.arrays import (
    NEVER,
    Bools,
    Ints,
    Ragged,
    any_by_owner,
    count_by_owner,
    equals_any,
    expand_ranges,
    is_among,
    mark_group_starts,
    pack_pairs,
    sort_unique,
)
from ufse.feedback import INVALID
from ufse.index import Index
from ufse.sessions import INPUT, SUBMIT

_CONFLICTS = (409, 412, 425)
_SUBMIT_WORDLESS_MS = 1_000


@dataclass(frozen=True)
class Candidates:
    """One entry per action of a visit that met negative feedback, ordered by visit and first such feedback."""

    visit: Ints
    action: Ints
    negatives: Ragged
    """The feedback rows that count; a list may be empty, then there is nothing to judge."""
    invalid: Bools
    """Whether any feedback of the action was a validation error."""
    ignored: Bools
    """Whether an interaction that caused any of its feedback is on an ignore list."""

    def __len__(self) -> int:
        return len(self.visit)


@dataclass(frozen=True)
class Clusters:
    """One entry per cluster of negatives: what is judged. Times are epoch ms."""

    index: Index
    candidate: Ints
    visit: Ints
    action: Ints
    since: Ints
    """The last success of the action; signals before it belong to a story that ended well."""
    resolved: Bools
    negatives: Ragged
    failure: Ints
    """Row of the primary failure."""

    def __len__(self) -> int:
        return len(self.visit)

    @cached_property
    def negatives_since_success(self) -> Ragged:
        """Per cluster: the negatives of its action from the last success up to the cluster's own last one: what was gone
        through, however long the pauses between.
        """
        bounds = self.negatives.bounds
        begin = (
            np.maximum.accumulate(np.where(mark_group_starts(self.candidate), np.arange(len(self)), 0))
            if len(self)
            else bounds[:0]
        )
        owner, place = expand_ranges(bounds[begin], bounds[1:])
        return Ragged.from_owners(owner, self.negatives.values[place], len(self))

    @cached_property
    def try_counts(self) -> Ints:
        """Per cluster: the tries of its story."""
        return count_tries(self.index, self.negatives_since_success)


def count_tries(index: Index, rows: Ragged) -> Ints:
    """Per list of negatives: how many tries were answered by them. Clicks and submits that follow each other within 1 s are
    one try. None are: what a field did by itself, games and players, and pages that came, whatever failed beside.
    """
    frame, size = index.frame, len(rows)
    cause = index.attribution.cause[rows.values]
    played = index.target_property("played")[frame.target[cause]]
    deliberate = (frame.kind[cause] != INPUT) & ~played & ~(index.led_to_page[cause] & index.is_served[cause])
    base = len(frame) + 1
    pairs = sort_unique(pack_pairs(rows.owner[deliberate], cause[deliberate], base))
    owner, cause = np.divmod(pairs, base)
    apart = mark_group_starts(owner)
    apart[1:] |= frame.ts[cause[1:]] - frame.ts[cause[:-1]] > index.config.rage_gap_ms
    return count_by_owner(owner, size, apart)


def find_candidates(index: Index) -> Candidates:
    """All candidates of all visits; of a visit with too many, the earliest."""
    frame, attribution = index.frame, index.attribution
    rows = np.flatnonzero(attribution.attributed)
    cause = attribution.cause[rows]
    action = attribution.action[cause]
    keys, first, inverse = np.unique(
        index.visit_action_key(frame.visit[rows], action), return_index=True, return_inverse=True
    )
    rank = np.empty(len(keys), dtype=np.int64)
    order = np.argsort(first, kind="stable")
    rank[order] = np.arange(len(keys))
    owner, size = rank[inverse], len(keys)
    visit, actions = frame.visit[rows][first[order]], action[first[order]]
    by_action = np.argsort(owner, kind="stable")
    rows, owner = rows[by_action], owner[by_action]
    invalid = any_by_owner(owner, attribution.negative[rows] == INVALID, size)
    ignored = any_by_owner(owner, frame.target_ignored[attribution.cause[rows]], size)
    nth = np.arange(size) - np.searchsorted(visit, visit)
    kept = (nth < index.config.max_candidates)[owner] & ~_is_duplicate_conflict(index, rows)
    rows, owner = rows[kept], owner[kept]
    kept = _keep_single_control(index, owner, rows, actions)
    return Candidates(visit, actions, Ragged.from_owners(owner[kept], rows[kept], size), invalid, ignored)


def _is_duplicate_conflict(index: Index, rows: Ints) -> Bools:
    """After a success the 409 of a doubled click or a held Enter is no failure."""
    frame, attribution, config = index.frame, index.attribution, index.config
    found = np.zeros(len(rows), dtype=np.bool_)
    at = np.flatnonzero(equals_any(frame.status[rows], *_CONFLICTS))
    if len(at):
        conflict = rows[at]
        visit, began = frame.visit[conflict], attribution.begin[conflict]
        low = frame.find_first_since(visit, began - config.retry_window_ms)
        high = frame.find_first_since(visit, np.maximum(frame.ts[conflict], began + 2_000) + 1)
        # Where an address is asked for everything, or its methods are not told, only the same action can have been done;
        # and closing one ticket is not closing another, though their addresses fold into one.
        endpoint = frame.endpoint[conflict]
        mixed = attribution.shared[conflict] | ~index.has_known_method[endpoint]
        owner, good = index.good_answers_by_endpoint.find_entries(index.visit_endpoint_key(visit, endpoint), low, high)
        cause = attribution.cause[good]
        same = (cause >= 0) & (attribution.action[cause] == attribution.action[attribution.cause[conflict]][owner])
        both, _ = frame.source.read_codes("url", np.concatenate((conflict[owner], good)))
        exact = both[: len(good)] == both[len(good) :]
        found[at] = any_by_owner(owner, exact & (same | ~mixed[owner]), len(at))
    return found


def _keep_single_control(index: Index, owner: Ints, rows: Ints, action: Ints) -> Bools:
    """Of a nameless target's failures those of one endpoint: another endpoint is another control of the same type."""
    vague = index.target_property("nameless")[index.target_of_action(action)] & ~index.is_page_action(action)
    kept = ~vague[owner]
    at = np.flatnonzero(~kept)
    if len(at):
        key = index.visit_endpoint_key(owner[at], index.frame.endpoint[rows[at]])
        _, first, inverse, size = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        groups = owner[at][first]
        best = np.lexsort((rows[at][first], -size, groups))
        chosen = best[mark_group_starts(groups[best])]
        kept[at] = is_among(inverse, chosen)
    return np.asarray(kept, dtype=np.bool_)


def find_clusters(index: Index, found: Candidates, last_success: Ints) -> Clusters:
    """The clusters of all candidates: failures after the last success where there are any, else those it resolved.

    A negative goes on with a cluster when its cause lies within 30 s of the latest answer before, so that the time spent
    waiting is not counted.
    """
    frame, attribution = index.frame, index.attribution
    rows, owner = found.negatives.values, found.negatives.owner
    began = np.minimum(attribution.begin[rows], frame.ts[attribution.cause[rows]])
    still_open = began > last_success[owner]
    resolved = ~any_by_owner(owner, still_open, len(found))
    kept = still_open | resolved[owner]
    rows, owner = rows[kept], owner[kept]
    asked = frame.rel[attribution.cause[rows]]
    first = mark_group_starts(owner) | (
        asked - _find_latest_before(frame.rel[rows], owner) > index.config.correlation_gap_ms
    )
    number = np.cumsum(first) - 1
    begin = np.flatnonzero(first)
    candidate = owner[begin]
    since = np.where(resolved[candidate], NEVER, last_success[candidate])
    negatives = Ragged.from_owners(number, rows, len(begin))
    return Clusters(
        index,
        candidate,
        found.visit[candidate],
        found.action[candidate],
        since,
        resolved[candidate],
        negatives,
        _find_failure_points(index, number, rows),
    )


def _find_latest_before(at: Ints, owner: Ints) -> Ints:
    """Per entry: the greatest time (ms from the visit's start) among the entries of its owner before it; very early for
    the first.
    """
    if not len(at):
        return at
    span = int(at.max()) + 1
    running = np.maximum.accumulate(owner * span + at) - owner * span
    return np.where(mark_group_starts(owner), NEVER, np.append(0, running[:-1]))


def _find_failure_points(index: Index, owner: Ints, rows: Ints) -> Ints:
    """The failure point of each owner: failures first, then the earliest; a form's own "invalid" gives way to the
    message that says why.
    """
    explained_at = index.frame.ts[rows] + np.where(index.frame.kind[rows] == SUBMIT, _SUBMIT_WORDLESS_MS, 0)
    order = np.lexsort((rows, explained_at, index.failure_tier(rows), owner))
    return rows[order][mark_group_starts(owner[order])]
