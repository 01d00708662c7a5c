"""The flow `erase` as Prefect runs it: what is still on its way, and what a run writes that began before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prefect import task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Completed, Running

import flows.erase
import tasks.erase
from blocks import documents
from collector.spool.segments import list_segments
from collector.spool.spool import Spool
from core.errors import PermanentError
from core.settings import Settings
from lander.loop import Lander
from stores.incidents.incident_store import IncidentStore
from tasks import connections
from tests.integration.incident_store_cases import detection, queue, record
from tests.integration.slow_flow import slow
from tests.integration.test_flows import frustrated, land
from tests.rows import lines


@pytest.fixture
def configured(
    prefect: None, event_store_url: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Both stores and a spool for this test alone; other tests' runs are not waited for."""
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    monkeypatch.setenv("FURROW_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tasks.erase, "_active_run_ids", set)
    documents.forget_blocks()
    yield
    connections.close_connections()


def erase(session_id: str) -> State[Any]:
    return flows.erase.erase(project="default", session_id=session_id, return_state=True)


def spooled(*sessions: str) -> None:
    spool = Spool(Settings().spool_dir, seal_seconds=0.01)
    for session in sessions:
        rows = frustrated(session)
        spool.append(lines(rows), len(rows)).result(10)
    spool.close()


def stored() -> list[str]:
    with connections.event_store().borrow_client() as client:
        return [row[0] for row in client.query("SELECT DISTINCT session_id FROM events ORDER BY ALL").result_rows]


def incidents() -> IncidentStore:
    store = connections.incident_store()
    assert isinstance(store, IncidentStore)
    return store


def test_what_has_not_landed_makes_it_degraded_and_again_does_the_rest(
    configured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.erase, "LANDING_SECONDS", 1.0)
    spooled("hers", "his")
    state = erase("hers")
    assert state.name == "Degraded"
    assert "spool segments have not landed yet; run it again" in str(state.message)
    Lander(Settings().spool_dir, connections.event_store, Settings().lander_status).land_all_segments()
    assert stored() == ["hers", "his"]
    assert erase("hers").name == "Completed"
    assert stored() == ["his"]


def test_where_nothing_lands_the_spool_is_rewritten(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", "log")
    documents.forget_blocks()
    spooled("hers", "his")
    before = sum(segment.events for segment in list_segments(Settings().spool_dir))
    state = erase("hers")
    assert (state.name, "11 events in the spool removed" in str(state.message)) == ("Completed", True), state.message
    left = list_segments(Settings().spool_dir)
    assert sum(segment.events for segment in left) == before - 11
    assert not any(b"hers" in segment.read() for segment in left)


def erasures() -> list[tuple[str, str, str, str]]:
    entries = incidents().audit.list_audit_entries("default").entries
    return [(one.actor, one.action, one.subject, one.reason) for one in entries if one.action == "data.erased"]


def test_each_erasure_is_in_the_audit_log_without_a_name(configured: None) -> None:
    land(frustrated("hers"), frustrated("his"))
    record(incidents(), detection("hers", project="default"), project="default")
    assert erase("hers").name == "Completed"
    ((actor, _action, subject, reason),) = erasures()
    assert (actor, subject) == ("flow erase", "a session")
    assert "11 events" in reason
    assert "1 detections" in reason
    assert "hers" not in reason
    assert erase("hers").name == "Completed"
    assert "removed: nothing" in erasures()[0][3]


def test_an_audit_log_that_cannot_be_written_makes_it_degraded_and_again_notes_it(
    configured: None, postgres_url: str
) -> None:
    land(frustrated("hers"))
    assert erasures() == []
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE audit_log RENAME TO away")
        state = erase("hers")
        connection.execute("ALTER TABLE away RENAME TO audit_log")
    assert state.name == "Degraded"
    assert stored() == []
    assert erasures() == []
    assert erase("hers").name == "Completed"
    assert len(erasures()) == 1


def test_what_a_run_writes_that_began_before_is_erased_too(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    land(frustrated("hers"), frustrated("his"))

    @task
    def a_late_run() -> None:
        """It had read her events and the line before they were erased, and only now writes."""
        record(incidents(), detection("hers", project="default"), project="default")
        queue(incidents(), ["hers"], "default")
        land(frustrated("hers"))

    monkeypatch.setattr(flows.erase, "wait_for_runs", a_late_run)
    assert erase("hers").name == "Completed"
    assert stored() == ["his"]
    assert incidents().incidents.read_store_counts()["detections"] == 0
    assert [one.session_id for one in incidents().queue.find_due_sessions(10**15, 10)] == []


def test_it_waits_for_the_runs_that_go_on(prefect: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.erase, "RUNS_SECONDS", 1.0)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(slow, state=Running())
        assert str(run.id) in tasks.erase._active_run_ids()
        with pytest.raises(PermanentError, match="still active; run it again"):
            tasks.erase.wait_for_runs.fn()
        client.set_flow_run_state(run.id, Completed(), force=True)
        assert str(run.id) not in tasks.erase._active_run_ids()


def test_it_is_told_who(configured: None) -> None:
    for wrong in ({}, {"session_id": "a", "user": "uh:" + "0" * 32}, {"user": "alice"}):
        assert flows.erase.erase(**wrong, return_state=True).is_failed()
