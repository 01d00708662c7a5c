"""Unix sockets whose path may be longer than the operating system allows."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LONGEST_PATH: Final = 103
"""Bytes of a Unix socket's path: sun_path has 104 on macOS and 108 on Linux, including the final zero."""


@contextmanager
def open_short_path(path: Path) -> Iterator[str]:
    """A path of the socket ``path`` that is short enough, valid within the context: on Linux by way of its open folder.

    Raises OSError when the folder cannot be opened, or where a long path cannot be shortened.
    """
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    if not Path("/proc/self/fd").exists():
        raise OSError(f"the path of a socket has at most {LONGEST_PATH} bytes here: {path}")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
