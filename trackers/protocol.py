"""The protocol of trackers: a server's, or the log."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable
from uuid import UUID

from core.errors import PermanentError
from incidents.ticket_reading import TicketReading
from trackers.document import Document
from trackers.ticket import Ticket


@dataclass(frozen=True)
class Shown:
    """What a ticket showed right after Furrow's last write. What differs now was changed by a person, and is left alone.

    ``digest``: SHA-256 (hex) of the description as the tracker returns it; None where a value is not known.
    """

    title: str | None = None
    priority: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Filed:
    """A ticket in a tracker: its ``key`` there, its URL for people, and what it shows if this was just written.

    ``is_open``: it was seen open, or opened again, by the report of a recurrence. ``refused``: the tracker's words about a part
    of the ticket that it did not take (`CompletesTickets`).
    """

    key: str
    url: str
    shown: Shown | None = field(default=None, compare=False)
    is_open: bool = field(default=False, compare=False)
    refused: str = field(default="", compare=False)


@dataclass(frozen=True)
class Logged:
    """A ticket that was logged in full. ``digest`` (SHA-256, hex) identifies its text."""

    digest: str


@dataclass(frozen=True)
class TicketState:
    """The state of a ticket; ``since``: when it got there, None if unknown."""

    kind: Literal["open", "done", "archived", "missing"]
    since: datetime | None = None


class Tracker(Protocol):
    """What the export needs of a tracker.

    Every call raises TransientError (with ``retry_after`` when the tracker names a time) or PermanentError with the tracker's
    message. ``client_id`` is the ticket's identity. It is stored before the first call and is the same in every attempt.
    """

    @property
    def name(self) -> str:
        """The tracker's name in the outbox."""

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Filed | Logged:
        """Create the ticket, or return the one that an earlier attempt created."""

    def find_ticket(self, ticket: Ticket, client_id: UUID, patient: bool = True) -> Filed | None:
        """The ticket of this identity, if there is one. Called before `file_ticket` after an earlier attempt.

        ``patient``: that attempt was a moment ago, so its ticket may appear with a delay.
        """

    def report_recurrence(self, key: str, ticket: Ticket) -> Filed | Logged:
        """Comment in the existing ticket that the failure came back; if ``ticket.reopens``, reopen it unless it is archived."""

    def fetch_ticket_state(self, key: str) -> TicketState:
        """The ticket's state now."""

    def close(self) -> None:
        """Close the connections."""


@runtime_checkable
class KeepsFacts(Protocol):
    """A tracker whose tickets are brought up to date. Raises as `Tracker` does, and MissingTicket."""

    def update_facts(self, key: str, ticket: Ticket, shown: Shown) -> Shown:
        """Write title, priority and text where they are still as in ``shown``. Returns what the ticket shows now."""

    def add_note(self, key: str, note_id: str, text: Document) -> None:
        """Comment on the ticket, once for each ``note_id``."""


@dataclass(frozen=True)
class TicketReference:
    """A filed ticket whose state is to be read: its incident, its key, and what it is known by in its tracker.

    ``was_closed``: whether it was closed when it was last read.
    """

    incident_id: str
    key: str
    client_id: UUID
    identity: str
    was_closed: bool = False


class PartlyRead(PermanentError):
    """Some tickets could not be read: ``unread`` are their incident ids, ``readings`` those of all others."""

    def __init__(self, message: str, readings: Sequence[TicketReading], unread: frozenset[str]) -> None:
        super().__init__(message)
        self.readings, self.unread = tuple(readings), unread


@runtime_checkable
class ReadsStates(Protocol):
    """A tracker whose tickets' states are read back. Raises as `Tracker` does, and PartlyRead."""

    def read_tickets(self, references: Sequence[TicketReference], within_s: float | None) -> list[TicketReading]:
        """The states of those tickets that changed within so many seconds (None: of all that are there), in few requests."""


@runtime_checkable
class ClosesTwins(Protocol):
    """A tracker in which the second ticket of an incident can be closed. Raises as `Tracker`."""

    def close_twin(self, key: str, kept: str, ticket: Ticket) -> None:
        """Close the issue ``key`` as a duplicate of ``kept``, with a comment and a link. The same again changes nothing."""


@runtime_checkable
class FindsTwins(ClosesTwins, Protocol):
    """A tracker that may have two issues of one ticket, because it takes no identity from its client. Raises as `Tracker`."""

    def find_twins(self, tickets: Sequence[Ticket]) -> dict[str, list[str]]:
        """By incident id, the keys of all issues with the ticket's identity, oldest first; what was not found is left out."""


@runtime_checkable
class CompletesTickets(Protocol):
    """A tracker that takes a ticket in several requests, of which a later one may be refused. Raises as `Tracker`."""

    def complete_ticket(self, key: str, ticket: Ticket) -> str:
        """Add what was refused when the ticket was filed. Returns the tracker's words if it is refused again, else ''."""


class RemoteTracker(Tracker, Protocol):
    """A tracker on a server, as the ``open_tracker`` of its package returns it."""

    def check_access(self) -> str:
        """Where tickets go, in words for people, after a check with reading requests only.

        The check covers the address, the token, each project or team, and the fields of tickets. Raises FurrowError, with
        the tracker's own words, when it does not take tickets.
        """
