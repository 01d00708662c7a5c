"""Makes Prefect's transactions on SQLite wait for the lock instead of failing.

Prefect opens SQLite with a write-ahead log and a busy timeout of one minute, but begins most writing transactions as readers
(``BEGIN DEFERRED``). If such a transaction starts to write after another one has written, SQLite fails at once with "database
is locked", whatever the timeout, because its snapshot is outdated. Transactions that begin as writers (``BEGIN IMMEDIATE``)
wait for the lock. ``python -m bench prefect-database`` measures it.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

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
