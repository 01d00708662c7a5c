"""Which client sessions could hold a detection. The others never leave the event store.

A session is read if an event of it may be negative feedback (the column ``neg``), if it was received over more than 75 min (the
engine decides which of its events are late), or if actions of it may have come to nothing though nothing failed. The last is a
superset of ``ufse.unanswered``: counts alone, without the order of events. ``tests/integration/test_store_candidates.py``
compares what is read with what the engine finds.
"""

from typing import Final

from ufse.dead_controls import BURST
from ufse.form_pages import SHOWN_TRIES
from ufse.page_kinds import DETOUR_PATTERN, LOGIN_PATTERN
from ufse.sent_back import RETURNED_TRIES
from ufse.silent_controls import SILENT_TRIES
from ufse.targets import TEXT_FIELDS

LATE_RECEIPT_MS: Final = 75 * 60_000  # docs/contracts/detection.md, Sessions

SPAN: Final = "received_ms >= {first:Int64} AND received_ms <= {last:Int64} AND session_hash IN {hashes:Array(UInt64)}"
"""The condition for the events of some client sessions (`event_reader.build_span_parameters`)."""
_BACK: Final = (
    f"""nav_type = 'reload' OR match(lower(route), '{DETOUR_PATTERN}') OR match(lower(route), '{LOGIN_PATTERN}')"""
)
"""A page that was loaded anew, or a login or error page: what a form is sent back with."""
_QUICK_MS: Final = 2_000
"""Clicks so soon after one another may be of one burst: twice the usual `rage_gap_ms`, as a project may set a longer one."""
_HURRIED: Final = f"page_presses >= {SILENT_TRIES + BURST - 1} AND page_hurried >= {BURST}"

_FIELDS: Final = ", ".join(f"'{word}'" for word in sorted(TEXT_FIELDS))
_INTO_FIELD: Final = f"lower(target_type) IN ({_FIELDS}) OR lower(target_tag) IN ({_FIELDS})"

_MAY_HOLD: Final = f"""
    max(page_negative) = 1
    OR (countIf(page_presses >= {SILENT_TRIES} AND (page_changes >= 1 OR {_HURRIED})) >= 1 AND sum(page_requests) >= 1)
    OR countIf(least(page_presses, page_moves, page_fields) >= {SHOWN_TRIES}) >= 1
    OR (least(sum(page_presses), sum(page_inputs), sum(page_returns)) >= {RETURNED_TRIES})
"""
"""Silent controls need their tries, and a change of a field or a burst, on one page; forms that send back need as many returns
as tries; forms whose own page comes back need all of it on one page.
"""


def select_candidates(where: str, having: str = "", *, late: bool = True) -> str:
    """A query for the client sessions that could hold a detection: session_hash, events, first and last (receipt, epoch ms).

    ``where`` chooses events. ``having`` is one more condition; it may read ``inside``, the number of events for which the
    parameters ``start`` and ``end`` (event time, epoch ms) hold. ``late``: also sessions received over more than 75 min.
    """
    inside = "countIf(ts >= {start:Int64} AND ts < {end:Int64})" if having else "0"
    return f"""
        SELECT session_hash, sum(page_events) AS events, min(page_first) AS first, max(page_last) AS last,
               sum(page_inside) AS inside
        FROM (
            SELECT session_hash, count() AS page_events, min(received_ms) AS page_first, max(received_ms) AS page_last,
                   max(neg) AS page_negative, {inside} AS page_inside,
                   countIf(event_type IN ('click', 'form_submit')) AS page_presses,
                   arrayCount(gap -> gap <= {_QUICK_MS}, arrayDifference(arraySort(groupArrayIf(ts, event_type = 'click'))))
                       AS page_hurried,
                   countIf(event_type = 'input') AS page_inputs,
                   countIf(event_type = 'input' AND action NOT IN ('focus', 'blur')) AS page_changes,
                   countIf(event_type = 'navigation') AS page_moves,
                   page_changes + countIf(event_type = 'click' AND ({_INTO_FIELD})) AS page_fields,
                   countIf(event_type = 'network') AS page_requests,
                   countIf(event_type = 'navigation' AND ({_BACK})) AS page_returns
            FROM events
            WHERE {where}
            GROUP BY session_hash, route
        )
        GROUP BY session_hash
        HAVING ({_MAY_HOLD} {f"OR last - first > {LATE_RECEIPT_MS}" if late else ""}) {f"AND {having}" if having else ""}
    """
