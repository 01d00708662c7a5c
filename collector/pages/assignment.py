"""Forms that say who has an incident, and that two incidents are the same problem."""

from functools import partial
from typing import TYPE_CHECKING, Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from collector.http_errors import ApiError
from collector.pages.incident import (
    INCIDENT_ID,
    REFUSED,
    Choice,
    IncidentPages,
    read_choices,
    read_seen_version,
    read_way_back,
)
from collector.pages.page import Pages
from collector.pages.people import Person, last_value, read_form, require_actor
from collector.routes.decisions import AssignRequest
from collector.routes.grouping import MergeRequest
from collector.routes.incidents import read_incident_id
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from collector.store import Incidents
from incidents.model import NotFound

if TYPE_CHECKING:
    from incidents.incident import IncidentDetail

_PAIR: Final = 2


class AssignmentForms:
    """Assignment of one incident or of those chosen in the list, and the merge of two."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._incidents = IncidentPages(services)
        self._store = services.store
        self._keys = services.keys
        self._confirm = services.config.confirm

    async def assign(self, request: Request) -> Response:
        """Assign an incident and show it again."""
        return await self._pages.answer_form(request, partial(self._assign, request))

    async def assign_many(self, request: Request) -> Response:
        """Assign the incidents that were chosen in the list."""
        return await self._pages.answer_form(request, partial(self._assign_many, request))

    async def choose_merge(self, request: Request) -> Response:
        """Show the two incidents that were chosen in the list, and ask which one remains."""
        return await self._pages.answer_form(request, partial(self._choose_merge, request))

    async def merge(self, request: Request) -> Response:
        """Merge an incident into another one, and show the other."""
        return await self._pages.answer_form(request, partial(self._merge, request))

    async def _assign(self, request: Request, person: Person) -> Response:
        incident_id = read_incident_id(request)
        form = await read_form(request)
        require_actor(person, form)
        sent = _read_assignment(form, "")
        try:
            await self._save(incident_id, sent, person, read_seen_version(form))
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            return await self._incidents.show_refusal(request, person, incident_id, error.message, sent.reason)
        return RedirectResponse(f"/incidents/{incident_id}", 303, headers={"cache-control": "no-store"})

    async def _assign_many(self, request: Request, person: Person) -> Response:
        form = await read_form(request)
        require_actor(person, form)
        sent = _read_assignment(form, "Name the person or team.")

        async def apply(choice: Choice) -> None:
            await self._save(choice.incident_id, sent, person, choice.version)

        return await self._incidents.apply_to_many(request, person, form, "assign", apply)

    async def _save(self, incident_id: str, sent: AssignRequest, person: Person, version: int | None) -> None:
        await self._store.ask_store(
            lambda store: store.ledger.assign_incident(
                incident_id, sent.assignee, sent.reason, person.name, person.project, version=version
            )
        )

    async def _choose_merge(self, request: Request, person: Person) -> Response:
        form = await read_form(request)
        require_actor(person, form)
        chosen = list({choice.incident_id: choice for choice in read_choices(form)}.values())
        if len(chosen) != _PAIR or not all(INCIDENT_ID.fullmatch(choice.incident_id) for choice in chosen):
            raise ApiError(400, "invalid_body", "Choose the two incidents that are the same problem.")
        pair = [await self._store.ask_store(partial(_read, choice.incident_id, person)) for choice in chosen]
        values = {
            "pairs": [(pair[0], pair[1], chosen[1].version), (pair[1], pair[0], chosen[0].version)],
            "reason": last_value(form, "reason"),
            "back": read_way_back(form),
        }
        return await self._pages.render(request, "merge.html", person=person, **values)

    async def _merge(self, request: Request, person: Person) -> Response:
        incident_id = read_incident_id(request)
        form = await read_form(request)
        require_actor(person, form)
        version = read_seen_version(form)
        try:
            sent = MergeRequest(into=last_value(form, "into"), reason=last_value(form, "reason").strip())
        except ValidationError:
            raise ApiError(400, "invalid_body", "A merge names the incident that remains, and a reason.") from None

        def merge(store: Incidents) -> "IncidentDetail":
            project = _read(incident_id, person, store)["projectId"]
            rule = self._keys.find_project_settings(project).effective_confirm_rule(self._confirm)
            return store.merger.merge_incidents(
                incident_id, sent.into, sent.reason, person.name, person.project, rule, version
            )

        try:
            await self._store.ask_store(merge)
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            return await self._incidents.show_refusal(request, person, incident_id, error.message, sent.reason)
        return RedirectResponse(f"/incidents/{sent.into}", 303, headers={"cache-control": "no-store"})


def _read(incident_id: str, person: Person, store: Incidents) -> "IncidentDetail":
    found = store.incidents.read_incident(incident_id, person.project)
    if found is None:
        raise NotFound(f"no incident {incident_id!r}")
    return found


def _read_assignment(form: dict[str, list[str]], missing: str) -> AssignRequest:
    """The assignment of a form; ``missing``: what is wrong when it names nobody, '' if it may. Raises ApiError (400)."""
    name = last_value(form, "assignee").strip()
    if missing and not name:
        raise ApiError(400, "invalid_body", missing)
    try:
        return AssignRequest(assignee=name or None, reason=last_value(form, "reason").strip())
    except ValidationError:
        raise ApiError(
            400, "invalid_body", "A person or team is one line of at most 100 characters, and so is the reason of 2000."
        ) from None


GROUP: Final = RouteGroup(
    AssignmentForms,
    (
        Route("post", "/incidents/assign", AssignmentForms.assign_many),
        Route("post", "/incidents/merge", AssignmentForms.choose_merge),
        Route("post", "/incidents/{incident_id}/assign", AssignmentForms.assign),
        Route("post", "/incidents/{incident_id}/merge", AssignmentForms.merge),
    ),
)
