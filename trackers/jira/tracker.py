"""Jira: tickets as issues of a project; Cloud (REST v3, Atlassian Document Format) and Data Center (v2, wiki markup).

Jira does not accept an id from the client. A ticket is recognised by its label ``furrow-<fingerprint>`` and by the entity
property ``furrow``, both set in the request that creates it. Cloud's search lags behind writes. After an attempt with an
unknown outcome, the issues that search does not show yet are therefore read one by one, by key, which never lags.
"""

import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Final
from urllib.parse import quote
from uuid import UUID

from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from core.metrics import count_degraded
from trackers import http_errors
from trackers.document import render_adf, render_wiki
from trackers.jira.answers import (
    Comment,
    CommentPage,
    CreatedIssue,
    Issue,
    IssuePage,
    TransitionList,
    parse_jira_time,
    status_category,
)
from trackers.jira.checks import check_jira_access
from trackers.jira.client import JiraClient, JiraKind, MissingResource, RefusedRequest
from trackers.protocol import Filed, TicketState
from trackers.ticket import Ticket, recurrence_comment, ticket_to_adf, ticket_to_wiki
from trackers.transport import Reach

# P0–P4 → Jira Highest…Lowest (incidents-and-tickets.md).
PRIORITIES: Final[Mapping[str, str]] = {"P0": "Highest", "P1": "High", "P2": "Medium", "P3": "Low", "P4": "Lowest"}
PROPERTY: Final = "furrow"
LAG: tuple[float, ...] = (1.0, 2.0, 4.0)
"""Waits (s) between searches for a ticket that may exist; search lags by seconds."""
_PROJECT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,49})-(\d{1,12})")
# Issues that search does not show are looked for after the last key that it shows, until _GAP keys in a row do not exist, and
# in the gaps between the last _PAGE keys.
_PAGE = 50
_GAP = 5
_MOST_BETWEEN = 20
# "Accepts max 50 ids" (jira-cloud-v3.openapi.json, reconcileIssues).
_MOST_RECONCILED = 50
_log = logging.getLogger("furrow.tickets")


class JiraTracker:
    """One site of Jira. Not to be shared between threads. Raises as ``Tracker`` says."""

    def __init__(
        self,
        url: str,
        user: str,
        token: SecretStr | None,
        project: str,
        kind: JiraKind = "cloud",
        issue_type: str = "Bug",
        projects: Mapping[str, str] | None = None,
        lag: Sequence[float] | None = None,
        reach: Reach | None = None,
    ) -> None:
        """``project`` is the key of the project that gets the tickets; ``projects`` names others by Furrow project.

        ``reach``: networks in which the site may be; None: the internet and this machine.
        """
        self._client = JiraClient(url, user, token, kind, reach or Reach())
        self._project = project.strip()
        self._projects = dict(projects or {})
        if not self._project and not self._projects:
            raise PermanentError("the Jira project is not set")
        self._cloud = kind == "cloud"
        self._issue_type = issue_type
        self._lag = LAG if lag is None else tuple(lag)
        self._created_ids: list[int] = []

    @property
    def name(self) -> str:
        """``jira``"""
        return "jira"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Filed:
        """Create the issue, or return the one that search finds."""
        return self._search_by_label(ticket) or self._create_issue(ticket, client_id)

    def find_ticket(self, ticket: Ticket, client_id: UUID, patient: bool = True) -> Filed | None:
        """The ticket's issue, also when it was created a moment ago and search does not show it yet."""
        found = self._search_by_label(ticket) or self._probe_recent_issues(ticket)
        if found or not patient:
            return found
        for seconds in self._lag:
            time.sleep(seconds)
            if found := self._search_by_label(ticket):
                return found
        # Once more: Jira may have carried out a request only after its client gave up.
        return self._probe_recent_issues(ticket)

    def report_recurrence(self, key: str, ticket: Ticket) -> Filed:
        """Comment that the failure came back (once for each reason), and reopen the issue unless it is archived."""
        state = self._fetch_state(key, ticket)
        if state.kind == "missing":
            raise PermanentError(f"{key} does not exist in Jira any more")
        # An archived issue can be neither commented on nor moved.
        if state.kind != "archived":
            self._add_comment(key, ticket)
        if state.kind == "done":
            self._reopen_issue(key)
        return self._filed_ticket(key)

    def fetch_ticket_state(self, key: str) -> TicketState:
        """The issue's state."""
        return self._fetch_state(key, None)

    def _fetch_state(self, key: str, ticket: Ticket | None) -> TicketState:
        """The issue's state. A moved issue has another key; it is known by the identity of its ``ticket``."""
        try:
            issue = self._client.read(
                Issue,
                "read the issue",
                _issue_path(key),
                fields="status,resolutiondate,archiveddate,labels",
                properties=PROPERTY,
            )
        except MissingResource:
            return TicketState("missing")
        if issue.key.upper() != key.upper() and ticket and not _is_issue_of(issue, ticket):
            raise TransientError(f"Jira answered with another issue than {key}")
        if issue.fields and issue.fields.archiveddate:
            return TicketState("archived", parse_jira_time(issue.fields.archiveddate))
        if issue.fields and status_category(issue.fields.status) == "done":
            return TicketState("done", parse_jira_time(issue.fields.resolutiondate))
        return TicketState("open")

    def check_access(self) -> str:
        """Read the account, the projects and the fields of new issues; see `trackers.protocol.RemoteTracker`."""
        keys = {self._project, *self._projects.values()} - {""}
        return check_jira_access(self._client, tuple(sorted(keys)), self._issue_type)

    # Create
    # --------------------------------------------------------------------------------------------------------------

    def _create_issue(self, ticket: Ticket, client_id: UUID) -> Filed:
        fields: dict[str, object] = {
            "project": {"key": self._project_key(ticket)},
            "issuetype": {"name": self._issue_type},
            "summary": ticket.title,
            "description": ticket_to_adf(ticket) if self._cloud else ticket_to_wiki(ticket),
            "labels": [_ticket_label(ticket), *ticket.labels],
        }
        if ticket.priority in PRIORITIES:
            fields["priority"] = {"name": PRIORITIES[ticket.priority]}
        identity = {"incident": ticket.incident_id, "client": str(client_id)}
        body = {"fields": fields, "properties": [{"key": PROPERTY, "value": identity}]}
        try:
            created = self._post_issue(body)
        except RefusedRequest as refusal:
            # Many projects have no field for the priority, or other names for it: file the ticket without.
            if refusal.fields != {"priority"} or "priority" not in fields:
                raise
            del fields["priority"]
            created = self._post_issue(body)
        filed = self._filed_ticket(created.key)
        self._check_created(filed.key, ticket)
        if str(created.id).isdigit():
            self._created_ids.append(int(created.id))
        return filed

    def _check_created(self, key: str, ticket: Ticket) -> None:
        """Raise TransientError if the issue is another ticket's: the answer holds nothing that came with the request."""
        try:
            issue = self._client.read(Issue, "read an issue", _issue_path(key), fields="labels", properties=PROPERTY)
        except (MissingResource, RefusedRequest) as refusal:
            # An account that may create issues need not be allowed to read them.
            count_degraded("jira", "unread_ticket")
            _log.warning("%s was created but cannot be read: %s", key, refusal)
            return
        if not _is_issue_of(issue, ticket):
            raise TransientError(f"Jira answered with another issue ({key}) than the one that it was asked to create")

    def _post_issue(self, body: Mapping[str, object]) -> CreatedIssue:
        return self._client.write(CreatedIssue, "create the issue", "issue", body)

    def _project_key(self, ticket: Ticket) -> str:
        key = self._projects.get(ticket.project, self._project)
        if not key:
            raise PermanentError(
                f"no Jira project is set for the project {http_errors.to_safe_line(ticket.project, limit=100)}"
            )
        if not _PROJECT.fullmatch(key):
            raise PermanentError(f"{http_errors.to_safe_line(key, limit=100)!r} is no key of a Jira project")
        return key

    # Find
    # --------------------------------------------------------------------------------------------------------------

    def _search_by_label(self, ticket: Ticket) -> Filed | None:
        """The oldest issue with the ticket's label that search shows, in whatever project it is now."""
        return self._oldest_issue(
            ticket, self._search_issues(f'labels = "{_ticket_label(ticket)}" ORDER BY created ASC')
        )

    def _oldest_issue(self, ticket: Ticket, issues: Iterable[Issue]) -> Filed | None:
        label = _ticket_label(ticket)
        keys = sorted((issue.key for issue in issues if label in issue.labels), key=_issue_number)
        return self._filed_ticket(keys[0]) if keys else None

    def _search_issues(self, jql: str) -> list[Issue]:
        body: dict[str, object] = {"jql": jql, "fields": ["labels"], "maxResults": _PAGE}
        if self._cloud and self._created_ids:
            body["reconcileIssues"] = self._created_ids[-_MOST_RECONCILED:]
        page = self._client.write(IssuePage, "search", "search/jql" if self._cloud else "search", body)
        return [issue for issue in page.issues or () if _KEY.fullmatch(issue.key)]

    def _probe_recent_issues(self, ticket: Ticket) -> Filed | None:
        """Read the newest issues of the project that search does not show, by key."""
        project = self._project_key(ticket)
        try:
            shown = self._search_issues(f'project = "{project}" ORDER BY created DESC')
        except PermanentError:
            # Search may be refused where creating is allowed. The searches that follow may find the issue, too.
            return None
        if found := self._oldest_issue(ticket, shown):
            return found
        numbers = {_issue_number(issue.key) for issue in shown if issue.key.upper().startswith(f"{project.upper()}-")}
        last, missing = max(numbers, default=0), 0
        for number in _unseen_numbers(numbers):
            if number > last and missing >= _GAP:
                continue
            issue = self._read_issue(f"{project}-{number}")
            missing = missing + 1 if issue is None else 0
            if issue and _is_issue_of(issue, ticket):
                return self._filed_ticket(issue.key)
        return None

    def _read_issue(self, key: str) -> Issue | None:
        """The issue with this key; None when there is none or the account may not see it."""
        try:
            return self._client.read(Issue, "read an issue", _issue_path(key), fields="labels", properties=PROPERTY)
        except (MissingResource, RefusedRequest):
            return None

    # Report a recurrence
    # --------------------------------------------------------------------------------------------------------------

    def _add_comment(self, key: str, ticket: Ticket) -> None:
        digest = sha256(ticket.recurrence_id.encode()).hexdigest()[:32]
        if digest in self._read_comment_digests(key):
            return
        text = recurrence_comment(ticket)
        body = {
            "body": render_adf(text) if self._cloud else render_wiki(text),
            "properties": [{"key": PROPERTY, "value": {_DIGEST_KEY: digest}}],
        }
        self._client.write_only("comment on the issue", f"{_issue_path(key)}/comment", body)

    def _read_comment_digests(self, key: str) -> set[object]:
        """The digests of the newest comments; none when the account may not read them."""
        try:
            page = self._client.read(
                CommentPage,
                "read the comments",
                f"{_issue_path(key)}/comment",
                expand="properties",
                orderBy="-created",
                maxResults=_PAGE,
            )
        except PermanentError as refusal:
            _log.warning("the comments of %s cannot be read: %s", key, refusal)
            return set()
        return {_comment_digest(comment) for comment in page.comments or ()}

    def _reopen_issue(self, key: str) -> None:
        path = f"{_issue_path(key)}/transitions"
        answer = self._client.read(TransitionList, "read the transitions", path)
        # "To do" before "in progress"; of those, first the transitions that are called "reopen".
        ways = [way for way in answer.transitions or () if status_category(way.to) in ("new", "indeterminate")]
        ways.sort(key=lambda way: (status_category(way.to) != "new", "reopen" not in way.name.lower()))
        if not ways:
            _log.warning("Jira offers no transition to reopen %s; it has a comment", key)
            return
        self._client.write_only("open the issue again", path, {"transition": {"id": str(ways[0].id)}})

    def _filed_ticket(self, key: str) -> Filed:
        if not _KEY.fullmatch(key):
            raise TransientError("Jira answered without the key of the issue")
        # The link is made from the configured address, never from an answer.
        return Filed(key, f"{self._client.url}/browse/{key}")


# The key that comments in Jira have had from the first version on.
_DIGEST_KEY = "told"


def _comment_digest(comment: Comment) -> object:
    for entry in comment.properties or ():
        if entry.key == PROPERTY and isinstance(entry.value, dict):
            return entry.value.get(_DIGEST_KEY)
    return None


def _is_issue_of(issue: Issue, ticket: Ticket) -> bool:
    """Whether the issue is this ticket's, by its label or its property; a person may have removed one of them."""
    identity = (issue.properties or {}).get(PROPERTY)
    incident = identity.get("incident") if isinstance(identity, dict) else None
    return _ticket_label(ticket) in issue.labels or incident == ticket.incident_id


def _ticket_label(ticket: Ticket) -> str:
    """The label that a ticket is recognised by; an incident's id is "inc_" and its fingerprint in hexadecimal digits."""
    fingerprint = ticket.incident_id.removeprefix("inc_")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", fingerprint):
        fingerprint = sha256(fingerprint.encode()).hexdigest()[:32]
    return f"furrow-{fingerprint}"


def _issue_path(key: str) -> str:
    return f"issue/{quote(key, safe='')}"


def _issue_number(key: str) -> int:
    match = _KEY.fullmatch(key)
    return int(match[2]) if match else 0


def _unseen_numbers(shown: set[int]) -> Iterator[int]:
    """Numbers of issues that a page of search does not show: first those after its last issue, then those between."""
    last = max(shown, default=0)
    yield from range(last + 1, last + 1 + _PAGE)
    between = (number for number in range(last - 1, max(0, last - _PAGE), -1) if number not in shown)
    yield from islice(between, _MOST_BETWEEN)
