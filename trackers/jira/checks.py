"""Whether a Jira site takes Furrow's tickets: address, token, projects and fields. Only reads."""

from typing import Final
from urllib.parse import quote

from core.errors import PermanentError
from trackers import http_errors
from trackers.jira.answers import Account, IssueTypePage, NewIssueFieldPage, PermissionAnswer
from trackers.jira.client import JiraClient

_FILLED: Final = frozenset({"project", "issuetype", "summary", "description", "labels", "priority", "reporter"})
"""Fields that Furrow or Jira fills in every ticket; the reporter is the token's account."""
_PAGE: Final = 200


def check_jira_access(client: JiraClient, projects: tuple[str, ...], issue_type: str) -> str:
    """Where tickets go, in words for people. Raises FurrowError when a project does not take them."""
    account = _account_name(client)
    for project in projects:
        _check_project(client, project, issue_type)
    noun = "project" if len(projects) == 1 else "projects"
    return f"{noun} {', '.join(projects)}, type {issue_type}, as {account}"


def _account_name(client: JiraClient) -> str:
    account = client.read(Account, "show myself", "myself")
    name = account.display_name or account.email_address or account.name or "the token's account"
    return http_errors.to_safe_line(name, limit=100)


def _check_project(client: JiraClient, project: str, issue_type: str) -> None:
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
    path = f"issue/createmeta/{quoted}/issuetypes"
    page = client.read(IssueTypePage, f"show {path}", path, maxResults=_PAGE)
    ids = {entry.name: str(entry.id) for entry in page.issue_types or page.values or ()}
    if issue_type not in ids:
        names = http_errors.to_safe_line(", ".join(ids) or "none")
        raise PermanentError(
            f"project {project} has no issue type {issue_type!r}; it has {names} (FURROW_JIRA_ISSUE_TYPE)"
        )
    _check_fields(client, project, f"{path}/{quote(ids[issue_type], safe='')}")


def _check_fields(client: JiraClient, project: str, path: str) -> None:
    page = client.read(NewIssueFieldPage, f"show {path}", path, maxResults=_PAGE)
    fields = {field.id: field for field in page.fields or page.values or ()}
    missing = [
        field.name or id_
        for id_, field in fields.items()
        if field.required and not field.has_default_value and id_ not in _FILLED
    ]
    if missing:
        field_names = http_errors.to_safe_line(", ".join(missing))
        raise PermanentError(
            f"project {project} requires fields that Furrow does not fill: {field_names}; give them a default"
        )
    if fields and "labels" not in fields:
        raise PermanentError(
            f"project {project}: the field Labels is not on the screen for new issues; tickets need it"
        )
