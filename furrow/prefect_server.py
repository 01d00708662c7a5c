"""The Prefect server of an installation: Prefect's own application behind a gate. ``python -m furrow.prefect_server``.

Prefect authenticates requests if it is configured to, and checks neither the ``Host`` header nor who made a browser send a
request. The gate does, and there is no start without authentication, whatever the address that is bound
(``PREFECT_SERVER_API_AUTH_STRING``; ``PREFECT_SERVER_API_HOST`` and ``…_PORT`` say where). Everything else is as with
``prefect server start``: the API, the UI, the services of the background; but its SQLite waits instead of refusing
(``furrow.prefect_database``).
"""

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
from core.hosts import ANY, AllowedHosts, HostCheck, header_values, host_names, is_unregistrable, refuse_request
from core.settings import Settings

REFUSED: Final = 3
"""Exit code without authentication."""
_LEAST_LENGTH: Final = 12
_API: Final = "/api"
_OPEN: Final = frozenset({"/api/health", "/api/ready"})
# Pages of FastAPI that load scripts from elsewhere, into the origin in which the UI keeps the string.
_NOT_FOR_ALL: Final = frozenset({"/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"})
# The UI has a telemetry of its own, and a browser that shows a stranger's page must not show ours within it.
_POLICY: Final = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: https:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    b"form-action 'self'; frame-ancestors 'none'"
)


class RequestGate:
    """ASGI middleware: own origins alone, and below ``/api`` only with the authentication string.

    The UI's files are served to everyone; they hold no data. WebSockets are authenticated by their first message, which
    Prefect itself asks for; here only their origin is checked. Prefect checks the string of requests once more.
    """

    def __init__(self, app: ASGIApp, auth: str, own_names: Iterable[str] = ()) -> None:
        """``own_names``: hosts whose pages are ours although the request names another host, as behind some proxies."""
        self._app = app
        self._auth = auth.encode()
        # Other servers listen at addresses and names of this network too, and a `*` allows hosts, not pages.
        self._own = AllowedHosts(name for name in own_names if name != ANY and not is_unregistrable(name))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it: 401 without authentication, 403 for another origin."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and self._needs_auth(scope) and not self._is_authentic(scope):
            await refuse_request(scope, send, 401, {"exception_message": "Unauthorized"})
        elif not self._is_own_origin(scope):
            await refuse_request(
                scope, send, 403, {"exception_message": "Requests of pages of other origins are refused"}
            )
        else:
            await self._app(scope, receive, _add_content_policy(send))

    def _is_own_origin(self, scope: Scope) -> bool:
        # Browsers name the origin in every request that changes something, in every WebSocket and whenever the page is of
        # another origin. Other clients name none.
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
    """Prefect's application behind the gate."""
    from prefect.server.api.server import create_app

    from furrow.prefect_database import begin_as_writers

    begin_as_writers()
    names = host_names(settings.prefect_host, settings.public_url, settings.allowed_hosts)
    app = create_app(final=True)
    if pages := os.environ.get("PREFECT_SERVER_UI_STATIC_DIRECTORY"):
        private_files.restrict_folder(Path(pages))  # it has copied its pages there, with the modes of the package
    gate = RequestGate(app, auth, host_names(settings.allowed_hosts))
    return HostCheck(gate, AllowedHosts(names))


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    auth = os.environ.get("PREFECT_SERVER_API_AUTH_STRING", "")
    if len(auth) < _LEAST_LENGTH or not auth.isascii():
        print(
            "furrow: the Prefect server does not start without authentication: set PREFECT_SERVER_API_AUTH_STRING to "
            f"name:password, at least {_LEAST_LENGTH} ASCII characters",
            file=sys.stderr,
        )
        return REFUSED
    import uvicorn
    from prefect.settings import get_current_settings

    server = get_current_settings().server
    uvicorn.run(
        make_application(auth, Settings()),
        host=server.api.host,
        port=server.api.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
    )
    return 0


def _add_content_policy(send: Send) -> Send:
    """Tell browsers that the UI talks to its own server alone, and is shown in no frame of another page."""

    async def send_with_policy(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Any] = [*message.get("headers", []), (b"content-security-policy", _POLICY)]
            message = {**message, "headers": headers}
        await send(message)

    return send_with_policy


if __name__ == "__main__":
    sys.exit(main())
