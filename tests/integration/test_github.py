"""GitHub Issues against a GitHub that keeps issues on a real socket and compares each request with GitHub's description.

`tests.integration.test_forges` has what GitLab does as well.
"""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from tests.fakes.github import TOKEN, FakeGitHub, is_create, is_list, secondary_limit
from tests.fakes.server import Answer, Fault
from tests.integration.forge_cases import IDENTITY, KEY, Waits, connect, epoch, regressed, ticket
from trackers.forge.tracker import ForgeTracker
from trackers.gate import AccessRefused, RateLimited, use_gate
from trackers.github import GitHubApi
from trackers.transport import Reach


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


@pytest.mark.parametrize(
    "path", ["acme", "acme/shop/x", "../shop", "acme/..", "acme/sh op", "https://x/y", "acme/shop#1"]
)
def test_a_path_that_is_none_is_refused(site: FakeGitHub, path: str) -> None:
    with pytest.raises(PermanentError, match="is no path of a GitHub repository"):
        connect(site, path).file_ticket(ticket(), uuid4())
    assert site.requests == []


def test_an_issue_that_was_transferred_is_followed(site: FakeGitHub, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.projects["acme/api"] = {}
    issue = site.issues.pop(KEY) | {"project": "acme/api", "number": 4}
    site.issues["acme/api#4"] = issue
    site.moved[KEY] = "acme/api#4"
    filed = tracker.report_recurrence(KEY, regressed())
    assert (filed.key, len(issue["comments"])) == (KEY, 1)
    assert filed.url.endswith("/acme/api/issues/4")


def test_a_repository_that_was_renamed_is_named(site: FakeGitHub, tracker: ForgeTracker) -> None:
    there = Answer(301, {}, {"Location": f"{site.url}/repositories/9/issues"})
    site.faults = [Fault(is_list, there)]
    with pytest.raises(AccessRefused, match="repository acme/shop: GitHub answered 301: it has moved; check its name"):
        tracker.file_ticket(ticket(), uuid4())


def test_a_redirect_elsewhere_takes_no_token_along(site: FakeGitHub, tracker: ForgeTracker) -> None:
    with FakeGitHub() as other:
        there = Answer(301, {}, {"Location": f"{other.url}/repos/acme/shop/issues/1"})
        site.faults = [Fault(lambda request: request.method == "GET", there)]
        with pytest.raises(PermanentError, match=r"a redirect to 127\.0\.0\.1"):
            tracker.fetch_ticket_state(KEY)
        assert other.requests == []


def test_an_older_enterprise_knows_no_duplicates(site: FakeGitHub, tracker: ForgeTracker) -> None:
    site.known_reasons -= {"duplicate"}
    site.faults = [Fault(is_create, replayed=True)]
    tracker.file_ticket(ticket(), uuid4())
    tracker.close_twin("acme/shop#2", KEY, ticket())
    assert site.issues["acme/shop#2"]["reason"] == "not_planned"


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


def test_a_time_of_renewal_alone_is_no_request_to_wait(site: FakeGitHub, tracker: ForgeTracker) -> None:
    much = {"x-ratelimit-remaining": "4987", "x-ratelimit-reset": epoch(3_000)}
    site.faults = [Fault(is_create, Answer(502, "", much))]
    with pytest.raises(TransientError) as error:
        tracker.file_ticket(ticket(), uuid4())
    assert error.value.retry_after is None
    site.faults = [Fault(is_create, secondary_limit(**much))]
    with pytest.raises(RateLimited) as limit:
        tracker.file_ticket(ticket(), uuid4())
    assert limit.value.retry_after == 60


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
