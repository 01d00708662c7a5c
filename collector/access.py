"""Who asks, for which project, and how often: keys, projects named in a body, rates (events.md, Answers)."""

import time
from typing import Final

from fastapi import Request

from collector.answers import ApiError
from collector.keys import ALL_PROJECTS, Grant, KeyRing, Role

_MAX_BUCKETS: Final = 10_000


class RateLimit:
    """A token bucket for each name, in memory of this process: ``rate`` requests a second, a burst of twice as many."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_for(self, name: str, now: float, rate: float | None = None) -> float:
        """0 when the request may pass, else the seconds until the next one may; ``rate`` is this name's own."""
        limit = rate or self._rate
        tokens = self._tokens(name, now, limit)
        return (1 - tokens) / limit if tokens < 1 else 0.0

    def take(self, name: str, now: float, rate: float | None = None) -> None:
        """Count one request that passed; a refused one costs nothing."""
        if len(self._buckets) >= _MAX_BUCKETS:
            self._buckets.clear()
        self._buckets[name] = (self._tokens(name, now, rate or self._rate) - 1, now)

    def _tokens(self, name: str, now: float, limit: float) -> float:
        burst = max(1.0, 2 * limit)
        tokens, at = self._buckets.get(name, (burst, now))
        return min(burst, tokens + (now - at) * limit)


class Rates:
    """What a key may send (``requests_per_second`` of the configuration) and, where its settings say so, a project."""

    def __init__(self, keys: KeyRing, key_rate: float) -> None:
        self._keys = keys
        self._of_key = RateLimit(key_rate)
        self._of_project = RateLimit(key_rate)

    def check(self, grant: Grant, project: str) -> None:
        """Count one request of ``grant`` for ``project``. Raises ApiError (429)."""
        now = time.monotonic()
        wait = self._of_key.wait_for(grant.key_hash, now)
        if wait:
            raise ApiError(429, "rate_limited", "this key sends too many requests", retry_after=wait)
        rate = self._keys.settings(project).requests_per_second
        if rate is not None:
            wait = self._of_project.wait_for(project, now, rate)
            if wait:
                raise ApiError(429, "rate_limited", "this project is sent too many requests", retry_after=wait)
            self._of_project.take(project, now, rate)
        self._of_key.take(grant.key_hash, now)


def header_key(request: Request) -> str | None:
    """The key in ``X-API-Key`` or ``Authorization: Bearer``."""
    key = request.headers.get("x-api-key")
    if key is not None:
        return key.strip()
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def granted(keys: KeyRing, key: str | None, role: Role) -> Grant:
    """The grant of ``key``. Raises ApiError: 401 for an unknown key, 403 when it may not do this."""
    grant = keys.grant(key) if key else None
    if grant is None:
        if key and keys.is_blind:
            # 401 would make senders give up over a key that is good.
            raise ApiError(503, "keys_unknown", "the keys have not been read yet", retry_after=5)
        missing = "no API key: send X-API-Key or Authorization: Bearer" if not key else "unknown API key"
        raise ApiError(401, "unauthorized", missing)
    if grant.role != role:
        raise ApiError(403, "forbidden", f"this key is no {role} key")
    return grant


def project_of(grant: Grant, named: str) -> str:
    """The project that a body names. Raises ApiError (403) for one that the key does not see, existing or not."""
    if not grant.sees(named):
        raise ApiError(403, "forbidden", "this key is for another project")
    if named == ALL_PROJECTS:
        raise ApiError(403, "forbidden", "this is no project: name one")
    return named


def visible_project(grant: Grant) -> str | None:
    """The one project that the key may see; None: all."""
    return None if grant.project == ALL_PROJECTS else grant.project
