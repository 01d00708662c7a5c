"""The reused stack: one Postgres and one chDB directory for all scenarios, each of which has databases of its own in both.

Collector and engine are children of a fork server that has everything imported, so that a killed one is back within a
second or two. The fake trackers live in this process and so survive every kill.
"""

import hashlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Self

import psycopg

from stores.embedded_postgres import EmbeddedPostgres
from tests.chaos import parts
from tests.chaos.boundary import Fault
from tests.chaos.traffic import KEYS

_CONTEXT = multiprocessing.get_context("forkserver")
_ANSWER_SECONDS = 300.0


class PartDied(Exception):
    """The child is dead; nothing more is known."""


class Child:
    """A child process and the pipe to it."""

    def __init__(self, target: Any, *arguments: Any) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self.process: ForkServerProcess = _CONTEXT.Process(target=target, args=tuple(
            theirs if argument is Connection else argument for argument in arguments
        ), daemon=True)  # fmt: skip
        self.process.start()
        theirs.close()

    def send(self, message: Any) -> None:
        try:
            self._pipe.send(message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise PartDied from error

    def ask(self, message: Any) -> Any:
        """Send and wait for the answer. Raises PartDied."""
        self.send(message)
        return self.receive()

    def receive(self) -> Any:
        try:
            if not self._pipe.poll(_ANSWER_SECONDS):
                raise AssertionError(f"no answer within {_ANSWER_SECONDS:.0f} s: it hangs")
            return self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            raise PartDied from error

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def kill(self) -> None:
        """kill -9, and wait for it."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.join()
        self._pipe.close()


class Engine:
    """The engine, started anew whenever it was killed."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._configuration: tuple[dict[str, str], str, str] | None = None
        self.starts = 0

    def configure(self, environment: dict[str, str], clock: Path, postmaster: Path) -> None:
        """Belong to another scenario."""
        self._configuration = (environment, str(clock), str(postmaster))
        if self._child is not None and self._child.alive:
            self.ask("configure", *self._configuration)

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a method of the engine; starts it first if it is dead. Raises PartDied if it dies of it."""
        if self._child is None or not self._child.alive:
            self._start()
        assert self._child is not None
        try:
            answer = self._child.ask((name, arguments))
        except PartDied:
            self._child.kill()
            self._child = None
            raise
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def run(self, *steps: str, faults: tuple[Fault, ...] = ()) -> parts.Ran | None:
        """Run steps at once; None when the process was killed meanwhile."""
        try:
            answer = self.ask("run", list(steps), list(faults))
        except PartDied:
            return None
        assert isinstance(answer, parts.Ran)
        return answer

    def stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _start(self) -> None:
        self.stop()
        self._child = Child(parts.run_engine, Connection)
        self.starts += 1
        assert self._configuration is not None
        self._child.ask(("configure", self._configuration))


class Stack:
    """What all scenarios of one run share. Use as a context manager."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="furrow-chaos-"))
        self.postgres = EmbeddedPostgres(self.folder / "postgres")
        self.engine = Engine()
        # Whole hours ago, so that every receipt and every event lies in the past and nowhere near a retention.
        self.start_ms: int = (int(time.time()) // 3600 - 3) * 3_600_000

    def __enter__(self) -> Self:
        os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[2]))
        _CONTEXT.set_forkserver_preload(["tests.chaos.parts"])
        self.postgres.start()
        self._sql("CREATE DATABASE chaos_template")
        keys = [(hashlib.sha256(key.encode()).hexdigest(), key[:8], project, "ingest") for project, key in KEYS.items()]
        prepared = Child(parts.prepare, self.postgres.build_database_url("chaos_template"), keys)
        prepared.process.join()
        assert prepared.process.exitcode == 0, "the incident store could not be prepared"
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.stop()
        self.end_servers(orphans_alone=False)
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_servers(self, orphans_alone: bool = True) -> None:
        """End the temporary Prefect servers of this stack whose flow was killed; they would go on for ever."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                ours = os.fsencode(self.folder) in (process / "environ").read_bytes()
                server = b"prefect.server" in (process / "cmdline").read_bytes()
                orphan = "\nPPid:\t1\n" in (process / "status").read_text()
            except OSError:
                continue  # ended meanwhile, or another user's
            if ours and server and (orphan or not orphans_alone):
                with suppress(ProcessLookupError):
                    os.kill(int(process.name), signal.SIGKILL)

    @property
    def postmaster(self) -> Path:
        """The file that names Postgres's process."""
        return self.postgres.data_dir / "postmaster.pid"

    def create(self, name: str) -> str:
        """A migrated incident store of this name; its URL."""
        self._sql(f'CREATE DATABASE "{name}" TEMPLATE chaos_template')
        return self.postgres.build_database_url(name)

    def drop(self, name: str) -> None:
        """Remove a scenario's databases."""
        with suppress(PartDied):
            self.engine.ask("forget", name)
        self._sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def events_url(self, name: str) -> str:
        """The event store of a scenario, in the one directory."""
        return f"chdb://{self.folder / 'clickhouse'}?database={name}"

    def revive_postgres(self) -> None:
        """Start Postgres again if it was killed. (A postmaster that was just killed counts as running for a moment.)"""
        try:
            with psycopg.connect(self.postgres.url, connect_timeout=10):
                return
        except psycopg.Error:
            self.postgres.start()

    def _sql(self, statement: str) -> None:
        self.revive_postgres()
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(statement)
