"""Finds stored client sessions for an explanation: by id, by rule, or the latest ones, with all of their events."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from stores.events.event_rows import EVENT_COLUMNS
from stores.events.event_store import EventStore

_SESSION_BY_ID: Final = """
    SELECT project, session_id, session_hash, min(received_ms) AS first, max(received_ms) AS last,
           max(ts) AS last_ts, maxIf(ts, event_type = 'session_end') AS ended_ts
    FROM events
    WHERE project = {project:String} AND session_hash = sipHash64({project:String}, {session:String})
      AND session_id = {session:String}
    GROUP BY project, session_id, session_hash
    ORDER BY project
"""
_SESSIONS_BY_ID: Final = """
    SELECT project, session_id, session_hash, min(received_ms) AS first, max(received_ms) AS last,
           max(ts) AS last_ts, maxIf(ts, event_type = 'session_end') AS ended_ts
    FROM events
    WHERE session_hash IN (
        SELECT sipHash64(asked.1, asked.2)
        FROM (SELECT arrayJoin(arrayZip({projects:Array(String)}, {sessions:Array(String)})) AS asked))
    GROUP BY project, session_id, session_hash
    ORDER BY project, session_id
"""
_LAST: Final = """
    SELECT project, session_id, session_hash, first_received_ms FROM sessions FINAL
    WHERE ({all:UInt8} = 1 OR project = {project:String}) AND ({rule:String} = '' OR has(rules, {rule:String}))
    ORDER BY last_ts DESC, project, session_id
    LIMIT {last:UInt32}
"""
_SPANS: Final = """
    SELECT project, session_id, session_hash, min(received_ms) AS first, max(received_ms) AS last,
           max(ts) AS last_ts, maxIf(ts, event_type = 'session_end') AS ended_ts
    FROM events
    WHERE received_ms >= {first:Int64} AND session_hash IN {hashes:Array(UInt64)}
    GROUP BY project, session_id, session_hash
"""
_RULES: Final = """
    SELECT arrayJoin(rules) AS rule, count() AS visits FROM sessions FINAL
    WHERE ({all:UInt8} = 1 OR project = {project:String})
    GROUP BY rule ORDER BY visits DESC, rule
"""


_PROJECTS: Final = "SELECT DISTINCT project FROM events ORDER BY project"


class StoredSession(NamedTuple):
    """One client session: its hash, the span of its receipt, its last event and ``session_end`` (0: none); epoch ms."""

    project: str
    session_id: str
    session_hash: int
    first_received_ms: int
    last_received_ms: int
    last_ts: int
    ended_ts: int


def find_stored_session(store: EventStore, session_id: str, project: str) -> list[StoredSession]:
    """The client session with this id; empty if none of its events is stored."""
    return _build_stored_sessions(store.query_arrow(_SESSION_BY_ID, {"project": project, "session": session_id}))


def find_stored_sessions(store: EventStore, keys: Sequence[tuple[str, str]]) -> list[StoredSession]:
    """The client sessions ``keys`` (project, session id) of which events are stored, ordered by key."""
    if not keys:
        return []
    asked = {"projects": [project for project, _ in keys], "sessions": [session_id for _, session_id in keys]}
    found = _build_stored_sessions(store.query_arrow(_SESSIONS_BY_ID, asked))
    wanted = set(keys)  # two keys may have one hash
    return [session for session in found if (session.project, session.session_id) in wanted]


def find_last_sessions(
    store: EventStore, number: int, rule: str = "", project: str | None = None
) -> list[StoredSession]:
    """The last analysed client sessions, latest first. With ``rule``: those with a visit that this rule kept silent.

    Sessions whose events were dropped are left out.
    """
    parameters = {"all": int(project is None), "project": project or "", "rule": rule, "last": number}
    rows = store.query_arrow(_LAST, parameters)
    if not rows.num_rows:
        return []
    order = {hash_: place for place, hash_ in enumerate(rows["session_hash"].to_pylist())}
    first = min(rows["first_received_ms"].to_pylist())
    found = _build_stored_sessions(store.query_arrow(_SPANS, {"first": first, "hashes": list(order)}))
    return sorted(found, key=lambda session: order[session.session_hash])


def list_event_projects(store: EventStore) -> list[str]:
    """The sorted ids of the projects that have events."""
    return [str(project) for project in store.query_arrow(_PROJECTS, {})["project"].to_pylist()]


def count_silenced_visits(store: EventStore, project: str | None = None) -> dict[str, int]:
    """How many visits with negative feedback each rule kept silent."""
    table = store.query_arrow(_RULES, {"all": int(project is None), "project": project or ""})
    return {str(row["rule"]): int(row["visits"]) for row in table.to_pylist()}


def read_session_events(store: EventStore, sessions: Sequence[StoredSession]) -> pa.Table:
    """All events of these client sessions, once each (`ufse.columns.EVENT_SCHEMA`)."""
    sql = f"""
        SELECT {EVENT_COLUMNS} FROM events
        WHERE received_ms >= {{first:Int64}} AND received_ms <= {{last:Int64}} AND session_hash IN {{hashes:Array(UInt64)}}
    """
    span = {
        "hashes": [session.session_hash for session in sessions],
        "first": min(session.first_received_ms for session in sessions),
        "last": max(session.last_received_ms for session in sessions),
    }
    return store.query_events(sql, span)


def _build_stored_sessions(table: pa.Table) -> list[StoredSession]:
    return [
        StoredSession(
            str(row["project"]),
            str(row["session_id"]),
            int(row["session_hash"]),
            int(row["first"]),
            int(row["last"]),
            int(row["last_ts"]),
            int(row["ended_ts"]),
        )
        for row in table.to_pylist()
    ]
