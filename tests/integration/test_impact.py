"""Sessions that reached the step of an incident, counted by the flows on real (embedded) stores."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import flows.backfill
import flows.erase
import tasks.erase
from blocks import documents
from core.errors import PermanentError
from core.metrics import DEGRADED
from flows.detect import detect
from incidents.fixes import Fix
from incidents.impact import Share
from stores.incidents.incident_store import IncidentStore
from tasks import connections
from tasks.retention import RetentionLimit, drop_counts, drop_events
from tests.integration.test_flows import frustrated, incidents, land
from tests.rows import BASE_MS, row
from ufse.steps import UsedSteps


@pytest.fixture
def configured(
    prefect: None, event_store_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Both stores configured for this test alone."""
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    monkeypatch.setenv("FURROW_IMPACT_SECONDS", "0")  # each run counts
    documents.forget_blocks()
    yield
    connections.close_connections()


def calm(session_id: str, button: str = "pay", **columns: Any) -> list[dict[str, Any]]:
    """One click on a button, whose request succeeds, then the end."""
    click = {"target_type": "button", "target_id": button, "route": "/checkout", "input_method": "mouse"}
    answer = {"event_type": "network", "method": "POST", "url": "/api/orders", "status": 201, "duration_ms": 200}
    return [
        row(session_id, 0, **click, **columns),
        row(session_id, 300, **answer, route="/checkout", **columns),
        row(session_id, 9_000, event_type="session_end", route="/checkout", **columns),
    ]


def store() -> IncidentStore:
    found = connections.incident_store()
    assert isinstance(found, IncidentStore)
    return found


def run() -> None:
    state = detect(return_state=True)
    assert state.name == "Completed", state.message


def counts() -> dict[tuple[str, str, str, bool], Share]:
    """What is counted: by failure point, facet, value, and whether after the fix."""
    with store()._database.open_transaction() as connection:
        rows = connection.execute(
            text("""
                SELECT i.primary_failure_point AS point, r.facet, r.value, r.after_fix,
                       sum(r.reached) AS reached, sum(r.hit) AS hit
                FROM incident_reach r JOIN incidents i USING (incident_id) GROUP BY 1, 2, 3, 4
            """)
        )
        return {(r.point, r.facet, r.value, r.after_fix): Share(int(r.reached), int(r.hit)) for r in rows}


def whole() -> list[Share]:
    return [share for (_, facet, _, _), share in sorted(counts().items()) if not facet]


def recount() -> dict[tuple[str, str, str, bool], Share]:
    """The same counted from nothing."""
    with store()._database.open_transaction() as connection:
        connection.execute(text("DELETE FROM incident_reach"))
        connection.execute(text("DELETE FROM incident_steps"))
    run()
    return counts()


def test_three_hit_of_ten_that_reached(configured: None) -> None:
    land(*(frustrated(f"bad{n}") for n in range(3)), *(calm(f"good{n}") for n in range(7)))
    land(*(calm(f"other{n}", "save") for n in range(5)))
    run()
    assert whole() == [Share(10, 3)]
    run()
    assert whole() == [Share(10, 3)]


def test_doubled_and_late_events_count_once(configured: None) -> None:
    bad, good = [frustrated(f"bad{n}") for n in range(3)], [calm(f"good{n}") for n in range(7)]
    land(*bad, *good[:4])
    run()
    assert whole() == [Share(7, 3)]
    land(*bad, *good)  # the same again, as a resend, and more
    run()
    assert whole() == [Share(10, 3)]
    # A late success: one session shows nothing any more, and has still reached the step.
    click = row("bad0", 4_000, target_type="button", target_id="pay", route="/checkout", input_method="mouse")
    answer = {"event_type": "network", "method": "POST", "url": "/api/orders", "status": 201, "duration_ms": 200}
    land([click, row("bad0", 4_300, route="/checkout", **answer)])
    run()
    assert whole() == [Share(10, 2)]
    # A session that had not reached the step reaches it with late events.
    land(calm("other", "save"))
    run()
    assert whole() == [Share(10, 2)]
    land([row("other", 5_000, target_type="button", target_id="pay", route="/checkout", input_method="mouse")])
    run()
    assert whole() == [Share(11, 2)]
    assert counts() == recount()


def test_two_controls_on_a_route_stay_two(configured: None) -> None:
    save = [{**e, "target_id": "save"} if e["event_type"] == "click" else e for e in frustrated("save0")]
    land(*(frustrated(f"bad{n}") for n in range(3)), save, *(calm(f"good{n}") for n in range(5)))
    land(*(calm(f"other{n}", "save") for n in range(2)))
    run()
    found = {point.split(" › ")[1]: share for (point, facet, _, _), share in counts().items() if not facet}
    assert found == {"button#pay": Share(8, 3), "button#save": Share(3, 1)}


def test_versions_environments_and_browsers_are_counted_and_machines_are_not(configured: None) -> None:
    chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
    new = {"app_version": "2.0", "environment": "production", "user_agent": chrome}
    land(*(frustrated(f"bad{n}", **new) for n in range(3)), *(calm(f"new{n}", **new) for n in range(2)))
    land(*(calm(f"old{n}", app_version="1.9") for n in range(4)), calm("plain"))
    land(calm("bot", user_agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"))
    run()
    found = {(facet, value): share for (_, facet, value, _), share in counts().items()}
    assert found == {
        ("", ""): Share(10, 3),
        ("appVersions", "2.0"): Share(5, 3),
        ("appVersions", "1.9"): Share(4, 0),
        ("environments", "production"): Share(5, 3),
        ("browsers", "Chrome 126 on Windows"): Share(5, 3),
    }


def test_sessions_are_counted_for_incidents_that_come_later(configured: None) -> None:
    land(*(calm(f"good{n}") for n in range(7)))
    run()
    assert whole() == []
    land(*(frustrated(f"bad{n}") for n in range(3)))
    run()
    assert whole() == [Share(10, 3)]


def test_an_incremental_count_is_the_count_from_nothing(configured: None) -> None:
    """Sessions of two days in many runs, in an order that has nothing to do with their times."""
    days = 86_400_000
    for turn in range(6):
        shift = {"received_ms": BASE_MS + (turn * 7_919_000) % (2 * days)}
        land(
            *(
                _received(frustrated(f"bad{turn}-{n}", app_version=f"{turn % 2}"), shift["received_ms"])
                for n in range(2)
            )
        )
        land(*(_received(calm(f"good{turn}-{n}", app_version=f"{n % 3}"), shift["received_ms"]) for n in range(3)))
        run()
    once = counts()
    assert once[next(iter(once))[0], "", "", False] == Share(30, 12)
    assert once == recount()


def _received(events: list[dict[str, Any]], at_ms: int) -> list[dict[str, Any]]:
    return [{**event, "received_ms": at_ms} for event in events]


def impact() -> Any:
    (incident,) = incidents()
    found = store().incidents.read_incident(incident["incidentId"])
    assert found is not None
    assert found["reached"] == incident["reached"]
    return found["impact"]


def test_the_api_has_rates_intervals_and_comparisons(configured: None) -> None:
    land(
        *(frustrated(f"bad{n}", app_version="2.0") for n in range(3)),
        *(calm(f"good{n}", app_version="1.9") for n in range(7)),
    )
    run()
    found = impact()
    assert found["step"] == "control"
    assert (found["reached"], found["hit"], found["rate"]) == (10, 3, 0.3)
    assert (found["low"], found["high"]) == (0.107791, 0.603222)
    old, new = found["byAppVersion"]
    assert (old["value"], old["reached"], old["hit"], old["others"]["hit"]) == ("1.9", 7, 0, 3)
    assert (new["value"], new["rate"], new["others"]["reached"], new["others"]["rate"]) == ("2.0", 1.0, 7, 0.0)
    assert [(day["day"], day["reached"], day["hit"]) for day in found["byDay"]] == [("2023-11-14", 10, 3)]
    assert found["fix"] is None


def test_a_fix_is_proven_by_the_sessions_that_began_after_it_and_noted_once(configured: None) -> None:
    fixed_at = datetime.fromtimestamp(BASE_MS / 1000, UTC) + timedelta(hours=1, minutes=7)
    land(*(frustrated(f"bad{n}") for n in range(3)), *(calm(f"good{n}") for n in range(3)))
    run()
    (incident,) = incidents()
    store().ledger.apply_action(incident["incidentId"], "resolve", "deployed 2.0", "ana", at=fixed_at)
    later = round(fixed_at.timestamp() * 1000) + 1_000
    land(*(_began(calm(f"during{n}"), later - 60_000) for n in range(4)))  # began before the fix
    land(*(_began(calm(f"later{n}", app_version="2.0"), later) for n in range(70)))
    run()
    fix = impact()["fix"]
    assert (fix["reached"], fix["hit"], fix["before"]["reached"], fix["before"]["hit"]) == (70, 0, 10, 3)
    assert (fix["confirmed"], fix["confirmedAt"]) == (False, None)
    assert fix["byAppVersion"][0]["value"] == "2.0"
    land(*(_began(calm(f"more{n}", app_version="2.0"), later + 86_400_000) for n in range(60)))
    run()
    fix = impact()["fix"]
    assert (fix["reached"], fix["hit"], fix["confirmed"]) == (130, 0, True)
    assert fix["confirmedAt"] is not None
    assert _proofs() == [
        "confirmed fixed: 130 sessions reached this step since the fix, 0 hit it (at most 2.87% by the 95 % interval); "
        "before it 3 of 10 (30.00%)"
    ]
    land(_began(calm("last"), later + 90_000_000))
    run()
    assert len(_proofs()) == 1
    assert counts() == {**recount()}
    # Reopened and fixed again: another fix, which nothing confirms yet.
    store().ledger.apply_action(incident["incidentId"], "reopen", "not fixed", "ana")
    run()
    assert impact()["fix"] is None
    assert impact()["reached"] == 141
    store().ledger.apply_action(incident["incidentId"], "resolve", "now", "ana")
    run()
    fix = impact()["fix"]
    assert (fix["reached"], fix["confirmed"], fix["confirmedAt"]) == (0, False, None)


def test_the_proof_counts_only_sessions_that_have_the_fix(configured: None) -> None:
    fixed_at = datetime.fromtimestamp(BASE_MS / 1000, UTC) + timedelta(hours=1, minutes=7)
    production = {"environment": "production"}
    land(*(frustrated(f"bad{n}", app_version="2.4.0", **production) for n in range(3)))
    run()
    (incident,) = incidents()
    fix = Fix(environment="production", next_release=True)
    store().ledger.apply_action(incident["incidentId"], "resolve", "merged", "ana", at=fixed_at, fix=fix)
    later = round(fixed_at.timestamp() * 1000) + 1_000
    # Old clients reach the step without being hit, and nothing has the fix yet.
    land(*(_began(calm(f"old{n}", app_version="2.4.0", **production), later) for n in range(130)))
    run()
    found = impact()["fix"]
    assert (found["reached"], found["before"]["reached"], found["confirmed"]) == (0, 133, False)
    # The next release, seen by two senders: now the fix has a version.
    land(*(_began(calm(f"new{n}", app_version="2.5.0", **production), later + 1_000) for n in range(30)))
    land(_began(calm("hotfix", app_version="2.4.1", **production), later + 2_000))
    land(_began(calm("staged", app_version="2.5.0", environment="staging"), later + 2_000))
    run()
    resolved = store().incidents.read_incident(incident["incidentId"])
    assert resolved is not None
    assert (resolved["fixVersion"], resolved["fixEnvironment"]) == ("2.5.0", "production")
    assert resolved["history"][-1]["reason"] == "fixed in 2.5.0 (production): the first release after it was resolved"
    found = impact()["fix"]
    assert (found["reached"], found["hit"], found["before"]["reached"]) == (30, 0, 135)
    land(*(_began(calm(f"more{n}", app_version="2.6.0", **production), later + 86_400_000) for n in range(2_500)))
    run()
    assert impact()["fix"]["reached"] == 2_530
    (proof,) = _proofs()
    assert proof.startswith(
        "confirmed fixed: 2,530 sessions reached this step since the fix in 2.5.0 (production), 0 hit"
    )
    assert counts() == recount()


def _began(events: list[dict[str, Any]], at_ms: int) -> list[dict[str, Any]]:
    """The same session, begun and received at another time."""
    shift = at_ms - BASE_MS
    return [{**event, "ts": event["ts"] + shift, "received_ms": event["received_ms"] + shift} for event in events]


def _proofs() -> list[str]:
    (incident,) = incidents()
    found = store().incidents.read_incident(incident["incidentId"])
    assert found is not None
    return [entry["reason"] for entry in found["history"] if "confirmed fixed" in entry["reason"]]


def test_a_count_that_fails_blocks_nothing_and_the_next_run_repairs_it(
    configured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(*(frustrated(f"bad{n}") for n in range(2)), *(calm(f"good{n}") for n in range(2)))
    run()
    for broken in ("read_used_steps", "record_session_steps", "count_reached"):
        with monkeypatch.context() as patch:
            patch.setattr(f"tasks.impact.{broken}", _fail)
            land(frustrated(f"worse {broken}"), calm(f"better {broken}"))
            before = degraded_total()
            state = detect(return_state=True)
            assert state.name == "Degraded"
            assert "count impact: the table is away" in str(state.message)
            assert degraded_total() > before
        assert store().queue.count_pending_sessions(2**60)["due"] == 0  # detection is done
        assert store().reach.count_waiting_sessions() == 2
        run()
        assert store().reach.count_waiting_sessions() == 0
    (incident,) = incidents()
    assert (incident["status"], incident["affectedSessions"]) == ("confirmed", 5)
    assert whole() == [Share(10, 5)]
    assert counts() == recount()


def _fail(*_arguments: Any) -> Any:
    raise PermanentError("the table is away")


def degraded_total() -> float:
    """Counted fallbacks of the step, whatever the reason."""
    samples = [sample for metric in DEGRADED.collect() for sample in metric.samples]
    return sum(s.value for s in samples if s.name.endswith("_total") and "count impact" in s.labels.values())


def test_steps_that_a_session_no_longer_reaches_are_not_lost_with_a_count_that_fails(
    configured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(*(frustrated(f"bad{n}") for n in range(3)), calm("good"))
    run()
    assert whole() == [Share(4, 3)]
    land([row("good", 5_000, event_type="scroll")])
    with monkeypatch.context() as patch:
        patch.setattr("tasks.impact.read_used_steps", lambda *_: UsedSteps.join_parts([]))
        with monkeypatch.context() as more:
            more.setattr("tasks.impact.count_reached", _fail)
            assert detect(return_state=True).name == "Degraded"
        run()
        assert whole() == [Share(3, 3)]


def test_a_table_that_is_away_is_waited_for(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    land(*(frustrated(f"bad{n}") for n in range(3)))
    with connections.event_store().borrow_client() as client:
        client.command("RENAME TABLE session_steps TO away")
        assert detect(return_state=True).name == "Degraded"
        client.command("RENAME TABLE away TO session_steps")
    (incident,) = incidents()
    assert (incident["status"], incident["reached"]) == ("confirmed", None)
    run()
    assert whole() == [Share(3, 3)]


def test_another_count_at_the_same_time_is_left_alone(configured: None) -> None:
    land(*(frustrated(f"bad{n}") for n in range(3)))
    with store().reach.open_count() as count:
        assert count is not None
        run()
    assert whole() == []
    run()
    assert whole() == [Share(3, 3)]


def test_slots_become_days_and_change_afterwards(configured: None) -> None:
    now = datetime.fromtimestamp(BASE_MS / 1000, UTC) - timedelta(hours=1)
    with store().reach.open_count(now) as count:  # a clock at which all of it is recent
        assert count is not None
    land(*(_received(frustrated(f"bad{n}"), BASE_MS + n * 3_600_000) for n in range(3)))
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr("stores.incidents.incident_reach.RECENT_MS", 10**14)
        run()
        assert {is_day for _, is_day in _buckets()} == {False}
        assert len(_buckets()) == 3
    once = counts()
    run()
    assert _buckets() == [(BASE_MS - BASE_MS % 86_400_000, True), (BASE_MS - BASE_MS % 86_400_000 + 86_400_000, True)]
    assert counts() == once
    land(_received(calm("late"), BASE_MS + 60_000))
    run()
    assert whole() == [Share(4, 3)]
    assert counts() == recount()


def _buckets() -> list[tuple[int, bool]]:
    with store()._database.open_transaction() as connection:
        rows = connection.execute(
            text("SELECT DISTINCT bucket_ms, is_day FROM incident_reach WHERE facet = '' ORDER BY 1, 2")
        )
        return [(row.bucket_ms, row.is_day) for row in rows]


def test_an_erased_person_is_gone_from_the_counts(
    configured: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURROW_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tasks.erase, "_active_run_ids", set)
    land(*(frustrated(f"bad{n}", app_version=f"{n}") for n in range(3)), *(calm(f"good{n}") for n in range(4)))
    run()
    assert whole() == [Share(7, 3)]
    for session, left in (("bad1", Share(6, 2)), ("good2", Share(5, 2))):
        state = flows.erase.erase(project="default", session_id=session, return_state=True)
        assert state.name == "Completed", state.message
        assert whole() == [left]
        run()
        assert whole() == [left]
    assert {value for _, facet, value, _ in counts() if facet == "appVersions"} == {"0", "2"}
    assert connections.event_store().query_arrow("SELECT count() AS n FROM session_steps")["n"][0].as_py() == 5
    assert counts() == recount()


def test_days_that_are_dropped_are_no_longer_counted(configured: None) -> None:
    land(*(frustrated(f"bad{n}") for n in range(3)))
    land(*(_began(calm(f"good{n}"), BASE_MS + 3 * 86_400_000) for n in range(4)))
    run()
    assert whole() == [Share(7, 3)]
    first = datetime.fromtimestamp(BASE_MS / 1000, UTC).date() + timedelta(days=1)
    keep = RetentionLimit(first, waiting=False)
    drop_events.fn(keep)
    assert drop_counts.fn(keep) == 1
    assert whole() == [Share(4, 0)]
    run()
    assert counts() == recount()


def test_a_backfill_counts_what_was_analysed_before_there_were_counts(configured: None) -> None:
    land(*(frustrated(f"bad{n}") for n in range(3)), *(calm(f"good{n}") for n in range(4)))
    run()
    once = counts()
    with connections.event_store().borrow_client() as client:
        client.command("TRUNCATE TABLE session_steps")
    assert recount() == {}
    at = datetime.fromtimestamp(BASE_MS / 1000, UTC)
    window = {"start": at - timedelta(days=1), "end": at + timedelta(days=1), "return_state": True}
    assert flows.backfill.backfill(**window).name == "Completed"  # a dry run
    run()
    assert counts() == {}
    assert flows.backfill.backfill(**window, dry_run=False).name == "Completed"
    run()
    assert counts() == once


def test_sessions_of_several_runs_are_counted_together(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_IMPACT_SECONDS", "300")
    for number in range(3):
        land(frustrated(f"bad{number}"), *(calm(f"good{number}-{n}") for n in range(2)))
        run()
        assert whole() == []
    assert store().reach.count_waiting_sessions() == 9
    with store()._database.open_transaction() as connection:
        connection.execute(text("UPDATE uncounted_sessions SET due_at = due_at - interval '301 seconds'"))
    run()
    assert whole() == [Share(9, 3)]
    assert store().reach.count_waiting_sessions() == 0
    assert counts() == recount()


def test_many_sessions_do_not_wait(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_IMPACT_SECONDS", "300")
    monkeypatch.setattr("tasks.impact.SESSIONS", 3)
    land(*(frustrated(f"bad{n}") for n in range(2)))
    run()
    assert whole() == []
    land(*(calm(f"good{n}") for n in range(2)))
    run()
    assert whole() == [Share(4, 2)]
