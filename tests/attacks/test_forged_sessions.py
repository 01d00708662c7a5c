"""One forged session beside a real incident, and late events of a stranger in somebody's session."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.attacks.senders import Event, Site, frustrated, success

pytestmark = pytest.mark.long

STRANGER = "127.0.0.99"
START = datetime.now(UTC) - timedelta(minutes=3)


def real_problem(public: Site) -> dict[str, Any]:
    """Three visitors meet the problem; the incident that comes of it."""
    for number in range(3):
        public.send(frustrated(f"visitor-{number}", "orders", START), f"127.0.0.{11 + number}")
    public.work()
    incident = public.incidents()["orders"]
    assert incident["status"] == "confirmed"
    return incident


def whole(public: Site) -> dict[str, Any]:
    found = public.store.incidents.read_incident(public.incidents()["orders"]["incidentId"])
    assert found is not None
    return found


@pytest.mark.parametrize("sessions", [1, 20])
def test_a_forged_session_changes_neither_title_nor_label_nor_the_first_example(public: Site, sessions: int) -> None:
    before = real_problem(public)
    for number in range(sessions):
        # More clicks make a higher score than any visitor's.
        forged = frustrated(f"forged-{number}", "orders", label="Free money, call us", tries=12)
        public.send(forged, STRANGER)
    public.work()
    after = whole(public)
    assert after["affectedSessions"] == 3 + sessions
    assert after["label"] == before["label"] == "Pay now"
    assert 'on "Pay now"' in after["title"]
    examples = after["examples"]
    assert examples[0]["sessionId"].startswith("visitor-")
    assert [one["context"]["label"] for one in examples[:3]] == ["Pay now"] * 3
    assert {one["sessionId"] for one in examples[:3]} == {"visitor-0", "visitor-1", "visitor-2"}
    assert after["explanation"] == examples[0]["explanation"]


def test_a_score_that_nobody_else_reaches_is_no_first_example(public: Site) -> None:
    real_problem(public)
    public.send(frustrated("forged", "orders", tries=12), STRANGER)  # the same label, a story of its own
    public.work()
    examples = whole(public)["examples"]
    assert examples[0]["sessionId"] != "forged"
    assert len({one["sessionId"] for one in examples}) == 4


def test_one_source_does_not_bring_a_fixed_incident_back(public: Site) -> None:
    incident = real_problem(public)
    public.store.ledger.apply_action(incident["incidentId"], "resolve", "deployed", "eve")
    soon = datetime.now(UTC) + timedelta(seconds=1)
    for number in range(5):
        public.send(frustrated(f"forged-{number}", "orders", soon, user=f"user-{number}"), STRANGER)
    public.work()
    assert public.incidents()["orders"]["status"] == "resolved"
    public.send(frustrated("visitor-later", "orders", soon), "127.0.0.12")
    public.work()
    assert public.incidents()["orders"]["status"] == "regressed"


def test_times_in_the_future_do_not_bring_back_what_is_fixed_later(public: Site) -> None:
    later = datetime.now(UTC) + timedelta(minutes=30)
    for number in range(4):
        public.send(frustrated(f"future-{number}", "orders", later), f"127.0.0.{20 + number}")
    public.work()
    incident = public.incidents()["orders"]
    public.store.ledger.apply_action(incident["incidentId"], "resolve", "deployed", "eve")
    public.send(frustrated("straggler", "orders"), "127.0.0.30")
    public.work()
    assert public.incidents()["orders"]["status"] == "resolved"


def late(public: Site, session: str, address: str) -> None:
    """Events that would take the frustration back arrive after the session was analysed."""
    public.send(success(session, "orders", START + timedelta(seconds=4)), address)
    public.work()


def test_late_events_of_a_stranger_mark_a_detection_and_do_not_retract_it(public: Site) -> None:
    real_problem(public)
    late(public, "visitor-1", STRANGER)
    after = whole(public)
    assert (after["status"], after["affectedSessions"]) == ("confirmed", 3)
    assert "not all from its first source" in after["history"][-1]["reason"]
    late(public, "visitor-1", STRANGER)  # told once
    assert whole(public)["history"] == after["history"]
    # The visitor's own late events do not help the stranger's to take effect.
    late(public, "visitor-1", "127.0.0.12")
    assert whole(public)["affectedSessions"] == 3


def test_late_events_of_the_same_source_retract_a_detection(public: Site) -> None:
    real_problem(public)
    late(public, "visitor-1", "127.0.0.12")
    after = whole(public)
    assert after["affectedSessions"] == 2
    assert after["history"][-1]["reason"] == "1 detection retracted after late events"


def test_what_a_stranger_adds_to_known_sessions_counts_as_the_strangers(public: Site) -> None:
    real_problem(public)
    for number in range(3):
        events: list[Event] = frustrated(f"visitor-{number}", "slander", START + timedelta(minutes=1))
        public.send(events, STRANGER)
    public.work()
    assert public.incidents()["slander"]["status"] == "draft"
