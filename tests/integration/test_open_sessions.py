"""Sessions that go on: what fails in them is known before they end, nothing of it counts for a ticket, nothing is left over."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter
from prefect.events.schemas.events import ReceivedEvent

from blocks import documents
from core import metrics
from flows.detect import detect
from incidents.incident import IncidentDetail
from stores.embedded_postgres import EmbeddedPostgres
from stores.events import open_sessions
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentQuery, IncidentStore
from tasks import connections, enqueue, open_alerts
from tests.e2e.installation import until
from tests.rows import BASE_MS, lines, row
from ufse import pipeline

CHECKOUT = {"route": "/checkout"}


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


def at(session: str, seconds_ago: float, **columns: Any) -> dict[str, Any]:
    """An event of now, received as it happened."""
    moment = int(time.time() * 1000 - seconds_ago * 1000)
    return row(session, moment - BASE_MS, **{**CHECKOUT, **columns})


def tries(session: str, number: int = 3, since: float = 60, status: int = 500, **columns: Any) -> list[dict[str, Any]]:
    """So many clicks on "pay", seven seconds apart, the first ``since`` seconds ago; each is answered by ``status``."""
    pay = {"target_type": "button", "target_id": "pay", "target_label": "Pay now", "input_method": "mouse"}
    answer = {"event_type": "network", "method": "POST", "url": "/api/orders", "status": status, "duration_ms": 200}
    events = [at(session, since + 5, event_type="navigation", nav_type="link", **columns)]
    for n in range(number):
        events.append(at(session, since - n * 7, **pay, **columns))
        events.append(at(session, since - n * 7 - 0.3, **answer, **columns))
    return events


def end(session: str) -> dict[str, Any]:
    """The end of a session, long enough ago that it is complete."""
    return at(session, 20, event_type="session_end")


def land(*events: dict[str, Any]) -> None:
    connections.event_store().land_segment(lines(events), f"token {events[0]['event_id']} {len(events)}")


def run() -> State[Any]:
    state = detect(return_state=True)
    assert state.is_completed(), state.message
    return state


def store() -> IncidentStore:
    found = connections.incident_store()
    assert isinstance(found, IncidentStore)
    return found


def listed() -> list[IncidentDetail]:
    """The incidents of the list, each as a whole."""
    page = store().incidents.list_incidents(IncidentQuery())
    assert page.total == len(page.incidents)
    return [found for one in page.incidents if (found := store().incidents.read_incident(one["incidentId"]))]


def reasons(incident: IncidentDetail) -> list[str]:
    return [entry["reason"] for entry in incident["history"]]


def rows(postgres_url: str, query: str) -> list[Any]:
    with psycopg.connect(postgres_url) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def outcomes(postgres_url: str) -> list[tuple[str, str | None]]:
    return rows(postgres_url, "SELECT session_id, outcome FROM open_detections ORDER BY session_id")


def test_three_open_sessions_draft_an_incident_and_stay_in_line(configured: None, postgres_url: str) -> None:
    land(*tries("s1"), *tries("s2"))
    run()
    assert listed() == []  # two are not enough
    land(*tries("s3"))
    run()
    (incident,) = listed()
    assert (incident["status"], incident["affectedSessions"], incident["openSessions"]) == ("draft", 0, 3)
    assert incident["title"] == 'POST /api/orders → 500 on "Pay now" (/checkout): 3 open sessions affected'
    assert reasons(incident)[0].startswith("first seen in 3 open sessions, with score ")
    assert len(incident["examples"]) == 3
    assert incident["examples"][0]["timeline"]
    assert {example["open"] for example in incident["examples"]} == {True}
    assert "end" not in incident["explanation"]
    assert store().queue.count_pending_sessions(0)["open"] == 3
    assert rows(postgres_url, "SELECT count(*) FROM detections") == [(0,)]
    run()
    assert listed() == [incident]


def test_the_same_detections_when_the_sessions_are_complete(configured: None, postgres_url: str) -> None:
    names = ["s1", "s2", "s3"]
    land(*(event for name in names for event in tries(name)))
    run()
    opened = rows(postgres_url, "SELECT project, detection_id, visit_id, incident_id FROM open_detections ORDER BY 2")
    (draft,) = listed()
    land(end("s1"), end("s2"))
    run()
    (incident,) = listed()
    assert (incident["status"], incident["affectedSessions"], incident["openSessions"]) == ("draft", 2, 1)
    land(end("s3"))
    run()
    (incident,) = listed()
    assert (incident["status"], incident["affectedSessions"], incident["openSessions"]) == ("confirmed", 3, 0)
    assert incident["title"].endswith(": 3 sessions blocked")
    assert incident["incidentId"] == draft["incidentId"]
    assert {example["open"] for example in incident["examples"]} == {False}
    assert (
        rows(postgres_url, "SELECT project, detection_id, visit_id, incident_id FROM detections ORDER BY 2") == opened
    )
    assert outcomes(postgres_url) == [("s1", "complete"), ("s2", "complete"), ("s3", "complete")]
    assert rows(postgres_url, "SELECT DISTINCT body::text, label, user_hash FROM open_detections") == [("{}", "", "")]
    counts = store().incidents.read_store_counts()
    assert (counts["detections"], counts["openDetections"], counts["retracted"]) == (3, 0, 0)


def test_a_draft_whose_sessions_all_got_there_is_withdrawn_with_its_history(
    configured: None, postgres_url: str
) -> None:
    land(*(event for name in ("s1", "s2", "s3") for event in tries(name)))
    run()
    (draft,) = listed()
    land(*tries("s1", 1, since=12, status=200))
    run()
    (incident,) = listed()
    assert (incident["openSessions"], incident["withdrawnAt"]) == (2, None)
    assert reasons(incident)[-1] == "1 open detection retracted: the person got there after all"
    land(*tries("s2", 1, since=12, status=200), *tries("s3", 1, since=12, status=200))
    run()
    assert listed() == []
    assert store().incidents.read_store_counts()["incidents"]["draft"] == 0
    whole = store().incidents.read_incident(draft["incidentId"])
    assert whole is not None
    assert (whole["openSessions"], whole["status"]) == (0, "draft")
    assert whole["withdrawnAt"]
    assert reasons(whole)[-2:] == [
        "2 open detections retracted: the person got there after all",
        "withdrawn: no session shows it any more",
    ]
    only = store().incidents.list_incidents(IncidentQuery(withdrawn=True)).incidents
    assert [one["incidentId"] for one in only] == [draft["incidentId"]]
    assert {outcome for _, outcome in outcomes(postgres_url)} == {"retracted"}


def test_a_session_without_tries_is_not_read_again_and_again(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page whose polls fail for hours, and a reader who clicks: asked about in ClickHouse, never loaded."""
    poll = {"event_type": "network", "method": "GET", "url": "/api/news", "status": 503, "duration_ms": 40}
    land(*(at("polls", 60 - n, **poll) for n in range(30)))
    land(*(at("reads", 60 - n * 5, target_type="link", target_id=f"a{n}") for n in range(8)))
    loaded: list[list[int]] = []
    original = EventStore.read_candidate_events

    def count_reads(self: EventStore, hashes: Sequence[int], *span: Any) -> Any:
        loaded.append(list(hashes))
        return original(self, hashes, *span)

    monkeypatch.setattr(EventStore, "read_candidate_events", count_reads)
    run()
    assert loaded == []
    land(*tries("s1"))
    run()
    assert [len(hashes) for hashes in loaded] == [1]
    run()  # nothing new: nothing is asked about
    assert len(loaded) == 1
    land(at("s1", 3, event_type="scroll"))
    run()  # it goes on, and has an open detection
    assert len(loaded) == 2


def test_what_is_slow_or_failed_twice_may_still_be_served(configured: None, postgres_url: str) -> None:
    pay = {"target_type": "button", "target_id": "pay", "input_method": "mouse"}
    slow = {"event_type": "network", "method": "POST", "url": "/api/orders", "status": 200, "duration_ms": 6_000}
    for name in ("w1", "w2", "w3"):
        land(*(at(name, 50 - n * 0.5, **pay) for n in range(6)), at(name, 40, **slow))
        land(*tries(f"{name} twice", 2))
    run()
    assert rows(postgres_url, "SELECT count(*) FROM open_detections") == [(0,)]


def test_rage_at_a_failure_is_seen_before_the_session_ends(configured: None, postgres_url: str) -> None:
    pay = {"target_type": "button", "target_id": "pay", "input_method": "mouse"}
    failed = {"event_type": "network", "method": "POST", "url": "/api/orders", "status": 500, "duration_ms": 100}
    for name in ("r1", "r2", "r3"):
        land(
            *(at(name, 30 - n * 0.4, **pay) for n in range(7)), *(at(name, 29.8 - n * 0.4, **failed) for n in range(7))
        )
    run()
    assert len(outcomes(postgres_url)) == 3
    assert listed()[0]["openSessions"] == 3


def test_leaving_is_no_evidence_while_the_session_may_go_on(configured: None, postgres_url: str) -> None:
    """Two failed tries and another page: complete, the session is a detection; open, it may be a detour."""
    for name in ("l1", "l2", "l3"):
        away = at(name, 25, event_type="navigation", nav_type="link", nav_from="/checkout", route="/help")
        land(*tries(name, 2, since=50), away)
    run()
    assert outcomes(postgres_url) == []
    land(*(at(name, 20, event_type="session_end", route="/help") for name in ("l1", "l2", "l3")))
    run()
    assert listed()[0]["affectedSessions"] == 3


def test_sessions_of_one_sender_draft_nothing(configured: None) -> None:
    land(*(event for name in ("s1", "s2", "s3", "s4") for event in tries(name)))
    source = {"source_today": 2**62 + 7, "source_before": 2**62 + 8}
    receipts = pa.Table.from_pylist(
        [
            {"project": "default", "session_id": name, "received_ms": int(time.time() * 1000) - 3_600_000, **source}
            for name in ("s1", "s2", "s3", "s4")
        ]
    )
    with connections.event_store().borrow_client() as client:
        client.insert_arrow("receipts", receipts)
    run()
    assert listed() == []
    assert store().incidents.read_store_counts()["openDetections"] == 4


def test_open_sessions_confirm_nothing_and_wait_for_no_ticket(configured: None) -> None:
    land(*(event for name in ("s1", "s2", "s3", "s4", "s5") for event in tries(name, user_hash=name)))
    run()
    (draft,) = listed()
    assert (draft["status"], draft["countedSessions"]) == ("draft", 0)
    store().ledger.apply_action(draft["incidentId"], "confirm", "seen it", "ada")
    assert store().outbox.find_exportable_incidents("jira", 10, 80) == []
    assert store().outbox.claim_incidents("jira", limit=10, min_score=80) == []
    land(end("s1"))
    run()
    assert [one["incidentId"] for one in store().outbox.find_exportable_incidents("jira", 10, 80)] == [
        draft["incidentId"]
    ]


def test_the_switch_leaves_open_sessions_alone(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("s1", "s2", "s3")
    land(*(event for name in names for event in tries(name)))
    run()
    assert len(listed()) == 1
    monkeypatch.setenv("FURROW_OPEN_SESSIONS", "0")
    land(*tries("s4"), *tries("s1", 1, since=12, status=200))
    run()
    assert store().incidents.read_store_counts()["openDetections"] == 3
    land(*(end(name) for name in (*names, "s4")))
    run()  # complete sessions end what was open, whether anybody looks at open ones or not
    (incident,) = listed()
    assert (incident["affectedSessions"], incident["openSessions"]) == (3, 0)
    assert "1 open detection retracted: the person got there after all" in reasons(incident)


def test_a_run_that_is_killed_before_its_look_looks_in_the_next_run(
    configured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is in line, with its mark, in the transaction that moves the watermark."""
    land(*(event for name in ("s1", "s2", "s3") for event in tries(name)))
    for place in (
        "stores.events.open_sessions.find_struggling_sessions",
        "tasks.open_sessions.add_origins",
        "stores.incidents.incident_look.settle_incidents",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, killed)
            with pytest.raises(KeyboardInterrupt):
                detect(return_state=True)
        assert listed() == []
    run()
    (incident,) = listed()
    assert (incident["openSessions"], len(incident["history"])) == (3, 1)


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_alert_is_emitted_until_prefect_shows_it_and_is_there_once(
    configured: None, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    land(*(event for name in ("s1", "s2", "s3") for event in tries(name)))

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no server")

    before, began = count_of("open_sessions", "event"), datetime.now(UTC)
    with monkeypatch.context() as patch:
        patch.setattr(open_alerts, "get_client", refuse)
        run()
        assert count_of("open_sessions", "event") == before + 1
    with monkeypatch.context() as patch:
        # What the server has in memory when it is killed.
        patch.setattr(SyncPrefectClient, "request", forget_events(SyncPrefectClient.request))
        run()
    assert not alerted(postgres_url)
    run()
    (incident,) = listed()
    until(lambda: len(alerts_since(began)) == 1, 60)
    run()
    assert alerted(postgres_url)
    run()
    (event,) = alerts_since(began)
    assert event.payload["incidentId"] == incident["incidentId"]
    assert incident["title"] in event.payload["message"]


def forget_events(request: Any) -> Any:
    """``request`` without the posts of events: they are answered as Prefect answers, and are nowhere."""
    return lambda client, method, path, **more: (
        None if (method, path) == ("POST", "/events") else request(client, method, path, **more)
    )


def alerts_since(began: datetime) -> list[ReceivedEvent]:
    """What Prefect has stored. Other tests have incidents of the same id."""
    name = EventNameFilter(name=[open_alerts.DRAFTED])
    with get_client(sync_client=True) as client:
        return client.read_events(EventFilter(event=name, occurred=EventOccurredFilter(since=began)), limit=50).events


def alerted(postgres_url: str) -> bool:
    (found,) = rows(postgres_url, "SELECT alerted_at IS NOT NULL FROM incidents")
    return bool(found[0])


def count_of(component: str, reason: str) -> float:
    return metrics.DEGRADED.labels(component, reason)._value.get()


def test_a_session_over_which_the_engine_fails_keeps_what_it_showed_and_takes_no_other_with_it(
    configured: None, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    land(*(event for name in ("s1", "s2", "s3") for event in tries(name)))
    run()
    original = pipeline.detect

    def fail_over_poison(table: Any, *arguments: Any, **named: Any) -> Any:
        if "s1" in table["session_id"].to_pylist():
            raise ZeroDivisionError
        return original(table, *arguments, **named)

    before = count_of("look", "engine_failed")
    monkeypatch.setattr(pipeline, "detect", fail_over_poison)
    land(*(event for name in ("s1", "s2") for event in tries(name, 1, since=12, status=200)))
    run()
    assert count_of("look", "engine_failed") == before + 1
    assert outcomes(postgres_url) == [("s1", None), ("s2", "retracted"), ("s3", None)]
    assert store().queue.count_pending_sessions(0)["open"] == 3
    run()  # nothing is new in it: it is not judged again
    assert count_of("look", "engine_failed") == before + 1


def test_postgres_away_during_a_look_ends_degraded_and_its_return_drafts_once(
    configured: None, monkeypatch: pytest.MonkeyPatch, stoppable_postgres: EmbeddedPostgres
) -> None:
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", stoppable_postgres.url)
    documents.forget_blocks()
    connections.close_connections()
    land(*(event for name in ("s1", "s2", "s3") for event in tries(name)))
    original = open_sessions.find_struggling_sessions

    def stop_in_mid_run(*arguments: Any) -> Any:
        stoppable_postgres.stop()
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(open_sessions, "find_struggling_sessions", stop_in_mid_run)
        state = detect(return_state=True)
    assert state.name == "Degraded"
    assert "look:" in (state.message or "")
    stoppable_postgres.start()
    run()
    assert [(one["openSessions"], len(one["history"])) for one in listed()] == [(3, 1)]


def test_a_client_session_of_very_many_events_waits_until_it_is_complete(
    configured: None, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setattr(open_sessions, "MOST_EVENTS", 20)
    for name in ("s1", "s2", "s3"):
        land(*tries(name), *(at(name, 70 + n, event_type="scroll") for n in range(20)))
    run()
    assert outcomes(postgres_url) == []
    land(*(end(name) for name in ("s1", "s2", "s3")))
    run()
    assert listed()[0]["affectedSessions"] == 3


@pytest.mark.parametrize(
    ("events", "asked"),
    [
        ([("click", 0.4 * n) for n in range(5)], True),  # a burst, and one failure
        ([("click", 0.4 * n) for n in range(3)], False),
        ([("click", 4.0 * n) for n in range(9)], False),
        ([("reload", 4.0 * n) for n in range(3)], True),
        ([("reload", 4.0 * n) for n in range(2)], False),
        ([("form_submit", 9.0 * n) for n in range(2)], False),
        ([("joined by a verdict", 4.0)], True),
        ([("joined by a count", 4.0)], True),
        ([("two joined", 4.0)], False),
    ],
)
def test_one_failure_is_enough_with_a_burst_or_reloads(
    configured: None, events: list[tuple[str, float]], asked: bool
) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "click": {"target_type": "button", "target_id": "pay"},
        "form_submit": {"event_type": "form_submit", "target_type": "form"},
        "reload": {"event_type": "navigation", "nav_type": "reload"},
        # Datadog sends a burst as one click.
        "joined by a verdict": {"target_id": "pay", "clicks": 3, "span_ms": 900, "verdict": "rage"},
        "joined by a count": {"target_id": "pay", "clicks": 4, "span_ms": 1_200},
        "two joined": {"target_id": "pay", "clicks": 2, "span_ms": 300},
    }
    failed = {"event_type": "network", "method": "POST", "url": "/api/orders", "status": 500, "duration_ms": 100}
    land(*(at("s", 60 - seconds, **kinds[kind]) for kind, seconds in events), at("s", 59.7, **failed))
    enqueue.sessionize.fn()
    (pending,) = store().queue.find_sessions_to_look_at(int(time.time() * 1000), 9)
    found = open_sessions.find_struggling_sessions(
        connections.event_store(),
        [pending.session_hash],
        int(time.time() * 1000),
        open_sessions.Burst(clicks=4, span_ms=3_000, reloads=3),
    )
    assert found == ({pending.session_hash} if asked else set())


def test_a_file_of_old_events_is_not_looked_at(configured: None, postgres_url: str) -> None:
    """It is complete 15 s after it came in; people are not alerted of last year."""
    year = 365 * 86_400_000
    for name in ("s1", "s2", "s3"):
        land(*(event | {"ts": event["ts"] - year} for event in tries(name)))
    enqueue.sessionize.fn()
    assert rows(postgres_url, "SELECT count(*), bool_or(failed), bool_or(look) FROM pending_sessions") == [
        (3, False, False)
    ]


def test_a_look_ends_when_its_time_is_over_and_goes_on_in_the_next_run(
    configured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much strangers send to sessions in which something failed, a run does not judge for longer."""
    land(*(event for name in ("s1", "s2", "s3") for event in tries(name)))
    monkeypatch.setattr(open_sessions, "BATCH_EVENTS", 1)  # each session is a batch
    original = pipeline.detect

    def pass_time(*arguments: Any, **named: Any) -> Any:
        clock.append(1_000.0)
        return original(*arguments, **named)

    clock: list[float] = []
    real = time.monotonic
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "detect", pass_time)
        patch.setattr(
            "tasks.open_sessions.time", SimpleNamespace(time=time.time, monotonic=lambda: real() + sum(clock))
        )
        state = run()
    assert "1 session judged while open" in (state.message or "")
    assert store().incidents.read_store_counts()["openDetections"] == 1
    assert listed() == []
    run()
    assert listed()[0]["openSessions"] == 3
