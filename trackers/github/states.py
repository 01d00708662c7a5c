"""The states of many issues of GitHub with one request of its GraphQL API.

The REST API has no list of issues by number, and does not say which issue a duplicate duplicates.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from core.errors import PermanentError, TransientError
from core.metrics import count_degraded
from trackers.forge.protocol import IssueState
from trackers.http_errors import to_safe_line
from trackers.rest import UNNAMED_WAIT, MissingResource, RefusedAccess, RestClient

_FIELDS: Final = """
  number state stateReason closedAt updatedAt repository { nameWithOwner } milestone { title } comments { totalCount }
  assignees(first: 5) { nodes { login } } labels(first: 30) { nodes { name } }
  timelineItems(last: 1, itemTypes: [CLOSED_EVENT, REOPENED_EVENT]) {
    nodes { __typename ... on ClosedEvent { actor { login } } ... on ReopenedEvent { actor { login } } }
  }"""
_MOVES: Final = {"OPEN": "ReopenedEvent", "CLOSED": "ClosedEvent"}
_DUPLICATE: Final = "duplicateOf { number repository { nameWithOwner } }"
_UNKNOWN_FIELD: Final = frozenset({"undefinedField", "argumentNotAccepted"})
_REFUSED: Final = frozenset({"FORBIDDEN", "INSUFFICIENT_SCOPES"})


class Error(msgspec.Struct):
    """What GitHub says of a document, or of the part of it at ``path``."""

    message: str = ""
    type: str | None = None
    path: list[str | int] | None = None
    extensions: dict[str, object] | None = None


class Repository(msgspec.Struct, rename="camel"):
    """A repository."""

    name_with_owner: str


class Named(msgspec.Struct):
    """An account (``login``) or a label (``name``)."""

    login: str = ""
    name: str = ""


class Nodes(msgspec.Struct):
    """A page of accounts or labels."""

    nodes: list[Named | None] | None = None


class Event(msgspec.Struct):
    """That an issue was closed or opened again. ``actor``: None for an account that is gone."""

    kind: str = msgspec.field(name="__typename", default="")
    actor: Named | None = None


class Events(msgspec.Struct):
    """A page of what happened to an issue."""

    nodes: list[Event | None] | None = None


class Milestone(msgspec.Struct):
    """A milestone."""

    title: str


class Count(msgspec.Struct, rename="camel"):
    """How many there are."""

    total_count: int


class Original(msgspec.Struct):
    """The issue that another one duplicates."""

    number: int
    repository: Repository


class StatedIssue(msgspec.Struct, rename="camel"):
    """What people did to an issue."""

    number: int
    state: str
    repository: Repository
    updated_at: str = ""
    closed_at: str | None = None
    state_reason: str | None = None
    milestone: Milestone | None = None
    comments: Count | None = None
    assignees: Nodes | None = None
    labels: Nodes | None = None
    duplicate_of: Original | None = None
    timeline_items: Events | None = None


class Data(msgspec.Struct):
    """The issues by alias (``i12``); those that are not there are None."""

    repository: dict[str, StatedIssue | None] | None = None


class Answer(msgspec.Struct):
    """The body of an answer."""

    data: Data | None = None
    errors: list[Error] | None = None


class _UnknownField(PermanentError):
    """This GitHub is older than the document."""


class StateReader:
    """Reads states of issues. Raises as `trackers.forge.protocol.ForgeApi`."""

    def __init__(self, open_client: Callable[[], RestClient], secrets: Iterable[str]) -> None:
        """``open_client``: a client of the address below which the GraphQL API is; called by the first reading."""
        self._open_client, self._secrets = open_client, tuple(secrets)
        self._client: RestClient | None = None
        self._further = _DUPLICATE

    def close(self) -> None:
        """Close the connections."""
        if self._client:
            self._client.close()

    def read(self, path: str, numbers: Sequence[int]) -> dict[int, IssueState]:
        """See `ForgeApi.read_states`. Older versions of GitHub Enterprise do not say what a duplicate duplicates."""
        try:
            return self._read_once(path, numbers)
        except _UnknownField:
            if not self._further:
                raise
            count_degraded("github", "unknown_originals")
            self._further = ""
            return self._read_once(path, numbers)

    def _read_once(self, path: str, numbers: Sequence[int]) -> dict[int, IssueState]:
        owner, _, name = path.partition("/")
        issues = " ".join(f"i{number}: issue(number: {number}) {{ ...Ticket }}" for number in numbers)
        document = (
            "query FurrowTickets($owner: String!, $name: String!) {"
            f" repository(owner: $owner, name: $name) {{ {issues} }} }}\n"
            f"fragment Ticket on Issue {{ {_FIELDS} {self._further} }}"
        )
        body = {"query": document, "variables": {"owner": owner, "name": name}}
        self._client = self._client or self._open_client()
        answer = self._client.write(Answer, "read the state of tickets", "graphql", body)
        self._check_errors(answer.errors or ())
        found = answer.data.repository if answer.data else None
        if found is None:
            raise MissingResource("GitHub does not show it")
        return {issue.number: _to_state(issue) for issue in found.values() if issue}

    def _check_errors(self, errors: Iterable[Error]) -> None:
        """Raise what the errors mean. That a single issue is not there is none."""
        for error in errors:
            message = f"GitHub answered: {to_safe_line(error.message or 'no reason given', self._secrets)}"
            if error.type == "NOT_FOUND" and len(error.path or ()) > 1:
                continue
            if error.type == "NOT_FOUND":
                raise MissingResource(message)
            if error.type in _REFUSED and "duplicateOf" in (error.path or ()):
                # The original may be where the token may not look; all else of the issue is told.
                count_degraded("github", "unknown_originals")
                continue
            if error.type in _REFUSED:
                raise RefusedAccess(message)
            if (error.extensions or {}).get("code") in _UNKNOWN_FIELD:
                raise _UnknownField(message)
            raise TransientError(message, retry_after=UNNAMED_WAIT if error.type == "RATE_LIMITED" else None)


def find_graph_url(api: str) -> str:
    """Below which address the GraphQL API is: https://HOST/api/v3 → https://HOST/api; the same as the API's elsewhere."""
    return api.rstrip("/").removesuffix("/v3")


def _to_state(issue: StatedIssue) -> IssueState:
    original = issue.duplicate_of
    return IssueState(
        path=issue.repository.name_with_owner,
        number=issue.number,
        is_open=issue.state == "OPEN",
        updated_at=issue.updated_at,
        closed_at=issue.closed_at,
        reason=(issue.state_reason or "").lower().replace("_", " "),
        labels=tuple(node.name for node in _list_nodes(issue.labels)),
        assignees=tuple(node.login for node in _list_nodes(issue.assignees)),
        milestone=issue.milestone.title if issue.milestone else "",
        duplicate_of=f"{original.repository.name_with_owner}#{original.number}" if original else "",
        notes=issue.comments.total_count if issue.comments else None,
        moved_by=_find_mover(issue),
    )


def _find_mover(issue: StatedIssue) -> str:
    events = [event for event in (issue.timeline_items.nodes if issue.timeline_items else None) or () if event]
    # The last event is that of the state, if both were read at the same moment.
    same = bool(events) and events[-1].kind == _MOVES.get(issue.state)
    actor = events[-1].actor if same else None
    return actor.login if actor else ""


def _list_nodes(page: Nodes | None) -> Sequence[Named]:
    return [node for node in (page.nodes if page else None) or () if node]
