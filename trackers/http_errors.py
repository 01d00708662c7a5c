"""Shared handling of trackers' answers: messages made safe for logs and artifacts, and the time of a retry."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape

from pydantic import SecretStr

from core.errors import PermanentError

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 20.0
LONGEST_WORDS = 500
# Longest wait (s): a ticket is retried after a day at the latest.
LONGEST_WAIT = 86_400.0

# Beside 5xx: request timeout, too early, too many requests.
_TRANSIENT = {408, 425, 429}
_TITLE = re.compile(r"<title[^>]*>([^<]{1,300})", re.IGNORECASE)
_PAGE_HEAD = 20_000
_NOT_IMPLEMENTED = 501
# Shorter strings are not secrets; removing them would damage messages.
_SHORTEST_SECRET = 6


def is_transient_status(status: int) -> bool:
    """Whether the same request may succeed later after this HTTP status."""
    return status in _TRANSIENT or (status >= 500 and status != _NOT_IMPLEMENTED)


def to_safe_line(message: object, secrets: Iterable[str] = (), limit: int = LONGEST_WORDS) -> str:
    """A tracker's message on one line of at most ``limit`` characters, without control characters and ``secrets``."""
    text = str(message)
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    # Control, invisible and direction-changing characters would affect the text around the message.
    seen = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    line = " ".join(seen.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def describe_page(text: str) -> str:
    """The title of an HTML page that came instead of an answer: ``a page called 'Log in'``; '' without a title."""
    found = _TITLE.search(text[:_PAGE_HEAD])
    title = to_safe_line(unescape(found[1]), limit=100) if found else ""
    return f"a page called {title!r}" if title else ""


def seconds_until_retry(headers: Mapping[str, str], *, is_limit: bool, now: datetime | None = None) -> float | None:
    """Seconds until a retry, from ``Retry-After`` or ``X-RateLimit-*-Reset``; None if the answer asks for no wait.

    Resets are ISO 8601 (Jira), epoch milliseconds (Linear), epoch seconds or seconds from now. Trackers name the next
    renewal in every answer: it is a wait if the limit is used up, or if the answer is a refusal by a rate limit
    (``is_limit``) that does not show which limit is used up.
    """
    now = now or datetime.now(UTC)
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    asked = _parse_retry_after(lower.get("retry-after", ""), now)
    if asked is None:
        resets = {name: _parse_reset_time(value, now) for name, value in lower.items() if _RESET.fullmatch(name)}
        known = {name: seconds for name, seconds in resets.items() if seconds is not None}
        exhausted = [seconds for name, seconds in known.items() if _is_exhausted(lower, name)]
        others = min(known.values(), default=None) if is_limit else None
        asked = max(exhausted, default=others)
    return None if asked is None else min(max(asked, 0.0), LONGEST_WAIT)


def seconds_until_renewed(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds until a limit is renewed that a successful answer shows as used up; None if it shows none."""
    now = now or datetime.now(UTC)
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    resets = (
        _parse_reset_time(value, now)
        for name, value in lower.items()
        if _RESET.fullmatch(name) and _is_exhausted(lower, name)
    )
    asked = max((seconds for seconds in resets if seconds is not None), default=None)
    return None if asked is None else min(max(asked, 0.0), LONGEST_WAIT)


_RESET = re.compile(r"x-ratelimit(-[a-z-]+)?-reset")
_EPOCH_MS = 1e11
_EPOCH_S = 1e9


def _parse_retry_after(value: str, now: datetime) -> float | None:
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        return (_with_time_zone(parsedate_to_datetime(value)) - now).total_seconds()
    except ValueError:
        return None


def _parse_reset_time(value: str, now: datetime) -> float | None:
    if re.fullmatch(r"\d{1,15}(\.\d+)?", value):
        number = float(value)
        if number >= _EPOCH_S:
            return (number / 1000 if number >= _EPOCH_MS else number) - now.timestamp()
        return number
    try:
        return (_with_time_zone(datetime.fromisoformat(value)) - now).total_seconds()
    except ValueError:
        return None


def _is_exhausted(headers: Mapping[str, str], reset: str) -> bool:
    return headers.get(reset.removesuffix("reset") + "remaining") == "0"


def _with_time_zone(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def read_credential(secret: SecretStr | None, what: str) -> str:
    """The text of a token. Raises PermanentError, without the token, when it cannot be sent in an HTTP header."""
    text = secret.get_secret_value().strip() if secret else ""
    if not text:
        raise PermanentError(f"{what} is not set")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise PermanentError(f"{what} holds characters that no token has")
    return text
