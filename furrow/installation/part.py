"""One process that ``furrow up`` starts and supervises."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from core.health import HealthWatch
from core.package import ROOT


@dataclass
class Part:
    """One process of the installation, with its log file."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    watches: tuple[HealthWatch, ...] = ()
    refusal: Callable[[], str] = lambda: ""
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    restart_at: float = field(default=0.0)
    kill_at: float = field(default=0.0)
    started_at: float = field(default=0.0)
    replaced: int = 0
    refused: str = ""

    def start_process(self) -> bool:
        """Start it with a pipe as standard input, whose end tells it that we are gone; False if it must not run now, for the
        reason in ``refused`` (of ``refusal``)."""
        self.refused = self.refusal()
        if self.refused:
            return False
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C reaches this process alone, which stops the parts in order
            )
        self.started_at = time.monotonic()
        for watch in self.watches:
            watch.mark_started()
        return True

    def is_running(self) -> bool:
        """Whether it is alive."""
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.is_running():
            self.process.terminate()

    def overdue_seconds(self) -> float:
        """For how long (s) it has not answered, if that is too long; else 0."""
        return max((watch.silent_s for watch in self.watches if watch.is_overdue), default=0.0)

    def kill_process(self) -> None:
        """End it and what it started, whatever they do: a stopped process reacts to nothing less."""
        if self.process is not None and self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def wait_for_end(self, until: float) -> None:
        """Wait for its end until ``until`` (monotonic seconds), then kill it."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill_process()
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
