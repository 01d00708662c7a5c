"""The databases that tests get are what the migrations make, and hold nothing of the tests before."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from stores.events.event_store import EventStore
from tests.event_databases import EventDatabases, find_name, read_schema
from tests.rows import lines, row

PARTS = (
    "SELECT * EXCEPT (database) FROM system.columns WHERE database = currentDatabase() ORDER BY table, position",
    "SELECT * EXCEPT (database) FROM system.data_skipping_indices WHERE database = currentDatabase() ORDER BY table, name",
    "SELECT name, engine_full, partition_key, sorting_key, primary_key, sampling_key, as_select FROM system.tables "
    "WHERE database = currentDatabase() ORDER BY name",
    "SELECT version FROM schema_versions ORDER BY version",
)


@contextmanager
def make_copy(databases: EventDatabases) -> Iterator[EventStore]:
    """A database that was made when another one was there to be copied."""
    with databases.make_migrated():
        pass
    with databases.make_migrated() as url, closing(EventStore(url)) as store:
        yield store


@pytest.fixture
def migrated(empty_event_store_url: str) -> Iterator[EventStore]:
    """A database that the migrations made."""
    with closing(EventStore(empty_event_store_url)) as store:
        store.migrate()
        yield store


def test_a_copy_has_the_schema_that_the_migrations_make(event_databases: EventDatabases, migrated: EventStore) -> None:
    with make_copy(event_databases) as copy:
        made, wanted = read_schema(copy), read_schema(migrated)
        assert [one.replace(made.database, wanted.database) for one in made.statements] == list(wanted.statements)
        for part in PARTS:
            found = copy.query_arrow(part).to_pylist()
            assert found == migrated.query_arrow(part).to_pylist()
            assert found


def test_a_copy_has_neither_events_nor_tokens_nor_the_databases_of_before(event_databases: EventDatabases) -> None:
    segment = lines([row("s")])
    with make_copy(event_databases) as before:
        before.land_segment(segment, "token")
        assert before.count_events().rows == 1
        name = find_name(before)
    with make_copy(event_databases) as copy:
        assert copy.count_events().rows == 0
        copy.land_segment(segment, "token")
        copy.land_segment(segment, "token")
        assert copy.count_events().rows == 1
        with copy.borrow_client() as client:
            assert name not in {row[0] for row in client.query("SELECT name FROM system.databases").result_rows}
