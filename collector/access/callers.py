"""Authorization of requests: keys, projects named in a body, rates (docs/contracts/events.md, Answers)."""

import time
from typing import Final

from fastapi import Request

from collector.access.keys import ALL_PROJECTS, Grant, KeyRing
from collector.http_errors import ApiError
from collector.metrics import REFUSED
from collector.senders.source import SourceReader
from collector.transport.limits import FairLimit, RateLimit
from core.roles import KeyRole, includes_role

_ROLE_REFUSALS: Final[dict[KeyRole, str]] = {
    "ingest": "this is not an ingest key",
    "viewer": "this is not an operator key",
    "operator": "this is not an operator key",
    "admin": "this is not an admin key",
}
_LONG_KEY: Final = 20
"""Characters from which on a key cannot be guessed by trying; `furrow keys create` makes longer keys."""
_BYTES_BURST_SECONDS: Final = 8.0
_GUESS_BURST_SECONDS: Final = 60.0


class Rates:
    """The rates at which a key, a project (if its settings limit it) and a source may send."""

    def __init__(self, keys: KeyRing, key_rate: float, source_part: float, source_bytes: float) -> None:
        """``key_rate`` in requests/s; ``source_part``: the share of it, and of a project's rate, that one source may use;
        ``source_bytes``: inflated bytes/s of one source."""
        self._keys = keys
        self._of_key = FairLimit(key_rate, source_part)
        self._of_project = FairLimit(key_rate, source_part)
        self._of_source = RateLimit(source_bytes, _BYTES_BURST_SECONDS)

    def check_request_rate(self, grant: Grant, project: str, source: str) -> None:
        """Count one request of ``grant`` for ``project``. Raises ApiError (429)."""
        now = time.monotonic()
        self.check_byte_rate(source)
        refusal = self._of_key.find_refusal(grant.key_hash, source, now)
        if refusal:
            raise rate_limit_error(refusal.by, "this key sends too many requests", refusal.wait)
        rate = self._keys.find_project_settings(project).requests_per_second
        if rate is not None:
            refusal = self._of_project.find_refusal(project, source, now, rate)
            if refusal:
                raise rate_limit_error(refusal.by, "this project gets too many requests", refusal.wait)
            self._of_project.count_request(project, source, now, rate)
        self._of_key.count_request(grant.key_hash, source, now)

    def check_byte_rate(self, source: str) -> None:
        """Check the bytes of a source. Raises ApiError (429) while it has sent more than its limit."""
        wait = self._of_source.find_wait_seconds(source, time.monotonic())
        if wait:
            raise rate_limit_error("bytes", "too many bytes from this address", wait)

    def count_body_bytes(self, source: str, size: int) -> None:
        """Count an inflated body of ``size`` bytes; bytes above the limit delay the source's next requests."""
        self._of_source.take_tokens(source, time.monotonic(), units=size)


class Gate:
    """Finds the grant of a request's key, and slows down sources whose keys are unknown.

    The guesses of others never cause the refusal of a known key. The exception is a key that is short enough to be guessed,
    from a source that guesses: it is not looked up until that source may try again.
    """

    def __init__(self, keys: KeyRing, sources: SourceReader, guesses_per_second: float) -> None:
        self._keys = keys
        self._sources = sources
        self._guesses = RateLimit(guesses_per_second, _GUESS_BURST_SECONDS)

    def find_request_source(self, request: Request) -> str:
        """The source of the request (`collector.senders.source`)."""
        return self._sources.find_request_source(request)

    def require_reader(self, request: Request) -> Grant:
        """The grant of the key in the header, which is a person's: a viewer's, an operator's or an admin's. Raises ApiError
        (401, 403, 429)."""
        return self.require_grant(request, read_header_key(request), "viewer")

    def require_operator(self, request: Request) -> Grant:
        """The grant of the operator's or admin's key in the header. Raises ApiError (401, 403, 429)."""
        return self.require_grant(request, read_header_key(request), "operator")

    def require_grant(self, request: Request, key: str | None, role: KeyRole) -> Grant:
        """The grant of ``key``. Raises ApiError: 401 for an unknown key, 403 for a key whose role does not include ``role``,
        429 after many unknown keys, 503 while the keys have never been read."""
        if not key:
            raise ApiError(401, "unauthorized", "no API key: send X-API-Key or Authorization: Bearer")
        source, now = self.find_request_source(request), time.monotonic()
        wait = self._guesses.find_wait_seconds(source, now)
        grant = self._keys.find_grant(key) if not wait or role == "ingest" or len(key) >= _LONG_KEY else None
        if grant is None:
            if self._keys.has_never_read_store:
                # A 401 would make senders drop their events although the key is valid.
                raise ApiError(503, "keys_unknown", "the keys have not been read yet", retry_after=5)
            if wait:
                raise rate_limit_error("keys", "too many unknown keys from this address", wait)
            self._guesses.take_tokens(source, now)
            raise ApiError(401, "unauthorized", "unknown API key")
        if not includes_role(grant.role, role):
            raise ApiError(403, "forbidden", _ROLE_REFUSALS[role])
        return grant

    def check_guesses(self, request: Request) -> None:
        """Raise ApiError (429) for a source that may not try unknown keys or sign-in links now."""
        wait = self._guesses.find_wait_seconds(self.find_request_source(request), time.monotonic())
        if wait:
            raise rate_limit_error("keys", "too many unknown keys from this address", wait)

    def count_guess(self, request: Request) -> None:
        """Count a wrong key or sign-in link of the request's source."""
        self._guesses.take_tokens(self.find_request_source(request), time.monotonic())


def read_header_key(request: Request) -> str | None:
    """The key in ``X-API-Key`` or ``Authorization: Bearer``."""
    key = request.headers.get("x-api-key")
    if key is not None:
        return key.strip()
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def require_named_project(grant: Grant, named: str) -> str:
    """The project that a body names. Raises ApiError (403) for a project that the key does not see, existing or not."""
    if not grant.sees_project(named):
        raise ApiError(403, "forbidden", "this key is for another project")
    if named == ALL_PROJECTS:
        raise ApiError(403, "forbidden", "`*` is not a project: name a project")
    return named


def visible_project(grant: Grant) -> str | None:
    """The only project that the key sees; None: all projects."""
    return None if grant.project == ALL_PROJECTS else grant.project


def rate_limit_error(limit: str, message: str, wait: float) -> ApiError:
    """The refusal by ``limit``, counted; ``wait``: seconds until the sender may try again."""
    REFUSED.labels(limit).inc()
    return ApiError(429, "rate_limited", message, retry_after=wait)
