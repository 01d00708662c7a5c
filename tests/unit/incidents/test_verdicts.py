"""What verdicts have in common, and which exceptions follow from them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from incidents.verdicts import (
    Verdict,
    count_common,
    propose_exemptions,
    settle_sessions,
    split_answer,
)

MONDAY = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)


def verdict(session: str = "s1", actor: str = "Ann", reason: str = "expected_refusal", **changes: Any) -> Verdict:
    values: dict[str, Any] = {
        "project": "shop",
        "incident_id": "inc_1",
        "session_id": session,
        "actor": actor,
        "detection_id": f"d-{session}",
        "frustrated": reason == "",
        "reason": reason,
        "note": "",
        "route": "/cart",
        "target": "button#add",
        "feedback": "POST /api/cart → 409",
        "signals": ("rage", "feedback"),
        "rules": ("a request was rejected",),
        "environment": "production",
        "app_version": "2.4.1",
        "user_hash": f"u-{session}",
        "engine_version": "6",
        "config_hash": "",
        "decided_at": MONDAY,
    }
    return Verdict(**{**values, **changes})


def several(number: int, **changes: Any) -> list[Verdict]:
    return [verdict(f"s{n}", **changes) for n in range(number)]


def proposed(verdicts: list[Verdict], shares: Any = None) -> list[tuple[str, int]]:
    found = propose_exemptions(settle_sessions(verdicts)[0], shares or {})
    return [(one.exemption.describe(), one.sessions) for one in found]


def test_three_sessions_that_agree_propose_an_exception() -> None:
    assert proposed(several(2)) == []
    assert proposed(several(3)) == [("POST /api/cart → 409 is no failure", 3)]


def test_three_people_about_one_session_are_one_session() -> None:
    assert proposed([verdict("s1", actor) for actor in ("Ann", "Bob", "Cem")]) == []


def test_a_disputed_session_counts_for_nothing() -> None:
    settled, disputed = settle_sessions([*several(3), verdict("s0", "Bob", "")])
    assert (len(settled), disputed) == (2, 1)
    assert propose_exemptions(settled, {}) == []


def test_a_session_with_frustration_at_the_same_answer_contradicts() -> None:
    assert proposed([*several(5), verdict("other", reason="")]) == []
    elsewhere = verdict("other", reason="", feedback="POST /api/cart → 500")
    assert proposed([*several(5), elsewhere]) == [("POST /api/cart → 409 is no failure", 5)]


def test_an_answer_is_proposed_over_all_controls_and_incidents() -> None:
    spread = [verdict(f"s{n}", incident_id=f"inc_{n}", target=f"button#{n}", route=f"/{n}") for n in range(3)]
    assert proposed(spread) == [("POST /api/cart → 409 is no failure", 3)]


def test_projects_are_apart() -> None:
    assert proposed([verdict(f"s{n}", project=f"p{n}") for n in range(3)]) == []


def test_each_reason_proposes_its_own_kind() -> None:
    slow = several(3, reason="known_slow", feedback="GET /api/report → slow")
    assert proposed(slow) == [("GET /api/report may take 30 s", 3)]
    still = several(3, reason="decorative_control", feedback="never answered")
    assert proposed(still) == [("clicks on button#add (/cart) are no rage and need no answer", 3)]
    assert proposed(several(9, reason="other")) == []
    assert proposed(several(3, reason="known_slow")) == []  # nothing was slow
    assert proposed(several(3, feedback="uncaught error")) == []
    assert proposed(several(3, feedback="POST /api/cart → no answer")) == []


def test_test_traffic_is_an_environment_a_version_or_a_user() -> None:
    tests = several(3, reason="test_traffic", environment="staging", app_version="", user_hash="robot")
    assert proposed(tests) == [("the environment staging is test traffic", 3), ("the user robot is test traffic", 3)]


def test_what_most_users_have_is_no_test_traffic() -> None:
    tests = several(3, reason="test_traffic")
    shares = {("shop", "environment", "production"): 0.97, ("shop", "app_version", "2.4.1"): 0.1}
    assert proposed(tests, shares) == [("the version 2.4.1 is test traffic", 3)]


def test_hostile_texts_propose_nothing() -> None:
    assert proposed(several(3, feedback="POST /x\n\x00 → 409")) == []
    assert proposed(several(3, feedback="POST /" + "x" * 900 + " → 409")) == []


def test_what_is_common_is_counted_by_session() -> None:
    some = [verdict("s1"), verdict("s1", "Bob"), verdict("s2", target="a#other"), verdict("s3", reason="")]
    common = count_common(settle_sessions(some)[0])
    assert common["answer"] == [("POST /api/cart → 409", 2)]
    assert common["signal"] == [("feedback", 2), ("rage", 2)]
    assert "control" not in common  # two controls, once each


def test_the_newest_verdict_of_those_that_agree_speaks() -> None:
    later = verdict("s1", "Bob", "other", decided_at=MONDAY + timedelta(hours=1))
    assert [one.reason for one in settle_sessions([verdict("s1"), later])[0]] == ["other"]


@pytest.mark.parametrize(
    ("feedback", "parts"),
    [
        ("POST /api/cart → 409", ("POST /api/cart", "409")),
        ("/api/cart → slow", ("/api/cart", "slow")),
        ("GET /a → b → 500", ("GET /a → b", "500")),
        ("page load → slow", ("", "")),
        ("TypeError: x → 500", ("", "")),
        ("POST /api/cart → an error in the body", ("", "")),
        ("never answered", ("", "")),
    ],
)
def test_an_answer_is_split(feedback: str, parts: tuple[str, str]) -> None:
    assert split_answer(feedback) == parts
