"""Drops old partitions of the event store: each holds the events of one day of receipt (UTC).

Dropping a partition only unlinks its files; deleting rows would rewrite parts every day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from core.errors import NotConfigured
from stores.events.event_store import OVERLAP_US, EventStore

TABLES: Final = ("events", "sessions", "counted", "session_history", "session_steps")
"""Tables that are partitioned by day. Events are dropped first; rows left in the other tables identify nobody."""

_PARTITIONS = """
    SELECT partition, sum(rows) AS rows, sum(bytes_on_disk) AS bytes
    FROM system.parts WHERE active AND database = currentDatabase() AND table = {table:String}
    GROUP BY partition ORDER BY partition
"""
_ENGINE = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'events'"
_UNREAD = """
    SELECT min(received_ms) FROM events
    WHERE landed_at > fromUnixTimestamp64Micro({since:Int64}, 'UTC')
      AND NOT has({seen:Array(Int64)}, toUnixTimestamp64Micro(landed_at))
"""


@dataclass(frozen=True)
class DroppedPartition:
    """One partition that was dropped: the rows and bytes on disk that it had."""

    table: str
    day: date
    rows: int
    bytes: int


def drop_old_partitions(store: EventStore, first: date) -> list[DroppedPartition]:
    """Drop the days before ``first``. A second call changes nothing.

    Raises NotConfigured on a cluster; the message holds the statement to run there.
    """
    dropped: list[DroppedPartition] = []
    with store.borrow_client() as client:
        if client.command(_ENGINE) == "Distributed":
            statement = "ALTER TABLE events_local ON CLUSTER '{cluster}' DROP PARTITION 'YYYY-MM-DD'"
            raise NotConfigured(
                f"the events lie on a cluster; drop what was received before {first} there, from the tables"
                f" {', '.join(f'{table}_local' for table in TABLES)}: {statement}"
            )
        for table in TABLES:
            for partition, rows, size in client.query(_PARTITIONS, {"table": table}).result_rows:
                day = _parse_partition_day(partition)
                if day is not None and day < first:
                    # DROP PARTITION takes no parameter, so the text holds the date that was parsed.
                    client.command(f"ALTER TABLE {table} DROP PARTITION '{day.isoformat()}'")
                    dropped.append(DroppedPartition(table, day, rows, size))
    return dropped


def find_oldest_unread_ms(store: EventStore, watermark_us: int, seen: Sequence[int]) -> int:
    """Earliest receipt (epoch ms) of the landed events that no run has read yet (`read_touched_sessions`); 0: none."""
    parameters = {"since": max(watermark_us - OVERLAP_US, 0), "seen": list(seen)}
    with store.borrow_client() as client:
        return int(client.query(_UNREAD, parameters).result_rows[0][0] or 0)


def _parse_partition_day(partition: str) -> date | None:
    try:
        return date.fromisoformat(partition)
    except ValueError:
        return None  # `tuple()`: a table without partitions by day
