"""The code of docs/streams, as it stands there: a user's vendor and Furrow both get what the real SDK reports."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pyarrow as pa
import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By

from collector.contract import to_arrow
from collector.contract.rows import Row
from collector.spool.segments import list_segments
from collector.streams.registry import STREAMS
from collector.streams.stream import Reading
from tests.attacks.collector import Collector, running
from tests.browser.conftest import PERSON, open_chromium
from tests.e2e.installation import until
from tests.streams.copies import RECORD, SHOP, Web, bundle, fill_in, read_snippets, require_packages, serve_web
from tests.streams.recordings import judge, read_all
from ufse import Detection, detect

pytestmark = pytest.mark.browser

WITH_VENDOR = ("datadog", "sentry", "otlp", "posthog", "amplitude", "faro")
BARE = (("datadog", 1), ("sentry", 1), ("posthog", 1), ("amplitude", 1), ("rrweb", 0))
"""The pages with code that sends to Furrow alone, and the place of it on the page."""
NO_METHOD = ("rrweb",)
"""Its recorder does not note the method of a request."""
PRESSES = 4
STAY = {"sentry": 3.0, "faro": 2.0, "amplitude": 2.0}
"""Seconds until the page is left: Sentry sends no replay of less than 5 s, Faro's tracing loses its last second, and Amplitude
keeps it for its next page."""


@dataclass
class World:
    collector: Collector
    web: Web
    browser: Chrome


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    require_packages()
    folder = tmp_path_factory.mktemp("copies")
    with running(folder, embedded=True, seal_seconds=0.1) as collector, serve_web(folder, collector.port) as web:
        flags = ("--disable-blink-features=AutomationControlled", f"--user-agent={PERSON}", *web.flags)
        with open_chromium(folder, *flags) as browser:
            yield World(collector, web, browser)


def visit(world: World, page: str, code: str) -> int:
    """A visit of the shop with ``code`` in its page: presses of a button whose requests fail, then away.

    Returns its beginning in epoch milliseconds.
    """
    world.web.script = bundle(code)
    world.web.vendor.clear()
    world.web.furrow.clear()
    browser, began_ms = world.browser, time.time_ns() // 1_000_000
    browser.get(f"https://{SHOP}/checkout")
    time.sleep(2)  # what begins within a second of the page is the page's
    actions = ActionChains(browser, duration=50).move_to_element(browser.find_element(By.ID, "pay"))
    for _ in range(PRESSES):
        actions.click().pause(0.4)
    actions.perform()
    time.sleep(STAY.get(page, 0.6))
    browser.get(f"https://{SHOP}/bye")
    return began_ms


def list_rows(collector: Collector, since_ms: int) -> list[Row]:
    """The durable events that were received since then, each once."""
    rows: dict[str, Row] = {}
    for segment in list_segments(collector.spool):
        for line in segment.read().splitlines():
            row = msgspec.json.decode(line, type=Row)
            if row.received_ms >= since_ms:
                rows.setdefault(row.event_id, row)
    return list(rows.values())


def list_rejects(collector: Collector) -> list[tuple[str, str]]:
    files = (collector.spool / "dead-letters").glob("*.jsonl")
    letters = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [(letter["field"], letter["reason"]) for letter in letters]


def find_points(found: list[Detection]) -> list[tuple[str, str, str]]:
    points = [one["failurePoint"] for one in found]
    return [(point["route"], point["target"], point["feedback"]) for point in points]


def count_requests(rows: list[Row]) -> int:
    return sum(row.event_type == "network" for row in rows)


def count_read_requests(reading: Reading) -> int:
    return sum(event["eventType"] == "network" for event in reading.events)


def check_furrow(world: World, page: str, since_ms: int) -> None:
    """Furrow has the presses' requests, refused nothing, and finds the failing button where the SDK reports clicks."""
    until(lambda: count_requests(list_rows(world.collector, since_ms)) >= PRESSES, 10)
    # Clicks may come in another request than what they caused.
    until(lambda: find_in_rows(list_rows(world.collector, since_ms)) == expect_points(page), 10)
    assert {status for _, status in world.web.furrow} <= {200, 202}
    assert list_rejects(world.collector) == []
    rows = list_rows(world.collector, since_ms)
    assert count_requests(rows) == PRESSES
    assert find_in_rows(rows) == expect_points(page)


def find_in_rows(rows: list[Row]) -> list[tuple[str, str, str]]:
    """The failure points of what is stored."""
    found = detect(pa.Table.from_batches([to_arrow(rows)])).detections if rows else []
    return find_points([one.to_json() for one in found])


def expect_points(page: str) -> list[tuple[str, str, str]]:
    failed = "/api/orders → 500" if page in NO_METHOD else "POST /api/orders → 500"
    return [] if page == "faro" else [("/checkout", "button#pay", failed)]


@pytest.mark.parametrize("page", WITH_VENDOR)
def test_the_vendor_and_furrow_get_the_same(world: World, page: str) -> None:
    since_ms = visit(world, page, read_snippets(page)[0])
    check_furrow(world, page, since_ms)
    stream = next(stream for stream in STREAMS if stream.name == page)

    def read_vendor() -> list[Reading]:
        return read_all(stream, [sent for _, sent in list(world.web.vendor)])

    until(lambda: sum(map(count_read_requests, read_vendor())) >= PRESSES, 10)
    assert find_points(judge(read_vendor())) == expect_points(page)
    # The copies are no requests that the vendor should count.
    assert not [host for host, sent in world.web.list_vendor_bodies() if b"/intake/" in sent.content]


@pytest.mark.parametrize(("page", "place"), BARE)
def test_furrow_alone_gets_it(world: World, page: str, place: int) -> None:
    since_ms = visit(world, page, read_snippets(page)[place])
    check_furrow(world, page, since_ms)
    assert world.web.vendor == []


def test_a_page_that_a_span_and_a_log_record_report_is_shown_once(world: World) -> None:
    """OpenTelemetry's document-load and browser-navigation report the page load, and a page that a click pushes."""
    since_ms = visit(world, "otlp", fill_in((RECORD / "sdks/otel-pages.js").read_text()))

    def find_reports() -> list[Row]:
        lines = [line for segment in list_segments(world.collector.spool) for line in segment.read().splitlines()]
        rows = [msgspec.json.decode(line, type=Row) for line in lines]
        return [row for row in rows if row.event_type == "navigation" and row.received_ms >= since_ms]

    until(lambda: len(find_reports()) == 4, 10)
    for route in ("/checkout", "/done"):
        span, record = (row for row in find_reports() if row.route == route)
        # Two reports of one moment that lie in two seconds would stay two; then this says nothing.
        assert span.event_id == record.event_id or span.ts // 1_000 != record.ts // 1_000
