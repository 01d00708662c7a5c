"""Connections to a ClickHouse server: the driver's own, without redirects.

By default the driver repeats a query, and the events of an insert, to the address of a redirect.
"""

import functools
from collections.abc import Mapping
from typing import Any

from clickhouse_connect.driver.httputil import check_env_proxy, get_pool_manager
from urllib3 import PoolManager


def create_server_pool(connection: Mapping[str, Any]) -> PoolManager:
    """The pool for one server, for the arguments of ``get_client``. It uses the environment's proxy, as the driver does."""
    proxy = check_env_proxy(connection["interface"], connection["host"], connection["port"])
    encrypted = connection["interface"] == "https"
    pool: PoolManager = get_pool_manager(https_proxy=proxy) if encrypted else get_pool_manager(http_proxy=proxy)
    pool.urlopen = functools.partial(_open_without_redirects, pool.urlopen)  # type: ignore[method-assign]
    return pool


def _open_without_redirects(urlopen: Any, method: str, url: str, redirect: bool = True, **more: Any) -> Any:
    return urlopen(method, url, redirect=False, **more)
