"""Linear: tickets as issues of a team, over GraphQL.

A ticket's identity is the issue's ``id``, made and stored by us before the first call: Linear refuses a second issue
with the same id, so that neither a lost answer nor two exporters at once can make two tickets. The address of the
incident's page, kept as the issue's attachment, finds the ticket also where our own ledger was lost.
"""

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from core.http_errors import describe_http_error
from trackers import http_errors, transport
from trackers.document import render_markdown as markdown
from trackers.protocol import Filed, TicketState
from trackers.ticket import Ticket, recurrence_comment, ticket_to_markdown
from trackers.transport import Reach

Json = dict[str, Any]

# 1 urgent, 2 high, 3 medium, 4 low; 0 is "none" (incidents-and-tickets.md).
PRIORITIES: Final[Mapping[str, int]] = {"P0": 1, "P1": 2, "P2": 3, "P3": 4, "P4": 4}
_DONE = {"completed", "canceled", "duplicate"}
# Where a ticket that came back goes, first choice first, when its team names no default.
_OPEN = ("unstarted", "backlog", "triage", "started")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}-\d{1,12}")
_SITE = "linear.app"
_log = logging.getLogger("furrow.tickets")

_ISSUE = "id identifier url"
TEAM = """
query FurrowTeam($key: String!) {
  teams(filter: {key: {eqIgnoreCase: $key}}, first: 50) { nodes { id key } }
}"""
LABELS = """
query FurrowLabels($names: [IssueLabelFilter!]!) {
  issueLabels(filter: {or: $names}, first: 100) { nodes { id name isGroup team { id } } }
}"""
CREATE_LABEL = """
mutation FurrowCreateLabel($input: IssueLabelCreateInput!) {
  issueLabelCreate(input: $input) { success issueLabel { id } }
}"""
CREATE = f"""
mutation FurrowCreate($input: IssueCreateInput!) {{
  issueCreate(input: $input) {{ success issue {{ {_ISSUE} }} }}
}}"""
ISSUE = f"""
query FurrowIssue($id: String!) {{
  issue(id: $id) {{ {_ISSUE} archivedAt trashed completedAt canceledAt state {{ type }} }}
}}"""
BY_URL = f"""
query FurrowAttachments($url: String!) {{
  attachmentsForURL(url: $url, first: 10, includeArchived: true) {{ nodes {{ issue {{ {_ISSUE} createdAt }} }} }}
}}"""
ATTACH = """
mutation FurrowAttach($input: AttachmentCreateInput!) { attachmentCreate(input: $input) { success } }"""
COMMENT = """
mutation FurrowComment($input: CommentCreateInput!) { commentCreate(input: $input) { success } }"""
FIND_COMMENT = """
query FurrowFindComment($id: String!) { comment(id: $id) { id } }"""
STATES = """
query FurrowStates($id: String!) {
  issue(id: $id) { team { defaultIssueState { id type } states(first: 100) { nodes { id type position } } } }
}"""
REOPEN = """
mutation FurrowReopen($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success } }"""

DOCUMENTS: Final = (
    TEAM, LABELS, CREATE_LABEL, CREATE, ISSUE, BY_URL, ATTACH, COMMENT, FIND_COMMENT, STATES, REOPEN,
)  # fmt: skip


class _Missing(PermanentError):
    """Linear knows no such thing."""


class LinearTracker:
    """One workspace of Linear. Thread-safe as long as nobody closes it. Raises as ``Tracker`` says."""

    def __init__(
        self,
        api_key: SecretStr | None,
        team: str,
        url: str,
        teams: Mapping[str, str] | None = None,
        reach: Reach | None = None,
    ) -> None:
        """``team`` is the key of the team that gets the tickets; ``teams`` says others by Furrow project.

        ``reach``: where ``url`` may lead; None: into the internet, or to this machine.
        """
        self._key = http_errors.read_credential(api_key, "the Linear API key")
        self._team = team.strip()
        self._teams = dict(teams or {})
        if not self._team and not self._teams:
            raise PermanentError("the Linear team is not set")
        reach = reach or Reach()
        self._url = url
        self._host = reach.check_url(url, "Linear's API")
        # Personal keys stand alone in the header, OAuth tokens behind "Bearer".
        authorization = f"Bearer {self._key}" if self._key.startswith("lin_oauth") else self._key
        self._client = transport.httpx_client(
            reach,
            self._host,
            headers={"Authorization": authorization, "User-Agent": "furrow"},
            timeout=httpx.Timeout(http_errors.ANSWER_SECONDS, connect=http_errors.CONNECT_SECONDS),
        )
        self._team_ids: dict[str, str] = {}
        self._label_ids: dict[tuple[str, str], str] = {}

    @property
    def name(self) -> str:
        """``linear``"""
        return "linear"

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Filed:
        """Create the issue and attach the incident's page to it, or return the issue that is there already."""
        found = self._find_by_page_url(ticket)
        if found is None:
            found = self._create_issue(ticket, client_id)
        self._attach_page(found, ticket)
        return self._filed_ticket(found)

    def find_ticket(self, ticket: Ticket, client_id: UUID, patient: bool = True) -> Filed | None:
        """The issue with this id or with the incident's page attached; its attachment is made good if it lacks."""
        found = self._fetch_issue(str(client_id)) or self._find_by_page_url(ticket)
        if found is None:
            return None
        self._attach_page(found, ticket)
        return self._filed_ticket(found)

    def report_recurrence(self, key: str, ticket: Ticket) -> Filed:
        """Comment that it came back (once for each reason), and open the issue again unless it is archived."""
        issue = self._fetch_issue(key)
        if issue is None:
            raise PermanentError(f"{key} does not exist in Linear any more")
        self._add_comment(issue["id"], key, ticket)
        if _ticket_state(issue).kind == "done":
            self._reopen_issue(issue["id"])
        return self._filed_ticket(issue)

    def fetch_ticket_state(self, key: str) -> TicketState:
        """Where the issue stands; one in the trash counts as archived."""
        issue = self._fetch_issue(key)
        return TicketState("missing") if issue is None else _ticket_state(issue)

    def check_access(self) -> str:
        """Read each team that gets tickets; see `trackers.protocol.RemoteTracker`."""
        projects = {key: project for project, key in [("", self._team), *self._teams.items()] if key}
        for project in projects.values():
            self._team_id(project)
        return f"{'team' if len(projects) == 1 else 'teams'} {', '.join(sorted(projects))}"

    # Steps
    # --------------------------------------------------------------------------------------------------------------

    def _create_issue(self, ticket: Ticket, client_id: UUID) -> Json:
        team_id = self._team_id(ticket.project)
        issue = {
            "id": str(client_id),
            "teamId": team_id,
            "title": ticket.title,
            "description": ticket_to_markdown(ticket),
            "priority": PRIORITIES.get(ticket.priority, 0),
            "labelIds": self._ensure_labels(team_id, ticket.labels),
        }
        try:
            answer = self._query_api(CREATE, input=issue)["issueCreate"]
            if not answer["success"] or not answer["issue"]:
                raise PermanentError("Linear did not create the issue and did not say why")
            return dict(answer["issue"])
        except PermanentError:
            # A second issue with the same id is refused: then the first one is what we want.
            found = self._fetch_issue(str(client_id))
            if found is None:
                raise
            return found

    def _fetch_issue(self, id_: str) -> Json | None:
        try:
            found = self._query_api(ISSUE, id=id_)["issue"]
        except _Missing:
            return None
        return dict(found) if found else None

    def _find_by_page_url(self, ticket: Ticket) -> Json | None:
        if not ticket.url:
            return None
        try:
            nodes = self._query_api(BY_URL, url=ticket.url)["attachmentsForURL"]["nodes"]
        except PermanentError as refusal:
            # Only who lost the ledger needs this; the id alone already makes two tickets impossible.
            _log.warning("Linear does not say which issues link to %s: %s", ticket.incident_id, refusal)
            return None
        issues = [node["issue"] for node in nodes if node.get("issue")]
        return min(issues, key=lambda issue: str(issue.get("createdAt")), default=None)

    def _attach_page(self, issue: Json, ticket: Ticket) -> None:
        # Linear takes the address as the attachment's identity within the issue: a second time changes nothing.
        if not ticket.url:
            return
        subtitle = f"{ticket.severity}, {ticket.priority}"
        attachment = {"issueId": issue["id"], "url": ticket.url, "title": "Incident in Furrow", "subtitle": subtitle}
        try:
            self._query_api(ATTACH, input=attachment)
        except PermanentError as refusal:
            # The ticket exists all the same, and the ledger knows it by its id.
            _log.warning("Linear refused the link to %s: %s", ticket.incident_id, refusal)

    def _add_comment(self, issue_id: str, key: str, ticket: Ticket) -> None:
        # The id says what is told: the same news a second time is the same comment.
        digest = hashlib.sha256(f"furrow\0{key}\0{ticket.incident_id}\0{ticket.came_back}".encode()).digest()
        id_ = str(UUID(bytes=digest[:16], version=4))
        try:
            self._query_api(
                COMMENT, input={"id": id_, "issueId": issue_id, "body": markdown(recurrence_comment(ticket))}
            )
        except PermanentError:
            if not self._has_comment(id_):
                raise

    def _has_comment(self, id_: str) -> bool:
        try:
            return bool(self._query_api(FIND_COMMENT, id=id_)["comment"])
        except _Missing:
            return False

    def _reopen_issue(self, issue_id: str) -> None:
        team = self._query_api(STATES, id=issue_id)["issue"]["team"]
        default = team.get("defaultIssueState")
        states = sorted(team["states"]["nodes"], key=lambda state: state["position"])
        choices = [default] if default and default["type"] not in _DONE else []
        choices += [state for wanted in _OPEN for state in states if state["type"] == wanted]
        if not choices:
            raise PermanentError("the Linear team has no state for work that is open")
        self._query_api(REOPEN, id=issue_id, input={"stateId": choices[0]["id"]})

    def _team_id(self, project: str) -> str:
        key = self._teams.get(project, self._team)
        if not key:
            raise PermanentError(
                f"no Linear team is set for the project {http_errors.to_safe_line(project, limit=100)}"
            )
        if key not in self._team_ids:
            teams = self._query_api(TEAM, key=key)["teams"]["nodes"]
            found = next((team["id"] for team in teams if team["key"].lower() == key.lower()), None)
            if found is None:
                raise PermanentError(f"Linear has no team with the key {key!r} that this API key may see")
            self._team_ids[key] = found
        return self._team_ids[key]

    # Labels: Linear wants ids. They are an extra: a ticket is filed without those that cannot be had.

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
        for label in self._query_api(LABELS, names=filters)["issueLabels"]["nodes"]:
            team = label.get("team")
            if team is None or team["id"] == team_id:
                # A group of labels takes the name but cannot be put on an issue.
                self._label_ids[team_id, label["name"].lower()] = "" if label["isGroup"] else label["id"]

    def _create_label(self, team_id: str, name: str) -> None:
        try:
            made = self._query_api(CREATE_LABEL, input={"name": name, "teamId": team_id})["issueLabelCreate"][
                "issueLabel"
            ]
            self._label_ids[team_id, name] = made["id"]
        except PermanentError as refusal:
            # Another exporter may have made it at this moment; else it is not asked for again.
            self._look_up_labels(team_id, [name])
            if self._label_ids.setdefault((team_id, name), "") == "":
                _log.warning("Linear refused the label %s: %s", name, refusal)

    # The wire
    # --------------------------------------------------------------------------------------------------------------

    def _filed_ticket(self, issue: Json) -> Filed:
        key = str(issue["identifier"])
        if not _KEY.fullmatch(key):
            raise TransientError("Linear answered without the identifier of the issue")
        return Filed(key, self._ticket_url(str(issue.get("url") or ""), key))

    def _ticket_url(self, url: str, key: str) -> str:
        """The address that Linear gave, if it is one of Linear's own; else the one that leads there by the key."""
        parts = urlsplit(url)
        ours = parts.scheme == "https" and parts.hostname == _SITE
        theirs = parts.scheme in ("http", "https") and parts.hostname == self._host
        plain = not parts.username and not re.search(r"[\s<>()\[\]|\\\"'`]", url)
        return url if (ours or theirs) and plain else f"https://{_SITE}/issue/{key}"

    def _query_api(self, document: str, **variables: Any) -> Json:
        try:
            answer = self._client.post(self._url, json={"query": document.strip(), "variables": variables})
        except httpx.UnsupportedProtocol:
            raise PermanentError("the address of Linear's API is not one of the web") from None
        except httpx.HTTPError as error:
            raise TransientError(f"Linear did not answer at {self._host} ({describe_http_error(error)})") from None
        transport.refuse_redirect(answer.status_code, answer.headers.get("location"), "Linear")
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self._raise_refusal(answer, [], http_errors.to_safe_line(answer.reason_phrase, limit=100))
        errors = [error for error in body.get("errors") or () if isinstance(error, dict)]
        if errors or answer.is_error or not isinstance(body.get("data"), dict):
            self._raise_refusal(answer, errors, "")
        return dict(body["data"])

    def _raise_refusal(self, answer: httpx.Response, errors: list[Json], fallback: str) -> NoReturn:
        """Raise what the answer means. A rate limit comes as HTTP 400 with the code RATELIMITED."""
        extensions = [error.get("extensions") or {} for error in errors]
        codes = {str(extension.get("code", "")).upper() for extension in extensions}
        reason = "; ".join(_error_words(error) for error in errors) or fallback or "no reason given"
        message = f"Linear answered {answer.status_code}: {http_errors.to_safe_line(reason, [self._key])}"
        if "RATELIMITED" in codes:
            raise TransientError(message, retry_after=http_errors.seconds_until_retry(answer.headers))
        if (
            http_errors.is_transient_status(answer.status_code)
            or codes & _THEIR_FAULT
            or not (errors or answer.is_error)
        ):
            raise TransientError(message, retry_after=http_errors.seconds_until_retry(answer.headers))
        if errors and answer.status_code not in (401, 403) and _NOT_THERE.search(reason):
            raise _Missing(message)
        raise PermanentError(message)


_NOT_THERE = re.compile("not found|could not find|cannot return null", re.IGNORECASE)
# Codes of errors that are Linear's own; "LOCK_TIMEOUT" is what two writers at one issue get.
_THEIR_FAULT = {"INTERNAL_SERVER_ERROR", "INTERNAL_ERROR", "LOCK_TIMEOUT", "BOOTSTRAP_ERROR", "NETWORK_ERROR"}


def _error_words(error: Json) -> str:
    extensions = error.get("extensions") or {}
    message, shown = str(error.get("message") or ""), str(extensions.get("userPresentableMessage") or "")
    return f"{message} ({shown})" if shown and shown != message else message


def _ticket_state(issue: Json) -> TicketState:
    if issue.get("archivedAt") or issue.get("trashed"):
        return TicketState("archived", _parse_linear_time(issue.get("archivedAt")))
    if issue["state"]["type"] in _DONE:
        return TicketState("done", _parse_linear_time(issue.get("completedAt") or issue.get("canceledAt")))
    return TicketState("open")


def _parse_linear_time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
