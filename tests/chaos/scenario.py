"""One scenario on the reused stack: deliver the traffic, disturb it as planned, let it recover, and look what is there."""

import random
import re
import shutil
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any

import httpx
import msgspec
import psycopg

from collector.spool.segments import list_segments
from stores.incidents.incident_store import IncidentStore
from tests.chaos import parts
from tests.chaos.boundary import Fault
from tests.chaos.outcome import Outcome, incident_outcome
from tests.chaos.plan import Catalogue, Plan, Step
from tests.chaos.stack import Child, PartDied, Stack
from tests.chaos.traffic import KEYS, Batch, Event, batches, body, is_bridge, shuffled, traffic
from tests.fakes import jira as fake_jira
from tests.fakes import linear as fake_linear
from tests.fakes.jira import FakeJira
from tests.fakes.linear import FakeLinear
from tests.ports import free_port

_ATTEMPTS = 1_000
_SETTLE_ROUNDS = 12
_ROUNDS = 3
_DUE_SECONDS = 16 * 60.0
_LATE_SHARE = 0.15
_START_SECONDS = 120.0
_CLIENT_SECONDS = 60.0


class Scenario:
    """One plan on the stack, in databases and a spool of its own. Use as a context manager, then `run`."""

    def __init__(self, stack: Stack, plan: Plan, name: str = "") -> None:
        self.stack, self.plan = stack, plan
        self.name = name or f"s{plan.seed}_{time.time_ns() % 1_000_000_000}"
        self.folder = stack.folder / self.name
        self.rng = random.Random(f"delivery {plan.seed}")
        self.struck: list[str] = []
        self.problems: list[str] = []
        self.counts: dict[Step, Counter[str]] = {}
        self.refused = 0
        self.revived = 0
        self._waiting = {step: [f for owner, f in plan.faults if owner == step] for step in STEPS}
        self._collector: Child | None = None
        self._armed: Fault | None = None
        self._port = free_port()
        self._closing = ExitStack()

    def __enter__(self) -> "Scenario":
        self.folder.mkdir()
        self.clock = parts.Clock(self.folder / "clock", self.stack.start_ms)
        self.url = self.stack.create(self.name)
        self.jira = self._closing.enter_context(FakeJira(lag=self.rng.choice((0, 0, 10**6))))
        self.linear = self._closing.enter_context(FakeLinear())
        self.environment = {
            "FURROW_DATA_DIR": str(self.folder),
            "FURROW_PORT": str(self._port),
            "FURROW_EVENT_STORE_URL": self.stack.events_url(self.name),
            "FURROW_INCIDENT_STORE_URL": self.url,
            "FURROW_USER_SALT": "chaos",
            "FURROW_INGEST_KEY": KEYS["default"],
            "FURROW_PUBLIC_URL": "https://furrow.test",
            "FURROW_JIRA_URL": self.jira.address,
            "FURROW_JIRA_USER": fake_jira.USER,
            "FURROW_JIRA_TOKEN": fake_jira.TOKEN,
            "FURROW_JIRA_PROJECT": "OPS",
            "FURROW_LINEAR_URL": self.linear.url,
            "FURROW_LINEAR_KEY": fake_linear.KEY,
            "FURROW_LINEAR_TEAM": "ENG",
            "PROMETHEUS_MULTIPROC_DIR": str(self.folder),
            "PREFECT_API_URL": "",
        }
        self.client = self._closing.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=_CLIENT_SECONDS, trust_env=False)
        )
        self.stack.engine.configure(self.environment, self.folder / "clock", self.stack.postmaster)
        return self

    def __exit__(self, *_: object) -> None:
        if self._collector is not None:
            self._collector.kill()
        self._closing.close()
        self.stack.end_servers()
        self.stack.drop(self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self) -> Outcome:
        """Deliver, disturb, recover; what is there in the end."""
        on_time, late = self._split()
        detecting: list[Step] = ["detect"] * self.plan.workers
        exporting: list[Step] = ["export"] * self.plan.workers
        for number, group in enumerate(_parts(on_time, _ROUNDS if self.plan.seed else 1)):
            self._deliver_all(group)
            if self.plan.seed and number < _ROUNDS - 1:
                self._work(("land",))
                if self.plan.late and number == 1:
                    self.clock.advance(_DUE_SECONDS)
                self._work(detecting)
        self._deliver_all(late)
        self._sealed()
        self._work(("land",))
        self.clock.advance(_DUE_SECONDS)
        if self.plan.together:
            self._work(("land", "detect", "detect", "export"))
        self._work(detecting)
        self._work(exporting)
        self._settle()
        return self._outcome()

    # ------------------------------------------------------------------------------------------------ delivery

    def _split(self) -> tuple[list[Batch], list[Batch]]:
        events = list(traffic(self.stack.start_ms))
        late: list[tuple[str, Event]] = []
        if self.plan.late:
            late = [one for one in events if is_bridge(one[1]) or self.rng.random() < _LATE_SHARE]
            chosen = {(project, event["idempotencyKey"]) for project, event in late}
            events = [one for one in events if (one[0], one[1]["idempotencyKey"]) not in chosen]
        if self.plan.disorder == "events":
            events = shuffled(self.rng, events)
        on_time = batches(events)
        if self.plan.disorder == "batches":
            self.rng.shuffle(on_time)
        for _ in range(self.plan.duplicates):
            on_time.insert(self.rng.randrange(len(on_time) + 1), self.rng.choice(on_time))
        return on_time, batches(late)

    def _deliver_all(self, group: Sequence[Batch]) -> None:
        hang_ups = set(self.rng.sample(range(len(group)), min(self.plan.hang_ups, len(group))))
        for place, batch in enumerate(group):
            if place in hang_ups:
                self._hang_up(batch)
        if self.plan.seed and not self.plan.quota:
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(self._deliver, group))
        else:
            for batch in group:
                self._deliver(batch)

    def _deliver(self, batch: Batch) -> None:
        """Send until it is accepted, as a client does."""
        for _ in range(_ATTEMPTS):
            answer = self._post(batch)
            if answer is None or answer.status_code == 401:  # cut; or the keys are not read yet
                time.sleep(0.05)
            elif answer.status_code == 503:
                assert int(answer.headers["retry-after"]) > 0
                self.refused += 1
                self._make_room()
            else:
                assert (answer.status_code, answer.json()["rejected"]) == (202, []), answer.text
                return
        raise AssertionError("a batch is refused for ever")

    def _post(self, batch: Batch) -> httpx.Response | None:
        self._collecting()
        content = msgspec.json.encode(body(batch, self.clock.now_ms, self.plan.fast_ms))
        headers = {"content-type": "application/json", "x-api-key": KEYS[batch.project]}
        try:
            return self.client.post("/v1/events", content=content, headers=headers)
        except httpx.TransportError:
            return None

    def _hang_up(self, batch: Batch) -> None:
        """Send, or send half, and do not wait for the answer."""
        self._collecting()
        content = msgspec.json.encode(body(batch, self.clock.now_ms, self.plan.fast_ms))
        head = (
            f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {KEYS[batch.project]}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        sent = content if self.rng.random() < 0.5 else content[: len(content) // 2]
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=_CLIENT_SECONDS) as line:
            line.sendall(head.encode() + sent)

    def _make_room(self) -> None:
        self._sealed()
        if self.plan.quota:
            self._work(("land",))
        else:
            time.sleep(0.05)

    # ----------------------------------------------------------------------------------------------- processes

    def _collecting(self) -> None:
        with _ONE_AT_A_TIME:
            until = time.monotonic() + _START_SECONDS
            while self._collector is None or not self._collector.alive:
                assert time.monotonic() < until, "the collector does not start"
                self._start_collector()

    def _start_collector(self) -> None:
        if self._collector is not None:
            self._collector.kill()
            self.revived += 1
            if self._armed is not None:
                self.struck.append(f"{self._armed} in the collector")
        self._armed = self._waiting["collector"].pop(0) if self._waiting["collector"] else None
        self._collector = Child(
            parts.run_collector, self.environment, Connection, self.folder / "clock", self.plan.spool_max_bytes
        )
        with suppress(PartDied):
            self._collector.send([self._armed] if self._armed else [])
        while self._collector.alive:
            with suppress(httpx.TransportError):
                if self.client.get("/v1/health").is_success:
                    return
            time.sleep(0.02)

    def _sealed(self) -> None:
        """Wait until nothing is in an open segment."""
        until = time.monotonic() + _START_SECONDS
        while any(path.stat().st_size for path in _existing(self.folder / "spool")):
            assert time.monotonic() < until, "a segment is never sealed"
            self._collecting()
            time.sleep(0.02)

    def _work(self, steps: Sequence[Step]) -> None:
        """Run these steps at once, with the faults that wait for them; again, if that killed the engine."""
        again = True
        while again:
            faults = [fault for step in sorted(set(steps)) for fault in self._waiting[step][:1]]
            ran = self.stack.engine.run(*steps, faults=tuple(faults))
            again = ran is None
            fired = faults if ran is None else ran.fired
            for fault in fired:
                self.struck.append(f"{fault} in {'+'.join(dict.fromkeys(steps))}")
                for step in set(steps):
                    with suppress(ValueError):
                        self._waiting[step].remove(fault)
            self._check(ran, steps)
            if any(fault.how == "postgres" for fault in fired):
                self.stack.revive_postgres()

    def _check(self, ran: parts.Ran | None, steps: Sequence[Step]) -> None:
        if ran is None:
            self.revived += 1
            return
        for step in set(steps):
            counted = self.counts.setdefault(step, Counter())
            counted |= Counter(ran.counts)
            self.counts[step] = counted
        # A fault from outside is transient, whatever it hits: an error that says otherwise gives work up.
        self.problems += [f"{'+'.join(steps)}: {ending}" for ending in ran.endings if _WRONG.search(ending)]

    # ----------------------------------------------------------------------------------------------- the end

    def _settle(self) -> None:
        """No more faults: let time pass and work until nothing is left to do."""
        self._waiting = {step: [] for step in STEPS}
        self.stack.revive_postgres()
        self._restart_if_armed()
        for turn in range(_SETTLE_ROUNDS):
            self._sealed()
            self._work(("land",))
            # A session with new events that nobody made waits for an hour.
            self.clock.advance(60 if turn < _SETTLE_ROUNDS // 2 else 900)
            self._work(("detect",))
            self._end_leases()
            self._work(("export",))
            if self._is_quiet():
                return
        self.struck.append("NOT SETTLED")

    def _restart_if_armed(self) -> None:
        assert self._collector is not None
        with suppress(PartDied):
            counts, fired = self._collector.ask([])
            self.counts["collector"] = Counter(counts)
            self.struck += [f"{fault} in the collector" for fault in fired]
            self._armed = None
        self._collecting()

    def _end_leases(self) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("UPDATE outbox SET lease_until = now() - interval '1 s' WHERE state = 'claimed'")
            connection.execute("UPDATE outbox SET retry_at = now() - interval '1 s' WHERE state = 'retry'")

    def _is_quiet(self) -> bool:
        if list_segments(self.folder / "spool") or any(_existing(self.folder / "spool")):
            return False
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM pending_sessions) + "
                "(SELECT count(*) FROM outbox WHERE state IN ('claimed', 'retry'))"
            ).fetchone()
        return row is not None and row[0] == 0

    def _outcome(self) -> Outcome:
        store = IncidentStore.connect(self.url)
        try:
            outcome = incident_outcome(self.url, store, self.jira, self.linear)
        finally:
            store.close()
        stored: dict[str, Any] = self.stack.engine.ask("events")
        outcome.problems += self.problems
        outcome.events, outcome.sessions = stored["events"], stored["sessions"]
        aside = [path.name for path in (self.folder / "spool" / "quarantine").glob("*.jsonl")]
        outcome.problems += [f"segments set aside: {aside}"] if aside else []
        letters = list((self.folder / "spool" / "dead-letters").glob("*"))
        outcome.problems += [f"dead letters: {[path.name for path in letters]}"] if letters else []
        return outcome


def undisturbed(stack: Stack) -> tuple[Outcome, Catalogue]:
    """The run that all others are compared with, and the crossings that each of its steps made."""
    with Scenario(stack, Plan(0), "undisturbed") as scenario:
        outcome = scenario.run()
        assert not outcome.problems, outcome.problems
        assert outcome.detections, "the traffic holds no frustrated session"
        assert len(outcome.tickets) > 3, "the traffic makes no tickets"
        return outcome, {step: dict(counted) for step, counted in scenario.counts.items()}


def _existing(spool: Any) -> Iterator[Any]:
    for path in spool.glob("*.open"):
        with suppress(FileNotFoundError):
            path.stat()
            yield path


def _parts(items: list[Batch], number: int) -> list[list[Batch]]:
    size = -(-len(items) // number)
    return [items[at : at + size] for at in range(0, len(items), size)]


_ONE_AT_A_TIME = Lock()
_WRONG = re.compile(r"\b(?!TransientError|OSError)\w+Error: ")
STEPS: tuple[Step, ...] = ("collector", "land", "detect", "export")
