"""Analyses a window of past events again."""

from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow
from prefect.client.schemas.objects import State

from core.plurals import format_count
from tasks.backfill import (
    KINDS,
    Changes,
    QueuedBatch,
    Window,
    change_sections,
    compare_detections,
    enqueue_sessions,
    find_backfill_sessions,
    merge_changes,
    preview_enqueue,
)
from tasks.projects import check_run_project
from tasks.report import Report, describe_failure
from tasks.score import score_sessions
from tasks.upsert import set_aside_poisoned, upsert_detections


@flow(name="backfill")
@describe_failure
def backfill(start: datetime, end: datetime, project: str | None = None, dry_run: bool = True) -> State[Any]:
    """Analyse the sessions of a window again, each as a whole, and replace their detections.

    For changed thresholds or a new engine. Statuses that people set stay: suppressed, resolved and confirmed incidents. Safe to
    run again at any time, also after it was stopped.

    Args:
        start: Begin of the window: sessions with an event at or after it (time of the event; UTC if no zone is given).
        end: End of the window: sessions with an event before it.
        project: Only sessions of this project; empty for all.
        dry_run: Only list what would change, and write nothing.
    """
    report = Report("backfill")
    changes: Changes = {}
    window = Window(start, end, project)
    found = report.run_step(find_backfill_sessions, window) if check_run_project(report, window.project) else None
    if found is not None:
        report.counts["sessions in the window"] = found.complete.num_rows + found.open
        report.counts["sessions that may still go on, left to detect"] = found.open
        for batch in found.split_batches():
            if not _backfill_batch(report, batch, changes, dry_run):
                break
    would = "would be " if dry_run else ""
    for kind in KINDS:
        report.counts[f"detections {would}{kind}"] = sum(change.detections[kind] for change in changes.values())
    report.counts[f"incidents {would}touched"] = len(changes)
    for title, lines in change_sections(
        changes, "Incidents that would change" if dry_run else "Incidents that changed"
    ):
        report.add_lines(title, lines)
    return report.finish_run()


def _backfill_batch(report: Report, batch: pa.Table, changes: Changes, dry_run: bool) -> bool:
    """Analyse one batch; returns whether to continue with the next one."""
    line = report.run_step(preview_enqueue if dry_run else enqueue_sessions, batch)
    if line is None:
        return False
    report.counts["sessions in line already, left to detect"] += line.waiting
    last = int(pc.max(batch["last_received_ms"]).as_py())
    return not line.taken or _analyse_enqueued(report, line, changes, dry_run, last)


def _analyse_enqueued(
    report: Report, line: QueuedBatch, changes: Changes, dry_run: bool, last_received_ms: int
) -> bool:
    # Events that are received later give their session another version, and ``detect`` analyses it.
    scored = report.run_step(score_sessions, line.taken, note=not dry_run, last_received_ms=last_received_ms)
    found = report.run_step(compare_detections, scored.analysed) if scored is not None else None
    if scored is None or found is None:
        return _report_unfinished(report, line, dry_run)
    report.counts["sessions that the engine failed over"] += len(scored.poisoned)
    if not dry_run:
        recorded = report.run_step(upsert_detections, scored.analysed, backfill=True)
        if recorded is None:
            return _report_unfinished(report, line, dry_run)
        report.counts["incidents confirmed"] += len(recorded.confirmed)
        report.counts["sessions with new events meanwhile, left to detect"] += recorded.stale
        if scored.poisoned and report.run_step(set_aside_poisoned, scored.poisoned) is None:
            return False
    report.counts["sessions analysed"] += len(scored.analysed)
    merge_changes(changes, found)
    return True


def _report_unfinished(report: Report, line: QueuedBatch, dry_run: bool) -> bool:
    if not dry_run:
        report.pending.append(
            f"{format_count(len(line.taken), 'session')} in line: detect analyses them within minutes"
        )
    report.pending.append("the rest of the window was not looked at; run this again, nothing is done twice")
    return False
