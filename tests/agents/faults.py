"""What can break under the hand of a person, and what a browser then shows."""

from collections.abc import Callable

from tests.agents.browser import data_url
from tests.agents.model import Control, Scalar, Step, clean_route
from tests.agents.world import (
    FAILED,
    World,
    bundle_source,
    click_burst,
    fail_request,
    failure_message,
    fill_fields,
    note_failure,
    press_control,
)

Emitter = Callable[[World, Step, Control, str], None]

CRASHES = {
    "chrome": (
        "TypeError: Cannot read properties of undefined (reading 'id')",
        "TypeError: e.map is not a function",
        "ReferenceError: dataLayer is not defined",
        "TypeError: Cannot read properties of null (reading 'total')",
    ),
    "safari": (
        "TypeError: undefined is not an object (evaluating 't.cart.items')",
        "TypeError: null is not an object (evaluating 'e.current.value')",
    ),
    "firefox": ('TypeError: can\'t access property "id", e is undefined', "TypeError: t.data is null"),
}


def wait_answer(world: World, control: Control, took: int, wrong: bool) -> int:
    """Spend some of a long wait; an angry person clicks meanwhile. Gives the rest of the wait."""
    start = world.browser.now
    world.browser.add_fact("loading", None, "", state="start")
    world.browser.pass_time(1.5, 4.0)
    if world.rng.random() < world.person.temper:
        click_burst(world, control, wrong, loading=True)
    elif world.rng.random() < 0.5:
        world.browser.scroll_page(1)
    return max(200, took - (world.browser.now - start))


def finish_wait(world: World, step: Step, url: str, status: int, rest: int, took: int) -> None:
    """End a long wait with a failed request of the full duration."""
    browser = world.browser
    browser.now += rest
    first = len(browser.facts)
    fail_request(world, step, url, status, 100)
    for fact in browser.facts[first:]:
        if fact.kind == "network" and fact.wrong:
            fact.data["durationMs"] = took
    browser.add_fact("loading", None, "", state="end")


def emit_server_error(world: World, step: Step, control: Control, url: str) -> None:
    """Answer with 500, 502 or 503."""
    press_control(world, step, control)
    fail_request(world, step, url, world.steady_status(500, 500, 502, 503), world.rng.randint(60, 1500))
    note_failure(world, step, control)


def emit_rejection(world: World, step: Step, control: Control, url: str) -> None:
    """Refuse what the person entered with a 4xx."""
    press_control(world, step, control)
    fail_request(world, step, url, world.steady_status(422, 422, 400, 409), world.rng.randint(50, 700))
    if world.rng.random() < 0.4:
        world.browser.raise_error("validation", f"{step.fields[-1].label}: invalid", "", "error")
    note_failure(world, step, control)


def emit_refused_login(world: World, step: Step, control: Control, url: str) -> None:
    """Refuse the credentials."""
    press_control(world, step, control)
    fail_request(world, step, url, world.steady_status(401, 401, 403), world.rng.randint(90, 500))
    note_failure(world, step, control)


def emit_gateway_timeout(world: World, step: Step, control: Control, url: str) -> None:
    """Answer with 504 after half a minute."""
    press_control(world, step, control)
    took = 30000 + world.rng.randint(1, 120)
    rest = wait_answer(world, control, took, True)
    finish_wait(world, step, url, 504, rest, took)
    note_failure(world, step, control)


def emit_client_timeout(world: World, step: Step, control: Control, url: str) -> None:
    """Let the request end without an answer after the client's own limit."""
    press_control(world, step, control)
    took = world.rng.choice((10000, 15000, 20000)) + world.rng.randint(1, 60)
    rest = wait_answer(world, control, took, True)
    finish_wait(world, step, url, 0, rest, took)
    note_failure(world, step, control)


def emit_endless_wait(world: World, step: Step, control: Control, url: str) -> None:
    """Show a spinner and never answer."""
    spinner = world.rng.random() < 0.6
    press_control(world, step, control, responded=spinner, wrong="" if spinner else "dead")
    first = len(world.browser.facts)
    wait_answer(world, control, 0, True)
    world.browser.facts[first].wrong = "hang"
    world.browser.pass_time(8, 30)
    note_failure(world, step, control)


def emit_crash(world: World, step: Step, control: Control, url: str) -> None:
    """Throw in the click handler; no request leaves."""
    press_control(world, step, control, responded=False, wrong="dead")
    world.browser.skip_millis(1, 40)
    message = world.message or world.rng.choice(CRASHES[world.person.engine])
    world.message = message
    world.browser.raise_error("javascript", message, bundle_source(world.app), "error")
    note_failure(world, step, control)


def emit_silent_button(world: World, step: Step, control: Control, url: str) -> None:
    """Do nothing at all."""
    world.browser.pass_time(0.5, 2.5)
    world.browser.click_control(control, False, "dead")
    world.browser.pass_time(1.0, 3.0)
    note_failure(world, step, control)


def emit_disabled_button(world: World, step: Step, control: Control, url: str) -> None:
    """Keep the button disabled though everything is filled in."""
    extra: dict[str, Scalar] = {"disabled": True}
    world.browser.pass_time(0.5, 2.5)
    world.browser.one_click(control, False, "dead", 1, extra)
    world.browser.pass_time(1.0, 3.0)
    note_failure(world, step, control)


def emit_login_loop(world: World, step: Step, control: Control, url: str) -> None:
    """Send the person to the login again, though they are logged in or just were."""
    browser = world.browser
    press_control(world, step, control)
    took = world.rng.randint(50, 300)
    browser.now += took
    if world.app.style != "mpa":
        browser.send_request(step.method, url, 401, took, FAILED)
    note_failure(world, step, control)
    login = world.app.login
    browser.open_page(login.route, "replace", 200, "login")
    fill_fields(world, login)
    press_control(world, login, login.action)
    browser.skip_millis(200, 900)
    browser.send_request(
        "POST", login.url, 200 if world.app.style != "mpa" else 302, 240, document=world.app.style == "mpa"
    )
    browser.open_page(step.route, "replace")


def emit_third_party(world: World, step: Step, control: Control, url: str) -> None:
    """Fail in a captcha or a payment token, without which the step cannot go on."""
    browser = world.browser
    press_control(world, step, control)
    took = world.rng.randint(150, 2500)
    browser.now += took
    if step.third == "captcha":
        browser.send_request(
            "POST", "/recaptcha/api2/userverify", world.steady_status(0, 400, 429), took, FAILED, thirdParty=True
        )
        browser.raise_error(
            "javascript",
            "Error: reCAPTCHA placeholder element must be an element or id",
            "/recaptcha/releases/recaptcha__en.js",
            "error",
            True,
        )
    else:
        paths = {"react": "/v1/payment_methods", "vue": "/v1/tokens"}
        path = paths.get(world.app.framework, "/v2/checkout/orders")
        browser.send_request("POST", path, world.steady_status(0, 400, 402, 500), took, FAILED, thirdParty=True)
        if world.rng.random() < 0.5:
            browser.raise_error("promise", "Error: Could not create payment token", bundle_source(world.app), "error")
    note_failure(world, step, control)


def emit_chunk_error(world: World, step: Step, control: Control, url: str) -> None:
    """Fail to load the code of the next page after a deployment."""
    press_control(world, step, control, responded=False, wrong="dead")
    world.browser.skip_millis(60, 400)
    chunk = world.message or str(world.rng.randint(100, 980))
    world.message = chunk
    world.browser.raise_error("resource", f"/static/js/{chunk}.8c1f2b.chunk.js", bundle_source(world.app), "error")
    world.browser.raise_error(
        "promise", f"ChunkLoadError: Loading chunk {chunk} failed.", bundle_source(world.app), "error"
    )
    note_failure(world, step, control)


def emit_client_validation(world: World, step: Step, control: Control, url: str) -> None:
    """Refuse the form in the browser, by a wrong pattern or by a mistake."""
    browser = world.browser
    browser.pass_time(0.5, 2.5)
    browser.click_control(control, True)
    browser.skip_millis(1, 20)
    browser.add_fact("submit", control, "invalid", valid=False)
    if world.rng.random() < 0.6:
        browser.raise_error("validation", f"{world.rng.choice(step.fields).label}: pattern mismatch", "", "error")
    note_failure(world, step, control)


def emit_too_large(world: World, step: Step, control: Control, url: str) -> None:
    """Refuse a file that is too large, after it was sent."""
    press_control(world, step, control)
    fail_request(world, step, url, world.steady_status(413, 413, 507), world.rng.randint(1500, 16000))
    note_failure(world, step, control)


def emit_rate_limit(world: World, step: Step, control: Control, url: str) -> None:
    """Answer with 429."""
    press_control(world, step, control)
    fail_request(world, step, url, 429, world.rng.randint(20, 120))
    note_failure(world, step, control)


def emit_offline(world: World, step: Step, control: Control, url: str) -> None:
    """Fail at once because the connection is gone."""
    press_control(world, step, control)
    took = world.rng.randint(1, 60)
    world.browser.now += took
    world.browser.send_request(step.method, url, 0, took, FAILED)
    world.browser.raise_error("promise", failure_message(world, 0), bundle_source(world.app), "error")
    note_failure(world, step, control)


def emit_lost_entries(world: World, step: Step, control: Control, url: str) -> None:
    """Reload the page by itself and lose what was entered."""
    press_control(world, step, control)
    world.browser.skip_millis(200, 1200)
    world.browser.open_page(step.route, "reload", 200, "lost")
    note_failure(world, step, control)


def emit_missing_page(world: World, step: Step, control: Control, url: str) -> None:
    """Lead to a page that does not exist."""
    browser = world.browser
    press_control(world, step, control)
    target = step.following if step.following != step.route else f"{clean_route(step.route).rstrip('/')}/details"
    if world.app.style == "mpa":
        browser.open_page(target, "link", 404, FAILED)
    else:
        browser.skip_millis(20, 90)
        took = world.rng.randint(40, 300)
        browser.open_page(target)
        browser.now += took
        browser.send_request("GET", f"{data_url(world.app, target)}/content", 404, took, FAILED)
    note_failure(world, step, control)


EMITTERS: dict[str, Emitter] = {
    "server-error": emit_server_error,
    "rejected": emit_rejection,
    "refused-login": emit_refused_login,
    "gateway-timeout": emit_gateway_timeout,
    "client-timeout": emit_client_timeout,
    "endless-wait": emit_endless_wait,
    "crash": emit_crash,
    "silent-button": emit_silent_button,
    "disabled-button": emit_disabled_button,
    "login-loop": emit_login_loop,
    "third-party": emit_third_party,
    "chunk-error": emit_chunk_error,
    "client-validation": emit_client_validation,
    "too-large": emit_too_large,
    "rate-limit": emit_rate_limit,
    "offline": emit_offline,
    "lost-entries": emit_lost_entries,
    "missing-page": emit_missing_page,
}


def fault_fits(name: str, step: Step, style: str) -> bool:
    """Tell whether a fault can happen at a step of an application of this style."""
    if name == "third-party":
        return step.third in ("captcha", "payment")
    if name == "too-large":
        return step.third == "upload"
    if name == "refused-login":
        return step.fields != () and step.fields[-1].kind == "password"
    if name == "rejected" and step.fields and step.fields[-1].kind == "password":
        return False
    if name in ("rejected", "client-validation"):
        return step.form and bool(step.fields)
    if name == "disabled-button":
        return bool(step.fields)
    if name in ("chunk-error", "offline", "client-timeout", "endless-wait"):
        return style != "mpa"
    if name == "missing-page":
        return not step.form and style != "graphql"
    return not (name == "login-loop" and "login" in step.route)
