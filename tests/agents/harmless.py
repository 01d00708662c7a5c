"""Sessions in which nothing that mattered to the person failed for good, however they look."""

from collections.abc import Callable

from tests.agents.browser import BODY
from tests.agents.model import Control, Step, new_button
from tests.agents.noise import poll_method
from tests.agents.pursuit import pursue_goal, reach_step
from tests.agents.world import (
    FAILED,
    World,
    bundle_source,
    click_burst,
    fail_request,
    fill_fields,
    note_failure,
    press_control,
    succeed_step,
)

Episode = Callable[[World], None]


def visit_links(world: World, times: int) -> None:
    """Read a few pages."""
    browser = world.browser
    for _ in range(times):
        link = world.rng.choice(world.app.links)
        browser.pass_time(1, 6)
        browser.click_control(link.control)
        browser.skip_millis(15, 90)
        browser.open_page(link.route)
        browser.scroll_page(world.rng.randint(1, 5))
        browser.pass_time(2, 20)


def play_success(world: World) -> None:
    """Go for a goal and get it."""
    if world.rng.random() < 0.5:
        visit_links(world, world.rng.randint(1, 3))
    pursue_goal(world, world.rng.choice(world.app.goals))


def play_reading(world: World) -> None:
    """Only look around."""
    visit_links(world, world.rng.randint(1, 6))


def play_giving_up(world: World) -> None:
    """Begin a task and leave it for reasons of one's own."""
    goal = world.rng.choice(world.app.goals)
    step = world.rng.choice(goal.steps)
    for earlier in goal.steps[: goal.steps.index(step)]:
        pursue_part(world, earlier)
    reach_step(world, step)
    world.browser.scroll_page(2)
    fill_fields(world, step, 0.6)
    world.browser.pass_time(5, 60)


def pursue_part(world: World, step: Step) -> None:
    """Do one step that works."""
    reach_step(world, step)
    fill_fields(world, step)
    succeed_step(world, step, step.action, step.url)


def play_double_clicks(world: World) -> None:
    """Double-click everything on the way to a goal."""
    world.person.double = True
    visit_links(world, world.rng.randint(1, 3))
    pursue_goal(world, world.rng.choice(world.app.goals))


def play_fast_clicks(world: World) -> None:
    """Click a carousel, stepper, pager or game fast; each click does something."""
    browser = world.browser
    link = world.rng.choice(world.app.links)
    browser.open_page(link.route)
    silent = world.rng.random() < 0.5
    for _ in range(world.rng.randint(1, 4)):
        browser.pass_time(1, 6)
        for number in range(world.rng.randint(4, 16)):
            browser.skip_millis(120, 480)
            browser.one_click(world.app.repeat, True, "", number % 3 + 1, {})
            if not silent and world.rng.random() < 0.4:
                browser.skip_millis(30, 90)
                browser.send_request(poll_method(world.app), world.app.poll, 200, world.rng.randint(20, 90))
    if world.rng.random() < 0.5:
        pursue_goal(world, world.rng.choice(world.app.goals))


def play_wall_board(world: World) -> None:
    """Let a tab run for hours with polling, nobody at it; polling fails for a while."""
    browser = world.browser
    if world.rng.random() < 0.6:
        browser.hide_tab()
    down = range(0)
    total = world.rng.randint(30, 90)
    if world.rng.random() < 0.7:
        first = world.rng.randint(2, total // 2)
        down = range(first, first + world.rng.randint(4, 25))
    for number in range(total):
        browser.now += 60000 + world.rng.randint(-80, 80)
        status = world.rng.choice((500, 502, 503, 0)) if number in down else 200
        browser.send_request(poll_method(world.app), world.app.poll, status, world.rng.randint(30, 900))
        if status != 200 and world.rng.random() < 0.3:
            browser.raise_error("promise", "Error: refresh failed", bundle_source(world.app))
        if number % 30 == 29 and world.rng.random() < 0.3:
            browser.open_page(browser.route, "reload")


def play_prerendered(world: World) -> None:
    """Load a page that nobody ever sees."""
    browser = world.browser
    browser.hide_tab()
    browser.skip_millis(100, 900)
    if world.rng.random() < 0.6:
        browser.raise_error(
            "javascript", "TypeError: Cannot read properties of null (reading 'focus')", bundle_source(world.app)
        )
    if world.rng.random() < 0.5:
        browser.send_request(poll_method(world.app), world.app.poll, world.rng.choice((401, 500, 0)), 120)


def play_restored_tabs(world: World) -> None:
    """Restore several tabs at the start of the browser; some fail to load their data."""
    browser = world.browser
    for _ in range(world.rng.randint(3, 8)):
        browser.skip_millis(20, 300)
        browser.open_page(world.rng.choice(world.app.links).route, "reload")
        browser.hide_tab()
        if world.rng.random() < 0.6:
            browser.skip_millis(90, 600)
            browser.send_request(poll_method(world.app), world.app.poll, world.rng.choice((0, 401, 503)), 80)
            browser.raise_error("promise", "TypeError: Failed to fetch", bundle_source(world.app))


def play_crawler(world: World) -> None:
    """Walk links at an even pace, without a declared agent."""
    browser = world.browser
    pause = world.rng.randint(900, 5000)
    for number in range(world.rng.randint(8, 30)):
        browser.now += pause + world.rng.randint(-40, 40)
        link = world.rng.choice(world.app.links)
        if world.rng.random() < 0.2:
            browser.open_page(f"{link.route}/old-{number}", "first", 404)
        else:
            browser.open_page(link.route, "first")
        if world.rng.random() < 0.15:
            browser.raise_error(
                "javascript", "ReferenceError: IntersectionObserver is not defined", bundle_source(world.app)
            )


def play_autosave(world: World) -> None:
    """Write for a while; some automatic saves fail near clicks and later ones work."""
    browser = world.browser
    area = Control("body", "Document body", "textarea", "textarea", "div.ProseMirror")
    bold = new_button("bold", "Bold", "button[aria-label=Bold]")
    browser.add_fact("input", area, action="focus", fieldType="textarea")
    total = world.rng.randint(6, 20)
    for number in range(total):
        browser.pass_time(3, 15)
        browser.add_fact("input", area, action="change", fieldType="textarea")
        if world.rng.random() < 0.4:
            browser.click_control(bold)
        browser.skip_millis(100, 900)
        status = 200 if number > total - 3 else world.rng.choice((200, 200, 503, 0, 409))
        browser.send_request("PUT", "/api/autosave", status, world.rng.randint(40, 700))


def play_tab_switching(world: World) -> None:
    """Go for a goal and look things up in another tab all the time."""
    browser = world.browser
    for _ in range(world.rng.randint(3, 9)):
        browser.hide_tab()
        browser.pass_time(3, 50)
        browser.show_tab()
        browser.pass_time(1, 6)
    pursue_goal(world, world.rng.choice(world.app.goals))


def play_downloads(world: World) -> None:
    """Download several files; the page does not change."""
    browser = world.browser
    for number in range(world.rng.randint(2, 6)):
        control = Control(
            f"dl-{number}", f"Download PDF {number + 1}", "link", "a", f"ul.downloads li:nth-child({number + 1}) a"
        )
        browser.pass_time(1, 8)
        browser.click_control(control, False)
        if world.rng.random() < 0.3:
            browser.skip_millis(300, 900)
            browser.one_click(control, False, "", 1, {})
        browser.skip_millis(40, 400)
        browser.add_navigation(browser.route, "link", download=True, _loads=True)


def play_self_refresh(world: World) -> None:
    """Watch a page that reloads itself."""
    browser = world.browser
    period = world.rng.choice((15000, 30000, 60000))
    for _ in range(world.rng.randint(5, 25)):
        browser.now += period + world.rng.randint(-30, 60)
        browser.open_page(browser.route, "reload")
        if world.rng.random() < 0.15:
            browser.send_request(poll_method(world.app), world.app.poll, 500, 90)
    if world.rng.random() < 0.5:
        visit_links(world, 1)


def play_side_failure(world: World) -> None:
    """Have one unimportant failure nobody reacts to, and get the goal."""
    browser = world.browser
    visit_links(world, 1)
    heart = new_button("favourite", "Add to favourites", "button.icon-heart")
    side = Step(browser.route, (), heart, "POST", "/api/favourites", browser.route)
    press_control(world, side, heart)
    if world.app.style == "mpa":
        browser.send_request("POST", "/ajax/favourites", world.rng.choice((500, 401, 403)), 140, FAILED)
    else:
        fail_request(world, side, "/api/favourites", world.rng.choice((500, 401, 403)), 140)
    browser.pass_time(2, 8)
    visit_links(world, world.rng.randint(1, 3))
    pursue_goal(world, world.rng.choice(world.app.goals))


def play_landing_failure(world: World) -> None:
    """Have the first page fail and leave with nothing invested."""
    browser = world.browser
    link = world.rng.choice(world.app.links)
    browser.pass_time(1, 4)
    browser.click_control(link.control)
    status = world.rng.choice((404, 500, 503))
    if world.app.style == "mpa":
        browser.open_page(link.route, "link", status, FAILED)
    else:
        browser.open_page(link.route)
        fail_request(
            world, Step(link.route, (), link.control, "GET", "/api/page", link.route), "/api/page", status, 200
        )
    note_failure(world, Step(link.route, (), link.control, "GET", link.route, link.route), link.control)
    browser.pass_time(1, 5)


def play_slow_served(world: World) -> None:
    """Wait long for an answer, impatiently or not, and get it."""
    browser = world.browser
    goal = world.rng.choice(world.app.goals)
    slow = world.rng.choice(goal.steps)
    for step in goal.steps:
        if step is not slow:
            pursue_part(world, step)
            continue
        reach_step(world, step)
        fill_fields(world, step)
        press_control(world, step, step.action)
        begin = browser.now
        browser.add_fact("loading", None, "", state="start")
        browser.pass_time(1.5, 3.0)
        if world.rng.random() < 0.65:
            click_burst(world, step.action, wrong=False, loading=world.rng.random() < 0.5)
        took = max(browser.now - begin + 400, world.rng.randint(5000, 28000))
        browser.now = begin + took
        browser.send_request(step.method, step.url, 200, took, document=world.app.style == "mpa")
        browser.add_fact("loading", None, "", state="end")
        browser.open_page(step.following)


def play_late_success(world: World) -> None:
    """Get a timeout, look again and find that it was done after all."""
    browser = world.browser
    goal = world.rng.choice(world.app.goals)
    for step in goal.steps[:-1]:
        pursue_part(world, step)
    step = goal.steps[-1]
    reach_step(world, step)
    fill_fields(world, step)
    press_control(world, step, step.action)
    took = 30000 + world.rng.randint(1, 90)
    browser.pass_time(2, 5)
    if world.rng.random() < 0.5:
        click_burst(world, step.action, loading=True)
    browser.now += 24000
    fail_request(world, step, step.url, 504, 200)
    for fact in browser.facts[-6:]:
        if fact.kind == "network" and fact.wrong:
            fact.data["durationMs"] = took
    note_failure(world, step, step.action)
    browser.pass_time(2, 9)
    browser.open_page(browser.route, "reload")
    browser.pass_time(0.5, 3)
    browser.open_page(step.following, "replace")
    browser.scroll_page(2)
    world.record.got = True


def play_selecting_text(world: World) -> None:
    """Select and copy text by double and triple clicks."""
    browser = world.browser
    text = Control("", "", "text", "p", "main p:nth-of-type(2)")
    visit_links(world, 1)
    for _ in range(world.rng.randint(2, 5)):
        browser.pass_time(2, 9)
        for count in range(1, world.rng.randint(3, 4)):
            browser.skip_millis(90, 200)
            browser.one_click(text, False, "", count, {"selection": True})


def play_comparing(world: World) -> None:
    """Go back and forth between a list and its entries."""
    browser = world.browser
    for _ in range(world.rng.randint(3, 8)):
        visit_links(world, 1)
        browser.go_back()
        browser.pass_time(1, 4)
    if world.rng.random() < 0.4:
        pursue_goal(world, world.rng.choice(world.app.goals))


def play_nothing_suitable(world: World) -> None:
    """Search several times; all answers arrive and nothing pleases."""
    browser = world.browser
    box = Control("q", "Search", "search", "input", "input[type=search]")
    for _ in range(world.rng.randint(2, 5)):
        browser.fill_field(box)
        browser.add_fact("submit", box, "", valid=True)
        browser.skip_millis(80, 600)
        browser.send_request("GET", "/api/search", 200, world.rng.randint(60, 600), document=world.app.style == "mpa")
        browser.scroll_page(world.rng.randint(1, 4))
        browser.pass_time(2, 12)


def play_watching_status(world: World) -> None:
    """Reload a page again and again to see whether something has arrived."""
    browser = world.browser
    pursue_goal(world, world.rng.choice(world.app.goals))
    for _ in range(world.rng.randint(3, 9)):
        browser.pass_time(5, 60)
        browser.open_page(browser.route, "reload")
        browser.scroll_page(1)


def play_fidgeting(world: World) -> None:
    """Read, and click on text and empty places meanwhile without wanting anything."""
    browser = world.browser
    visit_links(world, world.rng.randint(1, 2))
    for _ in range(world.rng.randint(1, 3)):
        browser.pass_time(4, 20)
        for _click in range(world.rng.randint(2, 6)):
            browser.skip_millis(180, 700)
            browser.one_click(BODY, False, "", 1, {})
        browser.scroll_page(1)
    visit_links(world, 1)


EPISODES: dict[str, Episode] = {
    "success": play_success,
    "reading": play_reading,
    "gives-up-alone": play_giving_up,
    "double-clicker": play_double_clicks,
    "fast-clicks": play_fast_clicks,
    "wall-board": play_wall_board,
    "prerendered": play_prerendered,
    "restored-tabs": play_restored_tabs,
    "crawler": play_crawler,
    "autosave": play_autosave,
    "tab-switching": play_tab_switching,
    "downloads": play_downloads,
    "self-refresh": play_self_refresh,
    "side-failure": play_side_failure,
    "landing-failure": play_landing_failure,
    "slow-served": play_slow_served,
    "selecting-text": play_selecting_text,
    "comparing": play_comparing,
    "nothing-suitable": play_nothing_suitable,
    "watching-status": play_watching_status,
    "fidgeting": play_fidgeting,
    "late-success": play_late_success,
}
