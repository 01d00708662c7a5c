"""Helpers of all benchmarks: clock, CPU pinning, memory, machine."""

import gc
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa

_T = TypeVar("_T")

PATIENCE_S: Final = 4.0
"""A measurement that took longer is not repeated."""


@dataclass(frozen=True)
class Took:
    """Seconds: on the clock, and of CPU in all threads of this process."""

    wall: float
    cpu: float


def clock(work: Callable[[], _T], rounds: int) -> tuple[Took, _T]:
    """The minimum time and the minimum CPU time of ``rounds`` calls, and the result of the last one."""
    best = Took(float("inf"), float("inf"))
    for _ in range(max(rounds, 1)):
        gc.collect()
        start, cpu = time.perf_counter(), time.process_time()
        given = work()
        took = Took(time.perf_counter() - start, time.process_time() - cpu)
        best = Took(min(best.wall, took.wall), min(best.cpu, took.cpu))
        if took.wall > PATIENCE_S:
            break
    return best, given


def pin() -> None:
    """Keep this process on one core, with one thread in Arrow; numpy's own threads are bounded by the environment.

    Where the system cannot pin a process (not Linux), the threads alone are bounded.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


class HighMark:
    """The highest resident memory of this process since this was made, as Linux counts it."""

    def __init__(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak
            self._before: int | None = _status("VmRSS")
        except OSError:
            self._before = None

    def above(self) -> int | None:
        """Bytes above the resident memory at the start; None on other systems than Linux."""
        return None if self._before is None else _status("VmHWM") - self._before

    def whole(self) -> int | None:
        """Bytes of the whole process; None on other systems than Linux."""
        return None if self._before is None else _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Environment of a process with one numpy thread."""


def machine() -> dict[str, Any]:
    """The machine and the versions of the measurement."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        **{name: version(name) for name in ("numpy", "pyarrow", "chdb", "clickhouse-connect")},
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def read_cpu_ns(pid: int | None = None) -> int:
    """Nanoseconds of CPU that the threads of a process (None: this one) took; 0 when it has ended, and on other systems than
    Linux."""
    return sum(int(_read_words(file)[0]) for file in Path(f"/proc/{pid or 'self'}/task").glob("*/schedstat"))


def read_postgres_cpu_ns(postmaster: int) -> int:
    """Nanoseconds of CPU that the processes of a Postgres server took that run now, as ``read_cpu_ns``."""
    children = _read_words(Path(f"/proc/{postmaster}/task/{postmaster}/children"))
    return sum(read_cpu_ns(int(pid)) for pid in children if pid != "0")


def _read_words(file: Path) -> list[str]:
    try:
        return file.read_text().split() or ["0"]
    except OSError:  # other systems, or a process that ended meanwhile
        return ["0"]
