"""Whether a Jira site takes Furrow's tickets: address, token, projects and fields. Only reads."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import quote

from core.errors import PermanentError
from trackers import http_errors
from trackers.jira.answers import Account, PermissionAnswer
from trackers.jira.client import JiraClient
from trackers.jira.fields import FILLED, FieldWriter
from trackers.ticket_plan import Fields, TrackerPlan, find_field


class Target(NamedTuple):
    """Where tickets go, and with which fields. ``place``: where the file of fields says so, '' without one."""

    project: str
    issue_type: str
    place: str
    fields: Fields


def list_targets(plan: TrackerPlan, project: str, projects: Mapping[str, str], issue_type: str) -> list[Target]:
    """Every combination of project, issue type and fields that a ticket may get; ``projects`` by Furrow project."""
    found = []
    for place, when, fields in plan.list_combinations():
        for key in dict.fromkeys(_list_projects(when, find_field(fields, "project"), project, projects)):
            found.append(Target(key, find_field(fields, "issue_type") or issue_type, place if fields else "", fields))
    return found


def _list_projects(
    when: Mapping[str, tuple[str, ...]], fixed: str, project: str, projects: Mapping[str, str]
) -> Iterator[str]:
    if fixed:
        yield fixed
        return
    patterns = when.get("application", ("*",))
    for name, key in sorted(projects.items()):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            yield key
    # A project that the settings do not name goes to the installation's; whether there is one is not known here.
    if project and any(pattern not in projects for pattern in patterns):
        yield project


def check_jira_access(client: JiraClient, writer: FieldWriter, targets: Sequence[Target]) -> str:
    """Where tickets go, in words for people. Raises FurrowError when a project does not take them."""
    account = _account_name(client)
    projects = sorted({target.project for target in targets})
    for project in projects:
        _check_project(client, project)
    for target in targets:
        _check_fields(writer, target)
    types = ", ".join(sorted({target.issue_type for target in targets}))
    noun = "project" if len(projects) == 1 else "projects"
    return f"{noun} {', '.join(projects)}, type {types}, as {account}"


def _account_name(client: JiraClient) -> str:
    account = client.read(Account, "show myself", "myself")
    name = account.display_name or account.email_address or account.name or "the token's account"
    return http_errors.to_safe_line(name, limit=100)


def _check_project(client: JiraClient, project: str) -> None:
    quoted = quote(project, safe="")
    path = f"project/{quoted}"
    try:
        client.read(dict, f"show {path}", path)
    except PermanentError as error:
        raise PermanentError(f"project {project}: {error}") from error
    answer = client.read(
        PermissionAnswer, "show mypermissions", "mypermissions", projectKey=project, permissions="CREATE_ISSUES"
    )
    permission = (answer.permissions or {}).get("CREATE_ISSUES")
    if permission and permission.have_permission is False:
        raise PermanentError(f"project {project}: the token's account may not create issues there")


def _check_fields(writer: FieldWriter, target: Target) -> None:
    project = target.project
    fields = {field.id: field for field in writer.read_fields(project, target.issue_type)}
    if target.fields:
        try:
            writer.write_fields(project, target.issue_type, target.fields)
        except PermanentError as error:
            raise PermanentError(f"{target.place}: {error}") from error
    else:
        _refuse_missing(project, [
            field.name or id_
            for id_, field in fields.items()
            if field.required and not field.has_default_value and id_ not in FILLED
        ])  # fmt: skip
    if fields and "labels" not in fields:
        raise PermanentError(
            f"project {project}: the field Labels is not on the screen for new issues; tickets need it"
        )


def _refuse_missing(project: str, names: Sequence[str]) -> None:
    if names:
        raise PermanentError(
            f"project {project} requires fields that Furrow does not fill: {http_errors.to_safe_line(', '.join(names))}; "
            "give them a default, or a value in the file of FURROW_TICKET_FIELDS"
        )
