"""56 sessions that look like trouble and are none: nobody was stopped, nobody reacted, or it was made good."""

from collections.abc import Callable
from typing import Final

from tests.unseen.sites import Control, Step
from tests.unseen.visit import LINK, Visit

Story = Callable[[Visit], None]
STORIES: Final[dict[str, tuple[str, Story]]] = {}


def on(sites: str) -> Callable[[Story], Story]:
    """Register a story for the sites of these letters."""

    def register(story: Story) -> Story:
        STORIES[story.__name__] = (sites, _then_leave(story))
        return story

    return register


def _then_leave(story: Story) -> Story:
    def visit(v: Visit) -> None:
        story(v)
        v.leave()

    return visit


def _taps(kind: str, sites: str, name: str, label: str, gap_s: float, times: tuple[int, int], url: str = "") -> None:
    """A control made for many clicks: it works, and then the visit goes on."""

    def story(v: Visit) -> None:
        v.arrive(v.site.small)
        v.tap(Control(name, label), v.rng.randint(*times), gap_s, url if v.site.style != "graphql" else "/graphql")
        v.read(5)
        if v.rng.random() < 0.5:
            v.press(v.site.small, 200)

    STORIES[kind] = (sites, _then_leave(story))


_taps("stepper", "SGBL", "qty-plus", "Increase quantity", 0.28, (4, 10))
_taps("stepper_that_saves", "SGL", "guests-up", "One more guest", 0.35, (4, 9), "/api/v2/basket/quantity")
_taps("carousel", "SGBL", "slide-next", "Next picture", 0.5, (5, 14))
_taps("calendar", "SGBL", "month-next", "Next month", 0.33, (4, 11))
_taps("pagination", "SGL", "page-next", "Next page", 0.8, (4, 9), "/api/v2/lamps")
_taps("player_skip", "SG", "skip-10", "Forward 10 seconds", 0.3, (4, 12))
_taps("zoom_map", "SG", "zoom-in", "Zoom in", 0.3, (4, 8), "/api/v2/tiles")
_taps("undo_many_times", "SG", "undo", "Undo", 0.22, (5, 15))
_taps("copy_button", "SGB", "copy-number", "Copy", 0.6, (2, 4))
_taps("like_and_unlike", "SGL", "favourite", "Favourite", 0.5, (3, 6), "/api/v2/favourites")
_taps("same_article_four_times", "S", "add-one-more", "Add to basket", 0.7, (3, 5), "/api/v2/basket/items")
_taps("game_of_clicks", "SG", "spin", "Spin", 0.25, (10, 30))


@on("SGBL")
def quiz(v: Visit) -> None:
    """Answer, next, answer, next."""
    v.arrive(v.site.small)
    for n in range(v.rng.randint(5, 10)):
        v.click(Control(f"answer-{n % 4}", f"Answer {n % 4}"), responded=True)
        v.pause(0.9)
        v.tap(Control("quiz-next", "Next question"), 1, 0.9)


@on("SGBL")
def wizard_skimmed(v: Visit) -> None:
    """Continue, continue, continue: each click is another page, the last one works."""
    step = v.site.finish
    v.arrive(step, fill=False)
    for n in range(2, 6):
        v.click(Control("continue", "Continue"), responded=True)
        v.pause(0.4)
        v.turn(f"{step.route}/part-{n}", "push")
    v.press(step, 200)


@on("SG")
def text_selected(v: Visit) -> None:
    """Double and triple clicks that mark words."""
    v.arrive(v.site.search, fill=False)
    for _ in v.some(2, 4):
        for count in (1, 2, 3):
            v.click(Control("article", "Article", "text"), clickCount=count, selection=count > 1)
            v.now += v.rng.randint(90, 190)
        v.pause(6)


@on("SGBL")
def double_clicker(v: Visit) -> None:
    """Somebody double-clicks everything, as on the desktop; all of it works."""
    v.arrive(v.site.small)
    for _ in v.some(3, 6):
        v.tap(Control(f"nav-{v.rng.randint(1, 5)}", "Go", LINK), 2, 0.15)
        v.turn(v.rng.choice((v.site.listing, v.site.home, v.site.aside)), "push")
        v.read(5)


@on("SGBL")
def one_failure_read_over(v: Visit) -> None:
    """A page's side request fails; the person reads on for minutes."""
    v.arrive(v.site.search, fill=False)
    v.open(v.site.item.format(77))
    v.background("/api/v2/reviews", 500, "Reviews")
    v.read(14)
    v.browse(2)


@on("SGBL")
def one_script_error(v: Visit) -> None:
    """A click throws somewhere, and the click did its work all the same."""
    v.arrive(v.site.small)
    v.press(v.site.small, 200)
    v.tell("error", errorType="javascript", message="TypeError: x is null", source="/assets/tips.js")
    v.read(8)
    v.browse(1)


@on("SGBL")
def field_corrected(v: Visit) -> None:
    """The form says what is missing; it is filled in and sent."""
    step = v.arrive(v.site.finish, fill=False)
    v.fill(step, only=2)
    v.click(step.control, responded=True)
    v.tell("form_submit", on=Control("form", "Form", "form"), valid=False)
    v.tell("error", at=v.now + 20, errorType="validation", message="Required")
    v.pause(3)
    v.fill(step)
    v.press(step, 200)


@on("SGBL")
def server_refusal_corrected(v: Visit) -> None:
    """422 once or twice, the field corrected, through."""
    step = v.arrive(v.site.finish)
    for _ in v.some(1, 2):
        v.press(step, 422)
        v.pause(4)
        v.fill(step, only=1)
    v.press(step, 200)
    v.read(4)


@on("SGBL")
def second_try_works(v: Visit) -> None:
    """503, pressed again after a breath, done."""
    step = v.arrive(v.rng.choice((v.site.finish, v.site.small)))
    v.press(step, 503)
    v.pause(3)
    v.press(step, 200)
    v.read(4)


@on("SGBL")
def works_minutes_later(v: Visit) -> None:
    """Two failures, something else for some minutes, then it works."""
    step = v.arrive(v.site.finish)
    v.press(step, 503)
    v.pause(5)
    v.press(step, 503)
    v.pause(4)
    v.browse(v.rng.randint(2, 5))
    v.open(step.route)
    v.fill(step, only=2)
    v.press(step, 200)


@on("SGB")
def another_way_found(v: Visit) -> None:
    """The one button fails twice; the other one reaches the same end."""
    step = v.arrive(v.site.finish)
    v.press(step, 500)
    v.pause(3)
    v.press(step, 500)
    v.pause(4)
    v.open(v.site.other_way.route)
    v.fill(v.site.other_way)
    v.press(v.site.other_way, 200)
    v.read(5)


@on("SGBL")
def reload_helps(v: Visit) -> None:
    """An error, a reload, and all is well."""
    step = v.arrive(v.site.finish)
    v.press(step, 500)
    v.pause(3)
    v.reload()
    v.fill(step)
    v.press(step, 200)
    v.read(4)


@on("SGB")
def impatient_then_served(v: Visit) -> None:
    """Six seconds are long: clicked again and again, and then the order is there."""
    step = v.arrive(v.site.finish)
    begun, ms = v.now, v.ms(4500, 9000)
    v.click(step.control, responded=False)
    while v.now < begun + ms * 0.8:
        v.pause(0.7)
        v.click(step.control, responded=False)
    v.now = max(v.now, begun + ms) + 50
    v.call(step.url, 200, ms, v.now, step.method, operation=step.operation)
    if step.then:
        v.turn(step.then, "push")
    v.read(6)


@on("SGBL")
def hammered_then_works(v: Visit) -> None:
    """Real anger, four failures in a row, and the fifth goes through: it was a moment, not an incident."""
    step = v.arrive(v.site.finish)
    v.hammer(step, 502, clicks=4)
    v.pause(5)
    v.press(step, 200)
    v.read(6)


@on("SGBL")
def slow_but_patient(v: Visit) -> None:
    """A slow save, waited for."""
    step = v.arrive(v.site.finish)
    ms = v.ms(6000, 16_000)
    v.press(step, 200, ms)
    v.tell("performance", kind="slow_response", durationMs=round(ms))
    v.read(5)


@on("SGBL")
def slow_pages(v: Visit) -> None:
    """Everything is slow today; the person reads and goes."""
    v.arrive(v.site.search, fill=False)
    for _ in v.some(3, 6):
        v.open(v.rng.choice((v.site.listing, v.site.aside, v.site.item.format(31))))
        v.pause(3)
        v.tell("performance", kind="slow_response", durationMs=round(v.ms(3000, 9000)))
        v.read(8)


@on("SG")
def client_retries_by_itself(v: Visit) -> None:
    """One click; the client tries three times with growing waits and succeeds."""
    step = v.arrive(v.site.finish)
    v.press(step, 503, 300)
    for wait, status in ((1000, 503), (2000, 503), (4000, 200)):
        v.now += wait + v.rng.randint(0, 200)
        v.call(step.url, status, 250, v.now, step.method, operation=step.operation)
    v.turn(step.then, "push")
    v.read(5)


@on("SG")
def background_sync_fails(v: Visit) -> None:
    """A sync that nobody sees fails and tries again all the time, while the person works."""
    v.arrive(v.site.small)
    for _ in v.some(4, 8):
        v.background("/api/v2/sync", 503, "Sync")
        v.pause(2)
        v.tap(Control(f"tab-{v.rng.randint(1, 4)}", "Tab"), 1, 3)
    v.press(v.site.small, 200)


@on("SB")
def polling_fails(v: Visit) -> None:
    """The counter of messages is broken for the whole visit."""
    url = "/api/v2/unread" if v.site.style == "rest" else "/banking/unread"
    v.arrive(v.site.small)
    begun = v.now
    v.browse(3)
    v.press(v.site.small, 200)
    v.read(5)
    at = begun
    while at < v.now:
        v.tell("network", at=at, url=url, method="GET", status=502, durationMs=80)
        at += 10_000 + v.rng.randint(-60, 60)


@on("SGB")
def beacons_blocked(v: Visit) -> None:
    """An ad blocker stops a beacon at every click."""
    v.arrive(v.site.small)
    for _ in v.some(6, 12):
        v.tap(Control(f"colour-{v.rng.randint(1, 6)}", "Colour"), 1, 0.8)
        v.tell("network", url="/b/ss", method="POST", status=0, durationMs=3, thirdParty=True)
    v.press(v.site.small, 200)


@on("SG")
def autosave_fails(v: Visit) -> None:
    """The draft is not saved while typing; sending it works."""
    step = v.arrive(v.site.finish, fill=False)
    for _ in v.some(3, 5):
        v.fill(step, only=1)
        v.background("/api/v2/drafts", 500, "AutosaveDraft")
    v.press(step, 200)


@on("SGB")
def extension_at_every_click(v: Visit) -> None:
    """A browser extension throws whenever something is clicked."""
    v.arrive(v.site.small)
    for _ in v.some(5, 9):
        v.tap(Control("slide-next", "Next picture"), 1, 0.6)
        v.tell("error", errorType="javascript", message="Extension context invalidated",
               source="moz-extension://5a1c/inject.js")  # fmt: skip


@on("SGB")
def pictures_missing(v: Visit) -> None:
    """Half of the pictures of the list are gone."""
    v.arrive(v.site.search, fill=False)
    v.open(v.site.listing)
    for n in v.some(4, 9):
        v.tell("network", at=v.now + n * 30, url=f"/img/thumb-{n}.jpg", method="GET", status=404, durationMs=30)
        v.tell("error", at=v.now + n * 30 + 2, errorType="resource", message="img", source=f"/img/thumb-{n}.jpg")
    v.tap(Control("list-next", "More"), 4, 0.9)


@on("S")
def preflight_refused(v: Visit) -> None:
    """OPTIONS fails where the real request then works."""
    step = v.arrive(v.site.finish)
    v.call(step.url, 405, 20, v.now + 70, "OPTIONS")
    v.press(step, 200)
    v.read(4)


@on("SG")
def typeahead(v: Visit) -> None:
    """Each letter cancels the search of the one before."""
    step = v.arrive(v.site.search, fill=False)
    box = Control("f-query", "Query", "textbox")
    for last in [False] * v.rng.randint(4, 9) + [True]:
        v.tell("input", on=box, action="change", fieldType="search")
        v.now += v.rng.randint(90, 260)
        v.call(step.url, 200 if last else 0, 120, v.now, operation=step.operation, aborted=not last)
    v.press(step, 200)
    v.browse(1)


@on("SGBL")
def wrong_address(v: Visit) -> None:
    """An old bookmark is a 404; the person goes to the start page and on."""
    v.turn("/old/page-2019")
    v.data(404)
    v.pause(5)
    v.open(v.site.home)
    v.browse(2)


@on("SGBL")
def wrong_password_then_right(v: Visit) -> None:
    """Twice the wrong password, then the right one."""
    login = v.arrive(v.site.login)
    for _ in v.some(1, 2):
        v.press(login, 401)
        v.pause(3)
        v.fill(login, only=1)
    v.press(login, 200)
    v.browse(1)


@on("SGBL")
def comparison_shopping(v: Visit) -> None:
    """List, detail, list, detail, for a long time, without buying."""
    v.arrive(v.site.search, fill=False)
    for _ in v.some(5, 12):
        v.open(v.site.item.format(v.rng.randint(20, 900)))
        v.pause(7)
        v.back(v.site.listing)
        v.pause(3)


@on("SGBL")
def form_left_without_failure(v: Visit) -> None:
    """Half a form, then something else to do: nothing failed."""
    v.arrive(v.site.finish, fill=False)
    v.fill(v.site.finish, only=2)
    v.pause(10)
    v.open(v.site.home)


@on("SGB")
def download_three_times(v: Visit) -> None:
    """A file is saved, and again, and again: the page has no reason to change."""
    v.arrive(v.site.small)
    for _ in v.some(3, 5):
        v.click(Control("download-pdf", "Download PDF", LINK), responded=False)
        v.tell("navigation", at=v.now + 40, came=v.route, navigationType=LINK, download=True)
        v.pause(1.6)
    v.read(5)


@on("SGB")
def printing(v: Visit) -> None:
    """Print, cancel, print."""
    v.arrive(v.site.small)
    for _ in v.some(2, 4):
        v.click(Control("print", "Print"), responded=False)
        v.pause(4)


@on("SG")
def links_to_elsewhere(v: Visit) -> None:
    """Links that open another site in another tab."""
    v.arrive(v.site.search, fill=False)
    for _ in v.some(3, 5):
        v.click(Control("maker-site", "Maker's site", LINK), responded=False)
        v.tell("navigation", came=v.route, navigationType=LINK, external=True)
        v.tell("visibility", at=v.now + 60, state="hidden")
        v.pause(15)
        v.tell("visibility", state="visible")
        v.pause(2)


@on("SGB")
def crawler(v: Visit) -> None:
    """A robot that says so visits everything, dead links too, at machine speed, several times."""
    v.agent = "Mozilla/5.0 (compatible; SomeIndexBot/2.1; +https://index.example/bot)"
    for n in range(v.rng.randint(12, 30)):
        v.turn(v.site.item.format(200 + n % 7))
        v.call(v.route, 404 if n % 3 == 0 else 200, 60, v.now + 80)
        v.now += 400


@on("SGB")
def screen_reader(v: Visit) -> None:
    """The keyboard walks through all fields; activations come twice from the assistive technology."""
    step = v.arrive(v.site.finish)
    for _ in v.some(4, 8):
        v.tap(Control("menu", "Menu"), 2, 0.03, inputMethod="keyboard", x=0, y=0)
        v.pause(1.2)
    v.fill(step)
    v.press(step, 200, keyboard=True)


@on("SGBL")
def reloads_from_habit(v: Visit) -> None:
    """A page whose news are worth a reload now and then."""
    v.arrive(v.site.search, fill=False)
    for _ in v.some(4, 9):
        v.reload()
        v.data()
        v.pause(9)


@on("SGB")
def button_not_ready(v: Visit) -> None:
    """A disabled button is tried, the missing field is filled in, it works."""
    step = v.arrive(v.site.finish, fill=False)
    for _ in v.some(2, 4):
        v.click(step.control, disabled=True, responded=False)
        v.pause(0.7)
    v.fill(step)
    v.press(step, 200)


@on("SG")
def double_submit(v: Visit) -> None:
    """Two clicks; the first is done, the second is told that it is done already."""
    step = v.arrive(v.site.finish)
    v.click(step.control, responded=True)
    v.call(step.url, 200, 500, v.now + 540, step.method, operation=step.operation)
    v.now += 190
    v.click(step.control, responded=True)
    v.call(step.url, 409, 400, v.now + 430, step.method, operation=step.operation)
    v.now += 600
    v.turn(step.then, "push")
    v.read(5)


@on("SB")
def session_ran_out(v: Visit) -> None:
    """After a pause the keep-alive says 401; the person logs in again and goes on."""
    v.arrive(v.site.small)
    v.pause(400, 0.2)
    v.background("/api/v2/notices" if v.site.style == "rest" else "/banking/alive", 401)
    v.turn(v.site.login.route, "replace")
    v.fill(v.site.login)
    v.press(v.site.login, 200)
    v.open(v.site.small.route)
    v.press(v.site.small, 200)


@on("SG")
def upload_cancelled(v: Visit) -> None:
    """The wrong file: cancelled by the person, the right one follows."""
    step = v.arrive(v.site.upload)
    v.click(step.control, responded=True)
    v.pause(2, 0.1)
    v.click(Control("cancel-upload", "Cancel"), responded=True)
    v.call(step.url, 0, 2000, v.now + 20, step.method, operation=step.operation, aborted=True)
    v.pause(3)
    v.press(step, 200, 3000)


@on("SG")
def not_found_is_an_answer(v: Visit) -> None:
    """The application asks whether a discount exists; 404 is how it hears no."""
    v.arrive(v.site.search, fill=False)
    for _ in v.some(3, 6):
        v.open(v.site.item.format(v.rng.randint(20, 900)))
        v.background("/api/v2/discounts/current", 404, "Discount")
        v.read(7)
    v.open(v.site.small.route)
    v.press(v.site.small, 200)


@on("SGB")
def error_after_the_goal(v: Visit) -> None:
    """The order is placed; on the page of thanks a survey fails to load."""
    step = v.arrive(v.site.finish)
    v.press(step, 200)
    v.pause(1)
    v.tell("error", errorType="resource", message="script", source="https://survey.example/s.js", thirdParty=True)
    v.background("/api/v2/recommendations", 500, "Recommend")
    v.read(6)


@on("S")
def coupon_not_valid(v: Visit) -> None:
    """A voucher is refused twice; the order is placed without it."""
    step = v.arrive(v.site.finish)
    coupon = Step(step.route, Control("apply-voucher", "Apply voucher"), "/api/v2/basket/voucher", "")
    for _ in v.some(1, 2):
        v.press(coupon, 422)
        v.pause(4)
    v.press(step, 200)
    v.read(4)


@on("S")
def sold_out_so_another(v: Visit) -> None:
    """The one is sold out (409), the next one goes into the basket and is ordered."""
    v.arrive(v.site.small)
    v.press(v.site.small, 409)
    v.pause(5)
    v.open(v.site.item.format(512))
    v.read(5)
    v.press(Step(v.route, v.site.small.control, v.site.small.url, ""), 200)
    v.open(v.site.finish.route)
    v.fill(v.site.finish)
    v.press(v.site.finish, 200)


@on("SGBL")
def refused_once_and_content(v: Visit) -> None:
    """A small thing is refused once; the person shrugs and does other things for a long time."""
    v.arrive(v.site.small)
    v.press(v.site.small, 403)
    v.pause(9)
    v.browse(v.rng.randint(3, 5))
