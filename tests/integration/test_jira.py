"""The Jira exporter against a Jira that keeps issues on a real socket; each request is checked against Cloud's contract."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import jira
import pytest
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from tests.data.contracts import reduce
from tests.fakes.jira import TOKEN, USER, FakeJira, is_comment, is_create, is_search, request_errors
from tests.fakes.server import Answer, Fault
from tests.unit.trackers.incidents import incident
from trackers.jira import JiraTracker
from trackers.ticket import Ticket, build_ticket

WHOLE = Path(__file__).parents[3] / "shared" / "contracts"
LABEL = "furrow-0123456789abcdef0123456789abcdef"


@pytest.fixture(params=["cloud", "datacenter"])
def site(request: pytest.FixtureRequest) -> Iterator[FakeJira]:
    with FakeJira(request.param) as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture
def cloud() -> Iterator[FakeJira]:
    with FakeJira("cloud") as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture
def tracker(site: FakeJira) -> Iterator[JiraTracker]:
    yield from made(site)


@pytest.fixture
def cloud_tracker(cloud: FakeJira) -> Iterator[JiraTracker]:
    yield from made(cloud)


def made(site: FakeJira, **changes: Any) -> Iterator[JiraTracker]:
    tracker = connect(site, **changes)
    yield tracker
    tracker.close()


def connect(site: FakeJira, **changes: Any) -> JiraTracker:
    options: dict[str, Any] = {
        "url": site.address,
        "user": USER,
        "token": SecretStr(TOKEN),
        "project": site.project,
        "kind": "cloud" if site.cloud else "datacenter",
        "lag": (0.0, 0.0),
    }
    return JiraTracker(**(options | changes))


def ticket(**changes: Any) -> Ticket:
    return build_ticket(incident(**changes), "https://furrow.test")


def regressed() -> Ticket:
    history = [{"from": "resolved", "to": "regressed", "reason": "4 sessions that started after the fix"}]
    return ticket(status="regressed", history=history)


def only(site: FakeJira) -> dict[str, Any]:
    (issue,) = site.issues.values()
    return issue


def test_a_ticket_is_created_with_everything_that_it_is_known_by(site: FakeJira, tracker: JiraTracker) -> None:
    client_id = uuid4()
    filed = tracker.file_ticket(ticket(), client_id)
    assert (filed.key, filed.url) == ("OPS-1", f"{site.address}/browse/OPS-1")
    issue = only(site)
    fields = issue["fields"]
    assert fields["summary"] == ticket().title
    assert fields["labels"] == [LABEL, "furrow", "high", "bug", "checkout"]
    assert (fields["priority"], fields["issuetype"]) == ({"name": "High"}, {"name": "Bug"})
    identity = {"incident": ticket().incident_id, "client": str(client_id)}
    assert issue["properties"] == {"furrow": identity}
    if site.cloud:
        assert fields["description"]["type"] == "doc"
        assert "What users tried" in json.dumps(fields["description"])
    else:
        assert "h3. What users tried" in fields["description"]


def test_data_center_takes_a_token_alone(cloud: FakeJira) -> None:
    with FakeJira("datacenter") as site:
        for tracker in made(site, user=""):
            assert tracker.file_ticket(ticket(), uuid4()).key == "OPS-1"
    assert site.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_what_is_there_is_not_created_again(site: FakeJira, tracker: JiraTracker) -> None:
    first = tracker.file_ticket(ticket(), uuid4())
    assert tracker.file_ticket(ticket(), uuid4()) == first
    assert tracker.find_ticket(ticket(), uuid4()) == first
    assert len(site.issues) == 1


def test_nothing_is_found_where_nothing_is(site: FakeJira, tracker: JiraTracker) -> None:
    site.add(labels=("furrow-other",))
    assert tracker.find_ticket(ticket(), uuid4()) is None


def test_a_found_issue_must_bear_the_label(site: FakeJira, tracker: JiraTracker) -> None:
    """A search that answers with anything, as a mock server does, must not pass for a ticket."""
    strange = {"issues": [{"id": "1", "key": "OPS-9", "fields": {"labels": ["other"]}}]}
    site.faults = [Fault(is_search, Answer(200, strange))]
    assert tracker.file_ticket(ticket(), uuid4()).key == "OPS-1"


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize("lag", [0, 1, 10**6])
def test_a_lost_answer_makes_no_second_ticket_however_search_lags(site: FakeJira, lag: int, patient: bool) -> None:
    site.lag = lag
    for _ in range(3):
        site.add()
    site.faults = [Fault(is_create, lost=True)]
    for tracker in made(site):
        with pytest.raises(TransientError, match="did not answer"):
            tracker.file_ticket(ticket(), uuid4())
    site.add()  # somebody else's, visible at once, behind ours
    for tracker in made(site):
        found = tracker.find_ticket(ticket(), uuid4(), patient)
    assert found is not None
    assert found.key == "OPS-4"
    assert len(site.issues) == 5


def test_a_request_that_was_given_up_and_carried_out_late_is_found(site: FakeJira) -> None:
    site.lag = 10**6
    late = Fault(is_search, after=lambda: site.add(labels=(LABEL,)).update(unseen=10**6))
    site.faults = [Fault(is_search, times=2), late]  # after the first search and the first look around
    for tracker in made(site):
        found = tracker.find_ticket(ticket(), uuid4())
    assert found is not None
    assert found.key == "OPS-1"


def test_a_lost_answer_is_found_by_the_property_when_somebody_took_the_label_away(
    site: FakeJira, tracker: JiraTracker
) -> None:
    site.lag = 10**6
    site.faults = [Fault(is_create, lost=True)]
    with pytest.raises(TransientError):
        tracker.file_ticket(ticket(), uuid4())
    only(site)["fields"]["labels"] = []
    found = tracker.find_ticket(ticket(), uuid4())
    assert found is not None
    assert found.key == "OPS-1"


def test_search_reconciles_what_this_exporter_made(cloud: FakeJira, cloud_tracker: JiraTracker) -> None:
    cloud.lag = 10**6
    first = cloud_tracker.file_ticket(ticket(), uuid4())
    assert cloud_tracker.file_ticket(ticket(), uuid4()) == first
    searches = [request.json for request in cloud.requests if is_search(request)]
    assert searches[-1]["reconcileIssues"] == [10_000]
    assert all(request.path.endswith("/search/jql") for request in cloud.requests if is_search(request))


def test_the_package_repeats_nothing_by_itself(site: FakeJira, tracker: JiraTracker) -> None:
    for answer in (Answer(429, {}, {"Retry-After": "1"}), Answer(503, {}, {"Retry-After": "1"})):
        before = len(site.requests)
        site.faults = [Fault(is_create, answer)]
        with pytest.raises(TransientError):
            tracker.file_ticket(ticket(), uuid4())
        assert [request.method for request in site.requests[before:]] == ["POST", "POST"]  # search, create
    assert site.issues == {}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_transient_and_the_wait_is_kept(site: FakeJira, tracker: JiraTracker, status: int) -> None:
    site.faults = [Fault(is_create, Answer(status, {"errorMessages": ["slow down"]}, {"Retry-After": "17"}))]
    with pytest.raises(TransientError, match=f"Jira answered {status}: slow down") as raised:
        tracker.file_ticket(ticket(), uuid4())
    assert raised.value.retry_after == 17


def test_a_failure_of_the_server_is_no_limit_while_requests_remain(site: FakeJira, tracker: JiraTracker) -> None:
    """Jira names the next renewal, as a time of minutes, in every answer."""
    reset = (datetime.now(UTC) + timedelta(minutes=50)).strftime("%Y-%m-%dT%H:%MZ")
    left = {"X-RateLimit-Limit": "350", "X-RateLimit-Remaining": "349", "X-RateLimit-Reset": reset}
    waits = []
    for status, headers in (
        (503, left),
        (503, left | {"X-RateLimit-Remaining": "0"}),
        (429, {"X-RateLimit-Reset": reset}),
    ):
        site.faults = [Fault(is_create, Answer(status, {"errorMessages": ["busy"]}, headers))]
        with pytest.raises(TransientError, match=f"Jira answered {status}") as raised:
            tracker.file_ticket(ticket(), uuid4())
        waits.append(raised.value.retry_after)
    assert waits == [None, pytest.approx(2_970, abs=60), pytest.approx(2_970, abs=60)]


def test_no_server_and_no_json_are_transient(site: FakeJira, tracker: JiraTracker) -> None:
    site.faults = [Fault(is_create, Answer(200, "<html>log in</html>", {"Content-Type": "text/html"}))]
    with pytest.raises(TransientError, match="something else than JSON"):
        tracker.file_ticket(ticket(), uuid4())
    site.stop()
    with pytest.raises(TransientError, match="did not answer"):
        tracker.file_ticket(ticket(), uuid4())
    site.start()
    assert tracker.file_ticket(ticket(), uuid4()).key == "OPS-1"


def test_a_refusal_comes_with_jiras_own_words(site: FakeJira, tracker: JiraTracker) -> None:
    site.projects = {"OTHER"}
    with pytest.raises(PermanentError, match="Jira answered 400: project: valid project is required"):
        tracker.file_ticket(ticket(), uuid4())


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_refusals_are_permanent(site: FakeJira, tracker: JiraTracker, status: int) -> None:
    site.faults = [Fault(is_create, Answer(status, {"errorMessages": ["no\r\n\x1b[2Jway"]}))]
    with pytest.raises(PermanentError, match=rf"Jira answered {status}: no \[2Jway"):
        tracker.file_ticket(ticket(), uuid4())


def test_wrong_credentials(site: FakeJira) -> None:
    for tracker in made(site, token=SecretStr("wrong-token-wrong")):
        with pytest.raises(PermanentError, match="Jira answered 401: Client must be authenticated") as refusal:
            tracker.file_ticket(ticket(), uuid4())
        assert "wrong-token" not in repr(refusal.value)
        assert "wrong-token" not in repr(tracker)


def test_a_secret_that_jira_repeats_is_not_told(site: FakeJira, tracker: JiraTracker) -> None:
    site.faults = [Fault(is_create, Answer(400, {"errorMessages": [f"bad header {TOKEN}"]}))]
    with pytest.raises(PermanentError) as refusal:
        tracker.file_ticket(ticket(), uuid4())
    assert TOKEN not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


def test_a_project_without_priorities_gets_its_ticket_all_the_same(site: FakeJira, tracker: JiraTracker) -> None:
    site.has_priority = False
    assert tracker.file_ticket(ticket(), uuid4()).key == "OPS-1"
    assert "priority" not in only(site)["fields"]


def test_other_refused_fields_are_not_left_out(site: FakeJira, tracker: JiraTracker) -> None:
    site.has_priority = False
    site.issue_types = {"Story"}
    with pytest.raises(PermanentError, match="issuetype"):
        tracker.file_ticket(ticket(), uuid4())
    assert site.issues == {}


def test_projects_go_where_they_are_told(site: FakeJira) -> None:
    site.projects = {"OPS", "SHOP"}
    for tracker in made(site, projects={"shop": "SHOP"}):
        assert tracker.file_ticket(ticket(), uuid4()).key == "SHOP-1"
        other = ticket(projectId="blog", incidentId="inc_ff")
        assert tracker.file_ticket(other, uuid4()).key == "OPS-1"


def test_a_project_that_would_change_the_search_is_no_project(site: FakeJira) -> None:
    for tracker in made(site, project='OPS" OR key > "'):
        with pytest.raises(PermanentError, match="is no key of a Jira project"):
            tracker.find_ticket(ticket(), uuid4())
    assert all("key >" not in request.text for request in site.requests)


def test_where_a_ticket_stands(site: FakeJira, tracker: JiraTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    assert tracker.fetch_ticket_state("OPS-1").kind == "open"
    site.finish("OPS-1")
    done = tracker.fetch_ticket_state("OPS-1")
    assert (done.kind, done.since) == ("done", datetime(2024, 2, 1, 9, 30, tzinfo=UTC))
    only(site)["archived"] = True
    assert tracker.fetch_ticket_state("OPS-1").kind == "archived"
    assert tracker.fetch_ticket_state("OPS-77").kind == "missing"


def test_what_came_back_is_told_once_and_opens_the_ticket_again(site: FakeJira, tracker: JiraTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.finish("OPS-1")
    assert tracker.report_recurrence("OPS-1", regressed()).key == "OPS-1"
    assert tracker.report_recurrence("OPS-1", regressed()).key == "OPS-1"
    issue = only(site)
    assert issue["status"] == "new"
    (comment,) = issue["comments"]
    assert "4 sessions that started after the fix" in json.dumps(comment)


def test_a_lost_answer_to_a_comment_makes_no_second_comment(site: FakeJira, tracker: JiraTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.finish("OPS-1")
    site.faults = [Fault(is_comment, lost=True)]
    with pytest.raises(TransientError):
        tracker.report_recurrence("OPS-1", regressed())
    tracker.report_recurrence("OPS-1", regressed())
    assert len(only(site)["comments"]) == 1
    assert only(site)["status"] == "new"


def test_archived_stays_archived(site: FakeJira, tracker: JiraTracker) -> None:
    tracker.file_ticket(ticket(), uuid4())
    site.finish("OPS-1")
    only(site)["archived"] = True
    assert tracker.report_recurrence("OPS-1", regressed()).key == "OPS-1"
    assert (only(site)["status"], only(site)["comments"]) == ("done", [])


def test_a_deleted_ticket_is_said(site: FakeJira, tracker: JiraTracker) -> None:
    with pytest.raises(PermanentError, match="OPS-3 does not exist"):
        tracker.report_recurrence("OPS-3", regressed())


def test_what_a_browser_sent_stays_text(site: FakeJira, tracker: JiraTracker) -> None:
    evil = "[click|https://evil.test] {color:red}x{color} [~admin] @everyone <b>"
    tracker.file_ticket(ticket(title=evil, label=evil), uuid4())
    fields = only(site)["fields"]
    if site.cloud:
        marks = [node.get("marks") for node in nodes(fields["description"])]
        links = [mark["attrs"]["href"] for some in marks for mark in some or () if mark["type"] == "link"]
        assert links == ["https://furrow.test/incidents/inc_0123456789abcdef0123456789abcdef"]
        assert {node["type"] for node in nodes(fields["description"])}.isdisjoint({"mention", "inlineCard"})
    else:
        assert "[click|https://evil" not in fields["description"]
        assert "[~admin]" not in fields["description"]


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("content", ()):
        yield from nodes(inner)


@pytest.mark.parametrize(
    "url", ["", "jira.test", "ftp://jira.test", "https://user:hunter2@jira.test", "https:///browse"]
)
def test_an_address_must_be_one_and_hold_no_password(url: str) -> None:
    with pytest.raises(PermanentError, match="address of Jira") as refusal:
        JiraTracker(url, USER, SecretStr(TOKEN), "OPS")
    assert "hunter2" not in str(refusal.value)


def test_a_tracker_needs_a_project_and_a_token() -> None:
    with pytest.raises(PermanentError, match="project is not set"):
        JiraTracker("https://jira.test", USER, SecretStr(TOKEN), " ")
    with pytest.raises(PermanentError, match="token is not set"):
        JiraTracker("https://jira.test", USER, None, "OPS")


def test_many_exporters_at_once_against_one_site(site: FakeJira) -> None:
    """Different incidents at the same time: each gets its own ticket."""
    barrier = Barrier(4)

    def export(number: int) -> str:
        tracker = connect(site)
        barrier.wait()
        try:
            return tracker.file_ticket(ticket(incidentId=f"inc_{number:032x}"), uuid4()).key
        finally:
            tracker.close()

    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(export, range(4)))
    assert sorted(keys) == [f"OPS-{number}" for number in range(1, 5)]


# The contract
# -------------------------------------------------------------------------------------------------------------------


def test_the_contract_notices_what_is_wrong(cloud: FakeJira, cloud_tracker: JiraTracker) -> None:
    """The package's own search breaks the contract; the check must see that, or it sees nothing."""
    client = jira.JIRA(cloud.address, options={"rest_api_version": "3"}, basic_auth=(USER, TOKEN), max_retries=0,
                       get_server_info=False)  # fmt: skip
    client._fields_cache_value = {"summary": "summary"}
    client.deploymentType = "Cloud"
    client.enhanced_search_issues('labels = "x"', use_post=True, json_result=True)
    client.close()
    wrong = request_errors(cloud.requests[-1])
    assert any("expand" in one for one in wrong)
    cloud.violations.clear()


@pytest.mark.skipif(
    not WHOLE.is_dir(),
    reason="no ../shared beside this checkout: whether tests/data was cut from the contracts as they are is not checked",
)
def test_the_reduced_contracts_are_those_of_the_whole_ones() -> None:
    linear = (WHOLE / reduce.LINEAR).read_text(encoding="utf-8")
    assert reduce.REDUCED_LINEAR.read_text(encoding="utf-8") == reduce.reduced_linear(linear)
    whole = (WHOLE / reduce.JIRA).read_text(encoding="utf-8")
    assert reduce.REDUCED_JIRA.read_text(encoding="utf-8") == reduce.reduced_jira(whole)
