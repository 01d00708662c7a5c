"""What the frame leaves out tells no rule anything."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ufse.scene import Row, click, event, table
from ufse.attribution import attribute_feedback
from ufse.config import DEFAULT
from ufse.endpoints import _AddressCache, _fold_address
from ufse.frame import build_frame
from ufse.relevance import select_relevant_rows
from ufse.sessions import OrderedEvents, order_events
from ufse.signals.confusion import find_confusion_signals

_RUNS = st.lists(
    st.tuples(
        st.integers(4, 9), st.sampled_from([0.5, 2.4, 3.0, 3.1]), st.booleans(), st.sampled_from([0.1, 20, 1_000])
    ),
    max_size=6,
)


def _scrolled(runs: list[tuple[int, float, bool, float]]) -> list[Row]:
    """Runs of scrolls, each in the other direction (as sent, or by depth alone), with hovers between and a click before."""
    at, rows = 0.0, []
    for scrolls, pace, sent, pause in runs:
        at += pause
        rows.append(click(at))
        for i in range(scrolls):
            at += pace
            told = {"direction": ("down", "up")[i % 2]} if sent else {"depth": 10 * (i % 2)}
            rows += [event(at, "scroll", **told), event(at + 0.05, "hover")]
    return rows


def _thrashing(ordered: OrderedEvents, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> list[list[str]]:
    frame = build_frame(ordered, rows, DEFAULT)
    found = find_confusion_signals(frame, attribute_feedback(frame, DEFAULT), DEFAULT)
    return [
        frame.source.read_texts(
            "event_id", np.array(found.rows.values[found.rows.bounds[i] : found.rows.bounds[i + 1]])
        )
        for i in range(len(found.rows))
    ]


@settings(deadline=None)
@given(_RUNS)
def test_thrashing_is_found_as_if_every_scroll_were_read(runs: list[tuple[int, float, bool, float]]) -> None:
    ordered = order_events(table(_scrolled(runs)), DEFAULT)
    whole = np.arange(len(ordered.row))
    assert _thrashing(ordered, select_relevant_rows(ordered, whole, DEFAULT)) == _thrashing(ordered, whole)


def test_scrolling_in_peace_and_hovering_are_not_read_but_the_edges_of_a_visit_are() -> None:
    quiet = [event(0, "hover"), *(event(t, "scroll") for t in range(4, 60, 4)), click(61), event(62, "scroll")]
    restless = [event(2_000 + t, "scroll") for t in range(8)]
    ordered = order_events(table([*quiet, event(63, "hover"), *restless]), DEFAULT)
    kept = select_relevant_rows(ordered, np.arange(len(ordered.row)), DEFAULT)
    assert kept.tolist() == [0, 15, 17, *range(18, 26)]


def test_of_no_rows_none_are_worth_reading() -> None:
    ordered = order_events(table([]), DEFAULT)
    assert select_relevant_rows(ordered, np.arange(0), DEFAULT).tolist() == []


_URLS = st.lists(
    st.sampled_from([*(f"/api/items/{i}" for i in range(9)), "/a", "", "data:x", "/" + "x" * 30]), max_size=20
)


@given(st.lists(_URLS, max_size=8))
def test_kept_addresses_are_what_folding_gives_however_often_they_begin_anew(batches: list[list[str]]) -> None:
    kept = _AddressCache(limit=4, longest=20)
    for urls in batches:
        codes, addresses = kept.encode_urls(urls)
        assert [addresses[c] for c in codes.tolist()] == [_fold_address(u) for u in urls]


def test_of_urls_a_bounded_number_is_kept_and_none_that_is_long() -> None:
    kept = _AddressCache(limit=100, longest=20)
    for i in range(30):
        kept.encode_urls([f"/short/{i}/{n}" for n in range(10)] + [f"/a/very/long/address/of/its/own/word{'y' * i}"])
        assert len(kept._number) <= 110
        assert len(kept._addresses) <= 110
    assert max(map(len, kept._number)) <= 20


def test_addresses_of_several_threads_do_not_mix() -> None:
    kept = _AddressCache(limit=50)

    def ask(thread: int) -> bool:
        for n in range(40):
            urls = [f"/t{thread}/w{chr(97 + i % 26)}{'z' * n}" for i in range(20)]
            codes, addresses = kept.encode_urls(urls)
            if [addresses[c] for c in codes.tolist()] != urls:
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(8)))
