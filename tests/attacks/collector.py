"""A collector as a process of its own, with its log, and clients that do not behave."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INGEST = "ingest-key-of-these-tests"
OPERATOR = "operator-key-of-these-tests"
EVENT = {
    "eventType": "click",
    "timestamp": "2024-01-15T10:00:00Z",
    "sessionId": "test-1",
    "route": "/checkout",
    "target": {"type": "button"},
    "metadata": {},
}
BATCH = json.dumps({"events": [EVENT]}).encode()
PATIENCE = 30.0
"""Seconds after which a test gives up; nothing is measured by it."""


@dataclass
class Answer:
    """An HTTP answer: headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The word of an error."""
        return str(json.loads(self.body)["error"]["code"])


class Client:
    """One connection, from an address of this machine's 127.0.0.0/8."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))
        self.received = b""
        """Bytes that belong to no answer yet."""

    def send(self, data: bytes) -> None:
        """Send; an end that is closed is noticed when reading."""
        with suppress(OSError):
            self.socket.sendall(data)

    def answer(self) -> Answer:
        """The next answer. Raises EOFError when the connection ends before."""
        while b"\r\n\r\n" not in self.received:
            self._more()
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(self.received) < length:
            self._more()
        body, self.received = self.received[:length], self.received[length:]
        return Answer(int(status.split()[1]), headers, body)

    def is_ended(self) -> bool:
        """Whether the other end closes it; waits for that."""
        try:
            while self.socket.recv(65_536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close it."""
        self.socket.close()

    def _more(self) -> None:
        try:
            data = self.socket.recv(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        self.received += data


def head(path: str = "/v1/events", method: str = "POST", **headers: object) -> bytes:
    """The head of a request; ``_`` in the names of headers stands for ``-``."""
    lines = [f"{method} {path} HTTP/1.1", "host: collector"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def request(body: bytes = BATCH, key: str | None = INGEST, **headers: object) -> bytes:
    """A batch."""
    with_key = {} if key is None else {"x_api_key": key}
    return head(content_length=len(body), **with_key, **headers) + body


@dataclass
class Collector:
    """One process."""

    process: subprocess.Popen[bytes]
    port: int
    spool: Path
    log_file: Path
    clients: ExitStack = field(default_factory=ExitStack)

    def client(self, source: str = "127.0.0.1") -> Client:
        """A connection that is closed with the collector."""
        client = Client(self.port, source)
        self.clients.callback(client.close)
        return client

    def ask(self, data: bytes, source: str = "127.0.0.1") -> Answer:
        """The answer on a connection of its own."""
        client = Client(self.port, source)
        try:
            client.send(data)
            return client.answer()
        finally:
            client.close()

    def get(self, path: str, key: str | None = None, source: str = "127.0.0.1") -> Answer:
        """The answer of a GET."""
        headers = {} if key is None else {"x_api_key": key}
        return self.ask(head(path, "GET", **headers), source)

    def is_healthy(self) -> bool:
        """Whether it answers that it takes events."""
        return self.get("/v1/health").status == 200

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        text = self.get("/metrics").body.decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*?}})? (\S+)$", text, re.MULTILINE))

    def log(self) -> str:
        """What it has logged."""
        return self.log_file.read_text(errors="replace")


@contextmanager
def running(
    folder: Path, *, files: int | None = None, module: str = "collector", **changes: Any
) -> Iterator[Collector]:
    """A collector that keeps its spool in ``folder``; ``files``: its limit of open files; ``module``: what serves."""
    values: Mapping[str, Any] = {
        "spool_dir": str(folder / "spool"),
        "user_salt": "salt",
        "port": 0,
        "ingest_key": INGEST,
        "operator_key": OPERATOR,
        **changes,
    }
    limit = f"ulimit -n {files}; " if files else ""
    command = ["bash", "-c", f'{limit}exec "$0" -m {module} -', sys.executable]
    log_file = folder / "collector.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=_environment()
        )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(values).encode())
    process.stdin.close()
    try:
        port = int(process.stdout.readline().rsplit(b":", 1)[-1])
        collector = Collector(process, port, folder / "spool", log_file)
        with collector.clients:
            yield collector
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if not name.startswith(("FURROW_", "PROMETHEUS_"))}


def wait_until(what: Any) -> None:
    """Wait until ``what()`` is true. Raises AssertionError when it does not come to that."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)
