"""GitLab's REST API (v4) for issues, on gitlab.com and self-managed."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from trackers import http_errors
from trackers.forge.protocol import ForgeComment, ForgeIssue, IssueChange, IssueState, MovedOutOfSight, split_key
from trackers.gitlab.moves import MoveReader
from trackers.gitlab.states import StateReader
from trackers.rest import MissingResource, RefusedAccess, RestClient
from trackers.transport import Reach

_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}"
_PATH: Final = re.compile(rf"{_PART}(/{_PART}){{1,20}}")
_COMMENTS: Final = 100
_OPEN: Final = "opened"
_PLANNER: Final = 15
"""The least role that may set labels; below are Guest (10) and Minimal (5)."""
_MOST_MOVES: Final = 3
"""So many moves of one issue are followed."""
_log = logging.getLogger("furrow.tickets")


class References(msgspec.Struct):
    """How an issue is referred to; ``full``: ``group/name#12``."""

    full: str | None = None


class User(msgspec.Struct):
    """An account."""

    id: int | None = None
    username: str | None = None


class Issue(msgspec.Struct):
    """An issue."""

    iid: int
    title: str
    state: str
    description: str | None = None
    labels: list[str] = msgspec.field(default_factory=list)
    author: User | None = None
    updated_at: str = ""
    closed_at: str | None = None
    user_notes_count: int = 0
    references: References | None = None
    moved_to_id: int | None = None


class Note(msgspec.Struct):
    """A comment, or a line of the history where ``system`` is set."""

    body: str | None = None
    system: bool = False
    author: User | None = None


class Access(msgspec.Struct):
    """A role, as its number."""

    access_level: int | None = None


class Permissions(msgspec.Struct):
    """Roles of the token's account in a project and its group."""

    project_access: Access | None = None
    group_access: Access | None = None


class Project(msgspec.Struct):
    """A project."""

    path_with_namespace: str
    archived: bool = False
    issues_enabled: bool | None = None
    permissions: Permissions | None = None


class GitLabApi:
    """See `trackers.forge.protocol.ForgeApi`."""

    name = "gitlab"
    title = "GitLab"
    noun = "project"
    nouns = "projects"
    leaves_moved = True

    def __init__(self, token: SecretStr | None, url: str, reach: Reach) -> None:
        """``url``: of the site. Raises PermanentError for a URL or a token that cannot be used."""
        secret = http_errors.read_credential(token, "the GitLab token")
        self._site = url.strip().rstrip("/").removesuffix("/api/v4")
        self._client = RestClient("GitLab", f"{self._site}/api/v4", {"PRIVATE-TOKEN": secret}, [secret], reach)
        self._states = StateReader(self._client)
        graph = {"Authorization": f"Bearer {secret}"}
        self._moves = MoveReader(lambda: RestClient("GitLab", f"{self._site}/api", graph, [secret], reach), [secret])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._moves.close()

    def check_path(self, path: str) -> bool:
        """``group/name``, with any number of groups in groups"""
        return _PATH.fullmatch(path) is not None

    def issue_url(self, path: str, number: int) -> str:
        """``https://gitlab.com/group/name/-/issues/12``"""
        return f"{self._site}/{path}/-/issues/{number}"

    def check_project(self, path: str) -> str:
        """The project's path. Raises RefusedAccess when it takes no issues with labels of this token."""
        found = self._client.read(Project, f"show the project {path}", _project_path(path))
        if found.archived or found.issues_enabled is False:
            raise RefusedAccess(f"the project {path} {'is archived' if found.archived else 'has no issues'}")
        roles = (found.permissions.project_access, found.permissions.group_access) if found.permissions else ()
        levels = [role.access_level for role in roles if role and role.access_level is not None]
        if levels and max(levels) < _PLANNER:
            raise RefusedAccess(
                f"the project {path}: the token's account may not set labels there (role Planner or more)"
            )
        return found.path_with_namespace

    def describe_account(self) -> str:
        """The account's name."""
        user = self._client.read(User, "show myself", "user")
        return http_errors.to_safe_line(user.username or "the token's account", limit=100)

    def list_issues(self, path: str, label: str, since: str | None, page: int, size: int) -> Sequence[ForgeIssue]:
        """See `ForgeApi`."""
        changed = {"updated_after": since} if since else {}
        issues = self._client.read(
            list[Issue], "list the issues", f"{_project_path(path)}/issues",
            labels=label, state="all", order_by="created_at", sort="desc", per_page=size, page=page, **changed,
        )  # fmt: skip
        return [_to_issue(issue, path) for issue in issues]

    def create_issue(self, path: str, title: str, body: str, labels: Sequence[str]) -> ForgeIssue:
        """See `ForgeApi`. Labels that do not exist are made."""
        fields = {"title": title, "description": body, "labels": ",".join(labels)}
        return _to_issue(self._client.write(Issue, "create the issue", f"{_project_path(path)}/issues", fields), path)

    def read_issue(self, path: str, number: int) -> ForgeIssue:
        """See `ForgeApi`. GitLab closes an issue that moved, and names the one that it is now."""
        issue, moves = self._client.read(Issue, "read the issue", _issue_path(path, number)), 0
        while issue.moved_to_id and issue.state != _OPEN and moves < _MOST_MOVES:
            there = self._moves.find_place(issue.moved_to_id, f"{path}#{number}")
            issue = self._read_moved(there, f"{path}#{number}")
            moves += 1
        found = _to_issue(issue, "" if moves else path)
        if not found.path:
            raise TransientError(f"GitLab does not say where {path}#{number} is now")
        return found

    def read_states(self, path: str, numbers: Sequence[int]) -> Mapping[int, IssueState]:
        """See `ForgeApi`."""
        return self._states.read(path, numbers)

    def change_issue(self, issue: ForgeIssue, change: IssueChange) -> ForgeIssue:
        """See `ForgeApi`."""
        fields: dict[str, object] = {}
        if change.title is not None:
            fields["title"] = change.title
        if change.body is not None:
            fields["description"] = change.body
        if change.labels is not None:
            fields["labels"] = ",".join(change.labels)
        return self._change(issue, "change the issue", fields)

    def reopen_issue(self, issue: ForgeIssue) -> None:
        """See `ForgeApi`."""
        self._change(issue, "open the issue again", {"state_event": "reopen"})

    def close_duplicate(self, issue: ForgeIssue, kept: tuple[str, int]) -> None:
        """See `ForgeApi`. GitLab has no reason for closing; the issues are linked."""
        path, number = kept
        link = {"target_project_id": path, "target_issue_iid": str(number), "link_type": "relates_to"}
        try:
            self._client.write(object, "link the issues", f"{_issue_path(issue.path, issue.number)}/links", link)
        except PermanentError as refusal:
            # Linked already, or links are not allowed; the comment names the other issue.
            _log.warning("%s cannot be linked with %s#%s: %s", issue.key, path, number, refusal)
        self._change(issue, "close the issue", {"state_event": "close"})

    def list_comments(self, issue: ForgeIssue) -> Sequence[ForgeComment]:
        """The newest comments."""
        notes = self._client.read(
            list[Note], "read the comments", f"{_issue_path(issue.path, issue.number)}/notes",
            order_by="created_at", sort="desc", per_page=_COMMENTS, page=1,
        )  # fmt: skip
        return [ForgeComment(note.body or "", _account_id(note.author)) for note in notes if not note.system]

    def add_comment(self, issue: ForgeIssue, body: str) -> None:
        """See `ForgeApi`."""
        path = f"{_issue_path(issue.path, issue.number)}/notes"
        self._client.write(object, "comment on the issue", path, {"body": body})

    def _read_moved(self, there: str, moved: str) -> Issue:
        try:
            return self._client.read(Issue, "read the issue that has moved", there)
        except MissingResource:
            # It was there a moment ago. Whether it is deleted now or out of sight is not known.
            raise MovedOutOfSight(moved) from None

    def _change(self, issue: ForgeIssue, doing: str, fields: Mapping[str, object]) -> ForgeIssue:
        path = _issue_path(issue.path, issue.number)
        return _to_issue(self._client.write(Issue, doing, path, fields, method="PUT"), issue.path)


def _to_issue(issue: Issue, path: str) -> ForgeIssue:
    """``path``: of the request; the answer's own comes first."""
    found, number = split_key(issue.references.full or "") if issue.references else ("", 0)
    return ForgeIssue(
        path=found if number == issue.iid else path,
        number=issue.iid,
        title=issue.title,
        body=issue.description or "",
        labels=tuple(issue.labels),
        is_open=issue.state == _OPEN,
        author=_account_id(issue.author),
        updated_at=issue.updated_at,
        closed_at=issue.closed_at,
        notes=issue.user_notes_count,
        has_moved=bool(issue.moved_to_id) and issue.state != _OPEN,
    )


def _account_id(user: User | None) -> str:
    return str(user.id) if user and user.id is not None else ""


def _project_path(path: str) -> str:
    return f"projects/{quote(path, safe='')}"


def _issue_path(path: str, number: int) -> str:
    return f"{_project_path(path)}/issues/{number}"
