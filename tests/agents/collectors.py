"""Collectors: what each kind of client library or log sends of what happened."""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from tests.agents.labels import Sight
from tests.agents.model import Control, Fact, Scalar, clean_route

Event = dict[str, object]


@dataclass(frozen=True)
class Collector:
    """What a collector knows and sends."""

    name: str
    naming: str = "all"
    metadata: bool = True
    durations: bool = True
    successes: bool = True
    clock: str = "millis"
    submits: bool = True
    doubled: bool = False
    responded: bool = False
    graphql: bool = False
    aliases: bool = False
    leaving: bool = True
    counter: bool = False


COLLECTORS: dict[str, Collector] = {
    each.name: each
    for each in (
        Collector("rich", responded=True, graphql=True, counter=True),
        Collector("types-only", naming="type", metadata=False, aliases=True),
        Collector("failures-only", successes=False, leaving=False),
        Collector("no-durations", durations=False, naming="id"),
        Collector("whole-seconds", clock="seconds"),
        Collector("generated-ids", naming="generated", counter=True),
        Collector("labels-only", naming="label", clock="epoch"),
        Collector("no-submit", submits=False),
        Collector("doubled", doubled=True),
        Collector("access-log", naming="none", clock="seconds", leaving=False),
        Collector("graphql", graphql=True, responded=True),
        Collector("selectors", naming="selector", clock="epoch", leaving=False),
    )
}

WEAK_SIGNS = ("reload", "lost", "login")  # each of them shows trouble only from the second time on
ALIASES = {"navigation": "route_change", "slow": "slow_response", "longtask": "long_task", "submit": "form_submit"}
NAMES = {
    "submit": "form_submit",
    "slow": "performance",
    "longtask": "performance",
    "pageload": "performance",
    "end": "session_end",
}


def name_target(collector: Collector, control: Control, salt: str, labelled: bool) -> str:
    """Give the name under which a collector sends a control; empty when it sends only types."""
    if collector.naming in ("type", "none"):
        return ""
    if collector.naming == "label":
        return control.label
    if collector.naming == "selector":
        return control.selector
    if collector.naming == "generated":
        return control.label if labelled and control.label else generated_id(control, salt)
    return control.ident or control.label or control.kind


def generated_id(control: Control, salt: str) -> str:
    """Make an id as React's useId does."""
    number = zlib.crc32(f"{salt}{control.selector}{control.ident}".encode()) % 1200
    digits = "0123456789abcdefghijklmnopqrstuv"
    text = digits[number % 32]
    while number >= 32:
        number //= 32
        text = digits[number % 32] + text
    return f":r{text}:"


def hashed_selector(control: Control, salt: str) -> str:
    """Make a selector of hashed classes as CSS-in-JS does."""
    number = zlib.crc32(f"{salt}/{control.selector}".encode())
    return f"{control.tag}.css-{number:07x}"


def describe_target(collector: Collector, control: Control, salt: str, labelled: bool) -> dict[str, str]:
    """Write the target of an event."""
    full = {
        "type": control.kind,
        "id": control.ident,
        "selector": control.selector,
        "tagName": control.tag.upper(),
        "label": control.label[:80],
    }
    if collector.naming == "generated":
        full["id"] = generated_id(control, salt)
        full["selector"] = hashed_selector(control, salt)
        if not labelled:
            full.pop("label")
    keep = {"type": ("type",), "id": ("type", "id"), "label": ("type", "label"), "selector": ("selector", "tagName")}
    keys = keep.get(collector.naming, tuple(full))
    return {key: value for key, value in full.items() if key in keys and value}


def format_time(collector: Collector, at: int) -> str | int:
    """Write a moment as the collector's clock does."""
    if collector.clock == "epoch":
        return at
    moment = datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}Z" if collector.clock == "seconds" else f"{moment}.{at % 1000:03d}Z"


def see_server_side(fact: Fact) -> bool:
    """Tell whether a fact reaches a server's access log."""
    if fact.kind == "network":
        lost = fact.data.get("thirdParty") or (
            fact.data.get("status") == 0 and int(fact.data.get("durationMs", 0)) < 1000
        )
        return not lost
    return fact.kind == "navigation" and bool(fact.data.get("_loads"))


def skip_fact(collector: Collector, fact: Fact) -> bool:
    """Tell whether a collector does not send a fact at all."""
    if fact.kind == "dblclick":
        return True
    if collector.name == "access-log":
        return not see_server_side(fact)
    if fact.kind == "network":
        status = int(fact.data.get("status", 0))
        failed = status == 0 or status >= 400
        if fact.data.get("_document"):
            return not failed
        return not collector.successes and not failed
    if fact.kind == "submit":
        return not collector.submits
    if fact.kind in ("end", "visibility"):
        return not collector.leaving
    return fact.kind == "loading" and collector.name not in ("rich", "graphql", "doubled")


def name_event(collector: Collector, fact: Fact) -> str:
    """Name the type of an event in the collector's vocabulary."""
    if not collector.aliases:
        return NAMES.get(fact.kind, fact.kind)
    if fact.kind == "network":
        status = int(fact.data.get("status", 0))
        return "network_error" if status == 0 or status >= 400 else "network_success"
    if fact.kind == "input":
        return "input_blur" if fact.data.get("action") == "blur" else "input_focus"
    if fact.kind == "error" and fact.data.get("errorType") == "promise":
        return "unhandled_rejection"
    return ALIASES.get(fact.kind, NAMES.get(fact.kind, fact.kind))


def write_metadata(collector: Collector, fact: Fact) -> dict[str, Scalar]:
    """Write the metadata a collector sends."""
    if not collector.metadata:
        return {}
    data = {key: value for key, value in fact.data.items() if not key.startswith("_")}
    kinds = {"slow": "slow_response", "longtask": "long_task", "pageload": "page_load"}
    if fact.kind in kinds:
        data["kind"] = kinds[fact.kind]
    if collector.name == "access-log":
        data.pop("navigationType", None)
        data.pop("graphqlErrors", None)
        if data.get("status") == 0:
            data["status"] = 499
    if not collector.durations:
        data.pop("durationMs", None)
    if not collector.responded:
        data.pop("responded", None)
    if not collector.graphql:
        data.pop("graphqlErrors", None)
        data.pop("operationName", None)
    if collector.name in ("failures-only", "selectors", "labels-only"):
        for key in ("loading", "disabled", "thirdParty", "aborted"):
            data.pop(key, None)
    return data


def shows_trouble(collector: Collector, fact: Fact, data: dict[str, Scalar]) -> bool:
    """Tell whether the sent event of a fact shows by itself that something went wrong for the person."""
    if fact.wrong in ("", "dead"):
        return fact.wrong == "dead" and ("responded" in data or "disabled" in data)
    if fact.wrong == "graphql":
        return "graphqlErrors" in data
    if fact.wrong == "invalid":
        return "valid" in data
    return True


class Recorder:
    """Turns the facts of one session into the events of one collector."""

    def __init__(self, collector: Collector, session: str, rng: Random) -> None:
        """Prepare for a session."""
        self.collector = collector
        self.session = session
        self.rng = rng
        self.labelled = rng.random() < 0.5
        self.signs = 0
        self.weak = 0
        self.left_at: list[int] = []
        self.rows: list[tuple[int, Event]] = []

    def record_fact(self, fact: Fact) -> None:
        """Send a fact, if this collector does."""
        collector = self.collector
        if skip_fact(collector, fact):
            return
        if fact.kind == "pageload" and collector.name not in ("rich", "doubled", "no-submit", "types-only"):
            return
        data = write_metadata(collector, fact)
        event: Event = {
            "eventType": name_event(collector, fact),
            "timestamp": format_time(collector, fact.at),
            "sessionId": self.session,
            "route": clean_route(fact.route) if collector.name == "access-log" else fact.route,
        }
        if fact.control is not None and collector.naming != "none":
            target = describe_target(collector, fact.control, self.session, self.labelled)
            if target:
                event["target"] = target
        event["metadata"] = data
        if collector.counter:
            event["seq"] = len(self.rows) + 1
        self.rows.append((fact.at, event))
        if collector.doubled:
            self.repeat_event(fact, event)
        if fact.wrong in WEAK_SIGNS:
            self.weak += collector.name != "access-log" or fact.wrong == "login"
        else:
            self.signs += shows_trouble(collector, fact, data)
        if fact.leaves:
            self.left_at.append(fact.at)

    def repeat_event(self, fact: Fact, event: Event) -> None:
        """Send an event again, as an SDK that was loaded twice does."""
        later = fact.at + self.rng.choice((0, 0, 1, 2, 5, 12, 30, 50))
        copy = dict(event)
        copy["timestamp"] = format_time(self.collector, later)
        self.rows.append((later, copy))

    def give_sight(self) -> Sight:
        """Sum up what this collector saw."""
        named = self.collector.naming not in ("type", "none")
        return Sight(self.signs, self.weak, named, tuple(self.left_at))

    def name_control(self, control: Control | None) -> str:
        """Name a control as this collector does."""
        return "" if control is None else name_target(self.collector, control, self.session, self.labelled)
