"""What a person lost with a single failed try: the fields and steps behind them, and whether they were seen to react.

Source: docs/decisions/0064. After one failure alone, the end of a visit says little: many people are interrupted, and many
collectors stop. It counts as giving up only if enough was lost and the person was seen to leave or to go on.
"""

import numpy as np

from ufse.arrays import Bools, Ints, count_by_owner, count_distinct_by_owner, equals_any, expand_ranges, pack_pairs
from ufse.candidates import Clusters
from ufse.feedback import INVALID, REJECTION, SLOW
from ufse.index import Index
from ufse.sessions import CLICK, INPUT, SUBMIT
from ufse.signals.abandonment import Spans, find_begun_spans
from ufse.signals.model import LEFT, SILENCE

_LOST_FIELDS = 2
"""Fields that make up a lost effort; one is a search or a voucher (docs/decisions/0064)."""
_REFUSED_FIELDS = 3
"""The same for a refusal after which the visit only ended: two refused fields are a mistyped login (docs/decisions/0064)."""
_LOST_STEPS = 2
"""Pages of one flow with fields or forms that make up a lost effort, with two fields in all (docs/decisions/0064)."""
_NOTICED_MS = 1_000
"""A visit that ends sooner after the failure ended by itself: nobody read the message (own choice)."""


def is_effort_lost(index: Index, clusters: Clusters, form: Ints) -> Bools:
    """Per cluster: whether enough was lost. ``form``: how the flow was left, 0 if it was not.

    Enough are two fields since the last success in the flow, or three if the visit only ended after a refusal. With an
    unfinished form and no refusal, the fields of several pages since the flow was entered count together. A field for long
    text counts twice.
    """
    frame = index.frame
    since_success, since_entry = find_begun_spans(index, clusters, clusters.negatives.last)
    of_entry, entered = expand_ranges(*since_entry)
    pages = frame.pattern[index.form_events_by_flow.rows[entered]]
    steps = count_distinct_by_owner(of_entry, pages, len(clusters))
    begun = since_success[1] > since_success[0]
    refused = equals_any(index.attribution.negative[clusters.failure], REJECTION, INVALID) & (form != LEFT)
    many = _count_fields(index, since_success) >= np.where(refused, _REFUSED_FIELDS, _LOST_FIELDS)
    stepped = (steps >= _LOST_STEPS) & (_count_fields(index, since_entry) >= _LOST_FIELDS)
    return np.asarray(many | (begun & stepped & ~refused), dtype=np.bool_)


def _count_fields(index: Index, spans: Spans) -> Ints:
    """Per span of places in ``form_events_by_flow``: its fields. Those of which only the type is known are each entered or left
    once.
    """
    frame, size = index.frame, len(spans[0])
    owner, place = expand_ranges(*spans)
    row = index.form_events_by_flow.rows[place]
    typed = frame.kind[row] == INPUT
    owner, row = owner[typed], row[typed]
    named = pack_pairs(frame.pattern[row], frame.raw_target[row])
    fields = count_distinct_by_owner(owner, named, size)
    long = index.target_property("long_text")[frame.target[row]]
    fields += count_distinct_by_owner(owner[long], named[long], size)
    nameless = index.target_property("nameless")[frame.target[row]]
    for step in ("focus", "blur"):
        stepped = nameless & frame.column_equals("action", step, rows=row)
        fields = np.maximum(fields, count_by_owner(owner, size, stepped))
    return fields


def is_pressed_once(index: Index, clusters: Clusters) -> Bools:
    """Per cluster: whether its action was tried once: one click or submit from its first failed press to its last answer."""
    frame, cause = index.frame, index.attribution.cause
    action = index.visit_action_key(clusters.visit, clusters.action)
    since = cause[clusters.negatives.first]
    owner, row = index.attempts_by_action.find_entries(action, since, clusters.negatives.last + 1)
    clicks, submits = (count_by_owner(owner, len(clusters), frame.kind[row] == kind) for kind in (CLICK, SUBMIT))
    return np.asarray((np.maximum(clicks, submits) <= 1) & (clusters.try_counts == 1), dtype=np.bool_)


def is_seen_reacting(index: Index, clusters: Clusters, form: Ints, end: Ints) -> Bools:
    """Per cluster: whether the person acted in the flow after the last failure, left it at least 1 s later, or left
    while waiting for an answer.

    ``form``: how the flow was left, 0 if it was not; ``end``: the last signal, epoch ms.
    """
    frame, last = index.frame, clusters.negatives.last
    flow = index.visit_flow_key(clusters.visit, index.flow_of_action(clusters.action))
    acted = index.interactions_by_flow.find_first_from(flow, last + 1) >= 0
    # Who leaves during a wait reacts to the wait: the request ends with the page.
    waited = (index.attribution.negative[last] == SLOW) & ~index.attribution.success[last]
    noticed = (form != SILENCE) & (end - frame.ts[last] >= _NOTICED_MS)
    return np.asarray(acted | waited | noticed, dtype=np.bool_)
