"""A browser that writes down what happens in it: clicks, pages, requests, errors, visibility."""

import zlib
from random import Random

from tests.agents.model import App, Control, Fact, Person, Scalar, clean_route

BODY = Control("", "", "div", "div", "main > div")


class Browser:
    """A clock, a current route and the facts so far."""

    def __init__(self, app: App, person: Person, rng: Random, start: int) -> None:
        """Open nothing yet; the clock stands at start (epoch milliseconds)."""
        self.app = app
        self.person = person
        self.rng = rng
        self.now = start
        self.route = app.home
        self.trail: list[str] = []
        self.facts: list[Fact] = []
        self.error_page = False

    def pass_time(self, low: float, high: float) -> None:
        """Let the person take between low and high seconds, at their pace."""
        self.now += int(self.rng.uniform(low, high) * self.person.pace * 1000)

    def skip_millis(self, low: int, high: int) -> None:
        """Let machine time pass."""
        self.now += self.rng.randint(low, high)

    def add_fact(self, kind: str, control: Control | None = None, wrong: str = "", **data: Scalar) -> Fact:
        """Write a fact down at the present moment."""
        fact = Fact(self.now, kind, self.route, len(self.facts), control, wrong, False, dict(data))
        self.facts.append(fact)
        return fact

    def click_control(self, control: Control, responded: bool = True, wrong: str = "", **data: Scalar) -> None:
        """Click once; somebody who double-clicks everything clicks twice."""
        self.one_click(control, responded, wrong, 1, data)
        if self.person.double and control.kind not in ("text", "email", "tel"):
            self.skip_millis(90, 240)
            self.one_click(control, responded, wrong, 2, data)
            self.add_fact("dblclick", control)

    def one_click(self, control: Control, responded: bool, wrong: str, count: int, data: dict[str, Scalar]) -> None:
        """Write one click with a position near the middle of the control."""
        spot = zlib.crc32((self.route + control.selector).encode())
        x = 40 + spot % (300 if self.person.device == "touch" else 1200) + self.rng.randint(-6, 6)
        y = 80 + (spot >> 12) % 560 + self.rng.randint(-4, 4)
        if self.person.device == "keyboard":
            x, y, count = 0, 0, 0
        kept = dict(data)
        kept.update(x=x, y=y, clickCount=count, inputMethod=self.person.device, responded=responded)
        self.add_fact("click", control, wrong, **kept)

    def fill_field(self, control: Control) -> None:
        """Focus a field, type into it and leave it."""
        self.pass_time(0.3, 1.8)
        if self.person.device != "keyboard" and self.rng.random() < 0.6:
            self.one_click(control, True, "", 1, {})
            self.skip_millis(5, 40)
        self.add_fact("input", control, action="focus", fieldType=control.kind)
        self.pass_time(1.2, 6.0)
        self.add_fact("input", control, action="change", fieldType=control.kind)
        self.skip_millis(40, 700)
        self.add_fact("input", control, action="blur", fieldType=control.kind)

    def open_page(
        self, route: str, how: str = "link", status: int = 200, wrong: str = "", method: str = "GET", path: str = ""
    ) -> None:
        """Go to a route; classic pages and first or reloaded pages load a document, others push a state."""
        before = self.route
        if how != "reload" and route != before:
            self.trail.append(before)
        loads = self.app.style == "mpa" or how in ("reload", "first")
        took = self.rng.randint(120, 1400)
        self.now += took if loads else self.rng.randint(15, 90)
        self.route = route
        self.error_page = loads and status >= 404 and status not in (409, 413, 422, 429)
        kind = how if loads and how != "first" else {"first": "link", "link": "push"}.get(how, how)
        self.add_navigation("" if how == "first" else before, kind, wrong, _loads=loads)
        if loads:
            failed = "failed" if wrong and status >= 400 else ""
            self.send_request(method, clean_route(path or route), status, took, failed, document=True)
            self.add_fact("pageload", None, "", durationMs=took + self.rng.randint(200, 1800))
        elif self.rng.random() < 0.7:
            self.skip_millis(60, 500)
            method = "POST" if self.app.style == "graphql" else "GET"
            self.send_request(method, data_url(self.app, route), 200, self.rng.randint(40, 480))

    def add_navigation(self, origin: str, kind: str, wrong: str = "", **data: Scalar) -> Fact:
        """Write a navigation down; without an origin it is the first page of a visit."""
        fact = self.add_fact("navigation", None, wrong, navigationType=kind, **data)
        if origin:
            fact.data["from"] = origin
        return fact

    def go_back(self) -> None:
        """Use the back button of the browser."""
        if self.trail:
            target = self.trail.pop()
            kept = list(self.trail)
            self.open_page(target, "back_forward")
            self.trail = kept

    def send_request(
        self, method: str, url: str, status: int, took: int, wrong: str = "", document: bool = False, **data: Scalar
    ) -> None:
        """Write the end of a request down."""
        kept = dict(data)
        kept.update(method=method, url=url, status=status, durationMs=took, _document=document)
        self.add_fact("network", None, wrong, **kept)
        if took > 3000 and not document and status != 0:
            self.add_fact("slow", None, "", durationMs=took)

    def raise_error(self, kind: str, message: str, source: str, wrong: str = "", third: bool = False) -> None:
        """Write an error of the page down."""
        data: dict[str, Scalar] = {"errorType": kind, "message": message, "source": source}
        if third:
            data["thirdParty"] = True
        self.add_fact("error", None, wrong, **data)

    def scroll_page(self, times: int) -> None:
        """Scroll down in a few movements."""
        depth = 0
        for _ in range(times):
            self.pass_time(0.5, 5.0)
            depth = min(100, depth + self.rng.randint(5, 35))
            self.add_fact("scroll", None, "", depth=depth, direction="down")

    def hide_tab(self) -> Fact:
        """Put the tab in the background."""
        return self.add_fact("visibility", None, "", state="hidden")

    def show_tab(self) -> Fact:
        """Bring the tab to the front."""
        return self.add_fact("visibility", None, "", state="visible")


def data_url(app: App, route: str) -> str:
    """Name the request with which a page of an application reads its data."""
    if app.style == "graphql":
        return "/graphql"
    path = route.split("#", 1)[-1].split("?", 1)[0]
    return "/api" + (path if path != "/" else "/home")
