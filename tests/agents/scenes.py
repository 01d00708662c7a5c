"""Which session happens: application, scene, person, visits, and how the person leaves."""

from dataclasses import dataclass
from random import Random

from tests.agents.browser import Browser
from tests.agents.catalog import APPS
from tests.agents.collectors import Collector
from tests.agents.faults import EMITTERS, fault_fits
from tests.agents.harmless import EPISODES, visit_links
from tests.agents.model import App, Fault, Goal, Person, Record, Step, Story
from tests.agents.noise import sprinkle_noise
from tests.agents.pursuit import pursue_goal, work_rows
from tests.agents.world import World


@dataclass(frozen=True)
class Scene:
    """A kind of story: how the fault ends, and how the person takes it."""

    name: str
    weight: float
    heal: str = ""
    patience: tuple[int, int] = (2, 5)
    temper: float = 0.4
    invested: bool = False
    visits: int = 1
    more: str = ""


SCENES: dict[str, tuple[Scene, ...]] = {
    "easy": (
        Scene("angry", 30, "never", (2, 5), 0.8),
        Scene("retried", 10, "retry"),
        Scene("reloaded", 4, "reload"),
        Scene("otherway", 5, "other"),
        Scene("harmless", 51),
    ),
    "medium": (
        Scene("stuck", 24, "never", (1, 5), 0.4),
        Scene("left", 8, "never", (0, 0), 0.0, True),
        Scene("single", 5, "never", (0, 0), 0.0),
        Scene("rows", 7, "never", (2, 5)),
        Scene("rowsheal", 3, "retry", (4, 6)),
        Scene("retried", 9, "retry"),
        Scene("reloaded", 5, "reload"),
        Scene("otherway", 5, "other"),
        Scene("later", 4, "later", (1, 3), 0.4, visits=2),
        Scene("harmless", 30),
    ),
    "hard": (
        Scene("calm", 14, "never", (1, 3), 0.05),
        Scene("left", 6, "never", (0, 0), 0.0, True),
        Scene("single", 6, "never", (0, 0), 0.0),
        Scene("again", 6, "never", (1, 3), 0.4, visits=2),
        Scene("elsewhere", 6, "never", (1, 4), 0.4, more="other-goal"),
        Scene("rows", 4, "never", (1, 3), 0.1),
        Scene("retried", 10, "retry", (3, 5), 0.8),
        Scene("reloaded", 6, "reload", (2, 4), 0.8),
        Scene("otherway", 7, "other", (2, 4), 0.8),
        Scene("later", 8, "later", (1, 4), 0.8, visits=2),
        Scene("harmless", 27),
    ),
}

FAULT_WEIGHTS = {
    "server-error": 6.0,
    "rejected": 4.0,
    "refused-login": 5.0,
    "gateway-timeout": 3.0,
    "client-timeout": 2.0,
    "endless-wait": 2.0,
    "crash": 4.0,
    "silent-button": 4.0,
    "disabled-button": 2.0,
    "login-loop": 2.5,
    "third-party": 5.0,
    "chunk-error": 1.5,
    "client-validation": 3.0,
    "too-large": 5.0,
    "rate-limit": 1.5,
    "offline": 2.0,
    "lost-entries": 2.0,
    "missing-page": 2.5,
}
ROW_FAULTS = ("server-error", "rate-limit", "crash", "silent-button", "gateway-timeout")

HARMLESS_WEIGHTS = {
    "easy": {
        "success": 10,
        "reading": 5,
        "gives-up-alone": 4,
        "double-clicker": 1,
        "fast-clicks": 2,
        "tab-switching": 1,
        "downloads": 1,
        "selecting-text": 1,
        "comparing": 2,
        "nothing-suitable": 1,
        "slow-served": 1,
        "side-failure": 1,
        "landing-failure": 1,
        "prerendered": 1,
        "crawler": 1,
    },
    "medium": {
        "success": 2,
        "late-success": 1,
        "gives-up-alone": 3,
        "double-clicker": 2,
        "fast-clicks": 3,
        "wall-board": 2,
        "prerendered": 1,
        "restored-tabs": 1,
        "crawler": 1,
        "autosave": 2,
        "tab-switching": 1,
        "downloads": 1,
        "self-refresh": 1,
        "side-failure": 2,
        "landing-failure": 2,
        "slow-served": 3,
        "selecting-text": 1,
        "comparing": 1,
        "nothing-suitable": 1,
        "watching-status": 2,
    },
    "hard": {
        "gives-up-alone": 3,
        "late-success": 2,
        "double-clicker": 3,
        "fast-clicks": 4,
        "wall-board": 2,
        "restored-tabs": 1,
        "autosave": 3,
        "downloads": 1,
        "self-refresh": 2,
        "side-failure": 3,
        "landing-failure": 2,
        "slow-served": 5,
        "nothing-suitable": 1,
        "watching-status": 2,
        "comparing": 1,
        "fidgeting": 2,
    },
}


def make_person(rng: Random, app: App, scene: Scene) -> Person:
    """Make a person with a device, a pace, patience and temper."""
    touch = rng.random() < app.touch
    device = "touch" if touch else ("keyboard" if rng.random() < 0.08 else "mouse")
    engine = rng.choice(("safari", "chrome")) if touch else rng.choice(("chrome", "chrome", "firefox"))
    leaves = rng.choices(("end", "hidden", "wander", "silent", "external"), (5, 3, 2, 2, 1))[0]
    if scene.name == "left":
        leaves = rng.choices(("end", "hidden", "wander"), (5, 3, 3))[0]
    pace = rng.lognormvariate(0.0, 0.35)
    return Person(rng.randint(*scene.patience), pace, device, rng.random() < 0.04, scene.temper, leaves, engine)


def leave_page(world: World) -> None:
    """Leave the application the way this person does."""
    browser = world.browser
    browser.pass_time(1.5, 12)
    how = world.person.leaves_by
    if how == "wander":
        first = len(browser.facts)
        visit_links(world, world.rng.randint(1, 3))
        for fact in browser.facts[first:]:
            if fact.kind == "navigation":
                fact.leaves = True
                break
    elif how == "external":
        fact = browser.add_navigation(browser.route, "link", external=True, _loads=False)
        fact.leaves = True
    elif how == "hidden":
        browser.hide_tab().leaves = True
    if how in ("end", "hidden") and (how == "end" or world.rng.random() < 0.5):
        browser.skip_millis(2, 60)
        browser.add_fact("end").leaves = True


def find_broken(rng: Random, app: App, scene: Scene) -> tuple[Goal, Step, str] | None:
    """Choose a goal, its broken step and what is wrong with it; None if the application has no such place."""
    found: list[tuple[Goal, Step, str]] = []
    weights: list[float] = []
    for goal in app.goals:
        fields = 0
        for number, step in enumerate(goal.steps):
            fields += len(step.fields)
            invested = fields >= 2 or number >= 2
            if (
                (scene.name == "left" and not invested)
                or (scene.name == "single" and invested)
                or (scene.heal == "other" and step.other is None)
            ):
                continue
            for name in EMITTERS:
                if fault_fits(name, step, app.style) and not (name == "lost-entries" and not step.fields):
                    found.append((goal, step, name))
                    weights.append(FAULT_WEIGHTS[name] * (1 + number) / len(goal.steps))
    return rng.choices(found, weights)[0] if found else None


def open_visit(world: World, entry: str) -> None:
    """Open the application."""
    world.browser.trail.clear()
    world.browser.open_page(entry, "first")
    if world.rng.random() < 0.5:
        world.browser.scroll_page(world.rng.randint(1, 3))
    if world.rng.random() < 0.35:
        visit_links(world, 1)


def play_trouble(world: World, scene: Scene, goal: Goal) -> None:
    """Go for a goal in which something is broken, in one or two visits."""
    for visit in range(scene.visits):
        if visit:
            world.browser.now += world.rng.randint(17 * 60, 7 * 3600) * 1000
            world.browser.route = world.app.home
            world.visit = visit
        open_visit(world, world.app.home)
        if pursue_goal(world, goal):
            break
        world.record.steps = 0 if visit + 1 < scene.visits else world.record.steps
        if not scene.more:
            leave_if_last(world, visit + 1 == scene.visits)
    if world.record.got:
        if world.rng.random() < 0.4:
            visit_links(world, world.rng.randint(1, 2))
        leave_page(world)


def leave_if_last(world: World, last: bool) -> None:
    """Leave a visit; people who will come back just put the tab away."""
    if last:
        leave_page(world)
    elif world.rng.random() < 0.7:
        world.browser.pass_time(1, 6)
        world.browser.hide_tab().leaves = True


def add_other_goal(world: World, goal: Goal, records: list[Record]) -> None:
    """Do something else after the failure, which works."""
    others = [each for each in world.app.goals if each is not goal]
    if not others:
        visit_links(world, 3)
        leave_page(world)
        return
    other = world.rng.choice(others)
    record = Record(other.name)
    fresh = World(world.browser, world.person, world.rng, world.app, record, graphql=world.graphql)
    world.browser.pass_time(3, 20)
    world.browser.open_page(world.app.home)
    pursue_goal(fresh, other)
    records.append(record)
    leave_page(world)


def tell_trouble(world: World, scene: Scene) -> str:
    """Play a scene with a fault; gives the name of the failure."""
    rng = world.rng
    if scene.name.startswith("rows"):
        assert world.app.row_step is not None
        name = rng.choice(ROW_FAULTS)
        world.fault = Fault(name, scene.heal, rng.randint(1, 2))
        world.broken = world.app.row_step
        open_visit(world, world.app.home)
        work_rows(world, world.app.row_step)
        leave_page(world)
        return f"rows-{name}-{scene.heal}"
    place = find_broken(rng, world.app, scene)
    assert place is not None
    goal, step, name = place
    world.record.goal = goal.name
    world.fault = Fault(name, scene.heal, rng.randint(1, max(1, min(3, world.person.patience))))
    world.broken = step
    play_trouble(world, scene, goal)
    return f"{name}-{scene.heal}" if scene.name not in ("left", "single") else f"{name}-{scene.name}"


def scene_fits(rng: Random, app: App, scene: Scene) -> bool:
    """Tell whether a scene can happen in an application."""
    if scene.name.startswith("rows"):
        return app.row_step is not None
    return not scene.heal or find_broken(rng, app, scene) is not None


def choose_scene(rng: Random, difficulty: str) -> tuple[App, Scene]:
    """Choose a scene and an application in which it can happen."""
    scenes = SCENES[difficulty]
    scene = rng.choices(scenes, [each.weight for each in scenes])[0]
    while True:
        app = rng.choice(APPS)
        if scene_fits(rng, app, scene):
            return app, scene


def tell_story(rng: Random, difficulty: str, collector: Collector, start: int) -> Story:
    """Play one whole client session."""
    app, scene = choose_scene(rng, difficulty)
    person = make_person(rng, app, scene)
    browser = Browser(app, person, rng, start)
    record = Record("")
    graphql = app.style == "graphql" or (collector.name == "graphql" and app.style != "mpa")
    world = World(browser, person, rng, app, record, graphql=graphql)
    records = [record]
    if scene.name == "harmless":
        choices = HARMLESS_WEIGHTS[difficulty]
        failure = rng.choices(list(choices), list(choices.values()))[0]
        if failure in ("restored-tabs", "prerendered", "crawler", "wall-board", "self-refresh"):
            browser.open_page(app.home, "first")
            EPISODES[failure](world)
        else:
            open_visit(world, app.home)
            EPISODES[failure](world)
            leave_page(world)
    else:
        failure = tell_trouble(world, scene)
        if scene.more and not record.got:
            add_other_goal(world, world_goal(world), records)
    return Story(app, failure, difficulty, sprinkle_noise(browser.facts, app, rng, difficulty), records)


def world_goal(world: World) -> Goal:
    """Find the goal a world's record is about."""
    return next(goal for goal in world.app.goals if goal.name == world.record.goal)
