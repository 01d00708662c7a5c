"""Speed of the engine on one core: ``python bench/ufse_engine.py [--events N] [--share P]``.

Builds whole client sessions of 40 events each, of which a share is truly frustrated, and prints events per second of
``detect`` and of its parts, all in one run, so that the ratios hold on any machine. Sessionizing alone is the yardstick.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

import numpy as np
import pyarrow as pa

from ufse import DEFAULT, EVENT_SCHEMA, UNKNOWN_POSITION, detect, sessionize
from ufse.frame import build, coarse_negative
from ufse.sessions import order_events

PER_SESSION = 40


def _session(frustrated: bool) -> list[dict[str, object]]:
    """One session as rows; times are ms from its start."""
    blank: dict[str, object] = {
        n: "" if EVENT_SCHEMA.field(n).type == pa.string() else UNKNOWN_POSITION if n in "xy" else -1
        for n in EVENT_SCHEMA.names
    }
    pay = {"target_type": "button", "target_id": "pay", "target_label": "Pay now"}
    rows: list[dict[str, object]] = []

    def add(t: int, kind: str, **values: object) -> None:
        known = {"project": "bench", "event_type": kind, "ts": t, "route": "/checkout", "metadata": "{}"}
        rows.append({**blank, **known, **values})

    add(0, "navigation", nav_type="link")
    for i in range(13):
        add(1_000 + 2_000 * i, "scroll", direction="down", depth=5 * i)
        add(1_500 + 2_000 * i, "network", status=200, method="GET", url=f"/api/items/{i}", duration_ms=80)
    for i in range(6):
        add(30_000 + 400 * i, "click", **pay)
        add(
            30_300 + 400 * i,
            "network",
            status=500 if frustrated else 200,
            method="POST",
            url="/api/orders",
            duration_ms=250,
        )
    add(40_000, "session_end")
    assert len(rows) == PER_SESSION
    return rows


def make(events: int, share: float) -> pa.Table:
    """A table of whole sessions, shuffled; ``share`` of them frustrated."""
    sessions = max(events // PER_SESSION, 1)
    templates = [pa.Table.from_pylist(_session(f), schema=EVENT_SCHEMA) for f in (False, True)]
    rng = np.random.default_rng(7)
    picks = rng.random(sessions) < share
    table = pa.concat_tables([templates[int(p)] for p in picks]).combine_chunks()
    number = np.repeat(np.arange(sessions), PER_SESSION)
    ts = table["ts"].to_numpy() + 1_705_312_800_000 + number * 1_000
    columns = {
        "session_id": pa.array([f"session-{i}" for i in range(sessions)]).take(pa.array(number)),
        "event_id": pa.array([str(UUID(int=i)) for i in range(len(number))]),
        "ts": pa.array(ts),
        "received_ms": pa.array(ts),
    }
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table.take(pa.array(rng.permutation(len(number)))).combine_chunks()


def clock(work: Callable[[], object], rounds: int) -> float:
    """Seconds of the fastest of some rounds."""
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    yardstick = 0.0
    for share in (0.0, 0.01, 0.1, 1.0):
        table = make(chosen.events, share)
        ordered = order_events(table, DEFAULT)
        hot = np.zeros(len(ordered.visits), dtype=np.bool_)
        hot[ordered.visit[coarse_negative(ordered, DEFAULT)]] = True
        parts = {
            "sessionize": clock(partial(sessionize, table), chosen.rounds),
            "frame": clock(partial(build, ordered, hot[ordered.visit], DEFAULT), chosen.rounds),
            "detect": clock(partial(detect, table), chosen.rounds),
        }
        yardstick = yardstick or parts["sessionize"]
        found = len(detect(table).detections)
        shown = ", ".join(
            f"{n} {table.num_rows / s / 1e6:.2f} M events/s ({s / yardstick:.1f})" for n, s in parts.items()
        )
        print(f"{share:.0%} frustrated, {found} detections: {shown}")


if __name__ == "__main__":
    main()
