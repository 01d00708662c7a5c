"""The lock of a data directory: held by ``furrow up``, or by a command that opens the embedded stores."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from core.errors import PermanentError

UNFINISHED = "restore-unfinished"
"""Marker file in a data directory during a restore; ``furrow up`` does not start while it exists."""


@contextlib.contextmanager
def lock_data_directory(data: Path, advice: str) -> Iterator[None]:
    """Hold the lock of the directory ``data``. Raises PermanentError with ``advice`` if another process holds it."""
    with (data / "furrow.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PermanentError(f"another process of Furrow uses {data}; {advice}") from error
        yield
