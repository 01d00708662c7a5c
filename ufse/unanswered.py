"""Visits in which an answer may be missing although nothing failed: the cheap first look before the rules of
``ufse.silent_controls``, ``ufse.sent_back`` and ``ufse.form_pages``.
"""

import numpy as np

from ufse.arrays import Bools, Ints, any_by_owner, count_by_owner, equals_any, mark_group_starts
from ufse.config import DEFAULT, Config
from ufse.dead_controls import BURST, REPEATS
from ufse.form_pages import SHOWN_TRIES
from ufse.page_kinds import is_detour_page, is_login_form
from ufse.sent_back import RETURNED_TRIES
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT, OrderedEvents
from ufse.silent_controls import ANSWERED_PRESSES, SILENT_TRIES
from ufse.targets import TEXT_FIELDS


def may_lack_answers(ordered: OrderedEvents, config: Config = DEFAULT) -> Bools:
    """Per visit: whether clicks or submits came again and again after changes of fields, as the rules require."""
    size = len(ordered.visits)
    acts = np.flatnonzero(equals_any(ordered.kind, CLICK, SUBMIT, INPUT, NAVIGATION) & ordered.analysed)
    if not len(acts):
        return np.zeros(size, dtype=np.bool_)
    kind, visit = ordered.kind[acts], ordered.visit[acts]
    press = equals_any(kind, CLICK, SUBMIT)
    begin = np.flatnonzero(mark_group_starts(visit, press))
    before = np.maximum(begin - 1, 0)
    sent = press[begin] & (visit[before] == visit[begin]) & (kind[before] == INPUT) & (begin > 0)
    of_run = visit[begin]
    again = count_by_owner(visit, size, press) >= SILENT_TRIES
    if again.any():
        pressing = acts[again[visit] & (kind != NAVIGATION)]
        hurried = _presses_in_bursts(ordered, pressing, config.rage_gap_ms)
        again &= _fills_pressed_page(ordered, pressing) | hurried
        asks = any_by_owner(ordered.visit, ordered.kind == NETWORK, size)
        again &= asks | (hurried & (count_by_owner(visit, size, kind == NAVIGATION) >= ANSWERED_PRESSES))
    often = count_by_owner(of_run, size, sent) >= RETURNED_TRIES
    moves = acts[(kind == NAVIGATION) & often[visit]]
    again |= _reports_refusals(ordered, acts[kind == CLICK]) | _shows_forms_again(ordered, acts)
    return again | _shows_detours(ordered, moves) | _reloads_often(ordered, moves)


def _reports_refusals(ordered: OrderedEvents, clicks: Ints) -> Bools:
    """Per visit: whether the collector says of enough of its ``clicks`` that they came to nothing."""
    refused = ordered.columns.read_at("responded", clicks) == 0
    refused |= ordered.columns.read_at("disabled", clicks) == 1
    return count_by_owner(ordered.visit[clicks], len(ordered.visits), refused) >= SILENT_TRIES


def _reloads_often(ordered: OrderedEvents, moves: Ints) -> Bools:
    """Per visit: whether as many of its navigations ``moves`` load a page anew as lost entries require."""
    size = len(ordered.visits)
    if not len(moves):
        return np.zeros(size, dtype=np.bool_)
    code, types = ordered.columns.read_codes("nav_type", moves)
    again = np.array([t == "reload" for t in types])[code]
    return count_by_owner(ordered.visit[moves], size, again) >= RETURNED_TRIES


def _shows_forms_again(ordered: OrderedEvents, acts: Ints) -> Bools:
    """Per visit: whether one of its pages is shown, pressed and filled in as often as a form whose own page comes back."""
    size = len(ordered.visits)
    kind, visit = ordered.kind[acts], ordered.visit[acts]
    counts = (
        count_by_owner(visit, size, kind == NAVIGATION),
        count_by_owner(visit, size, equals_any(kind, CLICK, SUBMIT)),
    )
    acts = acts[(np.minimum(*counts) >= SHOWN_TRIES)[visit]]
    if not len(acts):
        return np.zeros(size, dtype=np.bool_)
    kind, (route, routes) = ordered.kind[acts], ordered.columns.read_codes("route", acts)
    page = ordered.visit[acts] * len(routes) + route
    known, owner = np.unique(page, return_inverse=True)
    moves = count_by_owner(owner, len(known), kind == NAVIGATION)
    presses = count_by_owner(owner, len(known), equals_any(kind, CLICK, SUBMIT))
    fields = count_by_owner(owner, len(known), _touches_field(ordered, acts))
    found = np.minimum(np.minimum(moves, presses), fields) >= SHOWN_TRIES
    return any_by_owner(known // len(routes), found, size)


def _touches_field(ordered: OrderedEvents, acts: Ints) -> Bools:
    """Per event: whether it changes a field, or is a click into one."""
    changes = (ordered.kind[acts] == INPUT) & ~_is_visit_of_field(ordered, acts)
    named = np.zeros(len(acts), dtype=np.bool_)
    for column in ("target_type", "target_tag"):
        code, texts = ordered.columns.read_codes(column, acts)
        named |= np.array([t.lower() in TEXT_FIELDS for t in texts], dtype=np.bool_)[code]
    return np.asarray(changes | (named & (ordered.kind[acts] == CLICK)), dtype=np.bool_)


def _fills_pressed_page(ordered: OrderedEvents, acts: Ints) -> Bools:
    """Per visit: whether one of its pages has a change of a field, and enough presses without a change since the press before.

    Both rules need that of one control; a page is read faster. ``acts``: clicks, submits and events of fields of the visits
    that are asked about.
    """
    size = len(ordered.visits)
    acts = acts[~_is_visit_of_field(ordered, acts)]
    if not len(acts):
        return np.zeros(size, dtype=np.bool_)
    route, routes = ordered.columns.read_codes("route", acts)
    page = ordered.visit[acts] * len(routes) + route
    order = np.argsort(page, kind="stable")
    page, change = page[order], ordered.kind[acts[order]] == INPUT
    begin = mark_group_starts(page)
    number, pages = np.cumsum(begin) - 1, int(begin.sum())
    repeated = ~begin & ~change & ~np.append(True, change[:-1])
    found = count_by_owner(number, pages, repeated) >= REPEATS
    found &= any_by_owner(number, change, pages)
    return any_by_owner(page[begin] // len(routes), found, size)


def _presses_in_bursts(ordered: OrderedEvents, acts: Ints, gap_ms: int) -> Bools:
    """Per visit: whether one of its pages has as many presses as three tries with a burst need, and a burst among them.

    ``acts``: clicks, submits and events of fields of the visits that are asked about; ``gap_ms``: longest pause in a burst.
    """
    size = len(ordered.visits)
    presses = acts[ordered.kind[acts] != INPUT]
    route, routes = ordered.columns.read_codes("route", presses)
    page = ordered.visit[presses] * max(len(routes), 1) + route
    order = np.argsort(page, kind="stable")
    page, ts = page[order], ordered.ts[presses[order]]
    begin = mark_group_starts(page)
    number, pages = np.cumsum(begin) - 1, int(begin.sum())
    close = ~begin & (np.diff(ts, prepend=ts[:1]) <= gap_ms)
    burst = close & np.append(False, close[:-1])
    found = count_by_owner(number, pages) >= SILENT_TRIES + BURST - 1
    found &= any_by_owner(number, burst, pages)
    return any_by_owner(page[begin] // max(len(routes), 1), found, size)


def _is_visit_of_field(ordered: OrderedEvents, acts: Ints) -> Bools:
    """Per event: whether it tells of a field that was entered or left, and not of a change."""
    code, texts = ordered.columns.read_codes("action", acts)
    return np.array([t in ("focus", "blur") for t in texts], dtype=np.bool_)[code]


def _shows_detours(ordered: OrderedEvents, moves: Ints) -> Bools:
    """Per visit: whether one of its navigations ``moves`` shows a login or error page."""
    size = len(ordered.visits)
    if not len(moves):
        return np.zeros(size, dtype=np.bool_)
    code, routes = ordered.columns.read_codes("route", moves)
    detour = np.array([is_detour_page(r) or is_login_form(r) for r in routes])
    return any_by_owner(ordered.visit[moves], detour[code], size)
