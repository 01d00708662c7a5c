"""The schema of the event store: the numbered files of ``schema/clickhouse``, each run once, in order.

Which of them a database has seen stands in its table ``schema_versions``. A database that has seen one that is not there
belongs to a newer version of Furrow, and is left alone.
"""

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from core.errors import PermanentError
from core.package import ROOT
from stores.schema_version import refuse_newer_schema

_SQL = ROOT / "schema" / "clickhouse"
_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS schema_versions (version String, at DateTime DEFAULT now()) "
    "ENGINE = ReplacingMergeTree ORDER BY version"
)
_DISTRIBUTED = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND engine = 'Distributed'"
_UNKNOWN_TABLE = 60


def list_known_versions() -> list[str]:
    """The versions that there are, oldest first."""
    return sorted(path.stem for path in _SQL.glob("*.sql"))


def read_applied_versions(client: Client) -> set[str]:
    """The versions that this database has seen; none when it is new. Changes nothing; raises ClickHouseError."""
    try:
        return {str(row[0]) for row in client.query("SELECT DISTINCT version FROM schema_versions").result_rows}
    except ClickHouseError as error:
        if getattr(error, "code", None) == _UNKNOWN_TABLE:
            return set()
        raise


def check_schema_version(client: Client) -> None:
    """Raise SchemaTooNew if a newer Furrow has upgraded this database. Changes nothing."""
    refuse_newer_schema("event store", read_applied_versions(client), list_known_versions())


def migrate(client: Client, last: str | None = None) -> None:
    """Run the files that the database has not seen, in order, up to ``last`` (None: all).

    Raises SchemaTooNew, and changes nothing, when a newer Furrow has upgraded it; PermanentError when its tables are those
    of a cluster, which has files of its own.
    """
    check_schema_version(client)
    client.command(_VERSIONS)
    done = read_applied_versions(client)
    missing = [version for version in list_known_versions() if version not in done]
    if missing and client.command(_DISTRIBUTED):
        raise PermanentError(
            f"the event store is a cluster and lacks {missing[0]}: run the files of schema/clickhouse/cluster from there on"
        )
    for version in list_known_versions():
        if version not in done and (last is None or version <= last):
            for statement in split_statements((_SQL / f"{version}.sql").read_text(encoding="utf-8")):
                client.command(statement)
            client.insert("schema_versions", [[version]], column_names=["version"])


def split_statements(text: str) -> list[str]:
    """The statements of one file, without its comments."""
    without_comments = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return [part.strip() for part in without_comments.split(";\n") if part.strip(" \n;")]
