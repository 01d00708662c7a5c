"""What furrow.js costs a page: ``python -m bench browser [--rounds 7] [--clicks 200] [--requests 300] [--heap-clicks 10000]``.

A real Chromium visits the same page with and without the script, in pairs, in turn first and second. Clicks are real presses
of the mouse (DevTools protocol), 20 ms apart, beside a list of 100 rows; the page's own handler changes a text. Requests are
``fetch`` calls that the page awaits one after the other, answered by this machine.

* ``click``, ``request``: milliseconds of the page's main thread (``TaskDuration`` of the DevTools protocol) for one of them,
  with everything that follows within 1.5 s: observers, timers, what is sent. ``difference`` is the median of the pairs'
  differences, ``ratio`` the median of their ratios.
* ``heap``: bytes that the page's scripts use after a garbage collection, nodes and listeners, after a tenth and after all of
  ``--heap-clicks`` clicks and ``--routes`` changes of the route. Before that, buffers fill and code is compiled.

``script_bytes`` is the script gzipped. The last line is JSON. It takes about five minutes; most of it for the heap's clicks.
"""

import argparse
import gzip
import json
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from selenium.webdriver import Chrome

from bench.browser_page import SCRIPT, open_chromium, serve_pages
from bench.measure import machine

SETTLE_S: Final = 1.5
"""The script judges a click for 1 s, and sends within another one."""
PAGES: Final = ("with", "without")


@dataclass(frozen=True)
class Spent:
    """Milliseconds of the main thread, of one click and of one request."""

    click: float
    request: float


@dataclass(frozen=True)
class Held:
    """What a page holds after a garbage collection: bytes of the heap, DOM nodes, listeners."""

    bytes: int
    nodes: int
    listeners: int


def measure(rounds: int, clicks: int, requests: int, heap_clicks: int, routes: int) -> dict[str, Any]:
    """All figures. Raises RuntimeError where the script sent nothing: then it did not run, and nothing was measured."""
    pairs: list[dict[str, Spent]] = []
    with serve_pages() as (address, received), open_chromium() as browser:
        browser.execute_cdp_cmd("Performance.enable", {})
        for page in PAGES:  # not counted: the browser's own caches fill
            _spend(browser, f"{address}/{page}", min(clicks, 20), min(requests, 20))
        for turn in range(rounds):
            order = PAGES if turn % 2 else PAGES[::-1]
            pairs.append({page: _spend(browser, f"{address}/{page}", clicks, requests) for page in order})
        heap = {page: _grow(browser, f"{address}/{page}", heap_clicks, routes) for page in PAGES}
        browser.get("about:blank")
    if not received:
        raise RuntimeError("furrow.js sent nothing: it did not run in this browser")
    return {
        "machine": machine(),
        "script_bytes": len(gzip.compress(SCRIPT.read_bytes(), 9)),
        "rounds": rounds,
        "batches": len(received),
        "click": _compare([{page: spent.click for page, spent in pair.items()} for pair in pairs]),
        "request": _compare([{page: spent.request for page, spent in pair.items()} for pair in pairs]),
        "heap": {"clicks": heap_clicks, "routes": routes, **heap},
    }


def _compare(pairs: list[dict[str, float]]) -> dict[str, Any]:
    def median(values: list[float]) -> float:
        return round(statistics.median(values), 4)

    return {
        **{page: median([pair[page] for pair in pairs]) for page in PAGES},
        "difference": median([pair["with"] - pair["without"] for pair in pairs]),
        "ratio": median([pair["with"] / pair["without"] for pair in pairs]),
        "differences": [round(pair["with"] - pair["without"], 4) for pair in pairs],
    }


def _spend(browser: Chrome, address: str, clicks: int, requests: int) -> Spent:
    """The main thread's time on a page that was just loaded."""
    browser.get(address)
    time.sleep(SETTLE_S)  # the page's load belongs to none
    before = _metrics(browser)["TaskDuration"]
    _click(browser, clicks)
    time.sleep(SETTLE_S)
    between = _metrics(browser)["TaskDuration"]
    browser.execute_async_script("askTimes(arguments[0]).then(arguments[1])", requests)
    time.sleep(SETTLE_S)
    after = _metrics(browser)["TaskDuration"]
    return Spent(1_000 * (between - before) / clicks, 1_000 * (after - between) / requests)


def _click(browser: Chrome, times: int, pause_s: float = 0.02) -> None:
    place = {"x": 60, "y": 100, "button": "left", "clickCount": 1}
    for _ in range(times):
        for kind in ("mousePressed", "mouseReleased"):
            browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, **place})
        time.sleep(pause_s)


def _grow(browser: Chrome, address: str, clicks: int, routes: int) -> dict[str, dict[str, int]]:
    """What the page holds after the first tenth, and at the end."""
    browser.get(address)
    start: Held | None = None
    for route in range(routes):
        _click(browser, clicks // routes, 0.0)
        browser.execute_script("history.pushState(null, '', '/shop/' + 'abcdefghij'[arguments[0] % 10])", route)
        if route == routes // 10:
            start = _held(browser)
    end = _held(browser)
    counted = int(browser.execute_script("return count"))
    if counted != clicks // routes * routes:
        raise RuntimeError(f"the page saw {counted} clicks of {clicks // routes * routes}")
    return {"start": asdict(start or end), "end": asdict(end)}


def _held(browser: Chrome) -> Held:
    time.sleep(2 * SETTLE_S)
    browser.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    found = _metrics(browser)
    return Held(int(found["JSHeapUsedSize"]), int(found["Nodes"]), int(found["JSEventListeners"]))


def _metrics(browser: Chrome) -> dict[str, float]:
    found = browser.execute_cdp_cmd("Performance.getMetrics", {})
    return {metric["name"]: metric["value"] for metric in found["metrics"]}


def _show(figures: dict[str, Any]) -> None:
    console = Console(width=120, highlight=False)
    table = Table(
        title=f"furrow.js, {figures['script_bytes']:,} bytes gzipped: ms of the main thread, medians of pairs"
    )
    for name in ("", "without", "with", "difference", "ratio"):
        table.add_column(name, justify="right")
    for name in ("click", "request"):
        one = figures[name]
        cells = (f"{one[part]:.3f}" for part in ("without", "with", "difference"))
        table.add_row(f"a {name}", *cells, f"{one['ratio']:.2f}")
    console.print(table)
    heap = figures["heap"]
    held = Table(
        title=f"After a garbage collection: a tenth of, and all {heap['clicks']:,} clicks, {heap['routes']} routes"
    )
    for name in ("page", "kB", "then kB", "nodes", "then", "listeners", "then"):
        held.add_column(name, justify="right")
    for page in PAGES:
        start, end = heap[page]["start"], heap[page]["end"]
        sizes = (f"{start['bytes'] / 1e3:,.0f}", f"{end['bytes'] / 1e3:,.0f}")
        counts = (str(part[name]) for name in ("nodes", "listeners") for part in (start, end))
        held.add_row(page, *sizes, *counts)
    console.print(held)


def main(arguments: list[str]) -> None:
    """Run it with the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="bench browser", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of visits, with and without the script")
    parser.add_argument("--clicks", type=int, default=200, help="clicks of a visit")
    parser.add_argument("--requests", type=int, default=300, help="requests of a visit")
    parser.add_argument("--heap-clicks", type=int, default=10_000, help="clicks of the visits whose heap is measured")
    parser.add_argument("--routes", type=int, default=500, help="changes of the route during these")
    chosen = parser.parse_args(arguments)
    figures = measure(chosen.rounds, chosen.clicks, chosen.requests, chosen.heap_clicks, chosen.routes)
    _show(figures)
    print(json.dumps(figures))
