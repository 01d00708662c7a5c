"""Sessions that reached the step of an incident, counted by the flows on real (embedded) stores."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from blocks import documents
from flows.detect import detect
from incidents.impact import Share
from stores.incidents.incident_store import IncidentStore
from tasks import connections
from tests.integration.test_flows import frustrated, land
from tests.rows import BASE_MS, row


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
