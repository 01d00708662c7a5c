"""Requests to Jira's REST API: one site, typed answers, and Furrow's errors."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeVar

import msgspec
import requests
from jira import JIRA, JIRAError
from jira.utils import json_loads
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from trackers import gate, http_errors, transport
from trackers.gate import AccessRefused, RateLimited
from trackers.jira.answers import Refusal
from trackers.transport import Reach

JiraKind = Literal["cloud", "datacenter"]
_Answer = TypeVar("_Answer")


class RefusedRequest(PermanentError):
    """Jira refused a request; ``fields`` are those that it names as the cause."""

    def __init__(self, message: str, fields: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.fields = set(fields)


class RefusedAccess(RefusedRequest, AccessRefused):
    """Jira refuses the account: 401, 403, or a project that is not there."""

    def __init__(self, message: str, everything: bool = False) -> None:
        super().__init__(message)
        self.everything = everything


class MissingResource(PermanentError):
    """Jira answered 404."""


class _Package(JIRA):
    """Session, addresses and credentials of the package ``jira``.

    Its methods for issues are not used: they cannot set properties in the request that creates an issue, request all fields
    before they search, and send nulls that Cloud's API description forbids.
    """

    def get_json(self, path: str, parameters: Mapping[str, str | int]) -> object:
        return _read_answer(self._session.get(self._get_url(path), params=parameters))

    def post_json(self, path: str, body: Mapping[str, object]) -> object:
        return _read_answer(self._session.post(self._get_url(path), data=json.dumps(body)))

    def put_json(self, path: str, body: Mapping[str, object]) -> object:
        return _read_answer(self._session.put(self._get_url(path), data=json.dumps(body)))

    def guard_connections(self, reach: Reach) -> None:
        transport.guard_session(self._session, reach, "Jira")


def _read_answer(answer: requests.Response) -> object:
    gate.note_exhausted(http_errors.seconds_until_renewed(answer.headers))
    content: object = json_loads(answer)
    return content


class JiraClient:
    """One Jira site. Not to be shared between threads.

    Every request raises TransientError when the same request may succeed later, else PermanentError. ``doing`` names the
    request in messages ("when asked to read the issue").
    """

    def __init__(self, url: str, user: str, token: SecretStr | None, kind: JiraKind, reach: Reach) -> None:
        """Nothing is sent yet. Raises PermanentError for a URL or a token that cannot be used."""
        secret = http_errors.read_credential(token, "the Jira token")
        reach.check_url(url.strip(), "Jira")
        self.url = url.strip().rstrip("/")
        account = user.strip()
        # As it is and as it stands in the header of basic authentication.
        self._secrets = (secret, b64encode(f"{account}:{secret}".encode()).decode())
        self._package = _Package(
            server=self.url,
            options={"rest_api_version": "3" if kind == "cloud" else "2"},
            # The package would repeat POST itself on connection errors, 429 and 503, which creates duplicates.
            max_retries=0,
            timeout=(http_errors.CONNECT_SECONDS, http_errors.ANSWER_SECONDS),
            get_server_info=False,
            basic_auth=(account, secret) if account else None,
            token_auth=None if account else secret,
        )
        self._package.guard_connections(reach)

    def close(self) -> None:
        """Close the connections."""
        self._package.close()  # type: ignore[no-untyped-call]

    def read(self, answer: type[_Answer], doing: str, path: str, **parameters: str | int) -> _Answer:
        """GET ``path`` of the API."""
        return self._send(answer, doing, lambda: self._package.get_json(path, parameters))

    def write(self, answer: type[_Answer], doing: str, path: str, body: Mapping[str, object]) -> _Answer:
        """POST ``body`` to ``path`` of the API."""
        return self._send(answer, doing, lambda: self._package.post_json(path, body))

    def write_only(self, doing: str, path: str, body: Mapping[str, object]) -> None:
        """POST ``body`` to ``path`` of the API; the content of the answer is not read."""
        self._send(object, doing, lambda: self._package.post_json(path, body))

    def change(self, doing: str, path: str, body: Mapping[str, object]) -> None:
        """PUT ``body`` to ``path`` of the API; the content of the answer is not read."""
        self._send(object, doing, lambda: self._package.put_json(path, body))

    def _send(self, answer: type[_Answer], doing: str, send: Callable[[], object]) -> _Answer:
        def send_once() -> _Answer:
            with self._translate_errors(doing):
                return msgspec.convert(send(), answer)

        return gate.send_request(send_once)

    @contextmanager
    def _translate_errors(self, doing: str) -> Iterator[None]:
        """Raise errors of the package as Furrow's. Their own texts hold headers and bodies and are not repeated."""
        try:
            yield
        except JIRAError as error:
            raise self._classify_error(error) from None
        except _NEVER_SENT:
            raise PermanentError(
                f"Jira cannot be asked to {doing}: the address {self.url} or the token cannot be sent"
            ) from None
        except msgspec.ValidationError:
            raise TransientError(f"Jira answered in an unknown form when asked to {doing}") from None
        except ValueError as error:
            page = http_errors.to_safe_line(http_errors.describe_page(str(getattr(error, "doc", ""))), self._secrets)
            content = f"something else than JSON{f' ({page})' if page else ''}"
            raise TransientError(f"Jira answered with {content} when asked to {doing}") from None
        except requests.RequestException as error:
            raise TransientError(
                f"Jira did not answer at {self.url} ({_describe_request_error(error)}) when asked to {doing}"
            ) from None

    def _classify_error(self, error: JIRAError) -> TransientError | PermanentError:
        status = error.status_code or 0
        answer = error.response
        fields, reason = _parse_refusal(answer)
        message = f"Jira answered {status}: {http_errors.to_safe_line(reason or 'no reason given', self._secrets)}"
        if answer is not None and status == requests.codes.too_many_requests:
            return RateLimited(message, retry_after=http_errors.seconds_until_retry(answer.headers, is_limit=True))
        if answer is None or status == 0 or http_errors.is_transient_status(status):
            headers = answer.headers if answer is not None else {}
            return TransientError(message, retry_after=http_errors.seconds_until_retry(headers, is_limit=False))
        if status in (requests.codes.unauthorized, requests.codes.forbidden):
            return RefusedAccess(message, everything=status == requests.codes.unauthorized)
        return MissingResource(message) if status == requests.codes.not_found else RefusedRequest(message, fields)


_NEVER_SENT = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.TooManyRedirects,
)


def _describe_request_error(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        if "WRONG_VERSION_NUMBER" in str(error):
            return "it does not speak TLS: is it http://?"
        return "its certificate is not valid"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refused"
    words = str(error)
    if "refused" in words:
        return "connection refused"
    return "there is no such host" if "resolve" in words or "Name or service" in words else "the connection broke off"


def _parse_refusal(answer: requests.Response | None) -> tuple[list[str], str]:
    """The fields that Jira refuses, and its reason in words."""
    if answer is None:
        return [], ""
    denied = answer.headers.get("x-authentication-denied-reason", "")
    try:
        refusal = msgspec.json.decode(answer.content, type=Refusal)
    except msgspec.MsgspecError:
        page = http_errors.describe_page(answer.text)
        return [], denied or (f"{answer.reason} ({page})" if page else answer.reason) or ""
    errors, messages = refusal.errors, refusal.error_messages
    by_field = {str(name): str(text) for name, text in errors.items()} if isinstance(errors, dict) else {}
    reasons = (
        [str(message) for message in messages] if isinstance(messages, list) else [str(messages)] if messages else []
    )
    reasons += [f"{name}: {text}" for name, text in by_field.items()]
    reasons += [str(text) for text in (refusal.error_message, refusal.message) if text]
    return list(by_field), "; ".join([denied] * bool(denied) + reasons) or answer.reason or ""
