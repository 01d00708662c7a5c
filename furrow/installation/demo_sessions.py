"""Example sessions for ``furrow demo``: calm sessions, sessions that only look frustrated, and frustrated ones.

Events have the form of ``POST /v1/events``. Times are in seconds after the start of a session.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NotRequired

from typing_extensions import TypedDict

MetadataValue = str | int | bool
"""A value in an event's metadata."""


class EventTarget(TypedDict):
    """The element of the page that an event is about."""

    type: str
    tagName: str
    id: NotRequired[str]
    label: NotRequired[str]


class DemoEvent(TypedDict):
    """An event in the form of ``POST /v1/events``."""

    eventType: str
    timestamp: str
    sessionId: str
    route: str
    metadata: dict[str, MetadataValue]
    idempotencyKey: str
    userAgent: str
    seq: int
    environment: str
    appVersion: str
    target: NotRequired[EventTarget]
    userId: NotRequired[str]


_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_CRAWLER = "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/about)"


@dataclass
class DemoSession:
    """Builds a session: call the methods in the order of the events. ``at`` is in seconds after ``start``."""

    session_id: str
    start: datetime
    user: str = ""
    agent: str = _FIREFOX
    events: list[DemoEvent] = field(default_factory=list)

    def append_event(
        self, at: float, kind: str, route: str, target: EventTarget | None = None, **metadata: MetadataValue
    ) -> None:
        """Append one event."""
        event: DemoEvent = {
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

    def visit_page(self, at: float, route: str, came: str = "link") -> None:
        """The user goes to a page."""
        self.append_event(at, "navigation", route, navigationType=came)

    def click_button(self, at: float, route: str, button: str, label: str, **metadata: MetadataValue) -> None:
        """The user clicks a button."""
        target = EventTarget(type="button", id=button, tagName="button", label=label)
        self.append_event(at, "click", route, target, inputMethod="mouse", **metadata)

    def end_request(self, at: float, route: str, call: str, status: int, ms: int = 180) -> None:
        """A request, as in ``POST /api/cart``, ends ``at`` with ``status`` after ``ms`` milliseconds."""
        method, url = call.split()
        self.append_event(at, "network", route, method=method, url=url, status=status, durationMs=ms)

    def change_field(self, at: float, route: str, name: str) -> None:
        """The user changes a field. Its content is not part of the event."""
        self.append_event(
            at, "input", route, {"type": "input", "id": name, "tagName": "input"}, action="change", fieldType="text"
        )

    def close_page(self, at: float) -> None:
        """The page is closed."""
        self.append_event(at, "session_end", self.events[-1]["route"])


def _payment_always_fails(s: DemoSession) -> None:
    s.visit_page(0, "/cart")
    s.visit_page(8, "/checkout")
    s.change_field(15, "/checkout", "card-name")
    for press in (30.0, 30.7, 31.3, 31.9, 32.6):
        s.click_button(press, "/checkout", "pay", "Pay now", responded=False)
        s.end_request(press + 0.4, "/checkout", "POST /api/orders", 500, 350)
    s.close_page(48)


def _coupon_is_refused(s: DemoSession) -> None:
    s.visit_page(0, "/cart")
    s.change_field(6, "/cart", "coupon")
    for press in (9.0, 15.0, 22.0):
        coupon = EventTarget(type="form", id="coupon-form", tagName="form")
        s.append_event(press, "form_submit", "/cart", coupon, valid=True)
        s.end_request(press + 0.3, "/cart", "POST /api/coupons", 503, 220)
    s.visit_page(30, "/")
    s.close_page(36)


def _buys_a_product(s: DemoSession) -> None:
    s.visit_page(0, "/")
    s.visit_page(12, "/products/2311")
    s.click_button(20, "/products/2311", "add", "Add to cart", responded=True)
    s.end_request(20.3, "/products/2311", "POST /api/cart", 201)
    s.visit_page(30, "/checkout")
    s.click_button(55, "/checkout", "pay", "Pay now", responded=True)
    s.end_request(55.9, "/checkout", "POST /api/orders", 201, 800)
    s.visit_page(56.2, "/thank-you", "push")
    s.close_page(70)


def _reads_an_article(s: DemoSession) -> None:
    s.visit_page(0, "/blog/slow-mornings")
    for at in range(10, 90, 10):
        s.append_event(at, "scroll", "/blog/slow-mornings", depth=at, direction="down")
    s.close_page(100)


def _increases_a_quantity(s: DemoSession) -> None:
    s.visit_page(0, "/products/77")
    for n in range(7):
        s.click_button(5 + n * 0.4, "/products/77", "quantity-plus", "+", responded=True)
    s.close_page(20)


def _double_clicks_text(s: DemoSession) -> None:
    s.visit_page(0, "/docs/install")
    for n in range(6):
        s.append_event(
            5 + n * 0.2,
            "click",
            "/docs/install",
            {"type": "code", "tagName": "pre"},
            clickCount=2 + n % 2,
            selection=True,
        )
    s.close_page(15)


def _corrects_a_field(s: DemoSession) -> None:
    s.visit_page(0, "/signup")
    s.change_field(4, "/signup", "email")
    s.click_button(9, "/signup", "create", "Create account")
    s.end_request(9.2, "/signup", "POST /api/users", 422)
    s.change_field(14, "/signup", "email")
    s.click_button(18, "/signup", "create", "Create account", responded=True)
    s.end_request(18.3, "/signup", "POST /api/users", 201)
    s.visit_page(19, "/welcome", "push")
    s.close_page(30)


def _polls_in_the_background(s: DemoSession) -> None:
    s.visit_page(0, "/dashboard")
    for n in range(12):
        s.end_request(5 + n * 5, "/dashboard", "GET /api/notifications", 503)
    s.click_button(22, "/dashboard", "tab-sales", "Sales", responded=True)
    s.close_page(70)


def _continues_after_error(s: DemoSession) -> None:
    s.visit_page(0, "/search")
    s.click_button(4, "/search", "go", "Search")
    s.end_request(4.5, "/search", "GET /api/search", 500)
    s.visit_page(40, "/")
    s.close_page(150)


def _waits_for_slow_report(s: DemoSession) -> None:
    s.visit_page(0, "/reports")
    s.click_button(3, "/reports", "export", "Export", loading=True)
    s.end_request(10.5, "/reports", "POST /api/reports", 200, 7_300)
    s.close_page(25)


def _crawls_as_a_bot(s: DemoSession) -> None:
    s.agent = _CRAWLER
    for n in range(8):
        s.visit_page(n * 0.5, f"/products/{n}")
        s.end_request(n * 0.5 + 0.2, f"/products/{n}", f"GET /api/products/{n}", 500)
    s.close_page(6)


FRUSTRATED: tuple[tuple[Callable[[DemoSession], None], int], ...] = (
    (_payment_always_fails, 4),
    (_coupon_is_refused, 3),
)
SILENT: tuple[tuple[Callable[[DemoSession], None], int], ...] = (
    (_buys_a_product, 6),
    (_reads_an_article, 4),
    (_increases_a_quantity, 2),
    (_double_clicks_text, 2),
    (_corrects_a_field, 3),
    (_polls_in_the_background, 2),
    (_continues_after_error, 2),
    (_waits_for_slow_report, 2),
    (_crawls_as_a_bot, 1),
)


def example_sessions(now: datetime | None = None) -> Iterator[list[DemoEvent]]:
    """The events of each example session. All sessions end a few minutes before ``now`` (default: the current time)."""
    start = (now or datetime.now(UTC)) - timedelta(minutes=10)
    for story, how_many in (*FRUSTRATED, *SILENT):
        for n in range(how_many):
            session = DemoSession(
                f"demo-{story.__name__.strip('_')}-{n}", start + timedelta(seconds=7 * n), f"user-{story.__name__}-{n}"
            )
            story(session)
            yield session.events
