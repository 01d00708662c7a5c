"""Abandonment: a flow was begun, it met attributed negative feedback, and within 60 s it was left without success.

Source: detection.md, Signals. Begun means that fields were touched or a form was submitted since the flow was entered or
something in it was achieved; own choice: or that the action was tried twice, for many collectors tell neither fields nor
forms, and two tries are a beginning. A page hidden as the last thing of a visit is its end: browsers often tell no other;
so is silence after two tries.
Never: leaving without friction (there is no cluster then); the application itself led on to another page; a return to the
flow within 60 s; downloads, prints, shares and external links; a step inside the same flow; a success in between (then the
candidate is resolved).

To add an exclusion, add a condition to ``_went_on`` (nothing was left) or ``_leavings`` (this navigation is no leaving), and
a case to tests/unit/ufse/test_signals.py.
"""

import numpy as np

from ufse.arrays import Bools, Ints, Ragged, any_by, expand, heads
from ufse.candidates import Clusters
from ufse.feedback import MEASURED_WITH_MS, SLOW
from ufse.index import Index
from ufse.signals.model import ABANDONMENT, ENDED, LEFT, SILENCE, Signals

_TRIED_AGAIN = 2
"""Tries that failed, after which an action without any field is a begun flow (own choice)."""
_SHOWN_FIELDS = 6
"""The last fields touched are enough to tell the story."""


def abandonment(index: Index, clusters: Clusters) -> tuple[Ints, Signals]:
    """(Cluster, signal) of every cluster whose flow was left; ``form`` says how: LEFT, ENDED, or SILENCE, which is weaker,
    for a collector may lack ``session_end``.
    """
    if not len(clusters):
        return np.zeros(0, dtype=np.int64), Signals.none()
    last = clusters.negatives.last
    low, high = _begun(index, clusters, last)
    again = clusters.tries >= _TRIED_AGAIN
    lost = ((high > low) | again) & ~_came(index, last) & ~_went_on(index, last)
    row, form = _leave(index, clusters, last)
    # Who tried again and then did nothing any more has ended the visit there, though the collector tells no end.
    form = np.where((form == SILENCE) & again, ENDED, form)
    patience = index.config.abandon_window_ms
    found = np.flatnonzero(lost & (row >= 0) & (index.frame.ts[row] - index.frame.ts[last] <= patience))
    return found, _signals(index, clusters, found, (low[found], high[found]), row[found], form[found])


def _came(index: Index, last: Ints) -> Bools:
    """Whether the last negative is an answer that came in the end: slow, or the measurement or loading phase of a slow one."""
    frame, given = index.frame, index.given
    good = index.last_good[given.cause[last]]
    told = frame.ts[good] >= frame.ts[last] - MEASURED_WITH_MS
    return np.asarray(given.success[last] | ((given.negative[last] == SLOW) & (good >= 0) & told), dtype=np.bool_)


def _signals(
    index: Index, clusters: Clusters, found: Ints, begun: tuple[Ints, Ints], left: Ints, form: Ints
) -> Signals:
    frame, given = index.frame, index.given
    low, high = begun
    fields = index.begun_by_flow.rows
    owner, place = expand(np.maximum(low, high - _SHOWN_FIELDS), high)
    untouched = np.flatnonzero(low == high)
    tried = clusters.story.take(found[untouched])
    acted = given.cause[tried.values]
    beyond = (form != SILENCE) & (left > clusters.negatives.last[found])
    owners = np.concatenate((owner, untouched[tried.owner], np.flatnonzero(beyond)))
    values = np.concatenate((fields[place], acted, left[beyond]))
    order = np.lexsort((values, owners))
    owners, values = owners[order], values[order]
    once = heads(owners, values)
    first = clusters.negatives.first[found]
    return Signals.of(
        ABANDONMENT,
        form,
        start=frame.ts[given.cause[first]],
        end=np.maximum(frame.ts[left], frame.ts[clusters.negatives.last[found]]),
        count=np.where(low == high, clusters.tries[found], high - low),
        action=clusters.action[found],
        row=_shown(index, clusters, found, low, high),
        rows=Ragged.of(owners[once], values[once], len(found)),
    )


def _shown(index: Index, clusters: Clusters, found: Ints, low: Ints, high: Ints) -> Ints:
    """The row that each signal is shown with: the field or form touched last, else the last try."""
    fields, tried = index.begun_by_flow.rows, index.given.cause[clusters.negatives.last[found]]
    touched = fields[np.clip(high - 1, 0, None)] if len(fields) else tried
    return np.where(high > low, touched, tried)


def _begun(index: Index, clusters: Clusters, last: Ints) -> tuple[Ints, Ints]:
    """Places in ``begun_by_flow`` of what was begun of the flow, up to the last failure.

    Begun anew: since the flow was entered from elsewhere, or something in it was achieved before.
    """
    cause = index.given.cause[last]
    flow = index.in_flow(clusters.visit, index.flow_of(clusters.action))
    entered = index.entries.last_before(flow, cause + 1)
    achieved = index.achieved_by_flow.last_before(flow, cause)
    since = np.maximum(np.maximum(entered, achieved), index.frame.low[clusters.visit])
    return index.begun_by_flow.span(flow, since, last + 1)


def _went_on(index: Index, last: Ints) -> Bools:
    """Whether the application itself led on to another page, so that nothing was left: not to an error page or login."""
    frame, given, config = index.frame, index.given, index.config
    cause = given.cause[last]
    visit = frame.visit[last]
    at_once = frame.first_at(visit, frame.ts[cause] + config.double_click_ms + 1)
    acting = np.searchsorted(index.acts, np.maximum(at_once, cause + 1))
    acts = np.append(index.acts, len(frame))
    until = frame.first_at(visit, frame.ts[last] + config.reaction_window_ms + 1)
    high = np.searchsorted(index.moves, np.minimum(until, acts[acting]))
    owner, place = expand(np.searchsorted(index.moves, cause, "right"), high)
    move = index.moves[place]
    away = (frame.route[move] != frame.route[cause[owner]]) & ~index.detours[frame.pattern[move]]
    return any_by(owner, away & ~given.user_navigation[move], len(last))


def _leave(index: Index, clusters: Clusters, last: Ints) -> tuple[Ints, Ints]:
    """How each cluster's flow was left for good: (row, form); row -1 where it was not.

    The first leaving after the last failure that was not followed by a return within 60 s.
    """
    frame, size = index.frame, len(clusters)
    gave_up = (frame.aborted[last] == 1) | (frame.status[last] == 0)
    since = frame.ts[last] - np.where(gave_up, 1_000, 0)
    row = np.full(size, -1, dtype=np.int64)
    form = np.full(size, SILENCE, dtype=np.int64)
    for found, how in (
        (_leavings(index, clusters, last, since), LEFT),
        (_endings(index, clusters, last, since), ENDED),
    ):
        owner, leaving = found
        first = heads(owner) & (row[owner] < 0)
        row[owner[first]], form[owner[first]] = leaving[first], how
    final = frame.high[clusters.visit] - 1
    stayed = index.flow(final) == index.flow_of(clusters.action)
    silent = (row < 0) & stayed & (final >= last) & ~frame.truncated[clusters.visit]
    ended = _ended_aside(index, clusters, last) & (form != LEFT)
    return np.where(ended, -1, np.where(silent, final, row)), form


def _ended_aside(index: Index, clusters: Clusters, last: Ints) -> Bools:
    """Whether the last that is known after the failure is an external page or a download: that is no leaving, and what came
    of it nobody told.
    """
    frame = index.frame
    if not len(index.moves):
        return np.zeros(len(clusters), dtype=np.bool_)
    high = frame.high[clusters.visit]
    place = np.searchsorted(index.moves, high) - 1
    move = index.moves[np.maximum(place, 0)]
    acted = np.searchsorted(index.acts, high) > np.searchsorted(index.acts, move, "right")
    return np.asarray((place >= 0) & (move > last) & frame.is_aside(move) & ~acted, dtype=np.bool_)


def _leavings(index: Index, clusters: Clusters, last: Ints, since: Ints) -> tuple[Ints, Ints]:
    """(Cluster, navigation) of people going to another route: not the application's own redirect, no download, print, share
    or external page, no return within 60 s.
    """
    frame, given = index.frame, index.given
    until = frame.first_at(clusters.visit, frame.ts[last] + index.config.abandon_window_ms + 1)
    low = np.searchsorted(index.moves, given.cause[last], "right")
    owner, place = expand(low, np.searchsorted(index.moves, until))
    row = index.moves[place]
    flow = index.flow_of(clusters.action)
    out = (frame.ts[row] >= since[owner]) & (index.flow(row) != flow[owner]) & ~frame.is_aside(row)
    owner, row = owner[out], row[out]
    acted, aside = _just_before(index, row, last[owner])
    leaves = ~aside & (given.user_navigation[row] | acted) & ~_returns(index, clusters, owner, row)
    return owner[leaves], row[leaves]


def _just_before(index: Index, row: Ints, last: Ints) -> tuple[Bools, Bools]:
    """Whether something was done in the 2 s before each row but after the last failure, and whether it prints or shares."""
    frame = index.frame
    recent = frame.first_at(frame.visit[row], frame.ts[row] - index.config.reaction_window_ms)
    owner, place = expand(np.searchsorted(index.acts, recent), np.searchsorted(index.acts, row, "right"))
    act = index.acts[place]
    after = (act > last[owner]) | (frame.ts[act] >= frame.ts[last[owner]])
    aside = index.target_is("aside")[index.target_of(index.given.action[act])]
    return any_by(owner, after, len(row)), any_by(owner, after & aside, len(row))


def _endings(index: Index, clusters: Clusters, last: Ints, since: Ints) -> tuple[Ints, Ints]:
    """(Cluster, session end) after the last failure: told as such, or a page that was hidden and never used again."""
    frame = index.frame
    ends = index.farewells
    low = np.searchsorted(ends, index.given.cause[last], "right")
    owner, place = expand(low, np.searchsorted(ends, frame.high[clusters.visit]))
    row = ends[place]
    ended = (frame.ts[row] >= since[owner]) & ~_returns(index, clusters, owner, row)
    return owner[ended], row[ended]


def _returns(index: Index, clusters: Clusters, owner: Ints, row: Ints) -> Bools:
    """Whether something was done in the flow again within 60 s."""
    flow = index.in_flow(clusters.visit, index.flow_of(clusters.action))[owner]
    again = index.acts_by_flow.first_from(flow, row + 1)
    soon = index.frame.ts[again] - index.frame.ts[row] <= index.config.abandon_window_ms
    return np.asarray((again >= 0) & soon, dtype=np.bool_)
