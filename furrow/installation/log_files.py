"""Keeps the log files of an installation small: the processes append to them, this process turns them over.

A process writes through a descriptor that it got at its start, so that a file cannot be replaced under it. It is copied and
then cut to nothing instead; the descriptor appends, and goes on at the beginning. What is written between the last look at
the copy and the cut, some microseconds, is lost. A pipe would lose nothing, but a supervisor that hangs would then
stop every process that logs.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from core.metrics import count_degraded

FILES: Final = 5
"""Files of one log, the one that is written included."""
_LOOK_SECONDS = 1.0
_PIECE = 1 << 20


@contextlib.contextmanager
def keep_logs_small(logs: Callable[[], Sequence[Path]], most_bytes: int) -> Iterator[None]:
    """Look at the files that ``logs`` names each second, until the end; one log takes up to ``most_bytes`` in `FILES` files."""
    over = threading.Event()

    def watch_log_sizes() -> None:
        while not over.wait(_LOOK_SECONDS):
            for log in logs():
                rotate_log(log, most_bytes // FILES)

    thread = threading.Thread(target=watch_log_sizes, name="log-files", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def rotate_log(log: Path, most_bytes: int, files: int = FILES) -> bool:
    """When ``log`` holds over ``most_bytes``, move it to ``log.1`` (that to ``.2``, …) and empty it. Never raises."""
    try:
        if log.stat().st_size <= most_bytes:
            return False
        oldest = files - 1
        for number in range(oldest, 1, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(_numbered_log_path(log, number - 1), _numbered_log_path(log, number))
        _move_log_content(log, _numbered_log_path(log, 1), most_bytes)
    except FileNotFoundError:
        return False
    except OSError:
        count_degraded("log_files", "not_turned_over")
        with contextlib.suppress(OSError):  # a full disk: an empty log is worth more than no room
            os.truncate(log, 0)
        return False
    return True


def _numbered_log_path(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _move_log_content(log: Path, to: Path, most_bytes: int) -> None:
    # Of a log that grew far beyond its size since the last look, the end is kept.
    source = os.open(log, os.O_RDWR)
    target = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.lseek(source, max(0, os.fstat(source).st_size - 2 * most_bytes), os.SEEK_SET)
        left = 3 * most_bytes  # whoever writes faster than this copies is not waited for
        while left > 0 and (piece := os.read(source, _PIECE)):
            left -= len(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(target, rest) :]
        os.ftruncate(source, 0)
    finally:
        os.close(source)
        os.close(target)
