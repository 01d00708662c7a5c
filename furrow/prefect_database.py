"""Prefect's SQLite waits for its turn instead of refusing.

Prefect opens SQLite with a write-ahead log and a busy time-out of a minute, but begins most of its writing transactions as
readers (``BEGIN DEFERRED``). One of those that turns writer after another has written fails at once with "database is locked",
whatever the time-out: SQLite cannot give it the newest state any more. Begun as writers (``BEGIN IMMEDIATE``) they wait for
their turn. Measured by ``python -m bench prefect-database``.
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
    """Make every transaction that Prefect's server begins on SQLite in this process a writer from its beginning."""
    AioSqliteConfiguration.begin_transaction = _begin_as_writer  # type: ignore[method-assign]
