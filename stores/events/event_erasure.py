"""Removing people from the event store.

Rows are deleted by mutations, which rewrite the parts that hold them: a lightweight delete would only hide them. A mutation's
text is kept for a while, so it names sessions by their 64-bit hashes and nobody by an id.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from core.errors import TransientError
from stores.events.event_store import EventStore

_HASHES = 1_000  # in one statement
_IDS = 200  # in one question: of 128 characters (512 bytes) each, below the 128 KiB that a server takes in a parameter
_SECONDS = 1_800.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class ErasedEvents:
    """Rows that were removed: of events (resent ones count each time) and of the table ``sessions``."""

    events: int = 0
    sessions: int = 0


def find_user_sessions(store: EventStore, project: str, user_hash: str) -> set[str]:
    """Ids of the client sessions of ``project`` in which this user appears. Reads all of the project's events."""
    query = "SELECT DISTINCT session_id FROM events WHERE project = {project:String} AND user_hash = {user:String}"
    with store.borrow_client() as client:
        return {str(row[0]) for row in client.query(query, {"project": project, "user": user_hash}).result_rows}


def erase_session_events(
    store: EventStore, project: str, sessions: Sequence[str], seconds: float = _SECONDS
) -> ErasedEvents:
    """Delete everything of these client sessions and wait until it is gone; what is not there is no error.

    Raises TransientError when it has not ended after ``seconds``: it goes on, and asking again waits for it.
    """
    events = rows = 0
    end = time.monotonic() + seconds
    with store.borrow_client() as client:
        for hashes in _hash_session_ids(client, project, sessions):
            events += _delete_session_rows(client, "events", project, hashes, end)
            rows += _delete_session_rows(client, "sessions", project, hashes, end)
            _delete_session_rows(client, "receipts", project, hashes, end)
    return ErasedEvents(events, rows)


def _hash_session_ids(client: Client, project: str, sessions: Sequence[str]) -> Iterator[list[int]]:
    query = "SELECT sipHash64({project:String}, id) FROM (SELECT arrayJoin({ids:Array(String)}) AS id)"
    found: list[int] = []
    for start in range(0, len(sessions), _IDS):
        ids = list(sessions[start : start + _IDS])
        # Ids stand in the query's text; the default limit of 256 KiB would be too small for many of them.
        settings = {"max_query_size": 16_777_216}
        found += [
            row[0] for row in client.query(query, {"project": project, "ids": ids}, settings=settings).result_rows
        ]
    for start in range(0, len(found), _HASHES):
        yield found[start : start + _HASHES]


def _delete_session_rows(client: Client, table: str, project: str, hashes: list[int], end: float) -> int:
    condition = "project = {project:String} AND session_hash IN {hashes:Array(UInt64)}"
    parameters = {"project": project, "hashes": hashes}
    settings = {"max_query_size": 16_777_216}
    count = f"SELECT count() FROM {table} WHERE {condition}"
    found = int(client.query(count, parameters, settings=settings).result_rows[0][0])
    where = _find_mutation_target(client, table)
    if found:
        client.command(f"ALTER TABLE {where.table} DELETE WHERE {condition}", parameters, settings=settings)
    # Also when nothing is found: a mutation hides nothing before it is done, but an earlier one may still be running.
    _wait_for_mutation(client, where, end)
    if found and int(client.query(count, parameters, settings=settings).result_rows[0][0]):
        raise TransientError(f"events of the erased sessions are still landing in {table}; run it again")
    return found


@dataclass(frozen=True)
class _MutationTarget:
    """What a mutation names, the table that it changes, and where its progress stands."""

    table: str
    local: str
    mutations: str


def _find_mutation_target(client: Client, table: str) -> _MutationTarget:
    """The table itself; of a Distributed table the one below it, on all nodes of its cluster."""
    query = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
    return _parse_mutation_target(table, str(client.query(query, {"table": table}).result_rows[0][0]))


def _parse_mutation_target(table: str, engine: str) -> _MutationTarget:
    found = re.match(r"Distributed\('?([^',]+)'?, *'?[^',]*'?, *'?(\w+)'?", engine)
    if found is None:
        return _MutationTarget(table, table, "system.mutations")
    cluster, local = found.groups()
    return _MutationTarget(
        f"{local} ON CLUSTER '{cluster}'", local, f"clusterAllReplicas('{cluster}', system.mutations)"
    )


def _wait_for_mutation(client: Client, where: _MutationTarget, end: float) -> None:
    query = (
        f"SELECT count(), max(latest_fail_reason) FROM {where.mutations} "
        "WHERE database = currentDatabase() AND table = {table:String} AND NOT is_done AND command LIKE '%DELETE%'"
    )
    while True:
        running, failure = client.query(query, {"table": where.local}).result_rows[0]
        if not running:
            return
        if time.monotonic() > end:
            reason = f": {str(failure).splitlines()[0][:200]}" if failure else ""
            raise TransientError(f"ClickHouse is still removing rows of {where.local}{reason}; run it again")
        time.sleep(_POLL_SECONDS)
