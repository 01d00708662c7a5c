"""Plays one person's session in one application and writes it down as one collector would.

A player keeps everything that happened in full; `Player.lines` then leaves out what its vocabulary cannot tell. Times are
seconds since the session began; gaps between human acts are log-normal, as they are in real sessions.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.corpus.sites import SITES, Action, Control, Site

EPOCH = datetime(2025, 9, 15, 6, tzinfo=UTC)
Outcome = int | str


@dataclass(frozen=True)
class Vocabulary:
    """What a collector tells: `caps` are the capabilities that a kind may need to be told honestly."""

    name: str
    caps: frozenset[str]
    aliases: bool = False


def _vocabulary(name: str, caps: str, aliases: bool = False) -> Vocabulary:
    return Vocabulary(name, frozenset(caps.split()), aliases)


VOCABULARIES = (
    _vocabulary("rich", "url status dur success inputs loading named clicks meta errors scroll hidden"),
    _vocabulary("rich_touch", "url status dur success inputs loading named clicks meta errors scroll hidden"),
    _vocabulary("web", "url status success inputs named clicks errors scroll hidden"),
    _vocabulary("apm", "url status dur success loading named errors"),
    _vocabulary("legacy", "url status success inputs named clicks errors scroll", aliases=True),
    _vocabulary("seed", "success inputs scroll", aliases=True),
    _vocabulary("mute", "", aliases=True),
)

ALIASES = {"navigation": "route_change", "performance": "slow_response"}
AGENTS = {
    "mouse": "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
    "keyboard": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/128.0 Safari/537.36",
    "touch": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
}
POOR_META = {"depth", "direction", "from", "state"}


@dataclass(frozen=True)
class Temper:
    """How a person takes a failure: seconds before trying again, extra clicks while waiting, how often tried at all."""

    name: str
    wait: float
    spread: float
    mash: tuple[int, int]
    tries: tuple[int, int]


PATIENT = Temper("patient", 15, 0.35, (0, 0), (3, 5))
BRISK = Temper("brisk", 4, 0.5, (0, 1), (3, 6))
ANGRY = Temper("angry", 1.2, 0.5, (3, 8), (2, 4))
SLOW = Temper("slow", 55, 0.35, (0, 1), (3, 4))
TEMPERS = (PATIENT, BRISK, ANGRY, SLOW)


@dataclass
class Happening:
    """One thing that happened, in full."""

    at: float
    kind: str
    route: str
    control: Control | None
    meta: dict[str, Any]
    order: int
    by: int = -1
    """Order of the click that caused it; -1: nothing did, or it is not known."""


@dataclass
class Player:
    """One session being played. `blame` sets the failure point that a person would name."""

    rng: random.Random
    site: Site
    vocabulary: Vocabulary
    device: str
    t: float = 0.0
    route: str = ""
    tape: list[Happening] = field(default_factory=list)
    point: tuple[str, Control | None] = ("", None)
    agent: str = ""
    noisy: bool = True
    temper: Temper = BRISK
    entity: str = ""
    spinner: bool = False
    rejections: bool = False
    full_page: bool = False
    causing: int = -1
    """Order of the click whose answers are being written down; -1 without one."""

    def __post_init__(self) -> None:
        self.agent = AGENTS[self.device]
        self.temper = self.rng.choice(TEMPERS)
        self.entity = self.site.new_id(self.rng)
        self.spinner = self.rng.random() < 0.6
        self.rejections = self.rng.random() < 0.35
        self.full_page = self.site.api == "form" and self.rng.random() < 0.5
        self.route = self.site.home

    # --- time

    def gap(self, median: float, sigma: float = 0.45) -> float:
        """A log-normal gap in seconds."""
        return self.rng.lognormvariate(math.log(median), sigma)

    def wait(self, median: float, sigma: float = 0.45) -> None:
        """Let about `median` seconds pass."""
        self.t += self.gap(median, sigma)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.rng.random() < p

    # --- writing down

    def note(
        self,
        kind: str,
        control: Control | None = None,
        /,
        at: float | None = None,
        route: str | None = None,
        **meta: Any,
    ) -> None:
        """Write one happening down, now or `at` another time."""
        when = self.t if at is None else at
        clean = {key.rstrip("_"): value for key, value in meta.items() if value is not None}  # `from_` is `from`
        where = self.route if route is None else route
        self.tape.append(Happening(max(0.0, when), kind, where, control, clean, len(self.tape), self.causing))

    def request(self, status: int, method: str, url: str, dur: float, at: float | None = None, **meta: Any) -> None:
        """A request that ends `at`; `dur` seconds."""
        when = self.t if at is None else at
        self.note("network", at=when, status=status, method=method, url=url, durationMs=round(dur * 1000), **meta)
        if dur > 3 and not meta.get("aborted") and not meta.get("thirdParty"):
            self.note("performance", at=when + 0.001, kind="slow_response", durationMs=round(dur * 1000))

    def click(self, control: Control, at: float | None = None, **meta: Any) -> None:
        """One click (or tap, or Enter) on a control."""
        base = int(hashlib.md5(f"{self.route}{control.id}".encode()).hexdigest()[:6], 16)
        x, y = 80 + base % 900 + self.rng.gauss(0, 2.5), 120 + base // 900 % 500 + self.rng.gauss(0, 2.5)
        where = {"x": round(x), "y": round(y)} if self.device != "keyboard" else {}
        known = {"clickCount": 1, "inputMethod": self.device, **where, **meta}
        self.note("click", control, at, **known)

    # --- what people do

    def think(self, median: float = 4.0) -> None:
        """Read, look around, now and then scroll or hover."""
        end = self.t + self.gap(median)
        while self.t < end and self.chance(0.75):
            self.t += self.gap(1.6)
            if self.chance(0.7):
                self.note("scroll", depth=self.rng.randrange(5, 100), direction=self.rng.choice(["down", "down", "up"]))
            elif self.device == "mouse":
                self.note("hover", Control(f"card-{self.rng.randrange(9)}", "Card", "div", "card"))
        self.t = max(self.t, end) + self.gap(0.4)

    def visit(self, route: str, how: str = "push", ok: bool = True) -> None:
        """Arrive on a page that loads well."""
        before, self.route = self.route, route
        if self.site.api == "form" and how == "push":
            how = "link"
        self.note("navigation", from_=before, navigationType=how)
        self.t += 0.02
        if ok:
            for _ in range(self.rng.randrange(1, 3)):
                self.t += self.gap(0.18)
                self.request(200, "POST" if self.site.api == "graphql" else "GET", self.page_url(), self.gap(0.15))
            self.t += self.gap(0.5)

    def page_url(self) -> str:
        """The endpoint that this page's data come from; one URL for everything in a GraphQL application."""
        if self.site.api == "graphql" or self.route in {self.site.home, self.site.listing}:
            return self.site.data
        stem, dot, ext = self.site.data.rpartition(".")
        last = self.route.rstrip("/").rsplit("/", 1)[-1]
        return f"{stem}/{last}{dot}{ext}" if stem else f"{self.site.data}/{last}"

    def link(self, label: str, route: str) -> None:
        """Click a link and arrive."""
        slug = label.lower().replace(" ", "-")
        self.click(Control(f"nav-{slug}", label, "a", "link", "nav"), responded=True)
        self.wait(0.25)
        self.visit(route)

    def browse(self) -> None:
        """On to another page than this one: from a list to an item, from anywhere else to the list."""
        if self.route == self.site.listing:
            self.open_item(self.item(fresh=True))
        else:
            self.link("Browse", self.site.listing)

    def open_item(self, route: str) -> None:
        """Click one item's own link."""
        self.click(Control(f"item:{route[-6:]}", f"Item {route[-6:]}", "a", "link"), responded=True)
        self.wait(0.25)
        self.visit(route)

    def arrive(self, pages: int | None = None) -> None:
        """Come in and look at a few pages, with nothing wrong."""
        self.note("navigation", navigationType="link")
        self.visit(self.site.home, "replace")
        self.think()
        for _ in range(self.rng.randrange(0, 4) if pages is None else pages):
            self.browse()
            self.think(5)

    def item(self, fresh: bool = False) -> str:
        """The route of the session's item, or of another one."""
        return self.site.item.replace("{id}", self.site.new_id(self.rng) if fresh else self.entity)

    def fill(self, names: tuple[str, ...] = ("name", "street", "city")) -> None:
        """Fill in fields, never showing a value."""
        for name in names:
            control = Control(f"field-{name}", name.capitalize(), "input", "text", "form")
            if self.device != "keyboard":
                self.click(control)
            self.note("input", control, self.t + 0.03, action="focus", fieldType="text")
            self.t += self.gap(3.5)
            self.note("input", control, action="change", fieldType="text")
            self.note("input", control, self.t + 0.02, action="blur", fieldType="text")
            self.t += self.gap(0.5)

    def name_of(self, route: str) -> str:
        """What a link to a route says: its last part that is no id."""
        known = "".join(a.route for a in self.site.actions.values())
        return next((part.capitalize() for part in reversed(route.split("/")) if part and part in known), "Open")

    def go(self, role: str, fresh: bool = False) -> Action:
        """Walk to the page of a role's control, and return the action."""
        action = self.site.action(role, self.site.new_id(self.rng) if fresh else self.entity)
        if self.route != action.route:
            self.link(self.name_of(action.route), action.route)
            self.think(3)
        return action

    def row(self) -> Action:
        """The role of a table's row button, with a row's own id."""
        number = self.site.new_id(self.rng)
        action = self.site.action("row", number)
        return replace(action, control=replace(action.control, id=f"{action.control.id}:{number}"))

    # --- requests started by a person

    def attempt(self, action: Action, out: Outcome = 200, dur: float | None = None, mash: int = 0, **meta: Any) -> None:
        """Use a control; its request ends with `out` after `dur` seconds, and the person clicks `mash` times more.

        `out` is a status, `crash` (the handler throws), `hang` (no answer is ever seen), `gql` (200 with errors) or
        `conflict`-like statuses. Time stands at the end of the last answer, or of the last click.
        """
        failed = out in ("crash", "gql", "hang") or (isinstance(out, int) and (out == 0 or out >= 400))
        takes = dur if dur is not None else self.gap(0.7 if failed else 0.3)
        responded = True if self.spinner else (None if self.chance(0.4) else takes < 1 and out != "crash")
        start, made = self.t, len(self.tape)
        self.click(action.control, responded=responded, **meta)
        self._submit(action, start)
        if self.spinner and out != "crash":
            self.note("loading", at=start + 0.02, state="start")
        self._answer(action, out, takes, start, made)
        for _ in range(mash):
            self.t += self.gap(0.3, 0.4) if self.t > start else self.gap(0.8)
            made = len(self.tape)
            pending = self.t < start + takes and out != "crash"
            self.click(action.control, loading=True if pending and self.spinner else None, responded=False)
            if not pending or (not self.spinner and takes < 2):
                self._submit(action, self.t)
                self._answer(action, out, takes * self.gap(1, 0.2), self.t, made)
        self.t = max(self.t, start + (takes if out != "hang" else 0)) + 0.05
        if not failed and action.done:
            self.visit(action.done)
        elif self.full_page and isinstance(out, int):
            self.note("navigation", from_=self.route, navigationType="link")  # the server renders the page again

    def _submit(self, action: Action, at: float) -> None:
        if action.role in {"submit", "login", "save", "send", "next"} and self.site.api == "form":
            self.note("form_submit", action.control, at + 0.01, valid=True)

    def _answer(self, action: Action, out: Outcome, takes: float, start: float, made: int) -> None:
        """Write down what the click with the order `made` led to."""
        self.causing = made
        self._write_answer(action, out, takes, start)
        self.causing = -1

    def _write_answer(self, action: Action, out: Outcome, takes: float, start: float) -> None:
        end = start + takes
        if out == "hang":
            return
        if out == "crash":
            message = self.rng.choice(["TypeError: t is undefined", "Cannot read properties of null (reading 'id')"])
            self.note("error", at=start + 0.01 + takes * 0.1, errorType="javascript", message=message, source="/app.js")
            return
        if out == "gql":
            self.request(200, action.method, action.url, takes, end)
            self.note("error", at=end + 0.01, errorType="promise", message="GraphQL error: internal", source="/app.js")
            return
        self.request(int(out), action.method, action.url, takes, end)
        if self.spinner:
            self.note("loading", at=end + 0.005, state="end")
        if self.rejections and (out == 0 or int(out) >= 500):
            message = f"Request failed with status code {out}" if out else "NetworkError when attempting to fetch"
            self.note("error", at=end + 0.01, errorType="promise", message=message, source="/app.js")

    def cool(self) -> None:
        """The pause of this person's temper before the next try."""
        self.wait(self.temper.wait, self.temper.spread)

    def mash(self) -> int:
        """How many extra clicks this person adds to one."""
        return self.rng.randint(*self.temper.mash)

    def tries(self) -> int:
        """How often this person tries at all."""
        return self.rng.randint(*self.temper.tries)

    def persist(
        self,
        action: Action,
        outcome: Callable[[], Outcome],
        dur: Callable[[], float] | None = None,
        between: Callable[[], None] | None = None,
        tries: int | None = None,
    ) -> None:
        """Try again and again in this person's temper; nothing ever works. The action becomes the failure point."""
        self.blame(action)
        for n in range(tries or self.tries()):
            if n:
                self.cool()
                if between:
                    between()
            self.attempt(action, outcome(), dur() if dur else None, self.mash())

    def blame(self, action: Action) -> None:
        """Name the failure point."""
        self.point = (action.route, action.control)

    def reload(self, ok: bool = True) -> None:
        """Reload the page."""
        self.note("navigation", from_=self.route, navigationType="reload")
        self.t += 0.02
        if ok:
            self.t += self.gap(0.3)
            self.request(200, "POST" if self.site.api == "graphql" else "GET", self.page_url(), self.gap(0.2))

    def leave(self, *styles: str) -> None:
        """Stop without having got there: close, end, wander, help or idle."""
        style = self.rng.choice(styles or ("close", "end", "wander", "help", "idle"))
        self.wait(3)
        if style == "wander":
            for _ in range(self.rng.randrange(1, 4)):
                if self.chance(0.4) and self.route != self.site.home:
                    self.link("Home", self.site.home)
                else:
                    self.browse()
                self.think(4)
        elif style == "help":
            self.link("Help", self.site.help)
            self.think(9)
        if style in {"close", "help"}:
            self.note("visibility", state="hidden")
        elif style == "end":
            self.note("session_end")

    def happy_end(self) -> None:
        """Go on calmly after something that went well or did not matter."""
        for _ in range(self.rng.randrange(0, 3)):
            self.think(5)
            self.browse()
        self.think(4)
        if self.chance(0.5):
            self.note("session_end")

    def task(self, without: str = "") -> None:
        """One small thing of everyday use that works; never the one it is to do `without`."""
        pick = self.rng.choice([role for role in ("item", "search", "row", "save", "more", "add") if role != without])
        if pick == "item":
            self.browse()
            self.think(4)
            self.browse()
            self.think(8)
            return
        action = self.go(pick, fresh=True)
        if pick == "save":
            self.fill(("name",))
        if pick == "search":
            self.fill(("term",))
        self.attempt(self.row() if pick == "row" else action)
        self.think(5)

    # --- what goes on by itself

    def noise(self) -> None:
        """Polling, beacons and tabs put aside: what goes on in any page, some of it failing."""
        if not self.noisy or "url" not in self.vocabulary.caps or not self.tape:
            return
        end = max(h.at for h in self.tape)
        routes = sorted((h.at, h.order, h.route) for h in self.tape)

        def where(at: float) -> str:
            return next((r for t, _, r in reversed(routes) if t <= at), routes[0][2])

        broken_beacon, broken_poll = self.chance(0.25), self.chance(0.12)
        if self.chance(0.5):
            period, at = self.rng.choice([10.0, 15.0, 30.0, 60.0]), self.gap(3)
            method = "POST" if self.site.api == "graphql" else "GET"
            while at < end:
                status = 503 if broken_poll and self.site.api != "graphql" else 200
                self._background(where(at), at, status, method, self.site.poll, 0.2)
                at += period + self.rng.gauss(0, 0.05)
        if self.chance(0.6):
            for at, _, route in routes:
                if self.chance(0.08):
                    self._background(
                        route, at + self.gap(0.6), 0 if broken_beacon else 204, "POST", "/collect", 0.1, True
                    )

    def _background(
        self, route: str, at: float, status: int, method: str, url: str, dur: float, third: bool = False
    ) -> None:
        meta: dict[str, Any] = {
            "status": status,
            "method": method,
            "url": url,
            "durationMs": round(1000 * self.gap(dur)),
        }
        if third:
            meta["thirdParty"] = True
        self.note("network", at=at, route=route, **meta)

    # --- writing as a collector would

    def _type(self, h: Happening) -> str | None:
        kind, meta, v = h.kind, h.meta, self.vocabulary
        need = {"scroll": "scroll", "hover": "meta", "visibility": "hidden", "loading": "loading", "input": "inputs"}
        if need.get(kind, "") and need[kind] not in v.caps:
            return None
        if not v.aliases:
            return kind
        if kind == "network":
            bad = meta["status"] == 0 or meta["status"] >= 400
            if meta.get("aborted") or (not bad and "success" not in v.caps):
                return None
            return "network_error" if bad else "network_success"
        if kind == "input":
            return {"focus": "input_focus", "blur": "input_blur"}.get(meta["action"], "input")
        if kind == "error" and meta.get("errorType") == "promise":
            return "unhandled_rejection"
        if kind == "performance" and meta.get("kind") != "slow_response":
            return None
        return ALIASES.get(kind, kind)

    def _meta(self, h: Happening) -> dict[str, Any]:
        caps, meta = self.vocabulary.caps, dict(h.meta)
        if "url" not in caps:
            return {
                key: value for key, value in meta.items() if key in POOR_META and h.kind in {"scroll", "visibility"}
            }
        drop: set[str] = set()
        if h.kind == "click":
            drop = (
                set()
                if "meta" in caps
                else {"clickCount", "inputMethod", "disabled", "loading", "selection", "responded"}
            )
            drop |= set() if "clicks" in caps else {"x", "y"}
        if h.kind == "network" and "dur" not in caps:
            drop = {"durationMs"}
        if self.vocabulary.aliases:
            drop |= {"method", "navigationType", "action", "fieldType", "kind", "errorType", "source"}
        return {key: value for key, value in meta.items() if key not in drop}

    def target(self, control: Control) -> dict[str, str]:
        """A control as this application's collector names it."""
        if "named" not in self.vocabulary.caps:
            return {"type": control.type}
        base = {"type": control.type, "tagName": control.tag}
        ident = control.id.replace(":", "-")
        css = f"{control.scope} > {control.tag}.{control.stem}"
        if ":" in control.id:
            line = 1 + int(hashlib.md5(ident.encode()).hexdigest()[:2], 16) % 12
            css = f"table tr:nth-child({line}) {control.tag}.{control.stem}"
        naming = {
            "id": {"id": ident},
            "selector": {"selector": css},
            "label": {"label": control.label},
            "bare": {},
            "full": {"id": ident, "selector": f"#{ident}", "label": control.label},
        }
        return {**base, **naming[self.site.naming]}

    def label(self) -> tuple[str, str]:
        """Route and target of the failure point, the target as far as the events name it (empty accepts any)."""
        route, control = self.point
        if control is None or "named" not in self.vocabulary.caps or self.site.naming == "bare":
            return route, ""
        return route, control.label if self.site.naming == "label" else control.stem

    def lines(self, session: str, named: float = 0.0) -> list[tuple[float, dict[str, Any]]]:
        """The contract's events, each with the second at which it reaches us: late, doubled or in order.

        `named`: the share of the requests and errors with a known cause that name it.
        """
        rng, tells = self.rng, random.Random(f"causes of {session}")
        start = EPOCH + timedelta(seconds=rng.uniform(0, 6 * 86_400))
        clock = rng.choice(["ms", "ms", "zone", "epoch", "seconds"])
        counted = rng.random() < 0.4
        late = rng.choice([0.0, 0.0, 4.0, 20.0]) if clock != "seconds" or counted else 0.0
        doubled = rng.choice([0.0, 0.0, 0.05, 0.2])
        with_agent, user = rng.random() < 0.5, rng.choice(["", f"u-{rng.randrange(10**6)}"])
        out: list[tuple[float, dict[str, Any]]] = []
        for n, h in enumerate(sorted(self.tape, key=lambda h: (h.at, h.order))):
            kind = self._type(h)
            if kind is None:
                continue
            at = start + timedelta(seconds=h.at)
            event: dict[str, Any] = {"eventType": kind, "timestamp": _stamp(at, clock), "sessionId": session}
            event["route"] = h.route
            if h.control is not None:
                event["target"] = self.target(h.control)
            event["metadata"] = self._meta(h)
            if named:
                event["eventId"] = str(h.order)
                if h.by >= 0 and h.kind in {"network", "error"} and tells.random() < named:
                    event["cause"] = str(h.by)
            if counted:
                event["seq"] = n + 1
            if user:
                event["userId"] = user
            if with_agent or self.agent not in AGENTS.values():
                event["userAgent"] = self.agent
            if doubled:
                event["idempotencyKey"] = f"{session[:12]}-{n}"
            reached = at.timestamp() + rng.uniform(0, late)
            out.append((reached, event))
            if rng.random() < doubled:
                out.append((reached + rng.uniform(0, 30), event))
        return out


def _stamp(at: datetime, clock: str) -> str | int:
    if clock == "epoch":
        return round(at.timestamp() * 1000)
    if clock == "seconds":
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")
    if clock == "zone":
        return at.astimezone(timezone(timedelta(hours=2))).isoformat(timespec="microseconds")
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


@dataclass(frozen=True)
class Kind:
    """A situation: how it is played, what the events must be able to tell, and whether the person was frustrated."""

    name: str
    play: Callable[[Player], None]
    frustrated: bool
    needs: frozenset[str]
    sites: frozenset[str]
    devices: tuple[str, ...]


KINDS: dict[str, Kind] = {}
Play = Callable[[Player], None]


def kind(
    needs: str = "", *, frustrated: bool, sites: str = "", devices: str = "mouse mouse touch keyboard"
) -> Callable[[Play], Play]:
    """Register a situation; `needs` are capabilities of a vocabulary, `sites` an api (rest, graphql, form) or nothing."""

    def register(play: Play) -> Play:
        name = play.__name__
        if name in KINDS:
            raise ValueError(f"kind {name} is defined twice")
        apis = frozenset(sites.split())
        KINDS[name] = Kind(name, play, frustrated, frozenset(needs.split()), apis, tuple(devices.split()))
        return play

    return register


def perform(kind: Kind, seed: int, take: int) -> Player:
    """Play a kind once. The same (kind, seed, take) gives the same session; takes differ in site and vocabulary."""
    rng = random.Random(f"{kind.name}:{seed}:{take}")
    sites = [s for s in SITES if not kind.sites or s.api in kind.sites]
    vocabularies = [v for v in VOCABULARIES if kind.needs <= v.caps]
    turn = int(hashlib.md5(kind.name.encode()).hexdigest()[:4], 16)
    site = sites[(turn + seed * 3 + take) % len(sites)]
    vocabulary = vocabularies[(turn + seed + take * 2 + rng.randrange(2)) % len(vocabularies)]
    device = "touch" if vocabulary.name == "rich_touch" and "touch" in kind.devices else rng.choice(kind.devices)
    player = Player(rng, site, vocabulary, device)
    kind.play(player)
    player.noise()
    return player
