"""Counts which fields landed events have. The counts explain why a stream gives no incidents.

Only events that landed after a given moment are counted, so the cost depends on new events (``landed_at`` has an index).
"""

from collections import Counter
from typing import Final

from stores.events.event_store import EventStore

COUNTED: Final = {
    "events": "1",
    "clicks": "event_type = 'click'",
    "clicks with responded": "event_type = 'click' AND responded >= 0",
    "clicks with a named target": "event_type = 'click' AND (target_id != '' OR target_selector != '' OR target_label != '')",
    "network": "event_type = 'network'",
    "network with a status": "event_type = 'network' AND status >= 0",
    "network with a url": "event_type = 'network' AND url != ''",
    "network with a duration": "event_type = 'network' AND duration_ms >= 0",
    "errors": "event_type = 'error'",
    "form submits": "event_type = 'form_submit'",
    "session ends": "event_type = 'session_end'",
    "with a user": "user_hash != ''",
    "with a route": "route != ''",
}
"""What is counted, and the condition on a row of ``events`` for each."""

_SELECT: Final = f"""
    SELECT {", ".join(f"countIf({condition}) AS c{n}" for n, condition in enumerate(COUNTED.values()))},
           toUnixTimestamp64Micro(max(landed_at)) AS last_us
    FROM events
    WHERE landed_at > fromUnixTimestamp64Micro({{after:Int64}}, 'UTC')
"""


def count_landed_events(store: EventStore, after_us: int) -> tuple[Counter[str], int]:
    """The counts of events (rows, resent events included) that landed after ``after_us``, and the last landing (epoch µs;
    ``after_us`` if there is none)."""
    row = store.query_arrow(_SELECT, {"after": after_us}).to_pylist()[0]
    counts = Counter({name: int(row[f"c{n}"]) for n, name in enumerate(COUNTED)})
    return counts, max(int(row["last_us"]), after_us) if counts["events"] else after_us
