"""Situations in which a person was stopped by a failure of the application and showed it.

Each function plays the whole session and names the failure point; who the person is (patient, brisk, angry, slow), which
application it is and what the collector tells differ from seed to seed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tests.corpus.player import ANGRY, BRISK, PATIENT, SLOW, Player, kind
from tests.corpus.sites import Control

frustrated = partial(kind, frustrated=True)


@frustrated()
def pay_500_retried(p: Player) -> None:
    """The last step of the flow answers 500 each time."""
    p.arrive()
    a = p.go("submit")
    p.fill()
    p.persist(a, lambda: 500)
    p.leave()


@frustrated()
def pay_500_mashed(p: Player) -> None:
    """The same, hit again and again by somebody angry."""
    p.temper = ANGRY
    p.arrive()
    a = p.go("submit")
    p.persist(a, lambda: p.rng.choice([500, 503]))
    p.leave()


@frustrated()
def gateway_timeout_then_a_minute(p: Player) -> None:
    """The gateway gives up after 20-30 s; clicks while waiting; tried again a minute later, in vain."""
    p.arrive()
    a = p.go("submit")
    p.fill(("name",))
    p.blame(a)
    for n in range(p.rng.randint(2, 3)):
        if n:
            p.think(6)
            p.wait(55, 0.3)
        p.attempt(a, 504, p.rng.uniform(20, 30), p.rng.randint(2, 6))
    p.leave("close", "wander", "help", "end")


@frustrated()
def rejected_form_given_up(p: Player) -> None:
    """422 after each correction, until the person gives up."""
    p.arrive()
    a = p.go("submit")
    p.fill()
    p.persist(a, lambda: p.rng.choice([422, 400]), between=lambda: p.fill(("street",)), tries=p.rng.randint(3, 5))
    p.leave()


@frustrated("meta errors")
def validation_never_says_what(p: Player) -> None:
    """The form refuses and never says which field; changed here and there, sent again and again."""
    p.arrive()
    a = p.go("submit")
    p.fill(("name", "street", "city", "phone"))
    p.blame(a)
    for _ in range(p.rng.randint(4, 7)):
        p.click(a.control, responded=False)
        p.note("form_submit", a.control, p.t + 0.02, valid=False)
        p.note("error", at=p.t + 0.03, errorType="validation", message="Please check your input")
        if p.chance(0.4):
            p.wait(0.6)
            p.click(a.control, responded=False)
            p.note("form_submit", a.control, p.t + 0.02, valid=False)
        p.wait(5)
        p.fill((p.rng.choice(["phone", "city", "name"]),))
    p.leave()


@frustrated()
def login_loop(p: Player) -> None:
    """Nothing that the person knows is accepted: 401 time after time, then gone."""
    a = p.go("login")
    p.fill(("user", "password"))
    p.persist(a, lambda: 401, between=lambda: p.fill(("password",)), tries=p.rng.randint(4, 6))
    p.leave("help", "close", "end")


@frustrated("url")
def login_accepted_yet_back_at_login(p: Player) -> None:
    """The login is accepted, the page behind it answers 401 and sends the person back: four times or more."""
    a = replace(p.go("login"), done="")
    p.blame(a)
    for _ in range(p.rng.randint(4, 6)):
        p.fill(("user", "password"))
        p.attempt(a)
        p.visit(p.site.home, ok=False)
        p.t += p.gap(0.3)
        p.request(401, "GET", p.site.data + "/me", 0.2)
        p.t += 0.1
        p.visit(a.route, "replace", ok=False)
        p.wait(4)
    p.leave("help", "close")


@frustrated()
def upload_fails(p: Player) -> None:
    """A file is sent for some seconds and refused, again and again."""
    p.arrive()
    a = p.go("upload")
    code = p.rng.choice([413, 500, 0, 502])
    p.temper = p.rng.choice([BRISK, PATIENT, SLOW])
    p.persist(a, lambda: code, lambda: p.gap(6))
    p.leave()


@frustrated("loading url")
def spinner_never_ends(p: Player) -> None:
    """The page only ever shows its spinner; reloaded four times, its data fail, then left."""
    p.arrive()
    p.click(Control("nav-overview", "Overview", "a", "link", "nav"))
    p.wait(0.3)
    p.visit(p.item(), ok=False)
    p.point = (p.item(), None)
    status = p.rng.choice([504, 0, 500])
    for _ in range(p.rng.randint(4, 5)):
        p.note("loading", state="start")
        dur = p.rng.uniform(8, 20)
        p.t += dur
        p.request(status, "GET" if p.site.api != "graphql" else "POST", p.page_url(), dur)
        p.wait(3)
        p.reload(ok=False)
    p.note("loading", state="start")
    p.wait(8)
    p.leave("close", "wander", "end")


@frustrated("errors named")
def search_crashes(p: Player) -> None:
    """Search throws whatever is asked for."""
    p.arrive()
    a = p.go("search")
    p.fill(("term",))
    p.persist(a, lambda: "crash", between=lambda: p.fill(("term",)), tries=p.rng.randint(3, 6))
    p.leave()


@frustrated()
def wizard_step_stuck(p: Player) -> None:
    """The first steps go well; then the same Next button fails and fails."""
    p.arrive()
    a = p.site.action("next", p.entity)
    p.visit(p.site.steps[0].replace("{id}", p.entity))
    p.fill()
    p.click(a.control, responded=True)
    p.t += p.gap(0.3)
    p.request(200, a.method, a.url, 0.3)
    p.visit(a.route)
    p.fill(("seat", "class"))
    p.persist(a, lambda: p.rng.choice([500, 502]))
    p.leave("wander", "close", "help", "end")


@frustrated("url", sites="graphql")
def graphql_operation_fails(p: Player) -> None:
    """One operation fails while all others at the same URL work."""
    p.arrive()
    a = p.go(p.rng.choice(["save", "submit", "add"]))

    def other() -> None:
        p.request(200, "POST", a.url, 0.2)
        p.think(2)

    p.persist(a, lambda: p.rng.choice([500, 400]), between=other, tries=p.rng.randint(3, 5))
    p.request(200, "POST", a.url, 0.2)
    p.leave()


@frustrated("errors url", sites="graphql")
def graphql_errors_in_200(p: Player) -> None:
    """Answers of 200 that hold errors, thrown by the client; the form stays where it is."""
    p.arrive()
    a = p.go("submit")
    p.fill(("name",))
    p.persist(a, lambda: "gql", tries=p.rng.randint(3, 5))
    p.leave()


@frustrated("errors named")
def chunk_cannot_be_loaded(p: Player) -> None:
    """After a release the next page's script is gone: the link does nothing, a reload does not help."""
    p.arrive(1)
    link = Control("nav-reports", "Reports", "a", "link", "nav")
    p.point = (p.route, link)
    for n in range(p.rng.randint(3, 5)):
        p.click(link, responded=False)
        p.t += p.gap(0.3)
        if "url" in p.vocabulary.caps and p.chance(0.7):
            p.request(404, "GET", "/assets/reports.3f9a.js", 0.1)
        p.note(
            "error", errorType="promise", message="ChunkLoadError: Loading chunk 17 failed", source="/assets/main.js"
        )
        if n % 2:
            p.wait(4)
            p.reload()
        p.wait(5)
    p.leave("close", "end", "help")


@frustrated()
def network_gone(p: Player) -> None:
    """Status 0: nothing goes through any more, however often it is tried."""
    p.arrive()
    a = p.go("save")
    p.fill()
    p.persist(a, lambda: 0)
    p.leave("close", "idle", "end")


@frustrated("url", devices="touch")
def phone_on_a_slow_net(p: Player) -> None:
    """Taps on a phone: ten to twenty-five seconds of waiting, then failure, and once more."""
    p.temper = p.rng.choice([ANGRY, BRISK])
    p.arrive(1)
    a = p.go("submit")
    p.blame(a)
    for n in range(p.rng.randint(2, 4)):
        if n:
            p.cool()
        p.attempt(a, p.rng.choice([504, 0, 500]), p.rng.uniform(10, 25), p.rng.randint(2, 7))
    p.leave("close", "wander")


@frustrated()
def two_failures_in_one_visit(p: Player) -> None:
    """First the voucher (tried twice), then, worse, the order itself."""
    p.arrive()
    code = p.go("code")
    p.attempt(code, 500)
    p.wait(5)
    p.attempt(code, 500)
    p.think(6)
    a = p.go("submit")
    p.temper = p.rng.choice([ANGRY, BRISK])
    p.persist(a, lambda: p.rng.choice([500, 502]), tries=p.rng.randint(4, 6))
    p.leave()


@frustrated()
def long_day_one_bad_hour(p: Player) -> None:
    """Hours of good work; in the middle one thing cannot be done, tried early and late."""
    p.arrive()
    for _ in range(p.rng.randint(15, 30)):
        p.task()
        p.wait(150, 0.9)
    a = p.go("export")
    p.persist(a, lambda: 500, lambda: p.gap(3), tries=p.rng.randint(4, 6))
    p.think(10)
    for _ in range(p.rng.randint(8, 20)):
        p.task(without="row")  # in one application the row buttons stand on the page of the export
        p.wait(150, 0.9)


@frustrated()
def table_rows_refuse(p: Player) -> None:
    """The same button in row after row fails, each row with its own id."""
    p.arrive()
    p.link("Table", p.site.action("row", "1").route)
    p.think(4)
    rows = [p.row() for _ in range(p.rng.randint(2, 4))]
    p.blame(rows[0])
    for a in rows:
        for _ in range(p.rng.randint(2, 3)):
            p.attempt(a, 500, mash=p.mash())
            p.wait(min(p.temper.wait, 8))
    p.leave()


@frustrated("status")
def told_to_slow_down(p: Player) -> None:
    """429 after a few ordinary requests, and again at every try."""
    p.arrive()
    a = p.go("search")
    p.fill(("term",))
    p.attempt(a)
    p.think(4)
    p.temper = p.rng.choice([BRISK, ANGRY])
    p.persist(a, lambda: 429, lambda: p.gap(0.12), tries=p.rng.randint(4, 6))
    p.leave()


@frustrated()
def session_gone_in_mid_form(p: Player) -> None:
    """A long form; on sending 401, the login page, the form empty; all of it once more, 401 again."""
    p.arrive()
    a, login = p.go("submit"), p.site.action("login", p.entity)
    p.blame(a)
    for _ in range(p.rng.randint(2, 3)):
        p.fill(("name", "street", "city", "reason"))
        p.attempt(a, 401, mash=p.rng.randint(1, 3))
        p.wait(3)
        p.attempt(a, 401)
        p.wait(2)
        p.visit(login.route, "replace")
        p.fill(("user", "password"))
        p.attempt(login)
        p.link("Back to form", a.route)
    p.think(4)
    p.leave("help", "close", "end")


@frustrated("dur")
def export_never_comes(p: Player) -> None:
    """The export runs into its time limit; clicked again, reloaded, clicked again."""
    p.arrive()
    a = p.go("export")
    p.blame(a)
    for n in range(p.rng.randint(2, 3)):
        if n:
            p.wait(9)
            p.reload()
            p.wait(3)
        p.attempt(a, p.rng.choice([504, 502]), p.rng.uniform(15, 60), p.rng.randint(1, 5))
    p.leave()


@frustrated("loading url dur")
def very_slow_until_they_left(p: Player) -> None:
    """No error at all: no answer within half a minute, clicked often, reloaded, clicked again, left before any answer."""
    p.arrive()
    a = p.go("submit")
    p.fill(("name",))
    p.blame(a)
    p.spinner = True
    for n in range(2):
        if n:
            p.reload()
            p.wait(4)
        start = p.t
        p.click(a.control, responded=False)
        p.note("loading", at=p.t + 0.02, state="start")
        for _ in range(p.rng.randint(4, 8)):
            p.wait(2.5, 0.6)
            p.click(a.control, responded=False)
        p.wait(14)
        dur = p.t - start
        p.request(0, a.method, a.url, dur)
    p.leave("close", "wander")


@frustrated("url")
def payment_provider_down(p: Player) -> None:
    """The provider's own request fails (sometimes seen as third-party) and with it ours."""
    p.arrive()
    a = p.go("submit")
    p.blame(a)
    for n in range(p.tries()):
        if n:
            p.cool()
        p.note(
            "network", at=p.t + 0.6, status=p.rng.choice([503, 0]), method="POST", url="/psp/v1/charge", thirdParty=True
        )
        p.attempt(a, 502, p.gap(1.2), p.mash())
    p.leave()


@frustrated()
def plain_button_plain_errors(p: Player) -> None:
    """Little is told: clicks and failures, in the seed's words or in more."""
    p.temper = p.rng.choice([ANGRY, BRISK])
    a = p.go("add")
    p.persist(a, lambda: 500, tries=p.rng.randint(3, 5))
    p.leave("wander", "idle", "end")


@frustrated("errors named")
def button_throws(p: Player) -> None:
    """A button whose code throws at each click; no request is ever made."""
    p.arrive()
    a = p.go(p.rng.choice(["add", "save", "send"]))
    p.persist(a, lambda: "crash", tries=p.rng.randint(3, 5))
    p.leave()


@frustrated("status")
def edit_conflict_without_end(p: Player) -> None:
    """409 on saving; reloaded and typed again, and 409 once more, until it is left undone."""
    p.arrive()
    a = p.go("save")

    def again() -> None:
        p.reload()
        p.fill(("amount", "note"))

    p.fill(("amount", "note"))
    p.temper = BRISK
    p.persist(a, lambda: 409, between=again, tries=p.rng.randint(3, 4))
    p.leave("wander", "close", "help")


@frustrated()
def code_never_sent(p: Player) -> None:
    """The code that is needed to go on is never sent, however often it is asked for."""
    p.arrive()
    a = p.go("code")
    p.persist(a, lambda: p.rng.choice([500, 503]), tries=p.rng.randint(3, 6))
    p.leave("close", "help", "end")


@frustrated("status")
def forbidden_for_no_reason(p: Player) -> None:
    """403 on something that the page offers; tried by reload and again, then looked up in the help."""
    p.arrive()
    a = p.go("add")
    p.temper = p.rng.choice([BRISK, PATIENT])
    p.persist(a, lambda: 403, between=lambda: p.reload() if p.chance(0.5) else None, tries=p.rng.randint(3, 5))
    p.leave("help", "wander")


@frustrated()
def rest_of_list_never_loads(p: Player) -> None:
    """Load more fails; clicked, scrolled, clicked, left."""
    p.browse()
    p.think(6)
    a = p.go("more")
    p.temper = p.rng.choice([BRISK, ANGRY])
    p.persist(a, lambda: p.rng.choice([500, 504]), between=lambda: p.think(1.5), tries=p.rng.randint(3, 6))
    p.leave()


@frustrated("url")
def page_itself_is_500(p: Player) -> None:
    """A link leads to an error page; back, the link again, a reload, the link again."""
    p.arrive(1)
    link = Control("nav-mine", "My page", "a", "link", "nav")
    home, broken = p.route, p.site.action("row", "1").route
    p.point = (broken, None)
    for n in range(p.rng.randint(3, 4)):
        p.click(link)
        p.t += p.gap(0.5)
        p.request(500, "GET", broken, 0.5)
        p.visit(broken, "link", ok=False)
        p.wait(4)
        for _ in range(p.rng.randint(1, 3)):
            p.reload(ok=False)
            p.t += p.gap(0.5)
            p.request(500, "GET", broken, 0.5)
            p.wait(3)
        if n < 2:
            p.visit(home, "back_forward")
            p.wait(3)
    p.leave("close", "end", "idle")


@frustrated("url", devices="keyboard")
def keyboard_only(p: Player) -> None:
    """Enter on the form's button, each time refused by the server."""
    p.arrive(0)
    a = p.go("submit")
    p.fill()
    p.persist(a, lambda: 500, tries=p.rng.randint(3, 6))
    p.leave()


@frustrated()
def comes_back_and_fails_again(p: Player) -> None:
    """Fails twice or more, does something else for some minutes, comes back, fails again."""
    p.arrive()
    a = p.go("submit")
    p.persist(a, lambda: 500, tries=p.rng.randint(2, 3))
    p.note("visibility", state="hidden")
    p.wait(240, 0.3)
    p.note("visibility", state="visible")
    p.wait(4)
    p.persist(a, lambda: 500, tries=p.rng.randint(2, 3))
    p.leave()


@frustrated()
def help_page_and_back(p: Player) -> None:
    """Fails, reads the help, comes back, fails as before."""
    p.arrive()
    a = p.go("submit")
    p.fill()
    p.persist(a, lambda: 500, tries=p.rng.randint(2, 3))
    p.wait(4)
    p.link("Help", p.site.help)
    p.think(20)
    p.link("Back", a.route)
    p.fill(("name",))
    p.persist(a, lambda: 500, tries=p.rng.randint(2, 3))
    p.leave("close", "end", "wander")


@frustrated()
def cannot_be_deleted(p: Player) -> None:
    """One row that cannot be removed: asked for confirmation each time, and each time it fails."""
    p.arrive()
    p.link("Table", p.site.action("row", "1").route)
    row = p.row()
    yes = replace(row, control=Control("confirm-yes", "Yes", "button", "button", "dialog"))
    p.blame(yes)
    for _ in range(p.rng.randint(3, 5)):
        p.click(row.control, responded=True)
        p.wait(1.2)
        p.attempt(yes, 500, mash=p.rng.randint(0, 1))
        p.wait(p.rng.choice([3, 12]))
    p.leave()


@frustrated("status")
def filter_times_out(p: Player) -> None:
    """Each setting of the filter ends in a timeout."""
    p.arrive(1)
    a = p.go("search")
    p.temper = p.rng.choice([BRISK, ANGRY])
    p.persist(a, lambda: 504, lambda: p.gap(12, 0.3), between=lambda: p.fill(("range",)), tries=p.rng.randint(3, 4))
    p.leave()


@frustrated()
def a_different_error_each_time(p: Player) -> None:
    """500, 502, 503, no answer: never the same, never a success."""
    p.arrive()
    a = p.go(p.rng.choice(["submit", "send", "upload"]))
    p.persist(a, lambda: p.rng.choice([500, 502, 503, 0]), lambda: p.gap(2), tries=p.rng.randint(3, 6))
    p.leave()


@frustrated()
def message_never_sent(p: Player) -> None:
    """Written at length, never accepted; sent again by a slow and patient person, who leaves the tab in the end."""
    p.arrive()
    a = p.go("send")
    p.fill(("subject", "text"))
    p.temper = p.rng.choice([PATIENT, SLOW])
    p.persist(a, lambda: p.rng.choice([500, 503]), tries=p.rng.randint(3, 5))
    p.leave("close", "idle")


@frustrated()
def fast_worker_stopped(p: Player) -> None:
    """Somebody quick, much going well, until one button fails and fails; the rest of the day goes on without it."""
    p.arrive(0)
    for _ in range(p.rng.randint(4, 8)):
        p.task()
    p.link("Table", p.site.action("row", "1").route)
    a = p.row()
    p.temper = p.rng.choice([ANGRY, BRISK])
    p.persist(a, lambda: 500, tries=p.rng.randint(4, 6))
    for _ in range(p.rng.randint(1, 3)):
        p.task(without="row")


@frustrated("url")
def amid_a_failing_background(p: Player) -> None:
    """Polling fails all the time, which nobody sees; what stops the person is the button."""
    p.arrive()
    a = p.go("save")
    began = p.t
    p.fill()
    p.temper = p.rng.choice([ANGRY, BRISK, PATIENT])
    p.persist(a, lambda: 500)
    at = began
    while at < p.t:
        p.request(503, "GET", "/realtime/poll", 0.2, at)
        at += 10
    p.leave()
