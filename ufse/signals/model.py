"""What a signal is: a table of signals, and the declaration of a kind of signal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from ufse.arrays import Bools, Ints, Ragged, any_by_owner
from ufse.candidates import Clusters
from ufse.config import Config
from ufse.declared import Declaration
from ufse.index import Index

PLAIN, RELOADS, OSCILLATION, THRASH, LEFT, ENDED, SILENCE = range(7)
"""Forms of a kind. Plain: clicks or retries. The last three: how a flow was left (another route, session end, silence)."""


@dataclass(frozen=True)
class Signals:
    """One entry per signal. Times are epoch ms."""

    kind: Ints
    """Number of its kind in the registry; -1 before the registry has numbered it."""
    form: Ints
    start: Ints
    end: Ints
    count: Ints
    action: Ints
    """Its action, packed (pattern, target); for confusion the route on which it began."""
    row: Ints
    """The frame row whose route and target it is shown with."""
    rows: Ragged
    """The frame rows on which it rests, in order."""

    def __len__(self) -> int:
        return len(self.kind)

    @classmethod
    def of_form(cls, form: Ints | int, *, rows: Ragged, **columns: Ints) -> "Signals":
        """Signals of a kind that has no number yet; ``form`` may be one value for all."""
        return cls(np.full(len(rows), -1), np.broadcast_to(form, len(rows)), rows=rows, **columns)

    @classmethod
    def make_empty(cls) -> "Signals":
        """No signals."""
        empty = np.zeros(0, dtype=np.int64)
        return cls(empty, empty, empty, empty, empty, empty, empty, Ragged(empty, np.zeros(1, dtype=np.int64)))

    def take_signals(self, chosen: Ints) -> "Signals":
        """The signals with these numbers, in this order."""
        columns: dict[str, Ints] = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "rows"}
        return Signals(**columns, rows=self.rows.take_lists(chosen))

    @staticmethod
    def join_parts(parts: "Sequence[Signals]") -> "Signals":
        """The signals of all parts, one part after the other."""
        names = [f.name for f in fields(Signals) if f.name != "rows"]
        columns: dict[str, Ints] = {n: np.concatenate([getattr(p, n) for p in parts]) for n in names}
        return Signals(**columns, rows=Ragged.join_parts([p.rows for p in parts]))


@dataclass(frozen=True)
class ClusterSignals:
    """Signals with the clusters to which they belong; a signal that belongs to two clusters has two entries."""

    cluster: Ints
    """Number of the cluster of each signal."""
    signals: Signals

    def __len__(self) -> int:
        return len(self.cluster)

    @classmethod
    def make_empty(cls) -> "ClusterSignals":
        """No signals."""
        return cls(np.zeros(0, dtype=np.int64), Signals.make_empty())

    def take_signals(self, chosen: Ints) -> "ClusterSignals":
        """The entries with these numbers, in this order."""
        return ClusterSignals(self.cluster[chosen], self.signals.take_signals(chosen))


class SignalFacts(NamedTuple):
    """What the text of a signal may name."""

    form: int
    times: int
    lasted_ms: int
    route: str
    """Pattern of the route of its action."""
    target: str
    """Name of the target of its action; ``page load`` if the action is the opening of a page."""
    is_page: bool
    """Whether its action is the opening of a page."""
    page: str
    """Pattern of the route of the row that it is shown with."""
    last_page: str
    """Pattern of the route of its last event."""
    after_failure_ms: int
    """From the last failure to the end of the signal; negative if it ended before."""
    feedback: str
    """What failed, as in ``POST /api/orders → 500``."""
    config: Config


Finder = Callable[[Index, Clusters], ClusterSignals]
"""Finds the signals of a kind for all clusters of a batch."""


def _apply_where_present(found: ClusterSignals, size: int) -> Bools:
    return any_by_owner(found.cluster, np.ones(len(found), dtype=np.bool_), size)


@dataclass(frozen=True)
class SignalKind(Declaration):
    """A kind of signal: everything that the engine, the settings and the documentation need to know of it."""

    describe: Callable[[SignalFacts], str]
    """Its text in detections and explanations: a clause with its counts and times, without a full stop."""
    find: Finder | None = None
    """None for feedback, which every cluster has."""
    is_shown_by_page: bool = False
    """Whether a detection shows it with a page instead of its action's route and target."""

    def apply_rules(self, found: ClusterSignals, size: int) -> Mapping[str, Ints | Bools]:
        """How often each declared rule applies, per cluster of ``size``: once where the cluster has a signal of this kind."""
        present = _apply_where_present(found, size)
        return dict.fromkeys(self.rules, present)
