"""Old raw events out, by whole days."""

from collections import Counter
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.documents import effective_settings
from core.errors import PermanentError
from tasks.report import Report
from tasks.retention import drop_dead_letters, drop_events, forget_senders, what_to_keep


@flow(name="retention")
def retention(days: int | None = None) -> State[Any]:
    """Drop raw events and dead letters that were received longer ago than they are kept. Safe to run again at any time.

    Incidents, detections and their timelines stay; who sent them is forgotten when it counts no more. What waits for analysis
    is never dropped, nor anything received later.

    Args:
        days: How many whole days are kept, counted from arrival; by default the setting ``FURROW_KEEP_EVENTS_DAYS``. 0: for
            ever.
    """
    if days is not None and days < 0:
        raise PermanentError(f"days are 0 (kept for ever) or more, not {days}")
    report = Report("retention")
    report.counts["detections whose sender is forgotten"] = report.attempt(forget_senders) or 0
    days = effective_settings().keep_events_days if days is None else days
    if days <= 0:
        report.items("Kept", ["Everything, for ever."])
        return report.finish()
    keep = report.attempt(what_to_keep, days)
    if keep is None:
        return report.finish()
    report.items("Kept", [f"What was received since {keep.day} (UTC): the last {days} whole days"])
    if keep.waiting:
        report.pending.append(f"events of {keep.day} still wait for analysis: nothing since then is dropped")
    dropped = report.attempt(drop_events, keep) or []
    rows = Counter[str]()
    for one in dropped:
        rows[one.table] += one.rows
    report.counts["days of events dropped"] = len({one.day for one in dropped if one.table == "events"})
    report.counts["events dropped"] = rows["events"]
    report.counts["rows of analysed sessions dropped"] = rows["sessions"]
    letters = report.attempt(drop_dead_letters, keep) or Counter()
    report.counts["days of dead letters dropped"] = letters["days"]
    report.counts["MB freed"] = (sum(one.bytes for one in dropped) + letters["bytes"]) // 1_000_000
    report.items(
        "Dropped", [f"{one.day} of `{one.table}`: {one.rows:,} rows, {one.bytes / 1e6:,.1f} MB" for one in dropped]
    )
    return report.finish()
