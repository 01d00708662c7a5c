"""A GitLab that keeps issues and carries out quick actions; every request is compared with GitLab's own description."""

import re
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import unquote

from graphql import GraphQLSchema, build_schema, graphql_sync

from tests.fakes.contract import CONTRACTS, find_violations
from tests.fakes.forge import FakeForge, now, plenty
from tests.fakes.server import Answer, Request

TOKEN = "glpat-0123456789abcdef"
CONTRACT = "gitlab-issues"
# As GitLab looks for them: lines of a slash and a word, outside of code.
_CODE = re.compile(r"^```.+?\n```$", re.MULTILINE | re.DOTALL)
_ACTION = re.compile(r"^/(\w+)", re.MULTILINE)


@cache
def schema() -> GraphQLSchema:
    return build_schema((CONTRACTS / "gitlab.graphql").read_text(encoding="utf-8"))


def is_create(request: Request) -> bool:
    return request.method == "POST" and re.fullmatch(r"/api/v4/projects/[^/]+/issues", request.path) is not None


def is_list(request: Request) -> bool:
    return request.method == "GET" and request.path.endswith("/issues")


def is_comment(request: Request) -> bool:
    return request.method == "POST" and request.path.endswith("/notes")


class FakeGitLab(FakeForge):
    """One site."""

    name = "gitlab"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.links: list[tuple[str, str]] = []
        self.actions: list[str] = []
        self.ids = {self.project: 1}

    @property
    def url(self) -> str:
        return self.address

    def move(self, key: str, project: str) -> str:
        """Somebody moves it: a new issue has all that it had, and it is closed itself. Returns the new key."""
        self.projects.setdefault(project, {})
        old = self.issues[key]
        made = self.make(project, old["title"], old["body"], list(old["labels"]), author=old["author"])
        made |= {name: old[name] for name in ("assignees", "open", "closed")} | {"comments": list(old["comments"])}
        self.finish(key, closed=now())
        old["moved_to"] = self.issue_id(made)
        return f"{project}#{made['number']}"

    def handle(self, request: Request) -> Answer:
        answer = self._answer(request)
        return replace(answer, headers={**plenty("RateLimit-"), **answer.headers})

    def _answer(self, request: Request) -> Answer:
        if request.path == "/api/graphql" and request.method == "POST":
            return self._graph(request)
        if request.headers.get("private-token") != TOKEN:
            return Answer(401, {"message": "401 Unauthorized"})
        self.violations += find_violations(CONTRACT, request, request.path)
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        match parts:
            case ["api", "v4", "user"]:
                return Answer(200, {"id": 1, "username": "furrow-bot"})
            case ["api", "v4", "projects", project, *rest]:
                project = next((path for path, id_ in self.ids.items() if str(id_) == project), project)
                if project not in self.projects:
                    return Answer(404, {"message": "404 Project Not Found"})
                return self._in_project(project, rest, request)
        return Answer(404, {"error": "404 Not Found"})

    def _graph(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(401, {"errors": [{"message": "Invalid token"}]})
        body = request.json
        done = graphql_sync(schema(), body["query"], _Root(self), variable_values=body["variables"])
        self.violations += [error.message for error in done.errors or ()]
        return Answer(200, {"data": done.data})

    def _in_project(self, project: str, rest: list[str], request: Request) -> Answer:
        match request.method, rest:
            case "GET", []:
                role = {"project_access": {"access_level": 30 if self.may_label else 10}, "group_access": None}
                known = {"path_with_namespace": project, "archived": False, "issues_enabled": True, "permissions": role}
                return Answer(200, known | self.projects[project])
            case "GET", ["issues"]:
                value = {name: values[-1] for name, values in request.query.items()}
                if numbers := request.query.get("iids[]"):
                    asked = [self.issues.get(f"{project}#{number}") for number in numbers]
                    return Answer(200, [self.shown(issue) for issue in asked if issue])
                found = self.listed(
                    project, value["labels"], value.get("updated_after", ""), int(value["page"]), int(value["per_page"])
                )
                return Answer(200, [self.shown(issue) for issue in found])
            case "POST", ["issues"]:
                body = request.json
                if not body["title"] or len(body["title"]) > 255:
                    return Answer(400, {"message": {"title": ["is too long (maximum is 255 characters)"]}})
                labels = body["labels"].split(",") if self.may_label else []
                issue = self.make(project, body["title"], body["description"], labels)
                self.handle_text(body["description"])
                return Answer(201, self.shown(issue))
            case method, ["issues", number, *more]:
                key = f"{project}#{number}"
                if key not in self.issues:
                    return Answer(404, {"message": "404 Not found"})
                return self._on_issue(method, key, more, request)
        return Answer(404, {"error": "404 Not Found"})

    def _on_issue(self, method: str, key: str, rest: list[str], request: Request) -> Answer:
        issue = self.issues[key]
        match method, rest:
            case "GET", []:
                return Answer(200, self.shown(issue))
            case "PUT", []:
                body = dict(request.json)
                if event := body.pop("state_event", None):
                    opened = event == "reopen"
                    issue |= {"open": opened, "closed": None if opened else now(), "updated": now()}
                    issue |= {"duplicate_of": "", "moved_by": None if opened else "furrow-bot"}
                if "labels" in body:
                    issue["labels"] = body["labels"].split(",")
                if "description" in body:
                    issue["body"] = body["description"]
                    self.handle_text(issue["body"])
                issue["title"] = body.get("title", issue["title"])
                return Answer(200, self.shown(issue))
            case "GET", ["notes"]:
                page, size = int(request.query["page"][-1]), int(request.query["per_page"][-1])
                return Answer(200, issue["comments"][::-1][(page - 1) * size : page * size])
            case "POST", ["notes"]:
                note = {
                    "id": len(issue["comments"]) + 1,
                    "body": request.json["body"],
                    "system": False,
                    "author": {"id": 1},
                }
                issue["comments"].append(note)
                self.handle_text(note["body"])
                return Answer(201, note)
            case "POST", ["links"]:
                other = f"{request.json['target_project_id']}#{request.json['target_issue_iid']}"
                if other not in self.issues:
                    return Answer(404, {"message": "404 Not found"})
                if (key, other) in self.links:
                    return Answer(409, {"message": "Issue(s) already assigned"})
                self.links.append((key, other))
                return Answer(201, {"source_issue": {}, "target_issue": {}, "link_type": "relates_to"})
        return Answer(404, {"error": "404 Not Found"})

    def handle_text(self, text: str) -> None:
        """Carry out the quick actions in a text."""
        self.actions += _ACTION.findall(_CODE.sub("", text))

    def project_id(self, project: str) -> int:
        return self.ids.setdefault(project, len(self.ids) + 1)

    def issue_id(self, issue: dict[str, Any]) -> int:
        """What no other issue of the site has."""
        return 1_000 * self.project_id(issue["project"]) + int(issue["number"])

    def api_url(self, key: str) -> str | None:
        project, _, number = key.rpartition("#")
        return f"{self.url}/api/v4/projects/{self.project_id(project)}/issues/{number}" if key else None

    def shown(self, issue: dict[str, Any]) -> dict[str, Any]:
        key = f"{issue['project']}#{issue['number']}"
        return {
            "id": self.issue_id(issue),
            "iid": issue["number"],
            "project_id": self.project_id(issue["project"]),
            "title": issue["title"],
            "description": issue["body"],
            "state": "opened" if issue["open"] else "closed",
            "labels": issue["labels"],
            "author": {"id": issue["author"], "username": f"user-{issue['author']}"},
            "updated_at": issue["updated"],
            "closed_at": issue["closed"],
            "closed_by": {"id": 7, "name": issue["moved_by"], "username": "user-7"} if issue["moved_by"] else None,
            "assignees": [{"id": 9, "name": name, "username": "user-9"} for name in issue["assignees"]],
            "milestone": {"id": 1, "iid": 1, "title": issue["milestone"]} if issue["milestone"] else None,
            "moved_to_id": issue.get("moved_to"),
            "user_notes_count": len(issue["comments"]),
            "_links": {"self": self.api_url(key), "closed_as_duplicate_of": self.api_url(issue["duplicate_of"])},
            "references": {"short": f"#{issue['number']}", "full": f"{issue['project']}#{issue['number']}"},
            "web_url": f"https://elsewhere.test/{issue['project']}/-/issues/{issue['number']}",
        }


class _Root:
    """Queries; arguments are named as in the schema."""

    def __init__(self, fake: FakeGitLab) -> None:
        self._fake = fake

    def issue(self, _info: Any, id: str) -> Any:
        """An issue that is not there, and one that the account may not see, are None."""
        fake = self._fake
        for found in fake.issues.values():
            if id == f"gid://gitlab/Issue/{fake.issue_id(found)}" and found["project"] in fake.projects:
                return {"id": id, "iid": str(found["number"]), "projectId": fake.project_id(found["project"])}
        return None
