"""Exactly one ticket for each incident, and the right one in the ledger: what can go wrong between Furrow and a tracker."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from core.metrics import DEGRADED
from tasks import connections
from tasks.waiting import describe_waiting_tickets
from tests.fakes import jira as fake_jira
from tests.fakes.jira import FakeJira
from tests.fakes.linear import FakeLinear, operation, rate_limited
from tests.fakes.server import Answer, Fake, Fault, Request
from tests.integration.incident_store_cases import MONDAY, detection, history, incident, incident_id, record
from tests.integration.test_export import (
    AT_ONCE,
    ROOT,
    artifact,
    confirmed,
    end_leases,
    installation,
    is_create,
    jira,
    linear,
    run,
    setting,
    store,
    ticket_of,
    tracker,
)

__all__ = ["installation", "jira", "linear", "setting", "tracker"]


def sql(statement: str, *values: object) -> list[Any]:
    with psycopg.connect(connections.effective_settings().incident_store_url.get_secret_value()) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def an_hour_later() -> None:
    """Let an hour pass for the tickets."""
    sql(
        "UPDATE outbox SET check_at = check_at - interval '1 hour', retry_at = retry_at - interval '1 hour', "
        "upkeep_at = upkeep_at - interval '1 hour', updated_at = updated_at - interval '1 hour'"
    )


def open_issues(site: FakeJira) -> list[str]:
    return [key for key, issue in site.issues.items() if issue["status"] != "done"]


def more(number: int, failure: str = "pay", at: timedelta = timedelta(hours=2)) -> None:
    """So many more sessions show it."""
    record(store(), *(detection(f"more-{n}", failure, at=MONDAY + at) for n in range(number)), rule=AT_ONCE)


# Two issues of one ticket
# -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0, 10])
def test_a_request_that_a_proxy_repeats_leaves_one_open_ticket(jira: FakeJira, lag: int) -> None:
    confirmed("pay", "login")
    jira.lag = lag
    jira.faults = [Fault(is_create, replayed=True)]
    assert run().name == "Completed"
    assert len(jira.issues) == 3
    if lag:  # the search does not show it yet; an hour later it does
        for issue in jira.issues.values():
            issue["unseen"] = 0
        an_hour_later()
        assert run().name == "Completed"
    key = ticket_of("pay")["key"]
    ours = [
        one for one, issue in jira.issues.items() if issue["properties"]["furrow"]["incident"] == incident_id("pay")
    ]
    assert key == min(ours)
    assert sorted(open_issues(jira)) == sorted({key, ticket_of("login")["key"]})
    (second,) = set(ours) - {key}
    (comment,) = jira.issues[second]["comments"]
    assert f"{key} stays" in str(comment)
    assert jira.links == [{"type": {"name": "Duplicate"}, "inwardIssue": {"key": second}, "outwardIssue": {"key": key}}]
    assert sql("SELECT ticket_key, why, closed_at IS NOT NULL FROM former_tickets") == [(second, "duplicate", True)]
    assert any(
        f"{second} at jira is a second ticket" in reason for _, _, reason in history(store(), incident_id("pay"))
    )
    before = len(jira.requests)
    an_hour_later()
    run()
    an_hour_later()
    run()
    assert len(jira.requests) - before <= 3  # a search or two, and nothing more
    assert len(jira.issues[second]["comments"]) == 1


def test_a_request_that_is_carried_out_after_the_retry_is_found_an_hour_later(jira: FakeJira) -> None:
    """The client gave up, found nothing, and created the ticket again; then the first request was carried out."""
    confirmed("pay")
    held: list[Request] = []
    jira.faults = [Fault(lambda one: is_create(one) and not held.append(one), Answer(504, {}))]
    assert run().name == "Completed"
    key = ticket_of()["key"]
    with jira.guard:
        jira.handle(held[0])
    assert len(jira.issues) == 2
    an_hour_later()
    assert run().name == "Completed"
    assert (open_issues(jira), ticket_of()["key"]) == ([key], key)


def test_the_copy_that_a_person_made_stays_open(jira: FakeJira) -> None:
    confirmed("pay")
    run()
    labels = tuple(jira.issues[ticket_of()["key"]]["fields"]["labels"])
    copy = jira.add("a copy", labels)["key"]
    an_hour_later()
    assert run().name == "Completed"
    assert sorted(open_issues(jira)) == sorted([ticket_of()["key"], copy])


_FROZEN = """
import sys
from tasks import connections
from tasks.waiting import describe_waiting_tickets
from tasks.export import claim_incident, export_incident
from trackers.jira.tracker import JiraTracker
search = JiraTracker._search_by_label
def search_and_freeze(self, ticket):
    found = search(self, ticket)
    print("frozen", flush=True)
    sys.stdin.readline()
    return found
JiraTracker._search_by_label = search_and_freeze
leased, tracker = claim_incident.fn("jira"), connections.open_tracker("jira")
print(export_incident(tracker, leased).result, flush=True)
"""


def test_an_exporter_that_was_frozen_beyond_its_lease_creates_nothing(jira: FakeJira) -> None:
    confirmed("pay")
    frozen = subprocess.Popen(
        [sys.executable, "-c", _FROZEN], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert frozen.stdin is not None
    assert frozen.stdout is not None
    try:
        assert frozen.stdout.readline() == "frozen\n"
        frozen.send_signal(signal.SIGSTOP)
        end_leases()
        assert run().name == "Completed"
        key = ticket_of()["key"]
        frozen.send_signal(signal.SIGCONT)
        frozen.communicate("\n" * 20, timeout=120)
    finally:
        frozen.kill()
    assert len(jira.issues) == 1
    assert (ticket_of()["state"], ticket_of()["key"]) == ("filed", key)


def test_an_exporter_that_was_frozen_in_its_request_leaves_one_open_ticket(jira: FakeJira) -> None:
    """The lease ends while the request is on its way; another exporter files the ticket before it arrives."""
    confirmed("pay")
    jira.lag = 2

    def file_elsewhere() -> None:
        end_leases()
        run()

    jira.faults = [Fault(is_create, before=file_elsewhere)]
    assert run().name == "Degraded"
    assert len(jira.issues) == 2
    for issue in jira.issues.values():
        issue["unseen"] = 0
    an_hour_later()
    run()
    assert open_issues(jira) == [ticket_of()["key"]]
    assert run().name == "Completed"


def test_a_second_ticket_that_may_not_be_closed_is_left_to_people(jira: FakeJira) -> None:
    confirmed("pay")
    refused = Fault(
        lambda one: one.method == "POST" and one.path.endswith("/transitions"), Answer(400, {"errorMessages": ["no"]})
    )
    jira.faults = [Fault(is_create, replayed=True), refused]
    run()
    assert len(open_issues(jira)) == 2
    assert any("could not be closed" in reason for _, _, reason in history(store(), incident_id()))
    asked = len(jira.requests)
    assert run().name == "Completed"
    assert len(jira.requests) == asked


# The tracker's pace
# -------------------------------------------------------------------------------------------------------------------


class Limited:
    """So many requests in so many seconds; ``early``: how many came while the tracker had asked to wait."""

    def __init__(self, site: Fake, requests: int, seconds: float) -> None:
        self.requests, self.seconds, self.begin, self.used, self.early = requests, seconds, 0.0, 0, 0
        self.told = False
        self.linear = isinstance(site, FakeLinear)
        site.faults.append(Fault(self.exceeds, times=10**6))
        self.fault = site.faults[-1]

    def exceeds(self, _: Request) -> bool:
        now = time.monotonic()
        if now - self.begin >= self.seconds:
            self.begin, self.used, self.told = now, 0, False
        self.used += 1
        if self.used <= self.requests:
            return False
        self.early += self.told
        self.told = True
        headers = {"Retry-After": f"{self.seconds - (now - self.begin) + 0.02:.3f}"}
        self.fault.answer = rate_limited(**headers) if self.linear else Answer(429, {}, headers)
        return True


def test_five_incidents_are_filed_at_three_requests_in_a_while(tracker: Any) -> None:
    confirmed("a", "b", "c", "d", "e")
    limited = Limited(tracker, 3, 1.0)
    for _ in range(3):
        run()
        if len(tracker.issues) == 5:
            break
    assert len(tracker.issues) == 5
    assert {ticket_of(failure)["state"] for failure in "abcde"} == {"filed"}
    assert limited.early == 0


def test_four_exporters_at_once_keep_one_pace(tracker: Any) -> None:
    failures = [f"f{number}" for number in range(6)]
    confirmed(*failures)
    Limited(tracker, 3, 0.5)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: run(), range(4)))
    run()
    assert {ticket_of(failure)["state"] for failure in failures} == {"filed"}
    assert len(tracker.issues) == 6


def test_a_pause_holds_for_later_runs_and_other_incidents(tracker: Any) -> None:
    confirmed("pay")
    headers = {"Retry-After": "3600"}
    answer = rate_limited(**headers) if isinstance(tracker, FakeLinear) else Answer(429, {}, headers)
    tracker.faults = [Fault(lambda _: True, answer)]
    assert run().name == "Degraded"
    asked = len(tracker.requests)
    confirmed("login")  # new, and not postponed itself
    state = run()
    assert (state.name, len(tracker.requests)) == ("Degraded", asked)
    assert "asks to wait" in (state.message or "")
    sql("UPDATE tracker_gates SET closed_until = now()")
    sql("UPDATE outbox SET retry_at = now()")
    assert run().name == "Completed"
    assert len(tracker.issues) == 2


# Deleted tickets
# -------------------------------------------------------------------------------------------------------------------


def test_a_deleted_ticket_is_replaced_once_and_the_incident_says_so(tracker: Any) -> None:
    confirmed("pay")
    run()
    first = ticket_of()["key"]
    tracker.delete(first)
    store().ledger.apply_action(incident_id(), "resolve", "deployed", "eve", at=MONDAY + timedelta(hours=1))
    record(store(), detection("later", "pay", at=MONDAY + timedelta(hours=2)), rule=AT_ONCE)
    state = run()
    assert state.name == "Completed", state.message
    second = ticket_of()["key"]
    assert (ticket_of()["state"], second != first) == ("filed", True)
    assert any(reason == f"ticket {first} was deleted at {tracker.name}; a new one is filed"
               for _, _, reason in history(store(), incident_id()))  # fmt: skip
    assert f"This replaces {first}" in str(
        tracker.by_key(second)["description"] if isinstance(tracker, FakeLinear) else tracker.issues[second]["fields"]
    )
    number = len(tracker.issues)
    an_hour_later()
    assert run().name == "Completed"
    assert (ticket_of()["key"], len(tracker.issues)) == (second, number)
    tracker.delete(second)
    more(40)
    run()
    run()
    assert ticket_of()["state"] == "export_failed"  # who deletes it twice means it
    assert "no other one is filed" in ticket_of()["lastError"]


def test_a_ticket_that_is_out_of_sight_with_its_project_is_not_filed_again(jira: FakeJira) -> None:
    confirmed("pay")
    run()
    jira.delete(ticket_of()["key"])
    jira.projects = set()
    store().ledger.apply_action(incident_id(), "resolve", "deployed", "eve", at=MONDAY + timedelta(hours=1))
    record(store(), detection("later", "pay", at=MONDAY + timedelta(hours=2)), rule=AT_ONCE)
    assert run().name == "Degraded"
    assert ticket_of()["key"] == "OPS-1"
    assert "cannot be read" in ticket_of()["lastError"]


# Refusals of the tracker
# -------------------------------------------------------------------------------------------------------------------


def test_what_the_tracker_refuses_for_all_tickets_is_told_with_the_time_of_the_next_try(jira: FakeJira) -> None:
    confirmed("pay", "login")
    jira.projects = set()
    run()
    (line,) = describe_waiting_tickets.fn()
    assert line.startswith("jira: 2 tickets refused by the tracker for all (")
    assert "valid project is required" in line
    when = r", the first of them until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(in \d+ min\); they are tried again"
    assert re.search(when, line)
    sql("UPDATE outbox SET retry_at = now() - interval '5 minutes'")
    (line,) = describe_waiting_tickets.fn()
    assert "UTC; they are tried again then, or when its settings change; `furrow export --retry-failed` tries" in line
    jira.projects = {"OPS"}
    assert run().name == "Completed"
    assert describe_waiting_tickets.fn() == []


def test_an_expired_token_keeps_runs_degraded_until_it_is_changed(tracker: Any, setting: Callable[..., None]) -> None:
    confirmed("pay", "login")
    good = {"jira_token": fake_jira.TOKEN} if isinstance(tracker, FakeJira) else {"linear_key": fake_linear_key()}
    setting(**dict.fromkeys(good, "lin_api_expired-expired"))
    states = [run(), run(), run()]
    assert [state.name for state in states] == ["Degraded"] * 3
    assert all("401" in (state.message or "") for state in states)
    asked = len(tracker.requests)
    run()
    assert len(tracker.requests) - asked <= 1
    setting(**good)
    state = run()
    assert state.name == "Completed", state.message
    assert len(tracker.issues) == 2
    assert {ticket_of(failure)["state"] for failure in ("pay", "login")} == {"filed"}


def fake_linear_key() -> str:
    from tests.fakes import linear as fake_linear

    return fake_linear.KEY


def test_a_project_that_is_back_is_tried_again_after_an_hour(jira: FakeJira) -> None:
    confirmed("pay")
    jira.projects = set()
    assert run().name == "Degraded"
    jira.projects = {"OPS"}
    assert run().name == "Degraded"
    an_hour_later()
    assert run().name == "Completed"
    assert len(jira.issues) == 1


# Regressions and facts
# -------------------------------------------------------------------------------------------------------------------


def come_back(hours: int) -> None:
    store().ledger.apply_action(incident_id(), "resolve", "deployed", "eve", at=MONDAY + timedelta(hours=hours))
    record(store(), detection(f"at-{hours}", "pay", at=MONDAY + timedelta(hours=hours + 1)), rule=AT_ONCE)


def comments_of(site: Any) -> list[str]:
    if isinstance(site, FakeLinear):
        return [str(comment["body"]) for comment in site.comments.values()]
    return [str(comment) for issue in site.issues.values() for comment in issue["comments"]]


def test_every_regression_is_told_in_both_trackers_with_its_own_reason(jira: FakeJira, linear: FakeLinear) -> None:
    confirmed("pay")
    run()
    for hours in (1, 5):
        come_back(hours)
        linear.faults = [Fault(lambda one: operation(one) == "FurrowComment", Answer(403, {"errors": []}))]
        assert run().name == "Degraded"  # Jira has it, Linear refuses
        linear.faults = []
        an_hour_later()
        state = run()
        assert state.name == "Completed", state.message
    for site in (jira, linear):
        reasons = comments_of(site)
        assert len(reasons) == 2
        for reason in reasons:
            assert "came back: 1 session" in reason
            assert "403" not in reason
            assert "OPS-1" not in reason


def test_title_priority_and_counts_follow_the_incident(tracker: Any) -> None:
    confirmed("pay")
    run()
    more(42)
    assert run().name == "Completed"
    if isinstance(tracker, FakeLinear):
        (issue,) = tracker.issues.values()
        title, text, priority = issue["title"], issue["description"], issue["priority"]
    else:
        (whole,) = tracker.issues.values()
        issue = whole["fields"]
        title, text, priority = issue["summary"], str(issue["description"]), issue["priority"]["name"]
    assert "43 sessions" in title
    assert "43 sessions" in text
    assert priority in (2, "High")
    (comment,) = comments_of(tracker)
    assert "43 sessions affected now, 1 when this was last reported here" in comment
    asked = len(tracker.requests)
    run()
    assert len(tracker.requests) == asked


@pytest.mark.parametrize("status", [503, 422])
def test_facts_that_a_tracker_does_not_take_are_still_due(tracker: Any, status: int) -> None:
    confirmed("pay")
    run()
    more(42)
    errors = {"errorMessages": ["no"], "errors": [{"message": "no"}]}
    tracker.faults = [Fault(is_change, Answer(status, errors), times=10)]
    asked = len(tracker.requests)
    assert run().name == "Completed"  # nothing waits for it; the artifact lists it
    assert "Upkeep" in artifact()
    run()
    assert len(tracker.requests) - asked <= 3  # not at every run
    tracker.faults = []
    an_hour_later()
    run()
    assert "43 sessions" in str([issue.get("title") or issue["fields"]["summary"] for issue in tracker.issues.values()])


def is_change(request: Request) -> bool:
    return request.method == "PUT" or (request.path == "/graphql" and operation(request) == "FurrowUpdate")


def test_what_a_person_wrote_in_a_ticket_stays(tracker: Any) -> None:
    confirmed("pay")
    run()
    (whole,) = tracker.issues.values()
    issue, name = (whole, "title") if isinstance(tracker, FakeLinear) else (whole["fields"], "summary")
    issue[name] = "Checkout is down, see #incident-12"
    more(42)
    run()
    assert issue[name] == "Checkout is down, see #incident-12"
    assert "43 sessions" in str(issue["description"])


def test_there_is_at_most_one_comment_of_growth_in_a_day(jira: FakeJira) -> None:
    confirmed("pay")
    run()
    for number in (10, 100, 1_000):
        more(number)
        run()
    assert len(comments_of(jira)) == 1
    sql("UPDATE outbox SET noted_at = now() - interval '25 hours'")
    run()
    assert len(comments_of(jira)) == 2


def test_a_confirmed_fix_is_told_once(tracker: Any) -> None:
    confirmed("pay")
    run()
    store().ledger.apply_action(incident_id(), "resolve", "deployed", "eve", at=MONDAY + timedelta(hours=1))
    id_ = incident(store())["incidentId"]
    count_fix(id_)
    for _ in range(3):
        assert run().name == "Completed"
        an_hour_later()
    (comment,) = comments_of(tracker)
    assert "Confirmed fixed: 900 sessions reached this step since the fix, 0 hit it" in comment


def count_fix(id_: str) -> None:
    """As `furrow.impact` counts it: 60 of 200 sessions before the fix, none of 900 since."""
    sql("INSERT INTO incident_steps (incident_id, code, kind, step, fixed_at, confirmed_at) "
        "VALUES (%s, 1, 'control', 1, now(), now())", id_)  # fmt: skip
    for after, reached, hit in ((False, 200, 60), (True, 900, 0)):
        sql("INSERT INTO incident_reach (incident_id, bucket_ms, is_day, after_fix, facet, value, reached, hit) "
            "VALUES (%s, 0, true, %s, '', '', %s, %s)", id_, after, reached, hit)  # fmt: skip


def test_a_link_that_linear_refuses_is_added_later(linear: FakeLinear) -> None:
    refusals = DEGRADED.labels("linear", "refused_link")
    before = refusals._value.get()
    confirmed("pay", "login")
    linear.faults = [Fault(lambda request: operation(request) == "FurrowAttach", Answer(403, {}), times=3)]
    assert run().name == "Completed"
    assert len(linear.issues) == 2
    # The first one is tried again by the same run, which looks after its tickets at its end.
    assert len(linear.attachments) == 1
    assert refusals._value.get() == before + 3
    (left,) = [one for one in ("pay", "login") if ticket_of(one)["lastError"]]
    ticket = ticket_of(left)
    assert ticket["state"] == "filed"
    assert "Linear refused the link to the incident: Linear answered 403" in str(ticket["lastError"])
    run()
    assert len(linear.attachments) == 1, "not before an hour is over"
    an_hour_later()
    run()
    assert len(linear.attachments) == len({one["url"] for one in linear.attachments}) == 2
    assert ticket_of(left)["lastError"] is None
    asked = len(linear.requests)
    an_hour_later()
    run()
    assert [operation(one) for one in linear.requests[asked:] if operation(one) == "FurrowAttach"] == []


@pytest.mark.parametrize("refused", [2, 3])
def test_a_link_that_linear_refuses_is_added_after_a_recurrence(linear: FakeLinear, refused: int) -> None:
    confirmed("pay")
    linear.faults = [Fault(lambda request: operation(request) == "FurrowAttach", Answer(403, {}), times=refused)]
    run()
    assert linear.attachments == []
    come_back(1)
    run()  # the report itself, or the upkeep of this run
    assert len(linear.attachments) == 1
    assert ticket_of()["lastError"] is None


def test_a_ticket_that_is_gone_before_its_link_was_added_is_filed_again_with_it(linear: FakeLinear) -> None:
    confirmed("pay")
    linear.faults = [Fault(lambda request: operation(request) == "FurrowAttach", Answer(403, {}), times=2)]
    run()
    (key,) = [issue["identifier"] for issue in linear.issues.values()]
    linear.by_key(key)["trashed"] = True
    an_hour_later()
    run()
    run()
    (filed,) = [issue["identifier"] for issue in linear.issues.values() if not issue["trashed"]]
    assert (ticket_of()["key"], ticket_of()["lastError"]) == (filed, None)
    assert filed != key
    assert [one["issue"]["identifier"] for one in linear.attachments] == [filed]
