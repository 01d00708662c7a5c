"""What is disturbed in one scenario, all of it from its seed and from the crossings that the undisturbed run made."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from tests.chaos.boundary import Fault, How

Step = Literal["collector", "land", "detect", "export"]
Catalogue = Mapping[Step, Mapping[str, int]]
"""For each step: the crossings that it makes (and how many of each, for people)."""

QUOTA_BYTES = 150_000
_PLENTY = 1 << 30
# So often each (of 100); kills are what the product promises to survive, so most faults are kills.
_HOW: tuple[tuple[How, int], ...] = (
    ("kill", 46), ("raise", 14), ("error", 16), ("cut", 10), ("delay", 4), ("meet", 6), ("postgres", 4),
)  # fmt: skip
# A kill before an operation on a file is the same as one after the operation before it; half a write is something else.
_HOW_SPOOL: tuple[tuple[How, int], ...] = (("kill", 60), ("error", 20), ("torn", 20))


@dataclass(frozen=True)
class Plan:
    """One scenario. ``fast_ms``: clients' clocks are ahead by so much (behind, if negative), told by ``sentAt``."""

    seed: int
    disorder: Literal["", "batches", "events"] = ""
    duplicates: int = 0
    late: bool = False
    fast_ms: int = 0
    hang_ups: int = 0
    spool_max_bytes: int = _PLENTY
    workers: int = 1
    together: bool = False
    faults: tuple[tuple[Step, Fault], ...] = field(default=())

    @property
    def quota(self) -> bool:
        """Whether the spool is so small that it fills."""
        return self.spool_max_bytes < _PLENTY

    def words(self) -> list[str]:
        """The disturbances of delivery, for people; the faults are told when they strike."""
        said = []
        if self.disorder:
            said.append(f"{self.disorder} in any order")
        if self.duplicates:
            said.append(f"{self.duplicates} batches twice")
        if self.late:
            said.append("a part late")
        if self.fast_ms:
            said.append(f"clocks {self.fast_ms / 3_600_000:+.1f} h")
        if self.hang_ups:
            said.append(f"{self.hang_ups} senders hang up")
        if self.quota:
            said.append("spool small")
        if self.together:
            said.append("lander, 2 detect and export at once")
        elif self.workers > 1:
            said.append(f"{self.workers} detect at once")
        return said


def plan(seed: int, catalogue: Catalogue) -> Plan:
    """The plan of a seed; the same seed and crossings give the same plan."""
    rng = random.Random(f"chaos {seed}")
    late = rng.random() < 0.35
    together = not late and rng.random() < 0.25
    return Plan(
        seed=seed,
        disorder=rng.choice(("", "", "batches", "events")),
        duplicates=rng.choice((0, 0, 1, 3)),
        late=late,
        fast_ms=rng.choice((0, 0, 0, 3, -5)) * 3_600_000 + (_minutes_off(rng) if rng.random() < 0.2 else 0),
        hang_ups=rng.choice((0, 0, 2)),
        spool_max_bytes=QUOTA_BYTES if rng.random() < 0.15 else _PLENTY,
        workers=2 if together or rng.random() < 0.4 else 1,
        together=together,
        faults=tuple(
            _fault(random.Random(f"fault {seed} {n}"), catalogue) for n in range(rng.choice((1, 1, 2, 2, 3, 4)))
        ),
    )


def _minutes_off(rng: random.Random) -> int:
    """Up to a quarter of an hour, in ms. No scenario is about less than a minute: a clock that is off by up to 5 s is taken as
    right (events.md, `sentAt`), and near that it depends on the network.
    """
    off = rng.randrange(-900_000, 900_000)
    return off if abs(off) > 60_000 else 0


def _fault(rng: random.Random, catalogue: Catalogue) -> tuple[Step, Fault]:
    steps: tuple[Step, ...] = ("collector", "land", "detect", "export")
    step = rng.choices(steps, (25, 20, 30, 25))[0]
    labels = sorted(catalogue[step])
    if step == "collector" and rng.random() < 0.85:  # what it asks Postgres for are keys alone
        labels = [label for label in labels if label.startswith("spool ")]
    # Rather than by its place among the others: a crossing that comes or goes leaves most plans as they were.
    salt = rng.random()
    label = min(labels, key=lambda one: sha256(f"{salt} {one}".encode()).digest())
    spool = label.startswith("spool ")
    ways = _HOW_SPOOL if spool else _HOW
    how = rng.choices([way for way, _ in ways], [weight for _, weight in ways])[0]
    if how == "torn" and label != "spool write":
        how = "kill"
    if step == "collector" and how in ("raise", "meet", "postgres", "cut"):
        how = "kill"
    occurrence = rng.choice((1, 1, 1, 2, 3, 5))
    when: Literal["before", "after"] = "before" if how in ("meet", "torn", "cut") else rng.choice(("before", "after"))
    return step, Fault(label, occurrence, when, how)
