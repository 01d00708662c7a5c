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
    """A process of the installation, with its log file.

    ``refusal``: returns the reason why the process must not start now, '' if it may. ``restart_at``, ``kill_at``,
    ``started_at``: monotonic seconds. ``restarts``: restarts since it last ran steadily. ``replaced``: restarts because it did
    not answer.
    """

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
        """Start the process with a pipe as standard input, which closes when this process ends.

        Returns False if the process must not start now; the reason is in ``refused``.
        """
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
                start_new_session=True,  # Ctrl-C reaches only this process, which stops the parts in order
            )
        self.started_at = time.monotonic()
        for watch in self.watches:
            watch.mark_started()
        return True

    def is_running(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.is_running():
            self.process.terminate()

    def overdue_seconds(self) -> float:
        """Seconds since its last answer if that exceeds the limit, otherwise 0."""
        return max((watch.silent_s for watch in self.watches if watch.is_overdue), default=0.0)

    def kill_process(self) -> None:
        """Send SIGKILL to the process and its children."""
        if self.process is not None and self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def wait_for_end(self, until: float) -> None:
        """Wait until ``until`` (monotonic seconds) for the process to end, then kill it."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill_process()
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
