"""Scenarios in which every process is real and fresh: `furrow up`, sent to over HTTP, its processes killed at seeded moments.

Slow (a minute or two each), and therefore few. Time is real here: the sessions lie hours back, so that they are due 15 s
after they came. Only a lease of 300 s is ended by hand.
"""

import hashlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec
import psutil
import psycopg

from collector.spool.segments import list_segments
from core.errors import FurrowError
from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents.incident_store import IncidentStore
from tests.chaos import parts
from tests.chaos.line import line
from tests.chaos.outcome import Outcome, incident_outcome
from tests.chaos.scenario import undisturbed
from tests.chaos.stack import Child, Stack
from tests.chaos.traffic import KEYS, Batch, batches, body, traffic
from tests.e2e.installation import Up, until
from tests.fakes import jira as fake_jira
from tests.fakes import linear as fake_linear
from tests.fakes.jira import FakeJira
from tests.fakes.linear import FakeLinear
from tests.fakes.server import Fault, Request

Victim = Literal["collector", "engine", "postgres", "prefect", "furrow up", "everything"]
_VICTIMS: tuple[Victim, ...] = ("collector", "engine", "engine", "postgres", "prefect", "furrow up", "everything")
_DELIVERY_SECONDS = 600.0
_SETTLE_SECONDS = 900.0
_RUN_SECONDS = 240.0
_PAUSE_SECONDS = 0.15


@dataclass(frozen=True)
class FreshPlan:
    """``kills``: (after so many accepted batches, seconds more, whom). ``at_ticket``: the engine is killed when that many
    tickets have just been made and nobody has heard of the last one; 0: never."""

    seed: int
    kills: tuple[tuple[int, float, Victim], ...]
    at_ticket: int

    @classmethod
    def of(cls, seed: int, number: int) -> "FreshPlan":
        """The plan of a seed, for so many batches."""
        rng = random.Random(f"fresh {seed}")
        kills = sorted(
            (
                rng.randint(1, number),
                round(rng.choice((0.0, 0.0, 0.5, 8.0, 17.0)) * rng.random(), 2),
                rng.choice(_VICTIMS),
            )
            for _ in range(rng.choice((1, 2, 2)))
        )
        return cls(seed, tuple(kills), rng.choice((0, 1, 2, 5)))


def fresh(seeds: list[int]) -> Iterator[tuple[str, bool]]:
    """A line for each scenario, and whether all is as in the undisturbed run."""
    with Stack() as stack:
        expected, _ = undisturbed(stack)
        start_ms = stack.start_ms
    for seed in seeds:
        began = time.monotonic()
        with FreshScenario(seed, start_ms) as scenario:
            try:
                found = scenario.run().differences(expected)
            except (AssertionError, FurrowError, httpx.HTTPError) as error:
                found = [f"{type(error).__name__}: {error}"]
        yield line(seed, found, scenario.told, time.monotonic() - began), not found


class FreshScenario:
    """One installation of its own, from its first start to its last stop. Use as a context manager, then `run`."""

    def __init__(self, seed: int, start_ms: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="furrow-chaos-"))
        self.up = Up(self.folder / "data")
        self.batches = batches(list(traffic(start_ms)))
        random.Random(f"order {seed}").shuffle(self.batches)
        self.plan = FreshPlan.of(seed, len(self.batches))
        self.told: list[str] = ["every process fresh"]
        self._closing = ExitStack()
        self._events = len(traffic(start_ms))

    def __enter__(self) -> "FreshScenario":
        self.jira = self._closing.enter_context(FakeJira(lag=10**6))
        self.linear = self._closing.enter_context(FakeLinear())
        return self

    def __exit__(self, *_: object) -> None:
        self.up.kill_everything()
        self._closing.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self) -> Outcome:
        """Start, send and kill, let it recover, stop; what is there in the end."""
        self._start()
        self._add_key()
        if self.plan.at_ticket:
            self._kill_at_ticket()
        self._send_and_kill()
        self._settle()
        outcome = self._incidents()
        self.up.interrupt()
        stored = self._stored()
        outcome.events, outcome.sessions = stored["events"], stored["sessions"]
        return outcome

    # ------------------------------------------------------------------------------------------------ the processes

    def _start(self) -> None:
        self.up.start(
            FURROW_USER_SALT="chaos",
            FURROW_PUBLIC_URL="https://furrow.test",
            FURROW_JIRA_URL=self.jira.address,
            FURROW_JIRA_USER=fake_jira.USER,
            FURROW_JIRA_TOKEN=fake_jira.TOKEN,
            FURROW_JIRA_PROJECT="OPS",
            FURROW_LINEAR_URL=self.linear.url,
            FURROW_LINEAR_KEY=fake_linear.KEY,
            FURROW_LINEAR_TEAM="ENG",
        )

    def _add_key(self) -> None:
        key = KEYS["shop"]
        store = IncidentStore.connect(self._url)
        store.keys.save_api_key(hashlib.sha256(key.encode()).hexdigest(), key[:8], "shop", "ingest")
        store.close()

    @property
    def _postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.up.data / "postgres")

    @property
    def _url(self) -> str:
        return self._postgres.url

    def _kill(self, victim: Victim) -> None:
        """kill -9; what nobody watches over is started again, as an operator would."""
        self.told.append(f"kill -9 of {victim}")
        if victim == "everything":
            self.up.kill_everything()
            self._start()
        elif victim == "furrow up":
            assert self.up.process is not None
            self.up.process.kill()
            self.up.process.wait()
            until(lambda: not self._children(), 60)
            self._start()
        elif victim == "postgres":
            with suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int((self.up.data / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        else:
            for process in self._children(_MODULES[victim]):
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def _children(self, module: str = "") -> list[psutil.Process]:
        found = []
        for process in self.up.processes():
            with suppress(psutil.NoSuchProcess):
                said = process.cmdline()
                if "furrow.installation.child" in said and (not module or module in said):
                    found.append(process)
        return found

    def _kill_at_ticket(self) -> None:
        number = self.plan.at_ticket

        def killing() -> None:
            self.told.append(f"kill -9 of engine between ticket {number} made and recorded")
            for process in self._children("furrow.engine.process"):
                process.kill()

        left = iter(range(1, 10**6))
        for fake in (self.jira, self.linear):
            fake.faults = [
                Fault(lambda request: _is_create(request) and next(left) == number, lost=True, after=killing)
            ]

    # ------------------------------------------------------------------------------------------------- the traffic

    def _send_and_kill(self) -> None:
        kills = list(self.plan.kills)
        for accepted, batch in enumerate(self.batches, 1):
            self._deliver(batch)
            while kills and kills[0][0] <= accepted:
                _, pause, victim = kills.pop(0)
                time.sleep(pause)
                self._kill(victim)
            time.sleep(_PAUSE_SECONDS)

    def _deliver(self, batch: Batch) -> None:
        """Send until it is accepted."""
        end = time.monotonic() + _DELIVERY_SECONDS
        while (status := self._post(batch)) != httpx.codes.ACCEPTED:
            assert status in (0, 401, 429, 503), f"answered {status}"
            assert time.monotonic() < end, "a batch is refused for ever"
            # Keys are unknown while Postgres is away, and a source that shows many unknown keys is slowed down.
            time.sleep(3 if status == httpx.codes.TOO_MANY_REQUESTS else 0.3)

    def _post(self, batch: Batch) -> int:
        content = msgspec.json.encode(body(batch, time.time_ns() // 1_000_000))
        headers = {"content-type": "application/json", "x-api-key": KEYS[batch.project]}
        url = f"http://127.0.0.1:{self.up.port}/v1/events"
        try:
            return httpx.post(url, content=content, headers=headers, timeout=30, trust_env=False).status_code
        except httpx.TransportError:
            return 0

    # ----------------------------------------------------------------------------------------------------- the end

    def _settle(self) -> None:
        end = time.monotonic() + _SETTLE_SECONDS
        while not self._is_quiet():
            assert time.monotonic() < end, f"it does not come to rest: {self._state()}"
            self._try(lambda: self._run("detect/detect"))
            self._try(self._end_leases)
            self._try(lambda: self._run("export/export"))

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except (FurrowError, httpx.HTTPError, psycopg.Error):  # something is still starting
            time.sleep(1)

    def _run(self, deployment: str) -> None:
        with self.up.prefect() as prefect:
            prefect.start_run(deployment, wait_seconds=_RUN_SECONDS)

    def _end_leases(self) -> None:
        with psycopg.connect(self._url) as connection:
            connection.execute("UPDATE outbox SET lease_until = now() - interval '1 s' WHERE state = 'claimed'")
            connection.execute("UPDATE outbox SET retry_at = now() - interval '1 s' WHERE state = 'retry'")

    def _state(self) -> dict[str, Any]:
        with psycopg.connect(self._url) as connection:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM pending_sessions), (SELECT count(*) FROM outbox WHERE state <> 'filed'), "
                "(SELECT count(*) FROM outbox), (SELECT watermark_us FROM cursors WHERE name = 'detect')"
            ).fetchone() or (0, 0, 0, 0)
        stored = self.up.get("/v1/status")["eventsStored"]
        waiting = len(list_segments(self.up.data / "spool")) + len(list((self.up.data / "spool").glob("*.open")))
        return {"pending": row[0], "unfiled": row[1], "outbox": row[2], "stored": stored, "spool": waiting}

    def _is_quiet(self) -> bool:
        try:
            state = self._state()
        except (psycopg.Error, httpx.HTTPError, AssertionError):
            return False
        calm = not (state["pending"] or state["unfiled"] or state["spool"])
        return calm and state["outbox"] > 0 and state["stored"] == self._events and self._all_filed()

    def _all_filed(self) -> bool:
        store = IncidentStore.connect(self._url)
        try:
            return not any(store.outbox.find_exportable_incidents(tracker, 10, 80) for tracker in ("jira", "linear"))
        finally:
            store.close()

    def _incidents(self) -> Outcome:
        store = IncidentStore.connect(self._url)
        try:
            return incident_outcome(self._url, store, self.jira, self.linear)
        finally:
            store.close()

    def _stored(self) -> dict[str, Any]:
        reader = Child(parts.read_store, Connection, f"chdb://{self.up.data / 'clickhouse'}")
        try:
            return dict(reader.receive())
        finally:
            reader.kill()


_MODULES: dict[Victim, str] = {
    "collector": "collector",
    "engine": "furrow.engine.process",
    "prefect": "furrow.prefect_server",
}


def _is_create(request: Request) -> bool:
    return fake_jira.is_create(request) or (request.path == "/graphql" and fake_linear.is_create(request))
