"""``/health``: whether all is well: lag, dead letters, streams, analyses and exports that failed."""

import re
from asyncio import gather
from functools import partial
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from collector.http_errors import ApiError
from collector.pages.documents import health_to_markdown
from collector.pages.incident import INCIDENT_ID
from collector.pages.page import Answer, Pages
from collector.pages.people import Person, last_value, read_form, require_actor
from collector.routes.route import Route, RouteGroup
from collector.routes.status import InstallationStatus, StatusEndpoints
from collector.services import Services
from core.package import VERSION
from core.plurals import format_count

_TRACKER: Final = re.compile(r"[a-z0-9_\-]{1,40}")
LAG_LIMIT_SECONDS: Final = 300
"""Lag from which the page says that work waits."""


class HealthPages:
    """The page of the installation's health, and the retry of exports."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store
        self._status = StatusEndpoints(services)

    async def show_health(self, request: Request) -> Response:
        """The figures; ``/health.json`` and ``/health.md`` are the same for programs."""
        return await self._pages.answer_page(request, self._build_figures_page)

    async def retry_export(self, request: Request) -> Response:
        """Let the next export file a ticket that failed or waits."""
        return await self._pages.answer_form(request, partial(self._retry_export, request))

    async def _build_figures_page(self, person: Person) -> Answer:
        status, exports, dead = await gather(
            self._status.read_status(person.project),
            self._store.ask_store(lambda store: store.review.list_waiting_exports(person.project)),
            self._store.ask_store(lambda store: store.review.list_dead_sessions(person.project)),
        )
        findings = _find_trouble(status)
        return Answer(
            "health.html",
            {"figures": status, "exports": exports, "dead": dead, "findings": findings, "version": VERSION},
            {
                "status": status,
                "findings": findings,
                "exports": [
                    {
                        "incidentId": export.incident_id,
                        "title": export.title,
                        "projectId": export.project,
                        **export.ticket,
                    }
                    for export in exports
                ],
                "deadSessions": [{**session._asdict(), "died_at": session.died_at.isoformat()} for session in dead],
                "version": VERSION,
            },
            partial(health_to_markdown, _list_figures(status), findings, exports, dead),
        )

    async def _retry_export(self, request: Request, person: Person) -> Response:
        form = await read_form(request)
        require_actor(person, form)
        incident_id, tracker = last_value(form, "incident"), last_value(form, "tracker")
        if not INCIDENT_ID.fullmatch(incident_id) or not _TRACKER.fullmatch(tracker):
            raise ApiError(400, "invalid_body", "The form names no ticket.")
        await self._store.ask_store(
            lambda store: store.review.retry_export(incident_id, tracker, person.name, person.project)
        )
        return RedirectResponse("/health", 303, headers={"cache-control": "no-store"})


def _find_trouble(status: InstallationStatus) -> list[str]:
    """What a person should look at."""
    found = [f"The {name} does not answer." for name in _name_parts(status)]
    lag, tickets = status["lagSeconds"], status["tickets"] or {}
    if lag is not None and lag > LAG_LIMIT_SECONDS:
        found.append(f"The oldest work has waited {lag / 60:.0f} min to be analysed.")
    for number, noun, text in (
        (tickets.get("export_failed"), "ticket", "refused by the tracker"),
        (status["deadSessions"], "session", "not analysed, because the analysis failed"),
        (status["unknownTicketStates"], "ticket", "in a state that Furrow does not know (setting ticketStates)"),
        (status["held"], "incident", "held back by a flood of new incidents"),
        (status["deadLetters"], "event", "rejected and kept as dead letters"),
    ):
        if number:
            found.append(f"{format_count(number, noun)} {text}.")
    return found


def _name_parts(status: InstallationStatus) -> list[str]:
    names = {"eventStore": "event store", "incidentStore": "incident store"}
    return [names[part] for part in status["unavailable"]]


def _list_figures(status: InstallationStatus) -> list[tuple[str, Any]]:
    return [
        ("Events stored", status["eventsStored"]),
        ("Lag (s)", status["lagSeconds"]),
        ("Seconds since detect completed", status["detectSecondsAgo"]),
        ("Sessions that go on", status["sessions"]["open"]),
        ("Sessions that are complete", status["sessions"]["complete"]),
        ("Detections", status["detections"]),
        ("Dead letters", status["deadLetters"]),
        ("Dead sessions", status["deadSessions"]),
    ]


GROUP: Final = RouteGroup(
    HealthPages,
    (
        Route("get", "/health", HealthPages.show_health),
        Route("get", "/health.json", HealthPages.show_health),
        Route("get", "/health.md", HealthPages.show_health),
        Route("post", "/health/retry", HealthPages.retry_export),
    ),
)
