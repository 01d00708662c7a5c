"""Connections to Postgres: transactions, and the one place that sorts errors into transient and permanent."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
import sqlalchemy as sa
from sqlalchemy import exc

from core.errors import PermanentError, TransientError

# Classes of SQLSTATE after which the same call may succeed: connection lost (08), transaction rolled back (40), out of
# resources (53), object in use and lock not available (55), operator intervention such as a shutdown (57), system error
# (58); and a server that is read-only at the moment (25006: a standby before a failover).
_TRANSIENT_CLASSES = {"08", "40", "53", "55", "57", "58"}
_TRANSIENT_STATES = {"25006"}

# A refused connection has no SQLSTATE in libpq, only a text. A retry does not fix these.
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|"
    r"(role|user|database) \".*\" does not exist|invalid .*option|permission denied"
)

_CONNECT = {
    "connect_timeout": 5,
    "application_name": "furrow",
    # A peer that disappeared is noticed within a minute; the kernel's default is two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    # Poolers with a server for each transaction support no prepared statements.
    "prepare_threshold": None,
}
_LOCK_TIMEOUT = sa.text("SET LOCAL lock_timeout = '30s'")
_BESIDE: Final = 4
"""Reads that run beside others at once; further ones wait."""
_T = TypeVar("_T")


class Database:
    """One pool of connections to one Postgres database; safe to share between threads."""

    def __init__(self, url: str) -> None:
        """Take ``postgresql://`` or ``postgres://``, else PermanentError; connects at the first use."""
        parsed = _parse_database_url(url)
        self._password = str(parsed.password) if parsed.password else None
        options = {name: value for name, value in _CONNECT.items() if name not in parsed.query}
        self._engine = sa.create_engine(parsed, pool_timeout=30, hide_parameters=True, connect_args=options)
        self._beside = ThreadPoolExecutor(_BESIDE, thread_name_prefix="postgres")

    @contextmanager
    def open_transaction(self) -> Iterator[sa.Connection]:
        """One transaction, rolled back by any error. Raises TransientError or PermanentError."""
        with self._translate_errors(), self._connect() as connection:
            yield connection
            connection.commit()

    def _connect(self) -> sa.Connection:
        """A connection on which a transaction began.

        The first statement notices one that the server closed meanwhile, and the pool then drops all others: a test of each
        connection before its use (``pool_pre_ping``) took 3 of the 40 ms of a page.
        """
        for may_be_old in (True, False):
            connection = self._engine.connect()
            try:
                connection.execute(_LOCK_TIMEOUT)
            except exc.DBAPIError as error:
                connection.close()
                if not (may_be_old and error.connection_invalidated):
                    raise
            else:
                break
        return connection

    def read_beside(self, read: Callable[[sa.Connection], _T]) -> "Future[_T]":
        """``read`` in a transaction of its own, in another thread: two slow reads of one page take as long as one.

        Its result may be a moment older or newer than what the caller reads. ``result()`` raises what `open_transaction` does.
        """

        def read_alone() -> _T:
            with self.open_transaction() as connection:
                return read(connection)

        try:
            return self._beside.submit(read_alone)
        except RuntimeError as error:
            raise TransientError("Postgres: the connections are closed") from error

    def close(self) -> None:
        """Close the idle connections."""
        self._beside.shutdown()
        self._engine.dispose()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            raise self._classify_error(error.orig or error) from error
        except psycopg.Error as error:
            raise self._classify_error(error) from error
        except exc.TimeoutError as error:
            raise TransientError("Postgres: no free connection within 30 s") from error
        except (exc.SQLAlchemyError, UnicodeError) as error:
            raise PermanentError(f"Postgres: {self._hide_password(str(error))}") from error

    def _classify_error(self, error: BaseException) -> TransientError | PermanentError:
        # Without the lines that quote the statement, if the server sends them separately.
        primary = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
        message = self._hide_password(" ".join(primary.split()))
        if _is_transient_error(error, message):
            return TransientError(f"Postgres: {message}")
        advice = "; fix the user, password or database in FURROW_INCIDENT_STORE_URL" if _REFUSED.search(message) else ""
        return PermanentError(f"Postgres: {message}{advice}")

    def _hide_password(self, text: str) -> str:
        return text.replace(self._password, "***") if self._password else text


def _is_transient_error(error: BaseException, message: str) -> bool:
    state = getattr(error, "sqlstate", None)
    if state:
        return state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES
    lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return lost and not _REFUSED.search(message)


def _parse_database_url(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url.strip())
    except (exc.ArgumentError, ValueError):
        # The message does not quote the URL: it may hold a password.
        raise PermanentError("the incident store's URL is not of the form postgresql://user@host/database") from None
    if parsed.drivername.split("+")[0] not in ("postgresql", "postgres"):
        raise PermanentError(f"the incident store is Postgres; the URL names {parsed.drivername}")
    return parsed.set(drivername="postgresql+psycopg")


def clean_for_postgres(value: Any) -> Any:
    """``value`` (JSON data or text) without what Postgres cannot hold: U+0000 and lone surrogates become U+FFFD."""
    if isinstance(value, str):
        if "\x00" in value:
            value = value.replace("\x00", "\ufffd")
        return value if value.isascii() or value.isprintable() else _SURROGATES.sub("\ufffd", value)
    if isinstance(value, dict):
        return {clean_for_postgres(key): clean_for_postgres(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_for_postgres(item) for item in value]
    return value


_SURROGATES = re.compile("[\ud800-\udfff]")
