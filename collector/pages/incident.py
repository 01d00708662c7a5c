"""``/incidents/{id}``: the page to which links in tickets, artifacts and warnings lead."""

import re
from typing import TYPE_CHECKING, Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from collector.access.callers import visible_project
from collector.http_errors import ApiError
from collector.pages.html import render_page
from collector.pages.sign_in import COOKIE, PageSessions, read_form, set_session_cookie
from collector.routes.route import Route, RouteGroup
from collector.services import Services

if TYPE_CHECKING:
    from incidents.incident import ExampleSession, IncidentDetail

if TYPE_CHECKING:
    from incidents.incident import ExampleSession, IncidentDetail

_PATH: Final = re.compile(r"/incidents/[A-Za-z0-9_\-]{1,100}")
_STEPS: Final = 200


class IncidentPages:
    """The page of an incident, and signing in and out."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._people = PageSessions(services.keys, services.gate)
        self._secure = services.config.public_url.startswith("https://")

    async def show_incident(self, request: Request) -> Response:
        """The incident, the sign-in form (401), or a page with the error (404, 503)."""
        incident_id: str = request.path_params["incident_id"]
        path = f"/incidents/{incident_id}"
        if not _PATH.fullmatch(path):
            return _render_problem_page(ApiError(404, "not_found", "There is no such incident."))
        grant = self._people.find_signed_in_grant(request)
        if grant is None:
            return render_page("sign_in.html", 401, target=path, problem="")
        try:
            found = await self._store.ask_store(
                lambda store: store.incidents.read_incident(incident_id, visible_project(grant))
            )
        except ApiError as error:
            return _render_problem_page(error)
        if found is None:
            return _render_problem_page(ApiError(404, "not_found", "There is no such incident."))
        return render_page("incident.html", incident=found, example=_first_example(found), steps=_STEPS, who=grant.name)

    async def sign_in(self, request: Request) -> Response:
        """Begin a session and redirect to the requested page; 401 and the form again for a wrong key."""
        try:
            form = await read_form(request)
        except ApiError as error:
            return _render_problem_page(error)
        target = form.get("target", "")
        if not _PATH.fullmatch(target):
            return _render_problem_page(ApiError(400, "invalid_body", "The form has no valid target page."))
        try:
            token = self._people.begin_session(request, form.get("key", ""))
        except ApiError as error:
            return render_page("sign_in.html", error.status, target=target, problem=error.message)
        response = RedirectResponse(target, 303)
        set_session_cookie(response, token, secure=self._secure)
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session of the browser."""
        try:
            await read_form(request)
        except ApiError as error:
            return _render_problem_page(error)
        self._people.end_session(request)
        response = render_page("message.html", title="Signed out", text="You are signed out.")
        response.delete_cookie(COOKIE, path="/")
        return response


def _first_example(incident: "IncidentDetail") -> "ExampleSession | None":
    """The example session whose timeline is shown: the first, as in the ticket."""
    examples = incident["examples"]
    return examples[0] if examples else None


def _render_problem_page(error: ApiError) -> Response:
    return render_page("message.html", error.status, title="This page cannot be shown", text=error.message)


GROUP: Final = RouteGroup(
    IncidentPages,
    (
        Route("get", "/incidents/{incident_id}", IncidentPages.show_incident),
        Route("post", "/sign-in", IncidentPages.sign_in),
        Route("post", "/sign-out", IncidentPages.sign_out),
    ),
)
