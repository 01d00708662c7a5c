"""Trials of the export under faults: what happens to requests, when exporters are killed, and how many there are at once."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from flows.export import export
from flows.rerun_failed_exports import rerun_failed_exports
from tasks import export as tasks_export
from tests.fakes.linear import FakeLinear, rate_limited
from tests.fakes.server import Answer, Fake, Fault, Request
from tests.integration.test_export import is_create
from trackers import gate

SITES = ("cloud", "datacenter", "linear", "github", "gitlab", "webhook")
FIRST_SITES = SITES[:3]
CODES = (400, 401, 403, 404, 408, 409, 410, 413, 422, 425, 429, 500, 502, 503, 504)
STORM = (408, 429, 500, 502, 503, 504)
FAILURES = ("a", "b", "c")
_STEPS = 10


class Killed(BaseException):
    """Stands for SIGKILL: nothing that handles errors sees it, and nothing is written after it."""


@dataclass(frozen=True)
class Trial:
    """``kind`` and ``step`` say what goes wrong; ``seed`` decides what is left to chance."""

    site: str
    kind: str
    step: int = 0
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.site}-{self.kind}-{self.step}-{self.seed}"


def list_trials() -> list[Trial]:
    """All trials, 72 for each site."""
    kinds = [
        *(("answer-lost", step, 0) for step in range(1, 6)),
        *(("answers-lost", share, seed) for share in (25, 55) for seed in range(2)),
        *(("kill-before", step, 0) for step in range(1, _STEPS + 1)),
        *(("kill-after", step, 0) for step in range(1, _STEPS + 1)),
        ("kill-unrecorded", 0, 0),
        *(("code-on-create", code, 0) for code in CODES),
        *(("storm", share, seed) for share in (25, 40, 55) for seed in range(2)),
        *(("four-exporters", share, seed) for share in (0, 25, 40, 55) for seed in range(2)),
        *(("replayed", step, 0) for step in (1, 2)),
        *(("twice", after, 0) for after in (0, 1)),
        *(("late", step, 0) for step in (1, 2)),
        *(("limited", seed, 0) for seed in range(2)),
        *(("lagging", share, seed) for share in (0, 25) for seed in range(2)),
        ("any-code", 40, 0),
    ]
    return [Trial(site, *kind) for site in SITES for kind in kinds]


def choose_trials(every: int) -> list[Trial]:
    """Of so many trials, one: all kinds of faults, on one site or another. Of forges, which share their code, half as many."""
    trials = list_trials()
    sites = {site: [trial for trial in trials if trial.site == site] for site in SITES}
    chosen = []
    for place, (site, ones) in enumerate(sites.items()):
        step = every if site in FIRST_SITES or every == 1 else every * 2
        chosen += ones[0 if step == every else (4 * place - 7) % step :: step]
    return chosen


@dataclass
class Weather:
    """What happens to requests while a trial's faults last."""

    trial: Trial
    fake: Any
    held: list[Request] = field(default_factory=list)
    creates: int = 0
    requests: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.trial}")

    def find_fault(self, request: Request) -> Fault | None:
        """The fault of one request; called by the threads of the fake."""
        with self.fake.guard:
            self.requests += 1
            self.creates += is_create(request)
            return self._choose(request)

    def _choose(self, request: Request) -> Fault | None:
        kind, step = self.trial.kind, self.trial.step
        first = is_create(request) and self.creates == max(step, 1)
        if kind == "answer-lost":
            return Fault(_any, lost=True) if self.requests == step else None
        if kind == "answers-lost":
            return Fault(_any, lost=True) if self._hits(step) else None
        if kind == "code-on-create":
            return self._refuse(step) if is_create(request) and self.creates == 1 else None
        if kind in ("storm", "four-exporters"):
            return self._fail_somehow(request) if self._hits(step) else None
        if kind == "any-code":
            return self._refuse(self.chance.choice(CODES)) if self._hits(step) else None
        if kind == "replayed":
            return Fault(_any, replayed=True) if first else None
        if kind == "twice":
            return Fault(_any, twice=True, twice_after=0.02 * step)
        if kind == "late" and first:
            self.held.append(request)
            return Fault(_any, Answer(504, {}))
        if kind == "limited":
            return self._refuse(429) if self.requests % 4 == 0 else None
        if kind == "lagging":
            lost = is_create(request) and (self.creates == 1 or self._hits(step))
            return Fault(_any, lost=True) if lost else None
        return None

    def _hits(self, share: int) -> bool:
        return self.chance.random() * 100 < share

    def _fail_somehow(self, request: Request) -> Fault:
        way = self.chance.choice(("lost", "code", "code", "twice", "late"))
        if way == "lost":
            return Fault(_any, lost=True)
        if way == "twice":
            return Fault(_any, twice=True)
        if way == "late" and is_create(request):
            self.held.append(request)
            return Fault(_any, Answer(504, {}))
        return self._refuse(self.chance.choice(STORM))

    def _refuse(self, code: int) -> Fault:
        headers = {"Retry-After": "0.02"} if code == 429 else {}
        if code == 429 and isinstance(self.fake, FakeLinear):
            return Fault(_any, rate_limited(**headers))
        return Fault(_any, Answer(code, {"errorMessages": ["no"], "errors": [{"message": "no"}]}, headers))

    def carry_out_late(self) -> None:
        """The tracker carries out what it was asked for long ago."""
        for request in self.held:
            with self.fake.guard:
                self.fake.handle(request)
        self.held.clear()


def _any(_: Request) -> bool:
    return True


@contextmanager
def kills(trial: Trial) -> Iterator[None]:
    """The exporter is killed before or after its nth request, or before it records a ticket; once."""
    if not trial.kind.startswith("kill"):
        yield
        return
    count = 0

    def send_or_die(send: Callable[[], Any]) -> Any:
        nonlocal count
        count += 1
        if count == trial.step and trial.kind == "kill-before":
            raise Killed
        answer = original(send)
        if count == trial.step and trial.kind == "kill-after":
            raise Killed
        return answer

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    original = gate.send_request
    with pytest.MonkeyPatch.context() as patch:
        if trial.kind == "kill-unrecorded":
            patch.setattr(tasks_export, "record_filed", die)
        else:
            patch.setattr(gate, "send_request", send_or_die)
        yield


def disturb(trial: Trial, fake: Any) -> Weather:
    """Run exporters while the trial's faults last."""
    weather = Weather(trial, fake)
    fake.fault = weather.find_fault
    fake.keep_alive = trial.kind in ("twice", "storm", "four-exporters")
    if trial.kind == "lagging":
        fake.lag = 3
    workers = 4 if trial.kind == "four-exporters" else 1
    with kills(trial), ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: _run_one(), range(workers)))
    fake.fault = Fake.fault.__get__(fake)
    return weather


def _run_one() -> None:
    with suppress(Killed):
        export(return_state=True)


def recover(weather: Weather, pass_time: Callable[[], None]) -> None:
    """The faults are over: what comes late comes, time passes, and a person reruns what was refused."""
    export(return_state=True)
    weather.carry_out_late()
    for issue in weather.fake.issues.values():
        issue["unseen"] = 0  # search has caught up
    for _ in range(2):
        pass_time()
        export(return_state=True)
    rerun_failed_exports(return_state=True)
    pass_time()
    export(return_state=True)
