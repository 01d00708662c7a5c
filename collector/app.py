"""The HTTP edge as an ASGI application: events in, health and figures out, incidents for operators."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, get_args

from fastapi import FastAPI, Request, Response

from collector import http_errors
from collector.access.callers import Gate
from collector.access.keys import TEST_KEY, FixedKeys, KeyRing
from collector.config import CollectorConfig
from collector.pages.incident import IncidentPages
from collector.routes.events import Intake
from collector.routes.incidents import MAX_BODIES, IncidentEndpoints
from collector.routes.sessions import MAX_WAITING, AnalysisEndpoint
from collector.routes.shapes import Action
from collector.routes.status import OperatorEndpoints
from collector.senders.source import SourceReader
from collector.spool.dead_letters import LetterBudget
from collector.spool.spool import Spool
from collector.store import Incidents, StoreCalls
from collector.transport.body import Doorway
from collector.transport.turns import Turns
from core.hosts import AllowedHosts, HostCheck
from core.networks import parse_networks
from core.package import VERSION
from stores.opening import open_incident_store_at

_INTAKE_PATHS = frozenset({"/v1/events", "/v1/health"})
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


def create_app(config: CollectorConfig, *, connect: Callable[[str], Incidents] = open_incident_store_at) -> FastAPI:
    """The application. It opens its spool and starts refreshing its keys when it is started (ASGI
    lifespan)."""
    url = config.incident_store_url.get_secret_value()
    store = connect(url) if url else None
    keys = KeyRing(
        config.spool_dir / "keys.json",
        _read_configured_keys(config),
        (lambda: store.keys) if store is not None else None,
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
        keys.start_refreshing()
        sources = SourceReader(parse_networks(config.trusted_proxies))
        gate = Gate(keys, sources, config.guesses_per_second)
        turns = Turns()
        letters = LetterBudget(config.spool_dir, config.dead_letter_max_bytes)
        calls = StoreCalls(store)
        door = partial(Doorway, body_seconds=config.body_seconds, sources=sources, turns=turns)
        app.state.intake = Intake(config, keys, gate, sources, turns, spool, letters)
        app.state.operators = OperatorEndpoints(config, keys, gate, sources, spool, letters, calls)
        app.state.incidents = IncidentEndpoints(config, keys, gate, door(MAX_BODIES), calls)
        app.state.analysis = AnalysisEndpoint(config, keys, gate, door(MAX_WAITING))
        app.state.pages = IncidentPages(keys, gate, calls, config.public_url)
        try:
            yield
        finally:
            spool.close()
            letters.write_counts()
            keys.stop_refreshing()
            if store is not None:
                store.close()

    # FastAPI's own document knows neither bodies nor answers, and its page needs the internet (``openapi``, ``page``).
    app = FastAPI(
        title="Furrow",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.openapi = _load_openapi_document  # type: ignore[method-assign]
    http_errors.install_error_handlers(app)
    app.add_middleware(HostCheck, allowed=AllowedHosts(config.allowed_hosts), open_paths=_open_paths(config))
    _add_intake_routes(app)
    if config.api:
        _add_operator_routes(app)
        _add_page_routes(app)
        _add_documentation_routes(app)
    return app


def _load_openapi_document() -> dict[str, Any]:
    from collector.routes import openapi

    return openapi.build_openapi_document()


def _read_configured_keys(config: CollectorConfig) -> FixedKeys:
    ingest = [key.get_secret_value() for key in (config.ingest_key, config.development_ingest_key) if key]
    operator = [key.get_secret_value() for key in (config.operator_key, config.development_operator_key) if key]
    return FixedKeys.from_configured_keys([*ingest, TEST_KEY] if config.embedded else ingest, operator)


def _open_paths(config: CollectorConfig) -> frozenset[str]:
    return _INTAKE_PATHS if config.intake_at_any_host else frozenset()


def _add_intake_routes(app: FastAPI) -> None:
    @app.post("/v1/events")
    async def post_events(request: Request) -> Response:
        intake: Intake = request.app.state.intake
        return await intake.post_events(request)

    @app.options("/v1/events", include_in_schema=False)
    async def answer_preflight(request: Request) -> Response:
        intake: Intake = request.app.state.intake
        return await intake.answer_preflight(request)

    @app.get("/v1/health")
    async def show_health(request: Request) -> Response:
        operators: OperatorEndpoints = request.app.state.operators
        return await operators.show_health()


def _add_operator_routes(app: FastAPI) -> None:
    @app.get("/metrics", include_in_schema=False)
    async def show_metrics(request: Request) -> Response:
        operators: OperatorEndpoints = request.app.state.operators
        return operators.show_metrics(request)

    @app.get("/v1/status")
    async def show_status(request: Request) -> Response:
        operators: OperatorEndpoints = request.app.state.operators
        return await operators.show_status(request)

    @app.post("/v1/sessions/events")
    async def post_session_events(request: Request) -> Response:
        intake: Intake = request.app.state.intake
        return await intake.post_session_events(request)

    @app.post("/v1/sessions/process")
    async def process_session(request: Request) -> Response:
        analysis: AnalysisEndpoint = request.app.state.analysis
        return await analysis.process_session(request)

    @app.get("/v1/incidents")
    async def list_incidents(request: Request) -> Response:
        incidents: IncidentEndpoints = request.app.state.incidents
        return await incidents.list_incidents(request)

    @app.post("/v1/incidents")
    async def create_incident(request: Request) -> Response:
        incidents: IncidentEndpoints = request.app.state.incidents
        return await incidents.create_incident(request)

    @app.get("/v1/incidents/{incident_id}")
    async def show_incident(request: Request, incident_id: str) -> Response:
        incidents: IncidentEndpoints = request.app.state.incidents
        return await incidents.show_incident(request, incident_id)

    async def act_on_incident(action: Action, request: Request) -> Response:
        incidents: IncidentEndpoints = request.app.state.incidents
        return await incidents.act_on_incident(request, request.path_params["incident_id"], action)

    for action in get_args(Action):
        app.router.add_route(
            f"/v1/incidents/{{incident_id}}/{action}", partial(act_on_incident, action), methods=["POST"]
        )


def _add_page_routes(app: FastAPI) -> None:
    @app.get("/incidents/{incident_id}", include_in_schema=False)
    async def show_incident_page(request: Request, incident_id: str) -> Response:
        pages: IncidentPages = request.app.state.pages
        return await pages.show_incident(request, incident_id)

    @app.post("/sign-in", include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        pages: IncidentPages = request.app.state.pages
        return await pages.sign_in(request)

    @app.post("/sign-out", include_in_schema=False)
    async def sign_out(request: Request) -> Response:
        pages: IncidentPages = request.app.state.pages
        return await pages.sign_out(request)


def _add_documentation_routes(app: FastAPI) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    async def show_openapi_document() -> Response:
        return http_errors.json_response(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def show_documentation() -> Response:
        from collector.routes.docs import render_documentation

        headers = {"content-security-policy": _PAGE_POLICY, "x-content-type-options": "nosniff"}
        return Response(render_documentation(), media_type="text/html", headers=headers)
