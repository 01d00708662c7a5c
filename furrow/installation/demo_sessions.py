"""Example sessions for ``furrow demo``: calm ones, look-alikes that must stay silent, and a few that are truly frustrated.

Events are in the wire form of ``POST /v1/events``; a session tells its story in seconds after its start.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]

_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_CRAWLER = "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/about)"


@dataclass
class Session:
    """One session in the making: call its methods in the order of what happened, ``at`` in seconds after ``start``."""

    session_id: str
    start: datetime
    user: str = ""
    agent: str = _FIREFOX
    events: list[Event] = field(default_factory=list)

    def add(self, at: float, kind: str, route: str, target: Event | None = None, **metadata: Any) -> None:
        """Append one event."""
        event: Event = {
            "eventType": kind,
            "timestamp": (self.start + timedelta(seconds=at)).isoformat(timespec="milliseconds"),
            "sessionId": self.session_id,
            "route": route,
            "metadata": metadata,
            "idempotencyKey": f"{self.session_id}:{len(self.events)}",
            "userAgent": self.agent,
            "seq": len(self.events),
            "environment": "demo",
            "appVersion": "4.2.0",
        }
        if target:
            event["target"] = target
        if self.user:
            event["userId"] = self.user
        self.events.append(event)

    def visit(self, at: float, route: str, came: str = "link") -> None:
        """The user goes to a page."""
        self.add(at, "navigation", route, navigationType=came)

    def click(self, at: float, route: str, button: str, label: str, **metadata: Any) -> None:
        """The user clicks a button."""
        target = {"type": "button", "id": button, "tagName": "button", "label": label}
        self.add(at, "click", route, target, inputMethod="mouse", **metadata)

    def request(self, at: float, route: str, call: str, status: int, ms: int = 180) -> None:
        """A request ends ``at`` with ``status`` after ``ms``."""
        method, url = call.split()
        self.add(at, "network", route, method=method, url=url, status=status, durationMs=ms)

    def type(self, at: float, route: str, name: str) -> None:
        """The user changes a field (what is typed is never sent)."""
        self.add(
            at, "input", route, {"type": "input", "id": name, "tagName": "input"}, action="change", fieldType="text"
        )

    def end(self, at: float) -> None:
        """The page is closed."""
        self.add(at, "session_end", self.events[-1]["route"])


def _pays_in_vain(s: Session) -> None:
    s.visit(0, "/cart")
    s.visit(8, "/checkout")
    s.type(15, "/checkout", "card-name")
    for press in (30.0, 30.7, 31.3, 31.9, 32.6):
        s.click(press, "/checkout", "pay", "Pay now", responded=False)
        s.request(press + 0.4, "/checkout", "POST /api/orders", 500, 350)
    s.end(48)


def _coupon_is_refused(s: Session) -> None:
    s.visit(0, "/cart")
    s.type(6, "/cart", "coupon")
    for press in (9.0, 15.0, 22.0):
        coupon = {"type": "form", "id": "coupon-form", "tagName": "form"}
        s.add(press, "form_submit", "/cart", coupon, valid=True)
        s.request(press + 0.3, "/cart", "POST /api/coupons", 503, 220)
    s.visit(30, "/")
    s.end(36)


def _buys(s: Session) -> None:
    s.visit(0, "/")
    s.visit(12, "/products/2311")
    s.click(20, "/products/2311", "add", "Add to cart", responded=True)
    s.request(20.3, "/products/2311", "POST /api/cart", 201)
    s.visit(30, "/checkout")
    s.click(55, "/checkout", "pay", "Pay now", responded=True)
    s.request(55.9, "/checkout", "POST /api/orders", 201, 800)
    s.visit(56.2, "/thank-you", "push")
    s.end(70)


def _reads(s: Session) -> None:
    s.visit(0, "/blog/slow-mornings")
    for at in range(10, 90, 10):
        s.add(at, "scroll", "/blog/slow-mornings", depth=at, direction="down")
    s.end(100)


def _steps_a_number(s: Session) -> None:
    s.visit(0, "/products/77")
    for n in range(7):
        s.click(5 + n * 0.4, "/products/77", "quantity-plus", "+", responded=True)
    s.end(20)


def _double_clicks_text(s: Session) -> None:
    s.visit(0, "/docs/install")
    for n in range(6):
        s.add(
            5 + n * 0.2,
            "click",
            "/docs/install",
            {"type": "code", "tagName": "pre"},
            clickCount=2 + n % 2,
            selection=True,
        )
    s.end(15)


def _corrects_a_field(s: Session) -> None:
    s.visit(0, "/signup")
    s.type(4, "/signup", "email")
    s.click(9, "/signup", "create", "Create account")
    s.request(9.2, "/signup", "POST /api/users", 422)
    s.type(14, "/signup", "email")
    s.click(18, "/signup", "create", "Create account", responded=True)
    s.request(18.3, "/signup", "POST /api/users", 201)
    s.visit(19, "/welcome", "push")
    s.end(30)


def _polls_in_the_background(s: Session) -> None:
    s.visit(0, "/dashboard")
    for n in range(12):
        s.request(5 + n * 5, "/dashboard", "GET /api/notifications", 503)
    s.click(22, "/dashboard", "tab-sales", "Sales", responded=True)
    s.end(70)


def _one_error_and_on(s: Session) -> None:
    s.visit(0, "/search")
    s.click(4, "/search", "go", "Search")
    s.request(4.5, "/search", "GET /api/search", 500)
    s.visit(40, "/")
    s.end(150)


def _slow_but_patient(s: Session) -> None:
    s.visit(0, "/reports")
    s.click(3, "/reports", "export", "Export", loading=True)
    s.request(10.5, "/reports", "POST /api/reports", 200, 7_300)
    s.end(25)


def _crawls(s: Session) -> None:
    s.agent = _CRAWLER
    for n in range(8):
        s.visit(n * 0.5, f"/products/{n}")
        s.request(n * 0.5 + 0.2, f"/products/{n}", f"GET /api/products/{n}", 500)
    s.end(6)


FRUSTRATED: tuple[tuple[Callable[[Session], None], int], ...] = ((_pays_in_vain, 4), (_coupon_is_refused, 3))
SILENT: tuple[tuple[Callable[[Session], None], int], ...] = (
    (_buys, 6),
    (_reads, 4),
    (_steps_a_number, 2),
    (_double_clicks_text, 2),
    (_corrects_a_field, 3),
    (_polls_in_the_background, 2),
    (_one_error_and_on, 2),
    (_slow_but_patient, 2),
    (_crawls, 1),
)


def example_sessions(now: datetime | None = None) -> Iterator[list[Event]]:
    """The events of each example session; all of them ended a few minutes before ``now``."""
    start = (now or datetime.now(UTC)) - timedelta(minutes=10)
    for story, how_many in (*FRUSTRATED, *SILENT):
        for n in range(how_many):
            session = Session(
                f"demo-{story.__name__.strip('_')}-{n}", start + timedelta(seconds=7 * n), f"user-{story.__name__}-{n}"
            )
            story(session)
            yield session.events
