"""Other ways that worked: after a failure, the person got there by another payment or login, or without the refused extra.

Source: docs/decisions/0067. Recognised by what happened and where it led, not by words:

* from the page of the failed form the person went to another one of the same flow, and its form was accepted and led to a page
  that the visit had not shown before;
* another control led to an external page, and the return from there ended on such a page;
* the application itself moved on from a login page, and the page that it showed was used;
* another button of the page of the failed form led to a page that the visit had not shown before, no fields were filled in
  there, and the person did not come back to the form;
* a refused form of one field (a voucher, a code) was left alone, and a later form was accepted and led on.
"""

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    Lookup,
    any_by_owner,
    count_distinct_by_owner,
    equals_any,
    expand_ranges,
    is_among,
    mark_group_starts,
    sort_unique,
)
from ufse.candidates import Candidates
from ufse.feedback import RETURNED, SILENT
from ufse.index import Index
from ufse.sessions import CLICK, INPUT
from ufse.whole_pages import find_whole_pages

Times = tuple[Ints, Ints]
"""(Number of the candidate, epoch ms)."""


def find_other_ways(index: Index, found: Candidates, latest: Ints, refused: Bools) -> Times:
    """When candidates succeeded by another way after their last failed try.

    ``latest`` per candidate: row of the last interaction that failed, -1 without one. ``refused``: whether all its feedback is
    rejections.
    """
    ways = (
        _by_other_form(index, found, latest),
        _by_return(index, found, latest),
        _by_application(index, found, latest),
        _by_other_button(index, found, latest),
        _by_going_on(index, found, latest, refused),
    )
    owner, row = (np.concatenate(column) for column in zip(*ways, strict=True))
    return owner, index.frame.ts[row]


def _rows_after(rows: Ints, index: Index, found: Candidates, latest: Ints, chosen: Ints) -> Times:
    """(Candidate, row) of the ascending ``rows`` after the last failed try of the chosen candidates, in their visits."""
    bounds = (latest[chosen] + 1, index.frame.high[found.visit[chosen]])
    owner, place = expand_ranges(*(np.searchsorted(rows, bound) for bound in bounds))
    return chosen[owner], rows[place]


def _by_other_form(index: Index, found: Candidates, latest: Ints) -> Times:
    frame, moves = index.frame, index.navigation_rows
    rows = sort_unique(np.concatenate((index.accepted_action_rows, index.completed_action_rows)))
    if not len(rows) or not len(moves):
        return rows[:0], rows[:0]
    after = np.searchsorted(moves, rows, "right")
    led, came = moves[np.minimum(after, len(moves) - 1)], moves[np.maximum(after - 1, 0)]
    entered = (after > 0) & (frame.visit[came] == frame.visit[rows])
    kept = entered & _is_new_page(index)[led]
    rows, came = rows[kept], came[kept]
    before = np.searchsorted(moves, came) - 1
    origin = frame.pattern[moves[np.maximum(before, 0)]]
    filled = index.form_events_by_flow.has_keys(index.visit_flow_key(found.visit, index.flow_of_action(found.action)))
    owner, row = _rows_after(rows, index, found, latest, np.flatnonzero((latest >= 0) & filled))
    at = np.searchsorted(rows, row)
    page = index.pattern_of_action(found.action[owner])
    same = (index.flow_of_row(row) == index.flow_codes[page]) & (before[at] >= 0) & (origin[at] == page)
    kept = same & (frame.pattern[row] != page) & (came[at] > latest[owner])
    # Where answers are missing, not failed, a form that leads on was accepted, whatever its request shows.
    missing = equals_any(index.attribution.negative[found.negatives.values], SILENT, RETURNED)
    lacking = any_by_owner(found.negatives.owner, missing, len(found))
    kept &= lacking[owner] | is_among(row, index.accepted_action_rows)
    return owner[kept], row[kept]


def _by_return(index: Index, found: Candidates, latest: Ints) -> Times:
    """Another control of the page led to an external page, and the next page of the application is a new one that was used."""
    frame, moves = index.frame, index.navigation_rows
    if not len(moves):
        return moves, moves
    out = frame.is_external_or_download(moves) & (frame.source.read_at("external", moves) == 1)
    if not out.any():
        return moves[:0], moves[:0]
    back = moves[np.minimum(np.flatnonzero(out) + 1, len(moves) - 1)]
    away = moves[out]
    clicks = np.flatnonzero((frame.kind == CLICK) & index.attribution.meaningful)
    by = frame.find_last_until(clicks, frame.visit[away], frame.ts[away])
    whole = (is_among(back, find_whole_pages(index)) | index.is_served[back]) & ~index.is_failing[back]
    some = (
        whole
        & (back > away)
        & (frame.visit[back] == frame.visit[away])
        & (by >= 0)
        & ~index.detour_patterns[frame.pattern[back]]
    )
    by, back = by[some], back[some]
    owner, row = _rows_after(by, index, found, latest, np.flatnonzero(latest >= 0))
    end = back[np.searchsorted(by, row)]
    action = found.action[owner]
    other = (index.attribution.action[row] != action) & (frame.pattern[row] == index.pattern_of_action(action))
    fresh = _is_new_page(index)[end] | index.login_patterns[frame.pattern[row]]
    kept = other & fresh & (frame.pattern[end] != frame.pattern[row])
    return owner[kept], end[kept]


def _by_application(index: Index, found: Candidates, latest: Ints) -> Times:
    """The application itself left the login page, long after any click, for a page that was used."""
    frame, login = index.frame, index.login_patterns
    moves = find_whole_pages(index) if login.any() else index.navigation_rows[:0]
    if not len(moves):
        return moves, moves
    own = ~index.attribution.user_navigation[moves] & frame.column_equals("nav_type", "push", "replace", rows=moves)
    acts = index.interaction_rows
    act = frame.find_last_until(acts, frame.visit[moves], frame.ts[moves])
    patient = (act < 0) | (frame.ts[moves] - frame.ts[np.maximum(act, 0)] > index.config.reaction_window_ms)
    at = np.searchsorted(index.navigation_rows, moves) - 1
    before = index.navigation_rows[np.maximum(at, 0)]
    from_login = (at >= 0) & (frame.visit[before] == frame.visit[moves]) & login[frame.pattern[before]]
    gone = ~login[frame.pattern[moves]] & ~index.detour_patterns[frame.pattern[moves]]
    rows = moves[own & patient & from_login & gone]
    chosen = np.flatnonzero((latest >= 0) & login[index.pattern_of_action(found.action)])
    return _rows_after(rows, index, found, latest, chosen)


def _by_other_button(index: Index, found: Candidates, latest: Ints) -> Times:
    """Another button of the page that failed led to a new page: no fields were filled in there, nobody came back.

    Links, and buttons that leave or are pressed repeatedly, lead to pages, too: they are no other way.
    """
    frame, action = index.frame, index.attribution.action
    rows = np.flatnonzero(index.attribution.progress & index.attribution.meaningful & (frame.kind == CLICK))
    target = index.target_of_action(action[rows])
    other = [index.target_property(name)[target] for name in ("link", "leaves", "aside", "repeated", "nameless")]
    rows = rows[~np.any(other, axis=0)]
    moves = index.navigation_rows
    if not len(rows) or not len(moves):
        return rows[:0], rows[:0]
    led = moves[np.minimum(np.searchsorted(moves, rows, "right"), len(moves) - 1)]
    fresh = (led > rows) & _is_new_page(index)[led] & ~index.detour_patterns[frame.pattern[led]]
    # Who fills in fields on the page that came began something else.
    left = moves[np.minimum(np.searchsorted(moves, led, "right"), len(moves) - 1)]
    inputs = np.flatnonzero(frame.kind == INPUT)
    until = np.where(left > led, left, len(frame))
    until = np.minimum(until, frame.high[frame.visit[led]])
    typed = np.searchsorted(inputs, until) > np.searchsorted(inputs, led)
    kept = fresh & ~typed & ~index.is_failing[rows]
    rows, led = rows[kept], led[kept]
    filled = index.form_events_by_flow.has_keys(index.visit_flow_key(found.visit, index.flow_of_action(found.action)))
    owner, row = _rows_after(rows, index, found, latest, np.flatnonzero((latest >= 0) & filled))
    page = index.pattern_of_action(found.action[owner])
    end, visit = led[np.searchsorted(rows, row)], found.visit[owner]
    shown = Lookup(index.visit_page_key(frame.visit[moves], frame.pattern[moves]), moves)
    low, high = shown.find_span(index.visit_page_key(visit, page), end + 1, frame.high[visit])
    kept = (index.pattern_of_action(action[row]) == page) & (action[row] != found.action[owner]) & (low == high)
    return owner[kept], end[kept]


def _by_going_on(index: Index, found: Candidates, latest: Ints, refused: Bools) -> Times:
    """A refused form of one field was left alone, and a later action on another page was accepted and led on."""
    frame = index.frame
    chosen = np.flatnonzero((latest >= 0) & refused & ~index.login_patterns[index.pattern_of_action(found.action)])
    flow = index.visit_flow_key(found.visit[chosen], index.flow_of_action(found.action[chosen]))
    entered = np.maximum(index.flow_entries.find_last_before(flow, latest[chosen] + 1), frame.low[found.visit[chosen]])
    owner, row = index.form_events_by_flow.find_entries(flow, entered, latest[chosen] + 1)
    typed = frame.kind[row] == INPUT
    fields = count_distinct_by_owner(owner[typed], frame.raw_target[row[typed]], len(chosen))
    nameless = index.target_property("nameless")[index.target_of_action(found.action[chosen])]
    aside = chosen[(fields == 1) & ~nameless & _is_sent_after_typing(index, found.action[chosen], latest[chosen])]
    accepted = index.accepted_action_rows
    owner, row = _rows_after(accepted, index, found, latest, aside)
    kept = frame.pattern[row] != index.pattern_of_action(found.action[owner])
    # Logging in is no going on if it was tried before, and the form was refused again.
    logins = accepted[index.login_patterns[frame.pattern[accepted]]]
    if len(logins):
        first = index.attribution.cause[found.negatives.values[found.negatives.bounds[owner]]]
        before = np.searchsorted(logins, latest[owner]) > np.searchsorted(logins, first)
        kept &= ~(before & is_among(row, logins))
    return owner[kept], row[kept]


def _is_sent_after_typing(index: Index, action: Ints, latest: Ints) -> Bools:
    """Per failed try: whether no other control was used between the last change of a field and the try."""
    frame, acts = index.frame, index.interaction_rows
    inputs = np.flatnonzero(frame.kind == INPUT)
    at = np.searchsorted(inputs, latest) - 1
    if not len(inputs):
        return np.zeros(len(latest), dtype=np.bool_)
    since = inputs[np.maximum(at, 0)]
    typed = (at >= 0) & (frame.pattern[since] == index.pattern_of_action(action))
    owner, place = expand_ranges(np.searchsorted(acts, np.where(typed, since, latest)), np.searchsorted(acts, latest))
    row = acts[place]
    other = (frame.kind[row] != INPUT) & (index.attribution.action[row] != action[owner])
    other &= ~index.target_property("text_field")[frame.target[row]]
    return np.asarray(typed & ~any_by_owner(owner, other, len(latest)), dtype=np.bool_)


def _is_new_page(index: Index) -> Bools:
    """Per row: whether it is a navigation to a page on which the visit was not before."""
    frame = index.frame
    key = index.visit_page_key(frame.visit, frame.pattern)
    order = np.argsort(key, kind="stable")
    began = order[mark_group_starts(key[order])]
    # Requests of a page may be reported just before the navigation that shows it.
    moves = index.navigation_rows
    place = np.searchsorted(key[began], key[moves])
    opened = np.zeros(len(frame), dtype=np.bool_)
    opened[moves] = frame.ts[moves] - frame.ts[began[place]] <= index.config.reaction_window_ms
    return opened
