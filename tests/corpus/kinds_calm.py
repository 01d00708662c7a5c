"""Situations that look like frustration and are none: nothing may be reported.

Where something fails here it is in the background, it is put right, or the person does not care; where something is
clicked again and again it is made for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tests.corpus.player import BRISK, Player, kind
from tests.corpus.sites import Control

calm = partial(kind, frustrated=False)
OWN_ERRORS = ("TypeError: x is undefined", "Cannot read properties of undefined (reading 'map')")


def _burst(p: Player, control: Control, n: int, gap: float, after: Callable[[], None] | None = None) -> None:
    """Click a control n times; each click does something."""
    for _ in range(n):
        p.click(control, responded=True)
        p.t += p.gap(gap, 0.35)
        if after:
            after()


def _saves(p: Player, url: str, chance: float = 1.0) -> Callable[[], None]:
    """A request that goes well after a click."""

    def save() -> None:
        if p.chance(chance):
            dur = p.gap(0.12)
            p.request(200, "PATCH" if p.site.api == "rest" else "POST", url, dur, p.t + dur)

    return save


def _url(p: Player, path: str) -> str:
    """An endpoint of the application: its own path, or its one GraphQL URL."""
    return p.site.data if p.site.api == "graphql" else path


# --- controls made to be used again and again


@calm()
def quantity_stepper(p: Player) -> None:
    """Plus, plus, plus, and one minus; each step may be saved."""
    p.arrive()
    p.open_item(p.item())
    plus = Control("qty-plus", "Increase quantity")
    _burst(p, plus, p.rng.randint(4, 14), 0.3, _saves(p, _url(p, "/api/lines"), p.rng.choice([0.0, 1.0])))
    _burst(p, Control("qty-minus", "Decrease quantity"), 2, 0.4)
    p.attempt(p.go("add"))
    p.happy_end()


@calm()
def carousel(p: Player) -> None:
    """Through all the pictures with the arrow, twice round."""
    p.arrive()
    p.open_item(p.item())
    _burst(p, Control("carousel-next", "Next slide"), p.rng.randint(6, 20), 0.45)
    p.happy_end()


@calm()
def calendar_months(p: Player) -> None:
    """Many months ahead, then a day."""
    p.arrive()
    load = _saves(p, _url(p, "/calendar/days"), p.rng.choice([0.0, 0.9]))
    _burst(p, Control("cal-next", "Next month"), p.rng.randint(5, 16), 0.35, load)
    p.click(Control("day-17", "17", "td", "gridcell"), responded=True)
    p.happy_end()


@calm("success")
def pagination(p: Player) -> None:
    """Page after page of a list, quickly."""
    p.browse()
    button = Control("page-next", "Next page", "a", "link")
    for _ in range(p.rng.randint(5, 15)):
        p.click(button, responded=True)
        p.t += p.gap(0.2)
        p.request(200, "GET" if p.site.api != "graphql" else "POST", p.site.data, 0.2)
        p.wait(0.7)
    p.happy_end()


@calm()
def media_seek(p: Player) -> None:
    """Ten seconds back, again and again, to hear a sentence; paused and played."""
    p.arrive()
    for _ in range(p.rng.randint(2, 4)):
        _burst(p, Control("seek-back", "Back 10 seconds"), p.rng.randint(3, 7), 0.3)
        p.wait(12)
        _burst(p, Control("play", "Play"), 2, 1.2)
    p.happy_end()


@calm()
def clicking_game(p: Player) -> None:
    """A game: hundreds of fast clicks on one thing."""
    p.arrive(0)
    for _ in range(p.rng.randint(3, 6)):
        _burst(p, Control("board", "Board", "canvas", "canvas"), p.rng.randint(15, 50), 0.2)
        p.wait(3)
    p.happy_end()


@calm()
def map_zoom(p: Player) -> None:
    """Zooming in and out of a map."""
    p.arrive()
    for _ in range(p.rng.randint(2, 4)):
        zoom = p.rng.choice([Control("zoom-in", "Zoom in"), Control("zoom-out", "Zoom out")])
        _burst(p, zoom, p.rng.randint(3, 7), 0.35, _saves(p, "/tiles/9/270/168.png", 0.8))
        p.wait(2)
    p.happy_end()


@calm()
def slider_nudged(p: Player) -> None:
    """A price slider moved by little clicks; the list follows, older requests aborted."""
    p.arrive(1)
    knob = Control("price-max", "Highest price", "input", "range")
    for _ in range(p.rng.randint(5, 12)):
        p.click(knob, responded=True)
        p.request(0, "GET", p.site.data, 0.15, p.t + 0.2, aborted=True)
        p.t += p.gap(0.3)
    p.request(200, "GET", p.site.data, 0.3, p.t + 0.3)
    p.wait(1)
    p.happy_end()


@calm()
def keypad(p: Player) -> None:
    """A number on an on-screen keypad, the same digit several times."""
    p.arrive(0)
    for _ in range(p.rng.randint(2, 3)):
        digit = str(p.rng.randrange(10))
        _burst(p, Control(f"key-{digit}", digit), p.rng.randint(3, 6), 0.25)
    p.click(Control("key-ok", "OK"), responded=True)
    p.wait(0.4)
    p.visit(p.site.listing)
    p.happy_end()


@calm()
def colours_tried_on(p: Player) -> None:
    """Every colour of an item looked at, some twice."""
    p.open_item(p.item())
    for n in range(p.rng.randint(6, 14)):
        p.click(Control(f"swatch-{n % 4}", f"Colour {n % 4}", "input", "radio"), responded=True)
        p.wait(0.8)
    p.happy_end()


@calm()
def undo_undo_undo(p: Player) -> None:
    """A dozen steps back in an editor and some forward."""
    p.arrive(1)
    _burst(p, Control("undo", "Undo"), p.rng.randint(5, 14), 0.28)
    _burst(p, Control("redo", "Redo"), p.rng.randint(2, 5), 0.3)
    p.happy_end()


@calm()
def applause(p: Player) -> None:
    """A like button that counts every click."""
    p.arrive(1)
    _burst(p, Control("clap", "Clap"), p.rng.randint(6, 25), 0.2, _saves(p, _url(p, "/claps"), 0.4))
    p.happy_end()


@calm()
def tabs_and_accordion(p: Player) -> None:
    """Sections opened and shut to find one."""
    p.link("Help", p.site.help)
    for n in range(p.rng.randint(5, 12)):
        part = Control(f"section-{n % 5}", f"Section {n % 5}", "summary", "disclosure")
        _burst(p, part, p.rng.choice([1, 1, 2, 3]), 0.6)
        p.wait(2)
    p.happy_end()


@calm()
def stars_and_ratings(p: Player) -> None:
    """Three stars, four, five, four."""
    p.open_item(p.item())
    for n in (3, 4, 5, 4):
        p.click(Control(f"star-{n}", f"{n} stars", "input", "radio"), responded=True)
        p.wait(0.5)
    p.attempt(p.go("send"))
    p.happy_end()


@calm()
def photo_viewer(p: Player) -> None:
    """A hundred photos with the arrow key; some pictures are missing."""
    p.arrive(0)
    for _ in range(p.rng.randint(15, 40)):
        p.click(Control("photo-next", "Next photo"), responded=True)
        if "url" in p.vocabulary.caps and p.chance(0.1):
            p.request(404, "GET", f"/photos/{p.rng.randrange(999)}.webp", 0.1, p.t + 0.1)
        p.wait(0.6)
    p.happy_end()


@calm("url")
def stepper_beside_failing_telemetry(p: Player) -> None:
    """The stepper works; the third-party counter that hears each click does not."""
    p.arrive()
    p.open_item(p.item())

    def counter() -> None:
        p.request(0, "POST", "/v1/track", 0.02, p.t + 0.05, thirdParty=True)

    _burst(p, Control("qty-plus", "Increase quantity"), p.rng.randint(4, 10), 0.3, counter)
    p.attempt(p.go("add"))
    p.happy_end()


@calm()
def dice_and_reshuffle(p: Player) -> None:
    """'Suggest another name', many times, each answered."""
    p.arrive(0)
    _burst(p, Control("another", "Suggest another"), p.rng.randint(5, 15), 0.8, _saves(p, _url(p, "/suggest")))
    p.happy_end()


# --- clicks by habit


@calm()
def double_clicker(p: Player) -> None:
    """Double-clicks everything, as on a desktop; all works."""
    p.arrive(0)
    for _ in range(p.rng.randint(3, 7)):
        p.click(Control("nav-browse", "Browse", "a", "link", "nav"), clickCount=1, responded=True)
        p.t += 0.16
        p.click(Control("nav-browse", "Browse", "a", "link", "nav"), clickCount=2)
        p.wait(0.3)
        p.visit(p.rng.choice([p.site.listing, p.item(fresh=True)]))
        p.think(4)
    p.happy_end()


@calm("meta")
def triple_click_selects(p: Player) -> None:
    """Words and paragraphs selected by two and three clicks, to copy them."""
    p.open_item(p.item())
    text = Control("description", "Description", "p", "text")
    for _ in range(p.rng.randint(3, 6)):
        for n in range(1, p.rng.choice([2, 3]) + 1):
            p.click(text, clickCount=n, selection=n > 1)
            p.t += p.gap(0.17, 0.2)
        p.wait(5)
    p.happy_end()


@calm()
def toggled_to_and_fro(p: Player) -> None:
    """Dark mode on, off, on; notifications on, off; each saved."""
    p.go("save")
    for name in ("dark", "mail", "sound"):
        switch = Control(f"switch-{name}", name.capitalize(), "input", "switch")
        _burst(p, switch, p.rng.randint(2, 5), 0.7, _saves(p, _url(p, "/preferences")))
        p.wait(2)
    p.happy_end()


@calm()
def checkbox_list(p: Player) -> None:
    """Twenty boxes ticked one after another, then one request."""
    p.go("row")
    for n in range(p.rng.randint(10, 25)):
        p.click(Control(f"pick-{n}", f"Row {n}", "input", "checkbox", "table"), responded=True)
        p.t += p.gap(0.4)
    p.attempt(p.row())
    p.happy_end()


@calm()
def table_sorted_every_way(p: Player) -> None:
    """Columns sorted up, down and up again."""
    p.go("row")
    for name in ("date", "amount", "state"):
        _burst(p, Control(f"sort-{name}", name.capitalize(), "th", "columnheader"), p.rng.randint(2, 4), 0.9)
    p.happy_end()


@calm()
def wizard_clicked_through(p: Player) -> None:
    """Next, next, next on a wizard that works, at speed."""
    p.visit(p.site.steps[0].replace("{id}", p.entity))
    go_on = Control("wizard-next", "Next")
    for step in [*p.site.steps[1:], p.site.action("submit", p.entity).route]:
        p.wait(1.2)
        p.click(go_on, responded=True)
        p.t += p.gap(0.2)
        p.visit(step.replace("{id}", p.entity))
    p.wait(2)
    p.attempt(p.site.action("submit", p.entity))
    p.happy_end()


@calm("success")
def quiz(p: Player) -> None:
    """A question, an answer, Next, at one button, forty times; nothing but the text changes."""
    p.arrive(0)
    for _ in range(p.rng.randint(12, 40)):
        p.click(Control(f"answer-{p.rng.randrange(4)}", "Answer", "input", "radio"), responded=True)
        p.wait(1.1)
        p.click(Control("next-question", "Next question"), responded=True)
        p.request(200, "POST", _url(p, "/quiz/answers"), 0.15, p.t + 0.2)
        p.wait(0.9)
    p.happy_end()


@calm("success")
def power_user(p: Player) -> None:
    """Row after row approved within seconds; all of it works."""
    p.arrive(0)
    p.go("row")
    for _ in range(p.rng.randint(10, 30)):
        p.attempt(p.row(), 200, 0.2)
        p.t += p.gap(0.5)
    p.happy_end()


@calm("success", devices="keyboard")
def enter_held_down(p: Player) -> None:
    """Enter held or hit repeatedly; the first press did it, and the page moves on."""
    p.arrive()
    a = p.go("submit")
    p.fill(("name",))
    start = p.t
    for _ in range(p.rng.randint(3, 9)):
        p.click(a.control)
        p.t += 0.04
    p.note("form_submit", a.control, start + 0.01, valid=True)
    p.request(201, a.method, a.url, 0.7, start + 0.7)
    p.t = start + 0.8
    p.visit(a.done)
    p.happy_end()


@calm("meta")
def trying_a_disabled_button(p: Player) -> None:
    """Hits the greyed-out button three times, sees the missing tick, sets it, goes on."""
    p.arrive()
    a = p.go("submit")
    for _ in range(p.rng.randint(2, 4)):
        p.click(a.control, disabled=True, responded=False)
        p.wait(0.6)
    p.wait(2)
    p.click(Control("terms", "I accept the terms", "input", "checkbox", "form"), responded=True)
    p.wait(1)
    p.attempt(a)
    p.happy_end()


@calm()
def clicks_on_plain_text(p: Player) -> None:
    """Clicks along while reading: words, margins, pictures; nothing happens, nothing should."""
    p.open_item(p.item())
    for _ in range(p.rng.randint(5, 14)):
        tag = p.rng.choice(["p", "div", "img", "span", "body"])
        p.click(Control(f"text-{p.rng.randrange(4)}", "Text", tag, "text"), responded=False)
        p.wait(1.5, 0.8)
    p.happy_end()


@calm()
def lone_dead_click(p: Player) -> None:
    """One click that nothing answers, on a button, a box or a label; shrugged off."""
    p.arrive()
    tag, kind_of = p.rng.choice([("button", "button"), ("a", "link"), ("input", "checkbox"), ("label", "label")])
    for _ in range(p.rng.randint(1, 2)):
        p.click(Control("nothing", "More", tag, kind_of), responded=False)
        p.wait(5)
    p.happy_end()


@calm()
def fields_clicked_into(p: Player) -> None:
    """Clicks into fields, text areas, labels, select boxes: they only take the focus."""
    p.go("save")
    for _ in range(p.rng.randint(2, 3)):
        for name, tag in (("name", "input"), ("notes", "textarea"), ("country", "select")):
            _burst(p, Control(f"field-{name}", name, tag, "text"), p.rng.choice([1, 2, 3]), 0.25)
            p.note("input", Control(f"field-{name}", name, tag, "text"), action="focus", fieldType="text")
            p.wait(1.5)
    p.attempt(p.site.action("save", p.entity))
    p.happy_end()


@calm()
def links_with_a_modifier(p: Player) -> None:
    """Opens ten results in tabs of their own: click after click, and the page stays as it is."""
    p.browse()
    for _ in range(p.rng.randint(5, 10)):
        p.click(Control("result", "Result", "a", "link"), ctrlKey=True, responded=False)
        p.wait(0.7)
    p.note("visibility", state="hidden")
    p.wait(60)
    p.note("visibility", state="visible")
    p.happy_end()


@calm()
def click_that_scrolls(p: Player) -> None:
    """'To the top' and anchors clicked several times; the page scrolls."""
    p.link("Help", p.site.help)
    for _ in range(p.rng.randint(3, 7)):
        p.click(Control("to-top", "To the top", "a", "link"), responded=False)
        p.note("scroll", at=p.t + p.rng.choice([0.08, 0.2, 3.0]), depth=0, direction="up")
        p.wait(0.8)
    p.happy_end()


@calm()
def click_then_tab_hidden(p: Player) -> None:
    """A click opens another window; back after a while, and again."""
    p.arrive()
    for _ in range(p.rng.randint(2, 4)):
        p.click(Control("open-window", "Open in window"), responded=False)
        p.note("visibility", at=p.t + 0.05, state="hidden")
        p.wait(20)
        p.note("visibility", state="visible")
        p.wait(1)
    p.happy_end()


@calm()
def two_bursts_minutes_apart(p: Player) -> None:
    """A dozen clicks on one spot, some minutes, another dozen: playing about, nothing fails."""
    p.arrive()
    spot = Control("logo", "Logo", "img", "image")
    for _ in range(2):
        _burst(p, spot, p.rng.randint(9, 13), 0.12)
        p.wait(180, 0.2)
    p.happy_end()


@calm()
def swipes_without_effect(p: Player) -> None:
    """Pulls at the end of a page on a phone; nothing more comes."""
    p.browse()
    for _ in range(p.rng.randint(3, 8)):
        p.note("scroll", depth=100, direction="down")
        p.wait(0.7)
    p.happy_end()


@calm()
def clicks_by_script(p: Player) -> None:
    """A tour script clicks through the page by itself; some clicks in the same millisecond."""
    p.arrive()
    for _ in range(p.rng.randint(3, 6)):
        for _ in range(3):
            p.click(Control("tour-next", "Next tip"), trusted=False, responded=True)
        p.wait(2)
    p.happy_end()


# --- what fails where nobody looks


@calm("url")
def polling_fails(p: Player) -> None:
    """The poll fails for minutes on end while the person works on well."""
    began = p.t
    p.arrive()
    for _ in range(p.rng.randint(2, 4)):
        p.task()
    at, status = began + 2, p.rng.choice([500, 503, 0, 401])
    while at < p.t:
        p.request(status, "GET", "/notifications/unread", 0.2, at)
        at += p.rng.choice([5.0, 10.0])
    p.happy_end()


@calm("url")
def heartbeat_dies(p: Player) -> None:
    """A heartbeat every half minute, gone bad halfway."""
    p.arrive()
    for _ in range(p.rng.randint(3, 5)):
        p.task()
        p.wait(20)
    at = 5.0
    while at < p.t:
        p.request(204 if at < p.t / 2 else 502, "POST", "/heartbeat", 0.1, at)
        at += 30
    p.happy_end()


@calm("url errors")
def websocket_drops(p: Player) -> None:
    """The live connection drops and is taken up again, over and over, with errors in the console."""
    p.arrive()
    for _ in range(p.rng.randint(3, 8)):
        p.note("error", errorType="javascript", message="WebSocket connection to '/live' failed", source="/app.js")
        p.request(0, "GET", "/live/negotiate", 0.3, p.t + 1)
        p.think(6)
        if p.chance(0.5):
            p.browse()
    p.happy_end()


@calm("url")
def beacons_blocked(p: Player) -> None:
    """An ad blocker: every page view's and click's beacon fails at once."""
    p.arrive(0)
    for _ in range(p.rng.randint(4, 9)):
        p.browse()
        for _ in range(p.rng.randint(1, 3)):
            p.request(0, "POST", p.rng.choice(["/g/collect", "/ads/pixel"]), 0.01, p.t + 0.1, thirdParty=True)
        p.think(3)
    p.happy_end()


@calm("url")
def own_analytics_blocked(p: Player) -> None:
    """The same through the application's own address: each click's event is blocked, not said to be third-party."""
    p.arrive(0)
    for _ in range(p.rng.randint(4, 9)):
        p.open_item(p.item(fresh=True))
        p.request(0, "POST", "/ingest/events", 0.01, p.t + 0.15)
        p.think(3)
    p.happy_end()


@calm("url errors")
def extension_errors(p: Player) -> None:
    """A browser extension throws at whatever is clicked."""
    p.arrive(0)
    for _ in range(p.rng.randint(3, 7)):
        p.browse()
        p.note(
            "error",
            errorType="javascript",
            message="Extension context invalidated.",
            thirdParty=True,
            source="chrome-extension://abcdefgh/content.js",
        )
        p.think(3)
    p.happy_end()


@calm("errors")
def resize_observer(p: Player) -> None:
    """ResizeObserver complains at each opening of a menu; the menu opens."""
    p.arrive()
    for _ in range(p.rng.randint(4, 9)):
        p.click(Control("menu", "Menu"), responded=True)
        message = "ResizeObserver loop completed with undelivered notifications."
        p.note("error", at=p.t + 0.05, errorType="javascript", message=message, source="/app.js")
        p.wait(2)
    p.happy_end()


@calm("url errors")
def pictures_and_fonts_missing(p: Player) -> None:
    """404 for pictures, fonts and source maps on every page."""
    p.arrive(0)
    for _ in range(p.rng.randint(3, 7)):
        p.open_item(p.item(fresh=True))
        for name in ("/img/a.webp", "/fonts/inter.woff2", "/app.js.map")[: p.rng.randint(1, 3)]:
            p.request(404, "GET", name, 0.05, p.t + 0.2)
            p.note("error", at=p.t + 0.21, errorType="resource", message=f"Failed to load {name}", source=name)
        p.think(4)
    p.happy_end()


@calm("success url")
def typeahead_aborts(p: Player) -> None:
    """Each letter aborts the last letter's request."""
    p.arrive()
    field = Control("field-term", "Search", "input", "search")
    for _ in range(p.rng.randint(2, 4)):
        p.click(field)
        for _ in range(p.rng.randint(4, 9)):
            p.note("input", field, action="change", fieldType="search")
            p.t += p.gap(0.16)
            p.request(0, "GET", "/suggest", 0.1, aborted=True)
        p.t += 0.3
        p.request(200, "GET", "/suggest", 0.2)
        p.think(3)
    p.happy_end()


@calm("url")
def prefetch_fails(p: Player) -> None:
    """Pages fetched in advance on hover answer 404 or 503; nobody goes there."""
    p.browse()
    for n in range(p.rng.randint(5, 12)):
        p.note("hover", Control(f"card-{n}", "Card", "a", "link"))
        p.request(p.rng.choice([404, 503]), "GET", f"/_next/data/{n}.json", 0.2, p.t + 0.2)
        p.wait(1.2)
    p.happy_end()


@calm("url")
def preflight_refused(p: Player) -> None:
    """OPTIONS to somebody else's address refused at every page."""
    p.arrive(0)
    for _ in range(p.rng.randint(3, 6)):
        p.browse()
        p.request(403, "OPTIONS", "/widget/config", 0.1, p.t + 0.1, thirdParty=True)
        p.think(4)
    p.happy_end()


@calm("success url")
def retried_by_the_application(p: Player) -> None:
    """One click; the application itself tries three times, and the third succeeds."""
    p.arrive()
    a = p.go("save")
    p.fill()
    p.click(a.control, responded=True)
    for n, status in enumerate((503, 503, 200)):
        p.t += 0.3 + 2**n * 0.4
        p.request(status, a.method, a.url, 0.25)
    p.think(4)
    p.happy_end()


@calm("success url")
def token_refreshed_silently(p: Player) -> None:
    """401, refresh, the same request again with success, several times a session."""
    p.arrive()
    for _ in range(p.rng.randint(2, 4)):
        a = p.go(p.rng.choice(["save", "add", "search"]))
        p.click(a.control, responded=True)
        for status, url in ((401, a.url), (200, "/auth/refresh"), (200, a.url)):
            p.t += p.gap(0.15)
            p.request(status, a.method if url == a.url else "POST", url, 0.1)
        p.think(5)
    p.happy_end()


@calm("success status")
def double_click_then_409(p: Player) -> None:
    """Sent twice by a double click: 201 for the first, 409 for the second, and on to the next page."""
    p.arrive()
    a = p.go("submit")
    p.fill()
    p.click(a.control)
    p.click(a.control, p.t + 0.18, clickCount=2)
    p.request(201, a.method, a.url, 0.4, p.t + 0.4)
    p.request(409, a.method, a.url, 0.3, p.t + 0.48)
    p.t += 0.6
    p.visit(a.done)
    p.happy_end()


@calm("success")
def one_error_and_on(p: Player) -> None:
    """One thing fails once; the person goes on with something else that works."""
    p.arrive()
    p.attempt(p.go(p.rng.choice(["add", "save", "export", "more", "code"])), p.rng.choice([500, 404, 400]))
    p.think(5)
    for _ in range(p.rng.randint(1, 3)):
        p.task()


@calm("errors")
def one_script_error_and_on(p: Player) -> None:
    """A script error on a click that works all the same: the panel opens and is used."""
    p.arrive()
    p.click(Control("filter-open", "Filter"), responded=True)
    p.note("error", at=p.t + 0.04, errorType="javascript", message=p.rng.choice(OWN_ERRORS), source="/app.js")
    for n in range(p.rng.randint(1, 3)):
        p.wait(2)
        p.click(Control(f"filter-{n}", f"Filter {n}", "input", "checkbox"), responded=True)
        p.request(200, "GET" if p.site.api != "graphql" else "POST", p.site.data, 0.2, p.t + 0.25)
    p.think(6)
    p.happy_end()


@calm("success")
def one_error_then_gone(p: Player) -> None:
    """One error near the end; no second try, no haste; the visit was as good as over."""
    p.arrive(3)
    p.attempt(p.go("more"), 500)
    p.think(25)
    p.note("session_end")


@calm("success")
def slow_but_fine(p: Player) -> None:
    """Every page takes four to nine seconds; waited for, read."""
    p.arrive(0)
    for _ in range(p.rng.randint(3, 6)):
        p.browse()
        dur = p.rng.uniform(4, 9)
        p.t += dur
        p.request(200, "GET", p.site.data, dur)
        p.note("performance", kind="page_load", durationMs=round(dur * 1000))
        p.think(8)
    p.happy_end()


@calm("success")
def slow_export_awaited(p: Player) -> None:
    """Half a minute for an export; the person waits, and it comes."""
    p.arrive()
    a = p.go("export")
    p.attempt(a, 200, p.rng.uniform(15, 40))
    p.think(6)
    p.happy_end()


@calm("url errors")
def error_nobody_noticed(p: Player) -> None:
    """A widget below the fold fails at every page view; nobody reacts."""
    p.arrive(0)
    for _ in range(p.rng.randint(3, 6)):
        p.open_item(p.item(fresh=True))
        p.request(500, "GET", "/recommendations", 0.4, p.t + 0.8)
        p.note("error", at=p.t + 0.82, errorType="promise", message="recommendations unavailable", source="/app.js")
        p.think(7)
    p.happy_end()


@calm("url")
def autosave_fails(p: Player) -> None:
    """Autosave fails every few seconds while somebody writes on happily; the last one goes through."""
    p.arrive()
    p.visit(p.item())
    text = Control("editor", "Text", "div", "textbox")
    put = "POST" if p.site.api == "graphql" else "PUT"
    p.click(text)
    for _ in range(p.rng.randint(8, 20)):
        p.note("input", text, action="change", fieldType="textarea")
        p.request(p.rng.choice([500, 503]), put, _url(p, "/drafts/autosave"), 0.2, p.t + p.rng.uniform(1.2, 1.6))
        p.wait(5)
    p.request(200, put, _url(p, "/drafts/autosave"), 0.2)
    p.happy_end()


@calm("url errors")
def service_worker(p: Player) -> None:
    """The service worker cannot be registered, on any page."""
    p.arrive(0)
    for _ in range(p.rng.randint(2, 5)):
        p.browse()
        p.request(404, "GET", "/sw.js", 0.1, p.t + 0.3)
        message = "Failed to register a ServiceWorker: bad HTTP response code (404)"
        p.note("error", at=p.t + 0.32, errorType="promise", message=message, source="/app.js")
        p.think(4)
    p.happy_end()


@calm("url")
def flags_and_experiments_fail(p: Player) -> None:
    """Feature flags and the variant of an experiment answer 404 or 500 on every page."""
    p.arrive(0)
    for _ in range(p.rng.randint(3, 7)):
        p.open_item(p.item(fresh=True))
        p.request(
            p.rng.choice([404, 500]), "GET", p.rng.choice(["/flags/evaluate", "/ab/variant-b.json"]), 0.1, p.t + 0.2
        )
        p.think(4)
    p.happy_end()


@calm("url errors")
def chat_widget_fails(p: Player) -> None:
    """The chat bubble of another company fails and says so."""
    p.arrive()
    for _ in range(p.rng.randint(2, 6)):
        p.request(503, "GET", "/chat/v1/boot", 0.3, p.t + 0.3, thirdParty=True)
        p.note("error", at=p.t + 0.31, errorType="javascript", message="chat boot", thirdParty=True, source="/chat.js")
        p.think(5)
        p.browse()
    p.happy_end()


@calm("url")
def video_buffers(p: Player) -> None:
    """A film whose segments come late or not at all now and then; quality changed, watched on."""
    p.open_item(p.item())
    p.click(Control("play", "Play"), responded=True)
    for n in range(p.rng.randint(20, 50)):
        p.t += p.gap(4, 0.2)
        bad = p.chance(0.15)
        p.request(0 if bad else 206, "GET", f"/video/seg-{n}.m4s", 3.5 if bad else 0.6, aborted=True if bad else None)
        if p.chance(0.06):
            p.click(Control("quality", "Quality"), responded=True)
    p.happy_end()


@calm("url")
def map_tiles_missing(p: Player) -> None:
    """Tiles at the edge of the map are 404; dragged and zoomed on."""
    p.arrive()
    for _ in range(p.rng.randint(6, 14)):
        p.click(Control("map", "Map", "canvas", "canvas"), responded=True)
        for _ in range(p.rng.randint(0, 3)):
            tile = f"/tiles/11/{p.rng.randrange(2000)}/{p.rng.randrange(2000)}.png"
            p.request(404, "GET", tile, 0.1, p.t + 0.2)
        p.wait(0.9)
    p.happy_end()


@calm("url")
def anonymous_probe(p: Player) -> None:
    """GET /me is 401 for whoever is not logged in: at every page, and nobody minds."""
    p.request(401, "GET", "/me", 0.1, 0.3)
    p.arrive(0)
    for _ in range(p.rng.randint(2, 6)):
        p.browse()
        p.request(401, "GET", "/me", 0.1, p.t + 0.1)
        p.think(5)
    p.happy_end()


@calm("hidden url")
def errors_in_a_hidden_tab(p: Player) -> None:
    """Laptop shut: requests fail while nobody looks; back after lunch, all well."""
    p.arrive()
    p.note("visibility", state="hidden")
    for _ in range(p.rng.randint(6, 20)):
        p.wait(60)
        p.request(0, "GET", "/sync", 0.5)
    p.note("visibility", state="visible")
    p.wait(2)
    p.reload()
    for _ in range(2):
        p.task()


# --- what was put right


@calm("success")
def retry_at_once_works(p: Player) -> None:
    """Fails, clicked again, works."""
    p.arrive()
    a = p.go("submit")
    p.fill()
    p.attempt(a, p.rng.choice([500, 502, 0]))
    p.wait(2)
    p.attempt(a)
    p.happy_end()


@calm("success")
def retry_after_a_minute_works(p: Player) -> None:
    """Fails twice, left for a minute, works."""
    p.arrive()
    a = p.go("submit")
    p.fill()
    p.attempt(a, 503)
    p.wait(5)
    p.attempt(a, 503)
    p.wait(60, 0.3)
    p.attempt(a)
    p.happy_end()


@calm("success named")
def another_way_works(p: Player) -> None:
    """The button at the top fails; the one in the menu does the same and works."""
    p.arrive()
    a = p.go("save")
    p.attempt(a, 500)
    p.wait(4)
    p.attempt(a, 500)
    p.wait(6)
    other = Control(f"menu-{a.control.id}", a.control.label, "li", "menuitem", "menu")
    p.attempt(replace(a, control=other))
    p.think(5)
    p.task()


@calm("success")
def reload_then_works(p: Player) -> None:
    """Fails, fails, the page is reloaded, and then it works."""
    p.arrive()
    a = p.go("submit")
    for _ in range(p.rng.randint(1, 3)):
        p.attempt(a, 500)
        p.wait(4)
    p.reload()
    p.think(3)
    p.fill(("name",))
    p.attempt(a)
    p.happy_end()


@calm("success")
def annoyed_but_it_worked(p: Player) -> None:
    """Four failures and some anger; then it goes through, and the confirmation is read."""
    p.arrive()
    a = p.go("submit")
    for _ in range(p.rng.randint(3, 4)):
        p.attempt(a, p.rng.choice([500, 502]), mash=p.rng.randint(0, 2))
        p.wait(6)
    p.attempt(a)
    p.think(10)
    p.happy_end()


@calm("success")
def impatient_then_it_came(p: Player) -> None:
    """Ten to twenty seconds without an answer, clicked six times meanwhile; then it is there."""
    p.arrive()
    a = p.go("submit")
    p.spinner = True
    p.attempt(a, 200, p.rng.uniform(8, 20), p.rng.randint(3, 8))
    p.think(8)
    p.happy_end()


@calm("success status inputs")
def fields_corrected(p: Player) -> None:
    """422, the marked field corrected, once or twice, accepted."""
    p.arrive()
    a = p.go("submit")
    p.fill()
    for _ in range(p.rng.randint(1, 2)):
        p.attempt(a, 422)
        p.wait(4)
        p.fill(("city",))
    p.attempt(a)
    p.happy_end()


@calm("success inputs errors meta")
def client_validation_corrected(p: Player) -> None:
    """The browser names the missing field, twice; filled in and sent."""
    p.arrive()
    a = p.go("submit")
    p.fill(("name",))
    for name in ("street", "city")[: p.rng.randint(1, 2)]:
        p.click(a.control, responded=True)
        p.note("form_submit", a.control, p.t + 0.02, valid=False)
        p.note("error", at=p.t + 0.03, errorType="validation", message=f"{name} is required")
        p.wait(2)
        p.fill((name,))
    p.attempt(a)
    p.happy_end()


@calm("success")
def wrong_password_then_right(p: Player) -> None:
    """Mistyped once or twice, then in."""
    a = p.go("login")
    for _ in range(p.rng.randint(1, 2)):
        p.fill(("password",))
        p.attempt(a, 401)
        p.wait(4)
    p.fill(("password",))
    p.attempt(a)
    p.task()


@calm("success")
def password_reset_works(p: Player) -> None:
    """Three wrong passwords, then the way over 'forgotten', which works."""
    a = p.go("login")
    for _ in range(3):
        p.fill(("password",))
        p.attempt(a, 401)
        p.wait(4)
    p.link("Forgotten", p.site.home.rstrip("/") + "/password/reset")
    reset = Control("reset", "Set password")
    p.fill(("password",))
    p.attempt(replace(a, control=reset, route=p.route, url=_url(p, "/password"), done=p.site.home))
    p.task()


@calm("success status")
def card_declined_another_taken(p: Player) -> None:
    """402 for one card; another card, and it is paid."""
    p.arrive()
    a = p.go("submit")
    p.attempt(a, 402)
    p.wait(8)
    p.click(Control("other-card", "Another card", "input", "radio", "form"), responded=True)
    p.fill(("card",))
    p.attempt(a)
    p.happy_end()


@calm("success status")
def taken_slot_another_chosen(p: Player) -> None:
    """The slot was just taken (409); the next one is free."""
    p.arrive()
    a = p.go("add")
    p.attempt(a, 409)
    p.wait(4)
    p.attempt(replace(a, control=Control("slot-2", "10:40")))
    p.think(4)
    p.task()


@calm("success status")
def nothing_found_refined(p: Player) -> None:
    """A search API that says 404 for no hits; asked in other words until there are some."""
    p.arrive(0)
    a = p.go("search")
    for _ in range(p.rng.randint(2, 4)):
        p.fill(("term",))
        p.attempt(a, 404)
        p.think(3)
    p.fill(("term",))
    p.attempt(a)
    p.open_item(p.item())
    p.happy_end()


@calm("success")
def upload_second_time_lucky(p: Player) -> None:
    """A file too large (413), a smaller one goes."""
    p.arrive()
    a = p.go("upload")
    p.attempt(a, 413, p.gap(3))
    p.think(15)
    p.attempt(a, 201, p.gap(4))
    p.happy_end()


# --- ways of using a site


@calm()
def abandoned_without_friction(p: Player) -> None:
    """Puts things aside, looks at the form, leaves: no error anywhere."""
    p.arrive(2)
    p.attempt(p.go("add"))
    p.go("submit")
    p.fill(("name",))
    p.leave("close", "end", "wander")


@calm()
def comparing(p: Player) -> None:
    """Item, back, another, back, the first again."""
    p.browse()
    items = [p.item(fresh=True) for _ in range(3)]
    for _ in range(p.rng.randint(5, 12)):
        p.open_item(p.rng.choice(items))
        p.think(7)
        p.visit(p.site.listing, "back_forward")
        p.wait(2)
    p.happy_end()


@calm("success")
def searching_in_other_words(p: Player) -> None:
    """Five searches, each a little different; found."""
    p.arrive(0)
    a = p.go("search")
    for _ in range(p.rng.randint(4, 8)):
        p.fill(("term",))
        p.attempt(a)
        p.think(3)
    p.open_item(p.item())
    p.happy_end()


@calm("scroll")
def reading(p: Player) -> None:
    """A long text, scrolled down and up for minutes."""
    p.link("Help", p.site.help)
    for _ in range(p.rng.randint(20, 60)):
        p.note("scroll", depth=p.rng.randrange(0, 101), direction=p.rng.choice(["down", "down", "up"]))
        p.wait(3, 0.8)
    p.happy_end()


@calm("meta")
def print_share_download(p: Player) -> None:
    """Print, share, copy the link, three downloads: nothing on the page moves."""
    p.open_item(p.item())
    for name in ("Print", "Share", "Copy link", "Download", "Download", "Download"):
        slug = name.lower().replace(" ", "-")
        p.click(Control(slug, name, "a" if name == "Download" else "button", "link"), responded=False)
        if name == "Download":
            p.note("navigation", at=p.t + 0.1, from_=p.route, download=True)
        p.wait(1.5)
    p.happy_end()


@calm("meta hidden")
def external_links(p: Player) -> None:
    """Out to other sites and back."""
    p.arrive()
    for _ in range(p.rng.randint(2, 5)):
        p.click(Control("partner", "Partner", "a", "link"), responded=False)
        p.note("navigation", at=p.t + 0.1, from_=p.route, external=True)
        p.note("visibility", at=p.t + 0.2, state="hidden")
        p.wait(30)
        p.note("visibility", state="visible")
        p.wait(3)
    p.happy_end()


@calm("hidden")
def tab_switching(p: Player) -> None:
    """Between two tabs every few seconds, copying figures."""
    p.arrive()
    for _ in range(p.rng.randint(8, 20)):
        p.note("visibility", state="hidden")
        p.wait(5)
        p.note("visibility", state="visible")
        p.wait(2)
        p.click(Control("field-amount", "Amount", "input", "text"), responded=True)
        p.wait(3)
    p.happy_end()


@calm("success")
def logs_out_and_in_as_another(p: Player) -> None:
    """Logs out, logs in with another account, works on."""
    p.arrive()
    p.link("Log out", p.site.action("login", "1").route)
    p.fill(("user", "password"))
    p.attempt(p.site.action("login", "1"))
    for _ in range(2):
        p.task()


@calm("success")
def busy_quiet_day(p: Player) -> None:
    """Hours of work, hundreds of events, an unrelated error now and then."""
    p.arrive()
    for _ in range(p.rng.randint(25, 50)):
        p.task()
        if "url" in p.vocabulary.caps and p.chance(0.08):
            p.request(p.rng.choice([500, 404]), "GET", "/badge", 0.2, p.t + 2)
        p.wait(150, 0.9)


@calm()
def back_and_forward(p: Player) -> None:
    """The back button, many times, to get home."""
    p.arrive(3)
    for _ in range(p.rng.randint(3, 8)):
        p.visit(p.rng.choice([p.site.listing, p.site.home, p.item()]), "back_forward")
        p.wait(0.8)
    p.happy_end()


@calm("success")
def reloads_to_see_news(p: Player) -> None:
    """Reloads a results page every minute: it is there for that."""
    p.browse()
    for _ in range(p.rng.randint(4, 10)):
        p.think(12)
        p.reload()
    p.happy_end()


@calm()
def cancelled_file_dialog(p: Player) -> None:
    """Opens the file dialog, cancels, opens it again, three times; picks a file in the end or does without."""
    p.arrive()
    a = p.go("upload")
    for _ in range(p.rng.randint(2, 4)):
        p.click(Control("choose-file", "Choose file", "input", "file"), responded=False)
        p.wait(6)
    if p.chance(0.6):
        p.attempt(a, 201, 1.5)
    p.happy_end()


@calm()
def cookie_banner(p: Player) -> None:
    """The banner, 'settings', four switches, 'save'; its own beacon may fail."""
    p.note("navigation", navigationType="link")
    for name in ("settings", "ads", "stats", "video", "save"):
        p.click(Control(f"consent-{name}", name.capitalize()), responded=True)
        p.wait(0.9)
    p.arrive()
    p.happy_end()


@calm("success")
def access_denied_then_right_account(p: Player) -> None:
    """403 once: the wrong account; changed, and in."""
    p.arrive()
    p.attempt(p.go("add"), 403)
    p.wait(5)
    p.link("Switch account", p.site.action("login", "1").route)
    p.attempt(p.site.action("login", "1"))
    p.attempt(p.go("add"))
    p.happy_end()


# --- not a person, or not a browser


@calm("url")
def crawler(p: Player) -> None:
    """A crawler in a browser without a head: hundreds of pages, 404s, buttons hit in vain."""
    p.agent, p.noisy = "Mozilla/5.0 (compatible; LanternBot/2.1; +https://bot.example.org/about)", False
    for _ in range(p.rng.randint(10, 30)):
        p.visit(p.item(fresh=True), "link", ok=False)
        p.request(p.rng.choice([200, 404, 404, 500]), "GET", p.route, 0.1)
        a = p.site.action("add", p.entity)
        for _ in range(p.rng.randint(0, 4)):
            p.click(a.control)
            p.request(500, a.method, a.url, 0.1, p.t + 0.15)
            p.t += 0.2


@calm()
def uptime_monitor(p: Player) -> None:
    """A synthetic check that logs in with a wrong password every minute, and expects the 401."""
    p.agent, p.noisy = "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/126.0 UptimeMonitor/3.4 (synthetic)", False
    a = p.go("login")
    for _ in range(p.rng.randint(4, 10)):
        p.attempt(a, 401, 0.2)
        p.t += 60


@calm("success")
def assistive_technology(p: Player) -> None:
    """Switch control: the same key many times to walk through the page; a control activated twice; all works."""
    p.agent = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 NVDA/2024.2 (screen reader)"
    p.device = "keyboard"
    p.arrive(0)
    for _ in range(p.rng.randint(3, 6)):
        a = p.go(p.rng.choice(["add", "save", "search"]))
        _burst(p, Control("skip", "Skip to content", "a", "link"), p.rng.randint(3, 6), 0.5)
        p.attempt(a)
        p.wait(2)
    p.happy_end()


@calm("url")
def access_log_only(p: Player) -> None:
    """All that is known are the server's lines: pages, pictures, some 404s, the odd repeat; no clicks at all."""
    p.noisy = False
    for _ in range(p.rng.randint(10, 40)):
        p.route = p.rng.choice(
            [p.site.home, p.site.listing, p.item(fresh=True), "/favicon.ico", "/wp-login.php", "/old"]
        )
        known = p.route in {p.site.home, p.site.listing}
        for _ in range(p.rng.choice([1, 1, 1, 2])):
            p.request(200 if known else p.rng.choice([200, 404, 404, 304]), "GET", p.route, p.gap(0.1))
            p.wait(4, 1.0)


@calm("success")
def brisk_shopper(p: Player) -> None:
    """From start to confirmation in a minute; nothing is wrong, everything is quick."""
    p.temper = BRISK
    for role in ("search", "add", "code", "submit"):
        a = p.go(role)
        p.attempt(a)
        p.t += p.gap(0.8)
    p.happy_end()


@calm("success url")
def optional_extra_fails(p: Player) -> None:
    """The voucher is refused once or twice as unknown; the order is placed without it."""
    p.arrive()
    a = p.go("code")
    for _ in range(p.rng.randint(1, 2)):
        p.fill(("voucher",))
        p.attempt(a, 404)
        p.wait(4)
    p.attempt(p.go("submit"))
    p.happy_end()


@calm("success")
def email_client_resends(p: Player) -> None:
    """A chat user sends message after message with one button; each is accepted."""
    p.arrive(0)
    a = replace(p.go("send"), done="")
    for _ in range(p.rng.randint(6, 20)):
        p.fill(("text",))
        p.attempt(a, 201, 0.2)
    p.happy_end()


@calm()
def dead_button_and_on(p: Player) -> None:
    """A button without any effect, clicked two or three times, some also elsewhere; nothing fails, the visit goes on."""
    p.arrive()
    for n in range(p.rng.randint(1, 3)):
        control = Control(f"idle-{n}", "More", p.rng.choice(["button", "a", "div"]), "button")
        for _ in range(p.rng.randint(2, 3)):
            p.click(control, responded=False)
            p.t += p.gap(0.5)
        p.wait(4)
    p.task()


@calm()
def stepper_at_its_limit(p: Player) -> None:
    """Plus up to the maximum and some clicks beyond it: the last ones do nothing."""
    p.arrive()
    p.open_item(p.item())
    plus = Control("qty-plus", "Increase quantity")
    _burst(p, plus, p.rng.randint(2, 6), 0.3)
    for _ in range(p.rng.randint(2, 5)):
        p.click(plus, responded=False)
        p.t += p.gap(0.35)
    p.attempt(p.go("add"))
    p.happy_end()


@calm("success")
def small_mishaps_apart(p: Player) -> None:
    """Two or three different things fail once each, far apart; all else works and is what the person came for."""
    p.arrive()
    for role in p.rng.sample(["save", "export", "more", "code", "upload"], p.rng.randint(2, 3)):
        p.attempt(p.go(role), p.rng.choice([500, 502, 404]))
        p.think(8)
        for _ in range(p.rng.randint(2, 3)):
            p.task()


@calm("url")
def tunnel(p: Player) -> None:
    """A train in a tunnel: what runs in the background fails all at once; then it all goes on."""
    p.arrive()
    p.task()
    for _ in range(p.rng.randint(4, 10)):
        p.request(0, "GET", p.rng.choice(["/sync", "/inbox", "/img/photo.webp"]), 0.4)
        p.t += p.gap(0.8)
    p.think(20)
    for _ in range(2):
        p.task()


@calm("success url")
def slow_request_called_off(p: Player) -> None:
    """A long report, cancelled by the person's own hand because it was the wrong one; the right one comes."""
    p.arrive()
    a = p.go("export")
    p.click(a.control, responded=True)
    start = p.t
    p.wait(6)
    p.click(Control("cancel", "Cancel", "button", "button", "dialog"), responded=True)
    p.request(0, a.method, a.url, p.t - start, aborted=True)
    p.wait(3)
    p.attempt(a, 200, 4.0)
    p.happy_end()


@calm("success")
def caught_by_a_release(p: Player) -> None:
    """502 for a moment while a new version starts; one reload, and everything works."""
    p.arrive()
    p.attempt(p.go("search"), 502)
    p.wait(3)
    p.reload()
    p.wait(3)
    p.attempt(p.go("search"))
    for _ in range(p.rng.randint(1, 3)):
        p.task()
