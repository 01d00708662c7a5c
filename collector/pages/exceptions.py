"""``/exceptions``: what verdicts have in common, which exceptions follow, what their replay found, and which ones hold."""

from functools import partial
from typing import Final, cast, get_args
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from collector.exemptions import EXEMPTION_ID, ask_for_trial, read_overview
from collector.http_errors import ApiError
from collector.pages.documents import exceptions_to_markdown
from collector.pages.page import Answer, Pages
from collector.pages.people import Person, last_value, read_form, read_reason, require_actor
from collector.pages.session import NAME
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from incidents.verdicts import AGREEING, REASONS, ExemptionRecord, ExemptionState, ExemptionStep


class ExceptionPages:
    """The page of exceptions, and what people do there."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store
        self._public_url = services.config.public_url.rstrip("/")

    async def show_exceptions(self, request: Request) -> Response:
        """The exceptions; ``/exceptions.json`` and ``/exceptions.md`` are the same for programs."""
        return await self._pages.answer_page(request, partial(self._build_page, request))

    async def act(self, request: Request) -> Response:
        """Ask for a replay, accept, reject or take back, and show the page again."""
        return await self._pages.answer_form(request, partial(self._act, request))

    async def _build_page(self, request: Request, person: Person) -> Answer:
        project = _read_project(request.query_params.get("project", ""), person)
        overview = await self._store.ask_store(lambda store: read_overview(store, project))
        records = await self._store.ask_store(lambda store: store.exemptions.list_exemptions(project))
        known = {record["exceptionId"]: record["state"] for record in records}
        fresh = [proposal for proposal in overview.proposals if known.get(proposal.exemption_id) in (None, "ended")]
        values = {
            "project": project or "",
            "overview": overview,
            "proposals": fresh,
            "groups": _group_records(records),
            "least": AGREEING,
            "reasons": REASONS,
        }
        data = {**overview.to_json(), "exceptions": records}
        base = self._public_url or str(request.base_url).rstrip("/")
        return Answer("exceptions.html", values, data, partial(exceptions_to_markdown, overview, records, base))

    async def _act(self, request: Request, person: Person) -> Response:
        form = await read_form(request)
        require_actor(person, form)
        project = _read_project(last_value(form, "project"), person)
        exemption_id, step = last_value(form, "exception"), last_value(form, "step")
        if not EXEMPTION_ID.fullmatch(exemption_id):
            raise ApiError(404, "not_found", "There is no such exception.")
        reason = read_reason(form)
        if step == "try":
            await ask_for_trial(self._store, exemption_id, project, person.name, reason)
        elif step in get_args(ExemptionStep):
            seen = last_value(form, "seen")
            if seen not in get_args(ExemptionState):
                raise ApiError(400, "invalid_body", "The form does not name the state that you saw.")
            await self._store.ask_store(
                lambda store: store.exemptions.move_exemption(
                    exemption_id,
                    cast(ExemptionStep, step),
                    reason,
                    person.name,
                    person.project,
                    expected=cast(ExemptionState, seen),
                )
            )
        else:
            raise ApiError(400, "invalid_body", "The form names no action.")
        query = f"?{urlencode({'project': project})}" if project else ""
        return RedirectResponse(f"/exceptions{query}", 303, headers={"cache-control": "no-store"})


def _read_project(text: str, person: Person) -> str | None:
    """The project of the address; None: all that the person sees. Raises ApiError (400, 404)."""
    if text and not NAME.fullmatch(text):
        raise ApiError(400, "invalid_parameter", "`project` is text of at most 128 characters.")
    if text and not person.grant.sees_project(text):
        raise ApiError(404, "not_found", "There is no such project.")
    return person.project or text or None


def _group_records(records: list[ExemptionRecord]) -> list[tuple[str, list[ExemptionRecord]]]:
    titles: dict[ExemptionState, str] = {
        "tried": "Replayed: decide",
        "asked": "Waiting for the replay",
        "accepted": "In force",
        "rejected": "Rejected",
        "ended": "Taken back",
    }
    groups = [(title, [record for record in records if record["state"] == state]) for state, title in titles.items()]
    return [(title, found) for title, found in groups if found]


GROUP: Final = RouteGroup(
    ExceptionPages,
    (
        Route("get", "/exceptions", ExceptionPages.show_exceptions),
        Route("get", "/exceptions.json", ExceptionPages.show_exceptions),
        Route("get", "/exceptions.md", ExceptionPages.show_exceptions),
        Route("post", "/exceptions/act", ExceptionPages.act),
    ),
)
