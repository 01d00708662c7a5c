"""The HTTP edge as an ASGI application: events in, health and figures out, incidents for operators."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response

from collector import answers, metrics
from collector.config import CollectorConfig
from collector.intake import Intake
from collector.keys import DEVELOPMENT_INGEST_KEY, DEVELOPMENT_OPERATOR_KEY, FixedKeys, KeyRing
from collector.operators import IncidentReader, Operators, open_reader
from collector.spool import Spool
from furrow import __version__

_log = logging.getLogger("collector")
_ERROR = {"type": "object", "properties": {"error": {"type": "object"}}}
_EVENTS_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["events"],
                    "properties": {
                        "events": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 1000,
                            "items": {"type": "object"},
                        },
                        "sentAt": {"type": ["string", "number"]},
                        "sdkVersion": {"type": "string"},
                        "appVersion": {"type": "string"},
                        "environment": {"type": "string"},
                        "userAgent": {"type": "string"},
                        "apiKey": {
                            "type": "string",
                            "description": "Only where no header can be set (sendBeacon).",
                        },
                    },
                }
            }
        },
    }
}
_EVENTS_ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The accepted events are durable; the rejected ones are named with field and reason."
    },
    **{
        status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
        for status, text in {
            400: "The body is not the JSON of the contract.",
            401: "Unknown key.",
            403: "The key may not send events, or the browser's origin is not allowed.",
            408: "The body did not arrive in time.",
            413: "More than 1 MiB (after inflating) or more than 1,000 events.",
            415: "Neither JSON nor text/plain, or another encoding than gzip.",
            429: "Too many requests; see Retry-After.",
            503: "Nothing can be made durable now; see Retry-After.",
        }.items()
    },
}


def create_app(config: CollectorConfig, *, reader: Callable[[str], IncidentReader] = open_reader) -> FastAPI:
    """The application. It opens its spool and starts refreshing its keys when it is started (ASGI
    lifespan)."""
    url = config.incident_store_url.get_secret_value()
    store = reader(url) if url else None
    keys = KeyRing(
        config.spool_dir / "keys.json",
        _fixed_keys(config),
        (lambda: store) if store is not None else None,
        refresh_seconds=config.keys_refresh_seconds,
        allow_loopback=config.embedded,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        spool = Spool(
            config.spool_dir,
            max_bytes=config.spool_max_bytes,
            dead_letter_max_bytes=config.dead_letter_max_bytes,
            seal_bytes=config.seal_bytes,
            seal_seconds=config.seal_seconds,
        )
        keys.start()
        app.state.intake = Intake(config, keys, spool)
        app.state.operators = Operators(config, keys, spool, store)
        try:
            yield
        finally:
            spool.close()
            keys.stop()
            if store is not None:
                store.close()

    shown = "/docs" if config.api else None
    app = FastAPI(
        title="Furrow",
        version=__version__,
        lifespan=lifespan,
        docs_url=shown,
        redoc_url=None,
        openapi_url="/openapi.json" if config.api else None,
    )
    answers.install(app)
    _add_intake(app)
    if config.api:
        _add_operators(app)
    return app


def _fixed_keys(config: CollectorConfig) -> FixedKeys:
    ingest = [config.ingest_key.get_secret_value()] if config.ingest_key else []
    operator = [config.operator_key.get_secret_value()] if config.operator_key else []
    if config.embedded:
        ingest.append(DEVELOPMENT_INGEST_KEY)
        operator.append(DEVELOPMENT_OPERATOR_KEY)
    return FixedKeys.of(ingest, operator)


def _add_intake(app: FastAPI) -> None:
    @app.post("/v1/events", status_code=202, openapi_extra=_EVENTS_BODY, responses=_EVENTS_ANSWERS)
    async def post_events(request: Request) -> Response:
        """Send 1 to 1,000 events; see the event contract."""
        intake: Intake = request.app.state.intake
        return await intake.post(request)

    @app.options("/v1/events", include_in_schema=False)
    async def preflight(request: Request) -> Response:
        intake: Intake = request.app.state.intake
        return await intake.preflight(request)

    @app.get("/v1/health")
    async def health(request: Request) -> Response:
        """Whether the collector is alive, and how its parts are; 200 as long as it takes events, else 503."""
        operators: Operators = request.app.state.operators
        return operators.health()


def _add_operators(app: FastAPI) -> None:
    @app.get("/metrics", include_in_schema=False)
    async def exposition() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    @app.get("/v1/status")
    async def status(request: Request) -> Response:
        """Figures of the whole installation (operator key)."""
        operators: Operators = request.app.state.operators
        return await operators.status(request)

    @app.get("/v1/incidents")
    async def incidents(request: Request) -> Response:
        """Incidents, a page of them (operator key): status, exported, project, severity, route, since,
        minScore, sort, limit, offset."""
        operators: Operators = request.app.state.operators
        return await operators.incidents(request)

    @app.get("/v1/incidents/{incident_id}")
    async def incident(request: Request, incident_id: str) -> Response:
        """One incident with its history, example sessions and timelines (operator key)."""
        operators: Operators = request.app.state.operators
        return await operators.incident(request, incident_id)
