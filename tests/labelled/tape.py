"""A fluent recorder of one simulated session: people × applications, in the wire format of events.md."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
START = datetime(2024, 1, 15, 10, 0, tzinfo=UTC)


@dataclass(frozen=True)
class App:
    """One application: where its form lives, what sends it, what answers."""

    name: str
    home: str
    form_route: str
    other: str
    thanks: str
    button: Json
    form: Json
    fields: tuple[Json, ...]
    method: str
    url: str
    read_url: str
    secondary: Json
    secondary_url: str


APPS = (
    App(
        "shop", "/", "/checkout", "/products", "/thank-you",
        {"type": "button", "id": "pay", "label": "Pay now", "tagName": "BUTTON"},
        {"type": "form", "id": "checkout-form"},
        tuple({"type": "input", "id": n, "tagName": "INPUT"} for n in ("card", "expiry", "name")),
        "POST", "/api/orders", "/api/cart",
        {"type": "button", "id": "paypal", "label": "PayPal"}, "/api/paypal/session",
    ),
    App(
        "saas", "/dashboard", "/projects/{n}/settings", "/billing", "/projects/{n}/overview",
        {"type": "button", "selector": "form.settings > button.save", "label": "Save changes"},
        {"type": "form", "selector": "form.settings"},
        tuple({"type": "text", "selector": f"input[name={n}]"} for n in ("title", "owner")),
        "PUT", "/api/v2/projects/{n}", "/api/v2/projects/{n}/members",
        {"type": "button", "id": "save-copy-to-team", "label": "Save for team"}, "/api/v2/projects/{n}/team",
    ),
    App(
        "bank", "/accounts", "/transfer/new", "/statements", "/transfer/confirmation",
        {"type": "button", "label": "Send money"}, {"type": "form", "id": "transfer"},
        tuple({"type": "text", "id": n} for n in ("iban", "amount", "reference")),
        "POST", "/banking/transfers", "/banking/accounts",
        {"type": "link", "id": "instant-transfer", "label": "Send instantly"}, "/banking/instant",
    ),
    App(
        "forum", "/latest", "/t/why-is-it-slow-{n}/reply", "/about", "/t/why-is-it-slow-{n}/done",
        {"type": "button", "id": "post-reply-{n}", "label": "Reply"}, {"type": "form", "id": "reply-{n}"},
        ({"type": "textarea", "id": "body"},),
        "POST", "/posts", "/topics/{n}.json",
        {"type": "button", "id": "publish-quick", "label": "Quick reply"}, "/posts/quick",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """How somebody uses a page. ``tempo`` multiplies pauses; ``click_ms`` is the pace of fast clicking."""

    name: str
    tempo: float
    click_ms: tuple[int, int]
    method: str
    chatter: float


PEOPLE = (
    Person("quick", 0.6, (140, 260), "mouse", 0.3),
    Person("calm", 1.2, (350, 600), "mouse", 0.6),
    Person("touch", 0.9, (200, 450), "touch", 0.4),
    Person("slow", 1.8, (500, 850), "mouse", 0.8),
)


def _numbered(value: Any, n: int) -> Any:
    if isinstance(value, str):
        return value.replace("{n}", str(n))
    if isinstance(value, dict):
        return {k: _numbered(v, n) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(_numbered(v, n) for v in value)
    return value


@dataclass
class Tape:
    """Events of one session; ``t`` is its clock in ms since START. Methods return the tape."""

    rng: random.Random
    person: Person
    app: App
    session_id: str
    t: int = 0
    route: str = ""
    events: list[tuple[int, int, Json]] = field(default_factory=list)
    extra: Json = field(default_factory=dict)
    beacons: bool = False
    label: Json = field(default_factory=lambda: {"route": "", "target": ""})

    @classmethod
    def make(cls, rng: random.Random, session_id: str) -> "Tape":
        n = rng.randrange(1_000, 99_999)
        app = rng.choice(APPS)
        numbered = App(**{k: _numbered(v, n) for k, v in vars(app).items()})
        tape = cls(rng, rng.choice(PEOPLE), numbered, session_id, t=rng.randrange(0, 86_400_000))
        tape.beacons = rng.random() < 0.5
        return tape

    # -- events ------------------------------------------------------------------------------------

    def emit(
        self,
        kind: str,
        target: Json | None = None,
        /,
        *,
        at: int | None = None,
        route: str | None = None,
        **meta: Any,
    ) -> "Tape":
        if kind == "navigation" and self.route:
            meta["from"] = self.route
        event: Json = {
            "eventType": kind,
            "timestamp": 0,
            "sessionId": self.session_id,
            "route": self.route if route is None else route,
            "metadata": {k: v for k, v in meta.items() if v is not None},
            **self.extra,
        }
        if target is not None:
            event["target"] = target
        self.events.append((self.t if at is None else at, len(self.events), event))
        return self

    def wait(self, low: float, high: float | None = None) -> "Tape":
        """Seconds, at the person's tempo."""
        seconds = self.rng.uniform(low, low if high is None else high)
        self.t += int(seconds * 1000 * self.person.tempo)
        return self

    def sleep(self, ms: int) -> "Tape":
        """Milliseconds, exactly."""
        self.t += ms
        return self

    def go(
        self,
        route: str,
        how: str = "link",
        loads: int = 2,
        also: tuple[str, int, int] | None = None,
        **meta: Any,
    ) -> "Tape":
        """Opens a page; its own requests answer well, but for ``also``: (url, status, ms) of one more GET."""
        self.emit("navigation", route=route, navigationType=how, **meta)
        self.route = route
        for i in range(loads):
            took = self.rng.randrange(60, 400)
            began = self.t + self.rng.randrange(20, 200)
            url = (self.app.read_url, "/api/session", "/api/menu")[i % 3]
            self.emit("network", at=began + took, method="GET", url=url, status=200, durationMs=took)
        if also is not None:
            self.request("GET", also[0], also[1], also[2])
        self.t += 700
        if self.rng.random() < self.person.chatter:
            self.scroll()
        return self

    def pushed(self, route: str, delay: int = 60) -> "Tape":
        """The application moves on by itself."""
        self.t += delay
        self.emit("navigation", route=route, navigationType="push")
        self.route = route
        return self

    def scroll(self, times: int = 3) -> "Tape":
        depth = 0
        for _ in range(times):
            depth = min(100, depth + self.rng.randrange(5, 25))
            self.t += self.rng.randrange(200, 900)
            self.emit("scroll", depth=depth, direction="down")
        return self

    def click(self, target: Json, **meta: Any) -> "Tape":
        self.emit("click", target, **{"x": 200, "y": 320, "inputMethod": self.person.method, **meta})
        if self.beacons:
            began = self.t + self.rng.randrange(3, 30)
            took = self.rng.randrange(20, 90)
            self.emit("network", at=began + took, method="POST", url="/collect", status=204, durationMs=took)
        return self

    def burst(self, target: Json, count: int, **meta: Any) -> "Tape":
        """Fast clicks at the person's pace."""
        for i in range(count):
            if i:
                self.t += self.rng.randrange(*self.person.click_ms)
            self.click(target, **meta)
        return self

    def request(self, method: str, url: str, status: int, took: int = 0, delay: int = 0, **meta: Any) -> "Tape":
        """A request beginning now (+ delay); the clock does not move."""
        took = took or self.rng.randrange(80, 450)
        began = self.t + (delay or self.rng.randrange(4, 60))
        return self.emit("network", at=began + took, method=method, url=url, status=status, durationMs=took, **meta)

    def call(self, status: int, took: int = 0, **meta: Any) -> "Tape":
        """The application's main request."""
        return self.request(self.app.method, self.app.url, status, took, **meta)

    def answered(self, status: int, took: int = 0, **meta: Any) -> "Tape":
        """The main request, waited for."""
        took = took or self.rng.randrange(80, 450)
        self.call(status, took, **meta)
        self.t += took + 80
        return self

    def fill(self, which: int | None = None) -> "Tape":
        """Types in all fields or in one."""
        fields = self.app.fields if which is None else (self.app.fields[which % len(self.app.fields)],)
        for target in fields:
            self.wait(0.5, 1.5)
            self.emit("input", target, action="focus", fieldType="text")
            self.wait(1, 4)
            self.emit("input", target, action="change", fieldType="text")
            self.t += self.rng.randrange(50, 300)
            self.emit("input", target, action="blur", fieldType="text")
        return self

    def submit(self, *, click: bool = True, valid: bool | None = True) -> "Tape":
        """Sends the form: by its button or by Enter."""
        if click:
            self.click(self.app.button)
            self.t += self.rng.randrange(0, 12)
        return self.emit("form_submit", self.app.form, valid=valid)

    def error(self, message: str, delay: int = 15, kind: str = "javascript", **meta: Any) -> "Tape":
        return self.emit("error", at=self.t + delay, errorType=kind, message=message, **meta)

    def polls(self, url: str, every: int, until: int, status: int = 200, since: int | None = None) -> "Tape":
        """A request of the application's own, at a fixed pace between two times."""
        t = (self.t if since is None else since) + self.rng.randrange(every // 3, every)
        while t < until:
            took = self.rng.randrange(30, 120)
            self.emit("network", at=t + took, method="GET", url=url, status=status, durationMs=took)
            t += every + self.rng.randrange(-200, 200)
        return self

    def end(self) -> "Tape":
        self.wait(0.5, 3)
        return self.emit("session_end")

    # -- common passages ---------------------------------------------------------------------------

    def arrive(self) -> "Tape":
        """Enters at home and opens the form."""
        self.go(self.app.home, self.rng.choice(("link", "")) or "link")
        self.wait(2, 8)
        return self.go(self.app.form_route)

    def browse(self, pages: int = 2) -> "Tape":
        for _ in range(pages):
            self.wait(2, 9)
            self.click({"type": "link", "id": f"nav-{self.rng.choice('abcd')}"}).sleep(30)
            self.go(self.rng.choice((self.app.home, self.app.other)))
        return self

    def thank(self) -> "Tape":
        self.pushed(self.app.thanks)
        self.wait(2, 5)
        return self

    # -- out ---------------------------------------------------------------------------------------

    def wire(self) -> list[Json]:
        """The events in order of time, with RFC 3339 timestamps."""
        out = []
        for number, (t, _, event) in enumerate(sorted(self.events, key=lambda e: (e[0], e[1]))):
            stamp = (START + timedelta(milliseconds=t)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            out.append({**event, "timestamp": stamp, "idempotencyKey": f"{self.session_id}:{number}"})
        return out


_ALIASES = {"navigation": "route_change"}
_POOR_DROPPED = {"hover", "scroll", "visibility", "loading", "session_end"}


def impoverish(events: list[Json]) -> list[Json]:
    """The same session from a poor collector: the seed vocabulary, targets with only a type, no metadata."""
    out = []
    for event in events:
        kind, meta = event["eventType"], event["metadata"]
        if kind in _POOR_DROPPED or "/collect" in str(meta.get("url", "")):
            continue
        if kind == "network":
            kind = "network_success" if 200 <= meta.get("status", 0) < 400 else "network_error"
        if kind == "input":
            if meta.get("action") == "change":
                continue
            kind = "input_focus" if meta.get("action") == "focus" else "input_blur"
        poor = {**event, "eventType": _ALIASES.get(kind, kind), "metadata": {}}
        if "target" in event:
            poor["target"] = {"type": event["target"].get("type", "button")}
        out.append(poor)
    return out
