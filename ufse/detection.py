"""What the engine emits, declared once (docs/contracts/detection.md, A detection carries).

Stored rows, the collector's answers and its OpenAPI document, tickets, artifacts and the JSON of the command line derive from
these declarations. Times are RFC 3339 in UTC with milliseconds. Keys are camelCase, as on the wire.
"""

from typing import Final, Literal

# Pydantic, which makes the OpenAPI document of these, reads typing's own TypedDict only from Python 3.12 on.
from typing_extensions import TypedDict

OUTPUT_VERSION: Final = 2
"""Version of the declarations below; it is not part of the output. Raise it, and say so in CHANGELOG.md, when a key is added,
removed or changes its type or meaning: ``tests/unit/ufse/test_output.py`` compares the declarations with what is emitted.
"""

ConfidenceLevel = Literal["High", "Medium", "Low"]
SeverityType = Literal["Bug", "Performance", "UX"]


class FailurePoint(TypedDict):
    """Where something failed. Ids in the route are replaced by ``:id``."""

    route: str
    target: str
    feedback: str
    """What failed, as in ``POST /api/orders → 500``."""


class SignalEntry(TypedDict):
    """One signal of a detection."""

    type: str
    start: str
    end: str
    route: str
    target: str
    count: int
    text: str
    eventIds: list[str]
    """Ids of the events on which it rests."""


class PointsEntry(TypedDict):
    """A rule that gave or subtracted points."""

    rule: str
    points: int


class TimelineEntry(TypedDict):
    """One of the few events that explain the detection."""

    eventId: str
    at: str
    offsetMs: int
    """Milliseconds since the first signal; negative before it."""
    eventType: str
    route: str
    target: str
    text: str


class DetectionContext(TypedDict):
    """Who and what was affected."""

    userHash: str
    environment: str
    appVersion: str
    userAgent: str
    label: str
    """The accessible name of the control."""
    truncated: bool
    """Only the beginning of the visit was analysed."""


class Detection(TypedDict):
    """One session at one failure point, as the engine emits it."""

    detectionId: str
    projectId: str
    sessionId: str
    visitId: str
    visitStart: str
    fingerprint: str
    fingerprintVersion: int
    """Version of the rules of grouping that made ``fingerprint``."""
    olderFingerprints: list[str]
    """Fingerprints of the same failure point by earlier versions or without learned routes, the oldest first."""
    failurePoint: FailurePoint
    primaryFailurePoint: str
    """The failure point as one text: ``route › target › feedback``."""
    frustrationScore: int
    """0 to 100."""
    confidenceLevel: ConfidenceLevel
    confidenceScore: float
    """0 to 1."""
    severityType: SeverityType
    timestamp: str
    """Time of the first signal."""
    lastSeen: str
    triggeringSignals: list[SignalEntry]
    points: list[PointsEntry]
    explanation: str
    timeline: list[TimelineEntry]
    endedFlow: bool
    """The user left the flow."""
    resolved: bool
    """The action succeeded later."""
    context: DetectionContext
    engineVersion: str
    configHash: str


class IdentifiedDetection(Detection):
    """A detection with the id of the incident to which it belongs; callers of the engine add the id."""

    incidentId: str


class Candidate(TypedDict):
    """A failure point that was judged and gave no detection."""

    failurePoint: str
    rule: str
    text: str
    score: int | None


class WhyNot(TypedDict):
    """Why a visit gave no detection: the rule that stopped the nearest candidate."""

    projectId: str
    sessionId: str
    visitId: str
    visitStart: str
    rule: str
    text: str
    candidates: list[Candidate]
