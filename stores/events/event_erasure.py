"""Erases people from the event store.

Mutations delete the rows and rewrite the parts that hold them; a lightweight delete would only hide them. ClickHouse keeps the
text of a mutation for a while, so it names sessions by their 64-bit hashes, not by ids.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from core.errors import TransientError
from stores.events.event_store import EventStore
from stores.events.session_steps import read_counted_sessions

_HASHES = 1_000  # in one statement
_IDS = 200  # in one query: 128 characters (512 bytes) each, below the 128 KiB limit of a parameter
_SECONDS = 1_800.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class ErasedEvents:
    """Deleted rows of events (each resent copy counts) and of the table ``sessions``."""

    events: int = 0
    sessions: int = 0


def find_user_sessions(store: EventStore, project: str, user_hash: str) -> set[str]:
    """Ids of the client sessions of ``project`` with this user. Reads all events of the project."""
    query = "SELECT DISTINCT session_id FROM events WHERE project = {project:String} AND user_hash = {user:String}"
    with store.borrow_client() as client:
        return {str(row[0]) for row in client.query(query, {"project": project, "user": user_hash}).result_rows}


@dataclass(frozen=True)
class CountedSteps:
    """Where client sessions are counted (the table ``session_steps``): slots of first receipt (epoch ms), and steps."""

    slots: frozenset[int] = frozenset()
    steps: frozenset[int] = frozenset()


def find_counted_steps(store: EventStore, project: str, sessions: Sequence[str]) -> CountedSteps:
    """The slots and steps that have to be counted anew when these client sessions are gone."""
    slots: set[int] = set()
    steps: set[int] = set()
    with store.borrow_client() as client:
        for hashes in _hash_session_ids(client, project, sessions):
            found = read_counted_sessions(store, hashes)
            slots.update(found["slot_ms"].to_pylist())
            steps.update(found["steps"].combine_chunks().flatten().to_pylist())
    return CountedSteps(frozenset(slots), frozenset(steps))


def erase_session_events(
    store: EventStore, project: str, sessions: Sequence[str], seconds: float = _SECONDS
) -> ErasedEvents:
    """Delete everything of these client sessions and wait until it is deleted. Unknown sessions are no error.

    Raises TransientError after ``seconds``: the deletion continues, and a second call waits for it.
    """
    events = rows = 0
    end = time.monotonic() + seconds
    with store.borrow_client() as client:
        for hashes in _hash_session_ids(client, project, sessions):
            events += _delete_session_rows(client, "events", project, hashes, end)
            rows += _delete_session_rows(client, "sessions", project, hashes, end)
            _delete_session_rows(client, "receipts", project, hashes, end)
            _delete_session_rows(client, "session_history", project, hashes, end)
            _delete_session_rows(client, "session_steps", project, hashes, end)
    return ErasedEvents(events, rows)


def _hash_session_ids(client: Client, project: str, sessions: Sequence[str]) -> Iterator[list[int]]:
    query = "SELECT sipHash64({project:String}, id) FROM (SELECT arrayJoin({ids:Array(String)}) AS id)"
    found: list[int] = []
    for start in range(0, len(sessions), _IDS):
        ids = list(sessions[start : start + _IDS])
        # The query's text holds the ids; the default limit of 256 KiB is too small for many of them.
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
    # Also when nothing is found: an earlier mutation may still be running.
    _wait_for_mutation(client, where, end)
    if found and int(client.query(count, parameters, settings=settings).result_rows[0][0]):
        raise TransientError(f"events of the erased sessions are still landing in {table}; run it again")
    return found


@dataclass(frozen=True)
class _MutationTarget:
    """The target of a mutation: the table that it changes, and where to read its progress."""

    table: str
    local: str
    mutations: str


def _find_mutation_target(client: Client, table: str) -> _MutationTarget:
    """The table itself; for a Distributed table the local one, on all nodes of its cluster."""
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
