"""The queue, the cursors, keys, migrations, and what happens when Postgres is away."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import alembic.config
import alembic.script
import psycopg
import pytest

from core.errors import PermanentError, TransientError
from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents import incident_schema
from stores.incidents.incident_store import (
    AnalysedSession,
    ConfirmRule,
    Cursor,
    IncidentStore,
    KeyRecord,
    ProjectRecord,
    TouchedSession,
)
from tests.integration.incident_store_cases import detection, incident_id, queue, record


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


def test_a_reader_begins_at_the_beginning_and_goes_on_where_it_was(store: IncidentStore) -> None:
    assert store.queue.read_cursor() == Cursor(0, ())
    store.queue.enqueue_sessions([], Cursor(1_700_000_000_000_000, (1_700_000_000_000_000, 1_699_999_999_999_999)))
    assert store.queue.read_cursor() == Cursor(1_700_000_000_000_000, (1_700_000_000_000_000, 1_699_999_999_999_999))
    assert store.queue.read_cursor("another") == Cursor(0, ())


def test_sessions_come_back_exactly_and_oldest_due_first(store: IncidentStore) -> None:
    hashes = {"first": 0, "second": 2**63 - 1, "third": 2**63, "fourth": 2**64 - 1}
    touched = [
        TouchedSession("shop", name, value, 1_000 + place, 900) for place, (name, value) in enumerate(hashes.items())
    ]
    assert store.queue.enqueue_sessions(touched[::-1], Cursor(1, ())) == 4
    due = store.queue.find_due_sessions(1_002, 10)
    assert [(item.session_id, item.session_hash, item.due_ms) for item in due] == [
        ("first", 0, 1_000),
        ("second", 2**63 - 1, 1_001),
        ("third", 2**63, 1_002),
    ]
    assert store.queue.count_pending_sessions(1_002) == {"open": 1, "due": 3}
    assert [item.session_id for item in store.queue.find_due_sessions(9_999, 2)] == ["first", "second"]


def test_many_thousand_sessions_fit_in_one_call(store: IncidentStore) -> None:
    touched = [TouchedSession("shop", f"s{number}", number, 1_000, 900) for number in range(12_001)]
    assert store.queue.enqueue_sessions(touched + touched[:5], Cursor(1, ())) == 12_001
    assert store.queue.count_pending_sessions(1_000) == {"open": 0, "due": 12_001}


def test_new_events_postpone_a_session_and_forgive_its_failures(store: IncidentStore) -> None:
    first = queue(store, ["a"])[0]
    assert store.queue.record_session_failure(first, "boom") is False
    store.queue.enqueue_sessions([TouchedSession("shop", "a", first.session_hash, 5_000, 4_000)], Cursor(2, ()))
    assert store.queue.find_due_sessions(4_999, 10) == []
    second = store.queue.find_due_sessions(5_000, 10)[0]
    assert (second.attempts, second.version != first.version) == (0, True)


def test_events_that_nobody_made_postpone_nothing(store: IncidentStore) -> None:
    first = queue(store, ["a"])[0]
    background = TouchedSession("shop", "a", first.session_hash, 5_000, 4_000, delays=False)
    alone = TouchedSession("shop", "b", 7, 5_000, 4_000, delays=False)
    store.queue.enqueue_sessions([background, alone], Cursor(2, ()))
    due = store.queue.find_due_sessions(1_000, 10)
    assert [(session.session_id, session.version != first.version) for session in due] == [("a", True)]
    assert store.queue.find_due_sessions(4_999, 10) == due
    sooner = TouchedSession("shop", "b", 7, 3_000, 4_000, delays=False)
    store.queue.enqueue_sessions([sooner], Cursor(3, ()))
    assert [session.session_id for session in store.queue.find_due_sessions(3_000, 10)] == ["a", "b"]


def test_sessions_and_cursor_are_written_together_or_not_at_all(store: IncidentStore) -> None:
    """The second statement fails (a session id that Postgres cannot hold), after 5,000 rows went in by the first."""
    touched = [TouchedSession("shop", f"s{number:05}", number, 1_000, 900) for number in range(5_000)]
    with pytest.raises(PermanentError):
        store.queue.enqueue_sessions([*touched, TouchedSession("shop", "t\x00", 1, 1_000, 900)], Cursor(7, (7,)))
    assert store.queue.count_pending_sessions(1_000) == {"open": 0, "due": 0}
    assert store.queue.read_cursor() == Cursor(0, ())


def test_sessions_are_not_in_line_when_the_cursor_cannot_be_moved(store: IncidentStore, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE cursors ADD CONSTRAINT stuck CHECK (watermark_us < 10)")
    with pytest.raises(PermanentError):
        store.queue.enqueue_sessions([TouchedSession("shop", "a", 1, 1_000, 900)], Cursor(11, ()))
    assert store.queue.count_pending_sessions(1_000) == {"open": 0, "due": 0}


def test_two_readers_enqueue_the_same_sessions_at_once(store: IncidentStore) -> None:
    touched = [TouchedSession("shop", f"s{number}", number, 1_000, 900) for number in range(3_000)]
    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(lambda part: store.queue.enqueue_sessions(part, Cursor(1, ())), [touched, touched[::-1]] * 3)
        )
    assert done == [3_000] * 6
    assert store.queue.count_pending_sessions(1_000)["due"] == 3_000


def test_a_poison_session_is_buried_at_its_third_failure(store: IncidentStore, postgres_url: str) -> None:
    pending = queue(store, ["poison", "fine"])[0]
    assert [store.queue.record_session_failure(pending, f"failure {number}") for number in (1, 2, 3)] == [
        False,
        False,
        True,
    ]
    assert [item.session_id for item in store.queue.find_due_sessions(10_000, 10)] == ["fine"]
    with psycopg.connect(postgres_url) as connection:
        dead = connection.execute("SELECT session_id, session_hash, attempts, reason FROM dead_sessions").fetchall()
    assert [(name, hashed & (1 << 64) - 1, *rest) for name, hashed, *rest in dead] == [
        ("poison", pending.session_hash, 3, "failure 3")
    ]
    assert store.incidents.read_store_counts("shop")["deadSessions"] == 1
    assert store.incidents.read_store_counts("another")["deadSessions"] == 0


def test_a_burial_that_fails_leaves_the_session_in_line(store: IncidentStore, postgres_url: str) -> None:
    pending = queue(store, ["poison"])[0]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE dead_sessions ADD CONSTRAINT full_up CHECK (session_id <> 'poison')")
    with pytest.raises(PermanentError):
        store.queue.record_session_failure(pending, "boom", max_attempts=1)
    assert store.queue.find_due_sessions(10_000, 10) == [pending]  # with no failure counted: all of it was rolled back


def test_a_failure_of_an_older_version_is_not_counted(store: IncidentStore) -> None:
    old = queue(store, ["a"])[0]
    queue(store, ["a"])
    assert store.queue.record_session_failure(old, "boom", max_attempts=1) is False
    assert store.queue.find_due_sessions(10_000, 10)[0].attempts == 0


def test_a_dead_session_gets_another_chance_with_new_events(store: IncidentStore) -> None:
    pending = queue(store, ["a"])[0]
    store.queue.record_session_failure(pending, "boom", max_attempts=1)
    assert store.queue.find_due_sessions(2**62, 10) == []
    back = queue(store, ["a"])[0]
    assert (back.session_hash, back.attempts) == (pending.session_hash, 0)


def test_a_dead_session_that_succeeds_after_all_is_dead_no_longer(store: IncidentStore) -> None:
    store.queue.record_session_failure(queue(store, ["a"])[0], "boom", max_attempts=1)
    record(store, detection("a"))
    assert store.incidents.read_store_counts()["deadSessions"] == 0


def test_keys_and_projects(store: IncidentStore) -> None:
    store.keys.save_api_key("hash1", "fk_abc", "shop", "ingest", "browser")
    store.keys.save_api_key("hash2", "fk_def", "shop", "operator")
    assert store.keys.revoke_api_keys("fk_abc") == 1
    assert store.keys.revoke_api_keys("fk_abc") == 0
    assert store.keys.read_api_keys() == [
        KeyRecord("hash1", "fk_abc", "shop", "ingest", True, "browser"),
        KeyRecord("hash2", "fk_def", "shop", "operator", False, ""),
    ]
    with pytest.raises(PermanentError):
        store.keys.save_api_key("hash3", "fk_x", "shop", "root")
    store.keys.save_project("shop", origins=["https://shop.example"])
    store.keys.save_project("shop", settings={"min_sessions": 5})
    assert store.keys.read_projects() == [ProjectRecord("shop", ["https://shop.example"], {"min_sessions": 5})]


def test_migrating_again_and_all_at_once_is_safe(empty_postgres_url: str) -> None:
    stores = [IncidentStore.connect(empty_postgres_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(IncidentStore.migrate, stores))
    record(stores[0], detection("a"))
    stores[1].migrate()
    assert stores[2].incidents.read_incident(incident_id()) is not None
    for store in stores:
        store.close()


def test_a_schema_of_a_newer_version_is_left_alone(store: IncidentStore, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE furrow_schema_version SET version_num = '9999'")
    with pytest.raises(PermanentError, match="is newer than this version of Furrow"):
        store.migrate()


def test_prefect_may_share_the_database(store: IncidentStore, postgres_url: str) -> None:
    """Prefect keeps its own migrations in ``alembic_version``."""
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,)


def test_a_server_that_is_away_is_a_transient_error_and_nothing_is_lost(stoppable_postgres: EmbeddedPostgres) -> None:
    store = IncidentStore.connect(stoppable_postgres.url)
    store.migrate()
    pending = queue(store, ["a"])[0]
    stoppable_postgres.stop()
    with pytest.raises(TransientError):
        store.ping()
    with pytest.raises(TransientError):
        store.ledger.record_detections([AnalysedSession(pending, (detection("a"),), 1)], ConfirmRule())
    stoppable_postgres.start()
    done = store.ledger.record_detections([AnalysedSession(pending, (detection("a"),), 1)], ConfirmRule())
    assert (done.sessions, done.stored) == (1, 1)
    store.close()


def test_a_connection_that_is_cut_in_the_middle_is_transient(store: IncidentStore, postgres_url: str) -> None:
    pending = queue(store, ["a"])[0]
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("BEGIN")
        admin.execute("LOCK TABLE incidents")  # the worker waits here
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(
                store.ledger.record_detections, [AnalysedSession(pending, (detection("a"),), 1)], ConfirmRule()
            )
            waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            with psycopg.connect(postgres_url, autocommit=True) as watcher:
                while not (found := watcher.execute(waiting).fetchall()):
                    pass
                watcher.execute("SELECT pg_terminate_backend(%s)", found[0])
            with pytest.raises(TransientError):
                work.result()
        admin.execute("ROLLBACK")
    assert store.queue.find_due_sessions(10_000, 10) == [pending]


def test_errors_that_waiting_cannot_cure_are_permanent(empty_postgres_url: str) -> None:
    never_migrated = IncidentStore.connect(empty_postgres_url)
    with pytest.raises(PermanentError, match='relation "incident_counts" does not exist'):
        never_migrated.incidents.read_store_counts()
    never_migrated.close()
    with pytest.raises(PermanentError, match="does not exist"):
        IncidentStore.connect(empty_postgres_url.replace("/t_", "/no_")).ping()
    with pytest.raises(PermanentError, match="is Postgres"):
        IncidentStore.connect("sqlite:///furrow.db")


@pytest.mark.parametrize(
    "url", ["postgresql://u:hunter2@127.0.0.1:1/db", "postgres://u:hunter2@no.such.host.invalid/db"]
)
def test_no_message_holds_the_password(url: str) -> None:
    with pytest.raises(TransientError) as caught:
        IncidentStore.connect(url).ping()
    assert "hunter2" not in str(caught.value)


def test_a_url_that_is_none_is_not_repeated() -> None:
    with pytest.raises(PermanentError) as caught:
        IncidentStore.connect("hunter2@nowhere")
    assert "hunter2" not in str(caught.value)


def test_alembic_is_loaded_only_to_upgrade(empty_postgres_url: str) -> None:
    IncidentStore.connect(empty_postgres_url).migrate()
    script = (
        "import sys; from stores.incidents.incident_store import IncidentStore; "
        f"IncidentStore.connect({empty_postgres_url!r}).migrate(); print('alembic' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=120)
    assert told.stdout.strip() == "False"


def test_the_revisions_are_those_that_alembic_finds_and_the_last_one_is_the_newest() -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(incident_schema._MIGRATIONS))
    script = alembic.script.ScriptDirectory.from_config(config)
    assert set(incident_schema.list_known_revisions()) == {one.revision for one in script.walk_revisions()}
    assert incident_schema.list_known_revisions()[-1] == script.get_current_head()
