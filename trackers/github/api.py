"""GitHub's REST API for issues, on github.com and on GitHub Enterprise."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from trackers import http_errors
from trackers.forge.protocol import ForgeComment, ForgeIssue, IssueChange, IssueState
from trackers.github.states import StateReader, find_graph_url
from trackers.rest import MovedResource, RefusedAccess, RefusedRequest, RestClient
from trackers.transport import Reach

_VERSION: Final = "2022-11-28"
_PATH: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_COMMENTS: Final = 100
_MOST_MOVES: Final = 3
"""So many redirects of one issue are followed: it may have been transferred more than once."""
_LIMIT_WORDS: Final = re.compile(r"rate limit|abuse detection", re.IGNORECASE)
_LIMIT_STATUS: Final = frozenset({403, 429})


class Label(msgspec.Struct):
    """A label of an issue."""

    name: str | None = None


class User(msgspec.Struct):
    """An account."""

    login: str | None = None
    id: int | None = None


class Issue(msgspec.Struct):
    """An issue, or a pull request where ``pull_request`` is set."""

    number: int
    title: str
    state: str
    body: str | None = None
    labels: list[Label | str] = msgspec.field(default_factory=list)
    user: User | None = None
    updated_at: str = ""
    closed_at: str | None = None
    comments: int = 0
    repository_url: str | None = None
    pull_request: object = None


class Comment(msgspec.Struct):
    """A comment."""

    body: str | None = None
    user: User | None = None


class Permissions(msgspec.Struct):
    """What the token may do in a repository."""

    push: bool | None = None
    triage: bool | None = None


class Repository(msgspec.Struct):
    """A repository."""

    full_name: str
    has_issues: bool = True
    archived: bool = False
    permissions: Permissions | None = None


class GitHubApi:
    """See `trackers.forge.protocol.ForgeApi`."""

    name = "github"
    title = "GitHub"
    noun = "repository"
    nouns = "repositories"
    leaves_moved = False

    def __init__(self, token: SecretStr | None, url: str, reach: Reach) -> None:
        """``url``: of the API. Raises PermanentError for a URL or a token that cannot be used."""
        secret = http_errors.read_credential(token, "the GitHub token")
        headers = {
            "Authorization": f"Bearer {secret}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": _VERSION,
        }
        self._client = RestClient("GitHub", url, headers, [secret], reach, is_rate_limit)
        self._site = _find_site(self._client.url)
        graph_url = find_graph_url(self._client.url)
        self._states = StateReader(
            lambda: RestClient("GitHub", graph_url, headers, [secret], reach, is_rate_limit), [secret]
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._states.close()

    def check_path(self, path: str) -> bool:
        """``owner/name``"""
        return _PATH.fullmatch(path) is not None and not {".", ".."} & set(path.split("/"))

    def issue_url(self, path: str, number: int) -> str:
        """``https://github.com/owner/name/issues/12``"""
        return f"{self._site}/{path}/issues/{number}"

    def check_project(self, path: str) -> str:
        """The repository's name. Raises RefusedAccess when it takes no issues with labels of this token."""
        found = self._client.read(Repository, f"show the repository {path}", f"repos/{quote(path)}")
        if found.archived or not found.has_issues:
            raise RefusedAccess(f"the repository {path} {'is archived' if found.archived else 'has no issues'}")
        may = found.permissions
        if may and may.push is False and not may.triage:
            raise RefusedAccess(
                f"the repository {path}: the token's account may not set labels there (role Triage or more)"
            )
        return found.full_name

    def describe_account(self) -> str:
        """The account's name; a token of an app has none."""
        try:
            user = self._client.read(User, "show myself", "user")
        except RefusedAccess as refusal:
            if refusal.everything:
                raise
            return "an app"
        return http_errors.to_safe_line(user.login or "the token's account", limit=100)

    def list_issues(self, path: str, label: str, since: str | None, page: int, size: int) -> Sequence[ForgeIssue]:
        """See `ForgeApi`. Pull requests are left out; their place stays, so that a full page is seen as one."""
        changed = {"since": since} if since else {}
        issues = self._client.read(
            list[Issue], "list the issues", f"repos/{quote(path)}/issues",
            labels=label, state="all", sort="created", direction="desc", per_page=size, page=page, **changed,
        )  # fmt: skip
        return [_to_issue(issue, path) for issue in issues]

    def create_issue(self, path: str, title: str, body: str, labels: Sequence[str]) -> ForgeIssue:
        """See `ForgeApi`. Labels that do not exist are made."""
        fields = {"title": title, "body": body, "labels": list(labels)}
        return _to_issue(self._client.write(Issue, "create the issue", f"repos/{quote(path)}/issues", fields), path)

    def read_issue(self, path: str, number: int) -> ForgeIssue:
        """See `ForgeApi`. GitHub leads from a renamed repository, or one that the issue was transferred from."""
        there = _issue_path(path, number)
        for moves in range(_MOST_MOVES + 1):
            try:
                issue = self._client.read(Issue, "read the issue that has moved" if moves else "read the issue", there)
            except MovedResource as move:
                if moves == _MOST_MOVES:
                    raise
                there = move.path
                continue
            break
        if moves and issue.repository_url is None:
            raise TransientError(f"GitHub does not say where {path}#{number} is now")
        return _to_issue(issue, path)

    def read_states(self, path: str, numbers: Sequence[int]) -> Mapping[int, IssueState]:
        """See `ForgeApi`."""
        return self._states.read(path, numbers)

    def change_issue(self, issue: ForgeIssue, change: IssueChange) -> ForgeIssue:
        """See `ForgeApi`."""
        fields: dict[str, object] = {}
        if change.title is not None:
            fields["title"] = change.title
        if change.body is not None:
            fields["body"] = change.body
        if change.labels is not None:
            fields["labels"] = list(change.labels)
        return self._change(issue, "change the issue", fields)

    def reopen_issue(self, issue: ForgeIssue) -> None:
        """See `ForgeApi`."""
        self._change(issue, "open the issue again", {"state": "open"})

    def close_duplicate(self, issue: ForgeIssue, kept: tuple[str, int]) -> None:
        """See `ForgeApi`. Older versions of GitHub Enterprise do not know the reason "duplicate"."""
        try:
            self._change(issue, "close the issue", {"state": "closed", "state_reason": "duplicate"})
        except RefusedRequest:
            self._change(issue, "close the issue", {"state": "closed", "state_reason": "not_planned"})

    def list_comments(self, issue: ForgeIssue) -> Sequence[ForgeComment]:
        """The newest comments; GitHub lists the oldest first, so the last two pages are read."""
        last = max(1, -(-issue.notes // _COMMENTS))
        path = f"{_issue_path(issue.path, issue.number)}/comments"
        found: list[Comment] = []
        for page in range(max(1, last - 1), last + 1):
            found += self._client.read(list[Comment], "read the comments", path, per_page=_COMMENTS, page=page)
        return [ForgeComment(comment.body or "", _account_id(comment.user)) for comment in found]

    def add_comment(self, issue: ForgeIssue, body: str) -> None:
        """See `ForgeApi`."""
        path = f"{_issue_path(issue.path, issue.number)}/comments"
        self._client.write(object, "comment on the issue", path, {"body": body})

    def _change(self, issue: ForgeIssue, doing: str, fields: Mapping[str, object]) -> ForgeIssue:
        path = _issue_path(issue.path, issue.number)
        return _to_issue(self._client.write(Issue, doing, path, fields, method="PATCH"), issue.path)


def is_rate_limit(status: int, headers: Mapping[str, str], reason: str) -> bool:
    """Whether an answer is a primary or secondary limit: 403 or 429, with a time, a limit that is used up, or words."""
    if status not in _LIMIT_STATUS:
        return False
    used_up = headers.get("x-ratelimit-remaining") == "0"
    return "retry-after" in headers or used_up or _LIMIT_WORDS.search(reason) is not None


def _to_issue(issue: Issue, path: str) -> ForgeIssue:
    """``path``: of the request; the answer's own comes first."""
    parts = urlsplit(issue.repository_url or "").path.rsplit("/", 2)
    return ForgeIssue(
        path="/".join(parts[-2:]) if len(parts) > 2 else path,
        number=issue.number,
        title=issue.title,
        body="" if issue.pull_request is not None else issue.body or "",
        labels=tuple(name for label in issue.labels if (name := label if isinstance(label, str) else label.name)),
        is_open=issue.state == "open",
        author=_account_id(issue.user),
        updated_at=issue.updated_at,
        closed_at=issue.closed_at,
        notes=issue.comments,
    )


def _account_id(user: User | None) -> str:
    return str(user.id) if user and user.id is not None else ""


def _issue_path(path: str, number: int) -> str:
    return f"repos/{quote(path)}/issues/{number}"


def _find_site(api: str) -> str:
    """Where people see what this API serves: https://api.github.com → https://github.com, https://HOST/api/v3 → https://HOST."""
    parts = urlsplit(api)
    host = (parts.hostname or "").removeprefix("api.") if parts.path in ("", "/") else parts.hostname or ""
    if not host:
        raise PermanentError("the address of GitHub is not of the form https://host")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{parts.port}' if parts.port else ''}"
