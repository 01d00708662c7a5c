"""The table ``receipts``: who sent each client session, for the days in which that counts (collector/senders/receipts.py)."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from stores.events.event_store import EventStore

KEEP_DAYS: Final = 8
"""Days after which a receipt is deleted; the table's TTL is the same (schema/clickhouse/005_receipts.sql)."""
VERSION: Final = "005_receipts"

_INSERT_SECONDS = 60
_SENDERS = """
    SELECT session_hash, min(received_ms) AS received_ms, source_today, source_before, ingest_key FROM receipts
    WHERE session_hash IN {hashes:Array(UInt64)}
    GROUP BY session_hash, source_today, source_before, ingest_key
    ORDER BY session_hash, received_ms, source_today, source_before, ingest_key
"""
_ENGINE = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'receipts'"
_PARTITIONS = """
    SELECT DISTINCT partition FROM system.parts
    WHERE active AND database = currentDatabase() AND table = 'receipts' ORDER BY partition
"""
_SINCE = (
    "SELECT toInt64(toUnixTimestamp(min(at))) * 1000 AS since FROM schema_versions WHERE version = {version:String}"
)


def land_receipts(store: EventStore, receipts: bytes, token: str) -> None:
    """Insert the receipts (JSON lines) of one segment; the same ``token`` again changes nothing."""
    if not receipts:
        return
    settings: dict[str, Any] = {
        "insert_deduplicate": 1,
        "insert_deduplication_token": token,
        "max_execution_time": _INSERT_SECONDS,
        "input_format_parallel_parsing": 0,
    }
    with store.borrow_client() as client:
        client.raw_insert("receipts", insert_block=receipts, fmt="JSONEachRow", settings=settings)


def read_session_senders(store: EventStore, hashes: Sequence[int]) -> pa.Table:
    """The senders of these client sessions: session_hash, received_ms (first receipt, epoch ms), source_today, source_before,
    ingest_key.

    Ordered by session and receipt; a sender has one row for each day and key with which it sent.
    """
    return store.query_arrow(_SENDERS, {"hashes": [int(session_hash) for session_hash in hashes]})


def read_receipts_start_ms(store: EventStore) -> int:
    """Since when (epoch ms) receipts are stored; events that were received before have none."""
    return int(store.query_arrow(_SINCE, {"version": VERSION})["since"][0].as_py())


def drop_expired_receipts(store: EventStore, now: datetime) -> None:
    """Drop the expired days (UTC, of receipt). On a cluster only the TTL does this."""
    first = now.astimezone(UTC).date() - timedelta(days=KEEP_DAYS)
    with store.borrow_client() as client:
        if client.command(_ENGINE) == "Distributed":
            return
        for (partition,) in client.query(_PARTITIONS).result_rows:
            if date.fromisoformat(partition) < first:
                # DROP PARTITION takes no parameter, so the text holds the date that was parsed.
                client.command(f"ALTER TABLE receipts DROP PARTITION '{date.fromisoformat(partition).isoformat()}'")
