"""22 ways in which an application stops a person: each returns the step that failed, and they never got there."""

from collections.abc import Callable
from typing import Final

from tests.unseen.sites import Control, Step
from tests.unseen.visit import LINK, Visit

Story = Callable[[Visit], Step]
STORIES: Final[dict[str, tuple[str, Story]]] = {}


def on(sites: str) -> Callable[[Story], Story]:
    """Register a story for the sites of these letters."""

    def register(story: Story) -> Story:
        STORIES[story.__name__] = (sites, story)
        return story

    return register


def _either(v: Visit) -> Step:
    return v.rng.choice((v.site.finish, v.site.small))


@on("SGBL")
def hammers_a_failing_button(v: Visit) -> Step:
    """Every press fails with 500; a burst, a pause, another try, gone."""
    step = v.arrive(_either(v))
    v.hammer(step, 500)
    v.pause(5)
    v.press(step, 500)
    v.give_up()
    return step


@on("SGBL")
def button_throws(v: Visit) -> Step:
    """The handler throws at each click and nothing happens."""
    step = v.arrive(_either(v))
    v.hammer(step, -1)
    v.pause(4)
    v.hammer(step, -1, clicks=v.rng.randint(2, 4))
    v.give_up()
    return step


@on("SGBL")
def patient_but_in_vain(v: Visit) -> Step:
    """Nobody hammers: three to five tries, 8 to 60 s apart, all refused by a server that is down."""
    step = v.arrive(v.site.finish)
    for _ in v.some(3, 5):
        v.press(step, v.rng.choice((500, 502, 503)))
        v.pause(18)
    v.give_up()
    return step


@on("SGBL")
def reloads_and_tries_again(v: Visit) -> Step:
    """Fail, reload, fill in again, fail, perhaps once more, leave."""
    step = v.arrive(_either(v))
    for _ in v.some(2, 3):
        v.press(step, 500)
        v.pause(4)
        v.reload()
        v.pause(2)
        v.fill(step)
    v.press(step, 500)
    v.give_up()
    return step


@on("SGBL")
def gives_the_form_up(v: Visit) -> Step:
    """A whole form, refused by the server's fault; one more try after reading the message, then away for good."""
    step = v.arrive(v.site.finish)
    v.press(step, 500)
    v.pause(7)
    v.press(step, 500)
    v.give_up()
    return step


@on("SGBL")
def page_goes_white(v: Visit) -> Step:
    """The click kills the page; after each reload it does so again."""
    step = v.arrive(v.site.small)
    for _ in v.some(2, 3):
        v.throw(step.control, "Minified React error #31; the page was unmounted")
        v.pause(2.5)
        v.reload()
        v.pause(3)
    v.throw(step.control, "Minified React error #31; the page was unmounted")
    v.pause(2)
    v.leave()
    return step


@on("SGBL")
def request_hangs(v: Visit) -> Step:
    """Twenty seconds of nothing, pressed again and again meanwhile, then a gateway timeout; gone."""
    step = v.arrive(v.site.finish)
    ms = v.ms(14_000, 30_000)
    begun = v.now
    v.press(step, 504, ms, wait=False)
    while v.now < begun + ms * 0.8:
        v.pause(2.2)
        v.click(step.control, responded=False)
    v.now = max(v.now, begun + ms + 400)
    v.give_up()
    return step


@on("SGB")
def slow_and_left(v: Visit) -> Step:
    """The answer does not come; clicks, more clicks, and the person goes, which aborts the request."""
    step = v.arrive(v.site.finish)
    begun = v.now
    v.click(step.control, responded=False)
    for _ in v.some(2, 3):
        v.pause(3)
        for _ in v.some(2, 4):
            v.click(step.control, responded=False)
            v.pause(0.45, 0.25)
    v.pause(4)
    v.call(step.url, 0, v.now - begun, v.now, step.method, operation=step.operation, aborted=True)
    v.turn(v.site.home, LINK)
    v.data()
    v.leave()
    return step


@on("SGBL")
def server_keeps_refusing(v: Visit) -> Step:
    """422 whatever is changed; four rounds, no way through."""
    step = v.arrive(v.site.finish)
    for _ in v.some(3, 4):
        v.press(step, 422)
        v.pause(4)
        v.fill(step, only=v.rng.randint(1, 2))
    v.press(step, 422)
    v.give_up()
    return step


@on("SGB")
def signed_out_in_circles(v: Visit) -> Step:
    """Each save says 401 and asks to log in; the login works and changes nothing."""
    step = v.arrive(v.site.finish)
    for _ in v.some(2, 3):
        v.press(step, 401)
        v.turn(v.site.login.route, "replace")
        v.fill(v.site.login)
        v.press(v.site.login, 200)
        v.pause(2)
        v.open(step.route)
        v.fill(step)
    v.press(step, 401)
    v.give_up()
    return step


@on("SGBL")
def second_of_two_failures(v: Visit) -> Step:
    """The first failure is soon made good; the later one is not."""
    small = v.arrive(v.site.small)
    v.press(small, 503)
    v.pause(4)
    v.press(small, 200)
    v.read(5)
    step = v.site.finish
    v.open(step.route)
    v.fill(step)
    v.press(step, 500)
    v.pause(3)
    v.hammer(step, 500)
    v.give_up()
    return step


@on("SGBL")
def after_a_long_visit(v: Visit) -> Step:
    """Twenty minutes in which all is well, and then it is not."""
    v.arrive(v.site.small)
    v.press(v.site.small, 200)
    v.browse(v.rng.randint(12, 28))
    step = v.site.finish
    v.open(step.route)
    v.fill(step)
    for _ in v.some(3, 4):
        v.press(step, 502)
        v.pause(5)
    v.give_up()
    return step


@on("SGB")
def upload_refused(v: Visit) -> Step:
    """The same file is too large three times; nothing says so."""
    step = v.arrive(v.site.upload)
    for _ in v.some(3, 4):
        v.press(step, 413, v.ms(1500, 7000))
        v.pause(6)
    v.give_up()
    return step


@on("SGBL")
def no_connection(v: Visit) -> Step:
    """Nothing answers: pressed in bursts, reloaded, pressed again."""
    step = v.arrive(_either(v))
    v.hammer(step, 0, 30)
    v.pause(4)
    v.reload()
    v.pause(2)
    for _ in v.some(2, 3):
        v.press(step, 0, 40)
        v.pause(3)
    v.leave()
    return step


@on("SGL")
def too_many_requests(v: Visit) -> Step:
    """429, a wait, 429, and then patience ends."""
    step = v.arrive(v.site.small)
    for _ in v.some(2, 3):
        v.press(step, 429)
        v.pause(8)
    v.hammer(step, 429)
    v.give_up()
    return step


@on("SGBL")
def offered_but_forbidden(v: Visit) -> Step:
    """A button that is shown and answers 403; help is read, the button tried again."""
    step = v.arrive(v.site.small)
    for _ in v.some(2, 3):
        v.press(step, 403)
        v.pause(3)
    v.open(v.site.aside)
    v.read(8)
    v.open(step.route)
    v.pause(2)
    v.press(step, 403)
    v.pause(2)
    v.press(step, 403)
    v.give_up()
    return step


@on("SGBL")
def search_is_down(v: Visit) -> Step:
    """Three or four different searches, each an error."""
    step = v.arrive(v.site.search)
    for _ in v.some(2, 3):
        v.press(step, 500)
        v.pause(4)
        v.fill(step)
    v.press(step, 500)
    v.give_up()
    return step


@on("SG")
def link_leads_nowhere(v: Visit) -> Step:
    """The router waits for data that answer 500; the link is clicked again and again, and after a reload."""
    link = Control("nav-orders", "My orders", LINK)
    step = Step(v.site.home, link, "/api/v2/orders" if v.site.style == "rest" else "/graphql", "Orders", method="GET")
    v.arrive(v.site.search, fill=False)
    v.open(v.site.home)
    v.pause(2)
    for _ in v.some(3, 4):
        v.press(step, 500)
        v.pause(1.2)
    v.reload()
    v.pause(2)
    v.press(step, 500)
    v.leave()
    return step


@on("SG")
def part_of_the_app_missing(v: Visit) -> Step:
    """After a release the old page cannot load a part any more: the tab does nothing, reloading does not help."""
    step = v.arrive(v.site.small)
    for again in (3, 2):
        for _ in range(again):
            v.throw(step.control, "ChunkLoadError: Loading chunk 17 failed")
            v.pause(1.4)
        if again == 3:
            v.reload()
            v.pause(3)
    v.give_up()
    return step


@on("SGL")
def enter_key_hammered(v: Visit) -> Step:
    """The keyboard only: Enter, Enter, Enter, and 500 each time."""
    step = v.arrive(v.site.finish)
    for _ in v.some(4, 7):
        v.press(step, 500, v.ms(60, 300), keyboard=True)
        v.pause(0.7)
    v.pause(4)
    v.press(step, 500, keyboard=True)
    v.give_up()
    return Step(step.route, Control("", "", "form"), step.url, "")


@on("SGB")
def thumb_on_a_phone(v: Visit) -> Step:
    """Taps that jitter on a phone; a gateway that is down; the phone goes into the pocket."""
    v.touch = True
    step = v.arrive(_either(v))
    v.hammer(step, 502)
    v.pause(6)
    v.hammer(step, 502, clicks=3)
    v.pause(3)
    v.tell("visibility", state="hidden")
    return step


@on("SGB")
def last_page_of_a_wizard(v: Visit) -> Step:
    """Three pages go well; the last one fails, also after going back a page."""
    last = v.site.finish
    pages = [f"{last.route}/step-{n}" for n in (1, 2)]
    v.arrive(Step(pages[0], last.control, "", ""))
    following = Control("next-page", "Continue")
    v.click(following, responded=True)
    v.turn(pages[1], "push")
    v.pause(5)
    for _ in range(2):
        v.click(following, responded=True)
        v.turn(last.route, "push")
        v.pause(2)
        v.fill(last, only=2)
        v.press(last, 500)
        v.pause(5)
        v.press(last, 500)
        v.pause(3)
        v.back(pages[1])
        v.pause(3)
    v.open(v.site.home)
    v.leave()
    return last
