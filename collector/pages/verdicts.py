"""Verdicts on the pages of an incident and of a session: the form, and what the templates show."""

from functools import partial
from typing import Final, cast

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from collector.http_errors import ApiError
from collector.pages.html import session_address
from collector.pages.page import Pages
from collector.pages.people import Person, last_value, read_form, require_actor
from collector.routes.incidents import read_incident_id
from collector.routes.route import Route, RouteGroup
from collector.routes.verdicts import VerdictRequest, VerdictWord, keep_verdict
from collector.services import Services
from incidents.verdicts import REASONS, VerdictReason

_WORDS: Final = ("no_frustration", "frustration", "none")


class VerdictForms:
    """The form of a verdict."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store

    async def judge(self, request: Request) -> Response:
        """Keep a person's verdict and show the page again."""
        return await self._pages.answer_form(request, partial(self._judge, request))

    async def _judge(self, request: Request, person: Person) -> Response:
        incident_id = read_incident_id(request)
        form = await read_form(request)
        require_actor(person, form)
        sent = read_verdict_form(form)
        kept = await keep_verdict(self._store, incident_id, sent, (person.name, person.project))
        project = last_value(form, "project")
        # Only the two pages of this collector: a form cannot name another address.
        to_session = last_value(form, "back") == "session" and person.grant.sees_project(project) and bool(project)
        project = kept[0].project if kept else project
        page = session_address(project, sent.sessionId) if to_session else f"/incidents/{incident_id}#example"
        return RedirectResponse(page, 303, headers={"cache-control": "no-store"})


def read_verdict_form(form: dict[str, list[str]]) -> VerdictRequest:
    """The verdict of a form. Raises ApiError (400)."""
    word, reason = last_value(form, "verdict"), last_value(form, "reason")
    if word not in _WORDS:
        raise ApiError(400, "invalid_body", "The form names no verdict.")
    if word == "no_frustration" and reason not in REASONS:
        raise ApiError(400, "invalid_body", "Choose why it was no frustration.")
    try:
        return VerdictRequest(
            sessionId=last_value(form, "session"),
            verdict=cast(VerdictWord, word),
            reason=cast(VerdictReason, reason) if word == "no_frustration" else None,
            text=last_value(form, "text") if word != "none" else "",
        )
    except ValidationError:
        raise ApiError(400, "invalid_body", "The session or the text of the form is not valid.") from None


GROUP: Final = RouteGroup(VerdictForms, (Route("post", "/incidents/{incident_id}/verdict", VerdictForms.judge),))
