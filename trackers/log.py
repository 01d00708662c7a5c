"""The tracker for when none is configured: it writes the whole ticket to the log, exactly as it would be filed."""

import hashlib
import logging
import unicodedata
from collections.abc import Callable
from uuid import UUID

from trackers.protocol import Filed, Logged, TicketState
from trackers.ticket import Ticket, ticket_to_markdown

_LOG = logging.getLogger("furrow.tickets")


class LogTracker:
    """Stands in for the tracker ``name`` until that is configured; nothing counts as exported."""

    def __init__(
        self, name: str, render: Callable[[Ticket], str] = ticket_to_markdown, logger: logging.Logger = _LOG
    ) -> None:
        """``render`` is how the tracker that it stands for would get the body."""
        self._name = name
        self._render = render
        self._logger = logger

    @property
    def name(self) -> str:
        """The name of the tracker that it stands for."""
        return self._name

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Logged:
        """Log the ticket. The digest covers the text alone, so that the same text is recognised whoever logs it."""
        text = self.ticket_text(ticket)
        self._logger.info("ticket for %s (not configured, logged only):\n%s", self._name, text)
        return Logged(_hash_text(text))

    def find_ticket(self, ticket: Ticket, client_id: UUID, patient: bool = True) -> Filed | None:
        """Nothing was ever filed in a log."""
        return None

    def report_recurrence(self, key: str, ticket: Ticket) -> Logged:
        """Log the ticket again, saying why."""
        return self.file_ticket(ticket, UUID(int=0))

    def fetch_ticket_state(self, key: str) -> TicketState:
        """A log knows no tickets."""
        return TicketState("missing")

    def close(self) -> None:
        """Nothing to close."""

    def ticket_digest(self, ticket: Ticket) -> str:
        """What ``file`` would return for this ticket, without logging it."""
        return _hash_text(self.ticket_text(ticket))

    def ticket_text(self, ticket: Ticket) -> str:
        """The ticket as it is logged; every line begins with a bar and so passes for no other log entry."""
        head = (
            f"title: {ticket.title}",
            f"project: {ticket.project}   incident: {ticket.incident_id}",
            f"priority: {ticket.priority}   severity: {ticket.severity}   labels: {', '.join(ticket.labels)}",
        )
        # Each line of the head is one line, whatever stands in it; only the body has line breaks of its own.
        lines = [*(line.replace("\n", " ") for line in head), "", *self._render(ticket).rstrip("\n").split("\n")]
        return "\n".join(f"| {escape_invisible(line)}".rstrip() for line in lines)


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def escape_invisible(line: str) -> str:
    """``line`` with everything that a terminal or a log viewer would act upon shown as an escape."""
    return "".join(
        character if unicodedata.category(character) not in _ACTED_UPON else _escape_character(character)
        for character in line
    )


_ACTED_UPON = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _escape_character(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
