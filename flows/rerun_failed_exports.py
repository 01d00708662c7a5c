"""Tickets that a tracker refused for good, once more: started by hand when the cause is mended."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from core.errors import NotConfigured
from flows.export import tell
from tasks.export import (
    Candidate,
    Outcome,
    claim_incident,
    connect_tracker,
    export_one,
    failed_exports,
    show_failed,
)
from tasks.report import Report


@flow(name="rerun-failed-exports")
def rerun_failed_exports(
    incident_ids: list[str] | None = None,
    tracker: Literal["jira", "linear"] | None = None,
    dry_run: bool = False,
) -> State[Any]:
    """File the tickets again that a tracker refused. Safe to run again: one incident has one ticket.

    Args:
        incident_ids: Incidents (`inc_…`) whose refused tickets are filed again; empty: all of them.
        tracker: Only the tickets of this tracker; empty: of every tracker.
        dry_run: Only show what would be filed, and log it in full; no tracker is called.
    """
    report = Report("rerun-failed-exports")
    candidates = report.attempt(failed_exports, incident_ids or None, tracker) or []
    outcomes = [_skipped(one, one.why_not) for one in candidates if one.why_not]
    ready = [one for one in candidates if not one.why_not]
    if dry_run:
        outcomes += [shown for one in ready if (shown := report.attempt(show_failed, one))]
    else:
        for name in sorted({one.tracker for one in ready}):
            outcomes += _rerun_at(report, name, [one for one in ready if one.tracker == name])
    tell(report, outcomes)
    return report.finish()


def _rerun_at(report: Report, name: str, candidates: Sequence[Candidate]) -> Iterator[Outcome]:
    """File these again at one tracker; what is not reached stays as it was."""
    problems = len(report.pending)
    tracker = report.attempt(connect_tracker, name)
    if tracker is None:
        if len(report.pending) == problems:
            report.fall_back(name, NotConfigured(f"it is not configured; tickets that wait for it: {len(candidates)}"))
        yield from (_skipped(one, f"{name} cannot be used; failed before: {one.words}") for one in candidates)
        return
    with closing(tracker):
        away = False
        for one in candidates:
            leased = None if away else report.attempt(claim_incident, name, one.incident_id)
            away = away or len(report.pending) > problems
            if leased is None:
                yield _skipped(one, f"not reached; failed before: {one.words}" if away else _TAKEN)
                continue
            outcome = export_one(tracker, leased)
            away = outcome.tracker_is_away
            yield outcome


def _skipped(one: Candidate, why: str) -> Outcome:
    return Outcome(one.incident_id, one.title, one.tracker, "skipped", why)


_TAKEN = "somebody else exports it at this moment, or it is no longer due for export"
