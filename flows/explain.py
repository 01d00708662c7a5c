"""Explain stored sessions: detections with their reasons, and why other visits have none."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.explain import ExplainedSession, explain_sessions, find_asked_sessions, publish_explanation
from tasks.projects import check_run_project
from tasks.report import Report, code_span, describe_failure, escape_markdown


@flow(name="explain")
@describe_failure
def explain(
    session_id: str | None = None, last: int = 1, rule: str | None = None, project: str | None = None
) -> State[Any]:
    """Show what is detected in stored sessions and why, or which rule stopped a detection. Stores nothing.

    `furrow explain` starts this and shows the whole answer.

    Args:
        session_id: Id of one client session as it is stored; empty for the last sessions.
        last: How many of the last analysed sessions, at most 50.
        rule: Only sessions in which this rule stopped a detection, like no_behavioural_signal; empty for any.
        project: Only sessions of this project; empty for all. With a session id, empty means the project default.
    """
    report = Report("explain")
    known = check_run_project(report, project)
    selection = (
        report.run_step(find_asked_sessions, session_id or None, last, rule or None, project or None) if known else None
    )
    explained = report.run_step(explain_sessions, selection) if selection else None
    if explained is not None:
        report.counts["sessions"] = len(explained)
        report.counts["detections"] = sum(len(session["detections"]) for session in explained)
        report.counts["silent visits"] = sum(len(session["whyNot"]) for session in explained)
        for session in explained:
            report.add_lines(f"{session['projectId']}: session {session['sessionId']}", _format_explanation(session))
        publish_explanation(explained)
    return report.finish_run()


def _format_explanation(session: ExplainedSession) -> list[str]:
    lines = [f"**{body['frustrationScore']}** {escape_markdown(body['explanation'])}" for body in session["detections"]]
    lines += [f"{code_span(body['rule'])}: {escape_markdown(body['text'])}" for body in session["whyNot"]]
    lines += [f"The engine failed: {escape_markdown(session['error'])}"] if session["error"] else []
    return lines
