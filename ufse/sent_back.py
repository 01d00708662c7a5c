"""Forms that send back: a form was sent, and a login or error page came instead of an answer, again and again.

Source: docs/decisions/0066 (login → back → login; sent and thrown to another page, filled in again). The trace is the
redirect. Data entry looks alike unless the page that came is a login or an error page; therefore only these count:

* at least three tries with one control, each after the fields of its page were changed again;
* after each try the application showed a login page or an error page within 10 s, before the person did anything else; a login
  form must come back itself, because logging in may take several pages;
* or the person logged in between, was shown the page again, and the same control threw them to the login page again: a loop
  through the login needs no fields of its own;
* or after each try the page was loaded anew within 10 s, before the person did anything else, and the try has no request, while
  another click or submit of the visit was answered with success, or two were by a page, and the collector is known to report
  requests: the entries are lost;
* or after each try its own page came, and the person corrected the form and sent it again as it was (``ufse.form_pages``);
* no try has a failure of its own, which would be its feedback.

All tries but the last are feedback of the kind RETURNED. None of them counts as a success, whatever its request was answered.
"""

from dataclasses import dataclass

import numpy as np

from ufse.actions import UserActions
from ufse.arrays import (
    Bools,
    Ints,
    any_by_owner,
    count_by_owner,
    count_distinct_by_owner,
    equals_any,
    is_among,
    mark_group_starts,
    max_by_owner,
)
from ufse.config import Config
from ufse.control_hashes import hash_action_controls
from ufse.dead_controls import is_step
from ufse.feedback import NONE
from ufse.form_pages import find_shown_again
from ufse.frame import Frame
from ufse.page_kinds import is_detour_page, is_login_form
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT
from ufse.silent_controls import ANSWERED_PRESSES

RETURNED_TRIES = 3
"""Tries from which a form that sends back counts (docs/decisions/0066)."""


@dataclass(frozen=True)
class SentBack:
    """Tries that were sent back; rows ascend."""

    presses: Ints
    """All clicks and submits of the tries."""
    evidence: Ints
    """The first press of each try that is feedback: of all but the last of each control."""

    def mark_presses(self, size: int) -> Bools:
        """Per event of ``size``: whether it is one of ``presses``."""
        found = np.zeros(size, dtype=np.bool_)
        found[self.presses] = True
        return found


def find_sent_back(
    frame: Frame, actions: UserActions, negative: Ints, cause: Ints, background: Bools, config: Config
) -> SentBack:
    """The tries of every control that was sent back at least three times."""
    nothing = SentBack(frame.visit[:0], frame.visit[:0])
    reloads = _find_reloads(frame)
    login = np.array([is_login_form(p) for p in frame.patterns] or [False])
    detour = np.array([is_detour_page(p) for p in frame.patterns] or [False]) | login
    moves = np.flatnonzero(frame.kind == NAVIGATION)
    if len(moves) < RETURNED_TRIES:
        return nothing
    presses, apart = _find_presses(frame, actions)
    tries = presses[apart]
    key = _key_actions(frame, actions)
    back = _is_returned(frame, tries, moves, login, detour, config)
    back |= _is_emptied(frame, actions, tries, reloads, _choose_answers(frame, cause, background), login, config)
    came = tries[back]
    filled = _is_filled_before(frame, tries)
    back &= filled | _is_in_login_loop(frame, tries, key[tries], back, filled, login)
    back |= find_shown_again(frame, tries, key, cause, config)
    tries = tries[back]
    failed = cause[(cause >= 0) & (negative != NONE)]
    tries = tries[~is_among(key[tries], key[failed])]
    if len(tries) < RETURNED_TRIES:
        return nothing
    known, owner = np.unique(key[tries], return_inverse=True)
    size = len(known)
    tries = tries[(count_by_owner(owner, size) >= RETURNED_TRIES)[owner]]
    known, owner = np.unique(key[tries], return_inverse=True)
    last = max_by_owner(owner, tries, len(known), -1)
    begun = np.cumsum(apart) - 1
    # What was thrown back is no success, filled in again or not.
    came = np.union1d(tries, came[is_among(key[came], key[tries])])
    every = presses[is_among(presses[apart][begun], came)]
    return SentBack(every, tries[~is_among(tries, last)])


def _choose_answers(frame: Frame, cause: Ints, background: Bools) -> Ints:
    """``cause`` without failures that are background: an autosave that fails beside the press is no answer to it."""
    failed = background & ((frame.status >= 400) | (frame.status == 0))
    return np.where(failed, -1, cause)


def _key_actions(frame: Frame, actions: UserActions) -> Ints:
    """Per event: its action in its visit."""
    return np.asarray(frame.visit * (int(actions.action.max(initial=0)) + 1) + actions.action, dtype=np.int64)


def _find_presses(frame: Frame, actions: UserActions) -> tuple[Ints, Bools]:
    """Rows of submits and of presses of buttons, and whether each begins a try: presses of one action within 1 s are one.

    A "next" may send a form, too: each try that counts here comes after a change of its fields.
    """
    link = np.array([t.link or t.text_field or t.nameless for t in frame.targets], dtype=np.bool_)[frame.target]
    step = np.array([is_step(t) for t in frame.targets], dtype=np.bool_)[frame.target]
    rows = np.flatnonzero(((frame.kind == CLICK) & ~link & (actions.meaningful | step)) | (frame.kind == SUBMIT))
    apart = mark_group_starts(frame.visit[rows], actions.action[rows])
    apart[1:] |= np.diff(frame.ts[rows]) > 1_000
    return rows, apart


def _is_returned(frame: Frame, tries: Ints, moves: Ints, login: Bools, detour: Bools, config: Config) -> Bools:
    """Per try: whether the last page that the application showed before the person acted again is a detour, see above."""
    acts = np.flatnonzero(equals_any(frame.kind, CLICK, INPUT, SUBMIT))
    at_once = frame.find_first_since(frame.visit[tries], frame.ts[tries] + config.double_click_ms + 1)
    following = np.append(acts, len(frame))[np.searchsorted(acts, np.maximum(at_once, tries + 1))]
    soon = frame.find_first_since(frame.visit[tries], frame.ts[tries] + config.network_end_window_ms + 1)
    # Of one instant, as whole seconds have many, the page came first: interactions are ordered before it.
    at_once = frame.find_first_since(frame.visit[tries], frame.ts[np.minimum(following, len(frame) - 1)] + 1)
    until = np.where(following < frame.high[frame.visit[tries]], at_once, following)
    at = np.searchsorted(moves, np.minimum(until, soon)) - 1
    move = moves[np.maximum(at, 0)]
    shown = (at >= 0) & (move > tries) & (frame.visit[move] == frame.visit[tries])
    shown &= ~frame.column_equals("nav_type", "reload", "back_forward", rows=move)
    origin, page = frame.pattern[tries], frame.pattern[move]
    return np.asarray(shown & np.where(login[origin], page == origin, detour[page]), dtype=np.bool_)


def _find_reloads(frame: Frame) -> Ints:
    """Rows of the navigations that load a page anew."""
    return np.flatnonzero((frame.kind == NAVIGATION) & frame.column_equals("nav_type", "reload"))


def _is_emptied(
    frame: Frame, actions: UserActions, tries: Ints, reloads: Ints, cause: Ints, login: Bools, config: Config
) -> Bools:
    """Per try: its page was loaded anew without a request of its action, see above."""
    if len(reloads) < RETURNED_TRIES:
        return np.zeros(len(tries), dtype=np.bool_)
    page = _find_next_reload(frame, tries, reloads, config)
    safe = np.minimum(page, len(frame) - 1)
    again: Bools = (page < len(frame)) & (frame.visit[safe] == frame.visit[tries])
    again &= (frame.route[safe] == frame.route[tries]) & ~frame.unattended[safe]
    again &= frame.ts[safe] - frame.ts[tries] <= config.network_end_window_ms
    asked = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0) & ~frame.noise & (frame.third_party != 1))
    own = asked[equals_any(frame.kind[cause[asked]], CLICK, SUBMIT)]
    key = _key_actions(frame, actions)
    again &= ~is_among(key[tries], key[cause[own]])
    if not again.any():
        return again
    # A page that a press opened is an answer, too, where the collector is known to report requests.
    good = own[(frame.status[own] >= 200) & (frame.status[own] < 400)]
    by = np.concatenate((cause[good], actions.by_click[actions.by_click >= 0]))
    by = by[~is_among(key[by], key[tries[again]])]
    answered = count_distinct_by_owner(frame.visit[by], by, len(frame.low)) >= ANSWERED_PRESSES
    served = any_by_owner(frame.visit[by], is_among(by, cause[good]), len(frame.low))
    # A login form that comes again refused the login, whatever the collector reports.
    known = frame.known.reports_successes[frame.visit[tries]] | login[frame.pattern[tries]]
    known &= (answered | served)[frame.visit[tries]]
    unsure = np.flatnonzero(again & ~known & any_by_owner(frame.visit[by], by >= 0, len(frame.low))[frame.visit[tries]])
    controls = hash_action_controls(frame, actions.action[tries[unsure]])
    known[unsure] = frame.known.answers_others(frame.visit[tries[unsure]], controls)
    return np.asarray(again & known, dtype=np.bool_)


def _find_next_reload(frame: Frame, tries: Ints, reloads: Ints, config: Config) -> Ints:
    """Per try: row of the next page, if that is a reload before the person acts again; else the number of rows.

    A page may be loaded anew at once, or after another page that the press showed for a moment.
    """
    acts = np.append(np.flatnonzero(equals_any(frame.kind, CLICK, INPUT, SUBMIT)), len(frame))
    moves = np.append(np.flatnonzero(frame.kind == NAVIGATION), len(frame))
    at_once = frame.find_first_since(frame.visit[tries], frame.ts[tries] + config.double_click_ms + 1)
    at_once = np.maximum(at_once, tries + 1)
    page = moves[np.searchsorted(moves, tries + 1)]
    page = np.where(is_among(page, reloads), page, moves[np.searchsorted(moves, at_once)])
    ts = np.append(frame.ts, np.iinfo(np.int64).max)
    acted = ts[acts[np.searchsorted(acts, at_once)]]
    acted = np.where(acts[np.searchsorted(acts, at_once)] < frame.high[frame.visit[tries]], acted, ts[-1])
    return np.where(is_among(page, reloads) & (ts[page] <= acted), page, len(frame))


def _is_in_login_loop(frame: Frame, tries: Ints, key: Ints, back: Bools, filled: Bools, login: Bools) -> Bools:
    """Per try: whether it belongs to a loop through the login: thrown to the login page, logged in, shown the page again, and
    thrown to the login page as before by the same control, with no other outcome of that control since. ``key``: its action.

    A control whose page was never filled in may sign out: it leads to the login page, and nothing is wrong.
    """
    origin = frame.pattern[tries]
    own = np.flatnonzero(~login[origin])
    order = own[np.lexsort((tries[own], key[own]))]
    if not len(order):
        return np.zeros(len(tries), dtype=np.bool_)
    before = np.append(-1, order[:-1])
    looped = ~mark_group_starts(key[order]) & back[order] & back[np.maximum(before, 0)]
    # Between the two, the login form was filled in and sent.
    logins = np.append(0, np.cumsum(filled & login[origin]))
    low = np.searchsorted(tries, tries[np.maximum(before, 0)], "right")
    looped &= logins[order] > logins[low]
    found = np.zeros(len(tries), dtype=np.bool_)
    found[order] = looped
    found[before[looped]] = True
    return found & is_among(key, key[filled & back])


def _is_filled_before(frame: Frame, tries: Ints) -> Bools:
    """Per try: whether a field of its page was changed since the try before it."""
    changed = np.flatnonzero((frame.kind == INPUT) & ~frame.column_equals("action", "focus", "blur"))
    if not len(changed):
        return np.zeros(len(tries), dtype=np.bool_)
    at = np.searchsorted(changed, tries) - 1
    row = changed[np.maximum(at, 0)]
    before = np.append(-1, tries[:-1])
    return np.asarray((at >= 0) & (row > before) & (frame.pattern[row] == frame.pattern[tries]), dtype=np.bool_)
