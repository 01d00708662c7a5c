"""Shortcuts give what the plain way gives, for any input."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ufse.arrays import count_rows_before, search_sorted_near, sort_unique
from ufse.sessions import encode_text_runs, encode_texts

RELAXED = settings(deadline=None)
_WHOLE = st.integers(-50, 50)
_TEXTS = st.lists(st.sampled_from([None, "", "a", "b", "ä"]), max_size=40)


@RELAXED
@given(st.lists(_WHOLE, min_size=1, max_size=30), st.lists(st.tuples(_WHOLE, st.integers(0, 29)), max_size=30))
def test_a_search_near_a_place_finds_what_a_search_finds(values: list[int], asked: list[tuple[int, int]]) -> None:
    ordered = np.sort(np.array(values, dtype=np.int64))
    wanted = np.array([w for w, _ in asked], dtype=np.int64)
    near = np.array([min(n, len(values) - 1) for _, n in asked], dtype=np.int64)
    assert search_sorted_near(ordered, wanted, near).tolist() == np.searchsorted(ordered, wanted).tolist()


@RELAXED
@given(st.sets(st.integers(0, 99), max_size=40), st.lists(st.integers(0, 100), max_size=60))
def test_rows_before_are_counted_with_and_without_a_table(rows: set[int], asked: list[int]) -> None:
    ordered, wanted = np.array(sorted(rows), dtype=np.int64), np.array(asked, dtype=np.int64)
    assert count_rows_before(ordered, wanted, 100).tolist() == [sum(r < a for r in rows) for a in asked]


@RELAXED
@given(st.lists(_WHOLE, max_size=60))
def test_distinct_values_ascend(values: list[int]) -> None:
    assert sort_unique(np.array(values, dtype=np.int64)).tolist() == sorted(set(values))


@RELAXED
@given(_TEXTS, st.integers(1, 12), st.booleans())
def test_runs_are_coded_as_single_texts_are(texts: list[str | None], each: int, dictionary: bool) -> None:
    repeated = [t for t in texts for _ in range(each)]
    column = pa.array(repeated, pa.string())
    table = pa.table({"name": column.dictionary_encode() if dictionary else column})
    for read in (encode_texts, encode_text_runs):
        code, distinct = read(table, "name")
        assert [distinct[c] for c in code.tolist()] == [t or "" for t in repeated]


@RELAXED
@given(_TEXTS, st.lists(st.integers(0, 39), max_size=20), st.booleans())
def test_texts_of_chosen_rows_are_coded(texts: list[str | None], rows: list[int], dictionary: bool) -> None:
    column = pa.array(texts, pa.string())
    table = pa.table({"name": column.dictionary_encode() if dictionary else column})
    at = [r for r in rows if r < len(texts)]
    code, distinct = encode_texts(table, "name", np.array(at, dtype=np.int64))
    assert [distinct[c] for c in code.tolist()] == [texts[r] or "" for r in at]
