"""A window of past events → detections and incidents anew."""

from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow
from prefect.client.schemas.objects import State

from tasks.backfill import KINDS, Changes, InLine, Window, compare, look, merge, put_in_line, sections, sessions_of
from tasks.report import Report
from tasks.score import score
from tasks.upsert import set_aside, upsert


@flow(name="backfill")
def backfill(start: datetime, end: datetime, project: str | None = None, dry_run: bool = True) -> State[Any]:
    """Analyse the sessions of a window again, each as a whole, and replace their detections.

    For changed thresholds or a new engine. No status that people set changes: what is suppressed, resolved or confirmed stays
    so. Safe to run again at any time, also after it was stopped.

    Args:
        start: Begin of the window: sessions with an event at or after it (time of the event; UTC if no zone is given).
        end: End of the window: sessions with an event before it.
        project: Only sessions of this project; empty for all.
        dry_run: Only list what would change, and write nothing.
    """
    report = Report("backfill")
    changes: Changes = {}
    found = report.attempt(sessions_of, Window(start, end, project))
    if found is not None:
        report.counts["sessions in the window"] = found.complete.num_rows + found.open
        report.counts["sessions that may still go on, left to detect"] = found.open
        for batch in found.batches():
            if not _batch(report, batch, changes, dry_run):
                break
    would = "would be " if dry_run else ""
    for kind in KINDS:
        report.counts[f"detections {would}{kind}"] = sum(one.detections[kind] for one in changes.values())
    report.counts[f"incidents {would}touched"] = len(changes)
    for title, lines in sections(changes, "Incidents that would change" if dry_run else "Incidents that changed"):
        report.items(title, lines)
    return report.finish()


def _batch(report: Report, batch: pa.Table, changes: Changes, dry_run: bool) -> bool:
    """Analyse one batch; whether to go on with the next one."""
    line = report.attempt(look if dry_run else put_in_line, batch)
    if line is None:
        return False
    report.counts["sessions in line already, left to detect"] += line.waiting
    last = int(pc.max(batch["last_received_ms"]).as_py())
    return not line.taken or _analyse(report, line, changes, dry_run, last)


def _analyse(report: Report, line: InLine, changes: Changes, dry_run: bool, last_received_ms: int) -> bool:
    # What is received later gives its session another version, and ``detect`` takes it.
    scored = report.attempt(score, line.taken, note=not dry_run, last_received_ms=last_received_ms)
    found = report.attempt(compare, scored.analysed) if scored is not None else None
    if scored is None or found is None:
        return _left(report, line, dry_run)
    report.counts["sessions that the engine failed over"] += len(scored.poisoned)
    if not dry_run:
        recorded = report.attempt(upsert, scored.analysed, backfill=True)
        if recorded is None:
            return _left(report, line, dry_run)
        report.counts["incidents confirmed"] += len(recorded.confirmed)
        report.counts["sessions with new events meanwhile, left to detect"] += recorded.stale
        if scored.poisoned and report.attempt(set_aside, scored.poisoned) is None:
            return False
    report.counts["sessions analysed"] += len(scored.analysed)
    merge(changes, found)
    return True


def _left(report: Report, line: InLine, dry_run: bool) -> bool:
    if not dry_run:
        report.pending.append(f"{len(line.taken)} sessions are in line: detect analyses them within minutes")
    report.pending.append("the rest of the window was not looked at; run this again, nothing is done twice")
    return False
