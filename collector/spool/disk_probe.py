"""Whether the disk of the spool takes writes now: tried by a small write and fsync, so that health recovers by itself;
and whether it has room for what full batches take.

The spool itself only finds out with the next events, and a load balancer that has read 503 sends none.
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
"""At most once in so many seconds, however often health is asked for."""
PROBE_BYTES: Final = 64 << 10
"""As much as some requests of events: less would fit on a disk that takes none of them."""
LEAST_FREE_BYTES: Final = 4 << 20
"""A full batch as it is stored. A disk with less room takes a small write, and refuses what browsers send."""

_SUFFIX = ".probe"  # neither a segment nor the file of a writer: nobody else in the directory looks at it


class DiskProbe:
    """Tries the spool's disk. One probe at a time; who asks meanwhile gets its result too."""

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
        """Why nothing can be made durable now; '' if it can."""
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
