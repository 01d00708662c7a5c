"""Whether a tracker would take tickets: its address, the token, the project or team, and the fields. Only reads."""

from typing import Any, Final
from urllib.parse import quote

from core.errors import PermanentError
from trackers import http_errors
from trackers.jira import JiraTracker
from trackers.linear import LinearTracker

_FILLED: Final = frozenset({"project", "issuetype", "summary", "description", "labels", "priority", "reporter"})
"""Fields that every ticket has; the reporter is the token's account unless somebody says another."""
_PAGE: Final = 200

Json = dict[str, Any]


def check_tracker(tracker: JiraTracker | LinearTracker) -> str:
    """Where tickets would go, for people. Raises FurrowError, in the tracker's own words, when it would take none."""
    if isinstance(tracker, LinearTracker):
        teams = tracker.check_teams()
        return f"{'team' if len(teams) == 1 else 'teams'} {', '.join(teams)}"
    target = tracker.target
    who = _account_name(tracker)
    for project in target.projects:
        _check_project(tracker, project, target.issue_type)
    projects = "project" if len(target.projects) == 1 else "projects"
    return f"{projects} {', '.join(target.projects)}, type {target.issue_type}, as {who}"


def _account_name(jira: JiraTracker) -> str:
    account = jira.fetch_path("myself")
    name = account.get("displayName") or account.get("emailAddress") or account.get("name") or "the token's account"
    return http_errors.to_safe_line(name, limit=100)


def _check_project(jira: JiraTracker, project: str, issue_type: str) -> None:
    quoted = quote(project, safe="")
    try:
        jira.fetch_path(f"project/{quoted}")
    except PermanentError as error:
        raise PermanentError(f"project {project}: {error}") from error
    asked = jira.fetch_path("mypermissions", projectKey=project, permissions="CREATE_ISSUES")
    may = (asked.get("permissions") or {}).get("CREATE_ISSUES") or {}
    if may.get("havePermission") is False:
        raise PermanentError(f"project {project}: the token's account may not create issues there")
    types = _page_entries(jira.fetch_path(f"issue/createmeta/{quoted}/issuetypes", maxResults=_PAGE), "issueTypes")
    names = {str(entry.get("name")): str(entry.get("id")) for entry in types}
    if issue_type not in names:
        there = http_errors.to_safe_line(", ".join(names) or "none")
        raise PermanentError(
            f"project {project} has no issue type {issue_type!r}; it has {there} (FURROW_JIRA_ISSUE_TYPE)"
        )
    _check_fields(jira, project, f"issue/createmeta/{quoted}/issuetypes/{quote(names[issue_type], safe='')}")


def _check_fields(jira: JiraTracker, project: str, path: str) -> None:
    fields = {_field_id(field): field for field in _page_entries(jira.fetch_path(path, maxResults=_PAGE), "fields")}
    missing = [
        str(field.get("name") or id_)
        for id_, field in fields.items()
        if field.get("required") and not field.get("hasDefaultValue") and id_ not in _FILLED
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


def _field_id(field: Json) -> str:
    return str(field.get("fieldId") or field.get("key") or "")


def _page_entries(page: Json, name: str) -> list[Json]:
    """The entries of a page: Cloud calls them by their name, Data Center ``values``."""
    found = page.get(name) or page.get("values") or []
    return [entry for entry in found if isinstance(entry, dict)]
