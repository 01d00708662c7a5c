"""Columns of a table as numpy arrays: integers, and texts as codes into lists of distinct texts."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.arrays import Ints, compact_codes

_Row = TypeVar("_Row", bound=tuple[Any, ...])

_FEW: Final = 1_000
"""A dictionary of up to this many texts is converted whole, used or not."""


def encode_texts(table: pa.Table, name: str, row: Ints | None = None) -> tuple[Ints, list[str]]:
    """A string column as (code per row of the table or of ``row``, distinct texts); null is the empty text."""
    column = table[name]
    if not pa.types.is_dictionary(column.type):
        count = len(column) if row is None else len(row)
        if count and is_empty_column(column):  # a column without texts need not be hashed
            return np.zeros(count, dtype=np.int64), [""]
        taken = (column if row is None else column.take(pa.array(row))).cast(pa.string())
        column, row = pc.dictionary_encode(taken), None
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], whole.type)
    found, words = whole.indices, whole.dictionary
    if found.null_count:
        words = pa.concat_arrays([words.cast(pa.string()), pa.array([""])])
        found = found.fill_null(len(words) - 1)
    narrow = found.to_numpy(zero_copy_only=False)
    code = np.asarray(narrow if row is None else narrow[row], dtype=np.int64)
    if len(words) > _FEW:  # a slice of a batch carries the words of the whole batch
        code, used = compact_codes(code, len(words))
        words = words.take(pa.array(used))
    return code, [t if t is not None else "" for t in words.to_pylist()]


def is_empty_column(column: pa.ChunkedArray) -> bool:
    """Whether a text column holds only empty texts and nulls: read from the offsets of its texts, or from its dictionary."""
    if not pa.types.is_string(column.type):
        coded = pa.types.is_dictionary(column.type)
        words = [chunk.dictionary if coded else chunk for chunk in column.chunks]
        return not any(pc.max(pc.binary_length(part)).as_py() for part in words)
    for chunk in column.chunks:
        if len(chunk):
            bounds = np.frombuffer(chunk.buffers()[1], dtype=np.int32)
            if bounds[chunk.offset] != bounds[chunk.offset + len(chunk)]:
                return False
    return True


def measure_texts(column: pa.ChunkedArray, row: Ints) -> Ints:
    """Bytes of each text of a column without a dictionary at the rows, 0 for null."""
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(whole, pa.ChunkedArray) or not pa.types.is_string(whole.type) or whole.null_count:
        lengths = pc.binary_length(column.take(pa.array(row))).fill_null(0)
        return np.asarray(lengths.to_numpy(), dtype=np.int64)
    bounds = np.frombuffer(whole.buffers()[1], dtype=np.int32)[whole.offset :]
    return np.asarray(bounds[row + 1] - bounds[row], dtype=np.int64)


def encode_text_runs(table: pa.Table, name: str) -> tuple[Ints, list[str]]:
    """As ``encode_texts``, faster for a column in which equal texts mostly stand together."""
    column, count = table[name], table.num_rows
    if count > 1 and not pa.types.is_dictionary(column.type):
        changes = pc.not_equal(column.slice(1), column.slice(0, count - 1)).fill_null(True).to_numpy()
        begin = np.append(0, np.flatnonzero(changes) + 1)
        if len(begin) * 4 < count:
            code, texts = encode_texts(table, name, begin)
            return np.repeat(code, np.diff(np.append(begin, count))), texts
    return encode_texts(table, name)


def read_integers(table: pa.Table, name: str, unknown: int = -1) -> Ints:
    """An integer column as int64; null is ``unknown``."""
    column = table[name]
    if column.null_count:
        column = column.fill_null(unknown)
    return np.asarray(column.to_numpy(), dtype=np.int64)


def rank_distinct_texts(texts: list[str]) -> tuple[Ints, list[str]]:
    """(Position of each text among the distinct ones, the distinct texts in sorted order)."""
    distinct = sorted(dict.fromkeys(texts))  # a set would lose the order that most lists already have
    if distinct == texts:
        return np.arange(len(texts)), distinct
    ranks = {t: i for i, t in enumerate(distinct)}
    return np.fromiter((ranks[t] for t in texts), dtype=np.int64, count=len(texts)), distinct


def make_rows(kind: type[_Row], columns: Iterable[Iterable[Any]]) -> list[_Row]:
    """The named tuples that columns of equal length form: made without a call of Python for each, as ``_make`` needs."""
    return list(map(partial(tuple.__new__, kind), zip(*columns, strict=True)))
