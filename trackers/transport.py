"""Connections to trackers: https except on this machine, no redirects, and only to allowed addresses.

The URL of a tracker is a setting or a field of a block, and its host name is resolved for each connection. A name that resolves
to a private network could make Furrow send a token or a ticket to an internal service. The addresses are therefore checked
before the connection is made, and the connected address is checked again before the first byte is sent, because the name may
resolve differently in between.

With a proxy from the environment (``HTTPS_PROXY``), the proxy resolves names; only literal addresses in URLs are checked.
"""

import ipaddress
import socket
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore
import httpx
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

from core.errors import PermanentError
from core.networks import Address, Network, parse_networks

SETTING: Final = "FURROW_TRACKER_PRIVATE_NETWORKS"
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_FIRST_REDIRECT: Final = 300
_FIRST_ERROR: Final = 400


@dataclass(frozen=True)
class Reach:
    """The addresses that a tracker may have: the internet, this machine, and the ``private`` networks of a setting."""

    private: tuple[Network, ...] = ()

    @classmethod
    def from_setting(cls, setting: str) -> "Reach":
        """Parse the setting: networks, separated by commas. Raises ValueError for an invalid network."""
        return cls(parse_networks(setting))

    def check_url(self, url: str, what: str) -> str:
        """The host of ``url``. ``what`` names the URL in messages.

        Raises PermanentError when it is not a web address, holds a password, is http to another machine, or resolves to an
        address that is not allowed.
        """
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            raise PermanentError(f"the address of {what} is not of the form https://host") from None
        if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
            raise PermanentError(f"the address of {what} is not of the form https://host")
        if parts.scheme == "http" and not is_this_machine(host):
            raise PermanentError(f"the address of {what} must begin with https:// (http is for this machine alone)")
        if (literal := _parse_literal_address(host)) is not None:
            self.check_address(host, literal)
        elif _https_proxy_for(host) is None:
            self.check_host(host)
        return host

    def check_host(self, host: str) -> None:
        """Check every address of ``host``. Raises PermanentError. A name that cannot be resolved fails when connecting."""
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        for *_, address in found:
            self.check_address(host, ipaddress.ip_address(str(address[0]).partition("%")[0]))

    def check_address(self, host: str, address: Address) -> None:
        """Raise PermanentError unless ``address``, to which ``host`` resolves, is allowed."""
        address = _unwrap_address(address)
        if address.is_loopback and is_this_machine(host):
            return
        if address.is_global and not address.is_multicast:
            return
        if not any(address in network for network in self.private):
            raise PermanentError(
                f"{host} is at {address}, which is not an address of the internet; if the tracker is there, "
                f"name its network in {SETTING}"
            )

    def check_connection(self, host: str, connection: socket.socket) -> socket.socket:
        """``connection``, if its address is allowed; otherwise it is closed and PermanentError is raised."""
        try:
            self.check_address(host, ipaddress.ip_address(str(connection.getpeername()[0]).partition("%")[0]))
        except BaseException:
            connection.close()
            raise
        return connection


def is_this_machine(host: str) -> bool:
    """Whether ``host`` is ``localhost`` or a loopback address; a name that only resolves to one is not."""
    literal = _parse_literal_address(host)
    return host.lower() == "localhost" or (literal is not None and literal.is_loopback)


def refuse_redirect(status: int, location: str | None, what: str) -> None:
    """Raise PermanentError for a redirect: following it would send the token elsewhere."""
    if _FIRST_REDIRECT <= status < _FIRST_ERROR:
        try:
            host = urlsplit(location or "").hostname
        except ValueError:
            host = None
        to = f" to {host[:100]}" if host and host.isascii() and host.isprintable() else ""
        raise PermanentError(f"{what} answered {status}, a redirect{to}; redirects are not followed: check the address")


# httpx (Linear)
# ----------------------------------------------------------------------------------------------------------------------


def httpx_client(reach: Reach, host: str, **options: Any) -> httpx.Client:
    """A client for one host that connects within ``reach``, follows no redirects, and makes a connection for each request."""
    if proxy := _https_proxy_for(host):
        return httpx.Client(proxy=proxy, trust_env=False, follow_redirects=False, limits=_NOT_KEPT_OPEN, **options)
    return httpx.Client(transport=_Transport(reach), follow_redirects=False, **options)


# What is left unread on a connection (an answer that was sent twice, or late) would be the answer to the next request. So no
# connection serves a second one: the handshake costs little beside what trackers allow in a minute.
_NOT_KEPT_OPEN: Final = httpx.Limits(max_keepalive_connections=0)


class _Transport(httpx.HTTPTransport):
    def __init__(self, reach: Reach) -> None:
        context = httpx.create_ssl_context()  # reads all certificates of the machine
        super().__init__(verify=context)
        # httpx has no parameter for the network backend; its pool has.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, max_keepalive_connections=0, network_backend=_Backend(reach)
        )


class _Backend(httpcore.SyncBackend):
    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self._reach.check_host(host)
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        self._reach.check_connection(host, stream.get_extra_info("socket"))
        return stream


# requests (Jira)
# ----------------------------------------------------------------------------------------------------------------------


def guard_session(session: requests.Session, reach: Reach, what: str) -> None:
    """Make ``session`` connect within ``reach`` only and raise PermanentError for redirects; ``what`` names the tracker."""

    def refuse_redirects(answer: requests.Response, *_: object, **__: object) -> None:
        refuse_redirect(answer.status_code, answer.headers.get("location"), what)

    session.hooks["response"].append(refuse_redirects)
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(reach))


class _Adapter(HTTPAdapter):
    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        super().__init__()

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        # One request for each connection, as above; a server may keep one open that was asked to close it.
        self.poolmanager.clear()
        answer: requests.Response = super().send(*arguments, **options)
        return answer

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        manager: PoolManager = self.poolmanager
        reach = self._reach

        # As in urllib3's SOCKS support: the connection is made here, before TLS.
        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                reach.check_host(self.host)
                return reach.check_connection(self.host, super()._new_conn())

        class Encrypted(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                reach.check_host(self.host)
                return reach.check_connection(self.host, super()._new_conn())

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(HTTPSConnectionPool):
            ConnectionCls = Encrypted

        manager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}


def _https_proxy_for(host: str) -> str | None:
    """The environment's https proxy for ``host``; None if there is none."""
    if is_this_machine(host) or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get("https")


def _parse_literal_address(host: str) -> Address | None:
    """The address if ``host`` is a literal address, also in short forms like 127.1; otherwise None."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host[:1].isdigit() else None
    except OSError:
        return None


def _unwrap_address(address: Address) -> Address:
    """The IPv4 address inside an IPv6 address (mapped, 6to4 or NAT64); other addresses unchanged."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
