"""Connections to a ClickHouse server: the driver's own, but that no redirect is followed.

Left alone, the driver sends a query again to wherever an answer points, and with an insert the events in it.
"""

import functools
from collections.abc import Mapping
from typing import Any

from clickhouse_connect.driver.httputil import check_env_proxy, get_pool_manager
from urllib3 import PoolManager


def create_server_pool(connection: Mapping[str, Any]) -> PoolManager:
    """The pool for one server, by the arguments of ``get_client``; through the environment's proxy, as the driver does it."""
    proxy = check_env_proxy(connection["interface"], connection["host"], connection["port"])
    encrypted = connection["interface"] == "https"
    pool: PoolManager = get_pool_manager(https_proxy=proxy) if encrypted else get_pool_manager(http_proxy=proxy)
    pool.urlopen = functools.partial(_open_without_redirects, pool.urlopen)  # type: ignore[method-assign]
    return pool


def _open_without_redirects(urlopen: Any, method: str, url: str, redirect: bool = True, **more: Any) -> Any:
    return urlopen(method, url, redirect=False, **more)
