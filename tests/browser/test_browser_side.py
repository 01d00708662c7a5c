"""The script of docs/browser-side.md in real Chromium: a page of another origin, a real collector, the engine."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
import uvicorn
from pydantic import SecretStr
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

import ufse
from collector.app import create_app
from collector.contract import Row, to_arrow
from collector.spool.segments import list_segments
from tests.e2e.installation import until
from tests.integration.test_collector import config_for
from ufse.columns import EVENT_SCHEMA

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36"
KEY = "key-of-the-page"

BUTTONS = """
<button id="pay" onclick="fetch('/api/orders', {method: 'POST'})"><b>Pay <i>now</i></b></button>
<button data-furrow="save" id=":r3:">Save</button>
<script>
  document.querySelector("[data-furrow=save]").onclick = () => {
    const call = new XMLHttpRequest();
    call.open("PUT", "/api/cart?secret=1");
    call.send();
  };
</script>
<button id="works" onclick="document.getElementById('out').textContent = 'done'">Works</button><p id="out"></p>
<button id="throws" onclick="Promise.reject(new Error('late')); throw new Error('at once')">Throws</button>
<label>Name <input id="name"></label>
"""
FORM = """<form id="contact" method="post" action="/contact"><input name="subject"><button>Send</button></form>"""


class Site(BaseHTTPRequestHandler):
    """A small shop: pages with the script, and what answers 500."""

    collector = ""
    script = ""
    options = ""

    def do_GET(self) -> None:
        if self.path == "/furrow-page.js":
            self._answer(200, self.script, "text/javascript")
        else:
            self._page(404 if self.path == "/missing" else 200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/contact":
            self._page(500)
        else:
            self._answer(500, "{}", "application/json")

    do_PUT = do_POST

    def _page(self, status: int) -> None:
        tag = (
            f'<script src="/furrow-page.js" data-collector="{self.collector}" data-key="{KEY}" {self.options}></script>'
        )
        body = FORM if self.path.startswith("/contact") else BUTTONS
        self._answer(
            status, f"<!doctype html><title>Shop</title>{tag}{body}<a id=next href=/next>Next</a>", "text/html"
        )

    def _answer(self, status: int, content: str, kind: str) -> None:
        body = content.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with suppress(BrokenPipeError):  # a call that the page aborted
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Door:
    """Before the collector: counts the batches that arrive, and refuses as many as it is asked to."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.arrived = 0
        self.refuse = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            self.arrived += 1
            if self.refuse > 0:
                self.refuse -= 1
                headers = {"access-control-allow-origin": "*", "retry-after": "1"}
                await Response("", 503, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Shop:
    """A site and its collector; ``open`` shows a page of it, ``rows`` are what the collector made durable."""

    def __init__(self, browser: Chrome, address: str, spool: Path, door: Door) -> None:
        self.browser = browser
        self.address = address
        self.door = door
        self._spool = spool

    def open(self, path: str = "/checkout") -> Chrome:
        self.browser.get(self.address + path)
        return self.browser

    def leave(self, after: float = 0.3) -> None:
        """Go somewhere else, ``after`` seconds: the page is told, and may send."""
        time.sleep(after)
        self.browser.get("about:blank")

    def click(self, selector: str) -> None:
        self.browser.find_element(By.CSS_SELECTOR, selector).click()

    def click_fast(self, selector: str, times: int) -> None:
        """As an impatient person does; one order to the browser, so that a busy machine does not slow it down."""
        actions = ActionChains(self.browser).move_to_element(self.browser.find_element(By.CSS_SELECTOR, selector))
        for _ in range(times):
            actions = actions.click().pause(0.2)
        actions.perform()

    def type(self, selector: str, text: str) -> None:
        self.browser.find_element(By.CSS_SELECTOR, selector).send_keys(text)

    def rows(self) -> list[Row]:
        segments = list_segments(self._spool)
        found = [msgspec.json.decode(line, type=Row) for s in segments for line in s.read().splitlines()]
        return sorted(found, key=lambda row: (row.ts, row.seq))

    def wait_for(self, done: Callable[[list[Row]], bool]) -> list[Row]:
        until(lambda: done(self.rows()), 30)
        return self.rows()


def chrome(profile: Path, *flags: str) -> Chrome:
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", *flags):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return Chrome(options, Service(DRIVER, env=plain))


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser that looks like a person's, although a program drives it."""
    hidden = ("--disable-blink-features=AutomationControlled", f"--user-agent={PERSON}")
    driver = chrome(tmp_path_factory.mktemp("person"), *hidden)
    yield driver
    driver.quit()


@pytest.fixture
def shop(person: Chrome, tmp_path: Path) -> Iterator[Shop]:
    config = config_for(tmp_path, ingest_key=SecretStr(KEY))
    (script,) = re.findall(r"^```js\n(.*?)^```$", (ROOT / "docs/browser-side.md").read_text(), re.M | re.S)
    door = Door(create_app(config))
    listener = socket.create_server(("127.0.0.1", 0))
    collector = uvicorn.Server(uvicorn.Config(door, log_config=None, access_log=False))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    site = type("OneSite", (Site,), {"script": script, "collector": address})
    pages = ThreadingHTTPServer(("127.0.0.1", 0), site)
    threads = [threading.Thread(target=collector.run, args=([listener],)), threading.Thread(target=pages.serve_forever)]
    for thread in threads:
        thread.start()
    try:
        yield Shop(person, f"http://127.0.0.1:{pages.server_port}", config.spool_dir, door)
        person.get("about:blank")
    finally:
        pages.shutdown()
        pages.server_close()
        collector.should_exit = True
        for thread in threads:
            thread.join()


def detections(rows: list[Row]) -> list[dict[str, Any]]:
    return [one.to_json() for one in ufse.detect(pa.Table.from_batches([to_arrow(rows)], EVENT_SCHEMA)).detections]


def of_type(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row.event_type == kind]


def test_four_clicks_on_a_button_that_fails_are_an_incident(shop: Shop) -> None:
    shop.open()
    shop.click_fast("#pay i", 4)  # a press on the icon within it is a press on the button
    shop.leave()
    rows = shop.wait_for(lambda rows: len(of_type(rows, "network")) == 4)
    (detection,) = detections(rows)
    assert detection["primaryFailurePoint"] == "/checkout › button#pay › POST /api/orders → 500"
    assert {row.target_label for row in of_type(rows, "click")} == {"Pay now"}
    assert all(row.duration_ms is not None and row.duration_ms < 5_000 for row in of_type(rows, "network"))
    assert len({row.session_id for row in rows}) == 1


def test_xml_http_requests_and_controls_without_a_stable_id(shop: Shop) -> None:
    shop.open()
    shop.click_fast("[data-furrow=save]", 4)
    shop.leave()
    rows = shop.wait_for(lambda rows: len(of_type(rows, "network")) == 4)
    (detection,) = detections(rows)
    assert detection["primaryFailurePoint"] == "/checkout › button#save › PUT /api/cart → 500"
    assert "secret" not in "".join(row.url for row in rows)


def test_a_form_that_the_server_answers_with_a_page_of_500(shop: Shop) -> None:
    shop.open("/contact")
    for text in ("a", "b", "c"):
        shop.type("[name=subject]", text)
        shop.click("form button")
        time.sleep(0.7)
    shop.click("#next")
    shop.leave()
    rows = shop.wait_for(lambda rows: len(of_type(rows, "network")) == 3 and "/next" in {row.route for row in rows})
    assert {(row.method, row.url, row.status, row.route) for row in of_type(rows, "network")} == {
        ("POST", "/contact", 500, "/contact")
    }
    assert len(of_type(rows, "form_submit")) == 3
    (detection,) = detections(rows)
    assert "POST /contact → 500" in detection["primaryFailurePoint"]


def test_what_a_click_did_is_found_out_within_a_second(shop: Shop) -> None:
    shop.open()
    time.sleep(1.1)
    shop.click("#works")
    time.sleep(2.2)
    shop.click("#pay")
    shop.leave(after=1.2)
    rows = shop.wait_for(lambda rows: len(of_type(rows, "click")) == 2)
    assert [(row.target_id, row.responded) for row in of_type(rows, "click")] == [("works", 1), ("pay", 0)]


def test_errors_rejections_and_fields(shop: Shop) -> None:
    shop.open()
    shop.type("#name", "Ada Lovelace")
    shop.click("#throws")
    shop.leave()
    rows = shop.wait_for(lambda rows: len(of_type(rows, "error")) == 2)
    assert {(row.error_type, row.message) for row in of_type(rows, "error")} == {
        ("javascript", "Uncaught Error: at once"),
        ("promise", "late"),
    }
    (field,) = of_type(rows, "input")
    assert (field.action, field.field_type, field.target_id, field.target_label) == ("change", "text", "name", "Name")
    assert "Lovelace" not in str(rows)


def test_pages_and_hash_routes(shop: Shop) -> None:
    page = shop.open("/app/?query=1")
    page.execute_script("location.hash = '#/orders/7?page=2'")
    page.execute_script("history.pushState({}, '', '/app/basket')")
    page.execute_script("history.replaceState({}, '', '/app/basket?sort=1')")
    page.back()
    page.refresh()
    shop.leave()
    rows = shop.wait_for(lambda rows: len(of_type(rows, "navigation")) == 5)
    assert [(row.route, row.nav_type) for row in of_type(rows, "navigation")] == [
        ("/app", ""),
        ("/app/orders/7", "link"),
        ("/app/basket", "push"),
        ("/app/orders/7", "back_forward"),
        ("/app/orders/7", "reload"),
    ]
    assert len({row.session_id for row in rows}) == 1


def test_a_page_that_is_not_there_says_so(shop: Shop) -> None:
    shop.open("/missing")
    shop.leave()
    (answer,) = of_type(shop.wait_for(lambda rows: bool(of_type(rows, "network"))), "network")
    assert (answer.method, answer.status, answer.url) == ("GET", 404, "/missing")


def test_a_logout_ends_the_session(shop: Shop) -> None:
    page = shop.open()
    page.execute_script("furrow.user('4711'); furrow.end()")
    shop.click("#works")
    shop.leave()
    rows = shop.wait_for(lambda rows: bool(of_type(rows, "click")))
    (end,) = of_type(rows, "session_end")
    (click,) = of_type(rows, "click")
    assert end.session_id != click.session_id
    assert end.user_hash
    assert "4711" not in str(rows)


@pytest.mark.parametrize(
    "flags",
    [[f"--user-agent={PERSON}"], ["--disable-blink-features=AutomationControlled"]],
    ids=["driven by WebDriver", "called headless"],
)
def test_driven_browsers_send_nothing(shop: Shop, tmp_path: Path, flags: list[str]) -> None:
    driver = chrome(tmp_path / "profile", *flags)
    try:
        driver.get(shop.address + "/checkout")
        driver.find_element(By.ID, "pay").click()
        time.sleep(6)  # longer than a batch waits
        driver.get("about:blank")
        time.sleep(0.5)
    finally:
        driver.quit()
    assert shop.door.arrived == 0


def test_the_page_keeps_what_it_had(shop: Shop) -> None:
    """Answers, errors and aborted calls are the page's own."""
    page = shop.open()

    def result(promise: str) -> object:
        script = f"const done = arguments[0]; ({promise}).then((a) => done(a.status), (problem) => done(problem.name));"
        return page.execute_async_script(script)

    assert result("fetch('/api/orders', {method: 'POST'})") == 500
    assert result("fetch('http://127.0.0.1:1/')") == "TypeError"
    page.execute_script("window.control = new AbortController()")
    assert result("[fetch('/x', {signal: control.signal}), control.abort()][0]") == "AbortError"
    unopened = "try { new XMLHttpRequest().send(); } catch (problem) { return problem.name; }"
    assert page.execute_script(unopened) == "InvalidStateError"
    shop.leave()
    rows = shop.wait_for(lambda rows: len(of_type(rows, "network")) == 3)
    assert {(row.status, row.aborted, row.third_party) for row in of_type(rows, "network")} == {
        (500, 0, 0),
        (0, 0, 1),
        (0, 1, 0),
    }


def test_what_the_collector_could_not_take_is_sent_again(shop: Shop) -> None:
    shop.door.refuse = 1
    shop.open()
    shop.click("#works")
    rows = shop.wait_for(lambda rows: len(of_type(rows, "click")) == 1)
    assert shop.door.refuse == 0
    assert [row.event_type for row in rows] == ["navigation", "click"]
