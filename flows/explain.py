"""Stored sessions → what the engine says of them and why, also why nothing."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.explain import explain_sessions, find, leave
from tasks.report import Report, code, escape


@flow(name="explain")
def explain(
    session_id: str | None = None, last: int = 1, rule: str | None = None, project: str | None = None
) -> State[Any]:
    """Say of stored sessions what was detected and why, or which rule kept them silent. Stores nothing.

    Better through `furrow explain`, which shows the whole answer.

    Args:
        session_id: Id of one client session as it is stored; empty for the last ones.
        last: How many of the last sessions that were analysed, 50 at the most.
        rule: Only sessions that this rule kept silent, like no_behavioural_signal; empty for any.
        project: Only sessions of this project; of a session that is named, default if empty.
    """
    report = Report("explain")
    asked = report.attempt(find, session_id or None, last, rule or None, project or None)
    told = report.attempt(explain_sessions, asked) if asked else None
    if told is not None:
        report.counts["sessions"] = len(told)
        report.counts["detections"] = sum(len(one["detections"]) for one in told)
        report.counts["silent visits"] = sum(len(one["whyNot"]) for one in told)
        for one in told:
            report.items(f"{one['projectId']}: session {one['sessionId']}", _lines(one))
        leave(told)
    return report.finish()


def _lines(one: dict[str, Any]) -> list[str]:
    lines = [f"**{body['frustrationScore']}** {escape(body['explanation'])}" for body in one["detections"]]
    lines += [f"{code(body['rule'])}: {escape(body['text'])}" for body in one["whyNot"]]
    lines += [f"The engine failed: {escape(one['error'])}"] if one["error"] else []
    return lines
