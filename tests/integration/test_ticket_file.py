"""FURROW_TICKET_FIELDS in the export as Prefect runs it: what it fills, and what happens while it is wrong."""

import logging
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.metrics import DEGRADED
from core.settings import Settings
from flows.export import export
from furrow.doctor.configuration import ask_tracker
from tests.fakes.jira import FakeJira, is_create
from tests.fakes.linear import FakeLinear
from tests.integration.test_export import (  # noqa: F401  # fixtures
    artifact,
    confirmed,
    installation,
    jira,
    linear,
    run,
    setting,
    ticket_of,
)


@pytest.fixture
def ticket_file(tmp_path: Path, setting: Any) -> Any:  # noqa: F811
    """Write the file of fields, and let the settings name it."""
    path = tmp_path / "tickets.toml"

    def write(text: str) -> None:
        path.write_text(text)
        setting(ticket_fields=str(path))

    return write


def count_account_reads(jira: FakeJira) -> int:  # noqa: F811
    """How many times the account was read, as a check of the whole file does first."""
    return sum(request.path.endswith("/myself") for request in jira.requests)


def degraded(tracker: str) -> float:
    return float(DEGRADED.labels("ticket_template", tracker)._value.get())


def test_fields_and_texts_of_the_file_reach_both_trackers(
    jira: FakeJira,  # noqa: F811
    linear: FakeLinear,  # noqa: F811
    ticket_file: Any,
) -> None:
    jira.add_field("customfield_4", "Impact", "option", "select", required=True, options=["High", "Low"])
    ticket_file("""
[jira]
title = "{{ failure }} hits {{ sessions }}"
fields = { Impact = "Low" }
[[jira.rules]]
when = { application = "shop" }
fields = { Impact = "High" }
[linear]
body = "Look at {{ incident }}."
fields = { assignee = "ada" }
""")
    confirmed("pay")
    state = run()
    assert state.name == "Completed", state.message
    (issue,), (other,) = jira.issues.values(), linear.issues.values()
    assert issue["fields"]["customfield_4"] == {"id": "100"}
    assert issue["fields"]["summary"].endswith(" hits 1")
    assert other["assigneeId"] == "user-ada"
    assert other["description"].startswith("Look at inc")


def test_a_wrong_field_keeps_the_run_degraded_until_the_file_is_right(jira: FakeJira, ticket_file: Any) -> None:  # noqa: F811
    jira.add_field("customfield_4", "Impact", "option", "select", options=["High", "Low"])
    ticket_file('jira.fields = { Impact = "Huge" }')
    confirmed("pay", "search")
    for _ in range(2):
        state = run()
        assert state.name == "Degraded"
        assert "the field 'Impact' does not allow 'Huge'; it allows High, Low" in str(state.message)
    assert not [request for request in jira.requests if is_create(request)]
    ticket_file('jira.fields = { Impact = "Low" }')
    state = run()
    assert state.name == "Completed", state.message
    assert len(jira.issues) == 2


def test_the_whole_file_is_checked_once_before_the_first_ticket(
    jira: FakeJira,  # noqa: F811
    ticket_file: Any,
) -> None:
    jira.add_field("customfield_4", "Impact", "option", "select", options=["High", "Low"])
    rule = """
[jira]
fields = {{ Impact = "Low" }}
[[jira.rules]]
when = {{ application = "no ticket of this application waits" }}
fields = {{ Impact = "{impact}" }}
"""
    ticket_file(rule.format(impact="Huge"))
    confirmed("pay")
    for number in range(3):
        state = run()
        # The ticket's own fields are right: it is filed. The run says all the same that a rule is not.
        assert (state.name, len(jira.issues)) == ("Degraded", 1)
        assert "rule 1" in str(state.message)
        assert "the field 'Impact' does not allow 'Huge'; it allows High, Low" in str(state.message)
        if number == 0:
            asked = count_account_reads(jira)
            assert asked > 0
        assert count_account_reads(jira) == asked
    ticket_file(rule.format(impact="High"))
    for _ in range(2):
        state = run()
        assert state.name == "Completed", state.message
    assert asked < count_account_reads(jira) <= 2 * asked


def test_a_wrong_file_is_checked_again_after_an_hour(
    jira: FakeJira,  # noqa: F811
    ticket_file: Any,
    postgres_url: str,
) -> None:
    jira.add_field("customfield_4", "Impact", "option", "select", options=["High"])
    ticket_file('[[jira.rules]]\nwhen = { application = "other" }\nfields = { Impact = "Low" }')
    assert run().name == "Degraded"
    jira.add_field("customfield_4", "Impact", "option", "select", options=["High", "Low"])
    assert run().name == "Degraded"
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE ticket_file_checks SET checked_at = now() - interval '61 minutes'")
    assert run().name == "Completed"


def test_a_file_that_cannot_be_checked_now_is_checked_by_the_next_run(
    jira: FakeJira,  # noqa: F811
    ticket_file: Any,
) -> None:
    jira.add_field("customfield_4", "Impact", "option", "select", options=["High"])
    ticket_file('[[jira.rules]]\nwhen = { application = "other" }\nfields = { Impact = "Low" }')
    before = float(DEGRADED.labels("ticket_fields", "unchecked")._value.get())
    jira.stop()
    state = run()
    assert "rule 1" not in str(state.message)
    assert float(DEGRADED.labels("ticket_fields", "unchecked")._value.get()) == before + 1
    jira.start()
    state = run()
    assert state.name == "Degraded"
    assert "rule 1" in str(state.message)


def test_a_file_that_cannot_be_read_files_nothing_and_loses_nothing(jira: FakeJira, ticket_file: Any) -> None:  # noqa: F811
    ticket_file("[jira")
    confirmed("pay")
    state = run()
    assert state.name == "Degraded"
    assert "FURROW_TICKET_FIELDS" in str(state.message)
    assert not jira.issues
    ticket_file("")
    assert run().name == "Completed"
    assert len(jira.issues) == 1


def test_a_template_that_fails_gives_way_to_the_built_in_text(
    jira: FakeJira,  # noqa: F811
    ticket_file: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = degraded("jira")
    ticket_file("jira.title = '{{ sessions.first.there }}'\njira.body = '''Only {{ incident }}.'''")
    confirmed("pay")
    with caplog.at_level(logging.WARNING, "furrow.tickets"):
        state = run()
    assert state.name == "Degraded"
    assert "the template of the title failed, the built-in title is used" in str(state.message)
    (issue,) = jira.issues.values()
    assert issue["fields"]["summary"]
    assert "Only inc" in str(issue["fields"]["description"])
    assert ticket_of()["key"] == "OPS-1"
    assert degraded("jira") > before
    assert "tickets at jira: the template of the title failed" in caplog.text
    ticket_file("")
    assert run().name == "Completed"
    assert len(jira.issues) == 1


def test_a_dry_run_shows_the_whole_ticket_and_writes_nothing(
    jira: FakeJira,  # noqa: F811
    linear: FakeLinear,  # noqa: F811
    ticket_file: Any,
) -> None:
    ticket_file(
        "jira.title = 'Fix {{ incident }}'\njira.fields = { components = ['Shop'] }\nlinear.body = '- {{ status }}'"
    )
    confirmed("pay")
    state = export(dry_run=True, return_state=True)
    assert state.name == "Completed", state.message
    shown = artifact()
    for words in ("| title: Fix inc", "| field components: Shop", "| - confirmed", "As they would be filed in linear"):
        assert words in shown
    assert not jira.requests
    assert not linear.requests


def test_doctor_says_what_is_wrong_with_the_file(jira: FakeJira, ticket_file: Any) -> None:  # noqa: F811
    for text, words in (
        ("jira.fields = { Colour = 'red' }", "the field 'Colour' is not on the screen for new issues"),
        ("jira.body = '{{ nope }}'", "the template jira.body: there is no variable 'nope'"),
        (
            "linear.title = '{{ title|safe }}'",
            "the template linear.title: TemplateAssertionError: No filter named 'safe'",
        ),
        ("jira.fields = { issue_type = 'Epos' }", "project OPS has no issue type 'Epos'; it has Bug, Task"),
    ):
        ticket_file(text)
        answer = ask_tracker("jira", Settings(), None)
        assert answer.accepts_tickets is False
        assert words in answer.message
    ticket_file("jira.fields = { issue_type = 'Task' }")
    assert ask_tracker("jira", Settings(), None).accepts_tickets is True
