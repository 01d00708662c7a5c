"""What a ticket's state means, and what a change of it does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from incidents.ticket_reading import (
    KnownState,
    TicketReading,
    choose_fix,
    decide_effect,
    find_meaning,
    parse_state_rules,
)
from incidents.versions import Release

MONDAY = datetime(2024, 1, 15, 10, 0, tzinfo=UTC)


def reading(category: Any, status: str = "", resolution: str = "", **changes: Any) -> TicketReading:
    return TicketReading("inc_1", "OPS-1", category, status, resolution, **changes)


@pytest.mark.parametrize(
    ("category", "status", "resolution", "meaning"),
    [
        ("open", "In Progress", "", "open"),
        ("open", "Reopened", "Fixed", "open"),
        ("done", "Done", "Done", "done"),
        ("done", "Closed", "Fixed", "done"),
        ("done", "Shipped", "", "done"),
        ("done", "Done", "Won't Do", "wontDo"),
        ("done", "Won’t Do", "Done", "wontDo"),
        ("done", "Closed", "DUPLICATE", "duplicate"),
        ("done", "Closed", "Cannot Reproduce", "unknown"),
        ("done", "Closed", "Behoben", "unknown"),
        ("canceled", "Canceled", "", "wontDo"),
        ("duplicate", "Duplicate", "", "duplicate"),
        ("unknown", "Parked", "", "unknown"),
    ],
)
def test_meanings_by_default(category: str, status: str, resolution: str, meaning: str) -> None:
    assert find_meaning(reading(category, status, resolution), {}) == meaning


def test_a_canceled_issue_that_duplicates_another_is_a_duplicate() -> None:
    assert find_meaning(reading("canceled", "Canceled", duplicate_of="ENG-1"), {}) == "duplicate"


def test_the_project_names_what_the_defaults_do_not_know_and_wins_over_them() -> None:
    rules = parse_state_rules(
        ["Behoben = done", "cannot  REPRODUCE=wontDo", "In Review = done", "nonsense", "A = fine", " = done"]
    )
    assert len(rules) == 3
    assert find_meaning(reading("done", "Zu", "Behoben"), rules) == "done"
    assert find_meaning(reading("done", "Closed", "Cannot Reproduce"), rules) == "wontDo"
    assert find_meaning(reading("open", "In Review"), rules) == "done"


def test_a_label_counts_only_if_the_project_names_it_and_after_the_resolution() -> None:
    closed = reading("done", "closed", "completed", labels=("wontfix", "Scope::Later"))
    assert find_meaning(closed, {}) == "done"
    assert find_meaning(closed, parse_state_rules(["scope::later = wontDo", "closed = done"])) == "wontDo"
    assert find_meaning(closed, parse_state_rules(["scope::later = wontDo", "completed = done"])) == "done"


def effect(before: Any, meaning: Any, status: Any, **changes: Any) -> str:
    since = changes.get("since", None if meaning == "open" else MONDAY)
    return decide_effect(KnownState(before, changes.get("known")), meaning, since, status, changes.get("came_back"))


@pytest.mark.parametrize(
    ("before", "meaning", "status", "wanted"),
    [
        (None, "open", "confirmed", "none"),
        (None, "open", "resolved", "none"),
        (None, "done", "confirmed", "resolve"),
        ("open", "done", "confirmed", "resolve"),
        ("open", "done", "regressed", "resolve"),
        ("open", "done", "resolved", "none"),
        ("open", "done", "suppressed", "none"),
        ("wontDo", "done", "suppressed", "resolve"),
        ("open", "wontDo", "confirmed", "suppress"),
        ("done", "wontDo", "resolved", "suppress"),
        ("open", "duplicate", "confirmed", "merge"),
        ("duplicate", "duplicate", "confirmed", "none"),
        ("open", "unknown", "confirmed", "none"),
        ("done", "unknown", "resolved", "none"),
        ("done", "open", "resolved", "reopen"),
        ("wontDo", "open", "suppressed", "reopen"),
        ("done", "open", "suppressed", "none"),
        ("done", "open", "regressed", "none"),
        ("open", "open", "resolved", "none"),
    ],
)
def test_what_a_change_does(before: str | None, meaning: str, status: str, wanted: str) -> None:
    assert effect(before, meaning, status) == wanted


def test_the_same_state_is_no_change_and_a_second_closing_is_one() -> None:
    assert effect("done", "done", "regressed", known=MONDAY) == "none"
    assert effect("done", "done", "regressed", known=MONDAY, since=MONDAY + timedelta(hours=1)) == "resolve"


def test_a_ticket_that_was_closed_before_the_incident_came_back_says_nothing_of_it() -> None:
    assert effect("open", "done", "regressed", came_back=MONDAY + timedelta(minutes=1)) == "none"
    assert effect("open", "done", "regressed", came_back=MONDAY - timedelta(minutes=1)) == "resolve"


@pytest.mark.parametrize(
    ("versions", "shown_in", "wanted"),
    [
        (["2.6.1", "2.5"], ["2.4.0"], "2.5"),
        (["2.6.1", "2.5"], ["2.4.0", "2.6.0"], "2.6.1"),  # it came back in 2.6.0
        (["2.4.1", "2.5.1"], ["2.4.0", "2.5.0"], "2.5.1"),  # the hotfix of a branch, and that of the other one
        (["2.5"], ["2.6.0", "nightly", ""], "2.5"),
        (["2.4", "2.5"], ["2.6.0"], "2.5"),
        (["Big bang"], ["2.6.0"], ""),
    ],
)
def test_of_several_fix_versions_the_oldest_that_did_not_show_it_counts(
    versions: list[str], shown_in: list[str], wanted: str
) -> None:
    assert choose_fix(versions, [Release("2.4.0"), Release("2.6.0")], shown_in).version == wanted
