"""What the fake trackers have in common: a real socket, a record of the requests, and faults on demand."""

import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text) if self.text else None


@dataclass(frozen=True)
class Answer:
    """What is sent back; a body that is a string is sent as it is."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with the next ``times`` requests that match.

    ``answer`` is given instead of doing anything; ``lost``: everything is done and then the connection is cut;
    ``twice``: the answer is sent twice, the second time ``twice_after`` seconds later; ``replayed``: the work is done twice, as
    by a proxy that repeats a request, and the last answer is sent; ``before`` and ``after`` are called around the work, outside
    of the fake's lock.
    """

    matches: Callable[[Request], bool]
    answer: Answer | None = None
    lost: bool = False
    twice: bool = False
    twice_after: float = 0.0
    replayed: bool = False
    before: Callable[[], object] | None = None
    after: Callable[[], object] | None = None
    times: int = 1


class Fake(ABC):
    """A tracker on a socket of this machine; ``stop`` and ``start`` again keep the address and what was filed.

    ``keep_alive``: connections stay open after an answer, also where the client wants them closed.
    """

    name = ""
    keep_alive = False

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self.guard = threading.Lock()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        fake = self

        class Handler(_Handler):
            owner = fake

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            assert self._thread is not None
            self._thread.join()
            self._server = None

    @abstractmethod
    def handle(self, request: Request) -> Answer:
        """Do the work; called one request at a time."""

    def fault(self, request: Request) -> Fault | None:
        with self.guard:
            for fault in self.faults:
                if fault.times > 0 and fault.matches(request):
                    fault.times -= 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Fake

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_OPTIONS(self) -> None:
        self._serve()

    def log_message(self, *_: Any) -> None:
        """The requests are recorded; nothing is printed."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, parts.path, parse_qs(parts.query), headers, text)
        fault = self.owner.fault(request)
        if fault and fault.before:
            fault.before()
        with self.owner.guard:
            self.owner.requests.append(request)
            answer = fault.answer if fault and fault.answer else self.owner.handle(request)
            if fault and fault.replayed:
                answer = self.owner.handle(request)
        if fault and fault.after:
            fault.after()
        self.close_connection = not self.owner.keep_alive
        if fault and fault.lost:
            self.close_connection = True
            return
        self._send(answer)
        if fault and fault.twice:
            self.wfile.flush()
            time.sleep(fault.twice_after)
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        content = b"" if answer.body is None else body.encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "keep-alive" if self.owner.keep_alive else "close")
        self.end_headers()
        self.wfile.write(content)
