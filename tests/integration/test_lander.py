"""The lander between a real spool and the embedded ClickHouse: what breaks is kept, what returns lands exactly once."""

import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from collector.spool.segments import Segment, list_segments
from collector.spool.spool import Spool
from core.errors import NotConfigured, TransientError
from core.metrics import DEGRADED
from lander.loop import Lander
from stores.events import event_coverage
from stores.events.event_store import EventStore
from tests.rows import lines, row


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def spool_events(directory: Path, *sessions: str) -> None:
    """One sealed segment of one event for each session."""
    for session in sessions:
        spool = Spool(directory)
        spool.append(lines([row(session)]), 1).result(10)
        spool.close()


def lander(spool_dir: Path, store: EventStore) -> Lander:
    return Lander(spool_dir, lambda: store, spool_dir.parent / "lander.json")


def degraded(reason: str) -> float:
    return DEGRADED.labels("lander", reason)._value.get()


def test_what_was_spooled_lands_and_is_told(spool_dir: Path, event_store: EventStore) -> None:
    spool_events(spool_dir, "a", "b")
    assert lander(spool_dir, event_store).land_all_segments() == 2
    assert list_segments(spool_dir) == []
    told = json.loads((spool_dir.parent / "lander.json").read_text())
    assert (told["eventsStored"], told["rowsStored"], told["sessionsComplete"]) == (2, 2, 0)


def test_what_the_events_carry_is_counted_once_and_again_only_when_more_landed(
    spool_dir: Path, event_store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lander.loop._COVERAGE_SECONDS", 0.0)
    monkeypatch.setattr("lander.loop._STATS_SECONDS", 0.0)
    monkeypatch.setattr("lander.loop._STATS_SHARE", 1e9)
    asked: list[int] = []
    count = event_coverage.count_landed_events

    def counting(store: EventStore, after_us: int) -> tuple[Counter[str], int]:
        asked.append(after_us)
        return count(store, after_us)

    monkeypatch.setattr(event_coverage, "count_landed_events", counting)

    def told() -> int:
        status = json.loads((spool_dir.parent / "lander.json").read_text())
        return int(status["coverage"]["current"]["events"])

    first = lander(spool_dir, event_store)
    spool_events(spool_dir, "a", "b")
    first.land_all_segments()
    first.land_all_segments()
    assert (told(), len(asked)) == (2, 1)
    spool_events(spool_dir, "c")
    first.land_all_segments()
    assert (told(), len(asked)) == (3, 2)
    assert asked[1] > asked[0]
    spool_events(spool_dir, "d")
    lander(spool_dir, event_store).land_all_segments()  # a new process goes on where that one stopped
    assert told() == 4


@pytest.mark.parametrize("failure", [TransientError("away"), NotConfigured("log-only")])
def test_an_event_store_that_is_away_costs_nothing_but_time(
    spool_dir: Path, event_store: EventStore, failure: Exception
) -> None:
    spool_events(spool_dir, "a", "b")
    reason = "not_configured" if isinstance(failure, NotConfigured) else "TransientError"
    before = degraded(reason)
    back = threading.Event()

    def connect() -> EventStore:
        if not back.is_set():
            raise failure
        return event_store

    working = Lander(spool_dir, connect, spool_dir.parent / "lander.json")
    thread = threading.Thread(target=working.land_until_stopped)
    thread.start()
    while degraded(reason) == before:
        pass
    assert len(list_segments(spool_dir)) == 2
    back.set()
    while list_segments(spool_dir):
        pass
    working.stop()
    thread.join(10)
    assert event_store.count_events().rows == 2


def test_a_crash_between_insert_and_delete_lands_nothing_twice(
    spool_dir: Path, event_store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool_events(spool_dir, "a")

    def crash(self: Segment) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Segment, "delete", crash)
        with pytest.raises(KeyboardInterrupt):
            lander(spool_dir, event_store).land_all_segments()
    assert lander(spool_dir, event_store).land_all_segments() == 1
    assert event_store.count_events().rows == 1


def test_a_damaged_segment_is_set_aside_and_stops_no_other(spool_dir: Path, event_store: EventStore) -> None:
    spool_events(spool_dir, "damaged", "good")
    damaged = list_segments(spool_dir)[0].path
    damaged.chmod(0o600)
    damaged.write_bytes(damaged.read_bytes().replace(b"damaged", b"DAMAGED"))
    before = degraded("quarantined")
    assert lander(spool_dir, event_store).land_all_segments() == 1
    assert degraded("quarantined") == before + 1
    assert event_store.count_events().rows == 1
    (kept,) = (spool_dir / "quarantine").glob("*.jsonl")
    assert kept.name == damaged.name
    assert "checksum" in kept.with_suffix(".reason").read_text()


def test_a_segment_that_the_store_refuses_is_set_aside_whole(spool_dir: Path, event_store: EventStore) -> None:
    spool = Spool(spool_dir)
    spool.append(lines([{**row(), "a_column_of_the_future": 1}]), 1).result(10)
    spool.close()
    spool_events(spool_dir, "good")
    assert lander(spool_dir, event_store).land_all_segments() == 1
    assert event_store.count_events().rows == 1
    assert len(list((spool_dir / "quarantine").glob("*.jsonl"))) == 1


def test_what_does_not_change_is_counted_ever_more_rarely_and_what_lands_at_once(
    spool_dir: Path, event_store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lander.loop._STATS_SECONDS", 0.01)
    monkeypatch.setattr("lander.loop._STATS_IDLE_SECONDS", 3_600.0)
    monkeypatch.setattr("lander.loop._STATS_SHARE", 1e9)
    counted: list[int] = []
    count = event_store.count_sessions
    monkeypatch.setattr(event_store, "count_sessions", lambda: (counted.append(1), count())[1])
    idle = lander(spool_dir, event_store)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        idle.land_all_segments()
        time.sleep(0.005)
    assert len(counted) <= 8  # 0.01 s, 0.02 s, 0.04 s …; not fifty
    idle._stats_due = time.monotonic() + 3_600
    spool_events(spool_dir, "a")
    idle.land_all_segments()
    told = json.loads((spool_dir.parent / "lander.json").read_text())
    assert told["eventsStored"] == 1
    assert idle._stats_pause == 0.01
