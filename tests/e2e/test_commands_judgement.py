"""What people decide by command, each as a subprocess on one running installation: merge, split, release, routes, exceptions.

The tests of this file share it and build on each other, in the order in which they stand here.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.installation import Up, frustrated_session, until
from tests.e2e.test_commands_operators import listed, on, refused, succeeded, used_wrongly

pytestmark = pytest.mark.long

OTHER = {"/checkout": "/account", "pay": "rename", "Pay now": "Rename", "/api/orders": "/api/names"}


def of_another_control(session: str) -> list[dict[str, Any]]:
    text = json.dumps(frustrated_session(session))
    for ours, other in OTHER.items():
        text = text.replace(f'"{ours}"', f'"{other}"')
    return list(json.loads(text))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("judgement") / "data")
    # One new incident an hour: the second one is held back from export.
    installation.start(FURROW_NEW_INCIDENTS_PER_HOUR="1")
    for n in range(3):
        installation.post_events(frustrated_session(f"pay-{n}"))
        installation.post_events(of_another_control(f"rename-{n}"))
    yield installation
    installation.kill_everything()


def incident_of(up: Up, route: str) -> dict[str, Any]:
    (found,) = listed(up, f"--route={route}")
    return found


def both_are_stored(up: Up) -> bool:
    return [one["affectedSessions"] for one in listed(up)] == [3, 3]


def test_what_is_held_back_in_a_flood_is_released(up: Up) -> None:
    until(lambda: both_are_stored(up), 120)
    until(lambda: listed(up, "--held") != [], 60)
    held = len(listed(up, "--held"))
    assert "--reason must not be empty" in used_wrongly(on(up, "incidents", "release", "--reason", " "))
    assert "there is no project 'nonsense'" in refused(
        on(up, "incidents", "release", "--reason", "x", "--project", "nonsense")
    )
    told = succeeded(on(up, "incidents", "release", "--reason", "a deploy went wrong"))
    assert f"{held} incident" in told
    assert listed(up, "--held") == []
    assert "0 incidents released" in succeeded(on(up, "incidents", "release", "--reason", "again"))


def test_two_incidents_of_one_bug_are_merged_and_split_again(up: Up) -> None:
    kept, other = incident_of(up, "/checkout")["incidentId"], incident_of(up, "/account")["incidentId"]
    merge = ("incidents", "merge", other, "--reason", "one service", "--into")
    assert "409" in refused(on(up, *merge, other))
    told = json.loads(succeeded(on(up, *merge, kept, "--json")))
    assert (told["incidentId"], told["affectedSessions"]) == (kept, 6)
    assert [one["incidentId"] for one in listed(up)] == [kept]

    split = ("incidents", "split", kept, "--reason", "two services", "--failure-point")
    message = refused(on(up, *split, "nothing of it"))
    (point,) = [one for one in message.strip().split("has: ")[1].split("; ") if "rename" in one]
    part = json.loads(succeeded(on(up, *split, point, "--json")))
    assert part["affectedSessions"] == 3
    assert sorted(one["affectedSessions"] for one in listed(up)) == [3, 3]


def test_what_routes_mean_is_decided_listed_and_forgotten(up: Up) -> None:
    assert "no rules" in succeeded(on(up, "routes", "list", "default"))
    assert "is decided: parameter" in succeeded(on(up, "routes", "set", "default", "/shop/*", "parameter"))
    (rule,) = json.loads(succeeded(on(up, "routes", "list", "default", "--json")))
    assert (rule["place"], rule["kind"], rule["decidedBy"]) == ("/shop/*", "parameter", "operator")
    assert "/shop/*" in succeeded(on(up, "routes", "list", "default"))
    assert "is no kind of place" in used_wrongly(on(up, "routes", "set", "default", "/shop/*", "nonsense"))
    assert "is forgotten" in succeeded(on(up, "routes", "forget", "default", "/shop/*"))
    assert "there is no rule" in succeeded(on(up, "routes", "forget", "default", "/shop/*"))


def test_verdicts_that_agree_propose_an_exception_that_a_person_rejects(up: Up) -> None:
    id_ = incident_of(up, "/checkout")["incidentId"]
    assert "no exceptions" in succeeded(on(up, "exceptions", "list"))
    assert "pass one of" in used_wrongly(on(up, "incidents", "verdict", id_, "pay-0"))
    for n in range(3):
        verdict = ("incidents", "verdict", id_, f"pay-{n}", "--no-frustration", "expected_refusal")
        assert "no frustration" in succeeded(on(up, *verdict))
    proposals = json.loads(succeeded(on(up, "exceptions", "list", "--json")))["proposals"]
    chosen = proposals[0]["exceptionId"]
    assert f"{chosen} proposed" in succeeded(on(up, "exceptions", "list"))
    # Nothing holds that was not replayed; the replay is the next run's.
    assert "(404) no such exception; a proposed one is replayed first" in refused(
        on(up, "exceptions", "accept", chosen, "--reason", "unseen")
    )
    assert f"{chosen} asked" in succeeded(on(up, "exceptions", "try", chosen))
    until(lambda: states(up)[chosen] == "tried", 120)
    assert "rejected" in succeeded(on(up, "exceptions", "reject", chosen, "--reason", "the 500 is a fault of ours"))
    assert "409" in refused(on(up, "exceptions", "take-back", chosen, "--reason", "it never held"))


def states(up: Up) -> dict[str, str]:
    found = json.loads(succeeded(on(up, "exceptions", "list", "--json")))["exceptions"]
    return {one["exceptionId"]: one["state"] for one in found}


def test_mask_shows_what_becomes_of_a_text(up: Up) -> None:
    printed = succeeded(on(up, "mask", "Order of jane@example.com"))
    assert "jane@example.com" not in printed
    assert "Order of" in printed
