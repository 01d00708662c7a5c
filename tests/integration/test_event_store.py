"""Landing, watermark and candidates on the embedded ClickHouse."""

import threading

import pyarrow as pa
import pytest

from furrow.errors import PermanentError
from stores.event_store import OVERLAP_US, SESSION_COLUMNS, EventStore
from tests.rows import BASE_MS, lines, row

MINUTE = 60_000


def test_the_same_segment_lands_once(event_store: EventStore) -> None:
    segment = lines(row(at_ms=i) for i in range(10))
    event_store.land(segment, "token")
    event_store.land(segment, "token")
    assert event_store.count_events().rows == 10


def test_a_resent_event_counts_once(event_store: EventStore) -> None:
    event_store.land(lines([row()]), "first")
    event_store.land(lines([row() | {"received_ms": BASE_MS + MINUTE}]), "second")
    counts = event_store.count_events()
    assert (counts.distinct, counts.rows) == (1, 2)


def test_an_insert_over_many_event_days_lands(event_store: EventStore) -> None:
    day = 86_400_000
    event_store.land(lines(row(at_ms=-i * day, received_ms=BASE_MS) for i in range(400)), "days")
    assert event_store.count_events().distinct == 400


def test_a_segment_with_an_unknown_key_is_refused_whole_and_for_good(event_store: EventStore) -> None:
    with pytest.raises(PermanentError):
        event_store.land(lines([row(), {**row(at_ms=1), "surprise": 1}]), "bad")
    assert event_store.count_events().rows == 0


def test_touched_tells_each_landing_once(event_store: EventStore) -> None:
    event_store.land(lines([row("a"), row("b"), row("b", 5)]), "one")
    first = event_store.touched(0, ())
    assert sorted(zip(first.session_id, first.last_ts.tolist(), strict=True)) == [("a", BASE_MS), ("b", BASE_MS + 5)]
    assert first.events == 3
    assert len(event_store.touched(first.watermark_us, first.seen)) == 0
    event_store.land(lines([row("c")]), "two")
    again = event_store.touched(first.watermark_us, first.seen)
    assert again.session_id == ["c"]
    assert again.watermark_us > first.watermark_us


def test_a_landing_that_becomes_visible_late_is_not_missed(event_store: EventStore) -> None:
    event_store.land(lines([row("slow")]), "slow")
    seen_by_slow = event_store.touched(0, ())
    # A quicker insert had moved the watermark past the slow one before that was visible.
    moved = seen_by_slow.watermark_us + OVERLAP_US // 2
    assert event_store.touched(moved, ()).session_id == ["slow"]


def test_a_clock_that_was_set_back_hides_no_landing(event_store: EventStore) -> None:
    event_store.land(lines([row("a")]), "one")
    hour = 3_600_000_000
    ahead = event_store.touched(0, ()).watermark_us + hour
    found = event_store.touched(ahead, (ahead,))
    assert found.session_id == ["a"]
    assert found.watermark_us < ahead
    assert len(event_store.touched(found.watermark_us, found.seen)) == 0


def test_only_sessions_with_possible_feedback_leave_the_store(event_store: EventStore) -> None:
    event_store.land(
        lines([row("calm"), row("calm", 10), row("bad"), row("bad", 20, event_type="network", status=500)]), "t"
    )
    touched = event_store.touched(0, ())
    hashes = touched.session_hash.tolist()
    found = event_store.candidates(hashes, BASE_MS)
    assert found["session_id"].unique().to_pylist() == ["bad"]
    assert found.num_rows == 2
    assert event_store.note_calm(hashes, BASE_MS, 1) == 1


def test_candidates_hold_each_event_once_with_its_first_receipt(event_store: EventStore) -> None:
    event = row("s", event_type="error")
    event_store.land(lines([event]), "one")
    event_store.land(lines([{**event, "received_ms": BASE_MS + MINUTE}]), "two")
    found = event_store.candidates(event_store.touched(0, ()).session_hash.tolist(), BASE_MS)
    assert found["received_ms"].to_pylist() == [BASE_MS]


def test_a_reopened_session_comes_whole(event_store: EventStore) -> None:
    event_store.land(lines([row("s", 0), row("s", 1, event_type="error")]), "one")
    hashes = event_store.touched(0, ()).session_hash.tolist()
    event_store.note_calm(hashes, BASE_MS, 1)
    event_store.note_analysed(analysed_row(hashes[0]))
    event_store.land(lines([row("s", 30 * MINUTE)]), "two")
    # Only the new event's receipt is known to the queue; the session's row knows where it began.
    assert event_store.candidates(hashes, BASE_MS + 30 * MINUTE).num_rows == 3


def analysed_row(session_hash: int) -> pa.Table:
    values = ["default", "s", session_hash, 1, 2, 0, BASE_MS, BASE_MS, BASE_MS + 1, 0, [], 2]
    return pa.Table.from_pydict(
        {name: [value] for name, value in zip(SESSION_COLUMNS.names, values, strict=True)}, schema=SESSION_COLUMNS
    )


def test_calm_visits_are_parted_by_gaps_of_more_than_fifteen_minutes(event_store: EventStore) -> None:
    gap = 15 * MINUTE
    event_store.land(lines(row("s", at) | {"received_ms": BASE_MS} for at in (0, gap, 2 * gap + 1)), "t")
    hashes = event_store.touched(0, ()).session_hash.tolist()
    assert event_store.note_calm(hashes, BASE_MS, 1) == 2
    event_store.note_calm(hashes, BASE_MS, 2)
    assert event_store.count_sessions().visits == 2


def test_every_thread_may_ask(event_store: EventStore) -> None:
    event_store.land(lines([row()]), "t")
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(event_store.count_events().rows)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1, 1, 1, 1]


def test_hostile_text_is_data(event_store: EventStore) -> None:
    nasty = "'); DROP TABLE events; -- \\ \x00 \u202e {hashes:Array(UInt64)}"
    event_store.land(lines([row(nasty, route=nasty, event_type="error", message=nasty)]), "t")
    touched = event_store.touched(0, ())
    assert touched.session_id == [nasty]
    found = event_store.candidates(touched.session_hash.tolist(), BASE_MS)
    assert found["message"].to_pylist() == [nasty]


@pytest.mark.parametrize("url", ["", "mysql://x/y", "clickhouse:///nohost", "clickhouse://h/da-ta;base"])
def test_a_url_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(PermanentError, match="event store"):
        EventStore(url)
