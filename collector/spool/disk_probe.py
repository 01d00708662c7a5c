"""Tests the spool's disk with a small write and fsync, and whether it has room for a full batch.

The spool itself notices a recovered disk only with the next events, which a load balancer does not send after a 503. So health
needs its own test.
"""

import contextlib
import errno
import os
import secrets
import time
from typing import Final

import anyio
import anyio.to_thread

from collector.spool.spool import Spool
from core.metrics import count_degraded

EVERY_S: Final = 3.0
"""Least seconds between two tests, however often health is requested."""
PROBE_BYTES: Final = 64 << 10
"""The size of some requests: a smaller write could fit on a disk that has no room for a request."""
LEAST_FREE_BYTES: Final = 4 << 20
"""The stored size of a full batch. A disk with less free space accepts the small write but not the batches of browsers."""

_SUFFIX = ".probe"  # not the name of a segment: all other readers ignore it


class DiskProbe:
    """Tests the spool's disk. One test at a time; concurrent callers get its result."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._next = float("-inf")
        self._failing = ""
        self._guard = anyio.Lock()
        self._thread = anyio.CapacityLimiter(1)
        for left in spool.directory.glob(f"*{_SUFFIX}"):  # of a process that was killed
            with contextlib.suppress(OSError):
                left.unlink()

    async def find_failure(self) -> str:
        """Why events cannot be made durable now; '' when they can."""
        async with self._guard:
            if time.monotonic() >= self._next:
                self._failing = await anyio.to_thread.run_sync(self._try_disk, limiter=self._thread)
                self._next = time.monotonic() + EVERY_S
        return self._failing or self._spool.failing

    def _try_disk(self) -> str:
        try:
            self._write_probe_file()
            self._spool.check_room()
            disk = os.statvfs(self._spool.directory)
            if disk.f_bavail * disk.f_frsize < LEAST_FREE_BYTES:
                raise OSError(errno.ENOSPC, f"less than {LEAST_FREE_BYTES >> 20} MiB are free on the spool's disk")
        except Exception as error:
            count_degraded("spool", "probe_failed")
            return str(error)
        return ""

    def _write_probe_file(self) -> None:
        path = self._spool.directory / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            rest = memoryview(bytes(PROBE_BYTES))
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fdatasync(fd)
        finally:
            os.close(fd)
            with contextlib.suppress(OSError):
                path.unlink()
