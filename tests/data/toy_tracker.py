"""A tracker that posts tickets to a plain JSON API; the tests copy it to ``trackers/toy/__init__.py`` of a copy of the tree."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from core.errors import PermanentError, TransientError
from trackers import http_errors, transport
from trackers.protocol import Filed, TicketState
from trackers.ticket import Ticket, ticket_to_markdown
from trackers.transport import Reach


class ToyTracker:
    """One board of the toy."""

    name = "toy"

    def __init__(self, url: str, token: str, board: str, boards: Mapping[str, str], reach: Reach) -> None:
        self._url, self._board, self._boards = url, board, boards
        host = reach.check_url(url, "the toy")
        self._client = transport.httpx_client(reach, host, headers={"Authorization": token})

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Filed:
        board = self._boards.get(ticket.project, self._board)
        body = {"id": str(client_id), "board": board, "title": ticket.title, "text": ticket_to_markdown(ticket)}
        return Filed(self._send("POST", "/tickets", body)["key"], f"{self._url}/tickets/1")

    def find_ticket(self, ticket: Ticket, client_id: UUID, patient: bool = True) -> Filed | None:
        return None

    def report_recurrence(self, key: str, ticket: Ticket) -> Filed:
        return Filed(key, f"{self._url}/tickets/{key}")

    def fetch_ticket_state(self, key: str) -> TicketState:
        return TicketState("open")

    def check_access(self) -> str:
        return f"board {self._send('GET', '/boards')['boards'][0]}"

    def close(self) -> None:
        self._client.close()

    def _send(self, method: str, path: str, body: object = None) -> Any:
        try:
            answer = self._client.request(method, self._url + path, json=body)
        except httpx.HTTPError as error:
            raise TransientError("the toy did not answer") from error
        if answer.is_error:
            raise PermanentError(f"the toy answered {answer.status_code}")
        return answer.json()


def open_tracker(settings: Any, targets: Mapping[str, str], reach: Reach) -> ToyTracker:
    token = http_errors.read_credential(settings.toy_token, "the toy's token")
    return ToyTracker(settings.toy_url, token, settings.toy_board, targets, reach)
