"""What need not be read: visits without anything negative, and events that no rule reads."""

import numpy as np
import pyarrow as pa

from ufse.arrays import Bools, Ints, any_by_owner, mark_group_starts
from ufse.config import Config
from ufse.loading import measure_loading_phases
from ufse.sessions import (
    ERROR,
    HOVER,
    LOADING,
    NETWORK,
    PERFORMANCE,
    SCROLL,
    SUBMIT,
    OrderedEvents,
    encode_texts,
    read_integers,
)


def may_be_negative(ordered: OrderedEvents, config: Config) -> Bools:
    """Per ordered event: could it be negative feedback at all? Decides which visits are looked at further.

    A visit without any such event can hold no *feedback* signal (detection.md, Correlation 2).
    """
    table, row, kind = ordered.table, ordered.row, ordered.kind
    status, duration = read_integers(table, "status")[row], read_integers(table, "duration_ms")[row]
    network = (kind == NETWORK) & ((status >= 400) | (status == 0) | (duration >= config.slow_ms))
    performance = (kind == PERFORMANCE) & ((duration >= config.slow_ms) | (duration < 0))
    invalid = (kind == SUBMIT) & (read_integers(table, "valid")[row] == 0)
    found = network | performance | invalid | (kind == ERROR) | _is_slow_loading(ordered, config)
    return np.asarray(found & ordered.analysed, dtype=np.bool_)


def _is_slow_loading(ordered: OrderedEvents, config: Config) -> Bools:
    """Starts of a loading phase that lasted 3 s or did not end while the visit went on for 3 s."""
    found = np.zeros(len(ordered.row), dtype=np.bool_)
    rows = np.flatnonzero(ordered.kind == LOADING)
    if len(rows):
        code, texts = encode_texts(ordered.table.select(["state"]).take(pa.array(ordered.row[rows])), "state")
        starts = np.array([t == "start" for t in texts])[code]
        lasted, _ = measure_loading_phases(
            ordered.visit[rows], ordered.ts[rows], ordered.visits.end_ms[ordered.visit[rows]]
        )
        found[rows[starts & (lasted >= config.slow_ms)]] = True
    return found


def select_relevant_rows(ordered: OrderedEvents, rows: Ints, config: Config) -> Ints:
    """Of ascending rows, whole visits, those that a rule may read: no hovering, and scrolling only of visits that hold so
    many scrolls in so short a time that they may be thrashing. A visit's first and last event stay: they say where and when
    it began and ended.
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
