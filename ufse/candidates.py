"""Candidates: the actions with negative feedback; and clusters: their feedback, grouped by time."""

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
    """One entry per action of a visit with negative feedback, ordered by visit and first such feedback."""

    visit: Ints
    action: Ints
    negatives: Ragged
    """Per candidate: the feedback rows that count; the list may be empty."""
    invalid: Bools
    """Whether any feedback of the action was a validation error."""
    ignored: Bools
    """Whether an interaction that caused any of its feedback is on an ignore list."""

    def __len__(self) -> int:
        return len(self.visit)


@dataclass(frozen=True)
class Clusters:
    """One entry per cluster of negative feedback: the unit that is judged. Times are epoch ms."""

    index: Index
    candidate: Ints
    visit: Ints
    action: Ints
    since: Ints
    """The last success of the action; signals before it do not count."""
    resolved: Bools
    negatives: Ragged
    failure: Ints
    """Row of the failure that names the failure point."""

    def __len__(self) -> int:
        return len(self.visit)

    @cached_property
    def negatives_since_success(self) -> Ragged:
        """Per cluster: the negative feedback of its action from the last success to the end of the cluster."""
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
        """Per cluster: the tries since the last success."""
        return count_tries(self.index, self.negatives_since_success)


def count_tries(index: Index, rows: Ragged) -> Ints:
    """Per list of negative feedback: the number of tries that caused it. Clicks and submits within 1 s are one try.

    Not counted: a field's own requests, clicks in games and players, pages that loaded.
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
    """All candidates of all visits; at most ``max_candidates`` of a visit, the earliest."""
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
    """Per row: whether it is the 409 of a double click or a held key after a success, and thus no failure."""
    frame, attribution, config = index.frame, index.attribution, index.config
    found = np.zeros(len(rows), dtype=np.bool_)
    at = np.flatnonzero(equals_any(frame.status[rows], *_CONFLICTS))
    if len(at):
        conflict = rows[at]
        visit, began = frame.visit[conflict], attribution.begin[conflict]
        low = frame.find_first_since(visit, began - config.retry_window_ms)
        high = frame.find_first_since(visit, np.maximum(frame.ts[conflict], began + 2_000) + 1)
        # At an address that serves everything, or without known methods, only the same action counts. The exact URL must be the
        # same: closing one ticket is not closing another, although their endpoints are the same.
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
    """Per row: False for failures of a nameless target at other endpoints: these are other controls of the same type."""
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
    """The clusters of all candidates: of the failures after the last success; if there are none, of those before it.

    Feedback continues a cluster if its cause lies within 30 s of the latest answer before; waiting time is not counted.
    ``last_success``: per candidate, epoch ms.
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
    """Per entry: the greatest ``at`` (ms since the start of the visit) of its owner's earlier entries; NEVER for the first."""
    if not len(at):
        return at
    span = int(at.max()) + 1
    running = np.maximum.accumulate(owner * span + at) - owner * span
    return np.where(mark_group_starts(owner), NEVER, np.append(0, running[:-1]))


def _find_failure_points(index: Index, owner: Ints, rows: Ints) -> Ints:
    """Per owner: the row of its failure point: failures first, then the earliest.

    A form's own "invalid" comes after a validation message of the same second, which says why. An error of the instant in which
    a request failed comes after that, for it only tells of it.
    """
    explained_at = index.frame.ts[rows] + np.where(index.frame.kind[rows] == SUBMIT, _SUBMIT_WORDLESS_MS, 0)
    unnamed = ~(index.is_request(rows) & index.is_identified(rows))
    order = np.lexsort((rows, unnamed, explained_at, index.failure_tier(rows), owner))
    return rows[order][mark_group_starts(owner[order])]
