"""The history of projects on the real (embedded) event store: what it sums, that reruns count once, and what erases it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from blocks import documents
from core.errors import TransientError
from flows.detect import detect
from stores.events import event_history
from stores.events.event_erasure import erase_session_events
from stores.events.event_history import ObservedSession, read_project_history, record_observed
from stores.events.event_retention import drop_old_partitions
from stores.events.event_store import EventStore
from tasks import connections
from tests.integration.test_flows import frustrated, incidents, land
from tests.rows import BASE_MS, row
from tests.unit.ufse.scene import Row, answer, click, end, go, table, typed
from ufse import ProjectHistory, sum_observed
from ufse import detect as find_detections
from ufse.control_facts import CONTROL_FACTS, OBSERVED_CONTROLS
from ufse.history import Observed

NOW_MS = 1_705_400_000_000
DAY_MS = 86_400_000


def visit(number: int) -> list[Row]:
    """A failure, some answers, a poll by itself; other counts in every session."""
    polls = [answer(60 * k, 200, url="/api/feed", method="GET") for k in range(1, 3 + number % 3)]
    pays = [click(10), answer(10.4, 500), click(20), answer(20 + 0.1 * number, 200, 0.1 * number)]
    save = {"target_type": "button", "target_id": f"save-{'ab'[number % 2]}"}
    saves = [
        click(40, save),
        answer(40.5, 200, 0.4, url="/api/save"),
        typed(45),
        answer(45.2, 200, 0.1, url="/api/save"),
    ]
    rows = [go(0, "/checkout"), *pays, *saves, *polls, end(400)]
    version = f"1.{number % 2}"
    return [
        {**r, "session_id": f"s{number}", "event_id": f"{number}-{i}", "sdk_version": version}
        for i, r in enumerate(rows)
    ]


def observe(*numbers: int) -> Observed:
    return find_detections(table([r for n in numbers for r in visit(n)]), observe=True).observed


def hash_session(store: EventStore, project: str, session_id: str) -> int:
    sql = "SELECT sipHash64({project:String}, {session:String}) AS hash"
    return int(store.query_arrow(sql, {"project": project, "session": session_id})["hash"][0].as_py())


def sessions(store: EventStore, *numbers: int, received_ms: int = NOW_MS) -> list[ObservedSession]:
    return [ObservedSession("p", f"s{n}", hash_session(store, "p", f"s{n}"), received_ms) for n in numbers]


def same(found: ProjectHistory, expected: ProjectHistory) -> None:
    for name, key in (("endpoints", "endpoint"), ("collectors", "collector"), ("controls", "control")):
        ours, theirs = (
            getattr(h, name).sort_by([("project", "ascending"), (key, "ascending")]) for h in (found, expected)
        )
        assert ours.to_pylist() == theirs.to_pylist()


def test_the_store_sums_as_the_engine_does(event_store: EventStore) -> None:
    numbers = range(1, 8)
    assert record_observed(event_store, observe(*numbers), sessions(event_store, *numbers), 1) == 7
    found = read_project_history(event_store, ["p", "unknown"], NOW_MS)
    same(found, sum_observed(observe(*numbers)))
    assert found.endpoints.num_rows == 3
    # "Pay"; a field asks the address of "Save", too.
    assert [(r["sessions"], r["tries"]) for r in found.controls.to_pylist()] == [(7, 14)]
    assert found.controls.schema == sum_observed(observe(1)).controls.schema
    assert found.endpoints.schema == sum_observed(observe(1)).endpoints.schema
    assert read_project_history(event_store, ["q"], NOW_MS).endpoints.num_rows == 0


def test_a_rerun_counts_nothing_twice_and_a_later_analysis_replaces(event_store: EventStore) -> None:
    numbers = range(1, 6)
    for at in (1, 2, 3):
        record_observed(event_store, observe(*numbers), sessions(event_store, *numbers), at)
    same(read_project_history(event_store, ["p"], NOW_MS), sum_observed(observe(*numbers)))
    # Another batch, another order, and a session that shows less than before.
    for number in reversed(numbers):
        record_observed(event_store, observe(number), sessions(event_store, number), 4)
    same(read_project_history(event_store, ["p"], NOW_MS), sum_observed(observe(*numbers)))
    record_observed(event_store, Observed.make_empty(), sessions(event_store, 5), 5)
    found = read_project_history(event_store, ["p"], NOW_MS)
    assert found.endpoints.to_pylist() == sum_observed(observe(1, 2, 3, 4)).endpoints.to_pylist()


def test_a_day_of_a_project_has_a_limit(event_store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_history, "DAILY_SESSIONS", 4)
    assert record_observed(event_store, observe(*range(1, 4)), sessions(event_store, *range(1, 4)), 1) == 3
    assert record_observed(event_store, observe(*range(1, 9)), sessions(event_store, *range(1, 9)), 2) == 4
    assert record_observed(event_store, observe(8), sessions(event_store, 8, received_ms=NOW_MS - DAY_MS), 3) == 1
    counted = event_store.query_arrow("SELECT count() AS n FROM session_history FINAL")["n"][0].as_py()
    assert counted == 5


def test_many_endpoints_of_a_session_have_a_limit(event_store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_history, "SESSION_ENDPOINTS", 1)
    record_observed(event_store, observe(2), sessions(event_store, 2), 1)
    (kept,) = read_project_history(event_store, ["p"], NOW_MS).endpoints.to_pylist()
    assert kept["endpoint"] == "GET /api/feed"


def with_controls(number: int, *counts: tuple[int, int, int, int]) -> Observed:
    """What session ``number`` shows, with controls (hash, tries, answered, by a page)."""
    named = [dict(zip(OBSERVED_CONTROLS.names[2:], one, strict=True)) for one in counts]
    rows = [{"project": "p", "session_id": f"s{number}", **one} for one in named]
    return replace(observe(number), controls=pa.Table.from_pylist(rows, schema=OBSERVED_CONTROLS))


def test_controls_that_did_not_answer_in_a_session_count_only_as_pressed(event_store: EventStore) -> None:
    seen = Observed.join_parts(
        [
            with_controls(1, (5, 2, 2, 1), (2**64 - 1, 1, 0, 0)),
            with_controls(2, (5, 3, 0, 0), (7, 4, 1, 1)),
            with_controls(3, (5, 1, 1, 0)),
        ]
    )
    assert record_observed(event_store, seen, sessions(event_store, 1, 2, 3), 1) == 3
    found = read_project_history(event_store, ["p"], NOW_MS)
    same(found, sum_observed(seen))
    counts = {r["control"]: tuple(r[n] for n in CONTROL_FACTS.names[2:]) for r in found.controls.to_pylist()}
    assert counts == {5: (3, 2, 3, 3, 1), 7: (1, 1, 4, 1, 1)}


def test_many_controls_of_a_session_have_a_limit(event_store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_history, "SESSION_CONTROLS", 2)
    seen = with_controls(2, (5, 1, 1, 0), (6, 4, 4, 0), (7, 1, 1, 0))
    record_observed(event_store, seen, sessions(event_store, 2), 1)
    kept = read_project_history(event_store, ["p"], NOW_MS).controls.to_pylist()
    assert {one["control"] for one in kept} == {5, 6}


def test_old_days_are_not_summed_and_are_dropped(event_store: EventStore) -> None:
    old, today = NOW_MS - (event_history.KEEP_DAYS + 1) * DAY_MS, NOW_MS
    record_observed(event_store, observe(1), sessions(event_store, 1, received_ms=old), 1)
    record_observed(event_store, observe(2), sessions(event_store, 2, received_ms=today), 1)
    same(read_project_history(event_store, ["p"], NOW_MS), sum_observed(observe(2)))
    first = datetime.fromtimestamp(NOW_MS / 1000, UTC).date() - timedelta(days=1)
    assert [d.table for d in drop_old_partitions(event_store, first)] == ["session_history"]
    same(read_project_history(event_store, ["p"], NOW_MS), sum_observed(observe(2)))


def test_an_erased_session_is_gone_from_the_history(event_store: EventStore) -> None:
    record_observed(event_store, observe(1, 2, 3), sessions(event_store, 1, 2, 3), 1)
    erase_session_events(event_store, "p", ["s2"])
    same(read_project_history(event_store, ["p"], NOW_MS), sum_observed(observe(1, 3)))


# ------------------------------------------------------------------------------- the flow


@pytest.fixture
def configured(
    prefect: None, event_store_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    documents.forget_blocks()
    yield
    connections.close_connections()


def recorded() -> list[dict[str, Any]]:
    rows = connections.event_store().query_arrow(
        "SELECT session_hash, seen_endpoint, seen_pressed FROM session_history FINAL ORDER BY session_hash"
    )
    return list(rows.to_pylist())


def test_detect_records_what_it_analyses_once_however_often_it_runs(configured: None) -> None:
    land(*(frustrated(f"s{n}") for n in range(3)))
    assert detect(return_state=True).is_completed()
    first = recorded()
    assert [(r["seen_endpoint"], r["seen_pressed"]) for r in first] == [(["POST /api/orders"], [5])] * 3
    land(*(frustrated(f"s{n}") for n in range(3)))  # the same again, as a resend
    assert detect(return_state=True).is_completed()
    assert recorded() == first


def saved_by_itself(session_id: str, now_ms: int) -> list[dict[str, Any]]:
    """A page that saves every 20 s while nobody acts; the last save fails."""
    saves: list[dict[str, Any]] = [
        {"at_ms": 20_000 * k, "status": 500 if k == 9 else 200, "received_ms": now_ms, "route": "/checkout"}
        for k in range(1, 10)
    ]
    request: dict[str, Any] = {"event_type": "network", "method": "PUT", "url": "/api/draft", "duration_ms": 200}
    opened = row(session_id, 0, event_type="navigation", route="/checkout", nav_type="link", received_ms=now_ms)
    closed = row(session_id, 200_000, event_type="session_end", route="/checkout", received_ms=now_ms)
    return [opened, *(row(session_id, **save, **request) for save in saves), closed]


def failed_twice(session_id: str, now_ms: int) -> list[dict[str, Any]]:
    """Two clicks, each with a failed save right after it, and away."""
    found = [row(session_id, 0, event_type="navigation", route="/checkout", nav_type="link", received_ms=now_ms)]
    for at in (10_000, 16_000):
        target = {"target_type": "button", "target_id": "pay", "route": "/checkout", "received_ms": now_ms}
        request = {"event_type": "network", "method": "PUT", "url": "/api/draft", "duration_ms": 200, "status": 500}
        found += [
            row(session_id, at, **target),
            row(session_id, at + 400, **request, route="/checkout", received_ms=now_ms),
        ]
    left = row(session_id, 24_000, event_type="navigation", route="/home", nav_type="link", received_ms=now_ms)
    return [*found, left, row(session_id, 25_000, event_type="session_end", route="/home", received_ms=now_ms)]


def detected() -> int:
    return sum(incident["affectedSessions"] for incident in incidents())


def test_sessions_that_were_analysed_before_show_what_runs_by_itself(configured: None) -> None:
    now_ms = time.time_ns() // 1_000_000 - 60_000
    land(failed_twice("before", now_ms))
    assert detect(return_state=True).is_completed()
    assert detected() == 1
    land(*(saved_by_itself(f"other-{n}", now_ms) for n in range(6)))
    assert detect(return_state=True).is_completed()
    land(failed_twice("after", now_ms))
    assert detect(return_state=True).is_completed()
    assert detected() == 1


def test_one_run_judges_all_its_sessions_with_the_history_of_its_start(configured: None) -> None:
    now_ms = time.time_ns() // 1_000_000 - 60_000
    land(*(saved_by_itself(f"other-{n}", now_ms) for n in range(6)), failed_twice("together", now_ms))
    assert detect(return_state=True).is_completed()
    assert detected() == 1  # the others were not known yet, in whatever batch they came


def test_without_the_history_nothing_is_analysed_and_all_waits(
    configured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(frustrated("s1"))
    read = EventStore.query_arrow

    def broken(self: EventStore, sql: str, *rest: Any) -> Any:
        if "session_history" in sql:
            raise TransientError("ClickHouse is not reachable")
        return read(self, sql, *rest)

    with monkeypatch.context() as patched:
        patched.setattr("tasks.score.score_sessions.retries", 0)
        patched.setattr(EventStore, "query_arrow", broken)
        assert not detect(return_state=True).is_completed()
        assert detected() == 0
    assert detect(return_state=True).is_completed()
    assert (detected(), len(recorded())) == (1, 1)


def test_the_times_of_the_cases_are_of_the_past() -> None:
    assert BASE_MS < NOW_MS < time.time_ns() // 1_000_000
    assert replace(ObservedSession("p", "s", 1, DAY_MS + 5)).day == ("p", 1)
