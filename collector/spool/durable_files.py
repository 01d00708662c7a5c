"""Files that must be durable: written whole, in folders that are on disk."""

import os
from pathlib import Path


def write_all_bytes(fd: int, content: bytes) -> None:
    """Write all of it. Raises OSError."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def ensure_directory(folder: Path) -> Path:
    """The folder, made when it is not there (mode 0700). Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(folder.parent)
    return folder


def sync_directory(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
