"""The open connections of a collector: their number, how long each may wait, and which is closed to make room.

Opening and holding a connection costs a client almost nothing. So every wait has a time limit (`Waits`). When there is no
room for a new connection, a waiting connection is closed: the longest waiting one of the peer that has most. A request that
has arrived completely is never cut off.
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
"""Descriptors that are reserved for all else: listener, spool, dead letters, keys, Postgres, logs."""
_SWEEP_SECONDS = 0.5
_READ_IN_ONE_TURN = 8  # reads of one peer in one turn of the event loop
_REFUSED_AT_ONCE = 64
_BACKLOG = 2_048  # connections that the kernel queues
_EVICTED_AT_ONCE = 64  # one pass over all connections frees up to a 64th of them


class Waiting(Enum):
    """What a connection waits for; each state has its own time limit."""

    REQUEST = "request"  # the request line and the headers
    IDLE = "idle"  # the next request
    BODY = "body"  # the rest of a body that is being read
    REST = "rest"  # the rest of a body after its answer
    ANSWER = "answer"  # our answer
    TAKE = "take"  # the client, to receive the answer


@dataclass(frozen=True)
class Waits:
    """Seconds after which a connection is closed, by what it waits for. The reader of a body has its own limit, too."""

    request: float = 10.0
    idle: float = 15.0
    body: float = 30.0
    rest: float = 2.0
    take: float = 10.0

    def find_time_limit(self, waiting: Waiting) -> float | None:
        """The limit for ``waiting`` in seconds; None: no limit."""
        return None if waiting is Waiting.ANSWER else float(getattr(self, waiting.value))


class Connection(Protocol):
    """A connection, as the table uses it."""

    peer: str
    waiting: Waiting
    since: float

    def update_waiting(self) -> None:
        """Update ``waiting`` and ``since``."""

    def abort_connection(self) -> None:
        """Close it at once, in any state."""


@dataclass
class Limits:
    """``most``: connections at once; ``per_peer``: connections at once from one address that is not a trusted proxy."""

    most: int
    per_peer: int
    proxies: Sequence[Network] = ()
    waits: Waits = field(default_factory=Waits)


class Connections:
    """All connections of one listener. Use it on the event loop only."""

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
        """Number of accepted sockets that are not closed."""
        return self._accepted

    def count_accepted(self) -> None:
        """Count an accepted socket."""
        self._accepted += 1

    def count_closed(self) -> None:
        """Count a closed socket."""
        self._accepted -= 1

    def add_connection(self, connection: Connection) -> None:
        """Add a connection. When its peer has too many, one of them is closed, possibly this one."""
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
        """Whether a new connection of ``peer`` is closed at once: the peer is at its limit and opens connections too fast."""
        if len(self._of_peer.get(peer, ())) < self.limits.per_peer or self._is_trusted_proxy(peer):
            return False
        now = time.monotonic()
        if self._changes.find_wait_seconds(peer, now):
            CONNECTIONS_CLOSED.labels("peer").inc()
            return True
        self._changes.take_tokens(peer, now)
        return False

    def remove_connection(self, connection: Connection) -> None:
        """Remove a closed connection."""
        if connection in self._open:
            self._open.remove(connection)
            of_peer = self._of_peer[connection.peer]
            del of_peer[connection]
            if not of_peer:
                del self._of_peer[connection.peer]

    def make_room(self) -> bool:
        """Close some waiting connections. False when there are none: all are being answered."""
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
    """Limits the work of each peer in one turn of the event loop; the rest follows in later turns.

    Without the limit, one turn could read hundreds of requests of one peer while all other connections wait, several times
    for one answer.
    """

    def __init__(self, at_once: int = _READ_IN_ONE_TURN) -> None:
        self._at_once = at_once
        self._done: Counter[str] = Counter()
        self._lines: dict[str, deque[Callable[[], None]]] = {}

    def run_in_turn(self, peer: str, work: Callable[[], None]) -> bool:
        """Run ``work`` now (True) or in a later turn (False)."""
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
    """A listening socket whose ``accept`` does not run out of descriptors: it closes waiting connections first.

    On EMFILE, asyncio itself would log a traceback for each waiting connection, every second again.
    """

    table: Connections | None = None
    """The table that limits the connections; None: accept all."""

    def listen(self, _: int = 0) -> None:
        """Listen with a long backlog. asyncio passes the number of connections that it accepts in one turn; it is ignored."""
        super().listen(_BACKLOG)

    def accept(self) -> tuple[socket.socket, object]:
        """The next connection. Raises BlockingIOError when there is none, or no room for it now."""
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
                time.sleep(0.01)  # other code holds the descriptors: do not spin
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
