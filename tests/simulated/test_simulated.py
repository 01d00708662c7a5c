"""The simulator keeps its own promises: contract, determinism, shares, and labels that agree with the events."""

import json
from collections import Counter
from functools import cache

from tests.simulated.applications import APPLICATIONS
from tests.simulated.failures import KINDS
from tests.simulated.write import Simulated, simulate, simulate_all
from tests.tables import build_table


@cache
def some() -> tuple[Simulated, ...]:
    return tuple(simulate_all(7, 400))


def test_every_event_is_of_the_contract() -> None:
    _, rejects = build_table(event for each in some() for _, event in each.events)
    assert rejects == []


def test_a_seed_and_a_number_are_a_session() -> None:
    assert simulate(7, 3) == some()[3]
    assert simulate(8, 3) != some()[3]


def test_shares() -> None:
    frustrated = sum(each.label["frustrated"] for each in some()) / len(some())
    assert 0.3 <= frustrated <= 0.45
    applications = Counter(each.label["kind"].split("/")[0] for each in some())
    assert set(applications) == {app.name for app in APPLICATIONS}
    broken = Counter(kind for each in some() for kind in each.label["kind"].split("/")[1].split("+"))
    assert set(broken) == {*KINDS, "nothing"}


def test_the_failure_point_is_in_the_events() -> None:
    for each in some():
        label = each.label
        if label["frustrated"]:
            places = {(event["route"], json.dumps(event.get("target", {}))) for _, event in each.events}
            assert any(route == label["route"] and label["target"] in target for route, target in places), label


def test_who_was_never_failed_is_never_frustrated() -> None:
    for each in some():
        told = [event for _, event in each.events if _tells(event)]
        assert told or not each.label["frustrated"], each.label


def _tells(event: dict[str, object]) -> bool:
    data = event.get("metadata") or {}
    assert isinstance(data, dict)
    failed = event["eventType"] in ("error", "unhandled_rejection", "network_error", "slow_response")
    slow = data.get("durationMs", 0) >= 4_000
    return failed or slow or not 0 < data.get("status", 200) < 400 or data.get("valid") is False
