"""The open connections of one collector: how many there may be, how long each may wait, and which one makes room.

A connection is cheap to open and, for its other end, free to hold. So each of its waiting times has an end (`Waits`), and
when there is no room for a new one, one of those that wait is closed: of the peer that holds the most, the one that has
waited longest. A request that has arrived whole is never cut off to make room.
"""

import asyncio
import errno
import heapq
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from collector.metrics import CONNECTIONS_CLOSED
from collector.transport.limits import RateLimit
from core.metrics import count_degraded
from core.networks import Network, is_within

RESERVED_DESCRIPTORS: Final = 64
"""Descriptors that are kept for everything but connections: listener, spool, dead letters, keys, Postgres, logs."""
_SWEEP_SECONDS = 0.5
_READ_IN_ONE_TURN = 8  # pieces of data of one peer in one turn of the event loop
_REFUSED_AT_ONCE = 64
_BACKLOG = 2_048  # connections that the kernel keeps for us
_EVICTED_AT_ONCE = 64  # one look over all connections frees up to a 64th of the room


class Waiting(Enum):
    """What a connection waits for; each has a time of its own."""

    REQUEST = "request"  # the request line and the headers
    IDLE = "idle"  # the next request
    BODY = "body"  # the rest of a body that is being read
    REST = "rest"  # the rest of a body that was answered already
    ANSWER = "answer"  # us
    TAKE = "take"  # the other end, to take the bytes of the answer


@dataclass(frozen=True)
class Waits:
    """Seconds after which a connection is closed, by what it waits for. ``body`` is bounded by who reads it, too."""

    request: float = 10.0
    idle: float = 15.0
    body: float = 30.0
    rest: float = 2.0
    take: float = 10.0

    def find_time_limit(self, waiting: Waiting) -> float | None:
        """The time for this; None: without end."""
        return None if waiting is Waiting.ANSWER else float(getattr(self, waiting.value))


class Connection(Protocol):
    """What the table has to know of a connection."""

    peer: str
    waiting: Waiting
    since: float

    def update_waiting(self) -> None:
        """Set ``waiting`` and ``since`` to what is so now."""

    def abort_connection(self) -> None:
        """Close it at once, whatever it was doing."""


@dataclass
class Limits:
    """``most``: connections at once; ``per_peer``: of them, from one address that is no trusted proxy."""

    most: int
    per_peer: int
    proxies: Sequence[Network] = ()
    waits: Waits = field(default_factory=Waits)


class Connections:
    """All connections of one listener. It is used on the event loop alone."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: set[Connection] = set()
        self._of_peer: dict[str, dict[Connection, None]] = {}
        self._changes = RateLimit(max(1.0, limits.per_peer / 8))
        self._accepted = 0
        self.turns = PeerTurns()
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def descriptors(self) -> int:
        """Sockets that were accepted and are not closed yet."""
        return self._accepted

    def count_accepted(self) -> None:
        """Count a socket."""
        self._accepted += 1

    def count_closed(self) -> None:
        """Count a socket that was closed."""
        self._accepted -= 1

    def add_connection(self, connection: Connection) -> None:
        """Take it in; when its peer has too many, one of them is ended, which may be this one."""
        self._open.add(connection)
        of_peer = self._of_peer.setdefault(connection.peer, {})
        of_peer[connection] = None
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._end_late_connections)
        if len(of_peer) > self.limits.per_peer and not self._is_trusted_proxy(connection.peer):
            self._end_connections(
                _find_longest_waiting([other for other in of_peer if other is not connection], 1) or [connection],
                "peer",
            )

    def refuses_peer(self, peer: str) -> bool:
        """Whether a new connection of ``peer`` is closed at once: it has all that it may have, and changes them too fast."""
        if len(self._of_peer.get(peer, ())) < self.limits.per_peer or self._is_trusted_proxy(peer):
            return False
        now = time.monotonic()
        if self._changes.find_wait_seconds(peer, now):
            CONNECTIONS_CLOSED.labels("peer").inc()
            return True
        self._changes.take_tokens(peer, now)
        return False

    def remove_connection(self, connection: Connection) -> None:
        """It was lost."""
        if connection in self._open:
            self._open.remove(connection)
            of_peer = self._of_peer[connection.peer]
            del of_peer[connection]
            if not of_peer:
                del self._of_peer[connection.peer]

    def make_room(self) -> bool:
        """End some that wait; False when all of them are being answered."""
        waiting = [connection for connection in self._open if connection.waiting is not Waiting.ANSWER]
        if not waiting:
            return False
        counts = Counter(connection.peer for connection in waiting)
        greediest = max(counts, key=counts.__getitem__)
        own = [connection for connection in waiting if connection.peer == greediest]
        self._end_connections(
            _find_longest_waiting(own, max(1, min(self.limits.most, counts[greediest]) // _EVICTED_AT_ONCE)), "room"
        )
        return True

    def _end_late_connections(self) -> None:
        now = time.monotonic()
        waits = self.limits.waits
        for connection in self._open:
            connection.update_waiting()
        late = [
            connection
            for connection in self._open
            if (most := waits.find_time_limit(connection.waiting)) is not None and now - connection.since > most
        ]
        self._end_connections(late, "late")
        again = bool(self._open)
        self._sweep = (
            asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._end_late_connections) if again else None
        )

    def _end_connections(self, connections: Sequence[Connection], why: str) -> None:
        for connection in connections:
            CONNECTIONS_CLOSED.labels(why).inc()
            self.remove_connection(connection)
            connection.abort_connection()

    def _is_trusted_proxy(self, peer: str) -> bool:
        return is_within(peer, self.limits.proxies)


def _find_longest_waiting(connections: Sequence[Connection], number: int) -> list[Connection]:
    waiting = [connection for connection in connections if connection.waiting is not Waiting.ANSWER]
    return heapq.nsmallest(number, waiting, key=lambda connection: connection.since)


class PeerTurns:
    """Lets each peer do some work in one turn of the event loop, and the rest in the next ones.

    A turn that reads hundreds of requests of one peer lasts as long as all of them, and everybody else waits for it, several
    times for one answer.
    """

    def __init__(self, at_once: int = _READ_IN_ONE_TURN) -> None:
        self._at_once = at_once
        self._done: Counter[str] = Counter()
        self._lines: dict[str, deque[Callable[[], None]]] = {}

    def run_in_turn(self, peer: str, work: Callable[[], None]) -> bool:
        """Do ``work``, now (True) or in a later turn."""
        if not self._done and not self._lines:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        line = self._lines.get(peer)
        if line is None and self._done[peer] < self._at_once:
            self._done[peer] += 1
            work()
            return True
        self._lines.setdefault(peer, deque()).append(work)
        return False

    def _begin_turn(self) -> None:
        self._done.clear()
        if self._lines:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        for peer, line in list(self._lines.items()):
            for _ in range(min(self._at_once, len(line))):
                self._done[peer] += 1
                line.popleft()()
            if not line:
                del self._lines[peer]


class Listener(socket.socket):
    """A listening socket whose ``accept`` never runs out of descriptors: it makes room first.

    asyncio's own answer to EMFILE is to log a traceback for each connection that waits, again every second.
    """

    table: Connections | None = None
    """Whose room counts; None: accept all."""

    def listen(self, _: int = 0) -> None:
        """Listen with a long queue. asyncio's number, which it asks for again, is how many it accepts in one turn."""
        super().listen(_BACKLOG)

    def accept(self) -> tuple[socket.socket, object]:
        """The next connection. Raises BlockingIOError when there is none, or no room for it at this moment."""
        table = self.table
        if table is not None and table.descriptors >= table.limits.most:
            if table.make_room():
                raise BlockingIOError  # the descriptor is free at the loop's next turn
            self._refuse_connection()
            raise BlockingIOError
        try:
            fd, address = self._accept()  # type: ignore[attr-defined]  # what socket.accept itself calls
            for _ in range(_REFUSED_AT_ONCE):
                if table is None or not table.refuses_peer(address[0]):
                    break
                os.close(fd)
                fd, address = self._accept()  # type: ignore[attr-defined]
        except OSError as error:
            if error.errno != errno.EMFILE or table is None:
                raise
            count_degraded("collector", "no_descriptors")
            if not table.make_room():
                time.sleep(0.01)  # somebody else's descriptors: wait without turning in circles
            raise BlockingIOError from None
        if table is not None:
            table.count_accepted()
        return _Accepted(self.family, self.type, self.proto, fd, table), address

    def _refuse_connection(self) -> None:
        CONNECTIONS_CLOSED.labels("full").inc()
        try:
            os.close(self._accept()[0])  # type: ignore[attr-defined]
        except OSError as error:
            if error.errno == errno.EMFILE:
                count_degraded("collector", "no_descriptors")
                time.sleep(0.01)


class _Accepted(socket.socket):
    def __init__(self, family: int, kind: int, protocol: int, fileno: int, table: Connections | None) -> None:
        super().__init__(family, kind, protocol, fileno)
        self._table = table

    def close(self) -> None:
        table, self._table = self._table, None
        super().close()
        if table is not None:
            table.count_closed()
