"""A client of the collector's API for operators (docs/http-api.md)."""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import NotRequired, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from typing_extensions import TypedDict

from core.errors import PermanentError, TransientError, WrongUse
from core.http_errors import describe_http_error
from core.package import VERSION
from core.roles import PersonRole
from furrow.clients.addresses import is_server_address
from incidents.incident import OwnedIncident, OwnedIncidentDetail
from incidents.releases import ReleaseRecord
from incidents.verdicts import ExemptionRecord, VerdictRecord

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_INCIDENT_ID = re.compile(r"[A-Za-z0-9_\-]{1,100}")
_EXCEPTION_ID = re.compile(r"exc_[0-9a-f]{32}")
_LONGEST_REASON = 500
T = TypeVar("T")


class IncidentPage(TypedDict):
    """A page of incidents."""

    incidents: list[OwnedIncident]
    total: int
    """All incidents that match the filters."""
    limit: int
    offset: int
    next: NotRequired[str | None]
    """Cursor of the next page; None on the last one."""


class BulkError(TypedDict):
    """Why an incident was left alone."""

    code: str
    message: str


class BulkResult(TypedDict):
    """What became of one incident; ``code``: the status that a call for it alone would have."""

    incidentId: str
    code: int
    status: str | None
    version: int | None
    error: BulkError | None


class _BulkAnswer(TypedDict):
    results: list[BulkResult]


class SessionVerdicts(TypedDict):
    """All verdicts on a session of an incident, the newest first."""

    incidentId: str
    sessionId: str
    verdicts: list[VerdictRecord]


class ProposedException(TypedDict):
    """An exception that verdicts propose."""

    exceptionId: str
    projectId: str
    text: str
    sessions: int
    reason: str


class ExceptionList(TypedDict):
    """Exceptions of projects, and what verdicts propose."""

    proposals: list[ProposedException]
    exceptions: list[ExemptionRecord]


class SignInLink(TypedDict):
    """A link that signs one person in on the pages, once."""

    url: str
    expiresAt: str


class ReleaseList(TypedDict):
    """Releases of a project, the newest first."""

    releases: list[ReleaseRecord]


class ReleaseAdded(TypedDict):
    """A release was stored; the incidents that were fixed in the next release, which is this one."""

    incidents: list[str]


class _ProjectList(TypedDict):
    projects: list[str]


class _NotFound(PermanentError):
    """The collector answered 404."""


class OperatorApi:
    """A client of one collector with one operator key.

    Every method raises PermanentError or TransientError with one line for users, also for an answer that lacks keys, as of a
    collector of another version. Keys that this version does not know are kept.
    """

    def __init__(self, url: str, key: str, timeout: float = 30.0) -> None:
        base = check_url(url).rstrip("/")
        if not key.isascii() or not key.isprintable():
            raise WrongUse("an operator key has only printable ASCII characters")
        self._url = base
        self._client = httpx.Client(
            base_url=base,
            timeout=timeout,
            # A proxy of the environment cannot reach this machine's own addresses.
            trust_env=urlsplit(base).hostname not in _LOOPBACK,
            headers={"x-api-key": key, "user-agent": f"furrow/{VERSION}"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._client.close()

    def list_incidents(self, filters: Mapping[str, str]) -> IncidentPage:
        """A page of the incidents that match ``filters`` (query parameters of ``GET /v1/incidents``)."""
        return self._call_collector(IncidentPage, "GET", "/v1/incidents", filters=filters)

    def list_projects(self) -> list[str]:
        """The projects that the key sees; an empty list from a collector of a version without this endpoint."""
        try:
            return self._call_collector(_ProjectList, "GET", "/v1/projects")["projects"]
        except _NotFound:
            return []

    def get_incident(self, incident_id: str) -> OwnedIncidentDetail:
        """One incident with its history, example sessions and timelines."""
        return self._call_collector(OwnedIncidentDetail, "GET", f"/v1/incidents/{_check_incident_id(incident_id)}")

    def act_on_incident(self, incident_id: str, action: str, body: Mapping[str, object]) -> OwnedIncident:
        """Confirm, suppress, resolve, reopen, assign, merge or split an incident, and return it as it is afterwards."""
        path = f"/v1/incidents/{_check_incident_id(incident_id)}/{action}"
        return self._call_collector(OwnedIncident, "POST", path, body=body)

    def act_on_many(self, body: Mapping[str, object]) -> list[BulkResult]:
        """Apply one action to many incidents (``POST /v1/incidents/bulk``); a result for each."""
        return self._call_collector(_BulkAnswer, "POST", "/v1/incidents/bulk", body=body)["results"]

    def judge_session(self, incident_id: str, body: Mapping[str, object]) -> SessionVerdicts:
        """Keep, change or take back the key holder's verdict on a session of an incident; all verdicts on the session."""
        path = f"/v1/incidents/{_check_incident_id(incident_id)}/verdict"
        return self._call_collector(SessionVerdicts, "POST", path, body=body)

    def list_exceptions(self, project: str) -> ExceptionList:
        """The exceptions of a project ('': of all that the key sees), and what verdicts propose."""
        return self._call_collector(
            ExceptionList, "GET", "/v1/exceptions", filters={"project": project} if project else {}
        )

    def move_exception(self, exception_id: str, step: str, reason: str) -> ExceptionList:
        """Ask for the replay of an exception (``try``), accept, reject or take it back (``end``)."""
        if not _EXCEPTION_ID.fullmatch(exception_id):
            raise WrongUse(
                "an exception id has the form exc_ and 32 hex digits; `furrow exceptions list` shows the ids"
            )
        return self._call_collector(
            ExceptionList, "POST", f"/v1/exceptions/{exception_id}/{step}", body={"reason": reason}
        )

    def make_sign_in_link(self, role: PersonRole | None = None) -> SignInLink:
        """A new sign-in link with the rights of the key; ``role``: a lower one than the key's."""
        return self._call_collector(SignInLink, "POST", "/v1/sign-in-links", body={"role": role} if role else {})

    def add_release(self, body: Mapping[str, object]) -> ReleaseAdded:
        """Store a release."""
        return self._call_collector(ReleaseAdded, "POST", "/v1/releases", body=body)

    def list_releases(self, project: str, environment: str) -> ReleaseList:
        """The last releases of a project; ``environment`` '': of all."""
        filters = {"project": project, **({"environment": environment} if environment else {})}
        return self._call_collector(ReleaseList, "GET", "/v1/releases", filters=filters)

    def _call_collector(
        self,
        declared: type[T],
        method: str,
        path: str,
        *,
        filters: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> T:
        try:
            answer = self._client.request(method, path, params=dict(filters or {}), json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransientError(
                f"no collector answers at {self._url} ({describe_http_error(error)}); "
                "start one with `furrow up`, or pass --url"
            ) from error
        if answer.is_success:
            return _read_as(declared, self._url, answer)
        raise _make_refusal_error(self._url, answer)


def check_url(url: str) -> str:
    """``url`` if it is valid as the address of a collector. Raises WrongUse otherwise."""
    if not is_server_address(url):
        raise WrongUse(f"the collector's address must have the form http://127.0.0.1:8080, not {url!r}")
    return url


def _check_incident_id(incident_id: str) -> str:
    # It becomes part of a path: "../status" must not reach another endpoint.
    if not _INCIDENT_ID.fullmatch(incident_id):
        raise WrongUse("an incident id has the form inc_ and 32 hex digits; `furrow incidents list` shows the ids")
    return incident_id


def _read_as(declared: type[T], url: str, answer: httpx.Response) -> T:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise PermanentError(f"the server at {url} is not a collector; check --url")
    try:
        msgspec.convert(body, declared)
    except msgspec.ValidationError as error:
        raise PermanentError(
            f"the collector at {url} is of another version than this command ({VERSION}): {str(error)[:_LONGEST_REASON]}"
        ) from None
    checked: T = body  # type: ignore[assignment]  # just checked; its unknown keys are kept
    return checked


def _make_refusal_error(url: str, answer: httpx.Response) -> PermanentError | TransientError:
    collector = f"the collector at {url}"
    reason = f"({answer.status_code}) {_extract_error_message(answer)}"
    match answer.status_code:
        case 401 | 403:
            return PermanentError(
                f"{collector} refused the key {reason}; pass an operator key with --key or FURROW_OPERATOR_KEY"
            )
        case 404:
            return _NotFound(f"{collector} refused the request {reason}")
        case 429 | 502 | 503 | 504:
            return TransientError(f"{collector} cannot answer now {reason}")
        case 400 | 422:
            return WrongUse(f"{collector} refused the request {reason}")
    return PermanentError(f"{collector} refused the request {reason}")


def _extract_error_message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])[:_LONGEST_REASON]
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase[:_LONGEST_REASON]
