"""The kinds of labelled sessions. Each is a function that plays one session onto a tape.

Calm kinds are the "never" of detection.md and what resembles frustration to a counter; frustrated kinds are
people whom a failure stopped. Labels are set by what happens to the person, not by what any rule can see.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.labelled.tape import Json, Tape

Play = Callable[[Tape], Tape]


@dataclass(frozen=True)
class Kind:
    """A kind of session; ``target`` names the failing control (a part of its name), ``route`` where it
    fails.
    """

    name: str
    play: Play
    frustrated: bool
    poor: bool = False


KINDS: dict[str, Kind] = {}


def calm(play: Play) -> Play:
    KINDS[play.__name__] = Kind(play.__name__, play, False)
    return play


def calm_poor(play: Play) -> Play:
    KINDS[play.__name__] = Kind(play.__name__, play, False, poor=True)
    return play


def frustrated(play: Play) -> Play:
    KINDS[play.__name__] = Kind(play.__name__, play, True)
    return play


def frustrated_poor(play: Play) -> Play:
    KINDS[play.__name__] = Kind(play.__name__, play, True, poor=True)
    return play


def button(name: str, label: str = "", kind: str = "button") -> Json:
    return {"type": kind, "id": name, "label": label or name}


def point(s: Tape, target: str = "", route: str = "") -> None:
    """Remembers the failure point that the label names."""
    s.label = {"route": route or s.route, "target": target}


def main_target(s: Tape) -> str:
    b = s.app.button
    return b.get("id") or b.get("selector") or b.get("label") or ""


# -- calm: controls made to be repeated ------------------------------------------------------------


def _with_failure_elsewhere(s: Tape, target: Json, count: int = 7) -> Tape:
    """Fast clicks on a control while one request of the page fails right among them."""
    s.arrive().wait(1, 3)
    s.burst(target, count // 2)
    s.request("PATCH", "/api/prefs", 500)
    s.sleep(200).burst(target, count - count // 2)
    return s.wait(3, 6).browse(1).end()


@calm
def stepper_plus(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, button("qty-plus", "+"))


@calm
def stepper_minus_answered(s: Tape) -> Tape:
    s.arrive()
    for i in range(6):
        s.click({"type": "button", "selector": ".cart .decrease", "label": "−"}).sleep(s.rng.randrange(180, 400))
        s.request("PATCH", "/api/cart/items/7", 500 if i == 3 else 200)
    return s.wait(2, 4).browse(1).end()


@calm
def spinbutton(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "spinbutton", "id": "guests"})


@calm
def pagination_next(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "link", "selector": "nav.pagination a.next", "label": "Next"})


@calm
def load_more(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, button("load-more", "Load more"))


@calm
def carousel(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "button", "selector": ".carousel__arrow--right"})


@calm
def calendar_months(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "button", "selector": ".calendar .next-month", "label": "›"}, 9)


@calm
def slider_drag(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "slider", "id": "price-range"})


@calm
def media_player(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "button", "id": "player-seek-forward", "label": "10 s forward"})


@calm
def map_zoom(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "button", "id": "zoomIn", "label": "Zoom in"})


@calm
def canvas_drawing(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "canvas", "tagName": "CANVAS"}, 12)


@calm
def browser_game(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "button", "selector": "#game .jump"}, 15)


@calm
def undo_redo(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, button("undo", "Undo"))


@calm
def keypad(s: Tape) -> Tape:
    s.arrive()
    for _ in range(2):
        for _ in range(3):
            s.burst({"type": "button", "label": str(s.rng.randrange(10))}, 2).sleep(150)
        s.request("POST", "/pin", 401 if not _ else 200)
        s.wait(1, 2)
    return s.browse(1).end()


@calm
def toggle_switch(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "switch", "id": "dark-mode"})


@calm
def checkbox_list(s: Tape) -> Tape:
    s.arrive()
    for i in range(8):
        s.click({"type": "checkbox", "id": f"select-{1000 + i}"}).sleep(s.rng.randrange(200, 500))
    s.request("POST", "/api/bulk", 500)
    return s.wait(3, 5).browse(1).end()


@calm
def rows_in_a_row(s: Tape) -> Tape:
    """Different rows of a list, quickly one after the other; one of the calls fails."""
    s.arrive()
    for i in range(6):
        s.click(button(f"archive-{4400 + i * 7}", "Archive")).sleep(s.rng.randrange(250, 600))
        s.request("POST", f"/api/mail/{4400 + i * 7}/archive", 500 if i == 2 else 200)
    return s.wait(2, 5).browse(1).end()


@calm
def accordion(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "button", "selector": ".faq .accordion-header"})


# -- calm: clicks that are no rage -----------------------------------------------------------------


@calm
def double_clicker(s: Tape) -> Tape:
    """Somebody who double-clicks everything; one answer fails, nothing was begun, nothing is tried again."""
    s.arrive().wait(2, 4)
    s.burst(button("weather", "Weather"), 2)
    s.request("GET", "/api/weather", 500)
    s.wait(4, 9).browse(1)
    s.burst({"type": "link", "id": "news"}, 2)
    return s.end()


@calm
def triple_click_selects(s: Tape) -> Tape:
    s.arrive().wait(1, 2)
    s.burst({"type": "text", "tagName": "P"}, 5, selection=True)
    s.request("GET", "/api/define", 404)
    return s.wait(3, 6).browse(1).end()


@calm
def clicks_in_text_field(s: Tape) -> Tape:
    s.arrive()
    s.burst(s.app.fields[0], 6)
    s.request("GET", "/api/suggest", 500)
    return s.wait(2, 4).browse(1).end()


@calm
def keyboard_clicks(s: Tape) -> Tape:
    """Space held on a focused button."""
    s.arrive()
    for _ in range(8):
        s.click(button("expand-row", "Details"), inputMethod="keyboard", x=0, y=0).sleep(33)
    s.request("GET", "/api/details", 500)
    return s.wait(2, 5).browse(1).end()


@calm
def held_enter_conflicts(s: Tape) -> Tape:
    """Enter held: the first request succeeds, the copies are 409."""
    s.arrive().fill()
    for i in range(5):
        s.emit("form_submit", s.app.form, valid=True)
        s.call(201 if i == 0 else 409, 120 + 30 * i)
        s.sleep(35)
    s.sleep(300)
    return s.thank().end()


@calm
def double_click_conflict(s: Tape) -> Tape:
    s.arrive().fill()
    s.submit().call(201, 180)
    s.sleep(210).submit().call(409, 90)
    s.sleep(200)
    return s.thank().browse(1).end()


@calm
def every_click_answered(s: Tape) -> Tape:
    s.arrive()
    s.burst(button("shuffle-names", "Suggest a name"), 6, responded=True)
    s.request("POST", "/api/log", 500)
    return s.wait(2, 5).browse(1).end()


@calm
def each_click_succeeds(s: Tape) -> Tape:
    """A like button pressed five times, each time answered 200; another call fails."""
    s.arrive()
    for _ in range(5):
        s.click(button("applaud", "Applaud")).request("POST", "/api/claps", 200).sleep(s.rng.randrange(200, 500))
    s.request("GET", "/api/recommendations", 503)
    return s.wait(2, 4).browse(1).end()


@calm
def wizard_steps(s: Tape) -> Tape:
    s.arrive()
    for i in range(6):
        s.click(button("continue", "Continue")).pushed(f"/setup/{'abcdef'[i]}", 40).sleep(s.rng.randrange(250, 700))
    s.request("PUT", "/api/setup", 500)
    return s.wait(2, 5).browse(1).end()


@calm
def rage_on_dead_control(s: Tape) -> Tape:
    """Rage alone: nothing failed."""
    s.arrive()
    s.burst(button("promo-banner", "Sale"), 7)
    return s.wait(3, 6).browse(1).end()


@calm
def rage_dead_with_polling_down(s: Tape) -> Tape:
    """Rage alone, while the page's own polling fails."""
    s.arrive()
    s.polls("/api/notifications", 4000, s.t + 45_000, status=503)
    s.wait(14, 16).burst(button("promo-banner", "Sale"), 7)
    return s.wait(10, 15).browse(1).end()


@calm
def rage_dead_with_beacon_down(s: Tape) -> Tape:
    """Rage alone, while a tag manager is blocked."""
    s.arrive()
    s.beacons = False
    for name in ("menu", "filters", "sizes"):
        s.click(button(name)).request("POST", "/metrics/v1", 0).wait(1, 3)
    for _ in range(6):
        s.click(button("promo-banner", "Sale")).request("POST", "/metrics/v1", 0).sleep(260)
    return s.wait(3, 5).browse(1).end()


@calm
def impatient_while_slow(s: Tape) -> Tape:
    """Clicks again and again while a search takes 6 s; it comes."""
    s.arrive()
    s.click(button("search", "Search")).request("GET", "/api/search", 200, 6000, delay=20)
    s.sleep(900).burst(button("search", "Search"), 5)
    s.sleep(6000).wait(3, 8)
    return s.browse(1).end()


# -- calm: failures without frustration ------------------------------------------------------------


@calm_poor
def single_error(s: Tape) -> Tape:
    s.arrive().wait(2, 5)
    s.click(button("refresh-widget", "Refresh")).answered(500)
    return s.wait(5, 12).browse(2).end()


@calm
def two_errors_unrelated(s: Tape) -> Tape:
    s.arrive().wait(1, 3)
    s.click(button("weather", "Weather")).request("GET", "/api/weather", 502)
    s.wait(6, 12).click(button("stocks", "Stocks")).request("GET", "/api/stocks", 503)
    return s.wait(5, 9).browse(2).end()


@calm
def slow_page(s: Tape) -> Tape:
    s.arrive()
    s.emit("performance", kind="page_load", durationMs=7200)
    return s.wait(4, 8).browse(2).end()


@calm
def slow_pages_throughout(s: Tape) -> Tape:
    for route in (s.app.home, s.app.form_route, s.app.other):
        s.go(route, loads=1, also=("/api/feed", 200, 4800))
        s.sleep(5200).wait(3, 6)
    return s.end()


@calm
def outage_reader(s: Tape) -> Tape:
    """Every page's side call fails; the person reads on."""
    for route in (s.app.home, s.app.other, s.app.form_route, s.app.home):
        s.go(route, loads=1, also=("/api/recommendations", 500, 120))
        s.wait(5, 15).scroll(5)
    return s.end()


@calm
def error_nobody_saw(s: Tape) -> Tape:
    s.arrive().fill()
    s.submit().call(201)
    s.error("TypeError: cannot read properties of null (reading 'focus')", 900)
    s.sleep(600)
    return s.thank().browse(1).end()


@calm
def console_noise(s: Tape) -> Tape:
    s.arrive()
    for i in range(5):
        s.click(button(f"chip-{'abcde'[i]}")).error(
            "ResizeObserver loop completed with undelivered notifications."
        ).wait(0.5, 2)
    s.burst(button("dead-card", "Card"), 5).error("ResizeObserver loop limit exceeded")
    return s.wait(2, 4).browse(1).end()


@calm
def extension_errors(s: Tape) -> Tape:
    s.arrive()
    for _ in range(5):
        s.click(s.app.secondary).error("Cannot read wallet", source="chrome-extension://abc/inject.js").sleep(300)
    return s.wait(2, 4).browse(1).end()


@calm
def script_error_anonymous(s: Tape) -> Tape:
    s.arrive()
    for _ in range(5):
        s.click(s.app.secondary).error("Script error.").sleep(350)
    return s.wait(3, 6).browse(1).end()


@calm
def broken_images(s: Tape) -> Tape:
    s.arrive()
    for i in range(5):
        s.click(button("show-photo", "Photo")).request("GET", f"/img/{i}.jpg", 404).sleep(400)
        s.error("Failed to load resource", kind="resource", source=f"/img/{i}.webp")
    return s.wait(2, 5).browse(1).end()


@calm
def interval_error(s: Tape) -> Tape:
    """An error thrown by a timer every two seconds; clicks fall among it."""
    s.arrive()
    for i in range(15):
        s.error("TypeError: ticker is undefined", i * 2000)
    s.wait(4, 5).burst(button("dead-card", "Card"), 5).wait(8, 10).browse(1)
    return s.end()


@calm
def autosave_fails(s: Tape) -> Tape:
    s.arrive()
    for i in range(4):
        s.emit("input", {"type": "text", "id": f"q-{'abcd'[i]}"}, action="change")
        s.request("PUT", "/api/draft", 500).wait(2, 5)
    s.submit().answered(200)
    return s.thank().end()


@calm
def autosave_fails_then_leaves(s: Tape) -> Tape:
    s.arrive()
    for i in range(4):
        s.emit("input", {"type": "text", "id": f"q-{'abcd'[i]}"}, action="change")
        s.request("PUT", "/api/draft", 500).wait(2, 4)
    return s.wait(1, 3).go(s.app.other).end()


@calm
def heartbeat_down(s: Tape) -> Tape:
    s.arrive()
    s.polls("/heartbeat", 5000, s.t + 60_000, status=0)
    s.fill().submit().answered(200)
    return s.thank().browse(2).end()


@calm
def socket_reconnects(s: Tape) -> Tape:
    s.arrive()
    s.polls("/socket.io/", 3000, s.t + 50_000, status=400)
    s.wait(5, 6).click(s.app.secondary).wait(1, 2).click(s.app.secondary).wait(1, 2).click(s.app.secondary)
    return s.wait(10, 20).go(s.app.other).end()


@calm
def presence_after_each_click(s: Tape) -> Tape:
    s.arrive()
    for name in ("cell-a", "cell-b", "cell-c", "cell-d"):
        s.click(button(name)).request("POST", "/presence", 500).wait(1, 3)
    s.burst(button("dead-card", "Card"), 5).request("POST", "/presence", 500)
    return s.wait(2, 4).browse(1).end()


@calm
def app_retries_itself(s: Tape) -> Tape:
    """The application repeats a failed request until it works; the person clicked once."""
    s.arrive().fill()
    s.submit().call(503, 200).sleep(1400).call(503, 200).sleep(2600).call(201, 200).sleep(300)
    return s.thank().browse(1).end()


@calm
def app_retries_in_vain_user_waits(s: Tape) -> Tape:
    """Three automatic repeats, one click, the person goes on with something else on the page."""
    s.arrive().wait(1, 2)
    s.click(button("sync", "Sync")).request("POST", "/api/sync", 503, 100)
    for pause in (1500, 3000, 6000):
        s.sleep(pause).request("POST", "/api/sync", 503, 100)
    s.wait(4, 8).scroll(4).click(button("sidebar", "Sidebar"))
    return s.wait(5, 9).browse(1).end()


@calm
def aborted_by_navigation(s: Tape) -> Tape:
    s.arrive().wait(1, 2)
    s.click({"type": "link", "id": "reports", "label": "Reports"}).request("GET", "/api/reports", 0, 500, aborted=True)
    s.sleep(560).go(s.app.other).wait(3, 6)
    return s.browse(1).end()


@calm
def typeahead_aborts(s: Tape) -> Tape:
    s.arrive()
    for _ in range(8):
        s.emit("input", {"type": "search", "id": "q"}, action="change").request(
            "GET", "/api/suggest", 0, 150, aborted=True
        )
        s.sleep(170)
    s.request("GET", "/api/suggest", 200)
    return s.wait(2, 5).browse(1).end()


@calm
def preflight_and_keepalive(s: Tape) -> Tape:
    """One failure beside the 200 of its preflight; nobody tries again."""
    s.arrive().wait(1, 2)
    s.click(button("enrich", "Enrich")).request("OPTIONS", "/api/enrich", 200, 40).request(
        "POST", "/api/enrich", 500, 200, delay=60
    )
    return s.wait(6, 12).browse(2).end()


@calm
def third_party_tag_fails(s: Tape) -> Tape:
    s.arrive()
    for name in ("menu", "sizes"):
        s.click(button(name)).request("GET", "/gtm.js", 0, thirdParty=True).wait(1, 2)
    s.burst(button("dead-card", "Card"), 5).request("GET", "/gtm.js", 0, thirdParty=True)
    return s.wait(2, 4).browse(1).end()


@calm
def third_party_error_everywhere(s: Tape) -> Tape:
    s.arrive()
    for name in ("menu", "sizes", "colours"):
        s.click(button(name)).error("ChatWidget: not ready", source="https://chat.example/w.js", thirdParty=True).wait(
            1, 2
        )
    return s.wait(2, 4).go(s.app.other).end()


# -- calm: got there in the end --------------------------------------------------------------------


@calm_poor
def retry_succeeds(s: Tape) -> Tape:
    s.arrive().fill()
    s.submit().answered(500)
    s.wait(2, 6).submit().answered(201)
    return s.thank().end()


@calm
def third_try_succeeds(s: Tape) -> Tape:
    s.arrive().fill()
    for status in (500, 502, 201):
        s.submit().answered(status).wait(2, 6)
    return s.thank().browse(1).end()


@calm
def rage_then_success(s: Tape) -> Tape:
    s.arrive().fill()
    for status in (500, 500, 500, 500):
        s.click(s.app.button).call(status, 100).sleep(s.rng.randrange(200, 600))
    s.wait(4, 10).click(s.app.button).answered(200)
    return s.thank().end()


@calm_poor
def corrected_form(s: Tape) -> Tape:
    s.arrive().fill()
    s.submit().answered(422)
    s.error("Expiry date is in the past", 10, kind="validation")
    s.wait(1, 3).fill(1).submit().answered(201)
    return s.thank().end()


@calm
def corrected_twice(s: Tape) -> Tape:
    s.arrive().fill()
    for which in (0, 1):
        s.submit(valid=False).error("Required", 5, kind="validation").wait(1, 3).fill(which)
    s.submit().answered(200)
    return s.thank().browse(1).end()


@calm
def several_messages_one_submit(s: Tape) -> Tape:
    s.arrive().fill(0)
    s.submit(valid=False)
    for i, message in enumerate(("Card is required", "Expiry is required", "Name is required")):
        s.error(message, 5 + i, kind="validation")
    s.wait(2, 4).fill().submit().answered(201)
    return s.thank().end()


@calm
def wrong_password_once(s: Tape) -> Tape:
    s.go("/login").fill()
    s.click(button("login", "Sign in")).request("POST", "/api/login", 401, 150)
    s.wait(3, 6).fill(0)
    s.click(button("login", "Sign in")).request("POST", "/api/login", 200, 150).sleep(300)
    return s.pushed(s.app.home).wait(4, 8).browse(1).end()


@calm
def other_way_works(s: Tape) -> Tape:
    """Paying by card fails twice; the other button leads on."""
    s.arrive().fill()
    s.submit().answered(500).wait(2, 5).submit().answered(500).wait(3, 8)
    s.click(s.app.secondary).request("POST", s.app.secondary_url, 201, 300).sleep(400)
    return s.thank().end()


@calm
def thanks_despite_error(s: Tape) -> Tape:
    """The receipt mail fails; the order went through."""
    s.arrive().fill()
    s.submit().call(201, 200).request("POST", "/api/receipt-mail", 500, 150, delay=260).sleep(500)
    return s.thank().browse(1).end()


@calm
def coupon_invalid_goes_on(s: Tape) -> Tape:
    s.arrive()
    for _ in range(2):
        s.emit("input", {"type": "text", "id": "coupon"}, action="change").wait(1, 2)
        s.click(button("apply-coupon", "Apply")).request("POST", "/api/coupons", 422, 120).wait(2, 4)
    s.fill().submit().answered(201)
    return s.thank().end()


@calm
def session_expired_login(s: Tape) -> Tape:
    s.arrive().fill()
    s.submit().call(401, 120).sleep(200)
    s.emit("navigation", route="/login", navigationType="replace")
    s.route = "/login"
    s.wait(3, 6)
    s.click(button("login", "Sign in")).request("POST", "/api/login", 200, 150).sleep(300)
    s.pushed(s.app.form_route).wait(2, 4)
    s.submit().answered(201)
    return s.thank().end()


# -- calm: leaving without cause -------------------------------------------------------------------


@calm_poor
def leaves_half_filled(s: Tape) -> Tape:
    s.arrive().fill(0).wait(2, 4)
    return s.go(s.app.other).wait(3, 5).end()


@calm_poor
def leaves_after_success(s: Tape) -> Tape:
    s.arrive().fill()
    s.submit().answered(201)
    s.wait(1, 2)
    return s.go(s.app.other).end()


@calm
def download_after_hiccup(s: Tape) -> Tape:
    """A preview fails once, the download works: its navigation is no leaving."""
    s.arrive().fill()
    s.click(button("preview", "Preview")).request("GET", "/api/preview", 500)
    s.wait(2, 4).click(button("download-pdf", "Download PDF")).sleep(50)
    s.emit("navigation", route="/files/contract", navigationType="link", download=True)
    s.wait(4, 8).fill(0).submit().answered(200)
    return s.thank().end()


@calm
def print_after_hiccup(s: Tape) -> Tape:
    s.arrive().fill()
    s.click(button("preview", "Preview")).request("GET", "/api/preview", 500)
    s.wait(2, 4).click(button("print", "Print")).sleep(80)
    s.emit("navigation", route="/print/view", navigationType="push").wait(2, 5)
    s.emit("navigation", route=s.app.form_route, navigationType="back_forward").wait(1, 3)
    s.submit().answered(200)
    return s.thank().end()


@calm
def share_external(s: Tape) -> Tape:
    s.arrive().fill()
    s.click(button("estimate", "Estimate")).request("GET", "/api/estimate", 500).wait(2, 4)
    s.click(button("share", "Share")).emit("navigation", route="/out", navigationType="link", external=True)
    s.wait(6, 12).fill(0).submit().answered(200)
    return s.thank().end()


@calm
def tab_switch(s: Tape) -> Tape:
    s.arrive().fill()
    s.submit().answered(422)
    s.emit("visibility", state="hidden").wait(15, 20).emit("visibility", state="visible")
    s.wait(1, 2).fill(0).submit().answered(201)
    return s.thank().end()


@calm
def back_step_in_flow(s: Tape) -> Tape:
    s.go("/signup/plan").wait(2, 4).click(button("to-details", "Continue")).sleep(40)
    s.go("/signup/details").fill()
    s.submit().request("POST", "/api/signup", 422, 150).sleep(300)
    s.wait(1, 2).go("/signup/plan", "back_forward").wait(2, 4).go("/signup/details", "back_forward").fill(0)
    s.submit().request("POST", "/api/signup", 201, 150).sleep(300)
    return s.pushed("/signup/done").wait(2, 3).end()


# -- calm: moving about ----------------------------------------------------------------------------


@calm
def list_detail_list(s: Tape) -> Tape:
    for i in range(5):
        s.go("/items").wait(1, 3)
        s.click({"type": "link", "id": f"item-{i}"}).sleep(30)
        s.go(f"/items/{700 + i}", also=("/api/reviews", 500 if i == 2 else 200, 150)).wait(2, 4)
    return s.end()


@calm
def comparing_two(s: Tape) -> Tape:
    for i in range(3):
        s.go("/items/71", loads=1).wait(2, 4)
        s.go("/items/72", loads=1, also=("/api/reviews", 500 if i == 1 else 200, 150)).wait(2, 4)
    return s.end()


@calm
def search_refinement(s: Tape) -> Tape:
    s.go("/search")
    for i in range(5):
        s.emit("input", {"type": "search", "id": "q"}, action="change").wait(0.5, 1)
        s.click(button("go", "Search")).request("GET", "/api/search", 404 if i in (1, 2) else 200, 200).wait(3, 6)
    return s.end()


@calm
def tabs_of_a_page(s: Tape) -> Tape:
    s.go("/profile")
    for i in range(8):
        s.click({"type": "tab", "id": f"tab-{'ab'[i % 2]}"}).pushed(f"/profile/{'ab'[i % 2]}", 30)
        s.request("GET", f"/api/profile/{'ab'[i % 2]}", 200).wait(1, 3)
    return s.end()


@calm
def slow_reader(s: Tape) -> Tape:
    s.arrive().go("/article", also=("/api/comments", 500, 200))
    for i in range(20):
        s.emit("scroll", depth=min(100, 4 * i), direction="down" if i % 5 else "up").wait(2, 5)
    return s.end()


@calm
def thrash_alone(s: Tape) -> Tape:
    s.arrive()
    for i in range(14):
        s.emit("scroll", depth=20 + 30 * (i % 2), direction="down" if i % 2 else "up").sleep(700)
    return s.wait(2, 4).browse(1).end()


@calm
def oscillation_alone(s: Tape) -> Tape:
    for _ in range(3):
        s.go("/help", loads=0).wait(1, 3).go("/contact", loads=0).wait(1, 3)
    return s.end()


@calm
def dashboard_reloads(s: Tape) -> Tape:
    """Somebody reloads a status page that works."""
    s.go("/status")
    for _ in range(5):
        s.wait(2, 3).go("/status", "reload")
    return s.end()


@calm
def dashboard_reload_hiccup(s: Tape) -> Tape:
    s.go("/status")
    for i in range(4):
        s.sleep(4000).go("/status", "reload", loads=0, also=("/api/state", 503 if i == 1 else 200, 150))
    return s.wait(3, 4).end()


# -- calm: not people ------------------------------------------------------------------------------


def _machine(s: Tape, agent: str, **meta: object) -> Tape:
    s.extra["userAgent"] = agent
    s.arrive().fill()
    for _ in range(6):
        s.click(s.app.button, **meta).call(500, 100).sleep(300)
    return s.wait(1, 2).go(s.app.other).end()


@calm
def star_rating(s: Tape) -> Tape:
    return _with_failure_elsewhere(s, {"type": "button", "selector": ".rating > .star"}, 5)


@calm
def favourite_optimistic(s: Tape) -> Tape:
    """A heart that answers at once; one of its calls is refused behind it."""
    s.arrive()
    for i in range(5):
        s.click(button("favourite", "Favourite"), responded=True)
        s.request("PUT", "/api/favourites/7", 429 if i == 3 else 200).sleep(s.rng.randrange(250, 600))
    return s.wait(2, 5).browse(1).end()


@calm
def filter_once_fails(s: Tape) -> Tape:
    """A filter button pressed several times with pauses; the third call fails, the fourth works."""
    s.arrive()
    for i in range(4):
        s.click(button("apply-filter", "Filter")).request("GET", "/api/list", 502 if i == 2 else 200).wait(2, 5)
    return s.browse(1).end()


@calm
def slow_report_comes(s: Tape) -> Tape:
    """A report takes 20 s; the person waits and reads it."""
    s.arrive().fill()
    s.submit().answered(200, 20_000)
    s.wait(5, 10).scroll(6)
    return s.wait(2, 4).go(s.app.other).end()


@calm
def closes_cookie_banner(s: Tape) -> Tape:
    """Consent calls are blocked; the banner goes away."""
    s.arrive()
    s.click(button("accept-cookies", "Accept")).request("POST", "/consent", 0).wait(1, 2)
    s.click(button("close-banner", "Close")).request("POST", "/consent", 0).wait(1, 2)
    return s.fill().submit().answered(200).thank().end()


@calm
def comparing_in_tabs(s: Tape) -> Tape:
    """Two items looked at in turn, one page slow."""
    for i in range(4):
        s.go(f"/items/{71 + i % 2}", loads=1, also=("/api/stock", 200, 3600 if i == 1 else 200)).wait(3, 6)
    return s.end()


@calm
def upload_progresses(s: Tape) -> Tape:
    """A long upload that works, watched with some clicks beside it."""
    s.arrive().wait(1, 2)
    s.click(button("upload", "Upload")).request("POST", "/api/files", 201, 30_000, delay=20)
    for _ in range(3):
        s.wait(4, 6).click({"type": "div", "id": "drop-zone"})
    return s.sleep(30_000).browse(1).end()


@calm
def search_without_results(s: Tape) -> Tape:
    """Searches that find nothing are 404 here; words are changed each time."""
    s.go("/find")
    for _ in range(2):
        s.emit("input", {"type": "search", "id": "q"}, action="change").wait(0.5, 1)
        s.emit("form_submit", {"type": "form", "id": "search"}).request("GET", "/api/find", 404, 120).wait(3, 6)
    s.emit("input", {"type": "search", "id": "q"}, action="change").wait(0.5, 1)
    s.emit("form_submit", {"type": "form", "id": "search"}).request("GET", "/api/find", 200, 120).wait(3, 6)
    return s.browse(1).end()


@calm
def crawler(s: Tape) -> Tape:
    return _machine(s, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")


@calm
def headless_test(s: Tape) -> Tape:
    return _machine(s, "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/126.0 Safari/537.36")


@calm
def uptime_monitor(s: Tape) -> Tape:
    return _machine(s, "UptimeRobot/2.0")


@calm
def screen_reader(s: Tape) -> Tape:
    return _machine(
        s, "Mozilla/5.0 (Windows NT 10.0) Firefox/126.0", assistiveTechnology="NVDA", inputMethod="keyboard"
    )


# -- frustrated ------------------------------------------------------------------------------------


@frustrated
def rage_5xx(s: Tape) -> Tape:
    s.arrive().fill().wait(1, 3)
    point(s, main_target(s))
    for _ in range(s.rng.randrange(4, 8)):
        s.click(s.app.button).call(s.rng.choice((500, 502, 503)), 120).sleep(s.rng.randrange(*s.person.click_ms))
    return s.wait(3, 8).end()


@frustrated
def rage_one_request(s: Tape) -> Tape:
    """The application sends once and ignores the other clicks."""
    s.arrive().wait(1, 3)
    point(s, main_target(s))
    s.click(s.app.button).call(500, 900).sleep(350).burst(s.app.button, 5)
    return s.wait(6, 12).browse(1).end()


@frustrated
def rage_preflight_ok(s: Tape) -> Tape:
    """Every click: preflight 200, keep-alive 200, the request itself 500."""
    s.arrive().fill()
    point(s, main_target(s))
    for _ in range(5):
        s.click(s.app.button).request("OPTIONS", s.app.url, 200, 20).request("GET", "/api/keepalive", 200, 30)
        s.call(500, 150, delay=60).sleep(s.rng.randrange(*s.person.click_ms))
    return s.wait(3, 8).go(s.app.other).end()


@frustrated
def rage_timeout(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, main_target(s))
    s.submit().call(0, 25_000).sleep(25_100)
    s.wait(1, 2).burst(s.app.button, 5).call(0, 25_000).sleep(25_500)
    return s.wait(1, 3).go(s.app.other).end()


@frustrated
def rage_crash(s: Tape) -> Tape:
    """No request leaves: the handler throws."""
    s.arrive().wait(2, 4)
    point(s, main_target(s))
    for _ in range(6):
        s.click(s.app.button).error("TypeError: t.total is not a function", source="/static/app.js").sleep(
            s.rng.randrange(*s.person.click_ms)
        )
    return s.wait(4, 8).browse(1).end()


@frustrated
def rage_200_crashes(s: Tape) -> Tape:
    """The server says 200, the page cannot draw it."""
    s.arrive().fill()
    point(s, main_target(s))
    for _ in range(5):
        s.click(s.app.button).call(200, 120, delay=20).error("ReferenceError: render is not defined", 190).sleep(
            s.rng.randrange(300, 700)
        )
    return s.wait(3, 6).go(s.app.other).end()


@frustrated
def rage_429(s: Tape) -> Tape:
    s.arrive().wait(1, 2)
    point(s, main_target(s))
    for _ in range(6):
        s.click(s.app.button).call(429, 60).sleep(s.rng.randrange(*s.person.click_ms))
    return s.wait(5, 9).end()


@frustrated
def rage_403(s: Tape) -> Tape:
    s.arrive().wait(1, 2)
    point(s, main_target(s))
    for _ in range(5):
        s.click(s.app.button).call(403, 90).sleep(s.rng.randrange(*s.person.click_ms))
    return s.wait(5, 9).browse(1).end()


@frustrated
def reload_rage(s: Tape) -> Tape:
    s.go(s.app.home).wait(2, 4).click({"type": "link", "id": "open"}).sleep(20)
    s.go("/reports/monthly", loads=0, also=("/api/reports/monthly", 500, 200))
    point(s)
    for _ in range(4):
        s.sleep(s.rng.randrange(3000, 6000)).go(
            "/reports/monthly", "reload", loads=0, also=("/api/reports/monthly", 500, 200)
        )
    return s.wait(3, 6).end()


@frustrated
def blocked_submit(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, main_target(s))
    for _ in range(3):
        s.submit().answered(500).wait(3, 9)
    return s.wait(2, 4).end()


@frustrated
def blocked_keyboard(s: Tape) -> Tape:
    """Enter, again and again, never the mouse."""
    s.arrive().fill()
    form = s.app.form
    point(s, form.get("id") or form.get("selector") or "")
    for _ in range(3):
        s.submit(click=False).answered(503).wait(3, 8)
    return s.go(s.app.other).end()


@frustrated
def blocked_after_timeout(s: Tape) -> Tape:
    """25 s of waiting, then a second try 20 s after the answer."""
    s.arrive().fill()
    point(s, main_target(s))
    s.submit().answered(0, 25_000).sleep(20_000)
    s.submit().answered(0, 25_000).sleep(3000)
    return s.go(s.app.other).end()


@frustrated
def blocked_click(s: Tape) -> Tape:
    """A control outside any form, tried three times with pauses."""
    s.arrive().wait(2, 4)
    export = button("export-csv", "Export")
    point(s, "export-csv")
    for _ in range(3):
        s.click(export).request("POST", "/api/exports", 500, 300).sleep(400).wait(3, 9)
    return s.wait(4, 8).browse(1).end()


@frustrated
def blocked_patient(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, main_target(s))
    for _ in range(2):
        s.submit().answered(500).wait(9, 14)
    return s.go(s.app.other).end()


@frustrated
def validation_wall(s: Tape) -> Tape:
    """Corrects and sends four times, is refused each time, gives up."""
    s.arrive().fill()
    point(s, main_target(s))
    for _ in range(4):
        s.submit().answered(422).error("IBAN is not valid", 10, kind="validation").wait(1, 3).fill(0)
    return s.wait(1, 2).go(s.app.other).end()


@frustrated
def login_wall(s: Tape) -> Tape:
    s.go("/login")
    point(s, "login")
    for _ in range(4):
        s.fill(0).click(button("login", "Sign in")).request("POST", "/api/login", 401, 150).sleep(300).wait(1, 3)
    return s.wait(1, 2).end()


@frustrated
def abandon_5xx(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, main_target(s))
    s.submit().answered(500)
    return s.wait(4, 9).go(s.app.other).wait(3, 6).end()


@frustrated
def abandon_validation(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, main_target(s))
    s.submit().error("Postcode is not known", 120, kind="validation")
    return s.wait(5, 10).go(s.app.other).wait(3, 6).end()


@frustrated
def abandon_session_end(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, main_target(s))
    s.submit().answered(502)
    return s.wait(5, 12).end()


@frustrated
def abandon_waiting(s: Tape) -> Tape:
    """Waits 15 s for an answer, goes; the browser aborts the request."""
    s.arrive().fill()
    point(s, main_target(s))
    s.submit()
    s.call(0, 15_000, delay=20, aborted=True).sleep(15_050)
    return s.go(s.app.other).wait(2, 5).end()


@frustrated
def payment_provider_down(s: Tape) -> Tape:
    """A third party that answers this one action alone."""
    s.arrive().fill()
    point(s, main_target(s))
    for _ in range(5):
        s.click(s.app.button).request("POST", "/v1/payment_intents", 503, 180, thirdParty=True).sleep(
            s.rng.randrange(*s.person.click_ms)
        )
    return s.wait(3, 7).go(s.app.other).end()


@frustrated
def polling_fine_action_fails(s: Tape) -> Tape:
    """The same as blocked, in a page that polls and beacons happily."""
    s.arrive()
    s.polls("/api/notifications", 5000, s.t + 90_000)
    s.beacons = True
    s.fill()
    point(s, main_target(s))
    for _ in range(3):
        s.submit().answered(500).wait(3, 7)
    return s.go(s.app.other).end()


@frustrated
def graphql_mutation_fails(s: Tape) -> Tape:
    """One address for everything; one mutation fails each time."""
    s.go(s.app.home, loads=0).request("POST", "/graphql", 200).wait(2, 4)
    for name in ("menu", "filter-new"):
        s.click(button(name)).request("POST", "/graphql", 200).wait(1, 3)
    s.go(s.app.form_route, loads=0).request("POST", "/graphql", 200).wait(1, 2)
    s.fill()
    point(s, main_target(s))
    for _ in range(5):
        s.click(s.app.button).request("POST", "/graphql", 500, 140).sleep(s.rng.randrange(300, 700))
    return s.wait(4, 8).end()


@frustrated
def link_leads_nowhere(s: Tape) -> Tape:
    """A page that cannot load its data is opened again and again from the menu."""
    s.go(s.app.home).wait(2, 4)
    for i in range(3):
        s.click({"type": "link", "id": "menu-invoices", "label": "Invoices"}).sleep(25)
        s.go("/invoices", loads=0, also=("/api/invoices", 500, 250))
        if not i:
            point(s)
        s.wait(2, 4)
        s.click({"type": "link", "id": "menu-home"}).sleep(25).go(s.app.home, loads=0).wait(1, 3)
    return s.end()


@frustrated
def app_repeats_and_user_rages(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, main_target(s))
    for _ in range(5):
        s.click(s.app.button).call(503, 90).sleep(s.rng.randrange(*s.person.click_ms))
    for pause in (1200, 2400):
        s.sleep(pause).call(503, 90)
    return s.wait(3, 6).go(s.app.other).end()


@frustrated
def success_before_failure_after(s: Tape) -> Tape:
    """Saved once; the next change cannot be saved."""
    s.arrive().fill(0).submit().answered(200)
    s.wait(5, 10).fill(0)
    point(s, main_target(s))
    for _ in range(3):
        s.submit().answered(500).wait(2, 6)
    return s.wait(2, 3).end()


@frustrated
def both_buttons_fail(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, main_target(s))
    s.submit().answered(500).wait(2, 4).submit().answered(500).wait(2, 4)
    s.click(s.app.secondary).request("POST", s.app.secondary_url, 500, 200).sleep(300)
    return s.wait(3, 6).go(s.app.other).end()


@frustrated
def chunk_fails(s: Tape) -> Tape:
    s.arrive().wait(1, 3)
    point(s, "open-editor")
    for _ in range(5):
        s.click(button("open-editor", "Edit")).error(
            "ChunkLoadError: Loading chunk 17 failed. (/static/17.a8f3.js)"
        ).sleep(s.rng.randrange(250, 700))
    return s.wait(4, 8).browse(1).end()


@frustrated
def crash_blocks(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, main_target(s))
    for _ in range(3):
        s.click(s.app.button).error("TypeError: Cannot read properties of undefined (reading 'id')", 40).wait(2, 6)
    return s.go(s.app.other).end()


@frustrated_poor
def poor_rage(s: Tape) -> Tape:
    s.arrive()
    point(s, "button" if s.app.button["type"] == "button" else "")
    for _ in range(6):
        s.click(s.app.button).call(500, 100).sleep(s.rng.randrange(250, 700))
    return s.wait(3, 8).end()


@frustrated_poor
def poor_blocked_then_leaves(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, "")
    for _ in range(3):
        s.submit().answered(500).wait(3, 8)
    return s.go(s.app.other).wait(1, 2).end()


@frustrated_poor
def poor_abandon(s: Tape) -> Tape:
    s.arrive().fill()
    point(s, "")
    s.submit().answered(500)
    return s.wait(4, 9).go(s.app.other).wait(3, 6).end()


@frustrated
def delete_fails_patiently(s: Tape) -> Tape:
    """A row that cannot be deleted, tried four times with pauses; then the session goes on elsewhere."""
    s.arrive().wait(2, 4)
    n = s.rng.randrange(1000, 9999)
    point(s, f"delete-{n}")
    for _ in range(4):
        s.click(button(f"delete-{n}", "Delete")).request("DELETE", f"/api/rows/{n}", 500).wait(3, 8)
    return s.browse(2).end()


@frustrated
def offline_form(s: Tape) -> Tape:
    """The connection is gone: each try ends at once without an answer."""
    s.arrive().fill()
    point(s, main_target(s))
    for _ in range(4):
        s.submit().call(0, 40).wait(2, 6)
    return s.wait(2, 3).end()


@frustrated
def expired_session_loop(s: Tape) -> Tape:
    """401 on each try, no way to sign in is offered."""
    s.arrive().fill()
    point(s, main_target(s))
    for _ in range(3):
        s.submit().answered(401).wait(2, 5)
    return s.wait(1, 3).go(s.app.home).wait(2, 3).end()


@frustrated
def rage_while_spinning(s: Tape) -> Tape:
    """A spinner without end, clicked at, left."""
    s.arrive().fill()
    point(s, main_target(s))
    s.submit().emit("loading", state="start").wait(5, 8)
    s.burst(s.app.button, 6).wait(4, 8)
    return s.go(s.app.other).wait(2, 3).end()


@frustrated
def step_by_step_refused(s: Tape) -> Tape:
    """Each correction meets another message; after three of them the form is closed."""
    s.arrive().fill()
    point(s, main_target(s))
    for i, message in enumerate(("Amount is too low", "Amount is too high", "Amount has too many digits")):
        s.submit(valid=False).error(message, 20, kind="validation").wait(2, 4).fill(i)
    return s.wait(1, 3).go(s.app.home).end()
