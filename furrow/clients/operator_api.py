"""A small client of the collector's operators' API (incidents-and-tickets.md, HTTP)."""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from core.errors import PermanentError, TransientError
from core.http_errors import describe_http_error
from core.package import VERSION

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_INCIDENT_ID = re.compile(r"[A-Za-z0-9_\-]{1,100}")
_LONGEST_WORDS = 500

Json = dict[str, Any]


class OperatorApi:
    """One collector and one operator key. Every method raises PermanentError or TransientError, in one line for people."""

    def __init__(self, url: str, key: str, timeout: float = 30.0) -> None:
        base = url.rstrip("/")
        if not urlsplit(base).hostname or urlsplit(base).scheme not in ("http", "https"):
            raise PermanentError("the collector's address must look like http://127.0.0.1:8080")
        if not key.isascii() or not key.isprintable():
            raise PermanentError("an operator key holds ASCII characters alone")
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

    def list_incidents(self, filters: Mapping[str, str]) -> Json:
        """A page of incidents: ``{"incidents": [...], "total", "limit", "offset"}``."""
        return self._call_collector("GET", "/v1/incidents", params=dict(filters))

    def get_incident(self, incident_id: str) -> Json:
        """One incident with its history, example sessions and timelines."""
        return self._call_collector("GET", f"/v1/incidents/{_check_incident_id(incident_id)}")

    def act_on_incident(self, incident_id: str, action: str, body: Json) -> Json:
        """Confirm, suppress, resolve or reopen; the incident as it is then."""
        return self._call_collector("POST", f"/v1/incidents/{_check_incident_id(incident_id)}/{action}", json=body)

    def _call_collector(self, method: str, path: str, **more: Any) -> Json:
        try:
            answer = self._client.request(method, path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransientError(
                f"no collector answers at {self._url} ({describe_http_error(error)}); "
                "`furrow up` starts one, --url names another"
            ) from error
        if answer.is_success:
            return _decode_json_object(answer)
        raise _make_refusal_error(answer)


def _check_incident_id(incident_id: str) -> str:
    # It becomes part of a path: "../status" must not ask for something else.
    if not _INCIDENT_ID.fullmatch(incident_id):
        raise PermanentError("an incident's id looks like inc_ and 32 hex digits; `furrow incidents list` shows them")
    return incident_id


def _decode_json_object(answer: httpx.Response) -> Json:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise PermanentError("the answer is not a collector's; is --url right?")
    return body


def _make_refusal_error(answer: httpx.Response) -> PermanentError | TransientError:
    reason = f"({answer.status_code}) {_extract_error_message(answer)}"
    match answer.status_code:
        case 401 | 403:
            return PermanentError(
                f"the collector refused the key {reason}; give an operator key: --key, FURROW_OPERATOR_KEY"
            )
        case 429 | 502 | 503 | 504:
            return TransientError(f"the collector cannot answer now {reason}")
    return PermanentError(f"the collector refused {reason}")


def _extract_error_message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])[:_LONGEST_WORDS]
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase[:_LONGEST_WORDS]
