"""What a process writes to its log: one line that repeats is folded, and an exception shows its way but not its words.

The words of an exception may hold what a stranger sent: part of a body, a header, an address. So a traceback names files,
lines and types; only our own errors and those of the operating system keep their message.
"""

import logging
import os
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from traceback import format_tb
from types import TracebackType
from typing import TypeAlias

from core.errors import FurrowError

FOLD_SECONDS = 10.0
"""A line is written ``FOLD_AFTER`` times in so long; the others are counted."""
FOLD_AFTER = 5
_KINDS = 1_000  # of lines that are counted at once; the oldest is forgotten
_CHAIN = 10

_Traceback: TypeAlias = TracebackType | None
_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, _Traceback] | tuple[None, None, None]


class RepeatFilter(logging.Filter):
    """Lets the same line (of one logger, level and text before its arguments) through some times, then counts it.

    The next one after that time says how many were left out: ``… (repeated 812 times)``.
    """

    def __init__(self, seconds: float = FOLD_SECONDS, after: int = FOLD_AFTER) -> None:
        super().__init__()
        self._seconds = seconds
        self._after = after
        self._seen: OrderedDict[tuple[str, int, str], list[float]] = OrderedDict()  # [since (s), number]

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written."""
        kind = (record.name, record.levelno, str(record.msg)[:200])
        now = time.monotonic()
        seen = self._seen.get(kind)
        if seen is None or now - seen[0] > self._seconds:
            left_out = int(seen[1]) - self._after if seen else 0
            self._seen[kind] = [now, 1]
            self._seen.move_to_end(kind)
            if len(self._seen) > _KINDS:
                self._seen.popitem(last=False)
            if left_out > 0:
                record.msg, record.args = f"{record.getMessage()} (repeated {left_out} times)", ()
            return True
        seen[1] += 1
        return seen[1] <= self._after


class DiscreetFormatter(logging.Formatter):
    """Tracebacks without the messages of exceptions that may hold what somebody sent."""

    def formatException(self, ei: _ExcInfo) -> str:  # logging's name
        """The way to each exception of the chain, its type, and its message where it is ours."""
        if ei[1] is None:
            return ""
        parts = []
        for error in _chain_of_errors(ei[1]):
            where = "".join(format_tb(error.__traceback__)).rstrip()
            message = f": {error}" if isinstance(error, FurrowError | OSError) else ""
            parts.append(f"{where}\n{type(error).__name__}{message}".strip())
        return "\ncaused by\n".join(parts)


def _chain_of_errors(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_CHAIN):
        if error is None:
            return
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def log_to_standard_error(part: str) -> None:
    """Write this process's log to standard error, folded and discreet."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(DiscreetFormatter(f"%(asctime)s {part} %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def log_unforeseen_error(error: Exception, data_dir: Path | None) -> Path:
    """Write an error that nobody foresaw, with the way to it, to a file for this user alone; which one.

    It is ``logs/commands.log`` of the data directory, or a file of the system's temporary directory where there is none.
    Raises OSError when neither can be written.
    """
    formatter = DiscreetFormatter("%(asctime)s furrow %(levelname)s %(message)s")
    exc_info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("furrow", logging.ERROR, "", 0, "a command stopped", (), exc_info)
    lines = f"{formatter.format(record)}\n".encode()
    logs = data_dir.expanduser().absolute() / "logs" if data_dir else None
    if logs is not None and os.access(logs, os.W_OK):
        log = logs / "commands.log"
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    else:
        fd, name = tempfile.mkstemp(prefix="furrow-error-", suffix=".log")
        log = Path(name)
    with os.fdopen(fd, "ab") as file:
        file.write(lines)
    return log
