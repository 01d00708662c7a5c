"""The HTTP edge as an ASGI application: events in, health and figures out, incidents for operators."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, get_args

from fastapi import FastAPI, Request, Response

from collector import answers
from collector.analysis import AnalysisEndpoint
from collector.config import CollectorConfig
from collector.incidents import IncidentEndpoints
from collector.intake import Intake
from collector.keys import DEVELOPMENT_INGEST_KEY, DEVELOPMENT_OPERATOR_KEY, FixedKeys, KeyRing
from collector.operators import Operators
from collector.shapes import Action
from collector.spool import Spool
from collector.store import Incidents, StoreCalls, open_store
from furrow import __version__

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


def create_app(config: CollectorConfig, *, connect: Callable[[str], Incidents] = open_store) -> FastAPI:
    """The application. It opens its spool and starts refreshing its keys when it is started (ASGI
    lifespan)."""
    url = config.incident_store_url.get_secret_value()
    store = connect(url) if url else None
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
        calls = StoreCalls(store)
        app.state.operators = Operators(config, keys, spool, calls)
        app.state.incidents = IncidentEndpoints(config, keys, calls)
        app.state.analysis = AnalysisEndpoint(config, keys)
        try:
            yield
        finally:
            spool.close()
            keys.stop()
            if store is not None:
                store.close()

    # FastAPI's own document knows neither bodies nor answers, and its page needs the internet (``openapi``, ``page``).
    app = FastAPI(
        title="Furrow",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.openapi = _described  # type: ignore[method-assign]
    answers.install(app)
    _add_intake(app)
    if config.api:
        _add_operators(app)
        _add_documentation(app)
    return app


def _described() -> dict[str, Any]:
    from collector import openapi

    return openapi.document()


def _fixed_keys(config: CollectorConfig) -> FixedKeys:
    ingest = [config.ingest_key.get_secret_value()] if config.ingest_key else []
    operator = [config.operator_key.get_secret_value()] if config.operator_key else []
    if config.embedded:
        ingest.append(DEVELOPMENT_INGEST_KEY)
        operator.append(DEVELOPMENT_OPERATOR_KEY)
    return FixedKeys.of(ingest, operator)


def _add_intake(app: FastAPI) -> None:
    @app.post("/v1/events")
    async def post_events(request: Request) -> Response:
        intake: Intake = request.app.state.intake
        return await intake.post(request)

    @app.options("/v1/events", include_in_schema=False)
    async def preflight(request: Request) -> Response:
        intake: Intake = request.app.state.intake
        return await intake.preflight(request)

    @app.get("/v1/health")
    async def health(request: Request) -> Response:
        operators: Operators = request.app.state.operators
        return await operators.health()


def _add_operators(app: FastAPI) -> None:
    @app.get("/metrics", include_in_schema=False)
    async def exposition(request: Request) -> Response:
        operators: Operators = request.app.state.operators
        return operators.metrics(request)

    @app.get("/v1/status")
    async def status(request: Request) -> Response:
        operators: Operators = request.app.state.operators
        return await operators.status(request)

    @app.post("/v1/sessions/events")
    async def post_session_events(request: Request) -> Response:
        intake: Intake = request.app.state.intake
        return await intake.post_session(request)

    @app.post("/v1/sessions/process")
    async def process_session(request: Request) -> Response:
        analysis: AnalysisEndpoint = request.app.state.analysis
        return await analysis.process(request)

    @app.get("/v1/incidents")
    async def list_incidents(request: Request) -> Response:
        incidents: IncidentEndpoints = request.app.state.incidents
        return await incidents.list(request)

    @app.post("/v1/incidents")
    async def create_incident(request: Request) -> Response:
        incidents: IncidentEndpoints = request.app.state.incidents
        return await incidents.create(request)

    @app.get("/v1/incidents/{incident_id}")
    async def show_incident(request: Request, incident_id: str) -> Response:
        incidents: IncidentEndpoints = request.app.state.incidents
        return await incidents.show(request, incident_id)

    async def act(action: Action, request: Request) -> Response:
        incidents: IncidentEndpoints = request.app.state.incidents
        return await incidents.act(request, request.path_params["incident_id"], action)

    for action in get_args(Action):
        app.router.add_route(f"/v1/incidents/{{incident_id}}/{action}", partial(act, action), methods=["POST"])


def _add_documentation(app: FastAPI) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    async def document() -> Response:
        return answers.json_response(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        from collector.page import page

        headers = {"content-security-policy": _PAGE_POLICY, "x-content-type-options": "nosniff"}
        return Response(page(), media_type="text/html", headers=headers)
