"""What people are alerted of, as plain values: nothing here reads a clock or a database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from incidents.lifecycle import Severity, Status
from incidents.owner_patterns import Place

DIGEST: Final = "digest"
"""Kind of a row that is a digest of a project and no alert of an incident."""


@dataclass(frozen=True)
class AlertOccasion:
    """One time at which people are to be alerted of an incident. ``place`` and ``assignee`` say who owns it."""

    incident_id: str
    project: str
    kind: str
    occasion: str
    status: Status
    withdrawn: bool
    place: Place
    assignee: str | None


@dataclass(frozen=True)
class AlertedIncident:
    """What a message says of an incident, as it is now."""

    incident_id: str
    title: str
    status: Status
    severity: Severity
    sessions: int
    users: int
    open_sessions: int
    fixed: bool
    """Whether its fix is confirmed by counts."""

    @property
    def state(self) -> str:
        """What a message that can be changed shows of the state."""
        return "fixed" if self.status == "resolved" and self.fixed else self.status


@dataclass(frozen=True)
class AlertRow:
    """A claimed row: what is owed to a channel. ``incident`` is None for a digest, whose facts are all in ``facts``.

    ``message_id``: of the last message with it that was begun to be sent.
    """

    alert_id: UUID
    project: str
    kind: str
    occasion: str
    channel: str
    facts: Mapping[str, Any]
    incident: AlertedIncident | None
    quiet: bool
    doubtful: bool
    attempts: int
    token: UUID
    message_id: UUID | None = None


@dataclass(frozen=True)
class SentMessage:
    """A message that a channel can change. ``shown``: the state of each incident that it shows, by id of the row."""

    message_id: UUID
    channel: str
    message: Mapping[str, Any]
    rows: tuple[AlertRow, ...]
    shown: Mapping[UUID, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ListedAlert:
    """A row of ``furrow alerts list``."""

    project: str
    incident_id: str | None
    kind: str
    channel: str
    state: str
    created_at: datetime
    sent_at: datetime | None
    retry_at: datetime | None
    attempts: int
    last_error: str | None


@dataclass(frozen=True)
class Snooze:
    """Nobody is alerted of the incident ``until`` then."""

    incident_id: str
    until: datetime
    actor: str
    reason: str


def is_growing(sessions: float, usual: float | None, factor: float) -> bool:
    """Whether so many sessions in an hour are growth. ``usual`` None: there is nothing to compare with, so they are not."""
    return usual is not None and sessions >= factor * usual
