"""What other sessions of a project show of its endpoints and collectors: an input of ``detect`` beside the events.

A batch gives rows of single sessions (``OBSERVED_ENDPOINTS``, ``OBSERVED_COLLECTORS``; ``ufse.observed`` makes them), which are
summed to one row per project and endpoint or collector. The event store sums its stored rows in the same way
(stores/events/event_history.py). docs/decisions/0060-what-other-sessions-show.md says which table is used where.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.arrays import Ints, mark_group_starts
from ufse.control_facts import CONTROL_FACTS, OBSERVED_CONTROLS, sum_controls
from ufse.grouping.learned import RouteRules

_KEY: Final = [("project", pa.string()), ("session_id", pa.string())]

OBSERVED_ENDPOINTS: Final = pa.schema(
    [
        *_KEY,
        ("endpoint", pa.string()),
        ("control", pa.uint64()),
        ("requests", pa.int64()),
        ("alone", pa.int64()),
        ("unasked", pa.int64()),
        ("typed", pa.int64()),
        ("pressed", pa.int64()),
        ("good", pa.int64()),
        ("median_ms", pa.int64()),
    ]
)
"""One row per client session, endpoint (method and folded URL) and control that caused its requests.

``control``: hash of page and name of the control, 0 for requests that no click or submit caused. ``alone``: the request ran
provably without an action; ``unasked``: no action or page seems to have caused it; ``typed``: a field caused it;
``pressed``: a click or submit did; ``good``: answered 2xx or 3xx. ``median_ms``: of the good answers, -1 if unknown.
"""

OBSERVED_COLLECTORS: Final = pa.schema(
    [
        *_KEY,
        ("collector", pa.string()),
        ("requests", pa.int64()),
        ("good", pa.int64()),
        ("timed", pa.int64()),
        ("repeated", pa.int64()),
        ("aborted", pa.int64()),
        ("clicks", pa.int64()),
        ("responded", pa.int64()),
        ("submits", pa.int64()),
        ("fields", pa.int64()),
    ]
)
"""One row per client session: how many events of each kind its collector reported.

``collector``: the SDK version; where it is not sent, the fields that the events carry. ``timed``: requests with a duration;
``repeated``: requests to an endpoint that had failed; ``responded``: clicks that say whether the page responded.
"""

ENDPOINT_FACTS: Final = pa.schema(
    [
        ("project", pa.string()),
        ("endpoint", pa.string()),
        ("sessions", pa.int64()),
        ("requests", pa.int64()),
        ("alone", pa.int64()),
        ("alone_sessions", pa.int64()),
        ("unasked", pa.int64()),
        ("typed", pa.int64()),
        ("pressed", pa.int64()),
        ("controls", pa.int64()),
        ("main_control", pa.uint64()),
        ("main_pressed", pa.int64()),
        ("good", pa.int64()),
        ("timed_sessions", pa.int64()),
        ("typical_ms", pa.int64()),
    ]
)
"""One row per project and endpoint. ``main_control``: the control that caused most of its requests, ``main_pressed`` of them.
``typical_ms``: the median of the rows' medians (of an even number the upper one), -1 if unknown.
"""

COLLECTOR_FACTS: Final = pa.schema(
    [
        ("project", pa.string()),
        ("collector", pa.string()),
        ("sessions", pa.int64()),
        ("with_requests", pa.int64()),
        ("with_good", pa.int64()),
        ("with_timed", pa.int64()),
        ("with_repeated", pa.int64()),
        ("with_aborted", pa.int64()),
        ("with_clicks", pa.int64()),
        ("with_responded", pa.int64()),
        ("with_submits", pa.int64()),
        ("with_fields", pa.int64()),
    ]
)
"""One row per project and collector: the number of client sessions with at least one such event."""


@dataclass(frozen=True)
class Observed:
    """What the sessions of a batch show."""

    endpoints: pa.Table
    """Rows of OBSERVED_ENDPOINTS."""
    collectors: pa.Table
    """Rows of OBSERVED_COLLECTORS."""
    controls: pa.Table = field(default_factory=OBSERVED_CONTROLS.empty_table)
    """Rows of OBSERVED_CONTROLS (``ufse.control_facts``)."""

    @staticmethod
    def make_empty() -> "Observed":
        """No session."""
        return _NOTHING_OBSERVED

    @staticmethod
    def join_parts(parts: "list[Observed]") -> "Observed":
        """All parts, which have no client session in common."""
        whole = [p for p in parts if p is not _NOTHING_OBSERVED]
        if not whole:
            return _NOTHING_OBSERVED
        names = ("endpoints", "collectors", "controls")
        return Observed(*(pa.concat_tables([getattr(p, name) for p in whole]) for name in names))


_NOTHING_OBSERVED: Final = Observed(OBSERVED_ENDPOINTS.empty_table(), OBSERVED_COLLECTORS.empty_table())


@dataclass(frozen=True)
class ProjectHistory:
    """What earlier or other sessions show; without rows, each session is judged by itself."""

    endpoints: pa.Table
    """Rows of ENDPOINT_FACTS, one per project and endpoint."""
    collectors: pa.Table
    """Rows of COLLECTOR_FACTS, one per project and collector."""
    controls: pa.Table = field(default_factory=CONTROL_FACTS.empty_table)
    """Rows of CONTROL_FACTS, one per project and control that answered in a session (``ufse.control_facts``)."""
    routes: Mapping[str, RouteRules] = field(default_factory=dict)
    """What the routes of each project show; fingerprints alone read it."""

    @staticmethod
    def make_empty() -> "ProjectHistory":
        """No other session is known."""
        return ProjectHistory(ENDPOINT_FACTS.empty_table(), COLLECTOR_FACTS.empty_table())


NO_HISTORY: Final = ProjectHistory.make_empty()


def sum_observed(observed: Observed) -> ProjectHistory:
    """The facts of all observed sessions; the order of the rows does not matter."""
    return ProjectHistory(
        _sum_endpoints(observed.endpoints), _sum_collectors(observed.collectors), sum_controls(observed.controls)
    )


def _sum_endpoints(rows: pa.Table) -> pa.Table:
    if not rows.num_rows:
        return ENDPOINT_FACTS.empty_table()
    key = ["project", "endpoint"]
    sums = ("requests", "alone", "unasked", "typed", "pressed", "good")
    marked = rows.append_column("alone_session", _choose_texts(rows["session_id"], pc.greater(rows["alone"], 0)))
    marked = marked.append_column(
        "timed_session", _choose_texts(rows["session_id"], pc.greater_equal(rows["median_ms"], 0))
    )
    distinct = ("session_id", "alone_session", "timed_session")
    found = marked.group_by(key, use_threads=False).aggregate(
        [*((name, "sum") for name in sums), *((name, "count_distinct") for name in distinct)]
    )
    found = found.sort_by([(name, "ascending") for name in key])
    controls, main, most = _find_main_controls(rows)
    columns = {
        **{name: found[name] for name in key},
        **{name: found[f"{name}_sum"] for name in sums},
        "sessions": found["session_id_count_distinct"],
        "alone_sessions": found["alone_session_count_distinct"],
        "timed_sessions": found["timed_session_count_distinct"],
        "controls": controls,
        "main_control": main,
        "main_pressed": most,
        "typical_ms": _find_medians(rows),
    }
    return pa.table([columns[name] for name in ENDPOINT_FACTS.names], names=ENDPOINT_FACTS.names).cast(ENDPOINT_FACTS)


def _choose_texts(texts: pa.ChunkedArray, chosen: pa.ChunkedArray) -> pa.ChunkedArray:
    """The chosen texts, null elsewhere: ``count_distinct`` leaves nulls out."""
    return pc.if_else(chosen, texts, pa.scalar(None, pa.string()))


def _number_endpoints(rows: pa.Table) -> tuple[Ints, int]:
    """Per row: the number of its (project, endpoint) in ascending order; and how many there are."""
    pairs = list(zip(rows["project"].to_pylist(), rows["endpoint"].to_pylist(), strict=True))
    place = {pair: i for i, pair in enumerate(sorted(set(pairs)))}
    return np.array([place[pair] for pair in pairs], dtype=np.int64), len(place)


def _find_main_controls(rows: pa.Table) -> tuple[Ints, np.ndarray, Ints]:
    """Per (project, endpoint): how many controls cause it, the one that causes most (of equal ones the lesser hash), and how
    often.
    """
    group, size = _number_endpoints(rows)
    control, pressed = rows["control"].to_numpy(), rows["pressed"].to_numpy()
    chosen = np.flatnonzero(control != 0)
    group, control, pressed = group[chosen], control[chosen], pressed[chosen]
    order = np.lexsort((control, group))
    group, control, pressed = group[order], control[order], pressed[order]
    counts, main = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.uint64)
    most = np.zeros(size, dtype=np.int64)
    if len(group):
        first = np.flatnonzero(mark_group_starts(group) | np.append(True, control[1:] != control[:-1]))
        total, group, control = np.add.reduceat(pressed, first), group[first], control[first]
        best = np.lexsort((control, -total, group))
        best = best[mark_group_starts(group[best])]
        counts = np.bincount(group, minlength=size)
        main[group[best]], most[group[best]] = control[best], total[best]
    return counts, main, most


def _find_medians(rows: pa.Table) -> Ints:
    group, size = _number_endpoints(rows)
    lasted = rows["median_ms"].to_numpy()
    chosen = np.flatnonzero(lasted >= 0)
    order = chosen[np.lexsort((lasted[chosen], group[chosen]))]
    counts = np.bincount(group[order], minlength=size)
    begin = np.cumsum(counts) - counts
    found = np.full(size, -1, dtype=np.int64)
    some = counts > 0
    found[some] = lasted[order][(begin + counts // 2)[some]]
    return found


def _sum_collectors(rows: pa.Table) -> pa.Table:
    if not rows.num_rows:
        return COLLECTOR_FACTS.empty_table()
    key, counted = ["project", "collector"], OBSERVED_COLLECTORS.names[3:]
    columns = {name: rows[name] for name in (*key, "session_id")}
    columns |= {name: pc.cast(pc.greater(rows[name], 0), pa.int64()) for name in counted}
    found = (
        pa.table(columns)
        .group_by(key, use_threads=False)
        .aggregate([("session_id", "count"), *((name, "sum") for name in counted)])
    )
    found = found.sort_by([(name, "ascending") for name in key])
    summed = [found[name] for name in (*key, "session_id_count", *(f"{name}_sum" for name in counted))]
    return pa.table(summed, names=COLLECTOR_FACTS.names).cast(COLLECTOR_FACTS)
