"""Signals that are found over the whole batch, related to the clusters of the same flow."""

import numpy as np

from ufse.arrays import Lookup, Ragged, mark_group_starts
from ufse.candidates import Clusters
from ufse.index import Index
from ufse.signals.model import ClusterSignals, Signals


def select_flow_signals(index: Index, clusters: Clusters, signals: Signals, rows: Ragged) -> ClusterSignals:
    """The signals of which any of ``rows`` (a list per signal) lies in a cluster's flow, after its action's last success."""
    if not len(signals) or not len(clusters):
        return ClusterSignals.make_empty()
    flow = index.visit_flow_key(clusters.visit, index.flow_of_action(clusters.action))
    key = index.visit_flow_key(index.frame.visit[rows.values], index.flow_of_row(rows.values))
    order = np.lexsort((key, rows.owner))
    once = order[mark_group_starts(rows.owner[order], key[order])]
    lookup = Lookup(key[once], rows.owner[once])
    owner, number = lookup.find_entries(flow, np.zeros_like(flow), np.full_like(flow, len(signals)))
    later = signals.start[number] > clusters.since[owner]
    return ClusterSignals(owner[later], signals.take_signals(number[later]))
