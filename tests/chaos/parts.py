"""The processes that chaos drives: a collector, and an engine whose steps are asked for one by one.

Both run the product's own code. What differs from `furrow up`: the engine has no Prefect around it (tasks are called as
plain functions, with their own rule of which errors are retried, and without the pauses); the collector's receipt times and
the time at which sessions are due come from a clock that the suite moves. The fresh installations of
``tests.chaos.fresh`` have neither of these.
"""

import contextvars
import logging
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from prefect import Task

import collector.__main__ as collector_main
import collector.routes.events
import tasks.export
import tasks.report
import tasks.score
from collector.config import CollectorConfig
from core.errors import FurrowError
from core.settings import Settings
from flows.detect import detect
from flows.export import export
from lander.loop import Lander
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentStore
from tasks import connections
from tests.chaos.boundary import BOUNDARY, Crash, Fault, install, put
from trackers.jira import tracker as jira

_CLOCK = struct.Struct("<qq")


class Clock:
    """Simulated time in a file that several processes map: receipts stand still between two moves, the engine's goes on."""

    def __init__(self, path: Path, start_ms: int | None = None) -> None:
        if start_ms is not None:
            path.write_bytes(_CLOCK.pack(start_ms, start_ms * 1_000_000 - time.time_ns()))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _CLOCK.size)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        now_ms, ahead_ns = _CLOCK.unpack(self._memory[:])
        self._memory[:] = _CLOCK.pack(now_ms + round(seconds * 1_000), ahead_ns + round(seconds * 1e9))

    @property
    def now_ms(self) -> int:
        """The receipt time of what arrives now (epoch ms)."""
        return int(_CLOCK.unpack(self._memory[:])[0])

    @property
    def engine_ns(self) -> int:
        """The engine's time (epoch ns)."""
        return time.time_ns() + int(_CLOCK.unpack(self._memory[:])[1])


class _Time:
    """The module ``time`` with another time of day."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.time_ns = now_ns

    def time(self) -> float:
        return self.time_ns() / 1e9

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


# ------------------------------------------------------------------------------------------------------ collector


def run_collector(environment: dict[str, str], control: Connection, clock: Path, spool_max_bytes: int) -> None:
    """A collector until it is killed; ``control`` takes lists of faults to arm and answers with what happened so far."""
    os.environ.update(environment)
    _log_to_file()
    install()
    now = Clock(clock)
    put(collector.routes.events, "time", _Time(lambda: now.now_ms * 1_000_000))
    BOUNDARY.arm(control.recv())
    threading.Thread(target=_obey, args=(control,), daemon=True).start()
    config = CollectorConfig.from_environment()
    changes = {"spool_max_bytes": spool_max_bytes, "seal_seconds": 0.04, "keys_refresh_seconds": 0.5}
    collector_main.serve_collector(config.model_copy(update=changes))


LOG_VARIABLE = "FURROW_CHAOS_LOG"
"""Names the file that the children log to; without it they are quiet."""


def _log_to_file() -> None:
    file = os.open(os.environ.get(LOG_VARIABLE) or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)


def _obey(control: Connection) -> None:
    while True:
        try:
            faults = control.recv()
        except EOFError:  # the suite is gone
            os._exit(0)
        control.send((dict(BOUNDARY.counts), BOUNDARY.fired))
        if faults is not None:
            BOUNDARY.arm(faults)


# --------------------------------------------------------------------------------------------------------- engine


@dataclass
class Ran:
    """What became of the steps that ran at once: their endings, the crossings made, the faults that struck."""

    endings: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    fired: list[Fault] = field(default_factory=list)


def run_engine(control: Connection) -> None:
    """An engine until it is killed. Each message is a method of `_Engine` and its arguments; so is each answer."""
    _log_to_file()
    install()
    _without_prefect()
    engine = _Engine()
    while True:
        try:
            name, arguments = control.recv()
        except EOFError:
            os._exit(0)
        try:
            answer = getattr(engine, name)(*arguments)
        except BaseException as error:
            logging.exception("chaos: %s failed", name)
            answer = error
        control.send(answer)


class _Engine:
    def configure(self, environment: dict[str, str], clock: str, postmaster: str) -> None:
        """Belong to another scenario from now on."""
        os.environ.update(environment)
        for key, connection in list(connections._open.items()):
            if key[0] == "incidents":
                connection.close()  # type: ignore[attr-defined]
            del connections._open[key]
        now = Clock(Path(clock))
        put(tasks.score, "time", _Time(lambda: now.engine_ns))
        BOUNDARY.postmaster = Path(postmaster)

    def run(self, steps: list[str], faults: list[Fault]) -> Ran:
        """Run these steps at once, each in a thread of its own."""
        BOUNDARY.arm(faults)
        ran = Ran(endings=[""] * len(steps))

        def one(place: int) -> None:
            try:
                ran.endings[place] = _STEPS[steps[place]]()
            except Crash as crash:
                ran.endings[place] = f"crashed: {crash}"
            except FurrowError as error:
                ran.endings[place] = f"{type(error).__name__}: {error}"
            except Exception as error:
                logging.exception("chaos: the step %s failed", steps[place])
                ran.endings[place] = f"FAULT {type(error).__name__}: {error}"

        threads = [threading.Thread(target=one, args=(place,)) for place in range(len(steps))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ran.counts, ran.fired = dict(BOUNDARY.counts), list(BOUNDARY.fired)
        BOUNDARY.arm([])
        return ran

    def events(self) -> dict[str, Any]:
        """What the event store holds: distinct events, rows, and the row of each client session."""
        return stored_events(connections.event_store())

    def forget(self, database: str) -> None:
        """Drop a scenario's ClickHouse database."""
        with connections.event_store()._use_client() as client:
            client.command(f"DROP DATABASE IF EXISTS `{database}`")


def stored_events(store: EventStore) -> dict[str, Any]:
    """Distinct events (project, session id, event id, time), and what is known of each analysed client session."""
    events = store.query_arrow("SELECT DISTINCT project, session_id, toString(event_id) AS id, ts FROM events")
    sessions = store.query_arrow(
        "SELECT project, session_id, visits, events, late_events, first_ts, last_ts, detections, "
        "arraySort(rules) AS silent FROM sessions FINAL"
    )
    return {
        "events": {tuple(row.values()) for row in events.to_pylist()},
        "sessions": {
            (row["project"], row["session_id"]): {**row, "silent": tuple(row["silent"])} for row in sessions.to_pylist()
        },
    }


def _land() -> str:
    settings = Settings()
    return f"landed {Lander(settings.spool_dir, connections.event_store, settings.lander_status).land_all_segments()}"


_STEPS: dict[str, Callable[[], str]] = {
    "land": _land,
    "detect": lambda: _ending(detect.fn()),
    "export": lambda: _ending(export.fn()),
}


def _ending(state: Any) -> str:
    return f"{state.name}: {state.message}" if state.message else str(state.name)


_attempt: contextvars.ContextVar[int] = contextvars.ContextVar("attempt", default=1)


class _Failed:
    """As much of Prefect's state as the retry rule looks at."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self, raise_on_failure: bool) -> Exception:
        return self._error


def _call(task: Any, *arguments: Any, **named: Any) -> Any:
    attempt = 1
    while True:
        token = _attempt.set(attempt)
        try:
            return task.fn(*arguments, **named)
        except Exception as error:
            if attempt > task.retries or not task.retry_condition_fn(task, None, _Failed(error)):
                raise
            attempt += 1
        finally:
            _attempt.reset(token)


def _without_prefect() -> None:
    put(Task, "__call__", _call)
    put(tasks.export, "_attempt_number", _attempt.get)
    put(tasks.report, "create_markdown_artifact", lambda **_: None)
    jira.LAG = (0.0, 0.0)


def read_store(control: Connection, url: str) -> None:
    """Answer with `stored_events` of one embedded event store that nobody else has open."""
    control.send(stored_events(EventStore(url)))


def prepare(url: str, keys: list[tuple[str, str, str, str]]) -> None:
    """Migrate an empty incident store and put the keys (hash, prefix, project, role) in."""
    store = IncidentStore.connect(url)
    store.migrate()
    for key in keys:
        store.keys.save_api_key(*key)
    store.close()
