"""Lists of networks in settings: addresses and CIDR blocks, separated by commas."""

import ipaddress
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """The networks of a comma-separated list. Raises ValueError that names the entry which is none."""
    return tuple(ipaddress.ip_network(entry.strip(), strict=False) for entry in text.split(",") if entry.strip())
