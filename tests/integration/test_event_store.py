"""Landing, watermark and candidates on the embedded ClickHouse."""

import gc
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client

from collector.contract import normalise_batch
from core.errors import PermanentError
from stores.events import event_reader
from stores.events import event_store as event_store_module
from stores.events.event_store import OVERLAP_US, SESSION_COLUMNS, EventStore
from tests.rows import BASE_MS, lines, row
from tests.unit.ufse.found.batches import read_found
from ufse import detect, sessionize
from ufse.columns import EVENT_SCHEMA

MINUTE = 60_000
SCHEMA = Path(__file__).resolve().parents[2] / "schema" / "clickhouse"


def test_the_same_segment_lands_once(event_store: EventStore) -> None:
    segment = lines(row(at_ms=i) for i in range(10))
    event_store.land_segment(segment, "token")
    event_store.land_segment(segment, "token")
    assert event_store.count_events().rows == 10


def test_a_resent_event_counts_once(event_store: EventStore) -> None:
    event_store.land_segment(lines([row()]), "first")
    event_store.land_segment(lines([row() | {"received_ms": BASE_MS + MINUTE}]), "second")
    counts = event_store.count_events()
    assert (counts.distinct, counts.rows) == (1, 2)


def test_an_insert_over_many_event_days_lands(event_store: EventStore) -> None:
    day = 86_400_000
    event_store.land_segment(lines(row(at_ms=-i * day, received_ms=BASE_MS) for i in range(400)), "days")
    assert event_store.count_events().distinct == 400


def test_a_segment_with_an_unknown_key_is_refused_whole_and_for_good(event_store: EventStore) -> None:
    with pytest.raises(PermanentError):
        event_store.land_segment(lines([row(), {**row(at_ms=1), "surprise": 1}]), "bad")
    assert event_store.count_events().rows == 0


@pytest.mark.parametrize(
    ("kinds", "acted"),
    [
        (["click", "network", "performance"], 0),
        (["network", "input", "hover", "error"], 1),
        (["navigation", "click", "navigation"], 1),
        (["network", "navigation", "network"], 1),
        (["hover", "navigation"], None),
        (["network", "error", "visibility"], None),
    ],
)
def test_touched_names_the_last_action_of_a_person(
    event_store: EventStore, kinds: list[str], acted: int | None
) -> None:
    event_store.land_segment(lines(row("s", at, event_type=kind) for at, kind in enumerate(kinds)), "t")
    found = event_store.read_touched_sessions(0, ())
    assert found.acted_ts.tolist() == [0 if acted is None else BASE_MS + acted]
    assert found.last_ts.tolist() == [BASE_MS + len(kinds) - 1]


def test_touched_tells_each_landing_once(event_store: EventStore) -> None:
    event_store.land_segment(lines([row("a"), row("b"), row("b", 5)]), "one")
    first = event_store.read_touched_sessions(0, ())
    assert sorted(zip(first.session_id, first.last_ts.tolist(), strict=True)) == [("a", BASE_MS), ("b", BASE_MS + 5)]
    assert first.events == 3
    assert len(event_store.read_touched_sessions(first.watermark_us, first.seen)) == 0
    event_store.land_segment(lines([row("c")]), "two")
    again = event_store.read_touched_sessions(first.watermark_us, first.seen)
    assert again.session_id == ["c"]
    assert again.watermark_us > first.watermark_us


def test_a_backlog_comes_in_slices_of_whole_landings_oldest_first(event_store: EventStore) -> None:
    for n in range(6):
        event_store.land_segment(lines([row(f"s{n}"), row(f"s{n}", 1)]), f"landing {n}")
    slices: list[tuple[list[str], int]] = []
    watermark, seen = 0, tuple[int, ...]()
    while found := event_store.read_touched_sessions(watermark, seen, most_events=3):
        slices.append((sorted(found.session_id), found.later))
        assert found.watermark_us > watermark
        watermark, seen = found.watermark_us, found.seen
        if len(slices) == 1:
            event_store.land_segment(lines([row("newest")]), "meanwhile")
    assert slices == [(["s0", "s1"], 8), (["s2", "s3"], 5), (["s4", "s5"], 1), (["newest"], 0)]


def test_a_landing_that_becomes_visible_late_is_not_missed(event_store: EventStore) -> None:
    event_store.land_segment(lines([row("slow")]), "slow")
    seen_by_slow = event_store.read_touched_sessions(0, ())
    # A quicker insert had moved the watermark past the slow one before that was visible.
    moved = seen_by_slow.watermark_us + OVERLAP_US // 2
    assert event_store.read_touched_sessions(moved, ()).session_id == ["slow"]


def test_a_clock_that_was_set_back_hides_no_landing(event_store: EventStore) -> None:
    event_store.land_segment(lines([row("a")]), "one")
    hour = 3_600_000_000
    ahead = event_store.read_touched_sessions(0, ()).watermark_us + hour
    found = event_store.read_touched_sessions(ahead, (ahead,))
    assert found.session_id == ["a"]
    assert found.watermark_us < ahead
    assert len(event_store.read_touched_sessions(found.watermark_us, found.seen)) == 0


def test_only_sessions_with_possible_feedback_leave_the_store(event_store: EventStore) -> None:
    event_store.land_segment(
        lines([row("calm"), row("calm", 10), row("bad"), row("bad", 20, event_type="network", status=500)]), "t"
    )
    touched = event_store.read_touched_sessions(0, ())
    hashes = touched.session_hash.tolist()
    found = event_store.read_candidate_events(hashes, BASE_MS)
    assert found["session_id"].unique().to_pylist() == ["bad"]
    assert found.num_rows == 2
    assert event_store.record_calm_sessions(hashes, BASE_MS, 1) == 1


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ({"event_type": "navigation", "status": 500}, True),
        ({"event_type": "navigation", "status": 404}, True),
        ({"event_type": "navigation"}, False),
        ({"event_type": "click", "responded": 0}, True),
        ({"event_type": "click", "disabled": 1}, True),
        ({"event_type": "click", "responded": 1, "disabled": 0}, False),
        ({"event_type": "verdict", "responded": 0}, True),  # it speaks for its click
        ({"event_type": "verdict", "responded": 1}, False),
    ],
)
def test_failed_pages_and_dead_clicks_are_possible_feedback(
    event_store: EventStore, values: dict[str, object], read: bool
) -> None:
    event_store.land_segment(lines([row("s", **values)]), "t")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    assert (event_store.read_candidate_events(hashes, BASE_MS).num_rows > 0) == read


def test_sessions_whose_actions_may_lack_an_answer_leave_the_store(event_store: EventStore) -> None:
    """A form that is sent three times without a failure. One with a press less stays, and one on several pages."""
    acts = ["input", "click", "network", "click", "navigation", "form_submit"]
    sent = [row("sent", at, event_type=kind) for at, kind in enumerate(acts)]
    fewer = [row("fewer", at, event_type=kind) for at, kind in enumerate(acts[:-1])]
    pages = [row("pages", at, event_type=kind, route=f"/{at // 4}") for at, kind in enumerate(acts * 3)]
    event_store.land_segment(lines(sent + fewer + pages), "t")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    assert event_store.read_candidate_events(hashes, BASE_MS)["session_id"].unique().to_pylist() == ["sent"]
    assert [len(batch.hashes) for batch in event_store.plan_batches(hashes, BASE_MS)] == [1]
    assert event_store.record_calm_sessions(hashes, BASE_MS, 1) == 2
    replayed = list(event_store.replay_sessions(0, BASE_MS * 2))
    assert [table["session_id"].unique().to_pylist() for table in replayed] == [["sent"]]


@pytest.mark.parametrize(
    ("field", "presses", "read"),
    [
        ({}, [{}, {}, {}], True),
        ({}, [{}, {}], False),
        ({}, [{"clicks": 2}], True),  # the engine may find more clicks in it
        ({}, [{"clicks": 1}], False),
        ({"route": ""}, [{}, {}, {}], True),
        ({"route": ""}, [{}, {"route": "/a"}, {"route": "/b"}], False),
        ({}, [{}, {"route": ""}, {"route": ""}], True),
        ({"route": "/a"}, [{}, {}, {}], False),
        ({"action": "focus"}, [{}, {}, {}], False),
    ],
)
def test_presses_count_as_the_engine_unfolds_them(
    event_store: EventStore, field: dict[str, object], presses: list[dict[str, object]], read: bool
) -> None:
    acts = [{"event_type": "input", **field}, {"event_type": "network"}, *presses]
    event_store.land_segment(lines([row("s", at, **act) for at, act in enumerate(acts)]), "t")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    assert (event_store.read_candidate_events(hashes, BASE_MS).num_rows > 0) == read


@pytest.mark.parametrize(("returns", "read"), [(3, True), (2, False)])
@pytest.mark.parametrize("page", [{"nav_type": "reload"}, {"route": "/Login"}, {"route": "/shop/404"}, {"route": ""}])
def test_sessions_that_are_sent_back_leave_the_store(
    event_store: EventStore, page: dict[str, object], returns: int, read: bool
) -> None:
    """Entries on one page each, so that no page alone has enough presses."""
    acts: list[dict[str, object]] = []
    for tries in range(3):
        acts += [{"event_type": kind, "route": f"/{tries}"} for kind in ("input", "click")]
        acts += [{"event_type": "navigation", **page}] if tries < returns else []
    event_store.land_segment(lines([row("s", at, **act) for at, act in enumerate(acts)]), "t")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    assert (event_store.read_candidate_events(hashes, BASE_MS).num_rows > 0) == read


@pytest.mark.parametrize(
    ("times", "requests", "read"),
    [
        ((0, 5_000, 5_300, 5_600, 12_000), 1, True),
        ((0, 5_000, 6_900, 8_800, 12_000), 1, True),  # a project may set a longer pause
        ((0, 5_000, 5_300, 5_600, 12_000), 0, False),
        ((0, 5_000, 5_300, 5_600), 1, False),
        ((0, 5_000, 5_300, 10_000, 15_000), 1, False),
        ((0, 3_000, 6_000, 9_000, 12_000), 1, False),
    ],
)
def test_sessions_with_presses_in_anger_leave_the_store(
    event_store: EventStore, times: tuple[int, ...], requests: int, read: bool
) -> None:
    """Three tries with a burst of three clicks, without a change of a field."""
    acts = [row("s", ms) for ms in times]
    asked = [row("s", at, event_type="network") for at in range(requests)]
    event_store.land_segment(lines(acts + asked), "t")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    assert (event_store.read_candidate_events(hashes, BASE_MS).num_rows > 0) == read


def test_candidates_hold_each_event_once_with_its_first_receipt(event_store: EventStore) -> None:
    event = row("s", event_type="error")
    event_store.land_segment(lines([event]), "one")
    event_store.land_segment(lines([{**event, "received_ms": BASE_MS + MINUTE}]), "two")
    found = event_store.read_candidate_events(event_store.read_touched_sessions(0, ()).session_hash.tolist(), BASE_MS)
    assert found["received_ms"].to_pylist() == [BASE_MS]


def test_copies_of_an_event_are_told_from_other_sessions_events_with_its_id(event_store: EventStore) -> None:
    event = row("s", event_type="error")
    copies = [{**event, "received_ms": BASE_MS + k} for k in (3, 1, 2)]
    event_store.land_segment(lines([*copies, {**event, "session_id": "t"}, row("s", 5)]), "one")
    found = event_store.read_candidate_events(event_store.read_touched_sessions(0, ()).session_hash.tolist(), BASE_MS)
    told = zip(*(found[n].to_pylist() for n in ("session_id", "ts", "received_ms")), strict=True)
    assert sorted(told) == [("s", BASE_MS, BASE_MS + 1), ("s", BASE_MS + 5, BASE_MS + 5), ("t", BASE_MS, BASE_MS)]


def test_every_column_comes_back_as_it_landed(event_store: EventStore) -> None:
    one = row("s", event_type="error", message="no", user_agent="Firefox", x=-5, status=500, metadata='{"a":1}')
    event_store.land_segment(lines([one, row("s", 1)]), "one")
    found = event_store.read_candidate_events(event_store.read_touched_sessions(0, ()).session_hash.tolist(), BASE_MS)
    assert found.column_names == EVENT_SCHEMA.names
    assert found.cast(EVENT_SCHEMA).sort_by("ts").to_pylist() == [one, row("s", 1)]


def test_batches_hold_whole_sessions_and_no_calm_ones(event_store: EventStore) -> None:
    sizes = {"a": 5, "b": 4, "c": 30, "d": 2, "calm": 50}
    for number, (session, size) in enumerate(sizes.items()):
        kind = "click" if session == "calm" else "error"
        event_store.land_segment(
            lines(row(session, number * MINUTE + i, event_type=kind) for i in range(size)), session
        )
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    found = []
    for batch in event_store.plan_batches(hashes, BASE_MS, most_events=10):
        table = event_store.read_candidate_events(batch.hashes, batch.first_received_ms, batch.last_received_ms)
        found.append((sorted(set(table["session_id"].to_pylist())), table.num_rows))
    assert found == [(["a", "b"], 9), (["c"], 30), (["d"], 2)]


def test_many_events_are_counted_on_from_the_last_time(
    event_store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = 86_400_000
    monkeypatch.setattr(event_store_module, "EXACT_ROWS", 10)
    event_store.land_segment(lines(row("s", i * day // 50) for i in range(100)), "one")
    first = event_store.count_events()
    event_store.land_segment(lines(row("s", i * day // 50) for i in range(50, 150)), "two")  # half of them are known
    event_store.land_segment(lines([row("t", -40 * day)]), "three")
    again = event_store.count_events()
    assert (first.distinct, first.rows) == (100, 100)
    assert (again.distinct, again.rows) == (151, 201)
    assert again.last_landed_us > first.last_landed_us
    assert event_store.count_events() == again
    monkeypatch.setattr(event_store_module, "EXACT_ROWS", 1_000)
    assert event_store.count_events() == again


def test_nothing_is_read_beyond_the_last_receipt(event_store: EventStore) -> None:
    event_store.land_segment(lines([row("s", event_type="error"), row("s", 9 * MINUTE)]), "one")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    assert event_store.read_candidate_events(hashes, BASE_MS, BASE_MS + 9 * MINUTE).num_rows == 2
    assert event_store.read_candidate_events(hashes, BASE_MS, BASE_MS + 9 * MINUTE - 1).num_rows == 1


NEGATIVE: list[dict[str, Any]] = [
    {"event_type": "network", "status": 400},
    {"event_type": "network", "status": 0},
    {"event_type": "network", "status": 200, "duration_ms": 3000},
    {"event_type": "network", "status": 200, "aborted": 1},
    {"event_type": "error"},
    {"event_type": "performance", "duration_ms": 3000},
    {"event_type": "performance"},
    {"event_type": "form_submit", "valid": 0},
    {"event_type": "loading", "state": "start"},
]


@pytest.mark.parametrize("columns", NEGATIVE, ids=str)
def test_whatever_the_engine_may_take_for_feedback_leaves_the_store(
    event_store: EventStore, columns: dict[str, Any]
) -> None:
    event_store.land_segment(
        lines([row("s", **columns), row("calm", event_type="network", status=200, duration_ms=2999)]), "t"
    )
    found = event_store.read_candidate_events(event_store.read_touched_sessions(0, ()).session_hash.tolist(), BASE_MS)
    assert found["session_id"].to_pylist() == ["s"]


def test_an_older_database_is_brought_up_to_date(empty_event_store_url: str) -> None:
    store = EventStore(empty_event_store_url)
    with store._use_client() as client:
        client.command("CREATE TABLE schema_versions (version String, at DateTime DEFAULT now()) "
                       "ENGINE = ReplacingMergeTree ORDER BY version")  # fmt: skip
        for version in ("001_events", "002_sessions"):
            client.command((SCHEMA / f"{version}.sql").read_text().strip().removesuffix(";"))
            client.insert("schema_versions", [[version]], column_names=["version"])
    since = set(EVENT_SCHEMA.names[EVENT_SCHEMA.names.index("client_ts") :])  # columns of later versions
    old = {name: value for name, value in row("s", event_type="loading", state="start").items() if name not in since}
    store.land_segment(lines([old]), "one")
    hashes = store.read_touched_sessions(0, ()).session_hash.tolist()
    store.migrate()
    deadline = time.monotonic() + 20  # the old rows are corrected in the background
    while not store.read_candidate_events(hashes, BASE_MS).num_rows and time.monotonic() < deadline:
        time.sleep(0.05)
    found = store.read_candidate_events(hashes, BASE_MS).to_pylist()
    assert [(event["client_ts"], event["sent_ms"]) for event in found] == [(-1, -1)]
    store.land_segment(lines([{**old, "event_type": "error", "session_id": "waited"}]), "from a spool of before")
    assert len(store.read_touched_sessions(0, ())) == 2
    store.close()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("01a-retry-moves-answer.batches.json", 1),
        ("01b-retry-moves-failures-behind-success.batches.json", 0),
        ("01d-clock-6s-off-100ms-jitter.batches.json", 1),
    ],
)
def test_the_offset_of_a_session_is_derived_from_what_is_stored(event_store: EventStore, name: str, found: int) -> None:
    for number, batch in enumerate(read_found(name)):
        taken = normalise_batch(batch["body"], project="p", received_ms=batch["receivedMs"], salt=b"salt")
        event_store.land_segment(taken.encode_rows(), str(number))
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    assert len(detect(event_store.read_candidate_events(hashes, 0)).detections) == found


def replayed(store: EventStore, *window: Any, **options: Any) -> list[list[str]]:
    """Session ids of each batch, one an event."""
    return [sorted(table["session_id"].to_pylist()) for table in store.replay_sessions(*window, **options)]


def test_a_replay_gives_each_session_with_feedback_once_and_whole(event_store: EventStore) -> None:
    hour = 60 * MINUTE
    rows = [row(f"s{i}", i * hour + at, event_type=kind) for i in range(9) for at, kind in ((0, "click"), (1, "error"))]
    long = [row("long", 0, event_type="error"), row("long", 8 * hour)]
    event_store.land_segment(lines([*rows, *long, row("calm", 3 * hour)]), "one")
    batches = replayed(event_store, BASE_MS, BASE_MS + 24 * hour, batch_events=4)
    assert batches == [[f"s{i}", f"s{i}", f"s{i + 1}", f"s{i + 1}"] for i in range(0, 8, 2)] + [
        ["long", "long", "s8", "s8"]
    ]


def test_a_replay_takes_sessions_with_an_event_in_its_window_and_of_its_project(event_store: EventStore) -> None:
    def both(name: str, at: int, **more: Any) -> list[dict[str, Any]]:
        return [row(name, at, event_type="error", **more), row(name, at + MINUTE, **more)]

    rows = [*both("before", -MINUTE - 1), *both("over", -MINUTE), *both("in", 0), *both("after", MINUTE)]
    event_store.land_segment(lines([*rows, *both("other", 0, project="other")]), "one")
    window = BASE_MS, BASE_MS + MINUTE
    assert replayed(event_store, *window) == [["in", "in", "other", "other", "over", "over"]]
    assert replayed(event_store, *window, "other") == [["other", "other"]]
    assert replayed(event_store, BASE_MS + 9 * MINUTE, BASE_MS + 10 * MINUTE) == []


def test_a_replay_asks_for_no_more_sessions_at_once_than_a_query_can_name(
    event_store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_reader, "_MOST_SESSIONS", 3)
    event_store.land_segment(lines(row(f"s{i}", i, event_type="error") for i in range(8)), "one")
    batches = replayed(event_store, BASE_MS, BASE_MS + MINUTE)
    assert max(len(names) for names in batches) <= 3
    assert sorted(name for names in batches for name in names) == [f"s{i}" for i in range(8)]


def test_ever_new_threads_share_few_clients(event_store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the runs of a worker: each has threads of its own, and all of a day would have had 10,000 clients."""
    opened: list[Client] = []
    connect = clickhouse_connect.get_client

    def counted(**arguments: Any) -> Client:
        opened.append(connect(**arguments))
        return opened[-1]

    monkeypatch.setattr(clickhouse_connect, "get_client", counted)
    event_store.ping()
    for _ in range(5):
        threads = [threading.Thread(target=event_store.count_events) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(opened) <= 3
    with event_store.borrow_client() as lent:
        event_store.close()
    with event_store.borrow_client() as fresh:
        assert fresh is not lent
    assert event_store.count_events().rows == 0


def test_a_replay_that_is_left_early_leaves_nothing_behind(event_store: EventStore) -> None:
    event_store.land_segment(lines(row(f"s{i}", i, event_type="error") for i in range(9)), "one")
    before = threading.active_count(), len(event_store._clients), len(event_store._free)
    for table in event_store.replay_sessions(BASE_MS, BASE_MS + MINUTE, batch_events=2):
        assert table.num_rows == 2
        break
    gc.collect()
    assert (threading.active_count(), len(event_store._clients), len(event_store._free)) == before
    assert event_store.count_events().rows == 9


def test_a_reopened_session_comes_whole(event_store: EventStore) -> None:
    event_store.land_segment(lines([row("s", 0), row("s", 1, event_type="error")]), "one")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    event_store.record_calm_sessions(hashes, BASE_MS, 1)
    event_store.record_analysed_sessions(analysed_row(hashes[0]))
    event_store.land_segment(lines([row("s", 30 * MINUTE)]), "two")
    # Only the new event's receipt is known to the queue; the session's row knows where it began.
    first = event_store.find_first_receipt(hashes, BASE_MS + 30 * MINUTE)
    assert first == BASE_MS
    assert event_store.read_candidate_events(hashes, first).num_rows == 3
    assert event_store.find_first_receipt([1], BASE_MS + 30 * MINUTE) == BASE_MS + 30 * MINUTE


def analysed_row(session_hash: int) -> pa.Table:
    values = ["default", "s", session_hash, 1, 2, 0, BASE_MS, BASE_MS, BASE_MS + 1, 0, [], 2]
    return pa.Table.from_pydict(
        {name: [value] for name, value in zip(SESSION_COLUMNS.names, values, strict=True)}, schema=SESSION_COLUMNS
    )


def test_calm_visits_are_parted_by_gaps_of_more_than_fifteen_minutes(event_store: EventStore) -> None:
    gap = 15 * MINUTE
    event_store.land_segment(lines(row("s", at) | {"received_ms": BASE_MS} for at in (0, gap, 2 * gap + 1)), "t")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    assert event_store.record_calm_sessions(hashes, BASE_MS, 1) == 2
    event_store.record_calm_sessions(hashes, BASE_MS, 2)
    assert event_store.count_sessions().visits == 2


def draw_calm_session(draw: random.Random, number: int) -> list[dict[str, Any]]:
    """Events of a day, with pauses about a quarter of an hour, and the clocks of two senders."""
    kinds = draw.choice([["click", "network"], ["network", "hover", "scroll"], ["navigation", "network"], ["network"]])
    at, rows = 0, []
    offsets = {agent: draw.choice([0, 4_000, 7_200_000, -900_000]) for agent in ("Mozilla/5.0 A", "")}
    for place in range(draw.randint(1, 40)):
        at += draw.choice([1_000, MINUTE, 7 * MINUTE, 8 * MINUTE, 15 * MINUTE, 15 * MINUTE + 1])
        agent = draw.choice(list(offsets))
        client = BASE_MS + at - offsets[agent]
        known = {"client_ts": client, "sent_ms": client, "ts": client, "received_ms": BASE_MS + at}
        if draw.random() < 0.1:
            known = {"client_ts": -1, "sent_ms": -1, "ts": BASE_MS + at, "received_ms": BASE_MS + at}
        kind = {"event_type": draw.choice(kinds), "status": 200, "user_agent": agent, "x": place}
        rows.append({**row(f"s{number}", at), **kind, **known})
    return rows


def test_calm_visits_are_counted_as_the_engine_counts_them(event_store: EventStore) -> None:
    draw = random.Random(17)
    sessions = [draw_calm_session(draw, number) for number in range(200)]
    rows = [{**event, "received_ms": BASE_MS + event["received_ms"] % 1_000} for s in sessions for event in s]
    kept = [{**event, "sent_ms": -1} for event in rows]  # sent together; the offsets are tried below
    for token, chosen in (("together", kept), ("one by one", [event for s in sessions for event in s])):
        named = [{**event, "session_id": f"{event['session_id']} {token}"} for event in chosen]
        event_store.land_segment(lines(named), token)
        expected = Counter(sessionize(pa.Table.from_pylist(named, schema=EVENT_SCHEMA)).session_id)
        # A span of receipt above 75 min makes a session one for the engine.
        found = event_store.read_touched_sessions(0, ())
        event_store.record_calm_sessions(found.session_hash.tolist(), 0, 1)
        recorded = event_store.query_arrow("SELECT session_id, visits FROM sessions FINAL").to_pylist()
        counts = {r["session_id"]: r["visits"] for r in recorded if r["session_id"].endswith(token)}
        assert len(counts) > 20
        assert counts == {name: expected[name] for name in counts}


def test_every_thread_may_ask(event_store: EventStore) -> None:
    event_store.land_segment(lines([row()]), "t")
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(event_store.count_events().rows)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1, 1, 1, 1]


def test_hostile_text_is_data(event_store: EventStore) -> None:
    nasty = "'); DROP TABLE events; -- \\ \x00 \u202e {hashes:Array(UInt64)}"
    event_store.land_segment(lines([row(nasty, route=nasty, event_type="error", message=nasty)]), "t")
    touched = event_store.read_touched_sessions(0, ())
    assert touched.session_id == [nasty]
    found = event_store.read_candidate_events(touched.session_hash.tolist(), BASE_MS)
    assert found["message"].to_pylist() == [nasty]


@pytest.mark.parametrize("url", ["", "mysql://x/y", "clickhouse:///nohost", "clickhouse://h/da-ta;base"])
def test_a_url_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(PermanentError, match="event store"):
        EventStore(url)
