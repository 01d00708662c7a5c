"""Who reads a page: sessions of signed-in people, kept in the incident store, and operator keys of programs.

The browser keeps a random token; the store keeps its hash. A session ends after 12 hours, when its person signs out, when an
admin ends it, and when the key that began it is revoked. What a person may do is decided here, by `Person.may_act` and
`Person.may_administer`; `require_actor` and `require_admin` check it for a form.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from fastapi import Request, Response

from collector.access.callers import Gate, read_header_key, visible_project
from collector.access.keys import Grant, KeyRing
from collector.http_errors import ApiError
from collector.routes.incidents import MAX_REASON
from collector.services import Services
from collector.store import StoreCalls
from core.roles import PersonRole, Scope, includes_role, is_person_role, lower_role
from incidents.audit import AuditAction

if TYPE_CHECKING:
    from stores.incidents.page_sessions import SignedIn

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
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
    """A signed-in person, or a program with a person's key (then ``csrf`` is '', and no form is accepted).

    ``role`` is the role in what ``grant`` shows: one project, or all. ``scopes``: where a provider's person may look instead.
    """

    grant: Grant
    role: PersonRole
    csrf: str = ""
    scopes: tuple[Scope, ...] = ()

    @property
    def name(self) -> str:
        """The name in the history: that of the key, or that which the provider states."""
        return self.grant.name

    @property
    def owner(self) -> str:
        """Whose saved views are theirs: the hash of their key, or of the name that the provider states. Never ''."""
        return self.grant.key_hash or hash_token(f"person {self.name}")

    @property
    def project(self) -> str | None:
        """The only project that the person sees; None: all."""
        return visible_project(self.grant)

    @property
    def may_act(self) -> bool:
        """Whether the person may act on incidents."""
        return includes_role(self.role, "operator")

    @property
    def may_administer(self) -> bool:
        """Whether the person may edit settings, keys and projects (of ``project``; None: of all), read the audit log and end
        sessions of others."""
        return includes_role(self.role, "admin")

    @property
    def may_administer_all(self) -> bool:
        """Whether the person is an admin of all projects: of what belongs to no single one, too."""
        return self.may_administer and self.project is None

    def administers(self, project: str) -> bool:
        """Whether the person is an admin of ``project`` (``*``: of all)."""
        return self.may_administer and self.project in (None, project)


class People:
    """Sessions of people. Every method that asks the store raises ApiError (503) when it does not answer."""

    def __init__(self, services: Services) -> None:
        self._keys: KeyRing = services.keys
        self._gate: Gate = services.gate
        self._store: StoreCalls = services.store
        self._secure = services.config.public_url.startswith("https://")
        self._has_provider = services.config.oidc is not None

    async def find_person(self, request: Request) -> Person | None:
        """The signed-in person; None when they must sign in."""
        token = request.cookies.get(COOKIE, "")
        if not token:
            return None
        digest = hash_token(token)
        found = await self._store.ask_store(lambda store: store.people.find_page_session(digest))
        if found is None:
            return None
        person = self.make_person(found, _make_csrf_token(token))
        if person is None:
            await self._store.ask_store(lambda store: store.people.end_page_session(digest))
        return person

    def make_person(self, holder: "SignedIn", csrf: str = "") -> Person | None:
        """The person of a session; None when its key is revoked or no person's, or its provider is no longer configured."""
        if holder.person:
            scope = next((scope for scope in holder.scopes if scope.project == holder.project), None)
            if scope is None or not self._has_provider:
                return None
            return Person(Grant(scope.project, scope.role, "", holder.person), scope.role, csrf, holder.scopes)
        grant = self._keys.find_grant_by_hash(holder.key_hash)
        if grant is None or not is_person_role(grant.role) or not is_person_role(holder.role):
            return None
        return Person(grant, lower_role(grant.role, holder.role), csrf)

    def find_program(self, request: Request) -> Person | None:
        """A program with a person's key in the header; None without a key. Raises ApiError (401, 403, 429)."""
        if read_header_key(request) is None:
            return None
        grant = self._gate.require_reader(request)
        return Person(grant, grant.role if is_person_role(grant.role) else "viewer")

    async def begin_session(self, request: Request, key: str) -> str:
        """Begin a session for a person's key; returns its token. Raises ApiError: 401 or 403 without such a key, 429 after
        many unknown keys."""
        from stores.incidents.page_sessions import SignedIn

        grant = self._gate.require_grant(request, key.strip(), "viewer")
        token = await self._begin(SignedIn(grant.key_hash, grant.role))
        await self.record_audit(grant.name, "sign_in", grant.project, reason=f"{grant.role} key")
        return token

    async def begin_provider_session(self, name: str, scopes: tuple[Scope, ...]) -> str:
        """Begin a session for a provider's person; returns its token. ``scopes``: at least one, the first is shown first."""
        from stores.incidents.page_sessions import SignedIn

        token = await self._begin(SignedIn("", scopes[0].role, name, scopes, scopes[0].project))
        for scope in scopes:
            await self.record_audit(name, "sign_in", scope.project, reason=f"OpenID Connect, {scope.role}")
        return token

    async def make_link_token(self, grant: Grant, role: PersonRole | None) -> tuple[str, datetime]:
        """A token that signs in once with the rights of ``grant`` (or the lower ones of ``role``), and its expiry. Raises
        ApiError (403) for a role above that of the grant."""
        from stores.incidents.page_sessions import SignedIn

        if role is not None and not includes_role(grant.role, role):
            raise ApiError(403, "forbidden", f"this key is no {role} key, and makes no link for one")
        token, expires = _make_token(), _expire_after(LINK_SECONDS)
        holder = SignedIn(grant.key_hash, role or grant.role)
        await self._store.ask_store(lambda store: store.people.add_sign_in_link(hash_token(token), holder, expires))
        await self.record_audit(grant.name, "link.created", grant.project, reason=f"for a {holder.role}, once")
        return token, expires

    async def use_link(self, request: Request, link_token: str) -> str:
        """Begin a session with a link; returns its token. Raises ApiError: 401 for a link that is unknown, used or expired,
        429 after many of them."""
        self._gate.check_guesses(request)
        token, expires = _make_token(), _expire_after(KEPT_SECONDS)
        holder = await self._store.ask_store(
            lambda store: store.people.use_sign_in_link(hash_token(link_token), hash_token(token), expires)
        )
        person = self.make_person(holder) if holder else None
        if person is None:
            self._gate.count_guess(request)
            await self._record_refused_link(link_token)
            raise ApiError(
                401, "unauthorized", "This link was used before, or its hour is over. `furrow sign-in` prints another."
            )
        await self.record_audit(person.name, "sign_in", person.grant.project, reason=f"one-time link, {person.role}")
        return token

    async def end_session(self, request: Request) -> Person | None:
        """End the session of ``request``; its person, if there is one."""
        person = await self.find_person(request)
        digest = hash_token(request.cookies.get(COOKIE, ""))
        await self._store.ask_store(lambda store: store.people.end_page_session(digest))
        if person is not None:
            await self.record_audit(person.name, "sign_out", person.grant.project)
        return person

    async def choose_project(self, request: Request, person: Person, project: str) -> None:
        """Let a provider's person look at another of their projects. Raises ApiError (403) for any other."""
        scope = next((scope for scope in person.scopes if scope.project == project), None)
        if scope is None:
            raise ApiError(403, "forbidden", "Your groups give you no role in this project.")
        digest = hash_token(request.cookies.get(COOKIE, ""))
        await self._store.ask_store(lambda store: store.people.choose_project(digest, scope))

    async def record_audit(
        self, actor: str, action: AuditAction, project: str, subject: str = "", reason: str = ""
    ) -> None:
        """Add an entry to the audit log."""
        await self._store.ask_store(lambda store: store.audit.add_audit_entry(actor, action, project, subject, reason))

    def set_cookie(self, response: Response, token: str) -> None:
        """Set the cookie. Strict: no other site's page causes a request with it. A link in a ticket still works: the page
        that answers it reloads itself (``sign_in.html``)."""
        response.set_cookie(
            COOKIE, token, max_age=KEPT_SECONDS, httponly=True, samesite="strict", secure=self._secure, path="/"
        )

    async def _begin(self, holder: "SignedIn") -> str:
        token, expires = _make_token(), _expire_after(KEPT_SECONDS)
        await self._store.ask_store(lambda store: store.people.begin_page_session(hash_token(token), holder, expires))
        return token

    async def _record_refused_link(self, link_token: str) -> None:
        # Only of links that were made here: anybody can make up others, and fill the log with them.
        holder = await self._store.ask_store(lambda store: store.people.find_sign_in_link(hash_token(link_token)))
        grant = self._keys.find_grant_by_hash(holder.key_hash) if holder else None
        if grant is not None:
            await self.record_audit(
                grant.name, "sign_in.refused", grant.project, reason="one-time link, used before or expired"
            )


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


def require_own_form(person: Person, form: dict[str, list[str]]) -> None:
    """Check that this person's own page sent the form. Raises ApiError (403)."""
    if not person.csrf or not hmac.compare_digest(last_value(form, CSRF_FIELD).encode(), person.csrf.encode()):
        raise ApiError(403, "csrf", "The form is of an older sign-in. Go back, reload the page, and send it again.")


def require_actor(person: Person, form: dict[str, list[str]]) -> None:
    """Check that this person's own page sent the form, and that the person may act on incidents. Raises ApiError (403)."""
    require_own_form(person, form)
    if not person.may_act:
        raise ApiError(403, "forbidden", "You are signed in as a viewer, who may not change anything.")


def require_admin(person: Person, form: dict[str, list[str]]) -> None:
    """Check that this person's own page sent the form, and that the person is an admin. Raises ApiError (403)."""
    require_own_form(person, form)
    require_admin_reader(person)


def require_admin_reader(person: Person) -> None:
    """Check that the person is an admin, for a page that only admins see. Raises ApiError (403)."""
    if not person.may_administer:
        raise ApiError(403, "forbidden", f"You are signed in as {person.role}. This is for admins.")


def last_value(form: dict[str, list[str]], name: str) -> str:
    """The last value of a field; '' without one."""
    return form[name][-1] if form.get(name) else ""


def read_reason(form: dict[str, list[str]]) -> str:
    """The reason of a form, which may be empty. Raises ApiError if it is longer than one line of `MAX_REASON` characters."""
    reason = last_value(form, "reason").strip()
    if len(reason) > MAX_REASON or _CONTROL.search(reason):
        raise ApiError(400, "invalid_body", f"A reason is one line of at most {MAX_REASON} characters.")
    return reason


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


def _check_form_origin(request: Request) -> None:
    # A form on another site must not sign anybody in or out. Browsers send Origin with every posted form.
    origin = request.headers.get("origin", "")
    if urlsplit(origin).netloc != request.headers.get("host") or not origin.startswith(("http://", "https://")):
        raise ApiError(403, "origin_not_allowed", "The form was sent by a page of another origin.")
