"""What every page does: it finds the reader, asks the store, and answers as HTML, JSON or Markdown."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import anyio
import anyio.to_thread
from fastapi import Request, Response

from collector.http_errors import ApiError, error_response, json_response
from collector.pages.html import HEADERS, compress_answer, render_page
from collector.pages.people import COOKIE, People, Person
from collector.services import Services

Form = Literal["html", "json", "md"]

_THREADS: Final = 2
"""Pages that are rendered at once: intake keeps the other threads."""
_TITLES: Final = {
    400: "This address is not valid",
    403: "This is not allowed",
    404: "There is no such page",
    409: "Somebody was faster",
    429: "Too many attempts",
    503: "The database does not answer",
}


@dataclass(frozen=True)
class Answer:
    """The content of a page: the template and its values, the same as JSON, and the same as Markdown (made when asked for)."""

    template: str
    values: dict[str, Any]
    data: object
    markdown: Callable[[], str]
    status: int = 200


class Pages:
    """Answers the requests of pages. One object serves all of a group's routes."""

    def __init__(self, services: Services) -> None:
        self.people = People(services)
        self.store = services.store
        self._provider = services.config.oidc.label if services.config.oidc else ""
        self._threads = anyio.CapacityLimiter(_THREADS)

    async def answer_page(
        self, request: Request, build: Callable[[Person], Awaitable[Answer]], form: Form | None = None
    ) -> Response:
        """The page that ``build`` makes for the reader; the sign-in form (401); or the error, in the asked form."""
        form = form or find_form(request.url.path)
        try:
            person = (self.people.find_program(request) if form != "html" else None) or await self.people.find_person(
                request
            )
            if person is None:
                return await self.ask_to_sign_in(request, form)
            answer = await build(person)
            return await self._write_answer(request, form, person, answer)
        except ApiError as error:
            return await self.answer_problem(request, error, form)

    async def answer_form(self, request: Request, act: Callable[[Person], Awaitable[Response]]) -> Response:
        """The answer of ``act``; the sign-in form (401); or a page with the error."""
        try:
            person = await self.people.find_person(request)
            if person is None:
                return await self.ask_to_sign_in(request, "html", target="/incidents")
            return await self._act_or_record(request, person, act)
        except ApiError as error:
            return await self.answer_problem(request, error)

    async def _act_or_record(
        self, request: Request, person: Person, act: Callable[[Person], Awaitable[Response]]
    ) -> Response:
        try:
            return await act(person)
        except ApiError as error:
            if error.code == "forbidden":
                path = request.url.path
                await self.people.record_audit(person.name, "action.refused", person.grant.project, path, error.message)
            raise

    async def render(self, request: Request, template: str, status: int = 200, /, **values: Any) -> Response:
        """A page of HTML, rendered in a thread."""
        return await anyio.to_thread.run_sync(
            partial(render_page, request, template, status, **values), limiter=self._threads
        )

    async def ask_to_sign_in(self, request: Request, form: Form = "html", target: str = "") -> Response:
        """The sign-in form, which leads back to the requested page."""
        if form != "html":
            return error_response(ApiError(401, "unauthorized", "send an operator key as X-API-Key, or sign in"))
        query = f"?{request.url.query}" if request.url.query else ""
        # A strict cookie is not sent with the first request after a link on another site. The page asks once more by itself.
        again = request.headers.get("sec-fetch-site") == "cross-site" and COOKIE not in request.cookies
        return await self.render_sign_in(request, 401, target or request.url.path + query, again=again)

    async def render_sign_in(
        self, request: Request, status: int, target: str, problem: str = "", *, again: bool = False
    ) -> Response:
        """The ways to sign in. ``problem``: why the last one failed; ``again``: the page asks once more by itself."""
        return await self.render(
            request,
            "sign_in.html",
            status,
            target=target,
            problem=problem,
            again=again,
            provider=self._provider,
            person=None,
        )

    async def answer_problem(self, request: Request, error: ApiError, form: Form = "html", **values: Any) -> Response:
        """The error as a page, or as JSON where the page was asked for as JSON or Markdown."""
        if form != "html":
            return error_response(error)
        response = await self.render(
            request,
            "message.html",
            error.status,
            title=_TITLES.get(error.status, "This page cannot be shown"),
            text=error.message,
            code=error.status,
            person=None,
            **values,
        )
        if error.retry_after is not None:
            response.headers["retry-after"] = str(max(1, round(error.retry_after + 0.499)))
        return response

    async def _write_answer(self, request: Request, form: Form, person: Person, answer: Answer) -> Response:
        if form == "json":
            return json_response(answer.data, answer.status)
        if form == "md":
            text = await anyio.to_thread.run_sync(answer.markdown, limiter=self._threads)
            return compress_answer(request, text, "text/markdown; charset=utf-8", answer.status, dict(HEADERS))
        return await self.render(request, answer.template, answer.status, person=person, **answer.values)


def find_form(path: str) -> Form:
    """The form that a path asks for: ``/incidents.json``."""
    last = path.rpartition("/")[2]
    return "json" if last.endswith(".json") else "md" if last.endswith(".md") else "html"
