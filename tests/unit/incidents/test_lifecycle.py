"""The statuses of an incident and the rules that move it, without a database."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents import lifecycle
from incidents.lifecycle import (
    Action,
    ConfirmRule,
    Evidence,
    IllegalTransition,
    Impact,
    IncidentState,
    OpenDraft,
    Sighting,
    Status,
    apply_action,
    apply_rules,
    classify_impact,
    find_confirm_reason,
    format_incident_title,
    judge_open_draft,
    list_allowed_actions,
    look_up_priority,
    look_up_severity,
)

MONDAY = datetime(2024, 1, 15, 10, 0, tzinfo=UTC)
RULE = ConfirmRule()
ACTIONS = get_args(Action)
STATUSES = get_args(Status)

sightings_ = st.lists(
    st.builds(
        Sighting,
        st.integers(0, 40).map(lambda hours: MONDAY + timedelta(hours=12 * hours)),
        st.sampled_from("abcdef"),
        st.sampled_from(["", "u1", "u2", "u3"]),
        st.integers(0, 4),
    ),
    max_size=12,
)
rules_ = st.builds(
    ConfirmRule, st.integers(1, 5), st.integers(1, 4), st.sampled_from([0.5, 1.0, 7.0]), st.integers(1, 3)
)


def sighted(number: int, source: int | None = None, user: str = "", days: float = 0) -> Sighting:
    """Session ``number``, of a source of its own unless another one is named."""
    return Sighting(MONDAY + timedelta(days=days), f"s{number}", user, 100 + number if source is None else source)


def do(state: IncidentState, action: Action, **options: object) -> IncidentState:
    return apply_action(state, action, "because", "eve", now=MONDAY, **options)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(("status", "action"), list(product(STATUSES, ACTIONS)))
def test_every_status_and_action_is_either_in_the_table_or_refused(status: Status, action: Action) -> None:
    if action in list_allowed_actions(status):
        state, change = apply_action(IncidentState(status), action, "because", "eve", now=MONDAY)
        assert (change.actor, change.before, change.after, change.reason) == ("eve", status, state.status, "because")
        assert state.status != status
    else:
        with pytest.raises(IllegalTransition, match=f"{status} cannot {action}"):
            do(IncidentState(status), action)


def test_the_statuses_of_the_design() -> None:
    assert {status: set(list_allowed_actions(status)) for status in STATUSES} == {
        "draft": {"confirm", "suppress"},
        "confirmed": {"resolve", "suppress"},
        "resolved": {"reopen", "suppress"},
        "regressed": {"resolve", "suppress"},
        "suppressed": {"reopen"},
    }


def test_resolved_remembers_the_fix_and_regresses_by_later_sessions_of_several_sources() -> None:
    resolved = do(IncidentState("confirmed"), "resolve")
    assert resolved.resolved_at == MONDAY
    before = [sighted(number) for number in range(9)]
    assert apply_rules(resolved, Evidence(sessions=9, sightings=before), RULE) == (resolved, [])
    two = [sighted(number) for number in range(2)]
    assert apply_rules(resolved, Evidence(sessions=9, since_fix=two), RULE) == (resolved, [])
    forged = [sighted(number, source=1, user=f"u{number}") for number in range(9)]
    assert apply_rules(resolved, Evidence(sessions=9, since_fix=forged), RULE) == (resolved, [])
    regressed, changes = apply_rules(resolved, Evidence(sessions=9, since_fix=[*two, sighted(2)]), RULE)
    assert (regressed.status, regressed.generation) == ("regressed", 1)
    assert [change.reason for change in changes] == [
        "came back: 3 sessions within 7 days (the rule asks for 3), started after the fix of 2024-01-15 10:00 UTC"
    ]


def test_reopening_takes_the_fix_back_and_is_told_again() -> None:
    reopened = do(do(IncidentState("confirmed"), "resolve"), "reopen")
    assert (reopened.status, reopened.resolved_at, reopened.generation) == ("confirmed", None, 1)


def test_reopening_a_suppressed_incident_means_that_a_person_trusts_it() -> None:
    assert do(do(IncidentState(), "suppress", until=MONDAY), "reopen") == IncidentState("confirmed")


@pytest.mark.parametrize("before", ["draft", "confirmed", "resolved", "regressed"])
def test_the_end_of_a_suppression_brings_back_what_was_before(before: Status) -> None:
    suppressed = do(IncidentState(before), "suppress", sessions=4, more_sessions=3)
    assert apply_rules(suppressed, Evidence(sessions=6), RULE) == (suppressed, [])
    back, _ = apply_rules(suppressed, Evidence(sessions=7), RULE)
    assert back == IncidentState(before)


def test_a_suppression_without_an_end_stays() -> None:
    suppressed = do(IncidentState("confirmed"), "suppress")
    crowd = [sighted(number, user=f"u{number}") for number in range(99)]
    assert apply_rules(suppressed, Evidence(9_999, crowd, crowd, crowd), RULE) == (suppressed, [])


def test_one_call_follows_the_rules_to_the_end() -> None:
    suppressed = do(do(IncidentState("confirmed"), "resolve"), "suppress", until=MONDAY)
    three = [sighted(number) for number in range(3)]
    state, changes = apply_rules(suppressed, Evidence(5, since_fix=three, since_until=three), RULE)
    assert [change.after for change in changes] == ["resolved", "regressed"]
    assert state.status == "regressed"


def test_confirmed_says_why_with_figures() -> None:
    three = [sighted(number, days=number) for number in range(3)]
    assert find_confirm_reason(RULE, three) == "3 sessions within 7 days (the rule asks for 3)"
    two = [sighted(1, user="u1"), sighted(2, user="u2")]
    assert find_confirm_reason(RULE, two) == "2 users within 7 days (the rule asks for 2)"


def test_of_one_source_so_many_sessions_count() -> None:
    office = [sighted(number, source=7) for number in range(50)]
    assert find_confirm_reason(RULE, office) == ""
    assert find_confirm_reason(RULE, [*office, sighted(99)]) == "3 sessions within 7 days (the rule asks for 3)"
    assert find_confirm_reason(ConfirmRule(per_source=3), office) != ""
    unknown = [sighted(number, source=0) for number in range(50)]
    assert find_confirm_reason(RULE, unknown) == ""


def test_users_that_one_source_claims_are_one() -> None:
    claimed = [sighted(number, source=7, user=f"u{number}") for number in range(9)]
    assert find_confirm_reason(RULE, claimed) == ""
    # A second source that names nobody says nothing about users.
    assert find_confirm_reason(RULE, [*claimed[:1], sighted(99)]) == ""


def test_of_one_source_no_fewer_count_when_more_are_seen_at_other_times() -> None:
    scattered = [sighted(number, source=7, days=number * 5) for number in range(9)]
    assert find_confirm_reason(RULE, scattered) == ""
    assert (
        find_confirm_reason(RULE, [*scattered, sighted(99, days=2)]) == "3 sessions within 7 days (the rule asks for 3)"
    )


@given(rules_, sightings_)
def test_the_confirm_rule_equals_looking_at_every_window(rule: ConfirmRule, sightings: list[Sighting]) -> None:
    width = timedelta(days=rule.window_days)
    windows = [[other for other in sightings if end.at - width <= other.at <= end.at] for end in sightings]
    expected = False
    for window in windows:
        sources = {seen.source for seen in window}
        sessions = [len({seen.session for seen in window if seen.source == source}) for source in sources]
        named = [seen for seen in window if seen.user]
        users = min(len({seen.user for seen in named}), len({seen.source for seen in named}))
        counted = sum(min(number, rule.per_source) for number in sessions)
        expected |= counted >= rule.min_sessions or users >= rule.min_users
    assert bool(find_confirm_reason(rule, sightings)) == expected
    assert find_confirm_reason(rule, sightings) == find_confirm_reason(rule, sightings[::-1])


@given(rules_, sightings_, sightings_)
def test_more_sessions_never_take_the_trust_away(rule: ConfirmRule, some: list[Sighting], more: list[Sighting]) -> None:
    if find_confirm_reason(rule, some):
        assert find_confirm_reason(rule, some + more)


@given(st.integers(1, 1_000), st.integers(0, 1_000))
def test_severity_grows_with_sessions_and_with_impact(sessions: int, more: int) -> None:
    order = ["Low", "Medium", "High", "Critical"]
    rank = {impact: order.index(look_up_severity(impact, sessions)) for impact in get_args(Impact)}
    assert rank["ended"] >= rank["open"] >= rank["overcome"]
    for impact in get_args(Impact):
        assert order.index(look_up_severity(impact, sessions + more)) >= rank[impact]


@pytest.mark.parametrize(
    ("impact", "sessions", "severity"),
    [
        ("ended", 50, "Critical"),
        ("ended", 49, "High"),
        ("ended", 5, "High"),
        ("ended", 4, "Medium"),
        ("open", 200, "Critical"),
        ("open", 9, "Low"),
        ("overcome", 99, "Low"),
        ("overcome", 100, "Medium"),
    ],
)
def test_severity_at_the_edges(impact: Impact, sessions: int, severity: str) -> None:
    assert look_up_severity(impact, sessions) == severity


def test_impact_is_that_of_at_least_half_of_the_sessions() -> None:
    assert classify_impact(10, 5, 5) == "ended"
    assert classify_impact(10, 4, 5) == "overcome"
    assert classify_impact(10, 4, 4) == "open"


def test_priority_covers_p0_to_p4_and_follows_confidence() -> None:
    found = {look_up_priority(severity, confidence) for severity in lifecycle.PRIORITIES for confidence in (0.8, 0.95)}
    assert found == {"P0", "P1", "P2", "P3", "P4"}
    assert (look_up_priority("Critical", 0.9), look_up_priority("Critical", 0.89)) == ("P0", "P1")


def test_the_title_says_what_fails_where_and_for_how_many() -> None:
    shown = format_incident_title("POST /api/orders → 500", "button#pay", "Pay now", "/checkout", 37, "ended")
    assert shown == 'POST /api/orders → 500 on "Pay now" (/checkout): 37 sessions blocked'
    assert format_incident_title("TypeError: x", "a#b", "", "", 1, "open") == "TypeError: x on a#b: 1 session affected"
    assert len(format_incident_title("", "", "x" * 500, "", 2, "overcome")) < 120


def judged(draft: OpenDraft, status: Status = "draft", **counts: int | bool) -> tuple[OpenDraft, list[str]]:
    """What becomes of a draft, and the reasons in its history; by default nothing shows it."""
    facts = {"complete": False, "sessions": 0, "counted": 0, **counts}
    after, changes = judge_open_draft(
        draft, status, RULE, complete=bool(facts["complete"]), sessions=facts["sessions"], counted=facts["counted"]
    )
    assert all(change.before == change.after == status for change in changes)
    return after, [change.reason for change in changes]


OPENED = OpenDraft(only_open=True, opened=True)
WITHDRAWN = OpenDraft(only_open=True, withdrawn=True)


@pytest.mark.parametrize(
    ("draft", "counts", "after", "reasons"),
    [
        (OpenDraft(only_open=True), {"sessions": 3, "counted": 3}, OPENED, []),
        (OPENED, {"sessions": 1, "counted": 1}, OPENED, []),
        (OPENED, {}, WITHDRAWN, ["withdrawn: no session shows it any more"]),
        (WITHDRAWN, {}, WITHDRAWN, []),
        (WITHDRAWN, {"sessions": 9, "counted": 2}, WITHDRAWN, []),
        (WITHDRAWN, {"sessions": 4, "counted": 3}, OPENED, ["no longer withdrawn: 4 open sessions show it"]),
        (WITHDRAWN, {"complete": True}, OpenDraft(), ["no longer withdrawn: a complete session shows it"]),
        (OPENED, {"complete": True, "sessions": 2, "counted": 2}, OpenDraft(opened=True), []),
        (OpenDraft(opened=True), {}, OpenDraft(opened=True), []),  # complete sessions showed it: as ever
        (OpenDraft(), {"sessions": 2, "counted": 2}, OpenDraft(), []),
    ],
)
def test_what_open_sessions_make_of_a_draft(
    draft: OpenDraft, counts: dict[str, int | bool], after: OpenDraft, reasons: list[str]
) -> None:
    assert judged(draft, **counts) == (after, reasons)
    assert judged(after, **counts) == (after, [])  # the same again changes nothing


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "draft"])
def test_what_a_person_decided_about_is_never_withdrawn(status: Status) -> None:
    after, reasons = judged(OPENED, status)
    assert (after.withdrawn, reasons) == (False, [])
    assert judged(OpenDraft(only_open=True), status, sessions=9, counted=9)[0].opened is False


def test_no_open_sessions_draft_where_they_are_switched_off() -> None:
    rule = ConfirmRule(open_sessions=0)
    after, _ = judge_open_draft(OpenDraft(), "draft", rule, complete=False, sessions=9, counted=9)
    assert not after.opened


def test_a_title_says_that_its_sessions_go_on() -> None:
    assert format_incident_title("POST /a → 500", "", "Pay", "/c", 3, "open", still_open=True) == (
        'POST /a → 500 on "Pay" (/c): 3 open sessions affected'
    )
