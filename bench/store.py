"""Benchmarks reading through the event store: ``python -m bench.store SESSIONS DUE ROUNDS`` prints one line of JSON.

Stores SESSIONS client sessions of 40 events (bench/stored.py: four days of receipt, a tenth of them frustrated) in an
embedded ClickHouse, reopens it, and measures

* ``minute``: the batch of every half minute: the DUE sessions that were received last, fetched and analysed
  (``EventStore.read_candidate_events`` and ``ufse.detect``); ``first`` is the first time after opening, with nothing cached;
* ``replay``: everything stored, whole (``EventStore.replay_sessions``): fetched and discarded, with detection, and with every
  detection as JSON text; rates count all stored events, also those that never leave ClickHouse; ``memory_mb``: the most
  that the whole process held meanwhile, ClickHouse included;
* ``scan``: what ClickHouse needs to read the same columns and hash them, without a filter: of everything, and of
  the span of receipt that the minute's batch lies in.
"""

import json
import sys
import tempfile
import time
from functools import partial
from typing import Any, Final

from clickhouse_connect import get_client
from clickhouse_connect.driver.client import Client

from bench.engine import emit
from bench.measure import HighMark, clock
from bench.stored import Stored
from stores.events.event_store import EventStore
from stores.opening import open_event_store_at
from ufse import EVENT_SCHEMA, detect

DAYS: Final = 4
SHARE: Final = 0.1
_DATABASE = "furrow"
_ALWAYS = (0, 2**62)


def run(sessions: int, due: int, rounds: int) -> dict[str, Any]:
    """Seconds on the clock (``_s``) and of CPU (``_cpu_s``, all threads), and stored events per second on the clock."""
    stored = Stored(sessions, SHARE, DAYS)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        store = open_event_store_at(f"chdb://{directory}?database={_DATABASE}")
        store.migrate()
        client = get_client(interface="chdb", path=directory, database=_DATABASE)
        took = _fill(client, stored)
        figures = {
            "events": stored.events,
            "sessions": stored.sessions,
            "frustrated": stored.frustrated,
            "bytes": _one(client, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'events'"),
            "filled": round(stored.events / took),
            "minute": _minute(store, client, stored, due, rounds),
            "replay": _replay(store, client, stored, rounds),
        }
        client.close()
        store.close()
    return figures


def _fill(client: Client, stored: Stored) -> float:
    start = time.perf_counter()
    for statement in stored.inserts():
        client.command(statement)
    took = time.perf_counter() - start
    until = time.monotonic() + 60
    while _one(client, "SELECT count() FROM system.merges") and time.monotonic() < until:
        time.sleep(0.2)
    # The caches must not hold data from filling.
    for cache in ("MARK CACHE", "UNCOMPRESSED CACHE", "QUERY CONDITION CACHE"):
        client.command(f"SYSTEM DROP {cache}")
    return took


def _minute(store: EventStore, client: Client, stored: Stored, due: int, rounds: int) -> dict[str, Any]:
    rows = client.query(
        "SELECT session_hash, min(received_ms), max(received_ms) FROM events "
        f"GROUP BY session_hash ORDER BY min(ts) DESC LIMIT {due}"
    ).result_rows
    hashes, first, last = [row[0] for row in rows], min(row[1] for row in rows), max(row[2] for row in rows)
    expected = stored.frustrated - Stored(stored.sessions - len(rows), SHARE, DAYS).frustrated
    opened, (fetched, found) = clock(lambda: _analysed(store, hashes, first), 1)
    fetch, table = clock(lambda: store.read_candidate_events(hashes, first), rounds)
    detected, _ = clock(lambda: detect(table), rounds)
    both, _ = clock(lambda: _analysed(store, hashes, first), rounds)
    columns = ", ".join(EVENT_SCHEMA.names)
    scan, _ = clock(
        lambda: client.command(
            f"SELECT sum(cityHash64({columns})) FROM events WHERE received_ms >= {first} AND received_ms <= {last}"
        ),
        rounds,
    )
    timed = {"scan": scan, "first": opened, "fetch": fetch, "detect": detected, "total": both}
    return {
        "due": len(rows),
        "frustrated": expected,
        "found": found,
        "fetched_events": fetched,
        **{f"{name}_s": round(took.wall, 4) for name, took in timed.items()},
        **{f"{name}_cpu_s": round(took.cpu, 4) for name, took in timed.items()},
    }


def _analysed(store: EventStore, hashes: list[int], first: int) -> tuple[int, int]:
    table = store.read_candidate_events(hashes, first)
    return table.num_rows, len(detect(table).detections)


def _replay(store: EventStore, client: Client, stored: Stored, rounds: int) -> dict[str, Any]:
    def fetched() -> int:
        return sum(table.num_rows for table in store.replay_sessions(*_ALWAYS))

    def detected() -> int:
        return sum(len(detect(table).detections) for table in store.replay_sessions(*_ALWAYS))

    def emitted() -> int:
        return sum(emit(table) for table in store.replay_sessions(*_ALWAYS))

    scan, _ = clock(
        partial(client.command, f"SELECT sum(cityHash64({', '.join(EVENT_SCHEMA.names)})) FROM events"), rounds
    )
    fetch, left = clock(fetched, rounds)
    detection, found = clock(detected, rounds)
    mark = HighMark()
    emission, told = clock(emitted, rounds)
    used = mark.whole()

    timed = {"scan": scan, "fetched": fetch, "detected": detection, "emitted": emission}
    return {
        "found": found,
        "emitted_found": told,
        "fetched_events": left,
        "memory_mb": None if used is None else round(used / 1e6),
        **{name: round(stored.events / took.wall) for name, took in timed.items()},
        **{f"{name}_cpu_s": round(took.cpu, 3) for name, took in timed.items()},
    }


def _one(client: Client, sql: str) -> int:
    return int(client.query(sql).result_rows[0][0])


def main() -> None:
    """Run the benchmark of this module."""
    sessions, due, rounds = (int(word) for word in sys.argv[1:4])
    print(json.dumps(run(sessions, due, rounds)))


if __name__ == "__main__":
    main()
