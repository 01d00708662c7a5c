"""Erase a person everywhere: events, detections, queue, dead letters, spool, logs."""

from collections import Counter
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from collector.privacy import HASHED_USER
from core.errors import PermanentError
from stores.incidents.incident_erasure import ErasedIncidentData
from tasks.erase import (
    ErasureSummary,
    erase_detections,
    erase_events,
    erase_files,
    erase_names,
    find_person,
    note_erasure,
    publish_erasure,
    summarize_erasure,
    wait_for_runs,
    wait_until_landed,
)
from tasks.impact import count_impact
from tasks.projects import find_known_projects
from tasks.report import Report, code_span, describe_failure, escape_markdown, markdown_link

COUNT_SECONDS = 60.0
"""Time for the counts of sessions that reached the steps of incidents."""


@flow(name="erase")
@describe_failure
def erase(project: str = "default", session_id: str | None = None, user: str | None = None) -> State[Any]:
    """Erase a session or a user: whole client sessions, everywhere. Safe to repeat. Tickets are listed, not changed.

    `furrow erase` starts this and takes the user's id as the application knows it.

    Args:
        project: Project that the session or user belongs to.
        session_id: Id of the client session; empty to name a user.
        user: The user as uh: and a 32-digit hash, as in dead letters; empty to name a session.
    """
    if bool(session_id) == bool(user):
        raise PermanentError("name one session or one user")
    if user and not HASHED_USER.fullmatch(user):
        raise PermanentError(
            "name a user as uh: and 32 hexadecimal digits; `furrow erase --user` computes that from an id"
        )
    report = Report("erase")
    report.run_step(wait_until_landed)
    person = report.run_step(find_person, project, session_id or None, (user or "").removeprefix("uh:"))
    if person is None:
        report.pending.append("nothing was erased; run it again")
        return report.finish_run()
    report.counts["sessions"] = len(person.sessions)
    removed: list[Counter[str]] = []
    found: list[ErasedIncidentData] = []
    for again in (False, True):
        if again:
            report.run_step(wait_for_runs)
        removed.append(report.run_step(erase_events, person) or Counter())
        found.append(report.run_step(erase_detections, person) or ErasedIncidentData())
    report.run_step(count_impact, COUNT_SECONDS)  # detect goes on with what is left
    removed.append(report.run_step(erase_files, person) or Counter())
    removed.append(report.run_step(erase_names, person) or Counter())
    outcome = summarize_erasure(removed, found)
    _report_erasure(report, outcome)
    whole = not (report.failed or report.stopped)
    report.run_step(note_erasure, project, "a user" if user else "a session", outcome, whole)
    known = report.run_step(find_known_projects, project) or []
    complete = not (report.failed or report.stopped)
    publish_erasure({"sessions": len(person.sessions), **outcome, "projects": known, "complete": complete})
    return report.finish_run()


def _report_erasure(report: Report, outcome: ErasureSummary) -> None:
    for place, count in outcome["removed"].items():
        report.counts[f"{place} removed"] = count
    report.counts["incidents counted again"] = outcome["incidentsCountedAgain"]
    report.counts["incidents with nobody left"] = outcome["incidentsWithNobodyLeft"]
    lines = [
        f"{escape_markdown(ticket['tracker'])} {markdown_link(ticket['key'], ticket['url'] or '')} "
        f"of {code_span(ticket['incidentId'])}"
        for ticket in outcome["tickets"]
    ]
    report.add_lines("Tickets that may name the session; check them by hand", lines)
