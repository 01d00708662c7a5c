"""Sessions and detections for the tests of the incident store."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from incidents.lifecycle import ConfirmRule
from stores.incidents.incident_store import (
    AnalysedSession,
    Cursor,
    IncidentStore,
    PendingSession,
    RecordResult,
    SessionOrigin,
    TouchedSession,
)

MONDAY = datetime(2024, 1, 15, 10, 0, tzinfo=UTC)
PAY = "pay"  # a failure point, as good as any other


def digest(*parts: object) -> str:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def incident_id(failure: str = PAY, project: str = "shop") -> str:
    return f"inc_{digest(project, failure)}"


def iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def detection(
    session: str,
    failure: str = PAY,
    *,
    project: str = "shop",
    at: datetime = MONDAY,
    user: str = "",
    score: int = 92,
    **changes: Any,
) -> dict[str, Any]:
    """Detection JSON as the engine emits it, of a visit that starts a minute before ``at``."""
    context = {"userHash": user, "environment": "production", "appVersion": "2.4.1", "label": "Pay now"}
    return {
        "detectionId": digest(project, session, failure),
        "projectId": project,
        "sessionId": session,
        "visitId": digest(project, session),
        "visitStart": iso(at - timedelta(minutes=1)),
        "fingerprint": digest(project, failure),
        "failurePoint": {"route": "/checkout", "target": f"button#{failure}", "feedback": "POST /api/orders → 500"},
        "primaryFailurePoint": f"/checkout › button#{failure} › POST /api/orders → 500",
        "frustrationScore": score,
        "confidenceLevel": "High",
        "confidenceScore": score / 100,
        "severityType": "Bug",
        "timestamp": iso(at),
        "lastSeen": iso(at + timedelta(seconds=9)),
        "triggeringSignals": [
            {"type": kind, "start": iso(at), "end": iso(at), "route": "/checkout", "target": "", "count": 4, "text": "",
             "eventIds": ["e1"]}
            for kind in ("rage", "feedback")
        ],
        "points": [{"rule": "rage on the failing control", "points": 35}],
        "explanation": f"4 clicks on button#{failure}",
        "timeline": [{"eventId": "e1", "at": iso(at), "offsetMs": 0, "eventType": "click", "text": "clicked"}],
        "endedFlow": True,
        "resolved": False,
        "context": context,
        "engineVersion": "1",
        **changes,
    }  # fmt: skip


def queue(
    store: IncidentStore,
    sessions: Sequence[str],
    project: str = "shop",
    due_ms: int = 1_000,
    received: Mapping[str, datetime] | None = None,
) -> list[PendingSession]:
    """Put the sessions in line and read them back, in the order given. ``received``: when some of them were."""
    at = {session: round(moment.timestamp() * 1000) for session, moment in (received or {}).items()}
    touched = [TouchedSession(project, session, hash_of(session), due_ms, at.get(session, 900)) for session in sessions]
    store.queue.enqueue_sessions(touched, Cursor(1, ()))
    waiting = {(item.project, item.session_id): item for item in store.queue.find_due_sessions(due_ms, 100_000)}
    return [waiting[project, session] for session in sessions]


def hash_of(session: str) -> int:
    return int.from_bytes(hashlib.sha256(session.encode()).digest()[:8])


def record(
    store: IncidentStore,
    *detections: dict[str, Any],
    rule: ConfirmRule | None = None,
    project: str = "shop",
    received: datetime | None = None,
    origins: Mapping[str, SessionOrigin] | None = None,
) -> RecordResult:
    """Analyse and record the sessions that these detections belong to, received as they happened or at ``received``.

    ``origins``: who sent some of the sessions; each other one is a source of its own.
    """
    sessions = {found["sessionId"]: received or datetime.fromisoformat(found["timestamp"]) for found in detections}
    analysed = [
        AnalysedSession(
            pending,
            tuple(found for found in detections if found["sessionId"] == pending.session_id),
            1,
            origin=(origins or {}).get(pending.session_id),
        )
        for pending in queue(store, list(sessions), project, received=sessions)
    ]
    return store.ledger.record_detections(analysed, rule or ConfirmRule())


def record_nothing(store: IncidentStore, session: str) -> RecordResult:
    """The session is analysed again and nothing is found any more."""
    return store.ledger.record_detections([AnalysedSession(queue(store, [session])[0], (), 1)], ConfirmRule())


def history(store: IncidentStore, id_: str) -> list[tuple[str | None, str, str]]:
    found = store.incidents.read_incident(id_)
    assert found is not None
    return [(entry["from"], entry["to"], entry["reason"]) for entry in found["history"]]


def incident(store: IncidentStore, failure: str = PAY, project: str = "shop") -> dict[str, Any]:
    found = store.incidents.read_incident(incident_id(failure, project))
    assert found is not None
    return found
