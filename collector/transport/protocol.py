"""HTTP/1.1 on one connection, stricter than uvicorn's: framing that two readers may read differently is refused, and so are
heads that cost more than their bytes.

A request with both ``Content-Length`` and ``Transfer-Encoding``, with several lengths, folded headers or bare line feeds may
be one request to a proxy and two to us (request smuggling, RFC 9112, 11.2). It is answered 400, and the connection ends.
"""

import asyncio
import re
import time
from typing import Any, Final, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from collector.metrics import BAD_REQUESTS
from collector.transport.connections import Connections, Waiting

MAX_HEADER_BYTES: Final = 32 << 10
MAX_HEADER_FIELDS: Final = 128
"""A field costs as much as a kilobyte in one field does, so that bytes alone bound no work."""
MAX_TARGET_BYTES: Final = 8 << 10
"""Of the request line: method, path and query. Each parameter of a query costs like a header field."""
_MAX_CHUNKS = 4_096  # pieces of a chunked body; each costs as much as a kilobyte does in one piece
_MAX_HELD_BYTES = 4 << 10
_MAX_REST_BYTES = 8 << 20  # of a body that was answered already
_END = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"\n(content-length)[ \t]*:([^\r\n]*)", re.IGNORECASE)
_ENCODING = re.compile(rb"\n(transfer-encoding)[ \t]*:", re.IGNORECASE)
_ONE_LENGTH = re.compile(rb"[ \t]*[0-9]{1,15}[ \t]*")
_BAD_REQUEST = (
    b'{"error":{"code":"bad_request","message":"this is not a request of HTTP/1.1 that can be read in one way alone, '
    b'or its head is too large"}}'
)


def find_ambiguity(received: bytes) -> str:
    """Why the head at the beginning of ``received`` can be read in two ways; empty: it cannot, or is not whole yet."""
    ends = _END.search(received)
    head = received[: ends.end()] if ends else received
    if head.count(b"\n") != head.count(b"\r\n") or b"\r" in head.replace(b"\r\n", b"").removesuffix(b"\r"):
        return "bare line end"
    if not ends:
        return ""
    if b"\n " in head or b"\n\t" in head:
        return "folded header"
    lengths = _LENGTH.findall(head)
    if len(lengths) > 1 or (lengths and not _ONE_LENGTH.fullmatch(lengths[0][1])):
        return "content-length"
    encodings = len(_ENCODING.findall(head))
    if encodings > 1 or (encodings and lengths):
        return "transfer-encoding"
    if encodings and b"HTTP/1.0\r\n" in head.partition(b"\n")[0] + b"\n":
        return "transfer-encoding"
    return ""


def is_head_too_large(received: bytes) -> bool:
    """Whether the head at the beginning of ``received``, whole or not, has more fields or a longer request line than it may."""
    ends = _END.search(received)
    fields = received.count(b"\n", 0, ends.start() if ends else len(received))
    line = received.find(b"\n", 0, MAX_TARGET_BYTES + 1)
    return fields > MAX_HEADER_FIELDS or (line < 0 and len(received) > MAX_TARGET_BYTES)


class StrictReader(h11.Connection):
    """h11's reading, behind `ambiguity` and `is_too_large`; and a body comes in no more pieces than it may."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEADER_BYTES)
        self._chunks = 0

    def next_event(self) -> "h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]":
        """The next event. Raises h11.RemoteProtocolError."""
        if self.their_state is h11.IDLE:
            received, _ = self.trailing_data
            if received and (why := find_ambiguity(received)):
                raise h11.RemoteProtocolError(why)
            if is_head_too_large(received):
                raise h11.RemoteProtocolError("head too large")
            self._chunks = 0
        event = super().next_event()
        if isinstance(event, h11.Data) and event.chunk_start:
            self._chunks += 1
            if self._chunks > _MAX_CHUNKS:
                raise h11.RemoteProtocolError("too many chunks")
        return event


class _Joined:
    """A transport that writes the head of an answer and its body in one piece: half of the system calls."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold the first piece until the next one, `flush`, or the next turn of the loop."""
        if self._held or len(data) > _MAX_HELD_BYTES:
            self._transport.write(self._held + data)
            self._held = b""
        elif data:
            self._held = data
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        """Write what is held, then close."""
        self.flush()
        self._transport.close()


class IntakeProtocol(H11Protocol):
    """One connection, which tells the table what it waits for."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        table: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = StrictReader()
        self.peer = ""
        self.waiting = Waiting.REQUEST
        self.since = time.monotonic()
        self._table = table
        self._rest_bytes = 0
        self._later = b""  # received, and not read before it is this peer's turn
        self._completes = False  # an answer is being completed

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it into the table."""
        super().connection_made(cast("asyncio.Transport", _Joined(transport)))
        self.peer = self.client[0] if self.client else ""
        self._table.add_connection(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take it out of the table."""
        self._table.remove_connection(self)
        super().connection_lost(exc)

    def abort_connection(self) -> None:
        """Close it at once; what is still to be sent is dropped."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read it when it is this peer's turn."""
        if self._later:
            self._later += data
            return
        self._later = data
        if not self._table.turns.run_in_turn(self.peer, self._read_received_data):
            self.transport.pause_reading()

    def _read_received_data(self) -> None:
        data, self._later = self._later, b""
        if self.transport.is_closing():
            return
        if not self.flow.read_paused:
            self.transport.resume_reading()
        try:
            super().data_received(data)
        except Exception:
            self.transport.abort()
            raise
        if self.waiting is Waiting.REST:
            self._rest_bytes += len(data)
            if self._rest_bytes > _MAX_REST_BYTES:
                self.transport.close()
        self.update_waiting()

    def on_response_complete(self) -> None:
        """Note that the answer is out."""
        self._completes = True
        try:
            super().on_response_complete()
        finally:
            self._completes = False
        self.update_waiting()

    def handle_events(self) -> None:
        """Read on in what was received; requests that were sent behind an answered one wait for their peer's turn, too."""
        if not self._completes or not self.conn.trailing_data[0]:
            super().handle_events()
            return
        self._completes = False
        self.flow.pause_reading()  # nothing more is received before what is here is read
        self._table.turns.run_in_turn(self.peer, self._read_next_request)

    def _read_next_request(self) -> None:
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        super().handle_events()
        self.update_waiting()

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be read, if there is no answer yet, and close."""
        BAD_REQUESTS.inc()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            head = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(_BAD_REQUEST)).encode()),
                (b"connection", b"close"),
            ]
            for event in (
                h11.Response(status_code=400, headers=head, reason=b"Bad Request"),
                h11.Data(data=_BAD_REQUEST),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self.update_waiting()

    def _unsupported_upgrade_warning(self) -> None:
        """No upgrade is supported; who asks for one is answered as if it had not."""

    def update_waiting(self) -> None:
        """Note what it waits for now, and since when."""
        waiting = self._find_waiting_state()
        if waiting is not self.waiting:
            self.waiting, self.since = waiting, time.monotonic()
            self._rest_bytes = 0

    def _find_waiting_state(self) -> Waiting:
        if self.transport.is_closing() or self.flow.write_paused:
            return Waiting.TAKE
        if self.cycle is not None and not self.cycle.response_complete:
            return Waiting.BODY if self.conn.their_state is h11.SEND_BODY else Waiting.ANSWER
        if self.conn.their_state is h11.SEND_BODY:
            return Waiting.REST
        return Waiting.REQUEST if self.cycle is None or self.conn.trailing_data[0] else Waiting.IDLE
