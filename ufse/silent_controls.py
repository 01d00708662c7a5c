"""Controls that stay silent: a form is filled in, and its control is pressed again and again without any answer.

Source: docs/decisions/0066. A control that sends nothing for anybody is not broken, so the evidence must be complete:

* at least three tries, more than 1 s apart, with the same control, and nothing else done between them;
* fields of the page were changed just before: without a form submit, at least two of them;
* none of the tries has a request, a navigation, a page that was hidden, or ``responded``;
* at least two other clicks or submits of the visit were answered, so that this collector reports answers.

All tries but the last are feedback of the kind SILENT: they wait for an answer that never came. The last one is behaviour only.
"""

from dataclasses import dataclass, replace

import numpy as np

from ufse.actions import UserActions
from ufse.arrays import (
    Bools,
    Ints,
    Ragged,
    Small,
    any_by_owner,
    count_by_owner,
    count_distinct_by_owner,
    equals_any,
    expand_ranges,
    is_among,
    mark_group_starts,
)
from ufse.causes import Causes
from ufse.config import Config
from ufse.feedback import NONE, SILENT
from ufse.frame import Frame
from ufse.sessions import CLICK, ERROR, INPUT, LOADING, NAVIGATION, NETWORK, SUBMIT, VISIBILITY

SILENT_TRIES = 3
"""Tries from which a silent control counts (docs/decisions/0066)."""
ANSWERED_PRESSES = 2
"""Other answered clicks or submits that show that the collector reports answers (own choice)."""
FORM_FIELDS = 2
"""Fields that make a button the control of a form, if no form submit is reported (own choice)."""
ANSWERED_WITHIN_MS = 10_000
"""Nothing may happen for this long after a try (own choice: as long as a request without a duration may take)."""


@dataclass(frozen=True)
class _Runs:
    """Runs of tries with one control: the rows of each, in order."""

    rows: Ragged

    def keep(self, chosen: Bools) -> "_Runs":
        return _Runs(self.rows.take_lists(np.flatnonzero(chosen)))

    def any_row(self, chosen: Bools) -> Bools:
        """Per run: whether any of its rows is among ``chosen`` (per event of the frame)."""
        return any_by_owner(self.rows.owner, chosen[self.rows.values], len(self.rows))


def mark_silent_tries(
    frame: Frame, actions: UserActions, causes: Causes, background: Bools, negative: Small, config: Config
) -> tuple[Small, Causes]:
    """``negative`` and ``causes``, where the tries with a silent control but the last are SILENT, caused by themselves."""
    runs = _find_runs(frame, actions)
    runs = runs.keep(_count_tries(frame, runs, config) >= SILENT_TRIES) if len(runs.rows) else runs
    if not len(runs.rows):
        return negative, causes
    runs = runs.keep(_is_form_control(frame, runs) & ~_is_answered(frame, actions, runs, causes, background))
    runs = runs.keep(_is_answer_reported(frame, runs, causes, background)) if len(runs.rows) else runs
    if not len(runs.rows):
        return negative, causes
    silent = runs.rows.values[~is_among(runs.rows.values, runs.rows.last)]
    silent = silent[negative[silent] == NONE]
    negative, cause = negative.copy(), causes.cause.copy()
    negative[silent], cause[silent] = SILENT, silent
    return negative, replace(causes, cause=cause)


def _find_acts(frame: Frame) -> Ints:
    """Rows of clicks, submits, changes of fields and navigations; clicks into text fields left out."""
    text = np.array([t.text_field for t in frame.targets], dtype=np.bool_)[frame.target]
    changed = (frame.kind == INPUT) & ~frame.column_equals("action", "focus", "blur")
    pressed = equals_any(frame.kind, CLICK, SUBMIT) & ~(text & (frame.kind == CLICK))
    return np.flatnonzero(pressed | changed | (frame.kind == NAVIGATION))


def _find_runs(frame: Frame, actions: UserActions) -> _Runs:
    """The runs of meaningful presses of one action that come right after a change of a field of the page."""
    acts = _find_acts(frame)
    names = ("link", "toggle", "aside", "leaves", "played", "nameless")
    barred = np.array([any(getattr(t, n) for n in names) for t in frame.targets], dtype=np.bool_)
    own = equals_any(frame.kind[acts], CLICK, SUBMIT) & actions.meaningful[acts]
    own &= ~(barred[frame.target[acts]] & (frame.kind[acts] == CLICK))
    first = mark_group_starts(frame.visit[acts], frame.route[acts], actions.action[acts], own)
    begin = np.flatnonzero(first)
    before = acts[np.maximum(begin - 1, 0)] if len(acts) else begin
    head = acts[begin]
    typed = own[begin] & (begin > 0) & (frame.kind[before] == INPUT)
    typed &= (frame.visit[before] == frame.visit[head]) & (frame.route[before] == frame.route[head])
    return _Runs(Ragged(acts, np.append(begin, len(acts)))).keep(typed)


def _count_tries(frame: Frame, runs: _Runs, config: Config) -> Ints:
    """Per run: its tries; presses within 1 s of each other are one."""
    rows, owner = runs.rows.values, runs.rows.owner
    apart = mark_group_starts(owner)
    apart[1:] |= frame.ts[rows[1:]] - frame.ts[rows[:-1]] > config.rage_gap_ms
    return count_by_owner(owner, len(runs.rows), apart)


def _is_form_control(frame: Frame, runs: _Runs) -> Bools:
    """Per run: whether a form was submitted, or a button was pressed after several fields of the page were changed."""
    first = runs.rows.first
    submitted = runs.any_row(frame.kind == SUBMIT)
    changes = np.flatnonzero((frame.kind == INPUT) & ~frame.column_equals("action", "focus", "blur"))
    moves = np.flatnonzero(frame.kind == NAVIGATION)
    shown = frame.find_last_until(moves, frame.visit[first], frame.ts[first])
    since = np.maximum(shown, frame.low[frame.visit[first]])
    owner, place = expand_ranges(np.searchsorted(changes, since), np.searchsorted(changes, first))
    row = changes[place]
    same = frame.route[row] == frame.route[first[owner]]
    fields = count_distinct_by_owner(owner[same], frame.raw_target[row[same]], len(first))
    return np.asarray(submitted | (fields >= FORM_FIELDS), dtype=np.bool_)


def _is_answered(frame: Frame, actions: UserActions, runs: _Runs, causes: Causes, background: Bools) -> Bools:
    """Per run: whether anything answered a try: a request, an error, a loading phase, a navigation that is not the person's
    own, a page that was hidden, or ``responded``; or whether it cannot be known.
    """
    rows, first = runs.rows.values, runs.rows.first
    caused = np.zeros(len(frame), dtype=np.bool_)
    came = np.flatnonzero((causes.cause >= 0) & ~background)
    caused[causes.cause[came]] = True
    for name, bad in (("responded", 1), ("disabled", 1), ("loading", 1), ("selection", 1), ("valid", 0)):
        caused[rows[frame.source.read_at(name, rows) == bad]] = True
    clicks = np.flatnonzero(frame.kind == CLICK)
    reports = any_by_owner(frame.visit[clicks], frame.source.read_at("responded", clicks) >= 0, len(frame.low))
    unknown = (frame.kind[rows] == CLICK) & reports[frame.visit[rows]] & (frame.source.read_at("responded", rows) < 0)
    caused[rows[unknown]] = True
    visit = frame.visit[first]
    until = frame.find_first_since(visit, frame.ts[runs.rows.last] + ANSWERED_WITHIN_MS + 1)
    inside = np.append(np.zeros(len(frame), dtype=np.bool_), False)  # by -1: no click
    inside[rows] = True
    by = actions.by_click
    led = (frame.kind == NAVIGATION) & np.where(by >= 0, inside[by], ~actions.user_navigation)
    signs = np.flatnonzero(led | (equals_any(frame.kind, VISIBILITY, LOADING, ERROR) & ~frame.noise))
    seen = np.searchsorted(signs, until) > np.searchsorted(signs, first)
    return np.asarray(runs.any_row(caused) | seen, dtype=np.bool_)


def _is_answer_reported(frame: Frame, runs: _Runs, causes: Causes, background: Bools) -> Bools:
    """Per run: whether enough other clicks and submits of its visit were answered with success."""
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & (causes.cause >= 0) & ~background
    by = causes.cause[good & (frame.third_party != 1)]
    by = by[equals_any(frame.kind[by], CLICK, SUBMIT)]
    answered = count_distinct_by_owner(frame.visit[by], by, len(frame.low))
    return np.asarray(answered[frame.visit[runs.rows.first]] >= ANSWERED_PRESSES, dtype=np.bool_)
