"""Things that happen in a browser beside what the person does."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

from tests.agents.model import App, Control, Fact, Scalar

Noise = Callable[[list[Fact], App, Random], list[Fact]]

TAGS = ("/g/collect", "/tr/", "/pagead/conversion", "/b/ss/acme/1", "/matomo.php", "/i/adsct")
EXTENSION = (
    ("Error: Extension context invalidated.", "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn/inpage.js"),
    (
        "Uncaught (in promise) Error: Could not establish connection. Receiving end does not exist.",
        "chrome-extension://gighmmpiobklfepjocnamgkkbiglidom/adblock.js",
    ),
    ("TypeError: Cannot redefine property: ethereum", "chrome-extension://hnfanknocfeofbddgcijnmhnfnkdnaad/inject.js"),
    (
        "TypeError: undefined is not an object (evaluating 'browser.runtime')",
        "safari-web-extension://5D1E7C2A/content.js",
    ),
)
WEBVIEW = (
    ("Error: Java object is gone", "iabjs://perf.js"),
    ("ReferenceError: Can't find variable: _AutofillCallbackHandler", ""),
    ("TypeError: undefined is not an object (evaluating 'window.webkit.messageHandlers')", ""),
    ("Script error.", ""),
)


def place_fact(facts: list[Fact], at: int, kind: str, data: dict[str, Scalar], control: Control | None = None) -> Fact:
    """Make a fact at a moment, on the route where the browser then was."""
    route = facts[0].route
    for fact in facts:
        if fact.at > at:
            break
        route = fact.route
    return Fact(at, kind, route, 100000, control, "", False, data)


def pick_moments(facts: list[Fact], rng: Random, low: int, high: int) -> list[int]:
    """Choose moments shortly after something that happened anyway, so that visits stay visits."""
    return [rng.choice(facts).at + rng.randint(5, 2500) for _ in range(rng.randint(low, high))]


def touch_used(facts: list[Fact]) -> bool:
    """Tell whether the person used a touch screen."""
    return any(fact.data.get("inputMethod") == "touch" for fact in facts)


def poll_method(app: App) -> str:
    """Name the method of the request an application polls with."""
    return "POST" if app.poll == "/graphql" else "GET"


def poll_failures(facts: list[Fact], app: App, rng: Random) -> list[Fact]:
    """Fail a background endpoint for the whole session."""
    status = rng.choice((500, 503, 404, 401, 0))
    made = []
    if sum(fact.data.get("url") == app.poll for fact in facts) > 10:
        return []
    period = rng.choice((5000, 10000, 15000, 30000))
    for earlier, later in pairwise(facts):
        if later.at - earlier.at > 900000:
            continue
        first = (earlier.at // period + 1) * period
        for at in range(first, later.at, period):
            if rng.random() < 0.8:
                data: dict[str, Scalar] = {"method": poll_method(app), "url": app.poll, "status": status}
                data["durationMs"] = rng.randint(20, 900)
                made.append(place_fact(facts, at + rng.randint(0, 40), "network", data))
    return made[:80]


def tag_failures(facts: list[Fact], app: App, rng: Random) -> list[Fact]:
    """Block tags of third parties, as ad blockers do."""
    url = rng.choice(TAGS)
    made = []
    for at in pick_moments(facts, rng, 1, 5):
        data: dict[str, Scalar] = {
            "method": "POST",
            "url": url,
            "status": 0,
            "durationMs": rng.randint(1, 30),
            "thirdParty": True,
        }
        made.append(place_fact(facts, at, "network", data))
    return made


def foreign_errors(facts: list[Fact], app: App, rng: Random) -> list[Fact]:
    """Raise errors of browser extensions or of an in-app browser."""
    message, source = rng.choice(WEBVIEW if app.webview else EXTENSION[-1:] if touch_used(facts) else EXTENSION[:-1])
    made = []
    for at in pick_moments(facts, rng, 1, 4):
        data: dict[str, Scalar] = {"errorType": "javascript", "message": message, "source": source}
        made.append(place_fact(facts, at, "error", data))
    return made


def page_errors(facts: list[Fact], app: App, rng: Random) -> list[Fact]:
    """Raise harmless errors of the page itself."""
    kind, message = rng.choice(
        (
            ("javascript", "ResizeObserver loop completed with undelivered notifications."),
            ("resource", "/img/teaser-spring@2x.webp"),
            ("resource", "/favicon-192.png"),
            ("promise", "AbortError: The play() request was interrupted by a call to pause()."),
            ("promise", "AbortError: The user aborted a request."),
        )
    )
    made = []
    for at in pick_moments(facts, rng, 1, 4):
        made.append(place_fact(facts, at, "error", {"errorType": kind, "message": message, "source": ""}))
    return made


def aborted_requests(facts: list[Fact], app: App, rng: Random) -> list[Fact]:
    """Abort requests as typing ahead or leaving a page does."""
    made = []
    for at in pick_moments(facts, rng, 1, 4):
        data: dict[str, Scalar] = {
            "method": "GET",
            "url": "/api/suggest",
            "status": 0,
            "durationMs": rng.randint(10, 300),
            "aborted": True,
        }
        made.append(place_fact(facts, at, "network", data))
    return made


def long_tasks(facts: list[Fact], app: App, rng: Random) -> list[Fact]:
    """Block the main thread now and then."""
    return [
        place_fact(facts, at, "longtask", {"durationMs": rng.randint(60, 900)}) for at in pick_moments(facts, rng, 1, 6)
    ]


def idle_hovers(facts: list[Fact], app: App, rng: Random) -> list[Fact]:
    """Move the pointer over links; there is none on a touch screen."""
    if touch_used(facts) or not any(fact.kind == "click" for fact in facts):
        return []
    return [place_fact(facts, at, "hover", {}, rng.choice(app.links).control) for at in pick_moments(facts, rng, 1, 6)]


def tab_switches(facts: list[Fact], app: App, rng: Random) -> list[Fact]:
    """Look at another tab in a pause of more than four seconds."""
    made = []
    for earlier, later in pairwise(facts):
        gap = later.at - earlier.at
        if 4000 < gap < 600000 and earlier.kind != "visibility" and later.kind != "visibility" and rng.random() < 0.2:
            made.append(place_fact(facts, earlier.at + 900, "visibility", {"state": "hidden"}))
            made.append(place_fact(facts, later.at - 700, "visibility", {"state": "visible"}))
    return made


def save_failures(facts: list[Fact], app: App, rng: Random) -> list[Fact]:
    """Fail automatic saves of a draft shortly after fields and clicks."""
    made = []
    for fact in facts:
        if fact.kind in ("input", "click") and rng.random() < 0.25:
            data: dict[str, Scalar] = {
                "method": "PUT",
                "url": "/api/drafts/current",
                "status": rng.choice((409, 500, 503)),
                "durationMs": rng.randint(40, 500),
            }
            made.append(place_fact(facts, fact.at + rng.randint(60, 900), "network", data))
    return made


NOISES: dict[str, Noise] = {
    "poll": poll_failures,
    "tags": tag_failures,
    "foreign": foreign_errors,
    "page": page_errors,
    "aborted": aborted_requests,
    "tasks": long_tasks,
    "hovers": idle_hovers,
    "tabs": tab_switches,
    "saves": save_failures,
}


def sprinkle_noise(facts: list[Fact], app: App, rng: Random, difficulty: str) -> list[Fact]:
    """Add noise to a session by its difficulty; gives the facts in their order."""
    facts = sorted(facts, key=lambda fact: (fact.at, fact.order))
    low, high = {"easy": (0, 1), "medium": (1, 2), "hard": (2, 4)}[difficulty]
    names = rng.sample(sorted(NOISES), rng.randint(low, high))
    if difficulty == "easy":
        names = [name for name in names if name in ("tags", "hovers", "tasks", "page")]
    if app.webview and rng.random() < 0.6:
        names = [*[name for name in names if name != "foreign"], "foreign"]
    added: list[Fact] = []
    for name in names:
        added.extend(NOISES[name](facts, app, rng))
    last = max(fact.at for fact in facts)
    added = [fact for fact in added if fact.at < last]
    return sorted([*facts, *added], key=lambda fact: (fact.at, fact.order))
