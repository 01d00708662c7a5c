"""Which visits and events detection needs to read."""

import numpy as np
import pyarrow.compute as pc

from ufse.arrays import Bools, Ints, any_by_owner, mark_group_starts
from ufse.config import Config
from ufse.loading import measure_loading_phases
from ufse.sessions import (
    ERROR,
    HOVER,
    LOADING,
    NAVIGATION,
    NETWORK,
    PERFORMANCE,
    SCROLL,
    SUBMIT,
    OrderedEvents,
)


def may_be_negative(ordered: OrderedEvents, config: Config) -> Bools:
    """Per ordered event: whether it may be negative feedback.

    A visit without such an event has no *feedback* signal, and is not read further.
    """
    table, kind = ordered.table, ordered.kind
    status, duration = ordered.columns["status"], ordered.columns["duration_ms"]
    network = (kind == NETWORK) & ((status >= 400) | (status == 0) | (duration >= config.slow_ms))
    network |= (kind == NAVIGATION) & (status >= 400)  # a page that failed, see ufse.page_answers
    if "body_error" in table.column_names and (pc.max(table["body_error"]).as_py() or 0) >= 1:
        network |= (kind == NETWORK) & (ordered.columns["body_error"] == 1)
    performance = (kind == PERFORMANCE) & ((duration >= config.slow_ms) | (duration < 0))
    invalid = kind == SUBMIT
    if invalid.any():
        invalid &= ordered.columns["valid"] == 0
    found = network | performance | invalid | (kind == ERROR) | _is_slow_loading(ordered, config)
    return np.asarray(found & ordered.analysed, dtype=np.bool_)


def add_later_visits(client: Ints, hot: Bools) -> Bools:
    """``hot`` (per visit), and the later visits of the same client session, which may show that the person got there.

    ``client``: per visit, ascending code of its client session.
    """
    before: Ints = np.cumsum(hot) - hot
    begin = np.maximum.accumulate(np.where(mark_group_starts(client), np.arange(len(client)), 0))
    return np.asarray(hot | (before > before[begin]), dtype=np.bool_) if len(client) else hot


def _is_slow_loading(ordered: OrderedEvents, config: Config) -> Bools:
    """Per event: whether it starts a loading phase that lasted at least ``slow_ms``, or did not end for that long."""
    found = np.zeros(len(ordered.row), dtype=np.bool_)
    rows = np.flatnonzero(ordered.kind == LOADING)
    if len(rows):
        code, texts = ordered.columns.read_codes("state", rows)
        starts = np.array([t == "start" for t in texts])[code]
        lasted, _ = measure_loading_phases(
            ordered.visit[rows], ordered.ts[rows], ordered.visits.end_ms[ordered.visit[rows]]
        )
        found[rows[starts & (lasted >= config.slow_ms)]] = True
    return found


def select_relevant_rows(ordered: OrderedEvents, rows: Ints, config: Config) -> Ints:
    """The ``rows`` (ascending, whole visits) that a rule may read.

    Hover events are left out. Scroll events are left out unless the visit has enough of them in ``thrash_window_ms``. The first
    and last event of a visit always stay: they show where and when it began and ended.
    """
    kind, visit, ts = ordered.kind[rows], ordered.visit[rows], ordered.ts[rows]
    edge = mark_group_starts(visit)
    kept = (kind != SCROLL) & (kind != HOVER) | edge | np.append(edge[1:], True)
    scrolls, apart = np.flatnonzero(kind == SCROLL), config.thrash_reversals - 1
    begin, end = scrolls[:-apart], scrolls[apart:]
    close = (visit[begin] == visit[end]) & (ts[end] - ts[begin] <= config.thrash_window_ms)
    restless = any_by_owner(visit[begin], close, len(ordered.visits))
    kept[scrolls[restless[visit[scrolls]]]] = True
    return np.asarray(rows[kept], dtype=np.int64)
