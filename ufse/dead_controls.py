"""Controls that stay dead over a whole visit: pressed, left, pressed again, and never answered.

``ufse.silent_controls`` reads one run of tries right after a form was filled in. People also look for help, try another way,
come back and fill the form in again. Here the tries of a control are counted over the visit. Two kinds of evidence:

* *explicit*: the collector says of every press that the page did not change (``responded`` false) or that the control was
  disabled, and says of another control that it answered. Fields of the page were changed, or the presses include a burst. A
  press of which it says nothing finds a disabled control as the press before it did, while nothing changed;
* *implicit*: nothing follows any press, although at least two other presses of the visit were answered by a request or a page,
  and a form was filled in (a submit, or two fields before a button). If no request answered a press, pages are answers only
  where the application loads each of them, and with a burst.

A "next" sends a form if two fields of its page were changed; then it is no paging. What prints, shares or downloads may do so
unseen, but not while it is disabled.

At least three tries, and two of them repeats: tries without a change of a field since the try before. Pressing a search button
once after each word is use, not a repeat. Who loads the page anew must fill it in again: with a burst among the tries, or where
the collector says that they came to nothing, that is a repeat, too. A control that was answered once in the visit is not dead.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ufse.actions import UserActions
from ufse.answered_presses import find_answered_presses
from ufse.arrays import (
    Bools,
    Ints,
    Small,
    any_by_owner,
    count_by_owner,
    count_distinct_by_owner,
    equals_any,
    expand_ranges,
    is_among,
    mark_group_starts,
    max_by_owner,
)
from ufse.background import Background
from ufse.causes import Causes
from ufse.config import Config
from ufse.control_hashes import hash_action_controls
from ufse.exempted import remove_exempt_silence
from ufse.feedback import NONE, SILENT
from ufse.frame import Frame
from ufse.sessions import CLICK, ERROR, INPUT, LOADING, NAVIGATION, NETWORK, SUBMIT, VISIBILITY
from ufse.silent_controls import (
    ANSWERED_PRESSES,
    ANSWERED_WITHIN_MS,
    FORM_FIELDS,
    SILENT_TRIES,
    mark_silent_tries,
)
from ufse.targets import Target

REPEATS: Final = 2
"""Tries without a change of a field since the try before (own choice: all tries but the first, at the least number)."""
BURST: Final = 3
"""Presses of one burst from which it is no double click (own choice)."""
_BARRED: Final = (
    "link",
    "toggle",
    "aside",
    "leaves",
    "played",
    "nameless",
    "repeated",
    "text_field",
    "static_text",
    "bare",
)


@dataclass(frozen=True)
class _Presses:
    """The presses of controls that may be dead, ordered by control (a visit's action on one page) and time; one entry each."""

    row: Ints
    control: Ints
    size: int
    """Number of controls."""
    apart: Bools
    """Whether it begins a try."""
    filled: Bools
    """Whether a field of its page was changed since the press before it."""
    reloaded: Bools
    """Whether its page was loaded anew since the press before it, so that it had to be filled in again."""
    shown: Bools
    """Whether its page was shown again in any way since the press before it."""

    def any_control(self, chosen: Bools) -> Bools:
        """Per control: whether any of its presses is chosen."""
        return any_by_owner(self.control, chosen, self.size)


def mark_missing_answers(
    frame: Frame, actions: UserActions, causes: Causes, background: Background, negative: Small, config: Config
) -> tuple[Small, Causes]:
    """``negative`` and ``causes`` with the tries that were never answered, of one run or over the visit, see both modules."""
    negative, causes = mark_silent_tries(frame, actions, causes, background.background, negative, config)
    negative, causes = mark_dead_tries(frame, actions, causes, background, negative, config)
    return remove_exempt_silence(frame, negative, config), causes


def mark_dead_tries(
    frame: Frame, actions: UserActions, causes: Causes, background: Background, negative: Small, config: Config
) -> tuple[Small, Causes]:
    """``negative`` and ``causes``, where the tries with a dead control but the last are SILENT, caused by themselves."""
    presses = _find_presses(frame, actions, _find_answered_presses(frame, causes, background.background), config)
    if len(presses.row) < SILENT_TRIES:
        return negative, causes
    tries = count_by_owner(presses.control, presses.size, presses.apart)
    later = presses.apart & ~mark_group_starts(presses.control)
    again = count_by_owner(presses.control, presses.size, later & (~presses.filled | presses.shown))
    chosen = (tries >= SILENT_TRIES) & (again >= 1)
    if not chosen.any():
        return negative, causes
    chosen &= ~_is_answered(frame, actions, presses)
    dead = chosen & _is_due(frame, presses) & _is_dead_here(frame, actions, causes, background, presses, later)
    chosen &= (again >= REPEATS) & ~dead
    if chosen.any():
        chosen[chosen] = _is_dead_only_here(frame, actions, causes, background.background, presses, chosen)
    dead |= chosen
    last = max_by_owner(presses.control, presses.row, presses.size, -1)
    begun = presses.row[presses.apart][np.cumsum(presses.apart) - 1]
    final = is_among(begun, begun[is_among(presses.row, last)])
    silent = np.sort(presses.row[dead[presses.control] & presses.apart & ~final])
    silent = silent[negative[silent] == NONE]
    negative, cause = negative.copy(), causes.cause.copy()
    negative[silent], cause[silent] = SILENT, silent
    return negative, replace(causes, cause=cause)


def _is_dead_here(
    frame: Frame, actions: UserActions, causes: Causes, background: Background, presses: _Presses, later: Bools
) -> Bools:
    """Per control: whether the visit itself shows that it should have answered. ``later``: presses that begin another try."""
    repeats = count_by_owner(presses.control, presses.size, later & ~presses.filled)
    anew = count_by_owner(presses.control, presses.size, later & (~presses.filled | presses.reloaded))
    often = (anew >= REPEATS) & ((repeats >= REPEATS) | _has_burst(frame, presses))
    found = _is_explicit(frame, actions, presses, anew) | (
        often & _is_implicit(frame, actions, causes, background.background, presses)
    )
    return np.asarray(found & (anew >= 1), dtype=np.bool_)


def _is_dead_only_here(
    frame: Frame, actions: UserActions, causes: Causes, background: Bools, presses: _Presses, chosen: Bools
) -> Bools:
    """Per ``chosen`` control: whether it answers in other sessions, nearly each time, and here another press was answered.

    Whatever came after one of its presses, background or not, may be its answer, and so may the sign that it waits. Another
    control of its page that answered since may have done what was wanted.
    """
    heads = presses.row[mark_group_starts(presses.control)][chosen]
    visit = frame.visit[heads]
    found = frame.known.answers_others(visit, hash_action_controls(frame, actions.action[heads]))
    if not found.any():
        return found
    asked, paged = find_answered_presses(frame, causes.cause, background, actions.by_click)
    answered = asked | paged
    found &= any_by_owner(frame.visit, answered, len(frame.low))[visit]
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & (causes.cause >= 0)
    answered[causes.cause[good]] = True
    base = int(actions.action.max(initial=0)) + 1
    key = frame.visit * base + actions.action
    found &= ~is_among(key[heads], key[answered])
    link = np.array([t.link for t in frame.targets], dtype=np.bool_)[frame.target]
    ways = np.flatnonzero(answered & equals_any(frame.kind, CLICK, SUBMIT) & ~link)
    page = frame.visit * len(frame.patterns) + frame.pattern
    pages, number = np.unique(page[np.append(heads, ways)], return_inverse=True)
    latest = max_by_owner(number[len(heads) :], ways, len(pages), -1)
    found &= latest[number[: len(heads)]] < heads
    waits = (frame.source.read_at("loading", presses.row) == 1) | _is_disabled(frame, presses)
    step = np.array([is_step(t) for t in frame.targets], dtype=np.bool_)[frame.target[heads]]
    fields = _count_fields(frame, presses)[chosen]
    found &= np.where(step, fields >= FORM_FIELDS, (fields >= 1) | _has_burst(frame, presses)[chosen])
    return np.asarray(found & ~presses.any_control(waits)[chosen], dtype=np.bool_)


def _changes(frame: Frame) -> Ints:
    """Rows of the changes of fields."""
    return np.flatnonzero((frame.kind == INPUT) & ~frame.column_equals("action", "focus", "blur"))


def _find_answered_presses(frame: Frame, causes: Causes, background: Bools) -> Bools:
    """Per event: whether it is an interaction that a request or an error answered."""
    caused = np.zeros(len(frame), dtype=np.bool_)
    came = np.flatnonzero((causes.cause >= 0) & ~background & equals_any(frame.kind, NETWORK, ERROR))
    caused[causes.cause[came]] = True
    return caused


def _find_presses(frame: Frame, actions: UserActions, answered: Bools, config: Config) -> _Presses:
    """Clicks and submits of meaningful controls that send something, of which none was ``answered`` (per event); see
    ``_BARRED`` for controls that are left out.
    """
    barred = np.array([_is_barred(t) and not (is_step(t) or _leads_aside(t)) for t in frame.targets], dtype=np.bool_)
    step = np.array([is_step(t) for t in frame.targets], dtype=np.bool_)[frame.target]
    rows = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT) & (actions.meaningful | step) & ~frame.target_ignored)
    hidden = _is_hidden_by(frame, rows) & (frame.source.read_at("disabled", rows) != 1)
    rows = rows[~(barred[frame.target[rows]] & (frame.kind[rows] == CLICK)) & ~hidden]
    base = int(actions.action.max(initial=0)) + 1
    key = frame.visit[rows] * base + actions.action[rows]
    silent = ~is_among(key, key[answered[rows]])
    rows, key = rows[silent], key[silent]
    order = np.lexsort((frame.route[rows], key))
    rows, key = rows[order], key[order]
    first = mark_group_starts(key, frame.route[rows])
    apart = first.copy()
    apart[1:] |= np.diff(frame.ts[rows]) > config.rage_gap_ms
    changes = _changes(frame)
    at = np.searchsorted(changes, rows) - 1
    change = changes[np.maximum(at, 0)] if len(changes) else np.zeros(len(rows), dtype=np.int64)
    before = np.where(first, frame.low[frame.visit[rows]] - 1, np.append(-1, rows[:-1])[: len(rows)])
    filled = (at >= 0) & (change > before) & (frame.pattern[change] == frame.pattern[rows])
    moves = frame.kind == NAVIGATION
    again = np.flatnonzero(moves & frame.column_equals("nav_type", "reload"))
    reloaded = _is_shown_since(frame, again, rows, before) & ~first
    shown = _is_shown_since(frame, np.flatnonzero(moves), rows, before) & ~first
    return _Presses(rows, np.cumsum(first) - 1, int(first.sum()), apart, filled, reloaded, shown)


def _is_shown_since(frame: Frame, moves: Ints, rows: Ints, before: Ints) -> Bools:
    """Per press: whether the last of the navigations ``moves`` before it came after the press ``before`` and shows its page."""
    if not len(moves):
        return np.zeros(len(rows), dtype=np.bool_)
    at = np.searchsorted(moves, rows) - 1
    load = moves[np.maximum(at, 0)]
    return np.asarray((at >= 0) & (load > before) & (frame.pattern[load] == frame.pattern[rows]), dtype=np.bool_)


def _is_barred(target: Target, spared: tuple[str, ...] = ()) -> bool:
    """Whether a control owes no answer for any reason of ``_BARRED`` but the ``spared`` ones."""
    return any(getattr(target, name) for name in _BARRED if name not in spared)


def is_step(target: Target) -> bool:
    """Whether a control pages only by its word ("next"), so that it may send a form."""
    return target.paging and target.repeated and not _is_barred(target, ("repeated",))


def _leads_aside(target: Target) -> bool:
    """Whether a control is only barred because what it does may not show on the page: a download, a print, help."""
    return (target.aside or target.leaves) and not _is_barred(target, ("aside", "leaves"))


def _is_due(frame: Frame, presses: _Presses) -> Bools:
    """Per control: False for a "next" without a filled form, and for one that leads aside, unless it was disabled each time."""
    heads = frame.target[presses.row[mark_group_starts(presses.control)]]
    step = np.array([is_step(t) for t in frame.targets], dtype=np.bool_)[heads]
    aside = np.array([_leads_aside(t) for t in frame.targets], dtype=np.bool_)[heads]
    due = ~step | (_count_fields(frame, presses) >= FORM_FIELDS)
    return np.asarray(due & (~aside | ~presses.any_control(~_is_disabled(frame, presses))), dtype=np.bool_)


def _is_hidden_by(frame: Frame, rows: Ints) -> Bools:
    """Per press: whether the page was hidden right after it: it opened a new tab, or a dialog of the system."""
    hides = np.flatnonzero(frame.kind == VISIBILITY)
    if not len(hides):
        return np.zeros(len(rows), dtype=np.bool_)
    soon = frame.find_first_since(frame.visit[rows], frame.ts[rows] + _HIDDEN_WITHIN_MS + 1)
    return np.asarray(np.searchsorted(hides, soon) > np.searchsorted(hides, rows), dtype=np.bool_)


def _is_answered(frame: Frame, actions: UserActions, presses: _Presses) -> Bools:
    """Per control: whether anything answered a press beside a request or an error: a loading phase with an end, a page,
    ``responded``, or text that was selected. A control that shows that it waits, and waits for ever, did not answer.
    """
    rows = presses.row
    found = np.zeros(len(rows), dtype=np.bool_)
    for name, bad in (("responded", 1), ("selection", 1), ("valid", 0)):
        found |= frame.source.read_at(name, rows) == bad
    # What happens until the person does something else, or for 10 s, may be the answer.
    acts = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT, INPUT) | actions.user_navigation)
    following = np.append(acts, len(frame))[np.searchsorted(acts, rows, "right")]
    until = frame.find_first_since(frame.visit[rows], frame.ts[rows] + ANSWERED_WITHIN_MS + 1)
    shown = _is_shown_page(frame, actions, rows)
    led = shown | ((frame.kind == NAVIGATION) & ~actions.user_navigation & (frame.source["external"] != 1))
    over = (frame.kind == LOADING) & frame.column_equals("state", "end")
    signs = np.flatnonzero(led | over | ((frame.kind == ERROR) & ~frame.noise))
    found |= np.searchsorted(signs, np.minimum(until, following)) > np.searchsorted(signs, rows)
    return presses.any_control(found | is_among(rows, actions.by_click[shown]))


def _is_shown_page(frame: Frame, actions: UserActions, rows: Ints) -> Bools:
    """Per event: whether it is a navigation that a press of ``rows`` made. Who goes to another site later only leaves."""
    by = actions.by_click
    found = np.asarray((frame.kind == NAVIGATION) & (by >= 0) & is_among(by, rows), dtype=np.bool_)
    at = np.flatnonzero(found)
    away = frame.source.read_at("external", at) == 1
    found[at[away & (frame.ts[at] - frame.ts[by[at]] > LEAVES_WITHIN_MS)]] = False
    return found


LEAVES_WITHIN_MS: Final = 1_000
"""A control that leads to another site, as a payment does, leads there within this time (as a reaction, own choice)."""
_HIDDEN_WITHIN_MS: Final = 1_000
"""A page that is hidden so soon after a press was hidden by it (own choice)."""


def _is_explicit(frame: Frame, actions: UserActions, presses: _Presses, repeats: Ints) -> Bools:
    """Per control: whether the collector says of each click that it came to nothing, and of others that they were answered."""
    rows, click = presses.row, frame.kind[presses.row] == CLICK
    disabled = _is_disabled(frame, presses)
    refused = (frame.source.read_at("responded", rows) == 0) | disabled
    clicks = np.flatnonzero(frame.kind == CLICK)
    answered = (frame.source.read_at("responded", clicks) == 1) | (frame.source.read_at("disabled", clicks) == 0)
    reports = any_by_owner(frame.visit[clicks], answered, len(frame.low))
    enabled = np.flatnonzero(mark_group_starts(presses.control))
    plain = any_by_owner(presses.control, click & ~refused, presses.size)
    some = presses.any_control(click & refused)
    burst = _has_burst(frame, presses)
    fills = count_by_owner(presses.control, presses.size, presses.apart & presses.filled)
    known = reports[frame.visit[rows[enabled]]] | presses.any_control(disabled)
    only_disabled = ~any_by_owner(presses.control, click & ~disabled, presses.size)
    # A form may have a reason to disable its control; who corrects it again, or clicks in anger, does not know it.
    patient = np.where(only_disabled, fills > 1, (fills > 0) & (repeats > REPEATS))
    calm = np.flatnonzero(some & ~plain & ~burst & ~only_disabled & (repeats >= REPEATS))
    patient[calm] |= _is_awaited(frame, actions, rows[enabled][calm])
    return some & ~plain & known & (burst | patient)


def _is_disabled(frame: Frame, presses: _Presses) -> Bools:
    """Per press: whether its control was reported as disabled, or was at the press before, and the client says nothing of this
    one: nothing changes a control while no field is changed and no page shown.
    """
    rows, first = presses.row, mark_group_starts(presses.control)
    state = frame.source.read_at("disabled", rows)
    moves = np.flatnonzero(frame.kind == NAVIGATION)
    shown = np.searchsorted(moves, rows)
    fresh = first | presses.filled | (state >= 0) | (frame.source.read_at("responded", rows) == 1)
    fresh[1:] |= shown[1:] > shown[:-1]
    known = np.maximum.accumulate(np.where(fresh, np.arange(len(rows)), 0))
    return np.asarray(state[known] == 1, dtype=np.bool_)


def _has_burst(frame: Frame, presses: _Presses) -> Bools:
    """Per control: whether a try has at least three clicks."""
    number = np.cumsum(presses.apart) - 1
    size = np.bincount(number[frame.kind[presses.row] == CLICK], minlength=int(number[-1]) + 1)
    return presses.any_control(size[number] >= BURST)


def _is_implicit(frame: Frame, actions: UserActions, causes: Causes, background: Bools, presses: _Presses) -> Bools:
    """Per control: whether it should answer, in a visit whose collector reports answers of presses: it is the control of a
    filled form; or it was pressed in a burst, and belongs to a field that was changed, or sends requests in other sessions.
    """
    rows, control = presses.row, presses.control
    heads = rows[mark_group_starts(control)]
    submitted = presses.any_control(frame.kind[rows] == SUBMIT) & presses.any_control(presses.filled)
    disabled = presses.any_control(frame.source.read_at("disabled", rows) == 1)
    fields = _count_fields(frame, presses)
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & ~background
    good &= (frame.third_party != 1) & (causes.cause >= 0)
    by = np.concatenate([causes.cause[good], actions.by_click[actions.by_click >= 0]])
    by = by[equals_any(frame.kind[by], CLICK, SUBMIT)]
    answered = count_distinct_by_owner(frame.visit[by], by, len(frame.low))
    asked = any_by_owner(frame.visit, good, len(frame.low))
    clicks = np.flatnonzero(frame.kind == CLICK)
    spoken = any_by_owner(frame.visit[clicks], frame.source.read_at("responded", clicks) >= 0, len(frame.low))
    visit = frame.visit[heads]
    form = (submitted | (fields >= FORM_FIELDS)) & (answered[visit] >= ANSWERED_PRESSES)
    angry = np.flatnonzero(_has_burst(frame, presses) & (answered[visit] >= 1) & ~form)
    expected = form.copy()
    expected[angry] = (fields[angry] >= 1) | _is_awaited(frame, actions, heads[angry])
    # An application that never changes its page by itself answers a form by loading one.
    scripted = (frame.kind == NAVIGATION) & frame.column_equals("nav_type", "push", "replace", "")
    shows = ~any_by_owner(frame.visit, scripted, len(frame.low))[visit] | _reads_pages(frame, causes, presses)
    known = asked[visit] | (form & shows & _has_burst(frame, presses))
    return np.asarray(~disabled & expected & known & ~spoken[visit], dtype=np.bool_)


def _reads_pages(frame: Frame, causes: Causes, presses: _Presses) -> Bools:
    """Per control: whether a page of the visit was read with success, background or not, and no press on the control's page got
    such an answer from its first try on (links left out): the person may have got there by it, or by another control.

    An address that serves everything (GraphQL) is background, since it answers whatever is pressed.
    """
    good = np.flatnonzero((frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & ~frame.noise)
    good = good[(causes.cause[good] >= 0) & (frame.third_party[good] != 1)]
    by = causes.cause[good]
    read = any_by_owner(frame.visit[by], frame.kind[by] == NAVIGATION, len(frame.low))
    link = np.array([t.link for t in frame.targets], dtype=np.bool_)[frame.target[by]]
    pressed = by[equals_any(frame.kind[by], CLICK, SUBMIT) & ~link]
    heads = presses.row[mark_group_starts(presses.control)]
    rows = np.concatenate((heads, pressed))
    page = np.unique(frame.visit[rows] * len(frame.routes) + frame.route[rows], return_inverse=True)[1]
    latest = max_by_owner(page[len(heads) :], pressed, int(page.max(initial=-1)) + 1, -1)
    return np.asarray(read[frame.visit[heads]] & (latest[page[: len(heads)]] < heads), dtype=np.bool_)


def _is_awaited(frame: Frame, actions: UserActions, rows: Ints) -> Bools:
    """Per press: whether its control sends requests in other sessions of the project."""
    return frame.known.is_awaited_control(frame.visit[rows], hash_action_controls(frame, actions.action[rows]))


def _count_fields(frame: Frame, presses: _Presses) -> Ints:
    """Per control: the fields of its page that were changed before its last press in the visit."""
    changes = _changes(frame)
    heads = np.flatnonzero(mark_group_starts(presses.control))
    visit, page = frame.visit[presses.row[heads]], frame.pattern[presses.row[heads]]
    last = max_by_owner(presses.control, presses.row, presses.size, -1)
    begin, bounds = np.searchsorted(changes, frame.low[visit]), np.searchsorted(changes, last)
    owner, place = expand_ranges(begin, bounds)
    row = changes[place]
    same = frame.pattern[row] == page[owner]
    return count_distinct_by_owner(owner[same], frame.raw_target[row[same]], presses.size)
