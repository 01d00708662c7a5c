"""The first good answer of a control that failed: it was tried again, and now its request was answered.

An address that serves everything (GraphQL) is asked after many unrelated actions, as a beacon is, so that its good answers are
background (``ufse.background``). Yet it is no beacon here: a beacon is sent with every press, also with those that failed.
Evidence: no failed try of the control had a good answer of this address, a later one had it at once; and nothing asks the
address by itself in the visit, as polling does.
"""

import numpy as np

from ufse.arrays import Bools, Ints, Lookup, any_by_owner, count_distinct_by_owner, equals_any, is_among, pack_pairs
from ufse.autosave import SAME_INSTANT_MS
from ufse.candidates import Candidates
from ufse.feedback import RETURNED, SILENT
from ufse.index import Index
from ufse.sessions import CLICK, NAVIGATION, NETWORK, SUBMIT

FAILED_TRIES = 2
"""Tries that failed, from which the lack of an answer is no chance (own choice)."""


def find_first_answers(index: Index, found: Candidates) -> tuple[Ints, Ints]:
    """(Candidate, epoch ms) of the first good answers; ``found.visit`` may be a later visit than that of the failures."""
    frame, negatives, size = index.frame, found.negatives, len(found)
    cause = index.attribution.cause
    tries = count_distinct_by_owner(negatives.owner, cause[negatives.values], size)
    lacking = equals_any(index.attribution.negative[negatives.values], SILENT, RETURNED)
    chosen = np.flatnonzero((tries > 0) & ~any_by_owner(negatives.owner, lacking, size))
    good = _find_good_answers(index) if len(chosen) else frame.visit[:0]
    if not len(good):
        return found.visit[:0], found.visit[:0]
    by_action = Lookup(index.visit_action_key(frame.visit[good], index.attribution.action[cause[good]]), good)
    visit = found.visit[chosen]
    since = np.maximum(negatives.take_lists(chosen).last + 1, frame.low[visit])
    owner, row = by_action.find_entries(index.visit_action_key(visit, found.action[chosen]), since, frame.high[visit])
    owner = chosen[owner]
    usual, refused = _find_failed_requests(index, found)
    asked = pack_pairs(owner, frame.endpoint[row], len(frame.endpoints) + 1)
    kept = ~is_among(asked, usual) & ((tries[owner] >= FAILED_TRIES) | is_among(asked, refused))
    return owner[kept], frame.ts[row[kept]]


def _find_failed_requests(index: Index, found: Candidates) -> tuple[Ints, Ints]:
    """Pairs (candidate, endpoint) of the requests of failed tries: those answered well, as a beacon is, and those refused.

    An answer after which the try failed is neither: what it brought is the failure.
    """
    frame, cause = index.frame, index.attribution.cause
    rows = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0) & ~frame.noise)
    failure = found.negatives.values
    of_try = Lookup(cause[rows], rows)
    place, row = of_try.find_entries(cause[failure], np.zeros_like(failure), np.full(len(failure), len(frame)))
    owner = found.negatives.owner[place]
    pair = pack_pairs(owner, frame.endpoint[row], len(frame.endpoints) + 1)
    good = (frame.status[row] >= 200) & (frame.status[row] < 400)
    brought = good & (failure[place] > row)
    key = pack_pairs(owner, row, len(frame))
    usual = good & ~is_among(key, key[brought])
    return pair[usual], pair[~good]


def _is_answered_well(index: Index) -> Bools:
    """Per event: a request of an interaction that was answered 2xx or 3xx, background or not."""
    frame = index.frame
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & ~frame.noise
    return np.asarray(good & (frame.third_party != 1) & (index.attribution.cause >= 0), dtype=np.bool_)


def _find_good_answers(index: Index) -> Ints:
    """Rows of good answers that a deliberate press without a failure got at once, at an address that nothing else asks."""
    frame, attribution = index.frame, index.attribution
    rows = np.flatnonzero(_is_answered_well(index))
    by = attribution.cause[rows]
    pressed = equals_any(frame.kind[by], CLICK, SUBMIT) & attribution.meaningful[by] & ~attribution.sent_back[by]
    for vague in ("placed", "nameless"):  # several controls may look like one
        pressed &= ~index.target_property(vague)[frame.target[by]]
    at_once = attribution.begin[rows] - frame.ts[by] <= index.config.reaction_window_ms
    rows = rows[pressed & at_once & ~index.is_failing[by]]
    rows = rows[_is_deliberate(index, attribution.cause[rows])]
    # What a page asks that came after the press is the answer of that page.
    moves, by = np.flatnonzero(frame.kind == NAVIGATION), attribution.cause[rows]
    begun = frame.find_first_since(frame.visit[rows], attribution.begin[rows] + SAME_INSTANT_MS + 1)
    rows = rows[np.searchsorted(moves, begun) <= np.searchsorted(moves, by)]
    size = len(frame.endpoints) + 1
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400)
    asked = np.flatnonzero(good & (attribution.cause < 0) & ~frame.noise)
    shown = frame.find_last_until(np.flatnonzero(frame.kind == NAVIGATION), frame.visit[asked], frame.ts[asked])
    opened = (shown >= 0) & (attribution.begin[asked] - frame.ts[np.maximum(shown, 0)] <= index.config.page_load_ms)
    alone = asked[~opened]
    return rows[
        ~is_among(
            pack_pairs(frame.visit[rows], frame.endpoint[rows], size),
            pack_pairs(frame.visit[alone], frame.endpoint[alone], size),
        )
    ]


def _is_deliberate(index: Index, by: Ints) -> Bools:
    """Per press: whether no other press of its action is within 1 s of it, but a click or submit of the same instant that did
    not fail.
    """
    frame, action = index.frame, index.attribution.action
    presses = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT))
    key = index.visit_action_key(frame.visit[presses], action[presses])
    order = np.argsort(key, kind="stable")
    presses, key = presses[order], key[order]
    gap = np.diff(frame.ts[presses])
    same = key[1:] == key[:-1]
    close = same & (gap > SAME_INSTANT_MS) & (gap <= index.config.rage_gap_ms)
    failing = index.is_failing[presses]
    close |= same & (gap <= SAME_INSTANT_MS) & (failing[1:] | failing[:-1])
    hurried = np.concatenate((presses[1:][close], presses[:-1][close]))
    return ~is_among(by, hurried)
