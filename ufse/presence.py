"""Whether a person was in front of the page: reloads that nobody made, and pages that nobody saw.

A navigation is *unattended* if a timer or a script made it, if a browser restored it with other tabs, or if its page was
rendered ahead, never shown, or hidden. Nobody acts by it: it causes nothing, and is neither a reload in rage nor a change
of pages. A click or a submit on such a page is a person's act like any other. Source: docs/decisions/0040.

* **A timer**: the navigations of a visit to one route have one pace (``_is_clocked``), or one that grows by a constant factor.
* **A script**: a failed answer is followed by the reload at once, or always after the same time (``_is_scripted``).
* **Restored tabs**: reloads that follow one another faster than a person sees a page (``_is_restored``).
* **Rendered ahead**: the event says ``prerendered``, or the person goes on on another page without returning to it
  (``_is_never_shown``).
* **Hidden**: the page was hidden when it opened, or was opened while hidden (``_is_hidden``).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.arrays import Bools, Ints, Lookup, Small, count_by_owner, equals_any, mark_group_starts
from ufse.event_columns import EventColumns
from ufse.pace import is_paced_train
from ufse.sessions import (
    CLICK,
    HOVER,
    INPUT,
    NAVIGATION,
    NETWORK,
    SCROLL,
    SUBMIT,
    VISIBILITY,
    OrderedEvents,
)

_LED_WITHIN_MS: Final = 2_000
"""A click or submit this long before a navigation made it (as ``ufse.actions``)."""
_AT_ONCE_MS: Final = 150
"""A reload this soon after an answer is a script's: nobody reacts so fast (own choice)."""
_OTHER_TAB_WITHIN_MS: Final = 5_000
"""Tabs that are restored follow one another within this time (own choice)."""
_OTHER_TABS: Final = 2
"""Reloads of other pages in a row from which tabs are restored (own choice)."""
_RESTORED_WITHIN_MS: Final = 500
"""Reloads that follow one another faster than this are of several tabs (own choice)."""
_RESTORED_TABS: Final = 3
"""From this many such reloads on, the first is no person's either (own choice)."""
_TRAILING_MS: Final = 300
"""Movements reported this soon after a navigation may still be of the page before (own choice)."""
_ELSEWHERE_MS: Final = 30_000
"""Who acts on another page this soon after a navigation did not see what it opened (own choice)."""
_HIDDEN_FIRST_MS: Final = 300
"""A page that reports this soon that it is hidden was opened hidden (own choice)."""
_UNLOADED_WITHIN_MS: Final = 1_000
"""A page that becomes hidden this shortly before the next navigation is being left (own choice)."""
_PRERENDERED: Final = r'"prerendered"\s*:\s*(true\b|1\b|"(true|1)")'


@dataclass(frozen=True)
class _Scene:
    """The events of some visits, hovering and scrolling included; one entry per event, ordered by visit and time."""

    source: EventColumns
    kind: Small
    visit: Ints
    ts: Ints
    route: Ints
    moves: Ints
    """Navigations; the rules below have one entry for each."""

    @cached_property
    def inputs(self) -> Ints:
        """What a person did: clicks, inputs, submits, scrolling and hovering."""
        return np.flatnonzero(equals_any(self.kind, CLICK, INPUT, SUBMIT, SCROLL, HOVER))

    @cached_property
    def nav_types(self) -> tuple[Ints, list[str]]:
        return self.source.read_codes("nav_type", self.moves)

    def has_type(self, *accepted: str) -> Bools:
        code, texts = self.nav_types
        return np.array([t in accepted for t in texts], dtype=np.bool_)[code]

    @cached_property
    def led(self) -> Bools:
        """Whether a click or submit led to it."""
        starters = np.flatnonzero(equals_any(self.kind, CLICK, SUBMIT))
        if not len(starters):
            return np.zeros(len(self.moves), dtype=np.bool_)
        place = np.searchsorted(starters, self.moves) - 1
        by = starters[np.maximum(place, 0)]
        near = self.ts[self.moves] - self.ts[by] <= _LED_WITHIN_MS
        return np.asarray((place >= 0) & (self.visit[by] == self.visit[self.moves]) & near)

    @cached_property
    def train(self) -> tuple[Ints, Bools]:
        """The navigations of a visit to one route are a train. Places in ``moves``, ordered by visit and route, and per place
        whether a train begins there.
        """
        visit, route = self.visit[self.moves], self.route[self.moves]
        order = np.lexsort((self.moves, route, visit))
        return order, mark_group_starts(visit[order], route[order])


def find_unattended_navigations(ordered: OrderedEvents, rows: Ints) -> Bools:
    """Per row of ``rows`` (ascending numbers of ordered events, whole visits): whether it is a navigation that no person made
    or saw.
    """
    found = np.zeros(len(rows), dtype=np.bool_)
    kind = ordered.kind[rows]
    moves = np.flatnonzero(kind == NAVIGATION)
    if not len(moves):
        return found
    found[moves] = _is_prerendered(ordered, rows[moves])
    at = _choose_eventful_visits(ordered, rows, moves)
    if not len(at):
        return found
    kind, rows = kind[at], rows[at]
    source = EventColumns(ordered.table, ordered.row[rows])
    route, _ = source.read_codes("route", np.arange(len(rows)))
    moves = np.flatnonzero(kind == NAVIGATION)
    scene = _Scene(source, kind, ordered.visit[rows], ordered.ts[rows], route, moves)
    unmade = (_is_clocked(scene) | _is_scripted(scene) | _is_restored(scene) | _is_never_shown(scene)) & ~scene.led
    found[at[moves]] |= unmade | _is_hidden(scene)
    return found


def _choose_eventful_visits(ordered: OrderedEvents, rows: Ints, moves: Ints) -> Ints:
    """The places in ``rows`` of the visits that the rules ask about. A visit whose only navigation (``moves``: places) is its
    first event, and which reports no visibility, has no navigation that they could mark.
    """
    visit, kind, size = ordered.visit[rows], ordered.kind[rows], len(ordered.visits)
    asked = count_by_owner(visit[moves], size) > 1
    asked[visit[moves[~mark_group_starts(visit)[moves]]]] = True
    asked[visit[kind == VISIBILITY]] = True
    return np.flatnonzero(asked[visit])


def _is_clocked(scene: _Scene) -> Bools:
    """Whether it keeps the pace of the visit's navigations to its route."""
    order, first = scene.train
    at = scene.moves[order]
    gap = np.where(first, 0, np.append(0, np.diff(scene.ts[at])))
    paced = is_paced_train(gap, first, scene.ts[at] % 1_000 == 0)
    starts = first & np.append(paced[1:], False) & scene.has_type("reload")[order]
    found = np.zeros(len(at), dtype=np.bool_)
    found[order] = (paced & ~first) | starts
    return found


def _is_scripted(scene: _Scene) -> Bools:
    """Whether it is a reload that follows a failed answer at once, as most reloads of its route do."""
    status = scene.source["status"]
    failed = np.flatnonzero((scene.kind == NETWORK) & (status >= 400))
    reload = scene.has_type("reload")
    if not len(failed) or not reload.any():
        return np.zeros(len(scene.moves), dtype=np.bool_)
    order, first = scene.train
    at = scene.moves[order]
    answer = failed[np.maximum(np.searchsorted(failed, at) - 1, 0)]
    same = (answer < at) & (scene.visit[answer] == scene.visit[at]) & (scene.route[answer] == scene.route[at])
    at_once = same & (scene.ts[at] - scene.ts[answer] <= _AT_ONCE_MS) & reload[order]
    train = np.cumsum(first) - 1
    size = int(train[-1]) + 1
    count, total = count_by_owner(train, size, at_once), count_by_owner(train, size, reload[order])
    always = (count >= 3) & (4 * count >= 3 * (total - 1))
    found = np.zeros(len(at), dtype=np.bool_)
    found[order] = at_once & always[train]
    return found


def _is_restored(scene: _Scene) -> Bools:
    """Whether it is a reload beside others of the visit, faster than a person sees a page."""
    at = np.flatnonzero(scene.has_type("reload"))
    found = np.zeros(len(scene.moves), dtype=np.bool_)
    if len(at) < 2:
        return found
    row = scene.moves[at]
    fresh = mark_group_starts(scene.visit[row])
    fresh[1:] |= np.diff(scene.ts[row]) >= _RESTORED_WITHIN_MS
    burst = np.cumsum(fresh) - 1
    found[at] = ~fresh | (np.bincount(burst)[burst] >= _RESTORED_TABS)
    return found | _is_other_tab(scene)


def _is_other_tab(scene: _Scene) -> Bools:
    """Whether it is one of several reloads in a row, each of another page than the one shown before, without any input.

    A person reloads the page that is shown. A browser that restores its tabs loads one after the other, as reloads.
    """
    moves, reload = scene.moves, scene.has_type("reload")
    soon = np.append(False, np.diff(scene.ts[moves]) <= _OTHER_TAB_WITHIN_MS)
    other = (
        reload
        & soon
        & ~mark_group_starts(scene.visit[moves])
        & mark_group_starts(scene.visit[moves], scene.route[moves])
    )
    acted = np.searchsorted(scene.inputs, moves)
    other &= acted == np.append(0, acted[:-1])[: len(moves)]
    run = np.cumsum(~other) - 1
    return np.asarray(other & (np.bincount(run[other], minlength=int(run.max(initial=0)) + 1)[run] >= _OTHER_TABS))


def _is_prerendered(ordered: OrderedEvents, moves: Ints) -> Bools:
    """Per navigation (number of an ordered event): whether it says that its page was rendered ahead."""
    column = ordered.table["metadata"].take(pa.array(ordered.row[moves])).cast(pa.string())
    found = pc.match_substring_regex(column, _PRERENDERED, ignore_case=True)
    return np.asarray(found.fill_null(False).to_numpy(), dtype=np.bool_)


def _is_never_shown(scene: _Scene) -> Bools:
    """Whether the person went on on another page without returning to it: the page was rendered ahead or behind."""
    moves, inputs = scene.moves, scene.inputs
    found = np.zeros(len(moves), dtype=np.bool_)
    at = np.flatnonzero(scene.has_type("link", "") & ~scene.led)
    if not len(inputs) or not len(at):
        return found
    move = moves[at]
    act = inputs[np.minimum(np.searchsorted(inputs, move), len(inputs) - 1)]
    # The first movements may still be of the page before.
    while len(
        late := np.flatnonzero((act < inputs[-1]) & (scene.ts[act] - scene.ts[move] < _TRAILING_MS) & (act > move))
    ):
        act[late] = inputs[np.searchsorted(inputs, act[late], "right")]
    soon = scene.ts[act] - scene.ts[move]
    there = (act > move) & (scene.visit[act] == scene.visit[move]) & (soon >= _TRAILING_MS) & (soon <= _ELSEWHERE_MS)
    at, move, act = at[there], move[there], act[there]
    # The page on which the person acts was there before this navigation, and was not opened again since.
    width = int(scene.route.max()) + 1
    opened = Lookup(scene.visit[moves] * width + scene.route[moves], moves)
    key = scene.visit[act] * width + scene.route[act]
    elsewhere = (scene.route[act] != scene.route[move]) & (opened.find_last_before(key, act) < move)
    last = inputs[np.maximum(np.searchsorted(inputs, move) - 1, 0)]
    used = (last < move) & (scene.visit[last] == scene.visit[move]) & (scene.route[last] == scene.route[act])
    found[at[elsewhere & (used | (opened.find_last_before(key, move) >= 0))]] = True
    return found


def _is_hidden(scene: _Scene) -> Bools:
    """Whether its page was hidden when it opened, or it opened again while hidden."""
    moves = scene.moves
    rows = np.flatnonzero(scene.kind == VISIBILITY)
    if not len(rows):
        return np.zeros(len(moves), dtype=np.bool_)
    code, texts = scene.source.read_codes("state", rows)
    hides = np.array([t == "hidden" for t in texts], dtype=np.bool_)[code]
    mark = np.full(len(scene.ts), -1, dtype=np.int8)
    mark[scene.inputs] = 0
    mark[rows] = hides
    before = _find_marks(mark)[moves]
    stays = _is_hidden_mark(scene, mark, before) & (scene.ts[moves] - scene.ts[before] >= 2 * _UNLOADED_WITHIN_MS)
    mark[moves[~stays]] = 0
    stays &= _is_hidden_mark(scene, mark, _find_marks(mark)[moves])
    return np.asarray(stays | _is_opened_hidden(scene, mark))


def _find_marks(mark: Small) -> Ints:
    """Per row: the last marked row before it, 0 without one."""
    place = np.maximum.accumulate(np.where(mark >= 0, np.arange(len(mark)), 0))
    return np.append(0, place[:-1])


def _is_hidden_mark(scene: _Scene, mark: Small, before: Ints) -> Bools:
    """Per navigation: whether the last mark before it hides its page."""
    moves = scene.moves
    same = (scene.visit[before] == scene.visit[moves]) & (scene.route[before] == scene.route[moves])
    return np.asarray((before < moves) & (mark[before] == 1) & same)


def _is_opened_hidden(scene: _Scene, mark: Small) -> Bools:
    """Per navigation: whether its page is hidden from its beginning until it is left."""
    size, moves = len(scene.ts), scene.moves
    marked = np.append(np.flatnonzero(mark >= 0), size)
    place = np.searchsorted(marked, moves, "right")
    hidden = marked[place]
    row = np.minimum(hidden, size - 1)
    soon = (hidden < size) & (scene.visit[row] == scene.visit[moves]) & (scene.route[row] == scene.route[moves])
    soon &= (mark[row] == 1) & (scene.ts[row] - scene.ts[moves] <= _HIDDEN_FIRST_MS)
    following = np.append(moves[1:], size)
    after = marked[np.minimum(place + 1, len(marked) - 1)]
    onward, then = np.minimum(following, size - 1), np.minimum(after, size - 1)
    left = (following < size) & (scene.visit[onward] == scene.visit[moves])
    undisturbed = (after >= following) | (scene.visit[then] != scene.visit[moves]) | (after >= size)
    unloaded = left & (scene.ts[onward] - scene.ts[row] <= _UNLOADED_WITHIN_MS)
    return np.asarray(soon & (hidden < following) & undisturbed & ~unloaded)
