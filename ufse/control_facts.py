"""What the sessions of a project show of its controls: how often a press of each is answered. A part of ``ufse.history``."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

OBSERVED_CONTROLS: Final = pa.schema(
    [
        ("project", pa.string()),
        ("session_id", pa.string()),
        ("control", pa.uint64()),
        ("tries", pa.int64()),
        ("answered", pa.int64()),
        ("paged", pa.int64()),
    ]
)
"""One row per client session and control that was pressed (hash of page and name, ``ufse.control_hashes``).

``tries``: presses of it; those of one burst are one try. ``answered``: tries that a request, an error or a page answered;
``paged``: tries that a page answered. A page that is loaded anew is no answer.
"""

CONTROL_FACTS: Final = pa.schema(
    [
        ("project", pa.string()),
        ("control", pa.uint64()),
        ("sessions", pa.int64()),
        ("answered_sessions", pa.int64()),
        ("tries", pa.int64()),
        ("answered", pa.int64()),
        ("paged", pa.int64()),
    ]
)
"""One row per project and control that answered in any session. ``tries``, ``answered`` and ``paged`` are sums over the
sessions in which it answered at least once, which are ``answered_sessions`` of ``sessions``.
"""


def sum_controls(rows: pa.Table) -> pa.Table:
    """The facts of all rows of OBSERVED_CONTROLS, by project and hash; the order of the rows does not matter."""
    if not rows.num_rows:
        return CONTROL_FACTS.empty_table()
    some = pc.greater(rows["answered"], 0)
    zero = pa.scalar(0, pa.int64())
    columns = {name: rows[name] for name in ("project", "control", "session_id")}
    columns |= {name: pc.if_else(some, rows[name], zero) for name in ("tries", "answered", "paged")}
    columns["answered_sessions"] = pc.cast(some, pa.int64())
    sums = ("answered_sessions", "tries", "answered", "paged")
    key = ["project", "control"]
    found = (
        pa.table(columns)
        .group_by(key, use_threads=False)
        .aggregate([("session_id", "count"), *((name, "sum") for name in sums)])
    )
    found = found.filter(pc.greater(found["answered_sessions_sum"], 0))
    found = found.sort_by([(name, "ascending") for name in key])
    named = [found[name] for name in (*key, "session_id_count", *(f"{name}_sum" for name in sums))]
    return pa.table(named, names=CONTROL_FACTS.names).cast(CONTROL_FACTS)
