"""What the tracker of a forge needs of its API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from trackers.rest import RefusedAccess


class MovedOutOfSight(RefusedAccess):
    """The issue moved to where the token may not see it, or was deleted there: the forge does not say which."""

    def __init__(self, key: str) -> None:
        """``key``: of the issue before it moved."""
        super().__init__(
            f"{key} moved to a project that the token's account may not see, or was deleted there; give the account a role "
            "in that project"
        )


@dataclass(frozen=True)
class ForgeIssue:
    """An issue as the forge shows it. ``path``: of its project; ``author``: who filed it, by id; ``notes``: comments on it.

    ``has_moved``: this is what is left of it where it was before.
    """

    path: str
    number: int
    title: str
    body: str
    labels: tuple[str, ...]
    is_open: bool
    author: str
    updated_at: str
    closed_at: str | None = None
    notes: int = 0
    has_moved: bool = False

    @property
    def key(self) -> str:
        """``owner/name#12``"""
        return f"{self.path}#{self.number}"


@dataclass(frozen=True)
class ForgeComment:
    """A comment of an issue. ``author``: by id."""

    body: str
    author: str


@dataclass(frozen=True)
class IssueChange:
    """What is written to an issue; None: as it was. ``labels``: all of them."""

    title: str | None = None
    body: str | None = None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class IssueState:
    """What people did to an issue. Texts are the forge's, as they came.

    ``reason``: why it is closed: ``completed``, ``not planned``, ``duplicate``, ``moved``, another word of the forge, or '' if
    the forge does not say. ``duplicate_of``: key of the issue that it duplicates. ``notes``: comments on it. ``moved_by``: who
    closed it, or opened it again; '' if the forge does not say.
    """

    path: str
    number: int
    is_open: bool
    updated_at: str
    closed_at: str | None = None
    reason: str = ""
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    milestone: str = ""
    duplicate_of: str = ""
    notes: int | None = None
    moved_by: str = ""

    @property
    def key(self) -> str:
        """``owner/name#12``"""
        return f"{self.path}#{self.number}"


class ForgeApi(Protocol):
    """Calls of one forge. Raises as `trackers.protocol.Tracker`, and MissingResource for what is not there.

    ``leaves_moved``: whether an issue that moved to another project stays, closed, where it was.
    """

    name: str
    title: str
    noun: str
    nouns: str
    leaves_moved: bool

    def close(self) -> None:
        """Close the connections."""

    def check_path(self, path: str) -> bool:
        """Whether ``path`` has the form of a project's path."""

    def issue_url(self, path: str, number: int) -> str:
        """Where people see an issue; made from the configured address."""

    def check_project(self, path: str) -> str:
        """The project's name after a look at it and at what the token may do there. Raises FurrowError otherwise."""

    def describe_account(self) -> str:
        """Whose token it is, in words for people."""

    def list_issues(self, path: str, label: str, since: str | None, page: int, size: int) -> Sequence[ForgeIssue]:
        """Issues with ``label``, open or not, newest first; ``since``: only those that changed since."""

    def create_issue(self, path: str, title: str, body: str, labels: Sequence[str]) -> ForgeIssue:
        """Create an issue."""

    def read_issue(self, path: str, number: int) -> ForgeIssue:
        """One issue; of one that moved to another project the one there. Raises MovedOutOfSight if it cannot be seen."""

    def read_states(self, path: str, numbers: Sequence[int]) -> Mapping[int, IssueState]:
        """The states of up to 100 issues of a project by number, with one request; those that are not there are left out."""

    def change_issue(self, issue: ForgeIssue, change: IssueChange) -> ForgeIssue:
        """Write fields of an issue."""

    def reopen_issue(self, issue: ForgeIssue) -> None:
        """Open it again."""

    def close_duplicate(self, issue: ForgeIssue, kept: tuple[str, int]) -> None:
        """Close it as a duplicate of the issue ``kept`` (path and number)."""

    def list_comments(self, issue: ForgeIssue) -> Sequence[ForgeComment]:
        """The newest comments."""

    def add_comment(self, issue: ForgeIssue, body: str) -> None:
        """Comment on an issue."""


def split_key(key: str) -> tuple[str, int]:
    """Path and number of ``owner/name#12``; ('', 0) for anything else."""
    path, _, number = key.rpartition("#")
    return (path, int(number)) if path and number.isascii() and number.isdigit() else ("", 0)


def parse_time(text: str | None) -> datetime | None:
    """A time in ISO 8601, in UTC if it names no time zone; None when there is none or it cannot be read."""
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at and at.tzinfo is None else at
