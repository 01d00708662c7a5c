"""What GitHub and GitLab have in common, against servers that keep issues and compare each request with its description."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from core.errors import PermanentError, TransientError
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.server import Answer, Fault
from tests.integration.forge_cases import IDENTITY, KEY, Site, connect, is_comment, is_create, regressed, ticket
from trackers.document import Paragraph
from trackers.forge import tracker as forge
from trackers.forge.text import read_identity
from trackers.forge.tracker import ForgeTracker
from trackers.gate import AccessRefused, MissingTicket
from trackers.protocol import FindsTwins, KeepsFacts
from trackers.ticket import growth_comment

ISSUES = {"github": "issues", "gitlab": "-/issues"}


@pytest.fixture(params=["github.com", "enterprise", "gitlab"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with FakeGitLab() if request.param == "gitlab" else FakeGitHub(request.param == "enterprise") as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture
def tracker(site: Site) -> Iterator[ForgeTracker]:
    made = connect(site)
    yield made
    made.close()


def test_a_ticket_is_created_with_everything_that_it_is_known_by(site: Site, tracker: ForgeTracker) -> None:
    filed = tracker.file_ticket(ticket(), uuid4())
    assert filed.key == KEY
    assert filed.url == f"{site.address}/acme/shop/{ISSUES[site.name]}/1"  # never the address of an answer
    (issue,) = site.issues.values()
    assert issue["title"].replace("\u200c", "") == ticket().title
    assert issue["labels"] == ["furrow", "high", "bug", "checkout", "P1"]
    assert issue["body"].startswith(f"<!-- {IDENTITY} -->\n## What users tried")
    assert filed.shown is not None
    assert (filed.shown.title, filed.shown.priority) == (issue["title"], "P1")


def test_each_project_of_furrow_has_its_own(site: Site) -> None:
    site.projects["acme/bank"] = {}
    tracker = connect(site, bank="acme/bank")
    assert tracker.file_ticket(ticket(projectId="bank"), uuid4()).key == "acme/bank#1"
    assert tracker.file_ticket(ticket(incidentId="inc_2"), uuid4()).key == KEY
    tracker.close()


@pytest.mark.parametrize("lag", [0, 2])
def test_a_lost_answer_makes_no_second_ticket(site: Site, lag: int) -> None:
    client_id, site.lag = uuid4(), lag
    site.faults = [Fault(is_create, lost=True)]
    with pytest.raises(TransientError, match="did not answer"):
        connect(site).file_ticket(ticket(), client_id)
    again = connect(site)
    found = again.find_ticket(ticket(), client_id)
    assert found is not None
    assert found.key == KEY
    assert again.file_ticket(ticket(), client_id) == found
    assert len(site.issues) == 1


def test_without_patience_it_is_looked_for_once(site: Site, tracker: ForgeTracker) -> None:
    assert tracker.find_ticket(ticket(), uuid4(), patient=False) is None
    assert len(site.requests) == 1


def test_what_was_listed_is_not_listed_again(site: Site, tracker: ForgeTracker) -> None:
    for number in range(250):
        older = site.make("acme/shop", "an older one", f"<!-- furrow-{number} -->\n", ["furrow"])
        older["updated"] = "2024-01-01T00:00:00Z" if number == 100 else "2023-01-01T00:00:00Z"
    assert tracker.file_ticket(ticket(incidentId="inc_7"), uuid4()).key == "acme/shop#8"
    assert len(site.requests) == 3
    assert tracker.file_ticket(ticket(), uuid4()).key == "acme/shop#251"
    assert len(site.requests) == 5
    assert site.requests[3].query["since" if isinstance(site, FakeGitHub) else "updated_after"] == [
        "2023-12-31T23:50:00Z"
    ]


def test_an_identity_in_the_text_of_somebody_is_none(site: Site, tracker: ForgeTracker) -> None:
    site.add(body=f"look: \n<!-- {IDENTITY} -->\n", labels=("furrow",))
    assert tracker.file_ticket(ticket(), uuid4()).key == "acme/shop#2"


def test_the_answer_for_another_issue_is_not_recorded(site: Site, tracker: ForgeTracker) -> None:
    other = site.make("acme/shop", "another", "<!-- furrow-other -->\n", ["furrow"])
    site.faults = [Fault(is_create, Answer(201, site.shown(other)))]
    with pytest.raises(TransientError, match="another issue \\(acme/shop#1\\)"):
        tracker.file_ticket(ticket(), uuid4())
    site.faults = [Fault(lambda request: request.path.endswith("/issues/5"), Answer(200, site.shown(other)))]
    with pytest.raises(TransientError, match="another issue than acme/shop#5"):
        tracker.report_recurrence("acme/shop#5", regressed())
    assert not other["comments"]


# What a ticket is told later
# ----------------------------------------------------------------------------------------------------------------------


def test_a_recurrence_is_told_once_and_reopens(site: Site, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.finish(KEY)
    site.faults = [Fault(is_comment, lost=True)]
    with pytest.raises(TransientError):
        tracker.report_recurrence(KEY, regressed())
    for _ in range(2):
        assert tracker.report_recurrence(KEY, regressed()).key == KEY
    (comment,) = site.issues[KEY]["comments"]
    assert "4 sessions that started after the fix" in comment["body"]
    assert site.issues[KEY]["open"]


def test_a_recurrence_that_reopens_nothing_says_what_it_saw(site: Site, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    quiet = replace(regressed(), reopens=False)
    assert tracker.report_recurrence(KEY, quiet).is_open
    site.finish(KEY)
    assert not tracker.report_recurrence(KEY, quiet).is_open
    assert not site.issues[KEY]["open"]
    assert tracker.report_recurrence(KEY, regressed()).is_open
    assert site.issues[KEY]["open"]


def test_a_ticket_that_moved_with_a_merge_is_known_by_its_first_identity(site: Site, tracker: ForgeTracker) -> None:
    filed = tracker.file_ticket(ticket(), uuid4())
    merged = replace(ticket(), incident_id="inc_" + "9" * 32, identity=ticket().incident_id)
    assert tracker.find_ticket(merged, uuid4(), patient=False) == filed
    follower = replace(ticket(), replaces=KEY, follows=True)
    assert tracker.find_ticket(follower, uuid4(), patient=False) is None


def test_a_text_of_a_template_takes_the_place_of_the_built_in_one(site: Site, tracker: ForgeTracker) -> None:
    own = replace(ticket(), text=(Paragraph(("In our words",)),))
    tracker.file_ticket(own, uuid4())
    assert "In our words" in site.issues[KEY]["body"]
    assert read_identity(site.issues[KEY]["body"]) == IDENTITY


def test_a_comment_is_found_behind_many_others(site: Site, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.issues[KEY]["comments"] += [{"id": number, "body": "+1"} for number in range(230)]
    for _ in range(2):
        tracker.add_note(KEY, "growth", growth_comment(ticket(), 3))
    assert len(site.issues[KEY]["comments"]) == 231


def test_a_comment_of_somebody_else_stands_for_none(site: Site, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    tracker.add_note(KEY, "growth", growth_comment(ticket(), 3))
    (ours,) = site.issues[KEY]["comments"]
    site.issues[KEY]["comments"] = [ours | {"user": {"id": 77}, "author": {"id": 77}}]
    for _ in range(2):
        tracker.add_note(KEY, "growth", growth_comment(ticket(), 3))
    assert len(site.issues[KEY]["comments"]) == 2


def test_states(site: Site, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    assert tracker.fetch_ticket_state(KEY).kind == "open"
    site.finish(KEY)
    state = tracker.fetch_ticket_state(KEY)
    assert (state.kind, state.since) == ("done", datetime(2024, 2, 1, 9, 30, tzinfo=UTC))
    site.delete(KEY)
    assert tracker.fetch_ticket_state(KEY).kind == "missing"
    assert tracker.fetch_ticket_state("acme/shop#99").kind == "missing"


def test_facts_are_written_where_no_person_changed_them(site: Site, tracker: ForgeTracker) -> None:
    assert isinstance(tracker, KeepsFacts)
    shown = tracker.file_ticket(ticket(), uuid4()).shown
    assert shown is not None
    grown = ticket(title="now 90 sessions", affectedSessions=90, priority="P0")
    now = tracker.update_facts(KEY, grown, shown)
    issue = site.issues[KEY]
    assert (issue["title"], now.title, now.priority) == ("now 90 sessions", "now 90 sessions", "P0")
    assert "90 sessions" in issue["body"]
    assert read_identity(issue["body"]) == IDENTITY
    assert issue["labels"] == ["furrow", "high", "bug", "checkout", "P0"]
    issue |= {"title": "mine", "body": f"{issue['body']}\nmine", "labels": ["furrow", "P3"]}
    sent = len(site.requests)
    assert tracker.update_facts(KEY, ticket(title="more", affectedSessions=95), now) == now
    assert (issue["title"], issue["labels"]) == ("mine", ["furrow", "P3"])
    assert len(site.requests) == sent + 1


def test_nothing_is_written_when_nothing_changed(site: Site, tracker: ForgeTracker) -> None:
    shown = tracker.file_ticket(ticket(), uuid4()).shown
    assert shown is not None
    assert tracker.update_facts(KEY, ticket(), shown) == shown
    assert not [request for request in site.requests if request.method in ("PATCH", "PUT")]


def test_a_deleted_issue_is_missing_and_a_hidden_project_refuses(site: Site, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.delete(KEY)
    with pytest.raises(MissingTicket, match=r"acme/shop#1 does not exist in Git(Hub|Lab) any more"):
        tracker.report_recurrence(KEY, regressed())
    del site.projects["acme/shop"]
    with pytest.raises(AccessRefused, match="neither can acme/shop"):
        tracker.report_recurrence(KEY, regressed())


# Second issues
# ----------------------------------------------------------------------------------------------------------------------


def test_a_create_that_a_proxy_repeats_is_found_and_closed(site: Site, tracker: ForgeTracker) -> None:
    assert isinstance(tracker, FindsTwins)
    site.faults = [Fault(is_create, replayed=True)]
    tracker.file_ticket(ticket(), uuid4())
    tracker.file_ticket(ticket(incidentId="inc_2"), uuid4())
    found = tracker.find_twins([ticket(), ticket(incidentId="inc_2")])
    assert found == {ticket().incident_id: [KEY, "acme/shop#2"], "inc_2": ["acme/shop#3"]}
    for _ in range(2):
        tracker.close_twin("acme/shop#2", KEY, ticket())
    twin = site.issues["acme/shop#2"]
    assert (twin["open"], len(twin["comments"])) == (False, 1)
    assert f"{site.address}/acme/shop/{ISSUES[site.name]}/1" in twin["comments"][0]["body"]
    assert site.issues[KEY]["open"]


def test_the_copy_of_a_person_is_no_second_issue(site: Site, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.make("acme/shop", "a copy", site.issues[KEY]["body"], ["furrow"], author=77)
    assert tracker.find_twins([ticket()]) == {ticket().incident_id: [KEY]}


def test_labels_that_are_dropped_are_counted_and_the_ticket_is_filed(
    site: Site, tracker: ForgeTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, str]] = []
    monkeypatch.setattr(forge, "count_degraded", lambda *what: counted.append(what))
    site.may_label = False
    assert tracker.file_ticket(ticket(), uuid4()).key == KEY
    assert counted == [(site.name, "unlabelled_ticket")]
    with pytest.raises(PermanentError, match="may not set labels"):
        tracker.check_access()
    site.may_label = True
    assert tracker.file_ticket(ticket(incidentId="inc_2"), uuid4()).key == "acme/shop#2"
    assert len(counted) == 1
