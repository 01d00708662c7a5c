"""``/session?project=…&id=…``: one client session, its timeline, and why it was flagged or not."""

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastapi import Request, Response

from collector.http_errors import ApiError
from collector.pages.documents import session_to_markdown
from collector.pages.page import Answer, Pages
from collector.pages.people import Person
from collector.pages.timeline import draw_timeline
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from incidents.verdicts import REASONS

if TYPE_CHECKING:
    from stores.incidents.incident_review import SessionView

NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}")


class SessionPages:
    """The page of a session."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store
        self._public_url = services.config.public_url.rstrip("/")

    async def show_session(self, request: Request) -> Response:
        """The session; ``/session.json`` and ``/session.md`` are the same for programs."""
        return await self._pages.answer_page(request, partial(self._build_session_page, request))

    async def _build_session_page(self, request: Request, person: Person) -> Answer:
        project = request.query_params.get("project", "")
        session_id = request.query_params.get("id", "")
        if not NAME.fullmatch(project) or not NAME.fullmatch(session_id):
            raise ApiError(400, "invalid_parameter", "The address names a `project` and the `id` of a session.")
        if not person.grant.sees_project(project):
            raise ApiError(404, "not_found", "There is no such session.")
        view = await self._store.ask_store(lambda store: store.review.read_session(project, session_id))
        if not view.is_known:
            raise ApiError(
                404,
                "not_found",
                "Nothing is stored about this session: no incident has it, it waits for no analysis, and no rule that "
                "silenced it is kept. `furrow explain SESSION` analyses the stored events again.",
            )
        verdicts = await self._store.ask_store(lambda store: store.verdicts.list_verdicts(project, None, session_id))
        base = self._public_url or str(request.base_url).rstrip("/")
        return Answer(
            "session.html",
            {
                "project": project,
                "session_id": session_id,
                "view": view,
                "drawn": _draw_visits(view),
                "verdicts": {
                    incident: [verdict for verdict in verdicts if verdict.incident_id == incident]
                    for incident in {verdict.incident_id for verdict in verdicts}
                },
                "verdict_reasons": REASONS,
            },
            {**_session_to_json(project, session_id, view), "verdicts": [verdict.to_json() for verdict in verdicts]},
            partial(session_to_markdown, project, session_id, view, base),
        )


def _draw_visits(view: "SessionView") -> list[tuple[Any, Any]]:
    return [(found, draw_timeline(found.example)) for found in view.detections]


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
