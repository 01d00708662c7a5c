"""Runs the benchmarks: prints tables, then one line of JSON with all figures.

``python -m bench`` takes some minutes. ``--quick`` uses little data, for tests; its rates are not meaningful.
``python -m bench incremental`` stores a hundred million events (4 GB, minutes) and compares a batch in that store with one in
an empty store; ``python -m bench latency`` runs a whole Furrow for some minutes;
``python -m bench sizing`` measures the memory, CPU and disk of an installation; ``python -m bench intake`` measures events/s
durable and landed, with ``wrk``; ``python -m bench browser`` measures what furrow.js costs a page, in Chromium;
``python -m bench pages`` measures the pages and lists of a full store; ``python -m bench incidents`` what one more session and
one more ticket cost beside few and beside many (all have their own ``--help``).
"""

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import browser, incidents, incremental, intake, latency, pages, prefect_database, sizing
from bench.measure import ONE_THREAD, machine

_M = 1e6


def main() -> None:
    """Run the benchmark of this module."""
    alone = {
        "browser": browser.main,
        "incidents": incidents.main,
        "incremental": incremental.main,
        "intake": intake.main,
        "latency": latency.main,
        "pages": pages.main,
        "prefect-database": prefect_database.main,
        "sizing": sizing.main,
    }
    if sys.argv[1:] and sys.argv[1] in alone:
        alone[sys.argv[1]](sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="use little data, to test that it runs")
    parser.add_argument("--events", type=int, default=400_000, help="events of one batch of the engine")
    parser.add_argument("--sessions", type=int, default=350_000, help="stored client sessions, of 40 events each")
    parser.add_argument("--due", type=int, default=3_000, help="sessions of the minute's batch")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds; the fastest counts")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.events, chosen.sessions, chosen.due, chosen.rounds = 2_000, 2_000, 100, 1
    figures = {
        "machine": machine(),
        "engine": _part("bench.engine", chosen.events, chosen.rounds, env=ONE_THREAD),
        "store": _part("bench.store", chosen.sessions, chosen.due, chosen.rounds),
        "incremental": incremental.compare(chosen.sessions, 4, 400 if chosen.quick else 10_000, chosen.rounds),
    }
    _show(figures)
    print(json.dumps(figures))


def _part(module: str, *numbers: int, env: dict[str, str] | None = None) -> Any:
    # A process for each: one is pinned to a core, the other holds ClickHouse, and memory is measured.
    command = [sys.executable, "-m", module, *map(str, numbers)]
    return json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **(env or {})}).stdout
    )


def _show(figures: dict[str, Any]) -> None:
    console = Console(width=120, highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in figures["machine"].items()))
    console.print(_engine(figures["engine"]))
    console.print(_minute(figures["store"]))
    console.print(_replay(figures["store"]))
    console.print(incremental.table(figures["incremental"]))


def _engine(cases: list[dict[str, Any]]) -> Table:
    table = Table(title="Engine, one core: M events/s of CPU (in brackets: times as long as the bare scan and sort)")
    for name in (
        "events a session",
        "frustrated",
        "detections",
        "scan",
        "sort",
        "in order",
        "shuffled",
        "emitted",
        "MB/M",
    ):
        table.add_column(name, justify="right")
    for case in cases:
        bare = 1 / case["scan"] + 1 / case["sort"]
        rates = [f"{case[name] / _M:.2f} ({1 / case[name] / bare:.1f})" for name in ("stored", "shuffled", "emitted")]
        table.add_row(
            f"{case['length']:,}{', one struggle' if case['struggle'] else ''}",
            f"{case['share']:.0%}",
            f"{case['detections']:,}",
            *(f"{case[name] / _M:.1f}" for name in ("scan", "sort")),
            *rates,
            "?" if case["memory_mb"] is None else f"{case['memory_mb']:.0f}",
        )
    return table


def _minute(store: dict[str, Any]) -> Table:
    minute = store["minute"]
    table = Table(title=f"{minute['due']:,} due sessions out of {store['events'] / _M:.1f} M stored events: seconds")
    for name in ("bare scan of their span", "first time", "fetch", "detect", "fetch and detect", "detections"):
        table.add_column(name, justify="right")
    parts = ("scan", "first", "fetch", "detect", "total")
    table.add_row(*(f"{minute[f'{name}_s']:.3f}" for name in parts), f"{minute['found']:,}")
    table.add_row(*(f"CPU {minute[f'{name}_cpu_s']:.3f}" for name in parts), "")
    return table


def _replay(store: dict[str, Any]) -> Table:
    replay = store["replay"]
    table = Table(
        title=f"Replay of {store['events'] / _M:.1f} M stored events: M stored events/s (times the bare scan)"
    )
    for name in ("bare scan", "fetched alone", "with detection", "with emission", "detections", "MB"):
        table.add_column(name, justify="right")
    parts = ("scan", "fetched", "detected", "emitted")
    rates = (f"{replay[name] / _M:.2f} ({replay['scan'] / replay[name]:.1f})" for name in parts)
    table.add_row(*rates, f"{replay['found']:,}", str(replay["memory_mb"] or "?"))
    table.add_row(*(f"CPU {replay[f'{name}_cpu_s']:.2f} s" for name in parts), "", "")
    return table


if __name__ == "__main__":
    main()
