"""``/session?project=…&id=…``: one client session, its timeline, and why it was flagged or not."""

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastapi import Request, Response

from collector.http_errors import ApiError
from collector.pages.documents import session_to_markdown
from collector.pages.page import Answer, Pages
from collector.pages.people import Person
from collector.pages.session_part import SessionAddress, SessionPart, find_moments, part_to_json, present_part
from collector.pages.timeline import draw_timeline
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from collector.session_events import EventsUnavailable, SessionEvents
from core.session_window import WindowRequest
from incidents.verdicts import REASONS

if TYPE_CHECKING:
    from stores.incidents.incident_review import SessionView

NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}")
_NUMBER: Final = re.compile(r"-?\d{1,12}")
_MOST_SHOWN: Final = 20
"""Detections and silent visits of which the HTML shows the text; JSON has all."""


class SessionPages:
    """The page of a session."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store
        self._events = SessionEvents(services.config.lander_status)
        self._public_url = services.config.public_url.rstrip("/")

    async def show_session(self, request: Request) -> Response:
        """The session; ``/session.json`` and ``/session.md`` are the same for programs."""
        return await self._pages.answer_page(request, partial(self._build_session_page, request))

    async def _build_session_page(self, request: Request, person: Person) -> Answer:
        address = _read_address(request)
        if not person.grant.sees_project(address.project):
            raise ApiError(404, "not_found", "There is no such session.")
        project, session_id = address.project, address.session_id
        view = await self._store.ask_store(lambda store: store.review.read_session(project, session_id))
        part = await self._read_part(address, view)
        if not view.is_known and not (part.window and part.window.total):
            raise _explain_unknown(part.problem if self._events.is_configured else "")
        verdicts = await self._store.ask_store(lambda store: store.verdicts.list_verdicts(project, None, session_id))
        base = self._public_url or str(request.base_url).rstrip("/")
        return Answer(
            "session.html",
            {
                "project": project,
                "session_id": session_id,
                "view": view,
                "part": present_part(part, view, address),
                "most": _MOST_SHOWN,
                "drawn": [] if part.window else [(found, draw_timeline(found.example)) for found in view.detections],
                "verdicts": {
                    incident: [verdict for verdict in verdicts if verdict.incident_id == incident]
                    for incident in {verdict.incident_id for verdict in verdicts}
                },
                "verdict_reasons": REASONS,
            },
            {
                **_session_to_json(project, session_id, view),
                **part_to_json(part),
                "verdicts": [verdict.to_json() for verdict in verdicts],
            },
            partial(session_to_markdown, project, session_id, view, base, part),
        )

    async def _read_part(self, address: SessionAddress, view: "SessionView") -> SessionPart:
        zero, failures = find_moments(view)
        around = zero + address.at if zero is not None and address.at is not None else None
        asked = WindowRequest(
            address.project,
            address.session_id,
            start=address.start,
            around_ms=around if around is not None else next((zero + at for at in failures if zero is not None), None),
        )
        try:
            window = await self._events.read_window(asked)
            if zero is None and address.at is not None and address.start is None and window.total:
                window = await self._events.read_window(
                    WindowRequest(asked.project, asked.session_id, around_ms=window.first_ms + address.at)
                )
        except EventsUnavailable as error:
            return SessionPart(None, zero or 0, failures, str(error))
        return SessionPart(window, window.first_ms if zero is None else zero, failures)


def _read_address(request: Request) -> SessionAddress:
    """The session and the part that the address names. Raises ApiError (400)."""
    project, session_id = request.query_params.get("project", ""), request.query_params.get("id", "")
    if not NAME.fullmatch(project) or not NAME.fullmatch(session_id):
        raise ApiError(400, "invalid_parameter", "The address names a `project` and the `id` of a session.")
    return SessionAddress(project, session_id, _read_number(request, "from"), _read_number(request, "at"))


def _read_number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not _NUMBER.fullmatch(text) or not text.isascii():
        raise ApiError(400, "invalid_parameter", f"`{name}` is a whole number of at most 12 digits.")
    return int(text)


def _explain_unknown(problem: str) -> ApiError:
    if problem:
        return ApiError(
            503,
            "event_store_unavailable",
            f"No incident or near miss is stored for this session, and its events cannot be read: {problem}.",
            retry_after=5,
        )
    return ApiError(
        404,
        "not_found",
        "Nothing is stored about this session: none of its events has landed or is kept, no incident has it, and no rule "
        "that silenced it is kept.",
    )


def _session_to_json(project: str, session_id: str, view: "SessionView") -> dict[str, Any]:
    return {
        "projectId": project,
        "sessionId": session_id,
        "state": view.queue or "analysed",
        "reason": view.reason,
        "detections": [
            {
                "incidentId": found.incident_id,
                "title": found.title,
                "status": found.status,
                "severity": found.severity,
                **found.example,
            }
            for found in view.detections
        ],
        "retracted": [
            {
                "incidentId": ended.incident_id,
                "title": ended.title,
                "score": ended.score,
                "happenedAt": ended.happened_at.isoformat(),
                "retractedAt": ended.retracted_at.isoformat(),
                "reason": ended.reason,
            }
            for ended in view.ended
        ],
        "silences": [silence.to_json() for silence in view.silences],
    }


GROUP: Final = RouteGroup(
    SessionPages,
    (
        Route("get", "/session", SessionPages.show_session),
        Route("get", "/session.json", SessionPages.show_session),
        Route("get", "/session.md", SessionPages.show_session),
    ),
)
