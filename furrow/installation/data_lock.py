"""One process at a time works on a data directory: ``furrow up``, or a command that needs its embedded stores to itself."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from core.errors import PermanentError

UNFINISHED = "restore-unfinished"
"""File that stands in a data directory while a restore writes to it; ``furrow up`` does not start on it."""


@contextlib.contextmanager
def lock_data_directory(data: Path, advice: str) -> Iterator[None]:
    """Hold the lock of ``data``, a directory. Raises PermanentError, with ``advice``, while another process holds it."""
    with (data / "furrow.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PermanentError(f"another Furrow runs on {data}; {advice}") from error
        yield
