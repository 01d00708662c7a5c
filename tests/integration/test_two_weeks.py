"""Two weeks of a project as its documents tell them: two trackers and two channels of alerts, compared day by day.

The clock is the database's: a night makes everything that is stored, here and in the trackers, twelve hours older.
"""

import json
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql

from flows.alerts import alerts
from incidents.fixes import Fix
from incidents.releases import NewRelease
from tests.fakes.channels import FakeSlack, FakeWebhook
from tests.fakes.jira import FakeJira
from tests.fakes.linear import FakeLinear
from tests.integration.incident_store_cases import detection, incident, incident_id, record
from tests.integration.test_alerts import _KILLED, REPEATED, ROOT, STEPS, hasten
from tests.integration.test_export import installation, jira, linear, run, setting, store

__all__ = ["installation", "jira", "linear", "setting"]

HALF_A_DAY = timedelta(hours=12)
# A ticket without a comment.
OPEN, CLOSED = (True, 0), (False, 0)
# Between the two marks of an alert: afterwards nobody knows whether the message arrived.
DOUBTFUL = [step for step, (_, noted) in STEPS.items() if noted]


class Ticket(NamedTuple):
    """How a tracker shows a ticket."""

    is_open: bool
    comments: list[str]


class Office:
    """The people, their trackers and channels, and the night."""

    def __init__(self, url: str, jira: FakeJira, linear: FakeLinear, hook: FakeWebhook, slack: FakeSlack) -> None:
        self.url, self.jira, self.linear, self.hook, self.slack = url, jira, linear, hook, slack
        self.chance = random.Random(21)
        self.deaths: Counter[str] = Counter()

    # What happens by day

    def show(self, names: str, version: str, failure: str = "pay", environment: str = "production") -> None:
        """Sessions (one letter each, each of a source of its own) that show the failure now, in this version."""
        context = {"userHash": "", "environment": environment, "appVersion": version, "label": "Pay now"}
        now = datetime.now(UTC)
        record(
            store(),
            *(
                detection(f"{name}-{failure}-{version}-{environment}-{now:%f}", failure, at=now, context=context)
                for name in names
            ),
            received=now,
        )

    def release(self, version: str, branch: str) -> None:
        """A deployment tells its version."""
        store().releases.add_release(NewRelease("shop", version, "production", branch, datetime.now(UTC)), "ci")

    def keys(self, failure: str = "pay") -> dict[str, str]:
        """The incident's ticket at each tracker."""
        return {ticket["tracker"]: ticket["key"] or "" for ticket in incident(store(), failure)["tickets"]}

    def work(self) -> None:
        """The schedules of one half of a day, and the half day goes by."""
        for state in (run(), alerts(return_state=True)):
            assert state.name == "Completed", state.message
        self.pass_time(HALF_A_DAY)

    def pass_time(self, span: timedelta) -> None:
        """Everything that is stored gets older."""
        with psycopg.connect(self.url) as connection:
            connection.execute("SET session_replication_role = replica")
            columns = connection.execute(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'"
            ).fetchall()
            for names in columns:
                table, column = map(sql.Identifier, names)
                shift = sql.SQL("UPDATE {0} SET {1} = {1} - %s WHERE {1} IS NOT NULL").format(table, column)
                connection.execute(shift, (span,))
        for issue in [*self.jira.issues.values(), *self.linear.issues.values()]:
            for name in ("updated", "touched"):
                if name in issue:
                    issue[name] -= span.total_seconds()
            for name in ("closed", "completedAt", "canceledAt"):
                if issue.get(name):
                    issue[name] = (datetime.fromisoformat(issue[name]) - span).isoformat()

    # What is compared

    def ticket(self, tracker: str, failure: str = "pay") -> Ticket:
        """The ticket as its tracker shows it."""
        key = self.keys(failure)[tracker]
        return self.jira_ticket(key) if tracker == "jira" else self.linear_ticket(key)

    def jira_ticket(self, key: str) -> Ticket:
        issue = self.jira.issues[key]
        return Ticket(issue["status"] != "done", [str(comment["body"]) for comment in issue["comments"]])

    def linear_ticket(self, key: str) -> Ticket:
        issue = self.linear.by_key(key)
        comments = [comment["body"] for comment in self.linear.comments.values() if comment["issue"] is issue]
        return Ticket(issue["state"]["type"] not in ("completed", "canceled"), comments)

    def compare(self, status: str, jira: tuple[bool, int], linear: tuple[bool, int], failure: str = "pay") -> None:
        """The incident and its two tickets: open or not, and how many comments."""
        tickets = [self.ticket(tracker, failure) for tracker in ("jira", "linear")]
        seen = (incident(store(), failure)["status"], *((ticket.is_open, len(ticket.comments)) for ticket in tickets))
        assert seen == (status, jira, linear), (tickets, incident(store(), failure)["history"])

    # Alerts

    def kill_alerts(self, times: int = 2) -> None:
        """Runs of alerts that are killed at some step; afterwards their leases are over."""
        for channel in ("ops", "chat"):
            for _ in range(times):
                step = self.chance.choice(list(STEPS))
                script = _KILLED.format(root=str(ROOT))
                ended = subprocess.run(
                    [sys.executable, "-c", script, step, channel], cwd=ROOT, capture_output=True, timeout=120
                )
                assert ended.returncode in (0, -signal.SIGKILL), ended.stderr.decode()
                if ended.returncode:
                    self.deaths[channel] += step in DOUBTFUL
                hasten(self.url)

    def count_alerts(self, texts: list[str]) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        """By kind and incident: messages, and those of them that say that they may be a repetition."""
        sent: Counter[tuple[str, str]] = Counter()
        repeated: Counter[tuple[str, str]] = Counter()
        for text in texts:
            for alert in set(re.findall(r"(?s)(New incident|Came back): .*?(inc_[0-9a-f]{32})", text)):
                sent[alert] += 1
                repeated[alert] += REPEATED in text
        return sent, repeated


@pytest.fixture
def office(postgres_url: str, setting: Any, jira: FakeJira, linear: FakeLinear) -> Iterator[Office]:
    with FakeWebhook() as hook, FakeSlack() as slack:
        setting(alert_urls=f"ops={hook.channel} chat={slack.channel}", alert_slack_url=slack.api)
        yield Office(postgres_url, jira, linear, hook, slack)
        assert hook.violations == slack.violations == []


def test_two_weeks(office: Office) -> None:
    """A bug, its tickets, the fix in 2.5, old clients, a hotfix branch, the bug again in 2.6, a duplicate, and a refusal."""
    jira, linear = office.jira, office.linear

    def now() -> str:
        return datetime.now(UTC).isoformat()

    # Monday: a draft gets no ticket, and nobody is alerted.
    office.release("2.4.0", "main")
    office.show("ab", "2.4.0")
    office.work()
    assert (incident(store())["status"], jira.issues, linear.issues, office.hook.messages) == ("draft", {}, {}, [])
    office.work()

    # Tuesday: the third session confirms it. Three other problems.
    office.show("c", "2.4.0")
    for failure in ("login", "menu", "cart"):
        office.show("abc", "2.4.0", failure)
    office.kill_alerts()
    office.work()
    for failure in ("pay", "login", "menu", "cart"):
        office.compare("confirmed", OPEN, OPEN, failure)
    assert (len(jira.issues), len(linear.issues)) == (4, 4)
    assert "3 sessions" in jira.issues[office.keys()["jira"]]["fields"]["summary"]
    office.work()

    # Wednesday: the sessions doubled, and Ann gets it.
    office.show("defgh", "2.4.0")
    jira.assign(office.keys()["jira"], "Ann")
    office.work()
    office.compare("confirmed", OPEN, OPEN)
    assert "8 sessions" in jira.issues[office.keys()["jira"]]["fields"]["summary"]
    assert "8 sessions" in linear.by_key(office.keys()["linear"])["title"]
    assert {ticket["inTracker"]["assignee"] for ticket in incident(store())["tickets"]} == {"Ann", ""}
    office.work()

    # Thursday: 2.5.0 is out, and both tickets are done; Jira's names the version. Of the cart, a hotfix is made.
    office.release("2.5.0", "main")
    jira.finish(office.keys()["jira"], resolution="Done", versions=["2.5"], closed=now())
    linear.close_at(office.keys()["linear"], "completed", now())
    office.work()
    office.compare("resolved", CLOSED, CLOSED)
    assert incident(store())["fixVersion"] == "2.5"
    store().ledger.apply_action(incident_id("cart"), "resolve", "merged", "eve", fix=Fix("2.4.1"))
    office.work()

    # Friday and Saturday: old clients, the hotfix of the old branch, release candidates, no version at all.
    office.show("abcd", "2.4.0")
    office.work()
    office.compare("resolved", CLOSED, CLOSED)
    office.release("2.4.1", "hotfix/2.4")
    office.show("abcd", "2.4.1")
    office.show("abcd", "2.5.0-rc.1")
    office.show("abcd", "")
    office.work()
    office.compare("resolved", CLOSED, CLOSED)
    assert incident(store())["affectedSessions"] == 24
    # The cart was mended in the hotfix; 2.5.0 came out before it, and need not have it.
    office.show("abcd", "2.5.0", "cart")
    office.show("abcd", "2.4.0", "cart")
    office.work()
    office.compare("resolved", OPEN, OPEN, "cart")
    office.work()

    # Sunday: nobody will mend the menu. It goes on, silently.
    jira.finish(office.keys("menu")["jira"], resolution="Won't Do", closed=now())
    office.work()
    office.compare("suppressed", CLOSED, OPEN, "menu")
    office.show("defgh", "2.5.0", "menu")
    office.work()
    office.compare("suppressed", CLOSED, OPEN, "menu")

    # Monday: 2.6.0 is out; two sessions are not what the rule asks for.
    office.release("2.6.0", "main")
    office.show("ab", "2.6.0")
    office.show("ab", "2.6.0", "cart")
    office.work()
    office.compare("resolved", CLOSED, CLOSED)
    office.compare("resolved", OPEN, OPEN, "cart")
    office.work()

    # Tuesday: the third one is: both tickets are opened again, and told once why. So are those of the cart.
    office.show("c", "2.6.0")
    office.show("c", "2.6.0", "cart")
    office.kill_alerts()
    office.work()
    office.compare("regressed", (True, 1), (True, 1))
    office.compare("regressed", (True, 1), (True, 1), "cart")
    for tracker in ("jira", "linear"):
        (comment,) = office.ticket(tracker).comments
        assert "came back in 2.6.0: 3 sessions of 3 sources since " in comment
        assert "fixed in 2.5; 3 sessions within 7 days (the rule asks for 3)" in comment
        assert "fixed in 2.4.1" in office.ticket(tracker, "cart").comments[0]
    office.work()
    office.compare("regressed", (True, 1), (True, 1))

    # Wednesday: the login is the same as the payment. Its ticket at the other tracker is closed as a duplicate, too.
    old = office.keys("login")
    jira.duplicate(old["jira"], office.keys()["jira"])
    jira.issues[old["jira"]]["closed"] = now()
    office.work()
    assert incident(store(), "login")["mergedInto"] == incident_id()
    office.work()
    assert office.jira_ticket(old["jira"]) == (False, [])
    assert (office.linear_ticket(old["linear"]).is_open, len(office.linear_ticket(old["linear"]).comments)) == (
        False,
        1,
    )
    office.compare("regressed", (True, 1), (True, 1))
    sessions = incident(store())["affectedSessions"]
    assert sessions == 30

    # Thursday: mended again. People add the version to the one that the ticket has, and 2.6.0 stays open in browsers.
    office.release("2.6.1", "main")
    jira.finish(office.keys()["jira"], resolution="Done", versions=["2.5", "2.6.1"], closed=now())
    linear.close_at(office.keys()["linear"], "completed", now())
    office.work()
    office.compare("resolved", (False, 1), (False, 1))
    assert incident(store())["fixVersion"] == "2.6.1"
    office.show("abcd", "2.6.0")
    office.work()
    office.compare("resolved", (False, 1), (False, 1))

    # Friday: somebody opens Linear's ticket again; only Jira's is told.
    linear.reopen(office.keys()["linear"])
    office.work()
    assert incident(store())["status"] == "confirmed"
    office.work()
    office.compare("confirmed", (True, 2), (True, 1))

    # The weekend: done; nothing moves any more, and no more tickets were made than problems.
    jira.finish(office.keys()["jira"], resolution="Done", versions=["2.6.1"], closed=now())
    linear.close_at(office.keys()["linear"], "completed", now())
    for _ in range(4):
        office.work()
    office.compare("resolved", (False, 2), (False, 1))
    office.compare("suppressed", CLOSED, OPEN, "menu")
    office.compare("regressed", (True, 1), (True, 1), "cart")
    assert (len(jira.issues), len(linear.issues)) == (4, 4)
    actors = {entry["actor"] for entry in incident(store())["history"]}
    assert actors == {"rule", "jira", "linear"}

    # The alerts of two weeks, through the kills.
    expected = {("New incident", incident_id(name)) for name in ("pay", "login", "menu", "cart")} | {
        ("Came back", incident_id(name)) for name in ("pay", "cart")
    }
    for name, texts in (("ops", office.hook.texts), ("chat", list(map(json.dumps, office.slack.shown.values())))):
        sent, repeated = office.count_alerts(texts)
        assert set(sent) == expected, texts
        assert all(number - repeated[alert] <= 1 for alert, number in sent.items()), texts
        assert sum(REPEATED in text for text in texts) <= office.deaths[name], texts
    assert office.deaths.total() > 0
