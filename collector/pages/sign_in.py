"""Sign-in for pages: a person enters an operator key; the browser then keeps a random token, not the key.

Sessions are in the memory of this process: after a restart people sign in again. Revoking a key ends its sessions at once.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from fastapi import Request, Response

from collector.access.callers import Gate
from collector.access.keys import Grant, KeyRing
from collector.http_errors import ApiError

COOKIE: Final = "furrow_session"
KEPT_SECONDS: Final = 12 * 3600
"""Duration of a session: a working day."""
_MAX_SESSIONS: Final = 1_000
_MAX_FORM_BYTES: Final = 4_096


@dataclass(frozen=True)
class _Session:
    key_hash: str
    ends: float  # seconds, monotonic


class PageSessions:
    """The sessions of people who use the pages. At most ``_MAX_SESSIONS``; then the oldest is removed."""

    def __init__(self, keys: KeyRing, gate: Gate) -> None:
        self._keys = keys
        self._gate = gate
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def find_signed_in_grant(self, request: Request) -> Grant | None:
        """The grant of the signed-in person; None when they must sign in."""
        digest = _hash_token(request.cookies.get(COOKIE, ""))
        session = self._sessions.get(digest)
        if session is None:
            return None
        grant = self._keys.find_grant_by_hash(session.key_hash)
        if grant is None or grant.role != "operator" or session.ends < time.monotonic():
            del self._sessions[digest]
            return None
        return grant

    def begin_session(self, request: Request, key: str) -> str:
        """Begin a session for ``key``; returns its token. Raises ApiError: 401 or 403 without an operator key, 429 after many
        unknown keys."""
        grant = self._gate.require_grant(request, key.strip(), "operator")
        token = secrets.token_urlsafe(32)
        while len(self._sessions) >= _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        self._sessions[_hash_token(token)] = _Session(grant.key_hash, time.monotonic() + KEPT_SECONDS)
        return token

    def end_session(self, request: Request) -> None:
        """End the session of ``request``, if there is one."""
        self._sessions.pop(_hash_token(request.cookies.get(COOKIE, "")), None)


def set_session_cookie(response: Response, token: str, *, secure: bool) -> None:
    """Set the cookie with ``token``. Lax, not Strict: people follow links from tickets. GET changes nothing on any page."""
    response.set_cookie(COOKIE, token, max_age=KEPT_SECONDS, httponly=True, samesite="lax", secure=secure, path="/")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that a page of this collector sent. Raises ApiError (400, 403, 413)."""
    _check_form_origin(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise ApiError(413, "too_large", f"a form has at most {_MAX_FORM_BYTES} bytes")
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10)
    except ValueError:
        raise ApiError(400, "invalid_body", "the body is not a form") from None
    return {name: values[0] for name, values in fields.items()}


def _check_form_origin(request: Request) -> None:
    # A form on another site must not sign anybody in or out. Browsers send Origin with every posted form.
    origin = request.headers.get("origin", "")
    if urlsplit(origin).netloc != request.headers.get("host") or not origin.startswith(("http://", "https://")):
        raise ApiError(403, "origin_not_allowed", "the form was sent by a page of another origin")


def _hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
