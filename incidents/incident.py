"""An incident as the other packages see it, declared once (docs/contracts/incidents-and-tickets.md).

The answers and the OpenAPI document of the collector, tickets, artifacts and the JSON of the command line derive from these
declarations. Times are RFC 3339 in UTC with milliseconds. Keys are camelCase, as on the wire.
"""

from typing import Annotated, Literal

from annotated_types import MaxLen
from typing_extensions import TypedDict

from incidents.lifecycle import Action, Severity, Status
from incidents.ticket_reading import Meaning
from ufse.detection import DetectionContext, FailurePoint, PointsEntry, SignalEntry, TimelineEntry

Priority = Literal["P0", "P1", "P2", "P3", "P4"]
StepKind = Literal["control", "request", "page"]
TicketState = Literal["logged", "claimed", "retry", "filed", "export_failed"]


class TicketInTracker(TypedDict):
    """What a ticket showed in its tracker when its state was last read. Texts are the tracker's."""

    status: str
    resolution: str
    meaning: Meaning
    """What the state means here; ``unknown``: name it in the project setting ``ticketStates``."""
    assignee: str
    comments: int | None
    versions: list[str]
    """In which it is fixed, as the tracker says."""
    duplicateOf: str
    since: str | None
    """When it was closed."""
    readAt: str | None
    """Changes up to then are known."""


class TicketRecord(TypedDict):
    """A row of the ledger of tickets: one for each incident and tracker."""

    tracker: str
    state: TicketState
    key: str | None
    url: str | None
    attempts: int
    lastError: str | None
    retryAt: str | None
    filedAt: str | None
    clientId: str
    inTracker: TicketInTracker | None
    """None: it was never read."""


class Rate(TypedDict):
    """Client sessions that reached a step, those of them that were hit, and the proportion with its 95 % interval."""

    reached: int
    hit: int
    rate: float | None
    """0 to 1; none if no session reached it."""
    low: float
    high: float


class FacetRate(Rate):
    """The sessions with one value, and all other sessions that reached the step."""

    value: str
    others: Rate


class DayRate(Rate):
    """The sessions of one day of receipt (UTC)."""

    day: str


class FixProof(Rate):
    """The sessions that began after the fix."""

    since: str
    """Time of the fix."""
    before: Rate
    """All other sessions that reached the step."""
    confirmed: bool
    """The upper bound of the rate is below a tenth of the rate before."""
    confirmedAt: str | None
    """When this was first so; the history has a line for it."""
    byAppVersion: list[FacetRate]
    """Of the sessions since the fix."""


class Impact(Rate):
    """How many client sessions reached the step of the incident, failed or not, and how many it hit (docs/impact.md)."""

    step: StepKind
    """What was used: the same control, the same request, or the page, on the same route."""
    byAppVersion: list[FacetRate]
    byBrowser: list[FacetRate]
    byEnvironment: list[FacetRate]
    byDay: list[DayRate]
    fix: FixProof | None
    """None without a fix."""


class Incident(TypedDict):
    """One problem that affects one or more sessions."""

    incidentId: str
    projectId: str
    fingerprint: str
    title: str
    status: Status
    severity: Severity
    severityType: str
    priority: Priority
    failurePoint: FailurePoint
    primaryFailurePoint: str
    label: str
    firstSeen: str | None
    lastSeen: str | None
    affectedSessions: int
    """Complete sessions that show it."""
    countedSessions: int
    """The affected sessions that count: only the first few of each source."""
    openSessions: int
    """Sessions that go on and show it. They count nowhere else, and for no ticket."""
    affectedUsers: int
    endedSessions: int
    overcomeSessions: int
    reached: Rate | None
    """Of the client sessions that reached its step, those that it hits; none while it is not counted."""
    highestScore: int
    medianScore: float
    confidence: float
    signals: dict[str, int]
    """Sessions by kind of signal."""
    routes: list[str]
    environments: list[str]
    appVersions: list[str]
    browsers: list[str]
    sessionsBy: dict[str, dict[str, int]]
    """Sessions by facet and value."""
    exported: bool
    """It has a ticket."""
    held: bool
    """Held back from export: it was new in a flood of new incidents."""
    suspicious: bool
    """It stays a draft, because senders of its sessions showed too many new incidents within an hour."""
    tickets: list[TicketRecord]
    resolvedAt: str | None
    fixVersion: str | None
    """The version with the fix, if it is known."""
    fixEnvironment: str | None
    """The only environment that was fixed; none: all."""
    fixInNextRelease: bool
    """The first release after the resolution has the fix, and none came yet."""
    suppressedUntil: str | None
    suppressedSessions: int | None
    withdrawnAt: str | None
    """It was drafted from open sessions, and none of them shows it any more. Lists leave it out."""
    mergedInto: str | None
    """The incident into which a person merged it. Lists leave it out."""
    assignee: str | None
    """The person or team that somebody assigned it to; this wins over the rules of owners."""
    assignedBy: str | None
    version: int
    """Raised by each decision (status, assignment, merge), not by counts. The header `ETag` has it."""
    generation: int
    """How often it came back."""
    allowedActions: list[Action]
    createdAt: str
    updatedAt: str


class OwnerRecord(TypedDict):
    """Who owns an incident, and what decided so (docs/owners.md)."""

    names: list[str]
    """Persons and teams; the first one gets the ticket."""
    decidedBy: Literal["person", "rule"]
    line: int | None
    """Of the file of owners."""
    rule: str | None
    """Its patterns."""
    reason: str
    """The same in words."""


class Owned(TypedDict):
    """What answers add to an incident of the store."""

    owner: OwnerRecord | None
    """By assignment, else by the first rule that fits; none without either."""


# `from` is a keyword of Python, so this is not a class.
HistoryEntry = TypedDict("HistoryEntry", {"at": str, "actor": str, "from": Status | None, "to": Status, "reason": str})
HistoryEntry.__doc__ = "A line of the history; ``actor`` is ``rule``, or the label of the key that acted."


class ExampleSession(TypedDict):
    """One affected session with its timeline."""

    open: bool
    """It goes on: the detection may still be retracted."""

    detectionId: str
    sessionId: str
    visitId: str
    visitStart: str
    timestamp: str
    score: int
    explanation: str
    points: list[PointsEntry]
    triggeringSignals: list[SignalEntry]
    timeline: list[TimelineEntry]
    endedFlow: bool
    resolved: bool
    context: DetectionContext


class IncidentDetail(Incident):
    """An incident with its history, example sessions and their timelines."""

    explanation: str
    impact: Impact | None
    """None while it is not counted."""
    examples: Annotated[list[ExampleSession], MaxLen(5)]
    history: list[HistoryEntry]


class OwnedIncident(Incident, Owned):
    """An incident and its owner."""


class OwnedIncidentDetail(IncidentDetail, Owned):
    """An incident with its owner, history, example sessions and their timelines."""
