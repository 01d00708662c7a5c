"""The states of many issues of GitLab with one request, by their numbers."""

import logging
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from core.errors import PermanentError
from trackers.forge.protocol import IssueState, split_key
from trackers.rest import RestClient

_ISSUE_URL: Final = re.compile(r"/projects/([^/]{1,300})/issues/(\d{1,12})\Z")
_log = logging.getLogger("furrow.tickets")


class Account(msgspec.Struct):
    """An account."""

    name: str | None = None
    username: str | None = None


class Milestone(msgspec.Struct):
    """A milestone of the project or of its group."""

    title: str = ""


class References(msgspec.Struct):
    """How an issue is referred to; ``full``: ``group/name#12``."""

    full: str | None = None


class Links(msgspec.Struct):
    """Addresses in the API; that of the issue that this one duplicates."""

    closed_as_duplicate_of: str | None = None


class StatedIssue(msgspec.Struct):
    """What people did to an issue."""

    iid: int
    state: str
    project_id: int = 0
    updated_at: str = ""
    closed_at: str | None = None
    closed_by: Account | None = None
    labels: list[str] = msgspec.field(default_factory=list)
    assignees: list[Account] | None = None
    milestone: Milestone | None = None
    moved_to_id: int | None = None
    user_notes_count: int | None = None
    references: References | None = None
    links: Links | None = msgspec.field(name="_links", default=None)


class Project(msgspec.Struct):
    """A project."""

    path_with_namespace: str


class StateReader:
    """Reads states of issues. Raises as `trackers.forge.protocol.ForgeApi`."""

    def __init__(self, client: RestClient) -> None:
        self._client = client
        self._paths: dict[str, str] = {}

    def read(self, path: str, numbers: Sequence[int]) -> dict[int, IssueState]:
        """See `ForgeApi.read_states`. GitLab takes up to 100 numbers."""
        issues = self._client.read(
            list[StatedIssue],
            "read the state of tickets",
            f"projects/{quote(path, safe='')}/issues",
            state="all",
            per_page=100,
            **{"iids[]": list(numbers)},
        )
        return {issue.iid: self._to_state(issue, path) for issue in issues}

    def _to_state(self, issue: StatedIssue, path: str) -> IssueState:
        """``path``: of the request; the answer's own comes first."""
        found, number = split_key(issue.references.full or "") if issue.references else ("", 0)
        path = found if number == issue.iid else path
        is_open = issue.state == "opened"
        original = "" if is_open else self._find_original(issue, path)
        return IssueState(
            path=path,
            number=issue.iid,
            is_open=is_open,
            updated_at=issue.updated_at,
            closed_at=issue.closed_at,
            reason="" if is_open else _find_reason(issue),
            labels=tuple(issue.labels),
            assignees=tuple(_name_account(account) for account in issue.assignees or ()),
            milestone=issue.milestone.title if issue.milestone else "",
            duplicate_of=original,
            notes=issue.user_notes_count,
            moved_by="" if is_open else _name_account(issue.closed_by),
        )

    def _find_original(self, issue: StatedIssue, path: str) -> str:
        """The key of the issue that this one was closed as a duplicate of; '' if there is none, or it cannot be seen."""
        url = (issue.links.closed_as_duplicate_of if issue.links else None) or ""
        named = _ISSUE_URL.search(url)
        if not named:
            return ""
        project, number = named.groups()
        there = path if project == str(issue.project_id) else self._read_path(project)
        return f"{there}#{number}" if there else ""

    def _read_path(self, project: str) -> str:
        """The path of the project with this id."""
        if project not in self._paths:
            try:
                found = self._client.read(Project, "show the project", f"projects/{quote(unquote(project), safe='')}")
                self._paths[project] = found.path_with_namespace
            except PermanentError as refusal:
                _log.warning("a ticket is a duplicate of one in a project that cannot be seen: %s", refusal)
                self._paths[project] = ""
        return self._paths[project]


def _name_account(account: Account | None) -> str:
    return (account.name or account.username or "") if account else ""


def _find_reason(issue: StatedIssue) -> str:
    """Why a closed issue is closed, as far as GitLab says: it knows no reasons, but what closed it."""
    if issue.links and issue.links.closed_as_duplicate_of:
        return "duplicate"
    return "moved" if issue.moved_to_id else ""
