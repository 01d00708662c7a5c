"""File refused tickets again; started by hand after the cause is fixed."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from core.errors import NotConfigured
from core.tracker_kinds import TrackerName
from flows.export import record_template_problems, report_outcomes
from tasks.export import (
    Candidate,
    Outcome,
    claim_incident,
    connect_tracker,
    export_incident,
    find_failed_exports,
    show_failed_export,
)
from tasks.report import Report, describe_failure
from trackers.ticket_making import collect_problems


@flow(name="rerun-failed-exports")
@describe_failure
def rerun_failed_exports(
    incident_ids: list[str] | None = None,
    tracker: TrackerName | None = None,
    dry_run: bool = False,
) -> State[Any]:
    """File tickets again that a tracker refused. Safe to repeat: one incident has one ticket.

    Args:
        incident_ids: Incidents (`inc_…`) whose refused tickets are filed again; empty: all of them.
        tracker: Only the tickets of this tracker; empty: of every tracker.
        dry_run: Only show what would be filed, and log it in full; no tracker is called.
    """
    report = Report("rerun-failed-exports")
    candidates = report.run_step(find_failed_exports, incident_ids or None, tracker) or []
    outcomes = [_make_skipped_outcome(candidate, candidate.why_not) for candidate in candidates if candidate.why_not]
    ready = [candidate for candidate in candidates if not candidate.why_not]
    if dry_run:
        outcomes += [shown for candidate in ready if (shown := report.run_step(show_failed_export, candidate))]
    else:
        for name in sorted({candidate.tracker for candidate in ready}):
            with collect_problems() as problems:
                outcomes += _rerun_at_tracker(report, name, [ticket for ticket in ready if ticket.tracker == name])
            record_template_problems(report, name, problems)
    report_outcomes(report, outcomes)
    return report.finish_run()


def _rerun_at_tracker(report: Report, name: str, candidates: Sequence[Candidate]) -> Iterator[Outcome]:
    """File these again in one tracker; tickets that are not reached stay as they were."""
    problems = len(report.pending)
    tracker = report.run_step(connect_tracker, name)
    if tracker is None:
        if len(report.pending) == problems:
            report.record_not_configured(
                name, NotConfigured(f"it is not configured; tickets that wait for it: {len(candidates)}")
            )
        yield from (
            _make_skipped_outcome(candidate, f"{name} cannot be used; failed before: {candidate.words}")
            for candidate in candidates
        )
        return
    with closing(tracker):
        away = False
        for candidate in candidates:
            leased = None if away else report.run_step(claim_incident, name, candidate.incident_id)
            away = away or len(report.pending) > problems
            if leased is None:
                yield _make_skipped_outcome(
                    candidate, f"not reached; failed before: {candidate.words}" if away else _TAKEN
                )
                continue
            outcome = export_incident(tracker, leased)
            away = outcome.is_tracker_away
            yield outcome


def _make_skipped_outcome(candidate: Candidate, why: str) -> Outcome:
    return Outcome(candidate.incident_id, candidate.title, candidate.tracker, "skipped", why)


_TAKEN = "somebody else exports it at this moment, or it is no longer due for export"
