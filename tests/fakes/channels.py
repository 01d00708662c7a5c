"""Receivers of alerts on a real socket: a webhook that takes JSON (Apprise's ``json://``), Slack, and a mail server."""

import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Self

from tests.fakes.server import Answer, Fake, Request

TOKEN = "xoxb-1111111111-2222222222-abcdefghijklmnop"


class FakeWebhook(Fake):
    """Takes what is posted; ``messages`` holds the bodies."""

    name = "webhook"

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []

    @property
    def channel(self) -> str:
        return f"json://127.0.0.1:{self.address.rpartition(':')[2]}/hook/secret-of-the-hook"

    def handle(self, request: Request) -> Answer:
        if request.method != "POST" or request.path != "/hook/secret-of-the-hook":
            self.violations.append(f"{request.method} {request.path}")
            return Answer(404)
        self.messages.append(request.json)
        return Answer(200, {})

    @property
    def texts(self) -> list[str]:
        return [f"{message['title']}\n{message['message']}" for message in self.messages]


class FakeSlack(Fake):
    """``chat.postMessage``, ``chat.update`` and an incoming webhook; ``shown`` is what people see, in order."""

    name = "slack"

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, Any] = {}
        self.posts = 0
        self.updates = 0

    @property
    def api(self) -> str:
        return f"{self.address}/api"

    @property
    def channel(self) -> str:
        return f"slack://{TOKEN}/ops"

    def handle(self, request: Request) -> Answer:
        if request.path == "/services/TAAAAAAAA/BBBBBBBBB/cccccccccccccccccccc":
            self.posts += 1
            self.shown[f"hook.{self.posts}"] = request.json
            return Answer(200, "ok")
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(200, {"ok": False, "error": "invalid_auth"})
        body = request.json
        if request.path == "/api/chat.postMessage" and body["channel"] == "#ops":
            self.posts += 1
            stamp = f"1700000000.{self.posts:06}"
            self.shown[stamp] = body
            return Answer(200, {"ok": True, "channel": "C024BE91L", "ts": stamp})
        if request.path == "/api/chat.update" and body["channel"] == "C024BE91L":
            if body["ts"] not in self.shown:
                return Answer(200, {"ok": False, "error": "message_not_found"})
            self.updates += 1
            self.shown[body["ts"]] = body
            return Answer(200, {"ok": True, "channel": "C024BE91L", "ts": body["ts"]})
        self.violations.append(f"{request.method} {request.path} {request.text}")
        return Answer(200, {"ok": False, "error": "unknown_method"})

    @property
    def texts(self) -> list[str]:
        return ["".join(_list_texts(body["blocks"])) for body in self.shown.values()]


def _list_texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") == "text":
            yield node["text"]
        for value in node.values():
            yield from _list_texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _list_texts(value)


class FakeMail:
    """A mail server that takes every message; ``messages`` holds them as they came."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        fake = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 fake\r\n")
                while command := self.rfile.readline():
                    word = command[:4].upper()
                    if word == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        lines = list(iter(self.rfile.readline, b".\r\n"))
                        fake.messages.append(message_from_bytes(b"".join(lines), policy=default))  # type: ignore[arg-type]
                    self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
                    if word == b"QUIT":
                        return

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def channel(self) -> str:
        return f"mailto://127.0.0.1:{self._server.server_address[1]}?from=furrow@example.com&to=team@example.com"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
