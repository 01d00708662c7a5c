"""The script of docs/browser-side.md in real Chromium: a page of another origin, a real collector, the engine."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright
from pydantic import SecretStr

import ufse
from collector.contract import Row, to_arrow
from collector.spool import SpoolReader
from tests.e2e.installation import until
from tests.integration.test_collector import config_for, serving
from ufse.columns import EVENT_SCHEMA

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
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


class Shop:
    """A site and its collector; ``open`` gives a page of it, ``rows`` what the collector made durable."""

    def __init__(self, browser: Browser, address: str, spool: Path) -> None:
        self._browser = browser
        self.address = address
        self._spool = spool

    def open(self, path: str = "/checkout") -> Page:
        page = self._browser.new_context().new_page()
        page.goto(self.address + path)
        return page

    def rows(self) -> list[Row]:
        segments = SpoolReader(self._spool).segments()
        found = [msgspec.json.decode(line, type=Row) for s in segments for line in s.read().splitlines()]
        return sorted(found, key=lambda row: (row.ts, row.seq))

    def wait_for(self, done: Callable[[list[Row]], bool]) -> list[Row]:
        until(lambda: done(self.rows()), 30)
        return self.rows()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        # Playwright's own switch makes `navigator.webdriver` true; a person's browser has it false.
        made = playwright.chromium.launch(
            executable_path=CHROMIUM,
            # A context's own agent does not hold while a page is left.
            args=["--no-sandbox", "--disable-blink-features=AutomationControlled", f"--user-agent={PERSON}"],
        )
        yield made
        made.close()


@pytest.fixture
def shop(browser: Browser, tmp_path: Path) -> Iterator[Shop]:
    config = config_for(tmp_path, ingest_key=SecretStr(KEY))
    (script,) = re.findall(r"^```js\n(.*?)^```$", (ROOT / "docs/browser-side.md").read_text(), re.M | re.S)
    with serving(config) as client:
        site = type("OneSite", (Site,), {"script": script, "collector": str(client.base_url).rstrip("/")})
        server = ThreadingHTTPServer(("127.0.0.1", 0), site)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Shop(browser, f"http://127.0.0.1:{server.server_port}", config.spool_dir)
            for context in browser.contexts:
                context.close()
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def detections(rows: list[Row]) -> list[dict[str, Any]]:
    return [one.to_json() for one in ufse.detect(pa.Table.from_batches([to_arrow(rows)], EVENT_SCHEMA)).detections]


def of_type(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row.event_type == kind]


def close(page: Page) -> None:
    """As a person closes a tab: the page is told, and may send."""
    page.close(run_before_unload=True)


def test_four_clicks_on_a_button_that_fails_are_an_incident(shop: Shop) -> None:
    page = shop.open()
    for _ in range(4):
        page.click("#pay i")  # a press on the icon within it is a press on the button
    page.wait_for_timeout(300)
    close(page)
    rows = shop.wait_for(lambda rows: len(of_type(rows, "network")) == 4)
    (detection,) = detections(rows)
    assert detection["primaryFailurePoint"] == "/checkout › button#pay › POST /api/orders → 500"
    assert {row.target_label for row in of_type(rows, "click")} == {"Pay now"}
    assert all(row.duration_ms is not None and row.duration_ms < 5_000 for row in of_type(rows, "network"))
    assert len({row.session_id for row in rows}) == 1


def test_xml_http_requests_and_controls_without_a_stable_id(shop: Shop) -> None:
    page = shop.open()
    for _ in range(4):
        page.click("[data-furrow=save]")
    page.wait_for_timeout(300)
    close(page)
    rows = shop.wait_for(lambda rows: len(of_type(rows, "network")) == 4)
    (detection,) = detections(rows)
    assert detection["primaryFailurePoint"] == "/checkout › button#save › PUT /api/cart → 500"
    assert "secret" not in "".join(row.url for row in rows)


def test_a_form_that_the_server_answers_with_a_page_of_500(shop: Shop) -> None:
    page = shop.open("/contact")
    for text in ("a", "b", "c"):
        page.fill("[name=subject]", text)
        page.click("form button")
        page.wait_for_load_state()
        page.wait_for_timeout(700)
    page.click("#next")
    page.wait_for_timeout(200)
    close(page)
    rows = shop.wait_for(lambda rows: len(of_type(rows, "network")) == 3 and "/next" in {row.route for row in rows})
    assert {(row.method, row.url, row.status, row.route) for row in of_type(rows, "network")} == {
        ("POST", "/contact", 500, "/contact")
    }
    assert len(of_type(rows, "form_submit")) == 3
    (detection,) = detections(rows)
    assert "POST /contact → 500" in detection["primaryFailurePoint"]


def test_what_a_click_did_is_found_out_within_a_second(shop: Shop) -> None:
    page = shop.open()
    page.wait_for_timeout(1_100)
    page.click("#works")
    page.wait_for_timeout(2_200)
    page.click("#pay")
    page.wait_for_timeout(1_200)
    close(page)
    rows = shop.wait_for(lambda rows: len(of_type(rows, "click")) == 2)
    assert [(row.target_id, row.responded) for row in of_type(rows, "click")] == [("works", True), ("pay", False)]


def test_errors_rejections_and_fields(shop: Shop) -> None:
    page = shop.open()
    page.fill("#name", "Ada Lovelace")
    page.click("#throws")
    page.wait_for_timeout(200)
    close(page)
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
    page.evaluate("location.hash = '#/orders/7?page=2'")
    page.evaluate("history.pushState({}, '', '/app/basket')")
    page.evaluate("history.replaceState({}, '', '/app/basket?sort=1')")
    page.go_back()
    page.reload()
    page.wait_for_timeout(200)
    close(page)
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
    close(shop.open("/missing"))
    (answer,) = of_type(shop.wait_for(lambda rows: bool(of_type(rows, "network"))), "network")
    assert (answer.method, answer.status, answer.url) == ("GET", 404, "/missing")


def test_a_logout_ends_the_session(shop: Shop) -> None:
    page = shop.open()
    page.evaluate("furrow.user('4711'); furrow.end()")
    page.click("#works")
    page.wait_for_timeout(200)
    close(page)
    rows = shop.wait_for(lambda rows: bool(of_type(rows, "click")))
    (end,) = of_type(rows, "session_end")
    (click,) = of_type(rows, "click")
    assert end.session_id != click.session_id
    assert end.user_hash
    assert "4711" not in str(rows)


@pytest.mark.parametrize("how", ["headless", "webdriver"])
def test_driven_browsers_send_nothing(shop: Shop, browser: Browser, how: str) -> None:
    context = browser.new_context(
        user_agent=PERSON.replace("Chrome", "HeadlessChrome") if how == "headless" else PERSON
    )
    if how == "webdriver":
        context.add_init_script("Object.defineProperty(navigator, 'webdriver', {get: () => true})")
    page = context.new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.goto(shop.address + "/checkout")
    page.click("#pay")
    page.wait_for_timeout(6_000)
    assert [url for url in sent if "/v1/events" in url] == []


def test_the_page_keeps_what_it_had(shop: Shop) -> None:
    """Answers, errors and aborted calls are the page's own, also while the collector is asked in vain."""
    page = shop.open()
    assert page.evaluate("fetch('/api/orders', {method: 'POST'}).then((a) => a.status)") == 500
    assert page.evaluate("fetch('http://127.0.0.1:1/').catch((problem) => problem.name)") == "TypeError"
    aborted = (
        "(() => { const c = new AbortController(); const f = fetch('/x', {signal: c.signal}); c.abort(); return f; })()"
    )
    assert page.evaluate(aborted + ".catch((problem) => problem.name)") == "AbortError"
    assert page.evaluate("(() => { try { new XMLHttpRequest().send(); } catch (e) { return e.name; } })()") == (
        "InvalidStateError"
    )
    page.wait_for_timeout(200)
    close(page)
    rows = shop.wait_for(lambda rows: len(of_type(rows, "network")) == 3)
    assert {(row.status, row.aborted, row.third_party) for row in of_type(rows, "network")} == {
        (500, False, False),
        (0, False, True),
        (0, True, False),
    }


def test_what_the_collector_could_not_take_is_sent_again(shop: Shop) -> None:
    page = shop.open()
    refusals: list[str] = []

    def refuse_once(route: Route) -> None:
        if not refusals:
            refusals.append(route.request.method)
            route.fulfill(status=503, headers={"access-control-allow-origin": "*", "retry-after": "1"})
        else:
            route.continue_()

    page.route("**/v1/events", refuse_once)
    page.click("#works")
    for _ in range(60):
        if of_type(shop.rows(), "click"):
            break
        page.wait_for_timeout(500)  # in which Playwright answers the page
    assert len(refusals) == 1
    rows = shop.rows()
    assert [row.event_type for row in rows] == ["navigation", "click"]
