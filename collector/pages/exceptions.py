"""``/exceptions``: what verdicts have in common, which exceptions follow, what their replay found, and which ones hold."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast, get_args
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from collector.http_errors import ApiError
from collector.pages.documents import exceptions_to_markdown
from collector.pages.page import Answer, Pages
from collector.pages.people import Person, last_value, read_form, require_actor
from collector.pages.session import NAME
from collector.routes.incidents import MAX_REASON
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from collector.store import Incidents, StoreCalls
from incidents.verdicts import (
    AGREEING,
    REASONS,
    ExemptionRecord,
    ExemptionState,
    ExemptionStep,
    Proposal,
    Verdict,
    count_common,
    list_exemptions,
    propose_exemptions,
    settle_sessions,
)

EXEMPTION_ID: Final = re.compile(r"exc_[0-9a-f]{32}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Overview:
    """The verdicts of a project or an incident. ``sessions``: with a verdict on which all agree; ``frustrated``: those of
    them with frustration; ``disputed``: those about which people disagree."""

    sessions: int
    frustrated: int
    disputed: int
    common: dict[str, list[tuple[str, int]]]
    proposals: list[Proposal]

    def to_json(self) -> dict[str, Any]:
        """As the pages' JSON shows it."""
        return {
            "sessions": self.sessions,
            "frustrated": self.frustrated,
            "disputed": self.disputed,
            "common": {
                name: [{"value": value, "sessions": number} for value, number in values]
                for name, values in self.common.items()
            },
            "proposals": [
                {
                    "exceptionId": one.exemption_id,
                    "projectId": one.project,
                    "text": one.exemption.describe(),
                    "content": one.exemption.content(),
                    "sessions": one.sessions,
                    "reason": one.reason,
                }
                for one in self.proposals
            ],
        }


def read_overview(store: Incidents, project: str | None, verdicts: list[Verdict] | None = None) -> Overview:
    """The overview of a project (None: of all), or of the ``verdicts`` of one incident in it. Raises what the store raises."""
    everywhere = store.verdicts.list_verdicts(project) if verdicts is None or verdicts else []
    settled, disputed = settle_sessions(everywhere if verdicts is None else verdicts)
    shares = store.verdicts.read_traffic_shares(sorted({one.project for one in everywhere})) if everywhere else {}
    proposals = propose_exemptions(settle_sessions(everywhere)[0], shares)
    if verdicts is not None:
        own = {exemption for verdict in settled for exemption in list_exemptions(verdict)}
        proposals = [one for one in proposals if one.exemption in own]
    frustrated = sum(one.frustrated for one in settled)
    return Overview(len(settled), frustrated, disputed, count_common(settled), proposals)


async def ask_for_trial(store: StoreCalls, exemption_id: str, project: str | None, actor: str) -> None:
    """Ask for the replay of a proposal. Raises ApiError (404) when verdicts propose no such exception (any more)."""

    def find_and_ask(stores: Incidents) -> bool:
        found = [one for one in read_overview(stores, project).proposals if one.exemption_id == exemption_id]
        for proposal in found:
            stores.exemptions.ask_for_trial(proposal, actor)
        return bool(found)

    if not await store.ask_store(find_and_ask):
        raise ApiError(404, "not_found", "The verdicts do not propose this exception any more.")


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
        known = {one["exceptionId"]: one["state"] for one in records}
        fresh = [one for one in overview.proposals if known.get(one.exemption_id) in (None, "ended")]
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
        reason = last_value(form, "reason").strip()
        if not EXEMPTION_ID.fullmatch(exemption_id):
            raise ApiError(404, "not_found", "There is no such exception.")
        if len(reason) > MAX_REASON or _CONTROL.search(reason):
            raise ApiError(400, "invalid_body", f"A reason is one line of at most {MAX_REASON} characters.")
        if step == "try":
            await ask_for_trial(self._store, exemption_id, project, person.name)
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
    groups = [(title, [one for one in records if one["state"] == state]) for state, title in titles.items()]
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
