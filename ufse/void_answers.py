"""Good answers that were none: a status of 200 says nothing where failures have it, too (GraphQL), if what happened shows it.

Source: docs/decisions/0157. Evidence, for an action that failed:

* **The same time-out.** The answer came after the same wait as at least two failures of the action, 5 s or longer: a gateway or
  server that gives up does so after the same time, and nothing that succeeds takes that long to a quarter of a second.
* **Refused by the person.** Failures of the action came with a good answer of this address, as the error of GraphQL does. After
  this answer, the next that the person did was a burst of presses of the same control, none of which was answered, or
  a press of it that failed: nobody changed a field or saw another page, so that whoever had got it would have nothing to press
  for. Once two answers were refused, the later ones of this address are none either.

An answer that a page followed at once is none of these.
"""

from typing import Final

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    Lookup,
    any_by_owner,
    count_by_owner,
    equals_any,
    is_among,
    mark_group_starts,
    min_by_owner,
    pack_pairs,
)
from ufse.autosave import SAME_INSTANT_MS
from ufse.candidates import Candidates
from ufse.constant_lags import SPREAD_MS
from ufse.feedback import CRASH, SLOW
from ufse.index import Index
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT

_LEAST_WAIT_MS: Final = 5_000
"""What takes less may take equally long by chance (own choice)."""
_TIMES: Final = 2
"""Failures after the same wait from which it is a limit (own choice)."""
_BURST: Final = 3
"""Presses that follow each other at the pace of rage and are no double click (own choice)."""

Times = tuple[Ints, Ints]
"""(Number of the candidate, epoch ms)."""
_Answers = tuple[Ints, Ints]
"""(Number of the candidate, row of the answer)."""


def drop_void_answers(index: Index, found: Candidates, successes: Times) -> Times:
    """``successes`` without those from the press to the end of a void answer of the candidate's action."""
    owner, at = successes
    parts = (_find_repeated_time_outs(index, found), _find_refused_answers(index, found))
    void, row = (np.concatenate(column) for column in zip(*parts, strict=True))
    shown = _is_page_shown(index, row)
    void, row = void[~shown], row[~shown]
    if not len(void) or not len(at):
        return successes
    frame = index.frame
    since = frame.ts[index.attribution.cause[row]] - SAME_INSTANT_MS
    answers = Lookup(void, np.arange(len(void)))
    entry, place = answers.find_entries(owner, np.zeros_like(owner), np.full(len(owner), len(void)))
    within = (since[place] <= at[entry]) & (at[entry] <= frame.ts[row[place]])
    kept = ~any_by_owner(entry, within, len(owner))
    return owner[kept], at[kept]


def _is_page_shown(index: Index, row: Ints) -> Bools:
    """Per answer: whether a page was shown between its press and shortly after it."""
    frame, moves = index.frame, index.navigation_rows
    by = index.attribution.cause[row]
    if not len(moves):
        return np.zeros(len(row), dtype=np.bool_)
    after = moves[np.minimum(np.searchsorted(moves, by), len(moves) - 1)]
    soon = frame.ts[after] - frame.ts[row] <= index.config.reaction_window_ms
    return np.asarray((after > by) & soon & (frame.visit[after] == frame.visit[row]), dtype=np.bool_)


def _find_own_answers(index: Index, found: Candidates, chosen: Ints) -> _Answers:
    """(Candidate, row) of the good answers to presses of the actions of the ``chosen`` candidates, background or not."""
    frame, cause = index.frame, index.attribution.cause
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & (cause >= 0) & ~frame.noise
    rows = np.flatnonzero(good)
    by_action = Lookup(index.visit_action_key(frame.visit[rows], index.attribution.action[cause[rows]]), rows)
    visit = found.visit[chosen]
    owner, row = by_action.find_entries(
        index.visit_action_key(visit, found.action[chosen]), frame.low[visit], frame.high[visit]
    )
    return chosen[owner], row


def _find_repeated_time_outs(index: Index, found: Candidates) -> _Answers:
    """The good answers that came after the same wait as at least two failures of their action."""
    frame, cause = index.frame, index.attribution.cause
    failed, of_failure = found.negatives.values, found.negatives.owner
    waited = frame.ts[failed] - frame.ts[cause[failed]]
    # The slowness of an answer is no failure of its own, and a try that failed twice is one.
    long = np.flatnonzero((waited >= _LEAST_WAIT_MS) & (index.attribution.negative[failed] != SLOW))
    _, first = np.unique(pack_pairs(of_failure[long], cause[failed[long]], len(frame) + 1), return_index=True)
    long = long[first]
    chosen = np.flatnonzero(count_by_owner(of_failure[long], len(found)) >= _TIMES)
    if not len(chosen):
        return chosen, chosen
    waits = Lookup(of_failure[long], long)
    owner, row = _find_own_answers(index, found, chosen)
    took = frame.ts[row] - frame.ts[cause[row]]
    entry, place = waits.find_entries(owner, np.zeros_like(owner), np.full(len(owner), len(failed)))
    other = cause[failed[place]] != cause[row[entry]]
    same = np.abs(waited[place] - took[entry]) <= SPREAD_MS
    void = count_by_owner(entry[same & other], len(row)) >= _TIMES
    return owner[void], row[void]


def _find_refused_answers(index: Index, found: Candidates) -> _Answers:
    """The good answers that the person refused; from the second on, all that follow at the same address."""
    frame = index.frame
    crashed = index.attribution.negative[found.negatives.values] == CRASH
    chosen = np.flatnonzero(any_by_owner(found.negatives.owner, crashed, len(found)))
    if not len(chosen):
        return chosen, chosen
    owner, row = _find_own_answers(index, found, chosen)
    brought = _is_failure_brought(index, found, owner, row)
    key = pack_pairs(owner, frame.endpoint[row], len(frame.endpoints) + 1)
    kept = ~brought & is_among(key, key[brought])
    owner, row, key = owner[kept], row[kept], key[kept]
    refused = _is_refused(index, found.action[owner], row)
    _, of_address = np.unique(key, return_inverse=True)
    order = np.flatnonzero(refused)[np.lexsort((row[refused], of_address[refused]))]
    second = order[1:][of_address[order[1:]] == of_address[order[:-1]]]  # and what was refused after it
    since = min_by_owner(of_address[second], row[second], len(key), len(frame))
    void = refused | (row >= since[of_address])
    return owner[void], row[void]


def _is_refused(index: Index, action: Ints, row: Ints) -> Bools:
    """Per good answer of an action: whether the next that the person did was a burst of unanswered presses of the same control,
    or a press of it that failed.
    """
    frame, taken = index.frame, index.attribution.action
    acts = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT, INPUT, NAVIGATION))
    after, soon = (acts[np.minimum(np.searchsorted(acts, row, "right") + step, len(acts) - 1)] for step in (0, 1))
    # A click and the submit that it causes are one press.
    soon = np.where((taken[soon] == action) & (frame.ts[soon] - frame.ts[after] <= SAME_INSTANT_MS), soon, after)
    vague = index.target_property("nameless") | index.target_property("placed")
    failed = (index.is_failing[after] | index.is_failing[soon]) & ~vague[frame.target[after]]
    ours = (after > row) & (taken[after] == action) & (frame.visit[after] == frame.visit[row])
    return np.asarray(ours & (failed | is_among(after, _find_angry_bursts(index))), dtype=np.bool_)


def _is_failure_brought(index: Index, found: Candidates, owner: Ints, row: Ints) -> Bools:
    """Per good answer of a candidate's action: whether an uncaught error of the candidate came with it."""
    frame, base = index.frame, len(index.frame) + 1
    crash = index.attribution.negative[found.negatives.values] == CRASH
    failed = found.negatives.values[crash]
    if not len(failed):
        return np.zeros(len(row), dtype=np.bool_)
    key = pack_pairs(found.negatives.owner[crash], failed, base)
    at = np.minimum(np.searchsorted(key, pack_pairs(owner, row, base)), len(key) - 1)
    soon = frame.ts[failed[at]] - frame.ts[row] <= index.config.chain_window_ms
    return np.asarray((key[at] // base == owner) & (failed[at] > row) & soon, dtype=np.bool_)


def _find_angry_bursts(index: Index) -> Ints:
    """The first clicks of bursts of at least three on one control, none of which asked for anything."""
    frame = index.frame
    rows = np.flatnonzero(frame.kind == CLICK)
    if not len(rows):
        return rows
    never = index.target_property("repeated") | index.target_property("played") | index.target_property("text_field")
    rows = rows[~never[frame.target[rows]]]
    begin = mark_group_starts(frame.visit[rows], frame.raw_target[rows], frame.route[rows])
    begin[1:] |= np.diff(frame.ts[rows]) > index.config.rage_gap_ms
    run = np.cumsum(begin) - 1
    asked = np.zeros(len(frame), dtype=np.bool_)
    answers = (frame.kind == NETWORK) & (index.attribution.cause >= 0)
    asked[index.attribution.cause[answers]] = True
    size = int(run[-1]) + 1 if len(run) else 0
    angry = (np.bincount(run, minlength=size) >= _BURST) & ~any_by_owner(run, asked[rows], size)
    return rows[begin][angry]
