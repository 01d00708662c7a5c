"""``python -m tests.streams.record.visit STORY SDK…``: one visit of a small shop in Chromium, with a real SDK and collector.

The SDK sends to the collector's ``/intake/<format>/<key>``. A relay between the two notes each request and its answer as they
are. A story is the same for every SDK; see README.md.
"""

import base64
import gzip
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By

from tests.attacks.collector import INGEST, running
from tests.browser.conftest import PERSON, open_chromium
from tests.streams.recordings import RECORDINGS

HERE: Final = Path(__file__).parent
FORMATS: Final = {
    "datadog": "datadog",
    "sentry": "sentry",
    "posthog": "posthog",
    "amplitude": "amplitude",
    "otel": "otlp",
}
"""The SDKs, and the format that each sends."""
SHOP, INTAKE, CLOSED = "shop.example", "furrow.example", "http://rates.example:1"
NAMES: Final = "--host-resolver-rules=MAP *.example 127.0.0.1"
"""The visit has host names, as in the field: PostHog's recorder leaves requests out on ``localhost`` and ``127.0.0.1``."""
KEPT_HEADERS: Final = ("User-Agent", "Content-Type", "Content-Encoding", "Origin")
STATUSES: Final = {"POST /api/orders": 500, "GET /api/stock": 404, "POST /api/details": 200, "GET /bye": 200}
"""The answers; what ``Story.first`` names is answered otherwise the first time."""


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages: ClassVar[dict[str, bytes]]
    first: ClassVar[dict[str, int]]
    statuses: ClassVar[Mapping[str, int]]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        time.sleep(0.08 if self.path.startswith("/api/") else 0)
        page = self.pages.get(self.path)
        asked = f"{self.command} {self.path}"
        status = 200 if page else self.first.pop(asked, 0) or self.statuses.get(asked, 404)
        _send(
            self, status, {"content-type": "text/javascript" if self.path == "/sdk.js" else "text/html"}, page or b"{}"
        )

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Relay(BaseHTTPRequestHandler):
    """Hands each request to the collector, and its answer back, unchanged but for the names of hosts.

    A collector without a database knows no projects, and allows pages of this machine only.
    """

    protocol_version = "HTTP/1.1"
    collector_port: ClassVar[int]
    prefix: ClassVar[str]
    noted: ClassVar[list[dict[str, Any]]]

    def do_POST(self) -> None:
        arrived = time.time()
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        link = HTTPConnection("127.0.0.1", self.collector_port)
        here = f"127.0.0.1:{self.collector_port}"
        link.request(self.command, self.path, body, dict(self.headers) | {"Host": here, "Origin": f"http://{here}"})
        answer = link.getresponse()
        content = answer.read()
        link.close()
        kept = {name: self.headers[name] for name in KEPT_HEADERS if name in self.headers}
        noted = {"t": round(arrived, 3), "method": self.command, "path": self.path.removeprefix(self.prefix) or "/"}
        noted |= {"headers": kept, "status": answer.status, "bodyBase64": base64.b64encode(body).decode()}
        self.noted.append(noted)
        drop = ("content-length", "connection", "transfer-encoding")
        answered = {name.lower(): value for name, value in answer.getheaders() if name.lower() not in drop}
        if "access-control-allow-origin" in answered:
            answered["access-control-allow-origin"] = self.headers["Origin"]
        _send(self, answer.status, answered, content)

    do_GET = do_OPTIONS = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _send(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


@contextmanager
def serve(handler: type[BaseHTTPRequestHandler], host: str) -> Iterator[str]:
    """Serves on a free port; yields the address under the name ``host``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def click(browser: Chrome, name: str, times: int = 1, pause: float = 3.0) -> None:
    actions = ActionChains(browser, duration=50).move_to_element(browser.find_element(By.ID, name))
    for _ in range(times):
        actions.click().pause(0.4)
    actions.perform()
    time.sleep(pause)


def leave(browser: Chrome, shop: str) -> None:
    browser.get(shop + "/bye")
    time.sleep(3)


def play_visit(browser: Chrome, shop: str) -> None:
    """What a person does, with a person's pauses (seconds): a failing Pay button, after harmless troubles."""
    browser.get(shop + "/checkout")
    time.sleep(3)
    for name in ("gift", "voucher", "stock", "rates"):
        click(browser, name)
    browser.find_element(By.ID, "email").send_keys("nobody")
    click(browser, "save")
    browser.find_element(By.ID, "email").send_keys("@example.org")
    click(browser, "save")
    click(browser, "pay", times=4, pause=8)
    leave(browser, shop)


def play_recovery(browser: Chrome, shop: str) -> None:
    """A person whose form and payment fail once each, and succeed at a second try."""
    browser.get(shop + "/checkout")
    time.sleep(3)
    browser.find_element(By.ID, "email").send_keys("nobody@example.org")
    for name in ("save", "pay"):
        click(browser, name, pause=12)
        click(browser, name, pause=6)
    leave(browser, shop)


@dataclass(frozen=True, slots=True)
class Story:
    """``first``: how a request is answered the first time only; ``statuses``: how afterwards."""

    play: Callable[[Chrome, str], None]
    frustrated: bool
    story: str
    statuses: Mapping[str, int] = field(default_factory=lambda: STATUSES)
    first: Mapping[str, int] = field(default_factory=dict)


STORIES: Final = {
    "visit": Story(
        play_visit,
        True,
        "Pay: 500 four times. Before: a dead button, an uncaught error, a 404, a refused connection, "
        "an invalid then a valid submit",
    ),
    "recovered": Story(
        play_recovery,
        False,
        "the form and Pay: 500 once each, then 200",
        {**STATUSES, "POST /api/orders": 200},
        {"POST /api/orders": 500, "POST /api/details": 500},
    ),
}
"""The recordings of a story are in the folder ``<its name>-shop``."""


def record(name: str, sdk: str, folder: Path) -> list[dict[str, Any]]:
    """The requests of one visit, in the order of their arrival, behind a line with what truly happened."""
    story = STORIES[name]
    noted: list[dict[str, Any]] = []
    prefix = f"/intake/{FORMATS[sdk]}/{INGEST}"
    with running(folder, embedded=True) as collector:
        relay = type("OneRelay", (Relay,), {"collector_port": collector.port, "prefix": prefix, "noted": noted})
        pages: dict[str, bytes] = {"/sdk.js": (HERE / "built" / f"{sdk}.js").read_bytes()}
        shop = type("OneShop", (Shop,), {"pages": pages, "first": dict(story.first), "statuses": story.statuses})
        flags = ("--disable-blink-features=AutomationControlled", f"--user-agent={PERSON}", NAMES)
        with serve(relay, INTAKE) as intake, serve(shop, SHOP) as address, open_chromium(folder, *flags) as browser:
            html = (HERE / "shop.html").read_text().replace("{intake}", intake + prefix).replace("{closed}", CLOSED)
            pages["/checkout"] = html.encode()
            started = time.time()
            story.play(browser, address)
        stored = collector.metric("furrow_stream_events_total")
    print(sdk, len(noted), "requests,", stored, "events stored by the collector")
    for one in noted:
        print("  ", one["method"], one["path"][:60], one["status"])
    truth = {"sdk": sdk, "app": "shop", "scenario": name, "seed": 1, "frustrated": story.frustrated}
    point = {"route": "/checkout", "target": "Pay"} if story.frustrated else {}
    truth |= {**point, "start": round(started, 3), "story": story.story}
    return [{"truth": truth}, *(one for one in noted if one["method"] != "OPTIONS")]


def main(name: str, sdks: list[str]) -> None:
    for sdk in sdks or list(FORMATS):
        source, built = HERE / "sdks" / f"{sdk}.js", HERE / "built" / f"{sdk}.js"
        bundle = [HERE / "node_modules/.bin/esbuild", source, "--bundle", "--minify", f"--outfile={built}"]
        subprocess.run([*map(str, bundle), "--log-level=error"], check=True)
        with tempfile.TemporaryDirectory() as folder:
            lines = record(name, sdk, Path(folder))
        target = RECORDINGS / f"{name}-shop" / f"{sdk}.jsonl.gz"
        target.parent.mkdir(exist_ok=True)
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        target.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
