"""Which tickets no export run files now, and why: put off after an error, refused for good, or being made elsewhere."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

_WAITING = sa.text("""
    SELECT o.tracker, o.state, count(*) AS number, min(coalesce(o.retry_at, o.lease_until)) AS until,
           (array_agg(o.last_error ORDER BY o.updated_at DESC) FILTER (WHERE o.last_error IS NOT NULL))[1] AS reason
    FROM outbox o JOIN incidents i USING (incident_id)
    WHERE i.status IN ('confirmed', 'regressed')
      AND (o.state = 'export_failed' OR (o.state = 'retry' AND o.retry_at > clock_timestamp())
           OR (o.state = 'claimed' AND o.lease_until > clock_timestamp()))
    GROUP BY o.tracker, o.state ORDER BY o.tracker, o.state
""")
_HASTEN = sa.text(
    "UPDATE outbox SET retry_at = NULL, updated_at = now() WHERE state = 'retry' AND retry_at IS NOT NULL"
)


class WaitingTickets(NamedTuple):
    """Tickets of one tracker in one state (``retry``, ``claimed``, ``export_failed``): how many, until when the first of them
    waits (None: until a person asks), and the tracker's words of the latest."""

    tracker: str
    state: str
    number: int
    until: datetime | None
    reason: str


def list_waiting_tickets(connection: sa.Connection) -> list[WaitingTickets]:
    """What no run files now, by tracker and state."""
    return [
        WaitingTickets(row.tracker, row.state, row.number, row.until, row.reason or "")
        for row in connection.execute(_WAITING)
    ]


def retry_tickets_now(connection: sa.Connection) -> int:
    """Let the next run try again what was put off; how many tickets."""
    return connection.execute(_HASTEN).rowcount
