"""Who reads a page: sessions of signed-in people, kept in the incident store, and operator keys of programs.

The browser keeps a random token; the store keeps its hash. A session ends after 12 hours, when its person signs out, and when
the key that began it is revoked.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qs, urlsplit

from fastapi import Request, Response

from collector.access.callers import Gate, read_header_key, visible_project
from collector.access.keys import Grant, KeyRing
from collector.http_errors import ApiError
from collector.services import Services
from collector.store import StoreCalls

if TYPE_CHECKING:
    from stores.incidents.page_sessions import SignedIn

PageRole = Literal["viewer", "operator"]

COOKIE: Final = "furrow_session"
KEPT_SECONDS: Final = 12 * 3600
"""Duration of a session: a working day."""
LINK_SECONDS: Final = 3600
"""Time in which a sign-in link can be used."""
CSRF_FIELD: Final = "csrf"
MAX_FORM_BYTES: Final = 64 << 10
_MAX_FIELDS: Final = 300
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True)
class Person:
    """A signed-in person, or a program with an operator key (then ``csrf`` is '', and no form is accepted)."""

    grant: Grant
    role: PageRole
    csrf: str = ""

    @property
    def name(self) -> str:
        """The name in the history: that of the key."""
        return self.grant.name

    @property
    def project(self) -> str | None:
        """The only project that the person sees; None: all."""
        return visible_project(self.grant)

    @property
    def may_act(self) -> bool:
        """Whether the person may change anything."""
        return self.role == "operator"

    @property
    def may_administer(self) -> bool:
        """Whether the person may change settings, keys and projects: an operator who is not bound to one project."""
        return self.may_act and self.project is None


class People:
    """Sessions of people. Every method that asks the store raises ApiError (503) when it does not answer."""

    def __init__(self, services: Services) -> None:
        self._keys: KeyRing = services.keys
        self._gate: Gate = services.gate
        self._store: StoreCalls = services.store
        self._secure = services.config.public_url.startswith("https://")

    async def find_person(self, request: Request) -> Person | None:
        """The signed-in person; None when they must sign in."""
        token = request.cookies.get(COOKIE, "")
        if not token:
            return None
        digest = hash_token(token)
        found = await self._store.ask_store(lambda store: store.people.find_page_session(digest))
        if found is None:
            return None
        grant = self._find_grant(found)
        if grant is None:
            await self._store.ask_store(lambda store: store.people.end_page_session(digest))
            return None
        return Person(grant, _check_role(found.role), _make_csrf_token(token))

    def find_program(self, request: Request) -> Person | None:
        """A program with an operator key in the header; None without a key. Raises ApiError (401, 403, 429)."""
        if read_header_key(request) is None:
            return None
        return Person(self._gate.require_operator(request), "operator")

    async def begin_session(self, request: Request, key: str) -> str:
        """Begin a session for an operator key; returns its token. Raises ApiError: 401 or 403 without an operator key, 429
        after many unknown keys."""
        from stores.incidents.page_sessions import SignedIn

        grant = self._gate.require_grant(request, key.strip(), "operator")
        token = _make_token()
        holder, expires = SignedIn(grant.key_hash, "operator"), _expire_after(KEPT_SECONDS)
        await self._store.ask_store(lambda store: store.people.begin_page_session(hash_token(token), holder, expires))
        return token

    async def make_link_token(self, grant: Grant, role: PageRole) -> tuple[str, datetime]:
        """A token that signs in once with the rights of ``grant`` (at most those of ``role``), and its expiry."""
        from stores.incidents.page_sessions import SignedIn

        token, expires = _make_token(), _expire_after(LINK_SECONDS)
        holder = SignedIn(grant.key_hash, role)
        await self._store.ask_store(lambda store: store.people.add_sign_in_link(hash_token(token), holder, expires))
        return token, expires

    async def use_link(self, request: Request, link_token: str) -> str:
        """Begin a session with a link; returns its token. Raises ApiError: 401 for a link that is unknown, used or expired,
        429 after many of them."""
        self._gate.check_guesses(request)
        token, expires = _make_token(), _expire_after(KEPT_SECONDS)
        holder = await self._store.ask_store(
            lambda store: store.people.use_sign_in_link(hash_token(link_token), hash_token(token), expires)
        )
        if holder is None or self._find_grant(holder) is None:
            self._gate.count_guess(request)
            raise ApiError(
                401, "unauthorized", "This link was used before, or its hour is over. `furrow sign-in` prints another."
            )
        return token

    async def end_session(self, request: Request) -> None:
        """End the session of ``request``, if there is one."""
        digest = hash_token(request.cookies.get(COOKIE, ""))
        await self._store.ask_store(lambda store: store.people.end_page_session(digest))

    def set_cookie(self, response: Response, token: str) -> None:
        """Set the cookie. Strict: no other site's page causes a request with it. A link in a ticket still works: the page
        that answers it reloads itself (``sign_in.html``)."""
        response.set_cookie(
            COOKIE, token, max_age=KEPT_SECONDS, httponly=True, samesite="strict", secure=self._secure, path="/"
        )

    def _find_grant(self, holder: "SignedIn") -> Grant | None:
        grant = self._keys.find_grant_by_hash(holder.key_hash)
        return grant if grant is not None and grant.role == "operator" else None


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form that a page of this collector sent. Raises ApiError (400, 403, 413)."""
    _check_form_origin(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise ApiError(413, "too_large", f"A form has at most {MAX_FORM_BYTES} bytes.")
    try:
        return parse_qs(body.decode("ascii"), max_num_fields=_MAX_FIELDS, keep_blank_values=True, errors="strict")
    except ValueError:
        raise ApiError(400, "invalid_body", "The body is not a form.") from None


def check_form_token(person: Person, form: dict[str, list[str]]) -> None:
    """Check that this person's own page sent the form. Raises ApiError (403)."""
    if not person.csrf or not hmac.compare_digest(last_value(form, CSRF_FIELD).encode(), person.csrf.encode()):
        raise ApiError(403, "csrf", "The form is of an older sign-in. Go back, reload the page, and send it again.")


def require_actor(person: Person, form: dict[str, list[str]]) -> None:
    """Check that this person's own page sent the form, and that the person may act. Raises ApiError (403)."""
    check_form_token(person, form)
    if not person.may_act:
        raise ApiError(403, "forbidden", "You are signed in as a viewer, who may not change anything.")


def require_administrator(person: Person, form: dict[str, list[str]]) -> None:
    """As `require_actor`; the person must also be allowed to change settings. Raises ApiError (403)."""
    require_actor(person, form)
    if not person.may_administer:
        raise ApiError(403, "forbidden", "Only a person with an operator key of all projects may change settings.")


def last_value(form: dict[str, list[str]], name: str) -> str:
    """The last value of a field; '' without one."""
    return form[name][-1] if form.get(name) else ""


def hash_token(token: str) -> str:
    """The hash under which the store keeps a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _make_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _make_csrf_token(token: str) -> str:
    # Derived: pages show it, and nobody finds the session's token from it.
    return hmac.new(token.encode("utf-8", "surrogatepass"), b"furrow form", hashlib.sha256).hexdigest()[:32]


def _expire_after(seconds: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _check_role(role: str) -> PageRole:
    return "operator" if role == "operator" else "viewer"


def _check_form_origin(request: Request) -> None:
    # A form on another site must not sign anybody in or out. Browsers send Origin with every posted form.
    origin = request.headers.get("origin", "")
    if urlsplit(origin).netloc != request.headers.get("host") or not origin.startswith(("http://", "https://")):
        raise ApiError(403, "origin_not_allowed", "The form was sent by a page of another origin.")
