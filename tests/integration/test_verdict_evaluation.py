"""`furrow evaluate --verdicts`: stored sessions with a verdict, analysed again on a real (embedded) ClickHouse and Postgres."""

import json
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from flows.evaluate_verdicts import measure_verdicts
from incidents.verdicts import Proposal
from stores.incidents.verdict_ledger import VerdictKey
from tests.integration.test_exemption_trial import judge, refused, run, store
from tests.integration.test_flows import configured, land  # noqa: F401  # a fixture
from ufse.exemptions import Exemption


def measure(project: str | None = None) -> tuple[dict[str, Any], str]:
    """The result for programs, and the artifact for people."""
    wanted = {"artifacts": {"type": {"any_": ["json"]}}}
    with get_client(sync_client=True) as client:
        known = {one["id"] for one in client.request("POST", "/artifacts/filter", json=wanted).json()}
        state = measure_verdicts(project, return_state=True)
        assert state.name == "Completed", state.message
        (new,) = [
            json.loads(one["data"])
            for one in client.request("POST", "/artifacts/filter", json=wanted).json()
            if one["id"] not in known
        ]
        key = {"artifacts": {"key": {"any_": ["evaluate-verdicts"]}}}
        shown = client.request("POST", "/artifacts/latest/filter", json=key).json()[0]["data"]
    return new, str(shown)


@pytest.mark.usefixtures("configured")
def test_precision_is_measured_by_the_engine_and_the_exceptions_of_now() -> None:
    land(*(refused(f"s{n}") for n in range(4)), *(refused(f"broken{n}", 500) for n in range(3)))
    run()
    judge("s0", "s1", "s2")
    judge("broken0", "broken1", "broken2", frustrated=True)
    judge("s3")
    judge("s3", frustrated=True, actor="Bob")
    found, shown = measure()
    assert (found["judged"], found["disputed"], found["withoutEvents"], found["failed"]) == (6, 1, 0, 0)
    overall = found["overall"]
    assert (overall["frustrated"], overall["detected"], overall["precision"]) == (3, 6, 0.5)
    assert (round(overall["low"], 3), round(overall["high"], 3)) == (0.188, 0.812)  # Wilson, 3 of 6
    assert [(one["name"], one["detected"]) for one in found["byProject"]] == [("default", 6)]
    assert {one["name"]: one["detected"] for one in found["bySignal"]}["feedback"] == 6
    rules = {one["name"]: (one["frustrated"], one["detected"]) for one in found["byRule"]}
    assert rules["a request failed"] == (3, 3)
    assert "3 of 6 detections with frustration, 0.500 (0.188 to 0.812)" in shown
    proposal = Proposal(
        "default", Exemption("expected_answer", endpoint="POST /api/cart", status=409), 3, "expected_refusal"
    )
    store().exemptions.ask_for_trial(proposal, "Ann")
    run()
    store().exemptions.move_exemption(proposal.exemption_id, "accept", "", "Ann")
    found, _ = measure("default")
    assert (found["overall"]["frustrated"], found["overall"]["detected"], found["silenced"]) == (3, 3, 3)
    assert found["missed"] == 0


@pytest.mark.usefixtures("configured")
def test_sessions_without_events_are_counted_and_left_out() -> None:
    land(refused("s0"))
    run()
    incident_id = judge("s0")
    with store()._database.open_transaction() as connection:
        connection.exec_driver_sql(
            "INSERT INTO verdicts SELECT project, incident_id, 'dropped', actor, detection_id, frustrated, reason, note, "
            "route, target, feedback, signals, rules, environment, app_version, user_hash, engine_version, config_hash, "
            "decided_at FROM verdicts"
        )
    found, _ = measure()
    assert (found["judged"], found["withoutEvents"]) == (1, 1)
    store().verdicts.drop_verdict(VerdictKey(incident_id, "s0", "Ann"))
    store().verdicts.drop_verdict(VerdictKey(incident_id, "dropped", "Ann"))
    found, shown = measure()
    assert (found["judged"], found["overall"]["precision"]) == (0, None)
    assert "no detection on a session with a verdict" in shown
