"""Abandonment: the user started a flow, got negative feedback, and left the flow within 60 s without a success.

Source: docs/contracts/detection.md, Signals. A flow is started when fields were touched or a form was submitted since the
user entered the flow or succeeded in it, or when the action was tried twice (own choice: many collectors report neither
fields nor forms). A page that is hidden at the end of a visit is the end of the visit, because browsers often report no
other. Silence after two tries is an end, too.

Not abandonment: leaving without negative feedback (there is no cluster then); a navigation to another page by the
application; a return to the flow within 60 s; downloads, prints, shares and external links; a step inside the same flow; a
success in between (the candidate is then resolved).

To add an exclusion, add a condition to ``find_abandonment_signals`` (nothing was left) or ``_find_navigations_away`` (this
navigation is not leaving), and a case to tests/unit/ufse/test_signals.py.
"""

from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, Ragged, any_by_owner, expand_ranges, mark_group_starts
from ufse.candidates import Clusters
from ufse.feedback import MEASURED_WITH_MS, SLOW
from ufse.formats import format_duration
from ufse.index import Index
from ufse.signals.model import ENDED, LEFT, SILENCE, ClusterSignals, SignalFacts, SignalKind, Signals

Spans = tuple[Ints, Ints]
"""Per cluster: the first place, and the place after the last."""
_TRIED_AGAIN = 2
"""Failed tries that start a flow without fields (own choice)."""
_SHOWN_FIELDS = 6
"""Fields that a signal lists, at most: the last ones."""


def find_abandonment_signals(index: Index, clusters: Clusters) -> ClusterSignals:
    """The signal of every cluster whose flow was left. ``form``: LEFT, ENDED, or SILENCE, which is weaker, because some
    collectors send no ``session_end``.
    """
    if not len(clusters) or index.config.visits_open:
        return ClusterSignals.make_empty()
    last = clusters.negatives.last
    (low, high), _ = find_begun_spans(index, clusters, last)
    again = clusters.try_counts >= _TRIED_AGAIN
    lost = ((high > low) | again) & ~_has_late_answer(index, last) & ~_is_moved_by_application(index, last)
    row, form = _find_leaving(index, clusters, last)
    # No activity after a second try is the end of the visit, even if the collector reports no end.
    form = np.where((form == SILENCE) & again, ENDED, form)
    patience = index.config.abandon_window_ms
    found = np.flatnonzero(lost & (row >= 0) & (index.frame.ts[row] - index.frame.ts[last] <= patience))
    begun = (low[found], high[found])
    return ClusterSignals(found, _build_abandonment_signals(index, clusters, found, begun, row[found], form[found]))


def _has_late_answer(index: Index, last: Ints) -> Bools:
    """Per row of ``last``: whether it is a slow answer that arrived, or the measurement or loading phase of one."""
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
    """The row with which each signal is shown: the field or form touched last, else the last try."""
    fields, tried = index.form_events_by_flow.rows, index.attribution.cause[clusters.negatives.last[found]]
    touched = fields[np.clip(high - 1, 0, None)] if len(fields) else tried
    return np.where(high > low, touched, tried)


def find_begun_spans(index: Index, clusters: Clusters, last: Ints) -> tuple[Spans, Spans]:
    """Per cluster: the places in ``form_events_by_flow`` of the fields and forms touched up to the last failure: since the last
    success in the flow, and since the flow was entered.
    """
    cause = index.attribution.cause[last]
    flow = index.visit_flow_key(clusters.visit, index.flow_of_action(clusters.action))
    achieved = index.successes_by_flow.find_last_before(flow, cause)
    entered = np.maximum(index.flow_entries.find_last_before(flow, cause + 1), index.frame.low[clusters.visit])
    find = index.form_events_by_flow.find_span
    return find(flow, np.maximum(entered, achieved), last + 1), find(flow, entered, last + 1)


def _is_moved_by_application(index: Index, last: Ints) -> Bools:
    """Per row of ``last``: whether the application itself navigated to another page that is neither an error page nor a
    login.
    """
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
    """How each cluster's flow was left: (row, form); row -1 if it was not left.

    The first leaving after the last failure without a return within 60 s.
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
    """Per cluster: whether the visit ends with an external page or a download after the failure, which is not leaving."""
    frame = index.frame
    if not len(index.navigation_rows):
        return np.zeros(len(clusters), dtype=np.bool_)
    high = frame.high[clusters.visit]
    place = np.searchsorted(index.navigation_rows, high) - 1
    move = index.navigation_rows[np.maximum(place, 0)]
    acted = np.searchsorted(index.interaction_rows, high) > np.searchsorted(index.interaction_rows, move, "right")
    return np.asarray((place >= 0) & (move > last) & frame.is_external_or_download(move) & ~acted, dtype=np.bool_)


def _find_navigations_away(index: Index, clusters: Clusters, last: Ints, since: Ints) -> tuple[Ints, Ints]:
    """(Cluster, navigation) of the user's navigations to another flow. Excluded: redirects by the application, downloads,
    prints, shares, external pages, and navigations with a return within 60 s.
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
    """Per row: whether an interaction came in the 2 s before it and after the last failure, and whether one prints or
    shares.
    """
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
    """(Cluster, session end) after the last failure: a reported end, or a page that was hidden and not used again."""
    frame = index.frame
    ends = index.visit_end_rows
    low = np.searchsorted(ends, index.attribution.cause[last], "right")
    owner, place = expand_ranges(low, np.searchsorted(ends, frame.high[clusters.visit]))
    row = ends[place]
    ended = (frame.ts[row] >= since[owner]) & ~_has_returned_to_flow(index, clusters, owner, row)
    return owner[ended], row[ended]


def _has_returned_to_flow(index: Index, clusters: Clusters, owner: Ints, row: Ints) -> Bools:
    """Per row: whether the user did something in the flow again within 60 s."""
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
