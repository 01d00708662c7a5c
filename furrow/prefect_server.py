"""The Prefect server of an installation: Prefect's application behind a gate. ``python -m furrow.prefect_server``.

Prefect authenticates requests only if configured, and checks neither the ``Host`` header nor the origin of requests of
browsers. The gate checks both, and the server does not start without authentication (``PREFECT_SERVER_API_AUTH_STRING``).
``PREFECT_SERVER_API_HOST`` and ``…_PORT`` set the address. The rest is the same as with ``prefect server start``: API, UI and
background services; transactions on SQLite wait for the lock (``furrow.prefect_database``).
"""

import asyncio
import base64
import binascii
import hmac
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import private_files
from core.ending import run_to_exit_code
from core.hosts import ANY, AllowedHosts, HostCheck, header_values, host_names, is_unregistrable, refuse_request
from core.metrics import count_degraded
from core.settings import Settings

REFUSED: Final = 3
"""Exit code without authentication."""
_LEAST_LENGTH: Final = 12
_API: Final = "/api"
_OPEN: Final = frozenset({"/api/health", "/api/ready"})
# Pages of FastAPI that load scripts from other hosts into the UI's origin, which stores the authentication string.
_NOT_FOR_ALL: Final = frozenset({"/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"})
# Blocks the UI's telemetry, and frames in pages of other sites.
_POLICY: Final = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: https:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    b"form-action 'self'; frame-ancestors 'none'"
)


class RequestGate:
    """ASGI middleware that accepts only its own origins and, below ``/api``, only requests with the authentication string.

    The files of the UI are public; they contain no data. WebSockets are authenticated by Prefect with their first message;
    here only their origin is checked. Prefect checks the authentication of requests again.
    """

    def __init__(self, app: ASGIApp, auth: str, own_names: Iterable[str] = ()) -> None:
        """``own_names``: hosts that count as own origins although requests have another host, as behind some proxies."""
        self._app = app
        self._auth = auth.encode()
        # Other servers of the network use such addresses and names too; and `*` allows hosts, not origins.
        self._own = AllowedHosts(name for name in own_names if name != ANY and not is_unregistrable(name))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, or refuse it: 401 without authentication, 403 for another origin."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and self._needs_auth(scope) and not self._is_authentic(scope):
            await refuse_request(scope, send, 401, {"exception_message": "Unauthorized"})
        elif not self._is_own_origin(scope):
            await refuse_request(
                scope, send, 403, {"exception_message": "Requests from pages of other origins are refused"}
            )
        else:
            await self._app(scope, receive, _add_content_policy(send))

    def _is_own_origin(self, scope: Scope) -> bool:
        # Browsers send the origin with every request that changes something, with every WebSocket, and always from pages of
        # other origins. Other clients send none.
        origins = header_values(scope, b"origin")
        return all(self._is_own_address(origin, header_values(scope, b"host")) for origin in origins)

    def _is_own_address(self, origin: str, hosts: list[str]) -> bool:
        try:
            address = urlsplit(origin)
        except ValueError:
            return False
        if address.scheme not in ("http", "https"):
            return False
        return address.netloc.lower() in [host.lower() for host in hosts] or self._own.is_configured(
            address.hostname or ""
        )

    def _needs_auth(self, scope: Scope) -> bool:
        path = str(scope["path"])
        if scope["method"] == "GET" and path in _OPEN:
            return False
        return path in _NOT_FOR_ALL or path == _API or path.startswith(f"{_API}/")

    def _is_authentic(self, scope: Scope) -> bool:
        sent = header_values(scope, b"authorization")
        if len(sent) != 1:
            return False
        scheme, _, credentials = sent[0].partition(" ")
        try:
            decoded = base64.b64decode(credentials.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme == "Basic" and hmac.compare_digest(decoded, self._auth)


def make_application(auth: str, settings: Settings) -> ASGIApp:
    """Prefect's application behind `RequestGate` and the check of the host."""
    from prefect.server.api.server import create_app

    from furrow import prefect_economy
    from furrow.prefect_database import begin_as_writers, keep_little_in_memory

    begin_as_writers()
    keep_little_in_memory()
    prefect_economy.prepare_server()
    upgrade_elsewhere()
    names = host_names(settings.prefect_host, settings.public_url, settings.allowed_hosts)
    app = create_app(final=True)
    if pages := os.environ.get("PREFECT_SERVER_UI_STATIC_DIRECTORY"):
        # Prefect has copied the UI there, with the file modes of the package.
        private_files.restrict_folder(Path(pages))
    prefect_economy.freeze_loaded_objects()
    gate = RequestGate(app, auth, host_names(settings.allowed_hosts))
    return HostCheck(gate, AllowedHosts(names))


def upgrade_elsewhere() -> None:
    """Let a copy of this process make or upgrade Prefect's database: it needs 40 MB, which this process would never release.

    Returns when the copy has ended. What it could not do is tried again when the application starts, which then says what is
    wrong. On Linux alone: elsewhere copies of a process may not use all of the system.
    """
    if sys.platform != "linux":
        return
    copy = os.fork()
    if copy == 0:
        code = 1
        try:
            asyncio.run(_upgrade())
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(copy, 0)[1]:
        count_degraded("prefect", "upgrade_elsewhere")


async def _upgrade() -> None:
    from prefect.server.database import provide_database_interface

    await provide_database_interface().create_db()


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    auth = os.environ.get("PREFECT_SERVER_API_AUTH_STRING", "")
    if len(auth) < _LEAST_LENGTH or not auth.isascii():
        print(
            "furrow: the Prefect server needs authentication: set PREFECT_SERVER_API_AUTH_STRING to "
            f"name:password, at least {_LEAST_LENGTH} ASCII characters",
            file=sys.stderr,
        )
        return REFUSED
    return run_to_exit_code(lambda: _run_server(auth, Settings()))


def _run_server(auth: str, settings: Settings) -> None:
    import uvicorn
    from prefect.settings import get_current_settings

    server = get_current_settings().server
    uvicorn.run(
        make_application(auth, settings),
        host=server.api.host,
        port=server.api.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
    )


def _add_content_policy(send: Send) -> Send:
    """Add a Content-Security-Policy: the UI may only contact its own server, and may not be framed."""

    async def send_with_policy(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Any] = [*message.get("headers", []), (b"content-security-policy", _POLICY)]
            message = {**message, "headers": headers}
        await send(message)

    return send_with_policy


if __name__ == "__main__":
    sys.exit(main())
