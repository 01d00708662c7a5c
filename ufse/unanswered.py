"""Visits in which an answer may be missing although nothing failed: the cheap first look before the rules of
``ufse.silent_controls`` and ``ufse.sent_back``.
"""

import numpy as np

from ufse.arrays import Bools, Ints, any_by_owner, count_by_owner, equals_any, mark_group_starts
from ufse.page_kinds import is_detour_page, is_login_form
from ufse.sent_back import RETURNED_TRIES
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT, OrderedEvents
from ufse.silent_controls import SILENT_TRIES


def may_lack_answers(ordered: OrderedEvents) -> Bools:
    """Per visit: whether clicks or submits came again and again after changes of fields, as both rules require."""
    size = len(ordered.visits)
    acts = np.flatnonzero(equals_any(ordered.kind, CLICK, SUBMIT, INPUT, NAVIGATION) & ordered.analysed)
    if not len(acts):
        return np.zeros(size, dtype=np.bool_)
    kind, visit = ordered.kind[acts], ordered.visit[acts]
    press = equals_any(kind, CLICK, SUBMIT)
    begin = np.flatnonzero(mark_group_starts(visit, press))
    before = np.maximum(begin - 1, 0)
    sent = press[begin] & (visit[before] == visit[begin]) & (kind[before] == INPUT) & (begin > 0)
    of_run, sizes = visit[begin], np.diff(np.append(begin, len(acts)))
    tried = begin[sent & (sizes >= SILENT_TRIES)]
    again = any_by_owner(visit[tried], _stays_on_page(ordered, acts, tried), size)
    if again.any():
        again &= any_by_owner(ordered.visit, ordered.kind == NETWORK, size)
    often = count_by_owner(of_run, size, sent) >= RETURNED_TRIES
    moves = acts[(kind == NAVIGATION) & often[visit]]
    return again | _shows_detours(ordered, moves) | _reloads_often(ordered, moves)


def _reloads_often(ordered: OrderedEvents, moves: Ints) -> Bools:
    """Per visit: whether as many of its navigations ``moves`` load a page anew as lost entries require."""
    size = len(ordered.visits)
    if not len(moves):
        return np.zeros(size, dtype=np.bool_)
    code, types = ordered.columns.read_codes("nav_type", moves)
    again = np.array([t == "reload" for t in types])[code]
    return count_by_owner(ordered.visit[moves], size, again) >= RETURNED_TRIES


def _stays_on_page(ordered: OrderedEvents, acts: Ints, tried: Ints) -> Bools:
    """Per run of presses: whether its first tries, and the change of a field before them, are on one page.

    ``tried``: places in ``acts`` at which such a run begins; each has at least `SILENT_TRIES` presses.
    """
    if not len(tried):
        return np.zeros(0, dtype=np.bool_)
    steps = acts[tried[:, None] + np.arange(-1, SILENT_TRIES)]
    route, _ = ordered.columns.read_codes("route", steps.ravel())
    pages = route.reshape(steps.shape)
    return np.asarray((pages == pages[:, :1]).all(axis=1), dtype=np.bool_)


def _shows_detours(ordered: OrderedEvents, moves: Ints) -> Bools:
    """Per visit: whether one of its navigations ``moves`` shows a login or error page."""
    size = len(ordered.visits)
    if not len(moves):
        return np.zeros(size, dtype=np.bool_)
    code, routes = ordered.columns.read_codes("route", moves)
    detour = np.array([is_detour_page(r) or is_login_form(r) for r in routes])
    return any_by_owner(ordered.visit[moves], detour[code], size)
