"""Failures: what breaks, where, and from when to when. Nothing here knows who clicks or what the page looks like.

A failure answers a call in place of the application, or lets it pass (``None``). Times are milliseconds since the
session began.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tests.simulated.applications import Application, Call

FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back of one call."""

    status: int
    ms: float
    error: str = ""  # a script error thrown while the answer is shown
    blocked: str = ""  # nothing was sent at all: dead, chunk or validation
    done: bool = False  # the server did what was asked, whatever the page shows

    @property
    def ok(self) -> bool:
        """Whether the person gets what was asked for."""
        return 0 < self.status < 400 and not self.error and not self.blocked


@dataclass
class Failure:
    """One thing that is broken. ``ops`` are the operations it concerns; ``row`` limits it to one row of a list."""

    kind: str
    ops: frozenset[str]
    start: float
    end: float
    how: Callable[["Failure", random.Random, Call, float, Answer], Answer | None]
    status: int = 500
    delay: float = 300
    chance: float = 1.0
    row: int = -1
    memory: dict[str, float] = field(default_factory=dict)

    def answer(self, rng: random.Random, call: Call, at: float, row: int, normal: Answer) -> Answer | None:
        """The broken answer, or ``None`` if this failure leaves the call alone."""
        if not self.start <= at < self.end or (self.ops and call.op not in self.ops):
            return None
        if (self.row >= 0 and row != self.row) or rng.random() > self.chance:
            return None
        return self.how(self, rng, call, at, normal)


def _refuse(failure: Failure, rng: random.Random, call: Call, at: float, normal: Answer) -> Answer:
    return Answer(failure.status, failure.delay * rng.lognormvariate(0, 0.2))


def _slow(failure: Failure, rng: random.Random, call: Call, at: float, normal: Answer) -> Answer:
    return replace(normal, ms=failure.delay * rng.lognormvariate(0, 0.25))


def _late(failure: Failure, rng: random.Random, call: Call, at: float, normal: Answer) -> Answer:
    """The gateway gives up at a fixed time; the work behind it may have been done."""
    return Answer(failure.status, failure.delay + rng.random() * 90, done=rng.random() < 0.2)


def _crash(failure: Failure, rng: random.Random, call: Call, at: float, normal: Answer) -> Answer:
    thing = failure.memory.setdefault("thing", float(rng.randrange(3)))
    text = ("Cannot read properties of undefined (reading 'total')", "e.items is not iterable", "t is null")[int(thing)]
    return replace(normal, error=f"TypeError: {text}", done=True)


def _block(failure: Failure, rng: random.Random, call: Call, at: float, normal: Answer) -> Answer:
    return Answer(0, 0, blocked=failure.kind.partition("_")[0])


def _conflict(failure: Failure, rng: random.Random, call: Call, at: float, normal: Answer) -> Answer | None:
    """The first submit is taken, though slowly; every further one collides with it."""
    if call.op in failure.memory:
        return Answer(409, 150 + rng.random() * 200, done=True)
    failure.memory[call.op] = at
    return replace(normal, ms=failure.delay, done=True)


def _expired(failure: Failure, rng: random.Random, call: Call, at: float, normal: Answer) -> Answer | None:
    """Everything is refused until the person has logged in again (``Session.log_in`` ends the failure)."""
    return None if call.op.startswith(("login", "static")) else Answer(401, 60 + rng.random() * 80)


def _targets(rng: random.Random, app: Application, wanted: Sequence[str]) -> frozenset[str]:
    """What breaks: mostly something this person will use; otherwise any operation of the application."""
    pool = list(wanted) if wanted and rng.random() < 0.85 else [step.call.op for step in app.steps if step.call]
    return frozenset([rng.choice(pool)]) if pool else frozenset(["nothing"])


KINDS: Final[dict[str, float]] = {
    "endpoint_down": 16,
    "rejecting": 12,
    "intermittent": 8,
    "slow_succeeds": 6,
    "slow_fails": 8,
    "crash": 7,
    "validation": 6,
    "dead": 3,
    "chunk": 4,
    "offline": 5,
    "background_only": 5,
    "third_party_tag": 3,
    "third_party_payment": 4,
    "one_row": 5,
    "fixed_midway": 6,
    "double_submit": 4,
    "expired_session": 4,
    "slow_everything": 4,
}


def draw_failure(rng: random.Random, app: Application, wanted: Sequence[str], length_ms: float) -> Failure:
    """One failure of a random kind at a random place. ``length_ms`` is about how long the session will be."""
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    start = 0.0 if rng.random() < 0.7 else rng.random() * length_ms
    failure = Failure(kind, _targets(rng, app, wanted), start, FOREVER, _refuse)
    failure.status = rng.choice([500, 500, 502, 503, 504])
    failure.delay = rng.choice([80.0, 200.0, 600.0, 2_000.0, 9_000.0, 30_000.0])
    background = frozenset(each.call.op for each in app.background)
    match kind:
        case "rejecting":
            failure.status, failure.delay = rng.choice([400, 403, 404, 409, 422, 422, 429]), 60 + rng.random() * 300
        case "intermittent":
            failure.chance = rng.uniform(0.3, 0.7)
        case "slow_succeeds":
            failure.how, failure.delay = _slow, rng.uniform(4_000, 25_000)
        case "slow_fails":
            failure.how, failure.delay = _late, rng.choice([5_000.0, 10_000.0, 15_000.0, 20_000.0, 25_000.0])
            failure.status = rng.choice([500, 503, 504, 504, 0])
        case "crash":
            failure.how = _crash
        case "validation" | "dead" | "chunk":
            failure.how = _block
        case "offline":
            failure.ops, failure.status, failure.delay = frozenset(), 0, rng.choice([15.0, 40.0, 3_000.0])
            failure.start = rng.random() * length_ms
            failure.end = failure.start + rng.choice([12_000.0, 40_000.0, 120_000.0])
        case "background_only":
            failure.ops = background or frozenset(["nothing"])
        case "third_party_tag":
            failure.ops, failure.status = frozenset(["third.tag", "third.chat"]), rng.choice([0, 403, 503])
        case "third_party_payment":
            third = [step.call.op for step in app.steps if step.call and step.call.third_party]
            failure.ops, failure.status = frozenset(third or ["third.tag"]), rng.choice([0, 500, 503])
        case "one_row":
            failure.ops, failure.row = frozenset(s.call.op for s in app.steps if s.call and s.row) or failure.ops, 0
        case "fixed_midway":
            failure.start, failure.end = 0.0, rng.uniform(0.3, 0.9) * length_ms
        case "double_submit":
            failure.how, failure.delay = _conflict, rng.uniform(1_200, 7_000)
            writes = [s.call.op for s in app.steps if s.call and s.call.method == "POST" and s.call.op in wanted]
            failure.ops = frozenset([rng.choice(writes)]) if writes else frozenset(["nothing"])
        case "expired_session":
            failure.ops, failure.how, failure.start = frozenset(), _expired, rng.random() * length_ms * 0.8
        case "slow_everything":
            failure.ops, failure.how, failure.delay = frozenset(), _slow, rng.uniform(2_000, 12_000)
    return failure


def draw_failures(rng: random.Random, app: Application, wanted: Sequence[str], length_ms: float) -> list[Failure]:
    """None, one or several."""
    count = rng.choices([0, 1, 2, 3], [26, 45, 20, 9])[0]
    return [draw_failure(rng, app, wanted, length_ms) for _ in range(count)]
