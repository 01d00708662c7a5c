"""The usual request for events, read and answered without h11: one strict form, and everything else is h11's.

h11 is written in Python, and takes half a millisecond a request. A browser's batch is a ``POST /v1/events`` with a length and
ordinary header fields. `parse_plain_head` accepts exactly that form. It refuses nothing: what has another form (chunks, an
expectation, an upgrade, a second host, …) it leaves to h11, which reads or refuses it.
"""

import re
from collections.abc import MutableMapping
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, RequestResponseCycle

MAX_PLAIN_HEAD: Final = 8 << 10
"""Longest head in bytes that is read here."""
MAX_PLAIN_FIELDS: Final = 64
_LINE: Final = b"POST /v1/events HTTP/1.1\r\n"
_HEAD: Final = re.compile(
    rb"POST /v1/events HTTP/1\.1\r\n(?P<fields>(?:[A-Za-z0-9!#$%&'*+.^_`|~-]++:[\t\x20-\x7e\x80-\xff]*+\r\n)++)\r\n"
)
_LENGTH: Final = re.compile(rb"[0-9]{1,15}")
_LEFT_TO_H11: Final = frozenset(
    [b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer", b"http2-settings", b"proxy-connection"]
)


_CYCLE: Final = "furrow.cycle"
"""Key of a plain request's cycle in its ASGI scope."""


class PlainHead(NamedTuple):
    """A head: its size in bytes, its fields (names in lower case), and the length of the body that follows."""

    size: int
    fields: list[tuple[bytes, bytes]]
    length: int


def parse_plain_head(received: bytes) -> PlainHead | None:
    """The head at the beginning of ``received``; None when it is incomplete or has another form than the usual one."""
    if not received.startswith(_LINE):
        return None
    found = _HEAD.match(received, 0, MAX_PLAIN_HEAD)
    if found is None:
        return None
    lines = found["fields"].split(b"\r\n")
    lines.pop()
    if len(lines) > MAX_PLAIN_FIELDS:
        return None
    fields = []
    hosts, length = 0, None
    for line in lines:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            if length is not None or _LENGTH.fullmatch(value) is None:
                return None
            length = int(value)
        elif name in _LEFT_TO_H11 or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
        fields.append((name, value))
    return PlainHead(found.end(), fields, length or 0) if hosts == 1 else None


def take_whole_body(scope: MutableMapping[str, Any]) -> bytes | None:
    """The body of a plain request that has arrived already, as sent; None when it must be received as usual."""
    cycle = scope.get(_CYCLE)
    return cycle.take_whole_body() if isinstance(cycle, PlainCycle) else None


class PlainCycle(RequestResponseCycle):
    """One request and its answer, which is written at once, head and body together. The answer has a length."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.scope[_CYCLE] = self  # type: ignore[typeddict-unknown-key]

    def take_whole_body(self) -> bytes | None:
        """The body, once, when it is complete."""
        if self.more_body or self.disconnected:
            return None
        body, self.body = bytes(self.body), bytearray()
        self.message_event.clear()
        return body

    async def send(self, message: Any) -> None:
        """Write the answer when its body is complete. Raises RuntimeError for an answer in pieces."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_complete:
            raise RuntimeError("the answer is complete already")
        if not self.response_started:
            self.response_started = True
            self._start: Any = message
            return
        if message.get("more_body"):
            raise RuntimeError("an answer to events is not sent in pieces")
        self.transport.write(self._format_answer(message.get("body", b"")))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _format_answer(self, body: bytes) -> bytes:
        status = self._start["status"]
        lines = [b"HTTP/1.1 %d %s\r\n" % (status, STATUS_PHRASES[status])]
        has_length = False
        for name, value in (*self.default_headers, *self._start.get("headers", ())):
            if b"\r" in value or b"\n" in value:
                raise RuntimeError("a header field of the answer holds a line end")
            has_length = has_length or name == b"content-length"
            if (name, value.lower()) == CLOSE_HEADER:
                self.keep_alive = False
            lines.append(b"%s: %s\r\n" % (name, value))
        if not has_length:
            lines.append(b"content-length: %d\r\n" % len(body))
        return b"".join([*lines, b"\r\n", body])
