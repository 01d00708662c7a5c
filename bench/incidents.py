"""What one more session, and one more ticket, cost: ``python -m bench incidents [--sessions 50000] [--waiting 10000]``.

In an embedded Postgres, with the calls that the flows make:

* ``settle``: one more session of an incident is recorded, beside 100 sessions of it and beside ``--sessions``;
* ``claim``: the next incident is claimed for a tracker, of 100 that wait and of ``--waiting``;
* ``count``: how many incidents wait, as log-only mode asks, of both.

The small and the large one are measured in turns in one run, and the result is the ratio of their costs: milliseconds on the
clock, and of CPU in Postgres and in this process together (Linux only; of other programs on the machine it knows nothing). The
figure of each is the median. The last line is JSON.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from rich.console import Console
from rich.table import Table

from bench.incident_rows import Size, fill_incident_store, fill_one_incident, name_incident, name_project
from bench.measure import machine, read_cpu_ns, read_postgres_cpu_ns
from core.private_files import restrict_new_files
from incidents.lifecycle import ConfirmRule
from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents.incident_store import AnalysedSession, Cursor, IncidentStore, TouchedSession

_SMALL: Final = 100
_RULE: Final = ConfirmRule()
_TRACKER: Final = "linear"
"""A tracker that has no ticket yet: all confirmed incidents wait."""
_NUMBERS: Final = (0, 21)
"""The incident with few sessions and the one with many; both are confirmed and of one project."""


@dataclass(frozen=True)
class Cost:
    """Median milliseconds: on the clock, and of CPU in Postgres and this process (0 where it is not known)."""

    wall_ms: float
    cpu_ms: float


class Meter:
    """Measures calls; ``postmaster`` is the process whose children do the work of Postgres."""

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster
        self._took: dict[str, list[tuple[float, float]]] = {}

    def measure(self, name: str, work: Callable[[], object]) -> None:
        """Time one call of ``work``."""
        before = self._read_clocks()
        work()
        after = self._read_clocks()
        self._took.setdefault(name, []).append(((after[0] - before[0]) / 1e6, (after[1] - before[1]) / 1e6))

    def find_cost(self, name: str) -> Cost:
        """The median of the calls but for the first, which compiles statements."""
        wall, cpu = zip(*self._took[name][1:], strict=True)
        return Cost(round(statistics.median(wall), 2), round(statistics.median(cpu), 2))

    def _read_clocks(self) -> tuple[int, int]:
        return time.perf_counter_ns(), read_postgres_cpu_ns(self._postmaster) + read_cpu_ns()


def measure(sessions: int, waiting: int, rounds: int) -> dict[str, Any]:
    """Both sizes of each, and the ratio of their costs (1: the size does not matter)."""
    restrict_new_files()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres")
        postgres.start()
        try:
            meter = Meter(int((postgres.data_dir / "postmaster.pid").read_text().split()[0]))
            _measure_settling(meter, postgres, sessions, rounds)
            _measure_claims(meter, postgres, waiting, rounds)
        finally:
            postgres.stop()
    parts = {
        part: (meter.find_cost(f"{part} small"), meter.find_cost(f"{part} large"))
        for part in ("settle", "claim", "count")
    }
    return {
        "machine": machine(),
        "sessions": [_SMALL, sessions],
        "waiting": [_SMALL, waiting],
        **{
            part: {
                "small_ms": small.wall_ms,
                "large_ms": large.wall_ms,
                "small_cpu_ms": small.cpu_ms,
                "large_cpu_ms": large.cpu_ms,
                "ratio": _divide(large.wall_ms, small.wall_ms),
                "ratio_cpu": _divide(large.cpu_ms, small.cpu_ms),
            }
            for part, (small, large) in parts.items()
        },
    }


def _divide(large: float, small: float) -> float | None:
    return round(large / small, 2) if small else None


@contextmanager
def _open_database(postgres: EmbeddedPostgres, name: str) -> Iterator[tuple[str, IncidentStore]]:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = postgres.build_database_url(name)
    store = IncidentStore.connect(url)
    store.migrate()
    try:
        yield url, store
    finally:
        store.close()


def _measure_settling(meter: Meter, postgres: EmbeddedPostgres, sessions: int, rounds: int) -> None:
    with _open_database(postgres, "settling") as (url, store):
        fill_incident_store(url, Size(incidents=30, detections=0, silences=0))
        for number, size in zip(_NUMBERS, (_SMALL, sessions), strict=True):
            fill_one_incident(url, number, size)
        with psycopg.connect(url) as connection:
            body = connection.execute("SELECT body FROM detections LIMIT 1").fetchone()
        assert body is not None
        for turn in range(rounds + 1):
            for name, number in zip(("settle small", "settle large"), _NUMBERS, strict=True):
                analysed = _queue_session(store, number, f"new-{number}-{turn}", body[0])
                meter.measure(name, lambda one=analysed: store.ledger.record_detections([one], _RULE))  # type: ignore[misc]


def _queue_session(store: IncidentStore, number: int, session: str, body: dict[str, Any]) -> AnalysedSession:
    project = name_project(number)
    store.queue.enqueue_sessions([TouchedSession(project, session, abs(hash(session)) % 2**62, 0, 0)], Cursor())
    (pending,) = [one for one in store.queue.find_due_sessions(1, 100_000) if one.session_id == session]
    detection = {
        **body,
        "projectId": project,
        "detectionId": session,
        "sessionId": session,
        "visitId": session,
        "lastSeen": body["timestamp"],
        "fingerprint": name_incident(number).removeprefix("inc_"),
    }
    return AnalysedSession(pending, (detection,), 1)  # type: ignore[arg-type]  # JSON, as it is stored


def _measure_claims(meter: Meter, postgres: EmbeddedPostgres, waiting: int, rounds: int) -> None:
    with _open_database(postgres, "few") as (few, small), _open_database(postgres, "many") as (many, large):
        for url, number in ((few, _SMALL), (many, waiting)):
            fill_incident_store(url, Size(incidents=number, detections=number * 3, silences=0))
            with psycopg.connect(url, autocommit=True) as connection:
                # Without triggers: a regressed incident does not become confirmed otherwise.
                connection.execute("SET session_replication_role = replica")
                connection.execute(
                    "UPDATE incidents SET status = 'confirmed', affected_sessions = 3, highest_score = 90"
                )
                connection.execute("VACUUM (ANALYZE)")
        for _ in range(min(rounds, _SMALL // 2) + 1):
            for name, store in (("small", small), ("large", large)):
                meter.measure(f"claim {name}", lambda one=store: _claim(one))  # type: ignore[misc]
                meter.measure(f"count {name}", lambda one=store: one.outbox.count_exportable_incidents(_TRACKER, 80))  # type: ignore[misc]


def _claim(store: IncidentStore) -> None:
    claimed = store.outbox.claim_incidents(_TRACKER, limit=1, min_score=80, rate=1_000_000)
    if len(claimed) != 1:
        raise SystemExit("nothing was claimed")


def show_table(figures: dict[str, Any]) -> Table:
    """The figures as a table."""
    table = Table(title="The cost of one more: milliseconds")
    table.add_column("")
    for name in ("small", "large", "ratio", "CPU, small", "CPU, large", "ratio"):
        table.add_column(name, justify="right")
    sizes = {"settle": figures["sessions"], "claim": figures["waiting"], "count": figures["waiting"]}
    for part, (small, large) in sizes.items():
        one = figures[part]
        names = ("small_ms", "large_ms", "ratio", "small_cpu_ms", "large_cpu_ms", "ratio_cpu")
        table.add_row(f"{part} ({small:,}; {large:,})", *(str(one[name]) for name in names))
    return table


def main(words: list[str]) -> None:
    """Run the benchmark with the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="bench incidents")
    parser.add_argument("--sessions", type=int, default=50_000, help="sessions of the large incident")
    parser.add_argument("--waiting", type=int, default=10_000, help="incidents that wait for a ticket")
    parser.add_argument("--rounds", type=int, default=40)
    chosen = parser.parse_args(words)
    figures = measure(chosen.sessions, chosen.waiting, chosen.rounds)
    Console(width=120, highlight=False).print(show_table(figures))
    print(json.dumps(figures))
