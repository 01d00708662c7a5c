"""Log output of a process: repeated lines are folded, and tracebacks omit the messages of exceptions.

The message of an exception may contain data from a request: part of a body, a header, an address. A traceback therefore shows
files, lines and types; only Furrow's own errors and those of the operating system keep their message.
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
"""Period (s) in which a line is written at most ``FOLD_AFTER`` times; further repeats are counted."""
FOLD_AFTER = 5
_KINDS = 1_000  # different lines that are counted; beyond that the oldest is dropped
_CHAIN = 10

_Traceback: TypeAlias = TracebackType | None
_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, _Traceback] | tuple[None, None, None]


class RepeatFilter(logging.Filter):
    """Passes the same line (one logger, level and unformatted text) ``after`` times in ``seconds``, then counts it.

    The next line after that period shows the count: ``… (repeated 812 times)``.
    """

    def __init__(self, seconds: float = FOLD_SECONDS, after: int = FOLD_AFTER) -> None:
        super().__init__()
        self._seconds = seconds
        self._after = after
        self._seen: OrderedDict[tuple[str, int, str], list[float]] = OrderedDict()  # [since (s), number]

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
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
    """Tracebacks without messages that may contain data from a request."""

    def formatException(self, ei: _ExcInfo) -> str:  # logging's name
        """The traceback and type of each exception of the chain, and the message if it is Furrow's own."""
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
    """Write this process's log to standard error, with both filters above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(DiscreetFormatter(f"%(asctime)s {part} %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def log_unforeseen_error(error: Exception, data_dir: Path | None) -> Path:
    """Write an unexpected error with its traceback to a file that only this user can read; returns the file.

    The file is ``logs/commands.log`` of the data directory, or without one a temporary file. Raises OSError if neither can be
    written.
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
