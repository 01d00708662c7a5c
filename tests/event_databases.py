"""Databases of the event store for tests: migrated ones, made in a tenth of the time that the migrations take.

The first one is migrated. Those after it are made by the statements that ClickHouse itself gives for its tables, so that they
have the same schema (`tests/integration/test_event_databases.py` compares) and nothing else: no row, no deduplication token.

The embedded ClickHouse stops with its last client and loads every database of its directory when it starts again. A database
is therefore dropped with its files, when the next one is made: by then the test has closed it.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from stores.events.event_store import EventStore


@dataclass(frozen=True)
class Schema:
    """What the migrations made: the statements for the tables of ``database``, and the versions that it has seen."""

    database: str
    statements: tuple[str, ...]
    versions: tuple[str, ...]

    def write_to(self, store: EventStore) -> None:
        """Make the same in the database of ``store``, which has no table yet."""
        name = find_name(store)
        with store.borrow_client() as client:
            for statement in self.statements:
                client.command(statement.replace(self.database, name))
            client.insert("schema_versions", [[version] for version in self.versions], column_names=["version"])


class EventDatabases:
    """The databases that tests use in one ClickHouse. ``build_url``: the URL of an event store, from a database's name."""

    def __init__(self, build_url: Callable[[str], str]) -> None:
        self._build_url = build_url
        self._schema: Schema | None = None
        self._left: list[str] = []

    @contextmanager
    def make_migrated(self) -> Iterator[str]:
        """The URL of a database with all migrations and no events."""
        with self.make_empty() as url:
            with closing(EventStore(url)) as store:
                self._drop_left(store)
                if self._schema is None:
                    store.migrate()
                    self._schema = read_schema(store)
                else:
                    self._schema.write_to(store)
            yield url

    @contextmanager
    def make_empty(self) -> Iterator[str]:
        """The URL of a database that is not there yet."""
        name = f"t_{uuid.uuid4().hex}"
        yield self._build_url(name)
        self._left.append(name)

    def _drop_left(self, store: EventStore) -> None:
        with store.borrow_client() as client:
            while self._left:
                client.command(f"DROP DATABASE IF EXISTS {self._left.pop()} SYNC")


def read_schema(store: EventStore) -> Schema:
    """What the migrations made of the database of ``store``."""
    with store.borrow_client() as client:
        tables = client.query("SELECT create_table_query FROM system.tables WHERE database = currentDatabase()")
        versions = client.query("SELECT version FROM schema_versions ORDER BY version")
    return Schema(
        find_name(store), tuple(row[0] for row in tables.result_rows), tuple(row[0] for row in versions.result_rows)
    )


def find_name(store: EventStore) -> str:
    """The name of the database of ``store``."""
    return str(store.query_arrow("SELECT currentDatabase() AS name")["name"][0].as_py())
