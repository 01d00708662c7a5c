"""How often the engine is right about sessions with a verdict: they are analysed again from stored events. Stores nothing."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypedDict

import pyarrow as pa
from prefect import task
from prefect.artifacts import Artifact

import ufse
from core.errors import NotConfigured
from core.metrics import count_degraded
from incidents.impact import compute_wilson_interval
from incidents.verdicts import Verdict, settle_sessions
from stores.events.event_explain import find_stored_sessions, read_session_events
from stores.events.event_history import read_project_history
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.retrying import POLICY
from tasks.stopping import raise_if_stopped
from tasks.thresholds import engine_configs, read_project_thresholds
from ufse.detection import Detection

BATCH: Final = 500
"""Sessions that are read and analysed at once."""
_log = logging.getLogger("furrow.verdicts")


class Precision(TypedDict):
    """Detections on sessions with a verdict: with frustration, of all; and the 95 % interval (Wilson) of the proportion."""

    name: str
    frustrated: int
    detected: int
    precision: float | None
    """None without a detection."""
    low: float
    high: float


class VerdictEvaluation(TypedDict):
    """The engine and the exceptions of now, measured on people's verdicts. A session of an incident counts once."""

    judged: int
    """Sessions with a verdict on which all people agree, and whose events are stored."""
    disputed: int
    withoutEvents: int
    failed: int
    """Sessions over which the engine failed; they are in no other count."""
    overall: Precision
    silenced: int
    """Sessions without frustration that have no detection at the incident's failure point any more."""
    missed: int
    """Sessions with frustration that have none any more."""
    byProject: list[Precision]
    bySignal: list[Precision]
    byRule: list[Precision]


@dataclass
class Judged:
    """Verdicts beside what the engine finds now: the detection at the incident's failure point, or None."""

    pairs: list[tuple[Verdict, Detection | None]] = field(default_factory=list)
    without_events: int = 0
    failed: int = 0


@task(name="evaluate verdicts", **POLICY)
def evaluate_verdicts(project: str | None) -> VerdictEvaluation:
    """Analyse the sessions with a verdict again and compare. Raises NotConfigured when a store is log-only."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        raise NotConfigured("the incident store is log-only: no verdicts are kept")
    settled, disputed = settle_sessions(store.verdicts.list_verdicts(project))
    config = engine_configs(read_project_thresholds(store))
    judged = Judged()
    for start in range(0, len(settled), BATCH):
        raise_if_stopped()
        _judge_batch(settled[start : start + BATCH], config, judged)
    return build_evaluation(judged, disputed)


def _judge_batch(verdicts: Sequence[Verdict], config: dict[str, ufse.Config], judged: Judged) -> None:
    events = connections.event_store()
    stored = find_stored_sessions(events, [(verdict.project, verdict.session_id) for verdict in verdicts])
    known = {(session.project, session.session_id) for session in stored}
    judged.without_events += sum((verdict.project, verdict.session_id) not in known for verdict in verdicts)
    if not stored:
        return
    history = read_project_history(events, sorted({session.project for session in stored}), time.time_ns() // 1_000_000)
    table: pa.Table = read_session_events(events, stored)
    result = ufse.detect_each(table, config, history=history)
    failed = {(error["projectId"], error["sessionId"]) for error in result.errors}
    found: dict[tuple[str, str, str], Detection] = {}
    for body in (detection.to_json() for detection in result.detections):
        found.setdefault((body["projectId"], body["sessionId"], body["fingerprint"]), body)
    for verdict in verdicts:
        key = (verdict.project, verdict.session_id)
        if key in failed:
            judged.failed += 1
        elif key in known:
            judged.pairs.append((verdict, found.get((*key, verdict.incident_id.removeprefix("inc_")))))


def build_evaluation(judged: Judged, disputed: int) -> VerdictEvaluation:
    """The figures of all pairs."""
    detected = [(verdict, body) for verdict, body in judged.pairs if body is not None]
    silent = [verdict for verdict, body in judged.pairs if body is None]
    return {
        "judged": len(judged.pairs),
        "disputed": disputed,
        "withoutEvents": judged.without_events,
        "failed": judged.failed,
        "overall": _measure("all", [verdict.frustrated for verdict, _ in detected]),
        "silenced": sum(not verdict.frustrated for verdict in silent),
        "missed": sum(verdict.frustrated for verdict in silent),
        "byProject": _measure_groups((verdict.project, verdict.frustrated) for verdict, _ in detected),
        "bySignal": _measure_groups(
            (name, verdict.frustrated)
            for verdict, body in detected
            for name in {signal["type"] for signal in body["triggeringSignals"]}
        ),
        "byRule": _measure_groups(
            (name, verdict.frustrated)
            for verdict, body in detected
            for name in {entry["rule"] for entry in body["points"] if entry["points"] > 0}
        ),
    }


def publish_evaluation(evaluation: VerdictEvaluation) -> None:
    """Attach the result to the run, for ``furrow evaluate --verdicts --json``."""
    try:
        Artifact(type="json", data=dict(evaluation), description="The result, for programs").create()
    except Exception:
        count_degraded("verdicts", "artifact")  # the artifact for people holds the same
        _log.exception("the result of this run could not be written")


def _measure_groups(entries: Iterable[tuple[str, bool]]) -> list[Precision]:
    """By name, those with the most detections first."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for name, frustrated in entries:
        groups[name].append(frustrated)
    return [_measure(name, groups[name]) for name in sorted(groups, key=lambda name: (-len(groups[name]), name))]


def _measure(name: str, frustrated: Sequence[bool]) -> Precision:
    right, detected = sum(frustrated), len(frustrated)
    low, high = compute_wilson_interval(right, detected)
    return {
        "name": name,
        "frustrated": right,
        "detected": detected,
        "precision": right / detected if detected else None,
        "low": low,
        "high": high,
    }
