"""Requests to Linear's GraphQL API: typed answers, and Furrow's errors."""

import re
from collections.abc import Mapping
from typing import NoReturn, TypeVar

import httpx
import msgspec
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from core.http_errors import describe_http_error
from trackers import gate, http_errors, transport
from trackers.gate import AccessRefused, RateLimited
from trackers.linear.answers import Envelope, Error
from trackers.transport import Reach

_Answer = TypeVar("_Answer")
_NOT_THERE = re.compile("not found|could not find|cannot return null", re.IGNORECASE)
# Codes of Linear's own failures; two writers at one issue get LOCK_TIMEOUT.
_SERVER_ERRORS = {"INTERNAL_SERVER_ERROR", "INTERNAL_ERROR", "LOCK_TIMEOUT", "BOOTSTRAP_ERROR", "NETWORK_ERROR"}


_ACCESS_ERRORS = {"AUTHENTICATION_ERROR", "FORBIDDEN"}


class RefusedCredentials(AccessRefused):
    """Linear does not take the key."""

    everything = True


class MissingObject(PermanentError):
    """Linear has no such object."""


class LinearClient:
    """One workspace of Linear. Thread-safe until it is closed."""

    def __init__(self, api_key: SecretStr | None, url: str, reach: Reach) -> None:
        """Nothing is sent yet. Raises PermanentError for a URL or a key that cannot be used."""
        self._key = http_errors.read_credential(api_key, "the Linear API key")
        self._url = url
        self.host = reach.check_url(url, "Linear's API")
        # The header of a personal key is the key alone; OAuth tokens need "Bearer".
        authorization = f"Bearer {self._key}" if self._key.startswith("lin_oauth") else self._key
        self._client = transport.httpx_client(
            reach,
            self.host,
            headers={"Authorization": authorization, "User-Agent": "furrow"},
            timeout=httpx.Timeout(http_errors.ANSWER_SECONDS, connect=http_errors.CONNECT_SECONDS),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def query(self, answer: type[_Answer], document: str, **variables: object) -> _Answer:
        """Send a document; its ``data``.

        Raises TransientError when the same request may succeed later, MissingObject or PermanentError otherwise.
        """
        return self._decode(self.send(document, **variables), answer)

    def send(self, document: str, **variables: object) -> msgspec.Raw:
        """As `query`, for documents whose ``data`` is not read."""
        return gate.send_request(lambda: self._send_once(document, variables))

    def _send_once(self, document: str, variables: Mapping[str, object]) -> msgspec.Raw:
        try:
            answer = self._client.post(self._url, json={"query": document.strip(), "variables": variables})
        except httpx.UnsupportedProtocol:
            raise PermanentError("the address of Linear's API is not one of the web") from None
        except httpx.HTTPError as error:
            raise TransientError(f"Linear did not answer at {self.host} ({describe_http_error(error)})") from None
        transport.refuse_redirect(answer.status_code, answer.headers.get("location"), "Linear")
        try:
            envelope = msgspec.json.decode(answer.content, type=Envelope)
        except msgspec.MsgspecError:
            self._raise_refusal(answer, [], _describe_content(answer))
        errors = envelope.errors or []
        if errors or answer.is_error or not bytes(envelope.data).lstrip().startswith(b"{"):
            self._raise_refusal(answer, errors, "")
        gate.note_exhausted(http_errors.seconds_until_renewed(answer.headers))
        return envelope.data

    def _decode(self, data: msgspec.Raw, answer: type[_Answer]) -> _Answer:
        try:
            return msgspec.json.decode(data, type=answer)
        except msgspec.MsgspecError:
            raise TransientError("Linear answered in an unknown form") from None

    def _raise_refusal(self, answer: httpx.Response, errors: list[Error], fallback: str) -> NoReturn:
        """Raise the error that the answer means. A rate limit has HTTP 400 and the code RATELIMITED."""
        codes = {error.code for error in errors}
        reason = "; ".join(error.text for error in errors) or fallback or "no reason given"
        message = f"Linear answered {answer.status_code}: {http_errors.to_safe_line(reason, [self._key])}"
        if "RATELIMITED" in codes or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise RateLimited(message, retry_after=http_errors.seconds_until_retry(answer.headers, is_limit=True))
        if (
            http_errors.is_transient_status(answer.status_code)
            or codes & _SERVER_ERRORS
            or not (errors or answer.is_error)
        ):
            wait = http_errors.seconds_until_retry(answer.headers, is_limit=False)
            raise TransientError(message, retry_after=wait)
        if answer.status_code in (401, 403) or codes & _ACCESS_ERRORS:
            raise RefusedCredentials(message) if _is_about_token(answer, codes) else AccessRefused(message)
        if errors and _NOT_THERE.search(reason):
            raise MissingObject(message)
        raise PermanentError(message)


def _is_about_token(answer: httpx.Response, codes: set[str]) -> bool:
    return answer.status_code == httpx.codes.UNAUTHORIZED or "AUTHENTICATION_ERROR" in codes


def _describe_content(answer: httpx.Response) -> str:
    """An answer that is not JSON; the caller removes the key."""
    page = http_errors.describe_page(answer.text)
    content = (
        "something else than JSON" if answer.is_success else http_errors.to_safe_line(answer.reason_phrase, limit=100)
    )
    return f"{content} ({page})" if page else content
