"""Candidates: the actions of a visit that met negative feedback, and the clusters of it that hang together in time."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ufse.arrays import NEVER, Bools, Ints, Ragged, among, any_by, count_by, expand, heads, one_of, pack, unique
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
    def story(self) -> Ragged:
        """Per cluster: the negatives of its action from the last success up to the cluster's own last one: what was gone
        through, however long the pauses between.
        """
        bounds = self.negatives.bounds
        begin = (
            np.maximum.accumulate(np.where(heads(self.candidate), np.arange(len(self)), 0)) if len(self) else bounds[:0]
        )
        owner, place = expand(bounds[begin], bounds[1:])
        return Ragged.of(owner, self.negatives.values[place], len(self))

    @cached_property
    def tries(self) -> Ints:
        """Per cluster: the tries of its story."""
        return tries(self.index, self.story)


def tries(index: Index, rows: Ragged) -> Ints:
    """Per list of negatives: how many tries were answered by them. Clicks and submits that follow each other within 1 s are
    one try. None are: what a field did by itself, games and players, and pages that came, whatever failed beside.
    """
    frame, size = index.frame, len(rows)
    cause = index.given.cause[rows.values]
    played = index.target_is("played")[frame.target[cause]]
    deliberate = (frame.kind[cause] != INPUT) & ~played & ~(index.led_to[cause] & index.served[cause])
    base = len(frame) + 1
    pairs = unique(pack(rows.owner[deliberate], cause[deliberate], base))
    owner, cause = np.divmod(pairs, base)
    apart = heads(owner)
    apart[1:] |= frame.ts[cause[1:]] - frame.ts[cause[:-1]] > index.config.rage_gap_ms
    return count_by(owner, size, apart)


def find_candidates(index: Index) -> Candidates:
    """All candidates of all visits; of a visit with too many, the earliest."""
    frame, given = index.frame, index.given
    rows = np.flatnonzero(given.attributed)
    cause = given.cause[rows]
    action = given.action[cause]
    keys, first, inverse = np.unique(index.deed(frame.visit[rows], action), return_index=True, return_inverse=True)
    rank = np.empty(len(keys), dtype=np.int64)
    order = np.argsort(first, kind="stable")
    rank[order] = np.arange(len(keys))
    owner, size = rank[inverse], len(keys)
    visit, actions = frame.visit[rows][first[order]], action[first[order]]
    by_deed = np.argsort(owner, kind="stable")
    rows, owner = rows[by_deed], owner[by_deed]
    invalid = any_by(owner, given.negative[rows] == INVALID, size)
    ignored = any_by(owner, frame.target_ignored[given.cause[rows]], size)
    nth = np.arange(size) - np.searchsorted(visit, visit)
    kept = (nth < index.config.max_candidates)[owner] & ~_duplicates(index, rows)
    rows, owner = rows[kept], owner[kept]
    kept = _one_control(index, owner, rows, actions)
    return Candidates(visit, actions, Ragged.of(owner[kept], rows[kept], size), invalid, ignored)


def _duplicates(index: Index, rows: Ints) -> Bools:
    """After a success the 409 of a doubled click or a held Enter is no failure."""
    frame, given, config = index.frame, index.given, index.config
    found = np.zeros(len(rows), dtype=np.bool_)
    at = np.flatnonzero(one_of(frame.status[rows], *_CONFLICTS))
    if len(at):
        conflict = rows[at]
        visit, began = frame.visit[conflict], given.begin[conflict]
        low = frame.first_at(visit, began - config.retry_window_ms)
        high = frame.first_at(visit, np.maximum(frame.ts[conflict], began + 2_000) + 1)
        # Where an address is asked for everything, or its methods are not told, only the same action can have been done;
        # and closing one ticket is not closing another, though their addresses fold into one.
        endpoint = frame.endpoint[conflict]
        mixed = given.shared[conflict] | ~index.telling[endpoint]
        owner, good = index.good_by_endpoint.each(index.ask(visit, endpoint), low, high)
        cause = given.cause[good]
        same = (cause >= 0) & (given.action[cause] == given.action[given.cause[conflict]][owner])
        both, _ = frame.source.codes("url", np.concatenate((conflict[owner], good)))
        exact = both[: len(good)] == both[len(good) :]
        found[at] = any_by(owner, exact & (same | ~mixed[owner]), len(at))
    return found


def _one_control(index: Index, owner: Ints, rows: Ints, action: Ints) -> Bools:
    """Of a nameless target's failures those of one endpoint: another endpoint is another control of the same type."""
    vague = index.target_is("nameless")[index.target_of(action)] & ~index.is_page(action)
    kept = ~vague[owner]
    at = np.flatnonzero(~kept)
    if len(at):
        key = index.ask(owner[at], index.frame.endpoint[rows[at]])
        _, first, inverse, size = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        groups = owner[at][first]
        best = np.lexsort((rows[at][first], -size, groups))
        chosen = best[heads(groups[best])]
        kept[at] = among(inverse, chosen)
    return np.asarray(kept, dtype=np.bool_)


def find_clusters(index: Index, found: Candidates, last_success: Ints) -> Clusters:
    """The clusters of all candidates: failures after the last success where there are any, else those it resolved.

    A negative goes on with a cluster when its cause lies within 30 s of the latest answer before, so that the time spent
    waiting is not counted.
    """
    frame, given = index.frame, index.given
    rows, owner = found.negatives.values, found.negatives.owner
    began = np.minimum(given.begin[rows], frame.ts[given.cause[rows]])
    still_open = began > last_success[owner]
    resolved = ~any_by(owner, still_open, len(found))
    kept = still_open | resolved[owner]
    rows, owner = rows[kept], owner[kept]
    asked = frame.rel[given.cause[rows]]
    first = heads(owner) | (asked - _latest_before(frame.rel[rows], owner) > index.config.correlation_gap_ms)
    number = np.cumsum(first) - 1
    begin = np.flatnonzero(first)
    candidate = owner[begin]
    since = np.where(resolved[candidate], NEVER, last_success[candidate])
    negatives = Ragged.of(number, rows, len(begin))
    return Clusters(
        index,
        candidate,
        found.visit[candidate],
        found.action[candidate],
        since,
        resolved[candidate],
        negatives,
        _failures(index, number, rows),
    )


def _latest_before(at: Ints, owner: Ints) -> Ints:
    """Per entry: the greatest time (ms from the visit's start) among the entries of its owner before it; very early for
    the first.
    """
    if not len(at):
        return at
    span = int(at.max()) + 1
    running = np.maximum.accumulate(owner * span + at) - owner * span
    return np.where(heads(owner), NEVER, np.append(0, running[:-1]))


def _failures(index: Index, owner: Ints, rows: Ints) -> Ints:
    """The failure point of each owner: failures first, then the earliest; a form's own "invalid" gives way to the
    message that says why.
    """
    said = index.frame.ts[rows] + np.where(index.frame.kind[rows] == SUBMIT, _SUBMIT_WORDLESS_MS, 0)
    order = np.lexsort((rows, said, index.tier(rows), owner))
    return rows[order][heads(owner[order])]
