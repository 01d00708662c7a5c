"""The durable spool between the HTTP edge and the event store: what was answered with 202 lies here until it
has landed.

A directory holds, beside the dead letters and the quarantine::

    <pid>-<random>.open                          written by one collector, which holds its flock
    <time ns>-<count>-<sha256/32 hex>.jsonl      sealed: immutable, one normalised row or receipt as JSON a line
                                                 (the count is of rows)

Writers share one ``fdatasync``: everything that arrived while the last one ran is written and made durable
together (group commit), and answered after it. A segment is sealed by age or size, by rename and an fsync of
the directory. Nothing that was refused stays in a file: after a failed write it is truncated back to the last
commit.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from collector.contract import Row
from collector.senders.receipts import PREFIX, Receipt, SegmentLines, split_segment
from collector.spool.dead_letters import DeadLetters
from collector.spool.durable_files import ensure_directory, sync_directory, write_all_bytes
from core.errors import PermanentError, TransientError
from core.metrics import count_degraded

SEALED: Final = ".jsonl"
_OPEN = ".open"
_DIGEST = 32  # hex digits of the SHA-256 in a segment's name: 128 bits
_ROOM = 64 << 10  # bytes that must be left below the limit before a spool that was full counts as able to take events
_SIZES_SECONDS = 1.0  # how long the size of the sealed segments is believed; the lander deletes them meanwhile


class SpoolFull(TransientError):
    """Nothing can be made durable now: the disk or the configured limit is full. Nothing of the request was
    kept."""


class SpoolClosed(TransientError):
    """The spool is shutting down."""


class SpoolCorrupt(PermanentError):
    """A sealed segment is not what was sealed (checksum or count); quarantine it, never insert it."""


class Pending(NamedTuple):
    """What waits to be landed."""

    segments: int
    events: int
    bytes: int


@dataclass(frozen=True, order=True)
class Segment:
    """One sealed segment; ordered as sealed. ``size`` in bytes, ``sealed_ns`` in epoch nanoseconds."""

    sealed_ns: int
    events: int
    digest: str
    path: Path
    size: int

    def read(self) -> bytes:
        """The JSON lines of the events; raises as ``parts`` does."""
        return self.parts().rows

    def parts(self) -> SegmentLines:
        """The JSON lines: events, and receipts. Raises SpoolCorrupt when they are not those that were sealed, OSError
        when unreadable."""
        content = self.path.read_bytes()
        if _shorten_digest(hashlib.sha256(content)) != self.digest:
            raise SpoolCorrupt(f"segment {self.path.name}: checksum differs")
        parts = split_segment(content)
        if parts.rows.count(b"\n") != self.events:
            raise SpoolCorrupt(f"segment {self.path.name}: does not hold {self.events} lines")
        return parts

    def delete(self) -> None:
        """Remove it after it has landed; harmless when it is gone already."""
        self.path.unlink(missing_ok=True)

    def quarantine(self, reason: str) -> Path:
        """Move it aside with its reason in a file beside it, so that the ones behind it go on. Returns its
        new path."""
        folder = ensure_directory(self.path.parent / "quarantine")
        moved = folder / self.path.name
        moved.with_suffix(".reason").write_text(reason + "\n", encoding="utf-8")
        os.rename(self.path, moved)
        sync_directory(folder)
        sync_directory(self.path.parent)
        return moved


def list_segments(directory: Path) -> list[Segment]:
    """The sealed segments of a spool, oldest first; files of other names are left alone."""
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            segment = _parse_segment(Path(directory), entry)
            if segment is not None:
                found.append(segment)
    return sorted(found)


def count_pending(directory: Path) -> Pending:
    """Sealed segments of a spool, their events and bytes."""
    sealed = list_segments(directory)
    return Pending(len(sealed), sum(s.events for s in sealed), sum(s.size for s in sealed))


def _parse_segment(directory: Path, entry: "os.DirEntry[str]") -> Segment | None:
    if not entry.name.endswith(SEALED):
        return None
    parts = entry.name.removesuffix(SEALED).split("-")
    try:
        sealed_ns, count, digest = parts
        size = entry.stat(follow_symlinks=False).st_size
        return Segment(int(sealed_ns), int(count), digest, directory / entry.name, size)
    except (ValueError, FileNotFoundError):  # another name, or landed since
        return None


class SpoolReader:
    """The reading side of a spool, for the lander; it needs no lock, because sealed segments never change."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def list_segments(self) -> list[Segment]:
        """The sealed segments, oldest first."""
        return list_segments(self.directory)

    def count_pending(self) -> Pending:
        """Sealed segments, their events and bytes."""
        return count_pending(self.directory)


@dataclass(frozen=True)
class _AppendRequest:
    rows: bytes
    count: int
    dead: bytes
    receipts: bytes
    done: "Future[None]"


class Spool:
    """The writing side. Thread-safe; one instance owns one open segment. Use ``close()`` to seal what is
    left."""

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 2 << 30,
        dead_letter_max_bytes: int = 256 << 20,
        seal_bytes: int = 8 << 20,
        seal_seconds: float = 1.0,
    ) -> None:
        """Open the spool in ``directory`` and recover what killed writers left. Raises OSError when it cannot
        be used.

        ``max_bytes`` bounds everything that waits to be landed; ``dead_letter_max_bytes`` the dead letters,
        which are counted and answered but no longer kept beyond it (``furrow_degraded_total``), so that
        garbage cannot stop the intake.
        """
        self.directory = ensure_directory(directory)
        self._dead_letters = DeadLetters(directory, dead_letter_max_bytes)
        self._max_bytes = max_bytes
        self._seal_bytes = seal_bytes
        self._seal_seconds = seal_seconds
        self._waiting: list[_AppendRequest] = []
        self._wake = threading.Condition()
        self._closing = False
        self._open: _OpenSegment | None = None
        self._last_ns = 0
        self._sealed_bytes = 0
        self._sizes_at = float("-inf")
        self.failing = ""
        """Why the last commit failed; empty while the spool takes events."""
        recover_open_files(directory)
        self._thread = threading.Thread(target=self._run_writer, name="spool", daemon=True)
        self._thread.start()

    def append(self, rows: bytes, count: int, dead_letters: bytes = b"", receipts: bytes = b"") -> "Future[None]":
        """Queue ``count`` JSON lines, dead letters and the receipts of the rows; the future is done when they are durable.

        It fails with SpoolFull when nothing of them was kept, with SpoolClosed after ``close()``.
        """
        done: Future[None] = Future()
        with self._wake:
            if self._closing:
                done.set_exception(SpoolClosed("the collector is shutting down", retry_after=5))
                return done
            self._waiting.append(_AppendRequest(rows, count, dead_letters, receipts, done))
            self._wake.notify()
        return done

    def count_pending(self) -> Pending:
        """What waits to be landed, the open segment included."""
        sealed = count_pending(self.directory)
        current = self._open
        if current is None or not current.count:
            return sealed
        return Pending(sealed.segments + 1, sealed.events + current.count, sealed.bytes + current.size)

    def count_dead_letters(self) -> int:
        """Dead letters on disk; reads only what was added since the last call."""
        return self._dead_letters.count_lines()

    def check_room(self) -> None:
        """The disk takes writes again: what failed before no longer counts. Raises SpoolFull when there is no room below
        the limit."""
        held = self.count_pending().bytes
        if held + min(_ROOM, self._max_bytes // 16) > self._max_bytes:
            raise SpoolFull(f"the spool holds {held} of {self._max_bytes} bytes")
        self.failing = ""

    def close(self) -> None:
        """Commit what was queued, seal, and stop. Idempotent."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    # -------------------------------------------------------------------------------------- the writer thread

    def _run_writer(self) -> None:
        while True:
            with self._wake:
                if not self._waiting and not self._closing:
                    self._wake.wait(self._seconds_until_sealing())
                requests, self._waiting = self._waiting, []
                closing = self._closing
            if requests:
                self._commit_requests([r for r in requests if r.done.set_running_or_notify_cancel()])
            if self._open is not None and (closing or self._is_sealing_due(self._open)):
                self._seal_open_segment()
            if closing and not requests:
                return

    def _seconds_until_sealing(self) -> float | None:
        if self._open is None:
            return None
        return max(0.0, self._open.opened_at + self._seal_seconds - time.monotonic())

    def _is_sealing_due(self, current: "_OpenSegment") -> bool:
        age = time.monotonic() - current.opened_at
        return age >= self._seal_seconds or current.size >= self._seal_bytes

    def _commit_requests(self, requests: list[_AppendRequest]) -> None:
        try:
            self._write_requests(requests)
        except Exception as error:  # whatever it is, every sender must hear that nothing was kept
            self.failing = str(error)
            count_degraded("spool", "full" if _is_disk_full(error) else "io_error")
            refusal = SpoolFull(f"nothing can be made durable: {error}", retry_after=5)
            for request in requests:
                request.done.set_exception(refusal)
        else:
            self.failing = ""
            for request in requests:
                request.done.set_result(None)

    def _write_requests(self, requests: list[_AppendRequest]) -> None:
        # Receipts first: what a torn tail loses of them it loses of their rows.
        rows = b"".join(request.receipts + request.rows for request in requests if request.rows)
        dead = b"".join(request.dead for request in requests)
        self._check_size_limit(len(rows) + len(dead))
        # Dead letters first: if the rows then fail, the whole request is refused, and a kept dead letter is
        # true anyway.
        if dead:
            self._dead_letters.append(dead)
        if rows:
            if self._open is None:
                self._open = _OpenSegment(self.directory)
            self._open.append_lines(rows, sum(request.count for request in requests))

    def _check_size_limit(self, added: int) -> None:
        current = self._open.size if self._open else 0
        if time.monotonic() - self._sizes_at > _SIZES_SECONDS or self._sealed_bytes + current + added > self._max_bytes:
            self._sealed_bytes = count_pending(self.directory).bytes
            self._sizes_at = time.monotonic()
        if self._sealed_bytes + current + added > self._max_bytes:
            raise SpoolFull(f"the spool holds {self._sealed_bytes + current} of {self._max_bytes} bytes")

    def _seal_open_segment(self) -> None:
        assert self._open is not None
        self._last_ns = max(self._last_ns + 1, time.time_ns())
        try:
            self._open.seal(self._last_ns)
        except OSError as error:  # the file stays, durable and locked; the next round tries again
            self.failing = str(error)
            self._open.opened_at = time.monotonic()
            count_degraded("spool", "seal_failed")
            if not self._closing:
                return
        self._sealed_bytes += self._open.size
        self._open.close()
        self._open = None


class _OpenSegment:
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
            os.rename(self.path, self._directory / _segment_file_name(sealed_ns, self.count, self._sha))
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
    for path in sorted(Path(directory).glob(f"*{_OPEN}")):
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
        os.rename(path, path.parent / _segment_file_name(time.time_ns(), count, hashlib.sha256(whole)))
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
        path = directory / f"{os.getpid()}-{secrets.token_hex(4)}{_OPEN}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return path, fd
        os.close(fd)  # a recovery took it for a dead writer's, between the two calls


def _segment_file_name(sealed_ns: int, count: int, sha: "hashlib._Hash") -> str:
    return f"{sealed_ns:020d}-{count}-{_shorten_digest(sha)}{SEALED}"


def _shorten_digest(sha: "hashlib._Hash") -> str:
    return sha.hexdigest()[:_DIGEST]


def _is_disk_full(error: Exception) -> bool:
    return isinstance(error, SpoolFull) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    )
