"""What people do to tickets is read back, and incidents follow: real Postgres, the fakes of the trackers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import PermanentError
from core.metrics import DEGRADED
from flows.export import export
from stores.incidents.ticket_states import TicketStates
from tests.fakes import github as fake_github
from tests.fakes import gitlab as fake_gitlab
from tests.fakes import jira as fake_jira
from tests.fakes import linear as fake_linear
from tests.fakes.forge import FakeForge
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.jira import FakeJira
from tests.fakes.linear import FakeLinear
from tests.fakes.server import Answer, Fault, Request
from tests.integration.incident_store_cases import detection, incident, incident_id, record
from tests.integration.test_export import (
    AT_ONCE,
    artifact,
    confirmed,
    installation,
    jira,
    linear,
    run,
    setting,
    store,
    ticket_of,
)
from tests.integration.test_export_faults import sql

__all__ = ["installation", "jira", "linear", "setting"]


@pytest.fixture
def github(setting: Any) -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        setting(github_url=fake.url, github_token=fake_github.TOKEN, github_repository="acme/shop")
        yield fake
    assert fake.violations == []


@pytest.fixture
def gitlab(setting: Any) -> Iterator[FakeGitLab]:
    with FakeGitLab() as fake:
        setting(gitlab_url=fake.url, gitlab_token=fake_gitlab.TOKEN, gitlab_project="acme/shop")
        yield fake
    assert fake.violations == []


@pytest.fixture(params=["cloud", "datacenter", "linear", "github", "gitlab"])
def site(request: pytest.FixtureRequest, setting: Any) -> Iterator[Any]:
    """Each tracker, configured alone."""
    if request.param not in ("cloud", "datacenter"):
        yield request.getfixturevalue(request.param)
        return
    with FakeJira(request.param) as fake:
        setting(
            jira_url=fake.address, jira_user=fake_jira.USER, jira_token=fake_jira.TOKEN, jira_project="OPS",
            jira_kind=request.param,
        )  # fmt: skip
        yield fake
        assert fake.violations == []


def read() -> Any:
    """The next run, after the pause between two readings."""
    sql("UPDATE outbox SET read_after = NULL")
    return run()


def is_reading(request: Request) -> bool:
    if request.path == "/graphql":
        return fake_linear.operation(request) == "FurrowTickets"
    if "iids[]" in request.query:
        return True
    return fake_jira.is_search(request) and "fixVersions" in request.text


def finish(site: Any, key: str, at: datetime | None = None, **changes: Any) -> None:
    """Somebody sets it to done, now."""
    closed = (at or datetime.now(UTC)).isoformat()
    if isinstance(site, FakeLinear):
        site.close_at(key, "completed", closed)
    elif isinstance(site, FakeForge):
        milestone = {"milestone": changes["versions"][0]} if changes.get("versions") else {}
        site.issues[key]["labels"] = [label for label in site.issues[key]["labels"] if "::" not in label]
        site.finish(key, closed=closed, **milestone)
    else:
        site.finish(key, resolution="Done", closed=closed, **changes)


def refuse(site: Any, key: str) -> None:
    """Somebody closes it as not worth doing."""
    if isinstance(site, FakeLinear):
        site.close_at(key, "canceled", datetime.now(UTC).isoformat())
    elif isinstance(site, FakeGitHub):
        site.finish(key, closed=datetime.now(UTC).isoformat(), reason="not_planned")
    elif isinstance(site, FakeGitLab):
        # GitLab has no reasons; teams have labels for them.
        store().keys.save_project("shop", settings={"ticketStates": ["resolution::won't fix = wontDo"]})
        site.issues[key]["labels"].append("Resolution::Won't fix")
        site.finish(key, closed=datetime.now(UTC).isoformat())
    else:
        site.finish(key, resolution="Won't Do", closed=datetime.now(UTC).isoformat())


def is_open(site: Any, key: str) -> bool:
    if isinstance(site, FakeLinear):
        return site.by_key(key)["state"]["type"] not in ("completed", "canceled")
    if isinstance(site, FakeForge):
        return bool(site.issues[key]["open"])
    return bool(site.issues[key]["status"] != "done")


def count_comments(site: Any) -> int:
    return (
        len(site.comments)
        if isinstance(site, FakeLinear)
        else sum(len(one["comments"]) for one in site.issues.values())
    )


def again(*sessions: str, after: timedelta = timedelta(hours=1), failure: str = "pay", version: str = "2.6") -> None:
    """Sessions of this version that show it, so long from now."""
    context = {"userHash": "", "environment": "production", "appVersion": version, "label": "Pay now"}
    found = [detection(name, failure, at=datetime.now(UTC) + after, context=context) for name in sessions]
    record(store(), *found, rule=AT_ONCE)


def status(failure: str = "pay") -> str:
    return str(incident(store(), failure)["status"])


def last_line(failure: str = "pay") -> tuple[str, str]:
    entry = incident(store(), failure)["history"][-1]
    return entry["actor"], entry["reason"]


def in_tracker(failure: str = "pay") -> dict[str, Any]:
    return dict(ticket_of(failure)["inTracker"])


# Effects
# ----------------------------------------------------------------------------------------------------------------------


def test_done_resolves_and_the_record_says_what_was_seen(site: Any) -> None:
    confirmed("pay")
    run()
    key = ticket_of()["key"]
    assert in_tracker()["meaning"] == "open"
    site.assign(key, "Ann\u202e <b>")
    finish(site, key)
    assert read().name == "Completed"
    assert status() == "resolved"
    actor, reason = last_line()
    assert actor == site.name
    assert reason.startswith(f"ticket {key} at {site.name} is ")
    seen = in_tracker()
    assert (seen["meaning"], seen["assignee"], seen["comments"]) == ("done", "Ann <b>", 0)
    assert seen["readAt"] is not None
    assert "incidents resolved by their tickets | 1" in artifact()


def test_the_history_says_who_closed_the_ticket_and_opened_it_again(site: Any) -> None:
    confirmed("pay")
    run()
    key = ticket_of()["key"]
    site.person = "Bea\u202e <bea@example.test>\n" + "x" * 300
    finish(site, key)
    read()
    actor, reason = last_line()
    told = f"; closed by Bea <[email]> {'x' * 65}…"
    assert (actor, reason.partition("assigned to nobody")[2]) == (site.name, told)
    # The same again by somebody else is no change, and neither is an account that is gone.
    lines = len(incident(store())["history"])
    site.person = None
    finish(site, key, at=datetime.now(UTC))
    site.age()
    read()
    site.person = "cy"
    site.reopen(key)
    read()
    assert status() == "confirmed"
    opened = "; opened again by cy" if isinstance(site, FakeGitHub | FakeJira) else ""
    assert last_line()[1].partition("assigned to nobody")[2] == opened
    assert [entry["to"] for entry in incident(store())["history"]][lines:] == ["confirmed"]


def test_who_closed_a_ticket_of_linear_is_in_the_line_of_that_time(linear: FakeLinear) -> None:
    confirmed("bot", "old", "other", "odd")
    run()
    keys = {name: ticket_of(name)["key"] for name in ("bot", "old", "other", "odd")}
    linear.person = None
    finish(linear, keys["bot"])
    linear.person = "bea"
    for name in ("old", "other", "odd"):
        finish(linear, keys[name])
    lines = {name: linear.by_key(key)["history"]["nodes"][0] for name, key in keys.items()}
    lines["old"]["createdAt"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    lines["other"]["toState"] = None
    lines["odd"]["createdAt"] = "2024-02-01T09:30:00"
    read()
    told = {name: last_line(name)[1].partition("assigned to nobody")[2] for name in keys}
    assert told == {"bot": "; closed by GitHub", "old": "", "other": "", "odd": ""}


def is_changelog(request: Request) -> bool:
    return "changelog" in request.path or "changelog" in request.query.get("expand", [])


@pytest.mark.parametrize("site", ["cloud", "datacenter"], indirect=True)
def test_who_moved_an_issue_of_jira_is_asked_once_for_those_that_moved(site: FakeJira) -> None:
    confirmed("pay", "save", "find")
    run()
    read()
    assert [one for one in site.requests if is_changelog(one)] == []
    for name in ("pay", "save"):
        site.finish(ticket_of(name)["key"], name="Shipped")
    site.assign(ticket_of("find")["key"], "Ann")
    read()
    asked = [one for one in site.requests if is_changelog(one)]
    assert len(asked) == (1 if site.cloud else 2)
    assert [last_line(name)[1].rpartition("; ")[2] for name in ("pay", "save")] == ["closed by bea"] * 2
    site.assign(ticket_of("pay")["key"], "Ann")
    site.age()
    read()
    assert len([one for one in site.requests if is_changelog(one)]) == len(asked)


@pytest.mark.parametrize("site", ["cloud", "datacenter"], indirect=True)
def test_an_issue_of_jira_that_moved_once_more_meanwhile_names_nobody(site: FakeJira) -> None:
    confirmed("pay")
    run()
    site.finish(ticket_of()["key"])
    site.issues[ticket_of()["key"]]["changes"][0]["items"][0]["toString"] = "In Review"
    read()
    assert (status(), last_line()[1].partition("assigned to nobody")[2]) == ("resolved", "")


@pytest.mark.parametrize("site", ["cloud", "datacenter"], indirect=True)
@pytest.mark.parametrize("fault", [Answer(403, {"errorMessages": ["no"]}), Answer(503, {})])
def test_a_jira_that_does_not_tell_who_moved_an_issue(site: FakeJira, fault: Answer) -> None:
    """A refusal costs the name. A failure that may pass costs nothing: all is read again."""
    counted = DEGRADED.labels("jira", "changelog")
    before = counted._value.get()
    confirmed("pay")
    run()
    site.finish(ticket_of()["key"])
    site.faults = [Fault(is_changelog, fault, times=20)]
    read()
    refused = fault.status == 403
    assert (status(), counted._value.get() - before) == (("resolved", 1) if refused else ("confirmed", 0))
    site.faults = []
    read()
    told = last_line()[1].partition("assigned to nobody")[2]
    assert (status(), told) == ("resolved", "" if refused else "; closed by bea")


def test_the_same_state_read_again_changes_nothing(site: Any) -> None:
    confirmed("pay")
    run()
    finish(site, ticket_of()["key"])
    read()
    before = incident(store())["history"]
    read()
    site.age()
    read()
    assert incident(store())["history"] == before


def test_wont_do_suppresses_and_opening_it_again_reopens_without_a_word_to_the_ticket(site: Any) -> None:
    confirmed("pay")
    run()
    key = ticket_of()["key"]
    refuse(site, key)
    read()
    assert status() == "suppressed"
    site.reopen(key)
    read()
    assert status() == "confirmed"
    finish(site, key)
    read()
    assert status() == "resolved"
    site.reopen(key)
    read()
    read()
    assert status() == "confirmed"
    assert count_comments(site) == 0


def test_a_ticket_that_is_done_after_all_resolves_what_it_suppressed(site: Any) -> None:
    confirmed("pay", "login")
    run()
    refuse(site, ticket_of()["key"])
    read()
    assert status() == "suppressed"
    finish(site, ticket_of()["key"])
    read()
    assert (status(), last_line()[0]) == ("resolved", site.name)
    again("later")
    assert status() == "regressed"
    # What a person suppressed stays so.
    store().ledger.apply_action(incident_id("login"), "suppress", "not ours", "eve")
    finish(site, ticket_of("login")["key"])
    read()
    assert status("login") == "suppressed"


def test_a_duplicate_is_merged_into_the_incident_of_the_other_ticket(site: Any) -> None:
    confirmed("pay", "login")
    run()
    read()
    site.duplicate(ticket_of("login")["key"], ticket_of("pay")["key"])
    read()
    assert incident(store(), "login")["mergedInto"] == incident_id("pay")
    assert incident(store(), "pay")["affectedSessions"] == 2
    read()
    assert (status("pay"), count_comments(site)) == ("confirmed", 0)


def test_a_duplicate_of_a_ticket_that_is_not_known_is_noted_once(site: Any) -> None:
    confirmed("pay")
    run()
    other = "acme/other#7" if isinstance(site, FakeForge) else "OTHER-7"
    if isinstance(site, FakeForge):
        site.projects["acme/other"] = {}
    site.duplicate(ticket_of()["key"], other)
    read()
    read()
    notes = [entry for entry in incident(store())["history"] if f"duplicate of {other}" in entry["reason"]]
    assert len(notes) == 1
    assert (status(), in_tracker()["duplicateOf"]) == ("confirmed", other)


def test_a_duplicate_of_what_is_being_filed_is_merged_later(site: Any) -> None:
    confirmed("pay", "login")
    run()
    site.duplicate(ticket_of("login")["key"], ticket_of("pay")["key"])
    sql(
        "UPDATE outbox SET state = 'claimed', lease_until = now() + interval '1 minute' WHERE incident_id = %s",
        incident_id("pay"),
    )
    read()
    assert incident(store(), "login")["mergedInto"] is None
    sql("UPDATE outbox SET state = 'filed', lease_until = NULL WHERE incident_id = %s", incident_id("pay"))
    read()
    assert incident(store(), "login")["mergedInto"] == incident_id("pay")


def test_a_state_that_nobody_named_is_shown_and_not_guessed(jira: FakeJira) -> None:
    confirmed("pay")
    run()
    key = ticket_of()["key"]
    jira.finish(key, resolution="Cannot Reproduce", name="Geparkt", closed=datetime.now(UTC).isoformat())
    read()
    assert (status(), in_tracker()["meaning"]) == ("confirmed", "unknown")
    (unknown,) = store().states.list_unknown_states()
    assert unknown == ("jira", "Geparkt", "Cannot Reproduce", 1, key)
    assert "Geparkt" in artifact()
    store().keys.save_project("shop", settings={"ticketStates": ["Cannot Reproduce = wontDo"]})
    read()
    assert status() == "suppressed"
    assert store().states.list_unknown_states() == []


def test_sessions_after_a_fix_that_is_learnt_late_are_a_regression_at_once(site: Any) -> None:
    confirmed("pay")
    run()
    read()
    finish(site, ticket_of()["key"])
    again("a", "b", "c", after=timedelta(seconds=90))
    read()
    assert [entry["to"] for entry in incident(store())["history"]][-2:] == ["resolved", "regressed"]
    run()
    assert is_open(site, ticket_of()["key"])
    assert count_comments(site) == 1


def test_the_version_of_the_fix_is_that_of_the_ticket_if_the_project_has_such_versions(jira: FakeJira) -> None:
    confirmed("pay", "login")
    run()
    keys = {name: ticket_of(name)["key"] for name in ("pay", "login")}
    finish(jira, keys["pay"], versions=["Web 2.7", "v2.5.1", "Big bang"])
    finish(jira, keys["login"], versions=["Big bang"])
    read()
    assert (incident(store(), "pay")["fixVersion"], incident(store(), "login")["fixVersion"]) == ("v2.5.1", None)
    assert "fix version Big bang" in last_line("login")[1]
    # Told after the ticket was closed.
    jira.finish(keys["login"], versions=["2.8"])
    read()
    assert (status("login"), incident(store(), "login")["fixVersion"]) == ("resolved", "2.8")


# Echoes
# ----------------------------------------------------------------------------------------------------------------------


def test_what_furrow_opened_again_is_no_news(site: Any) -> None:
    """It came back, Furrow opened the ticket, and a person resolved the incident before the ticket was read."""
    confirmed("pay")
    run()
    key = ticket_of()["key"]
    finish(site, key)
    read()
    again("later")
    run()
    assert is_open(site, key)
    store().ledger.apply_action(incident_id(), "resolve", "fixed again", "eve")
    read()
    assert (status(), last_line()) == ("resolved", ("eve", "fixed again"))


def test_a_ticket_that_stays_closed_does_not_resolve_what_came_back(site: Any) -> None:
    store().keys.save_project("shop", settings={"onRegression": "comment"})
    confirmed("pay")
    run()
    key = ticket_of()["key"]
    finish(site, key)
    read()
    again("later")
    run()
    read()
    assert (status(), is_open(site, key), count_comments(site)) == ("regressed", False, 1)
    site.age()
    read()
    assert status() == "regressed"


def test_a_new_ticket_follows_the_closed_one(site: Any) -> None:
    store().keys.save_project("shop", settings={"onRegression": "newTicket"})
    confirmed("pay")
    run()
    first = ticket_of()["key"]
    for turn in range(2):
        key = ticket_of()["key"]
        finish(site, key)
        read()
        again(f"again-{turn}", after=timedelta(hours=turn + 1))
        assert run().name == "Completed"
        assert (len(site.issues), is_open(site, key), is_open(site, ticket_of()["key"])) == (turn + 2, False, True)
        assert str(site.issues).count(", which was closed.") == turn + 1
    assert count_comments(site) == 2
    # Neither of them is taken for a second issue of the others, and the newest one is read.
    sql("UPDATE outbox SET check_at = now() - interval '1 hour'")
    read()
    assert len({first, key, ticket_of()["key"]}) == 3
    finish(site, ticket_of()["key"], at=datetime.now(UTC) + timedelta(hours=3))
    read()
    assert (status(), len(site.issues)) == ("resolved", 3)


def test_the_ticket_of_an_incident_that_a_person_merged_is_closed_once(site: Any) -> None:
    confirmed("pay", "login")
    run()
    keys = {name: ticket_of(name)["key"] for name in ("pay", "login")}
    store().merger.merge_incidents(incident_id("pay"), incident_id("login"), "the same", "eve")
    for _ in range(2):
        read()
    assert (is_open(site, keys["pay"]), is_open(site, keys["login"]), count_comments(site)) == (False, True, 1)
    assert "a second issue of the same incident" in list_comments(site)[0]
    assert (status("login"), incident(store(), "pay")["mergedInto"]) == ("confirmed", incident_id("login"))


def test_a_ticket_that_moved_with_a_merge_is_read(jira: FakeJira) -> None:
    confirmed("pay")
    run()
    confirmed("login")
    store().merger.merge_incidents(incident_id("pay"), incident_id("login"), "the same", "eve")
    finish(jira, ticket_of("login")["key"])
    read()
    assert status("login") == "resolved"


def test_what_one_tracker_says_is_told_to_the_other_only(jira: FakeJira, linear: FakeLinear) -> None:
    confirmed("pay")
    run()
    keys = {ticket["tracker"]: ticket["key"] for ticket in incident(store())["tickets"]}
    finish(jira, keys["jira"])
    read()
    assert status() == "resolved"
    jira.reopen(keys["jira"])
    read()
    assert status() == "confirmed"
    read()
    assert (count_comments(jira), count_comments(linear)) == (0, 1)
    assert "reopened by jira" in next(iter(linear.comments.values()))["body"]


# Faults and cost
# ----------------------------------------------------------------------------------------------------------------------


def test_a_tracker_that_is_away_is_read_when_it_is_back(site: Any) -> None:
    confirmed("pay")
    run()
    finish(site, ticket_of()["key"])
    site.faults = [Fault(is_reading, Answer(503, {}), times=10)]
    read()
    assert status() == "confirmed"
    assert "503" in artifact()
    site.faults = []
    read()
    assert status() == "resolved"


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_a_project_that_is_gone_keeps_only_its_own_tickets_unread(request: pytest.FixtureRequest, name: str) -> None:
    site = request.getfixturevalue(name)
    confirmed("pay", "login")
    run()
    read()
    key = ticket_of("login")["key"]
    sql("UPDATE outbox SET ticket_key = 'acme/gone#1' WHERE incident_id = %s", incident_id("login"))
    finish(site, ticket_of("pay")["key"])
    before = DEGRADED.labels("read_back", "PartlyRead")._value.get()
    read()
    assert (status("pay"), status("login")) == ("resolved", "confirmed")
    assert "acme/gone" in artifact()
    assert DEGRADED.labels("read_back", "PartlyRead")._value.get() == before + 1
    site.projects["acme/gone"] = {}
    site.issues["acme/gone#1"] = site.issues.pop(key) | {"project": "acme/gone", "number": 1}
    finish(site, "acme/gone#1")
    read()
    assert status("login") == "resolved"


def test_one_ticket_that_cannot_be_stored_does_not_keep_the_others(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    confirmed("a", "b", "c")
    run()
    for name in ("a", "b", "c"):
        finish(site, ticket_of(name)["key"])
    record_reading = TicketStates.record_reading

    def refuse_one(self: TicketStates, tracker: str, due: Any, *rest: Any) -> Any:
        if due.incident_id == incident_id("b"):
            raise PermanentError("out of order")
        return record_reading(self, tracker, due, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(TicketStates, "record_reading", refuse_one)
        read()
    assert [status(name) for name in ("a", "b", "c")] == ["resolved", "confirmed", "resolved"]
    assert "out of order" in artifact()
    read()
    assert status("b") == "resolved"


def test_a_kill_between_reading_and_storing_loses_nothing(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    confirmed("pay")
    run()
    read()
    finish(site, ticket_of()["key"])
    with monkeypatch.context() as patch:
        patch.setattr(TicketStates, "record_reading", die)
        with pytest.raises(Killed):
            read()
    assert status() == "confirmed"
    read()
    assert status() == "resolved"


def test_the_cost_follows_what_changed(site: Any) -> None:
    names = [f"f{n}" for n in range(12)]
    confirmed(*names)
    run()
    read()
    site.age()
    sql("UPDATE outbox SET read_at = now() - interval '10 minutes'")
    finish(site, ticket_of("f3")["key"])
    site.requests.clear()
    read()
    readings = [one for one in site.requests if is_reading(one)]
    assert len(readings) == 1
    assert [name for name in names if status(name) == "resolved"] == ["f3"]
    assert "tickets read back | 1" in artifact()
    run()
    assert len([one for one in site.requests if is_reading(one)]) == 1  # not due yet


def test_reading_leaves_the_pace_to_what_is_written(site: Any, setting: Any) -> None:
    confirmed("pay")
    run()
    sql("UPDATE tracker_gates SET tokens = 0, refilled_at = now()")
    setting(tracker_requests="1")
    site.requests.clear()
    read()
    assert [one for one in site.requests if is_reading(one)] == []
    assert "takes no request now" in artifact()


# The story of two weeks
# ----------------------------------------------------------------------------------------------------------------------


def test_two_weeks_day_by_day(site: Any) -> None:
    """A bug, its ticket, the fix in 2.5, old clients, the bug again, a duplicate, and one that nobody will mend."""
    days: list[tuple[str, bool, int]] = []

    def end_day() -> None:
        read()
        key = ticket_of()["key"]
        days.append((status(), is_open(site, key), count_comments(site)))
        site.age()
        sql("UPDATE outbox SET read_at = read_at - interval '1 day', noted_at = noted_at - interval '1 day'")

    confirmed("pay", "menu", "login")
    end_day()
    site.assign(ticket_of()["key"], "Ann")
    end_day()
    finish(site, ticket_of()["key"], versions=["2.5"])
    end_day()
    # Linear has no versions: there, old clients are those whose sessions began before the fix.
    again("old-1", "old-2", after=timedelta(hours=-1 if site.name == "linear" else 1), version="2.4.1")
    end_day()
    again("new-1")
    end_day()
    site.duplicate(ticket_of("login")["key"], ticket_of("pay")["key"])
    refuse(site, ticket_of("menu")["key"])
    end_day()
    finish(site, ticket_of()["key"], at=datetime.now(UTC) + timedelta(hours=2))
    end_day()
    assert days == [
        ("confirmed", True, 0),
        ("confirmed", True, 0),
        ("resolved", False, 0),
        ("resolved", False, 0),
        ("regressed", True, 1),
        ("regressed", True, 1),
        ("resolved", False, 1),
    ]
    assert (status("menu"), incident(store(), "login")["mergedInto"]) == ("suppressed", incident_id("pay"))
    assert {entry["actor"] for entry in incident(store())["history"]} == {"rule", site.name}
    assert len(site.issues) == 3
    assert export(return_state=True).name == "Completed"


# Reasons
# ----------------------------------------------------------------------------------------------------------------------


def list_comments(site: Any) -> list[str]:
    if isinstance(site, FakeLinear):
        return [comment["body"] for comment in site.comments.values()]
    return [str(comment["body"]) for issue in site.issues.values() for comment in issue["comments"]]


def test_each_tracker_is_told_the_reason_of_each_regression(jira: FakeJira, linear: FakeLinear) -> None:
    """Also when the words are the same twice, and when one tracker refused in between."""
    confirmed("pay")
    run()
    keys = {ticket["tracker"]: ticket["key"] for ticket in incident(store())["tickets"]}
    for turn in range(2):
        finish(jira, keys["jira"])
        finish(linear, keys["linear"])
        read()
        assert status() == "resolved"
        again(f"again-{turn}", after=timedelta(hours=turn + 1))
        linear.faults = [Fault(lambda one: fake_linear.operation(one) == "FurrowIssue", Answer(403, {"errors": []}))]
        run()
        linear.faults = []
        sql("UPDATE outbox SET retry_at = now() WHERE retry_at IS NOT NULL")
        run()
        assert (is_open(jira, keys["jira"]), is_open(linear, keys["linear"])) == (True, True)
        assert (len(list_comments(jira)), len(list_comments(linear))) == (turn + 1, turn + 1)
    reasons = [entry["reason"] for entry in incident(store())["history"] if entry["to"] == "regressed"]
    assert "came back: " in reasons[0]
    for body in [*list_comments(jira), *list_comments(linear)]:
        assert "came back: 1 session" in body
        assert "told" not in body
        assert "403" not in body


# Tickets that moved to another project
# ----------------------------------------------------------------------------------------------------------------------


def move(site: FakeGitHub | FakeGitLab, key: str) -> str:
    """Somebody moves it to another project; its new key."""
    if isinstance(site, FakeGitLab):
        return site.move(key, "acme/api")
    site.projects["acme/api"] = {}
    site.issues["acme/api#4"] = site.issues.pop(key) | {"project": "acme/api", "number": 4}
    site.moved[key] = "acme/api#4"
    return "acme/api#4"


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_a_ticket_that_moved_is_followed_and_never_filed_again(request: pytest.FixtureRequest, name: str) -> None:
    site = request.getfixturevalue(name)
    confirmed("pay")
    run()
    read()
    there = move(site, ticket_of()["key"])
    issues = len(site.issues)
    for _ in range(2):
        sql("UPDATE outbox SET check_at = now() - interval '1 hour'")
        assert read().name == "Completed"
    assert (status(), in_tracker()["meaning"]) == ("confirmed", "open")
    finish(site, there)
    read()
    assert status() == "resolved"
    assert last_line()[1].startswith(f"ticket {there} at {name} is closed")
    again("later")
    assert run().name == "Completed"
    read()
    assert (status(), is_open(site, there), count_comments(site)) == ("regressed", True, 1)
    # Furrow's own key stays; the link leads to where it is.
    assert (ticket_of()["state"], ticket_of()["key"]) == ("filed", "acme/shop#1")
    assert "/acme/api/" in ticket_of()["url"]
    sql("UPDATE outbox SET check_at = now() - interval '1 hour', checks_left = 1")
    assert read().name == "Completed"
    assert (len(site.issues), is_open(site, there), count_comments(site)) == (issues, True, 1)


def test_a_ticket_that_moved_out_of_sight_in_gitlab_is_shown_and_never_filed_again(gitlab: FakeGitLab) -> None:
    confirmed("pay")
    run()
    read()
    there = gitlab.move(ticket_of()["key"], "acme/secret")
    hidden = gitlab.projects.pop("acme/secret")
    sql("UPDATE outbox SET check_at = now() - interval '1 hour'")
    assert read().name == "Completed"
    assert (status(), in_tracker()["meaning"], in_tracker()["resolution"]) == ("confirmed", "unknown", "moved")
    store().ledger.apply_action(incident_id(), "resolve", "fixed", "eve")
    again("later")
    assert run().name == "Degraded"
    assert "moved to a project that the token's account may not see" in artifact()
    assert len(gitlab.issues) == 2
    gitlab.projects["acme/secret"] = hidden
    sql("UPDATE outbox SET retry_at = now() WHERE retry_at IS NOT NULL")
    ended = run()
    assert ended.name == "Completed", artifact()
    assert (ticket_of()["state"], len(gitlab.issues), len(gitlab.issues[there]["comments"])) == ("filed", 2, 1)
