"""Failures that strayed among the clicks of a control that went on working."""

import numpy as np

from ufse.arrays import Bools, count_distinct_by_owner
from ufse.candidates import Clusters
from ufse.feedback import CRASH, FAILURE
from ufse.index import Index


def is_stray_error(index: Index, clusters: Clusters) -> Bools:
    """Per cluster: whether its failure is an uncaught error of few clicks, the control's other clicks raised none, and then
    something else on the page was used. A failed request without an address needs no such use: that it came near one of many
    clicks is all that is known of it.

    Whoever pages, steps or undoes clicks one control again and again, and goes on when they are there. A control whose code
    fails raises its error at each click; after a broken one, people do not go on with the page. Few: one of as many clicks
    as make a series rage. An error after the last click may be the end of a long wait, and is no stray one.
    """
    frame, attribution = index.frame, index.attribution
    size = len(clusters)
    if not size:
        return np.zeros(0, dtype=np.bool_)
    failure, visit = clusters.failure, clusters.visit
    read = (attribution.negative[failure] == FAILURE) & index.is_request(failure)
    read &= frame.only_reads[np.maximum(frame.endpoint[failure], 0)]
    blank = (attribution.negative[failure] == FAILURE) & ~index.is_identified(failure)
    may_stray = (attribution.negative[failure] == CRASH) | read | blank
    if not may_stray.any():
        return np.zeros(size, dtype=np.bool_)
    story = clusters.negatives_since_success
    failing = count_distinct_by_owner(story.owner, attribution.cause[story.values], size)
    key = index.visit_action_key(visit, clusters.action)
    begin, end = index.presses_by_action.find_span(key, frame.low[visit], frame.high[visit])
    refused = frame.source.read_at("disabled", index.presses_by_action.rows) == 1
    before = np.append(0, np.cumsum(refused))
    worked = end - begin - (before[end] - before[begin])  # a disabled control runs no code that could fail
    quiet = (index.config.rage_clicks - 1) * failing <= worked - failing
    later, _ = index.presses_by_action.find_span(key, story.last + 1, frame.high[visit])
    found: Bools = may_stray & quiet & (later < end)
    at = np.flatnonzero(found)
    if not len(at):
        return found
    high = frame.high[visit[at]]
    last = index.presses_by_action.rows[end[at] - 1]
    acts = np.append(index.interaction_rows, len(frame) - 1)
    after = acts[np.searchsorted(index.interaction_rows, last, "right")]
    moves = np.append(index.navigation_rows, len(frame))
    moved = moves[np.searchsorted(index.navigation_rows, last)] < after
    used = (after > last) & (after < high) & (frame.route[after] == frame.route[last]) & ~moved
    used &= ~index.is_failing[after] & ~index.target_property("leaves")[frame.target[after]]
    used &= attribution.action[after] >= 0
    found[at[~used]] = blank[at[~used]]
    return found
