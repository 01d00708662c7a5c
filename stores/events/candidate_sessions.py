"""Which client sessions could hold a detection. The others never leave the event store.

A session is read if an event of it may be negative feedback (the column ``neg``), if it was received over more than 75 min (the
engine decides which of its events are late), or if actions of it may have come to nothing though nothing failed. The last is a
superset of ``ufse.unanswered``: counts alone, without the order of events. ``tests/integration/test_store_candidates.py``
compares what is read with what the engine finds.

Events count as ``ufse.shapes`` unfolds them: a verdict speaks for its click, one event may stand for several clicks, and an
event without a route may belong to any page of its session.
"""

from typing import Final

from ufse.dead_controls import BURST
from ufse.form_pages import SHOWN_TRIES
from ufse.page_kinds import DETOUR_PATTERN, LOGIN_PATTERN
from ufse.sent_back import RETURNED_TRIES
from ufse.silent_controls import ANSWERED_PRESSES, SILENT_TRIES
from ufse.targets import TEXT_FIELDS

LATE_RECEIPT_MS: Final = 75 * 60_000  # docs/contracts/detection.md, Sessions

SPAN: Final = "received_ms >= {first:Int64} AND received_ms <= {last:Int64} AND session_hash IN {hashes:Array(UInt64)}"
"""The condition for the events of some client sessions (`event_reader.build_span_parameters`)."""
_BACK: Final = (
    f"nav_type = 'reload' OR route = '' OR match(lower(route), '{DETOUR_PATTERN}')"
    f" OR match(lower(route), '{LOGIN_PATTERN}')"
)
"""A page that was loaded anew, or a login or error page: what a form is sent back with."""
_NEGATIVE: Final = "neg = 1 OR (event_type = 'verdict' AND responded = 0)"
_MOST_TRIES: Final = SILENT_TRIES + BURST - 1
"""Presses of three tries, one of them a burst."""
_PRESSES: Final = f"if(event_type = 'click' AND clicks > 1, toUInt64(greatest(clicks, {_MOST_TRIES})), 1)"
"""How many presses an event stands for; the engine may find more in it than it names (``ufse.aggregated``)."""
_QUICK_MS: Final = 2_000
"""Clicks so soon after one another may be of one burst: twice the usual `rage_gap_ms`, as a project may set a longer one."""
_HURRIED: Final = f"""
    arrayCount(gap -> gap <= {_QUICK_MS}, arrayDifference(arraySort(groupArrayIf(ts, event_type = 'click'))))
    + {BURST} * countIf(event_type = 'click' AND clicks > 1)
"""
_FIELDS: Final = ", ".join(f"'{word}'" for word in sorted(TEXT_FIELDS))
_INTO_FIELD: Final = f"lower(target_type) IN ({_FIELDS}) OR lower(target_tag) IN ({_FIELDS})"


def _on_one_page(condition: str) -> str:
    """Whether a condition on the counts of a page holds for one. Events that name no page may belong to any, in any order."""
    names = ("presses", "hurried", "changes", "fields", "moves")
    named = condition.format_map({name: f"page_{name}" for name in names})
    most = {name: f"(maxIf(page_{name}, page != '') + sumIf(page_{name}, page = ''))" for name in names}
    every = condition.format_map(most | {"hurried": str(BURST)})
    nameless = "sumIf(page_presses + page_fields + page_moves, page = '') >= 1"
    return f"(countIf({named}) >= 1 OR ({nameless} AND {every}))"


_TRIED: Final = (
    f"{{presses}} >= {SILENT_TRIES} AND ({{changes}} >= 1 OR ({{presses}} >= {_MOST_TRIES} AND {{hurried}} >= {BURST}))"
)
"""Silent controls need their tries, and a change of a field or a burst, on one page."""
_HURRIED_TRIES: Final = f"{{presses}} >= {_MOST_TRIES} AND {{hurried}} >= {BURST}"
"""Where pages are the only answers, they need a burst."""
_SENT_AGAIN: Final = f"least({{presses}}, {{moves}}, {{fields}}) >= {SHOWN_TRIES}"
"""Forms whose own page comes back need all of it on one page."""
_MAY_HOLD: Final = f"""
    max(page_negative) = 1
    OR (sum(page_requests) >= 1 AND {_on_one_page(_TRIED)})
    OR (sum(page_moves) >= {ANSWERED_PRESSES} AND {_on_one_page(_HURRIED_TRIES)})
    OR {_on_one_page(_SENT_AGAIN)}
    OR (least(sum(page_presses), sum(page_inputs), sum(page_returns)) >= {RETURNED_TRIES})
"""
"""The last: forms that send back need as many returns as tries."""


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
            SELECT session_hash, route AS page, count() AS page_events, min(received_ms) AS page_first,
                   max(received_ms) AS page_last,
                   max({_NEGATIVE}) AS page_negative, {inside} AS page_inside,
                   sumIf({_PRESSES}, event_type IN ('click', 'form_submit')) AS page_presses,
                   {_HURRIED} AS page_hurried,
                   countIf(event_type = 'input') AS page_inputs,
                   countIf(event_type = 'input' AND action NOT IN ('focus', 'blur')) AS page_changes,
                   countIf(event_type = 'navigation') AS page_moves,
                   page_changes + sumIf({_PRESSES}, event_type = 'click' AND ({_INTO_FIELD})) AS page_fields,
                   countIf(event_type = 'network') AS page_requests,
                   countIf(event_type = 'navigation' AND ({_BACK})) AS page_returns
            FROM events
            WHERE {where}
            GROUP BY session_hash, route
        )
        GROUP BY session_hash
        HAVING ({_MAY_HOLD} {f"OR last - first > {LATE_RECEIPT_MS}" if late else ""}) {f"AND {having}" if having else ""}
    """
