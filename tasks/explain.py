"""Run the engine on stored sessions and return its reasons, also for sessions without a detection. Stores nothing."""

import logging
import time
from typing import Final, TypedDict

import numpy as np
from prefect import task
from prefect.artifacts import Artifact

import ufse
from core.errors import PermanentError
from core.metrics import count_degraded
from stores.events import event_explain
from stores.events.event_explain import StoredSession
from stores.events.event_history import read_project_history
from tasks import connections
from tasks.enqueue import compute_due_ms
from tasks.retrying import POLICY
from tasks.thresholds import engine_configs, read_project_thresholds
from ufse.detection import Detection, WhyNot

MOST: Final = 50
"""Most sessions of one question. Its answer is an artifact that people read."""

_log = logging.getLogger("furrow.explain")


class ExplainedSession(TypedDict):
    """What the engine finds in one client session.

    ``complete``: `detect` does not wait for more events of it. ``error``: why the engine failed, None if it did not.
    """

    projectId: str
    sessionId: str
    complete: bool
    detections: list[Detection]
    whyNot: list[WhyNot]
    error: str | None


@task(name="find sessions", **POLICY)
def find_asked_sessions(
    session_id: str | None, last: int, rule: str | None, project: str | None
) -> list[StoredSession]:
    """The requested client sessions. Raises PermanentError when there are none, with the rules that can be asked for."""
    store = connections.event_store()
    if session_id:
        found = event_explain.find_stored_session(store, session_id, project or "default")
        if not found:
            raise PermanentError(
                f"no events of this session are stored in the project {project or 'default'!r}: they have not landed, "
                "belong to another project, or were deleted by retention"
            )
        return found
    found = event_explain.find_last_sessions(store, min(max(last, 1), MOST), rule or "", project)
    if not found and rule:
        known = event_explain.count_silenced_visits(store, project)
        rule_counts = (
            ", ".join(f"{name} ({count:,})" for name, count in known.items()) or "none has kept a session silent"
        )
        raise PermanentError(f"no stored session was kept silent by the rule {rule!r}; there is: {rule_counts}")
    if not found:
        raise PermanentError("no session has been analysed yet; one is complete 15 min after its last event")
    return found


@task(name="explain sessions", **POLICY)
def explain_sessions(asked: list[StoredSession]) -> list[ExplainedSession]:
    """Run the engine on these sessions, in their order: detections, and the rule that stopped each visit without one."""
    store = connections.event_store()
    config = engine_configs(read_project_thresholds(connections.incident_store()))
    now_ms = time.time_ns() // 1_000_000
    history = read_project_history(store, [session.project for session in asked], now_ms)
    result = ufse.detect_each(event_explain.read_session_events(store, asked), config, why_not=True, history=history)
    answers: dict[tuple[str, str], ExplainedSession] = {
        (session.project, session.session_id): {
            "projectId": session.project,
            "sessionId": session.session_id,
            "complete": _session_due_ms(session) <= now_ms,
            "detections": [],
            "whyNot": [],
            "error": None,
        }
        for session in asked
    }
    for detection in (found.to_json() for found in result.detections):
        answers[detection["projectId"], detection["sessionId"]]["detections"].append(detection)
    for reason in (found.to_json() for found in result.why_not):
        answers[reason["projectId"], reason["sessionId"]]["whyNot"].append(reason)
    for error in result.errors:
        answers[error["projectId"], error["sessionId"]]["error"] = error["error"]
    return list(answers.values())


def publish_explanation(answers: list[ExplainedSession]) -> None:
    """Attach the answer to the run, for ``furrow explain``."""
    try:
        Artifact(type="json", data={"sessions": answers}, description="The answer, for programs").create()
    except Exception:
        count_degraded("explain", "artifact")  # the artifact for people holds the same in short
        _log.exception("the answer of this run could not be written")


def _session_due_ms(session: StoredSession) -> int:
    times = ([session.last_ts], [session.ended_ts], [session.last_received_ms])
    return int(compute_due_ms(*(np.asarray(values, dtype=np.int64) for values in times))[0])
