"""Every JSON shape of the operators' API: requests are validated by these models, answers are documented by them.

The document at ``/openapi.json`` is made of them, and the tests hold the running collector against it.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
    model_validator,
)

from collector.contract import MAX_EVENTS, parse_time

MAX_REASON: Final = 2_000
MAX_MORE_SESSIONS: Final = 10**9
_NO_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Action = Literal["confirm", "suppress", "resolve", "reopen"]
Status = Literal["draft", "confirmed", "resolved", "regressed", "suppressed"]
Severity = Literal["Critical", "High", "Medium", "Low"]
SeverityType = Literal["Bug", "Performance", "UX"]


def parse_moment(value: object) -> datetime | None:
    """The instant of an RFC 3339 text or of epoch milliseconds; None for anything else, and before the year 1."""
    ms = parse_time(value)
    try:
        return None if ms is None else _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return None


def _format_instant(text: str) -> str:
    at = parse_moment(text)
    if at is None:
        raise ValueError("must be RFC 3339 with a zone")
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _whole_to_integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value  # 3.0 is an integer in JSON


_Time = Annotated[
    str,
    AfterValidator(_format_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2024-01-15T10:00:00.000Z"]}),
]
_Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
_Text = Annotated[str, Field(max_length=4_000, pattern=rf"^[^{_NO_CONTROL}]*$")]
_Short = Annotated[str, Field(max_length=512, pattern=rf"^[^{_NO_CONTROL}]*$")]
_Count = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(_whole_to_integer)]
_Point = Annotated[str, Field(max_length=512, pattern=rf"^[^{_NO_CONTROL}]*[^\s{_NO_CONTROL}][^{_NO_CONTROL}]*$")]
_Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_REASON,
        pattern=rf"^[^{_NO_CONTROL}]*[^\s{_NO_CONTROL}][^{_NO_CONTROL}]*$",
        description="Why, in words for the history; without control characters.",
    ),
]


class _Sent(BaseModel):
    """Of another system: what is not known is ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _AnswerModel(BaseModel):
    """An answer; only its JSON Schema is used."""


# ------------------------------------------------------------------------------------------------------ requests


class ActionRequest(BaseModel):
    """An act of a person."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    reason: _Reason


class SuppressRequest(ActionRequest):
    """Not a problem: for ever, or until the first session seen at or after `until`, or until `sessions` more are
    affected, whichever comes first."""

    until: _Time | None = None
    sessions: Annotated[int, Field(ge=1, le=MAX_MORE_SESSIONS), BeforeValidator(_whole_to_integer)] | None = None


class FailurePointSent(_Sent):
    """Where it failed; ids in the route are folded away (`/orders/8841` → `/orders/:id`)."""

    route: _Point
    target: _Short = ""
    feedback: _Short = ""


class SignalSent(_Sent):
    """One signal of a detection."""

    type: _Name
    start: _Time | None = None
    end: _Time | None = None
    route: _Short = ""
    target: _Short = ""
    count: _Count = 1
    text: _Short = ""
    eventIds: Annotated[list[_Name], Field(max_length=1_000)] = []


class StepSent(_Sent):
    """One entry of a timeline; `offsetMs` is counted from the first signal."""

    eventId: _Short = ""
    at: _Time | None = None
    offsetMs: Annotated[int, Field(ge=-(10**12), le=10**12), BeforeValidator(_whole_to_integer)] = 0
    eventType: _Short = ""
    route: _Short = ""
    target: _Short = ""
    text: _Short = ""


class PointsSent(_Sent):
    """A row of the score."""

    rule: _Short
    points: Annotated[int, Field(ge=-1_000, le=1_000), BeforeValidator(_whole_to_integer)]


class ContextSent(_Sent):
    """Who and what was affected; `userHash` is hashed again unless it is a hash of this system's form."""

    userHash: _Short = ""
    environment: _Short = ""
    appVersion: _Short = ""
    userAgent: _Short = ""
    label: _Short = ""
    truncated: bool = False


class DetectionSent(_Sent):
    """A detection made elsewhere: one session at one failure point. Name it by `failurePoint`, or in one text by
    `primaryFailurePoint` (`route › target › feedback`)."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="ignore",
        json_schema_extra={
            "anyOf": [
                {"required": ["failurePoint"], "properties": {"failurePoint": {"type": "object"}}},
                {"required": ["primaryFailurePoint"], "properties": {"primaryFailurePoint": {"type": "string"}}},
            ]
        },
    )

    sessionId: _Name
    projectId: _Name
    frustrationScore: Annotated[float, Field(ge=0, le=100)]
    timestamp: _Time
    failurePoint: FailurePointSent | None = None
    primaryFailurePoint: _Point | None = None
    detectionId: Annotated[_Name | None, Field(description="Its identity; without one: session and failure point.")] = (
        None
    )
    fingerprint: Annotated[
        _Name | None, Field(description="What makes it one incident with others; without one: the failure point.")
    ] = None
    visitId: _Name | None = None
    visitStart: _Time | None = None
    lastSeen: _Time | None = None
    severityType: SeverityType = "Bug"
    triggeringSignals: Annotated[list[SignalSent | _Name], Field(max_length=100)] = []
    points: Annotated[list[PointsSent], Field(max_length=100)] = []
    explanation: _Text = ""
    timeline: Annotated[list[StepSent], Field(max_length=100)] = []
    endedFlow: bool = False
    resolved: bool = False
    context: ContextSent = ContextSent()
    engineVersion: _Name = "external"

    @model_validator(mode="after")
    def _require_failure_point(self) -> Self:
        if self.failurePoint is None and self.primaryFailurePoint is None:
            raise ValueError("names no failure point: send `failurePoint` or `primaryFailurePoint`")
        return self


class IncidentRequest(_Sent):
    """`{"incident": {...}}`"""

    incident: DetectionSent


class SessionEventsRequest(_Sent):
    """Events of one session. Each takes `sessionId` from `session_id` if it has none; one that names another session is
    rejected. `sentAt`, `sdkVersion`, `appVersion`, `environment` and `userAgent` as in `POST /v1/events`."""

    project_id: _Name
    session_id: _Name
    events: Annotated[list[Any], Field(min_length=1, max_length=MAX_EVENTS)]


class SessionRequest(_Sent):
    """One whole session."""

    sessionId: _Name
    projectId: _Name
    events: Annotated[list[Any], Field(min_length=1, max_length=MAX_EVENTS)]


# ------------------------------------------------------------------------------------------------------- answers


class ErrorDetail(_AnswerModel):
    code: Annotated[str, Field(description="A fixed word for programs.")]
    message: Annotated[str, Field(description="What is wrong, for people.")]


class Error(_AnswerModel):
    """The one shape of every error."""

    error: ErrorDetail


class Rejected(_AnswerModel):
    """An event that broke a rule; it lies in the dead letters and can be mended and replayed."""

    index: Annotated[int, Field(ge=0)]
    field: str
    reason: str


class Accepted(_AnswerModel):
    """How many events are durable now, and which were rejected."""

    accepted: Annotated[int, Field(ge=0)]
    rejected: list[Rejected]


class Processed(_AnswerModel):
    """`success` is false when no event was accepted."""

    success: bool
    processed: Annotated[int, Field(ge=0)]
    rejected: list[Rejected]


class Stored(_AnswerModel):
    """`duplicate`: exactly this detection was stored already."""

    success: bool
    incidentId: str
    duplicate: bool


class HealthParts(_AnswerModel):
    spool: Literal["ok", "failing"]
    incidentStore: Literal["ok", "unreachable", "none"]


class Health(_AnswerModel):
    """`degraded`: events are taken, but the incident store is away; `failing`: none can be taken."""

    status: Literal["ok", "degraded", "failing"]
    parts: HealthParts


class SpoolPending(_AnswerModel):
    segments: int
    events: int
    bytes: int


class SessionFigures(_AnswerModel):
    open: int | None
    complete: int | None


class IncidentFigures(_AnswerModel):
    draft: int
    confirmed: int
    resolved: int
    regressed: int
    suppressed: int


class InstallationStatus(_AnswerModel):
    """Figures; null is what is not known now, or what a key of one project is not told: the spool, the dead letters,
    the lander and the event store are those of the whole installation."""

    project: Annotated[str | None, Field(description="The key's project; null: the figures are of all projects.")]
    eventsStored: int | None
    spoolPending: SpoolPending | None
    deadLetters: int | None
    deadLettersNotKept: Annotated[
        int | None, Field(description="Rejected events of the last 30 days beyond their budget: counted only.")
    ]
    sessions: SessionFigures
    detections: int | None
    incidents: IncidentFigures | None
    tickets: Annotated[dict[str, int] | None, Field(description="Rows of the ledger by state.")]
    held: Annotated[int | None, Field(description="Incidents that a flood of new ones holds back from export.")]
    deadSessions: int | None
    lagSeconds: Annotated[
        float | None, Field(description="How long the oldest work waits to be landed, read by `detect`, or analysed.")
    ]
    detectSecondsAgo: Annotated[
        float | None, Field(description="How long ago `detect` completed last; null: never, as far as is known.")
    ]
    lander: dict[str, JsonValue] | None
    unavailable: list[Literal["eventStore", "incidentStore"]]


class FailurePoint(_AnswerModel):
    route: str
    target: str
    feedback: str


class Ticket(_AnswerModel):
    tracker: str
    state: Literal["logged", "claimed", "retry", "filed", "export_failed"]
    key: str | None
    url: str | None
    attempts: int
    lastError: str | None
    retryAt: str | None
    filedAt: str | None
    clientId: str


class Incident(_AnswerModel):
    """One problem, many sessions. Times are RFC 3339 in UTC."""

    incidentId: str
    projectId: str
    fingerprint: str
    title: str
    status: Status
    severity: Severity
    severityType: str
    priority: Literal["P0", "P1", "P2", "P3", "P4"]
    failurePoint: FailurePoint
    primaryFailurePoint: str
    label: str
    firstSeen: str | None
    lastSeen: str | None
    affectedSessions: int
    countedSessions: Annotated[
        int, Field(description="Of the affected sessions those that count: of each source only the first few.")
    ]
    affectedUsers: int
    endedSessions: int
    overcomeSessions: int
    highestScore: int
    medianScore: float
    confidence: float
    signals: Annotated[dict[str, int], Field(description="Sessions by kind of signal.")]
    routes: list[str]
    environments: list[str]
    appVersions: list[str]
    browsers: list[str]
    sessionsBy: Annotated[dict[str, dict[str, int]], Field(description="Sessions by facet and value.")]
    exported: Annotated[bool, Field(description="It has a ticket.")]
    held: Annotated[bool, Field(description="Held back from export: it was new in a flood of new incidents.")]
    tickets: list[Ticket]
    resolvedAt: str | None
    suppressedUntil: str | None
    suppressedSessions: int | None
    generation: Annotated[int, Field(description="How often it came back.")]
    allowedActions: list[Action]
    createdAt: str
    updatedAt: str


class IncidentPage(_AnswerModel):
    incidents: list[Incident]
    total: Annotated[int, Field(description="How many match, on all pages.")]
    limit: int
    offset: int


class Change(_AnswerModel):
    """A line of the history; `actor` is `rule`, or the label of the key that acted."""

    at: str
    actor: str
    # `from` is a word of Python
    before: Annotated[Status | None, Field(alias="from")]
    to: Status
    reason: str


class Signal(_AnswerModel):
    type: str
    start: str
    end: str
    route: str
    target: str
    count: int
    text: str
    eventIds: list[str]


class Points(_AnswerModel):
    rule: str
    points: int


class Step(_AnswerModel):
    eventId: str
    at: str
    offsetMs: int
    eventType: str
    route: str
    target: str
    text: str


class Context(_AnswerModel):
    userHash: str
    environment: str
    appVersion: str
    userAgent: str
    label: str
    truncated: bool


class Example(_AnswerModel):
    detectionId: str
    sessionId: str
    visitId: str
    visitStart: str
    timestamp: str
    score: int
    explanation: str
    points: list[Points]
    triggeringSignals: list[Signal]
    timeline: list[Step]
    endedFlow: bool
    resolved: bool
    context: Context


class IncidentDetail(Incident):
    """An incident with its history, example sessions and their timelines."""

    explanation: str
    examples: Annotated[list[Example], Field(max_length=5)]
    history: list[Change]


class Detection(_AnswerModel):
    """One session at one failure point, as the engine emits it, with the id of the incident it would belong to."""

    detectionId: str
    incidentId: str
    projectId: str
    sessionId: str
    visitId: str
    visitStart: str
    fingerprint: str
    failurePoint: FailurePoint
    primaryFailurePoint: str
    frustrationScore: int
    confidenceLevel: Literal["High", "Medium", "Low"]
    confidenceScore: float
    severityType: SeverityType
    timestamp: str
    lastSeen: str
    triggeringSignals: list[Signal]
    points: list[Points]
    explanation: str
    timeline: list[Step]
    endedFlow: bool
    resolved: bool
    context: Context
    engineVersion: str
    configHash: str


class Candidate(_AnswerModel):
    failurePoint: str
    rule: str
    text: str
    score: int | None


class WhyNot(_AnswerModel):
    """Why a visit of the session gave no detection: the rule at which the nearest candidate fell."""

    projectId: str
    sessionId: str
    visitId: str
    visitStart: str
    rule: str
    text: str
    candidates: list[Candidate]


class Analysis(_AnswerModel):
    count: Annotated[int, Field(ge=0, description="How many incidents.")]
    incidents: list[Detection]
    whyNot: list[WhyNot]
    rejected: list[Rejected]
