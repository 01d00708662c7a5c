"""Uncaught errors that are no failure of the action before them, recognised by when they come.

* When a page is left, the browser cancels its requests and scripts, and their promises are rejected: "Failed to fetch",
  "Load failed", a chunk that does not load, in the language of the browser. Such an error comes in the last moments before
  the page that the person's own action opened, or before the end. On a page that stays the same message is a failure.
* A request that was answered well, and was not sent again, did what the person wanted. An uncaught error beside its answer that
  names no script of the page is not their failure. If they do it again or reload, the error did prevent something.
* One message after different actions on different pages, each done once, that names no script of the page belongs to none of
  them: others put their script into every page.

Failed requests, rejections and validation errors are never removed here.
"""

from typing import Final

import numpy as np

from ufse.actions import UserActions
from ufse.arrays import (
    Bools,
    Ints,
    Lookup,
    Small,
    count_distinct_by_owner,
    equals_any,
    is_among,
    is_pair_among,
    mark_group_starts,
)
from ufse.config import Config
from ufse.feedback import CRASH, NONE
from ufse.frame import Frame
from ufse.page_kinds import is_detour_page
from ufse.sessions import CLICK, END, NAVIGATION, NETWORK, SUBMIT, VISIBILITY

LAST_MOMENTS_MS: Final = 1_000
"""A page tears down its requests at most this long before the next page or its end (own choice)."""
_UNLED_MS: Final = 300
"""The same before a reload, a step back or a typed address (own choice: nobody reacts to an error so fast)."""
_SLOW_DOCUMENT_MS: Final = 3_000
"""A form or a link opens its page at most this long after the action; its page's requests are cancelled at once (own
choice).
"""


def remove_unload_errors(frame: Frame, negative: Small, actions: UserActions) -> Small:
    """``negative`` without the errors of pages that were being left."""
    rows = np.flatnonzero((negative == CRASH) & ~frame.noise)
    rows = rows[~_is_beside_failed_request(frame, negative, rows)]
    if not len(rows):
        return negative
    torn = _is_before_opening(frame, rows, actions) | _is_before_end(frame, rows) | _is_of_old_page(frame, rows)
    negative = negative.copy()
    negative[rows[torn]] = NONE
    return negative


def _is_beside_failed_request(frame: Frame, negative: Small, rows: Ints) -> Bools:
    """Per error: whether a request failed in the second before: then the error is of that failure, not of leaving."""
    failed = np.flatnonzero((frame.kind == NETWORK) & (negative != NONE) & (frame.status > 0))
    found = frame.find_last_until(failed, frame.visit[rows], frame.ts[rows])
    return np.asarray((found >= 0) & (frame.ts[rows] - frame.ts[np.maximum(found, 0)] <= LAST_MOMENTS_MS))


def _find_openings(frame: Frame) -> Ints:
    """Navigations by which a page is left, and that do not lead to an error page or a login."""
    documents = frame.column_equals("nav_type", "link", "push", "reload", "back_forward", "") & ~frame.unattended
    detour = np.array([is_detour_page(p) for p in frame.patterns] or [False])
    return np.flatnonzero(documents & (frame.kind == NAVIGATION) & ~detour[frame.pattern])


def _is_before_opening(frame: Frame, rows: Ints, actions: UserActions) -> Bools:
    """Per error: whether it stands between an action of the person and the page that this action opened. A route of a
    single-page application counts only after a link: a button may show its failure on another route.
    """
    moves = _find_openings(frame)
    if not len(moves):
        return np.zeros(len(rows), dtype=np.bool_)
    place = np.searchsorted(moves, rows)
    move = moves[np.minimum(place, len(moves) - 1)]
    gap = frame.ts[move] - frame.ts[rows]
    comes = (place < len(moves)) & (frame.visit[move] == frame.visit[rows])
    starters = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT))
    before = np.searchsorted(starters, move) - 1
    by = starters[np.maximum(before, 0)] if len(starters) else np.zeros(len(rows), dtype=np.int64)
    acted = (before >= 0) & (frame.visit[by] == frame.visit[rows])
    between = acted & (by > rows)
    # A link or a form opens another page. A reload and a step back are acts of their own.
    opened = frame.column_equals("nav_type", "link", "", "push", rows=move)
    link = np.array([t.link for t in frame.targets], dtype=np.bool_)[frame.target[by]]
    opened &= link | ~frame.column_equals("nav_type", "push", rows=move)
    leads = opened & acted & (by < rows) & ((frame.kind[by] == SUBMIT) | link)
    leads &= (frame.route[move] != frame.route[rows]) & (frame.ts[move] - frame.ts[by] <= _SLOW_DOCUMENT_MS)
    leads &= frame.ts[rows] - frame.ts[by] <= LAST_MOMENTS_MS
    by_click = actions.by_click[move]
    led = opened & (by_click >= 0) & (by_click < rows) & (gap <= LAST_MOMENTS_MS)
    unled = ((by_click < 0) | ~opened) & actions.user_navigation[move] & (gap <= _UNLED_MS)
    return np.asarray(comes & ~between & (led | leads | unled), dtype=np.bool_)


def _is_before_end(frame: Frame, rows: Ints) -> Bools:
    """Per error: whether the visit ends within a second."""
    last = frame.high[frame.visit[rows]] - 1
    ends = (frame.kind == END) | ((frame.kind == VISIBILITY) & frame.is_last_row)
    after = np.append(np.flatnonzero(ends), len(frame))[np.searchsorted(np.flatnonzero(ends), rows)]
    at = np.minimum(after, len(frame) - 1)
    return np.asarray((after <= last) & (frame.ts[at] - frame.ts[rows] <= LAST_MOMENTS_MS))


def _is_of_old_page(frame: Frame, rows: Ints) -> Bools:
    """Per error: whether it names the page before, within a second after a page was opened."""
    moves = _find_openings(frame)
    # In a single-page application the page before is part of the same document.
    moves = moves[~frame.column_equals("nav_type", "push", rows=moves)]
    found = frame.find_last_until(moves, frame.visit[rows], frame.ts[rows])
    move = np.maximum(found, 0)
    every = np.flatnonzero(frame.kind == NAVIGATION)
    latest = frame.find_last_until(every, frame.visit[rows], frame.ts[rows])
    soon = (found >= 0) & (found == latest) & (frame.ts[rows] - frame.ts[move] <= LAST_MOMENTS_MS) & (move < rows)
    left = frame.route[np.maximum(move - 1, 0)] == frame.route[rows]
    return np.asarray(soon & left & (frame.route[rows] != frame.route[move]))


def remove_wandering_errors(frame: Frame, negative: Small, action: Ints, cause: Ints) -> Small:
    """``negative`` without uncaught errors of no script of the page, whose message comes after several actions on several
    pages, each done once.
    """
    rows = np.flatnonzero((negative == CRASH) & (cause >= 0) & ~frame.noise)
    rows = rows[frame.endpoint_known[frame.endpoint[rows]]]
    rows = rows[~_has_own_script(frame, rows)]
    if len(rows) < 2:
        return negative
    _, group = np.unique(frame.visit[rows] * len(frame.endpoints) + frame.endpoint[rows], return_inverse=True)
    size, by = int(group.max()) + 1, cause[rows]
    # One named control on several pages, such as a menu's link, is one action.
    named = ~np.array([t.nameless for t in frame.targets], dtype=np.bool_)[frame.target[by]]
    control = np.where(named & (frame.kind[by] != NAVIGATION), frame.target[by], len(frame.targets) + action[by])
    pages = count_distinct_by_owner(group, frame.pattern[by], size)
    controls = count_distinct_by_owner(group, control, size)
    acts = count_distinct_by_owner(group, by, size)
    wandering = (pages > 1) & (controls > 1) & (acts == controls)
    negative = negative.copy()
    negative[rows[wandering[group]]] = NONE
    return negative


def remove_accepted_errors(
    frame: Frame, negative: Small, action: Ints, cause: Ints, good: Bools, config: Config
) -> Small:
    """``negative`` without uncaught errors of actions whose own request was accepted and that were not done again.

    ``good``: per event, a good answer to a request that answers one single action of the visit.
    """
    rows = np.flatnonzero((negative == CRASH) & (cause >= 0))
    rows = rows[~_has_own_script(frame, rows)]
    came = np.flatnonzero(good & (cause >= 0) & (frame.kind == NETWORK))
    if not len(rows) or not len(came):
        return negative
    instant = np.asarray(np.cumsum(mark_group_starts(frame.visit, frame.ts)), dtype=np.int64)
    by, answered = cause[rows], cause[came]
    accepted = is_among(by, answered) | is_pair_among(instant[by], action[by], instant[answered], action[answered])
    rows, by = rows[accepted], by[accepted]
    again = _is_done_again(frame, action, rows, by, config)
    negative = negative.copy()
    negative[rows[~again]] = NONE
    return negative


def _has_own_script(frame: Frame, rows: Ints) -> Bools:
    """Per error in ``rows``: whether it names a script of the page, by a path or an address."""
    code, texts = frame.source.read_codes("source", rows)
    return np.array([t.startswith(("/", "http:", "https:")) for t in texts], dtype=np.bool_)[code]


def _is_done_again(frame: Frame, action: Ints, rows: Ints, by: Ints, config: Config) -> Bools:
    """Per error in ``rows`` of the interaction ``by``: whether the person did the same within 30 s before or after, or
    reloaded the page within 30 s.
    """
    acts = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT))
    width = int(action.max(initial=0)) + 1
    same = Lookup(frame.visit[acts] * width + action[acts], acts)
    visit = frame.visit[rows]
    low = frame.find_first_since(visit, frame.ts[by] - config.retry_window_ms)
    high = frame.find_first_since(visit, frame.ts[rows] + config.retry_window_ms + 1)
    owner, act = same.find_entries(visit * width + action[by], low, high)
    again = np.zeros(len(rows), dtype=np.bool_)
    again[owner[np.abs(frame.ts[act] - frame.ts[by[owner]]) > config.double_click_ms]] = True
    again |= np.bincount(owner, minlength=len(rows)) >= config.rage_clicks
    moves = np.flatnonzero(frame.column_equals("nav_type", "reload", "back_forward") & ~frame.unattended)
    place = np.searchsorted(moves, rows)
    move = np.append(moves, len(frame))[place]
    at = np.minimum(move, len(frame) - 1)
    return np.asarray(again | ((move < high) & (frame.visit[at] == visit)))
