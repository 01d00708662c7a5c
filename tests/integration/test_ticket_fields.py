"""Fields of tickets: the file, its rules, and what Jira and Linear get, against their own descriptions of their fields."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from core.errors import PermanentError
from tests.fakes.jira import FakeJira, is_create
from tests.fakes.linear import KEY, FakeLinear, operation
from tests.fakes.linear import is_create as linear_is_create
from tests.fakes.server import Answer, Fault
from tests.integration.test_jira import connect, only
from tests.unit.trackers.incidents import incident
from trackers.gate import AccessRefused, WrongFields
from trackers.linear import LinearTracker
from trackers.ticket import Ticket, build_ticket
from trackers.ticket_plan import Fields, TrackerPlan, load_ticket_plan, parse_ticket_plan

EVERYTHING: Fields = {
    "components": ("Checkout",),
    "labels": ("web-team",),
    "Steps": "one line",
    "Story Points": 3,
    "Impact": "High",
    "Platforms": ("Web", "iOS"),
    "Reporter of the fault": "5b10a2",
    "Area": "Shop > Payment",
    "Due date": date(2026, 1, 31),
    "assignee": "5b10ac",
    "parent": "OPS-1",
    "Notes": "for people",
}


@pytest.fixture(params=["cloud", "datacenter"])
def site(request: pytest.FixtureRequest) -> Iterator[FakeJira]:
    with FakeJira(request.param) as fake:
        fake.add_field("components", "Components", "array", items="component", options=["Checkout", "Search"])
        fake.add_field("customfield_1", "Notes", "string", "textarea")
        fake.add_field("customfield_2", "Steps", "string", "textfield", required=True)
        fake.add_field("customfield_3", "Story Points", "number", "float")
        fake.add_field("customfield_4", "Impact", "option", "select", required=True, options=["High", "Low"])
        fake.add_field("customfield_5", "Platforms", "array", "multiselect", items="option", options=["Web", "iOS"])
        fake.add_field("customfield_6", "Reporter of the fault", "user", "userpicker")
        fake.add_field("customfield_8", "Area", "option-with-child", "cascadingselect", options=[("Shop", ["Payment"])])
        fake.add_field("customfield_9", "Due date", "date", "datepicker")
        fake.add_field("assignee", "Assignee", "user")
        fake.add_field("parent", "Parent", "issuelink")
        yield fake
    assert fake.violations == []


def jira_ticket(fields: Fields, **changes: Any) -> Ticket:
    return replace(build_ticket(incident(**changes), "https://furrow.test"), fields=fields)


def test_every_kind_of_field_reaches_jira_in_its_form(site: FakeJira) -> None:
    tracker = connect(site)
    tracker.file_ticket(jira_ticket(EVERYTHING), uuid4())
    tracker.close()
    fields = only(site)["fields"]
    assert fields["components"] == [{"id": "100"}]
    assert fields["labels"][1:] == ["furrow", "high", "bug", "checkout", "web-team"]
    assert (fields["customfield_2"], fields["customfield_3"]) == ("one line", 3)
    assert fields["customfield_4"] == {"id": "100"}
    assert fields["customfield_5"] == [{"id": "100"}, {"id": "101"}]
    assert fields["customfield_6"] == {"accountId" if site.cloud else "name": "5b10a2"}
    assert fields["customfield_8"] == {"id": "100", "child": {"id": "1000"}}
    assert (fields["customfield_9"], fields["parent"]) == ("2026-01-31", {"key": "OPS-1"})
    assert isinstance(fields["customfield_1"], dict if site.cloud else str)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Impact", "Huge", "the field 'Impact' does not allow 'Huge'; it allows High, Low"),
        ("Area", "Shop > Toys", "the field 'Area' does not allow 'Toys'; it allows Payment"),
        ("Story Points", "three", "the field 'Story Points' takes a number, not 'three'"),
        ("Due date", "soon", "the field 'Due date' takes a date like 2026-01-31, not 'soon'"),
        ("Steps", ("a", "b"), "the field 'Steps' takes one value, not a list"),
        ("Colour", "red", "the field 'Colour' is not on the screen for new issues; there are Project, "),
        ("priority", "High", "the field 'priority' is filled by Furrow"),
        ("labels", "two words", "takes labels without spaces, not 'two words'"),
    ],
)
def test_a_wrong_value_is_told_before_anything_is_created(site: FakeJira, name: str, value: Any, words: str) -> None:
    tracker = connect(site)
    with pytest.raises(WrongFields) as wrong:
        tracker.file_ticket(jira_ticket(EVERYTHING | {name: value}), uuid4())
    tracker.close()
    assert words in str(wrong.value)
    assert str(wrong.value).startswith("project OPS, issue type Bug: ")
    assert not site.issues
    assert not [request for request in site.requests if request.method == "POST" and request.path.endswith("/issue")]


def test_a_required_field_without_a_value_is_named(site: FakeJira) -> None:
    tracker = connect(site)
    with pytest.raises(WrongFields, match="the field 'Impact' is required"):
        tracker.file_ticket(jira_ticket({"Steps": "x"}), uuid4())
    tracker.close()


def test_the_fields_are_read_once_and_on_every_page(site: FakeJira) -> None:
    for number in range(60):
        site.add_field(f"customfield_{number + 1000}", f"Field {number}", "string", "textfield")
    tracker = connect(site)
    for number in range(3):
        fields = EVERYTHING | {"Field 59": "last"}
        tracker.file_ticket(jira_ticket(fields, incidentId=f"inc_{number:032x}"), uuid4())
    tracker.close()
    assert len(site.issues) == 3
    assert sum("createmeta" in request.path for request in site.requests) == 3


def test_two_fields_of_one_name_need_the_id(site: FakeJira) -> None:
    site.add_field("customfield_70", "Impact", "string", "textfield")
    tracker = connect(site)
    with pytest.raises(WrongFields, match="is there 2 times: use one of the ids customfield_4, customfield_70"):
        tracker.file_ticket(jira_ticket(EVERYTHING), uuid4())
    fields = {name: value for name, value in EVERYTHING.items() if name != "Impact"} | {"customfield_4": "low"}
    tracker.file_ticket(jira_ticket(fields), uuid4())
    tracker.close()
    assert only(site)["fields"]["customfield_4"] == {"id": "101"}


def test_another_project_and_issue_type(site: FakeJira) -> None:
    site.projects.add("WEB")
    tracker = connect(site)
    fields = EVERYTHING | {"Project": "WEB", "issue_type": "Task"}
    assert tracker.file_ticket(jira_ticket(fields), uuid4()).key == "WEB-1"
    tracker.close()
    assert only(site)["fields"]["issuetype"] == {"name": "Task"}


def test_names_that_work_everywhere(site: FakeJira) -> None:
    """Sprint, epic link and story points have other names and ids on each site; the types of the fields are the same."""
    site.add_field("customfield_81", "Run", "array", "gh-sprint", items="json")
    site.add_field("customfield_82", "Saga", "any", "gh-epic-link")
    site.add_field("customfield_83", "Size", "number", "jsw-story-points")
    site.add_field("duedate", "Due", "date")
    tracker = connect(site)
    fields = EVERYTHING | {"cycle": 12, "epic": "OPS-7", "estimate": 5, "due_date": "2026-02-01"}
    tracker.file_ticket(jira_ticket(fields), uuid4())
    tracker.close()
    written = only(site)["fields"]
    assert [written[f"customfield_8{number}"] for number in (1, 2, 3)] == [12, "OPS-7", 5]
    assert written["duedate"] == "2026-02-01"


def test_what_jira_refuses_of_the_fields_waits_for_the_file(site: FakeJira) -> None:
    """Whether somebody can be assigned, only the request itself tells."""
    words = "User '5b10ac' cannot be assigned issues."
    site.faults = [Fault(is_create, Answer(400, {"errorMessages": [], "errors": {"assignee": words}}))]
    tracker = connect(site)
    with pytest.raises(WrongFields, match=rf"{words} \(FURROW_TICKET_FIELDS\)"):
        tracker.file_ticket(jira_ticket(EVERYTHING), uuid4())
    site.faults = [Fault(is_create, Answer(400, {"errorMessages": [], "errors": {"assignee": words}}))]
    with pytest.raises(WrongFields, match=rf"{words} \(FURROW_OWNERS_FILE\)"):
        tracker.file_ticket(replace(jira_ticket(EVERYTHING), owner_fields=frozenset({"assignee"})), uuid4())
    assert tracker.file_ticket(jira_ticket(EVERYTHING), uuid4()).key == "OPS-1"
    tracker.close()


def test_the_check_reads_every_rule_and_names_the_wrong_one(site: FakeJira) -> None:
    site.projects.add("WEB")
    document = {
        "fields": {"Steps": "one", "Impact": "Low"},
        "rules": [
            {"when": {"severity": "Critical"}, "fields": {"Impact": "High"}},
            {"when": {"application": "blog"}, "fields": {"Impact": "Huge"}},
        ],
    }
    plan = parse_ticket_plan({"jira": document})["jira"]
    tracker = connect(site, plan=plan, projects={"blog": "WEB"})
    with pytest.raises(PermanentError, match="rule 2: project WEB, issue type Bug: the field 'Impact' does not allow"):
        tracker.check_access()
    tracker.close()
    plan = TrackerPlan(plan.fields, plan.rules[:1])
    tracker = connect(site, plan=plan)
    assert tracker.check_access() == "project OPS, type Bug, as Furrow Bot"
    tracker.close()
    assert {request.method for request in site.requests} == {"GET"}


def test_without_fields_nothing_is_read_before_a_ticket(site: FakeJira) -> None:
    site.custom.clear()
    tracker = connect(site)
    tracker.file_ticket(jira_ticket({}), uuid4())
    tracker.close()
    assert not [request for request in site.requests if "createmeta" in request.path]


# Linear
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def workspace() -> Iterator[FakeLinear]:
    with FakeLinear() as fake:
        yield fake
    assert fake.violations == []


def linear(workspace: FakeLinear, **more: Any) -> LinearTracker:
    return LinearTracker(SecretStr(KEY), "ENG", workspace.url, **more)


def test_every_kind_of_field_reaches_linear(workspace: FakeLinear) -> None:
    tracker = linear(workspace)
    tracker.file_ticket(jira_ticket({"team": "WEB"}, incidentId="inc_0"), uuid4())
    fields = {
        "Team": "web", "project": "checkout", "cycle": "current", "estimate": 3, "assignee": "Ada@example.test",
        "state": "Backlog", "parent": "WEB-1", "due_date": date(2026, 1, 31), "labels": ("web-team",),
    }  # fmt: skip
    filed = tracker.file_ticket(jira_ticket(fields), uuid4())
    tracker.close()
    issue = workspace.by_key(filed.key)
    parent = workspace.by_key("WEB-1")["id"]
    assert filed.key == "WEB-2"
    assert (issue["projectId"], issue["cycleId"], issue["estimate"]) == ("project-checkout", "cycle-8", 3)
    assert (issue["assigneeId"], issue["stateId"], issue["parentId"]) == ("user-ada", "state-backlog", parent)
    assert issue["dueDate"] == "2026-01-31"
    names = {label["id"]: label["name"] for label in workspace.labels}
    assert [names[id_] for id_ in issue["labelIds"]] == ["furrow", "high", "bug", "checkout", "web-team"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("project", "Search", "the field 'project' does not allow 'Search'; the team's projects are Checkout"),
        (
            "cycle",
            "Winter",
            "the field 'cycle' does not allow 'Winter'; it allows 'current' and the team's cycles 7, Autumn",
        ),
        ("estimate", 4, "the field 'estimate' does not allow 4; the team's scale is 0, 1, 2, 3, 5, 8, 13, 21"),
        ("assignee", "bob", "the field 'assignee' does not allow 'bob': nobody of the team has"),
        ("state", "Doing", "the team's states are Backlog, Unstarted, Started, Completed, Canceled"),
        ("parent", "ENG-99", "the field 'parent' names no issue: 'ENG-99'"),
        ("component", "x", "the field 'component' is unknown; there are team, project, cycle"),
    ],
)
def test_a_wrong_value_is_told_before_linear_creates_anything(
    workspace: FakeLinear, name: str, value: Any, words: str
) -> None:
    tracker = linear(workspace)
    with pytest.raises(WrongFields) as wrong:
        tracker.file_ticket(jira_ticket({name: value}), uuid4())
    tracker.close()
    assert words in str(wrong.value)
    assert not [request for request in workspace.requests if operation(request) == "FurrowCreate"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"assignee": "ada"}, "Entity not found: User - Could not find referenced User."),
        ({"state": "Backlog"}, "Argument Validation Error - stateId must be one of the team's"),
        ({"estimate": 3}, "estimate is not in the team's scale"),
        ({"cycle": "current"}, "entity not found: Cycle"),
    ],
)
def test_what_linear_refuses_of_the_fields_waits_for_the_file(
    workspace: FakeLinear, fields: dict[str, Any], said: str
) -> None:
    """What changed since the fields were read, only the request itself tells."""
    refusal = Answer(200, {"errors": [{"message": said, "extensions": {"code": "INPUT_ERROR"}}]})
    workspace.faults = [Fault(linear_is_create, refusal)]
    tracker = linear(workspace)
    with pytest.raises(WrongFields, match=rf"{said} \(FURROW_TICKET_FIELDS\)"):
        tracker.file_ticket(jira_ticket(fields), uuid4())
    workspace.faults = [Fault(linear_is_create, refusal)]
    with pytest.raises(WrongFields, match=rf"{said} \(FURROW_OWNERS_FILE\)"):
        tracker.file_ticket(replace(jira_ticket(fields), owner_fields=frozenset(fields)), uuid4())
    assert tracker.file_ticket(jira_ticket(fields), uuid4()).key == "ENG-1"
    tracker.close()


def test_what_linear_refuses_of_the_ticket_is_no_matter_of_fields(workspace: FakeLinear) -> None:
    tracker = linear(workspace)
    for said in ("Entity not found: Team", "title must be shorter", "labelIds: not all labels exist"):
        workspace.faults = [Fault(linear_is_create, Answer(200, {"errors": [{"message": said}]}))]
        with pytest.raises(PermanentError, match=said) as refusal:
            tracker.file_ticket(jira_ticket({"assignee": "ada"}), uuid4())
        assert not isinstance(refusal.value, WrongFields)
    workspace.faults = [
        Fault(linear_is_create, Answer(200, {"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}]}))
    ]
    with pytest.raises(AccessRefused) as refused:
        tracker.file_ticket(jira_ticket({"assignee": "ada"}), uuid4())
    assert not isinstance(refused.value, WrongFields)
    tracker.close()


@pytest.mark.parametrize("owned", [False, True])
def test_a_wrong_field_names_the_file_that_it_comes_from(site: FakeJira, workspace: FakeLinear, owned: bool) -> None:
    file = "FURROW_OWNERS_FILE" if owned else "FURROW_TICKET_FIELDS"
    wrong = replace(jira_ticket({"Assignee": "bob"}), owner_fields=frozenset({"assignee"} if owned else ()))
    tracker = linear(workspace)
    with pytest.raises(WrongFields, match=rf"the field 'Assignee' .*\({file}\)$"):
        tracker.file_ticket(wrong, uuid4())
    tracker.close()
    both = replace(jira_ticket({"Assignee": True, "Nonsense": "x"}), owner_fields=wrong.owner_fields)
    jira_tracker = connect(site)
    with pytest.raises(WrongFields, match="the field 'Assignee' takes") as refusal:
        jira_tracker.file_ticket(both, uuid4())
    assert "the field 'Impact' is required (FURROW_TICKET_FIELDS)" in str(refusal.value)
    assert str(refusal.value).count("FURROW_OWNERS_FILE") == owned
    jira_tracker.close()


def test_the_check_of_linear_reads_every_rule(workspace: FakeLinear) -> None:
    rules = [{"when": {"route": "/checkout*"}, "fields": {"team": "WEB", "state": "Doing"}}]
    plan = parse_ticket_plan({"linear": {"fields": {"estimate": 3}, "rules": rules}})["linear"]
    tracker = linear(workspace, plan=plan)
    with pytest.raises(AccessRefused, match="rule 1: team WEB: the field 'state' does not allow 'Doing'"):
        tracker.check_access()
    tracker.close()
    tracker = linear(workspace, plan=TrackerPlan(plan.fields))
    assert tracker.check_access() == "team ENG"
    tracker.close()


# The file
# ---------------------------------------------------------------------------------------------------------------------

FILE = """
[jira.fields]
components = ["Shop"]
"Story Points" = 1

[[jira.rules]]
when = { application = "shop", route = ["/cart", "/checkout*"], environment = "prod*" }
fields = { components = ["Checkout"], assignee = "ada" }

[[jira.rules]]
when = { endpoint = "/api/orders" }
fields = { "story points" = 8 }
"""


def test_the_first_rule_that_matches_replaces_fields_of_its_names(tmp_path: Path) -> None:
    path = tmp_path / "tickets.toml"
    path.write_text(FILE)
    plan = load_ticket_plan(str(path))["jira"]
    assert plan.choose_fields(incident()) == {"components": ("Checkout",), "Story Points": 1, "assignee": "ada"}  # type: ignore[arg-type]
    staging = incident(environments=["staging"])
    assert plan.choose_fields(staging) == {"components": ("Shop",), "story points": 8}  # type: ignore[arg-type]
    other = incident(projectId="blog", failurePoint={"route": "/", "target": "", "feedback": "TypeError"})
    assert plan.choose_fields(other) == {"components": ("Shop",), "Story Points": 1}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("condition", "pattern", "matches"),
    [
        ("application", "shop", True),
        ("route", "/check*", True),
        ("route", "/Check*", False),
        ("endpoint", "POST /api/*", True),
        ("endpoint", "/api/orders", True),
        ("control", "button#pay", True),
        ("control", "Pay now", True),
        ("severity", ["Critical", "High"], True),
        ("kind", "Bug", True),
        ("environment", "staging", False),
    ],
)
def test_conditions(condition: str, pattern: Any, matches: bool) -> None:
    rules = [{"when": {condition: pattern}, "fields": {"team": "WEB"}}]
    plan = parse_ticket_plan({"linear": {"rules": rules}})["linear"]
    assert plan.choose_fields(incident()) == ({"team": "WEB"} if matches else {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("jira = 1", "jira must be a table"),
        ("[gihub]", "the file has no 'gihub'; there are jira, linear, github, gitlab, webhook"),
        ("[jira.feilds]", "jira has no 'feilds'; there are fields, rules, title, body"),
        ("github.fields = { milestone = '2.6' }", "github has no 'fields'; there are title, body"),
        ("[[jira.rules]]\nfields = { a = 1 }", "rule 1 of jira, when must be a table"),
        (
            "[[jira.rules]]\nwhen = { rout = '/' }\nfields = { a = 1 }",
            "there are application, route, endpoint, control",
        ),
        ("[jira.fields]\nsummary = 'x'", "jira.fields.summary is no field: the text is made by the template title"),
        ("[jira.fields]\na = { b = 1 }", "jira.fields.a must be a text, a number"),
        ("[jira.fields]\na = []", "jira.fields.a must be a list of 1 to 100"),
        ("[jira", "cannot be read: Expected"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "tickets.toml"
    path.write_text(text)
    with pytest.raises(AccessRefused) as wrong:
        load_ticket_plan(str(path))
    assert words in str(wrong.value)
    assert str(path) in str(wrong.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(AccessRefused, match="cannot be read: No such file or directory"):
        load_ticket_plan(str(tmp_path / "none.toml"))
