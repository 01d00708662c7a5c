"""What an installation takes: ``python -m bench sizing [--idle 3] [--load 3] [--rate 1000]``.

Starts a ``furrow up`` of its own in a temporary directory, with the default schedules and embedded stores. It measures every
process twice: over ``idle`` minutes without any event, and over ``load`` minutes of ``rate`` events/s over HTTP, in client
sessions of 40 events over 40 s, one in ten frustrated. Each process is measured by

* ``cpu``: CPU seconds (user and system) per second, in percent of one core; other work on the machine does not count;
* ``rss``: resident memory (MiB), in which pages that processes share count in each of them;
* ``pss``: resident memory (MiB), in which a shared page counts once, divided among those who share it: what the machine gives.

* ``own``: resident memory (MiB) that lies in no file. The system can take back the rest at any time and read it again: the
  code of libraries, above all that of ClickHouse.

Memory is the mean of the time measured; ``peak`` is the highest mark (RSS) since the process began. Linux alone has ``pss``.
Then it stops the installation and measures what it left on the disk. The last line is JSON.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil  # type: ignore[import-untyped]
import psycopg
from clickhouse_connect import get_client
from rich.console import Console
from rich.table import Table

from bench.latency import SECONDS, Event, Sender, Traffic, Up
from bench.measure import machine
from stores.embedded_postgres import EmbeddedPostgres

SETTLE_S: Final = 90.0
"""From the start until idling is measured: what a start leaves behind (schedules, first merges) is over then."""
AFTER_S: Final = 45.0
"""After the load: the last sessions are complete and analysed."""
_SAMPLE_S: Final = 5.0
_MIB: Final = 1 << 20
_COLUMNS: Final = ("cpu", "rss", "pss", "own", "peak")
_PARTS: Final = ("supervisor", "collector", "engine", "prefect", "postgres")
_MODULES: Final = {"collector": "collector", "engine": "furrow.engine.process", "prefect": "furrow.prefect_server"}


@dataclass(frozen=True)
class Reading:
    """One part at one moment: CPU seconds since it began, bytes: RSS, PSS and its own (0: not known), the highest RSS."""

    cpu_s: float = 0.0
    rss: int = 0
    pss: int = 0
    own: int = 0
    peak: int = 0

    def __add__(self, other: "Reading") -> "Reading":
        return Reading(
            self.cpu_s + other.cpu_s,
            self.rss + other.rss,
            self.pss + other.pss,
            self.own + other.own,
            max(self.peak, other.peak),
        )


@dataclass(frozen=True)
class Use:
    """What one part took while it was measured: percent of one core, MiB."""

    cpu: float
    rss: float
    pss: float
    own: float
    peak: float


def read(process: psutil.Process) -> Reading:
    """One process now. Raises psutil.Error if it is gone."""
    times, memory = process.cpu_times(), process.memory_info()
    pss = getattr(process.memory_full_info(), "pss", 0)
    own = memory.rss - memory.shared if hasattr(memory, "shared") else 0
    return Reading(times.user + times.system, memory.rss, pss, own, _peak(process.pid, memory.rss))


def _peak(pid: int, rss: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return rss


def processes(up: Up) -> dict[str, list[psutil.Process]]:
    """The processes of an installation by part; Postgres has many, and its first one is no child of ours."""
    found: dict[str, list[psutil.Process]] = defaultdict(list)
    found["supervisor"].append(psutil.Process(up.pid))
    roots = [*psutil.Process(up.pid).children(recursive=True), psutil.Process(_postmaster(up.data))]
    for process in roots:
        words = process.cmdline()
        for part, module in _MODULES.items():
            if module in words:
                found[part].append(process)
    found["postgres"] = [roots[-1], *roots[-1].children(recursive=True)]
    return found


def _postmaster(data: Path) -> int:
    return int((data / "postgres" / "postmaster.pid").read_text().split(maxsplit=1)[0])


def readings(up: Up) -> dict[str, Reading]:
    """Every part now; the sum of its processes."""
    found = {}
    for part, members in processes(up).items():
        whole = Reading()
        for member in members:
            try:
                whole += read(member)
            except psutil.NoSuchProcess:  # a connection of Postgres that was closed meanwhile
                continue
        found[part] = whole
    return found


def watch(up: Up, seconds: float) -> dict[str, Use]:
    """Measure every part for so long."""
    began = time.monotonic()
    first = last = readings(up)
    samples = [first]
    while (left := began + seconds - time.monotonic()) > 0:
        time.sleep(min(_SAMPLE_S, left))
        last = readings(up)
        samples.append(last)
    passed = time.monotonic() - began
    return {part: _use(first[part], last[part], [one[part] for one in samples], passed) for part in _PARTS}


def _use(first: Reading, last: Reading, all_of_it: Sequence[Reading], seconds: float) -> Use:
    names = ("rss", "pss", "own")
    rss, pss, own = (round(sum(getattr(one, name) for one in all_of_it) / len(all_of_it) / _MIB, 1) for name in names)
    cpu = 100 * (last.cpu_s - first.cpu_s) / seconds
    return Use(round(cpu, 2), rss, pss, own, round(last.peak / _MIB, 1))


class Spool(threading.Thread):
    """Notes the most bytes that waited in the spool."""

    def __init__(self, directory: Path) -> None:
        super().__init__(name="spool", daemon=True)
        self.most = 0
        self._directory = directory
        self._over = threading.Event()

    def run(self) -> None:
        """Look ten times a second."""
        while not self._over.wait(0.1):
            self.most = max(self.most, _bytes_below(self._directory))

    def stop(self) -> int:
        """Look no more; the most bytes."""
        self._over.set()
        self.join()
        return self.most


def _bytes_below(directory: Path) -> int:
    whole = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                whole += os.stat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:  # landed meanwhile
                continue
    return whole


def session(name: str, at: float, bad: bool) -> Iterator[tuple[float, Event]]:
    """A session of 40 events whose texts differ as those of an application of 60 pages and 900 controls do.

    The disk is measured with it: copies of one session would be compressed away.
    """
    draw = random.Random(name)
    agent = f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/{draw.randrange(110, 150)}.0.0.0 Safari/537.36"
    route = f"/shop/category-{draw.randrange(20)}"

    def event(offset: float, kind: str, **rest: Any) -> tuple[float, Event]:
        stamp = datetime.fromtimestamp(at + offset, UTC).isoformat(timespec="milliseconds")
        known = {"sessionId": name, "userId": f"user-{draw.randrange(50_000)}" if not bad else name, "userAgent": agent}
        return at + offset, {"eventType": kind, "timestamp": stamp, **known, "route": route, **rest}

    yield event(0, "navigation", metadata={"to": route})
    for n in range(26):
        offset = 1 + n * 0.9 + draw.random() * 0.5
        if n % 3 == 0:
            url = f"/api/products/{draw.randrange(100_000)}?page={draw.randrange(40)}"
            yield event(offset, "network", metadata=_answer("GET", url, 200, draw.randrange(20, 900)))
        elif n % 3 == 1:
            depth = draw.randrange(4_000)
            yield event(offset, "scroll", metadata={"depth": depth, "direction": draw.choice(["down", "up"])})
        else:
            yield event(offset, "click", target=_control(draw), metadata={"inputMethod": "mouse"})
    target = _control(draw)
    for n in range(6):
        begin = 26 + n * (0.6 if bad else 2.1)
        yield event(begin, "click", target=target if bad else _control(draw), metadata={"inputMethod": "mouse"})
        url = f"/api/orders/{draw.randrange(100_000)}"
        yield event(
            begin + 0.3, "network", metadata=_answer("POST", url, 500 if bad else 200, draw.randrange(150, 290))
        )
    yield event(SECONDS, "session_end")


def _control(draw: random.Random) -> dict[str, str]:
    number = draw.randrange(900)
    return {"type": "button", "id": f"control-{number}", "label": f"Choose number {number}"}


def _answer(method: str, url: str, status: int, ms: int) -> dict[str, Any]:
    return {"method": method, "url": url, "status": status, "durationMs": ms}


def measure(idle_s: float, load_s: float, rate: float, settle_s: float = SETTLE_S) -> dict[str, Any]:
    """Start, idle, send, stop, and put together what was measured."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        with Up(Path(directory)) as up:
            time.sleep(settle_s)
            idle = watch(up, idle_s)
            empty = _postgres_bytes(up.data)
            load = _under_load(up, load_s, rate)
            filled = _postgres_bytes(up.data)
            detections = _detections(up.data)
        traffic = load.traffic
        disk = _disk(up.data, traffic.events)
    return {
        "machine": machine(),
        "idle": _told(idle),
        "load": _told(load.use),
        "rate": round(load.rate),
        "events": traffic.events,
        "events_per_request": round(traffic.events / max(traffic.requests, 1)),
        "bytes_per_event": round(traffic.bytes / max(traffic.events, 1)),
        "retried": traffic.retried,
        "spool_most_bytes": load.spool,
        "detections": detections,
        "postgres_bytes_per_detection": round((filled - empty) / max(detections, 1)),
        **disk,
    }


class Load(NamedTuple):
    """What was measured under load: per part, events/s that were sent meanwhile, most bytes in the spool, and all traffic."""

    use: dict[str, Use]
    rate: float
    spool: int
    traffic: Traffic


def _under_load(up: Up, load_s: float, rate: float) -> Load:
    """Measured from when the first sessions end, so that all of the work is going on; sent until all have ended."""
    sender, spool = Sender(up.url, rate, session), Spool(up.data / "spool")

    def send() -> None:
        sender.steady(SECONDS + load_s)
        sender.finish()

    sending = threading.Thread(target=send, name="load")
    sending.start()
    spool.start()
    time.sleep(SECONDS)
    before = sender.traffic.events
    use = watch(up, load_s)
    rate = (sender.traffic.events - before) / load_s
    sending.join()
    most = spool.stop()
    time.sleep(AFTER_S)
    return Load(use, rate, most, sender.traffic)


def _told(used: dict[str, Use]) -> dict[str, Any]:
    whole = {name: round(sum(getattr(one, name) for one in used.values()), 1) for name in _COLUMNS}
    return {**{part: asdict(one) for part, one in used.items()}, "all": whole}


def _postgres_bytes(data: Path) -> int:
    with psycopg.connect(EmbeddedPostgres(data / "postgres").url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


def _detections(data: Path) -> int:
    with psycopg.connect(EmbeddedPostgres(data / "postgres").url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM detections").fetchone()
    return int(row[0]) if row else 0


def _disk(data: Path, events: int) -> dict[str, Any]:
    """Bytes on the disk when all has stopped; those of ClickHouse by table, without what merges left to be deleted."""
    client = get_client(interface="chdb", path=str((data / "clickhouse").resolve()), database="furrow")
    rows = client.query(
        "SELECT table, sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND database = 'furrow' GROUP BY 1"
    ).result_rows
    client.close()
    tables = {row[0]: int(row[1]) for row in rows}
    return {
        "disk_mib": {
            part.name: round(_bytes_below(part) / _MIB, 1) for part in sorted(data.iterdir()) if part.is_dir()
        },
        "clickhouse_bytes_by_table": tables,
        "clickhouse_bytes_per_event": round(sum(tables.values()) / max(events, 1), 1),
    }


def _show(figures: dict[str, Any]) -> None:
    console = Console(width=120, highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in figures["machine"].items()))
    for name, title in (("idle", "Idle"), ("load", f"{figures['rate']:,} events/s")):
        table = Table(title=f"{title}: percent of one core, MiB")
        for column in ("part", *_COLUMNS):
            table.add_column(column, justify="left" if column == "part" else "right")
        for part, use in figures[name].items():
            table.add_row(part, *(f"{use[column]:.1f}" for column in _COLUMNS))
        console.print(table)
    console.print(
        f"{figures['events']:,} events, {figures['events_per_request']} a request, {figures['bytes_per_event']} bytes each "
        f"as sent; ClickHouse keeps {figures['clickhouse_bytes_per_event']} bytes of each, Postgres "
        f"{figures['postgres_bytes_per_detection']:,} of each of {figures['detections']:,} detections; at most "
        f"{figures['spool_most_bytes'] / _MIB:.1f} MiB waited in the spool"
    )
    console.print(f"MiB on the disk afterwards: {figures['disk_mib']}")


def main(words: list[str]) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="bench sizing")
    parser.add_argument("--idle", type=float, default=3.0, help="minutes without events")
    parser.add_argument("--load", type=float, default=3.0, help="minutes under load")
    parser.add_argument("--rate", type=float, default=1_000.0, help="events a second")
    parser.add_argument("--settle", type=float, default=SETTLE_S, help="seconds before idling is measured")
    chosen = parser.parse_args(words)
    figures = measure(chosen.idle * 60, chosen.load * 60, chosen.rate, chosen.settle)
    _show(figures)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
