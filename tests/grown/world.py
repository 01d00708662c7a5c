"""What truly happens in a session, told without any SDK: moments on a time line and the pen that writes them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.grown.blocks import load_blocks
from tests.grown.controls import Control
from tests.grown.paths import shape_path


@dataclass
class Moment:
    """One thing that happened: its time in epoch milliseconds (of a request: its end) and its facts.

    ``failure`` marks what belongs to a failing deed of the person, so that a lens can tell what an SDK shows of it.
    """

    at: float
    kind: str
    route: str
    control: Control | None = None
    failure: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Truth:
    """What happened to the person, decided by the scene."""

    scenario: str
    frustrated: bool = False
    route: str = ""
    control: Control | None = None
    hard: bool = False


class Pen:
    """Writes the moments of one session: it holds the clock, the page and the pace of person and machine."""

    def __init__(self, rng: random.Random, start: float) -> None:
        """Start at a time; the pace of the person and of the machine are drawn once."""
        self.rng = rng
        self.now = start
        self.route = ""
        self.title = ""
        self.moments: list[Moment] = []
        self.pace = rng.uniform(0.45, 1.3)
        self.machine = rng.choice((0.04, 0.06, 0.1, 0.15, 0.25, 0.4)) * rng.uniform(0.7, 1.4)
        self.shut = False

    def draw_pause(self, name: str) -> float:
        """Draw a sample of the person's rhythm, at their pace, in milliseconds."""
        return float(self.rng.choice(load_blocks()["rhythm"][name])) * self.pace

    def let_think(self, factor: float = 1.0) -> None:
        """Let the person look and think."""
        self.now += max(400.0, self.draw_pause("pause") * 0.55 * factor * self.rng.uniform(0.7, 1.3))

    def let_pass(self, low: float, high: float) -> None:
        """Let a time pass, given in seconds."""
        self.now += self.rng.uniform(low, high) * 1000

    def draw_spent(self, app: str, method: str, path: str) -> float:
        """Draw how long the server takes, scaled to the machine of the session, in milliseconds."""
        kinds = load_blocks()["requests"][app]
        samples = kinds.get(f"{method} {shape_path(path)}")
        if not samples:
            samples = kinds["POST /basket/add/N/" if app == "oscar" else "PATCH /api/projects/N"]
        return max(30.0, float(self.rng.choice(samples)) * self.machine * self.rng.uniform(0.8, 1.2))

    def fault_time(self) -> float:
        """Draw how long a failing answer takes, in milliseconds."""
        return float(self.rng.choice(load_blocks()["faults"])) * self.rng.uniform(0.5, 1.3)

    def write_note(self, kind: str, control: Control | None = None, failure: bool = False, **facts: Any) -> Moment:
        """Write a moment at the present time and page."""
        moment = Moment(self.now, kind, self.route, control, failure, facts)
        self.moments.append(moment)
        return moment

    def write_click(self, control: Control, failure: bool = False, **facts: Any) -> Moment:
        """Write a click."""
        return self.write_note("click", control, failure, **facts)

    def write_page(self, route: str, spent: float, failure: bool = False, **facts: Any) -> None:
        """Load or push a page: the moment stands at its start, the clock at its end."""
        origin, self.route = self.route, route
        moment = self.write_note("page", None, failure, spent=spent, origin=origin, **facts)
        moment.facts.setdefault("title", self.title)
        self.now += spent

    def write_request(
        self, method: str, path: str, status: int, spent: float, failure: bool = False, **facts: Any
    ) -> Moment:
        """Write a request that starts now; its moment stands at its end, the clock does not move."""
        moment = Moment(self.now + spent, "request", self.route, None, failure)
        moment.facts = {"method": method, "path": path, "status": status, "spent": spent, **facts}
        self.moments.append(moment)
        return moment

    def fill_field(self, control: Control) -> None:
        """Fill a field: a click or a tabulator into it, typing, and the change when it is left."""
        if self.rng.random() < 0.7:
            self.write_click(control)
        self.write_note("focus", control)
        self.now += max(700.0, self.draw_pause("type") * 0.6)
        self.write_note("change", control)

    def write_scroll(self) -> None:
        """Scroll down the page."""
        self.write_note("scroll", depth=self.rng.choice((25, 45, 50, 75, 90, 100)))

    def burst_gap(self) -> float:
        """Draw the gap between two clicks of a burst."""
        return float(self.rng.choice(load_blocks()["rhythm"]["rage"][:28])) * self.rng.uniform(0.6, 1.0)


@dataclass(frozen=True)
class Outcome:
    """What comes of a deed: ok, error, refused, crash, hang or slow (then ``status`` tells what came)."""

    kind: str
    status: int = 0
    spent: float = 0.0


@dataclass(frozen=True)
class Act:
    """A deed of the person: its page, the control, the fields before it and the request behind it."""

    key: str
    page: str
    control: str
    method: str
    path: str
    form: str = ""
    fields: tuple[str, ...] = ()
    done: str = ""
    steps: int = 0
    refusable: bool = False
    other: str = ""
    label_busy: str = ""

    @property
    def is_invested(self) -> bool:
        """Tell whether the person puts at least two fields or two steps into the deed."""
        return len(self.fields) >= 2 or self.steps >= 2


OK = Outcome("ok")
MORE_MESSAGES = (
    "Cannot read properties of null (reading 'value')",
    "e.submit is not a function",
    "undefined is not iterable (cannot read property Symbol(Symbol.iterator))",
    "Maximum call stack size exceeded",
)


def draw_message(rng: random.Random) -> str:
    """Draw the message of a crash: mostly one of the recordings."""
    known = load_blocks()["messages"][:2]
    return str(rng.choice(known if rng.random() < 0.6 else MORE_MESSAGES))


def fail_by(rng: random.Random) -> Outcome:
    """Draw a failing answer of the server."""
    return Outcome("error", rng.choice((500, 500, 500, 502, 503, 503, 504)))
