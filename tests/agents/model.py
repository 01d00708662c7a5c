"""The vocabulary of the simulation: applications, steps, people, facts and what happened to a person."""

from dataclasses import dataclass, field

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Control:
    """Something on a page that a person can act on."""

    ident: str
    label: str
    kind: str = "button"
    tag: str = "button"
    selector: str = ""


@dataclass(frozen=True)
class Step:
    """One screen of a task: fields to fill in, then one control that sends a request and leads on."""

    route: str
    fields: tuple[Control, ...]
    action: Control
    method: str
    url: str
    following: str
    other: Control | None = None
    third: str = ""
    form: bool = False


@dataclass(frozen=True)
class Goal:
    """A task a person may have, in order of its steps."""

    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Link:
    """A control that leads to another page."""

    control: Control
    route: str


@dataclass(frozen=True)
class App:
    """An application: style is spa, mpa, hash or graphql."""

    name: str
    style: str
    framework: str
    home: str
    links: tuple[Link, ...]
    goals: tuple[Goal, ...]
    repeat: Control
    login: Step
    poll: str
    help_link: Link
    touch: float = 0.3
    row_step: Step | None = None
    webview: bool = False


@dataclass
class Person:
    """Who sits before the screen."""

    patience: int
    pace: float
    device: str
    double: bool
    temper: float
    leaves_by: str
    engine: str = "chrome"


@dataclass
class Fact:
    """Something that happened in the browser, before any collector saw it; keys with "_" stay inside."""

    at: int
    kind: str
    route: str
    order: int
    control: Control | None = None
    wrong: str = ""
    leaves: bool = False
    data: dict[str, Scalar] = field(default_factory=dict)


@dataclass
class Failure:
    """One try of the person that did not work."""

    at: int
    route: str
    control: Control


@dataclass
class Record:
    """The truth about one goal of one person over the whole client session."""

    goal: str
    failures: list[Failure] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    fields: int = 0
    steps: int = 0
    got: bool = False


@dataclass(frozen=True)
class Fault:
    """What is broken, and what makes it work again: never, retry, reload, other or later."""

    name: str
    heal: str
    after: int = 2


@dataclass
class Story:
    """All that happened in one session, before a collector looks at it."""

    app: App
    failure: str
    difficulty: str
    facts: list[Fact]
    records: list[Record]


def new_button(ident: str, label: str, selector: str) -> Control:
    """Make a button."""
    return Control(ident, label, "button", "button", selector)


def clean_route(route: str) -> str:
    """Cut query and fragment off, as the contract does."""
    return route.split("#", 1)[0].split("?", 1)[0]
