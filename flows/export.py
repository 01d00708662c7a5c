"""incidents → tickets."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from furrow.errors import NotConfigured
from tasks.export import log_tickets
from tasks.report import Report


@flow(name="export")
def export() -> State[Any]:
    """File confirmed incidents as tickets; what is not configured is logged and waits. Safe to run again at any time."""
    report = Report("export")
    if logged := report.attempt(log_tickets):
        report.counts["tickets logged now"] = len(logged.lines)
        report.counts["tickets waiting for a tracker"] = logged.waiting
        report.items("Tickets logged as they would be filed", logged.lines)
        report.fall_back("export", NotConfigured(f"no tracker is configured; {logged.waiting} tickets wait for one"))
    return report.finish()
