"""A list counts in a second transaction: what that one meets is told as what the first one meets."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from core.errors import PermanentError, TransientError
from incidents.model import IncidentQuery
from stores.incidents.incident_database import Database
from stores.incidents.incident_store import IncidentStore
from tests.integration.incident_store_cases import detection, record


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    made = Database(postgres_url)
    yield made
    made.close()


def run_alone(statement: str, connection: sa.Connection) -> object:
    return connection.exec_driver_sql(statement).scalar()


def test_a_read_runs_beside_the_transaction_of_its_caller(database: Database) -> None:
    ask = "SELECT pg_backend_pid()"
    with database.open_transaction() as connection:
        other = database.read_beside(lambda beside: run_alone(ask, beside)).result()
        assert other != run_alone(ask, connection)


def test_an_error_beside_is_sorted_as_any_other(database: Database) -> None:
    lost = database.read_beside(lambda beside: run_alone("SELECT pg_terminate_backend(pg_backend_pid())", beside))
    with pytest.raises(TransientError, match="Postgres"):
        lost.result()
    with pytest.raises(PermanentError, match="no_such_table"):
        database.read_beside(lambda beside: run_alone("SELECT 1 FROM no_such_table", beside)).result()
    assert database.read_beside(lambda beside: run_alone("SELECT 1", beside)).result() == 1


def test_a_list_whose_count_failed_fails_and_is_whole_again_later(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = IncidentStore.connect(postgres_url)
    record(store, detection("s1"))
    with monkeypatch.context() as broken:
        broken.setattr(
            "stores.incidents.incident_review._COUNT_BY_STATUS", "SELECT no_such_column AS status WHERE {where}"
        )
        with pytest.raises(PermanentError):
            store.review.list_page(IncidentQuery(), None, 14)
    page = store.review.list_page(IncidentQuery(), None, 14)
    assert (len(page.incidents), sum(page.counts.values())) == (1, 1)
    store.close()


def test_a_closed_database_reads_nothing_beside(postgres_url: str) -> None:
    database = Database(postgres_url)
    database.close()
    with pytest.raises(TransientError, match="closed"):
        database.read_beside(lambda beside: run_alone("SELECT 1", beside))


def test_connections_that_the_server_closed_are_not_met(postgres_url: str) -> None:
    """All connections of the pool were closed meanwhile, as after a restart: the next transactions do not notice."""
    database, other = Database(postgres_url), Database(postgres_url)
    ask = "SELECT pg_backend_pid()"
    with database.open_transaction() as first, database.open_transaction() as second:
        known = {run_alone(ask, first), run_alone(ask, second)}
    for _ in range(2):
        with other.open_transaction() as connection:
            run_alone("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                      " AND datname = current_database()", connection)  # fmt: skip
        with database.open_transaction() as third, database.open_transaction() as fourth:
            fresh = {run_alone(ask, third), run_alone(ask, fourth)}
        assert len(known | fresh) == len(known) + 2
        known |= fresh
    database.close()
    other.close()


def insert_and_fail(database: Database, statement: str) -> None:
    with database.open_transaction() as connection:
        connection.exec_driver_sql("INSERT INTO seen VALUES (1)")
        run_alone(statement, connection)


def test_an_error_rolls_back_and_the_connection_is_used_again(database: Database) -> None:
    with database.open_transaction() as connection:
        connection.exec_driver_sql("CREATE TABLE seen (number integer)")
    for statement, error in (("SELECT 1 FROM no_such_table", PermanentError), ("SELECT 1 / 0", PermanentError)):
        with pytest.raises(error):
            insert_and_fail(database, statement)
    with database.open_transaction() as connection:
        assert run_alone("SELECT count(*) FROM seen", connection) == 0
