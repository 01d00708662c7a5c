"""Every answer of a tracker must be that of its request: answers that come twice, late, or for another issue."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from core.errors import TransientError
from tests.fakes import jira as fake_jira
from tests.fakes import linear as fake_linear
from tests.fakes.jira import FakeJira
from tests.fakes.linear import FakeLinear
from tests.fakes.server import Answer, Fault, Request
from tests.unit.trackers.incidents import incident
from trackers.jira import JiraTracker
from trackers.linear import LinearTracker
from trackers.ticket import Ticket, build_ticket


@pytest.fixture(params=["cloud", "datacenter", "linear"])
def site(request: pytest.FixtureRequest) -> Iterator[Any]:
    with FakeLinear() if request.param == "linear" else FakeJira(request.param) as fake:
        fake.keep_alive = True
        yield fake
    assert fake.violations == []


def connect(site: Any) -> Any:
    if isinstance(site, FakeLinear):
        return LinearTracker(SecretStr(fake_linear.KEY), "ENG", site.url)
    kind = "cloud" if site.cloud else "datacenter"
    token = SecretStr(fake_jira.TOKEN)
    return JiraTracker(site.address, fake_jira.USER, token, "OPS", kind, lag=(0.0, 0.0))


def ticket(number: int, **changes: Any) -> Ticket:
    return build_ticket(incident(incidentId=f"inc_{number:032x}", **changes), "https://furrow.test")


def is_create(request: Request) -> bool:
    return fake_jira.is_create(request) or (request.path == "/graphql" and fake_linear.is_create(request))


def incident_of(site: Any, key: str) -> str:
    """The number of the incident whose ticket this is."""
    if isinstance(site, FakeLinear):
        issue = site.by_key(key)
        (page,) = [one["url"] for one in site.attachments if one["issue"] is issue]
        return str(page.rpartition("/")[2])
    return str(site.issues[key]["properties"]["furrow"]["incident"])


@pytest.mark.parametrize("after", [0.0, 0.05])
@pytest.mark.parametrize("which", ["create", "any"])
def test_an_answer_that_comes_twice_is_taken_for_its_request_alone(site: Any, which: str, after: float) -> None:
    matches = is_create if which == "create" else lambda _: True
    site.faults = [Fault(matches, twice=True, twice_after=after, times=10**6)]
    tracker = connect(site)
    try:
        filed = {number: tracker.file_ticket(ticket(number), uuid4()).key for number in range(8)}
    finally:
        tracker.close()
    right = sum(incident_of(site, key) == ticket(number).incident_id for number, key in filed.items())
    assert (right, len(site.issues)) == (8, 8)


def test_the_answer_to_another_request_is_not_recorded(site: Any) -> None:
    """As from a proxy that mixes up two connections: well-formed, successful, and somebody else's."""
    tracker = connect(site)
    other = tracker.file_ticket(ticket(1), uuid4())
    if isinstance(site, FakeLinear):
        issue = site.by_key(other.key)
        shown = {name: issue[name] for name in ("id", "identifier", "url")}
        wrong = Answer(200, {"data": {"issueCreate": {"success": True, "issue": shown}}})
    else:
        wrong = Answer(201, {"id": site.issues[other.key]["id"], "key": other.key})
    site.faults = [Fault(is_create, wrong)]
    client_id = uuid4()
    with pytest.raises(TransientError, match="another"):
        tracker.file_ticket(ticket(2), client_id)
    found = tracker.find_ticket(ticket(2), client_id) or tracker.file_ticket(ticket(2), client_id)
    tracker.close()
    assert found.key != other.key
    assert incident_of(site, found.key) == ticket(2).incident_id


def test_the_state_of_another_issue_is_not_taken_for_that_of_the_ticket(site: Any) -> None:
    tracker = connect(site)
    first, second = (tracker.file_ticket(ticket(number), uuid4()).key for number in (1, 2))
    site.finish(second)
    if isinstance(site, FakeLinear):
        issue = site.by_key(second)
        names = ("id", "identifier", "url", "archivedAt", "trashed", "completedAt", "canceledAt")
        shown = {name: issue[name] for name in names} | {"state": {"type": "completed"}, "previousIdentifiers": []}
        wrong = Answer(200, {"data": {"issue": shown}})
    else:
        done = {"statusCategory": {"key": "done"}}
        wrong = Answer(200, {"id": site.issues[second]["id"], "key": second, "fields": {"status": done}})
    site.faults = [Fault(lambda _: True, wrong)]
    with pytest.raises(TransientError, match="another"):
        tracker.report_recurrence(first, ticket(1, status="regressed"))
    tracker.close()
