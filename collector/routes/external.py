"""Converts a detection that another system made (``POST /v1/incidents``) to Detection JSON as the engine emits it.

Ids of the sender never identify a row by themselves: they are hashed with the project, so that no project can see, take over
or block incidents of another by guessing ids. Texts are masked like those of events (docs/contracts/events.md, Privacy).
"""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, cast

from pydantic import ConfigDict, Field, model_validator

from collector.contract import MAX_FUTURE_MS
from collector.http_errors import ApiError
from collector.privacy import hash_user, mask_name, mask_route, mask_text, mask_version, stored_session
from collector.routes.fields import (
    NOT_BLANK,
    WHOLE_NUMBER,
    Count,
    LongText,
    Name,
    SentModel,
    ShortText,
    Time,
    parse_moment,
)

if TYPE_CHECKING:
    from ufse.detection import Detection, DetectionContext, SignalEntry, TimelineEntry
    from ufse.grouping.fingerprint import Fingerprints
    from ufse.grouping.learned import RouteRules

_USER_HASH = re.compile(r"[0-9a-f]{32}")
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
_SEPARATOR: Final = " › "
_HIGH, _MEDIUM = 80, 50  # detection.md, Score
_MAX_LABEL = 80
_FailureText = Annotated[str, Field(max_length=512, pattern=NOT_BLANK)]


class FailurePointSent(SentModel):
    """Where something failed. Ids in the route are folded (`/orders/8841` → `/orders/:id`)."""

    route: _FailureText
    target: ShortText = ""
    feedback: ShortText = ""


class SignalSent(SentModel):
    """One signal of a detection."""

    type: Name
    start: Time | None = None
    end: Time | None = None
    route: ShortText = ""
    target: ShortText = ""
    count: Count = 1
    text: ShortText = ""
    eventIds: list[Name] = Field(default=[], max_length=1_000)


class StepSent(SentModel):
    """One entry of a timeline; `offsetMs` is counted from the first signal."""

    eventId: ShortText = ""
    at: Time | None = None
    offsetMs: Annotated[int, Field(ge=-(10**12), le=10**12), WHOLE_NUMBER] = 0
    eventType: ShortText = ""
    route: ShortText = ""
    target: ShortText = ""
    text: ShortText = ""


class PointsSent(SentModel):
    """A row of the score."""

    rule: ShortText
    points: Annotated[int, Field(ge=-1_000, le=1_000), WHOLE_NUMBER]


class ContextSent(SentModel):
    """Who and what was affected. `userHash` is hashed again unless it has the form of a hash of this system."""

    userHash: ShortText = ""
    environment: ShortText = ""
    appVersion: ShortText = ""
    userAgent: ShortText = ""
    label: ShortText = ""
    truncated: bool = False


class DetectionSent(SentModel):
    """A detection of another system: one session at one failure point. Name the failure point by `failurePoint`, or as one
    text by `primaryFailurePoint` (`route › target › feedback`)."""

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

    sessionId: Name
    projectId: Name
    frustrationScore: Annotated[float, Field(ge=0, le=100)]
    timestamp: Time
    failurePoint: FailurePointSent | None = None
    primaryFailurePoint: _FailureText | None = None
    detectionId: Annotated[
        Name | None, Field(description="The detection's identity; default: session and failure point.")
    ] = None
    fingerprint: Annotated[
        Name | None,
        Field(description="Detections with the same fingerprint are one incident; default: the failure point."),
    ] = None
    visitId: Name | None = None
    visitStart: Time | None = None
    lastSeen: Time | None = None
    severityType: Literal["Bug", "Performance", "UX"] = "Bug"
    triggeringSignals: list[SignalSent | Name] = Field(default=[], max_length=100)
    points: list[PointsSent] = Field(default=[], max_length=100)
    explanation: LongText = ""
    timeline: list[StepSent] = Field(default=[], max_length=100)
    endedFlow: bool = False
    resolved: bool = False
    context: ContextSent = ContextSent()
    engineVersion: Name = "external"

    @model_validator(mode="after")
    def _require_failure_point(self) -> Self:
        if self.failurePoint is None and self.primaryFailurePoint is None:
            raise ValueError("no failure point: send `failurePoint` or `primaryFailurePoint`")
        return self


class IncidentRequest(SentModel):
    """`{"incident": {...}}`"""

    incident: DetectionSent


def refuse_future_times(sent: DetectionSent, received_ms: int) -> None:
    """Raise ApiError (400) for a time more than an hour after receipt (epoch ms): the limit of events, too."""
    latest = datetime.fromtimestamp((received_ms + MAX_FUTURE_MS) / 1000, UTC)
    times: list[tuple[str, str | None]] = [
        ("timestamp", sent.timestamp),
        ("lastSeen", sent.lastSeen),
        ("visitStart", sent.visitStart),
    ]
    for n, signal in enumerate(sent.triggeringSignals):
        if isinstance(signal, SignalSent):
            times += [(f"triggeringSignals.{n}.start", signal.start), (f"triggeringSignals.{n}.end", signal.end)]
    times += [(f"timeline.{n}.at", step.at) for n, step in enumerate(sent.timeline)]
    for name, text in times:
        at = parse_moment(text) if text else None
        if at is not None and at > latest:
            raise ApiError(400, "invalid_body", f"`incident.{name}` lies more than an hour after its receipt")


def to_detection(sent: DetectionSent, project: str, salt: bytes, routes: "RouteRules | None" = None) -> "Detection":
    """The Detection JSON, in ``project``; equal for equal input. Imports the engine for its fingerprints.

    ``routes``: what the project's own routes show, as for detections of the engine.
    """
    from ufse.grouping.fingerprint import FINGERPRINT_VERSION
    from ufse.patterns import clean_text, digest_texts, fold_path

    route, target, feedback = (clean_text(part) for part in _mask_failure_point(sent))
    route = fold_path(route) if route else ""
    prints, named = _group_detection(sent, project, (route, target, feedback), routes)
    identity = ("of", str(sent.detectionId)) if sent.detectionId else ("at", sent.sessionId, named)
    score = round(sent.frustrationScore)
    last_seen = max(
        sent.lastSeen or sent.timestamp, sent.timestamp
    )  # all times have one format: their text order is the time order
    detection = {
        "detectionId": digest_texts(("external detection", project, *identity)),
        "projectId": project,
        "sessionId": stored_session(project, sent.sessionId, salt),
        "visitId": digest_texts(("external visit", project, sent.sessionId, sent.visitId or "")),
        "visitStart": min(sent.visitStart or sent.timestamp, sent.timestamp),
        "fingerprint": prints.current,
        "fingerprintVersion": FINGERPRINT_VERSION,
        "olderFingerprints": list(prints.older),
        "failurePoint": {"route": route, "target": target, "feedback": feedback},
        "primaryFailurePoint": _SEPARATOR.join(part for part in (route, target, feedback) if part),
        "frustrationScore": score,
        "confidenceLevel": "High" if score >= _HIGH else "Medium" if score >= _MEDIUM else "Low",
        "confidenceScore": score / 100,
        "severityType": sent.severityType,
        "timestamp": sent.timestamp,
        "lastSeen": last_seen,
        "triggeringSignals": [_convert_signal(signal, sent.timestamp, last_seen) for signal in sent.triggeringSignals],
        "points": [{"rule": mask_text(row.rule), "points": row.points} for row in sent.points],
        "explanation": mask_text(sent.explanation),
        "timeline": [_convert_step(step, sent.timestamp) for step in sent.timeline],
        "endedFlow": sent.endedFlow,
        "resolved": sent.resolved,
        "context": _convert_context(sent, project, salt),
        "engineVersion": mask_version(sent.engineVersion),
    }
    # Without `incidentId`, which the store derives from the fingerprint, and `configHash`: no configuration made it.
    return cast("Detection", detection)


def _group_detection(
    sent: DetectionSent, project: str, point: tuple[str, str, str], routes: "RouteRules | None"
) -> "tuple[Fingerprints, str]":
    """The fingerprints of a detection, and the one that names the detection itself.

    A fingerprint of an incident of this project leads to that incident; any other one is a grouping by the sender.
    """
    from ufse.grouping.fingerprint import Fingerprints
    from ufse.grouping.learned import NO_RULES
    from ufse.grouping.shown import compute_shown_fingerprints
    from ufse.patterns import digest_texts

    own = compute_shown_fingerprints(project, *point, mask_name(sent.context.label or ""), routes or NO_RULES)
    if sent.fingerprint in (None, own.current, *own.older):
        return own, own.older[0]
    external = digest_texts(("external", project, str(sent.fingerprint)))
    known = (str(sent.fingerprint),) if _FINGERPRINT.fullmatch(str(sent.fingerprint)) else ()
    return Fingerprints(external, known), external


def _mask_failure_point(sent: DetectionSent) -> tuple[str, str, str]:
    if sent.failurePoint is not None:
        point = sent.failurePoint
        route, target, feedback = point.route, point.target, point.feedback
    else:
        route, target, feedback = _split_failure_point(sent.primaryFailurePoint or "")
    return _mask_route(route), mask_name(target.strip()), mask_text(feedback.strip())


def _split_failure_point(text: str) -> tuple[str, str, str]:
    """Split ``route › target › feedback``. A text without separators is a route if it begins with ``/``, else a target."""
    parts = [part.strip() for part in text.split("›", 2)]
    if len(parts) == 3 and any(parts):
        return parts[0], parts[1], parts[2]
    if len(parts) == 2 and any(parts):
        return (parts[0], "", parts[1]) if parts[0].startswith("/") else ("", parts[0], parts[1])
    return (text, "", "") if text.strip().startswith("/") else ("", text, "")


def _mask_route(text: str) -> str:
    return mask_route(text) if text.strip() else ""


def _convert_signal(signal: SignalSent | str, start: str, end: str) -> "SignalEntry":
    sent = SignalSent(type=signal) if isinstance(signal, str) else signal
    return {
        "type": mask_text(sent.type),
        "start": sent.start or start,
        "end": sent.end or sent.start or end,
        "route": _mask_route(sent.route),
        "target": mask_name(sent.target),
        "count": sent.count,
        "text": mask_text(sent.text),
        "eventIds": [mask_name(event_id) for event_id in sent.eventIds],
    }


def _convert_step(step: StepSent, start: str) -> "TimelineEntry":
    return {
        "eventId": mask_name(step.eventId),
        "at": step.at or start,
        "offsetMs": step.offsetMs,
        "eventType": mask_text(step.eventType),
        "route": _mask_route(step.route),
        "target": mask_name(step.target),
        "text": mask_text(step.text),
    }


def _convert_context(sent: DetectionSent, project: str, salt: bytes) -> "DetectionContext":
    context = sent.context
    user = context.userHash
    hashed = user if not user or _USER_HASH.fullmatch(user) else hash_user(project, user, salt)
    return {
        "userHash": hashed,
        "environment": mask_name(context.environment),
        "appVersion": mask_version(context.appVersion),
        "userAgent": mask_name(context.userAgent),
        "label": mask_text(context.label)[:_MAX_LABEL],
        "truncated": context.truncated,
    }
