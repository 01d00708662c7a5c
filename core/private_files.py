"""What Furrow writes is for the user that runs it alone: directories 0700, files 0600."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from core.errors import PermanentError

UMASK: Final = 0o077
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OURS: Final = ("clickhouse", "last-errors", "logs", "metrics", "prefect", "spool")
"""Directories of a data directory whose content is Furrow's; Postgres sees to its own."""


def restrict_new_files() -> None:
    """From now on, what this process and its children make is closed to other users."""
    os.umask(UMASK)


def restrict_data_directory(data: Path) -> int:
    """Close the data directory, and what an earlier version left open in it; how many entries were changed.

    Raises PermanentError when the directory is one that users share (``/tmp``), or another user's.
    """
    found = data.stat()
    if found.st_mode & stat.S_ISVTX or os.geteuid() not in (0, found.st_uid):
        raise PermanentError(f"{data} is not a directory of your own; choose another with --data-dir")
    return sum(_restrict_entry(path) for path in _list_data_entries(data))


def restrict_folder(folder: Path) -> int:
    """Close a folder in which a library has put files with modes of their own; how many entries were changed."""
    return sum(_restrict_entry(path) for path in (folder, *folder.rglob("*")))


def find_open_entries(data: Path) -> list[Path]:
    """The entries of a data directory that other users can read or enter, as far as they can be seen; the directory first."""
    return [path for path in _list_data_entries(data) if _is_open_to_others(path)]


def _list_data_entries(data: Path) -> Iterator[Path]:
    yield data
    for path in sorted(data.iterdir()):
        if path.is_file():
            yield path
    for name in _OURS:
        for folder, _, files in os.walk(data / name):
            yield Path(folder)
            yield from (Path(folder, file) for file in files)


def _is_open_to_others(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISLNK(found.st_mode) and bool(found.st_mode & _OTHERS)


def _restrict_entry(path: Path) -> bool:
    if not _is_open_to_others(path):
        return False
    try:
        path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~_OTHERS)
    except FileNotFoundError:  # a file that its process has removed
        return False
    return True
