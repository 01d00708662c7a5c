"""The event store's schema for a ClickHouse cluster, rendered from the files of one node (``schema/clickhouse``).

Each table becomes two: ``events_local``, replicated, on every node, and ``events``, a Distributed table over all shards that
Furrow speaks to. The sharding key is the hash of (project, session), the same as the column ``session_hash``: the events of
a session and its row in ``sessions`` lie on one shard, so that every subquery and every GROUP BY of the store may be
answered by each shard for itself (``distributed_product_mode = 'local'``).

``python -m stores.events.cluster_schema`` prints it, ``--write`` renews the files in ``schema/clickhouse/cluster``.
"""

import argparse
import re
from collections.abc import Iterator

from core.package import ROOT
from stores.events.event_schema import list_known_versions, split_statements

_SQL = ROOT / "schema" / "clickhouse"
CLUSTER = "{cluster}"
"""Each server puts the macro of this name in its place; macros ``shard`` and ``replica`` are needed too."""
DATABASE = "furrow"
SHARDING = {
    "events": "sipHash64(project, session_id)",
    "sessions": "sipHash64(project, session_id)",
    "receipts": "sipHash64(project, session_id)",
    # The same hash, as a column: these tables name no session.
    "session_history": "session_hash",
    "session_steps": "session_hash",
    # Sketches that are merged when they are read: any shard may keep them.
    "counted": "toUInt64(day)",
}

_PATH = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
# One copy on every node of every shard: whichever Furrow asks, it knows which versions were applied.
_PATH_OF_ALL = "'/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}'"
_CREATE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)\s*(\(.*\))\s*ENGINE = (\w*MergeTree)(?:\((.*?)\))?", re.S)
_ALTER = re.compile(r"ALTER TABLE (\w+)\s+(.*)", re.S)
_CHANGES_COLUMNS = re.compile(r"(ADD|MODIFY|DROP|RENAME|ALTER|COMMENT) COLUMN\b")
# The window by time is shorter by default (an hour); events may wait longer than that in the spool for their second try.
_WINDOW = (
    "non_replicated_deduplication_window = 10000",
    "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800",
)


def render_version(
    version: str, database: str = DATABASE, cluster: str = CLUSTER, replicated: bool = True
) -> list[str]:
    """The statements of one version for a cluster. Raises ValueError for a statement that it has no form for.

    ``replicated=False``: shards without replicas, which need no Keeper.
    """
    made: list[str] = []
    for statement in split_statements((_SQL / f"{version}.sql").read_text(encoding="utf-8")):
        made += _render_statement(statement.rstrip(";\n "), database, cluster, replicated)
    return [*made, f"INSERT INTO {database}.schema_versions (version) VALUES ('{version}')"]


def render_first_statements(database: str = DATABASE, cluster: str = CLUSTER, replicated: bool = True) -> list[str]:
    """What comes before the first version: the database, and the table of versions that Furrow looks at."""
    engine = _render_engine("ReplacingMergeTree", "", _PATH_OF_ALL, replicated)
    columns = "(version String, at DateTime DEFAULT now())"
    return [
        f"CREATE DATABASE IF NOT EXISTS {database} ON CLUSTER '{cluster}'",
        f"CREATE TABLE IF NOT EXISTS {database}.schema_versions ON CLUSTER '{cluster}' {columns}\n"
        f"ENGINE = {engine} ORDER BY version",
    ]


def render_schema_files() -> dict[str, str]:
    """Name and content of each file of ``schema/clickhouse/cluster``."""
    contents = {
        "000_database.sql": render_first_statements(),
        **{f"{version}.sql": render_version(version) for version in list_known_versions()},
    }
    return {
        name: _HEAD + "".join(f"{statement};\n\n" for statement in made).rstrip() + "\n"
        for name, made in contents.items()
    }


def _render_statement(statement: str, database: str, cluster: str, replicated: bool) -> Iterator[str]:
    on = f"ON CLUSTER '{cluster}'"
    if created := _CREATE.fullmatch(statement[: _find_engine_end(statement)]):
        table, columns, engine, arguments = created.groups()
        _require_sharding_key(table)
        rest = statement[created.end() :]
        if replicated:
            rest = rest.replace(*_WINDOW)
        yield (
            f"CREATE TABLE IF NOT EXISTS {database}.{table}_local {on}\n{columns}\n"
            f"ENGINE = {_render_engine(engine, arguments or '', _PATH, replicated)}{rest}"
        )
        distributed = f"Distributed('{cluster}', '{database}', '{table}_local', {SHARDING[table]})"
        yield f"CREATE TABLE IF NOT EXISTS {database}.{table} {on}\nAS {database}.{table}_local\nENGINE = {distributed}"
    elif altered := _ALTER.fullmatch(statement):
        table, action = altered.groups()
        _require_sharding_key(table)
        yield f"ALTER TABLE {database}.{table}_local {on} {action.replace(*_WINDOW) if replicated else action}"
        if _CHANGES_COLUMNS.match(action):
            yield f"ALTER TABLE {database}.{table} {on} {action}"
    else:
        raise ValueError(f"no form for a cluster is known for: {statement[:80]}")


def _require_sharding_key(table: str) -> None:
    if table not in SHARDING:
        raise ValueError(f"no sharding key is known for the table {table}")


def _find_engine_end(statement: str) -> int:
    found = re.search(r"ENGINE = \w*MergeTree(\([^)]*\))?", statement)
    return found.end() if found else 0


def _render_engine(engine: str, arguments: str, path: str, replicated: bool) -> str:
    if not replicated:
        return f"{engine}({arguments})" if arguments else engine
    return f"Replicated{engine}({path}{', ' if arguments else ''}{arguments})"


_HEAD = """\
-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
"""


def main() -> None:
    """Print all of it for the cluster and database that are asked for, or renew the files."""
    parser = argparse.ArgumentParser(prog="python -m stores.events.cluster_schema")
    parser.add_argument("--cluster", default=CLUSTER, help="name in remote_servers; by default the macro {cluster}")
    parser.add_argument("--database", default=DATABASE)
    parser.add_argument("--no-replicas", action="store_true", help="shards without replicas, which need no Keeper")
    parser.add_argument("--write", action="store_true", help="renew the files in schema/clickhouse/cluster")
    arguments = parser.parse_args()
    if arguments.write:
        for name, content in render_schema_files().items():
            (_SQL / "cluster" / name).write_text(content, encoding="utf-8")
        return
    where = (arguments.database, arguments.cluster, not arguments.no_replicas)
    for made in [
        render_first_statements(*where),
        *(render_version(version, *where) for version in list_known_versions()),
    ]:
        for statement in made:
            print(f"{statement};\n")


if __name__ == "__main__":
    main()
