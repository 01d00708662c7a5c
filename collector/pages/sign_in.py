"""Signing in and out: with an operator key, or with a link that works once."""

import re
from typing import Annotated, Final, Literal

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from collector.http_errors import ApiError, json_response
from collector.pages.page import Pages
from collector.pages.people import COOKIE, last_value, read_form
from collector.routes.route import BODY_STATUSES, Operation, Route, RouteGroup
from collector.services import Services
from collector.transport.body import validate_body

HOME: Final = "/incidents"
_MAX_BODIES: Final = 8
_TARGET: Final = re.compile(
    r"/(?:incidents(?:/[A-Za-z0-9_\-]{1,100})?|session|near-misses|health|settings)(?:\?[!-\[\]-~]{0,2000})?"
)


class SignInLinkRequest(BaseModel):
    """What the link allows."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    role: Annotated[Literal["viewer", "operator"], Field(description="A `viewer` reads; an `operator` also acts.")] = (
        "operator"
    )


class SignInLink(TypedDict):
    """A link that signs one person in, once, with the rights of the key that made it."""

    url: str
    expiresAt: str


class SignInPages:
    """Signing in and out."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._gate = services.gate
        self._public_url = services.config.public_url.rstrip("/")
        self._doorway = services.make_doorway(_MAX_BODIES)

    async def go_home(self, _: Request) -> Response:
        """Redirect to the list of incidents."""
        return RedirectResponse(HOME, 303, headers={"cache-control": "no-store"})

    async def show_form(self, request: Request) -> Response:
        """The form, which leads to the list of incidents."""
        response = await self._pages.ask_to_sign_in(request, target=HOME)
        response.status_code = 200
        return response

    async def sign_in(self, request: Request) -> Response:
        """Begin a session with a key and redirect to the requested page; 401 and the form again for a wrong key."""
        try:
            form = await read_form(request)
            target = last_value(form, "target")
            if not _TARGET.fullmatch(target):
                raise ApiError(400, "invalid_body", "The form has no valid target page.")
        except ApiError as error:
            return await self._pages.answer_problem(request, error)
        try:
            token = await self._pages.people.begin_session(request, last_value(form, "key"))
        except ApiError as error:
            return await self._pages.render(
                request, "sign_in.html", error.status, target=target, problem=error.message, again=False, person=None
            )
        response = RedirectResponse(target, 303, headers={"cache-control": "no-store"})
        self._pages.people.set_cookie(response, token)
        return response

    async def use_link(self, request: Request) -> Response:
        """Begin a session with a one-time link and redirect to the list; 401 and the form for one that works no more."""
        try:
            token = await self._pages.people.use_link(request, request.path_params["token"])
        except ApiError as error:
            return await self._pages.render(
                request, "sign_in.html", error.status, target=HOME, problem=error.message, again=False, person=None
            )
        response = RedirectResponse(HOME, 303, headers={"cache-control": "no-store", "referrer-policy": "no-referrer"})
        self._pages.people.set_cookie(response, token)
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session of the browser."""
        try:
            await read_form(request)
            await self._pages.people.end_session(request)
        except ApiError as error:
            return await self._pages.answer_problem(request, error)
        response = RedirectResponse("/sign-in", 303, headers={"cache-control": "no-store"})
        response.delete_cookie(COOKIE, path="/")
        return response

    async def make_link(self, request: Request) -> Response:
        """A new link for the holder of an operator key."""
        return await self._doorway.answer_request(request, self._make_link)

    async def _make_link(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(SignInLinkRequest, body.content)
        token, expires = await self._pages.people.make_link_token(grant, sent.role)
        base = self._public_url or str(request.base_url).rstrip("/")
        link: SignInLink = {
            "url": f"{base}/sign-in/{token}",
            "expiresAt": expires.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        return json_response(link)


GROUP: Final = RouteGroup(
    SignInPages,
    (
        Route("get", "/", SignInPages.go_home),
        Route("get", "/sign-in", SignInPages.show_form),
        Route("post", "/sign-in", SignInPages.sign_in),
        Route("get", "/sign-in/{token}", SignInPages.use_link),
        Route("post", "/sign-out", SignInPages.sign_out),
        Route(
            "post",
            "/v1/sign-in-links",
            SignInPages.make_link,
            Operation(
                tag="Operation",
                summary="Make a sign-in link",
                text="The link signs one person in on the pages, once, within an hour, with the rights of the key.",
                answer=SignInLink,
                errors=BODY_STATUSES,
                body=SignInLinkRequest,
                example={"role": "viewer"},
            ),
        ),
    ),
)
