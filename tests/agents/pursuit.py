"""How a person goes after a goal: step by step, with reactions when something does not work."""

from collections.abc import Callable
from pathlib import PurePosixPath

from tests.agents.faults import EMITTERS
from tests.agents.model import Control, Goal, Step, clean_route
from tests.agents.world import FAILED, World, bundle_source, click_burst, cured_now, fill_fields, succeed_step

EDITING = ("rejected", "client-validation", "refused-login", "disabled-button", "too-large")
PATIENT = ("missing-page", "lost-entries", "login-loop", "third-party")
DEAD = ("silent-button", "crash", "disabled-button", "endless-wait", "chunk-error")


def try_step(world: World, step: Step, control: Control, url: str, other: bool = False) -> bool:
    """Try the control of a step once; gives whether it worked."""
    if step is not world.broken or world.fault is None or cured_now(world, other):
        succeed_step(world, step, control, url)
        return True
    name = world.fault.name
    if other and name in (
        "rejected",
        "client-validation",
        "refused-login",
        "disabled-button",
        "too-large",
        "lost-entries",
        "third-party",
    ):
        name = "server-error"
    EMITTERS[name](world, step, control, url)
    return False


def return_to(world: World, step: Step) -> None:
    """Come back to the page of a step when the failure led away from it."""
    browser = world.browser
    if browser.error_page and browser.route == step.route:
        browser.open_page(step.route, "back_forward")
    if browser.route != step.route:
        browser.go_back()
    if browser.route != step.route:
        browser.pass_time(0.4, 2.0)
        browser.click_control(link_towards(world, step.route))
        browser.open_page(step.route)


def pick_reaction(world: World, step: Step, left: int) -> str:
    """Choose what the person does about a failure; what would help is found in the end, if they go on."""
    fault = world.fault
    assert fault is not None
    weights = {"again": 4.0, "wait": 1.0, "reload": 1.2, "back": 0.7, "help": 0.5}
    weights["burst"] = 6.0 * world.person.temper * (1.5 if fault.name in DEAD else 0.7)
    if fault.name in PATIENT:
        weights["burst"] = 0.0
    if fault.name in EDITING and step.fields:
        weights["edit"] = 6.0
    if step.other is not None:
        weights["other"] = 0.8
    if fault.heal == "other" and left <= 1:
        return "other"
    if fault.heal not in ("other", "never"):
        weights.pop("other", None)
    if fault.heal == "reload" and left <= 1:
        return "reload"
    names = list(weights)
    return world.rng.choices(names, [weights[name] for name in names])[0]


def react_once(world: World, step: Step, how: str) -> bool:
    """Do one reaction and try again; gives whether it worked."""
    browser = world.browser
    control, url = step.action, step.url
    browser.pass_time(1.0, 7.0)
    if how == "burst":
        return_to(world, step)
        return react_burst(world, step)
    if how == "reload":
        browser.open_page(browser.route, "reload", 200, "reload")
        world.reloads += 1
        world.record.shown.add("reload")
    elif how in ("back", "help"):
        detour_away(world, how)
    elif how == "wait":
        browser.pass_time(12, 50)
    return_to(world, step)
    if how in ("reload", "back") or world.fault_name() == "lost-entries":
        browser.pass_time(0.5, 2.0)
        fill_fields(world, step, 0.8)
    elif how == "edit":
        browser.fill_field(world.rng.choice(step.fields))
    if how == "other" and step.other is not None:
        world.record.shown.add("other")
        return try_step(world, step, step.other, url, other=True)
    return try_step(world, step, control, url)


def react_burst(world: World, step: Step) -> bool:
    """Click in anger; where clicks send requests some of them fail, too."""
    assert world.fault is not None
    click_burst(world, step.action, effect=burst_effect(world, step))
    if world.fault.name in DEAD:
        world.tries += 1
        if not cured_now(world, False):
            return False
    world.browser.pass_time(0.5, 2.5)
    return try_step(world, step, step.action, step.url)


def burst_effect(world: World, step: Step) -> Callable[[], None] | None:
    """Give what each click of a burst sets off where a fault answers at once."""
    assert world.fault is not None
    browser = world.browser
    if world.fault.name == "crash":
        return lambda: browser.raise_error("javascript", world.message, bundle_source(world.app), "error")
    if world.fault.name == "client-validation":
        return lambda: note_invalid(world, step)
    statuses = {"server-error": 500, "rate-limit": 429, "rejected": 422, "refused-login": 401}
    status = world.status if world.status > 0 else statuses.get(world.fault.name)
    if world.fault.name not in statuses or status is None or world.graphql or world.app.style == "mpa":
        return None
    return lambda: answer_quickly(world, step, status)


def answer_quickly(world: World, step: Step, status: int) -> None:
    """Fail the request of one click of a burst."""
    took = world.rng.randint(30, 100)
    world.browser.now += took
    world.browser.send_request(step.method, step.url, status, took, FAILED)


def note_invalid(world: World, step: Step) -> None:
    """Refuse a form in the browser once more."""
    world.browser.add_fact("submit", step.action, "invalid", valid=False)


def detour_away(world: World, how: str) -> None:
    """Go somewhere else to find a way round, and come back."""
    browser = world.browser
    world.record.shown.add("detour")
    if how == "back" and browser.trail:
        browser.go_back()
        browser.pass_time(1.5, 6.0)
        return
    link = world.app.help_link
    browser.click_control(link.control)
    browser.skip_millis(30, 200)
    browser.open_page(link.route)
    browser.scroll_page(world.rng.randint(1, 4))
    browser.pass_time(3, 15)


def persist_step(world: World, step: Step) -> bool:
    """Try a step as long as the person's patience lasts."""
    if try_step(world, step, step.action, step.url):
        return True
    tries = range(world.person.patience, 0, -1)
    return any(react_once(world, step, pick_reaction(world, step, left)) for left in tries)


def reach_step(world: World, step: Step) -> None:
    """Arrive at the first page of a goal, by a link that leads there or directly."""
    browser = world.browser
    if browser.route == step.route:
        return
    browser.pass_time(0.6, 4.0)
    browser.click_control(link_towards(world, step.route))
    browser.skip_millis(20, 120)
    browser.open_page(step.route)


def link_towards(world: World, route: str) -> Control:
    """Find the link to a route; pages no menu names are linked from a text."""
    for link in world.app.links:
        if link.route == route:
            return link.control
    path = clean_route(route.rsplit("#", maxsplit=1)[-1])
    word = PurePosixPath(path).stem.replace("-", " ").capitalize() or "Home"
    return Control("", word, "link", "a", f'a[href="{route}"]')


def pursue_goal(world: World, goal: Goal) -> bool:
    """Go through the steps of a goal; gives whether the person got it."""
    for number, step in enumerate(goal.steps):
        if number == 0 or world.browser.route != step.route:
            reach_step(world, step)
        world.browser.pass_time(1.0, 6.0)
        if world.rng.random() < 0.35:
            world.browser.scroll_page(world.rng.randint(1, 3))
        fill_fields(world, step)
        world.record.fields += len(step.fields)
        if step.form and step.fields and step is not world.broken and world.rng.random() < 0.12:
            slip_once(world, step)
        if not persist_step(world, step):
            return False
        world.record.steps += 1
    world.record.got = True
    return True


def work_rows(world: World, row_step: Step) -> bool:
    """Act on several rows of a list; in a broken list each row fails."""
    rows = world.rng.sample(range(1, 15), world.rng.randint(3, 6))
    reach_step(world, row_step)
    world.browser.pass_time(1.5, 6.0)
    worked = 0
    for row in rows:
        control = Control(
            f"{row_step.action.ident}-{row}",
            row_step.action.label,
            "button",
            "button",
            row_step.action.selector.replace("tr", f"tr:nth-child({row})", 1).replace("li", f"li:nth-child({row})", 1),
        )
        shown = Step(row_step.route, (), control, row_step.method, f"{row_step.url}/{40200 + row}", row_step.route)
        if world.fault is None or cured_now(world, False):
            succeed_step(world, shown, control, shown.url)
            worked += 1
        else:
            EMITTERS[world.fault.name](world, shown, control, shown.url)
            if len(world.record.failures) > world.person.patience:
                break
        world.browser.pass_time(0.8, 4.0)
    world.record.got = worked > 0
    return worked > 0


def slip_once(world: World, step: Step) -> None:
    """Make a mistake in a form, be told by the browser, and correct it."""
    browser = world.browser
    wrong = world.rng.choice(step.fields)
    browser.click_control(step.action)
    browser.skip_millis(1, 20)
    browser.add_fact("submit", step.action, "", valid=False)
    if world.rng.random() < 0.5:
        browser.raise_error("validation", f"{wrong.label}: required", "")
    browser.pass_time(1, 4)
    browser.fill_field(wrong)
