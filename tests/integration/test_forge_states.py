"""The states of tickets at GitHub and GitLab, read by number: what the other trackers do as well is in `test_ticket_states`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from core.errors import PermanentError, TransientError
from core.metrics import DEGRADED
from incidents.ticket_reading import TicketReading, find_meaning
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.server import Answer, Fault, Request
from tests.integration.forge_cases import KEY, Site, connect
from trackers.forge.tracker import ForgeTracker
from trackers.protocol import PartlyRead, ReadsStates, TicketReference

CLOSED = "2024-02-01T09:30:00Z"
HOUR = 3_600.0


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


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture
def gitlab() -> Iterator[FakeGitLab]:
    with FakeGitLab() as fake:
        yield fake
    assert fake.violations == []


def reference(key: str) -> TicketReference:
    return TicketReference(f"inc_{key}", key, UUID(int=1), f"inc_{key.replace('/', '-').replace('#', '-')}")


def add(site: Site, number: int = 1, project: str = "acme/shop") -> str:
    """Tickets up to this number; the key of the last."""
    for _ in range(number):
        made = site.make(project, "a ticket", "", ["furrow"])
        key = f"{project}#{made['number']}"
        made["body"] = f"<!-- furrow-{reference(key).identity.removeprefix('inc_')} -->\n"
    return key


def read(site: Site, *keys: str, within_s: float | None = None) -> list[TicketReading]:
    tracker = connect(site)
    try:
        return tracker.read_tickets([reference(key) for key in keys], within_s)
    finally:
        tracker.close()


def is_state(request: Request) -> bool:
    return request.path.endswith("/graphql") or "iids[]" in request.query


def refuse(**error: Any) -> Answer:
    return Answer(200, {"data": None, "errors": [{"message": "no", **error}]})


def test_fifty_tickets_are_one_request(site: Site, tracker: ForgeTracker) -> None:
    assert isinstance(tracker, ReadsStates)
    add(site, 50)
    keys = list(site.issues)
    site.finish(KEY, milestone="v2.5")
    site.assign("acme/shop#2", "ada\x1b[31m")
    found = {one.key: one for one in tracker.read_tickets([reference(key) for key in keys], None)}
    assert (len(found), len(site.requests)) == (50, 1)
    closed, assigned = found[KEY], found["acme/shop#2"]
    assert (closed.category, closed.status, closed.versions) == ("done", "closed", ("v2.5",))
    assert closed.since == datetime(2024, 2, 1, 9, 30, tzinfo=UTC)
    assert find_meaning(closed, {}) == "done"
    assert (assigned.category, assigned.assignee, assigned.comments) == ("open", "ada [31m", 0)
    assert (assigned.since, assigned.labels, assigned.resolution) == (None, (), "")


def test_what_did_not_change_is_left_out_and_clocks_may_differ(site: Site) -> None:
    add(site, 3)
    site.issues[KEY]["updated"] = "2024-01-01T00:00:00Z"
    site.issues["acme/shop#2"]["updated"] = "at noon"
    assert [one.key for one in read(site, *site.issues, within_s=HOUR)] == ["acme/shop#2", "acme/shop#3"]
    site.issues["acme/shop#2"]["updated"] = "2024-01-01T00:00:00"
    site.age()
    assert [one.key for one in read(site, *site.issues, within_s=23.5 * HOUR)] == ["acme/shop#3"]
    assert read(site, *site.issues, within_s=22.5 * HOUR) == []


def test_what_was_deleted_is_left_out(site: Site) -> None:
    add(site, 8)
    keys = list(site.issues)
    for key in keys[:7]:
        site.delete(key)
    assert [one.key for one in read(site, *keys)] == [keys[7]]
    # GitHub is asked where some of them are now; GitLab leads nowhere.
    assert len(site.requests) == (1 if isinstance(site, FakeGitLab) else 6)


def test_a_project_that_is_gone_keeps_only_its_own_tickets_unread(site: Site) -> None:
    add(site)
    with pytest.raises(PartlyRead, match="acme/gone: ") as refusal:
        read(site, "acme/gone#1", KEY, "../x#2")
    assert [one.key for one in refusal.value.readings] == [KEY]
    assert refusal.value.unread == {"inc_acme/gone#1", "inc_../x#2"}


def test_a_token_that_is_refused_and_a_server_that_fails_read_nothing(site: Site) -> None:
    add(site)
    site.faults = [Fault(is_state, Answer(401, {"message": "Bad credentials"})), Fault(is_state, Answer(502, {}))]
    with pytest.raises(PermanentError, match="401") as refusal:
        read(site, KEY)
    assert not isinstance(refusal.value, PartlyRead)
    with pytest.raises(TransientError, match="502"):
        read(site, KEY)
    assert len(read(site, KEY)) == 1


def test_the_answer_for_another_issue_is_no_reading(site: Site) -> None:
    add(site, 2)
    if isinstance(site, FakeGitLab):
        swapped = Answer(200, [site.shown(site.issues["acme/shop#2"])])
    else:
        other = {"number": 2, "state": "CLOSED", "repository": {"nameWithOwner": "acme/shop"}}
        swapped = Answer(200, {"data": {"repository": {"i1": other}}})
    site.faults = [Fault(is_state, swapped)]
    assert read(site, KEY) == []


def test_a_label_says_what_it_means_in_the_project(site: Site) -> None:
    key = add(site)
    site.issues[key]["labels"] += ["Resolution::Won't  fix", "x" * 500]
    site.finish(key)
    (found,) = read(site, key)
    assert find_meaning(found, {}) == "done"
    assert find_meaning(found, {"resolution::won't fix": "wontDo"}) == "wontDo"
    assert max(map(len, found.labels)) == 120
    # What GitHub says of the reason comes first.
    reason = {"completed": "done"} if site.name == "github" else {"closed": "done"}
    wanted = "done" if site.name == "github" else "wontDo"
    assert find_meaning(found, {"resolution::won't fix": "wontDo", **reason}) == wanted  # type: ignore[dict-item]
    site.reopen(key)
    (found,) = read(site, key)
    assert find_meaning(found, {"resolution::won't fix": "wontDo"}) == "open"


def test_a_duplicate_names_the_other_ticket(site: Site) -> None:
    add(site, 2)
    site.projects["acme/bank"] = {}
    add(site, 3, "acme/bank")
    site.duplicate("acme/shop#2", KEY)
    site.duplicate(KEY, "acme/bank#3")
    found = {one.key: one for one in read(site, KEY, "acme/shop#2")}
    assert {key: one.duplicate_of for key, one in found.items()} == {KEY: "acme/bank#3", "acme/shop#2": KEY}
    assert {find_meaning(one, {}) for one in found.values()} == {"duplicate"}


def test_keys_stay_when_a_project_was_renamed(site: Site) -> None:
    add(site, 2)
    site.duplicate("acme/shop#2", KEY)
    if isinstance(site, FakeGitLab):
        renamed = site.shown(site.issues["acme/shop#2"]) | {"references": {"full": "acme/store#2"}}
        site.faults = [Fault(is_state, Answer(200, [renamed]))]
    else:
        where = {"nameWithOwner": "acme/store"}
        issue = {"number": 2, "state": "CLOSED", "repository": where, "duplicateOf": {"number": 1, "repository": where}}
        site.faults = [Fault(is_state, Answer(200, {"data": {"repository": {"i2": issue}}}))]
    (found,) = read(site, "acme/shop#2")
    assert (found.key, found.duplicate_of) == ("acme/shop#2", KEY)


# GitHub
# ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("completed", "done"),
        (None, "done"),
        ("not_planned", "wontDo"),
        ("duplicate", "duplicate"),
        ("fell_asleep", "unknown"),
    ],
)
def test_reasons_of_github(github: FakeGitHub, reason: str | None, meaning: str) -> None:
    key = add(github)
    if reason == "fell_asleep":
        issue = {
            "number": 1,
            "state": "CLOSED",
            "stateReason": "FELL_ASLEEP",
            "repository": {"nameWithOwner": "acme/shop"},
        }
        github.faults = [Fault(is_state, Answer(200, {"data": {"repository": {"i1": issue}}}))]
    github.finish(key, reason=reason)
    (found,) = read(github, key)
    assert find_meaning(found, {}) == meaning
    assert found.resolution == (reason or "").replace("_", " ")


def test_an_event_that_is_not_that_of_the_state_names_nobody(github: FakeGitHub) -> None:
    """It was opened again between the reading of its state and of its events."""
    key = add(github)
    place = {"number": 1, "repository": {"nameWithOwner": "acme/shop"}, "closedAt": CLOSED}
    event = {"__typename": "ReopenedEvent", "actor": {"login": "bea"}}
    for nodes in ([event], [None], []):
        issue = {**place, "state": "CLOSED", "stateReason": "COMPLETED", "timelineItems": {"nodes": nodes}}
        github.faults = [Fault(is_state, Answer(200, {"data": {"repository": {"i1": issue}}}))]
        assert [one.moved_by for one in read(github, key)] == [""]
    github.finish(key)
    github.person = "cy"
    github.finish(key)
    assert [one.moved_by for one in read(github, key)] == ["cy"]


def test_an_issue_that_was_transferred_is_read_where_it_is(github: FakeGitHub) -> None:
    add(github, 2)
    github.projects["acme/api"] = {}
    for number, key in enumerate([KEY, "acme/shop#2"], 4):
        github.issues[f"acme/api#{number}"] = github.issues.pop(key) | {"project": "acme/api", "number": number}
        github.moved[key] = f"acme/api#{number}"
    github.issues["acme/api#5"]["body"] = "<!-- furrow-another -->\n"
    github.finish("acme/api#4")
    (found,) = read(github, KEY, "acme/shop#2", within_s=HOUR)
    assert (found.incident_id, found.key, found.category) == (f"inc_{KEY}", "acme/api#4", "done")


@pytest.mark.parametrize(
    "refusal",
    [
        Answer(403, {"message": "Resource protected by organization SAML enforcement."}),
        Answer(451, {"message": "Repository access blocked"}),
        Answer(301, {"message": "Moved Permanently"}, {"Location": "https://elsewhere.test/repos/acme/api/issues/9"}),
    ],
    ids=["forbidden", "blocked", "elsewhere"],
)
def test_where_a_transferred_issue_cannot_be_read_the_others_are(github: FakeGitHub, refusal: Answer) -> None:
    add(github, 2)
    issue = github.issues.pop(KEY)
    github.moved[KEY] = "acme/api#9"
    github.finish("acme/shop#2")
    github.faults = [Fault(lambda request: request.path.endswith("/acme/api/issues/9"), refusal)]
    with pytest.raises(PartlyRead, match=r"ticket acme/shop#1, which has moved: GitHub answered \d") as partly:
        read(github, KEY, "acme/shop#2", within_s=HOUR)
    assert partly.value.unread == {f"inc_{KEY}"}
    assert [(found.key, found.category) for found in partly.value.readings] == [("acme/shop#2", "done")]
    # It is looked for again, and found when it can be read.
    github.projects["acme/api"] = {}
    github.issues["acme/api#9"] = issue | {"project": "acme/api", "number": 9}
    github.faults = []
    assert [one.key for one in read(github, KEY, within_s=HOUR)] == ["acme/api#9"]


def test_an_issue_that_was_transferred_twice_is_found(github: FakeGitHub) -> None:
    add(github, 2)
    github.projects |= {"acme/api": {}, "acme/web": {}}
    github.issues["acme/web#7"] = github.issues.pop(KEY) | {"project": "acme/web", "number": 7}
    github.moved |= {KEY: "acme/api#4", "acme/api#4": "acme/web#7"}
    github.finish("acme/web#7")
    github.finish("acme/shop#2")
    found = read(github, KEY, "acme/shop#2", within_s=HOUR)
    assert sorted(one.key for one in found) == ["acme/shop#2", "acme/web#7"]


def test_an_older_enterprise_does_not_say_what_a_duplicate_duplicates(github: FakeGitHub) -> None:
    github.knows_originals = False
    add(github, 2)
    github.duplicate("acme/shop#2", KEY)
    before = DEGRADED.labels("github", "unknown_originals")._value.get()
    tracker = connect(github)
    for _ in range(2):
        (found,) = tracker.read_tickets([reference("acme/shop#2")], None)
    tracker.close()
    assert (found.category, found.duplicate_of) == ("duplicate", "")
    assert DEGRADED.labels("github", "unknown_originals")._value.get() == before + 1
    assert len(github.requests) == 3


@pytest.mark.parametrize(
    ("error", "raised", "retry_after"),
    [
        ({"type": "RATE_LIMITED"}, TransientError, 60.0),
        ({}, TransientError, None),
        ({"type": "FORBIDDEN", "path": ["repository", "i1"]}, PartlyRead, None),
        ({"type": "NOT_FOUND", "path": ["repository"]}, PartlyRead, None),
    ],
)
def test_errors_of_a_document(
    github: FakeGitHub, error: dict[str, Any], raised: type[Exception], retry_after: float | None
) -> None:
    key = add(github)
    github.faults = [Fault(is_state, refuse(**error))]
    with pytest.raises(raised) as refusal:
        read(github, key)
    assert getattr(refusal.value, "retry_after", None) == retry_after


def test_a_duplicate_of_an_issue_that_furrow_may_not_see_keeps_no_other_unread(github: FakeGitHub) -> None:
    add(github, 2)
    place = {"repository": {"nameWithOwner": "acme/shop"}, "closedAt": CLOSED}
    issues = {
        "i1": {"number": 1, "state": "CLOSED", "stateReason": "DUPLICATE", "duplicateOf": None, **place},
        "i2": {"number": 2, "state": "CLOSED", "stateReason": "COMPLETED", "duplicateOf": None, **place},
    }
    said = {
        "type": "FORBIDDEN",
        "path": ["repository", "i1", "duplicateOf"],
        "message": "Resource protected by organization SAML enforcement.",
    }
    github.faults = [Fault(is_state, Answer(200, {"data": {"repository": issues}, "errors": [said]}))]
    before = DEGRADED.labels("github", "unknown_originals")._value.get()
    found = read(github, KEY, "acme/shop#2")
    assert [(one.category, one.duplicate_of) for one in found] == [("duplicate", ""), ("done", "")]
    assert DEGRADED.labels("github", "unknown_originals")._value.get() == before + 1


# GitLab
# ----------------------------------------------------------------------------------------------------------------------


def test_an_issue_that_moved_is_read_where_it_is(gitlab: FakeGitLab) -> None:
    add(gitlab, 2)
    there = gitlab.move(KEY, "acme/infra/api")
    (found,) = read(gitlab, KEY)
    assert (found.incident_id, found.key, found.category) == (f"inc_{KEY}", there, "open")
    # What changes there is read, also when nothing changes where it was, and the other ticket did not change.
    for issue in gitlab.issues.values():
        issue["updated"] = "2024-01-01T00:00:00Z"
    gitlab.assign(there, "ada")
    gitlab.finish(there, milestone="v2.5")
    (found,) = read(gitlab, KEY, "acme/shop#2", within_s=HOUR)
    assert (found.key, found.assignee, found.versions) == (there, "ada", ("v2.5",))
    assert find_meaning(found, {}) == "done"


def test_an_issue_that_moved_again_and_back_is_read_where_it_is(gitlab: FakeGitLab) -> None:
    add(gitlab)
    back = gitlab.move(gitlab.move(KEY, "acme/api"), "acme/shop")
    gitlab.assign(back, "ada")
    (found,) = read(gitlab, KEY)
    assert (found.key, found.assignee, found.category) == (back, "ada", "open")


def test_an_issue_that_moved_out_of_sight_is_in_no_state_that_furrow_knows(gitlab: FakeGitLab) -> None:
    add(gitlab, 2)
    there = gitlab.move(KEY, "acme/secret")
    hidden = gitlab.projects.pop("acme/secret")
    before = DEGRADED.labels("gitlab", "moved_out_of_sight")._value.get()
    found, other = sorted(read(gitlab, KEY, "acme/shop#2"), key=lambda one: one.key)
    assert (found.key, found.status, found.resolution) == (KEY, "closed", "moved")
    assert find_meaning(found, {}) == "unknown"
    assert find_meaning(found, {"moved": "wontDo"}) == "wontDo"
    assert other.category == "open"
    assert DEGRADED.labels("gitlab", "moved_out_of_sight")._value.get() == before + 1
    # It is looked for again, and found when it can be seen.
    gitlab.projects["acme/secret"] = hidden
    assert [one.key for one in read(gitlab, KEY)] == [there]


def test_an_issue_that_moved_and_lost_its_identity_is_not_taken_for_the_ticket(gitlab: FakeGitLab) -> None:
    add(gitlab)
    there = gitlab.move(KEY, "acme/api")
    gitlab.issues[there]["body"] = "<!-- furrow-another -->\n"
    (found,) = read(gitlab, KEY)
    assert (found.key, found.resolution) == (KEY, "moved")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Answer(200, {"errors": [{"message": "Field 'issue' doesn't exist on type 'Query'"}]}),
            "doesn't exist on type",
        ),
        (
            Answer(200, {"data": {"issue": {"id": "gid://gitlab/Issue/7", "iid": "7", "projectId": 7}}}),
            "another issue than the one to which acme/shop#1 moved",
        ),
        (Answer(502, {}), "502"),
    ],
)
def test_where_the_place_of_an_issue_cannot_be_asked_for_nothing_is_taken_for_read(
    gitlab: FakeGitLab, answer: Answer, words: str
) -> None:
    add(gitlab)
    there = gitlab.move(KEY, "acme/api")
    gitlab.faults = [Fault(lambda request: request.path == "/api/graphql", answer)]
    with pytest.raises(TransientError, match=words):
        read(gitlab, KEY)
    assert [one.key for one in read(gitlab, KEY)] == [there]


def test_of_many_issues_that_moved_some_are_read(gitlab: FakeGitLab) -> None:
    add(gitlab, 8)
    keys = list(gitlab.issues)
    for key in keys:
        gitlab.move(key, "acme/api")
    gitlab.requests.clear()
    assert len(read(gitlab, *keys)) == 5
    assert len(gitlab.requests) == 1 + 5 * 4


def test_a_duplicate_of_what_cannot_be_seen_is_one_without_a_name(gitlab: FakeGitLab) -> None:
    keys = [add(gitlab), add(gitlab)]
    for key in keys:
        gitlab.duplicate(key, "acme/secret#3")
    found = read(gitlab, *keys)
    assert [(one.category, one.duplicate_of) for one in found] == [("duplicate", "")] * 2
    assert len(gitlab.requests) == 2
