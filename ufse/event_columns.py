"""The columns of a frame's events: numbers and coded texts, converted when they are first read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from ufse.arrays import Ints, Small, compact_codes
from ufse.encoding import encode_texts
from ufse.patterns import clean_text


def is_every_row(row: Ints, size: int) -> bool:
    """Whether these distinct rows are all rows 0 ≤ row < size in their order, so that nothing need be copied."""
    return len(row) == size and bool((row[1:] > row[:-1]).all())


@dataclass(frozen=True)
class EventColumns:
    """The columns of a frame's events in the order of the frame; a column is converted when it is first read."""

    table: pa.Table
    row: Ints
    """Per event: its row of the table."""
    _numbers: dict[str, Small] = field(default_factory=dict)
    _stored: dict[str, Small] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Small:
        """A numeric column, -1 where unknown."""
        if name not in self._numbers:
            stored = self._read_column(name)
            self._numbers[name] = stored if self._is_whole else stored[self.row]
        return self._numbers[name]

    @cached_property
    def _is_whole(self) -> bool:
        return is_every_row(self.row, self.table.num_rows)

    def read_at(self, name: str, rows: Ints) -> Small:
        """A numeric column at the events ``rows``; for columns that only events of one kind have."""
        return self._numbers[name][rows] if name in self._numbers else self._read_column(name)[self.row[rows]]

    def _read_column(self, name: str) -> Small:
        """A numeric column in the order of the table, usually without a copy."""
        if name not in self._stored:
            column = self.table[name]
            self._stored[name] = (column.fill_null(-1) if column.null_count else column).to_numpy()
        return self._stored[name]

    def read_codes(self, name: str, at: Ints) -> tuple[Ints, list[str]]:
        """A text column at the events ``at``: (code of each, distinct texts)."""
        return encode_texts(self.table, name, self.row[at])

    def read_texts(self, name: str, at: Ints) -> list[str]:
        """The texts of a column at the events ``at``; null is the empty text."""
        if pa.types.is_dictionary(self.table[name].type):
            code, texts = self.read_codes(name, at)
            return [texts[c] for c in code.tolist()]
        taken = self.table[name].take(pa.array(self.row[at]))
        return [t or "" for t in taken.to_pylist()]

    def read_clean_texts(self, name: str, at: Ints) -> list[str]:
        """``read_texts``, each on one line (``ufse.patterns.clean_text``); few values are cleaned for many events."""
        code, texts = self.read_codes(name, at)
        clean = [clean_text(t) for t in texts]
        return [clean[c] for c in code.tolist()]


def encode_text_tuples(source: EventColumns, at: Ints, names: Sequence[str]) -> tuple[Ints, list[tuple[str, ...]]]:
    """Several text columns at the events ``at``: (code of each, distinct tuples of texts)."""
    parts = [source.read_codes(n, at) for n in names]
    total, base = np.zeros(len(at), dtype=np.int64), 1
    for code, texts in parts:
        size = max(len(texts), 1)
        if size == 1:
            continue
        total, kept = compact_codes(total * size + code, base * size)
        base = len(kept)
    first = np.zeros(base if len(at) else 0, dtype=np.int64)
    first[total[::-1]] = np.arange(len(at))[::-1]
    picked = [[texts[c] for c in code[first].tolist()] for code, texts in parts]
    return total, list(zip(*picked, strict=True))


def encode_folded_texts(code: Ints, folded: list[str]) -> tuple[Ints, list[str]]:
    texts = sorted(set(folded))
    place = {t: i for i, t in enumerate(texts)}
    lut = np.array([place[t] for t in folded] or [0], dtype=np.int64)
    return lut[code], texts
