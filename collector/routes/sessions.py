"""``POST /v1/sessions/process``: runs the engine over one session; nothing is stored."""

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import anyio
import anyio.to_thread
from fastapi import Request, Response
from pydantic import Field

from collector.access.callers import require_named_project
from collector.access.projects import ProjectSettings
from collector.contract import MAX_EVENTS, Batch, normalise_batch, to_arrow
from collector.http_errors import json_response
from collector.routes.events import EXAMPLE_EVENT
from collector.routes.fields import Name, SentModel
from collector.routes.route import BODY_STATUSES, Operation, Route, RouteGroup
from collector.services import Services
from collector.transport.body import validate_body

if TYPE_CHECKING:
    from collector.routes.answers import Analysis

MAX_WAITING: Final = 8
"""Bodies in memory at once. The engine analyses one session at a time, so that intake keeps the other cores."""


class SessionRequest(SentModel):
    """One whole session."""

    sessionId: Name
    projectId: Name
    events: Annotated[list[Any], Field(min_length=1, max_length=MAX_EVENTS)]


class AnalysisEndpoint:
    """Runs the engine over one session. The engine is loaded by the first session, not at the collector's start."""

    def __init__(self, services: Services) -> None:
        self._keys = services.keys
        self._gate = services.gate
        self._salt = services.salt
        self._doorway = services.make_doorway(MAX_WAITING)
        self._engine = anyio.CapacityLimiter(1)

    async def process_session(self, request: Request) -> Response:
        """The incidents of one session, or the reasons why there are none."""
        return await self._doorway.answer_request(request, self._process_session)

    async def _process_session(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(SessionRequest, body.content)
        project = require_named_project(grant, sent.projectId)
        normalise = partial(
            normalise_batch,
            body.content,
            project=project,
            received_ms=time.time_ns() // 1_000_000,
            salt=self._salt,
            http_user_agent="",
            session_id=sent.sessionId,
        )
        batch: Batch = await self._doorway.compute_in_turn(request, normalise, body.size)
        settings = self._keys.find_project_settings(project)
        answer = await anyio.to_thread.run_sync(partial(_analyse_batch, batch, settings), limiter=self._engine)
        return json_response(answer)


def _analyse_batch(batch: Batch, settings: ProjectSettings) -> "Analysis":
    import pyarrow as pa

    import ufse
    from core.engine_settings import build_engine_config

    table = pa.Table.from_batches([to_arrow(batch.rows)])
    result = ufse.detect(table, build_engine_config(settings.fitting), why_not=True)
    bodies = [found.to_json() for found in result.detections]
    answer = {
        "count": len(bodies),
        "incidents": [{**body, "incidentId": f"inc_{body['fingerprint']}"} for body in bodies],
        "whyNot": [visit.to_json() for visit in result.why_not],
        "rejected": [reject.to_json() for reject in batch.rejects],
    }
    return cast("Analysis", answer)


def _load_answer_type() -> type:
    from collector.routes.answers import Analysis

    return Analysis


GROUP: Final = RouteGroup(
    AnalysisEndpoint,
    (
        Route(
            "post",
            "/v1/sessions/process",
            AnalysisEndpoint.process_session,
            Operation(
                tag="Events",
                summary="Analyse one session",
                text="Runs the engine at once over one session; nothing is stored.",
                answer=_load_answer_type,
                errors=BODY_STATUSES,
                body=SessionRequest,
                example={"sessionId": "test-1", "projectId": "default", "events": [EXAMPLE_EVENT]},
            ),
        ),
    ),
)
