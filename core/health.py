"""Health checks of the parts of an installation: whether each part answers, because a stuck process still runs.

A watch checks one part every few seconds in its own thread and adds up how long the part has not answered. Time without
checks does not count, for example while a laptop sleeps or the supervisor is suspended.
"""

import http.client
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.metrics import count_degraded

INTERVAL_S: Final = 5.0
"""Time between two checks of a part."""
PROBE_S: Final = 10.0
"""Timeout of one check; long, because a busy machine answers slowly."""
START_S: Final = 300.0
"""How long a part may take to answer for the first time: it may migrate a database, or replay a log."""
BEAT_S: Final = 2.0
"""Time between two touches of a heartbeat file."""
MOST_PATIENCE: Final = 16
"""Upper limit of the factor on ``start_s``, which doubles when a restarted part did not answer in time."""

Probe = Callable[[], bool]


@dataclass(frozen=True)
class Limits:
    """Seconds without an answer after which a part is restarted: after its first answer (``silent_s``), and before it."""

    silent_s: float
    start_s: float = START_S


COLLECTOR: Final = Limits(60.0)
PREFECT: Final = Limits(90.0)
POSTGRES: Final = Limits(180.0)
WORKER: Final = Limits(120.0)
"""Of the event loop of the engine, which serves the worker."""
LANDER: Final = Limits(900.0)
"""Of the lander's loop: an insert may take one minute and each of its counts two, on a full disk all of them."""


class HealthWatch:
    """Checks one part repeatedly. ``probe`` returns whether the part answers; it is called in the watch's own thread."""

    def __init__(self, probe: Probe, limits: Limits, interval_s: float = INTERVAL_S) -> None:
        self._probe = probe
        self._limits = limits
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._paused = True
        self._answered = False
        self._silent_s = 0.0
        self._patience = 1
        self._thread = threading.Thread(target=self._probe_until_stopped, name="furrow-health", daemon=True)
        self._thread.start()

    def mark_started(self) -> None:
        """Record that the part was started: ``start_s`` applies until its first answer."""
        self._answered, self._silent_s, self._paused = False, 0.0, False

    def mark_ended(self, overdue: bool) -> None:
        """Record that the part ended. ``overdue``: it was stopped because it did not answer; if it never answered, the next
        start gets twice the time."""
        if overdue and not self._answered:
            self._patience = min(self._patience * 2, MOST_PATIENCE)
        self._paused, self._silent_s = True, 0.0

    def stop_probing(self) -> None:
        """End the checks."""
        self._stop.set()

    @property
    def has_answered(self) -> bool:
        """Whether the part has answered since it was started."""
        return self._answered

    @property
    def silent_s(self) -> float:
        """Checked time (s) without an answer."""
        return self._silent_s

    @property
    def is_overdue(self) -> bool:
        """Whether the part must be restarted."""
        limit = self._limits.silent_s if self._answered else self._limits.start_s * self._patience
        return not self._paused and self._silent_s > limit

    def _probe_until_stopped(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(self._interval_s):
            if not self._paused:
                answers = self._ask_part()
                # In a longer gap nothing was checked.
                passed = min(time.monotonic() - last, self._interval_s + PROBE_S)
                self._record_answer(answers, passed)
            last = time.monotonic()

    def _ask_part(self) -> bool:
        try:
            return self._probe()
        except Exception:
            count_degraded("health", "probe")
            return False

    def _record_answer(self, answers: bool, passed_s: float) -> None:
        if self._paused:  # ended while it was asked
            return
        if answers:
            self._answered, self._silent_s, self._patience = True, 0.0, 1
        else:
            self._silent_s += passed_s


def answers_http(host: str, port: int, path: str, timeout_s: float = PROBE_S) -> bool:
    """Whether an HTTP server answers ``GET path``, with any status."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"connection": "close"})
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Heartbeat:
    """A file that a loop touches to show that it is alive. Only a change of its time matters, not the value."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._next = 0.0
        try:
            file.parent.mkdir(exist_ok=True)
            file.touch(mode=0o600)
        except OSError:
            count_degraded("health", "beat")

    def touch_file(self) -> None:
        """Touch the file, at most every `BEAT_S` seconds. Never raises."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + BEAT_S
        try:
            os.utime(self._file)  # needs no room on the disk
        except OSError:
            count_degraded("health", "beat")


class HeartbeatProbe:
    """Whether a ``Heartbeat`` file has changed since the last check."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = self._read_mtime_ns()

    def __call__(self) -> bool:
        seen, self._seen = self._seen, self._read_mtime_ns()
        return self._seen is not None and self._seen != seen

    def _read_mtime_ns(self) -> int | None:
        try:
            return self._file.stat().st_mtime_ns
        except OSError:
            return None


def heartbeat_file(data_dir: Path, name: str) -> Path:
    """The file of the loop ``name`` (``worker``, ``lander``) of the installation in ``data_dir``."""
    return data_dir / "beats" / name
