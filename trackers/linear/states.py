"""Reads the states of many issues of Linear with one request: those that changed, by the ids that Furrow made."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from incidents.ticket_reading import Category, TicketReading
from trackers.http_errors import to_safe_line
from trackers.linear import queries
from trackers.linear.answers import StatedIssue, StatedIssuesAnswer, parse_linear_time
from trackers.linear.client import LinearClient
from trackers.people import to_person_name
from trackers.protocol import TicketReference

_EVER: Final = "1970-01-01T00:00:00.000Z"
_VALUE: Final = 120
_JOINED: Final = timedelta(minutes=15)
_CATEGORIES: Final[dict[str, Category]] = {
    "triage": "open",
    "backlog": "open",
    "unstarted": "open",
    "started": "open",
    "completed": "done",
    "canceled": "canceled",
    "duplicate": "duplicate",
}


def read_issue_states(
    client: LinearClient, references: Sequence[TicketReference], within_s: float | None
) -> list[TicketReading]:
    """See `trackers.protocol.ReadsStates`. An issue in the trash is left out."""
    wanted = {str(reference.client_id): reference for reference in references}
    since = _EVER if within_s is None else f"-PT{math.ceil(within_s / 60)}M"
    answer = client.query(StatedIssuesAnswer, queries.STATES_OF, ids=list(wanted), since=since)
    # What was not asked for is another request's answer, and is not read.
    return [
        _build_reading(wanted[issue.id.lower()], issue)
        for issue in answer.issues.nodes
        if issue.id.lower() in wanted and not issue.trashed
    ]


def _build_reading(reference: TicketReference, issue: StatedIssue) -> TicketReading:
    category = _CATEGORIES.get(issue.state.type, "unknown")
    since = None if category == "open" else parse_linear_time(issue.completed_at or issue.canceled_at)
    originals = [end.related_issue.identifier for end in issue.relations.nodes if end.type == "duplicate"]
    return TicketReading(
        incident_id=reference.incident_id,
        key=_line(issue.identifier),
        category=category,
        status=_line(issue.state.name),
        assignee=_line(issue.assignee.display_name if issue.assignee else ""),
        comments=len(issue.comments.nodes),
        duplicate_of=_line(originals[0]) if originals else "",
        since=since,
        moved_by=to_person_name(_find_closer(issue, since)),
    )


def _find_closer(issue: StatedIssue, since: datetime | None) -> str:
    """Who closed it at ``since``. Linear joins what a person does within some minutes to one line."""
    for change in issue.history.nodes if since else ():
        at = parse_linear_time(change.created_at)
        if not (since and at and since.tzinfo and at.tzinfo) or abs(at - since) > _JOINED:
            continue
        if change.to_state and change.to_state.name == issue.state.name:
            bot = change.bot_actor.name if change.bot_actor else ""
            return change.actor.display_name if change.actor else bot or ""
    return ""


def _line(text: str) -> str:
    return to_safe_line(text, limit=_VALUE)
