"""The Linear exporter against a Linear that keeps issues on a real socket and runs every document on Linear's schema."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from graphql import build_schema, parse, validate
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from tests.fakes.linear import KEY, FakeLinear, is_create, operation, rate_limited, schema, shown
from tests.fakes.server import Answer, Fault
from tests.unit.trackers.incidents import incident
from trackers.linear import LinearTracker
from trackers.linear import queries as linear
from trackers.ticket import Ticket, build_ticket

WHOLE = Path(__file__).parents[3] / "shared" / "contracts" / "linear.schema.graphql"
PAGE = "https://furrow.test/incidents/inc_0123456789abcdef0123456789abcdef"


@pytest.fixture(params=[200, 400])
def workspace(request: pytest.FixtureRequest) -> Iterator[FakeLinear]:
    with FakeLinear(request.param) as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture
def tracker(workspace: FakeLinear) -> Iterator[LinearTracker]:
    yield from made(workspace)


def made(workspace: FakeLinear, **changes: Any) -> Iterator[LinearTracker]:
    options: dict[str, Any] = {"api_key": SecretStr(KEY), "team": "eng", "url": workspace.url}
    tracker = LinearTracker(**(options | changes))
    yield tracker
    tracker.close()


def ticket(public_url: str | None = "https://furrow.test", **changes: Any) -> Ticket:
    return build_ticket(incident(**changes), public_url)


def regressed() -> Ticket:
    history = [{"from": "resolved", "to": "regressed", "reason": "4 sessions that started after the fix"}]
    return ticket(status="regressed", history=history)


def only(workspace: FakeLinear) -> dict[str, Any]:
    (issue,) = workspace.issues.values()
    return issue


def test_a_ticket_is_created_with_everything_that_it_is_known_by(workspace: FakeLinear, tracker: LinearTracker) -> None:
    client_id = uuid4()
    filed = tracker.file_ticket(ticket(), client_id)
    assert (filed.key, filed.url) == ("ENG-1", "https://linear.app/acme/issue/ENG-1/a-title")
    issue = only(workspace)
    assert UUID(issue["id"]) == client_id
    assert issue["title"] == ticket().title
    assert issue["priority"] == 2
    names = {label["id"]: label["name"] for label in workspace.labels}
    assert [names[id_] for id_ in issue["labelIds"]] == ["furrow", "high", "bug", "checkout"]
    assert "## What users tried" in issue["description"]
    (attachment,) = workspace.attachments
    assert (attachment["url"], attachment["issue"]) == (PAGE, issue)


@pytest.mark.parametrize(("priority", "number"), [("P0", 1), ("P1", 2), ("P2", 3), ("P3", 4), ("P4", 4)])
def test_priorities(tracker: LinearTracker, workspace: FakeLinear, priority: str, number: int) -> None:
    tracker.file_ticket(ticket(priority=priority), uuid4())
    assert only(workspace)["priority"] == number


def test_labels_that_exist_are_used_and_groups_are_not(workspace: FakeLinear, tracker: LinearTracker) -> None:
    bug, group = str(uuid4()), str(uuid4())
    workspace.labels = [
        {"id": bug, "name": "Bug", "isGroup": False, "team": None},
        {"id": group, "name": "High", "isGroup": True, "team": None},
        {"id": str(uuid4()), "name": "furrow", "isGroup": False, "team": {"id": workspace.teams[1]["id"]}},
    ]
    tracker.file_ticket(ticket(), uuid4())
    labels = only(workspace)["labelIds"]
    assert bug in labels
    assert group not in labels
    assert len(labels) == 2  # and "checkout"; "furrow" is taken by another team


def test_a_ticket_is_filed_without_labels_that_may_not_be_made(workspace: FakeLinear, tracker: LinearTracker) -> None:
    forbidden = Answer(200, {"errors": [{"message": "forbidden", "extensions": {"code": "FORBIDDEN"}}]})
    workspace.faults = [Fault(lambda request: operation(request) == "FurrowCreateLabel", forbidden, times=9)]
    assert tracker.file_ticket(ticket(), uuid4()).key == "ENG-1"
    assert only(workspace)["labelIds"] == []


@pytest.mark.parametrize("public_url", ["https://furrow.test", None])
def test_a_lost_answer_makes_no_second_ticket(workspace: FakeLinear, public_url: str | None) -> None:
    client_id = uuid4()
    wanted = ticket(public_url)
    workspace.faults = [Fault(is_create, lost=True)]
    for tracker in made(workspace):
        with pytest.raises(TransientError, match="did not answer"):
            tracker.file_ticket(wanted, client_id)
    for tracker in made(workspace):
        found = tracker.find_ticket(wanted, client_id)
        assert found is not None
        assert found.key == "ENG-1"
        assert tracker.file_ticket(wanted, client_id) == found  # also for who does not ask first
    assert len(workspace.issues) == 1
    assert len(workspace.attachments) == (1 if public_url else 0)


def test_nothing_is_found_where_nothing_is(tracker: LinearTracker) -> None:
    assert tracker.find_ticket(ticket(), uuid4()) is None


def test_a_lost_ledger_is_made_good_by_the_attachment(workspace: FakeLinear, tracker: LinearTracker) -> None:
    first = tracker.file_ticket(ticket(), uuid4())
    assert tracker.file_ticket(ticket(), uuid4()) == first
    assert tracker.find_ticket(ticket(), uuid4()) == first
    assert len(workspace.issues) == 1


def test_two_exporters_with_one_identity_make_one_ticket(workspace: FakeLinear) -> None:
    client_id, barrier = uuid4(), Barrier(2)
    workspace.faults = [Fault(is_create, before=lambda: barrier.wait(10), times=2)]

    def export(_: int) -> str:
        for tracker in made(workspace):
            return tracker.file_ticket(ticket(None), client_id).key
        raise AssertionError

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(export, range(2))) == {"ENG-1"}
    assert len(workspace.issues) == 1


def test_a_rate_limit_is_http_400_and_says_when(workspace: FakeLinear, tracker: LinearTracker) -> None:
    reset = int(datetime.now(UTC).timestamp() * 1000) + 60_000
    limits = {"X-RateLimit-Requests-Reset": str(reset), "X-RateLimit-Requests-Remaining": "0"}
    workspace.faults = [Fault(is_create, rate_limited(**limits))]
    with pytest.raises(TransientError, match="Linear answered 400: Rate limit exceeded") as raised:
        tracker.file_ticket(ticket(), uuid4())
    assert raised.value.retry_after == pytest.approx(60, abs=30)
    assert tracker.file_ticket(ticket(), uuid4()).key == "ENG-1"


def test_a_failure_of_the_server_is_no_limit_while_requests_remain(
    workspace: FakeLinear, tracker: LinearTracker
) -> None:
    """Linear names the next renewal, in milliseconds, in every answer."""
    reset = str(int(datetime.now(UTC).timestamp() * 1000) + 3_000_000)
    left = {"X-RateLimit-Requests-Reset": reset, "X-RateLimit-Requests-Remaining": "4987"}
    workspace.faults = [Fault(is_create, Answer(500, {"errors": [{"message": "boom"}]}, left))]
    with pytest.raises(TransientError, match="500") as raised:
        tracker.file_ticket(ticket(), uuid4())
    assert raised.value.retry_after is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, {"errors": [{"message": "boom"}]}),
        Answer(503, "<html>busy</html>"),
        Answer(429, {}),
        Answer(200, "<html>proxy</html>"),
        Answer(200, {"data": None}),
        Answer(200, {"errors": [{"message": "oops", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}),
    ],
)
def test_what_may_pass_is_transient(workspace: FakeLinear, tracker: LinearTracker, answer: Answer) -> None:
    workspace.faults = [Fault(is_create, answer)]
    with pytest.raises(TransientError):
        tracker.file_ticket(ticket(), uuid4())


def test_no_server_is_transient(workspace: FakeLinear, tracker: LinearTracker) -> None:
    workspace.stop()
    with pytest.raises(TransientError, match="did not answer"):
        tracker.file_ticket(ticket(), uuid4())
    workspace.start()
    assert tracker.file_ticket(ticket(), uuid4()).key == "ENG-1"


def test_a_page_that_is_not_found_is_no_missing_ticket(workspace: FakeLinear, tracker: LinearTracker) -> None:
    """A wrong address must not look like a ticket that was deleted."""
    workspace.faults = [Fault(lambda _: True, Answer(404, "<html>Not Found</html>"))]
    with pytest.raises(PermanentError, match="404"):
        tracker.fetch_ticket_state("ENG-1")


def test_a_refusal_comes_with_linears_own_words(workspace: FakeLinear, tracker: LinearTracker) -> None:
    said = {
        "message": "Argument\r\nValidation\x1b[2J Error",
        "extensions": {"userPresentableMessage": "title too long"},
    }
    workspace.faults = [Fault(is_create, Answer(400, {"errors": [said]}))]
    with pytest.raises(PermanentError, match=r"Argument Validation \[2J Error \(title too long\)"):
        tracker.file_ticket(ticket(), uuid4())


def test_an_unknown_team_is_said(workspace: FakeLinear) -> None:
    for tracker in made(workspace, team="OPS"):
        with pytest.raises(PermanentError, match="no team with the key 'OPS'"):
            tracker.file_ticket(ticket(), uuid4())


def test_wrong_credentials(workspace: FakeLinear) -> None:
    for tracker in made(workspace, api_key=SecretStr("lin_api_wrong-wrong")):
        with pytest.raises(PermanentError, match="Linear answered 401: Authentication required") as refusal:
            tracker.file_ticket(ticket(), uuid4())
        assert "wrong-wrong" not in repr(refusal.value) + repr(tracker)


def test_a_secret_that_linear_repeats_is_not_told(workspace: FakeLinear, tracker: LinearTracker) -> None:
    workspace.faults = [Fault(is_create, Answer(400, {"errors": [{"message": f"bad header {KEY}"}]}))]
    with pytest.raises(PermanentError) as refusal:
        tracker.file_ticket(ticket(), uuid4())
    assert KEY not in str(refusal.value)


def test_an_oauth_token_is_sent_as_one(workspace: FakeLinear) -> None:
    for tracker in made(workspace, api_key=SecretStr("lin_oauth_0123456789")):
        with pytest.raises(PermanentError):
            tracker.fetch_ticket_state("ENG-1")
    assert workspace.requests[0].headers["authorization"] == "Bearer lin_oauth_0123456789"


def test_projects_go_where_they_are_told(workspace: FakeLinear) -> None:
    for tracker in made(workspace, teams={"shop": "WEB"}):
        assert tracker.file_ticket(ticket(), uuid4()).key == "WEB-1"
        assert tracker.file_ticket(ticket(projectId="blog", incidentId="inc_ff"), uuid4()).key == "ENG-1"


@pytest.mark.parametrize(
    "url", ["https://evil.test/acme/issue/ENG-1", "javascript:alert(1)", "", "https://x:y@linear.app/ENG-1",
            "https://linear.app/ENG-1)[x](https://evil.test"]
)  # fmt: skip
def test_links_lead_to_linear_only(workspace: FakeLinear, tracker: LinearTracker, url: str) -> None:
    tracker.file_ticket(ticket(None), client_id := uuid4())
    only(workspace)["url"] = url
    found = tracker.find_ticket(ticket(None), client_id)
    assert found is not None
    assert found.url == "https://linear.app/issue/ENG-1"


def test_where_a_ticket_stands(workspace: FakeLinear, tracker: LinearTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    assert tracker.fetch_ticket_state("ENG-1").kind == "open"
    workspace.finish("ENG-1")
    done = tracker.fetch_ticket_state("ENG-1")
    assert (done.kind, done.since) == ("done", datetime(2024, 2, 1, 9, 30, tzinfo=UTC))
    only(workspace)["archivedAt"] = "2024-03-01T00:00:00.000Z"
    assert tracker.fetch_ticket_state("ENG-1").kind == "archived"
    assert tracker.fetch_ticket_state("ENG-77").kind == "missing"


def test_what_came_back_is_told_once_and_opens_the_ticket_again(workspace: FakeLinear, tracker: LinearTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    workspace.finish("ENG-1")
    workspace.faults = [Fault(lambda request: operation(request) == "FurrowComment", lost=True)]
    with pytest.raises(TransientError):
        tracker.report_recurrence("ENG-1", regressed())
    assert tracker.report_recurrence("ENG-1", regressed()).key == "ENG-1"
    (comment,) = workspace.comments.values()
    assert "4 sessions that started after the fix" in comment["body"]
    assert only(workspace)["state"]["type"] == "unstarted"


def test_archived_stays_archived(workspace: FakeLinear, tracker: LinearTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    workspace.finish("ENG-1")
    only(workspace)["archivedAt"] = "2024-03-01T00:00:00.000Z"
    tracker.report_recurrence("ENG-1", regressed())
    assert len(workspace.comments) == 1
    assert only(workspace)["state"]["type"] == "completed"


def test_a_deleted_ticket_is_said(tracker: LinearTracker) -> None:
    with pytest.raises(PermanentError, match="ENG-3 does not exist"):
        tracker.report_recurrence("ENG-3", regressed())


def test_what_a_browser_sent_stays_text(workspace: FakeLinear, tracker: LinearTracker) -> None:
    tracker.file_ticket(ticket(label="[click](https://evil.test) @everyone <b>"), uuid4())
    assert "[click](" not in shown(only(workspace))
    assert "@everyone" not in shown(only(workspace))


@pytest.mark.parametrize("url", ["", "linear.test", "ftp://linear.test", "https://user:hunter2@linear.test"])
def test_an_address_must_be_one_and_hold_no_password(url: str) -> None:
    with pytest.raises(PermanentError, match="address of Linear") as refusal:
        LinearTracker(SecretStr(KEY), "ENG", url)
    assert "hunter2" not in str(refusal.value)


def test_a_tracker_needs_a_team_and_a_key() -> None:
    with pytest.raises(PermanentError, match="team is not set"):
        LinearTracker(SecretStr(KEY), "", "https://linear.test")
    with pytest.raises(PermanentError, match="API key is not set"):
        LinearTracker(None, "ENG", "https://linear.test")


def test_the_contract_notices_what_is_wrong() -> None:
    assert validate(schema(), parse("mutation { issueCreate(input: {title: 1}) { success } }"))
    assert validate(schema(), parse("query { issue(id: 1, key: 2) { nonsense } }"))


@pytest.mark.skipif(
    not WHOLE.is_file(),
    reason="no ../shared beside this checkout: our documents are checked against the reduced schema in tests/data alone",
)
def test_the_documents_are_valid_under_the_whole_contract() -> None:
    whole = build_schema(WHOLE.read_text(encoding="utf-8"))
    for document in linear.DOCUMENTS:
        assert validate(whole, parse(document)) == []
