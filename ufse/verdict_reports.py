"""Clicks that are another tool's report about an earlier click, and no clicks of a person.

Some SDKs send their finding as an event of its own with the target of the click that it is about: "dead click", 0.5 s
(Mixpanel), 2.5 s (PostHog) or 3 s (Amplitude) after it. An adapter that does not know ``verdictFor`` makes a second click of
it, which is a try that nobody made. Such a report has the control and, where known, the very position of a click without any
verdict shortly before it. Source: recordings of posthog-js 1.449.2 and mixpanel-browser 2.83.0.
"""

from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, mark_group_starts
from ufse.event_columns import EventColumns, encode_text_tuples
from ufse.sessions import CLICK, OrderedEvents

REPORTED_AFTER_MS: Final = 300
"""A tool waits at least this long before it calls a click dead (own choice: the shortest known is 0.5 s, less delays)."""
REPORTED_WITHIN_MS: Final = 10_000
"""And at most this long (own choice: the longest known is 7 s)."""
_TEXTS: Final = ("target_id", "target_selector", "target_type", "target_tag", "target_label")


def drop_verdict_reports(ordered: OrderedEvents, rows: Ints) -> Ints:
    """The ``rows`` (ascending numbers of ordered events, whole visits) without reports that an earlier click was dead."""
    if "verdict" not in ordered.table.column_names:
        return rows
    clicks = rows[ordered.kind[rows] == CLICK]
    source = EventColumns(ordered.table, ordered.row)
    code, words = source.read_codes("verdict", clicks)
    dead = np.array([w == "dead" for w in words] or [False])[code] if len(clicks) else np.zeros(0, dtype=np.bool_)
    if not dead.any():
        return rows
    plain = np.array([not w for w in words])[code]
    return np.asarray(rows[~np.isin(rows, clicks[_is_report(ordered, source, clicks, dead, plain)])], dtype=np.int64)


def _is_report(ordered: OrderedEvents, source: EventColumns, clicks: Ints, dead: Bools, plain: Bools) -> Bools:
    """Per click: whether it is ``dead`` and repeats the last ``plain`` one on its control and spot, within the time."""
    control, _ = encode_text_tuples(source, clicks, _TEXTS)
    x, y = (source.read_at(name, clicks).astype(np.int64) for name in ("x", "y"))
    order = np.lexsort((clicks, y, x, control, ordered.visit[clicks]))
    first = mark_group_starts(ordered.visit[clicks][order], control[order], x[order], y[order])
    begin = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    last = np.maximum.accumulate(np.where(plain[order], np.arange(len(order)), -1))
    ts = ordered.ts[clicks][order]
    lag = ts - ts[np.maximum(last, 0)]
    near = (last >= begin) & (lag >= REPORTED_AFTER_MS) & (lag <= REPORTED_WITHIN_MS)
    found = np.zeros(len(clicks), dtype=np.bool_)
    found[order] = dead[order] & near
    return found
