"""What the engine says of stored sessions, with its reasons, also for silence; nothing of it is stored."""

import logging
import time
from typing import Any, Final

import numpy as np
from prefect import task
from prefect.artifacts import Artifact

import ufse
from core.errors import PermanentError
from core.metrics import count_degraded
from stores.events import event_explain
from stores.events.event_explain import StoredSession
from tasks import connections
from tasks.enqueue import compute_due_ms
from tasks.retrying import POLICY
from tasks.thresholds import engine_configs, read_project_thresholds

MOST: Final = 50
"""Sessions of one question: its answer is an artifact, which people read."""

_log = logging.getLogger("furrow.explain")

Json = dict[str, Any]


@task(name="find sessions", **POLICY)
def find_asked_sessions(
    session_id: str | None, last: int, rule: str | None, project: str | None
) -> list[StoredSession]:
    """The client sessions that are asked about. Raises PermanentError when there are none, and says which there are."""
    store = connections.event_store()
    if session_id:
        found = event_explain.find_stored_session(store, session_id, project or "default")
        if not found:
            raise PermanentError(
                f"no events of this session are stored in the project {project or 'default'!r}: they have not landed, are "
                "of another project, or were kept long enough"
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
def explain_sessions(asked: list[StoredSession]) -> list[Json]:
    """What the engine says of these sessions now, in their order: detections, and why each silent visit is silent.

    One over which the engine fails has the reason in ``error``. ``complete``: `detect` need not wait for more events of it.
    """
    store = connections.event_store()
    config = engine_configs(read_project_thresholds(connections.incident_store()))
    result = ufse.detect_each(event_explain.read_session_events(store, asked), config, why_not=True)
    now_ms = time.time_ns() // 1_000_000
    answers: dict[tuple[str, str], Json] = {
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
    for kind, bodies in (
        ("detections", [detection.to_json() for detection in result.detections]),
        ("whyNot", [reason.to_json() for reason in result.why_not]),
    ):
        for body in bodies:
            answers[str(body["projectId"]), str(body["sessionId"])][kind].append(body)
    for error in result.errors:
        answers[error["projectId"], error["sessionId"]]["error"] = error["error"]
    return list(answers.values())


def publish_explanation(answers: list[Json]) -> None:
    """Leave the answer at the run, for ``furrow explain``."""
    try:
        Artifact(type="json", data={"sessions": answers}, description="The answer, for programs").create()
    except Exception:
        count_degraded("explain", "artifact")  # the artifact for people tells the same, shorter
        _log.exception("the answer of this run could not be written")


def _session_due_ms(session: StoredSession) -> int:
    times = ([session.last_ts], [session.ended_ts], [session.last_received_ms])
    return int(compute_due_ms(*(np.asarray(values, dtype=np.int64) for values in times))[0])
