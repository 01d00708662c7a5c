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
    """The segment being written. ``size`` (bytes) and ``count`` (rows) are durable; after a failure the file is truncated
    to them."""

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
            with contextlib.suppress(OSError):  # repeated before the next write and before sealing
                self._truncate_to_durable()
            raise
        self._sha.update(lines)
        self.size += len(lines)
        self.count += count

    def seal(self, sealed_ns: int) -> str:
        """Give the file its final name, and return it; '' when it holds nothing. Raises OSError when that fails; then nothing
        has changed.

        After the rename nothing may be appended: the lander reads the file and deletes it. So later failures are not
        failures to seal. (Without the fsync of the directory, a crash of the machine may restore the old name, and
        `recover_open_files` finds the file.)
        """
        if self._dirty:
            self._truncate_to_durable()
        if not self.count:
            self.path.unlink(missing_ok=True)
            return ""
        name = segment_file_name(sealed_ns, self.count, self._sha)
        try:
            os.rename(self.path, self._directory / name)
        except OSError:
            if self.path.exists():
                raise
            # A network file system may perform a rename and report that it failed.
            count_degraded("spool", "rename_reported_failed")
        try:
            sync_directory(self._directory)
        except OSError:
            count_degraded("spool", "directory_sync_failed")
        return name

    def close(self) -> None:
        os.close(self._fd)

    def _truncate_to_durable(self) -> None:
        os.ftruncate(self._fd, self.size)
        os.fdatasync(self._fd)
        self._dirty = False


def recover_open_files(directory: Path) -> int:
    """Seal the segments of killed writers (files whose flock is free) up to the last valid line. Returns the number of
    recovered events.

    The rest of the file (a torn tail: its events were never answered 202) goes to the quarantine.
    """
    saved = 0
    for path in sorted(Path(directory).glob(f"*{OPEN}")):
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # its writer is running
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
        os.close(fd)  # between the two calls, a recovery took it for the file of a killed writer
