"""Further processes of one collector: each binds the same port (SO_REUSEPORT), and the kernel spreads the connections.

The processes share nothing but the spool's directory: each has a segment, limits and rates of its own. They are forked before
any thread, store or event loop exists. All of them end together: when one ends by itself, the first one stops and exits with 1,
and whoever supervises the collector starts all of them again.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Final

from core.metrics import count_degraded

_STOP_SECONDS: Final = 15.0
_log = logging.getLogger("collector.siblings")


class Siblings:
    """The further processes, as the first one sees them."""

    def __init__(self, number: int) -> None:
        """Fork ``number`` processes. ``is_first`` is false in each of them; there, `stop` does nothing."""
        self.is_first = True
        self.failed = False
        self._pids: set[int] = set()
        self._stopping = False
        reader, self._writer = os.pipe()
        for _ in range(number):
            pid = os.fork()
            if pid == 0:
                os.close(self._writer)
                self.is_first, self._pids = False, set()
                threading.Thread(target=_end_with_first, args=(reader,), name="siblings", daemon=True).start()
                return
            self._pids.add(pid)
        os.close(reader)

    def stop(self) -> None:
        """End the further processes: they finish their requests and seal their segments. Killed after 15 s."""
        if not self.is_first or self._stopping:
            return
        self._stopping = True
        os.close(self._writer)
        end = time.monotonic() + _STOP_SECONDS
        while self._reap_ended_processes() and time.monotonic() < end:
            time.sleep(0.02)
        for pid in self._pids:
            count_degraded("collector", "process_killed")
            os.kill(pid, signal.SIGKILL)

    def _reap_ended_processes(self) -> bool:
        """Whether some still run."""
        for pid in list(self._pids):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG) == (0, 0):
                    continue
            self._pids.discard(pid)
        return bool(self._pids)

    def watch(self) -> None:
        """Stop this process, too, when one of the others ends by itself; `failed` is true then."""
        if self._pids:
            signal.signal(signal.SIGCHLD, self._note_ended_process)
            self._note_ended_process(signal.SIGCHLD, None)  # one may have ended already

    def _note_ended_process(self, _number: int, _frame: FrameType | None) -> None:
        before = len(self._pids)
        self._reap_ended_processes()
        if self._stopping or len(self._pids) == before:
            return
        self.failed = True
        count_degraded("collector", "process_ended")
        _log.error("a process of the collector has ended: all of them stop")
        os.kill(os.getpid(), signal.SIGTERM)


def _end_with_first(reader: int) -> None:
    os.read(reader, 1)  # ends when the first process has closed its end, or is gone
    os.kill(os.getpid(), signal.SIGTERM)
