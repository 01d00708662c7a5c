"""Tickets as issues of a forge, over its REST API.

Forges take no identity from their clients. A ticket's identity stands in the first line of its text, which is not shown, and
all of Furrow's issues have the label ``furrow``. Before an issue is created, the issues with this label are listed (not
searched: indexes of search lag); what was listed before in this run is not listed again.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from core.errors import PermanentError, TransientError
from core.metrics import count_degraded
from incidents.ticket_reading import TicketReading
from trackers import http_errors
from trackers.document import Document, Link, Paragraph
from trackers.forge.protocol import ForgeApi, ForgeIssue, IssueChange, MovedOutOfSight, parse_time, split_key
from trackers.forge.states import read_issue_states
from trackers.forge.text import (
    comment_identity,
    defuse_title,
    read_identity,
    render_with_identity,
    ticket_identity,
)
from trackers.gate import AccessRefused, MissingTicket, pass_fence
from trackers.protocol import Filed, Shown, TicketReference, TicketState
from trackers.rest import MissingResource, MovedResource, RefusedAccess, RefusedRequest
from trackers.ticket import Ticket, duplicate_comment, recurrence_comment

LABEL: Final = "furrow"
"""The label of all tickets; `trackers.ticket.build_ticket` gives it to each."""
LAG: tuple[float, ...] = (1.0, 2.0, 4.0)
"""Waits (s) between looks for a ticket that may exist; lists are read from copies of the forge's database."""
PAGE: Final = 100
MOST_PAGES: Final = 20
_PRIORITIES: Final = ("P0", "P1", "P2", "P3", "P4")
_OVERLAP: Final = timedelta(minutes=10)
_log = logging.getLogger("furrow.tickets")


@dataclass
class _Listing:
    """The issues of a project that were listed, and the time of the last change among them."""

    issues: dict[int, ForgeIssue] = field(default_factory=dict)
    changed: str = ""


class ForgeTracker:
    """Projects of one forge. Not to be shared between threads. Raises as ``Tracker`` says."""

    def __init__(self, api: ForgeApi, path: str, paths: Mapping[str, str], lag: Sequence[float] | None = None) -> None:
        """``path``: of the project that gets the tickets; ``paths`` names others by Furrow project."""
        self._api, self._path, self._paths = api, path.strip().strip("/"), dict(paths)
        if not self._path and not self._paths:
            raise PermanentError(f"the {api.title} {api.noun} is not set")
        self._lag = LAG if lag is None else tuple(lag)
        self._listings: dict[str, _Listing] = {}

    @property
    def name(self) -> str:
        """The tracker's name in the outbox."""
        return self._api.name

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Filed:
        """Create the issue, or return the one that has the ticket's identity."""
        return self._find_listed(ticket) or self._create_issue(ticket)

    def find_ticket(self, ticket: Ticket, client_id: UUID, patient: bool = True) -> Filed | None:
        """The issue with the ticket's identity, also when it was created a moment ago and is not listed yet."""
        found = self._find_listed(ticket)
        for seconds in self._lag if patient else ():
            if found:
                break
            time.sleep(seconds)
            found = self._find_listed(ticket)
        return found

    def report_recurrence(self, key: str, ticket: Ticket) -> Filed:
        """Comment that the failure came back (once for each reason), and reopen the issue if that is wanted.

        An issue that moved stays known by ``key``; the URL is that of where it is.
        """
        issue = self._require_issue(key, ticket)
        self._add_comment(issue, ticket, ticket.recurrence_id, recurrence_comment(ticket))
        if not issue.is_open and ticket.reopens:
            self._api.reopen_issue(issue)
        return replace(self._filed_ticket(issue), key=key, is_open=issue.is_open or ticket.reopens)

    def fetch_ticket_state(self, key: str) -> TicketState:
        """The issue's state."""
        try:
            issue = self._api.read_issue(*self._split_key(key))
        except MissingResource:
            return TicketState("missing")
        except MovedOutOfSight:
            # It is not deleted as far as anybody knows, and nothing can be written to it.
            count_degraded(self.name, "moved_out_of_sight")
            return TicketState("archived")
        return TicketState("open") if issue.is_open else TicketState("done", parse_time(issue.closed_at))

    def update_facts(self, key: str, ticket: Ticket, shown: Shown) -> Shown:
        """See `trackers.protocol.KeepsFacts`. The priority is one of the labels P0 to P4."""
        issue = self._require_issue(key, ticket)
        now, title = _describe_shown(issue), defuse_title(ticket.title)
        change = IssueChange()
        if now.title == shown.title and now.title != title:
            change = replace(change, title=title)
        if now.priority and now.priority == shown.priority and now.priority != ticket.priority:
            kept = tuple(label for label in issue.labels if label != now.priority)
            change = replace(change, labels=(*kept, ticket.priority))
        if now.digest == shown.digest:
            body = render_with_identity(ticket.text or ticket.body, ticket_identity(ticket))
            change = replace(change, body=body if _digest(body) != now.digest else None)
        if change == IssueChange():
            return shown
        changed = self._api.change_issue(issue, change)
        if changed.key.lower() != issue.key.lower():
            raise TransientError(f"{self._api.title} answered with another issue than {issue.key}")
        written = _describe_shown(changed)
        return Shown(
            written.title if now.title == shown.title else shown.title,
            written.priority if now.priority == shown.priority else shown.priority,
            written.digest if now.digest == shown.digest else shown.digest,
        )

    def add_note(self, key: str, note_id: str, text: Document) -> None:
        """See `trackers.protocol.KeepsFacts`."""
        issue = self._require_issue(key, None)
        self._add_comment(issue, None, note_id, text)

    def read_tickets(self, references: Sequence[TicketReference], within_s: float | None) -> list[TicketReading]:
        """See `trackers.protocol.ReadsStates`."""
        return read_issue_states(self._api, references, within_s)

    def find_twins(self, tickets: Sequence[Ticket]) -> dict[str, list[str]]:
        """See `trackers.protocol.FindsTwins`. An issue of another author, like a person's copy, is none."""
        for path in {self._project_path(ticket) for ticket in tickets}:
            self._refresh_listing(path)
        found: dict[str, list[str]] = {}
        for ticket in tickets:
            issues = self._listed_issues(ticket)
            keys = self._list_unmoved([issue for issue in issues if issue.author == issues[0].author])
            if keys:
                found[ticket.incident_id] = keys
        return found

    def _list_unmoved(self, issues: Sequence[ForgeIssue]) -> list[str]:
        """The keys of ``issues`` without what moved ones left behind, and without what those are now if they came back."""
        keys = [issue.key for issue in issues if not issue.has_moved]
        for left in issues if keys else ():
            if left.has_moved:
                try:
                    now = self._api.read_issue(left.path, left.number).key
                except MovedOutOfSight:
                    continue  # so it is none of these
                keys = [key for key in keys if key != now]
        return keys

    def close_twin(self, key: str, kept: str, ticket: Ticket) -> None:
        """See `trackers.protocol.FindsTwins`."""
        issue, stays = self._require_issue(key, ticket), self._split_key(kept)
        link = Paragraph((Link("The issue that stays", self._api.issue_url(*stays)),))
        text = (*duplicate_comment(ticket, kept), link)
        self._add_comment(issue, ticket, f"duplicate of {kept}", text)
        if issue.is_open:
            self._api.close_duplicate(issue, stays)

    def check_access(self) -> str:
        """Read the account and each project that gets tickets; see `trackers.protocol.RemoteTracker`."""
        account = self._api.describe_account()
        paths = sorted({self._path, *self._paths.values()} - {""})
        for path in paths:
            self._check_path(path)
            self._api.check_project(path)
        noun = self._api.noun if len(paths) == 1 else self._api.nouns
        return f"{noun} {', '.join(paths)}, as {account}"

    # Find
    # --------------------------------------------------------------------------------------------------------------

    def _find_listed(self, ticket: Ticket) -> Filed | None:
        """The oldest issue with the ticket's identity among those of its project."""
        self._refresh_listing(self._project_path(ticket))
        issues = self._listed_issues(ticket)
        return self._filed_ticket(issues[0]) if issues else None

    def _listed_issues(self, ticket: Ticket) -> list[ForgeIssue]:
        """Oldest first. The deleted ticket that this one replaces is none of them, and neither is what a moved one left."""
        listing = self._listings[self._project_path(ticket)]
        identity = ticket_identity(ticket)
        return [
            issue
            for _, issue in sorted(listing.issues.items())
            if read_identity(issue.body) == identity
            and issue.key != ticket.replaces
            and not (issue.has_moved and ticket.replaces)
        ]

    def _refresh_listing(self, path: str) -> None:
        """List the project's issues, newest first; those that did not change since they were listed only once."""
        listing = self._listings.get(path, _Listing())
        since = _begin_of_changes(listing.changed)
        for page in range(1, MOST_PAGES + 1):
            try:
                issues = self._api.list_issues(path, LABEL, since, page, PAGE)
            except (MissingResource, MovedResource) as refusal:
                raise RefusedAccess(f"{self._api.noun} {path}: {refusal}") from None
            for issue in issues:
                listing.issues[issue.number] = issue
                listing.changed = max(listing.changed, issue.updated_at)
            if len(issues) < PAGE:
                break
        self._listings[path] = listing

    # Create
    # --------------------------------------------------------------------------------------------------------------

    def _create_issue(self, ticket: Ticket) -> Filed:
        path, identity = self._project_path(ticket), ticket_identity(ticket)
        body = render_with_identity(ticket.text or ticket.body, identity)
        labels = [*ticket.labels, *({ticket.priority} & set(_PRIORITIES))]
        pass_fence()
        try:
            issue = self._api.create_issue(path, defuse_title(ticket.title), body, labels)
        except MissingResource as refusal:
            raise RefusedAccess(f"{self._api.noun} {path}: {refusal}") from None
        if read_identity(issue.body) != identity:
            raise TransientError(
                f"{self._api.title} answered with another issue ({issue.key}) than the one that it was asked to create"
            )
        if LABEL not in issue.labels:
            # Forges leave out the labels of who may not set them. The issue would not be found after a lost answer.
            count_degraded(self.name, "unlabelled_ticket")
            _log.warning("%s was created without its labels: the token's account may not set them", issue.key)
        return replace(self._filed_ticket(issue), shown=_describe_shown(issue))

    def _project_path(self, ticket: Ticket) -> str:
        path = self._paths.get(ticket.project, self._path)
        if not path:
            project = http_errors.to_safe_line(ticket.project, limit=100)
            raise PermanentError(f"no {self._api.title} {self._api.noun} is set for the project {project}")
        self._check_path(path)
        return path

    def _check_path(self, path: str) -> None:
        if not self._api.check_path(path):
            shown = http_errors.to_safe_line(path, limit=100)
            raise PermanentError(f"{shown!r} is no path of a {self._api.title} {self._api.noun}")

    # Issues that exist
    # --------------------------------------------------------------------------------------------------------------

    def _split_key(self, key: str) -> tuple[str, int]:
        path, number = split_key(key)
        if not path or not self._api.check_path(path):
            raise PermanentError(f"{http_errors.to_safe_line(key, limit=100)!r} is no issue of {self._api.title}")
        return path, number

    def _require_issue(self, key: str, ticket: Ticket | None) -> ForgeIssue:
        """The issue ``key``. One that moved has another key; it is known by the identity of its ``ticket`` (None: by any)."""
        path, number = self._split_key(key)
        try:
            issue = self._api.read_issue(path, number)
        except MissingResource:
            raise self._missing_ticket(key, path) from None
        identity = read_identity(issue.body)
        known = identity == ticket_identity(ticket) if ticket else bool(identity) and issue.path.lower() != path.lower()
        if issue.key.lower() != key.lower() and not known:
            raise TransientError(f"{self._api.title} answered with another issue than {key}")
        return issue

    def _missing_ticket(self, key: str, path: str) -> PermanentError:
        """The error for an issue that is not there: deleted, or out of sight with its whole project."""
        try:
            self._api.check_project(path)
        except (MissingResource, RefusedRequest, AccessRefused) as refusal:
            return RefusedAccess(f"{key} cannot be read, and neither can {path}: {refusal}")
        return MissingTicket(f"{key} does not exist in {self._api.title} any more")

    def _add_comment(self, issue: ForgeIssue, ticket: Ticket | None, comment_id: str, text: Document) -> None:
        """Comment, unless one of the newest comments has this id. In open projects, anybody may comment: only those of the
        account that filed the issue count."""
        ours = ticket_identity(ticket) if ticket else read_identity(issue.body) or "furrow"
        identity = comment_identity(ours, comment_id)
        own = (comment for comment in self._api.list_comments(issue) if comment.author == issue.author)
        if any(read_identity(comment.body) == identity for comment in own):
            return
        self._api.add_comment(issue, render_with_identity(text, identity))

    def _filed_ticket(self, issue: ForgeIssue) -> Filed:
        if not self._api.check_path(issue.path) or issue.number < 1:
            raise TransientError(f"{self._api.title} answered without the number of the issue")
        return Filed(issue.key, self._api.issue_url(issue.path, issue.number))


def _begin_of_changes(changed: str) -> str | None:
    """From when on changes are listed: copies of a database lag, so some time before the last one that was seen."""
    at = parse_time(changed)
    return (at - _OVERLAP).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def _describe_shown(issue: ForgeIssue) -> Shown:
    priority = next((label for label in _PRIORITIES if label in issue.labels), None)
    return Shown(issue.title, priority, _digest(issue.body))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
