"""Jira: tickets as issues of a project; Cloud (REST v3, Atlassian Document Format) and Data Center (v2, wiki markup).

Jira does not accept an id from the client. A ticket is recognised by its label ``furrow-<fingerprint>`` and by the entity
property ``furrow``, both set in the request that creates it. Cloud's search lags behind writes. After an attempt with an
unknown outcome, the issues that search does not show yet are therefore read one by one, by key, which never lags.
"""

import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from urllib.parse import quote
from uuid import UUID

from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from core.metrics import count_degraded
from incidents.ticket_reading import TicketReading
from trackers import http_errors
from trackers.document import Document
from trackers.gate import MissingTicket, WrongFields, pass_fence
from trackers.jira.answers import CreatedIssue, Issue, IssuePage, parse_jira_time, status_category
from trackers.jira.checks import check_jira_access, list_targets
from trackers.jira.client import JiraClient, JiraKind, MissingResource, RefusedAccess, RefusedRequest
from trackers.jira.fields import FieldWriter
from trackers.jira.issues import PRIORITIES, PROPERTY, IssueEditor, describe_shown, issue_path, name_label
from trackers.jira.states import read_issue_states
from trackers.protocol import Filed, Shown, TicketReference, TicketState
from trackers.ticket import Ticket, recurrence_comment
from trackers.ticket_plan import TrackerPlan, describe_refused_fields, find_field
from trackers.transport import Reach

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
        plan: TrackerPlan | None = None,
    ) -> None:
        """``project`` is the key of the project that gets the tickets; ``projects`` names others by Furrow project.

        ``reach``: networks in which the site may be; None: the internet and this machine. ``plan``: what `check_access` checks.
        """
        self._client = JiraClient(url, user, token, kind, reach or Reach())
        self._project = project.strip()
        self._projects = dict(projects or {})
        if not self._project and not self._projects:
            raise PermanentError("the Jira project is not set")
        self._cloud = kind == "cloud"
        self._editor = IssueEditor(self._client, self._cloud)
        self._writer = FieldWriter(self._client, self._cloud)
        self._issue_type = issue_type
        self._plan = plan or TrackerPlan()
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
            raise self._missing_ticket(key)
        # An archived issue can be neither commented on nor moved.
        if state.kind != "archived":
            self._editor.add_comment(key, ticket.recurrence_id, recurrence_comment(ticket))
        is_open = state.kind == "open"
        if state.kind == "done" and ticket.reopens:
            is_open = self._editor.reopen_issue(key)
        return replace(self._filed_ticket(key), is_open=is_open)

    def update_facts(self, key: str, ticket: Ticket, shown: Shown) -> Shown:
        """See `trackers.protocol.KeepsFacts`."""
        try:
            issue = self._editor.read_issue(key)
        except MissingResource:
            raise self._missing_ticket(key) from None
        if issue.key.upper() != key.upper() and not _is_issue_of(issue, ticket):
            raise TransientError(f"Jira answered with another issue than {key}")
        return self._editor.update_facts(issue, ticket, shown)

    def add_note(self, key: str, note_id: str, text: Document) -> None:
        """See `trackers.protocol.KeepsFacts`."""
        try:
            self._editor.add_comment(key, note_id, text)
        except MissingResource:
            raise self._missing_ticket(key) from None

    def find_twins(self, tickets: Sequence[Ticket]) -> dict[str, list[str]]:
        """See `trackers.protocol.FindsTwins`. An issue with the label alone, like a person's copy, is none."""
        labels = [f'"{_ticket_label(ticket)}"' for ticket in tickets]
        which = f"labels = {labels[0]}" if len(labels) == 1 else f"labels in ({', '.join(labels)})"
        issues = self._search_issues(f"{which} ORDER BY created ASC")
        found = {}
        for ticket in tickets:
            keys = sorted({issue.key for issue in issues if _ticket_label(ticket) in issue.labels}, key=_issue_number)
            if len(keys) > 1:
                keys = [key for key in keys if _has_property(self._read_issue(key), ticket)]
            if keys:
                found[ticket.incident_id] = keys
        return found

    def close_twin(self, key: str, kept: str, ticket: Ticket) -> None:
        """See `trackers.protocol.FindsTwins`."""
        self._editor.close_twin(key, kept, ticket)

    def read_tickets(self, references: Sequence[TicketReference], within_s: float | None) -> list[TicketReading]:
        """See `trackers.protocol.ReadsStates`."""
        return read_issue_states(self._client, self._cloud, references, within_s, self._is_moved)

    def _is_moved(self, key: str, reference: TicketReference) -> bool:
        """Whether the issue is the ticket's under another key, and no copy of it."""
        identity = (getattr(self._read_issue(key), "properties", None) or {}).get(PROPERTY)
        return isinstance(identity, dict) and identity.get("incident") == reference.identity

    def _missing_ticket(self, key: str) -> PermanentError:
        """The error for an issue that is not there: deleted, or out of sight with its whole project."""
        project = key.rpartition("-")[0]
        try:
            self._client.read(dict, "read the project", f"project/{quote(project, safe='')}")
        except (MissingResource, RefusedRequest) as refusal:
            return RefusedAccess(f"{key} cannot be read, and neither can the project {project}: {refusal}")
        return MissingTicket(f"{key} does not exist in Jira any more")

    def fetch_ticket_state(self, key: str) -> TicketState:
        """The issue's state."""
        return self._fetch_state(key, None)

    def _fetch_state(self, key: str, ticket: Ticket | None) -> TicketState:
        """The issue's state. A moved issue has another key; it is known by the identity of its ``ticket``."""
        try:
            issue = self._client.read(
                Issue,
                "read the issue",
                issue_path(key),
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
        targets = list_targets(self._plan, self._project, self._projects, self._issue_type)
        return check_jira_access(self._client, self._writer, targets)

    # Create
    # --------------------------------------------------------------------------------------------------------------

    def _create_issue(self, ticket: Ticket, client_id: UUID) -> Filed:
        project, issue_type = self._project_key(ticket), find_field(ticket.fields, "issue_type") or self._issue_type
        further: dict[str, object] = {}
        if ticket.fields:
            further = self._writer.write_fields(project, issue_type, ticket.fields, ticket.owner_fields)
        labels = further.pop("labels", [])
        fields: dict[str, object] = {
            **further,
            "project": {"key": project},
            "issuetype": {"name": issue_type},
            "summary": ticket.title,
            "description": self._editor.describe_ticket(ticket),
            "labels": list(
                dict.fromkeys([_ticket_label(ticket), *ticket.labels, *(labels if isinstance(labels, list) else ())])
            ),
        }
        if ticket.priority in PRIORITIES:
            fields["priority"] = {"name": PRIORITIES[ticket.priority]}
        identity = {"incident": ticket.known_as, "client": str(client_id)}
        body = {"fields": fields, "properties": [{"key": PROPERTY, "value": identity}]}
        try:
            created = self._post_issue(body)
        except RefusedRequest as refusal:
            # Many projects have no field for the priority, or other names for it: file the ticket without.
            if "project" in refusal.fields:
                raise RefusedAccess(str(refusal)) from None
            if refused := refusal.fields & set(further):
                raise WrongFields(describe_refused_fields(str(refusal), refused, ticket.owner_fields)) from None
            if refusal.fields != {"priority"} or "priority" not in fields:
                raise
            del fields["priority"]
            created = self._post_issue(body)
        filed = self._filed_ticket(created.key)
        shown = self._check_created(filed.key, ticket)
        if str(created.id).isdigit():
            self._created_ids.append(int(created.id))
        return replace(filed, shown=shown)

    def _check_created(self, key: str, ticket: Ticket) -> Shown | None:
        """What the created issue shows; None if it cannot be read.

        Raises TransientError if the issue is another ticket's: the answer holds nothing that came with the request."""
        try:
            issue = self._editor.read_issue(key)
        except (MissingResource, RefusedRequest) as refusal:
            # An account that may create issues need not be allowed to read them.
            count_degraded("jira", "unread_ticket")
            _log.warning("%s was created but cannot be read: %s", key, refusal)
            return None
        if not _is_issue_of(issue, ticket):
            raise TransientError(f"Jira answered with another issue ({key}) than the one that it was asked to create")
        return describe_shown(issue)

    def _post_issue(self, body: Mapping[str, object]) -> CreatedIssue:
        pass_fence()
        return self._client.write(CreatedIssue, "create the issue", "issue", body)

    def _project_key(self, ticket: Ticket) -> str:
        key = find_field(ticket.fields, "project") or self._projects.get(ticket.project, self._project)
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
            return self._editor.read_issue(key)
        except (MissingResource, RefusedRequest):
            return None

    def _filed_ticket(self, key: str) -> Filed:
        if not _KEY.fullmatch(key):
            raise TransientError("Jira answered without the key of the issue")
        # The link is made from the configured address, never from an answer.
        return Filed(key, f"{self._client.url}/browse/{key}")


def _is_issue_of(issue: Issue, ticket: Ticket) -> bool:
    """Whether the issue is this ticket's, by its label or its property; a person may have removed one of them."""
    return _ticket_label(ticket) in issue.labels or _has_property(issue, ticket)


def _has_property(issue: Issue | None, ticket: Ticket) -> bool:
    identity = (issue.properties or {}).get(PROPERTY) if issue else None
    return isinstance(identity, dict) and identity.get("incident") == ticket.known_as


def _ticket_label(ticket: Ticket) -> str:
    return name_label(ticket.known_as)


def _issue_number(key: str) -> int:
    match = _KEY.fullmatch(key)
    return int(match[2]) if match else 0


def _unseen_numbers(shown: set[int]) -> Iterator[int]:
    """Numbers of issues that a page of search does not show: first those after its last issue, then those between."""
    last = max(shown, default=0)
    yield from range(last + 1, last + 1 + _PAGE)
    between = (number for number in range(last - 1, max(0, last - _PAGE), -1) if number not in shown)
    yield from islice(between, _MOST_BETWEEN)
