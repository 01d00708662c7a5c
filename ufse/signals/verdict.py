"""Verdicts of other tools on clicks: rage, dead click, error click (docs/contracts/events.md, Shapes).

A vendor's verdict is evidence of its own kind: its rules are not ours, and it rests on events that may not be here. It adds
points to a struggle that our own signals show. Alone, with a failure, it never makes a detection (``ufse.judge``).
"""

from typing import Final

import numpy as np

from ufse.arrays import Ints, Ragged, mark_group_starts
from ufse.candidates import Clusters
from ufse.exempted import is_decorative
from ufse.index import Index
from ufse.sessions import CLICK
from ufse.shapes import REPORTED_DEAD
from ufse.signals.flows import select_flow_signals
from ufse.signals.model import PLAIN, ClusterSignals, SignalFacts, SignalKind, Signals

_STRUGGLES: Final = ("rage", "dead", REPORTED_DEAD, "error")
"""Verdicts that speak of a struggle; a slow click may have been served."""


def _find_verdict_rows(index: Index) -> Ints:
    """The clicks of which another tool said that they were a struggle."""
    frame = index.frame
    rows = np.flatnonzero((frame.kind == CLICK) & ~frame.target_ignored)
    if not len(rows) or "verdict" not in frame.source.table.column_names:
        return rows[:0]
    code, texts = frame.source.read_codes("verdict", rows)
    rows = rows[np.array([text in _STRUGGLES for text in texts])[code]]
    return np.asarray(rows[~is_decorative(frame, rows, index.config)], dtype=np.int64)


def _relate_to_clusters(index: Index, clusters: Clusters) -> ClusterSignals:
    frame, action = index.frame, index.attribution.action
    rows = _find_verdict_rows(index)
    if not len(rows):
        return ClusterSignals.make_empty()
    rows = rows[np.lexsort((rows, action[rows], frame.visit[rows]))]
    first = mark_group_starts(frame.visit[rows], action[rows])
    runs = Ragged.from_owners(np.cumsum(first) - 1, rows, int(first.sum()))
    found = Signals.of_form(
        PLAIN,
        start=frame.ts[runs.first],
        end=frame.ts[runs.last],
        count=runs.sizes,
        action=action[runs.first],
        row=runs.first,
        rows=runs,
    )
    return select_flow_signals(index, clusters, found, Ragged.from_owners(np.arange(len(found)), found.row, len(found)))


def _describe_verdict(facts: SignalFacts) -> str:
    clicks = "1 click" if facts.times == 1 else f"{facts.times} clicks"
    return f"another tool reported {clicks} on {facts.target} as rage, dead or failed"


SIGNAL: Final = SignalKind(
    "verdict",
    describe=_describe_verdict,
    find=_relate_to_clusters,
)
