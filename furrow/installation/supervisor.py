"""Supervises the parts of an installation: restarts parts that ended, and replaces parts that do not answer."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from core import last_errors
from core.errors import FurrowError, PermanentError, TransientError
from core.health import POSTGRES, HealthWatch
from core.metrics import count_degraded
from furrow.installation.part import Part
from stores.embedded_postgres import EmbeddedPostgres

_RESTART_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)
_STEADY_SECONDS = 600.0  # after this time a part counts as stable, and its next restart has no extra delay
_KILL_SECONDS = 10.0  # after SIGTERM
# Postgres is restarted later: somebody may have stopped it on purpose, to inspect or copy it.
_POSTGRES_SECONDS = 30.0
_POSTGRES_POLL_SECONDS = 5.0


class Supervisor:
    """Supervises the ``parts`` of the installation in ``data_dir``. ``say``: called with a message for each action."""

    def __init__(self, data_dir: Path, parts: Sequence[Part], say: Callable[[str], None]) -> None:
        self._data_dir = data_dir
        self._parts = parts
        self._say = say
        self._postgres: EmbeddedPostgres | None = None
        self._postgres_watch: HealthWatch | None = None
        self._postgres_check = 0.0
        self._postgres_down_at: float | None = None

    def watch_postgres(self, postgres: EmbeddedPostgres) -> None:
        """Supervise the embedded Postgres too, which is not a child process."""
        self._postgres = postgres
        self._postgres_watch = HealthWatch(postgres.is_answering, POSTGRES)
        self._postgres_watch.mark_started()

    def stop_watching(self) -> None:
        """Stop supervising Postgres."""
        if self._postgres_watch is not None:
            self._postgres_watch.stop_probing()

    def start_part(self, part: Part) -> None:
        """Start a part. If it cannot start now, report the reason; `check_parts` tries again."""
        refused = part.refused
        if part.start_process():
            return
        part.restart_at = time.monotonic() + _RESTART_SECONDS[-1]
        if part.refused != refused:
            self._say(f"the {part.name} cannot start, trying again every {_RESTART_SECONDS[-1]:.0f} s: {part.refused}")
            last_errors.record_last_error(self._data_dir, part.name, PermanentError(part.refused))

    def check_parts(self) -> None:
        """Check every part once, and restart or stop it if needed. Waits only for a Postgres that it starts."""
        for part in self._parts:
            if not part.is_running():
                self._restart_ended_part(part)
            elif part.kill_at:
                if time.monotonic() >= part.kill_at:
                    part.kill_process()
            elif silent := part.overdue_seconds():
                self._stop_silent_part(part, silent)
        if self._postgres and time.monotonic() >= self._postgres_check:
            self._postgres_check = time.monotonic() + _POSTGRES_POLL_SECONDS
            self._check_postgres(self._postgres)

    def _check_postgres(self, server: EmbeddedPostgres) -> None:
        now = time.monotonic()
        if server.is_running():
            self._postgres_down_at = None
            self._end_hung_postgres(server)
        elif self._postgres_down_at is None:
            self._postgres_down_at = now
            log = server.data_dir / "server.log"
            self._say(f"Postgres does not run; restarting it in {_POSTGRES_SECONDS:.0f} s, see {log}")
        elif now - self._postgres_down_at >= _POSTGRES_SECONDS:
            self._postgres_down_at = now
            try:
                server.start()
            except FurrowError as error:
                count_degraded("postgres", "start")
                self._say(f"Postgres could not be started: {error}")

    def _end_hung_postgres(self, server: EmbeddedPostgres) -> None:
        watch = self._postgres_watch
        if watch is None or not watch.is_overdue:
            return
        count_degraded("postgres", "does_not_answer")
        message = f"did not answer for {watch.silent_s:.0f} s and is restarted"
        self._say(f"Postgres {message}, see {server.data_dir / 'server.log'}")
        last_errors.record_last_error(self._data_dir, "incident store", TransientError(f"Postgres {message}"))
        server.kill()
        watch.mark_started()

    def _stop_silent_part(self, part: Part, silent_s: float) -> None:
        """Stop a part that runs but does not answer; `_restart_ended_part` starts it again."""
        part.kill_at = time.monotonic() + _KILL_SECONDS
        part.replaced += 1
        count_degraded(part.name, "does_not_answer")
        message = f"did not answer for {silent_s:.0f} s and is restarted (restart {part.replaced} for this reason)"
        self._say(f"the {part.name} {message}, see {part.log}")
        last_errors.record_last_error(self._data_dir, part.name, TransientError(message))
        part.ask_to_stop()

    def _restart_ended_part(self, part: Part) -> None:
        now = time.monotonic()
        if not part.restart_at:
            for watch in part.watches:
                watch.mark_ended(overdue=bool(part.kill_at))
            part.kill_at = 0.0
            if now - part.started_at > _STEADY_SECONDS:
                part.restarts = 0
            delay = _RESTART_SECONDS[min(part.restarts, len(_RESTART_SECONDS) - 1)]
            part.restart_at, part.restarts = now + delay, part.restarts + 1
            code = part.process.returncode if part.process else "?"
            self._say(f"the {part.name} ended ({code}); restarting it in {delay:.0f} s, see {part.log}")
        elif now >= part.restart_at:
            part.restart_at = 0.0
            self.start_part(part)
