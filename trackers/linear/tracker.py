"""Linear: tickets as issues of a team, over GraphQL.

The issue's ``id`` is a ticket's identity. Furrow makes and stores it before the first call, and Linear refuses a second issue
with the same id. A lost answer or two exporters at once therefore cannot create two tickets. The address of the incident's
page, kept as an attachment of the issue, finds the ticket even when Furrow's own records are lost.
"""

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from core.metrics import count_degraded
from incidents.ticket_reading import TicketReading
from trackers import http_errors
from trackers.document import Document, render_markdown
from trackers.gate import AccessRefused, MissingTicket, WrongFields, pass_fence
from trackers.linear import queries
from trackers.linear.answers import (
    AttachmentAnswer,
    CommentAnswer,
    CreateIssueAnswer,
    CreateLabelAnswer,
    FormerKeysAnswer,
    Issue,
    IssueAnswer,
    LabelAnswer,
    StatesAnswer,
    TeamAnswer,
    UpdateIssueAnswer,
    parse_linear_time,
)
from trackers.linear.client import LinearClient, MissingObject
from trackers.linear.fields import FieldWriter, find_refused_fields, read_labels
from trackers.linear.states import read_issue_states
from trackers.protocol import Filed, Shown, TicketReference, TicketState
from trackers.ticket import Ticket, duplicate_comment, recurrence_comment, ticket_to_markdown
from trackers.ticket_plan import TrackerPlan, describe_refused_fields, find_field
from trackers.transport import Reach

# 1 urgent, 2 high, 3 medium, 4 low; 0 is "none" (incidents-and-tickets.md).
PRIORITIES: Final[Mapping[str, int]] = {"P0": 1, "P1": 2, "P2": 3, "P3": 4, "P4": 4}
_DONE = {"completed", "canceled", "duplicate"}
# States for a reopened ticket, first choice first, when its team has no default.
_OPEN = ("unstarted", "backlog", "triage", "started")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}-\d{1,12}")
_SITE = "linear.app"
_log = logging.getLogger("furrow.tickets")


class LinearTracker:
    """One workspace of Linear. Thread-safe until it is closed. Raises as ``Tracker`` says."""

    def __init__(
        self,
        api_key: SecretStr | None,
        team: str,
        url: str,
        teams: Mapping[str, str] | None = None,
        reach: Reach | None = None,
        plan: TrackerPlan | None = None,
    ) -> None:
        """``team`` is the key of the team that gets the tickets; ``teams`` names others by Furrow project.

        ``reach``: networks in which ``url`` may be; None: the internet and this machine. ``plan``: what `check_access` checks.
        """
        self._team = team.strip()
        self._teams = dict(teams or {})
        self._client = LinearClient(api_key, url, reach or Reach())
        if not self._team and not self._teams:
            raise PermanentError("the Linear team is not set")
        self._writer = FieldWriter(self._client)
        self._plan = plan or TrackerPlan()
        self._team_ids: dict[str, str] = {}
        self._label_ids: dict[tuple[str, str], str] = {}

    @property
    def name(self) -> str:
        """``linear``"""
        return "linear"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Filed:
        """Create the issue and attach the incident's page to it, or return the issue that exists already."""
        found = self._find_by_page_url(ticket)
        created = found is None
        if found is None:
            found = self._create_issue(ticket, client_id)
        refused = self._attach_page(found, ticket)
        return replace(self._filed_ticket(found), shown=_describe_shown(found) if created else None, refused=refused)

    def find_ticket(self, ticket: Ticket, client_id: UUID, patient: bool = True) -> Filed | None:
        """The issue with this id or with the incident's page attached. A missing attachment is added."""
        found = self._fetch_issue(str(client_id)) or self._find_by_page_url(ticket)
        if found is None or found.trashed:
            return None
        return replace(self._filed_ticket(found), refused=self._attach_page(found, ticket))

    def complete_ticket(self, key: str, ticket: Ticket) -> str:
        """See `trackers.protocol.CompletesTickets`: the incident's page is attached."""
        issue = self._fetch_issue(key)
        if issue is None or issue.trashed:
            raise self._missing_ticket(key, ticket)
        return self._attach_page(issue, ticket)

    def report_recurrence(self, key: str, ticket: Ticket) -> Filed:
        """Comment that the failure came back (once for each reason), and reopen the issue unless it is archived.

        A link to the incident that Linear refused before is added.
        """
        issue = self._fetch_issue(key)
        if issue is None or issue.trashed:
            raise self._missing_ticket(key, ticket)
        self._add_comment(issue.id, f"furrow\0{key}\0{ticket.recurrence_id}", recurrence_comment(ticket))
        kind = _ticket_state(issue).kind
        if kind == "done" and ticket.reopens:
            self._reopen_issue(issue.id)
        is_open = kind == "open" or (kind == "done" and ticket.reopens)
        return replace(self._filed_ticket(issue), is_open=is_open, refused=self._attach_page(issue, ticket))

    def fetch_ticket_state(self, key: str) -> TicketState:
        """The issue's state; an issue in the trash counts as missing."""
        issue = self._fetch_issue(key)
        return TicketState("missing") if issue is None or issue.trashed else _ticket_state(issue)

    def update_facts(self, key: str, ticket: Ticket, shown: Shown) -> Shown:
        """See `trackers.protocol.KeepsFacts`."""
        issue = self._fetch_issue(key)
        if issue is None or issue.trashed:
            raise self._missing_ticket(key, ticket)
        now, wanted = _describe_shown(issue), str(PRIORITIES.get(ticket.priority, 0))
        changes: dict[str, object] = {}
        if now.title == shown.title and now.title != ticket.title:
            changes["title"] = ticket.title
        if now.priority == shown.priority and now.priority != wanted:
            changes["priority"] = int(wanted)
        if now.digest == shown.digest:
            changes["description"] = ticket_to_markdown(ticket)
        if not changes:
            return shown
        updated = self._client.query(UpdateIssueAnswer, queries.UPDATE, id=issue.id, input=changes).issue_update
        if not updated.issue or updated.issue.id != issue.id:
            raise TransientError("Linear answered with another issue than the one that it was asked to change")
        written = _describe_shown(updated.issue)
        return Shown(
            written.title if now.title == shown.title else shown.title,
            written.priority if now.priority == shown.priority else shown.priority,
            written.digest if now.digest == shown.digest else shown.digest,
        )

    def add_note(self, key: str, note_id: str, text: Document) -> None:
        """See `trackers.protocol.KeepsFacts`."""
        issue = self._fetch_issue(key)
        if issue is None or issue.trashed:
            raise PermanentError(f"{key} does not exist in Linear any more")
        self._add_comment(issue.id, f"furrow\0{key}\0{note_id}", text)

    def read_tickets(self, references: Sequence[TicketReference], within_s: float | None) -> list[TicketReading]:
        """See `trackers.protocol.ReadsStates`."""
        return read_issue_states(self._client, references, within_s)

    def close_twin(self, key: str, kept: str, ticket: Ticket) -> None:
        """See `trackers.protocol.ClosesTwins`. An issue that is closed or in the trash already stays as it is."""
        issue = self._fetch_issue(key)
        if issue is None or issue.trashed or _ticket_state(issue).kind != "open":
            return
        self._add_comment(issue.id, f"furrow\0{key}\0duplicate of {kept}", duplicate_comment(ticket, kept))
        try:
            relation = {"issueId": issue.id, "relatedIssueId": kept, "type": "duplicate"}
            self._client.send(queries.RELATE, input=relation)
        except PermanentError as refusal:
            _log.warning("%s cannot be related to %s: %s", key, kept, refusal)
        states = self._client.query(StatesAnswer, queries.STATES, id=issue.id).issue.team.states.nodes
        closing = [state for wanted in ("duplicate", "canceled") for state in states if state.type == wanted]
        if not closing:
            raise PermanentError("the Linear team has no state for duplicates, and none for canceled work")
        self._client.send(queries.REOPEN, id=issue.id, input={"stateId": closing[0].id})

    def check_access(self) -> str:
        """Read each team that gets tickets; see `trackers.protocol.RemoteTracker`."""
        found = set()
        for place, when, fields in self._plan.list_combinations():
            for key in self._list_teams(when.get("application", ("*",)), find_field(fields, "team")):
                found.add(key)
                try:
                    self._writer.write_fields(key, self._read_team_id(key), fields)
                except WrongFields as error:
                    raise WrongFields(f"{place}: {error}") from error
        return f"{'team' if len(found) == 1 else 'teams'} {', '.join(sorted(found))}"

    def _list_teams(self, applications: Sequence[str], fixed: str) -> list[str]:
        """The keys of the teams that get tickets of these applications."""
        if fixed:
            return [fixed]
        named = [
            key
            for project, key in self._teams.items()
            if any(fnmatchcase(project, pattern) for pattern in applications)
        ]
        others = self._team and any(pattern not in self._teams for pattern in applications)
        return sorted({*named, *([self._team] if others else [])})

    # Steps
    # --------------------------------------------------------------------------------------------------------------

    def _create_issue(self, ticket: Ticket, client_id: UUID) -> Issue:
        key = self._team_key(ticket)
        team_id = self._read_team_id(key)
        further: dict[str, object] = {}
        if ticket.fields:
            further = self._writer.write_fields(key, team_id, ticket.fields, ticket.owner_fields)
        labels = dict.fromkeys([*ticket.labels, *read_labels(ticket.fields)])
        issue = {
            **further,
            "id": str(client_id),
            "teamId": team_id,
            "title": ticket.title,
            "description": ticket_to_markdown(ticket),
            "priority": PRIORITIES.get(ticket.priority, 0),
            "labelIds": self._ensure_labels(team_id, labels),
        }
        pass_fence()
        try:
            created = self._client.query(CreateIssueAnswer, queries.CREATE, input=issue).issue_create
            if not created.success or not created.issue:
                raise PermanentError("Linear did not create the issue and did not say why")
            if created.issue.id.lower() != str(client_id):
                raise TransientError("Linear answered with another issue than the one that it was asked to create")
            return created.issue
        except PermanentError as refusal:
            # Linear refuses a second issue with the same id: the first one is then the ticket.
            found = self._fetch_issue(str(client_id))
            if found is None:
                refused = find_refused_fields(str(refusal), further)
                if refused and not isinstance(refusal, AccessRefused):
                    raise WrongFields(describe_refused_fields(str(refusal), refused, ticket.owner_fields)) from None
                raise
            return found

    def _fetch_issue(self, id_: str) -> Issue | None:
        """The issue with this id or identifier, also one of before it moved to another team."""
        try:
            issue = self._client.query(IssueAnswer, queries.ISSUE, id=id_).issue
        except MissingObject:
            return None
        if issue and id_.upper() not in (issue.id.upper(), issue.identifier.upper()):
            former = self._client.query(FormerKeysAnswer, queries.FORMER_KEYS, id=issue.id).issue
            keys = former.previous_identifiers if former and former.id == issue.id else None
            if id_.upper() not in {key.upper() for key in keys or ()}:
                raise TransientError(f"Linear answered with another issue than {id_}")
        return issue

    def _missing_ticket(self, key: str, ticket: Ticket) -> PermanentError:
        """The error for an issue that is not there: deleted, or out of sight with its whole team."""
        self._team_ids.clear()
        try:
            self._read_team_id(self._team_key(ticket))
        except PermanentError as refusal:
            return AccessRefused(f"{key} cannot be read, and neither can its team: {refusal}")
        return MissingTicket(f"{key} does not exist in Linear any more, or is in its trash")

    def _find_by_page_url(self, ticket: Ticket) -> Issue | None:
        # The former ticket has the page attached, too; this one is known by its id.
        if not ticket.url or ticket.follows:
            return None
        try:
            attachments = self._client.query(AttachmentAnswer, queries.BY_URL, url=ticket.url).attachments_for_url.nodes
        except PermanentError as refusal:
            # Needed only when Furrow's own records are lost; the id alone prevents duplicates.
            _log.warning("Linear does not say which issues link to %s: %s", ticket.incident_id, refusal)
            return None
        issues = [
            found.issue
            for found in attachments
            if found.issue and not found.issue.trashed and found.url in (None, ticket.url)
        ]
        return min(issues, key=lambda issue: str(issue.created_at), default=None)

    def _attach_page(self, issue: Issue, ticket: Ticket) -> str:
        """Attach the incident's page. Returns Linear's words if it is refused, else ''."""
        # The URL is the attachment's identity within the issue: the same request again changes nothing.
        if not ticket.url:
            return ""
        subtitle = f"{ticket.severity}, {ticket.priority}"
        attachment = {"issueId": issue.id, "url": ticket.url, "title": "Incident in Furrow", "subtitle": subtitle}
        try:
            self._client.send(queries.ATTACH, input=attachment)
        except PermanentError as refusal:
            # The ticket exists, and the outbox knows its id; the link is added later.
            count_degraded("linear", "refused_link")
            _log.warning("Linear refused the link to %s: %s", ticket.incident_id, refusal)
            return f"Linear refused the link to the incident: {refusal}"
        return ""

    def _add_comment(self, issue_id: str, identity: str, text: Document) -> None:
        # The id is a hash of what the comment reports, so that the same report is the same comment.
        id_ = str(UUID(bytes=hashlib.sha256(identity.encode()).digest()[:16], version=4))
        comment = {"id": id_, "issueId": issue_id, "body": render_markdown(text)}
        try:
            self._client.send(queries.COMMENT, input=comment)
        except PermanentError:
            if not self._has_comment(id_):
                raise

    def _has_comment(self, id_: str) -> bool:
        try:
            return self._client.query(CommentAnswer, queries.FIND_COMMENT, id=id_).comment is not None
        except MissingObject:
            return False

    def _reopen_issue(self, issue_id: str) -> None:
        team = self._client.query(StatesAnswer, queries.STATES, id=issue_id).issue.team
        default = team.default_issue_state
        states = sorted(team.states.nodes, key=lambda state: state.position)
        choices = [default] if default and default.type not in _DONE else []
        choices += [state for wanted in _OPEN for state in states if state.type == wanted]
        if not choices:
            raise PermanentError("the Linear team has no state for open work")
        self._client.send(queries.REOPEN, id=issue_id, input={"stateId": choices[0].id})

    def _team_key(self, ticket: Ticket) -> str:
        key = find_field(ticket.fields, "team") or self._teams.get(ticket.project, self._team)
        if not key:
            raise PermanentError(
                f"no Linear team is set for the project {http_errors.to_safe_line(ticket.project, limit=100)}"
            )
        return key

    def _read_team_id(self, key: str) -> str:
        if key not in self._team_ids:
            teams = self._client.query(TeamAnswer, queries.TEAM, key=key).teams.nodes
            found = next((team.id for team in teams if team.key.lower() == key.lower()), None)
            if found is None:
                raise AccessRefused(f"Linear has no team with the key {key!r} that this API key may see")
            self._team_ids[key] = found
        return self._team_ids[key]

    # Labels: Linear requires ids. A ticket is filed without the labels that cannot be read or created.

    def _ensure_labels(self, team_id: str, names: Iterable[str]) -> list[str]:
        wanted = list(names)
        missing = [name for name in wanted if (team_id, name) not in self._label_ids]
        if missing:
            try:
                self._look_up_labels(team_id, missing)
            except PermanentError as refusal:
                _log.warning("Linear's labels cannot be read: %s", refusal)
                return []
        for name in missing:
            if (team_id, name) not in self._label_ids:
                self._create_label(team_id, name)
        ids = [self._label_ids.get((team_id, name), "") for name in wanted]
        return [id_ for id_ in dict.fromkeys(ids) if id_]

    def _look_up_labels(self, team_id: str, names: Iterable[str]) -> None:
        filters = [{"name": {"eqIgnoreCase": name}} for name in names]
        for label in self._client.query(LabelAnswer, queries.LABELS, names=filters).issue_labels.nodes:
            if label.team is None or label.team.id == team_id:
                # A group of labels occupies the name but cannot be put on an issue.
                self._label_ids[team_id, label.name.lower()] = "" if label.is_group else label.id

    def _create_label(self, team_id: str, name: str) -> None:
        label = {"name": name, "teamId": team_id}
        try:
            created = self._client.query(CreateLabelAnswer, queries.CREATE_LABEL, input=label).issue_label_create
            if (created.issue_label.name or name).lower() != name.lower():
                raise TransientError("Linear answered with another label than the one that it was asked to create")
            self._label_ids[team_id, name] = created.issue_label.id
        except PermanentError as refusal:
            # Another exporter may have created it at this moment. Otherwise it is not requested again.
            self._look_up_labels(team_id, [name])
            if self._label_ids.setdefault((team_id, name), "") == "":
                _log.warning("Linear refused the label %s: %s", name, refusal)

    def _filed_ticket(self, issue: Issue) -> Filed:
        if not _KEY.fullmatch(issue.identifier):
            raise TransientError("Linear answered without the identifier of the issue")
        return Filed(issue.identifier, self._ticket_url(issue.url or "", issue.identifier))

    def _ticket_url(self, url: str, key: str) -> str:
        """The URL in Linear's answer if it is Linear's own, else one made from the key."""
        parts = urlsplit(url)
        ours = parts.scheme == "https" and parts.hostname == _SITE
        theirs = parts.scheme in ("http", "https") and parts.hostname == self._client.host
        plain = not parts.username and not re.search(r"[\s<>()\[\]|\\\"'`]", url)
        return url if (ours or theirs) and plain else f"https://{_SITE}/issue/{key}"


def _describe_shown(issue: Issue) -> Shown:
    if issue.title is None:
        return Shown()
    digest = hashlib.sha256((issue.description or "").encode()).hexdigest()
    return Shown(issue.title, None if issue.priority is None else str(int(issue.priority)), digest)


def _ticket_state(issue: Issue) -> TicketState:
    if issue.archived_at:
        return TicketState("archived", parse_linear_time(issue.archived_at))
    if issue.state and issue.state.type in _DONE:
        return TicketState("done", parse_linear_time(issue.completed_at or issue.canceled_at))
    return TicketState("open")
