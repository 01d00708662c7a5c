"""Rotates the log files of an installation, to which other processes append.

A process keeps the file descriptor that it got at its start, so its file cannot be renamed. Instead the file is copied and
truncated; the descriptor is in append mode and continues at the start. Lines written in the microseconds between copy and
truncation are lost. A pipe would lose none, but a hanging supervisor would then block every process that logs.
"""

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from core.metrics import count_degraded

FILES: Final = 5
"""Files of one log, including the current one."""
_LOOK_SECONDS = 1.0
_PIECE = 1 << 20
_MAX_LINE_LENGTH = 500
_ERROR_CLASS = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Exit|Interrupt)\b:?\s*")


def read_last_line(log: Path) -> str:
    """The last line of a log that is not empty, at most 500 characters; of a traceback it is the error, without its class."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "the log is empty")
    return (_ERROR_CLASS.sub("", last) or "an error without a message")[:_MAX_LINE_LENGTH]


@contextlib.contextmanager
def keep_logs_small(logs: Callable[[], Sequence[Path]], most_bytes: int) -> Iterator[None]:
    """Check the files that ``logs`` returns every second. Each log may use ``most_bytes`` in `FILES` files."""
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
    """If ``log`` is larger than ``most_bytes``, move its content to ``log.1`` (that to ``.2``, …). Never raises OSError."""
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
        with contextlib.suppress(OSError):  # the disk may be full: free space is more important than the log
            os.truncate(log, 0)
        return False
    return True


def _numbered_log_path(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _move_log_content(log: Path, to: Path, most_bytes: int) -> None:
    # If the log has grown far beyond its limit since the last check, only its end is kept.
    source = os.open(log, os.O_RDWR)
    target = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.lseek(source, max(0, os.fstat(source).st_size - 2 * most_bytes), os.SEEK_SET)
        left = 3 * most_bytes  # stop copying if the log grows faster than it is copied
        while left > 0 and (piece := os.read(source, _PIECE)):
            left -= len(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(target, rest) :]
        os.ftruncate(source, 0)
    finally:
        os.close(source)
        os.close(target)
