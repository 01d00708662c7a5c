"""A Linear that keeps issues; every document is validated and executed against Linear's own schema."""

import json
import re
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from graphql import GraphQLError, GraphQLSchema, build_schema, graphql_sync, parse, validate

from tests.fakes.server import Answer, Fake, Request

CONTRACT = Path(__file__).parents[1] / "data" / "contracts" / "linear.graphql"
KEY = "lin_api_0123456789abcdef"


@cache
def schema() -> GraphQLSchema:
    return build_schema(CONTRACT.read_text(encoding="utf-8"))


def operation(request: Request) -> str:
    """The name of the document that a request holds."""
    match = re.match(r"(?:query|mutation) (\w+)", request.json["query"])
    return match[1] if match else ""


def is_create(request: Request) -> bool:
    return operation(request) == "FurrowCreate"


def rate_limited(**headers: str) -> Answer:
    """As Linear says it: HTTP 400."""
    extensions = {"code": "RATELIMITED", "type": "Ratelimited", "userPresentableMessage": "Rate limit exceeded."}
    return Answer(400, {"errors": [{"message": "Rate limit exceeded", "extensions": extensions}]}, headers)


class FakeLinear(Fake):
    """One workspace with the teams ENG and WEB; ``error_status`` is the HTTP status of errors in documents."""

    name = "linear"

    def __init__(self, error_status: int = 200) -> None:
        super().__init__()
        self.error_status = error_status
        self.issues: dict[str, dict[str, Any]] = {}
        self.comments: dict[str, dict[str, Any]] = {}
        self.attachments: list[dict[str, Any]] = []
        states = [
            {"id": f"state-{type_}", "type": type_, "name": type_.title(), "position": float(place)}
            for place, type_ in enumerate(("backlog", "unstarted", "started", "completed", "canceled"))
        ]
        cycles = [{"id": "cycle-7", "number": 7.0, "name": None}, {"id": "cycle-8", "number": 8.0, "name": "Autumn"}]
        self.teams = [
            {
                "id": str(uuid4()), "key": key, "defaultIssueState": states[1], "states": {"nodes": states},
                "issueEstimationType": "fibonacci", "activeCycle": cycles[1], "cycles": {"nodes": cycles},
                "projects": {"nodes": [{"id": "project-checkout", "name": "Checkout"}]},
                "members": {"nodes": [
                    {"id": "user-ada", "name": "Ada Lovelace", "displayName": "ada", "email": "ada@example.test"}
                ]},
            }
            for key in ("ENG", "WEB")
        ]  # fmt: skip
        self.states = {state["type"]: state for state in states}
        self.labels: list[dict[str, Any]] = []
        self.person: str | None = "bea"

    @property
    def url(self) -> str:
        return f"{self.address}/graphql"

    def by_key(self, key: str) -> dict[str, Any]:
        return next(issue for issue in self.issues.values() if issue["identifier"] == key)

    def finish(self, key: str) -> None:
        """Somebody sets it to done."""
        self.by_key(key).update(state=self.states["completed"], completedAt="2024-02-01T09:30:00.000Z")
        self._note(key, "2024-02-01T09:30:00.000Z")

    def close_at(self, key: str, type_: str, closed: str) -> None:
        """Somebody closes it at that time (ISO 8601)."""
        at = "completedAt" if type_ == "completed" else "canceledAt"
        self.by_key(key).update({"state": self.states[type_], at: closed})
        self._note(key, closed)

    def reopen(self, key: str) -> None:
        """Somebody opens it again."""
        self.by_key(key).update(state=self.states["started"], completedAt=None, canceledAt=None)
        self._note(key, datetime.now(UTC).isoformat())

    def duplicate(self, key: str, original: str) -> None:
        """Somebody closes it as a duplicate."""
        self.close_at(key, "canceled", datetime.now(UTC).isoformat())
        relation = {"type": "duplicate", "relatedIssue": {"identifier": original}}
        self.by_key(key)["relations"]["nodes"].append(relation)

    def assign(self, key: str, person: str) -> None:
        """Somebody gets it."""
        self.by_key(key).update(assignee={"displayName": person})
        self._touch(key)

    def age(self) -> None:
        """A day goes by for every issue."""
        for issue in self.issues.values():
            issue["touched"] -= 86_400

    def _note(self, key: str, at: str) -> None:
        """A line in its history, newest first, by ``person`` or an integration."""
        who = {"actor": {"displayName": self.person} if self.person else None, "botActor": {"name": "GitHub"}}
        issue = self.by_key(key)
        issue["history"]["nodes"].insert(0, {"createdAt": at, "toState": issue["state"], **who})
        self._touch(key)

    def _touch(self, key: str) -> None:
        self.by_key(key)["touched"] = time.monotonic()

    def delete(self, key: str) -> None:
        """Somebody deletes it: it is in the trash."""
        self.by_key(key).update(trashed=True, archivedAt="2024-03-01T00:00:00.000Z")

    def handle(self, request: Request) -> Answer:
        if request.headers.get("authorization") != KEY:
            said = {"code": "AUTHENTICATION_ERROR", "type": "authentication error"}
            return Answer(
                401, {"errors": [{"message": "Authentication required, not authenticated", "extensions": said}]}
            )
        document = request.json["query"]
        self.violations += [error.message for error in validate(schema(), parse(document))]
        done = graphql_sync(schema(), document, _Root(self), variable_values=request.json["variables"])
        errors = done.errors or []
        # What comes from no resolver is a fault in the request or in the fake.
        self.violations += [error.message for error in errors if not isinstance(error.original_error, _Refusal)]
        if not errors:
            return Answer(200, {"data": done.data})
        return Answer(self.error_status, {"data": done.data, "errors": [error.formatted for error in errors]})


class _Refusal(GraphQLError):
    def __init__(self, message: str, code: str = "INPUT_ERROR") -> None:
        super().__init__(message, extensions={"code": code, "type": "invalid input", "userError": True})


class _Root:
    """The resolvers; one method for each field of Query and Mutation that the exporter uses."""

    def __init__(self, fake: FakeLinear) -> None:
        self.fake = fake

    def teams(self, _: Any, filter: Any, first: int) -> Any:
        wanted = filter["key"]["eqIgnoreCase"].lower()
        return {"nodes": [team for team in self.fake.teams if team["key"].lower() == wanted][:first]}

    def team(self, _: Any, id: str) -> Any:
        found = next((team for team in self.fake.teams if team["id"] == id), None)
        if found is None:
            raise _Refusal("Entity not found: Team")
        return found

    def issueLabels(self, _: Any, filter: Any, first: int) -> Any:
        wanted = {one["name"]["eqIgnoreCase"].lower() for one in filter["or"]}
        return {"nodes": [label for label in self.fake.labels if label["name"].lower() in wanted][:first]}

    def issue(self, _: Any, id: str) -> Any:
        found = [one for one in self.fake.issues.values() if id in (one["id"], one["identifier"])]
        if not found:
            raise _Refusal("Entity not found: Issue")
        return found[0]

    def issues(self, _: Any, filter: Any, first: int, includeArchived: bool) -> Any:
        since, ids = filter["updatedAt"]["gte"], filter["id"]["in"]
        minutes = re.fullmatch(r"-PT(\d+)M", since)
        newer = time.monotonic() - 60 * int(minutes[1]) if minutes else float("-inf")
        found = [one for one in self.fake.issues.values() if one["id"] in ids and one["touched"] >= newer]
        return {"nodes": [self._stated(one) for one in found if includeArchived or not one["archivedAt"]][:first]}

    def _stated(self, issue: Any) -> Any:
        comments = [{"id": id_} for id_, one in self.fake.comments.items() if one["issue"] is issue]
        return {**issue, "comments": {"nodes": comments}}

    def comment(self, _: Any, id: str) -> Any:
        if id not in self.fake.comments:
            raise _Refusal("Entity not found: Comment")
        return self.fake.comments[id]

    def attachmentsForURL(self, _: Any, url: str, **__: Any) -> Any:
        return {"nodes": [one for one in self.fake.attachments if one["url"] == url]}

    def issueCreate(self, _: Any, input: Any) -> Any:
        id_, team = input["id"], next((one for one in self.fake.teams if one["id"] == input["teamId"]), None)
        if UUID(id_).version != 4:
            raise _Refusal("Argument Validation Error: id must be a UUID v4")
        if team is None:
            raise _Refusal("Argument Validation Error: teamId must be a UUID of a team")
        if id_ in self.fake.issues:
            raise _Refusal(f"conflict on insert of Issue: an entity with the id {id_} exists already")
        if not 0 <= input["priority"] <= 4:
            raise _Refusal("Argument Validation Error: priority must not be greater than 4")
        usable = {label["id"] for label in self.fake.labels if not label["isGroup"]}
        if not set(input["labelIds"]) <= usable:
            raise _Refusal("labelIds: not all labels exist")
        for name, known in (
            ("assigneeId", "members"),
            ("projectId", "projects"),
            ("cycleId", "cycles"),
            ("stateId", "states"),
        ):
            if name in input and input[name] not in {one["id"] for one in team[known]["nodes"]}:
                raise _Refusal(f"Argument Validation Error: {name} must be one of the team's")
        if "parentId" in input and input["parentId"] not in self.fake.issues:
            raise _Refusal("Entity not found: Issue")
        if input.get("estimate", 0) not in (0, 1, 2, 3, 5, 8, 13, 21):
            raise _Refusal("Argument Validation Error: estimate is not in the team's scale")
        number = 1 + sum(one["team"] is team for one in self.fake.issues.values())
        key = f"{team['key']}-{number}"
        issue = {
            **input,
            "identifier": key,
            "url": f"https://linear.app/acme/issue/{key}/a-title",
            "team": team,
            "state": team["defaultIssueState"],
            "createdAt": datetime.now(UTC).isoformat(),
            "previousIdentifiers": [],
            "archivedAt": None,
            "trashed": None,
            "completedAt": None,
            "canceledAt": None,
            "assignee": None,
            "relations": {"nodes": []},
            "history": {"nodes": []},
            "touched": time.monotonic(),
        }
        self.fake.issues[id_] = issue
        return {"success": True, "issue": issue}

    def issueLabelCreate(self, _: Any, input: Any) -> Any:
        if any(label["name"].lower() == input["name"].lower() for label in self.fake.labels):
            raise _Refusal("Duplicate label name")
        label = {"id": str(uuid4()), "name": input["name"], "isGroup": False, "team": {"id": input["teamId"]}}
        self.fake.labels.append(label)
        return {"success": True, "issueLabel": label}

    def attachmentCreate(self, info: Any, input: Any) -> Any:
        issue = self.issue(info, input["issueId"])
        for one in self.fake.attachments:
            if one["url"] == input["url"] and one["issue"] is issue:
                one.update(input)
                return {"success": True}
        self.fake.attachments.append({**input, "issue": issue})
        return {"success": True}

    def commentCreate(self, info: Any, input: Any) -> Any:
        self.issue(info, input["issueId"])["touched"] = time.monotonic()
        if UUID(input["id"]).version != 4:
            raise _Refusal("Argument Validation Error: id must be a UUID v4")
        if input["id"] in self.fake.comments:
            raise _Refusal("conflict on insert of Comment: exists already")
        self.fake.comments[input["id"]] = {**input, "issue": self.issue(info, input["issueId"])}
        return {"success": True}

    def issueRelationCreate(self, info: Any, input: Any) -> Any:
        (related,) = (one for one in self.fake.issues.values() if one["identifier"] == input["relatedIssueId"])
        relation = {"type": input["type"], "relatedIssue": related}
        self.issue(info, input["issueId"])["relations"]["nodes"].append(relation)
        return {"success": True}

    def issueUpdate(self, info: Any, id: str, input: Any) -> Any:
        issue = self.issue(info, id)
        changes = dict(input)
        if "stateId" in changes:
            wanted = changes.pop("stateId")
            state = next(one for one in self.fake.states.values() if one["id"] == wanted)
            issue.update(state=state, completedAt=None)
        issue.update(changes, touched=time.monotonic())
        return {"success": True, "issue": issue}


def shown(issue: dict[str, Any]) -> str:
    """An issue as text, for assertions about what must not be in it."""
    return json.dumps({name: value for name, value in issue.items() if name != "team"}, ensure_ascii=False)
