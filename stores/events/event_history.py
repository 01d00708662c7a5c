"""The table ``session_history``: what each analysed client session shows of its project's endpoints and collectors.

Its sums are the engine's input ``history`` (docs/decisions/0062-history-in-the-event-store.md).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from stores.events.event_store import EventStore
from ufse.control_facts import CONTROL_FACTS, OBSERVED_CONTROLS
from ufse.history import (
    COLLECTOR_FACTS,
    ENDPOINT_FACTS,
    OBSERVED_COLLECTORS,
    OBSERVED_ENDPOINTS,
    Observed,
    ProjectHistory,
)

KEEP_DAYS: Final = 28
"""Days of receipt that are summed: four weeks hold every day of the week and a few releases (own choice)."""
DAILY_SESSIONS: Final = 500
"""Client sessions of a project and day of receipt that are kept, the first ones to be analysed (own choice)."""
SESSION_ENDPOINTS: Final = 50
"""Endpoints and controls of a client session that are kept, those with the most requests (own choice)."""
SESSION_CONTROLS: Final = 50
"""Controls of a client session that are kept, those with the most tries (own choice)."""
PROJECT_ENDPOINTS: Final = 2_000
PROJECT_CONTROLS: Final = 2_000
PROJECT_COLLECTORS: Final = 200
"""Endpoints, controls and collectors of a project that a history has, those of the most client sessions (own choice)."""

_DAY_MS = 86_400_000
_COUNTS = OBSERVED_COLLECTORS.names[3:]
_SEEN = OBSERVED_ENDPOINTS.names[2:]
_PRESSED = OBSERVED_CONTROLS.names[3:]
_COLUMNS = pa.schema(
    [
        ("project", pa.string()),
        ("session_hash", pa.uint64()),
        ("first_received_ms", pa.int64()),
        ("collector", pa.string()),
        *((name, pa.uint32()) for name in _COUNTS),
        ("seen_endpoint", pa.list_(pa.string())),
        ("seen_control", pa.list_(pa.uint64())),
        *((f"seen_{name}", pa.list_(pa.uint32())) for name in _SEEN[2:-1]),
        ("seen_median_ms", pa.list_(pa.int64())),
        ("pressed_control", pa.list_(pa.uint64())),
        *((f"pressed_{name}", pa.list_(pa.uint32())) for name in _PRESSED),
        ("analysed_us", pa.uint64()),
    ]
)
_FROM = "session_history FINAL"
_WHERE = "project IN {projects:Array(String)} AND first_received_ms >= {since:Int64}"
# `sumMap` orders its keys, so that of equally frequent controls the least hash is found first, as in ufse/history.py.
_ENDPOINTS = f"""
    SELECT project, endpoint, uniqExact(session_hash) AS sessions, sum(n_requests) AS requests, sum(n_alone) AS alone,
           uniqExactIf(session_hash, n_alone > 0) AS alone_sessions, sum(n_unasked) AS unasked, sum(n_typed) AS typed,
           sum(n_pressed) AS pressed, length(pressed_by.1) AS controls,
           if(controls = 0, 0, pressed_by.1[indexOf(pressed_by.2, arrayMax(pressed_by.2))]) AS main_control,
           if(controls = 0, 0, arrayMax(pressed_by.2)) AS main_pressed, sum(n_good) AS good,
           uniqExactIf(session_hash, median >= 0) AS timed_sessions,
           if(empty(medians), -1, medians[intDiv(length(medians), 2) + 1]) AS typical_ms,
           sumMapIf([control], [toInt64(n_pressed)], control != 0) AS pressed_by,
           arraySort(groupArrayIf(median, median >= 0)) AS medians
    FROM (
        SELECT project, session_hash, endpoint, control, n_requests, n_alone, n_unasked, n_typed, n_pressed, n_good, median
        FROM {_FROM}
        ARRAY JOIN seen_endpoint AS endpoint, seen_control AS control, seen_requests AS n_requests, seen_alone AS n_alone,
            seen_unasked AS n_unasked, seen_typed AS n_typed, seen_pressed AS n_pressed, seen_good AS n_good,
            seen_median_ms AS median
        WHERE {_WHERE}
    )
    GROUP BY project, endpoint
    ORDER BY project, sessions DESC, endpoint
    LIMIT {PROJECT_ENDPOINTS} BY project
"""
_COLLECTORS = f"""
    SELECT project, collector, count() AS sessions, {", ".join(f"countIf({name} > 0) AS with_{name}" for name in _COUNTS)}
    FROM {_FROM}
    WHERE {_WHERE}
    GROUP BY project, collector
    ORDER BY project, sessions DESC, collector
    LIMIT {PROJECT_COLLECTORS} BY project
"""
_CONTROLS = f"""
    SELECT project, control, uniqExact(session_hash) AS sessions,
           uniqExactIf(session_hash, n_answered > 0) AS answered_sessions,
           sumIf(n_tries, n_answered > 0) AS tries, sum(n_answered) AS answered, sum(n_paged) AS paged
    FROM (
        SELECT project, session_hash, control, n_tries, n_answered, n_paged
        FROM {_FROM}
        ARRAY JOIN pressed_control AS control, pressed_tries AS n_tries, pressed_answered AS n_answered,
            pressed_paged AS n_paged
        WHERE {_WHERE}
    )
    GROUP BY project, control
    HAVING answered_sessions > 0
    ORDER BY project, sessions DESC, control
    LIMIT {PROJECT_CONTROLS} BY project
"""
_ONE_DAY: Final = {"do_not_merge_across_partitions_select_final": 1}


@dataclass(frozen=True)
class ObservedSession:
    """A client session to record: ``first_received_ms`` is the receipt of its first event, epoch ms."""

    project: str
    session_id: str
    session_hash: int
    first_received_ms: int

    @property
    def day(self) -> tuple[str, int]:
        """Project, and day of receipt since 1970."""
        return self.project, self.first_received_ms // _DAY_MS


def read_project_history(store: EventStore, projects: Sequence[str], now_ms: int) -> ProjectHistory:
    """What the recorded sessions of these projects show, of the last ``KEEP_DAYS`` days of receipt before ``now_ms``."""
    parameters: dict[str, Any] = {"projects": sorted(set(projects)), "since": now_ms - KEEP_DAYS * _DAY_MS}
    facts = ((_ENDPOINTS, ENDPOINT_FACTS), (_COLLECTORS, COLLECTOR_FACTS), (_CONTROLS, CONTROL_FACTS))
    tables = (store.query_arrow(sql, parameters, _ONE_DAY).select(schema.names).cast(schema) for sql, schema in facts)
    return ProjectHistory(*tables)


def record_observed(
    store: EventStore, observed: Observed, sessions: Sequence[ObservedSession], analysed_us: int
) -> int:
    """Write what these client sessions show, each as one row that replaces an earlier one. Returns how many were written.

    New sessions of a project and day are left out beyond ``DAILY_SESSIONS``; of one call those with the least hashes stay.
    """
    kept = _choose_sessions(store, sessions)
    if kept:
        rows = _build_rows(observed, kept, analysed_us)
        with store.borrow_client() as client:
            # The default limit is 100 days; a backfill may have more.
            client.insert_arrow("session_history", rows, settings={"max_partitions_per_insert_block": 0})
    return len(kept)


def _choose_sessions(store: EventStore, sessions: Sequence[ObservedSession]) -> list[ObservedSession]:
    """Those that are recorded already, and new ones while there is room in their day."""
    if not sessions:
        return []
    days = sorted({day for _, day in (session.day for session in sessions)})
    parameters: dict[str, Any] = {
        "projects": sorted({session.project for session in sessions}),
        "hashes": [session.session_hash for session in sessions],
        "first": days[0] * _DAY_MS,
        "last": (days[-1] + 1) * _DAY_MS,
    }
    span = "first_received_ms >= {first:Int64} AND first_received_ms < {last:Int64}"
    counted = store.query_arrow(
        f"""
        SELECT project, intDiv(first_received_ms, {_DAY_MS}) AS day, uniqExact(session_hash) AS n FROM session_history
        WHERE project IN {{projects:Array(String)}} AND {span} GROUP BY project, day
        """,
        parameters,
    ).to_pylist()
    known = store.query_arrow(
        f"SELECT DISTINCT session_hash FROM session_history WHERE session_hash IN {{hashes:Array(UInt64)}} AND {span}",
        parameters,
    )
    recorded = set(known["session_hash"].to_pylist())
    used = Counter({(row["project"], row["day"]): row["n"] for row in counted})
    kept: list[ObservedSession] = []
    for session in sorted(sessions, key=lambda s: s.session_hash):
        if session.session_hash not in recorded:
            if used[session.day] >= DAILY_SESSIONS:
                continue
            used[session.day] += 1
        kept.append(session)
    return kept


def _build_rows(observed: Observed, kept: Sequence[ObservedSession], analysed_us: int) -> pa.Table:
    seen = _list_rows(observed.endpoints, ("requests", "endpoint", "control"), SESSION_ENDPOINTS)
    pressed = _list_rows(observed.controls, ("tries", "control"), SESSION_CONTROLS)
    reports = {(row["project"], row["session_id"]): row for row in observed.collectors.to_pylist()}
    nothing: dict[str, Any] = {"collector": "", **dict.fromkeys(_COUNTS, 0)}
    rows = []
    for session in kept:
        key = session.project, session.session_id
        report = reports.get(key, nothing)
        rows.append(
            {
                "project": session.project,
                "session_hash": session.session_hash,
                "first_received_ms": session.first_received_ms,
                "analysed_us": analysed_us,
                **{name: report[name] for name in ("collector", *_COUNTS)},
                **{f"seen_{name}": [row[name] for row in seen.get(key, ())] for name in _SEEN},
                **{f"pressed_{name}": [row[name] for row in pressed.get(key, ())] for name in ("control", *_PRESSED)},
            }
        )
    return pa.Table.from_pylist(rows, schema=_COLUMNS)


def _list_rows(rows: pa.Table, order: Sequence[str], limit: int) -> Mapping[tuple[str, str], list[dict[str, Any]]]:
    """The rows by (project, session id): at most ``limit`` each, those with most of the first of ``order`` first."""
    count, *rest = order
    sorting = [(count, "descending"), *((name, "ascending") for name in rest)]
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows.sort_by(sorting).to_pylist():
        listed = found.setdefault((row["project"], row["session_id"]), [])
        if len(listed) < limit:
            listed.append(row)
    return found
