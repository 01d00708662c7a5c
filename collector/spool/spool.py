"""The durable spool between the HTTP interface and the event store: it keeps events that were answered 202 until they land.

Beside the dead letters and the quarantine, a directory contains::

    <pid>-<random>.open                          written by one collector, which holds its flock
    <time ns>-<count>-<sha256/32 hex>.jsonl      sealed, immutable: one normalised row or receipt as JSON per line
                                                 (the count is of rows)

Requests share one ``fdatasync`` (group commit): all that arrive during a sync are written and synced together by the next,
and answered after it. A segment is sealed when it reaches an age or a size, by a rename and an fsync of the directory. After
a failed write the file is truncated to the last commit: nothing of a refused request stays in it.
"""

import asyncio
import contextlib
import errno
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from collector.spool.dead_letters import DeadLetters
from collector.spool.durable_files import ensure_directory
from collector.spool.open_segment import OpenSegment, recover_open_files
from collector.spool.quota import NOBODY, Owner, SpoolQuota
from collector.spool.segments import Pending, count_pending, list_segments
from core.errors import TransientError
from core.metrics import count_degraded

_ROOM = 64 << 10  # bytes that must be free below the limit before a full spool counts as healthy again
_SIZES_SECONDS = 1.0  # how long the measured size of the sealed segments is used; the lander deletes segments meanwhile


class SpoolFull(TransientError):
    """The disk or the configured limit is full. Nothing of the request was kept."""


class SpoolClosed(TransientError):
    """The spool is shutting down."""


@dataclass(slots=True)
class _AppendRequest:
    rows: bytes
    count: int
    dead: bytes
    receipts: bytes
    owner: Owner
    done: "Future[None] | asyncio.Future[None]"

    @property
    def size(self) -> int:
        """Bytes of its rows and receipts."""
        return len(self.rows) + len(self.receipts)


class Spool:
    """The writer of a spool. Thread-safe; an instance has one open segment, which ``close()`` seals."""

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 2 << 30,
        dead_letter_max_bytes: int = 256 << 20,
        seal_bytes: int = 32 << 20,
        seal_seconds: float = 1.0,
        project_part: float = 1.0,
        sender_part: float = 1.0,
    ) -> None:
        """Open the spool in ``directory`` and recover the segments of killed writers. Raises OSError when the directory
        cannot be used.

        ``max_bytes`` limits the data that waits to land. ``dead_letter_max_bytes`` limits the dead letters; beyond it, they
        are counted and answered but not kept (``furrow_degraded_total``), so that invalid events cannot stop the intake.
        ``project_part`` and ``sender_part``: shares of ``max_bytes`` that the visitors of a project, and one of them, may fill.
        """
        self.directory = ensure_directory(directory)
        self._dead_letters = DeadLetters(directory, dead_letter_max_bytes)
        self._max_bytes = max_bytes
        self._seal_bytes = seal_bytes
        self._seal_seconds = seal_seconds
        self._waiting: list[_AppendRequest] = []
        self._wake = threading.Condition()
        self._closing = False
        self._open: OpenSegment | None = None
        self._last_ns = 0
        self._quota = SpoolQuota(int(max_bytes * project_part), int(max_bytes * sender_part))
        self._sealed_bytes = 0
        self._sizes_at = self._quota_at = float("-inf")
        self.failing = ""
        """Why the last commit failed; empty while events are accepted."""
        recover_open_files(directory)
        self._thread = threading.Thread(target=self._run_writer, name="spool", daemon=True)
        self._thread.start()

    def append(
        self, rows: bytes, count: int, dead_letters: bytes = b"", receipts: bytes = b"", owner: Owner = NOBODY
    ) -> "Future[None]":
        """Enqueue ``count`` rows as JSON lines, dead letters and the receipts of the rows; the future is done when they are
        durable.

        The future fails with SpoolFull when nothing was kept, with QuotaFull when that is because of ``owner``'s quota, with
        SpoolClosed after ``close()``.
        """
        done: Future[None] = Future()
        with self._wake:
            if self._closing:
                done.set_exception(SpoolClosed("the collector is shutting down", retry_after=5))
                return done
            self._waiting.append(_AppendRequest(rows, count, dead_letters, receipts, owner, done))
            self._wake.notify()
        return done

    def append_on_loop(
        self, rows: bytes, count: int, dead_letters: bytes = b"", receipts: bytes = b"", owner: Owner = NOBODY
    ) -> "asyncio.Future[None]":
        """As `append`, for a caller on an event loop: a commit takes all requests of one turn of the loop, and wakes the loop
        once for all of them.

        Cancelling the future changes nothing: the events stay accepted.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        with self._wake:
            if self._closing:
                done.set_exception(SpoolClosed("the collector is shutting down", retry_after=5))
                return done
            self._waiting.append(_AppendRequest(rows, count, dead_letters, receipts, owner, done))
            if len(self._waiting) == 1:  # else the writer is awake, or will be woken
                loop.call_soon(self._wake_writer)
        return done

    def count_pending(self) -> Pending:
        """The data that waits to land, the open segment included."""
        sealed = count_pending(self.directory)
        current = self._open
        if current is None or not current.count:
            return sealed
        return Pending(sealed.segments + 1, sealed.events + current.count, sealed.bytes + current.size)

    def count_dead_letters(self) -> int:
        """The number of dead letters on disk; reads only lines that were added since the last call."""
        return self._dead_letters.count_lines()

    def check_room(self) -> None:
        """Clear an earlier failure, because the disk accepts writes again. Raises SpoolFull when there is no room below the
        limit."""
        held = self.count_pending().bytes
        if held + min(_ROOM, self._max_bytes // 16) > self._max_bytes:
            raise SpoolFull(f"the spool has {held} of {self._max_bytes} bytes")
        self.failing = ""

    def close(self) -> None:
        """Commit the queued requests, seal the segment, and stop. Idempotent."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _wake_writer(self) -> None:
        with self._wake:
            self._wake.notify()

    # -------------------------------------------------------------------------------------- the writer thread

    def _run_writer(self) -> None:
        while True:
            with self._wake:
                if not self._waiting and not self._closing:
                    self._wake.wait(self._seconds_until_sealing())
                requests, self._waiting = self._waiting, []
                closing = self._closing
            if requests:
                self._commit_requests([request for request in requests if _begin_request(request.done)])
            if self._open is not None and (closing or self._is_sealing_due(self._open)):
                self._seal_open_segment()
            if closing and not requests:
                return

    def _seconds_until_sealing(self) -> float | None:
        if self._open is None:
            return None
        return max(0.0, self._open.opened_at + self._seal_seconds - time.monotonic())

    def _is_sealing_due(self, current: "OpenSegment") -> bool:
        age = time.monotonic() - current.opened_at
        return age >= self._seal_seconds or current.size >= self._seal_bytes

    def _commit_requests(self, requests: list[_AppendRequest]) -> None:
        try:
            requests = self._refuse_over_quota(requests)
            self._write_requests(requests)
        except Exception as error:  # every sender must learn that nothing was kept
            self.failing = str(error)
            count_degraded("spool", "full" if _is_disk_full(error) else "io_error")
            refusal = SpoolFull(f"events cannot be made durable: {error}", retry_after=5)
            _settle_requests(requests, refusal)
        else:
            self.failing = ""
            _settle_requests(requests, None)

    def _refuse_over_quota(self, requests: list[_AppendRequest]) -> list[_AppendRequest]:
        """The requests whose owners may fill more of the spool; the others are refused."""
        held = self._sealed_bytes + (self._open.size if self._open else 0)
        if not self._quota.is_needed(sum(request.size for request in requests), held):
            return requests
        if time.monotonic() - self._quota_at > _SIZES_SECONDS:
            self._quota.refresh(list_segments(self.directory), read=True)
            self._quota_at = time.monotonic()
        refusals = self._quota.find_refusals([(request.owner, request.size) for request in requests])
        left: list[_AppendRequest] = []
        for request, refusal in zip(requests, refusals, strict=True):
            if refusal is None:
                left.append(request)
            else:
                _settle_requests([request], refusal)
        return left

    def _write_requests(self, requests: list[_AppendRequest]) -> None:
        # Receipts first: a torn tail that loses a receipt loses its rows, too.
        rows = b"".join(request.receipts + request.rows for request in requests if request.rows)
        dead = b"".join(request.dead for request in requests)
        self._check_size_limit(len(rows) + len(dead))
        # Dead letters first: if the rows fail, the whole request is refused; a dead letter that was kept is correct anyway.
        if dead:
            self._dead_letters.append(dead)
        if rows:
            if self._open is None:
                self._open = OpenSegment(self.directory)
            self._open.append_lines(rows, sum(request.count for request in requests))
            for request in requests:
                self._quota.count_bytes(request.owner, request.size)

    def _check_size_limit(self, added: int) -> None:
        current = self._open.size if self._open else 0
        if time.monotonic() - self._sizes_at > _SIZES_SECONDS or self._sealed_bytes + current + added > self._max_bytes:
            segments = list_segments(self.directory)
            self._quota.refresh(segments, read=False)
            self._sealed_bytes = sum(segment.size for segment in segments)
            self._sizes_at = time.monotonic()
        if self._sealed_bytes + current + added > self._max_bytes:
            raise SpoolFull(f"the spool has {self._sealed_bytes + current} of {self._max_bytes} bytes")

    def _seal_open_segment(self) -> None:
        assert self._open is not None
        self._last_ns = max(self._last_ns + 1, time.time_ns())
        try:
            self._quota.seal_segment(self._open.seal(self._last_ns))
        except OSError as error:  # the file stays, durable and locked; the next round tries again
            self.failing = str(error)
            self._open.opened_at = time.monotonic()
            count_degraded("spool", "seal_failed")
            if not self._closing:
                return
        self._sealed_bytes += self._open.size
        self._open.close()
        self._open = None


def _begin_request(done: "Future[None] | asyncio.Future[None]") -> bool:
    return isinstance(done, asyncio.Future) or done.set_running_or_notify_cancel()


def _settle_requests(requests: list[_AppendRequest], refusal: TransientError | None) -> None:
    of_loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for request in requests:
        if isinstance(request.done, asyncio.Future):
            of_loops.setdefault(request.done.get_loop(), []).append(request.done)
        else:
            _settle_future(request.done, refusal)
    for loop, futures in of_loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(_settle_futures, futures, refusal)


def _settle_futures(futures: "list[asyncio.Future[None]]", refusal: TransientError | None) -> None:
    for done in futures:
        if not done.done():  # cancelled meanwhile
            _settle_future(done, refusal)


def _settle_future(done: "Future[None] | asyncio.Future[None]", refusal: TransientError | None) -> None:
    if refusal is None:
        done.set_result(None)
    else:
        done.set_exception(refusal)


def _is_disk_full(error: Exception) -> bool:
    return isinstance(error, SpoolFull) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    )
