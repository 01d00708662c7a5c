"""Owners in tickets: who is the assignee, in which team the issue is, and what happens while the file of owners is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.metrics import DEGRADED
from tests.fakes.jira import FakeJira, is_create
from tests.fakes.linear import FakeLinear
from tests.integration.incident_store_cases import incident_id
from tests.integration.test_export import (  # noqa: F401  # fixtures
    confirmed,
    installation,
    jira,
    linear,
    run,
    setting,
    store,
)

RULES = """
@payments = jira:712020:pay linear-user:user-ada
@web = jira:712020:web linear-team:WEB
ben = jira:x
ben@example.com = jira:712020:ben
endpoint:/api/orders @payments anna@example.com
* @web
"""


@pytest.fixture
def owners(tmp_path: Path, setting: Any) -> Path:  # noqa: F811
    path = tmp_path / "OWNERS"
    path.write_text(RULES)
    setting(owners_file=str(path))
    return path


def test_the_owner_by_rule_is_assignee_and_stands_in_the_text(
    jira: FakeJira,  # noqa: F811
    linear: FakeLinear,  # noqa: F811
    owners: Path,
) -> None:
    jira.add_field("assignee", "Assignee", "user")
    confirmed("pay")
    state = run()
    assert state.name == "Completed", state.message
    (issue,), (other,) = jira.issues.values(), linear.issues.values()
    assert issue["fields"]["assignee"] == {"accountId": "712020:pay"}
    assert other["assigneeId"] == "user-ada"
    for text in (
        json.dumps(issue["fields"]["description"], ensure_ascii=False),
        other["description"].replace("\\", ""),
    ):
        plain = text.replace("\u2060", "")
        assert "Owner: @payments, anna@example.com (line 6: endpoint:/api/orders)." in plain


def test_a_persons_assignment_wins_and_a_rule_may_choose_the_team(
    jira: FakeJira,  # noqa: F811
    linear: FakeLinear,  # noqa: F811
    owners: Path,
) -> None:
    jira.add_field("assignee", "Assignee", "user")
    confirmed("pay")
    store().ledger.assign_incident(incident_id(), "web", "theirs", "on call")
    state = run()
    assert state.name == "Completed", state.message
    (issue,), (other,) = jira.issues.values(), linear.issues.values()
    assert issue["fields"]["assignee"] == {"accountId": "712020:web"}
    (team,) = [team for team in linear.teams if team["key"] == "WEB"]
    assert other["teamId"] == team["id"]
    assert "assigned by on call" in other["description"]


def test_an_owner_without_an_account_is_named_and_nobody_is_assigned(jira: FakeJira, owners: Path) -> None:  # noqa: F811
    owners.write_text("* @nobody-knows")
    confirmed("pay")
    assert run().name == "Completed"
    (issue,) = jira.issues.values()
    assert "assignee" not in issue["fields"]


def test_a_wrong_account_waits_until_the_file_is_right(linear: FakeLinear, owners: Path) -> None:  # noqa: F811
    owners.write_text("@web = linear-user:user-gone\n* @web")
    confirmed("pay")
    for _ in range(2):
        state = run()
        assert state.name == "Degraded"
        assert "nobody of the team has this e-mail address, name or id (FURROW_OWNERS_FILE)" in str(state.message)
    assert not linear.issues
    owners.write_text("@web = linear-user:user-ada\n* @web")
    state = run()
    assert state.name == "Completed", state.message
    assert [issue["assigneeId"] for issue in linear.issues.values()] == ["user-ada"]


def test_a_file_that_was_never_read_files_nothing_and_loses_nothing(jira: FakeJira, owners: Path) -> None:  # noqa: F811
    owners.unlink()
    confirmed("pay")
    before = DEGRADED.labels("owners", "unreadable_file")._value.get()
    state = run()
    assert state.name == "Degraded"
    assert "FURROW_OWNERS_FILE" in str(state.message)
    assert not [request for request in jira.requests if is_create(request)]
    assert DEGRADED.labels("owners", "unreadable_file")._value.get() > before
    owners.write_text("* @web")
    state = run()
    assert state.name == "Completed", state.message
    assert len(jira.issues) == 1
