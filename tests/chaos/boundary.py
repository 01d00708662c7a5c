"""Where a process of Furrow touches the world, counted and broken on demand; put in from outside, no hook in the product.

A *crossing* is one call over the edge: a statement or commit at Postgres, a call of ClickHouse, a request to a tracker, an
operation on a file of the spool. Each has a label in plain words. A `Fault` names a crossing by its label and number and
says what happens before or after it. `install` wraps the drivers of this process once; processes that are to be
disturbed are children of the suite (``tests.chaos.parts``).
"""

import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import clickhouse_connect
import httpx
import psycopg
import requests
from clickhouse_connect.driver.exceptions import OperationalError
from sqlalchemy.engine.default import DefaultDialect

import collector.spool.durable_files
import collector.spool.open_segment
import collector.spool.segments

How = Literal["kill", "raise", "error", "cut", "delay", "meet", "torn", "postgres"]
"""What happens: the process is killed (-9); a `Crash` unwinds its thread; the call fails as if the connection were lost;
the connection really is shut down; the call waits; two threads wait for each other; half of a write is done and then the
process is killed; the Postgres server is killed (-9)."""


class Crash(BaseException):
    """The end of a thread at this point; no ``except Exception`` keeps it."""


@dataclass(frozen=True)
class Fault:
    """``how`` at the ``occurrence``-th crossing (from 1) that is called ``label``, ``when`` it is about to be or was made."""

    label: str
    occurrence: int
    when: Literal["before", "after"]
    how: How

    def __str__(self) -> str:
        number = f" (no. {self.occurrence})" if self.occurrence > 1 else ""
        return f"{_WORDS[self.how]} {self.when} {self.label}{number}"


_WORDS = {
    "kill": "kill -9",
    "raise": "crash",
    "error": "answer lost",
    "cut": "connection cut",
    "delay": "delay",
    "meet": "two at once",
    "torn": "kill -9 in the middle of a write",
    "postgres": "kill -9 of Postgres",
}
DELAY_SECONDS = 0.2
_MEET_SECONDS = 5.0


class Boundary:
    """The crossings of this process and the faults that wait for them. Thread-safe."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.fired: list[Fault] = []
        self.postmaster: Path | None = None
        self._meeting = threading.Barrier(2)
        self._guard = threading.Lock()
        self._inside = threading.local()

    def arm(self, faults: list[Fault]) -> None:
        """Count anew and wait for these."""
        with self._guard:
            self.counts.clear()
            self.fired = []
            self.faults = list(faults)
            self._meeting = threading.Barrier(2)

    @contextmanager
    def crossing(
        self, label: str, lost: Callable[[], Exception], cut: Callable[[], None] | None = None
    ) -> Iterator[bool]:
        """One crossing; what a driver calls of itself meanwhile is part of it. Gives whether a write is to be torn."""
        if getattr(self._inside, "crossing", False):
            yield False
            return
        with self._guard:
            self.counts[label] += 1
            number = self.counts[label]
        torn = self._strike(label, number, "before", lost, cut)
        self._inside.crossing = True
        try:
            yield torn
        finally:
            self._inside.crossing = False
        self._strike(label, number, "after", lost, cut)

    def _strike(
        self, label: str, number: int, when: str, lost: Callable[[], Exception], cut: Callable[[], None] | None
    ) -> bool:
        with self._guard:
            found = next((one for one in self.faults if _is_due(one, label, number, when)), None)
            if found is None:
                return False
            if found.how != "meet" or number > found.occurrence:
                self.faults.remove(found)
            if found not in self.fired:
                self.fired.append(found)
        return self._do(found, lost, cut)

    def _do(self, fault: Fault, lost: Callable[[], Exception], cut: Callable[[], None] | None) -> bool:
        match fault.how:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "raise":
                raise Crash(str(fault))
            case "error":
                raise lost()
            case "cut":
                if cut is None:
                    raise lost()
                cut()
            case "delay":
                time.sleep(DELAY_SECONDS)
            case "meet":
                with suppress(threading.BrokenBarrierError):
                    self._meeting.wait(_MEET_SECONDS)
            case "postgres" if self.postmaster is not None:
                with suppress(FileNotFoundError, ProcessLookupError):
                    os.kill(int(self.postmaster.read_text().split()[0]), signal.SIGKILL)
        return fault.how == "torn"


def _is_due(fault: Fault, label: str, number: int, when: str) -> bool:
    if (fault.label, fault.when) != (label, when):
        return False
    return fault.occurrence <= number <= fault.occurrence + 1 if fault.how == "meet" else number == fault.occurrence


BOUNDARY = Boundary()


def install() -> Boundary:
    """Wrap the drivers of this process; once for each process."""
    _wrap_postgres()
    _wrap_clickhouse()
    _wrap_trackers()
    _wrap_spool()
    return BOUNDARY


def put(owner: Any, name: str, value: Any) -> None:
    """Let ``owner`` (a module or class) have another ``name`` for the rest of this process."""
    setattr(owner, name, value)


def _wrap_postgres() -> None:
    dialect: Any = DefaultDialect
    execute, commit = dialect.do_execute, dialect.do_commit

    def do_execute(self: Any, cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:
        with BOUNDARY.crossing(_statement(statement), _lost_postgres, lambda: _shut(cursor.connection)):
            return execute(self, cursor, statement, parameters, context)

    def do_commit(self: Any, connection: Any) -> None:
        with BOUNDARY.crossing("COMMIT", _lost_postgres, lambda: _shut(connection.driver_connection)):
            commit(self, connection)

    put(dialect, "do_execute", do_execute)
    put(dialect, "do_commit", do_commit)


def _lost_postgres() -> Exception:
    return psycopg.OperationalError("server closed the connection unexpectedly (chaos)")


def _shut(connection: Any) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)


_TABLE = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM|FROM)\s+(\w+)\b(?!\s*\()")


def _statement(sql: str) -> str:
    """A statement in two words: what it does first, and to which table."""
    squeezed = " ".join(sql.split())
    verbs = [verb for verb in ("INSERT INTO", "UPDATE", "DELETE FROM") if f"{verb} " in squeezed]
    for verb, table in _TABLE.findall(squeezed):
        if table not in ("unnest", "gone", "recent", "candidates", "picked", "live") and verb in (
            verbs[:1] or ["FROM"]
        ):
            return f"{'SELECT FROM' if verb == 'FROM' else verb} {table}"
    return " ".join(re.sub(r"['(].*", "", squeezed).split()[:3])


def _wrap_clickhouse() -> None:
    connect, wrapped = clickhouse_connect.get_client, set[type]()

    def get_client(*arguments: Any, **named: Any) -> Any:
        client = connect(*arguments, **named)
        if type(client) not in wrapped:
            wrapped.add(type(client))
            for name in ("command", "query", "raw_query", "raw_insert", "insert_arrow", "insert"):
                _wrap_method(type(client), name)
        return client

    put(clickhouse_connect, "get_client", get_client)


def _wrap_method(kind: type, name: str) -> None:
    original = getattr(kind, name)

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        with BOUNDARY.crossing(
            _clickhouse_label(name, arguments), lambda: OperationalError("connection reset (chaos)")
        ):
            return original(self, *arguments, **named)

    put(kind, name, call)


def _clickhouse_label(name: str, arguments: tuple[Any, ...]) -> str:
    said = " ".join(str(arguments[0]).split()) if arguments else ""
    if "INSERT INTO sessions" in said or (name, said) == ("insert_arrow", "sessions"):
        return "clickhouse insert of sessions"
    if name == "raw_insert":
        return "clickhouse insert of a segment"
    if "groupUniqArray(toUnixTimestamp64Micro(landed_at))" in said:
        return "clickhouse read of what landed"
    if "UUIDToNum(event_id)" in said:
        return "clickhouse read of candidates"
    return f"clickhouse {name.removeprefix('raw_')} {' '.join(said.split()[:2])}"


def _wrap_trackers() -> None:
    jira, linear = requests.Session.send, httpx.Client.send

    def jira_send(self: Any, request: Any, **named: Any) -> Any:
        label = f"jira {request.method} {re.sub(r'[A-Z]+-[0-9]+', ':key', request.path_url.partition('?')[0])}"
        with BOUNDARY.crossing(label, lambda: requests.ConnectionError("reset (chaos)")):
            return jira(self, request, **named)

    def linear_send(self: Any, request: Any, **named: Any) -> Any:
        found = re.search(rb"(?:query|mutation) (\w+)", request.content)
        label = f"linear {found[1].decode() if found else request.url.path}"
        with BOUNDARY.crossing(label, lambda: httpx.ReadError("reset (chaos)")):
            return linear(self, request, **named)

    put(requests.Session, "send", jira_send)
    put(httpx.Client, "send", linear_send)


class _Files:
    """``os`` as the spool sees it, with the calls that change something on disk as crossings."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        if name not in ("fdatasync", "fsync", "rename", "ftruncate", "unlink", "open"):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            with BOUNDARY.crossing(f"spool {name}", lambda: OSError(28, "No space left on device (chaos)")):
                return found(*arguments, **named)

        return call

    def write(self, fd: int, content: Any) -> int:
        with BOUNDARY.crossing("spool write", lambda: OSError(28, "No space left on device (chaos)")) as torn:
            if torn:
                os.write(fd, content[: max(1, len(content) * 2 // 3)])
                os.kill(os.getpid(), signal.SIGKILL)
            return os.write(fd, content)


def _wrap_spool() -> None:
    for module in (collector.spool.open_segment, collector.spool.segments, collector.spool.durable_files):
        put(module, "os", _Files())
    for name, label in (("parts", "segment read"), ("delete", "segment delete")):
        original = getattr(collector.spool.segments.Segment, name)

        def call(self: Any, _original: Any = original, _label: str = label) -> Any:
            with BOUNDARY.crossing(_label, lambda: OSError(5, "Input/output error (chaos)")):
                return _original(self)

        put(collector.spool.segments.Segment, name, call)
