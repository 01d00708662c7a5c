"""The one edge behind which every tracker lives: Jira, Linear, and the log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from trackers.ticket import Ticket


@dataclass(frozen=True)
class Filed:
    """A ticket exists; ``key`` is its name there, ``url`` where people read it."""

    key: str
    url: str


@dataclass(frozen=True)
class Logged:
    """No tracker is configured: the ticket was logged in full. ``digest`` (SHA-256, hex) identifies the text."""

    digest: str


@dataclass(frozen=True)
class TicketState:
    """Where a ticket stands; ``since`` is when it got there, if the tracker says."""

    kind: Literal["open", "done", "archived", "missing"]
    since: datetime | None = None


class Tracker(Protocol):
    """What an exporter needs of a tracker.

    Every call raises TransientError (with ``retry_after`` when the tracker names a time) or PermanentError with the
    tracker's own words. ``client_id`` is the ticket's identity, made and stored before the first call and the same at
    every attempt.
    """

    @property
    def name(self) -> str:
        """The tracker's name in the outbox."""

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Filed | Logged:
        """Create the ticket, or return the one that an attempt before this one created."""

    def find_ticket(self, ticket: Ticket, client_id: UUID, patient: bool = True) -> Filed | None:
        """The ticket that this identity has already, if any; asked before creating whenever an attempt came before.

        ``patient``: that attempt was a moment ago, so that its ticket may come into being or into sight only now.
        """

    def report_recurrence(self, key: str, ticket: Ticket) -> Filed | Logged:
        """Say in the existing ticket that the failure came back, and open it again unless it is archived."""

    def fetch_ticket_state(self, key: str) -> TicketState:
        """Where the ticket stands now."""

    def close(self) -> None:
        """Close the connections."""


class RemoteTracker(Tracker, Protocol):
    """A tracker on a server, as the ``open_tracker`` of its package returns it."""

    def check_access(self) -> str:
        """Where tickets go, in words for people, after a check with reading requests only.

        The check covers the address, the token, each project or team, and the fields of tickets. Raises FurrowError, with
        the tracker's own words, when it does not take tickets.
        """
