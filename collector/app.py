"""The collector as an ASGI application: it installs the routes of the registry."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from collector import http_errors
from collector.access.keys import TEST_KEY, FixedKeys, KeyRing
from collector.config import CollectorConfig
from collector.routes import registry
from collector.routes.openapi import build_openapi_document
from collector.routes.route import Handler, Route, RouteGroup, list_routes
from collector.services import open_services
from collector.store import Incidents
from collector.transport.hot_requests import HotRequest
from core.hosts import AllowedHosts, HostCheck
from core.package import VERSION
from stores.opening import open_incident_store_at


def create_app(
    config: CollectorConfig,
    *,
    connect: Callable[[str], Incidents] = open_incident_store_at,
    groups: tuple[RouteGroup[Any], ...] | None = None,
) -> FastAPI:
    """The application with the routes of ``groups`` (None: of the registry).

    It opens its spool and starts refreshing its keys when it is started (ASGI lifespan).

    Raises PermanentError for a malformed URL of the incident store.
    """
    groups = registry.GROUPS if groups is None else groups
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
        with open_services(config, keys, store) as services:
            app.state.handlers = {}
            for group in groups:
                app.state.handlers |= group.bind_handlers(services)
            yield

    routes = [route for route in list_routes(groups) if config.api or route.intake]
    at_any_host = (
        frozenset(route.path for route in routes if route.intake) if config.intake_at_any_host else frozenset()
    )
    hosts = AllowedHosts(config.allowed_hosts)
    hot = DirectRoutes({(route.method.upper(), route.path): route for route in routes if route.hot})
    # FastAPI's own document knows neither bodies nor answers, and its page loads scripts from the internet.
    app = CollectorApp(
        hot=HostCheck(hot, hosts, at_any_host),
        hot_routes=hot.keys,
        title="Furrow",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.openapi = partial(build_openapi_document, groups)  # type: ignore[method-assign, assignment]
    http_errors.install_error_handlers(app)
    app.add_middleware(HostCheck, allowed=hosts, open_paths=at_any_host)
    for route in routes:
        _install_route(app, route)
    return app


class CollectorApp(FastAPI):
    """The application; it answers its hot routes before FastAPI.

    FastAPI's layers cost half a millisecond a request, several times as much as the handler of a small batch.
    """

    def __init__(self, *, hot: ASGIApp, hot_routes: frozenset[tuple[str, str]], **settings: Any) -> None:
        super().__init__(**settings)
        self._hot = hot
        self._hot_routes = hot_routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) not in self._hot_routes:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        try:
            await self._hot(scope, receive, send)
        except Exception:  # nothing was answered: a handler answers with its last step
            await http_errors.unexpected_error_response()(scope, receive, send)
            raise


class DirectRoutes:
    """ASGI application of the hot routes: calls their handlers."""

    def __init__(self, routes: Mapping[tuple[str, str], Route[Any]]) -> None:
        self._routes = routes

    @property
    def keys(self) -> frozenset[tuple[str, str]]:
        """Method and path of each route."""
        return frozenset(self._routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of one of the routes."""
        handler: Handler = scope["app"].state.handlers[self._routes[scope["method"], scope["path"]]]
        try:
            response = await handler(HotRequest(scope, receive, send))
        except http_errors.ApiError as error:
            response = http_errors.error_response(error)
        await response(scope, receive, send)


def _install_route(app: FastAPI, route: Route[Any]) -> None:
    async def answer_request(request: Request) -> Response:
        handler: Handler = request.app.state.handlers[route]
        return await handler(request)

    app.add_api_route(route.path, answer_request, methods=[route.method.upper()], include_in_schema=False)


def _read_configured_keys(config: CollectorConfig) -> FixedKeys:
    ingest = [key.get_secret_value() for key in (config.ingest_key, config.development_ingest_key) if key]
    operator = [config.operator_key.get_secret_value()] if config.operator_key else []
    # The installation's own key: who reads it in the data directory may change the installation anyhow.
    admin = [config.development_operator_key.get_secret_value()] if config.development_operator_key else []
    return FixedKeys.from_configured_keys([*ingest, TEST_KEY] if config.embedded else ingest, operator, admin)
