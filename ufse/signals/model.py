"""What a signal is: a table of signals, one entry each."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from ufse.arrays import Ints, Ragged

ABANDONMENT, BLOCKED, CONFUSION, FEEDBACK, RAGE = range(5)
KIND_NAMES: Final = ("abandonment", "blocked", "confusion", "feedback", "rage")

PLAIN, RELOADS, OSCILLATION, THRASH, LEFT, ENDED, SILENCE = range(7)
"""Finer names: clicks or retries; three of how a flow was left (another route, session end, nothing followed)."""


@dataclass(frozen=True)
class Signals:
    """One entry per signal. Times are epoch ms."""

    kind: Ints
    form: Ints
    start: Ints
    end: Ints
    count: Ints
    action: Ints
    """Packed (pattern, target) that it is about; for confusion the route it began on."""
    row: Ints
    """The frame row whose route and target it is shown with."""
    rows: Ragged
    """The frame rows that it rests on, in order."""

    def __len__(self) -> int:
        return len(self.kind)

    @classmethod
    def of_kind(cls, kind: int, form: Ints | int, *, rows: Ragged, **columns: Ints) -> "Signals":
        """Signals of one kind; ``form`` may be one for all."""
        return cls(np.full(len(rows), kind), np.broadcast_to(form, len(rows)), rows=rows, **columns)

    @classmethod
    def make_empty(cls) -> "Signals":
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
