"""The state of one person's attempt at one goal, and the small acts everything is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.agents.browser import Browser
from tests.agents.model import App, Control, Failure, Fault, Person, Record, Step

BURST = "burst"
FAILED = "failed"


@dataclass
class World:
    """A browser, the person before it, the goal's record and what is broken."""

    browser: Browser
    person: Person
    rng: Random
    app: App
    record: Record
    fault: Fault | None = None
    broken: Step | None = None
    graphql: bool = False
    visit: int = 0
    reloads: int = 0
    tries: int = 0
    message: str = ""
    status: int = -1

    def fault_name(self) -> str:
        """Name what is broken; empty if nothing is."""
        return self.fault.name if self.fault else ""

    def steady_status(self, *choices: int) -> int:
        """Choose the status of the broken endpoint; it stays the same."""
        if self.status < 0:
            self.status = self.rng.choice(choices)
        return self.status


def cured_now(world: World, other: bool) -> bool:
    """Tell whether what is broken works at this moment."""
    fault = world.fault
    if fault is None:
        return True
    ways = {
        "retry": world.tries >= fault.after,
        "reload": world.reloads >= 1,
        "other": other,
        "later": world.visit >= 1,
    }
    return ways.get(fault.heal, False)


def note_failure(world: World, step: Step, control: Control) -> None:
    """Remember that a try of the person did not work; a second try shows that they minded."""
    if world.record.failures:
        world.record.shown.add("retry")
    world.record.failures.append(Failure(world.browser.now, step.route, control))
    world.tries += 1


def press_control(world: World, step: Step, control: Control, responded: bool = True, wrong: str = "") -> None:
    """Press the control of a step by mouse, finger or the Enter key, and submit its form."""
    browser = world.browser
    browser.pass_time(0.4, 2.5)
    if step.form and step.fields and world.person.device == "keyboard" and control is step.action:
        browser.one_click(control, responded, wrong, 0, {"inputMethod": "keyboard"})
    else:
        browser.click_control(control, responded, wrong)
    if step.form and control is step.action:
        browser.skip_millis(1, 12)
        browser.add_fact("submit", control, "", valid=True)


def click_burst(
    world: World, control: Control, wrong: bool = True, loading: bool = False, effect: Callable[[], None] | None = None
) -> None:
    """Click a control several times in anger; effect is what a click sets off at once."""
    browser = world.browser
    times = world.rng.randint(3, 8)
    for number in range(times):
        browser.skip_millis(110, 420)
        extra = {"loading": True} if loading else {}
        browser.one_click(control, False, BURST if wrong else "", number % 3 + 1, dict(extra))
        if effect is not None and world.rng.random() < 0.7:
            effect()
    if wrong:
        world.record.shown.add("burst")


def fill_fields(world: World, step: Step, share: float = 1.0) -> None:
    """Fill the fields of a step, or a share of them."""
    for control in step.fields:
        if world.rng.random() <= share:
            world.browser.fill_field(control)
            world.browser.pass_time(0.3, 2.0)


def fail_request(world: World, step: Step, url: str, status: int, took: int) -> None:
    """End the request of a step with a failure, as this application's transport shows it."""
    browser = world.browser
    browser.now += took
    if world.graphql and status >= 400:
        browser.send_request(
            "POST", "/graphql", 200, took, "graphql", graphqlErrors=1, operationName=operation_name(step)
        )
        if world.rng.random() < 0.65:
            text = f"ApolloError: {graphql_message(world, status)}"
            browser.raise_error("promise", text, "/_next/static/chunks/apollo-6b1e.js", "error")
        return
    if world.app.style == "mpa" and status >= 400:
        browser.now -= min(took, 100)
        shown = url if status >= 500 or status == 404 else step.route
        browser.open_page(shown, "link", status, FAILED, step.method, url)
        return
    path, method = ("/graphql", "POST") if world.graphql else (url, step.method)
    browser.send_request(method, path, status, took, FAILED)
    if world.rng.random() < 0.3:
        browser.skip_millis(2, 30)
        browser.raise_error("promise", failure_message(world, status), bundle_source(world.app), "error")


def operation_name(step: Step) -> str:
    """Name a GraphQL operation after the control of a step."""
    parts = step.action.ident.replace("_", "-").replace(":", "-").split("-")
    return "".join(part[:1].upper() + part[1:] for part in parts)


def graphql_message(world: World, status: int) -> str:
    """Write the message of a GraphQL error."""
    if status in (400, 409, 422):
        return world.rng.choice(
            ('Variable "$input" got invalid value', "Validation failed", "Record was changed meanwhile")
        )
    return world.rng.choice(
        ("Internal server error", "Cannot return null for non-nullable field Mutation.result.", "Unexpected error.")
    )


def failure_message(world: World, status: int) -> str:
    """Write the message a browser or HTTP library raises for a failed request."""
    if status == 0:
        texts = {
            "chrome": "TypeError: Failed to fetch",
            "safari": "TypeError: Load failed",
            "firefox": "TypeError: NetworkError when attempting to fetch resource.",
        }
        return texts[world.person.engine]
    libraries = {
        "angular": f"Error: Uncaught (in promise): HttpErrorResponse: Http failure response: {status}",
        "angularjs": f'Possibly unhandled rejection: {{"data":null,"status":{status}}}',
    }
    return libraries.get(world.app.framework, f"AxiosError: Request failed with status code {status}")


def bundle_source(app: App) -> str:
    """Name the script file of an application's own code."""
    files = {
        "react": "/_next/static/chunks/pages/_app-3f9c1d2e.js",
        "vue": "/assets/index-BcX9d1kQ.js",
        "angular": "/main.7f3a9be1.js",
        "svelte": "/_app/immutable/nodes/4.Dq2zW1xk.js",
        "angularjs": "/scripts/app.min.js",
        "lwc": "/auraFW/javascript/aura_prod.js",
    }
    return files.get(app.framework, "/js/app.js")


def succeed_step(world: World, step: Step, control: Control, url: str, took: int = 0) -> None:
    """Press the control of a step and get what it is for."""
    browser = world.browser
    press_control(world, step, control)
    took = took or world.rng.randint(70, 900)
    browser.now += took
    if world.app.style == "mpa":
        if step.method != "GET":
            browser.send_request(step.method, url, 302, took, document=True)
    elif world.graphql:
        browser.send_request("POST", "/graphql", 200, took, operationName=operation_name(step))
    else:
        status = 200 if step.method == "GET" else world.rng.choice((200, 200, 201, 204))
        browser.send_request(step.method, url, status, took)
    browser.skip_millis(10, 120)
    if step.following != browser.route or world.app.style == "mpa":
        browser.open_page(step.following)
