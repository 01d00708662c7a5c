"""Accepted host names (the ``Host`` header), against DNS rebinding: a foreign page that points its own name at this machine
would otherwise have the same origin as the server.

Names that a stranger cannot register are accepted: addresses, ``localhost``, names without a dot, and names below the suffixes
of private networks and clusters. Other names must be configured.
"""

import ipaddress
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES: Final = ("127.0.0.1", "::1", "localhost")
ANY: Final = "*"
_PRIVATE_SUFFIXES: Final = (".localhost", ".internal", ".svc", ".cluster.local")
_REFUSED: Final = {
    "error": {
        "code": "host_not_allowed",
        "message": "this server does not answer to that host name; FURROW_ALLOWED_HOSTS adds names",
    }
}


class AllowedHosts:
    """The accepted host names: those that no stranger can register, and the configured ones.

    A configured name may be ``*`` (any) or begin with ``*.`` (any name below).
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.strip().lower().rstrip(".") for name in names if name.strip())

    def allows_host(self, host: str) -> bool:
        """Whether a ``Host`` header (``name``, ``name:port``, ``[::1]:port``) is accepted."""
        name = _parse_host_name(host)
        return name is not None and (is_unregistrable(name) or self.is_configured(name))

    def is_configured(self, name: str) -> bool:
        """Whether this name was configured."""
        if ANY in self._names or name in self._names:
            return True
        parts = name.split(".")
        return any(f"*.{'.'.join(parts[n:])}" in self._names for n in range(1, len(parts)))


class HostCheck:
    """ASGI middleware: answers 400 to a host that is not allowed, before anything else reads the request.

    A request without a host (HTTP/1.0, as some health checks send) passes, because browsers always send one. ``open_paths``
    (as of routes, with ``{parameters}``) are answered for any host.
    """

    def __init__(self, app: ASGIApp, allowed: AllowedHosts, open_paths: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._allowed = allowed
        self._open_paths = frozenset(path for path in open_paths if "{" not in path)
        self._open_patterns = [compile_path(path)[0] for path in open_paths if "{" in path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, or refuse it."""
        if scope["type"] in ("http", "websocket") and not self._is_request_allowed(scope):
            await refuse_request(scope, send, 400, _REFUSED)
            return
        await self._app(scope, receive, send)

    def _is_request_allowed(self, scope: Scope) -> bool:
        hosts = header_values(scope, b"host")
        if len(hosts) > 1:
            return False
        return not hosts or self._allowed.allows_host(hosts[0]) or self._is_open(scope["path"])

    def _is_open(self, path: str) -> bool:
        return path in self._open_paths or any(pattern.match(path) for pattern in self._open_patterns)


def host_names(*sources: str) -> tuple[str, ...]:
    """The host names in settings: comma-separated names, addresses, or URLs (of which the host counts)."""
    entries = [entry.strip() for source in sources for entry in source.split(",")]
    return tuple(name for entry in entries if (name := _configured_name(entry)))


@lru_cache(maxsize=1_024)
def is_unregistrable(name: str) -> bool:
    """Whether no stranger can register this name: an address, a name without a dot, or one of a private network."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE_SUFFIXES)
    return True


def is_web_address(url: str) -> bool:
    """Whether ``url`` is a web address: http or https, with a host and a valid port."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def host_of_url(url: str) -> str:
    """The host of a URL; empty without one, or if the URL is invalid."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Every value of a header of an ASGI scope."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def refuse_request(scope: Scope, send: Send, status: int, body: Mapping[str, object]) -> None:
    """Answer a request with an error in JSON; a WebSocket's handshake with 403."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    content = json.dumps(body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),  # the body was not read
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _configured_name(entry: str) -> str:
    if "://" in entry:
        return host_of_url(entry)
    return entry if entry.startswith(ANY) else (_parse_host_name(entry) or "")


@lru_cache(maxsize=1_024)  # strangers choose the texts: bounded
def _parse_host_name(host: str) -> str | None:
    """The name in a ``Host`` header, an IPv6 address without brackets; None if it is invalid."""
    if any(c in host for c in "/\\@?# \t,") or not host.isascii():
        return None
    try:
        address = urlsplit(f"//{host}")
        _ = address.port
    except ValueError:
        return None
    return (address.hostname or "").rstrip(".") or None
