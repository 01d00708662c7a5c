"""A proxy before a real application: it puts furrow.js into the pages, and lets go wrong what a test chose.

The script and its events take the way of docs/browser.md ("Your own address"): below ``/fb/``, to a real collector.
"""

import gzip
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import httpx

from tests.e2e.installation import PATIENT_SECONDS

OWN: Final = "/fb/"
BLANK: Final = OWN + "blank"
"""A page without the script, where a test can change what the browser stored for the application."""
NOT_FORWARDED: Final = {"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "accept-encoding"}
OF_ONE_CONNECTION: Final = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
PAGE_OF_A_FAILURE: Final = (
    "<!doctype html><html lang=en><head><title>Oops</title></head><body><h1>Server Error (500)</h1>"
)


@dataclass
class Fault:
    """What goes wrong with the requests of one method (or any) whose path matches, ``times`` times."""

    method: str
    path: str
    """A regular expression for the whole path, without the query."""
    status: int = 0
    """Answered so, and not forwarded; 0: forwarded."""
    body: str = ""
    kind: str = "application/json"
    cut: bool = False
    """The connection is closed without an answer."""
    wait: float = 0.0
    """Seconds before anything else."""
    change: Callable[[str], str] | None = None
    """Makes another body of the application's answer."""
    times: int = 1_000_000

    def takes(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in (method, "*") and re.fullmatch(self.path, path) is not None


@dataclass
class Front:
    """What the proxy knows; one for each application."""

    application: str
    collector: str
    key: str = "test-key"
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and status of each answer; status 0 where the connection was cut."""
    batches: list[dict[str, Any]] = field(default_factory=list)
    """What furrow.js sent, as the collector accepted it."""
    address: str = ""
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def tag(self) -> str:
        return f'<script async src="{OWN}furrow.js" data-key="{self.key}"></script>'

    def begin_visit(self, *faults: Fault) -> None:
        """Forgets the visit before, and what went wrong in it."""
        self.faults, self.asked, self.batches = list(faults), [], []

    def find_fault(self, method: str, path: str) -> Fault | None:
        with self.guard:
            for fault in self.faults:
                if fault.takes(method, path):
                    fault.times -= 1
                    return fault
        return None

    def count(self, method: str, path: str) -> int:
        """How many requests of this method to this path (a regular expression) were answered."""
        return sum(asked == method and re.fullmatch(path, at) is not None for asked, at, _ in list(self.asked))

    def events(self) -> list[dict[str, Any]]:
        kept = {event["idempotencyKey"]: event for batch in list(self.batches) for event in batch["events"]}
        return sorted(kept.values(), key=lambda event: (event["timestamp"], event["seq"]))


@contextmanager
def serve_front(front: Front) -> Iterator[Front]:
    """Runs the proxy on a free port of this machine; ``front.address`` is where."""
    with httpx.Client(timeout=PATIENT_SECONDS, follow_redirects=False, trust_env=False) as client:
        handler = type("FrontHandler", (Handler,), {"front": front, "client": client})
        server = Server(("127.0.0.1", 0), handler)
        front.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield front
        finally:
            server.ending = True
            server.shutdown()
            server.server_close()
            thread.join()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    ending = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints what went wrong; not that a browser hung up, nor what was under way when the test ended."""
        if not self.ending and not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: ClassVar[Front]
    client: ClassVar[httpx.Client]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if path == BLANK:
            self._send(200, [("content-type", "text/html")], b"<!doctype html><title>blank</title>")
        elif path.startswith(OWN):
            self._forward_to_collector(body)
        else:
            self._forward(path, body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_GET

    def _forward_to_collector(self, body: bytes) -> None:
        answer = self._ask(self.front.collector + "/" + self.path.removeprefix(OWN), body)
        if self.command == "POST" and answer.status_code == 202:
            text = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            self.front.batches.append(json.loads(text))
        self._hand_on(answer, answer.content)

    def _forward(self, path: str, body: bytes) -> None:
        fault = self.front.find_fault(self.command, path)
        if fault:
            time.sleep(fault.wait)
            if fault.cut or fault.status:
                self.front.asked.append((self.command, path, fault.status))
                self._fail(fault)
                return
        answer = self._ask(self.front.application + self.path, body)
        self.front.asked.append((self.command, path, answer.status_code))
        content = answer.content
        if fault and fault.change:
            content = fault.change(content.decode()).encode()
        if "text/html" in answer.headers.get("content-type", ""):
            content = content.replace(b"<head>", b"<head>" + self.front.tag.encode(), 1)
        self._hand_on(answer, content)

    def _fail(self, fault: Fault) -> None:
        if fault.cut:
            self.close_connection = True
            return
        text = fault.body.replace("<head>", "<head>" + self.front.tag, 1) if "html" in fault.kind else fault.body
        self._send(fault.status, [("content-type", fault.kind)], text.encode())

    def _ask(self, url: str, body: bytes) -> httpx.Response:
        sent = [(name, value) for name, value in self.headers.items() if name.lower() not in NOT_FORWARDED]
        return self.client.request(self.command, url, headers=[*sent, ("accept-encoding", "identity")], content=body)

    def _hand_on(self, answer: httpx.Response, content: bytes) -> None:
        kept = [(name, value) for name, value in answer.headers.multi_items() if name not in OF_ONE_CONNECTION]
        self._send(answer.status_code, kept, content)

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # a request that the page aborted
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            if status != 304:
                self.send_header("content-length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass
