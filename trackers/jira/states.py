"""Reads the states of many issues of Jira with few requests: those that changed, found by their labels.

A search by keys fails as a whole if one of them does not exist any more, so issues are searched for by the label that each
ticket has. ``updated`` is compared with a relative time: absolute ones are in the time zone of the account.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from core.errors import TransientError
from incidents.ticket_reading import Category, TicketReading
from trackers.http_errors import to_safe_line
from trackers.jira.answers import IssueState, StatedIssue, StatedIssuePage, parse_jira_time, status_category
from trackers.jira.client import JiraClient
from trackers.jira.issues import name_label
from trackers.jira.movers import find_movers
from trackers.protocol import TicketReference

_FIELDS: Final = (
    "labels", "status", "resolution", "resolutiondate", "statuscategorychangedate", "assignee", "fixVersions", "issuelinks",
    "comment",
)  # fmt: skip
_PAGE: Final = 100
_MOST_PAGES: Final = 5
_VALUE: Final = 120
_MOST_VERSIONS: Final = 10
_CATEGORIES: Final[dict[str, Category]] = {"new": "open", "indeterminate": "open", "done": "done"}


def read_issue_states(
    client: JiraClient,
    cloud: bool,
    references: Sequence[TicketReference],
    within_s: float | None,
    is_moved: Callable[[str, TicketReference], bool],
) -> list[TicketReading]:
    """See `trackers.protocol.ReadsStates`. ``is_moved``: whether an issue with the label and another key is the ticket's."""
    labels = ", ".join(f'"{name_label(reference.identity)}"' for reference in references)
    changed = "" if within_s is None else f' AND updated >= "-{math.ceil(within_s / 60)}m"'
    jql = f"labels in ({labels}){changed} ORDER BY updated ASC"
    found: dict[str, list[StatedIssue]] = {}
    for issue in _search(client, cloud, jql):
        for label in (issue.fields.labels if issue.fields else None) or ():
            found.setdefault(label, []).append(issue)
    readings: list[TicketReading] = []
    moved: dict[str, tuple[int, StatedIssue]] = {}
    for reference in references:
        issues = found.get(name_label(reference.identity), [])
        same = [issue for issue in issues if issue.key.upper() == reference.key.upper()]
        # A copy that a person made has the label, too.
        if not same and len(issues) == 1 and is_moved(issues[0].key, reference):
            same = issues
        if same and (fields := same[0].fields):
            reading = _build_reading(reference, same[0].key, fields)
            if reference.was_closed != (reading.category == "done"):
                moved[str(same[0].id)] = len(readings), same[0]
            readings.append(reading)
    names = find_movers(client, cloud, [issue for _, issue in moved.values()])
    for id_, (place, _) in moved.items():
        readings[place] = replace(readings[place], moved_by=names.get(id_, ""))
    return readings


def _search(client: JiraClient, cloud: bool, jql: str) -> Iterator[StatedIssue]:
    token, read = None, 0
    for _ in range(_MOST_PAGES):
        body: dict[str, object] = {"jql": jql, "fields": list(_FIELDS), "maxResults": _PAGE}
        if token:
            body["nextPageToken"] = token
        if not cloud:
            body["startAt"] = read
        page = client.write(StatedIssuePage, "read the state of tickets", "search/jql" if cloud else "search", body)
        issues = page.issues or []
        yield from issues
        read, token = read + len(issues), page.next_page_token
        if not issues or not (token if cloud else read < (page.total or 0)):
            return
    raise TransientError(
        f"Jira has more than {read} changed issues with the labels of a few tickets: were they copied?"
    )


def _build_reading(reference: TicketReference, key: str, fields: IssueState) -> TicketReading:
    category = _CATEGORIES.get(status_category(fields.status), "unknown")
    closed = fields.resolutiondate or fields.statuscategorychangedate
    versions = [_line(version.name) for version in fields.fix_versions or ()][:_MOST_VERSIONS]
    return TicketReading(
        incident_id=reference.incident_id,
        key=_line(key),
        category=category,
        status=_line(fields.status.name if fields.status else ""),
        resolution=_line(fields.resolution.name if fields.resolution else ""),
        assignee=_line((fields.assignee.display_name if fields.assignee else None) or ""),
        comments=fields.comment.total if fields.comment else None,
        versions=tuple(version for version in versions if version),
        duplicate_of=_find_original(fields),
        since=None if category == "open" else parse_jira_time(closed),
    )


def _find_original(fields: IssueState) -> str:
    for link in fields.issuelinks or ():
        if link.type and link.outward_issue and link.type.name.lower() == "duplicate":
            return _line(link.outward_issue.key)
    return ""


def _line(text: str) -> str:
    return to_safe_line(text, limit=_VALUE)
