"""The segment that a collector writes, and the recovery of those that killed collectors left."""

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import Final

import msgspec

from collector.contract import Row
from collector.senders.receipts import PREFIX, Receipt
from collector.spool.durable_files import ensure_directory, sync_directory, write_all_bytes
from collector.spool.segments import segment_file_name
from core.metrics import count_degraded

OPEN: Final = ".open"
"""Suffix of a segment that is being written; its writer holds its flock."""


class OpenSegment:
    """The segment being written. ``size`` and ``count`` are what is durable; the file never keeps more after
    a failure."""

    def __init__(self, directory: Path) -> None:
        self.opened_at = time.monotonic()
        self.size = 0
        self.count = 0
        self._sha = hashlib.sha256()
        self._directory = directory
        self._dirty = False
        self.path, self._fd = _create_locked_file(directory)
        try:
            sync_directory(directory)
        except OSError:
            os.close(self._fd)
            self.path.unlink(missing_ok=True)
            raise

    def append_lines(self, lines: bytes, count: int) -> None:
        """Make ``lines`` durable, all or nothing. Raises OSError."""
        if self._dirty:
            self._truncate_to_durable()
        try:
            write_all_bytes(self._fd, lines)
            os.fdatasync(self._fd)
        except OSError:
            self._dirty = True
            with contextlib.suppress(OSError):  # tried again before the next write and before sealing
                self._truncate_to_durable()
            raise
        self._sha.update(lines)
        self.size += len(lines)
        self.count += count

    def seal(self, sealed_ns: int) -> None:
        """Give the file its final name. Raises OSError and changes nothing.

        Once the name is final, nothing may be added: the lander reads the file, and deletes it. So what fails after the
        rename is no failure to seal. (Without its directory's fsync a crash of the machine may bring the old name back,
        which is what `recover` looks for.)
        """
        if self._dirty:
            self._truncate_to_durable()
        if not self.count:
            self.path.unlink(missing_ok=True)
            return
        try:
            os.rename(self.path, self._directory / segment_file_name(sealed_ns, self.count, self._sha))
        except OSError:
            if self.path.exists():
                raise
            # A file system on a network may carry a rename out and report that it failed.
            count_degraded("spool", "rename_reported_failed")
        try:
            sync_directory(self._directory)
        except OSError:
            count_degraded("spool", "directory_sync_failed")

    def close(self) -> None:
        os.close(self._fd)

    def _truncate_to_durable(self) -> None:
        os.ftruncate(self._fd, self.size)
        os.fdatasync(self._fd)
        self._dirty = False


def recover_open_files(directory: Path) -> int:
    """Seal what killed writers left (files whose flock is free), cut at the last whole line. Returns the
    events saved.

    What stands behind a line that is no row (a torn tail: nobody was told that it was accepted) goes to the
    quarantine.
    """
    saved = 0
    for path in sorted(Path(directory).glob(f"*{OPEN}")):
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # its writer lives
                continue
            else:
                saved += _recover_open_file(path, fd)
            finally:
                os.close(fd)
    return saved


def _recover_open_file(path: Path, fd: int) -> int:
    content = path.read_bytes()
    whole, count = _find_whole_lines(content)
    if len(whole) < len(content):
        count_degraded("spool", "torn_tail")
        tail = ensure_directory(path.parent / "quarantine") / f"{path.stem}.tail"
        tail.write_bytes(content[len(whole) :])
        os.ftruncate(fd, len(whole))
    os.fsync(fd)
    if count:
        os.rename(path, path.parent / segment_file_name(time.time_ns(), count, hashlib.sha256(whole)))
    else:
        path.unlink()
    sync_directory(path.parent)
    return count


def _find_whole_lines(content: bytes) -> tuple[bytes, int]:
    row, receipt = msgspec.json.Decoder(Row), msgspec.json.Decoder(Receipt)
    end = count = 0
    while (newline := content.find(b"\n", end)) >= 0:
        is_receipt = content.startswith(PREFIX, end)
        try:
            (receipt if is_receipt else row).decode(content[end:newline])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            break
        end = newline + 1
        count += not is_receipt
    return content[:end], count


def _create_locked_file(directory: Path) -> tuple[Path, int]:
    while True:
        path = directory / f"{os.getpid()}-{secrets.token_hex(4)}{OPEN}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return path, fd
        os.close(fd)  # a recovery took it for a dead writer's, between the two calls
