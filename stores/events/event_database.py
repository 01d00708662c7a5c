"""Connections to ClickHouse, a server or embedded chDB, and the one place that sorts errors into transient and permanent.

``clickhouse-connect`` speaks to both through one interface and one SQL dialect. A client serves one thread at a time.
"""

import contextlib
import functools
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
import urllib3.exceptions
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3 import PoolManager

from core.errors import PermanentError, TransientError
from stores.events.clickhouse_pool import create_server_pool
from stores.events.event_rows import build_event_table

INSERT_SECONDS: Final = 60
_QUERY_SECONDS = 120
_STATEMENT_BYTES = 16_777_216  # the default limit of 256 KiB would be too small for thousands of hashes

_QUERY_SETTINGS: Final[Mapping[str, int | str]] = {
    "max_execution_time": _QUERY_SECONDS,
    "output_format_arrow_string_as_string": 1,
    # Compressing Arrow for a reader in the same process took as long as reading the events.
    "output_format_arrow_compression_method": "none",
}
_TEXT_SETTINGS: Final = {"max_query_size": _STATEMENT_BYTES}
"""Settings that must hold before a statement is parsed."""

Parameters = Mapping[str, object]
"""Values bound to a statement, by name."""

# Codes of errors that a retry cannot fix: unknown table or column, syntax, types, not implemented, refused access.
_PERMANENT_CODES = frozenset(
    {6, 16, 26, 27, 36, 38, 41, 43, 46, 47, 48, 53, 60, 62, 69, 70, 72, 81, 117, 130, 192, 193, 497, 516}
)

# Dictionaries halve the bytes of a batch. With the default blocks of 65,000 rows, of which a filter leaves a few thousand, each
# block has its own dictionaries; larger blocks take a quarter less time.
DICTIONARY_SETTINGS = {
    "output_format_arrow_low_cardinality_as_dictionary": 1,
    "max_block_size": 524_288,
    "preferred_block_size_bytes": 0,
}


class EventDatabase:
    """One ClickHouse database, by its URL. Thread-safe.

    Every method raises TransientError when a retry may help and PermanentError when it cannot; messages hold no credentials.
    """

    def __init__(self, url: str) -> None:
        self._connect, self._database = _parse_store_url(url)
        self._address = ":".join(str(self._connect[name]) for name in ("host", "port", "path") if name in self._connect)
        self._clients: set[Client] = set()
        self._free: list[Client] = []
        self._guard = threading.Lock()

    def borrow_client(self) -> contextlib.AbstractContextManager[Client]:
        """A client that only the caller uses, for the other modules of this package. Errors as in every method."""
        return self._use_client()

    def ping(self) -> str:
        """The server's version, if it answers."""
        with self._use_client() as client:
            return str(client.command("SELECT version()"))

    def stop_queries(self) -> None:
        """Stop the running queries of an embedded engine, so that a shutdown does not wait for them.

        A server also runs the queries of others; it stops the queries of a disconnected client itself.
        """
        if not self._is_embedded:
            return
        with contextlib.suppress(TransientError, PermanentError), self._use_client() as client:
            client.command("KILL QUERY WHERE query_kind = 'Select' AND query NOT LIKE '%KILL QUERY%' ASYNC")

    def close(self) -> None:
        """Close every client; the embedded engine's directory is free for another process afterwards."""
        with self._guard:
            for client in self._clients:
                client.close()
            self._clients.clear()
            self._free.clear()
        if not self._is_embedded:
            self._server_pool.clear()

    def query_arrow(
        self, sql: str, parameters: Parameters | None = None, extra: Mapping[str, int] | None = None
    ) -> pa.Table:
        """The rows of a query. ``extra``: more settings of ClickHouse."""
        settings = {**_QUERY_SETTINGS, **(extra or {})}
        if self._is_embedded:
            return self._query_embedded(sql, parameters or {}, settings)
        sql, bound = _inline_integer_lists(sql, parameters or {})
        with self._use_client() as client:
            return client.query_arrow(sql, parameters=bound, settings={**settings, **_TEXT_SETTINGS})

    def _query_embedded(self, sql: str, parameters: Parameters, settings: Mapping[str, int | str]) -> pa.Table:
        """`query_arrow` with the settings in the statement.

        For settings beside it the driver asks for the value of each, sets it, and sets it back: eleven statements for one,
        and five times the time of a small query.
        """
        clause = ", ".join(f"{name} = {value!r}" for name, value in settings.items())
        with self._use_client() as client:
            answer = client.raw_query(f"{sql}\nFORMAT Arrow\nSETTINGS {clause}", parameters=dict(parameters))
        return pa.ipc.open_file(answer).read_all()

    def query_events(self, sql: str, parameters: Parameters) -> pa.Table:
        """The events of a query for `EVENT_COLUMNS` (`build_event_table`)."""
        return build_event_table(self.query_arrow(sql, parameters, DICTIONARY_SETTINGS))

    @property
    def _is_embedded(self) -> bool:
        return bool(self._connect["interface"] == "chdb")

    @functools.cached_property
    def _server_pool(self) -> PoolManager:
        return create_server_pool(self._connect)

    @contextlib.contextmanager
    def _use_client(self) -> Iterator[Client]:
        try:
            with self._lend_client() as client:
                yield client
        except ClickHouseError as error:
            raise _translate_error(error, self._address) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TransientError(f"ClickHouse is not reachable at {self._address}") from error
        except pa.ArrowInvalid as error:
            raise TransientError(
                "ClickHouse's answer could not be read: it was cut, or something else answered"
            ) from error

    @contextlib.contextmanager
    def _lend_client(self) -> Iterator[Client]:
        # A client serves one caller at a time and takes megabytes. Each run has new threads: a client for each thread would
        # leak one for each run.
        with self._guard:
            client = self._free.pop() if self._free else None
        client = client or self._connect_client()
        try:
            yield client
        finally:
            with self._guard:
                if client in self._clients:  # the store was not closed meanwhile
                    self._free.append(client)

    def _connect_client(self) -> Client:
        options: dict[str, Any] = (
            self._connect if self._is_embedded else {**self._connect, "pool_mgr": self._server_pool}
        )
        client = clickhouse_connect.get_client(**options)
        # EXISTS first: on a server the user may lack the right to CREATE DATABASE.
        if not client.command(f"EXISTS DATABASE `{self._database}`"):
            client.command(f"CREATE DATABASE IF NOT EXISTS `{self._database}`")
        client.database = self._database
        if self._is_embedded:
            for name, value in _TEXT_SETTINGS.items():
                client.set_client_setting(name, value)
        with self._guard:
            self._clients.add(client)
        return client


def _parse_store_url(url: str) -> tuple[dict[str, Any], str]:
    """Arguments of the driver's ``get_client`` and the database to use, from one of our URLs."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise PermanentError("the event store's URL has a port or host that cannot be one") from error
    if parts.scheme == "chdb":
        return {"interface": "chdb", "path": parts.path}, _check_database_name(parts.query.removeprefix("database="))
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise PermanentError("the event store's URL must look like clickhouse://user:password@host:8123/database")
    interface = _SCHEMES[parts.scheme]
    return {
        "interface": interface,
        "host": parts.hostname,
        "port": port or (8443 if interface == "https" else 8123),
        "username": unquote(parts.username or "default"),
        "password": unquote(parts.password or ""),
        "connect_timeout": 5,
        "send_receive_timeout": _QUERY_SECONDS + 30,
        # A session serves one query at a time: a query that timed out here and still runs there would block the next ones.
        "autogenerate_session_id": False,
        "settings": _SERVER_SETTINGS,
    }, _check_database_name(parts.path.strip("/"))


def _check_database_name(name: str) -> str:
    if not re.fullmatch(r"\w*", name):
        raise PermanentError("the event store's database may hold letters, digits and underscores alone")
    return name or "furrow"


_SERVER_SETTINGS = {
    # An asynchronous insert (the default since 26.x) loses its own `landed_at` and its deduplication token.
    "async_insert": 0,
    # For a cluster (docs/server-mode.md); no effect without one. An insert returns when the shards have it, each shard
    # answers a subquery on its own, and one replica answers everything while it is available.
    "distributed_foreground_insert": 1,
    "distributed_product_mode": "local",
    "load_balancing": "in_order",
}

_SCHEMES = {"clickhouse": "http", "clickhouses": "https", "http": "http", "https": "https"}


def _translate_error(error: ClickHouseError, address: str) -> TransientError | PermanentError:
    code = getattr(error, "code", None)
    if code is None and isinstance(error.__cause__, urllib3.exceptions.HTTPError | OSError):
        # The driver's message quotes the address with all parameters of the query.
        return TransientError(f"ClickHouse is not reachable at {address}")
    kind = PermanentError if code in _PERMANENT_CODES else TransientError
    # A server also uses 36, for bad arguments.
    if (code == 36 and "Received ClickHouse exception" not in str(error)) or "Cannot lock" in str(error):
        return PermanentError(
            "the embedded ClickHouse's directory is in use by another process (one process may hold it)"
        )
    # The first line names the error; the next ones quote the query, with text from browsers.
    return kind(f"ClickHouse refused ({code}): {str(error).splitlines()[0][:300]}")


_INTEGER_LIST: Final = re.compile(r"\{(\w+):Array\(U?Int64\)\}")


def _inline_integer_lists(sql: str, parameters: Parameters) -> tuple[str, dict[str, object]]:
    """The statement with lists of integers in its text, and the other parameters.

    A server accepts 128 KiB for one parameter (``http_max_field_value_size``), which is 6,000 hashes. The embedded engine has
    no such limit, and parsing 20,000 numbers twice costs 75 ms a batch.
    """
    left = dict(parameters)
    for name in set(_INTEGER_LIST.findall(sql)) & parameters.keys():
        literal = ",".join(str(int(value)) for value in cast("list[int]", left.pop(name)))
        sql = re.sub(rf"{{{name}:(Array\(U?Int64\))}}", rf"CAST([{literal}], '\1')", sql)
    return sql, left
