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
from tests.rows import row


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
