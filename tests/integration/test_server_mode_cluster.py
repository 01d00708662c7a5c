"""The schema for a cluster: rendered from that of one node, understood by ClickHouse's parser, and alike in its columns.

What runs here is one shard without replicas, which is enough for Distributed tables; Keeper, and with it ON CLUSTER and
Replicated tables, come from no package registry, so that these statements are parsed and no more.
"""

import re
import uuid
from pathlib import Path

import pytest

from core.errors import PermanentError
from core.package import ROOT
from stores.events import cluster_schema, event_schema
from stores.events.event_schema import list_known_versions, split_statements
from stores.events.event_store import EventStore
from tests.fakes.clickhouse_http import ClickHouseServer
from tests.fakes.servers import clickhouse, clickhouse_process
from tests.integration import test_event_store as embedded
from tests.rows import BASE_MS, lines, row

pytestmark = pytest.mark.long

__all__ = ["clickhouse", "clickhouse_process"]

FOLDER = ROOT / "schema" / "clickhouse" / "cluster"

# The store's cases over Distributed tables; the two that are left out speak of the schema of one node.
globals().update(
    {
        name: case
        for name, case in vars(embedded).items()
        if name.startswith("test_") and "older" not in name and "newer" not in name and "version" not in name
    }
)


def without_cluster(statement: str) -> str:
    return re.sub(r" ON CLUSTER '[^']*'", "", statement)


def create(server: ClickHouseServer, database: str) -> None:
    """Distributed tables over one shard without replicas."""
    where = (database, "one", False)
    for made in [
        cluster_schema.render_first_statements(*where),
        *(cluster_schema.render_version(v, *where) for v in list_known_versions()),
    ]:
        for statement in made:
            server.execute("default", without_cluster(statement))


@pytest.fixture
def event_store_url(clickhouse: ClickHouseServer) -> str:
    """URL of an empty database whose tables are Distributed."""
    database = f"c_{uuid.uuid4().hex}"
    create(clickhouse, database)
    return clickhouse.url(database)


def everything() -> list[str]:
    return [
        *cluster_schema.render_first_statements(),
        *(one for version in list_known_versions() for one in cluster_schema.render_version(version)),
    ]


def test_the_files_are_made_from_those_of_one_node() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.sql")}
    assert written == cluster_schema.render_schema_files(), "run `python -m stores.events.cluster_schema --write`"


def test_the_files_hold_the_statements(tmp_path: Path) -> None:
    held = [one.rstrip(";") for path in sorted(FOLDER.glob("*.sql")) for one in split_statements(path.read_text())]
    assert held == everything()


@pytest.mark.parametrize("number", range(len(everything())))
def test_clickhouse_understands_every_statement(clickhouse: ClickHouseServer, number: int) -> None:
    statement = everything()[number]
    if statement.startswith("INSERT"):
        assert re.fullmatch(r"INSERT INTO furrow.schema_versions \(version\) VALUES \('\w+'\)", statement)
        return
    kind = "Alter" if statement.startswith("ALTER") else "Create"
    tree = clickhouse.execute("default", f"EXPLAIN AST {statement}")
    assert tree.startswith(kind), tree
    assert "ON CLUSTER" in statement


def test_a_statement_that_no_form_is_known_for_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster_schema, "_SQL", tmp_path)
    for number, sql in enumerate(
        [
            "OPTIMIZE TABLE events",
            "ALTER TABLE others ADD COLUMN a Int8",
            "CREATE VIEW v AS SELECT 1",
            "CREATE TABLE IF NOT EXISTS others (a Int8) ENGINE = MergeTree ORDER BY a",
        ]
    ):
        (tmp_path / f"{number}.sql").write_text(f"{sql};\n")
        with pytest.raises(ValueError, match="known"):
            cluster_schema.render_version(str(number))


@pytest.mark.parametrize("table", sorted(cluster_schema.SHARDING))
def test_the_columns_are_those_of_one_node(clickhouse: ClickHouseServer, table: str) -> None:
    single, cluster = f"s_{uuid.uuid4().hex}", f"c_{uuid.uuid4().hex}"
    store = EventStore(clickhouse.url(single))
    store.migrate()
    store.close()
    create(clickhouse, cluster)

    def columns(database: str, name: str) -> str:
        return clickhouse.execute(
            "default",
            "SELECT name, type, default_kind, default_expression FROM system.columns "
            f"WHERE database = '{database}' AND table = '{name}' ORDER BY position",
        )

    assert columns(single, table)
    assert columns(cluster, f"{table}_local") == columns(single, table)
    assert columns(cluster, table) == columns(single, table)


def test_furrow_finds_the_schema_of_a_cluster_and_changes_nothing(
    clickhouse: ClickHouseServer, event_store_url: str
) -> None:
    clickhouse.forget()
    store = EventStore(event_store_url)
    store.migrate()
    store.close()
    assert not clickhouse.requests("ALTER TABLE")
    assert not clickhouse.requests("CREATE TABLE IF NOT EXISTS events")


def test_an_upgrade_that_was_not_run_on_the_cluster_is_said_and_not_made_up(
    clickhouse: ClickHouseServer, event_store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for path in FOLDER.parent.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "900_later.sql").write_text(
        "CREATE TABLE IF NOT EXISTS later (a Int8) ENGINE = MergeTree ORDER BY a;\n"
    )
    monkeypatch.setattr(event_schema, "_SQL", tmp_path)
    store = EventStore(event_store_url)
    with pytest.raises(PermanentError, match="900_later"):
        store.migrate()
    store.close()
    assert clickhouse.execute(event_store_url.rsplit("/", 1)[1], "EXISTS TABLE later") == "0\n"


def test_a_session_and_its_row_lie_on_the_shard_of_its_hash() -> None:
    """The sharding key is the expression of the column `session_hash`, of both tables."""
    assert {cluster_schema.SHARDING[table] for table in ("events", "sessions")} == {"sipHash64(project, session_id)"}
    text = (FOLDER.parent / "001_events.sql").read_text()
    assert "session_hash    UInt64 MATERIALIZED sipHash64(project, session_id)" in text


def test_a_segment_lands_once_through_a_distributed_table(event_store: EventStore) -> None:
    segment = lines(row(f"s{n}", n) for n in range(50))
    for _ in range(3):
        event_store.land_segment(segment, "token")
    assert event_store.count_events().rows == 50
    assert len(event_store.read_touched_sessions(0, ())) == 50
    assert (
        event_store.read_candidate_events(
            event_store.read_touched_sessions(0, ()).session_hash.tolist(), BASE_MS
        ).num_rows
        == 0
    )
