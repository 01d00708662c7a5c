"""Helpers for columns: runs, columns of lists, and lookups of rows by key.

Throughout, *owner* is a column of group numbers (0 ≤ owner < size), one per entry; results "by owner" have ``size`` entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Small = npt.NDArray[np.signedinteger[Any]]
"""Integers in their stored width: compare and count them, but do not multiply them."""

NEVER = -(2**62)
"""A time before all others, epoch ms."""


def mark_group_starts(*keys: Small | Bools) -> Bools:
    """Per entry: whether any key differs from the entry before; True for the first entry."""
    first = np.ones(len(keys[0]), dtype=np.bool_)
    if len(first):
        first[1:] = keys[0][1:] != keys[0][:-1]
        for key in keys[1:]:
            first[1:] |= key[1:] != key[:-1]
    return first


def sort_unique(values: Ints) -> Ints:
    """The distinct values, ascending. A stable sort of mostly ordered keys is several times faster than ``np.unique``."""
    ordered = np.sort(values, kind="stable")
    return np.asarray(ordered[mark_group_starts(ordered)], dtype=np.int64)


def equals_any(values: Small, *options: int) -> Bools:
    """Per value: whether it equals one of a few numbers; several times faster than ``np.isin``."""
    found = np.zeros(len(values), dtype=np.bool_)
    for option in options:
        found |= values == option
    return found


def is_among(values: Ints, others: Ints) -> Bools:
    """Per value: whether it is one of ``others``."""
    if not len(others):
        return np.zeros(len(values), dtype=np.bool_)
    ordered = np.sort(others, kind="stable")
    return np.asarray(ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values, dtype=np.bool_)


def search_sorted_near(ordered: Ints, asked: Ints, near: Ints) -> Ints:
    """``np.searchsorted(ordered, asked)``, faster if most results lie close to the places ``near`` (one per asked value)."""
    found = np.empty(len(asked), dtype=np.int64)
    left = np.arange(len(asked))
    for step in (1, 0, -1, -2):
        place, value = np.clip(near[left] + step, 1, len(ordered) - 1), asked[left]
        right = (ordered[place - 1] < value) & (value <= ordered[place])
        found[left[right]] = place[right]
        left = left[~right]
    found[left] = np.searchsorted(ordered, asked[left])
    return found


def count_rows_before(rows: Ints, asked: Ints, size: int) -> Ints:
    """Per asked row (0 ≤ row ≤ size): how many of the ascending ``rows`` (0 ≤ row < size) stand before it."""
    if len(asked) * 16 < size:
        return np.searchsorted(rows, asked)
    table = np.repeat(np.arange(len(rows) + 1), np.diff(rows, prepend=-1, append=size))
    return table[asked]


def compact_codes(code: Ints, base: int) -> tuple[Ints, Ints]:
    """(New code of each entry without gaps, the old code of each new one, ascending); old codes are 0 ≤ code < base."""
    if base > 4 * len(code) + 1_000:
        values, inverse = np.unique(code, return_inverse=True)
        return inverse.astype(np.int64), values
    present = np.zeros(base, dtype=np.bool_)
    present[code] = True
    return (np.cumsum(present) - 1)[code], np.flatnonzero(present)


def find_distinct_rows(columns: Sequence[Small | Ints], size: int) -> tuple[Ints, Ints]:
    """Of the ``size`` rows that ``columns`` form: (code of each, ascending with the values; the first place of each code)."""
    code = np.zeros(size, dtype=np.int64)
    for column in columns:
        low = int(column.min(initial=0))
        width = int(column.max(initial=0)) - low + 1
        code, _ = compact_codes(code * width + column - low, (int(code.max(initial=0)) + 1) * width)
    place = np.zeros(int(code.max(initial=-1)) + 1, dtype=np.int64)
    place[code[::-1]] = np.arange(size)[::-1]
    return code, place


def expand_ranges(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """All integers n of the ranges low ≤ n < high, as (number of the range, n)."""
    sizes = np.maximum(high - low, 0)
    owner = np.repeat(np.arange(len(low)), sizes)
    begin = np.cumsum(sizes) - sizes
    return owner, np.arange(len(owner)) - begin[owner] + low[owner]


def count_by_owner(owner: Ints, size: int, chosen: Bools | None = None) -> Ints:
    """Per owner: how many entries it has, or how many chosen ones."""
    picked = owner if chosen is None else np.compress(chosen, owner)
    return np.bincount(picked, minlength=size).astype(np.int64)


def any_by_owner(owner: Ints, chosen: Bools, size: int) -> Bools:
    """Per owner: whether any of its entries is chosen."""
    found = np.zeros(size, dtype=np.bool_)
    found[np.compress(chosen, owner)] = True  # for scattered choices several times faster than ``owner[chosen]``
    return found


def max_by_owner(owner: Ints, value: Ints, size: int, default: int) -> Ints:
    """Per owner: its greatest value, ``default`` without entries."""
    found = np.full(size, default, dtype=np.int64)
    np.maximum.at(found, owner, value)
    return found


def min_by_owner(owner: Ints, value: Ints, size: int, default: int) -> Ints:
    """Per owner: its least value, ``default`` without entries."""
    found = np.full(size, default, dtype=np.int64)
    np.minimum.at(found, owner, value)
    return found


def count_distinct_by_owner(owner: Ints, value: Ints, size: int) -> Ints:
    """Per owner: how many distinct values (not negative) it has."""
    if not len(owner):
        return np.zeros(size, dtype=np.int64)
    base = int(value.max()) + 1
    return count_by_owner(sort_unique(pack_pairs(owner, value, base)) // base, size)


def pack_pairs(owner: Ints, value: Ints, base: int | None = None) -> Ints:
    """One integer per (owner, value), with 0 ≤ value < base."""
    width = (int(value.max(initial=0)) + 1) if base is None else base
    return np.asarray(owner * width + value, dtype=np.int64)


def is_pair_among(owner: Ints, value: Ints, other_owner: Ints, other_value: Ints) -> Bools:
    """Per (owner, value): whether the same pair is among the others. Values are not negative."""
    if not len(owner) or not len(other_owner):
        return np.zeros(len(owner), dtype=np.bool_)
    base = max(int(value.max()), int(other_value.max())) + 1
    return is_among(pack_pairs(owner, value, base), pack_pairs(other_owner, other_value, base))


@dataclass(frozen=True)
class Ragged:
    """A column of lists: list i is ``values[bounds[i]:bounds[i + 1]]``."""

    values: Ints
    bounds: Ints

    @classmethod
    def from_owners(cls, owner: Ints, values: Ints, size: int) -> "Ragged":
        """One list of values per owner; ``owner`` ascends."""
        return cls(values, np.append(0, np.cumsum(count_by_owner(owner, size))))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def sizes(self) -> Ints:
        return np.diff(self.bounds)

    @property
    def owner(self) -> Ints:
        """The number of the list of each value."""
        return np.repeat(np.arange(len(self)), self.sizes)

    @property
    def first(self) -> Ints:
        """The first value of each list. No list may be empty."""
        return self.values[self.bounds[:-1]]

    @property
    def last(self) -> Ints:
        """The last value of each list. No list may be empty."""
        return self.values[self.bounds[1:] - 1]

    def take_lists(self, lists: Ints) -> "Ragged":
        """The lists with these numbers, in this order."""
        owner, place = expand_ranges(self.bounds[lists], self.bounds[lists + 1])
        return Ragged.from_owners(owner, self.values[place], len(lists))

    @staticmethod
    def join_parts(parts: "list[Ragged]") -> "Ragged":
        """The lists of all parts, one part after the other."""
        sizes = np.concatenate([np.zeros(0, dtype=np.int64), *(p.sizes for p in parts)])
        values = np.concatenate([np.zeros(0, dtype=np.int64), *(p.values for p in parts)])
        return Ragged(values, np.append(0, np.cumsum(sizes)))


class Lookup:
    """Rows by key: finds the rows of a key within a span of rows, for whole columns of queries at once."""

    def __init__(self, keys: Ints, rows: Ints, values: Ints | None = None) -> None:
        """One key (not negative), row and value per entry. Spans select by row; results are values (default: the rows)."""
        # Rows mostly come in order: then sorting by the key alone keeps it.
        order = np.argsort(keys, kind="stable") if (rows[1:] >= rows[:-1]).all() else np.lexsort((rows, keys))
        first = mark_group_starts(keys[order])
        self._known = keys[order][first]
        self._base = int(rows.max(initial=0)) + 2
        self._packed = (np.cumsum(first) - 1) * self._base + rows[order]
        self.rows: Ints = (rows if values is None else values)[order]
        """The values, ordered by key and row; ``find_span`` gives places in it."""

    def find_span(self, keys: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """Per query: the places low ≤ place < high in ``rows`` of the key's entries with low ≤ row < high."""
        if not len(self._known):
            nothing = np.zeros(len(keys), dtype=np.int64)
            return nothing, nothing
        rank = np.minimum(np.searchsorted(self._known, keys), len(self._known) - 1)
        there = self._known[rank] == keys
        first, last = (np.clip(bound, 0, self._base - 1) for bound in (low, high))
        begin = np.searchsorted(self._packed, rank * self._base + first)
        end = np.searchsorted(self._packed, rank * self._base + last)
        return begin, np.where(there, np.maximum(end, begin), begin)

    def has_keys(self, keys: Ints) -> Bools:
        """Per query: whether the key has any entry."""
        return is_among(keys, self._known)

    def find_entries(self, keys: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """All entries in the spans, as (number of the query, value)."""
        owner, place = expand_ranges(*self.find_span(keys, low, high))
        return owner, self.rows[place]

    def find_last_before(self, keys: Ints, row: Ints) -> Ints:
        """Per query: the value of the key's last entry before the row, -1 without one."""
        begin, end = self.find_span(keys, np.zeros_like(row), row)
        found = self.rows[np.maximum(end - 1, 0)] if len(self.rows) else np.full(len(row), -1)
        return np.where(end > begin, found, -1)

    def find_first_from(self, keys: Ints, row: Ints) -> Ints:
        """Per query: the value of the key's first entry at or after the row, -1 without one."""
        begin, end = self.find_span(keys, row, np.full(len(row), self._base))
        found = self.rows[np.minimum(begin, len(self.rows) - 1)] if len(self.rows) else np.full(len(row), -1)
        return np.where(end > begin, found, -1)
