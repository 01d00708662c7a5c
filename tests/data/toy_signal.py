"""A signal whose finder is a few lines; the tests also copy it to ``ufse/signals/dwell.py`` of a copy of the tree."""

from typing import Final

import numpy as np

from ufse.arrays import Ragged
from ufse.candidates import Clusters
from ufse.declared import Rule, Threshold
from ufse.index import Index
from ufse.sessions import HOVER
from ufse.signals.flows import select_flow_signals
from ufse.signals.model import PLAIN, ClusterSignals, SignalFacts, SignalKind, Signals


def _find_dwells(index: Index, clusters: Clusters) -> ClusterSignals:
    """The first and the last ``hover`` of a visit, if they lie far enough apart."""
    frame = index.frame
    rows = np.flatnonzero(frame.kind == HOVER)
    if len(rows) < 2 or frame.ts[rows[-1]] - frame.ts[rows[0]] < index.config["dwell_ms"]:
        return ClusterSignals.make_empty()
    both = Ragged(rows[[0, -1]], np.array([0, 2]))
    found = Signals.of_form(
        PLAIN,
        start=frame.ts[both.first],
        end=frame.ts[both.last],
        count=both.sizes,
        action=frame.pattern[both.first] * max(len(frame.targets), 1),
        row=both.first,
        rows=both,
    )
    return select_flow_signals(index, clusters, found, both)


def _describe_dwell(facts: SignalFacts) -> str:
    return f"the pointer rested on {facts.page} for {facts.lasted_ms} ms"


SIGNAL: Final = SignalKind(
    "dwell",
    describe=_describe_dwell,
    find=_find_dwells,
    is_shown_by_page=True,
    thresholds={"dwell_ms": Threshold("Shortest rest of the pointer, ms.", 2_000, 1, 60_000)},
    rules={"dwelt": Rule(37, "the pointer rested on the page")},
)
