"""The flows as Prefect runs them, on a real (embedded) ClickHouse and Postgres."""

import importlib
import logging
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from blocks import documents
from core.settings import Settings
from flows.detect import detect
from stores.embedded_postgres import EmbeddedPostgres
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentQuery, IncidentStore, TouchedSession
from tasks import connections, stopping
from tests.rows import BASE_MS, lines, row


@pytest.fixture
def configured(
    prefect: None, event_store_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Both stores configured for this test alone."""
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    documents.forget_blocks()
    yield
    connections.close_connections()


def frustrated(session_id: str, **columns: Any) -> list[dict[str, Any]]:
    """Five clicks on a button whose request fails each time, then the end."""
    events = []
    for n in range(5):
        click = {"target_type": "button", "target_id": "pay", "route": "/checkout", "input_method": "mouse"}
        events.append(row(session_id, n * 700, **click, **columns))
        answer = {"event_type": "network", "method": "POST", "url": "/api/orders", "status": 500, "duration_ms": 200}
        events.append(row(session_id, n * 700 + 300, **answer, route="/checkout", **columns))
    return [*events, row(session_id, 9_000, event_type="session_end", route="/checkout", **columns)]


def land(*sessions: list[dict[str, Any]]) -> None:
    events = [event for session in sessions for event in session]
    connections.event_store().land_segment(lines(events), f"token {events[0]['event_id']} {len(events)}")


def incidents() -> list[dict[str, Any]]:
    store = connections.incident_store()
    assert isinstance(store, IncidentStore)
    return list(store.incidents.list_incidents(IncidentQuery()).incidents)


def run() -> State[Any]:
    return detect(return_state=True)


def test_one_incident_with_its_sessions_whoever_runs_it_how_often(configured: None) -> None:
    land(*(frustrated(f"s{n}") for n in range(3)))
    state = run()
    assert (state.name, state.is_completed()) == ("Completed", True), state.message
    (incident,) = incidents()
    assert (incident["status"], incident["affectedSessions"]) == ("confirmed", 3)
    assert run().is_completed()
    land(*(frustrated(f"s{n}") for n in range(3)))  # the same again, as a resend
    assert run().is_completed()
    assert incidents() == [incident]


def test_an_empty_run_completes(configured: None) -> None:
    assert run().name == "Completed"


def test_a_late_event_replaces_the_detections_of_its_session(configured: None) -> None:
    land(frustrated("s"))
    run()
    answer = {"event_type": "network", "method": "POST", "url": "/api/orders", "status": 201, "duration_ms": 200}
    click = row("s", 4_000, target_type="button", target_id="pay", route="/checkout", input_method="mouse")
    land([click, row("s", 4_300, route="/checkout", **answer)])
    run()
    (incident,) = incidents()
    assert incident["affectedSessions"] == 0


def test_without_an_incident_store_each_detection_is_logged_once(
    configured: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", "log")
    documents.forget_blocks()
    land(frustrated("s"))
    with caplog.at_level(logging.WARNING, "furrow"):
        first, second = run(), run()
    assert (first.name, second.name) == ("LoggedOnly", "LoggedOnly")
    assert [r.getMessage() for r in caplog.records if "detection (log-only)" in r.getMessage()] != []
    assert len([r for r in caplog.records if "detection (log-only)" in r.getMessage()]) == 1


def test_without_an_event_store_the_run_is_logged_only(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", "log")
    documents.forget_blocks()
    assert run().name == "LoggedOnly"


def test_postgres_away_ends_degraded_and_its_return_finds_everything_once(
    configured: None, stoppable_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", stoppable_postgres.url)
    documents.forget_blocks()
    land(*(frustrated(f"s{n}") for n in range(3)))
    original = EventStore.read_candidate_events

    def stop_in_mid_run(self: EventStore, *arguments: Any) -> Any:
        stoppable_postgres.stop()  # after the sessions were read, before their detections are written
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "read_candidate_events", stop_in_mid_run)
        state = run()
    assert (state.name, state.is_failed()) == ("Degraded", True)
    assert "upsert" in (state.message or "")
    stoppable_postgres.start()
    assert run().is_completed()
    (incident,) = incidents()
    assert incident["affectedSessions"] == 3
    assert run().is_completed()
    assert incidents() == [incident]


def test_a_poisoned_session_goes_to_the_dead_letters_and_takes_no_other_with_it(
    configured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(frustrated("good"), frustrated("poison"))
    engine = importlib.import_module("ufse.pipeline")
    original = engine.detect

    def fail_over_poison(table: Any, *arguments: Any, **named: Any) -> Any:
        if "poison" in table["session_id"].to_pylist():
            raise ValueError("cannot be analysed")
        return original(table, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "detect", fail_over_poison)
        states = [run() for _ in range(3)]
    assert all(state.is_completed() for state in states)
    store = connections.incident_store()
    assert isinstance(store, IncidentStore)
    with psycopg.connect(Settings().incident_store_url.get_secret_value()) as connection:
        dead = connection.execute("SELECT session_id, session_hash, reason FROM dead_sessions").fetchall()
    ((session_id, _, reason),) = dead
    assert session_id == "poison"
    assert reason.startswith("an error of the engine in ufse.pipeline, line ")
    assert incidents()[0]["affectedSessions"] == 1
    store.queue.enqueue_missing_sessions([TouchedSession("default", "poison", dead[0][1] & (1 << 64) - 1, 0, 0)])
    run()
    assert incidents()[0]["affectedSessions"] == 2


def test_a_run_that_is_asked_to_stop_ends_cancelled_and_loses_nothing(configured: None) -> None:
    land(frustrated("s"))
    stopping.request_stop_of_all()
    try:
        assert run().is_cancelled()
    finally:
        stopping._all.clear()
    assert run().is_completed()
    assert len(incidents()) == 1


def test_a_run_leaves_an_artifact(configured: None) -> None:
    land(frustrated("s"), [row("calm", route="<script>alert(1)</script>", event_type="error"), row("calm", 1)])
    run()
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/latest/filter", json={"artifacts": {"key": {"any_": ["detect"]}}})
    text = answer.json()[0]["data"]
    assert "| detections | 1 |" in text
    assert "## Why not" in text
    assert "POST /api/orders → 500" in text
    assert "<script" not in text


def test_history_needs_not_wait(configured: None) -> None:
    """Events of long ago are complete 15 s after their receipt, which for these rows was long ago as well."""
    land([one | {"received_ms": BASE_MS + 10**9} for one in frustrated("s")])
    run()
    assert len(incidents()) == 1
