"""A backlog is worked off in slices, the oldest first, each committed and shown; a run that is killed goes on where it was."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from blocks import documents
from flows import detect as flow
from stores.events.event_store import EventStore
from stores.incidents.incident_ledger import IncidentLedger
from stores.incidents.incident_store import IncidentQuery, IncidentStore
from stores.incidents.session_queue import SessionQueue
from tasks import connections
from tests.integration.test_flows import frustrated
from tests.rows import lines

SESSIONS = 6
EVENTS = 11  # of each session
MINUTE = 60_000


@pytest.fixture
def backlog(
    prefect: None, event_store_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[IncidentStore]:
    """Six frustrated sessions, each landed by itself, a minute after the one before; slices of two, batches of two."""
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    documents.forget_blocks()
    monkeypatch.setattr("tasks.enqueue.SLICE_EVENTS", 2 * EVENTS)
    monkeypatch.setattr(flow, "BATCH", 2)
    for n in range(SESSIONS):
        events = [
            {**one, "ts": one["ts"] + n * MINUTE, "received_ms": one["received_ms"] + n * MINUTE}
            for one in frustrated(f"s{n}")
        ]
        connections.event_store().land_segment(lines(events), f"s{n}")
    store = connections.incident_store()
    assert isinstance(store, IncidentStore)
    yield store
    connections.close_connections()


def run() -> State[Any]:
    return flow.detect(return_state=True)


def affected(store: IncidentStore) -> int:
    return sum(one["affectedSessions"] for one in store.incidents.list_incidents(IncidentQuery()).incidents)


def finish(store: IncidentStore) -> None:
    """Run until every session is analysed: on a busy machine a run may leave the rest to the next one. Each counts once."""
    while affected(store) < SESSIONS:
        assert run().is_completed()
    assert affected(store) == SESSIONS
    assert store.queue.count_pending_sessions(2**50)["due"] == 0


def progress(key: str) -> list[tuple[float, str]]:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(limit=50, sort="CREATED_DESC")  # type: ignore[arg-type]
    return [(float(one.data), one.description or "") for one in found if one.key == key]  # type: ignore[arg-type]


def test_every_slice_is_told_and_the_oldest_come_first(
    backlog: IncidentStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[list[str]] = []
    original = IncidentLedger.record_detections

    def record(self: IncidentLedger, analysed: Any, *arguments: Any) -> Any:
        asked.append(sorted(one.pending.session_id for one in analysed))
        return original(self, analysed, *arguments)

    monkeypatch.setattr(IncidentLedger, "record_detections", record)
    before = {key: len(progress(key)) for key in ("detect-landed", "detect-analysed")}
    with caplog.at_level(logging.INFO, "furrow.progress"):
        state = run()
    assert state.name == "Completed", state.message
    assert asked == [["s0", "s1"], ["s2", "s3"], ["s4", "s5"]]
    assert affected(backlog) == SESSIONS
    told = [record.getMessage() for record in caplog.records if record.name == "furrow.progress"]
    assert [one.split(":")[0] for one in told] == ["slice 1", "slice 2", "slice 3"] * 2
    assert "22 events of 2 sessions in line, 44 events to go" in told[0]
    assert "2 sessions analysed" in told[3]
    assert told[3].endswith("due in all: 4")
    for key, number in before.items():
        assert len(progress(key)) == number + 1  # one bar a run, not one a slice
        assert progress(key)[0][0] == 100.0


def test_an_ordinary_run_shows_no_bar(backlog: IncidentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.enqueue.SLICE_EVENTS", 1_000)
    monkeypatch.setattr(flow, "BATCH", 1_000)
    before = len(progress("detect-landed")) + len(progress("detect-analysed"))
    assert run().is_completed()
    assert len(progress("detect-landed")) + len(progress("detect-analysed")) == before
    assert affected(backlog) == SESSIONS


@pytest.mark.parametrize("killed_at", [2, 3])
def test_a_run_that_is_killed_while_it_puts_in_line_goes_on_after_the_last_slice(
    backlog: IncidentStore, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    original = SessionQueue.enqueue_sessions
    calls = 0

    def killed(self: SessionQueue, *arguments: Any, **named: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == killed_at:
            raise KeyboardInterrupt
        return original(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(SessionQueue, "enqueue_sessions", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    waiting = backlog.queue.count_pending_sessions(2**50)["due"]
    assert waiting == 2 * (killed_at - 1)  # each slice was committed
    state = run()
    assert f"{(SESSIONS - waiting) * EVENTS:,} new events" in (state.message or "")
    finish(backlog)


def test_a_run_that_is_killed_while_it_analyses_goes_on_with_the_next_batch(
    backlog: IncidentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = EventStore.read_candidate_events
    calls = 0

    def killed(self: EventStore, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "read_candidate_events", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert affected(backlog) == 2
    assert backlog.queue.count_pending_sessions(2**50)["due"] == SESSIONS - 2
    finish(backlog)


def test_a_run_leaves_the_rest_to_the_next_one_when_its_time_is_over(
    backlog: IncidentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(range(0, 10_000, 15))  # each look at the clock is 15 s later
    monkeypatch.setattr(flow, "time", SimpleNamespace(monotonic=lambda: float(next(moments))))
    first = run()
    assert "landed and not in line: 44 events" in str(artifact())
    assert first.is_completed()
    finish(backlog)


def artifact() -> Any:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(limit=20, sort="CREATED_DESC")  # type: ignore[arg-type]
    return next(one.data for one in found if one.key == "detect")
