"""Successes that a collector does not report (docs/contracts/detection.md, What a collector does not report).

A collector that reports failed requests only shows a success as a later try without a new failure.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, Lookup, any_by_owner, equals_any, is_among, mark_group_starts, max_by_owner
from ufse.candidates import Candidates
from ufse.feedback import RETURNED, SILENT, SLOW
from ufse.index import Index
from ufse.sessions import CLICK, END, LOADING, NAVIGATION, NETWORK, VISIBILITY

LEAST_WAIT_MS: Final = 2_000
"""The visit goes on this long after the try, so that a failure of it would have been reported (own choice)."""
_BURST = 3
"""Presses of one burst from which it is no deliberate try (own choice; a double click is two)."""


def find_quiet_successes(index: Index, found: Candidates) -> tuple[Ints, Ints]:
    """(Candidate, epoch ms) of the tries after the last failure that had no failure, where only failures are reported.

    A try is deliberate: more than ``rage_gap_ms`` after the failed one, and no part of a burst. The visit must go on for as
    long as the failure took, so that a failure of the try would be known. A press of the same control that is the last event
    of the visit counts, too, if failures came soon and no end is reported: nobody knows what became of it. So does a press of
    it in a later visit of the client session in which that control never failed. A try that was only slow was answered. A try
    of another control of the same page counts, too; so does, for a login, another form that led on.
    """
    chosen = np.flatnonzero(found.negatives.sizes > 0)
    if len(chosen):
        chosen = chosen[index.frame.lacks_successes(found.visit[chosen]) & ~_lacks_answers(index, found)[chosen]]
    if not len(chosen):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    tries = _QuietTries(index, found, chosen)
    times = (tries.find_same_action(), tries.find_other_control(), tries.find_other_login())
    owner, row = (np.concatenate(column) for column in zip(*times, strict=True))
    return chosen[owner], index.frame.ts[row]


def _lacks_answers(index: Index, found: Candidates) -> Bools:
    """Per candidate: whether its feedback is a missing answer: another try without an answer is no success of it."""
    missing = equals_any(index.attribution.negative[found.negatives.values], SILENT, RETURNED)
    return any_by_owner(found.negatives.owner, missing, len(found))


@dataclass(frozen=True)
class _QuietTries:
    """Tries without a failure for the candidates ``chosen``; owners are places in ``chosen``."""

    index: Index
    found: Candidates
    chosen: Ints

    @cached_property
    def _answered(self) -> Bools:
        """Per event: slow feedback that shows that an answer came."""
        frame, attribution = self.index.frame, self.index.attribution
        came = np.where(frame.kind == NETWORK, attribution.success, (frame.kind != LOADING) | ~frame.endless)
        return np.asarray((attribution.negative == SLOW) & came, dtype=np.bool_)

    @cached_property
    def _last(self) -> Ints:
        """Per candidate: the row of its last failure, of slow answers only if nothing else failed."""
        negatives = self.found.negatives.take_lists(self.chosen)
        hard = ~self._answered[negatives.values]
        last = max_by_owner(negatives.owner[hard], negatives.values[hard], len(self.chosen), -1)
        return np.where(last >= 0, last, negatives.last)

    @cached_property
    def _is_failing(self) -> Bools:
        """Per event: whether it is an interaction with a failure, answers that were only slow not counted."""
        attribution = self.index.attribution
        failing = np.zeros(len(self.index.frame), dtype=np.bool_)
        failing[attribution.cause[attribution.attributed & ~self._answered]] = True
        return failing

    def _keep_deliberate(self, owner: Ints, row: Ints, *, final: bool = False) -> Bools:
        """Per try (ordered by owner and row): whether it is deliberate and its failure would be known.

        With ``final``, a press with which the events of the visit end is kept, too, if failures came within 2 s and no end
        is reported: its outcome is unknown.
        """
        frame, last = self.index.frame, self._last[owner]
        cause = self.index.attribution.cause[last]
        took = frame.ts[last] - frame.ts[cause]
        waited = frame.ts[frame.high[frame.visit[row]] - 1] - frame.ts[row]
        known = waited >= np.maximum(LEAST_WAIT_MS, took)
        if final:
            over = equals_any(frame.kind[frame.high[frame.visit[row]] - 1], END, VISIBILITY)  # seen to leave
            known |= (took < LEAST_WAIT_MS) & (frame.kind[row] != NAVIGATION) & ~over
        later = frame.ts[row] - frame.ts[cause] > self.index.config.rage_gap_ms
        known &= frame.source.read_at("disabled", row) != 1  # what a disabled control does not do is no success
        known &= (frame.source.read_at("responded", row) != 0) & ~self.index.attribution.sent_back[row]
        return np.asarray(known & later & ~self._is_failing[row] & ~self._is_in_burst(owner, row), dtype=np.bool_)

    def _is_in_burst(self, owner: Ints, row: Ints) -> Bools:
        """Per try: whether it belongs to at least three that follow each other at the pace of rage."""
        if not len(row):
            return np.zeros(0, dtype=np.bool_)
        ts = self.index.frame.ts[row]
        apart = mark_group_starts(owner)
        apart[1:] |= ts[1:] - ts[:-1] > self.index.config.rage_gap_ms
        run = np.cumsum(apart) - 1
        return np.asarray(np.bincount(run)[run] >= _BURST, dtype=np.bool_)

    @cached_property
    def _is_identified(self) -> Bools:
        """Per event: whether it is a try of a control that is known by more than its type, or of a page or form."""
        frame, index = self.index.frame, self.index
        nameless = index.target_property("nameless")[frame.target] & (frame.kind == CLICK)
        return np.asarray(~nameless & (index.attribution.action >= 0), dtype=np.bool_)

    def find_same_action(self) -> tuple[Ints, Ints]:
        """(Owner, row) of later tries of the same action."""
        index, frame = self.index, self.index.frame
        visit, action = self.found.visit[self.chosen], index.attribution.action
        tried = index.attribution.meaningful | (frame.kind == CLICK) | (frame.kind == NAVIGATION)
        tries = np.flatnonzero(tried & self._is_identified)
        client = frame.client.astype(np.int64)
        by_action = Lookup(index.visit_action_key(client[frame.visit[tries]], action[tries]), tries)
        key = index.visit_action_key(client[visit], self.found.action[self.chosen])
        owner, row = by_action.find_entries(key, self._last + 1, np.full(len(visit), len(frame)))
        kept = self._keep_deliberate(owner, row, final=True)
        elsewhere = frame.visit[row] != visit[owner]
        kept &= ~elsewhere | ~self._fails_in_visit(row)
        return owner[kept], row[kept]

    def _fails_in_visit(self, row: Ints) -> Bools:
        """Per try: whether its action also failed in its visit."""
        index, frame, action = self.index, self.index.frame, self.index.attribution.action
        failing = np.flatnonzero(self._is_failing)
        failed = index.visit_action_key(frame.visit[failing], action[failing])
        return is_among(index.visit_action_key(frame.visit[row], action[row]), failed)

    @cached_property
    def _completing(self) -> Ints:
        """Rows of submits and of clicks on controls that may complete something."""
        index, frame = self.index, self.index.frame
        chosen = index.attribution.meaningful & self._is_identified & (frame.kind != NAVIGATION)
        for other in ("link", "leaves", "aside", "toggle", "repeated"):
            chosen &= ~index.target_property(other)[frame.target]
        return np.flatnonzero(chosen)

    def find_other_control(self) -> tuple[Ints, Ints]:
        """Later tries of other controls on the page that failed: the place in ``chosen``, and the row of the try."""
        index, frame, rows = self.index, self.index.frame, self._completing
        failed = index.attribution.cause[self._last]
        visit = self.found.visit[self.chosen]
        count = len(frame.routes)
        by_page = Lookup(frame.visit[rows] * count + frame.route[rows], rows)
        until = frame.find_first_since(visit, frame.ts[self._last] + index.config.abandon_window_ms + 1)
        owner, row = by_page.find_entries(visit * count + frame.route[failed], self._last + 1, until)
        other = index.attribution.action[row] != self.found.action[self.chosen][owner]
        kept = other & self._keep_deliberate(owner, row)
        return owner[kept], row[kept]

    def find_other_login(self) -> tuple[Ints, Ints]:
        """Where a login failed, later forms of other pages that led on: the place in ``chosen``, and the row of the form."""
        index, frame = self.index, self.index.frame
        rows = self._completing[index.attribution.progress[self._completing]]
        visit = self.found.visit[self.chosen]
        page = index.pattern_of_action(self.found.action[self.chosen])
        by_visit = Lookup(frame.visit[rows], rows)
        owner, row = by_visit.find_entries(
            np.where(index.login_patterns[page], visit, -1), self._last + 1, frame.high[visit]
        )
        kept = (frame.pattern[row] != page[owner]) & ~self._is_failing[row]
        return owner[kept], row[kept]
