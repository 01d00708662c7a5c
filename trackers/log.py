"""The tracker that is used when none is configured: it writes whole tickets to the log."""

import hashlib
import logging
import unicodedata
from collections.abc import Callable
from uuid import UUID

from trackers.protocol import Filed, Logged, TicketState
from trackers.ticket import Ticket, ticket_to_markdown

_LOG = logging.getLogger("furrow.tickets")


class LogTracker:
    """Logs the tickets of the tracker ``name``; none of them counts as exported."""

    def __init__(
        self, name: str, render: Callable[[Ticket], str] = ticket_to_markdown, logger: logging.Logger = _LOG
    ) -> None:
        """``render`` renders the body as for that tracker."""
        self._name = name
        self._render = render
        self._logger = logger

    @property
    def name(self) -> str:
        """The name of that tracker."""
        return self._name

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Logged:
        """Log the ticket. The digest covers only the text."""
        text = self.ticket_text(ticket)
        self._logger.info("ticket for %s (not filed, only logged):\n%s", self._name, text)
        return Logged(_hash_text(text))

    def find_ticket(self, ticket: Ticket, client_id: UUID, patient: bool = True) -> Filed | None:
        """None: a log holds no tickets."""
        return None

    def report_recurrence(self, key: str, ticket: Ticket) -> Logged:
        """Log the ticket again; its text holds the reason."""
        return self.file_ticket(ticket, UUID(int=0))

    def fetch_ticket_state(self, key: str) -> TicketState:
        """Always ``missing``."""
        return TicketState("missing")

    def close(self) -> None:
        """Nothing to close."""

    def ticket_digest(self, ticket: Ticket) -> str:
        """The digest that `file_ticket` returns for this ticket, without logging it."""
        return _hash_text(self.ticket_text(ticket))

    def ticket_text(self, ticket: Ticket) -> str:
        """The ticket as it is logged. Every line begins with a bar, so that it cannot pass for another log entry."""
        head = (
            f"title: {ticket.title}",
            f"project: {ticket.project}   incident: {ticket.incident_id}",
            f"priority: {ticket.priority}   severity: {ticket.severity}   labels: {', '.join(ticket.labels)}",
            *(f"field {name}: {_show_value(value)}" for name, value in ticket.fields.items()),
        )
        # A value in the head cannot start a new line; only the body has line breaks.
        lines = [*(line.replace("\n", " ") for line in head), "", *self._render(ticket).rstrip("\n").split("\n")]
        return "\n".join(f"| {escape_invisible(line)}".rstrip() for line in lines)


def _show_value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def escape_invisible(line: str) -> str:
    """``line`` with control and invisible characters as escapes."""
    return "".join(
        character if unicodedata.category(character) not in _ACTED_UPON else _escape_character(character)
        for character in line
    )


_ACTED_UPON = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _escape_character(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
