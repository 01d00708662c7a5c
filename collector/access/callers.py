"""Who asks, for which project, and how often: keys, projects named in a body, rates (events.md, Answers)."""

import time
from typing import Final

from fastapi import Request

from collector.access.keys import ALL_PROJECTS, Grant, KeyRing, Role
from collector.http_errors import ApiError
from collector.metrics import REFUSED
from collector.senders.source import SourceReader
from collector.transport.limits import FairLimit, RateLimit

_LONG_KEY: Final = 20
"""Characters from which on nobody guesses a key by asking; `furrow keys create` makes longer ones."""
_BYTES_BURST_SECONDS: Final = 8.0
_GUESS_BURST_SECONDS: Final = 60.0


class Rates:
    """What a key, a project whose settings say so, and one source may send."""

    def __init__(self, keys: KeyRing, key_rate: float, source_part: float, source_bytes: float) -> None:
        """``key_rate`` in requests/s; ``source_part``: of it and of a project's rate, for one source alone;
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
            raise _rate_limit_error(refusal.by, "this key sends too many requests", refusal.wait)
        rate = self._keys.find_project_settings(project).requests_per_second
        if rate is not None:
            refusal = self._of_project.find_refusal(project, source, now, rate)
            if refusal:
                raise _rate_limit_error(refusal.by, "this project is sent too many requests", refusal.wait)
            self._of_project.count_request(project, source, now, rate)
        self._of_key.count_request(grant.key_hash, source, now)

    def check_byte_rate(self, source: str) -> None:
        """Raises ApiError (429) while the source has sent more bytes than it may."""
        wait = self._of_source.find_wait_seconds(source, time.monotonic())
        if wait:
            raise _rate_limit_error("bytes", "too many bytes from this address", wait)

    def count_body_bytes(self, source: str, size: int) -> None:
        """Count an inflated body of ``size`` bytes; what it is above the source's limit has to be waited for."""
        self._of_source.take_tokens(source, time.monotonic(), units=size)


class Gate:
    """Finds the grant of a request's key, and slows down sources whose keys are unknown.

    A known key is never refused because of others' guesses, unless it is short enough to be guessed and comes from a source
    that guesses: then it is not looked up until that source may try again.
    """

    def __init__(self, keys: KeyRing, sources: SourceReader, guesses_per_second: float) -> None:
        self._keys = keys
        self._sources = sources
        self._guesses = RateLimit(guesses_per_second, _GUESS_BURST_SECONDS)

    def find_request_source(self, request: Request) -> str:
        """Where the request comes from (`collector.senders.source`)."""
        return self._sources.find_request_source(request)

    def require_operator(self, request: Request) -> Grant:
        """The grant of the operator key in the header. Raises ApiError (401, 403, 429)."""
        return self.require_grant(request, read_header_key(request), "operator")

    def require_grant(self, request: Request, key: str | None, role: Role) -> Grant:
        """The grant of ``key``. Raises ApiError: 401 for an unknown key, 403 when it may not do this, 429 after many."""
        if not key:
            raise ApiError(401, "unauthorized", "no API key: send X-API-Key or Authorization: Bearer")
        source, now = self.find_request_source(request), time.monotonic()
        wait = self._guesses.find_wait_seconds(source, now)
        grant = self._keys.find_grant(key) if not wait or role == "ingest" or len(key) >= _LONG_KEY else None
        if grant is None:
            if self._keys.has_never_read_store:
                # 401 would make senders give up over a key that is good.
                raise ApiError(503, "keys_unknown", "the keys have not been read yet", retry_after=5)
            if wait:
                raise _rate_limit_error("keys", "too many unknown keys from this address", wait)
            self._guesses.take_tokens(source, now)
            raise ApiError(401, "unauthorized", "unknown API key")
        if grant.role != role:
            raise ApiError(403, "forbidden", f"this key is no {role} key")
        return grant


def read_header_key(request: Request) -> str | None:
    """The key in ``X-API-Key`` or ``Authorization: Bearer``."""
    key = request.headers.get("x-api-key")
    if key is not None:
        return key.strip()
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def require_named_project(grant: Grant, named: str) -> str:
    """The project that a body names. Raises ApiError (403) for one that the key does not see, existing or not."""
    if not grant.sees_project(named):
        raise ApiError(403, "forbidden", "this key is for another project")
    if named == ALL_PROJECTS:
        raise ApiError(403, "forbidden", "this is no project: name one")
    return named


def visible_project(grant: Grant) -> str | None:
    """The one project that the key may see; None: all."""
    return None if grant.project == ALL_PROJECTS else grant.project


def _rate_limit_error(limit: str, message: str, wait: float) -> ApiError:
    REFUSED.labels(limit).inc()
    return ApiError(429, "rate_limited", message, retry_after=wait)
