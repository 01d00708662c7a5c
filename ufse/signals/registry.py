"""The registry of signals. To add a signal, write its file beside this one and add it to ``SIGNALS``."""

from dataclasses import replace
from typing import Final

import numpy as np

from ufse.candidates import Clusters
from ufse.declared import collect_declarations
from ufse.index import Index
from ufse.signals import abandonment, blocked, confusion, feedback, rage, verdict
from ufse.signals.model import ClusterSignals, SignalKind, Signals

SIGNALS: Final[list[SignalKind]] = [
    abandonment.SIGNAL,
    blocked.SIGNAL,
    confusion.SIGNAL,
    feedback.SIGNAL,
    rage.SIGNAL,
    verdict.SIGNAL,
]
"""All kinds of signals; the position of a kind is its number. Signals of one time are listed in this order: append new ones."""

ABANDONMENT, BLOCKED, CONFUSION, FEEDBACK, RAGE, VERDICT = range(6)
"""Numbers of the kinds that the rules name."""

collect_declarations(SIGNALS)


def find_signals(index: Index, clusters: Clusters) -> ClusterSignals:
    """The behavioural signals of all kinds, each with its cluster."""
    parts = []
    for number, kind in enumerate(SIGNALS):
        if kind.find is not None:
            found = kind.find(index, clusters)
            numbered = replace(found.signals, kind=np.full(len(found), number))
            parts.append(ClusterSignals(found.cluster, numbered))
    return ClusterSignals(
        np.concatenate([part.cluster for part in parts]), Signals.join_parts([part.signals for part in parts])
    )
