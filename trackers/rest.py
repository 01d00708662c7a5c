"""Requests to a REST API with JSON: typed answers, and Furrow's errors."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from core.errors import PermanentError, TransientError
from core.http_errors import describe_http_error
from trackers import gate, http_errors, transport
from trackers.gate import AccessRefused, RateLimited
from trackers.transport import Reach

_Answer = TypeVar("_Answer")
UNNAMED_WAIT: Final = 60.0
"""Pause (s) after a rate limit that names no time, as GitHub asks for it."""
_MISSING: Final = frozenset({404, 410})


class MissingResource(PermanentError):
    """There is nothing at this path, or the token may not see it (404, 410)."""


class RefusedRequest(PermanentError):
    """The request was refused because of what it holds."""


class RefusedAccess(AccessRefused):
    """The token is refused: 401, 403, or the project is not there."""

    def __init__(self, message: str, everything: bool = False) -> None:
        super().__init__(message)
        self.everything = everything


class MovedResource(PermanentError):
    """The path has moved to ``path`` of the same API."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


class Refusal(msgspec.Struct):
    """The body of a refusal in the forms of GitHub and GitLab."""

    message: object = None
    errors: object = None
    error: object = None
    error_description: object = None


LimitRule = Callable[[int, Mapping[str, str], str], bool]
"""Whether an answer (status, headers in lower case, reason) is a rate limit, and nothing was done."""


class RestClient:
    """One API. Not to be shared between threads.

    Every request raises TransientError when the same request may succeed later, else PermanentError. ``doing`` names the
    request in messages ("when asked to read the issue").
    """

    def __init__(
        self,
        name: str,
        url: str,
        headers: Mapping[str, str],
        secrets: Iterable[str],
        reach: Reach,
        is_limit: LimitRule | None = None,
    ) -> None:
        """Nothing is sent yet. ``name`` is the tracker's for people. Raises PermanentError for a URL that cannot be used."""
        self.name, self.url = name, url.strip().rstrip("/")
        self.host = reach.check_url(self.url, name)
        self._secrets, self._is_limit = tuple(secrets), is_limit
        self._client = transport.httpx_client(
            reach,
            self.host,
            headers={"User-Agent": "furrow", "Accept": "application/json", **headers},
            timeout=httpx.Timeout(http_errors.ANSWER_SECONDS, connect=http_errors.CONNECT_SECONDS),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def read(self, answer: type[_Answer], doing: str, path: str, **parameters: str | int | Sequence[int]) -> _Answer:
        """GET ``path`` of the API. Raises MovedResource when it has moved within the API."""
        return self._send(answer, doing, "GET", path, params=parameters)

    def write(
        self, answer: type[_Answer], doing: str, path: str, body: Mapping[str, object], method: str = "POST"
    ) -> _Answer:
        """Send ``body`` to ``path`` of the API."""
        return self._send(answer, doing, method, path, json=body)

    def post(self, doing: str, content: bytes, make_headers: Callable[[], Mapping[str, str]]) -> bytes:
        """POST ``content`` to the URL itself; the body of the answer. ``make_headers`` is called before each attempt."""

        def send_once() -> bytes:
            return self._request("POST", self.url, doing, content=content, headers=make_headers()).content

        return gate.send_request(send_once)

    def ask_options(self, doing: str, **headers: str) -> None:
        """Ask which requests the URL takes. Answers that say that it does not take this one are no errors."""

        def send_once() -> None:
            try:
                self._request("OPTIONS", self.url, doing, headers=headers)
            except RefusedRequest:
                return

        gate.send_request(send_once)

    def _send(self, answer: type[_Answer], doing: str, method: str, path: str, **options: object) -> _Answer:
        def send_once() -> _Answer:
            received = self._request(method, f"{self.url}/{path}", doing, **options)
            try:
                return msgspec.json.decode(received.content, type=answer)
            except msgspec.ValidationError:
                raise TransientError(f"{self.name} answered in an unknown form when asked to {doing}") from None
            except msgspec.MsgspecError:
                page = http_errors.describe_page(received.text)
                content = self._safe(f"something else than JSON{f' ({page})' if page else ''}")
                raise TransientError(f"{self.name} answered with {content} when asked to {doing}") from None

        return gate.send_request(send_once)

    def _request(self, method: str, url: str, doing: str, **options: object) -> httpx.Response:
        try:
            answer = self._client.request(method, url, **options)  # type: ignore[arg-type]
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise PermanentError(f"the address of {self.name} is not one of the web") from None
        except httpx.HTTPError as error:
            reason = describe_http_error(error)
            raise TransientError(
                f"{self.name} did not answer at {self.host} ({reason}) when asked to {doing}"
            ) from None
        if method == "GET":
            self._note_move(answer)
        transport.refuse_redirect(answer.status_code, answer.headers.get("location"), self.name)
        headers = _limit_headers(answer.headers)
        if answer.is_error:
            raise self._classify_refusal(answer, headers)
        gate.note_exhausted(http_errors.seconds_until_renewed(headers))
        return answer

    def _note_move(self, answer: httpx.Response) -> None:
        """Raise MovedResource for a redirect to the same API, like that of a renamed repository. No other gets the token."""
        location = answer.headers.get("location", "")
        if answer.is_redirect and location.startswith(f"{self.url}/"):
            path = urlsplit(location).path.removeprefix(urlsplit(self.url).path).lstrip("/")
            raise MovedResource(f"{self.name} answered {answer.status_code}: it has moved; check its name", path)

    def _classify_refusal(self, answer: httpx.Response, headers: Mapping[str, str]) -> TransientError | PermanentError:
        status, reason = answer.status_code, _describe_refusal(answer)
        message = f"{self.name} answered {status}: {self._safe(reason or 'no reason given')}"
        # Also a limit is waited for only as long as it asks: a secondary limit of GitHub names the renewal of the primary one.
        wait = http_errors.seconds_until_retry(headers, is_limit=False)
        if status == httpx.codes.TOO_MANY_REQUESTS or (self._is_limit and self._is_limit(status, headers, reason)):
            return RateLimited(message, retry_after=UNNAMED_WAIT if wait is None else wait)
        if http_errors.is_transient_status(status):
            return TransientError(message, retry_after=wait)
        if status in (401, 403):
            return RefusedAccess(message, everything=status == httpx.codes.UNAUTHORIZED)
        return MissingResource(message) if status in _MISSING else RefusedRequest(message)

    def _safe(self, text: str) -> str:
        return http_errors.to_safe_line(text, self._secrets)


def _limit_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers in lower case; those of limits with the prefix of most trackers, which GitLab leaves out."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {f"x-{name}" if name.startswith("ratelimit-") else name: value for name, value in lower.items()}


def _describe_refusal(answer: httpx.Response) -> str:
    """The reason of a refusal; the caller removes secrets."""
    try:
        refusal = msgspec.json.decode(answer.content, type=Refusal)
    except msgspec.MsgspecError:
        page = http_errors.describe_page(answer.text)
        return f"{answer.reason_phrase} ({page})" if page else answer.reason_phrase
    parts = (refusal.message, refusal.error, refusal.error_description, refusal.errors)
    return "; ".join(text for part in parts if (text := _flatten(part))) or answer.reason_phrase


def _flatten(value: object) -> str:
    """Texts of a refusal: a text, a list, texts by field, or GitHub's objects with a message or a code."""
    if isinstance(value, Mapping):
        if message := value.get("message"):
            return str(message)
        if code := value.get("code"):
            return f"{value.get('field') or value.get('resource') or 'request'}: {code}"
        return "; ".join(f"{name}: {_flatten(text)}" for name, text in value.items())
    if isinstance(value, list):
        return ", ".join(text for part in value if (text := _flatten(part)))
    return "" if value is None else str(value)
