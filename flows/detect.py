"""events → sessions → detections → incidents."""

import time
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from core.errors import NotConfigured, PermanentError
from core.plurals import format_count
from core.settings import Settings
from stores.incidents.incident_store import PendingSession, RecordResult
from tasks import lag
from tasks.enqueue import sessionize
from tasks.exemption_trial import try_exemptions
from tasks.flood import flood_lines, review_floods, warn_of_floods
from tasks.impact import count_impact
from tasks.incidents import describe_incidents
from tasks.open_sessions import look_at_open_sessions
from tasks.progress import Progress
from tasks.report import Report, describe_failure, escape_markdown
from tasks.score import Scored, count_due_sessions, read_due_sessions, score_sessions
from tasks.upsert import log_detections, set_aside_poisoned, upsert_detections

BATCH = 5_000
"""Client sessions analysed at once: with some tens of events each, the 0.2 to 1 M events that suit the engine."""


@flow(name="detect")
@describe_failure
def detect(shard: int = 0, shards: int = 1) -> State[Any]:
    """Find frustrated sessions in what is new, and keep their incidents up to date. Safe to run again at any time.

    Args:
        shard: The part of the client sessions, by their hash, that this run analyses: 0 to ``shards`` - 1. The first one also
            finds out which sessions are new, for all of them.
        shards: How many parts there are. Runs of different parts share the work at the same time.
    """
    if not 0 <= shard < shards:
        raise PermanentError(f"there is no shard {shard} of {shards}: they are counted from 0")
    report = Report("detect")
    began, seconds = time.monotonic(), Settings().detect_seconds
    if shard == 0:
        _enqueue_new_sessions(report, began + seconds / 2)
    if Settings().open_sessions:
        _look_at_open_sessions(report, shard, shards, began + seconds * 3 / 4)
    _analyse_due_sessions(report, shard, shards, began + seconds)
    if shard == 0:
        _report_floods(report)
        if not (report.failed or report.stopped):
            lag.record_detect_completion()
        _count_impact(report, began + seconds)
        _try_exemptions(report)
    return report.finish_run()


def _count_impact(report: Report, until: float) -> None:
    """Count what the recorded sessions reached. It is last: nothing waits for it, and the next run repeats what fails."""
    counted = report.run_step(count_impact, until - time.monotonic(), Settings().impact_seconds)
    if counted is None:
        return
    report.counts["incidents whose impact is counted anew"] += counted.incidents
    report.counts["fixes confirmed by counts"] += len(counted.confirmed)
    if counted.left and not counted.busy:
        report.pending.append(f"reached steps not counted yet: {format_count(counted.left, 'session')}")


def _try_exemptions(report: Report) -> None:
    """Replay one exception that a person asked for. It is last, and has its own limit of time: it is asked for rarely."""
    found = report.run_step(try_exemptions)
    if found:
        report.add_lines("Exception replayed", [escape_markdown(found)])


def _report_floods(report: Report) -> None:
    found = report.run_step(review_floods)
    if found:
        report.add_lines("Flood of new incidents", flood_lines(found))
        report.counts["incidents held back from export"] = sum(flood.held for flood in found)
        warn_of_floods(found)


def _enqueue_new_sessions(report: Report, until: float) -> None:
    """Queue the sessions of what landed, slice by slice, the oldest first; each slice is committed with the watermark.

    All slices before the first analysis, since sessions that reach into the next one would be analysed twice; but only
    ``until`` then, so that a backlog of days does not keep its oldest sessions waiting.
    """
    progress = Progress("detect-landed")
    while found := report.run_step(sessionize):
        report.counts["new events"] += found.events
        report.counts["sessions with new events"] += found.sessions
        if found.log_only and not report.logged_only:
            report.record_not_configured(
                "upsert", NotConfigured("the incident store is log-only: detections are logged, not stored")
            )
        if found.later or progress.slices:
            sessions, later = format_count(found.sessions, "session"), format_count(found.later, "event")
            message = f"{format_count(found.events, 'event')} of {sessions} in line, {later} to go"
            progress.report_slice(found.events, found.later, message)
        if not found.later:
            return
        if time.monotonic() > until:
            report.pending.append(
                f"landed and not in line: {format_count(found.later, 'event')}; the next run goes on with them"
            )
            return


def _look_at_open_sessions(report: Report, shard: int, shards: int, until: float) -> None:
    """Look at the sessions that go on, batch by batch. What is not looked at ``until`` then waits for the next run."""
    while found := report.run_step(look_at_open_sessions, BATCH, until - time.monotonic(), shard, shards):
        recorded = found.recorded
        report.counts["sessions judged while open"] += found.judged
        report.counts["sessions that the engine failed over while open"] += found.failed
        report.counts["detections in open sessions"] += recorded.found
        report.counts["detections in open sessions retracted"] += recorded.retracted
        report.counts["incidents drafted from open sessions"] += len(recorded.drafted)
        report.counts["alerts of open sessions"] += found.alerts
        if recorded.incidents and (lines := report.run_step(describe_incidents, recorded.incidents)):
            report.add_lines("Incidents of open sessions", lines)
        if found.left:
            report.pending.append(f"not looked at yet: {format_count(found.left, 'open session')}")
        if found.asked < BATCH or found.left or recorded.stale or time.monotonic() > until:
            return


def _analyse_due_sessions(report: Report, shard: int, shards: int, until: float) -> None:
    """Analyse the sessions that are due, batch by batch, those that wait longest first; each batch is committed."""
    progress = Progress("detect-analysed")
    while due := report.run_step(read_due_sessions, BATCH, shard, shards):
        if not _analyse_batch(report, due):
            return
        left = report.run_step(count_due_sessions) if len(due) == BATCH or progress.slices else 0
        if left is None:
            return
        if left or progress.slices:
            oldest = datetime.fromtimestamp(due[-1].due_ms / 1000, UTC)
            message = (
                f"{format_count(len(due), 'session')} analysed, due until {oldest:%Y-%m-%d %H:%M:%S} UTC; "
                f"due in all: {left:,}"
            )
            progress.report_slice(len(due), left, message)
        if len(due) < BATCH:
            return
        if time.monotonic() > until:
            report.pending.append(f"due in all: {format_count(left, 'session')}; the next run goes on with them")
            return


def _analyse_batch(report: Report, due: list[PendingSession]) -> bool:
    """Analyse one batch; whether another one may follow."""
    scored = report.run_step(score_sessions, due)
    if scored is None:
        report.pending.append(f"waiting for analysis: {format_count(len(due), 'session')}")
        return False
    _report_scored(report, scored)
    recorded = report.run_step(upsert_detections, scored.analysed)
    if recorded is None:
        log_detections(scored.analysed)
        waiting = f"{format_count(len(due), 'session')}, {format_count(scored.detections, 'detection')}"
        report.pending.append(f"waiting for the incident store: {waiting}")
        return False
    _report_recorded(report, recorded)
    if lines := report.run_step(describe_incidents, recorded.incidents):
        report.add_lines("Incidents", lines)
    return not scored.poisoned or report.run_step(set_aside_poisoned, scored.poisoned) is not None


def _report_scored(report: Report, scored: Scored) -> None:
    report.counts["sessions analysed"] += scored.visits
    report.counts["detections"] += scored.detections
    if scored.late_events:
        report.counts["events that came too late to be analysed"] += scored.late_events
    report.add_counts("Why not", scored.silent)
    if scored.poisoned:
        report.counts["sessions that the engine failed over"] += len(scored.poisoned)


def _report_recorded(report: Report, recorded: RecordResult) -> None:
    report.counts["detections stored"] += recorded.stored
    report.counts["detections retracted"] += recorded.retracted
    report.counts["detections in open sessions completed"] += recorded.completed
    report.counts["detections in open sessions retracted"] += recorded.open_retracted
    if recorded.contested:
        report.counts["detections that later events from another source do not change"] += recorded.contested
    report.counts["incidents touched"] += len(recorded.incidents)
    report.counts["incidents confirmed"] += len(recorded.confirmed)
    report.counts["incidents regressed"] += len(recorded.regressed)
    if recorded.stale:
        report.pending.append(
            f"analysed again, as new events came meanwhile: {format_count(recorded.stale, 'session')}"
        )
