"""How many events/s are durable and landed: ``python -m bench intake [--against DIR] [--seconds 8] [--rounds 3]``.

``wrk`` (a load generator in C; Debian: ``apt-get install wrk``) sends batches of 100 and of 10 events to a collector of its own
over HTTP, while a lander moves the segments into an embedded ClickHouse. All of them share the cores of this machine.
Each request has a session of its own: no two events are equal.

* ``durable``: events/s that were answered 202 while ``wrk`` ran; the collector answers after its fsync.
* ``landed``: the same events, divided by the time until the last of them was in ClickHouse.
* ``cpu``: microseconds of CPU an event, by process; ``stages``: shares of the collector's CPU time, sampled in a run of its
  own with one process (a sample belongs to the innermost function of a stage).

``--against DIR`` measures another checkout (with its own ``.venv``, if it has one) in turn with this one, round by round, in
one run; ``ratio`` is the median of ours divided by the median of theirs. The last line is JSON.
"""

import argparse
import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.intake_run import Measured, measure_intake, sample_stages
from bench.measure import machine

BATCHES: Final = (100, 10)
_OURS: Final = Path(__file__).resolve().parent.parent


def measure(
    against: Path | None, seconds: float, rounds: int, connections: int, processes: int | None
) -> dict[str, Any]:
    """All figures of both batch sizes."""
    checkouts = {"ours": _OURS} | ({"theirs": against.resolve()} if against else {})
    found: dict[str, Any] = {"machine": machine(), "seconds": seconds, "connections": connections, "batches": {}}
    for batch in BATCHES:
        runs: dict[str, list[Measured]] = {name: [] for name in checkouts}
        for _ in range(rounds):
            for name, checkout in checkouts.items():
                own = processes if name == "ours" else None
                runs[name].append(measure_intake(checkout, batch, seconds, connections, own))
        figures: dict[str, Any] = {name: _summarise(of_checkout) for name, of_checkout in runs.items()}
        for name, checkout in checkouts.items():
            figures[name]["stages"] = sample_stages(checkout, batch, min(seconds, 6.0), connections)
        if against:
            figures["ratio"] = {
                name: round(figures["ours"][name] / figures["theirs"][name], 2) for name in ("durable", "landed")
            }
        found["batches"][str(batch)] = figures
    return found


def _summarise(runs: list[Measured]) -> dict[str, Any]:
    def median(values: list[float]) -> float:
        return round(statistics.median(values), 1)

    return {
        "durable": median([run.durable for run in runs]),
        "landed": median([run.landed for run in runs]),
        "rounds": [round(run.landed) for run in runs],
        "cpu": {part: median([run.cpu_us[part] for run in runs]) for part in runs[0].cpu_us},
        "latency_ms": {name: median([run.latency_ms[name] for run in runs]) for name in runs[0].latency_ms},
        "memory_mb": median([run.memory_mb for run in runs]),
    }


def _show(figures: dict[str, Any]) -> None:
    console = Console(width=120, highlight=False)
    table = Table(title="Intake: events/s, durable and landed; microseconds of CPU an event")
    for name in ("batch", "checkout", "durable", "landed", "collector", "lander", "wrk", "p50 ms", "p99 ms", "MB"):
        table.add_column(name, justify="right")
    for batch, of_batch in figures["batches"].items():
        for name in ("ours", "theirs"):
            if name not in of_batch:
                continue
            one = of_batch[name]
            cpu, late = one["cpu"], one["latency_ms"]
            cells = (*(f"{cpu[part]:.1f}" for part in ("collector", "lander", "wrk")), late["p50"], late["p99"])
            rates = (f"{one['durable']:,.0f}", f"{one['landed']:,.0f}")
            table.add_row(batch, name, *rates, *map(str, cells), f"{one['memory_mb']:.0f}")
        if "ratio" in of_batch:
            ratio = of_batch["ratio"]
            table.add_row(batch, "ratio", f"{ratio['durable']:.2f}", f"{ratio['landed']:.2f}", *[""] * 6)
    console.print(table)
    for batch, of_batch in figures["batches"].items():
        for name in ("ours", "theirs"):
            if name in of_batch:
                shares = ", ".join(f"{stage} {share:.0%}" for stage, share in of_batch[name]["stages"].items())
                console.print(f"batch {batch}, {name}: {shares}")


def main(words: list[str]) -> None:
    """Run the benchmark of this module."""
    parser = argparse.ArgumentParser(prog="bench intake", description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout, measured in turn with this one")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long wrk sends in a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median counts")
    parser.add_argument("--connections", type=int, default=32, help="connections of wrk")
    parser.add_argument("--processes", type=int, help="collector processes of this checkout; default: its own default")
    chosen = parser.parse_args(words)
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed (Debian: apt-get install wrk)")
    figures = measure(chosen.against, chosen.seconds, chosen.rounds, chosen.connections, chosen.processes)
    _show(figures)
    print(json.dumps(figures))
