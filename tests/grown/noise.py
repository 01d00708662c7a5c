"""What goes on beside the deeds: polls, files that do not load, failures that are nobody's, hidden tabs."""

from __future__ import annotations

import random

from tests.grown.blocks import load_blocks
from tests.grown.lab import Lab
from tests.grown.paths import shape_path
from tests.grown.stage import App
from tests.grown.world import Moment, Pen

POLL_MS = 23_500
MOST_POLLS = 25
CLOSING_MS = 1500
CLOSED_MS = 14 * 60 * 1000
FOREIGN = ("/collect", "/g/collect", "/api/v2/track", "/pixel.gif")
EXTENSION = (
    "Cannot redefine property: ethereum",
    "Script error.",
    "ResizeObserver loop completed with undelivered notifications.",
)


def by_time(moments: list[Moment]) -> list[Moment]:
    """Sort moments by time."""
    return sorted(moments, key=lambda moment: moment.at)


def page_spans(pen: Pen, end: float) -> list[tuple[float, float, str]]:
    """Return the time that was spent on each page."""
    pages = by_time([m for m in pen.moments if m.kind == "page"])
    spans = []
    for index, page in enumerate(pages):
        until = pages[index + 1].at if index + 1 < len(pages) else end
        spans.append((page.at + float(page.facts["spent"]), until, page.route))
    return spans


def add_polls(app: App, failing: float) -> None:
    """Add the polls of Label Studio's data pages; a share of them fails."""
    pen = app.pen
    if not isinstance(app, Lab):
        return
    for begin, end, route in page_spans(pen, pen.now):
        at, count = begin + POLL_MS, 0
        end = end if end - begin < CLOSED_MS else begin + 2 * POLL_MS
        while route.endswith("/data") and at < end and count < MOST_POLLS:
            bad = pen.rng.random() < failing
            status = pen.rng.choice((502, 503, 500, 0)) if bad else 200
            facts = {"method": "GET", "path": "/api/dm/project", "status": status, "spent": 40 + 900 * pen.machine}
            pen.moments.append(Moment(at, "request", route, None, False, facts | {"background": True}))
            at, count = at + POLL_MS * pen.rng.uniform(0.9, 1.2), count + 1


def add_files(app: App) -> None:
    """Add the files that fail to load on a page of the shop, as many as in the recordings."""
    pen, files = app.pen, load_blocks()["files"]
    for moment in [m for m in pen.moments if m.kind == "files"]:
        for source, count in files.get(shape_path(moment.route), {}).items():
            share = max(1, round(count / 7)) if "media" in source else 1
            for _ in range(min(share, 12)):
                at = moment.at + pen.rng.uniform(20, 900)
                foreign = source.startswith("/ajax/")
                facts = {"source": source, "foreign": foreign, "spent": pen.rng.uniform(60, 900)}
                pen.moments.append(Moment(at, "file", moment.route, None, False, facts))
    pen.moments = [m for m in pen.moments if m.kind != "files"]


def add_foreign(pen: Pen, share: float) -> None:
    """Add failing requests of third parties and crashes of extensions on a share of the pages."""
    message = pen.rng.choice(EXTENSION)
    for begin, end, route in page_spans(pen, pen.now):
        if pen.rng.random() < share:
            status = pen.rng.choice((0, 0, 403, 500, 429))
            facts = {
                "method": "POST",
                "path": pen.rng.choice(FOREIGN),
                "status": status,
                "spent": 300.0,
                "foreign": True,
            }
            at = begin + pen.rng.uniform(100, 3000)
            pen.moments.append(Moment(min(at, end), "request", route, None, False, facts))
        if pen.rng.random() < share * 0.6:
            at = begin + pen.rng.uniform(50, 2500)
            facts = {"message": message, "foreign": True}
            pen.moments.append(Moment(min(at, end), "crash", route, None, False, facts))


def add_hidden(pen: Pen) -> None:
    """Hide the tab for a while, between two deeds; what follows is shifted."""
    ordered = by_time(pen.moments)
    index = pen.rng.randint(len(ordered) // 3, max(len(ordered) // 3, len(ordered) - 2))
    cut = ordered[index]
    away = pen.rng.uniform(60, 800) * 1000
    for moment in ordered[index + 1 :]:
        moment.at += away
    pen.now += away
    pen.moments.append(Moment(cut.at + 300, "hidden", cut.route))
    pen.moments.append(Moment(cut.at + away - 200, "visible", cut.route))


def add_open_tab(app: App) -> None:
    """Leave the tab open for hours: polls go on, fail while the machine sleeps, and go on."""
    pen = app.pen
    route = pen.route
    pen.moments.append(Moment(pen.now + 500, "hidden", route))
    for _ in range(pen.rng.randint(8, 30)):
        pen.now += pen.rng.uniform(60, 600) * 1000
        status = pen.rng.choice((0, 0, 401, 502, 200, 200))
        path = "/api/dm/project" if app.name == "labelstudio" else "/collect"
        facts = {"method": "GET", "path": path, "status": status, "spent": 200.0, "foreign": app.name == "oscar"}
        pen.moments.append(Moment(pen.now, "request", route, None, False, facts))
    pen.moments.append(Moment(pen.now + 2000, "visible", route))
    pen.now += 4000
    app.load_page(route, how="reload")
    pen.let_think()
    app.look_around(1)


def add_offline(pen: Pen) -> None:
    """Lose the network for a minute while nobody does anything."""
    spans = [span for span in page_spans(pen, pen.now) if span[1] - span[0] > 3000]
    for begin, end, route in spans[:2]:
        for step in range(pen.rng.randint(2, 5)):
            at = begin + (end - begin) * (step + 1) / 7
            facts = {"method": "GET", "path": "/api/version", "status": 0, "spent": 120.0, "background": True}
            pen.moments.append(Moment(at, "request", route, None, False, facts))


def add_tab(pen: Pen, other: Pen) -> None:
    """Lay the moments of a second tab between those of the first."""
    if not other.moments:
        return
    first = min(m.at for m in other.moments)
    begin = pen.moments[len(pen.moments) // 4].at
    for moment in other.moments:
        moment.at += begin - first
        pen.moments.append(moment)
    pen.now = max(pen.now, other.now + begin - first)


def cut_requests(pen: Pen) -> None:
    """Abort what is on its way when a page is left for another document."""
    leaves = [m.at for m in by_time(pen.moments) if m.kind == "page" and not m.facts.get("soft")]
    for moment in pen.moments:
        if moment.kind != "request":
            continue
        begun = moment.at - float(moment.facts["spent"])
        for leave in leaves:
            if begun < leave < moment.at:
                moment.facts |= {"status": 0, "spent": leave - begun, "aborted": True}
                moment.at = leave
                break
    if pen.shut:
        pen.moments = [m for m in pen.moments if m.kind != "request" or m.at <= pen.now + CLOSING_MS]


def lay_noise(app: App, scenario: str, rng: random.Random) -> bool:
    """Lay the noise of a scene and some more over a session; tell whether any was added by chance."""
    pen = app.pen
    if scenario == "long_open_tab":
        add_open_tab(app)
    add_files(app)
    chance = rng.random() < 0.3
    add_polls(app, 0.6 if scenario == "background_failures" else 0.15 if chance else 0.0)
    busy = {"third_party_failures": 0.8, "background_failures": 0.5 if app.name == "oscar" else 0.1}
    add_foreign(pen, busy.get(scenario, 0.25 if chance else 0.0))
    if scenario == "offline_blip":
        add_offline(pen)
    cut_requests(pen)
    hide = scenario == "hidden_resumed" or rng.random() < 0.06
    if hide:
        add_hidden(pen)
    return chance or hide
