"""What the user did: actions, the form submits that clicks cause, and the navigations that a person makes."""

from dataclasses import dataclass, replace

import numpy as np

from ufse.arrays import Bools, Ints, any_by_owner, count_by_owner, is_among, mark_group_starts, max_by_owner
from ufse.config import Config
from ufse.frame import Frame
from ufse.references import find_named_causes
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT
from ufse.target_codes import PAGE

_FAILING_TRIES = 3
"""Tries of a "next" that failed, from which it is a step and not paging (own choice)."""


@dataclass(frozen=True)
class UserActions:
    """The user's actions; every array has one entry per event of the frame."""

    action: Ints
    """Packed (pattern, target) of an interaction; -1 elsewhere. A submit has the action of the click that caused it."""
    meaningful: Bools
    """A click on a control, a form submit, the navigation that a click on a control made, or a reload."""
    user_navigation: Bools
    """A navigation that a person made: link, reload, back or forward, a typed address."""
    by_click: Ints
    """Per navigation: row of the click or submit that made it; -1 without one."""
    step: Bools
    """Clicks on "next" or "previous" targets that send a form."""
    causing: Bools
    """Interactions that can cause feedback: clicks, submits, the user's navigations, changes of fields."""


def find_user_actions(frame: Frame, config: Config) -> UserActions:
    """The actions of all visits of the frame."""
    clicked, submit_click = _pair_submits(frame, config)
    step = _find_form_steps(frame, clicked)
    user_navigation, by_click = _find_user_navigations(frame)
    changes = (frame.kind == INPUT) & ~frame.column_equals("action", "focus", "blur")
    return UserActions(
        action=_pack_actions(frame, submit_click),
        meaningful=_find_meaningful_actions(frame, clicked | step, user_navigation, by_click),
        user_navigation=user_navigation,
        by_click=by_click,
        step=step,
        causing=(frame.kind == CLICK) | (frame.kind == SUBMIT) | user_navigation | changes,
    )


def add_failing_steps(
    frame: Frame, actions: UserActions, failing: Ints, answered: Ints, silent: Ints, config: Config
) -> UserActions:
    """``actions``, where a "next" or "previous" most of whose clicks failed, the last one included, is a step, not paging.

    So is one that never answered or was sent back (``silent``: rows of its tries), which sends a form (``ufse.dead_controls``).

    Whoever pages gets a page at most clicks. Quick clicks may be paging in haste: at least three tries must be a pause apart.
    ``failing``, ``answered``: rows of interactions that failed or were answered well.
    """
    if not len(failing) or not any(t.paging and t.repeated for t in frame.targets):
        return actions
    rows = np.flatnonzero(
        (frame.kind == CLICK) & _event_target_property(frame, "paging") & _event_target_property(frame, "repeated")
    )
    if not len(rows):
        return actions
    key = frame.visit[rows] * (int(actions.action.max()) + 1) + actions.action[rows]
    order = np.argsort(key, kind="stable")
    rows, key = rows[order], key[order]
    owner = np.cumsum(mark_group_starts(key)) - 1
    size = int(owner[-1]) + 1
    apart = mark_group_starts(key)
    apart[1:] |= np.diff(frame.ts[rows]) > config.rage_gap_ms
    bad = is_among(rows, failing)
    good = is_among(rows, answered) & ~bad
    presses, failed = count_by_owner(owner, size), count_by_owner(owner, size, bad)
    latest = max_by_owner(owner[bad], rows[bad], size, -1) > max_by_owner(owner[good], rows[good], size, -1)
    found = (count_by_owner(owner, size, bad & apart) >= _FAILING_TRIES) & (2 * failed > presses) & latest
    found = (found | any_by_owner(owner, is_among(rows, silent), size))[owner]
    step, meaningful = actions.step.copy(), actions.meaningful.copy()
    step[rows[found]] = meaningful[rows[found]] = True
    return replace(actions, step=step, meaningful=meaningful)


def merge_repeated_actions(frame: Frame, action: Ints, cause: Ints, evidence: Bools) -> Ints:
    """``action``, where a click on the page that another click opened repeats its failed request: both get the first's action.

    The failure is shown on the opened page, and a "try again" control there requests the same. ``evidence``: negative feedback
    with a cause.
    """
    rows = np.flatnonzero(evidence & (frame.kind == NETWORK))
    rows = rows[frame.endpoint_known[frame.endpoint[rows]]]
    if len(rows) < 2:
        return action
    key = frame.visit[rows] * len(frame.endpoints) + frame.endpoint[rows]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    began = rows[first[inverse]]
    origin, by = cause[began], cause[rows]
    clicks = (frame.kind == CLICK) | (frame.kind == SUBMIT)
    again = clicks[origin] & clicks[by] & (frame.route[began] != frame.route[origin])
    again &= (frame.route[by] == frame.route[began]) & (by > origin)
    action = action.copy()
    action[by[again]] = action[origin[again]]
    return action


def _event_target_property(frame: Frame, name: str) -> Bools:
    """Per event: the property ``name`` of its target."""
    values = np.array([getattr(t, name) for t in frame.targets], dtype=np.bool_)
    return np.asarray(values[frame.target], dtype=np.bool_)


def _pair_submits(frame: Frame, config: Config) -> tuple[Bools, Ints]:
    """Per event: whether it is a click that caused a form submit; per submit: row of that click, -1 without one."""
    rows = np.flatnonzero(frame.kind == SUBMIT)
    clicks = np.flatnonzero((frame.kind == CLICK) & ~_event_target_property(frame, "text_field"))
    pair = np.full(len(frame), -1, dtype=np.int64)
    clicked = np.zeros(len(frame), dtype=np.bool_)
    if not len(rows) or not len(clicks):
        return clicked, pair
    at = np.searchsorted(clicks, rows)
    for offset, window in ((-1, config.double_click_ms), (0, 20)):
        other = clicks[np.clip(at + offset, 0, len(clicks) - 1)]
        near = (
            (frame.visit[other] == frame.visit[rows])
            & (frame.route[other] == frame.route[rows])
            & (np.abs(frame.ts[other] - frame.ts[rows]) <= window)
            & (pair[rows] < 0)
        )
        pair[rows[near]] = other[near]
    clicked[pair[pair >= 0]] = True
    return clicked, pair


def _find_form_steps(frame: Frame, clicked: Bools) -> Bools:
    """Per event: a click on a "next" or "previous" target that sent a form at least once in its visit."""
    rows = np.flatnonzero(
        (frame.kind == CLICK) & _event_target_property(frame, "paging") & _event_target_property(frame, "repeated")
    )
    step = np.zeros(len(frame), dtype=np.bool_)
    if len(rows):
        key = (frame.visit[rows] * len(frame.patterns) + frame.pattern[rows]) * len(frame.targets) + frame.target[rows]
        step[rows[is_among(key, key[clicked[rows]])]] = True
    return step


def _find_user_navigations(frame: Frame) -> tuple[Bools, Ints]:
    """Per event: whether it is a navigation that a person made, and row of the click that made it, -1 without one."""
    navigation = frame.kind == NAVIGATION
    rows = np.flatnonzero(navigation)
    by_click = np.full(len(frame), -1, dtype=np.int64)
    starters = np.flatnonzero((frame.kind == CLICK) | (frame.kind == SUBMIT))
    if len(rows) and len(starters):
        before = starters[np.maximum(np.searchsorted(starters, rows) - 1, 0)]
        near = (
            (before < rows) & (frame.visit[before] == frame.visit[rows]) & (frame.ts[rows] - frame.ts[before] <= 2_000)
        )
        by_click[rows[near]] = before[near]
        named = find_named_causes(frame, rows, starters)
        by_click[rows[named >= 0]] = named[named >= 0]
    untyped = navigation & frame.column_equals("nav_type", "") & (by_click < 0)
    typed = navigation & frame.column_equals("nav_type", "link", "reload", "back_forward")
    made = (typed | untyped) & ~frame.unattended
    made[rows[frame.is_external_or_download(rows)]] = False
    made[frame.unseen] = False
    return made, by_click


def _pack_actions(frame: Frame, submit_click: Ints) -> Ints:
    """Packed (pattern, target) per interaction, else -1.

    A form that was sent without a click gets the action of the button that sent it elsewhere in the visit.
    """
    count = max(len(frame.targets), 1)
    action = np.full(len(frame), -1, dtype=np.int64)
    own = (frame.kind == CLICK) | (frame.kind == SUBMIT) | (frame.kind == INPUT)
    action[own] = (frame.pattern * count + frame.target)[own]
    opened = frame.kind == NAVIGATION
    action[opened] = frame.pattern[opened] * count + PAGE
    submits = np.flatnonzero(frame.kind == SUBMIT)
    if len(submits):
        form = frame.visit[submits] * (int(action.max()) + 1) + action[submits]
        paired = submit_click[submits] >= 0
        keys, first = np.unique(form[paired], return_index=True)
        button = action[submit_click[submits][paired][first]]
        if len(keys):
            at = np.minimum(np.searchsorted(keys, form), len(keys) - 1)
            action[submits] = np.where(keys[at] == form, button[at], action[submits])
        action[submits[paired]] = action[submit_click[submits][paired]]
    return action


def _find_meaningful_actions(frame: Frame, clicked: Bools, user_navigation: Bools, by_click: Ints) -> Bools:
    """See ``UserActions.meaningful``; ``clicked``: clicks that sent a form."""
    control = _event_target_property(frame, "meaningful")
    found: Bools = ((frame.kind == CLICK) & (control | clicked)) | (frame.kind == SUBMIT)
    opened = np.flatnonzero(user_navigation & (by_click >= 0))
    found[opened] = found[by_click[opened]]
    found |= frame.column_equals("nav_type", "reload") & ~frame.unattended
    return found
