"""``/incidents/{id}/ticket``: the ticket of an incident as each tracker gets it, by the file of fields as it is now."""

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
from fastapi import Request, Response

from collector.http_errors import ApiError
from collector.pages.incident import INCIDENT_ID
from collector.pages.page import Answer, Pages
from collector.pages.people import Person
from collector.routes.owned import add_owner
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from core.metrics import count_degraded
from core.tracker_kinds import TRACKER_KINDS
from incidents.owners import NO_OWNERS, OwnerRules, owner_of

if TYPE_CHECKING:
    from incidents.incident import IncidentDetail

_THREADS: Final = anyio.CapacityLimiter(1)
"""Previews that are made at once: a template may take a second."""


@dataclass(frozen=True)
class TicketPreview:
    """A ticket for one tracker; ``text`` is Markdown. ``problems``: why the built-in text stands in for a template."""

    tracker: str
    title: str
    priority: str
    labels: tuple[str, ...]
    fields: dict[str, list[str]]
    text: str
    problems: list[str]


@dataclass(frozen=True)
class ShownTickets:
    """The previews; ``problem``: why the file of fields cannot be used, '' if it can."""

    previews: list[TicketPreview]
    problem: str

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"problem": self.problem or None, "tickets": [vars(preview) for preview in self.previews]}

    def to_markdown(self) -> str:
        """One text; what templates made is in blocks of code."""
        from trackers.document import Heading, Paragraph, make_list, render_markdown

        parts = [render_markdown((Paragraph((self.problem,)),))] if self.problem else []
        for preview in self.previews:
            lines = [(f"{name}: {', '.join(values)}",) for name, values in preview.fields.items()]
            facts = f"{preview.priority}; labels {', '.join(preview.labels)}"
            head = (Heading(preview.tracker), Paragraph((preview.title,)), Paragraph((facts,)), *make_list(lines))
            quoted = "\n".join(f"    {line}".rstrip() for line in preview.text.splitlines())
            parts.append(f"{render_markdown(head)}\n{quoted}\n")
        return "\n".join(parts)


class TicketPreviewPages:
    """The page of an incident's tickets, before they are filed. It asks no tracker."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store
        self._public_url = services.config.public_url.rstrip("/")
        self._file = services.config.ticket_fields
        self._owners = services.owners

    async def show_ticket(self, request: Request) -> Response:
        """The tickets; ``ticket.json`` and ``ticket.md`` are the same for programs."""
        return await self._pages.answer_page(request, partial(self._build_page, request))

    async def _build_page(self, request: Request, person: Person) -> Answer:
        incident_id = request.path_params["incident_id"]
        incident = None
        if INCIDENT_ID.fullmatch(incident_id):
            incident = await self._store.ask_store(
                lambda store: store.incidents.read_incident(incident_id, person.project)
            )
        if incident is None:
            raise ApiError(404, "not_found", "There is no such incident.")
        base = self._public_url or re.sub(r"/+$", "", str(request.base_url))
        make = partial(make_previews, incident, self._file, base, self._owners.read_rules())
        shown = await anyio.to_thread.run_sync(make, limiter=_THREADS)
        values = {"incident": incident, "previews": shown.previews, "file_problem": shown.problem}
        return Answer("ticket_preview.html", values, shown.to_json(), shown.to_markdown)


def make_previews(incident: "IncidentDetail", path: str, base: str, owners: OwnerRules = NO_OWNERS) -> ShownTickets:
    """The ticket for each tracker, by the file at ``path`` ('': without one) and the owner by the rules ``owners``.

    ``base``: the address of the pages.
    """
    from trackers.document import render_markdown
    from trackers.owner_fields import choose_owner_fields
    from trackers.ticket_making import make_ticket
    from trackers.ticket_plan import TicketPlan, TrackerPlan, WrongTicketFile, load_ticket_plan

    problem = ""
    plan: TicketPlan = {}
    try:
        plan = load_ticket_plan(path)
    except WrongTicketFile as error:
        count_degraded("ticket_preview", "file")
        problem = str(error)
    previews = []
    owner, owned = owner_of(incident, owners), add_owner(incident, owners)
    for kind in TRACKER_KINDS:
        ticket, problems = make_ticket(
            owned, plan.get(kind.name, TrackerPlan()), base, extra=choose_owner_fields(owner, kind.name)
        )
        fields = {
            name: [str(entry) for entry in (value if isinstance(value, tuple) else (value,))]
            for name, value in ticket.fields.items()
        }
        text = render_markdown(ticket.text or ticket.body)
        previews.append(TicketPreview(kind.title, ticket.title, ticket.priority, ticket.labels, fields, text, problems))
    return ShownTickets(previews, problem)


_PATH: Final = "/incidents/{incident_id}/ticket"
GROUP = RouteGroup(
    TicketPreviewPages,
    tuple(Route("get", _PATH + ending, TicketPreviewPages.show_ticket) for ending in ("", ".json", ".md")),
)
