"""GitLab Issues against a GitLab that keeps issues on a real socket, carries out quick actions, and compares each request.

`tests.integration.test_forges` has what GitHub does as well.
"""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from tests.fakes.gitlab import TOKEN, FakeGitLab, is_create, is_list
from tests.fakes.server import Answer, Fault
from tests.integration.forge_cases import KEY, Waits, connect, epoch, regressed, ticket
from trackers.document import CodeBlock, Paragraph
from trackers.forge.tracker import ForgeTracker
from trackers.gate import AccessRefused, RateLimited, use_gate
from trackers.gitlab import GitLabApi
from trackers.protocol import Shown
from trackers.transport import Reach


@pytest.fixture
def site() -> Iterator[FakeGitLab]:
    with FakeGitLab() as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture
def tracker(site: FakeGitLab) -> Iterator[ForgeTracker]:
    made = connect(site)
    yield made
    made.close()


def test_groups_in_groups(site: FakeGitLab) -> None:
    site.projects["acme/web/shop"] = {}
    tracker = connect(site, "acme/web/shop")
    filed = tracker.file_ticket(ticket(), uuid4())
    assert (filed.key, filed.url) == ("acme/web/shop#1", f"{site.address}/acme/web/shop/-/issues/1")
    assert tracker.fetch_ticket_state(filed.key).kind == "open"
    tracker.close()


@pytest.mark.parametrize(
    "path", ["acme", "acme/../shop", "acme/.x", "acme/sh op", "https://x/y", "acme/shop#1", "acme/%2e"]
)
def test_a_path_that_is_none_is_refused(site: FakeGitLab, path: str) -> None:
    with pytest.raises(PermanentError, match="is no path of a GitLab project"):
        connect(site, path).file_ticket(ticket(), uuid4())
    assert site.requests == []


@pytest.mark.parametrize("text", ["/close", "/close ```", "/assign @root", "x\n/label ~y", "/spend 3h ````"])
def test_text_of_browsers_is_no_quick_action(site: FakeGitLab, tracker: ForgeTracker, text: str) -> None:
    point = {"route": text, "target": text, "feedback": text}
    example = ticket_example(text)
    hostile = ticket(title=text, label=text, failurePoint=point, examples=[example])
    tracker.file_ticket(hostile, uuid4())
    tracker.add_note(KEY, "growth", (Paragraph((text,)), CodeBlock(text)))
    tracker.report_recurrence(KEY, ticket(status="regressed", failurePoint=point, examples=[example]))
    assert site.actions == []
    site.handle_text("/close")
    assert site.actions == ["close"]


def ticket_example(text: str) -> dict[str, object]:
    """An example session in which everything is ``text``."""
    step = {"offsetMs": 0, "eventType": text, "route": text, "target": text, "text": text}
    return {
        "sessionId": text, "timestamp": text, "score": 90, "explanation": text,
        "points": [{"rule": text, "points": 5}], "timeline": [step],
    }  # fmt: skip


def test_a_second_issue_is_linked_with_the_first(site: FakeGitLab, tracker: ForgeTracker) -> None:
    site.faults = [Fault(is_create, replayed=True)]
    tracker.file_ticket(ticket(), uuid4())
    tracker.close_twin("acme/shop#2", KEY, ticket())
    assert site.links == [("acme/shop#2", KEY)]
    assert not site.issues["acme/shop#2"]["open"]


def test_without_links_it_is_closed_all_the_same(site: FakeGitLab, tracker: ForgeTracker) -> None:
    site.faults = [Fault(is_create, replayed=True)]
    tracker.file_ticket(ticket(), uuid4())
    site.faults = [Fault(lambda request: request.path.endswith("/links"), Answer(403, {"message": "403 Forbidden"}))]
    tracker.close_twin("acme/shop#2", KEY, ticket())
    assert not site.issues["acme/shop#2"]["open"]


def test_an_issue_that_moved_is_followed(site: FakeGitLab, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    there = site.move(KEY, "acme/infra/api")
    site.finish(there)
    filed = tracker.report_recurrence(KEY, regressed())
    assert (filed.key, filed.url, filed.is_open) == (KEY, f"{site.address}/acme/infra/api/-/issues/1", True)
    assert tracker.fetch_ticket_state(KEY).kind == "open"
    tracker.add_note(KEY, "growth", (Paragraph(("more",)),))
    assert (site.issues[KEY]["open"], site.issues[there]["open"]) == (False, True)
    assert len(site.issues[there]["comments"]) == 2
    # What it left behind is no second issue, and nobody files another one.
    assert tracker.find_twins([ticket()]) == {}
    assert tracker.file_ticket(ticket(), uuid4()).key == KEY
    assert [key for key in site.issues if not site.issues[key].get("moved_to")] == [there]


def test_an_issue_that_came_back_is_not_closed_as_its_own_duplicate(site: FakeGitLab, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    back = site.move(site.move(KEY, "acme/api"), "acme/shop")
    assert back == "acme/shop#2"
    assert tracker.find_twins([ticket()]) == {}
    # A second issue is one all the same, also when the first is out of sight.
    site.make("acme/shop", "a replay", site.issues[KEY]["body"], ["furrow"])
    assert tracker.find_twins([ticket()]) == {ticket().incident_id: ["acme/shop#3"]}
    hidden = site.projects.pop("acme/api")
    assert tracker.find_twins([ticket()]) == {ticket().incident_id: [back, "acme/shop#3"]}
    site.projects["acme/api"] = hidden
    # Who opens what is left behind again works on that.
    site.reopen(KEY)
    assert tracker.report_recurrence(KEY, regressed()).url.endswith("/acme/shop/-/issues/1")


def test_an_issue_that_moved_out_of_sight_is_not_taken_for_deleted(site: FakeGitLab, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    there = site.move(KEY, "acme/secret")
    hidden = site.projects.pop("acme/secret")
    for write in (
        lambda: tracker.report_recurrence(KEY, regressed()),
        lambda: tracker.update_facts(KEY, ticket(), Shown()),
    ):
        with pytest.raises(AccessRefused, match="acme/shop#1 moved to a project that the token's account may not see"):
            write()
    assert tracker.fetch_ticket_state(KEY).kind == "archived"
    site.projects["acme/secret"] = hidden
    assert tracker.report_recurrence(KEY, regressed()).url.endswith("/acme/secret/-/issues/1")
    assert (len(site.issues), len(site.issues[there]["comments"])) == (2, 1)


def test_a_ticket_that_was_deleted_where_it_moved_to_is_not_replaced_by_what_it_left_behind(
    site: FakeGitLab, tracker: ForgeTracker
) -> None:
    tracker.file_ticket(ticket(), uuid4())
    there = site.move(KEY, "acme/api")
    site.delete(there)
    assert tracker.file_ticket(replace(ticket(), replaces=there), uuid4()).key == "acme/shop#2"


def test_limits_are_waited_for(site: FakeGitLab, tracker: ForgeTracker) -> None:
    too_many = Answer(429, "Retry later", {"RateLimit-Remaining": "0", "RateLimit-Reset": epoch(30)})
    site.faults = [Fault(is_list, too_many)]
    with pytest.raises(RateLimited, match="GitLab answered 429") as limit:
        tracker.file_ticket(ticket(), uuid4())
    assert limit.value.retry_after == pytest.approx(30, abs=2)
    site.faults = [Fault(is_list, Answer(200, [], {"RateLimit-Remaining": "0", "RateLimit-Reset": epoch(30)}))]
    gate = Waits()
    with use_gate(gate):
        assert tracker.file_ticket(ticket(), uuid4()).key == KEY
    assert gate.closed == [pytest.approx(30, abs=2)]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(401, {"message": "401 Unauthorized"}), AccessRefused, "GitLab answered 401: 401 Unauthorized"),
        (Answer(403, {"error": "insufficient_scope", "error_description": "The request requires higher privileges"}),
         AccessRefused, "insufficient_scope; The request requires"),
        (Answer(404, {"message": "404 Project Not Found"}), AccessRefused, "project acme/shop: GitLab answered 404"),
        (Answer(400, {"message": {"title": ["is too long"]}}), PermanentError, "400: title: is too long"),
        (Answer(502, "<html>"), TransientError, "GitLab answered 502"),
    ],
    ids=lambda one: str(one.status) if isinstance(one, Answer) else "",
)  # fmt: skip
def test_refusals_are_in_its_own_words(
    site: FakeGitLab, tracker: ForgeTracker, answer: Answer, kind: type[Exception], words: str
) -> None:
    site.faults = [Fault(is_create, answer)]
    with pytest.raises(kind) as refusal:
        tracker.file_ticket(ticket(), uuid4())
    assert words in str(refusal.value)
    assert TOKEN not in str(refusal.value)


def test_access_is_checked_with_reading_requests(site: FakeGitLab, tracker: ForgeTracker) -> None:
    assert tracker.check_access() == "project acme/shop, as furrow-bot"
    assert {request.method for request in site.requests} == {"GET"}
    site.projects["acme/shop"] = {"archived": True}
    with pytest.raises(PermanentError, match="acme/shop is archived"):
        tracker.check_access()
    site.projects["acme/shop"] = {"issues_enabled": False}
    with pytest.raises(PermanentError, match="acme/shop has no issues"):
        tracker.check_access()


def test_the_address_of_the_api_is_that_of_its_site() -> None:
    for url in ("https://gitlab.invalid/", "https://gitlab.invalid/api/v4", "https://gitlab.invalid"):
        api = GitLabApi(SecretStr(TOKEN), url, Reach())
        assert api.issue_url("acme/shop", 3) == "https://gitlab.invalid/acme/shop/-/issues/3"
        api.close()


def test_the_same_recurrence_is_told_once(site: FakeGitLab, tracker: ForgeTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.issues[KEY]["comments"].append({"id": 9, "body": "changed the description", "system": True})
    for _ in range(2):
        tracker.report_recurrence(KEY, regressed())
    assert len(site.issues[KEY]["comments"]) == 2
