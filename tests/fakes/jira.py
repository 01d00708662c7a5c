"""A Jira that keeps issues: Cloud (v3, checked against Atlassian's description) or Data Center (v2)."""

import base64
import json
import re
import time
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema

from tests.fakes.server import Answer, Fake, Request

CONTRACT = Path(__file__).parents[1] / "data" / "contracts" / "jira-cloud-v3.json"
USER, TOKEN = "furrow@example.test", "jira-token-0123456789"
_NO_PROJECT = "No project could be found with key '{}'."
_SYSTEM = {
    "labels": {"type": "array", "items": "string", "system": "labels"},
    "priority": {"type": "priority", "system": "priority"},
}
_PRIORITIES = {"Highest", "High", "Medium", "Low", "Lowest"}


@cache
def contract() -> dict[str, Any]:
    return dict(json.loads(CONTRACT.read_text(encoding="utf-8")))


def is_create(request: Request) -> bool:
    return request.method == "POST" and request.path.endswith("/issue")


def is_search(request: Request) -> bool:
    return "/search" in request.path


def is_comment(request: Request) -> bool:
    return request.method == "POST" and request.path.endswith("/comment")


class FakeJira(Fake):
    """One site. ``lag``: so many searches do not see an issue that is new, unless they reconcile it. ``person``: who moves
    issues; None: an account that is gone."""

    name = "jira"

    def __init__(self, kind: str = "cloud", project: str = "OPS", lag: int = 0) -> None:
        super().__init__()
        self.cloud, self.project, self.lag = kind == "cloud", project, lag
        self.projects = {project}
        self.issues: dict[str, dict[str, Any]] = {}
        self.deleted: list[dict[str, Any]] = []
        self.links: list[dict[str, Any]] = []
        self.has_priority = True
        self.person: str | None = "bea"
        self.issue_types = {"Bug", "Task"}
        self.may_create = True
        self.fields = ["project", "issuetype", "summary", "description", "labels", "priority", "customfield_7"]
        self.required = {"project", "issuetype", "summary"}
        self.custom: dict[str, dict[str, Any]] = {}

    def add_field(self, id_: str, name: str, type_: str, custom: str = "", required: bool = False, **more: Any) -> None:
        """A further field of new issues; ``options``: its values, those of a cascading field with their children."""
        options = more.pop("options", None)
        schema = {"type": type_, **more}
        if custom:
            schema["custom"] = f"com.atlassian.jira.plugin.system.customfieldtypes:{custom}"
        self.custom[id_] = _field(id_, name, required, schema)
        if options is not None:
            self.custom[id_]["allowedValues"] = [_option(n, option) for n, option in enumerate(options, 100)]

    def add(self, summary: str = "somebody else's", labels: tuple[str, ...] = (), project: str = "") -> dict[str, Any]:
        """An issue that somebody made by hand, visible at once."""
        issue = self._made(
            {"project": {"key": project or self.project}, "summary": summary, "labels": list(labels)}, {}
        )
        issue["unseen"] = 0
        return issue

    def finish(self, key: str, **changes: Any) -> None:
        """Somebody sets it to done; ``changes``: ``name`` (of the status), ``resolution``, ``versions``, ``closed`` (when)."""
        self.issues[key].update({"status": "done", "updated": time.monotonic(), **changes})
        self._log_move(self.issues[key], self.person)

    def reopen(self, key: str) -> None:
        """Somebody opens it again."""
        self.issues[key].update(status="new", name="", resolution="", updated=time.monotonic())
        self._log_move(self.issues[key], self.person)

    def duplicate(self, key: str, original: str) -> None:
        """Somebody closes it as a duplicate."""
        self.finish(key, resolution="Duplicate")
        link = {"type": {"name": "Duplicate"}, "inwardIssue": {"key": key}, "outwardIssue": {"key": original}}
        self.links.append(link)

    def assign(self, key: str, person: str) -> None:
        """Somebody gets it."""
        self.issues[key].update(assignee=person, updated=time.monotonic())

    def age(self) -> None:
        """A day goes by for every issue."""
        for issue in self.issues.values():
            issue["updated"] -= 86_400

    def delete(self, key: str) -> None:
        """Somebody deletes it."""
        self.deleted.append(self.issues.pop(key))

    def handle(self, request: Request) -> Answer:
        prefix = "/rest/api/3/" if self.cloud else "/rest/api/2/"
        if not self._is_allowed(request):
            return Answer(401, {"errorMessages": ["Client must be authenticated to access this resource."]})
        if not request.path.startswith(prefix):
            return Answer(404, {"errorMessages": ["No such version"]})
        if self.cloud and request.path == prefix + "search":
            return Answer(410, {"errorMessages": ["The requested API has been removed. Use /rest/api/3/search/jql."]})
        path = unquote(request.path.removeprefix(prefix)).split("/")
        if request.method == "GET" and (answer := self._checked(path, request)):
            if self.cloud and "createmeta" in path:
                self.violations += request_errors(request) + answer_errors(request, answer)
            return answer
        if self.cloud:
            self.violations += request_errors(request)
        answer = self._route(request, path)
        if self.cloud and answer.status < 300:
            self.violations += answer_errors(request, answer)
        return answer

    def _route(self, request: Request, path: list[str]) -> Answer:
        match request.method, path:
            case "POST", ["issue"]:
                return self._create(request.json)
            case "POST", ["search", "jql"] | ["search"]:
                return self._search(request.json)
            case "POST", ["changelog", "bulkfetch"] if self.cloud:
                return self._list_changes(request.json)
            case "POST", ["issueLink"]:
                link = request.json
                if not {link["inwardIssue"]["key"], link["outwardIssue"]["key"]} <= set(self.issues):
                    return _no("The issue does not exist.", status=404)
                if link not in self.links:  # the same link again changes nothing
                    self.links.append(link)
                return Answer(201)
            case method, ["issue", key, *rest]:
                issue = self.issues.get(key)
                if issue is None:
                    return _no("Issue does not exist or you do not have permission to see it.", status=404)
                return self._on_issue(method, issue, rest, request)
        return Answer(404, {"errorMessages": ["null for uri"]})

    def _checked(self, path: list[str], request: Request) -> Answer | None:
        """What is asked before a ticket is filed; of these operations, the contract's file holds those of ``createmeta``."""
        match path:
            case ["myself"]:
                return Answer(200, {"displayName": "Furrow Bot", "emailAddress": USER})
            case ["project", key]:
                return Answer(200, {"key": key}) if key in self.projects else _no(_NO_PROJECT.format(key), status=404)
            case ["mypermissions"]:
                return Answer(200, {"permissions": {"CREATE_ISSUES": {"havePermission": self.may_create}}})
            case ["issue", "createmeta", _, "issuetypes"]:
                types = [{"id": str(n), "name": name} for n, name in enumerate(sorted(self.issue_types))]
                return Answer(200, {"issueTypes" if self.cloud else "values": types})
            case ["issue", "createmeta", _, "issuetypes", _]:
                fields = [
                    _field(id_, id_.title(), id_ in self.required, _SYSTEM.get(id_, {"type": "string"}))
                    for id_ in self.fields
                ]
                fields += self.custom.values()
                # Pages of at most 50, as Jira Cloud has them.
                start = int(request.query.get("startAt", ["0"])[0])
                page = fields[start : start + 50]
                return Answer(200, {"fields" if self.cloud else "values": page, "startAt": start, "total": len(fields)})
        return None

    def _on_issue(self, method: str, issue: dict[str, Any], rest: list[str], request: Request) -> Answer:
        match method, rest:
            case "GET", []:
                return Answer(200, self._shown(issue, request.query))
            case "PUT", []:
                changes = request.json["fields"]
                if "priority" in changes and not self.has_priority:
                    return _no(
                        priority="Field 'priority' cannot be set. It is not on the appropriate screen, or unknown."
                    )
                issue["fields"] |= changes
                issue["updated"] = time.monotonic()
                return Answer(204)
            case "GET", ["comment"]:
                comments = issue["comments"]
                kept = comments if "properties" in "".join(request.query.get("expand", [])) else [
                    {name: value for name, value in one.items() if name != "properties"} for one in comments
                ]  # fmt: skip
                return Answer(200, {"comments": kept, "total": len(comments), "startAt": 0, "maxResults": 50})
            case "POST", ["comment"]:
                body = request.json
                if self.cloud != isinstance(body.get("body"), dict):
                    return _no(comment="Comment body is not valid!")
                comment = {"id": str(len(issue["comments"]) + 1), **body}
                issue["comments"].append(comment)
                issue["updated"] = time.monotonic()
                return Answer(201, comment)
            case "GET", ["transitions"]:
                ways = [{"id": "31", "name": "Done", "to": _status("done")}]
                if issue["status"] == "done":
                    ways += [
                        {"id": "21", "name": "Start", "to": _status("indeterminate")},
                        {"id": "11", "name": "Reopen", "to": _status("new")},
                    ]
                return Answer(200, {"transitions": ways})
            case "POST", ["transitions"]:
                target = {"11": "new", "21": "indeterminate", "31": "done"}.get(request.json["transition"]["id"])
                if target is None:
                    return _no("It seems that you have tried to perform an illegal workflow operation.")
                issue.update(status=target, name="", resolution="", updated=time.monotonic())
                self._log_move(issue, "Furrow Bot")
                return Answer(204)
        return Answer(404, {"errorMessages": ["null for uri"]})

    def _create(self, body: dict[str, Any]) -> Answer:
        fields = body["fields"]
        errors = {}
        if fields["project"].get("key") not in self.projects:
            errors["project"] = "valid project is required"
        if fields["issuetype"].get("name") not in self.issue_types:
            errors["issuetype"] = "The issue type selected is invalid."
        if not fields.get("summary") or len(fields["summary"]) > 255 or "\n" in fields["summary"]:
            errors["summary"] = "Summary must be one line of less than 255 characters."
        if self.cloud and not isinstance(fields["description"], dict):
            errors["description"] = "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
        if not self.cloud and not isinstance(fields["description"], str):
            errors["description"] = "Operation value must be a string"
        if any(" " in label for label in fields["labels"]):
            errors["labels"] = "The label contains spaces which is invalid."
        if "priority" in fields and not self.has_priority:
            errors["priority"] = "Field 'priority' cannot be set. It is not on the appropriate screen, or unknown."
        elif "priority" in fields and fields["priority"].get("name") not in _PRIORITIES:
            errors["priority"] = "The priority selected is invalid."
        for id_, field in self.custom.items():
            if id_ not in fields and field["required"]:
                errors[id_] = f"{field['name']} is required."
            elif id_ in fields and (wrong := _wrong_value(field, fields[id_], self.cloud)):
                errors[id_] = wrong
        for id_ in set(fields) - set(self.fields) - set(self.custom):
            errors[id_] = f"Field '{id_}' cannot be set. It is not on the appropriate screen, or unknown."
        if errors:
            return _no(**errors)
        issue = self._made(fields, {one["key"]: one["value"] for one in body.get("properties", ())})
        return Answer(201, {"id": issue["id"], "key": issue["key"], "self": f"{self.address}/{issue['id']}"})

    def _made(self, fields: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
        project = fields["project"]["key"]
        made = [*self.issues, *(issue["key"] for issue in self.deleted)]
        number = 1 + sum(key.startswith(f"{project}-") for key in made)
        issue = {
            "id": str(10_000 + len(made)),
            "key": f"{project}-{number}",
            "fields": fields,
            "properties": properties,
            "comments": [],
            "status": "new",
            "changes": [],
            "unseen": self.lag,
            "updated": time.monotonic(),
        }
        self.issues[issue["key"]] = issue
        return issue

    def _search(self, body: dict[str, Any]) -> Answer:
        label = re.search(r'labels (?:=|in) \(?((?:"[^"]+"(?:, )?)+)', body["jql"])
        labels = set(re.findall(r'"([^"]+)"', label[1])) if label else set()
        project = re.search(r'project = "([^"]+)"', body["jql"])
        changed = re.search(r'updated >= "-(\d+)m"', body["jql"])
        newer = time.monotonic() - 60 * int(changed[1]) if changed else 0.0
        if not label and not project:
            return _no("Unbounded JQL queries are not allowed here. Please add a search restriction to your query.")
        found = []
        for issue in self.issues.values():
            hidden = issue["unseen"] > 0 and int(issue["id"]) not in body.get("reconcileIssues", ())
            issue["unseen"] = max(0, issue["unseen"] - 1)
            right = not label or bool(labels & set(issue["fields"]["labels"]))
            right = right and (not project or issue["key"].startswith(f"{project[1]}-"))
            if right and not hidden and not (changed and issue["updated"] < newer):
                fields = {"labels": issue["fields"]["labels"]}
                if "status" in body["fields"]:
                    fields |= self._stated(issue)
                found.append({"id": issue["id"], "key": issue["key"], "fields": fields})
        if "created DESC" in body["jql"]:
            found.reverse()
        found = found[: body.get("maxResults", 50)]
        return Answer(200, {"issues": found, "isLast": True} if self.cloud else {"issues": found, "total": len(found)})

    def _log_move(self, issue: dict[str, Any], person: str | None) -> None:
        shown = self._stated(issue)["status"]["name"]
        item = {"field": "status", "fieldtype": "jira", "toString": shown}
        entry: dict[str, Any] = {"created": "2024-02-01T09:30:00.000+0000", "items": [item | {"fieldId": "status"}]}
        if person is not None:
            entry["author"] = {"displayName": person}
        # Furrow's own changes of texts stand between those of people.
        other = {"author": {"displayName": "Furrow Bot"}, "items": [{"field": "description", "toString": "x" * 1_000}]}
        issue["changes"] += [entry if self.cloud else entry | {"items": [item]}, other]

    def _list_changes(self, body: dict[str, Any]) -> Answer:
        wanted = [one for one in self.issues.values() if {one["id"], one["key"]} & set(body["issueIdsOrKeys"])]
        logs = [
            {"issueId": issue["id"], "changeHistories": [
                entry for entry in issue["changes"] if entry["items"][0].get("fieldId") in body["fieldIds"]
            ]}
            for issue in wanted
        ]  # fmt: skip
        return Answer(200, {"issueChangeLogs": logs})

    def _stated(self, issue: dict[str, Any]) -> dict[str, Any]:
        """Where it stands, as a search shows it."""
        done, resolution = issue["status"] == "done", issue.get("resolution", "")
        links = [
            {"id": "1", "type": {**link["type"], "inward": "is duplicated by", "outward": "duplicates"}, end: link[end]}
            for link in self.links
            for own, end in (("inwardIssue", "outwardIssue"), ("outwardIssue", "inwardIssue"))
            if link[own]["key"] == issue["key"]
        ]
        return {
            "status": _status(issue["status"]) | ({"name": issue["name"]} if issue.get("name") else {}),
            "resolution": {"id": "1", "name": resolution} if resolution else None,
            "resolutiondate": issue.get("closed", "2024-02-01T09:30:00.000+0000") if done else None,
            "assignee": {"displayName": issue["assignee"]} if issue.get("assignee") else None,
            "fixVersions": [{"id": "1", "name": name} for name in issue.get("versions", ())],
            "issuelinks": links,
            "comment": {"total": len(issue["comments"]), "comments": []},
        }

    def _shown(self, issue: dict[str, Any], query: Any) -> dict[str, Any]:
        wanted = set("".join(query.get("properties", [])).split(","))
        fields = {**issue["fields"], "status": _status(issue["status"]), "resolutiondate": None}
        if issue["status"] == "done":
            fields["resolutiondate"] = "2024-02-01T09:30:00.000+0000"
        if issue.get("archived"):
            fields["archiveddate"] = "2024-03-01T09:30:00.000+0000"
        properties = {name: value for name, value in issue["properties"].items() if name in wanted}
        shown = {"id": issue["id"], "key": issue["key"], "fields": fields, "properties": properties}
        return shown | (
            {"changelog": {"histories": issue["changes"]}} if "changelog" in query.get("expand", []) else {}
        )

    def _is_allowed(self, request: Request) -> bool:
        basic = base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
        given = request.headers.get("authorization", "")
        return given in ((f"Basic {basic}",) if self.cloud else (f"Basic {basic}", f"Bearer {TOKEN}"))


def _option(number: int, option: Any) -> dict[str, Any]:
    if isinstance(option, tuple):
        name, children = option
        return {"id": str(number), "value": name, "children": [
            {"id": f"{number}{place}", "value": child} for place, child in enumerate(children)
        ]}  # fmt: skip
    return {"id": str(number), "value": option}


def _field(id_: str, name: str, required: bool, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "fieldId": id_, "key": id_, "name": name, "required": required, "hasDefaultValue": False,
        "operations": ["set"], "schema": schema,
    }  # fmt: skip


def _wrong_value(field: dict[str, Any], value: Any, cloud: bool) -> str:
    """What Jira says of a value of this form; '' when it takes it."""
    schema, options = field["schema"], {option["id"]: option for option in field.get("allowedValues", ())}
    match schema["type"]:
        case "number":
            return "" if isinstance(value, (int, float)) else "Operation value must be a number"
        case "option":
            return "" if value.get("id") in options else f"Option id '{value.get('id')}' is not valid"
        case "option-with-child":
            children = [child["id"] for child in options.get(value.get("id"), {}).get("children", ())]
            fits = value.get("id") in options and ("child" not in value or value["child"]["id"] in children)
            return "" if fits else "The option is not valid for the parent"
        case "user":
            return "" if set(value) == {"accountId" if cloud else "name"} else "Specify a valid user"
        case "array":
            if schema.get("custom", "").endswith(":gh-sprint"):
                return "" if isinstance(value, int) else "Number value expected as the Sprint id."
            if not isinstance(value, list):
                return "data was not an array"
            wanted = schema.get("items") in ("option", "component", "version")
            return "" if not wanted or all(one.get("id") in options for one in value) else "Option is not valid"
        case "date":
            return "" if re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)) else "Date must be of the format yyyy-MM-dd"
        case "issuelink":
            return "" if set(value) == {"key"} else "Could not find issue by id or key."
    if cloud and schema.get("custom", "").endswith(":textarea"):
        return (
            ""
            if isinstance(value, dict) and value.get("type") == "doc"
            else "Operation value must be an Atlassian Document"
        )
    return "" if isinstance(value, str) else "Operation value must be a string"


def _status(category: str) -> dict[str, Any]:
    return {"id": "1", "name": category.title(), "statusCategory": {"id": 2, "key": category, "name": category}}


def _no(*messages: str, status: int = 400, **errors: str) -> Answer:
    return Answer(status, {"errorMessages": list(messages), "errors": errors})


# The contract
# -------------------------------------------------------------------------------------------------------------------


def request_errors(request: Request) -> list[str]:
    """What is wrong with a request by Atlassian's own description."""
    operation, where = _operation(request)
    if operation is None:
        return [f"{where}: no such operation"]
    errors = []
    allowed = {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}
    for name, values in request.query.items():
        if name not in allowed:
            errors.append(f"{where}: no parameter {name!r}")
            continue
        errors += _wrong(_from_text(values, allowed[name]["schema"]), allowed[name]["schema"], f"{where} ?{name}")
    missing = [one for one in allowed.values() if one["required"] and one["name"] not in request.query]
    errors += [f"{where}: {one['name']} is missing" for one in missing]
    if operation["body"] is not None:
        errors += _wrong(request.json, operation["body"], where)
        if not request.headers.get("content-type", "").startswith("application/json"):
            errors.append(f"{where}: the body is not declared as JSON")
    elif request.text:
        errors.append(f"{where}: takes no body")
    return errors


def answer_errors(request: Request, answer: Answer) -> list[str]:
    """Where the fake itself breaks the contract."""
    operation, where = _operation(request)
    schema = (operation or {}).get("answers", {}).get(str(answer.status))
    return _wrong(answer.body, schema, f"answer to {where}") if schema else []


def _operation(request: Request) -> tuple[dict[str, Any] | None, str]:
    for name, operation in contract()["operations"].items():
        method, _, path = name.partition(" ")
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
        if method.upper() == request.method and re.fullmatch(pattern, request.path):
            return operation, name
    return None, f"{request.method} {request.path}"


def _wrong(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    whole = {**schema, "components": contract()["components"]}
    validator = jsonschema.Draft7Validator(whole)
    return [f"{where}: {error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


def _from_text(values: list[str], schema: dict[str, Any]) -> Any:
    if schema.get("type") == "array":
        return values
    text = values[-1]
    return int(text) if schema.get("type") == "integer" and text.isdigit() else text
