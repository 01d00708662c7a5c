"""The ticket's text: what an engineer needs, in the order of the design, and safe whatever a browser sent."""

import json
import logging
import re
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trackers.incidents import incident
from tests.unit.trackers.test_document import check, hostile, parsed
from trackers.log import LogTracker, escape_invisible
from trackers.protocol import Logged, Tracker
from trackers.ticket import TITLE_LENGTH, build_ticket, ticket_to_adf, ticket_to_markdown, ticket_to_wiki

PUBLIC = "https://furrow.example"


def test_title_labels_priority_and_severity() -> None:
    ticket = build_ticket(incident(), PUBLIC)
    assert ticket.title == 'POST /api/orders → 500 on "Pay now" (/checkout): 37 sessions blocked'
    assert ticket.labels == ("furrow", "high", "bug", "checkout")
    assert (ticket.priority, ticket.severity, ticket.project) == ("P1", "High", "shop")
    assert ticket.url == "https://furrow.example/incidents/inc_0123456789abcdef0123456789abcdef"


def test_the_body_answers_the_questions_in_order() -> None:
    body = ticket_to_markdown(build_ticket(incident(), PUBLIC + "/"))
    assert (
        body
        == """\
## What users tried

Use “Pay now” (`button#pay`) on `/checkout`.

## What happened instead

`POST /api/orders → 500`. The flow ended there in 30 of 37 sessions; it succeeded later in 2 of 37 sessions.

## Evidence

- 37 sessions, 31 known users
- First seen 2024-01-15 10:00 UTC, last seen 2024-01-16 18:30 UTC
- Score: highest 97, median 91.5 of 100
- Signals: feedback in 37 sessions, rage in 20 sessions

## How to reproduce

1. opened the page on `/checkout` (at 0.0 s)
2. clicked button#pay "Pay now" on `/checkout`, 3 times (at 1.4–2.3 s)
3. POST /api/orders → 500 on `/checkout` (at 2.6 s)

## Failing request or error

```
POST /api/orders → 500
```

- App versions: `2.4.1` (37)
- Browsers: `Chrome 126 on Windows` (20)
- Environments: `production`

## Example sessions

- `session-1`, 2024-01-15 10:00 UTC, score 97

## Why it was detected

3 clicks on button#pay within 0.9 s, answered by POST /api/orders → 500.

- +35 rage on the failing control

[Incident in Furrow](<https://furrow.example/incidents/inc_0123456789abcdef0123456789abcdef>): all sessions, \
timelines and history.
"""
    )


def test_the_owner_is_named_with_what_decided_and_is_not_called() -> None:
    owner = {"names": ["@payments", "anna@example.com"], "decidedBy": "rule", "line": 3, "rule": "/checkout/",
             "reason": "line 3: /checkout/"}  # fmt: skip
    body = ticket_to_markdown(build_ticket(incident(owner=owner), PUBLIC))
    assert "@payments" not in body
    assert "Owner: @payments, anna@example.com (line 3: /checkout/)." in body.replace("\u2060", "").replace("\\", "")
    for without in (incident(), incident(owner=None)):
        assert "Owner" not in ticket_to_markdown(build_ticket(without, PUBLIC))


def test_an_incident_that_came_back_says_so_first() -> None:
    why = "came back: 2 sessions started after the fix of 2024-01-20 10:00 UTC"
    entry = {"at": "", "actor": "rule", "from": "resolved", "to": "regressed", "reason": why}
    ticket = build_ticket(incident(status="regressed", history=[entry]), None)
    assert ticket.came_back == why
    assert ticket_to_markdown(ticket).startswith(f"This incident was resolved before. Reason for reopening: {why}.")
    assert build_ticket(incident(), None).came_back == ""


def test_what_is_unknown_is_not_made_up() -> None:
    """The poorest incident that the store can hold: no label, users, versions or examples."""
    poor = incident(
        label="", affectedUsers=0, endedSessions=0, overcomeSessions=0, examples=[], sessionsBy={}, signals={},
        appVersions=[], browsers=[], environments=[], failurePoint={"route": "/", "target": "", "feedback": ""},
    )  # fmt: skip
    ticket = build_ticket(poor, None)
    body = ticket_to_markdown(ticket)
    assert "Use the page on `/`." in body
    assert "37 sessions, users not identified" in body
    assert "App versions" not in body
    assert "reproduce" not in body
    assert "furrow.example" not in body
    assert ticket.labels == ("furrow", "high", "bug", "root")
    check(ticket_to_adf(ticket))


def test_the_first_example_is_the_one_to_follow_and_has_an_end() -> None:
    entry = incident()["examples"][0]
    step = entry["timeline"][0]
    best = entry | {"timeline": [step | {"text": f"step {number}"} for number in range(20)]}
    shorter = entry | {"timeline": [step | {"text": "forged"}]}
    body = ticket_to_markdown(build_ticket(incident(examples=[best, shorter]), None))
    assert "15. step 14 on" in body
    assert "step 15" not in body
    assert "forged" not in body
    assert "5 more steps in the incident's timeline." in body
    silent = entry | {"timeline": []}
    assert "reproduce" not in ticket_to_markdown(build_ticket(incident(examples=[silent, shorter]), None))


def poisoned(text: str) -> dict[str, Any]:
    """An incident in which everything that a browser can influence is ``text``."""
    example = incident()["examples"][0]
    steps = [{**entry, "text": text, "route": text, "target": text} for entry in example["timeline"]]
    return incident(
        title=text,
        label=text,
        failurePoint={"route": text, "target": text, "feedback": text},
        primaryFailurePoint=text,
        appVersions=[text],
        environments=[text],
        browsers=[text],
        sessionsBy={"appVersions": {text: 1}, "environments": {text: 1}, "browsers": {text: 1}},
        signals={text: 3},
        examples=[
            example
            | {"sessionId": text, "explanation": text, "timeline": steps, "points": [{"rule": text, "points": 1}]}
        ],
        history=[{"at": "", "actor": text, "from": "resolved", "to": "regressed", "reason": text}],
        status="regressed",
    )


@given(hostile)
def test_no_value_of_a_browser_becomes_markup(text: str) -> None:
    ticket = build_ticket(poisoned(text), PUBLIC)
    blocks = parsed(ticket_to_markdown(ticket))  # fails for anything but headings, paragraphs, lists and code
    links = {kind for _, parts in blocks for kind, _ in parts if kind.startswith("link")}
    assert links == {f"link {ticket.url}"}
    wiki = ticket_to_wiki(ticket)
    assert wiki.count("{noformat}") in (0, 2)
    assert re.sub(r"\{noformat\}\n.*\n\{noformat\}", "", wiki).count("[") == 1
    for node in ticket_to_adf(ticket)["content"]:
        marks = [mark for part in node["content"] for mark in part.get("marks", [])]
        assert {mark["attrs"]["href"] for mark in marks if mark["type"] == "link"} <= {ticket.url}
    assert "\n" not in ticket.title
    assert "@everyone" not in ticket_to_markdown(ticket) + wiki + ticket.title + json.dumps(ticket_to_adf(ticket))


@given(hostile)
def test_labels_hold_no_spaces_and_nothing_unusual(text: str) -> None:
    for label in build_ticket(poisoned(text), None).labels:
        assert label.replace("-", "").isalnum()
        assert label.isascii()
        assert len(label) <= 50


@given(st.text(min_size=300, max_size=2_000))
def test_everything_has_an_end(text: str) -> None:
    ticket = build_ticket(poisoned(text), None)
    assert len(ticket.title) <= TITLE_LENGTH + ticket.title.count("@\u2060")
    assert len(ticket_to_wiki(ticket)) <= 32_767


def test_log_only_logs_the_whole_ticket(caplog: pytest.LogCaptureFixture) -> None:
    tracker: Tracker = LogTracker("linear")
    ticket = build_ticket(incident(), PUBLIC)
    with caplog.at_level(logging.INFO, logger="furrow.tickets"):
        first = tracker.file_ticket(ticket, uuid.uuid4())
    assert isinstance(first, Logged)
    assert ticket.title in caplog.text
    for line in ticket_to_markdown(ticket).splitlines():
        assert f"| {line}".rstrip() in caplog.text
    assert tracker.file_ticket(ticket, uuid.uuid4()) == first
    assert tracker.file_ticket(build_ticket(incident(affectedSessions=38), PUBLIC), uuid.uuid4()) != first
    assert tracker.find_ticket(ticket, uuid.uuid4()) is None
    assert tracker.fetch_ticket_state("x").kind == "missing"


def test_log_only_shows_what_the_configured_tracker_would_get() -> None:
    ticket = build_ticket(incident(), PUBLIC)
    assert "| h3. What users tried" in LogTracker("jira", ticket_to_wiki).ticket_text(ticket)


@given(hostile)
def test_no_value_forges_a_line_of_the_log(text: str) -> None:
    logged = LogTracker("jira").ticket_text(build_ticket(poisoned(f"{text}\n2024-01-15 ERROR forged"), None))
    assert all(line.startswith("|") for line in logged.splitlines())
    assert escape_invisible(logged.replace("\n", "")) == logged.replace("\n", "")


def test_control_characters_are_made_visible() -> None:
    assert escape_invisible("a\x1b[31m\u202eb\r\n") == "a\\x1b[31m\\u202eb\\r\\n"


def steps(*entries: tuple[int, str]) -> list[str]:
    """The lines of the reproduction for (offset in ms, text)."""
    example = incident()["examples"][0]
    timeline = [{"offsetMs": at, "eventType": "click", "route": "", "target": "", "text": text} for at, text in entries]
    text = ticket_to_markdown(build_ticket(incident(examples=[{**example, "timeline": timeline}]), None))
    section = text.partition("## How to reproduce")[2].partition("##")[0]
    return [line.partition(". ")[2] for line in section.strip().splitlines()]


def test_steps_before_the_first_signal_have_their_times() -> None:
    """Offsets are counted from the first signal; the person began before it."""
    assert steps((-8_200, "opened"), (-3_000, "typed"), (0, "clicked"), (400, "failed")) == [
        "opened (at 0.0 s)", "typed (at 5.2 s)", "clicked (at 8.2 s)", "failed (at 8.6 s)",
    ]  # fmt: skip


def test_tries_and_their_answers_in_turn_are_one_line_each() -> None:
    tries = [
        (0, "click"),
        (100, "500"),
        (1_000, "click"),
        (1_100, "click"),
        (1_200, "500"),
        (2_000, "click"),
        (2_100, "500"),
    ]
    assert steps((-500, "opened"), *tries, (3_000, "left")) == [
        "opened (at 0.0 s)", "click, 4 times (at 0.5–2.5 s)", "500, 3 times (at 0.6–2.6 s)", "left (at 3.5 s)",
    ]  # fmt: skip


def test_the_share_of_those_who_reached_the_step_is_in_the_evidence() -> None:
    reached = {"reached": 120, "hit": 37, "rate": 0.308333, "low": 0.23, "high": 0.4}
    text = ticket_to_markdown(build_ticket(incident(reached=reached), None))
    assert "- Share: 37 of 120 sessions that reached this step (30.8%; 95 % interval 23.3% to 39.6%)" in text
    assert "Share:" not in ticket_to_markdown(build_ticket(incident(), None))


def line(before: str | None, after: str, reason: str) -> dict[str, Any]:
    return {"at": "", "actor": "rule", "from": before, "to": after, "reason": reason}


def test_the_reason_is_that_of_the_regression_and_not_the_latest_line() -> None:
    lines = [
        line("resolved", "regressed", "came back: 3 sessions"),
        line("regressed", "regressed", "ticket WEB-3 at jira updated"),
        line("regressed", "regressed", "export to linear failed permanently: 403"),
    ]
    assert build_ticket(incident(status="regressed", history=lines), None).came_back == "came back: 3 sessions"


def test_two_regressions_with_the_same_words_are_two() -> None:
    lines = [line("resolved", "regressed", "came back: 3 sessions")]
    first, second = (
        build_ticket(incident(status="regressed", history=lines, generation=number), None) for number in (1, 2)
    )
    assert first.recurrence_id != second.recurrence_id


def test_the_counts_of_a_confirmed_fix_are_the_proof() -> None:
    before, since = {"reached": 200, "hit": 60}, {"reached": 900, "hit": 0}
    impact = {"fix": {**since, "before": before, "confirmed": True}}
    resolved = build_ticket(incident(status="resolved", impact=impact), None)
    assert resolved.proof.startswith("confirmed fixed: 900 sessions reached this step since the fix, 0 hit it")
    assert build_ticket(incident(impact=impact), None).proof == ""
    impact["fix"]["confirmed"] = False
    assert build_ticket(incident(status="resolved", impact=impact), None).proof == ""
