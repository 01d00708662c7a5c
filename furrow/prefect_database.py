"""Makes Prefect's transactions on SQLite wait for the lock instead of failing.

Prefect opens SQLite with a write-ahead log and a busy timeout of one minute, but begins most writing transactions as readers
(``BEGIN DEFERRED``). If such a transaction starts to write after another one has written, SQLite fails at once with "database
is locked", whatever the timeout, because its snapshot is outdated. Transactions that begin as writers (``BEGIN IMMEDIATE``)
wait for the lock. ``python -m bench prefect-database`` measures it.

Prefect lets each connection cache 80 MB of the database and keeps five to fifteen connections. Here a connection caches
`CACHE_KIB`; other pages are read from the system's file cache, which all connections share.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry

CACHE_KIB: Final = 2_048
"""Of the database, in the memory of one connection."""

_set_up = AioSqliteConfiguration.setup_sqlite
_begin = AioSqliteConfiguration.begin_transaction


@asynccontextmanager
async def _begin_as_writer(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncGenerator[AsyncSessionTransaction, None]:
    async with _begin(self, session, with_for_update=True) as transaction:
        yield transaction


def begin_as_writers() -> None:
    """Begin every transaction of Prefect's server on SQLite in this process as a writer."""
    AioSqliteConfiguration.begin_transaction = _begin_as_writer  # type: ignore[method-assign]


def _set_up_small(self: AioSqliteConfiguration, conn: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    _set_up(self, conn, record)
    cursor = conn.cursor()
    cursor.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    cursor.close()


def keep_little_in_memory() -> None:
    """Let every connection that Prefect opens on SQLite in this process keep `CACHE_KIB` of it and no more."""
    AioSqliteConfiguration.setup_sqlite = _set_up_small  # type: ignore[method-assign]
