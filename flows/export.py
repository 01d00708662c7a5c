"""File incidents as tickets."""

from contextlib import closing
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.documents import effective_settings
from core.errors import NotConfigured, PermanentError, TransientError
from core.last_errors import format_duration
from core.tracker_kinds import TRACKER_NAMES
from tasks.export import (
    Outcome,
    claim_incident,
    connect_tracker,
    export_incident,
    log_tickets,
    preview_tickets,
)
from tasks.read_back import describe_read_back_errors, read_back_counts, read_tickets_back
from tasks.report import Report, describe_failure, escape_markdown
from tasks.ticket_file_checks import find_file_problem
from tasks.tracker_checks import answer_tracker_checks
from tasks.tracker_gate import find_pause, find_refusal
from tasks.upkeep import describe_upkeep_errors, keep_tickets_up, upkeep_counts
from tasks.waiting import describe_waiting_tickets, hasten_tickets
from trackers.gate import AccessRefused
from trackers.protocol import Tracker
from trackers.ticket_making import collect_problems


@flow(name="export")
@describe_failure
def export(dry_run: bool = False, hasten: bool = False) -> State[Any]:
    """File confirmed incidents as tickets. Without a tracker, tickets are logged and wait. Safe to repeat at any time.

    Args:
        dry_run: Only show which tickets would be filed, or logged when no tracker is configured.
        hasten: Retry postponed tickets now, before their time.
    """
    report = Report("export")
    if hasten and not dry_run:
        report.counts["postponed tickets that are retried now"] = report.run_step(hasten_tickets) or 0
    trackers = [tracker for name in TRACKER_NAMES if (tracker := report.run_step(connect_tracker, name)) is not None]
    for tracker in trackers:
        with closing(tracker), collect_problems() as problems:
            if not dry_run:
                _export_to_tracker(report, tracker)
        record_template_problems(report, tracker.name, problems)
    if dry_run:
        _preview_export(report, [tracker.name for tracker in trackers])
    elif not (trackers or report.failed or report.stopped):
        _log_waiting_tickets(report)
    waits = report.run_step(describe_waiting_tickets)
    report.add_lines("Waiting tickets, until when, and how to file them earlier", waits or [])
    # Not when the store is away: a run reports that once.
    if waits is not None and not dry_run and (checked := report.run_step(answer_tracker_checks)):
        report.counts["trackers checked for the page of settings"] = checked
    return report.finish_run()


def _export_to_tracker(report: Report, tracker: Tracker) -> None:
    """File the tickets that wait for this tracker, up to the run's limit; stop when the tracker is unavailable."""
    if pause := report.run_step(find_pause, tracker.name):
        why = f"it asks to wait {format_duration(pause.seconds)}: {pause.reason}"
        report.record_failure(f"export to {tracker.name}", TransientError(why, retry_after=pause.seconds))
        return
    if problem := report.run_step(find_file_problem, tracker):
        report.record_failure(f"fields of tickets at {tracker.name}", problem)
    outcomes = []
    for _ in range(effective_settings().export_limit):
        leased = report.run_step(claim_incident, tracker.name)
        if leased is None:
            break
        outcomes.append(export_incident(tracker, leased))
        if outcomes[-1].is_tracker_away:
            report.pending.append(f"{tracker.name}: the other waiting tickets are left to the next run")
            break
    report_outcomes(report, outcomes)
    if any(outcome.is_tracker_away for outcome in outcomes) or report.stopped:
        return
    if not any(isinstance(outcome.error, AccessRefused) for outcome in outcomes) and (
        refusal := report.run_step(find_refusal, tracker.name)
    ):
        report.record_failure(f"export to {tracker.name}", refusal)
        return
    if done := report.run_step(keep_tickets_up, tracker):
        report.counts.update(upkeep_counts(done))
        report.add_lines(
            f"Upkeep at {tracker.name} that is left to a later run",
            [escape_markdown(line) for line in describe_upkeep_errors(done)],
        )
    if read := report.run_step(read_tickets_back, tracker):
        report.counts.update(read_back_counts(read))
        report.add_lines(
            f"States of tickets at {tracker.name} that Furrow does not know",
            [escape_markdown(line) for line in read.unknown],
        )
        report.add_lines(
            f"States of tickets at {tracker.name} that a later run reads",
            [escape_markdown(line) for line in describe_read_back_errors(read)],
        )


def report_outcomes(report: Report, outcomes: list[Outcome]) -> None:
    """Add these outcomes to the report: one line for each ticket, each different failure once."""
    for outcome in outcomes:
        report.counts[f"tickets {outcome.result}"] += 1
    for start in range(0, len(outcomes), _PAGE):
        title = "Tickets" if start == 0 else f"Tickets from the {start + 1}th"
        report.add_lines(title, [outcome.markdown_line() for outcome in outcomes[start : start + _PAGE]])
    failures: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.error is not None:
            failures.setdefault((outcome.tracker, outcome.words), []).append(outcome)
    for (tracker, _), same in failures.items():
        assert same[0].error is not None
        report.record_failure(f"export to {tracker}", same[0].error)
        if len(same) > 1:
            report.pending[-1] += f" ({len(same)} tickets)"


def record_template_problems(report: Report, tracker: str, problems: list[str]) -> None:
    """The tickets were filed with the built-in text; the run says what is wrong with the templates, each thing once."""
    for problem in dict.fromkeys(problems):
        report.record_failure(f"tickets at {tracker}", PermanentError(f"{problem} ({problems.count(problem)} times)"))


def _preview_export(report: Report, trackers: list[str]) -> None:
    with collect_problems() as problems:
        found = report.run_step(preview_tickets, trackers) or []
    record_template_problems(report, " and ".join(trackers), problems)
    for shown in found:
        report.counts[f"tickets that would go to {shown.tracker}"] += 1
        report.add_lines(f"Would go to {shown.tracker}", [shown.line])
        report.add_texts(f"As they would be filed in {shown.tracker}", [shown.text] if shown.text else [])


def _log_waiting_tickets(report: Report) -> None:
    if logged := report.run_step(log_tickets):
        report.counts["tickets logged now"] = len(logged.lines)
        report.counts["tickets waiting for a tracker"] = logged.waiting
        report.add_lines("Tickets logged as they would be filed", logged.lines)
        report.record_not_configured(
            "export", NotConfigured(f"no tracker is configured; tickets that wait for one: {logged.waiting}")
        )


# A list of the artifact shows so many lines.
_PAGE = 20
