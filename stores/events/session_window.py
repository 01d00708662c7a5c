"""Reads a window of the events of one client session, in the order and with the times of the engine.

Two queries: the times of all events, in narrow columns, give the order; then the events of the window are read whole. The cost
of a page does not grow with the texts of a long session.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.session_window import SHOWN_EVENTS, WindowRequest, choose_window_start
from stores.events.event_database import Parameters
from stores.events.event_explain import StoredSession, find_stored_session
from stores.events.event_store import EventStore
from ufse.clocks import correct_clocks

MOST_EVENTS: Final = 200_000
"""Most rows whose times are read; a longer session shows those that were received first."""
_WHERE: Final = """
    WHERE received_ms >= {first:Int64} AND received_ms <= {last:Int64} AND session_hash = {hash:UInt64}
      AND project = {project:String} AND session_id = {session:String}
"""
_TIMES: Final = f"""
    SELECT toString(event_id) AS event_id, ts, seq, received_ms, client_ts, sent_ms, user_agent FROM events
    {_WHERE} ORDER BY received_ms, ts LIMIT 1 BY event_id LIMIT {MOST_EVENTS}
"""
_DETAILS: Final = f"""
    SELECT toString(event_id) AS event_id, event_type, route, target_type, target_id, target_selector,
           target_tag, target_label, disabled, responded, action, depth, direction, valid, nav_type, external, download,
           error_type, message, status, method, url, duration_ms, aborted, perf_kind, state, verdict, clicks, body_error
    FROM events {_WHERE} AND event_id IN (SELECT toUUID(arrayJoin({{ids:Array(String)}})))
    ORDER BY received_ms, ts LIMIT 1 BY event_id
"""


class SessionRows:
    """The rows of a window (an entry each): ``times`` in epoch ms and ``details``, the columns of the query by name.

    ``total``: events of the session; ``start``: number of the first row; ``first_ms``, ``last_ms``: of the session, epoch ms.
    """

    def __init__(
        self, total: int, start: int, span: tuple[int, int], times: list[int], details: list[dict[str, object]]
    ):
        self.total, self.start, self.times, self.details = total, start, times, details
        self.first_ms, self.last_ms = span


def read_session_rows(store: EventStore, request: WindowRequest) -> SessionRows:
    """The window that ``request`` asks for; empty if no event of the session is stored. Raises what the store raises."""
    found = find_stored_session(store, request.session_id, request.project)
    if not found:
        return SessionRows(0, 0, (0, 0), [], [])
    parameters = _bind_session(found[0])
    table = store.query_arrow(_TIMES, parameters)
    times, order = _order_events(table)
    total = len(order)
    start = _choose_start(request, times[order])
    rows = order[start : start + SHOWN_EVENTS]
    ids = table["event_id"].take(pa.array(rows)).to_pylist()
    details = store.query_arrow(_DETAILS, {**parameters, "ids": ids}).to_pylist()
    by_id = {str(row["event_id"]): row for row in details}
    # A row may have been deleted between the two queries.
    kept = [(int(times[row]), by_id[id_]) for row, id_ in zip(rows.tolist(), ids, strict=True) if id_ in by_id]
    span = (int(times[order[0]]), int(times[order[-1]])) if total else (0, 0)
    return SessionRows(total, start, span, [at for at, _ in kept], [row for _, row in kept])


def _bind_session(session: StoredSession) -> Parameters:
    return {
        "first": session.first_received_ms,
        "last": session.last_received_ms,
        "hash": session.session_hash,
        "project": session.project,
        "session": session.session_id,
    }


def _order_events(table: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The time of each row by the engine's clock (epoch ms), and the rows in order of time."""
    ts, seq, received = (_read_integers(table, name) for name in ("ts", "seq", "received_ms"))
    rows = np.arange(table.num_rows, dtype=np.int64)
    times = correct_clocks(table, rows, np.zeros(table.num_rows, dtype=np.int64), ts, received)
    ids = np.asarray(table["event_id"].to_numpy(), dtype=str)
    return times, np.lexsort((ids, seq, times))


def _choose_start(request: WindowRequest, ordered: npt.NDArray[np.int64]) -> int:
    total = len(ordered)
    if request.start is not None:
        return max(0, min(request.start, total - 1))
    if request.around_ms is None:
        return 0
    return choose_window_start(total, int(np.searchsorted(ordered, request.around_ms)))


def _read_integers(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    return np.asarray(table[name].to_numpy(), dtype=np.int64)
