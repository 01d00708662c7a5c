"""An incident that was fixed in a version: old clients keep silent, and only sessions with the fix make it come back."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from incidents.fixes import Fix
from incidents.lifecycle import IllegalTransition
from stores.incidents.incident_store import IncidentStore, NotFound, RecordResult, SessionOrigin
from tests.integration.incident_store_cases import MONDAY, detection, history, incident, incident_id, record

DAY = timedelta(days=1)


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


def show(
    store: IncidentStore,
    names: str,
    version: str,
    at: datetime,
    environment: str = "production",
    origins: dict[str, SessionOrigin] | None = None,
) -> RecordResult:
    """The sessions of ``names`` (one letter each) show the incident with this version."""
    context = {"userHash": "", "environment": environment, "appVersion": version, "label": "Pay now"}
    found = [
        detection(f"{name}-{version}-{at:%d%H}", at=at + timedelta(minutes=number), context=context)
        for number, name in enumerate(names)
    ]
    return record(store, *found, origins={f"{n}-{version}-{at:%d%H}": origin for n, origin in (origins or {}).items()})


def resolve(store: IncidentStore, fix: Fix, at: datetime) -> None:
    store.ledger.apply_action(incident_id(), "resolve", "merged", "eve", at=at, fix=fix)


def test_two_weeks_of_a_bug(store: IncidentStore) -> None:
    # A bug in 2.4.0, its fix in 2.5.
    assert show(store, "abc", "2.4.0", MONDAY).confirmed == (incident_id(),)
    resolve(store, Fix("2.5"), MONDAY + 2 * DAY)
    found = incident(store)
    assert (found["status"], found["fixVersion"], found["fixEnvironment"]) == ("resolved", "2.5", None)
    assert history(store, incident_id())[-1] == ("confirmed", "resolved", "fixed in 2.5: merged")
    # Old clients, and a hotfix of the old branch, which was released after the fix.
    for day, version in ((3, "2.4.0"), (4, "v2.3.9"), (5, "2.4.1"), (6, "2.4.1"), (7, "2.5.0-rc.1"), (8, "")):
        assert show(store, "abcdef", version, MONDAY + day * DAY).regressed == ()
    found = incident(store)
    assert (found["status"], found["affectedSessions"]) == ("resolved", 39)
    # Of 2.6, one source alone is not enough.
    alone = dict.fromkeys("abc", SessionOrigin((1 << 62) + 7, (1 << 62) + 8))
    assert show(store, "abc", "2.6", MONDAY + 9 * DAY, origins=alone).regressed == ()
    assert show(store, "d", "2.6", MONDAY + 10 * DAY).regressed == (incident_id(),)
    assert history(store, incident_id())[-1] == (
        "resolved",
        "regressed",
        "came back in 2.6: 4 sessions of 2 sources since 2024-01-17 10:00 UTC, fixed in 2.5; "
        "3 sessions within 7 days (the rule asks for 3)",
    )
    # Archived stays archived, whatever version shows it.
    store.ledger.apply_action(incident_id(), "suppress", "the page is gone", "eve")
    assert show(store, "abcdef", "3.0", MONDAY + 12 * DAY).regressed == ()
    assert incident(store)["status"] == "suppressed"


def test_a_fix_of_one_environment_is_shown_not_to_hold_there_alone(store: IncidentStore) -> None:
    show(store, "abc", "2.4.0", MONDAY)
    resolve(store, Fix("2.5.0", "staging"), MONDAY + DAY)
    assert show(store, "abc", "2.5.0", MONDAY + 2 * DAY, "production").regressed == ()
    assert show(store, "abc", "2.5.0", MONDAY + 3 * DAY, "").regressed == ()
    assert show(store, "abc", "2.5.0+7", MONDAY + 4 * DAY, "staging").regressed == (incident_id(),)
    assert "came back in 2.5.0+7: " in history(store, incident_id())[-1][2]
    assert "fixed in 2.5.0 (staging);" in history(store, incident_id())[-1][2]


def test_builds_without_numbers_are_ordered_by_the_time_at_which_they_were_first_seen(store: IncidentStore) -> None:
    show(store, "abc", "deadbee", MONDAY)
    resolve(store, Fix("c0ffee1"), MONDAY + DAY)
    # Nobody has seen the fix yet: the order is unknown.
    assert show(store, "abc", "facade2", MONDAY + 2 * DAY).regressed == ()
    assert show(store, "a", "c0ffee1", MONDAY + 3 * DAY).regressed == ()
    assert show(store, "def", "facade2", MONDAY + 4 * DAY).regressed == ()
    assert show(store, "def", "deadbee", MONDAY + 4 * DAY).regressed == ()
    # In another environment nobody has seen the fix.
    assert show(store, "ghi", "badcab3", MONDAY + 5 * DAY, "staging").regressed == ()
    assert show(store, "ab", "badcab3", MONDAY + 5 * DAY).regressed == (incident_id(),)
    assert "came back in badcab3, c0ffee1: 3 sessions of 3 sources" in history(store, incident_id())[-1][2]


def test_without_a_version_of_the_fix_any_session_shows_it_again(store: IncidentStore) -> None:
    show(store, "abc", "2.4.0", MONDAY)
    store.ledger.apply_action(incident_id(), "resolve", "deployed", "eve", at=MONDAY + DAY)
    assert show(store, "abc", "1.0", MONDAY + 2 * DAY).regressed == (incident_id(),)
    assert history(store, incident_id())[-1][2] == (
        "came back: 3 sessions within 7 days (the rule asks for 3), started after the fix of 2024-01-16 10:00 UTC"
    )


def test_the_version_of_a_fix_may_be_told_later_and_goes_with_the_fix(store: IncidentStore) -> None:
    show(store, "abc", "2.4.0", MONDAY)
    with pytest.raises(IllegalTransition):
        store.ledger.set_fix(incident_id(), Fix("2.5"), "Jira says so", "jira")
    store.ledger.apply_action(incident_id(), "resolve", "deployed", "eve", at=MONDAY + DAY)
    assert store.ledger.set_fix(incident_id(), Fix("2.5"), "Jira says so", "jira")
    assert not store.ledger.set_fix(incident_id(), Fix("2.5"), "Jira says so", "jira")
    with pytest.raises(NotFound):
        store.ledger.set_fix(incident_id(), Fix("2.6"), "", "jira", "other")
    assert history(store, incident_id())[-1] == ("resolved", "resolved", "fixed in 2.5: Jira says so")
    assert show(store, "abc", "2.4.0", MONDAY + 2 * DAY).regressed == ()
    store.ledger.apply_action(incident_id(), "reopen", "not fixed", "eve")
    assert incident(store)["fixVersion"] is None
