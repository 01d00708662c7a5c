"""events → sessions → detections → incidents."""

import time
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from furrow.errors import NotConfigured
from furrow.settings import Settings
from stores.incident_store import Recorded
from tasks.incidents import describe
from tasks.report import Report
from tasks.score import Scored, due_sessions, score
from tasks.sessionize import sessionize
from tasks.upsert import log_detections, set_aside, upsert

BATCH = 5_000
"""Client sessions analysed at once: with some tens of events each, the 0.2 to 1 M events that suit the engine."""


@flow(name="detect")
def detect() -> State[Any]:
    """Find frustrated sessions in what is new, and keep their incidents up to date. Safe to run again at any time."""
    report = Report("detect")
    if found := report.attempt(sessionize):
        report.counts["new events"] = found.events
        report.counts["sessions with new events"] = found.sessions
        if found.log_only:
            report.fall_back(
                "upsert", NotConfigured("the incident store is log-only: detections are logged, not stored")
            )
    until = time.monotonic() + Settings().detect_seconds
    while _batch(report):
        if time.monotonic() > until:
            report.pending.append("more sessions are due; the next run takes them")
            break
    return report.finish()


def _batch(report: Report) -> bool:
    """Analyse one batch; whether another one may follow."""
    due = report.attempt(due_sessions, BATCH)
    if not due:
        return False
    scored = report.attempt(score, due)
    if scored is None:
        report.pending.append(f"{len(due)} sessions wait for analysis")
        return False
    _tell_scored(report, scored)
    recorded = report.attempt(upsert, scored.analysed)
    if recorded is None:
        log_detections(scored.analysed)
        report.pending.append(f"{len(due)} sessions, {scored.detections} detections wait for the incident store")
        return False
    _tell_recorded(report, recorded)
    if lines := report.attempt(describe, recorded.incidents):
        report.items("Incidents", lines)
    if scored.poisoned and report.attempt(set_aside, scored.poisoned) is None:
        return False
    return len(due) == BATCH


def _tell_scored(report: Report, scored: Scored) -> None:
    report.counts["sessions analysed"] += scored.visits
    report.counts["detections"] += scored.detections
    report.table("Why not", scored.silent)
    if scored.poisoned:
        report.counts["sessions that the engine failed over"] += len(scored.poisoned)


def _tell_recorded(report: Report, recorded: Recorded) -> None:
    report.counts["detections stored"] += recorded.stored
    report.counts["detections retracted"] += recorded.retracted
    report.counts["incidents touched"] += len(recorded.incidents)
    report.counts["incidents confirmed"] += len(recorded.confirmed)
    report.counts["incidents regressed"] += len(recorded.regressed)
    if recorded.stale:
        report.pending.append(f"{recorded.stale} sessions got new events meanwhile and are analysed again")
