"""Where visits begin and end, and how much of each is analysed (docs/contracts/detection.md, Sessions).

A person *acts* by a click, an input, a form submit or a scroll. Navigations count where a client session has none of these and
no hover either: then its collector reports pages alone, like an access log. Else a page that reloads itself all day would look
like a person. Everything else (requests, errors, measurements, hovers) keeps nothing alive.

A visit ends where nothing happens for longer than the gap, and where nobody acts for longer than the gap. What happens within
the gap after an action belongs to its visit, since answers may be slow. Of what happens between, the last gap before the next
action belongs to the visit that this action begins: it shows what the page does by itself. The rest, with nobody there, is a
visit of its own.
"""

from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, any_by_owner, mark_group_starts

ACTION_TYPES: Final = ("click", "input", "form_submit", "scroll")
"""Types of events by which a person acts; they are never automatic."""
POINTER_TYPES: Final = ("click", "input", "scroll", "hover")
"""Types of events that a collector of pages alone (an access log) does not report."""

_NOBODY, _AFTER, _BEFORE = range(3)


def mark_visit_starts(session: Ints, ts: Ints, acts: Bools, gap_ms: int) -> Bools:
    """Per event, ordered by session and time (epoch ms): whether it begins a visit.

    ``session``: number of the client session, from 0 without gaps. ``acts``: the person acts by the event.
    """
    first = np.ones(len(session), dtype=np.bool_)
    first[1:] = (session[1:] != session[:-1]) | (ts[1:] - ts[:-1] > gap_ms)
    rows = np.flatnonzero(_may_be_left_alone(session, ts, acts, gap_ms)[session])
    if len(rows):
        first[rows] |= _mark_lonely_starts(session[rows], ts[rows], acts[rows], gap_ms)
    return first


def _may_be_left_alone(session: Ints, ts: Ints, acts: Bools, gap_ms: int) -> Bools:
    """Per session: whether there is a time longer than the gap without an action of a person.

    Sessions without any action are not among them.
    """
    begin = np.flatnonzero(mark_group_starts(session))
    end = np.append(begin[1:], len(session))[: len(begin)] - 1
    acting = np.flatnonzero(acts)
    if not len(acting):
        return np.zeros(len(begin), dtype=np.bool_)
    owner, at = session[acting], ts[acting]
    first = mark_group_starts(owner)
    last = np.append(first[1:], True)
    before = np.where(first, ts[begin][owner], np.append(0, at[:-1]))
    after = np.where(last, ts[end][owner], np.append(at[1:], 0))
    return any_by_owner(owner, (at - before > gap_ms) | (after - at > gap_ms), len(begin))


def _mark_lonely_starts(session: Ints, ts: Ints, acts: Bools, gap_ms: int) -> Bools:
    """Per event of whole sessions: whether a visit begins with it because nobody acted."""
    place = np.arange(len(session))
    last = np.maximum.accumulate(np.where(acts, place, -1))
    follows = (last >= 0) & (session[last] == session)
    later = np.minimum.accumulate(np.where(acts, place, len(session))[::-1])[::-1]
    next_act = np.minimum(later, len(session) - 1)
    precedes = (later < len(session)) & (session[next_act] == session)
    state = np.full(len(session), _NOBODY, dtype=np.int8)
    state[precedes & (ts[next_act] - ts <= gap_ms)] = _BEFORE
    state[follows & (ts - ts[last] <= gap_ms)] = _AFTER
    changes = np.zeros(len(session), dtype=np.bool_)
    returns = (state[:-1] == _AFTER) & acts[1:] & (ts[1:] - ts[last[:-1]] > gap_ms)
    arrives = (state[:-1] == _BEFORE) & (state[1:] == _AFTER)
    changes[1:] = (session[1:] == session[:-1]) & (((state[:-1] != state[1:]) & ~arrives) | returns)
    return changes


def find_long_sessions(session: Ints, ts: Ints, gap_ms: int) -> tuple[Bools, Ints]:
    """(Per event, ordered by session and time: whether it is the first of its session, rows of sessions longer than the gap).

    Only in these rows a visit may end before its session.
    """
    first = mark_group_starts(session)
    begin = np.flatnonzero(first)
    bounds = np.append(begin, len(session))
    long = ts[bounds[1:] - 1] - ts[begin] > gap_ms
    return first, np.flatnonzero(np.repeat(long, np.diff(bounds))) if long.any() else begin[:0]


def mark_analysed(visit: Ints, ts: Ints, begin: Ints, counts: Bools, most_events: int, most_ms: int) -> Bools:
    """Per event: whether it is analysed. ``begin``: first row of each visit; ``counts``: the event counts for the limit.

    An event is analysed if at most ``most_events`` events that count came in its visit until it, and if it comes at most
    ``most_ms`` after the start of its visit.
    """
    if not len(begin):
        return np.zeros(0, dtype=np.bool_)
    bounds = np.append(begin, len(ts))
    small = np.diff(bounds).max() <= most_events
    if small and (ts[bounds[1:] - 1] - ts[begin]).max() <= most_ms:
        return np.ones(len(ts), dtype=np.bool_)
    total = np.cumsum(counts)
    before: Ints = (total - counts)[begin]
    return np.asarray((total - before[visit] <= most_events) & (ts - ts[begin][visit] <= most_ms), dtype=np.bool_)
