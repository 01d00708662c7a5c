"""Makes Prefect's transactions on SQLite wait for the lock instead of failing, and keeps reads from waiting for writers.

Prefect opens SQLite with a write-ahead log and a busy timeout of one minute, but begins most writing transactions as readers
(``BEGIN DEFERRED``). If such a transaction starts to write after another one has written, SQLite fails at once with "database
is locked", whatever the timeout, because its snapshot is outdated. Transactions that begin as writers (``BEGIN IMMEDIATE``)
wait for the lock.

A writer that waits inside SQLite holds one of the 15 connections of the server's pool. If waiting writers hold all of them, a
read waits for a connection too, up to the pool's 30 s, and then fails, although SQLite could answer it at once. So writers
queue here, before they take a connection: one writes at a time, in the order of arrival, and the other connections are free
for reads, which begin no transaction. ``python -m bench prefect-database`` measures both.

Prefect lets each connection cache 80 MB of the database and keeps five to fifteen connections. Here a connection caches
`CACHE_KIB`; other pages are read from the system's file cache, which all connections share.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final
from weakref import WeakKeyDictionary

from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry

MAX_QUEUE_S: Final = 60.0
"""Seconds that a writer waits in the queue. After that it waits inside SQLite, which has its own timeout."""

CACHE_KIB: Final = 2_048
"""Of the database, in the memory of one connection."""

_set_up = AioSqliteConfiguration.setup_sqlite
_begin = AioSqliteConfiguration.begin_transaction
_write_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
_holds_lock: ContextVar[bool] = ContextVar("_holds_lock", default=False)


@asynccontextmanager
async def _write_lock() -> AsyncIterator[None]:
    """Holds the lock for writing. A transaction within another one does not wait for it: that would be a deadlock."""
    if _holds_lock.get():
        yield
        return
    lock = _write_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    try:
        async with asyncio.timeout(MAX_QUEUE_S):
            await lock.acquire()
    except TimeoutError:
        yield
        return
    token = _holds_lock.set(True)
    try:
        yield
    finally:
        _holds_lock.reset(token)
        lock.release()


@asynccontextmanager
async def _begin_as_writer(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncGenerator[AsyncSessionTransaction, None]:
    async with _write_lock(), _begin(self, session, with_for_update=True) as transaction:
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
