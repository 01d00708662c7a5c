"""Deletes old raw events by whole days."""

from collections import Counter
from typing import Any, Final

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.documents import effective_settings
from core.errors import PermanentError
from tasks.report import Report, describe_failure
from tasks.retention import (
    drop_counts,
    drop_dead_letters,
    drop_events,
    find_retention_limit,
    forget_alerts,
    forget_ended_detections,
    forget_near_misses,
    forget_senders,
)

MAX_DAYS: Final = 36_500


@flow(name="retention")
@describe_failure
def retention(days: int | None = None) -> State[Any]:
    """Delete raw events and dead letters after the retention period. Safe to run again at any time.

    Incidents, detections and their timelines stay; their senders are deleted when they no longer count. Events that wait for
    analysis, and all later events, are never deleted.

    Args:
        days: How many whole days are kept, counted from arrival; by default the setting ``FURROW_KEEP_EVENTS_DAYS``. 0: for
            ever.
    """
    if days is not None and not 0 <= days <= MAX_DAYS:
        raise PermanentError(f"days are 0 (kept for ever) to {MAX_DAYS:,}, not {days}")
    report = Report("retention")
    report.counts["detections whose sender is forgotten"] = report.run_step(forget_senders) or 0
    ended = report.run_step(forget_ended_detections) or 0
    report.counts["outcomes of detections in open sessions forgotten"] = ended
    report.counts["near misses forgotten"] = report.run_step(forget_near_misses) or 0
    report.counts["alerts forgotten"] = report.run_step(forget_alerts) or 0
    days = effective_settings().keep_events_days if days is None else days
    if days <= 0:
        report.add_lines("Kept", ["Everything, for ever."])
        return report.finish_run()
    keep = report.run_step(find_retention_limit, days)
    if keep is None:
        return report.finish_run()
    report.add_lines("Kept", [f"What was received since {keep.day} (UTC): the last {days} whole days"])
    if keep.waiting:
        report.pending.append(f"events of {keep.day} still wait for analysis: nothing since then is dropped")
    dropped = report.run_step(drop_events, keep) or []
    report.counts["counts of past days dropped"] = report.run_step(drop_counts, keep) or 0
    rows = Counter[str]()
    for partition in dropped:
        rows[partition.table] += partition.rows
    report.counts["days of events dropped"] = len(
        {partition.day for partition in dropped if partition.table == "events"}
    )
    report.counts["events dropped"] = rows["events"]
    report.counts["rows of analysed sessions dropped"] = rows["sessions"]
    letters = report.run_step(drop_dead_letters, keep) or Counter()
    report.counts["days of dead letters dropped"] = letters["days"]
    report.counts["MB freed"] = (sum(partition.bytes for partition in dropped) + letters["bytes"]) // 1_000_000
    report.add_lines(
        "Dropped",
        [
            f"{partition.day} of `{partition.table}`: {partition.rows:,} rows, {partition.bytes / 1e6:,.1f} MB"
            for partition in dropped
        ],
    )
    return report.finish_run()
