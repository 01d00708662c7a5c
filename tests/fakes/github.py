"""A GitHub that keeps issues; every request is compared with GitHub's own description."""

import re
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import unquote

from graphql import GraphQLError, GraphQLSchema, build_schema, graphql_sync

from tests.fakes.contract import CONTRACTS, find_violations
from tests.fakes.forge import FakeForge, now, plenty
from tests.fakes.server import Answer, Request

TOKEN = "github_pat_0123456789abcdef"
CONTRACT = "github-issues"


@cache
def schema() -> GraphQLSchema:
    return build_schema((CONTRACTS / "github.graphql").read_text(encoding="utf-8"))


def is_create(request: Request) -> bool:
    return request.method == "POST" and re.fullmatch(r"(/api/v3)?/repos/[^/]+/[^/]+/issues", request.path) is not None


def is_list(request: Request) -> bool:
    return request.method == "GET" and request.path.endswith("/issues")


def is_comment(request: Request) -> bool:
    return request.method == "POST" and request.path.endswith("/comments")


def secondary_limit(**headers: str) -> Answer:
    """As GitHub says it: HTTP 403."""
    said = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    return Answer(403, {"message": said, "documentation_url": "https://docs.github.com"}, headers)


class FakeGitHub(FakeForge):
    """``enterprise``: the API is below /api/v3."""

    name = "github"

    def __init__(self, enterprise: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.prefix = "/api/v3" if enterprise else ""
        self.moved: dict[str, str] = {}
        self.knows_originals = True
        self.known_reasons = {"completed", "not_planned", "duplicate", "reopened"}

    @property
    def url(self) -> str:
        return f"{self.address}{self.prefix}"

    def handle(self, request: Request) -> Answer:
        answer = self._answer(request)
        return replace(answer, headers={**plenty("x-ratelimit-"), **answer.headers})

    def _answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(401, {"message": "Bad credentials"})
        if request.path == ("/api/graphql" if self.prefix else "/graphql") and request.method == "POST":
            return self._graph(request.json)
        if not request.path.startswith(f"{self.prefix}/"):
            return Answer(404, {"message": "Not Found"})
        path = request.path.removeprefix(self.prefix)
        self.violations += find_violations(CONTRACT, request, path)
        if request.headers.get("x-github-api-version") != "2022-11-28":
            self.violations.append("no version of the API is named")
        parts = [unquote(part) for part in path.strip("/").split("/")]
        match parts:
            case ["user"]:
                return Answer(200, {"login": "furrow-bot", "id": 1})
            case ["repos", owner, name, *rest]:
                repository = f"{owner}/{name}"
                if repository not in self.projects:
                    return Answer(404, {"message": "Not Found"})
                return self._in_repository(repository, rest, request)
        return Answer(404, {"message": "Not Found"})

    def _graph(self, body: dict[str, Any]) -> Answer:
        if not self.knows_originals and "duplicateOf" in body["query"]:
            said = {"code": "undefinedField", "typeName": "Issue", "fieldName": "duplicateOf"}
            message = "Field 'duplicateOf' doesn't exist on type 'Issue'"
            return Answer(200, {"errors": [{"message": message, "path": ["query"], "extensions": said}]})
        done = graphql_sync(schema(), body["query"], _Root(self), variable_values=body["variables"])
        errors = [
            {"type": "NOT_FOUND", "path": error.path, "message": error.message}
            for error in done.errors or ()
            if isinstance(error.original_error, _NotFound)
        ]
        # What comes from no resolver is a fault in the request or in the fake.
        others = [error for error in done.errors or () if not isinstance(error.original_error, _NotFound)]
        self.violations += [error.message for error in others]
        return Answer(200, {"data": done.data, **({"errors": errors} if errors else {})})

    def _in_repository(self, repository: str, rest: list[str], request: Request) -> Answer:
        match request.method, rest:
            case "GET", []:
                may = {"pull": True, "triage": self.may_label, "push": self.may_label}
                known = {"full_name": repository, "has_issues": True, "archived": False, "permissions": may}
                return Answer(200, known | self.projects[repository])
            case "GET", ["issues"]:
                value = {name: values[-1] for name, values in request.query.items()}
                found = self.listed(
                    repository, value["labels"], value.get("since", ""), int(value["page"]), int(value["per_page"])
                )
                return Answer(200, [self.shown(issue) for issue in found])
            case "POST", ["issues"]:
                return self._create(repository, request.json)
            case method, ["issues", number, *more]:
                key = f"{repository}#{number}"
                if key in self.moved:
                    there = self.moved[key].replace("#", "/issues/")
                    return Answer(301, {"message": "Moved Permanently"}, {"Location": f"{self.url}/repos/{there}"})
                if key in self.deleted:
                    return Answer(410, {"message": "This issue was deleted"})
                if key not in self.issues:
                    return Answer(404, {"message": "Not Found"})
                return self._on_issue(method, self.issues[key], more, request)
        return Answer(404, {"message": "Not Found"})

    def _create(self, repository: str, body: dict[str, Any]) -> Answer:
        if not body["title"] or len(body["title"]) > 256 or len(body["body"]) > 65_536:
            errors = [{"resource": "Issue", "field": "title", "code": "invalid"}]
            return Answer(422, {"message": "Validation Failed", "errors": errors})
        if any(len(label) > 50 for label in body["labels"]):
            return Answer(422, {"message": "Validation Failed", "errors": [{"resource": "Label", "code": "invalid"}]})
        labels = body["labels"] if self.may_label else []
        return Answer(201, self.shown(self.make(repository, body["title"], body["body"], labels)))

    def _on_issue(self, method: str, issue: dict[str, Any], rest: list[str], request: Request) -> Answer:
        match method, rest:
            case "GET", []:
                return Answer(200, self.shown(issue))
            case "PATCH", []:
                body = dict(request.json)
                reason = body.pop("state_reason", None)
                if reason not in (None, *self.known_reasons):
                    errors = [{"resource": "Issue", "field": "state_reason", "code": "invalid"}]
                    return Answer(422, {"message": "Validation Failed", "errors": errors})
                if "state" in body:
                    is_open = body.pop("state") == "open"
                    issue |= {"open": is_open, "reason": reason or ("reopened" if is_open else "completed")}
                    issue |= {"closed": None if is_open else now(), "updated": now(), "duplicate_of": ""}
                    issue["moved_by"] = "furrow-bot"
                issue |= body
                return Answer(200, self.shown(issue))
            case "GET", ["comments"]:
                page, size = int(request.query["page"][-1]), int(request.query["per_page"][-1])
                return Answer(200, issue["comments"][(page - 1) * size : page * size])
            case "POST", ["comments"]:
                comment = {"id": len(issue["comments"]) + 1, "body": request.json["body"], "user": {"id": 1}}
                issue["comments"].append(comment)
                return Answer(201, issue["comments"][-1])
        return Answer(404, {"message": "Not Found"})

    def shown(self, issue: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": 1_000 + issue["number"],
            "number": issue["number"],
            "title": issue["title"],
            "body": issue["body"],
            "state": "open" if issue["open"] else "closed",
            "state_reason": issue["reason"],
            "labels": [{"id": 1, "name": label, "color": "ededed"} for label in issue["labels"]],
            "user": {"login": f"user-{issue['author']}", "id": issue["author"]},
            "updated_at": issue["updated"],
            "closed_at": issue["closed"],
            "comments": len(issue["comments"]),
            "repository_url": f"{self.url}/repos/{issue['project']}",
            "html_url": f"https://elsewhere.test/{issue['project']}/issues/{issue['number']}",
        }


class _NotFound(GraphQLError):
    """There is nothing of this name that the account may see."""


class _Root:
    """Queries; arguments are named as in the schema."""

    def __init__(self, fake: FakeGitHub) -> None:
        self._fake = fake

    def repository(self, _info: Any, owner: str, name: str, **_: Any) -> Any:
        path = f"{owner}/{name}"
        if path not in self._fake.projects:
            raise _NotFound(f"Could not resolve to a Repository with the name '{path}'.")
        return _Repository(self._fake, path)


class _Repository:
    def __init__(self, fake: FakeGitHub, path: str) -> None:
        self._fake = fake
        self.nameWithOwner = path

    def issue(self, _info: Any, number: int) -> Any:
        key = f"{self.nameWithOwner}#{number}"
        if key not in self._fake.issues:
            raise _NotFound(f"Could not resolve to an Issue with the number of {number}.")
        return _state(self._fake.issues[key])


def _state(issue: dict[str, Any]) -> dict[str, Any]:
    path, _, number = issue["duplicate_of"].rpartition("#")
    return {
        "number": issue["number"],
        "state": "OPEN" if issue["open"] else "CLOSED",
        "stateReason": issue["reason"].upper() if issue["reason"] else None,
        "closedAt": issue["closed"],
        "updatedAt": issue["updated"],
        "repository": {"nameWithOwner": issue["project"]},
        "milestone": {"title": issue["milestone"]} if issue["milestone"] else None,
        "comments": {"totalCount": len(issue["comments"])},
        "assignees": {"nodes": [{"login": login} for login in issue["assignees"]]},
        "labels": {"nodes": [{"name": label} for label in issue["labels"]]},
        "timelineItems": {"nodes": [_event(issue)] if issue["reason"] else []},
        "duplicateOf": {"number": int(number), "repository": {"nameWithOwner": path}} if path else None,
    }


def _event(issue: dict[str, Any]) -> dict[str, Any]:
    """That it was closed or opened again."""
    actor = {"__typename": "User", "login": issue["moved_by"]} if issue["moved_by"] else None
    return {"__typename": "ReopenedEvent" if issue["open"] else "ClosedEvent", "actor": actor}
