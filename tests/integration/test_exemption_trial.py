"""Exceptions from verdict to silence, on a real (embedded) ClickHouse and Postgres: replay, decision, analysis, taking back."""

import time
from typing import Any

import psycopg
import pytest
from prefect.client.schemas.objects import State

from collector.exemptions import read_overview
from core import metrics
from flows.detect import detect
from stores.incidents.incident_store import IncidentQuery, IncidentStore
from stores.incidents.verdict_ledger import VerdictKey
from tasks import connections, exemption_trial
from tests.integration.test_flows import configured, land  # noqa: F401  # a fixture
from tests.rows import BASE_MS, row

SHIFT = int(time.time() * 1000) - 3_600_000 - BASE_MS
"""From the sessions' usual time to an hour ago: a replay covers the last days."""


def store() -> IncidentStore:
    found = connections.incident_store()
    assert isinstance(found, IncidentStore)
    return found


def refused(session_id: str, status: int = 409, **columns: Any) -> list[dict[str, Any]]:
    """Five presses of a button whose request is refused each time, then the end; an hour ago."""
    events = []
    for n in range(5):
        click = {"target_type": "button", "target_id": "add", "route": "/cart", "input_method": "mouse"}
        events.append(row(session_id, SHIFT + n * 700, event_type="click", **click, **columns))
        answer = {"method": "POST", "url": "/api/cart", "status": status, "duration_ms": 200}
        events.append(row(session_id, SHIFT + n * 700 + 300, event_type="network", **answer, route="/cart", **columns))
    return [*events, row(session_id, SHIFT + 9_000, event_type="session_end", route="/cart", **columns)]


def run() -> State[Any]:
    state = detect(return_state=True)
    assert state.name == "Completed", state.message
    return state


def judge(*sessions: str, frustrated: bool = False, actor: str = "Ann") -> str:
    found = store().detections.read_stored_detections([("default", session) for session in sessions])
    for one in found:
        key = VerdictKey(one.incident_id, str(one.body["sessionId"]), actor)
        store().verdicts.save_verdict(key, None if frustrated else "expected_refusal")
    return found[0].incident_id


def ask() -> str:
    (proposal,) = read_overview(store(), "default").proposals  # type: ignore[arg-type]  # the store itself
    store().exemptions.ask_for_trial(proposal, "Ann")
    return proposal.exemption_id


def silences() -> list[tuple[str, str, str]]:
    return [(one.session_id, one.rule, one.text) for one in store().silences.list_silences("default", None)]


@pytest.mark.usefixtures("configured")
def test_from_verdicts_to_silence_and_back() -> None:
    land(*(refused(f"s{n}") for n in range(5)), *(refused(f"broken{n}", 500) for n in range(3)))
    run()
    incident_id = judge("s0", "s1", "s2")
    id_ = ask()
    run()
    (record,) = store().exemptions.list_exemptions("default")
    result = record["result"]
    assert result is not None
    assert record["state"] == "tried"
    assert (result["analysed"], result["silenced"], result["failed"], result["appeared"]) == (8, 5, 0, 0)
    assert (result["confirmedByPerson"], result["refutedByPerson"], result["complete"]) == (0, 3, True)
    (incident,) = result["incidents"]
    assert (incident["incidentId"], incident["silenced"], incident["left"], incident["below"]) == (
        incident_id,
        5,
        0,
        True,
    )
    assert result["incidentsBelow"] == 1
    assert len(store().incidents.list_incidents(IncidentQuery()).incidents) == 2  # nothing was decided yet
    land(refused("before"))
    run()
    assert silences() == []
    store().exemptions.move_exemption(id_, "accept", "agreed", "Bob")
    land(refused("after"), refused("broken", 500))
    run()
    ((session, rule, text),) = silences()
    assert (session, rule) == ("after", "exempted")
    assert text.startswith("Silenced by your exception: POST /api/cart → 409 is no failure, set by Bob on ")
    affected = {
        one["incidentId"]: one["affectedSessions"]
        for one in store().incidents.list_incidents(IncidentQuery()).incidents
    }
    assert sorted(affected.values()) == [4, 6]
    store().exemptions.move_exemption(id_, "end", "no longer", "Ann")
    land(refused("again"))
    run()
    assert len(silences()) == 1
    assert store().incidents.read_incident(incident_id)["affectedSessions"] == 7  # type: ignore[index]


@pytest.mark.usefixtures("configured")
def test_the_replay_counts_sessions_that_a_person_confirmed() -> None:
    land(*(refused(f"s{n}") for n in range(4)))
    run()
    judge("s0", "s1", "s2")
    ask()
    judge("s3", frustrated=True)  # after it was proposed
    run()
    (record,) = store().exemptions.list_exemptions("default")
    assert record["result"] is not None
    assert (record["result"]["silenced"], record["result"]["confirmedByPerson"]) == (4, 1)


@pytest.mark.usefixtures("configured")
def test_a_replay_that_ends_at_its_limit_says_so() -> None:
    land(*(refused(f"s{n}") for n in range(3)))
    run()
    judge("s0", "s1", "s2")
    ask()
    found = exemption_trial.try_exemptions.fn(-1.0)
    assert found is not None
    (record,) = store().exemptions.list_exemptions("default")
    assert record["result"] is not None
    assert (record["result"]["complete"], record["result"]["analysed"]) == (False, 0)


@pytest.mark.usefixtures("configured")
def test_what_fails_stays_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    land(*(refused(f"s{n}") for n in range(3)))
    run()
    judge("s0", "s1", "s2")
    ask()

    def broken(*_: Any) -> None:
        raise ValueError("the disk is on fire")

    with monkeypatch.context() as patched:
        patched.setattr(exemption_trial, "read_replay_events", broken)
        patched.setattr(exemption_trial.try_exemptions, "retries", 0)
        state = detect(return_state=True)
    assert state.name == "Degraded"
    assert store().exemptions.find_asked_exemption() is not None
    run()
    assert store().exemptions.find_asked_exemption() is None


@pytest.mark.usefixtures("configured")
def test_an_exception_of_another_version_is_counted_and_stops_nothing(postgres_url: str) -> None:
    run()  # it makes the tables
    with psycopg.connect(postgres_url) as connection:
        for number, state in enumerate(("accepted", "asked")):
            connection.execute(
                "INSERT INTO exemptions (exemption_id, project, body, user_hash, state, actor) "
                "VALUES (%s, 'default', '{\"kind\": \"of the future\"}', '', %s, 'Ann')",
                (f"exc_{number:032d}", state),
            )
    land(*(refused(f"s{n}") for n in range(3)))
    run()
    (incident,) = store().incidents.list_incidents(IncidentQuery()).incidents
    assert incident["affectedSessions"] == 3
    states = {one["exceptionId"]: one["state"] for one in store().exemptions.list_exemptions(None)}
    assert sorted(states.values()) == ["accepted", "rejected"]
    assert metrics.DEGRADED.labels("exceptions", "unusable")._value.get() >= 1
