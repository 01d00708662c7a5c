"""The normalised event row, which the spool, ClickHouse and the engine share.

"Unknown" is ``''`` for strings and ``-1`` for integers and tri-states (``-1`` unknown, ``0`` false, ``1`` true). A missing key
means unknown, never false (docs/contracts/events.md, Event types). Positions may be negative and use ``UNKNOWN_POSITION``.
"""

from typing import Final

import pyarrow as pa

UNKNOWN_POSITION: Final = -(2**31)
"""Value of ``x`` and ``y`` (CSS pixels) where the client sent none."""

DISTINCT: Final = b"furrow.distinct"
"""Key of a table's metadata; ``b"1"`` means that no event occurs twice, so that deduplication is skipped."""

_STRING = pa.string()
_TRI = pa.int8()

EVENT_SCHEMA: Final = pa.schema(
    [
        ("project", _STRING),
        ("session_id", _STRING),
        ("event_id", _STRING),
        ("event_type", _STRING),
        ("ts", pa.int64()),
        ("seq", pa.int64()),
        ("received_ms", pa.int64()),
        ("user_hash", _STRING),
        ("route", _STRING),
        ("target_type", _STRING),
        ("target_id", _STRING),
        ("target_selector", _STRING),
        ("target_tag", _STRING),
        ("target_label", _STRING),
        ("x", pa.int32()),
        ("y", pa.int32()),
        ("click_count", pa.int32()),
        ("input_method", _STRING),
        ("disabled", _TRI),
        ("loading", _TRI),
        ("selection", _TRI),
        ("responded", _TRI),
        ("action", _STRING),
        ("field_type", _STRING),
        ("depth", pa.int32()),
        ("direction", _STRING),
        ("valid", _TRI),
        ("nav_from", _STRING),
        ("nav_type", _STRING),
        ("external", _TRI),
        ("download", _TRI),
        ("error_type", _STRING),
        ("message", _STRING),
        ("source", _STRING),
        ("third_party", _TRI),
        ("status", pa.int32()),
        ("method", _STRING),
        ("url", _STRING),
        ("duration_ms", pa.int64()),
        ("aborted", _TRI),
        ("perf_kind", _STRING),
        ("state", _STRING),
        ("app_version", _STRING),
        ("environment", _STRING),
        ("sdk_version", _STRING),
        ("user_agent", _STRING),
        ("metadata", _STRING),
        ("client_ts", pa.int64()),
        ("sent_ms", pa.int64()),
        ("own_id", _STRING),
        ("cause", _STRING),
        ("verdict_for", _STRING),
        ("verdict", _STRING),
        ("clicks", pa.int32()),
        ("span_ms", pa.int64()),
        ("body_error", _TRI),
        ("frame", _STRING),
        ("prerendered", _TRI),
        ("during", _STRING),
    ]
)
"""Columns of one event in storage order; ``duration_ms``: milliseconds; times: epoch milliseconds.

``ts`` is the event's time after the correction by its own request, as the collector can make it. ``client_ts`` is the time as
the client sent it and ``sent_ms`` the client's time of sending; from these the engine derives the offset of the session
(``ufse/clocks.py``). Both are -1 in rows stored before they existed. ``own_id`` is the client's id of the event (``eventId``),
to which ``cause`` and ``verdict_for`` of other events of the session refer; ``clicks`` is the number of clicks that one event
stands for (``count``), over ``span_ms``. ``during`` lists the ids of the clicks that were running when a request or
error began, separated by spaces, the newest first (``ufse/aggregated.py``).
"""
