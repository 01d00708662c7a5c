"""Jira: tickets as issues of a project; Cloud (REST v3, Atlassian Document Format) and Data Center (v2, wiki markup).

Jira takes no id of ours. A ticket is known by its label ``furrow-<fingerprint>`` and by the entity property ``furrow``,
both set in the very request that creates it. Because Cloud's search lags behind writes, an attempt whose outcome is
unknown is followed by more than a search: the issues that search does not show yet are read one by one, by key, which
never lags.
"""

import json
import logging
import re
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote
from uuid import UUID

import requests
from jira import JIRA, JIRAError
from jira.utils import json_loads
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from trackers import http_errors, transport
from trackers.document import render_adf as adf
from trackers.document import render_wiki as wiki
from trackers.protocol import Filed, TicketState
from trackers.ticket import Ticket, recurrence_comment, ticket_to_adf, ticket_to_wiki
from trackers.transport import Reach

Json = dict[str, Any]
Kind = Literal["cloud", "datacenter"]

# P0–P4 → Jira Highest…Lowest (incidents-and-tickets.md).
PRIORITIES: Final[Mapping[str, str]] = {"P0": "Highest", "P1": "High", "P2": "Medium", "P3": "Low", "P4": "Lowest"}
PROPERTY: Final = "furrow"
# Waits (s) between searches for a ticket that may or may not exist; the search lags by seconds.
LAG: tuple[float, ...] = (1.0, 2.0, 4.0)
_PROJECT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,49})-(\d{1,12})")
# Issues that search does not show are looked for behind the last key that it shows, until so many keys in a row do not
# exist, and in the gaps between the last 50 keys.
_PAGE = 50
_GAP = 5
_MOST_BETWEEN = 20
# "Accepts max 50 ids" (jira-cloud-v3.openapi.json, reconcileIssues).
_MOST_RECONCILED = 50
_log = logging.getLogger("furrow.tickets")


class _JiraClient(JIRA):
    """The package's session, addresses and credentials.

    Its own methods for issues cannot set properties in the request that creates one, ask for all fields before they
    search, and send nulls that the description of Cloud's API forbids.
    """

    def get_json(self, path: str, **params: Any) -> Any:
        return json_loads(self._session.get(self._get_url(path), params=params))

    def post_json(self, path: str, body: Json) -> Any:
        return json_loads(self._session.post(self._get_url(path), data=json.dumps(body)))

    def guard_connections(self, reach: Reach) -> None:
        """Connect within ``reach`` alone, and follow no redirects."""
        transport.guard_session(self._session, reach, "Jira")


class Target(NamedTuple):
    """Where in Jira tickets go: keys of projects, and the type of the issues."""

    projects: tuple[str, ...]
    issue_type: str


class JiraTracker:
    """One site of Jira. Not to be shared between threads. Raises as ``Tracker`` says."""

    def __init__(
        self,
        url: str,
        user: str,
        token: SecretStr | None,
        project: str,
        kind: Kind = "cloud",
        issue_type: str = "Bug",
        projects: Mapping[str, str] | None = None,
        lag: Sequence[float] | None = None,
        reach: Reach | None = None,
    ) -> None:
        """``project`` is the key of the project that gets the tickets; ``projects`` says others by Furrow project.

        ``reach``: where the site may be; None: in the internet, or on this machine.
        """
        secret = http_errors.read_credential(token, "the Jira token")
        reach = reach or Reach()
        reach.check_url(url.strip(), "Jira")
        self._url = url.strip().rstrip("/")
        self._project = project.strip()
        self._projects = dict(projects or {})
        if not self._project and not self._projects:
            raise PermanentError("the Jira project is not set")
        self._cloud = kind == "cloud"
        self._issue_type = issue_type
        # As it is and as it stands in the header of basic authentication.
        self._secrets = (secret, b64encode(f"{user.strip()}:{secret}".encode()).decode())
        self._lag = LAG if lag is None else tuple(lag)
        self._made: list[int] = []
        login: Json = {"basic_auth": (user.strip(), secret)} if user.strip() else {"token_auth": secret}
        self._client = _JiraClient(
            server=self._url,
            options={"rest_api_version": "3" if self._cloud else "2"},
            # The package would repeat POST by itself on connection errors, 429 and 503, and so make duplicates.
            max_retries=0,
            timeout=(http_errors.CONNECT_SECONDS, http_errors.ANSWER_SECONDS),
            get_server_info=False,
            **login,
        )
        self._client.guard_connections(reach)

    @property
    def name(self) -> str:
        """``jira``"""
        return "jira"

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()  # type: ignore[no-untyped-call]

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Filed:
        """Create the issue, or return the one that search knows already."""
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
        # Once more: a request that was given up may have been carried out only now.
        return self._probe_recent_issues(ticket)

    def report_recurrence(self, key: str, ticket: Ticket) -> Filed:
        """Comment that it came back (once for each reason), and open the issue again unless it is archived."""
        state = self.fetch_ticket_state(key)
        if state.kind == "missing":
            raise PermanentError(f"{key} does not exist in Jira any more")
        # An archived issue can neither be commented on nor moved: archived stays archived.
        if state.kind != "archived":
            self._add_comment(key, ticket)
        if state.kind == "done":
            self._reopen_issue(key)
        return self._filed_ticket(key)

    def fetch_ticket_state(self, key: str) -> TicketState:
        """Where the issue stands."""
        try:
            with self._translate_errors("read the issue"):
                issue = self._client.get_json(_issue_path(key), fields="status,resolutiondate,archiveddate")
        except _Missing:
            return TicketState("missing")
        fields = issue.get("fields") or {}
        if fields.get("archiveddate"):
            return TicketState("archived", _parse_jira_time(fields["archiveddate"]))
        if _status_category(fields.get("status")) == "done":
            return TicketState("done", _parse_jira_time(fields.get("resolutiondate")))
        return TicketState("open")

    def fetch_path(self, path: str, **parameters: Any) -> Json:
        """What the site says at ``path`` of its API, asked with GET alone: for checks that change nothing."""
        with self._translate_errors(f"show {path}"):
            return dict(self._client.get_json(path, **parameters))

    @property
    def target(self) -> Target:
        """Where tickets go: the projects' keys, and the type of the issues."""
        keys = {self._project, *self._projects.values()} - {""}
        return Target(tuple(sorted(keys)), self._issue_type)

    # Creating
    # --------------------------------------------------------------------------------------------------------------

    def _create_issue(self, ticket: Ticket, client_id: UUID) -> Filed:
        fields: Json = {
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
            made = self._post_issue(body)
        except _Refused as refusal:
            # Many projects have no field for the priority, or names of their own for it: better a ticket without.
            if refusal.fields != {"priority"} or "priority" not in fields:
                raise
            del fields["priority"]
            made = self._post_issue(body)
        if str(made.get("id", "")).isdigit():
            self._made.append(int(made["id"]))
        return self._filed_ticket(str(made.get("key", "")))

    def _post_issue(self, body: Json) -> Json:
        with self._translate_errors("create the issue"):
            made = self._client.post_json("issue", body)
        if not isinstance(made, dict):
            raise TransientError("Jira answered without the issue that it created")
        return made

    def _project_key(self, ticket: Ticket) -> str:
        key = self._projects.get(ticket.project, self._project)
        if not key:
            raise PermanentError(
                f"no Jira project is set for the project {http_errors.to_safe_line(ticket.project, limit=100)}"
            )
        if not _PROJECT.fullmatch(key):
            raise PermanentError(f"{http_errors.to_safe_line(key, limit=100)!r} is no key of a Jira project")
        return key

    # Finding
    # --------------------------------------------------------------------------------------------------------------

    def _search_by_label(self, ticket: Ticket) -> Filed | None:
        """The oldest issue with the ticket's label, as far as search knows; in whatever project it is by now."""
        return self._oldest_issue(
            ticket, self._search_issues(f'labels = "{_ticket_label(ticket)}" ORDER BY created ASC')
        )

    def _oldest_issue(self, ticket: Ticket, issues: Iterable[Json]) -> Filed | None:
        label = _ticket_label(ticket)
        ours = [issue for issue in issues if label in ((issue.get("fields") or {}).get("labels") or ())]
        keys = sorted((issue["key"] for issue in ours), key=_issue_number)
        return self._filed_ticket(keys[0]) if keys else None

    def _search_issues(self, jql: str) -> list[Json]:
        body: Json = {"jql": jql, "fields": ["labels"], "maxResults": _PAGE}
        if self._cloud and self._made:
            body["reconcileIssues"] = self._made[-_MOST_RECONCILED:]
        with self._translate_errors("search"):
            answer = self._client.post_json("search/jql" if self._cloud else "search", body)
        return [issue for issue in answer.get("issues") or () if _KEY.fullmatch(str(issue.get("key")))]

    def _probe_recent_issues(self, ticket: Ticket) -> Filed | None:
        """Read the issues around the end of the project that search does not show; reading by key does not lag."""
        project = self._project_key(ticket)
        try:
            shown = self._search_issues(f'project = "{project}" ORDER BY created DESC')
        except PermanentError:
            # Search may be refused where creating is not; what this would find, the searches that follow may too.
            return None
        if found := self._oldest_issue(ticket, shown):
            return found
        numbers = {
            _issue_number(issue["key"]) for issue in shown if issue["key"].upper().startswith(f"{project.upper()}-")
        }
        last, missing = max(numbers, default=0), 0
        for number in _unseen_numbers(numbers):
            if number > last and missing >= _GAP:
                continue
            kept = self._read_identity(f"{project}-{number}")
            missing = missing + 1 if kept is None else 0
            if kept and (_ticket_label(ticket) in kept[1] or kept[2] == ticket.incident_id):
                return self._filed_ticket(kept[0])
        return None

    def _read_identity(self, key: str) -> tuple[str, Sequence[str], object] | None:
        """Key, labels and incident of one issue; None when there is none with this key."""
        try:
            with self._translate_errors("read an issue"):
                issue = self._client.get_json(_issue_path(key), fields="labels", properties=PROPERTY)
        except _Missing:
            return None
        except _Refused:  # not ours to see
            return None
        identity = (issue.get("properties") or {}).get(PROPERTY)
        incident = identity.get("incident") if isinstance(identity, dict) else None
        return str(issue.get("key")), (issue.get("fields") or {}).get("labels") or (), incident

    # Telling
    # --------------------------------------------------------------------------------------------------------------

    def _add_comment(self, key: str, ticket: Ticket) -> None:
        digest = sha256(f"{ticket.incident_id}\0{ticket.came_back}".encode()).hexdigest()[:32]
        if digest in self._read_comment_digests(key):
            return
        text = recurrence_comment(ticket)
        body = {
            "body": adf(text) if self._cloud else wiki(text),
            "properties": [{"key": PROPERTY, "value": {"told": digest}}],
        }
        with self._translate_errors("comment on the issue"):
            self._client.post_json(f"{_issue_path(key)}/comment", body)

    def _read_comment_digests(self, key: str) -> set[object]:
        """What the latest comments told already, as far as they may be read."""
        try:
            with self._translate_errors("read the comments"):
                page = self._client.get_json(
                    f"{_issue_path(key)}/comment", expand="properties", orderBy="-created", maxResults=_PAGE
                )
        except PermanentError as refusal:
            _log.warning("the comments of %s cannot be read: %s", key, refusal)
            return set()
        return {_comment_digest(comment) for comment in page.get("comments") or ()}

    def _reopen_issue(self, key: str) -> None:
        with self._translate_errors("read the transitions"):
            transitions = self._client.get_json(f"{_issue_path(key)}/transitions").get("transitions") or ()
        # What leads to "to do" before what leads to "in progress"; of those, what is called so.
        ways = [
            transition
            for transition in transitions
            if _status_category(transition.get("to")) in ("new", "indeterminate")
        ]
        ways.sort(
            key=lambda transition: (
                _status_category(transition["to"]) != "new",
                "reopen" not in str(transition.get("name")).lower(),
            )
        )
        if not ways:
            _log.warning("Jira offers no way to open %s again; it was commented on", key)
            return
        with self._translate_errors("open the issue again"):
            self._client.post_json(f"{_issue_path(key)}/transitions", {"transition": {"id": str(ways[0]["id"])}})

    # The wire
    # --------------------------------------------------------------------------------------------------------------

    def _filed_ticket(self, key: str) -> Filed:
        if not _KEY.fullmatch(key):
            raise TransientError("Jira answered without the key of the issue")
        # The address is made of what was configured; what Jira answers leads nowhere.
        return Filed(key, f"{self._url}/browse/{key}")

    @contextmanager
    def _translate_errors(self, doing: str) -> Iterator[None]:
        """Errors of the package as Furrow's; their own texts hold headers and bodies and are not repeated."""
        try:
            yield
        except JIRAError as error:
            raise self._classify_error(error) from None
        except _NEVER:
            raise PermanentError(
                f"Jira cannot be asked to {doing}: the address {self._url} or the token cannot be sent"
            ) from None
        except ValueError:
            raise TransientError(f"Jira answered with something else than JSON when asked to {doing}") from None
        except requests.RequestException as error:
            raise TransientError(
                f"Jira did not answer at {self._url} ({_describe_request_error(error)}) when asked to {doing}"
            ) from None

    def _classify_error(self, error: JIRAError) -> TransientError | PermanentError:
        status = error.status_code or 0
        answer = error.response
        fields, reason = _parse_refusal(answer)
        message = f"Jira answered {status}: {http_errors.to_safe_line(reason or 'no reason given', self._secrets)}"
        if answer is None or status == 0 or http_errors.is_transient_status(status):
            return TransientError(
                message, retry_after=http_errors.seconds_until_retry(answer.headers) if answer is not None else None
            )
        return _Missing(message) if status == requests.codes.not_found else _Refused(message, fields)


def _describe_request_error(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not valid"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refused"
    words = str(error)
    if "refused" in words:
        return "connection refused"
    return "there is no such host" if "resolve" in words or "Name or service" in words else "the connection broke off"


class _Refused(PermanentError):
    """Jira said no, and to which fields."""

    def __init__(self, message: str, fields: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.fields = set(fields)


class _Missing(PermanentError):
    """Jira knows no such thing (404)."""


_NEVER = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.TooManyRedirects,
)


def _parse_refusal(answer: requests.Response | None) -> tuple[list[str], str]:
    """The fields that Jira objects to, and its words."""
    if answer is None:
        return [], ""
    denied = answer.headers.get("x-authentication-denied-reason", "")
    try:
        body = answer.json()
    except ValueError:
        # A page for browsers: its text says nothing that the status does not.
        return [], denied or answer.reason or ""
    if not isinstance(body, dict):
        return [], denied or answer.reason or ""
    errors = body.get("errors")
    by_field = {str(name): str(text) for name, text in errors.items()} if isinstance(errors, dict) else {}
    messages = body.get("errorMessages")
    reasons = (
        [str(message) for message in messages] if isinstance(messages, list) else [str(messages)] if messages else []
    )
    reasons += [f"{name}: {text}" for name, text in by_field.items()]
    reasons += [str(body[name]) for name in ("errorMessage", "message") if body.get(name)]
    return list(by_field), "; ".join([denied] * bool(denied) + reasons) or answer.reason or ""


def _ticket_label(ticket: Ticket) -> str:
    """The label that a ticket is known by; an incident's id is "inc_" and its fingerprint in hexadecimal digits."""
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
    """Numbers of issues that a page of search does not show: those behind its last one, then those between."""
    last = max(shown, default=0)
    yield from range(last + 1, last + 1 + _PAGE)
    between = (number for number in range(last - 1, max(0, last - _PAGE), -1) if number not in shown)
    yield from islice(between, _MOST_BETWEEN)


def _status_category(status: Any) -> str:
    return str(((status or {}).get("statusCategory") or {}).get("key", ""))


def _comment_digest(comment: Json) -> object:
    for entry in comment.get("properties") or ():
        if entry.get("key") == PROPERTY and isinstance(entry.get("value"), dict):
            return entry["value"].get("told")
    return None


def _parse_jira_time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
