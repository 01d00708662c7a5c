"""HTTP/1.1 on one connection, stricter than uvicorn's: ambiguous framing and expensive heads are refused.

A request with both ``Content-Length`` and ``Transfer-Encoding``, with several lengths, folded headers or bare line feeds may
be one request for a proxy and two for us (request smuggling, RFC 9112, 11.2). It is answered 400, and the connection ends.
"""

import asyncio
import re
import time
from typing import Any, Final, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from collector.metrics import BAD_REQUESTS
from collector.transport.connections import Connections, Waiting
from collector.transport.plain_requests import PlainCycle, parse_plain_head

MAX_HEADER_BYTES: Final = 32 << 10
MAX_HEADER_FIELDS: Final = 128
"""A field costs as much work as a kilobyte of one field: a limit of bytes alone does not limit the work."""
MAX_TARGET_BYTES: Final = 8 << 10
"""Limit of the request line: method, path and query. Each query parameter costs as much as a header field."""
_MAX_CHUNKS = 4_096  # of a body; each costs as much work as a kilobyte of one chunk
_MAX_HELD_BYTES = 4 << 10
_MAX_REST_BYTES = 8 << 20  # of a body after its answer
_END = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"\n(content-length)[ \t]*:([^\r\n]*)", re.IGNORECASE)
_ENCODING = re.compile(rb"\n(transfer-encoding)[ \t]*:", re.IGNORECASE)
_ONE_LENGTH = re.compile(rb"[ \t]*[0-9]{1,15}[ \t]*")
_BAD_REQUEST = (
    b'{"error":{"code":"bad_request",'
    b'"message":"this is not an unambiguous HTTP/1.1 request, or its head is too large"}}'
)


def find_ambiguity(received: bytes) -> str:
    """Why the head at the beginning of ``received`` is ambiguous; '' when it is not, or is not complete yet."""
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
    """Whether the head at the beginning of ``received``, complete or not, has too many fields or too long a request line."""
    ends = _END.search(received)
    fields = received.count(b"\n", 0, ends.start() if ends else len(received))
    line = received.find(b"\n", 0, MAX_TARGET_BYTES + 1)
    return fields > MAX_HEADER_FIELDS or (line < 0 and len(received) > MAX_TARGET_BYTES)


class StrictReader(h11.Connection):
    """h11's reader with the checks of `find_ambiguity` and `is_head_too_large`, and a limit of chunks."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEADER_BYTES)
        self._chunks = 0

    def next_event(self) -> "h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]":
        """The next event. Raises h11.RemoteProtocolError for a request that is refused."""
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
    """A transport that writes the head of an answer together with its body: half of the system calls."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""
        self.is_closing = transport.is_closing  # asked several times for each request

    @property
    def direct(self) -> asyncio.Transport:
        """The transport itself, for answers that are whole; what was held is written first."""
        self.flush()
        return self._transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold the first piece until the second, until `flush`, or until the next turn of the event loop."""
        if self._held or len(data) > _MAX_HELD_BYTES:
            self._transport.write(self._held + data)
            self._held = b""
        elif data:
            self._held = data
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write the held piece."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        """Write the held piece, then close."""
        self.flush()
        self._transport.close()


class IntakeProtocol(H11Protocol):
    """One connection; it reports to the table of connections what it waits for."""

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
        self._later = b""  # received, and read when it is this peer's turn
        self._body_left = 0  # of the body of a plain request, not received yet
        self._is_plain = False  # the current request was read without h11
        self._next_requests = b""  # received behind a plain request that is not answered yet
        self._completes = False  # an answer is being completed

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Add the connection to the table."""
        self._joined = _Joined(transport)
        super().connection_made(cast("asyncio.Transport", self._joined))
        self.peer = self.client[0] if self.client else ""
        self._table.add_connection(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the table."""
        self._table.remove_connection(self)
        super().connection_lost(exc)

    def abort_connection(self) -> None:
        """Close the connection at once; unsent data is dropped."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read ``data`` when it is this peer's turn."""
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
            self._read_data(data)
        except Exception:
            self.transport.abort()
            raise
        if self.waiting is Waiting.REST:
            self._rest_bytes += len(data)
            if self._rest_bytes > _MAX_REST_BYTES:
                self.transport.close()
        self.update_waiting()

    def _read_data(self, data: bytes) -> None:
        """Read what belongs to the current request; then a plain request, or whatever h11 makes of the rest."""
        if self._body_left:
            data = self._read_plain_body(data)
        if not data:
            return
        if self._is_plain and not self.cycle.response_complete:
            self._next_requests += data
            self.flow.pause_reading()
            return
        if not self._is_between_requests() or (head := parse_plain_head(data)) is None:
            self._is_plain = False
            super().data_received(data)
            return
        self._unset_keepalive_if_required()
        self._is_plain = True
        self._begin_plain_request(head.fields)
        self._body_left = head.length
        if not head.length:
            self.cycle.more_body = False
            self.cycle.message_event.set()
        rest = data[head.size :]
        if rest:
            self._read_data(rest)

    def _is_between_requests(self) -> bool:
        idle = self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE
        return idle and not self.conn.trailing_data[0] and (self.cycle is None or self.cycle.response_complete)

    def _begin_plain_request(self, fields: list[tuple[bytes, bytes]]) -> None:
        self.headers = fields
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]
            "method": "POST",
            "root_path": self.root_path,
            "path": self.root_path + "/v1/events",
            "raw_path": self.root_path.encode("ascii") + b"/v1/events",
            "query_string": b"",
            "headers": fields,
            "state": self.app_state.copy(),
        }
        self.cycle = PlainCycle(
            scope=self.scope,
            conn=self.conn,
            transport=self._joined.direct,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self._complete_plain_response,
        )
        task = self.loop.create_task(self.cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _read_plain_body(self, data: bytes) -> bytes:
        """Take the current body's part of ``data``; returns what follows it. The body of an answered request is dropped."""
        part = data if len(data) <= self._body_left else data[: self._body_left]
        self._body_left -= len(part)
        if not self.cycle.response_complete:
            self.cycle.body += part
            self.cycle.more_body = self._body_left > 0
            if self.cycle.more_body and len(self.cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            self.cycle.message_event.set()
        return data[len(part) :]

    def _complete_plain_response(self) -> None:
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self._next_requests:
                self.flow.pause_reading()  # receive no more until the received data is processed
                self._table.turns.run_in_turn(self.peer, self._read_next_request)
        self.update_waiting()

    def on_response_complete(self) -> None:
        """Update the waiting state after an answer."""
        self._completes = True
        try:
            super().on_response_complete()
        finally:
            self._completes = False
        self.update_waiting()

    def handle_events(self) -> None:
        """Process received data. Pipelined requests wait for their peer's turn, too."""
        if not self._completes or not self.conn.trailing_data[0]:
            super().handle_events()
            return
        self._completes = False
        self.flow.pause_reading()  # receive no more until the received data is processed
        self._table.turns.run_in_turn(self.peer, self._read_next_request)

    def _read_next_request(self) -> None:
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._next_requests:
            data, self._next_requests = self._next_requests, b""
            self._read_data(data)
        else:
            super().handle_events()
        self.update_waiting()

    def send_400_response(self, msg: str) -> None:
        """Answer 400 unless an answer has begun, and close."""
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
        """No upgrade is supported: the request is answered as if it had not asked for one."""

    def update_waiting(self) -> None:
        """Record what the connection waits for, and since when."""
        waiting = self._find_waiting_state()
        if waiting is not self.waiting:
            self.waiting, self.since = waiting, time.monotonic()
            self._rest_bytes = 0

    def _find_waiting_state(self) -> Waiting:
        if self.transport.is_closing() or self.flow.write_paused:
            return Waiting.TAKE
        is_body_missing = self._body_left > 0 or (not self._is_plain and self.conn.their_state is h11.SEND_BODY)
        if self.cycle is not None and not self.cycle.response_complete:
            return Waiting.BODY if is_body_missing else Waiting.ANSWER
        if is_body_missing:
            return Waiting.REST
        is_next_begun = self.cycle is None or self._next_requests or self.conn.trailing_data[0]
        return Waiting.REQUEST if is_next_begun else Waiting.IDLE
