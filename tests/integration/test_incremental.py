"""A batch costs what is new: the rows that ClickHouse reads for it do not follow what is stored."""

import pytest

from bench.stored import Stored
from blocks import documents
from stores.events import event_store
from stores.events.event_store import EventStore
from stores.incidents.incident_store import Cursor, IncidentStore
from tasks import connections
from tasks.enqueue import sessionize
from tasks.score import read_due_sessions, score_sessions
from tasks.upsert import upsert_detections
from tests.event_databases import EventDatabases

pytestmark = pytest.mark.long

# Alike in how many are received in an hour; one has five times as many hours.
LITTLE = Stored(sessions=10_000, share=0.1, days=2)
MUCH = Stored(sessions=50_000, share=0.1, days=10)
NEW = 250
GRANULE = 8_192  # ClickHouse's default


def fill(url: str, stored: Stored) -> None:
    """Store the events and what was noted about their sessions."""
    store = EventStore(url)
    with store._use_client() as client:
        for statement in [*stored.inserts(), *(stored.session_rows(day) for day in range(int(stored.days) + 1))]:
            client.command(statement)
    store.count_events()
    store.close()


def rows_read(store: EventStore) -> int:
    """Rows that queries of this process have selected so far, after indexes and partitions left out the others."""
    with store._use_client() as client:
        rows = client.query("SELECT value FROM system.events WHERE event = 'SelectedRows'").result_rows
    return int(rows[0][0])


def a_batch(stored: Stored) -> tuple[int, int, int]:
    """Rows read by the steps of `detect` for 10,000 new events, by counting afterwards, and the detections."""
    store, incidents = connections.event_store(), connections.incident_store()
    assert isinstance(incidents, IncidentStore)
    incidents.queue.enqueue_sessions([], Cursor(store.count_events().last_landed_us, ()))
    with store._use_client() as client:
        select = stored.select(stored.sessions, stored.sessions + NEW)
        store.land_segment(bytes(client.raw_query(f"{select} FORMAT JSONEachRow")), "new")
    before = rows_read(store)
    sessionize.fn()
    scored = score_sessions.fn(read_due_sessions.fn(5_000))
    upsert_detections.fn(scored.analysed)
    between = rows_read(store)
    store.count_events()
    return between - before, rows_read(store) - between, scored.detections


def test_five_times_as_many_stored_events_are_not_read_for_a_batch(
    event_databases: EventDatabases, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    monkeypatch.setattr(event_store, "EXACT_ROWS", 100_000)
    read, counted = {}, {}
    for name, stored in (("little", LITTLE), ("much", MUCH)):
        with event_databases.make_migrated() as url:
            fill(url, stored)
            monkeypatch.setenv("FURROW_EVENT_STORE_URL", url)
            documents.forget_blocks()
            try:
                batch, counted[name], found = a_batch(stored)
            finally:
                connections.close_connections()
        assert NEW // 10 <= found < NEW // 5  # the sessions that the overlap holds come again
        # One number of each noted session is looked through, to know which of the new ones were there before.
        read[name] = batch - stored.sessions
    assert read["much"] < 1.2 * read["little"]
    # To find what landed lately, whole granules are read: how many hold some of it depends on how parts were merged.
    assert counted["much"] < counted["little"] + 2 * GRANULE < LITTLE.events / 2
