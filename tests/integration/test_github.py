"""GitHub Issues against a GitHub that keeps issues on a real socket and compares each request with GitHub's description."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from tests.fakes.github import TOKEN, FakeGitHub, is_comment, is_create, is_list, secondary_limit
from tests.fakes.server import Answer, Fault
from tests.unit.trackers.incidents import incident
from trackers.forge import tracker as forge
from trackers.forge.text import read_identity
from trackers.forge.tracker import ForgeTracker
from trackers.gate import AccessRefused, MissingTicket, RateLimited, use_gate
from trackers.github import GitHubApi
from trackers.protocol import FindsTwins, KeepsFacts
from trackers.ticket import Ticket, build_ticket, growth_comment
from trackers.transport import Reach

IDENTITY = "furrow-0123456789abcdef0123456789abcdef"
KEY = "acme/shop#1"


@pytest.fixture(params=[False, True], ids=["github.com", "enterprise"])
def site(request: pytest.FixtureRequest) -> Iterator[FakeGitHub]:
    with FakeGitHub(enterprise=request.param) as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture
def tracker(site: FakeGitHub) -> Iterator[ForgeTracker]:
    made = connect(site)
    yield made
    made.close()


def connect(site: FakeGitHub, repository: str = "acme/shop", **repositories: str) -> ForgeTracker:
    api = GitHubApi(SecretStr(TOKEN), site.url, Reach())
    return ForgeTracker(api, repository, repositories, lag=(0.0, 0.0))


def ticket(**changes: Any) -> Ticket:
    return build_ticket(incident(**changes), "https://furrow.test")


def regressed() -> Ticket:
    history = [{"from": "resolved", "to": "regressed", "reason": "4 sessions that started after the fix"}]
    return ticket(status="regressed", history=history, generation=1)


def test_a_ticket_is_created_with_everything_that_it_is_known_by(site: FakeGitHub, tracker: ForgeTracker) -> None:
    filed = tracker.file_ticket(ticket(), uuid4())
    assert filed.key == KEY
    assert filed.url == f"{site.address}/acme/shop/issues/1"  # never the address of an answer
    (issue,) = site.issues.values()
    assert issue["title"].replace("\u200c", "") == ticket().title
    assert issue["labels"] == ["furrow", "high", "bug", "checkout", "P1"]
    assert issue["body"].startswith(f"<!-- {IDENTITY} -->\n## What users tried")
    assert filed.shown is not None
    assert (filed.shown.title, filed.shown.priority) == (issue["title"], "P1")


def test_each_project_of_furrow_has_its_repository(site: FakeGitHub) -> None:
    site.projects["acme/bank"] = {}
    tracker = connect(site, bank="acme/bank")
    assert tracker.file_ticket(ticket(projectId="bank"), uuid4()).key == "acme/bank#1"
    assert tracker.file_ticket(ticket(incidentId="inc_2"), uuid4()).key == KEY
    tracker.close()


@pytest.mark.parametrize(
    "path", ["acme", "acme/shop/x", "../shop", "acme/..", "acme/sh op", "https://x/y", "acme/shop#1"]
)
def test_a_path_that_is_none_is_refused(site: FakeGitHub, path: str) -> None:
    with pytest.raises(PermanentError, match="is no path of a GitHub repository"):
        connect(site, path).file_ticket(ticket(), uuid4())
    assert site.requests == []


@pytest.mark.parametrize("lag", [0, 2])
def test_a_lost_answer_makes_no_second_ticket(site: FakeGitHub, lag: int) -> None:
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


def test_without_patience_it_is_looked_for_once(site: FakeGitHub, tracker: ForgeTracker) -> None:
    assert tracker.find_ticket(ticket(), uuid4(), patient=False) is None
    assert len(site.requests) == 1


def test_what_was_listed_is_not_listed_again(site: FakeGitHub, tracker: ForgeTracker) -> None:
    for number in range(250):
        older = site.make("acme/shop", "an older one", f"<!-- furrow-{number} -->\n", ["furrow"])
        older["updated"] = "2024-01-01T00:00:00Z" if number == 100 else "2023-01-01T00:00:00Z"
    assert tracker.file_ticket(ticket(incidentId="inc_7"), uuid4()).key == "acme/shop#8"
    assert len(site.requests) == 3
    assert tracker.file_ticket(ticket(), uuid4()).key == "acme/shop#251"
    assert len(site.requests) == 5
    assert site.requests[3].query["since"] == ["2023-12-31T23:50:00Z"]


def test_an_identity_in_the_text_of_somebody_is_none(site: FakeGitHub, tracker: ForgeTracker) -> None:
    site.add(body=f"look: \n<!-- {IDENTITY} -->\n", labels=("furrow",))
    assert tracker.file_ticket(ticket(), uuid4()).key == "acme/shop#2"


def test_the_answer_for_another_issue_is_not_recorded(site: FakeGitHub, tracker: ForgeTracker) -> None:
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


def test_a_recurrence_is_told_once_and_reopens(site: FakeGitHub, tracker: ForgeTracker) -> None:
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


def test_a_comment_is_found_behind_many_others(site: FakeGitHub, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.issues[KEY]["comments"] += [{"id": number, "body": "+1"} for number in range(230)]
    for _ in range(2):
        tracker.add_note(KEY, "growth", growth_comment(ticket(), 3))
    assert len(site.issues[KEY]["comments"]) == 231


def test_states(site: FakeGitHub, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    assert tracker.fetch_ticket_state(KEY).kind == "open"
    site.finish(KEY)
    state = tracker.fetch_ticket_state(KEY)
    assert (state.kind, state.since) == ("done", datetime(2024, 2, 1, 9, 30, tzinfo=UTC))
    site.delete(KEY)
    assert tracker.fetch_ticket_state(KEY).kind == "missing"
    assert tracker.fetch_ticket_state("acme/shop#99").kind == "missing"


def test_facts_are_written_where_no_person_changed_them(site: FakeGitHub, tracker: ForgeTracker) -> None:
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


def test_nothing_is_written_when_nothing_changed(site: FakeGitHub, tracker: ForgeTracker) -> None:
    shown = tracker.file_ticket(ticket(), uuid4()).shown
    assert shown is not None
    assert tracker.update_facts(KEY, ticket(), shown) == shown
    assert not [request for request in site.requests if request.method == "PATCH"]


def test_a_deleted_issue_is_missing_and_a_hidden_repository_refuses(site: FakeGitHub, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.delete(KEY)
    with pytest.raises(MissingTicket, match="acme/shop#1 does not exist in GitHub any more"):
        tracker.report_recurrence(KEY, regressed())
    del site.projects["acme/shop"]
    with pytest.raises(AccessRefused, match="neither can acme/shop"):
        tracker.report_recurrence(KEY, regressed())


def test_an_issue_that_was_transferred_is_followed(site: FakeGitHub, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.projects["acme/api"] = {}
    issue = site.issues.pop(KEY) | {"project": "acme/api", "number": 4}
    site.issues["acme/api#4"] = issue
    site.moved[KEY] = "acme/api#4"
    filed = tracker.report_recurrence(KEY, regressed())
    assert (filed.key, len(issue["comments"])) == ("acme/api#4", 1)


def test_a_redirect_elsewhere_takes_no_token_along(site: FakeGitHub, tracker: ForgeTracker) -> None:
    with FakeGitHub() as other:
        there = Answer(301, {}, {"Location": f"{other.url}/repos/acme/shop/issues/1"})
        site.faults = [Fault(lambda request: request.method == "GET", there)]
        with pytest.raises(PermanentError, match=r"a redirect to 127\.0\.0\.1"):
            tracker.fetch_ticket_state(KEY)
        assert other.requests == []


# Second issues
# ----------------------------------------------------------------------------------------------------------------------


def test_a_create_that_a_proxy_repeats_is_found_and_closed(site: FakeGitHub, tracker: ForgeTracker) -> None:
    assert isinstance(tracker, FindsTwins)
    site.faults = [Fault(is_create, replayed=True)]
    tracker.file_ticket(ticket(), uuid4())
    tracker.file_ticket(ticket(incidentId="inc_2"), uuid4())
    found = tracker.find_twins([ticket(), ticket(incidentId="inc_2")])
    assert found == {ticket().incident_id: [KEY, "acme/shop#2"], "inc_2": ["acme/shop#3"]}
    for _ in range(2):
        tracker.close_twin("acme/shop#2", KEY, ticket())
    twin = site.issues["acme/shop#2"]
    assert (twin["open"], twin["reason"], len(twin["comments"])) == (False, "duplicate", 1)
    assert f"{site.address}/acme/shop/issues/1" in twin["comments"][0]["body"]
    assert site.issues[KEY]["open"]


def test_an_older_enterprise_knows_no_duplicates(site: FakeGitHub, tracker: ForgeTracker) -> None:
    site.known_reasons -= {"duplicate"}
    site.faults = [Fault(is_create, replayed=True)]
    tracker.file_ticket(ticket(), uuid4())
    tracker.close_twin("acme/shop#2", KEY, ticket())
    assert site.issues["acme/shop#2"]["reason"] == "not_planned"


def test_the_copy_of_a_person_is_no_second_issue(site: FakeGitHub, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.make("acme/shop", "a copy", site.issues[KEY]["body"], ["furrow"], author=77)
    assert tracker.find_twins([ticket()]) == {ticket().incident_id: [KEY]}


# Refusals and limits
# ----------------------------------------------------------------------------------------------------------------------


class Waits:
    """A gate that notes how long the tracker is to be left alone."""

    def __init__(self) -> None:
        self.closed: list[float] = []

    def wait_for_turn(self) -> None:
        """Nothing to wait for."""

    def close(self, seconds: float, reason: str) -> None:
        self.closed.append(round(seconds))

    def check_lease(self) -> None:
        """It is ours."""


def epoch(seconds: float) -> str:
    return str(int(datetime.now(UTC).timestamp() + seconds))


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(403, {"message": "no"}, {"Retry-After": "7"}), 7),
        (Answer(429, {"message": "no"}, {"Retry-After": "7"}), 7),
        (secondary_limit(**{"Retry-After": "7"}), 7),
        (secondary_limit(), 60),
        (Answer(403, {"message": "API rate limit exceeded"}, {"x-ratelimit-remaining": "0"}), 60),
    ],
    ids=["403", "429", "secondary", "secondary without a time", "without a reset"],
)  # fmt: skip
def test_a_limit_is_waited_for_and_is_no_refusal(
    site: FakeGitHub, tracker: ForgeTracker, answer: Answer, seconds: int
) -> None:
    site.faults = [Fault(is_create, answer)]
    gate = Waits()
    with use_gate(gate):
        assert tracker.file_ticket(ticket(), uuid4()).key == KEY
    assert gate.closed == [seconds]


def test_a_limit_that_is_used_up_waits_until_it_is_renewed(site: FakeGitHub, tracker: ForgeTracker) -> None:
    used_up = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": epoch(30)}
    site.faults = [Fault(is_list, Answer(403, {"message": "API rate limit exceeded for user ID 1."}, used_up))]
    with pytest.raises(RateLimited, match="GitHub answered 403: API rate limit exceeded") as limit:
        tracker.file_ticket(ticket(), uuid4())
    assert limit.value.retry_after == pytest.approx(30, abs=2)
    gate, issue = Waits(), site.make("acme/shop", "t", f"<!-- {IDENTITY} -->\n", ["furrow"])
    site.faults = [Fault(is_list, Answer(200, [site.shown(issue)], {**used_up, "x-ratelimit-reset": epoch(30)}))]
    with use_gate(gate):
        assert tracker.file_ticket(ticket(), uuid4()).key == KEY
    assert gate.closed == [pytest.approx(30, abs=2)]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(401, {"message": "Bad credentials"}), AccessRefused, "GitHub answered 401: Bad credentials"),
        (Answer(403, {"message": "Resource not accessible by personal access token"}), AccessRefused, "403: Resource not"),
        (Answer(404, {"message": "Not Found"}), AccessRefused, "repository acme/shop: GitHub answered 404"),
        (Answer(410, {"message": "Issues are disabled for this repo"}), AccessRefused, "410: Issues are disabled"),
        (Answer(422, {"message": "Validation Failed", "errors": [{"field": "title", "code": "missing"}]}),
         PermanentError, "422: Validation Failed; title: missing"),
        (Answer(502, "<html>"), TransientError, "GitHub answered 502"),
        (Answer(201, "<html><title>Log in</title>"), TransientError, "something else than JSON"),
        (Answer(201, {"number": "one"}), TransientError, "an unknown form when asked to create the issue"),
    ],
    ids=lambda one: str(one.status) if isinstance(one, Answer) else "",
)  # fmt: skip
def test_refusals_are_in_its_own_words(
    site: FakeGitHub, tracker: ForgeTracker, answer: Answer, kind: type[Exception], words: str
) -> None:
    site.faults = [Fault(is_create, answer)]
    with pytest.raises(kind) as refusal:
        tracker.file_ticket(ticket(), uuid4())
    assert words in str(refusal.value)
    assert TOKEN not in str(refusal.value)


def test_labels_that_are_dropped_are_counted_and_the_ticket_is_filed(
    site: FakeGitHub, tracker: ForgeTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, str]] = []
    monkeypatch.setattr(forge, "count_degraded", lambda *what: counted.append(what))
    site.may_label = False
    assert tracker.file_ticket(ticket(), uuid4()).key == KEY
    assert counted == [("github", "unlabelled_ticket")]
    with pytest.raises(PermanentError, match="may not set labels"):
        tracker.check_access()
    site.may_label = True
    assert tracker.file_ticket(ticket(incidentId="inc_2"), uuid4()).key == "acme/shop#2"
    assert len(counted) == 1


def test_access_is_checked_with_reading_requests(site: FakeGitHub, tracker: ForgeTracker) -> None:
    assert tracker.check_access() == "repository acme/shop, as furrow-bot"
    assert {request.method for request in site.requests} == {"GET"}
    app = Answer(403, {"message": "Resource not accessible by integration"})
    site.faults = [Fault(lambda request: request.path.endswith("/user"), app)]
    assert tracker.check_access() == "repository acme/shop, as an app"
    site.projects["acme/shop"] = {"archived": True}
    with pytest.raises(PermanentError, match="acme/shop is archived"):
        tracker.check_access()
    site.projects["acme/shop"] = {"has_issues": False}
    with pytest.raises(PermanentError, match="acme/shop has no issues"):
        tracker.check_access()


def test_where_people_see_issues() -> None:
    def url(api: str) -> str:
        return GitHubApi(SecretStr(TOKEN), api, Reach()).issue_url("acme/shop", 3)

    assert url("https://api.github.com") == "https://github.com/acme/shop/issues/3"
    assert url("https://github.invalid/api/v3/") == "https://github.invalid/acme/shop/issues/3"
    assert url("https://api.acme.ghe.com") == "https://acme.ghe.com/acme/shop/issues/3"
