"""Signing in at an OpenID provider: to the provider, back from it, and the choice of a project.

The browser keeps one random secret while it is on its way (cookie `VISIT_COOKIE`). The nonce and the PKCE verifier of a login
are derived from it and from the login's state, so that the store holds hashes only. A state works once, in the browser that
got it.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.to_thread
from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from collector.access.callers import rate_limit_error
from collector.http_errors import ApiError
from collector.oidc.claims import find_scopes, make_person_name, read_groups
from collector.oidc.config import OidcConfig
from collector.pages.page import Pages
from collector.pages.people import Person, hash_token, last_value, read_form, require_own_form
from collector.pages.sign_in import HOME, is_own_page
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from collector.transport.limits import RateLimit
from core.metrics import count_degraded

if TYPE_CHECKING:
    from collector.oidc.provider import Claims, OpenIdProvider

VISIT_COOKIE: Final = "furrow_visit"
VISIT_SECONDS: Final = 600
"""Time for signing in at the provider."""
_SECRET: Final = re.compile(r"[A-Za-z0-9_\-]{43}")
_ERROR: Final = re.compile(r"[a-z_]{1,60}")
_MAX_PARAMETER: Final = 4_096
_THREADS: Final = 4
"""Questions to the provider at once; others wait, and intake has its own threads."""
_VISITS_PER_SECOND: Final = 1.0
_VISITS_BURST_SECONDS: Final = 60.0
_T = TypeVar("_T")


class ProviderPages:
    """Signing in at the OpenID provider, where one is configured."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._gate = services.gate
        self._store = services.store
        self._public_url = services.config.public_url.rstrip("/")
        self._config = services.config.oidc
        self._provider = _open_provider(self._config) if self._config else None
        self._visits = RateLimit(_VISITS_PER_SECOND, _VISITS_BURST_SECONDS)
        self._threads = anyio.CapacityLimiter(_THREADS)

    async def visit_provider(self, request: Request) -> Response:
        """Redirect to the provider; the ways to sign in, with the reason, when it does not answer."""
        asked = request.query_params.get("target", "")
        target = asked if is_own_page(asked) else HOME
        try:
            _, provider = self._require_provider()
            self._check_visit_rate(request)
            secret, state = _find_secret(request) or secrets.token_urlsafe(32), secrets.token_urlsafe(32)
            url = await self._ask_provider(
                lambda: provider.make_login_url(self._redirect_uri(request), state, *_derive_values(secret, state))
            )
            expires = datetime.now(UTC) + timedelta(seconds=VISIT_SECONDS)
            await self._store.ask_store(
                lambda store: store.people.begin_provider_visit(hash_token(state), hash_token(secret), target, expires)
            )
        except ApiError as error:
            return await self._pages.render_sign_in(request, error.status, target, error.message)
        response = RedirectResponse(url, 303, headers={"cache-control": "no-store", "referrer-policy": "no-referrer"})
        # Lax: the provider's page leads back here, and a strict cookie is not sent then.
        response.set_cookie(
            VISIT_COOKIE,
            secret,
            max_age=VISIT_SECONDS,
            httponly=True,
            samesite="lax",
            secure=self._is_secure,
            path="/sign-in",
        )
        return response

    async def return_from_provider(self, request: Request) -> Response:
        """Begin the session of the person whom the provider names; else the ways to sign in, with the reason."""
        target = HOME
        try:
            config, provider = self._require_provider()
            secret, state, target = await self._end_visit(request)
            code = _read_code(request, config.issuer)
            nonce, verifier = _derive_values(secret, state)
            claims = await self._ask_provider(
                lambda: provider.exchange_code(code, self._redirect_uri(request), nonce, verifier)
            )
            name, token = await self._begin_session(claims, config)
        except ApiError as error:
            return await self._pages.render_sign_in(request, error.status, target, error.message)
        # Not a redirect: a browser that comes from another site sends no strict cookie with the request after it.
        response = await self._pages.render(request, "signed_in.html", 200, target=target, name=name, person=None)
        response.headers["referrer-policy"] = "no-referrer"  # the address holds the code
        self._pages.people.set_cookie(response, token)
        return response

    async def show_signed_out(self, request: Request) -> Response:
        """The way out of the provider, for a person who left."""
        provider = self._provider
        if provider is None or self._config is None:
            return RedirectResponse("/sign-in", 303, headers={"cache-control": "no-store"})
        logout = await anyio.to_thread.run_sync(provider.make_logout_url, limiter=self._threads)
        return await self._pages.render(
            request, "signed_out.html", 200, logout=logout, provider=self._config.label, person=None
        )

    async def choose_project(self, request: Request) -> Response:
        """Show a provider's person another of their projects."""
        return await self._pages.answer_form(request, partial(self._choose_project, request))

    async def _choose_project(self, request: Request, person: Person) -> Response:
        form = await read_form(request)
        require_own_form(person, form)
        await self._pages.people.choose_project(request, person, last_value(form, "project"))
        return RedirectResponse(HOME, 303, headers={"cache-control": "no-store"})

    async def _end_visit(self, request: Request) -> tuple[str, str, str]:
        """The browser's secret, the state, and the page that was asked for. Raises ApiError (400, 429)."""
        self._gate.check_guesses(request)
        secret, state = _find_secret(request), request.query_params.get("state", "")[:_MAX_PARAMETER]
        visit = await self._store.ask_store(
            lambda store: store.people.end_provider_visit(hash_token(state), hash_token(secret))
        )
        if visit is None or not secret:
            self._gate.count_guess(request)
            raise ApiError(
                400,
                "unknown_visit",
                "This sign-in was finished before, or began in another browser or more than "
                f"{VISIT_SECONDS // 60} minutes ago. Begin again.",
            )
        return secret, state, visit.target if is_own_page(visit.target) else HOME

    async def _begin_session(self, claims: "Claims", config: OidcConfig) -> tuple[str, str]:
        """The person's name and the token of their session. Raises ApiError (403) when no group allows anything."""
        name = make_person_name(claims)
        groups = read_groups(claims, config.groups_claim)
        scopes = find_scopes(groups, config.groups)
        if not scopes:
            reason = "in no group that may use Furrow" if groups else f"no groups in the claim {config.groups_claim}"
            await self._pages.people.record_audit(name, "sign_in.refused", "*", reason=f"OpenID Connect, {reason}")
            raise ApiError(
                403,
                "forbidden",
                f"{config.label} signed you in as {name}, who has no access here: {reason}. An admin of Furrow sets the "
                "groups (FURROW_OIDC_GROUPS).",
            )
        return name, await self._pages.people.begin_provider_session(name, scopes)

    async def _ask_provider(self, question: Callable[[], _T]) -> _T:
        """The provider's answer. Raises ApiError: 503 while it does not answer, 403 when it refuses the login."""
        from collector.oidc.provider import LoginRefused, ProviderAway

        try:
            return await anyio.to_thread.run_sync(question, limiter=self._threads)
        except ProviderAway as error:
            raise ApiError(
                503, "provider_unavailable", f"{error} Keys and one-time links work meanwhile.", retry_after=5
            ) from None
        except LoginRefused as error:
            count_degraded("oidc", "login_refused")
            raise ApiError(403, "login_refused", str(error)) from None

    def _require_provider(self) -> "tuple[OidcConfig, OpenIdProvider]":
        if self._config is None or self._provider is None:
            raise ApiError(404, "not_found", "No OpenID provider is configured (FURROW_OIDC_ISSUER).")
        return self._config, self._provider

    def _check_visit_rate(self, request: Request) -> None:
        source, now = self._gate.find_request_source(request), time.monotonic()
        wait = self._visits.find_wait_seconds(source, now)
        if wait:
            raise rate_limit_error("keys", "Too many attempts to sign in from this address.", wait)
        self._visits.take_tokens(source, now)

    def _redirect_uri(self, request: Request) -> str:
        return f"{self._public_url or str(request.base_url).rstrip('/')}/sign-in/callback"

    @property
    def _is_secure(self) -> bool:
        return self._public_url.startswith("https://")


def _open_provider(config: OidcConfig) -> "OpenIdProvider":
    from collector.oidc.provider import OpenIdProvider  # Authlib takes half a second, which only its users wait for

    return OpenIdProvider(config)


def _find_secret(request: Request) -> str:
    """The browser's secret; '' without one. It stays while logins are on their way, so that two tabs can sign in."""
    secret = request.cookies.get(VISIT_COOKIE, "")
    return secret if _SECRET.fullmatch(secret) else ""


def _derive_values(secret: str, state: str) -> tuple[str, str]:
    """The nonce and the PKCE verifier of a login: 64 characters each."""
    return tuple(  # type: ignore[return-value]  # two
        hmac.new(secret.encode(), f"{use} {state}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        for use in ("nonce", "verifier")
    )


def _read_code(request: Request, issuer: str) -> str:
    """The code of an answer. Raises ApiError (403) when the provider states an error, or the answer is another's (RFC 9207)."""
    parameters = request.query_params
    error, code = parameters.get("error", ""), parameters.get("code", "")
    if error:
        shown = error if _ERROR.fullmatch(error) else "an unknown error"
        raise ApiError(403, "login_refused", f"The provider did not sign you in: {shown}.")
    if parameters.get("iss", issuer) != issuer:
        raise ApiError(403, "login_refused", "The answer is of another provider.")
    if not code or len(code) > _MAX_PARAMETER:
        raise ApiError(403, "login_refused", "The provider's answer has no code.")
    return code


GROUP: Final = RouteGroup(
    ProviderPages,
    (
        Route("get", "/sign-in/provider", ProviderPages.visit_provider),
        Route("get", "/sign-in/callback", ProviderPages.return_from_provider),
        Route("post", "/sign-in/project", ProviderPages.choose_project),
        Route("get", "/signed-out", ProviderPages.show_signed_out),
    ),
)
