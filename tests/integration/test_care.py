"""Backup, erasure and the newest schema on the real embedded stores: what a round trip of commands cannot reach."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from collector.senders.receipts import Receipt, encode_receipts
from core.errors import PermanentError
from stores.embedded_postgres import EmbeddedPostgres
from stores.events import event_backup, event_erasure, event_receipts, event_schema
from stores.events.event_history import ObservedSession, record_observed
from stores.events.event_store import EventStore
from stores.events.session_steps import STEP_COLUMNS, record_session_steps
from stores.incidents import incident_backup
from stores.incidents.incident_store import AnalysedSession, IncidentQuery, IncidentStore
from stores.schema_version import SchemaTooNew
from tests.event_databases import EventDatabases
from tests.integration.incident_store_cases import detection, history, incident, incident_id, queue, record
from tests.rows import BASE_MS, lines, row
from ufse.history import Observed

HOUR = 3_600_000
UPGRADED = Path(__file__).parents[1] / "data" / "upgrades" / "postgres-0006.json"
ALICE = "a" * 32


@pytest.fixture
def other_events(event_databases: EventDatabases) -> Iterator[EventStore]:
    """A second database, new and without a schema."""
    with event_databases.make_empty() as url:
        store = EventStore(url)
        yield store
        store.close()


@pytest.fixture
def incidents(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def other_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A second database, new and without a schema."""
    name = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres_server.build_database_url(name)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def content(store: EventStore, table: str = "events") -> list[tuple[Any, ...]]:
    """Every column of every row, the computed ones too."""
    with store.borrow_client() as client:
        columns = [r[0] for r in client.query("SELECT name FROM system.columns WHERE database = currentDatabase() AND "
                                              "table = {t:String}", {"t": table.split()[0]}).result_rows]  # fmt: skip
        query = f"SELECT toString(tuple({', '.join(f'`{c}`' for c in columns)})) AS t FROM {table} ORDER BY t"
        return list(client.query(query).result_rows)


def whole(url: str) -> dict[str, list[tuple[Any, ...]]]:
    with psycopg.connect(url) as connection:
        return {t: connection.execute(f"SELECT * FROM {t} ORDER BY 1, 2").fetchall() for t in incident_backup.TABLES}


# Backup
# -----------------------------------------------------------------------------------------------------------------------


def test_events_come_back_in_pieces_byte_for_byte(
    event_store: EventStore, other_events: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_backup, "PIECE_ROWS", 40)
    rows = [row(f"s{n // 4}", at_ms=n * HOUR // 4, target_label='naïve "x"\n') for n in range(300)]
    rows += [row("busy", at_ms=n, event_type="error") for n in range(130)]  # an hour that is more than a piece
    event_store.land_segment(lines(rows), "token")
    event_store.record_calm_sessions(hashes(event_store), BASE_MS, 1)
    seen = [ObservedSession("default", f"s{n}", n + 1, BASE_MS + n * HOUR) for n in range(60)]
    for at in (1, 2):  # the rows of the first are replaced
        record_observed(event_store, Observed.make_empty(), seen, at)
        record_session_steps(event_store, _step_rows(60, at))
    told = event_backup.dump_event_tables(event_store, tmp_path)
    assert len(told.files["events"]) > 12
    assert told.rows == {"events": 430, "sessions": 75, "session_history": 60, "session_steps": 60}
    event_backup.load_event_tables(other_events, tmp_path, told)
    for table in event_backup.TABLES:
        assert content(other_events, table) == content(event_store, f"{table} FINAL" if table != "events" else table)
    # The watermark still fits: nothing has landed anew.
    before = event_store.read_touched_sessions(0, ())
    assert other_events.read_touched_sessions(0, ()).watermark_us == before.watermark_us
    with pytest.raises(PermanentError, match="not empty"):
        event_backup.load_event_tables(other_events, tmp_path, told)


def _step_rows(number: int, counted_us: int) -> pa.Table:
    texts = {"project": "default", "app_version": "1.0", "environment": "", "browser": 'naïve "x"'}
    rows = [
        {**texts, "session_hash": n, "slot_ms": n * HOUR, "started_ms": n, "steps": [-n, n], "hits": [n] * (n % 2)}
        for n in range(number)
    ]
    return pa.Table.from_pylist([{**row, "counted_us": counted_us} for row in rows], schema=STEP_COLUMNS)


def test_a_backup_of_an_older_schema_is_restored_and_upgraded(
    empty_event_store_url: str, other_events: EventStore, tmp_path: Path
) -> None:
    older = EventStore(empty_event_store_url)
    with older.borrow_client() as client:
        event_schema.migrate(client, "005_receipts")
        columns = {name for (name, *_) in client.query("DESCRIBE TABLE events").result_rows}
    events = [json.loads(line) for line in lines(row("s", at_ms=n) for n in range(5)).splitlines()]
    older_lines = [json.dumps({name: event[name] for name in columns & event.keys()}) for event in events]
    older.land_segment("\n".join(older_lines).encode(), "token")
    told = event_backup.dump_event_tables(older, tmp_path)
    older.close()
    assert (told.version, told.rows) == ("005_receipts", {"events": 5, "sessions": 0})
    event_backup.load_event_tables(other_events, tmp_path, told)
    assert other_events.count_events().distinct == 5
    assert content(other_events, "session_history") == []


def hashes(store: EventStore) -> list[int]:
    with store.borrow_client() as client:
        return [r[0] for r in client.query("SELECT DISTINCT session_hash FROM events").result_rows]


def test_every_table_of_clickhouse_is_backed_up_or_made_anew(event_store: EventStore) -> None:
    with event_store.borrow_client() as client:
        names = {
            r[0] for r in client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows
        }
    assert names == {*event_backup.TABLES, *event_backup.DERIVED, "schema_versions"}


def test_every_table_and_sequence_of_postgres_is_backed_up(incidents: IncidentStore, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(
            "SELECT relkind::text, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        )
        kinds = found.fetchall()
    assert {name for kind, name in kinds if kind == "r"} == {
        *incident_backup.TABLES,
        *incident_backup.NOT_KEPT,
        "furrow_schema_version",
    }
    assert {name for kind, name in kinds if kind == "S"} == set(incident_backup.SEQUENCES)


def test_postgres_comes_back_byte_for_byte_and_goes_on(
    incidents: IncidentStore, postgres_url: str, other_url: str, tmp_path: Path
) -> None:
    record(incidents, *(detection(f"s{n}", user=ALICE) for n in range(4)))
    record(incidents, detection("odd", "tab\tand\\backslash"))
    queue(incidents, ["waiting"])
    incidents.keys.save_api_key("hash", "fi_prefix", "shop", "ingest", "the shop")
    incidents.keys.save_project("shop", ["https://shop.example"], {"confirmSessions": 5})
    incidents.outbox.claim_incidents("jira", limit=5, min_score=70)
    incidents.outbox.record_filed_ticket(incident_id(), "jira", "OPS-1", "https://jira.example/browse/OPS-1")
    told = incident_backup.dump_incident_tables(postgres_url, tmp_path)
    told = incident_backup.IncidentDump(**json.loads(json.dumps(told.__dict__)))  # as the manifest keeps it
    incident_backup.load_incident_tables(other_url, tmp_path, told)
    assert whole(other_url) == whole(postgres_url)
    restored = IncidentStore.connect(other_url)
    # Sequences go on behind what was used: a version never comes twice, and history takes more lines.
    versions = [pending.version for pending in queue(restored, ["waiting", "new"])]
    assert min(versions) > told.sequences["pending_versions"]
    restored.ledger.apply_action(incident_id(), "resolve", "after the restore", "eve")
    assert history(restored, incident_id())[-1][2] == "after the restore"
    with pytest.raises(PermanentError, match="not empty"):
        incident_backup.load_incident_tables(other_url, tmp_path, told)
    restored.close()


def test_a_table_that_is_cut_short_restores_nothing(
    incidents: IncidentStore, postgres_url: str, other_url: str, tmp_path: Path
) -> None:
    record(incidents, detection("a"), detection("b"))
    told = incident_backup.dump_incident_tables(postgres_url, tmp_path)
    short = incident_backup.IncidentDump(told.revision, told.columns, {**told.rows, "detections": 3}, told.sequences)
    with pytest.raises(PermanentError, match="holds 2 rows instead of 3"):
        incident_backup.load_incident_tables(other_url, tmp_path, short)
    with psycopg.connect(other_url) as connection:
        assert connection.execute("SELECT to_regclass('detections')").fetchone() == (None,)


def test_a_backup_of_an_older_schema_lacks_the_newer_tables(other_url: str, tmp_path: Path) -> None:
    stored = json.loads(UPGRADED.read_text(encoding="utf-8"))
    del stored["furrow_schema_version"]
    for table, content in stored.items():
        text = "\n".join([*content["rows"], ""]).encode()
        with pa.CompressedOutputStream(str(tmp_path / f"{table}.copy.zst"), "zstd") as out:
            out.write(text)
    columns = {table: content["columns"] for table, content in stored.items()}
    rows = {table: len(content["rows"]) for table, content in stored.items()}
    incident_backup.load_incident_tables(
        other_url, tmp_path, incident_backup.IncidentDump("0006", columns, rows, {"incident_history_id_seq": 4})
    )
    restored = IncidentStore.connect(other_url)
    restored.migrate()
    listed = restored.incidents.list_incidents(IncidentQuery()).incidents
    assert sorted(one["affectedSessions"] for one in listed) == [2, 3]
    assert restored.edits.list_changes(None) == []
    restored.close()


# Schemas
# -----------------------------------------------------------------------------------------------------------------------


def test_an_event_store_of_a_newer_version_is_left_alone(event_store: EventStore, tmp_path: Path) -> None:
    with event_store.borrow_client() as client:
        client.command("INSERT INTO schema_versions (version) VALUES ('999_later')")
        client.command("DROP TABLE sessions")
    for call in (
        event_store.migrate,
        event_store.check_schema,
        lambda: event_backup.dump_event_tables(event_store, tmp_path),
    ):
        with pytest.raises(SchemaTooNew, match=r"the event store's schema \(999_later\) is newer than this version"):
            call()
    with event_store.borrow_client() as client:
        assert client.query("EXISTS TABLE sessions").result_rows[0][0] == 0


# Erasure
# -----------------------------------------------------------------------------------------------------------------------


def test_sessions_are_erased_whole_and_in_their_project_alone(event_store: EventStore) -> None:
    rows = [row("hers", 1, user_hash=ALICE), row("hers", 2), row("shared", 3, user_hash=ALICE), row("other", 4)]
    rows += [row("hers", 5, project="elsewhere", user_hash=ALICE)]
    event_store.land_segment(lines(rows), "one")
    event_store.land_segment(lines([row("hers", 1, user_hash=ALICE) | {"received_ms": BASE_MS + HOUR}]), "resent")
    event_store.record_calm_sessions(hashes(event_store), BASE_MS, 1)
    found = event_erasure.find_user_sessions(event_store, "default", ALICE)
    assert found == {"hers", "shared"}
    assert event_erasure.erase_session_events(event_store, "default", sorted(found)) == event_erasure.ErasedEvents(
        events=4, sessions=2
    )
    assert event_erasure.erase_session_events(event_store, "default", sorted(found)) == event_erasure.ErasedEvents()
    with event_store.borrow_client() as client:
        left = client.query("SELECT project, session_id FROM events ORDER BY ALL").result_rows
        assert [tuple(r) for r in left] == [("default", "other"), ("elsewhere", "hers")]
        texts = [
            r[0]
            for r in client.query("SELECT command FROM system.mutations WHERE database = currentDatabase()").result_rows
        ]
    assert any("DELETE" in text for text in texts)
    assert not any("hers" in text or ALICE in text for text in texts)


def test_receipts_land_once_expire_and_are_erased_with_their_sessions(event_store: EventStore) -> None:
    now = datetime.now(UTC)
    ages = {"hers": 0, "other": 1, "old": 9}
    sent = [
        Receipt(5, 4, "default", name, round((now - timedelta(days=days)).timestamp() * 1000))
        for name, days in ages.items()
    ]
    # An old row is merged away by itself at any time, so that it is asked for last.
    for _ in range(2):
        event_receipts.land_receipts(event_store, encode_receipts(sent), "token")

    def left() -> list[str]:
        with event_store.borrow_client() as client:
            return [r[0] for r in client.query("SELECT session_id FROM receipts ORDER BY session_id").result_rows]

    assert [name for name in left() if name != "old"] == ["hers", "other"]
    event_erasure.erase_session_events(event_store, "default", ["hers"])
    event_receipts.drop_expired_receipts(event_store, now)
    assert left() == ["other"]


def test_thousands_of_sessions_with_long_ids(event_store: EventStore) -> None:
    ids = [f"{n:0>128}" for n in range(2_500)]
    event_store.land_segment(lines(row(id_, n) for n, id_ in enumerate(ids)), "many")
    assert event_erasure.erase_session_events(event_store, "default", ids).events == 2_500


def test_on_a_cluster_the_tables_below_are_changed_on_every_node() -> None:
    """Rendered only: there is no cluster to run it on."""
    below = event_erasure._parse_mutation_target(
        "events", "Distributed('{cluster}', 'furrow', 'events_local', sipHash64(project, session_id))"
    )
    assert below.table == "events_local ON CLUSTER '{cluster}'"
    assert (below.local, below.mutations) == ("events_local", "clusterAllReplicas('{cluster}', system.mutations)")
    assert event_erasure._parse_mutation_target("events", "MergeTree PARTITION BY x").table == "events"


def test_an_incident_that_was_one_persons_stays_empty_and_its_ticket_is_named(incidents: IncidentStore) -> None:
    record(incidents, *(detection(f"s{n}", user=ALICE) for n in range(3)))
    incidents.outbox.claim_incidents("jira", limit=5, min_score=70)
    incidents.outbox.record_filed_ticket(incident_id(), "jira", "OPS-1", "https://jira.example/browse/OPS-1")
    erased = incidents.erasure.erase_sessions("shop", ["s0", "s1", "s2"], ALICE)
    assert (erased.detections, erased.incidents, erased.emptied) == (3, 1, 1)
    assert [(ticket.tracker, ticket.key) for ticket in erased.tickets] == [("jira", "OPS-1")]
    left = incident(incidents)
    assert (left["affectedSessions"], left["examples"], left["sessionsBy"]) == (0, [], {})
    assert left["exported"] is True
    assert history(incidents, incident_id())[-1][2] == "3 detections erased on request"


def test_retracted_detections_and_sessions_in_line_or_given_up_go_too(
    incidents: IncidentStore, postgres_url: str
) -> None:
    record(incidents, detection("gone", user=ALICE))
    record(incidents, detection("gone", "elsewhere", user=ALICE))  # the first one is retracted
    (dead,) = queue(incidents, ["poison"])
    assert incidents.queue.record_session_failure(dead, "broken", 1)
    (held,) = queue(incidents, ["gone"])
    erased = incidents.erasure.erase_sessions("shop", ["gone", "poison"])
    assert (erased.detections, erased.pending, erased.dead) == (2, 1, 1)
    text = str(whole(postgres_url))
    assert "'gone'" not in text
    assert "'poison'" not in text
    # A worker that had read the session before finds that it may not write any more.
    assert incidents.ledger.record_detections([AnalysedSession(held, (detection("gone"),), 1)]).stale == 1
    assert "'gone'" not in str(whole(postgres_url))


def test_a_persons_detections_made_elsewhere_go_by_their_hash(incidents: IncidentStore) -> None:
    incidents.ledger.record_external_detection(detection("external", user=ALICE))
    assert incidents.erasure.find_user_sessions("shop", ALICE) == {"external"}
    assert incidents.erasure.erase_sessions("shop", [], ALICE).detections == 1
    assert incidents.erasure.find_user_sessions("shop", ALICE) == set()
