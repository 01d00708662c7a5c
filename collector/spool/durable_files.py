"""Durable writes: complete files, in folders whose entries are synced."""

import os
from pathlib import Path


def write_all_bytes(fd: int, content: bytes) -> None:
    """Write all of ``content``. Raises OSError."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def ensure_directory(folder: Path) -> Path:
    """Create the folder if it is missing (mode 0700); returns it. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(folder.parent)
    return folder


def sync_directory(folder: Path) -> None:
    """Make the entries of a folder durable. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
