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

from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, Ragged, any_by_owner, expand_ranges, mark_group_starts
from ufse.candidates import Clusters
from ufse.feedback import MEASURED_WITH_MS, SLOW
from ufse.formats import format_duration
from ufse.index import Index
from ufse.signals.model import ENDED, LEFT, SILENCE, ClusterSignals, SignalFacts, SignalKind, Signals

_TRIED_AGAIN = 2
"""Tries that failed, after which an action without any field is a begun flow (own choice)."""
_SHOWN_FIELDS = 6
"""The last fields touched are enough to tell the story."""


def find_abandonment_signals(index: Index, clusters: Clusters) -> ClusterSignals:
    """The signal of every cluster whose flow was left; ``form`` says how: LEFT, ENDED, or SILENCE, which is weaker,
    for a collector may lack ``session_end``.
    """
    if not len(clusters):
        return ClusterSignals.make_empty()
    last = clusters.negatives.last
    low, high = _find_begun_span(index, clusters, last)
    again = clusters.try_counts >= _TRIED_AGAIN
    lost = ((high > low) | again) & ~_has_late_answer(index, last) & ~_is_moved_by_application(index, last)
    row, form = _find_leaving(index, clusters, last)
    # Who tried again and then did nothing any more has ended the visit there, though the collector tells no end.
    form = np.where((form == SILENCE) & again, ENDED, form)
    patience = index.config.abandon_window_ms
    found = np.flatnonzero(lost & (row >= 0) & (index.frame.ts[row] - index.frame.ts[last] <= patience))
    begun = (low[found], high[found])
    return ClusterSignals(found, _build_abandonment_signals(index, clusters, found, begun, row[found], form[found]))


def _has_late_answer(index: Index, last: Ints) -> Bools:
    """Whether the last negative is an answer that came in the end: slow, or the measurement or loading phase of a slow one."""
    frame, attribution = index.frame, index.attribution
    good = index.last_good_answer[attribution.cause[last]]
    came_last = frame.ts[good] >= frame.ts[last] - MEASURED_WITH_MS
    return np.asarray(
        attribution.success[last] | ((attribution.negative[last] == SLOW) & (good >= 0) & came_last), dtype=np.bool_
    )


def _build_abandonment_signals(
    index: Index, clusters: Clusters, found: Ints, begun: tuple[Ints, Ints], left: Ints, form: Ints
) -> Signals:
    frame, attribution = index.frame, index.attribution
    low, high = begun
    fields = index.form_events_by_flow.rows
    owner, place = expand_ranges(np.maximum(low, high - _SHOWN_FIELDS), high)
    untouched = np.flatnonzero(low == high)
    tried = clusters.negatives_since_success.take_lists(found[untouched])
    acted = attribution.cause[tried.values]
    beyond = (form != SILENCE) & (left > clusters.negatives.last[found])
    owners = np.concatenate((owner, untouched[tried.owner], np.flatnonzero(beyond)))
    values = np.concatenate((fields[place], acted, left[beyond]))
    order = np.lexsort((values, owners))
    owners, values = owners[order], values[order]
    once = mark_group_starts(owners, values)
    first = clusters.negatives.first[found]
    return Signals.of_form(
        form,
        start=frame.ts[attribution.cause[first]],
        end=np.maximum(frame.ts[left], frame.ts[clusters.negatives.last[found]]),
        count=np.where(low == high, clusters.try_counts[found], high - low),
        action=clusters.action[found],
        row=_find_shown_rows(index, clusters, found, low, high),
        rows=Ragged.from_owners(owners[once], values[once], len(found)),
    )


def _find_shown_rows(index: Index, clusters: Clusters, found: Ints, low: Ints, high: Ints) -> Ints:
    """The row that each signal is shown with: the field or form touched last, else the last try."""
    fields, tried = index.form_events_by_flow.rows, index.attribution.cause[clusters.negatives.last[found]]
    touched = fields[np.clip(high - 1, 0, None)] if len(fields) else tried
    return np.where(high > low, touched, tried)


def _find_begun_span(index: Index, clusters: Clusters, last: Ints) -> tuple[Ints, Ints]:
    """Places in ``begun_by_flow`` of what was begun of the flow, up to the last failure.

    Begun anew: since the flow was entered from elsewhere, or something in it was achieved before.
    """
    cause = index.attribution.cause[last]
    flow = index.visit_flow_key(clusters.visit, index.flow_of_action(clusters.action))
    entered = index.flow_entries.find_last_before(flow, cause + 1)
    achieved = index.successes_by_flow.find_last_before(flow, cause)
    since = np.maximum(np.maximum(entered, achieved), index.frame.low[clusters.visit])
    return index.form_events_by_flow.find_span(flow, since, last + 1)


def _is_moved_by_application(index: Index, last: Ints) -> Bools:
    """Whether the application itself led on to another page, so that nothing was left: not to an error page or login."""
    frame, attribution, config = index.frame, index.attribution, index.config
    cause = attribution.cause[last]
    visit = frame.visit[last]
    at_once = frame.find_first_since(visit, frame.ts[cause] + config.double_click_ms + 1)
    acting = np.searchsorted(index.interaction_rows, np.maximum(at_once, cause + 1))
    acts = np.append(index.interaction_rows, len(frame))
    until = frame.find_first_since(visit, frame.ts[last] + config.reaction_window_ms + 1)
    high = np.searchsorted(index.navigation_rows, np.minimum(until, acts[acting]))
    owner, place = expand_ranges(np.searchsorted(index.navigation_rows, cause, "right"), high)
    move = index.navigation_rows[place]
    away = (frame.route[move] != frame.route[cause[owner]]) & ~index.detour_patterns[frame.pattern[move]]
    return any_by_owner(owner, away & ~attribution.user_navigation[move], len(last))


def _find_leaving(index: Index, clusters: Clusters, last: Ints) -> tuple[Ints, Ints]:
    """How each cluster's flow was left for good: (row, form); row -1 where it was not.

    The first leaving after the last failure that was not followed by a return within 60 s.
    """
    frame, size = index.frame, len(clusters)
    gave_up = (frame.aborted[last] == 1) | (frame.status[last] == 0)
    since = frame.ts[last] - np.where(gave_up, 1_000, 0)
    row = np.full(size, -1, dtype=np.int64)
    form = np.full(size, SILENCE, dtype=np.int64)
    for found, how in (
        (_find_navigations_away(index, clusters, last, since), LEFT),
        (_find_visit_endings(index, clusters, last, since), ENDED),
    ):
        owner, leaving = found
        first = mark_group_starts(owner) & (row[owner] < 0)
        row[owner[first]], form[owner[first]] = leaving[first], how
    final = frame.high[clusters.visit] - 1
    stayed = index.flow_of_row(final) == index.flow_of_action(clusters.action)
    silent = (row < 0) & stayed & (final >= last) & ~frame.truncated[clusters.visit]
    ended = _is_ended_externally(index, clusters, last) & (form != LEFT)
    return np.where(ended, -1, np.where(silent, final, row)), form


def _is_ended_externally(index: Index, clusters: Clusters, last: Ints) -> Bools:
    """Whether the last that is known after the failure is an external page or a download: that is no leaving, and what came
    of it nobody told.
    """
    frame = index.frame
    if not len(index.navigation_rows):
        return np.zeros(len(clusters), dtype=np.bool_)
    high = frame.high[clusters.visit]
    place = np.searchsorted(index.navigation_rows, high) - 1
    move = index.navigation_rows[np.maximum(place, 0)]
    acted = np.searchsorted(index.interaction_rows, high) > np.searchsorted(index.interaction_rows, move, "right")
    return np.asarray((place >= 0) & (move > last) & frame.is_external_or_download(move) & ~acted, dtype=np.bool_)


def _find_navigations_away(index: Index, clusters: Clusters, last: Ints, since: Ints) -> tuple[Ints, Ints]:
    """(Cluster, navigation) of people going to another route: not the application's own redirect, no download, print, share
    or external page, no return within 60 s.
    """
    frame, attribution = index.frame, index.attribution
    until = frame.find_first_since(clusters.visit, frame.ts[last] + index.config.abandon_window_ms + 1)
    low = np.searchsorted(index.navigation_rows, attribution.cause[last], "right")
    owner, place = expand_ranges(low, np.searchsorted(index.navigation_rows, until))
    row = index.navigation_rows[place]
    flow = index.flow_of_action(clusters.action)
    out = (
        (frame.ts[row] >= since[owner]) & (index.flow_of_row(row) != flow[owner]) & ~frame.is_external_or_download(row)
    )
    owner, row = owner[out], row[out]
    acted, aside = _find_acts_just_before(index, row, last[owner])
    leaves = ~aside & (attribution.user_navigation[row] | acted) & ~_has_returned_to_flow(index, clusters, owner, row)
    return owner[leaves], row[leaves]


def _find_acts_just_before(index: Index, row: Ints, last: Ints) -> tuple[Bools, Bools]:
    """Whether something was done in the 2 s before each row but after the last failure, and whether it prints or shares."""
    frame = index.frame
    recent = frame.find_first_since(frame.visit[row], frame.ts[row] - index.config.reaction_window_ms)
    owner, place = expand_ranges(
        np.searchsorted(index.interaction_rows, recent), np.searchsorted(index.interaction_rows, row, "right")
    )
    act = index.interaction_rows[place]
    after = (act > last[owner]) | (frame.ts[act] >= frame.ts[last[owner]])
    aside = index.target_property("aside")[index.target_of_action(index.attribution.action[act])]
    return any_by_owner(owner, after, len(row)), any_by_owner(owner, after & aside, len(row))


def _find_visit_endings(index: Index, clusters: Clusters, last: Ints, since: Ints) -> tuple[Ints, Ints]:
    """(Cluster, session end) after the last failure: told as such, or a page that was hidden and never used again."""
    frame = index.frame
    ends = index.visit_end_rows
    low = np.searchsorted(ends, index.attribution.cause[last], "right")
    owner, place = expand_ranges(low, np.searchsorted(ends, frame.high[clusters.visit]))
    row = ends[place]
    ended = (frame.ts[row] >= since[owner]) & ~_has_returned_to_flow(index, clusters, owner, row)
    return owner[ended], row[ended]


def _has_returned_to_flow(index: Index, clusters: Clusters, owner: Ints, row: Ints) -> Bools:
    """Whether something was done in the flow again within 60 s."""
    flow = index.visit_flow_key(clusters.visit, index.flow_of_action(clusters.action))[owner]
    again = index.interactions_by_flow.find_first_from(flow, row + 1)
    soon = index.frame.ts[again] - index.frame.ts[row] <= index.config.abandon_window_ms
    return np.asarray((again >= 0) & soon, dtype=np.bool_)


_LEAVING_TEXTS: Final = {
    LEFT: "the user left the flow on {} for {}",
    ENDED: "the session ended in the flow on {}",
    SILENCE: "activity in the flow on {} stopped",
}


def _describe_abandonment(facts: SignalFacts) -> str:
    after = facts.after_failure_ms
    wait = f"{format_duration(after)} after the last failure" if after > 0 else "at the time of the last failure"
    return f"{_LEAVING_TEXTS[facts.form].format(facts.route, facts.last_page)} {wait}"


SIGNAL: Final = SignalKind("abandonment", describe=_describe_abandonment, find=find_abandonment_signals)
