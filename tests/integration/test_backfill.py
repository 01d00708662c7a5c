"""Backfills on a real (embedded) ClickHouse and Postgres: what they change, and what they must leave alone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from blocks import documents
from core.errors import PermanentError
from flows.backfill import backfill
from flows.detect import detect
from stores.embedded_postgres import EmbeddedPostgres
from stores.events.event_store import EventStore
from stores.incidents.incident_ledger import IncidentLedger
from stores.incidents.incident_store import IncidentQuery, IncidentStore
from tasks import connections, stopping
from tests.integration.test_flows import frustrated, land
from tests.rows import BASE_MS, row

pytestmark = pytest.mark.long

START = datetime.fromtimestamp(BASE_MS / 1000, UTC)
WINDOW = {"start": START - timedelta(minutes=1), "end": START + timedelta(hours=1)}
IGNORE = {"ignoredRoutes": ["/checkout"]}
CLICK = {"target_type": "button", "target_id": "pay", "route": "/checkout", "input_method": "mouse"}


@pytest.fixture
def configured(
    prefect: None, event_store_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    documents.forget_blocks()
    yield
    connections.close_connections()


def store() -> IncidentStore:
    found = connections.incident_store()
    assert isinstance(found, IncidentStore)
    return found


def run(dry_run: bool = False, project: str | None = None, **window: datetime) -> State[Any]:
    return backfill(**{**WINDOW, **window}, project=project, dry_run=dry_run, return_state=True)


def artifact() -> str:
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/latest/filter", json={"artifacts": {"key": {"any_": ["backfill"]}}})
    return str(answer.json()[0]["data"])


def everything() -> str:
    """All that people see of incidents, and every session in line."""
    pages = [
        store().incidents.read_incident(one["incidentId"])
        for one in store().incidents.list_incidents(IncidentQuery()).incidents
    ]
    return json.dumps(
        [pages, store().queue.count_pending_sessions(0), store().incidents.read_store_counts()], sort_keys=True
    )


def only_incident() -> dict[str, Any]:
    (listed,) = store().incidents.list_incidents(IncidentQuery()).incidents
    found = store().incidents.read_incident(listed["incidentId"])
    assert found is not None
    return found


def ignoring(project: str = "default") -> None:
    store().keys.save_project(project, settings=IGNORE)


def test_a_dry_run_lists_what_would_change_and_writes_nothing(configured: None) -> None:
    land(*(frustrated(f"s{n}") for n in range(3)))
    detect(return_state=True)
    ignoring()
    before, sessions_before = everything(), connections.event_store().count_sessions()
    assert run(dry_run=True).is_completed()
    assert everything() == before
    assert connections.event_store().count_sessions() == sessions_before
    text = artifact()
    assert "| detections would be retracted | 3 |" in text
    assert f"`{only_incident()['incidentId']}`): 3 retracted" in text
    assert "**confirmed**" in text


def test_the_run_does_what_the_dry_run_said_once(configured: None) -> None:
    land(*(frustrated(f"s{n}") for n in range(3)))
    detect(return_state=True)
    ignoring()
    assert run().is_completed()
    assert "| detections retracted | 3 |" in artifact()
    incident = only_incident()
    # The counts follow the sessions; "confirmed" is a decision and stays.
    assert (incident["affectedSessions"], incident["status"]) == (0, "confirmed")
    assert incident["history"][-1]["reason"] == "3 detections retracted by a backfill"
    before = everything()
    assert run().is_completed()
    assert everything() == before
    assert "## Incidents that changed\n\n* None." in artifact()
    assert "retracted" not in artifact()


def test_new_detections_make_and_confirm_incidents(configured: None) -> None:
    ignoring()
    land(*(frustrated(f"s{n}") for n in range(3)))
    detect(return_state=True)
    assert store().incidents.list_incidents(IncidentQuery()).total == 0
    store().keys.save_project("default", settings={})
    run(dry_run=True)
    assert "**not there yet** /checkout" in artifact()
    assert store().incidents.list_incidents(IncidentQuery()).total == 0
    run()
    assert (only_incident()["status"], only_incident()["affectedSessions"]) == ("confirmed", 3)
    assert "| incidents confirmed | 1 |" in artifact()


def test_a_session_is_analysed_as_a_whole_when_one_event_of_it_is_in_the_window(configured: None) -> None:
    ignoring()
    land(frustrated("s"))
    detect(return_state=True)
    store().keys.save_project("default", settings={})
    last = START + timedelta(milliseconds=9_000)
    run(start=last, end=last + timedelta(milliseconds=1))
    assert only_incident()["affectedSessions"] == 1


def test_what_lies_outside_of_window_and_project_is_left_alone(configured: None) -> None:
    ignoring()
    store().keys.save_project("shop", settings=IGNORE)
    # The same session id in two projects: two sessions.
    land(frustrated("s"), frustrated("s", project="shop"))
    detect(return_state=True)
    for project in ("default", "shop"):
        store().keys.save_project(project, settings={})
    run(end=START)
    assert store().incidents.list_incidents(IncidentQuery()).total == 0
    run(project="shop")
    assert only_incident()["projectId"] == "shop"


def test_a_project_that_nobody_made_is_said_with_the_nearest(configured: None) -> None:
    store().keys.save_project("shop")
    land(frustrated("s", project="of-events-alone"))
    window = {"start": START - timedelta(minutes=1), "end": START + timedelta(hours=1)}
    for project in ("shop", "of-events-alone", "default", ""):
        assert backfill(**window, project=project, return_state=True).name == "Completed"
    state = backfill(**window, project="shpo", return_state=True)
    assert (state.type, state.name) == ("FAILED", "Failed")
    assert (
        state.message
        == "there is no project 'shpo'; did you mean 'shop'? The projects are default, of-events-alone, shop"
    )
    with pytest.raises(PermanentError, match="there is no project 'shpo'"):
        backfill(**window, project="shpo")


@pytest.mark.parametrize("action", ["suppress", "resolve"])
def test_what_a_person_decided_stays(configured: None, action: Any) -> None:
    land(frustrated("s0"))
    detect(return_state=True)
    id_ = only_incident()["incidentId"]
    if action == "resolve":
        store().ledger.apply_action(id_, "confirm", "seen", "kim")
        # A fix long ago: by the rules, the sessions that the backfill finds would be a regression.
        store().ledger.apply_action(id_, "resolve", "fixed", "kim", at=START - timedelta(days=1))
    else:
        # By the rules, two more sessions would end this suppression.
        store().ledger.apply_action(id_, "suppress", "a test page", "kim", sessions=2)
    ignoring()
    land(*(frustrated(f"s{n}") for n in range(1, 5)))
    detect(return_state=True)
    store().keys.save_project("default", settings={})
    assert run().is_completed()
    incident = only_incident()
    assert incident["affectedSessions"] == 5
    assert incident["status"] == {"suppress": "suppressed", "resolve": "resolved"}[action]
    assert run().is_completed()
    assert only_incident() == incident
    if action == "suppress":
        # "Two more" still means two more than are known now.
        assert incident["suppressedSessions"] == 7
        assert "backfill changed the affected sessions from 1 to 5" in incident["history"][-1]["reason"]
        land(frustrated("s5"), frustrated("s6"))
        detect(return_state=True)
        assert only_incident()["status"] == "confirmed"


def test_a_session_with_new_events_is_left_to_detect(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ignoring()
    land(frustrated("moved"), frustrated("still"))
    detect(return_state=True)
    store().keys.save_project("default", settings={})
    original = EventStore.read_candidate_events

    def events_meanwhile(self: EventStore, *arguments: Any) -> Any:
        table = original(self, *arguments)
        if self.land_more:  # type: ignore[attr-defined]
            self.land_more = False  # type: ignore[attr-defined]
            # The retry succeeds after all: what was just read says otherwise.
            answer = {"event_type": "network", "method": "POST", "url": "/api/orders", "status": 201}
            land([row("moved", 4_000, **CLICK), row("moved", 4_300, route="/checkout", duration_ms=200, **answer)])
            detect_one_step()
        return table

    def detect_one_step() -> None:
        from tasks.enqueue import sessionize

        sessionize.fn()

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "land_more", True, raising=False)
        patch.setattr(EventStore, "read_candidate_events", events_meanwhile)
        assert run().is_completed()
    assert "| sessions with new events meanwhile, left to detect | 1 |" in artifact()
    assert only_incident()["affectedSessions"] == 1
    assert store().queue.count_pending_sessions(0)["open"] == 1
    detect(return_state=True)
    assert store().queue.count_pending_sessions(0)["open"] == 0
    assert [one["sessionId"] for one in only_incident()["examples"]] == ["still"]


def test_a_session_in_line_keeps_its_place(configured: None) -> None:
    land(frustrated("s"))
    from tasks.enqueue import sessionize

    sessionize.fn()
    before = store().queue.find_due_sessions(2**60, 10)
    run()
    assert store().queue.find_due_sessions(2**60, 10) == before
    assert "| sessions in line already, left to detect | 1 |" in artifact()


def test_a_session_that_may_go_on_is_left_to_detect(configured: None) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    open_session = [one | {"ts": now, "received_ms": now} for one in frustrated("s") if one["event_type"] == "click"]
    land(open_session)
    run(start=datetime.now(UTC) - timedelta(hours=1), end=datetime.now(UTC) + timedelta(hours=1))
    assert store().queue.count_pending_sessions(0) == {"open": 0, "due": 0}
    assert "| sessions that may still go on, left to detect | 1 |" in artifact()


def test_in_batches_and_stopped_between_them(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.backfill.BATCH", 2)
    ignoring()
    land(*(frustrated(f"s{n}") for n in range(5)))
    detect(return_state=True)
    store().keys.save_project("default", settings={})
    original = IncidentLedger.record_detections
    calls = []

    def stop_after_the_first(self: IncidentLedger, *arguments: Any) -> Any:
        calls.append(1)
        try:
            return original(self, *arguments)
        finally:
            stopping.request_stop_of_all()

    with monkeypatch.context() as patch:
        patch.setattr(IncidentLedger, "record_detections", stop_after_the_first)
        try:
            assert run().is_cancelled()
        finally:
            stopping._all.clear()
    assert len(calls) == 1
    assert only_incident()["affectedSessions"] == 2
    assert "2 new" in artifact()
    assert run().is_completed()
    assert only_incident()["affectedSessions"] == 5


def test_postgres_away_ends_degraded_and_a_second_run_finds_everything_once(
    configured: None, stoppable_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", stoppable_postgres.url)
    documents.forget_blocks()
    ignoring()
    land(*(frustrated(f"s{n}") for n in range(3)))
    detect(return_state=True)
    store().keys.save_project("default", settings={})
    original = EventStore.read_candidate_events

    def stop_in_mid_run(self: EventStore, *arguments: Any) -> Any:
        stoppable_postgres.stop()
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "read_candidate_events", stop_in_mid_run)
        state = run()
    assert (state.name, state.is_failed()) == ("Degraded", True)
    assert "3 sessions in line" in (state.message or "")
    stoppable_postgres.start()
    store().queue.enqueue_missing_sessions(
        []
    )  # the first call after the restart finds its connections gone, and gets new ones
    assert run().is_completed()
    assert "| sessions in line already, left to detect | 3 |" in artifact()
    # What the first run put in line is due for `detect` when its lease is over.
    ours = store().queue.find_due_sessions(2**60, 10)
    assert len(ours) == 3
    assert store().queue.count_pending_sessions(ours[0].due_ms)["due"] == 3


def test_a_poisoned_session_takes_no_other_with_it(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    ignoring()
    land(frustrated("good"), frustrated("poison"))
    detect(return_state=True)
    store().keys.save_project("default", settings={})
    engine = importlib.import_module("ufse.pipeline")
    original = engine.detect

    def fail_over_poison(table: Any, *arguments: Any, **named: Any) -> Any:
        if "poison" in table["session_id"].to_pylist():
            raise ValueError("cannot be analysed")
        return original(table, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "detect", fail_over_poison)
        assert run().is_completed()
    assert "| sessions that the engine failed over | 1 |" in artifact()
    assert only_incident()["affectedSessions"] == 1
    (waiting,) = store().queue.find_due_sessions(2**60, 10)  # for `detect`, which gives it up after two more failures
    assert (waiting.session_id, waiting.attempts) == ("poison", 1)


def test_without_stores_it_is_logged_only(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    land(frustrated("s"))
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", "log")
    documents.forget_blocks()
    assert run().name == "LoggedOnly"


def test_an_empty_window_fails_with_its_reason(configured: None) -> None:
    state = run(start=START, end=START)
    assert state.is_failed()
    assert "the window is empty" in (state.message or "")


def test_text_from_a_browser_is_inert_in_the_artifact(configured: None) -> None:
    land([one | {"target_id": "[pay](javascript:alert)<script>"} for one in frustrated("s")])
    run()
    text = artifact()
    assert "| detections new | 1 |" in text
    assert "<script" not in text
    assert "](javascript" not in text


def test_every_incident_is_listed(configured: None) -> None:
    pages = [f"/page-{chr(97 + n)}" for n in range(25)]
    land(*([one | {"route": page} for one in frustrated(f"on {page}")] for page in pages))
    run(dry_run=True)
    text = artifact()
    assert all(f"{page} " in text for page in pages)
    assert "21 to 25 of 25" in text


def test_each_project_has_its_own_thresholds(configured: None) -> None:
    store().keys.save_project("strict", settings={"confirmSessions": 5, "confirmUsers": 4, "confirmDays": 0.5})
    store().keys.save_project("quiet", settings={"ignoredTargets": ["button#pay"]})
    for project in ("default", "strict", "quiet"):
        land(*(frustrated(f"s{n}", project=project) for n in range(4)))
    detect(return_state=True)
    found = {one["projectId"]: one["status"] for one in store().incidents.list_incidents(IncidentQuery()).incidents}
    assert found == {"default": "confirmed", "strict": "draft"}
    land(frustrated("s4", project="strict"))
    detect(return_state=True)
    (strict,) = store().incidents.list_incidents(IncidentQuery(project="strict")).incidents
    assert strict["status"] == "confirmed"


def test_a_bad_stored_threshold_is_told_counted_and_replaced_by_the_default(
    configured: None, caplog: pytest.LogCaptureFixture
) -> None:
    from core.metrics import DEGRADED

    def counted() -> float:
        return float(DEGRADED.labels("thresholds", "bad_setting")._value.get())

    bad = {"confirmSessions": "many\u001b[31m", "ignoredRoutes": "/checkout", "confirmDays": 3, "other": {"deep": [1]}}
    store().keys.save_project("default", settings=bad)
    before = counted()
    land(*(frustrated(f"s{n}") for n in range(3)))
    assert detect(return_state=True).is_completed()
    assert only_incident()["status"] == "confirmed"
    assert counted() > before
    told = [r.getMessage() for r in caplog.records if r.name == "furrow.thresholds"]
    assert len(told) == 2
    assert "\x1b" not in "".join(told)
