"""Where an issue is that moved to another project.

The REST API names the moved issue by an id with which only administrators may read it there. The GraphQL API takes this id.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from core.errors import TransientError
from trackers.forge.protocol import MovedOutOfSight
from trackers.http_errors import to_safe_line
from trackers.rest import RestClient

_PLACE: Final = "query FurrowMoved($id: IssueID!) { issue(id: $id) { id iid projectId } }"


class Error(msgspec.Struct):
    """What GitLab says of a document."""

    message: str = ""


class Place(msgspec.Struct, rename="camel"):
    """An issue, its number in its project, and the project."""

    id: str
    iid: str
    project_id: int


class Data(msgspec.Struct):
    """None: there is no such issue that the account may see."""

    issue: Place | None = None


class Answer(msgspec.Struct):
    """The body of an answer."""

    data: Data | None = None
    errors: list[Error] | None = None


class MoveReader:
    """Finds issues by their ids. Raises as `trackers.forge.protocol.ForgeApi`."""

    def __init__(self, open_client: Callable[[], RestClient], secrets: Iterable[str]) -> None:
        """``open_client``: a client of the address below which the GraphQL API is; called for the first issue that moved."""
        self._open_client, self._secrets = open_client, tuple(secrets)
        self._client: RestClient | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._client:
            self._client.close()

    def find_place(self, id_: int, moved: str) -> str:
        """The path in the REST API of the issue with this id, to which the issue ``moved`` moved. Raises MovedOutOfSight."""
        wanted = f"gid://gitlab/Issue/{id_}"
        self._client = self._client or self._open_client()
        body = {"query": _PLACE, "variables": {"id": wanted}}
        answer = self._client.write(Answer, "find the issue that has moved", "graphql", body)
        for error in answer.errors or ():
            raise TransientError(f"GitLab answered: {to_safe_line(error.message or 'no reason given', self._secrets)}")
        place = answer.data.issue if answer.data else None
        if place is None:
            raise MovedOutOfSight(moved)
        if place.id != wanted or not place.iid.isascii() or not place.iid.isdigit():
            raise TransientError(f"GitLab answered with another issue than the one to which {moved} moved")
        return f"projects/{place.project_id}/issues/{place.iid}"
