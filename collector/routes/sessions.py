"""``POST /v1/sessions/process``: the engine over one session, at once; nothing is stored."""

import time
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_thread
from fastapi import Request, Response

from collector.access.callers import Gate, require_named_project
from collector.access.keys import KeyRing
from collector.access.projects import ProjectSettings
from collector.config import CollectorConfig
from collector.contract import Batch, Row, normalise_batch, to_arrow
from collector.http_errors import json_response
from collector.routes.shapes import SessionRequest
from collector.transport.body import Doorway, validate_body

MAX_WAITING: Final = 8
"""Sessions that wait for the engine; it analyses one at a time, so that intake keeps the other cores."""


class AnalysisEndpoint:
    """The engine behind an operator key; loaded by the first session, not at the collector's start."""

    def __init__(self, config: CollectorConfig, keys: KeyRing, gate: Gate, doorway: Doorway) -> None:
        """``doorway``: for `MAX_WAITING`."""
        self._keys = keys
        self._gate = gate
        self._salt = config.user_salt.get_secret_value().encode()
        self._doorway = doorway
        self._engine = anyio.CapacityLimiter(1)

    async def process_session(self, request: Request) -> Response:
        """Incidents of one session, or why there is none."""
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
        found = await anyio.to_thread.run_sync(partial(_analyse_rows, batch.rows, settings), limiter=self._engine)
        return json_response({**found, "rejected": [reject.to_json() for reject in batch.rejects]})


def _analyse_rows(rows: list[Row], settings: ProjectSettings) -> dict[str, Any]:
    import pyarrow as pa

    import ufse
    from core.engine_settings import build_engine_config

    result = ufse.detect(pa.Table.from_batches([to_arrow(rows)]), build_engine_config(settings.fitting), why_not=True)
    bodies = [found.to_json() for found in result.detections]
    incidents = [{**body, "incidentId": f"inc_{body['fingerprint']}"} for body in bodies]
    return {
        "count": len(incidents),
        "incidents": incidents,
        "whyNot": [silent.to_json() for silent in result.why_not],
    }
