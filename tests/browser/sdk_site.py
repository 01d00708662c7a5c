"""A site with furrow.js in its pages, and what the script sends: both on real sockets, the pages as each test writes them."""

import gzip
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.e2e.installation import until

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "browser/dist/furrow.js"
KEY = "key-of-the-page"
TAG = f'<script src="/furrow.js" data-key="{KEY}"></script>'
Event = dict[str, Any]
HOSTILE = """<script nonce=n>
  // What other scripts do to a page before furrow.js comes.
  const fetched = window.fetch;
  window.fetch = function (...args) { return fetched.apply(window, args); };
  const opened = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (...args) { return opened.apply(this, args); };
  for (const name of ["localStorage", "sessionStorage", "indexedDB"])
    Object.defineProperty(window, name, { get() { throw new DOMException("refused", "SecurityError"); } });
  Array.prototype.toJSON = function () { return "[" + this.join() + "]"; };
  Array.prototype.extra = () => 1;
  var event = "a global of the page";
  for (const one of [Object, Array, Function, Promise, EventTarget, History]) Object.freeze(one.prototype);
</script>"""
POLICY = "default-src 'self'; script-src 'self' 'nonce-n'; style-src 'self' 'unsafe-inline'"


@dataclass
class Answer:
    """What the site answers at one address."""

    body: str = ""
    status: int = 200
    kind: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0


@dataclass
class Intake:
    """The collector's part: keeps the batches, and answers what the test chose."""

    batches: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 202
    retry_after: str = ""

    def events(self) -> list[Event]:
        kept = {event["idempotencyKey"]: event for batch in self.batches for event in batch["events"]}
        return sorted(kept.values(), key=lambda event: (event["timestamp"], event["seq"]))


class Handler(BaseHTTPRequestHandler):
    """Requests of one site. `answers` maps a path, or method and path, to what is there."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[dict[str, Answer]]
    intake: ClassVar[Intake]
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.asked.append(f"{self.command} {path}")
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if self.command == "POST" and path == "/v1/events":
            self._take_batch(body)
        elif path == "/furrow.js":
            self._send(Answer(SCRIPT.read_text(), kind="text/javascript"))
        else:
            found = self.answers.get(f"{self.command} {path}") or self.answers.get(path)
            self._send(found or Answer("nothing here", 404))

    do_POST = do_PUT = do_DELETE = do_GET

    def _take_batch(self, body: bytes) -> None:
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.intake.status < 300:
            self.intake.batches.append(json.loads(body))
        self.intake.headers.append({name.lower(): value for name, value in self.headers.items()})
        more = {"retry-after": self.intake.retry_after} if self.intake.retry_after else {}
        self._send(Answer("{}", self.intake.status, "application/json", more))

    def _send(self, answer: Answer) -> None:
        time.sleep(answer.wait)
        body = answer.body.encode()
        with suppress(BrokenPipeError, ConnectionResetError):  # a request that the page aborted
            self.send_response(answer.status)
            self.send_header("content-type", answer.kind)
            self.send_header("content-length", str(len(body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Site:
    """A server with pages of a test, and the browser that visits it."""

    def __init__(self, browser: Chrome, neighbour: str = "none") -> None:
        self.browser = browser
        self.neighbour = neighbour
        self.intake = Intake()
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        """Method and path of each request so far."""
        self.provoked = 0
        """How often the page itself makes something throw within the script: each batch after that tells it."""
        parts = {"answers": self.answers, "intake": self.intake, "asked": self.asked}
        handler = type("SiteHandler", (Handler,), parts)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.browser.get("about:blank")
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, path: str, body: str, script: str = "", *, head: str = TAG, **more: Any) -> None:
        """A page at ``path``: ``head`` holds the script's tag, ``body`` what is shown, ``script`` what the page runs."""
        if self.neighbour == "hostile":
            head = HOSTILE + head
            more["headers"] = {"content-security-policy": POLICY, **more.get("headers", {})}
        text = f"<!doctype html><html lang=en><title>Shop</title>{head}<body>{body}<script nonce=n>{script}</script>"
        self.answers[path] = Answer(text, **more)

    def api(self, path: str, status: int = 200, body: str = "{}", **more: Any) -> None:
        self.answers[path] = Answer(body, status, more.pop("kind", "application/json"), **more)

    def show(self, body: str, script: str = "", *, path: str = "/shop", **more: Any) -> Chrome:
        """Opens a page with this body; with the neighbour "frame", within a page of another application."""
        self.put(path, body, script, **more)
        if self.neighbour == "frame":
            self.answers["/outer"] = Answer(
                f"<!doctype html><h1>Portal</h1><iframe src={path} width=1200 height=800></iframe>"
            )
            self.browser.get(self.address + "/outer")
            self.browser.switch_to.frame(0)
        else:
            self.browser.get(self.address + path)
        return self.browser

    def find(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str, times: int = 1, pause: float = 0.0) -> None:
        """Real presses of the mouse, ``pause`` seconds apart."""
        actions = ActionChains(self.browser, duration=20).move_to_element(self.find(selector))
        for _ in range(times):
            actions = actions.click().pause(pause)
        actions.perform()

    def leave(self) -> None:
        """Goes elsewhere, so that all that is left is sent."""
        self.browser.get("about:blank")

    def run(self, script: str, *args: Any) -> Any:
        return self.browser.execute_script(script, *args)

    def sent(self, kind: str, count: int = 1, *, leave: bool = True) -> list[Event]:
        """The events of one type, when there are ``count`` of them."""
        if leave:
            self.leave()

        def found() -> list[Event]:
            return [event for event in self.intake.events() if event["eventType"] == kind]

        try:
            self.wait_for(lambda: len(found()) >= count)
        except AssertionError as late:
            came = [event["eventType"] for event in self.intake.events()]
            raise AssertionError(f"{late}: {count} of {kind}; events: {came}, requests: {self.asked}") from late
        return found()

    def wait_for(self, done: Callable[[], bool]) -> None:
        until(done, 4)

    def faults(self) -> int:
        """How often something threw within the script."""
        return max((batch.get("faults", 0) for batch in self.intake.batches), default=0)
