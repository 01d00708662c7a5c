"""The source of a request: the address of its sender, also behind reverse proxies that the operator trusts.

Anybody can write an ``X-Forwarded-For`` header. It is read from its end, and only while the address that wrote an entry is a
trusted proxy (``FURROW_TRUSTED_PROXIES``); the first other address is the sender. Addresses serve to share limits and to
count sources; they are never stored or logged.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from starlette.requests import HTTPConnection

from core.networks import Address, Network

UNKNOWN: Final = "unknown"
"""Source of a request whose connection has no address (a Unix socket)."""
_FOUND: Final = "furrow.source"
_IPV6_SITE_BITS: Final = 64
"""A subscriber has a whole /64 network (RFC 6177): all its addresses are one source."""


class SourceReader:
    """Finds the source of requests; believes the ``X-Forwarded-For`` of ``trusted`` proxies only."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def find_request_source(self, request: HTTPConnection) -> str:
        """The sender's IPv4 address, or the /64 network of its IPv6 address; UNKNOWN when the connection has no address."""
        found: str | None = request.scope.get(_FOUND)
        if found is None:
            found = request.scope[_FOUND] = self._find_sender_site(request)  # kept: several limits need it
        return found

    def is_direct_request(self, request: HTTPConnection) -> bool:
        """Whether no header says that a proxy forwarded the request."""
        return not any(name in request.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip"))

    def _find_sender_site(self, request: HTTPConnection) -> str:
        peer = request.client.host if request.client else ""
        sender = _parse_sender_address(peer)
        if sender is None:
            return UNKNOWN
        for entry in reversed(_list_forwarded_addresses(request)):
            if not self._is_trusted_proxy(sender):
                break
            nearer = _parse_sender_address(entry)
            if nearer is None:
                break
            sender = nearer
        return _site_of_address(sender)

    def _is_trusted_proxy(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)


def _list_forwarded_addresses(request: HTTPConnection) -> list[str]:
    return [entry.strip() for line in request.headers.getlist("x-forwarded-for") for entry in line.split(",")]


@lru_cache(maxsize=4_096)  # strangers choose the texts: bounded
def _parse_sender_address(text: str) -> Address | None:
    # Some proxies write a port: "1.2.3.4:567", "[::1]:567".
    plain = text.partition("]")[0].lstrip("[") if text.startswith("[") else text
    if plain.count(":") == 1:
        plain = plain.partition(":")[0]
    try:
        address = ipaddress.ip_address(plain.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address


@lru_cache(maxsize=4_096)
def _site_of_address(address: Address) -> str:
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, _IPV6_SITE_BITS), strict=False))
