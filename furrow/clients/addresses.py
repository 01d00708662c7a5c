"""Checks the addresses of servers before a client is created for them."""

import httpx

from core.hosts import is_web_address


def is_server_address(url: str) -> bool:
    """Whether a client can be created for ``url``: http or https, a valid host and a valid port."""
    try:
        httpx.URL(url)
    except httpx.InvalidURL:  # stricter than is_web_address: for example http://1.2.3.999
        return False
    return is_web_address(url)
