"""Verdicts that name the control and the time of their click, not its id (docs/contracts/events.md, Shapes).

PostHog and Amplitude report a dead click some seconds later, mostly in another request than the click: only the session knows
both. The report is no click, so that it never becomes a second try.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.arrays import Bools, Ints
from ufse.encoding import encode_texts

NEARNESS_MS: Final = 1_000
"""Another listener takes the click's time: 8 ms (PostHog) and 70 ms (Amplitude) apart as measured (own choice)."""
_SESSION: Final = ("project", "session_id")
_CONTROL: Final = ("target_id", "target_selector", "target_type", "target_tag", "target_label")
_FAR: Final = 2**62


def find_nearest_clicks(table: pa.Table, verdicts: Ints, clicks: Ints) -> Ints:
    """Per row of ``verdicts``: the place in ``clicks`` (rows) of the click on the same control of the same session that is
    nearest in time, at most ``NEARNESS_MS`` apart; of two the earlier; -1 without one.
    """
    sessions = table["session_id"].cast(pa.string())
    asked = pc.unique(sessions.take(pa.array(verdicts)))
    kept = np.flatnonzero(pc.is_in(sessions.take(pa.array(clicks)), value_set=asked).to_numpy())
    rows = np.concatenate([clicks[kept], verdicts])
    is_click = np.arange(len(rows)) < len(kept)
    (key, known), at = _encode_controls(table, rows), _read_times(table, rows)
    ids = table["event_id"].take(pa.array(rows)).cast(pa.string()).to_pylist()
    order = np.lexsort((np.unique(np.array(ids, dtype=object), return_inverse=True)[1], at, key))
    place = np.arange(len(order))
    before = np.maximum.accumulate(np.where(is_click[order], place, -1))
    after = np.minimum.accumulate(np.where(is_click[order], place, len(order))[::-1])[::-1]
    asking = np.flatnonzero(~is_click[order])
    earlier, later = order[np.maximum(before[asking], 0)], order[np.minimum(after[asking], len(order) - 1)]
    own = order[asking]
    gaps = [np.where(is_click[o] & (key[o] == key[own]), np.abs(at[o] - at[own]), _FAR) for o in (earlier, later)]
    nearest = np.where(gaps[0] <= gaps[1], earlier, later)
    found = np.full(len(rows), -1, dtype=np.int64)
    near = (np.minimum(*gaps) <= NEARNESS_MS) & known[own]
    found[own[near]] = kept[nearest[near]]
    return found[len(kept) :]


def _encode_controls(table: pa.Table, rows: Ints) -> tuple[Ints, Bools]:
    """Per row: a code of its session and control, and whether it has a control."""
    code, known = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.bool_)
    for name in (*_SESSION, *_CONTROL):
        part, words = encode_texts(table, name, rows)
        code = np.unique(code * len(words) + part, return_inverse=True)[1]
        known |= (name in _CONTROL) & np.array([bool(word) for word in words])[part]
    return code, known


def _read_times(table: pa.Table, rows: Ints) -> Ints:
    """Epoch milliseconds of the client's clock; the corrected time where that is unknown."""
    taken = table.select(["client_ts", "ts"]).take(pa.array(rows))
    client, ts = (np.asarray(taken[name].fill_null(-1).to_numpy(), dtype=np.int64) for name in ("client_ts", "ts"))
    return np.where(client >= 0, client, ts)
