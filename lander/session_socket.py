"""Answers the collector's questions about stored sessions, on a Unix socket in the data directory (docs/decisions/0126).

A question and its answer are a line of JSON each (`core.session_window`); then the connection is closed. Two questions are
answered at once; further connections wait in the socket's queue.
"""

import contextlib
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from core.errors import FurrowError, NotConfigured
from core.metrics import count_degraded
from core.session_window import MAX_LINE_BYTES, SessionWindow, WindowAnswer, WindowEvent, WindowRequest
from core.short_sockets import open_short_path
from lander.event_texts import describe_event, describe_route, is_failed_event
from stores.events.event_store import EventStore
from stores.events.session_window import read_session_rows

_THREADS: Final = 2
_PATIENCE_SECONDS: Final = 5.0
"""Time in which a connected collector must send its question and read the answer."""
_STOP_SECONDS: Final = 0.5
_log = logging.getLogger("lander.session_socket")


def answer_request(connect: Callable[[], EventStore], line: bytes) -> WindowAnswer:
    """The answer to one question; an error of the event store is its text. Raises nothing that a question can cause."""
    try:
        request = msgspec.json.decode(line, type=WindowRequest)
        rows = read_session_rows(connect(), request)
    except msgspec.MsgspecError as error:
        count_degraded("session_socket", "bad_request")
        return WindowAnswer(error=f"the question cannot be read: {error}")
    except NotConfigured as error:
        return WindowAnswer(error=str(error))
    except FurrowError as error:
        count_degraded("session_socket", type(error).__name__)
        _log.warning("the events of a session could not be read: %s", error)
        return WindowAnswer(error="the event store does not answer")
    events = [
        WindowEvent(
            str(row["event_id"]),
            at,
            str(row["event_type"]),
            describe_event(row),
            describe_route(row),
            is_failed_event(row),
        )
        for at, row in zip(rows.times, rows.details, strict=True)
    ]
    return WindowAnswer(SessionWindow(rows.total, rows.start, rows.first_ms, rows.last_ms, events))


class _Handler(socketserver.StreamRequestHandler):
    timeout = _PATIENCE_SECONDS
    server: "_Server"

    def handle(self) -> None:
        try:
            line = self.rfile.readline(MAX_LINE_BYTES)
            with self.server.turns:
                answer = answer_request(self.server.connect, line)
            self.wfile.write(msgspec.json.encode(answer) + b"\n")
        except OSError as error:
            count_degraded("session_socket", "connection")
            _log.warning("a question about a session was not answered: %s", error)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: str, connect: Callable[[], EventStore]) -> None:
        self.connect = connect
        self.turns = threading.BoundedSemaphore(_THREADS)
        super().__init__(path, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        count_degraded("session_socket", "unexpected")
        _log.exception("a question about a session failed")


@contextmanager
def serve_session_windows(path: Path, connect: Callable[[], EventStore]) -> Iterator[None]:
    """Answer questions on the socket ``path`` in threads, until the context ends.

    A socket that cannot be opened is counted and logged, and nothing is answered: pages say so, and landing goes on.
    """
    try:
        server = _open_server(path, connect)
    except OSError as error:
        count_degraded("session_socket", "not_opened")
        _log.warning("pages cannot show the events of sessions: the socket %s cannot be opened: %s", path, error)
        yield
        return
    thread = threading.Thread(target=server.serve_forever, args=(_STOP_SECONDS,), name="furrow-sessions", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _open_server(path: Path, connect: Callable[[], EventStore]) -> _Server:
    with contextlib.suppress(FileNotFoundError):
        if _is_answered(path):
            raise OSError("another lander answers there")
        path.unlink()
    with open_short_path(path) as short:
        before = os.umask(0o077)  # of its own user alone, whatever the mask of the process is
        try:
            return _Server(short, connect)
        finally:
            os.umask(before)


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, open_short_path(path) as short:
        probe.settimeout(_PATIENCE_SECONDS)
        try:
            probe.connect(short)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True
