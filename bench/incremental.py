"""The cost of a batch in a full store: ``python -m bench incremental``, a smaller one in ``python -m bench``.

Stores client sessions of 40 events (bench/stored.py) over some days of receipt with their rows in ``sessions``, and then takes
batches of new events, received right after the stored ones, through the steps of ``furrow up``: landed as a segment
(``land``), enqueued (``sessionize``), fetched and analysed (``score``), recorded in an embedded Postgres (``upsert``), and
counted for the status (``tell``, which the lander does at intervals, not for each batch). At the end, the steps that the
sessions of all batches reached are counted together, as ``detect`` does every few minutes; ``count`` is the part of one batch.
The same batches go into an empty store; the result is the ratio of the two. Each figure is the minimum of some rounds; memory
is the peak of the whole process, ClickHouse included.

``python -m bench.incremental run DIRECTORY SESSIONS DAYS NEW ROUNDS`` runs one of the two in its own process; a
filled directory is used again. Both get the batch that follows SESSIONS sessions.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from clickhouse_connect import get_client
from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from bench.measure import HighMark, Took, machine
from bench.stored import PER_SESSION, Stored
from stores.embedded_postgres import EmbeddedPostgres
from stores.events.event_store import EventStore
from stores.incidents.incident_store import Cursor, IncidentStore
from stores.opening import open_event_store_at

SHARE: Final = 0.1
_DATABASE = "furrow"
_STEPS = ("land", "sessionize", "due", "score", "upsert", "count")


def compare(sessions: int, days: float, new: int, rounds: int, directory: str | None = None) -> dict[str, Any]:
    """Both parts, and the ratio of their costs (1: stored events add no cost)."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as fresh:
        stored = _part(Path(directory or f"{fresh}/stored"), sessions, days, new, rounds)
        empty = _part(Path(f"{fresh}/empty"), sessions, days, new, rounds, empty=True)
    return {
        "stored": stored,
        "empty": empty,
        "ratio": round(stored["batch_s"] / empty["batch_s"], 2),
        "ratio_cpu": round(stored["batch_cpu_s"] / empty["batch_cpu_s"], 2),
    }


def _part(directory: Path, sessions: int, days: float, new: int, rounds: int, *, empty: bool = False) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.incremental"]
    if not empty:
        # In its own process, so that its memory and caches do not affect the batch.
        subprocess.run([*command, "fill", str(directory), str(sessions), str(days)], check=True)
    words = [str(directory), str(sessions), str(days), str(new), str(rounds)]
    env = {**os.environ, "PREFECT_LOGGING_LEVEL": "WARNING"}  # a line for each batch says nothing here
    told = subprocess.run([*command, "run", *words], check=True, stdout=subprocess.PIPE, env=env)
    return dict(json.loads(told.stdout.splitlines()[-1]))


def fill(directory: Path, stored: Stored) -> None:
    """Store the sessions, unless they are there."""
    store = open_event_store_at(_url(directory))
    store.migrate()
    client = get_client(interface="chdb", path=str(directory), database=_DATABASE)
    if _one(client, "SELECT count() FROM events") < stored.events:
        for statement in stored.inserts():
            client.command(statement)
    if not _one(client, "SELECT count() FROM sessions"):
        for day in range(int(stored.days) + 2):
            client.command(stored.session_rows(day))
            client.command(stored.step_rows(day))
    store.count_events()  # as the lander does continuously
    until = time.monotonic() + 60
    while _one(client, "SELECT count() FROM system.merges") and time.monotonic() < until:
        time.sleep(0.2)
    client.close()
    store.close()


def run(directory: Path, stored: Stored, new: int, rounds: int) -> dict[str, Any]:
    """Seconds on the clock (``_s``) and of CPU in this process (``_cpu_s``) for a batch of ``new`` events."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as fresh:
        postgres = EmbeddedPostgres(Path(fresh) / "postgres")
        postgres.start()
        try:
            os.environ |= {"FURROW_EVENT_STORE_URL": _url(directory), "FURROW_INCIDENT_STORE_URL": postgres.url}
            return _measured(directory, stored, new, rounds)
        finally:
            postgres.stop()


def _measured(directory: Path, stored: Stored, new: int, rounds: int) -> dict[str, Any]:
    from tasks import connections  # reads the settings

    store, incidents = connections.event_store(), connections.incident_store()
    assert isinstance(incidents, IncidentStore)
    client = get_client(interface="chdb", path=str(directory), database=_DATABASE)
    before = _one(client, "SELECT count() FROM events")
    incidents.queue.enqueue_sessions([], Cursor(store.count_events().last_landed_us, ()))
    first = start = max(stored.sessions, before // PER_SESSION)  # a directory that is used again already holds batches
    found = 0
    timed: dict[str, list[Took]] = {}
    mark = HighMark()
    for number in range(rounds + 1):
        last = first + -(-new // PER_SESSION)
        lines = bytes(client.raw_query(f"{stored.select(first, last)} FORMAT JSONEachRow"))
        found += _batch(store, lines, timed)
        if number == 0:
            _count_steps(timed, 1)  # compiles queries
        first = last
    _count_steps(timed, rounds)
    client.close()
    connections.close_connections()
    best = {name: _least(tooks[1:]) for name, tooks in timed.items()}  # the first one opens files and compiles queries
    batch = [sum(getattr(best[name], kind) for name in _STEPS) for kind in ("wall", "cpu")]
    memory = mark.whole()
    return {
        "events": before,
        "new": (first - start) * PER_SESSION // (rounds + 1),
        "detections": found,
        "batch_s": round(batch[0], 4),
        "batch_cpu_s": round(batch[1], 4),
        **{f"{name}_s": round(took.wall, 4) for name, took in best.items()},
        **{f"{name}_cpu_s": round(took.cpu, 4) for name, took in best.items()},
        "memory_mb": None if memory is None else round(memory / 1e6),
    }


def _count_steps(timed: dict[str, list[Took]], batches: int) -> None:
    from tasks.impact import count_impact

    start, cpu = time.perf_counter(), time.process_time()
    count_impact.fn(60)
    took = Took((time.perf_counter() - start) / batches, (time.process_time() - cpu) / batches)
    timed.setdefault("count", []).append(took)


def _batch(store: EventStore, lines: bytes, timed: dict[str, list[Took]]) -> int:
    from tasks.enqueue import sessionize
    from tasks.score import read_due_sessions, score_sessions
    from tasks.upsert import upsert_detections

    def step(name: str, work: Callable[[], Any]) -> Any:
        start, cpu = time.perf_counter(), time.process_time()
        given = work()
        timed.setdefault(name, []).append(Took(time.perf_counter() - start, time.process_time() - cpu))
        return given

    step("land", lambda: store.land_segment(lines, str(hash(lines))))
    step("sessionize", sessionize.fn)
    due = step("due", lambda: read_due_sessions.fn(5_000))
    scored = step("score", lambda: score_sessions.fn(due))
    step("upsert", lambda: upsert_detections.fn(scored.analysed))
    step("tell", lambda: (store.count_events(), store.count_sessions()))
    return int(scored.detections)


def _least(tooks: list[Took]) -> Took:
    return Took(min(one.wall for one in tooks), min(one.cpu for one in tooks))


def _url(directory: Path) -> str:
    return f"chdb://{directory.resolve()}?database={_DATABASE}"


def _one(client: Client, sql: str) -> int:
    return int(client.query(sql).result_rows[0][0])


def table(figures: dict[str, Any]) -> Table:
    """The result as a table."""
    stored, empty = figures["stored"], figures["empty"]
    made = Table(
        title=f"{stored['new']:,} new events beside {stored['events'] / 1e6:.1f} M stored ones: milliseconds"
        f" (in an empty store); {figures['ratio_cpu']} times the CPU, {figures['ratio']} times the time"
    )
    names = ("batch", *_STEPS, "tell")
    for name in ("", *names, "MB"):
        made.add_column(name, justify="right")
    for title, kind in (("clock", "s"), ("CPU", "cpu_s")):
        cells = (f"{stored[f'{n}_{kind}'] * 1e3:.0f} ({empty[f'{n}_{kind}'] * 1e3:.0f})" for n in names)
        made.add_row(title, *cells, f"{stored['memory_mb'] or '?'} ({empty['memory_mb'] or '?'})")
    return made


def main(words: list[str]) -> None:
    """Run the comparison with the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="bench incremental")
    parser.add_argument("--events", type=int, default=100_000_000, help="stored events")
    parser.add_argument("--days", type=float, default=30.0, help="days of receipt over which they are spread")
    parser.add_argument("--new", type=int, default=10_000, help="events of a batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--directory", help="directory to keep the stored events for the next run; without it they are deleted"
    )
    told = parser.parse_args(words)
    figures = compare(told.events // PER_SESSION, told.days, told.new, told.rounds, told.directory)
    Console(width=120, highlight=False).print(table(figures))
    print(json.dumps({"machine": machine(), **figures}))


def _part_alone() -> None:
    if sys.argv[1] == "fill":
        fill(Path(sys.argv[2]), Stored(int(sys.argv[3]), SHARE, float(sys.argv[4])))
        return
    directory, sessions, days, new, rounds = sys.argv[2:7]
    print(json.dumps(run(Path(directory), Stored(int(sessions), SHARE, float(days)), int(new), int(rounds))))


if __name__ == "__main__":
    _part_alone()
