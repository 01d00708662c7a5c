"""Addresses: lists of networks in settings, and the address at which what is bound to a host is reached."""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """The networks of a comma-separated list. Raises ValueError that names the entry which is none."""
    return tuple(ipaddress.ip_network(entry.strip(), strict=False) for entry in text.split(",") if entry.strip())


def reachable_host(host: str) -> str:
    """``host``, to which something is bound, as it stands in a URL of this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


def is_within(address: str, of: Iterable[Network]) -> bool:
    """Whether ``address`` lies in one of the networks; False for what is no address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    plain = (found.ipv4_mapped if found.version == 6 else None) or found
    return any(plain.version == network.version and plain in network for network in of)
