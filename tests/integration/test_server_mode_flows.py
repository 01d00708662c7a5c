"""The flows against servers: the cases of the embedded stores, and several runs that share the work."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from blocks import documents
from flows.detect import detect
from incidents.model import Cursor, PendingSession
from stores.incidents.incident_store import IncidentQuery, IncidentStore
from stores.incidents.log_incident_store import LogIncidentStore
from stores.incidents.session_queue import compute_shard
from tasks import connections
from tasks.enqueue import _queue_rows, sessionize
from tasks.score import read_due_sessions, score_sessions
from tasks.upsert import upsert_detections
from tests.fakes.clickhouse_http import ClickHouseServer, Fault
from tests.fakes.servers import (
    clickhouse,
    clickhouse_process,
    event_databases,
    event_store_url,
    postgres_process,
    postgres_url,
)
from tests.integration import test_flows as embedded
from tests.integration.test_flows import configured, frustrated, incidents, land, run
from tests.rows import row

pytestmark = pytest.mark.long

__all__ = [
    "clickhouse",
    "clickhouse_process",
    "configured",
    "event_databases",
    "event_store_url",
    "postgres_process",
    "postgres_url",
]

# The cases themselves, with this module's stores: what holds embedded holds in server mode.
globals().update({name: case for name, case in vars(embedded).items() if name.startswith("test_")})

Part = list[tuple[str, str]]

other_postgres_url = postgres_url


def test_clickhouse_away_in_mid_run_ends_degraded_and_its_return_finds_everything_once(
    configured: None, clickhouse: ClickHouseServer
) -> None:
    land(*(frustrated(f"s{n}") for n in range(3)))
    clickhouse.fault(Fault("error", "AS page_negative", times=99, code=241))
    assert run().name == "Degraded"
    clickhouse.kill()
    assert run().name == "Degraded"
    clickhouse.start()
    assert run().is_completed()
    (incident,) = incidents()
    assert incident["affectedSessions"] == 3


# Sharding.


@pytest.fixture
def stores(event_store_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[IncidentStore]:
    """Both stores configured, without a Prefect server: the tasks' own functions are called."""
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    documents.forget_blocks()
    store = connections.incident_store()
    assert isinstance(store, IncidentStore)
    yield store
    connections.close_connections()


def traffic() -> None:
    """40 frustrated sessions on two pages, in two projects, and 20 calm ones."""
    for n in range(40):
        session = frustrated(f"s{n}", project=f"p{n % 2}")
        land([{**event, "route": f"/page-{n % 4}"} for event in session])
    land(*([row(f"calm{n}"), row(f"calm{n}", 5)] for n in range(20)))


def work(shard: int, shards: int, batch: int = 7) -> Part:
    """What one run does; the sessions that it analysed, in their order."""
    done: Part = []
    if shard == 0:
        sessionize.fn()
    while due := read_due_sessions.fn(batch, shard, shards):
        upsert_detections.fn(score_sessions.fn(due).analysed)
        done += [(one.project, one.session_id) for one in due]
    return done


def at_once(shards: int) -> list[Part]:
    """One run a shard, all at the same time, after the first has put everything in line."""
    sessionize.fn()
    parts: list[Part] = [[] for _ in range(shards)]
    failed: list[Exception] = []

    def one(shard: int) -> None:
        try:
            parts[shard] = work(shard, shards)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(shard,)) for shard in range(shards)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    return parts


def story(store: IncidentStore) -> list[dict[str, Any]]:
    """All incidents in full, with their detections, but for the moments at which they were written."""
    told = []
    for one in store.incidents.list_incidents(IncidentQuery(limit=200)).incidents:
        whole = store.incidents.read_incident(str(one["incidentId"]))
        assert whole is not None
        told.append(without_moments(whole))
    return sorted(told, key=lambda incident: str(incident["incidentId"]))


def without_moments(value: Any) -> Any:
    if isinstance(value, dict):
        moments = ("createdAt", "updatedAt", "at", "confirmedAt", "changedAt")
        return {key: without_moments(item) for key, item in value.items() if key not in moments}
    return [without_moments(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_at_once_find_what_one_run_finds_and_analyse_each_session_once(
    stores: IncidentStore, other_postgres_url: str, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    traffic()
    parts = at_once(shards)
    assert all(parts)
    done = [key for part in parts for key in part]
    assert len(done) == len(set(done)) == 60
    together = story(stores)
    assert len(together) == 4
    assert {one["status"] for one in together} == {"confirmed"}
    assert connections.event_store().count_sessions().visits == 60
    # The same stored events, analysed by one run, into another database.
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", other_postgres_url)
    documents.forget_blocks()
    assert len(work(0, 1)) == 60
    alone = connections.incident_store()
    assert isinstance(alone, IncidentStore)
    assert story(alone) == together


def test_of_two_runs_that_read_the_same_events_one_puts_them_in_line(
    stores: IncidentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(*(frustrated(f"s{n}") for n in range(5)))
    both = threading.Barrier(2, timeout=30)
    events = connections.event_store()
    read = events.read_touched_sessions

    def read_together(*arguments: Any) -> Any:
        found = read(*arguments)
        both.wait()  # both have read before either writes
        return found

    monkeypatch.setattr(events, "read_touched_sessions", read_together)
    counts: list[int] = []
    runs = [threading.Thread(target=lambda: counts.append(sessionize.fn().sessions)) for _ in range(2)]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert sorted(counts) == [0, 5]
    assert (
        max(one.version for one in stores.queue.find_due_sessions(2**60, 100)) == 5
    )  # five numbers were given out, not ten
    assert stores.queue.read_cursor() != Cursor()


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_every_session_is_in_one_shard_whatever_its_hash(stores: IncidentStore, shards: int) -> None:
    land(*(frustrated(f"s{n}") for n in range(30)))
    sessionize.fn()
    everything = stores.queue.find_due_sessions(2**60, 100)
    assert any(one.session_hash >= 2**63 for one in everything)
    parts = [stores.queue.find_due_sessions(2**60, 100, shard, shards) for shard in range(shards)]
    assert sorted((one for part in parts for one in part), key=key_of) == sorted(everything, key=key_of)
    for shard, part in enumerate(parts):
        assert {compute_shard(one.session_hash, shards) for one in part} <= {shard}


def key_of(one: PendingSession) -> tuple[str, str]:
    return one.project, one.session_id


def test_the_log_only_store_shards_alike(stores: IncidentStore) -> None:
    land(*(frustrated(f"s{n}") for n in range(30)))
    sessionize.fn()
    logged = LogIncidentStore()
    found = connections.event_store().read_touched_sessions(0, ())
    assert logged.queue.enqueue_sessions(_queue_rows(found), Cursor(1), since=Cursor()) == 30
    assert logged.queue.enqueue_sessions(_queue_rows(found), Cursor(2), since=Cursor()) == 0
    for shard in range(3):
        ours = [key_of(one) for one in logged.queue.find_due_sessions(2**60, 100, shard, 3)]
        assert sorted(ours) == sorted(key_of(one) for one in stores.queue.find_due_sessions(2**60, 100, shard, 3))


@pytest.mark.parametrize(("shard", "shards"), [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_cannot_be_is_refused(shard: int, shards: int) -> None:
    state = detect.fn(shard, shards)
    assert state.is_failed()
    assert "shard" in str(state.message)
