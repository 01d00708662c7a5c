"""The event store over HTTP: the cases of the embedded one, and what a network adds to them."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import clickhouse_connect
import pytest

from collector.spool.spool import Spool
from core.errors import FurrowError, PermanentError, TransientError
from lander.loop import Lander
from stores.events import event_erasure
from stores.events.event_store import EventStore
from tests.fakes.clickhouse_http import PASSWORD, USER, ClickHouseServer, Fault
from tests.fakes.servers import (
    clickhouse,
    clickhouse_process,
    empty_event_store_url,
    event_databases,
    event_store_url,
)
from tests.integration import test_event_store as embedded
from tests.rows import BASE_MS, lines, row

pytestmark = pytest.mark.long

__all__ = ["clickhouse", "clickhouse_process", "empty_event_store_url", "event_databases", "event_store_url"]

# The cases themselves, with this module's `event_store_url`: what holds embedded holds over HTTP.
globals().update({name: case for name, case in vars(embedded).items() if name.startswith("test_")})

MINUTE = 60_000


def rows_of(store: EventStore) -> tuple[int, int]:
    counts = store.count_events()
    return counts.distinct, counts.rows


def bad_session(count: int = 6) -> bytes:
    return lines(row("s", at, event_type="error") for at in range(count))


# What the server refuses.


def test_a_wrong_password_is_for_good_and_not_repeated_in_the_message(clickhouse: ClickHouseServer) -> None:
    with pytest.raises(PermanentError, match="516") as caught:
        EventStore(clickhouse.url("x", password="hunter2")).ping()
    assert "hunter2" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "family"),
    [(60, PermanentError), (497, PermanentError), (241, TransientError), (202, TransientError), (209, TransientError),
     (159, TransientError), (439, TransientError), (999, TransientError)],
)  # fmt: skip
def test_an_error_of_the_server_says_whether_trying_again_helps(
    clickhouse: ClickHouseServer, event_store: EventStore, code: int, family: type[FurrowError]
) -> None:
    event_store.land_segment(bad_session(), "one")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    calls: list[Callable[[], object]] = [
        lambda: event_store.land_segment(bad_session(3), "two"),
        lambda: event_store.read_touched_sessions(0, ()),
        lambda: event_store.read_candidate_events(hashes, BASE_MS),
        lambda: event_store.record_calm_sessions(hashes, BASE_MS, 1),
        lambda: event_store.record_analysed_sessions(embedded.analysed_row(hashes[0])),
        event_store.count_sessions,
        event_store.migrate,
    ]
    for call in calls:
        clickhouse.fault(Fault("error", code=code, times=9))
        with pytest.raises(family) as caught:
            call()
        assert type(caught.value) is family
        assert str(code) in str(caught.value)
        clickhouse.fault()
        call()


def test_a_server_that_is_away_may_come_back(clickhouse: ClickHouseServer, event_store: EventStore) -> None:
    event_store.land_segment(bad_session(), "one")
    clickhouse.kill()
    with pytest.raises(TransientError, match="not reachable") as caught:
        event_store.read_touched_sessions(0, ())
    assert "refused (None)" not in str(caught.value)
    clickhouse.start()
    assert rows_of(event_store) == (6, 6)


# What the network does.


@pytest.mark.parametrize("kind", ["lost", "refused", "cut"])
@pytest.mark.parametrize("times", [1, 9])
def test_an_insert_whose_connection_is_cut_lands_once(
    clickhouse: ClickHouseServer, event_store: EventStore, kind: str, times: int
) -> None:
    clickhouse.fault(Fault(kind, "INSERT INTO events", times))
    try:
        event_store.land_segment(bad_session(), "one")
    except TransientError:
        assert times > 1
        clickhouse.fault()
        event_store.land_segment(bad_session(), "one")
    assert rows_of(event_store) == (6, 6)


@pytest.mark.parametrize("kind", ["lost", "refused", "cut", "failed_late"])
@pytest.mark.parametrize("times", [1, 9])
def test_a_query_whose_connection_is_cut_is_told_or_repeated_and_never_half_read(
    clickhouse: ClickHouseServer, event_store: EventStore, kind: str, times: int
) -> None:
    event_store.land_segment(bad_session(200), "one")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    calls: list[Callable[[], int]] = [
        lambda: event_store.read_touched_sessions(0, ()).events,
        lambda: event_store.read_candidate_events(hashes, BASE_MS).num_rows,
        lambda: sum(table.num_rows for table in event_store.replay_sessions(BASE_MS, BASE_MS + MINUTE)),
        lambda: event_store.find_sessions_in_window(BASE_MS, BASE_MS + MINUTE).num_rows * 200,
        lambda: (event_store.migrate(), 200)[1],
    ]
    for call in calls:
        clickhouse.fault(Fault(kind, "SELECT", times))
        try:
            assert call() == 200
        except TransientError:
            clickhouse.fault()
            assert call() == 200


@pytest.mark.parametrize("kind", ["lost", "refused"])
def test_session_rows_whose_insert_is_cut_count_once(
    clickhouse: ClickHouseServer, event_store: EventStore, kind: str
) -> None:
    event_store.land_segment(lines([row("calm"), row("calm", 20 * MINUTE), row("s", event_type="error")]), "one")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    for write in (
        lambda: event_store.record_calm_sessions(hashes, BASE_MS, 1),
        lambda: event_store.record_analysed_sessions(embedded.analysed_row(hashes[0])),
    ):
        clickhouse.fault(Fault(kind, "INSERT INTO", times=9))
        with pytest.raises(TransientError):
            write()
        clickhouse.fault()
        write()
    assert event_store.count_sessions().visits == 3


def test_an_answer_that_does_not_come_is_given_up_and_the_next_question_is_answered(
    clickhouse: ClickHouseServer, event_store_url: str
) -> None:
    store = EventStore(event_store_url)
    store._connect["send_receive_timeout"] = 1
    store.migrate()
    clickhouse.fault(Fault("slow", "FROM events", seconds=4))
    began = time.monotonic()
    with pytest.raises(TransientError):
        store.read_touched_sessions(0, ())
    assert time.monotonic() - began < 3
    assert len(store.read_touched_sessions(0, ())) == 0  # while the server still works on the first one
    store.close()


def test_an_insert_that_is_given_up_and_lands_all_the_same_lands_once(
    clickhouse: ClickHouseServer, event_store_url: str
) -> None:
    store = EventStore(event_store_url)
    store._connect["send_receive_timeout"] = 1
    store.migrate()
    clickhouse.fault(Fault("slow", "INSERT INTO events", seconds=2))
    with pytest.raises(TransientError):
        store.land_segment(bad_session(), "one")
    store.land_segment(bad_session(), "one")
    time.sleep(2)
    assert rows_of(store) == (6, 6)
    store.close()


def test_a_slow_answer_is_waited_for(clickhouse: ClickHouseServer, event_store: EventStore) -> None:
    event_store.land_segment(bad_session(500), "one")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    clickhouse.fault(Fault("trickle", "SELECT", seconds=2))
    assert event_store.read_candidate_events(hashes, BASE_MS).num_rows == 500


@pytest.mark.parametrize("seed", range(3))
def test_the_lander_lands_every_event_once_whatever_happens_to_the_server(
    clickhouse: ClickHouseServer, event_store_url: str, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    store = EventStore(event_store_url)
    store.migrate()
    events = segments_in(tmp_path / "spool", 30)
    lander = Lander(tmp_path / "spool", lambda: store, tmp_path / "status.json")
    clickhouse.fault(
        *(
            Fault(rng.choice(("lost", "refused", "cut", "error")), "INSERT INTO events", rng.randint(1, 4), code=202)
            for _ in range(6)
        )
    )
    landing = threading.Thread(target=lander.land_until_stopped)
    landing.start()
    for _ in range(2):
        time.sleep(rng.uniform(0.1, 1.5))
        clickhouse.kill()
        time.sleep(rng.uniform(0, 0.5))
        clickhouse.start()
    wait_until(lambda: not list((tmp_path / "spool").glob("*.jsonl")), 90)
    lander.stop()
    landing.join()
    assert not list((tmp_path / "spool" / "quarantine").glob("*"))
    assert rows_of(store) == (events, events)
    store.close()


def segments_in(spool: Path, count: int) -> int:
    """Sealed segments as the collector writes them; how many events they hold."""
    for n in range(count):
        written = Spool(spool)
        written.append(lines(row(f"s{n}", at) for at in range(5)), 5).result(10)
        written.close()
    return 5 * count


def wait_until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"did not happen within {seconds} s"
        time.sleep(0.1)


# What a server limits, and what a client must not do to one that others use too.


def test_as_many_sessions_as_a_batch_may_hold_are_asked_for(event_store: EventStore) -> None:
    event_store.land_segment(lines(row(f"s{n}", n % 7, event_type="error") for n in range(20_000)), "one")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    assert event_store.read_candidate_events(hashes, BASE_MS).num_rows == 20_000
    assert event_store.record_calm_sessions(hashes, BASE_MS, 1) == 0
    assert sum(table.num_rows for table in event_store.replay_sessions(BASE_MS, BASE_MS + MINUTE)) == 20_000


def test_as_many_ids_as_an_erasure_may_hold_are_asked_for(event_store: EventStore) -> None:
    ids = [f"{n:04}".ljust(128, "\U0001f600") for n in range(1_200)]
    event_store.land_segment(lines(row(one) for one in ids), "one")
    assert event_erasure.erase_session_events(event_store, "default", ids).events == 1_200
    assert event_store.count_events().rows == 0


def test_a_segment_is_inserted_at_once_and_not_gathered_with_others(
    clickhouse: ClickHouseServer, event_store: EventStore
) -> None:
    """Since 26.x a server gathers inserts by default; what is gathered has no `landed_at` and no token of its own."""
    event_store.land_segment(bad_session(), "one")
    event_store.record_analysed_sessions(embedded.analysed_row(7))
    inserts = clickhouse.requests("INSERT INTO")
    assert {one.settings.get("async_insert") for one in inserts if "schema_versions" not in one.sql} == {"0"}


def test_stopping_one_process_leaves_the_queries_of_the_others(
    clickhouse: ClickHouseServer, event_store: EventStore
) -> None:
    event_store.stop_queries()
    assert not clickhouse.requests("KILL")


def test_a_database_that_is_there_needs_no_right_to_create_databases(
    clickhouse: ClickHouseServer, event_store: EventStore, event_store_url: str
) -> None:
    clickhouse.fault(Fault("error", "CREATE DATABASE", code=497, times=99))
    another = EventStore(event_store_url)
    assert another.count_events().rows == 0
    another.close()
    with pytest.raises(PermanentError, match="497"):
        EventStore(clickhouse.url(f"t_{uuid.uuid4().hex}")).ping()


def test_a_query_that_is_given_up_does_not_lock_those_that_follow(
    clickhouse: ClickHouseServer, event_store: EventStore
) -> None:
    event_store.count_events()
    assert not any(one.session for one in clickhouse.requests("FROM events"))


def test_several_processes_that_start_at_once_all_find_the_schema(empty_event_store_url: str) -> None:
    failed: list[Exception] = []

    def start() -> None:
        try:
            EventStore(empty_event_store_url).migrate()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    store = EventStore(empty_event_store_url)
    store.land_segment(bad_session(), "one")
    assert rows_of(store) == (6, 6)
    store.close()


# The stand-in itself, against the driver.


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", False])
def test_the_stand_in_understands_the_driver(clickhouse: ClickHouseServer, compression: str | bool) -> None:
    port = int(clickhouse.url("x").rsplit(":", 1)[1].split("/")[0])
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=port, username=USER, password=PASSWORD, compress=compression
    )
    name = f"c_{uuid.uuid4().hex}"
    client.command(f"CREATE TABLE {name} (a Int64, b String) ENGINE = MergeTree ORDER BY a")
    rows = [(n, f"text {n} \t\n\\ é") for n in range(3_000)]
    client.insert(name, rows, column_names=["a", "b"])
    assert client.query(f"SELECT a, b FROM {name} ORDER BY a").result_rows == rows
    hostile = "x' OR '1'='1 \\ \t {b:String}"
    assert client.query("SELECT {v:String}", parameters={"v": hostile}).result_rows == [(hostile,)]
    long = "ü" * 50_000  # too long for the URL: sent as a form
    assert client.query("SELECT length({v:String})", parameters={"v": long}).result_rows == [(100_000,)]
    with pytest.raises(clickhouse_connect.driver.exceptions.DatabaseError, match="Field value too long"):
        client.query("SELECT length({v:String})", parameters={"v": "v" * 140_000})
    with pytest.raises(clickhouse_connect.driver.exceptions.DatabaseError, match="UNKNOWN_TABLE"):
        client.query("SELECT * FROM nowhere")
    assert {one.content_encoding for one in clickhouse.requests(f"INSERT INTO `{name}`")} == {compression or ""}
    assert {one.answer_encoding for one in clickhouse.requests(f"FROM {name} ")} == {compression or ""}
    assert {one.form for one in clickhouse.requests("SELECT length")} == {True}
    client.close()
