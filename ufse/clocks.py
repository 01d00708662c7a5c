"""The clock offset of each sender, and event times corrected by it.

A request that a client sends at ``sent_ms`` of its own clock and that arrives at ``received_ms`` was delayed by
``received_ms - sent_ms - offset``. A delay is never negative. Therefore the smallest difference over the requests of a sender
is its offset, however late single requests arrive (a retry repeats the ``sentAt`` of its first try).

**Sender**: a client session and a user agent. Two devices that share a session id, or a server that reports the answers of a
browser, have clocks of their own. Tabs of one browser share a clock.

**A clock that is set in mid-session** is another clock. Evidence: at least ``LEVEL_REQUESTS`` requests one after the other,
over at least ``LEVEL_SPAN_MS``, whose differences agree within ``LEVEL_WIDTH_MS`` and exceed the smallest by more than
``LEVEL_DISTANCE_MS``. Delays do not do this: those of a queue that drains shrink, and those of an outage end with it. Each
request then has the largest of these clocks that does not exceed its own difference.

An offset of at most ``TOLERANCE_MS`` is no correction; that is decided once for each clock.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.arrays import Ints, compact_codes, is_among, mark_group_starts

TOLERANCE_MS: Final = 5_000
"""docs/contracts/events.md, Batch: an offset up to this is no correction."""
LEVEL_REQUESTS: Final = 5
"""Requests in a row that show a clock that was set (own choice)."""
LEVEL_SPAN_MS: Final = 120_000
"""Least time between the first and the last of them, ms (own choice: longer than a client waits before it retries)."""
LEVEL_WIDTH_MS: Final = 1_000
"""Most difference between one of them and the next, ms (own choice: ordinary delays of requests)."""
LEVEL_DISTANCE_MS: Final = 30_000
"""Least difference from the smallest offset, ms (own choice: no network is constantly slower)."""


def correct_clocks(table: pa.Table, rows: Ints, session: Ints, ts: Ints, received: Ints) -> Ints:
    """``ts`` of the whole table, with the times of ``rows`` corrected by the offsets of their senders; epoch ms.

    ``session``: number of the client session. All arrays have one entry per row of the table; ``rows`` are its distinct events.
    Rows without a stored client time keep their ``ts``.
    """
    if "sent_ms" not in table.column_names or "client_ts" not in table.column_names:
        return ts
    if (pc.max(table["sent_ms"]).as_py() or -1) < 0:  # no request names its time of sending
        return ts
    sent = _read_times(table, "sent_ms")
    delay = np.where(sent >= 0, received - sent, 0)
    far = np.abs(delay) > TOLERANCE_MS
    if not far.any():  # then no request was corrected by the collector, and no offset exceeds the tolerance
        return ts
    rows = rows[is_among(session[rows], np.unique(session[rows[far[rows]]]))]
    client = _read_times(table, "client_ts")[rows]
    sender = _number_senders(table, rows, session)
    offset = _find_offsets(sender, delay[rows], sent[rows], received[rows])
    corrected = ts.copy()
    corrected[rows] = np.where(client >= 0, np.maximum(client + offset, 0), ts[rows])
    return corrected


def _read_times(table: pa.Table, name: str) -> Ints:
    column = table[name]
    return np.asarray((column.fill_null(-1) if column.null_count else column).to_numpy(), dtype=np.int64)


def _number_senders(table: pa.Table, rows: Ints, session: Ints) -> Ints:
    """Per row: number of its sender, from 0 without gaps."""
    agents = table["user_agent"].take(pa.array(rows)).cast(pa.string()).combine_chunks().dictionary_encode()
    if isinstance(agents, pa.ChunkedArray):
        agents = agents.chunk(0) if agents.num_chunks else pa.array([], pa.string()).dictionary_encode()
    code = agents.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    count = len(agents.dictionary) + 1
    packed = session[rows] * count + code
    return compact_codes(packed, int(packed.max(initial=0)) + 1)[0]


def _find_offsets(sender: Ints, delay: Ints, sent: Ints, received: Ints) -> Ints:
    """Per row: the offset of its sender's clock, ms; 0 for a sender that names no time of sending."""
    senders = int(sender.max(initial=-1)) + 1
    known = np.flatnonzero(sent >= 0)
    order = known[np.lexsort((sent[known], received[known], sender[known]))]
    order = order[mark_group_starts(sender[order], received[order], sent[order])]  # one row for each request
    least = np.zeros(senders, dtype=np.int64)
    if not len(order):
        return least[sender]
    begin = np.flatnonzero(mark_group_starts(sender[order]))
    least[sender[order[begin]]] = np.minimum.reduceat(delay[order], begin)
    owner, level = _find_levels(sender[order], delay[order], sent[order], least)
    offset = least[sender]
    if len(owner):
        offset[known] = _choose_clocks(owner, level, sender[known], delay[known], offset[known])
    return np.where(np.abs(offset) > TOLERANCE_MS, offset, 0)


def _find_levels(sender: Ints, delay: Ints, sent: Ints, least: Ints) -> tuple[Ints, Ints]:
    """The clocks of senders beside their smallest: (sender, offset in ms); requests are ordered by sender and receipt."""
    first = mark_group_starts(sender)
    first[1:] |= np.abs(np.diff(delay)) > LEVEL_WIDTH_MS
    begin = np.flatnonzero(first)
    count = np.diff(np.append(begin, len(delay)))
    span = np.maximum.reduceat(sent, begin) - np.minimum.reduceat(sent, begin)
    level, owner = np.minimum.reduceat(delay, begin), sender[begin]
    steady = (count >= LEVEL_REQUESTS) & (span >= LEVEL_SPAN_MS) & (level - least[owner] > LEVEL_DISTANCE_MS)
    return owner[steady], level[steady]


def _choose_clocks(owner: Ints, level: Ints, sender: Ints, delay: Ints, least: Ints) -> Ints:
    """Per request: the largest clock of its sender that does not exceed its difference.

    ``owner`` and ``level``: the clocks beside the smallest; ``least``: the smallest, per request.
    """
    values, rank = np.unique(np.concatenate((level, delay)), return_inverse=True)
    width = len(values) + 1
    clock = np.sort(owner * width + rank[: len(level)])
    place = np.searchsorted(clock, sender * width + rank[len(level) :], "right") - 1
    found = clock[np.maximum(place, 0)]
    own = (place >= 0) & (found // width == sender)
    return np.where(own, values[found % width], least)
