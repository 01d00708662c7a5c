"""One person on one site: hands, patience and clock, and everything around them that is not their doing."""

import math
from random import Random
from typing import Any, Final

from tests.unseen.sites import Control, Site, Step, failed

_HOT_GAP_S: Final = {"hot": 0.23, "even": 0.38, "calm": 0.6}  # median pause inside a burst of clicks
_HOT_CLICKS: Final = {"hot": (6, 11), "even": (5, 8), "calm": (4, 6)}
LINK: Final = "link"


class Visit:
    """Records a session as its site would send it; times are epoch milliseconds, pauses are medians in seconds."""

    def __init__(self, site: Site, rng: Random, start_ms: int) -> None:
        self.site, self.rng = site, rng
        self.start = self.now = float(start_ms)
        self.session_id = f"{rng.getrandbits(112):028x}"
        self.temper = rng.choices(("hot", "even", "calm"), (3, 4, 3))[0]
        self.pace = math.exp(rng.gauss(0, 0.25))
        self.touch = rng.random() < 0.25
        self.route = site.home
        self.routes: list[tuple[float, str]] = []
        self.records: list[tuple[float, dict[str, Any]]] = []
        self.busy: list[float] = []  # times of the person's own acts
        self.agent = ""
        self._toasts = rng.random() < 0.6  # a failure shows a message: the page did respond
        self._errors_in_body = site.style == "graphql" and rng.random() < 0.5
        self._seconds = site.style == "legacy" and rng.random() < 0.3

    # ------------------------------------------------------------------------------------------------ telling

    def tell(
        self, kind: str, /, at: float | None = None, on: Control | None = None, route: str = "", **meta: Any
    ) -> None:
        """Record an event, in the words of the site; nothing when its collector knows no such thing."""
        if "came" in meta:  # `from` is a word of the language
            meta["from"] = meta.pop("came")
        spoken = self.site.words(kind, meta)
        if spoken is None:
            return
        moment = int(self.now if at is None else at)
        event: dict[str, Any] = {
            "eventType": spoken[0],
            "timestamp": self.site.clock(moment, self._seconds),
            "sessionId": self.session_id,
            "route": route or self.route,
        }
        if on is not None:
            event["target"] = self.site.target(on)
        if self.site.rich or self.rng.random() < 0.5:
            event["metadata"] = spoken[1]
        if self.agent:
            event["userAgent"] = self.agent
        self.records.append((moment, event))

    def pause(self, median_s: float, sigma: float = 0.45) -> None:
        """Time passes, as it does for people: log-normally."""
        self.now += 1000 * median_s * self.pace * math.exp(self.rng.gauss(0, sigma))

    def ms(self, low: int, high: int) -> float:
        """A duration, more often near the low end."""
        return low + (high - low) * self.rng.random() ** 2

    def some(self, low: int, high: int) -> range:
        """A loop of low to high rounds."""
        return range(self.rng.randint(low, high))

    # --------------------------------------------------------------------------------------------------- acts

    def click(self, control: Control, **meta: Any) -> None:
        """A click (or tap) now."""
        self.busy.append(self.now)
        spot = self.rng.choice((0, 1, 2)) if "x" not in meta else 0
        place = {"x": 400 + sum(map(ord, control.name)) % 300 + spot, "y": 310 + spot}
        sent: dict[str, Any] = {**place, "inputMethod": "touch" if self.touch else "mouse", **meta}
        self.tell("click", on=control, **sent)

    def call(self, step_url: str, status: int, ms: float, at: float, method: str = "GET", **meta: Any) -> None:
        """A request that ends at ``at``; an application of the GraphQL kind may hide the failure in its body."""
        operation = str(meta.pop("operation", ""))
        more = {"operation": operation, **meta} if operation else meta
        step_url = self.site.data if operation else step_url  # only the GraphQL application names operations
        hidden = self._errors_in_body and operation and status >= 400
        self.tell("network", at=at, url=step_url, method="POST" if operation else method,
                  status=200 if hidden else status, durationMs=round(ms), **more)  # fmt: skip
        if hidden:
            text = f"GraphQLError: {operation}: {'internal error' if status >= 500 else 'refused'} ({status})"
            self.tell("error", at=at + 8, errorType="promise", message=text, source="/assets/app.5c1.js")

    def press(self, step: Step, status: int, ms: float = 0, wait: bool = True, keyboard: bool = False) -> None:
        """Act on a step and get its answer after ``ms``; without ``wait`` the person is free again at once."""
        bad = failed(status)
        ms = ms or self.ms(90, 1400 if bad else 800)
        if keyboard:
            self.busy.append(self.now)
        else:
            self.click(step.control, responded=self._toasts and ms < 900 if bad else ms < 900)
        if step.fields or keyboard:
            form = Control(f"{step.control.name}-form", f"{step.control.label} form", "form")
            self.tell("form_submit", at=self.now + 9, on=form, valid=True)
        end = self.now + self.rng.randint(15, 60) + ms
        self.call(step.url, status, ms, end, step.method, operation=step.operation)
        if wait:
            self.now = end + self.rng.randint(20, 60)
        if not bad and step.then:
            self.turn(step.then, "push", end + 25)
        elif self.site.style == "documents" and wait and status:
            self.turn(self.route, LINK, end + 30)

    def turn(self, route: str, how: str = LINK, at: float | None = None, **meta: Any) -> None:
        """The page becomes another one (or the same again)."""
        at = self.now if at is None else at
        how = LINK if how == "push" and self.site.style == "documents" else how
        came: dict[str, Any] = {"came": self.route} if self.routes else {}  # the first page came from nowhere
        self.tell("navigation", at=at, route=route, navigationType=how, **came, **meta)
        self.route, self.now = route, max(self.now, at)
        self.routes.append((at, route))
        if self.site.style == "documents" or how == "reload":
            self.tell("performance", at=at + 600, kind="page_load", durationMs=round(self.ms(500, 1500)))

    def data(self, status: int = 200, ms: float = 0) -> None:
        """The page fetches what it shows."""
        ms = ms or self.ms(60, 700)
        operation = "Page" if self.site.style == "graphql" else ""
        self.call(f"{self.site.data}{'' if operation else self.route}", status, ms, self.now + 30 + ms,
                  operation=operation)  # fmt: skip

    def open(self, route: str) -> None:
        """Follow a link to a page that opens well."""
        self.pause(0.9)
        self.click(Control("nav-" + (route.strip("/").replace("/", "-") or "home"), "Go", LINK), responded=True)
        self.now += self.ms(60, 300)
        self.turn(route, "push")
        self.data()
        self.pause(1.3)

    def reload(self) -> None:
        """The browser's reload."""
        self.busy.append(self.now)
        self.turn(self.route, "reload")
        self.now += 700

    def back(self, route: str) -> None:
        """The browser's back button."""
        self.busy.append(self.now)
        self.turn(route, "back_forward")
        self.now += 250

    def read(self, median_s: float = 8) -> None:
        """Look at a page: scrolling, hovering."""
        depth = 0
        for _ in self.some(1, 4):
            self.pause(median_s / 3)
            depth = min(100, depth + self.rng.randint(5, 35))
            self.tell("scroll", depth=depth, direction="down")
            if self.rng.random() < 0.4:
                self.tell("hover", on=Control("teaser", "Teaser", LINK))
        self.pause(median_s / 3)

    def browse(self, pages: int) -> None:
        """Lists and details, at leisure."""
        for _ in range(pages):
            self.open(self.site.listing)
            self.read(6)
            self.open(self.site.item.format(self.rng.randint(20, 900)))
            self.read(10)

    def arrive(self, step: Step, fill: bool = True) -> Step:
        """Come to the site, look around a little, go to the step and fill in its form."""
        self.turn(self.site.home)
        self.data()
        self.read(4)
        self.browse(self.rng.choice((0, 0, 1, 2)))
        self.open(step.route)
        self.read(3)
        if fill:
            self.fill(step)
        return step

    def fill(self, step: Step, only: int = 99) -> None:
        """Type into the fields of a step; with ``only``, into that many of them, the last ones."""
        for name in step.fields[-only:]:
            box = Control(f"f-{name}", name.title(), "textbox")
            for action, gap in (("focus", 0.6), ("change", 3.5), ("blur", 0.4)):
                self.busy.append(self.now)
                self.tell("input", on=box, action=action, fieldType="text")
                self.pause(gap)
        self.pause(0.8)

    def hammer(self, step: Step, status: int, ms: float = 0, clicks: int = 0) -> None:
        """Press again and again without waiting, as fast as the temper is hot; status -1 is a script that throws."""
        low, high = _HOT_CLICKS[self.temper]
        for _ in range(clicks or self.rng.randint(low, high)):
            if status < 0:
                self.throw(step.control)
            else:
                self.press(step, status, ms, wait=False)
            self.pause(_HOT_GAP_S[self.temper], 0.25)

    def throw(self, control: Control, message: str = "TypeError: can't access property 'id' of undefined") -> None:
        """A click whose handler throws: nothing else happens."""
        self.click(control, responded=False)
        self.tell("error", at=self.now + self.ms(4, 60), errorType="javascript", message=message,
                  source="/assets/app.5c1.js")  # fmt: skip

    def tap(self, control: Control, times: int, gap_s: float, request: str = "", **meta: Any) -> None:
        """Use a control that is made for many clicks; each may send a request that succeeds."""
        for _ in range(times):
            self.click(control, **{"responded": True, **meta})
            if request:
                ms = self.ms(40, 300)
                self.call(request, 200, ms, self.now + 30 + ms, operation=self._operation("Touch"))
            self.pause(gap_s, 0.25)

    def _operation(self, name: str) -> str:
        return name if self.site.style == "graphql" else ""

    def background(self, url: str, status: int, operation: str = "Background", **meta: Any) -> None:
        """A request of the application's own, ending now."""
        self.call(url, status, self.ms(60, 400), self.now, operation=self._operation(operation), **meta)

    # ------------------------------------------------------------------------------------------------ leaving

    def give_up(self) -> None:
        """Leave what was begun: go elsewhere for a moment, or close the tab."""
        self.pause(4)
        if self.rng.random() < 0.65:
            self.open(self.rng.choice((self.site.home, self.site.aside)))
            self.read(4)
        self.leave()

    def leave(self) -> None:
        """The end, as far as the collector notices it."""
        self.pause(1.5)
        if self.rng.random() < 0.6:
            self.tell("visibility", state="hidden")
        if self.rng.random() < 0.7:
            self.now += 20
            self.tell("session_end")

    # ------------------------------------------------------------------------------------------------- around

    def surround(self) -> None:
        """Mix in what every real session is full of and nobody reacts to."""
        end, style = self.now, self.site.style
        if style == "legacy":
            self._lone_noise(end)
            return
        if style != "graphql" or self.rng.random() < 0.7:
            self._polls(end)
        if self.rng.random() < 0.5:
            for at in self.busy:
                if self.rng.random() < 0.3:
                    blocked = self.rng.random() < 0.5
                    self.tell("network", at=at + self.ms(20, 400), route=self._route_at(at), url="/collect",
                              method="POST", status=0 if blocked else 204, durationMs=12, thirdParty=True)  # fmt: skip
        for _ in self.some(0, 3):
            at = self.rng.uniform(self.start, end)
            self.rng.choice((self._extension, self._picture, self._jank))(at, self._route_at(at))

    def _polls(self, end: float) -> None:
        period = self.rng.choice((12, 20, 45)) * 1000
        at, broken = self.start + self.rng.uniform(0, period), self.rng.random() < 0.1
        url = {"rest": "/api/v2/notices", "graphql": "/graphql", "documents": "/banking/alive"}[self.site.style]
        operation = "Presence" if self.site.style == "graphql" else ""
        while at < end:
            status = 503 if broken and not operation and self.rng.random() < 0.6 else 200
            more: dict[str, Any] = {"operation": operation} if operation else {}
            self.tell("network", at=at, route=self._route_at(at), url=url, method="POST" if operation else "GET",
                      status=status, durationMs=round(self.ms(30, 200)), **more)  # fmt: skip
            at += period + self.rng.uniform(-150, 150)

    def _extension(self, at: float, route: str) -> None:
        self.tell("error", at=at, route=route, errorType="javascript", message="Could not establish connection",
                  source="chrome-extension://hdokiejnpimakedhajhdlcegeplioahd/content.js")  # fmt: skip

    def _picture(self, at: float, route: str) -> None:
        self.tell("network", at=at, route=route, url=f"/img/{self.rng.randint(1, 99)}.webp", method="GET", status=404,
                  durationMs=25)  # fmt: skip

    def _jank(self, at: float, route: str) -> None:
        self.tell("performance", at=at, route=route, kind="long_task", durationMs=self.rng.randint(60, 240))

    def _lone_noise(self, end: float) -> None:
        # A poor collector cannot say that a failure was nobody's doing; only far from any act is it honest noise.
        for _ in self.some(0, 6):
            at = self.rng.uniform(self.start, end)
            self.tell("hover", at=at, route=self._route_at(at), on=Control("x", "", LINK))
            if min((abs(at - act) for act in self.busy), default=0) > 9000:
                self.tell("network", at=at, route=self._route_at(at), status=self.rng.choice((200, 200, 500)))

    def _route_at(self, at: float) -> str:
        earlier = [route for since, route in self.routes if since <= at]
        return earlier[-1] if earlier else self.site.home
