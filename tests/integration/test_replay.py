"""Replays on a real (embedded) ClickHouse and Postgres: what they say, and that they leave nothing behind there."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from blocks import documents
from core.errors import TransientError
from flows.backfill import backfill
from flows.detect import detect
from flows.replay import replay
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentStore
from tasks import connections, stopping
from tasks.replay import EXAMPLES, EXAMPLES_OF_POINT, _vanishing_reason
from tests.integration.test_flows import frustrated, land
from tests.rows import BASE_MS, row
from ufse import Config

START = datetime.fromtimestamp(BASE_MS / 1000, UTC)
WINDOW = f"{(START - timedelta(minutes=1)).isoformat()}..{(START + timedelta(hours=1)).isoformat()}"
NO_RAGE = {"thresholds": {"rage_clicks": 9}, "weights": {"blocked": 0, "repeated": 0}}
"""Five clicks are no rage with this, and retries count nothing."""


@pytest.fixture
def configured(
    prefect: None, event_store_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    documents.forget_blocks()
    yield postgres_url
    connections.close_connections()


def store() -> IncidentStore:
    found = connections.incident_store()
    assert isinstance(found, IncidentStore)
    return found


def run(config: dict[str, Any], window: str = WINDOW, project: str | None = None) -> tuple[State[Any], dict[str, Any]]:
    """The run's final state, and its result for programs."""
    with get_client(sync_client=True) as client:
        known = {one["id"] for one in _artifacts(client)}
        state = replay(config=config, window=window, project=project, return_state=True)
        new = [json.loads(one["data"]) for one in _artifacts(client) if one["id"] not in known]
    return state, next(iter(new), {})


def _artifacts(client: Any) -> list[dict[str, Any]]:
    wanted = {"artifacts": {"type": {"any_": ["json"]}}}
    return list(client.request("POST", "/artifacts/filter", json=wanted).json())


def artifact() -> str:
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/latest/filter", json={"artifacts": {"key": {"any_": ["replay"]}}})
    return str(answer.json()[0]["data"])


_ALL = "SELECT * FROM `{}` ORDER BY ALL"
_WHOLE = {
    # Its states of an aggregation cannot be ordered, and merge as they like: what they come to stays.
    "counted": "SELECT day, uniqCombined64Merge(ids), max(last_us) FROM counted GROUP BY day ORDER BY day"
}


def contents(postgres_url: str) -> dict[str, str]:
    """Every table of both databases: rows and a hash of all their values."""
    found = {}
    with psycopg.connect(postgres_url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
        ).fetchall()
        for (name,) in tables:
            rows = connection.execute(f'SELECT t::text FROM "{name}" t ORDER BY 1').fetchall()
            found[f"postgres {name}"] = _digest(rows)
    with connections.event_store().borrow_client() as client:
        for (name,) in client.query("SHOW TABLES").result_rows:
            found[f"clickhouse {name}"] = _digest(client.query(_WHOLE.get(name, _ALL.format(name))).result_rows)
    return found


def _digest(rows: Any) -> str:
    return f"{len(rows)} {hashlib.sha256(repr(rows).encode()).hexdigest()}"


def stored_ids(project: str = "default") -> list[str]:
    with psycopg.connect(store_url()) as connection:
        query = "SELECT detection_id FROM detections WHERE project = %s AND retracted_at IS NULL ORDER BY 1"
        return [row[0] for row in connection.execute(query, (project,)).fetchall()]


def store_url() -> str:
    from blocks.documents import effective_settings

    return effective_settings().incident_store_url.get_secret_value()


def test_what_would_vanish_is_told_with_its_rule_and_nothing_is_stored(configured: str) -> None:
    land(*(frustrated(f"s{n}") for n in range(3)))
    detect(return_state=True)
    before = contents(configured)
    assert before["postgres detections"].startswith("3 ")
    state, told = run(NO_RAGE)
    assert state.is_completed(), state.message
    assert contents(configured) == before
    counts = told["counts"]
    assert (counts["detections now"], counts["detections that would vanish"]) == (3, 3)
    assert counts["sessions with possible feedback, compared"] == 3
    assert told["appears"] == told["changes"] == []
    assert sorted(one["sessionId"] for one in told["vanishes"]) == ["s0", "s1", "s2"]
    for one in told["vanishes"]:
        assert one["rule"] != "emitted"
        assert one["whyNot"]
        assert one["scoreNow"] >= 80
        assert one["scoreThen"] is None
    assert told["rules"] == {told["vanishes"][0]["rule"]: 3}
    (point,) = told["failurePoints"]
    assert (point["projectId"], point["vanishes"], point["appears"], point["changes"]) == ("default", 3, 0, 0)
    text = artifact()
    assert "| detections that would vanish | 3 |" in text
    assert f"{told['vanishes'][0]['rule']}".replace("_", "\\_") in text
    assert Config().digest in text


def test_what_would_appear_is_told_with_its_explanation(configured: str) -> None:
    store().keys.save_project(
        "default", settings={"thresholds": {"rage_clicks": 9}, "weights": {"blocked": 0, "repeated": 0}}
    )
    land(frustrated("s"))
    detect(return_state=True)
    assert stored_ids() == []
    before = contents(configured)
    state, told = run({"thresholds": {"rage_clicks": 5}, "weights": {"blocked": 28}})
    assert state.is_completed()
    (one,) = told["appears"]
    assert (one["sessionId"], one["scoreNow"]) == ("s", None)
    assert one["scoreThen"] >= 80
    assert "POST /api/orders returned 500" in one["explanation"]
    assert told["vanishes"] == told["changes"] == []
    assert contents(configured) == before


def test_other_points_are_a_change(configured: str) -> None:
    land(frustrated("s"))
    _, told = run({"weights": {"failure": 31}})
    (one,) = told["changes"]
    assert one["points"] == [{"rule": "a request failed", "now": 30, "then": 31}]
    assert told["counts"]["detections that would change their points"] == 1
    assert "a request failed +30 → +31" in artifact()


def test_the_replay_says_what_setting_the_project_then_does(configured: str) -> None:
    land(*(frustrated(f"s{n}") for n in range(4)), frustrated("s0", project="shop"))
    detect(return_state=True)
    assert len(stored_ids()) == 4
    assert len(stored_ids("shop")) == 1
    _, told = run({"projects": {"default": NO_RAGE}})
    store().keys.save_project("default", settings=NO_RAGE)
    window = {"start": START - timedelta(minutes=1), "end": START + timedelta(hours=1)}
    assert backfill(**window, dry_run=False, return_state=True).is_completed()
    assert told["counts"]["detections that would vanish"] == 4
    assert stored_ids() == []
    assert len(stored_ids("shop")) == 1
    # And back again: what has vanished would appear, under the same ids.
    _, back = run(
        {"projects": {"default": {"thresholds": {"rage_clicks": 4}, "weights": {"blocked": 28, "repeated": 3}}}}
    )
    assert {one["detectionId"] for one in back["appears"]} == {one["detectionId"] for one in told["vanishes"]}


def test_what_the_projects_set_holds_under_the_new_configuration(configured: str) -> None:
    store().keys.save_project("quiet", settings={"ignoredRoutes": ["/checkout"]})
    store().keys.save_project("strict", settings={"weights": {"failure": 0, "kinds_3": 0}})
    for project in ("quiet", "strict", "default"):
        land(frustrated("s", project=project))
    _, told = run(
        {"thresholds": {"timeline_events": 10}, "projects": {"strict": {"weights": {"failure": 31, "kinds_3": 15}}}}
    )
    assert [one["projectId"] for one in told["appears"]] == ["strict"]
    assert told["vanishes"] == []
    digests = {one["project"]: (one["present"], one["new"]) for one in told["configurations"]}
    assert set(digests) == {"", "quiet", "strict"}
    assert digests["quiet"] == (
        Config(ignored_routes=("/checkout",)).digest,
        Config(ignored_routes=("/checkout",), timeline_events=10).digest,
    )


def test_what_lies_outside_of_window_and_project_is_left_alone(configured: str) -> None:
    land(frustrated("s"), frustrated("s", project="shop"))
    _, told = run(NO_RAGE, project="shop")
    assert [one["projectId"] for one in told["vanishes"]] == ["shop"]
    _, told = run(NO_RAGE, window=f"2001-01-01..{START.isoformat()}")
    assert told["counts"]["sessions in the window"] == 0
    _, told = run(NO_RAGE, window="2h")
    assert told["counts"]["sessions in the window"] == 0


def test_projects_whose_configuration_stays_the_same_are_not_analysed(
    configured: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(frustrated("s"), frustrated("s", project="shop"))
    asked = []
    original = EventStore.replay_sessions

    def watched(self: EventStore, start: int, end: int, project: str | None = None) -> Any:
        asked.append(project)
        return original(self, start, end, project)

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "replay_sessions", watched)
        _, told = run({"projects": {"shop": NO_RAGE}})
        assert asked == ["shop"]
        assert told["counts"]["sessions whose configuration stays the same"] == 1
        run({})
        assert asked == ["shop"]


def test_a_session_that_may_go_on_is_left_out(configured: str) -> None:
    late = int(datetime.now(UTC).timestamp() * 1000) - BASE_MS - 5_000
    land(
        [
            one | {"ts": one["ts"] + late, "received_ms": one["ts"] + late}
            for one in frustrated("s")
            if one["event_type"] != "session_end"
        ]
    )
    # Of the same id, in another project, and complete; and another one of the same project.
    land(frustrated("s", project="shop"), frustrated("t"))
    state, told = run(NO_RAGE, window="2001-01-01..2100-01-01")
    assert state.is_completed()
    assert told["counts"]["sessions that may still go on, left out"] == 1
    assert {(one["projectId"], one["sessionId"]) for one in told["vanishes"]} == {("shop", "s"), ("default", "t")}


def in_batches(patch: pytest.MonkeyPatch, events: int, after_the_first: Callable[[], None] = lambda: None) -> None:
    """Let the store give batches of about so many events, and do something between the first and the second."""
    original = EventStore.replay_sessions

    def replay_in_batches(self: EventStore, start: int, end: int, project: str | None = None) -> Iterator[pa.Table]:
        for number, table in enumerate(original(self, start, end, project, batch_events=events)):
            if number == 1:
                after_the_first()
            yield table

    patch.setattr(EventStore, "replay_sessions", replay_in_batches)


def test_in_batches_and_stopped_between_them(configured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    land(*(frustrated(f"s{n}") for n in range(5)))
    with monkeypatch.context() as patch:
        in_batches(patch, 22)
        _, whole = run(NO_RAGE)
        assert whole["counts"]["detections that would vanish"] == 5
    with monkeypatch.context() as patch:
        in_batches(patch, 22, stopping.request_stop_of_all)
        try:
            state, told = run(NO_RAGE)
        finally:
            stopping._all.clear()
    assert state.is_cancelled()
    assert told["counts"]["detections that would vanish"] == 2
    assert "the rest of the window was not compared" in artifact()


def test_clickhouse_that_fails_on_the_way_ends_degraded_with_what_is_known(
    configured: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise TransientError("ClickHouse is not reachable")

    land(*(frustrated(f"s{n}") for n in range(5)))
    with monkeypatch.context() as patch:
        in_batches(patch, 22, fail)
        state, told = run(NO_RAGE)
    assert state.name == "Degraded"
    assert "ClickHouse is not reachable" in (state.message or "")
    assert told["counts"]["detections that would vanish"] == 2


def test_examples_are_bounded_and_the_counts_tell_of_all(configured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rare = [one | {"route": "/rare"} for one in frustrated("rare")]
    land(*(frustrated(f"s{n}") for n in range(EXAMPLES_OF_POINT + 15)), rare)
    with monkeypatch.context() as patch:
        in_batches(patch, 77)
        _, told = run(NO_RAGE)
    assert told["counts"]["detections that would vanish"] == EXAMPLES_OF_POINT + 16
    assert len(told["vanishes"]) == EXAMPLES_OF_POINT + 1 <= EXAMPLES
    assert "rare" in {one["sessionId"] for one in told["vanishes"]}
    assert [one["vanishes"] for one in told["failurePoints"]] == [EXAMPLES_OF_POINT + 15, 1]
    assert f"Would vanish, {EXAMPLES_OF_POINT + 1} of {EXAMPLES_OF_POINT + 16}" in artifact()


def test_a_poisoned_session_takes_no_other_with_it(configured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    land(frustrated("good"), frustrated("poison"))
    engine = importlib.import_module("ufse.pipeline")
    original = engine.detect

    def fail_over_poison(table: Any, *arguments: Any, **named: Any) -> Any:
        if "poison" in table["session_id"].to_pylist():
            raise ValueError("cannot be analysed")
        return original(table, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "detect", fail_over_poison)
        state, told = run(NO_RAGE)
    assert state.is_completed()
    assert told["counts"]["sessions that the engine failed over, left out"] == 1
    assert [one["sessionId"] for one in told["vanishes"]] == ["good"]


def test_a_struggle_that_is_told_elsewhere_says_where(configured: str) -> None:
    """Two controls fail in one visit; the one that was reported is ignored, and the other is reported instead."""
    other = [
        row("s", 60_000 + one["ts"] - BASE_MS, **{**_own(one), "target_id": "retry", "route": "/checkout"})
        for one in frustrated("s")
        if one["event_type"] != "session_end"
    ]
    land([*frustrated("s")[:-1], *other])
    _, told = run({"ignored_targets": ["button#pay"]})
    assert told["counts"]["detections now"] >= 1
    (one,) = [one for one in told["vanishes"] if "button#pay" in one["primaryFailurePoint"]]
    assert one["rule"]
    assert one["whyNot"]


def test_the_rule_that_is_told_is_that_of_the_failure_point() -> None:
    gone = {"visitId": "v1", "primaryFailurePoint": "/b"}

    def silent(visit: str, *candidates: tuple[str, str]) -> dict[str, Any]:
        listed = [{"failurePoint": point, "rule": rule, "text": f"{rule} of {point}"} for point, rule in candidates]
        return {"visitId": visit, "rule": f"nearest of {visit}", "text": "…", "candidates": listed}

    visits = [silent("v0", ("/b", "below_high")), silent("v1", ("/a", "below_high"), ("/b", "resolved"))]
    assert _vanishing_reason(gone, visits, []) == ("resolved", "resolved of /b")
    assert _vanishing_reason(gone, [silent("v0"), silent("v1")], [])[0] == "nearest of v1"
    assert _vanishing_reason(gone, [], [{"primaryFailurePoint": "/a"}]) == (
        "another_point",
        "The engine reports another failure point: /a.",
    )
    assert _vanishing_reason(gone, [], [])[0] == "no_candidate"


def _own(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in event if name not in ("session_id", "ts", "received_ms", "event_id")}


def test_what_is_wrong_fails_with_its_reason(configured: str) -> None:
    state, _ = run({"thresholds": {"rage_click": 5}})
    assert state.is_failed()
    assert "there is no threshold 'rage_click'; there is rage_clicks" in (state.message or "")
    state, _ = run(NO_RAGE, window="yesterday")
    assert state.is_failed()
    assert "a window looks like 7d" in (state.message or "")
    store().keys.save_project("shop", settings={"thresholds": {"high_score": 60}})
    state, _ = run({"thresholds": {"medium_score": 70}})
    assert state.is_failed()
    assert "project 'shop': medium_score (70) must be less than high_score (60)" in (state.message or "")


def test_without_an_event_store_it_is_logged_only(configured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", "log")
    documents.forget_blocks()
    state, told = run(NO_RAGE)
    assert state.name == "LoggedOnly"
    assert told == {}


def test_text_from_a_browser_is_inert_in_the_artifact(configured: str) -> None:
    land([one | {"target_id": "[pay](javascript:alert)<script>"} for one in frustrated("[s](javascript:x)")])
    _, told = run(NO_RAGE)
    assert len(told["vanishes"]) == 1
    text = artifact()
    assert "<script" not in text
    assert "](javascript" not in text.replace("`[s](javascript:x)`", "")


def test_each_project_has_its_own_thresholds_and_weights(configured: str) -> None:
    store().keys.save_project("strict", settings=NO_RAGE)
    for project in ("default", "strict"):
        land(*(frustrated(f"s{n}", project=project) for n in range(3)))
    detect(return_state=True)
    assert len(stored_ids()) == 3
    assert stored_ids("strict") == []


def test_a_bad_stored_threshold_is_told_counted_and_replaced_by_its_default(
    configured: str, caplog: pytest.LogCaptureFixture
) -> None:
    thresholds = {"rage_clicks": 9, "rage_gap_ms": "soon\x1b[31m", "n\x1b[31mew": 1}
    weights = {"failure": 101, "blocked": 0, "repeated": 0}
    store().keys.save_project("default", settings={"thresholds": thresholds, "weights": weights})
    land(frustrated("s"))
    assert detect(return_state=True).is_completed()
    assert stored_ids() == [], "what fits is used: nine clicks"
    told = [one.getMessage() for one in caplog.records if one.name == "furrow.thresholds"]
    assert len(told) == 3
    assert any("thresholds.rage_gap_ms" in one for one in told)
    assert any("weights.failure" in one for one in told)
    assert "\x1b" not in "".join(told)
