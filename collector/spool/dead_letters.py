"""Dead letters: rejected events, kept for a replay up to a limit and only counted beyond it.

Keys stand in web pages, so that a stranger can send as many invalid events as the rate allows. So the dead letters of a key on
one day (UTC) are limited: in number for each field, and in bytes, of which one source may use at most half. Further events are
counted by project and field, in a small file beside the folder of the dead letters.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections import Counter, OrderedDict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from collector.contract import Batch
from collector.metrics import DEAD_LETTERS_COUNTED
from collector.spool.durable_files import ensure_directory, sync_directory, write_all_bytes
from core.metrics import count_degraded

KEPT_OF_REASON: Final = 1_000
"""Dead letters of one key and field that are kept on one day."""
_DAYS_FOR_ALL: Final = 32  # in so many days, one key alone would fill the space of all keys
_FREE_BYTES: Final = 64 << 10  # dead letters of one request, plus _BYTES_PER_BYTE for each byte sent
_BYTES_PER_BYTE: Final = 8
_MAX_SOURCES: Final = 10_000
_COUNTS_SECONDS = 5.0  # interval at which counts are written
_COUNTED_DAYS: Final = 30
_LINES = ".jsonl"


class DeadLetters:
    """The files of dead letters: one JSON line each, one file a day (UTC). Several processes may append."""

    def __init__(self, directory: Path, max_bytes: int = 256 << 20) -> None:
        self.directory = directory / "dead-letters"
        self._max_bytes = max_bytes
        self._counted: dict[str, tuple[int, int]] = {}  # file name → bytes read, lines in them

    def append(self, lines: bytes) -> bool:
        """Make whole lines durable, all or nothing. False when the limit of bytes is reached: then they are not kept.

        Raises OSError; then nothing of them stays in the file.
        """
        ensure_directory(self.directory)
        if sum(entry.stat().st_size for entry in os.scandir(self.directory)) + len(lines) > self._max_bytes:
            count_degraded("dead_letters", "full")
            return False
        path = self.directory / f"{datetime.now(UTC):%Y-%m-%d}{_LINES}"
        is_new = not path.exists()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            size = _cut_torn_line(fd)
            try:
                write_all_bytes(fd, lines)
                os.fdatasync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
        finally:
            os.close(fd)
        if is_new:
            sync_directory(self.directory)
        return True

    def count_lines(self) -> int:
        """The number of lines in all files; reads only what was added since the last call."""
        total = 0
        for path in sorted(self.directory.glob(f"*{_LINES}")):
            read, lines = self._counted.get(path.name, (0, 0))
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < read:  # emptied by a person
                    read, lines = 0, 0
                file.seek(read)
                while chunk := file.read(1 << 20):
                    lines += chunk.count(b"\n")
                    read += len(chunk)
            self._counted[path.name] = (read, lines)
            total += lines
        return total


def _cut_torn_line(fd: int) -> int:
    """Cut an incomplete last line that a killed writer left. Returns the size in bytes."""
    size = os.fstat(fd).st_size
    end = size
    while end:
        start = max(0, end - 4096)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(fd, end)
    return end


class _CountRow(NamedTuple):
    """The number of events that were rejected on one day (``2026-01-31``) and not kept."""

    day: str
    project: str
    field: str
    number: int


class NotKeptCounts:
    """Counts of rejected events that were not kept, over the last 30 days. Several processes may add."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "dead-letters-counted.json"

    def read_rows(self) -> list[_CountRow]:
        """The counts. Never raises: an unreadable file counts as empty."""
        try:
            return self._decode_rows(self._file.read_bytes())
        except FileNotFoundError:
            return []
        except OSError:
            count_degraded("dead_letters", "counts_unreadable")
            return []

    def count_total(self) -> int:
        """The sum of all counts."""
        return sum(row.number for row in self.read_rows())

    def add(self, day: str, counts: Counter[tuple[str, str]]) -> None:
        """Add counts by (project, field) to a day. Raises OSError."""
        ensure_directory(self._file.parent)
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            all_of_them = Counter(
                {row[:3]: row.number for row in self._decode_rows(os.pread(fd, os.fstat(fd).st_size, 0))}
            )
            all_of_them.update({(day, *name): number for name, number in counts.items()})
            first = (datetime.now(UTC) - timedelta(days=_COUNTED_DAYS)).date().isoformat()
            rows = [(*name, number) for name, number in sorted(all_of_them.items()) if name[0] >= first]
            content = msgspec.json.encode(rows)
            write_all_bytes(fd, content)
            os.ftruncate(fd, len(content))
        finally:
            os.close(fd)

    @staticmethod
    def _decode_rows(content: bytes) -> list[_CountRow]:
        try:
            return [_CountRow(*row) for row in msgspec.json.decode(content, type=list[tuple[str, str, str, int]])]
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if content:
                count_degraded("dead_letters", "counts_unreadable")
            return []


class LetterBudget:
    """Decides which dead letters are kept; the spool writes them. Use it on the event loop."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """``max_bytes``: limit of all dead letters together."""
        self._of_key = max(1, max_bytes // _DAYS_FOR_ALL)
        self._not_kept = NotKeptCounts(directory)
        self._day = ""
        self._letters: Counter[tuple[str, str]] = Counter()  # (key hash, field) → kept today
        self._bytes: Counter[str] = Counter()  # key hash → kept today
        self._source_bytes: OrderedDict[tuple[str, str], int] = OrderedDict()  # (key hash, source)
        self._counts: Counter[tuple[str, str]] = Counter()  # (project, field), not written yet
        self._written_at = time.monotonic()
        self._lock = threading.Lock()

    def select_kept_letters(self, batch: Batch, project: str, key_hash: str, source: str, sent: int) -> bytes:
        """The dead letters of ``batch`` that are kept, as JSON lines. ``sent``: bytes of its body as sent."""
        if not batch.dead_letters:
            return b""
        self._begin_new_day()
        left = _FREE_BYTES + _BYTES_PER_BYTE * sent
        lines: list[bytes] = []
        for reject, letter in zip(batch.rejects, batch.dead_letters, strict=True):
            field = reject.field.partition(".")[0]
            if len(letter) <= left and self._take_from_budget(key_hash, source, field, len(letter)):
                left -= len(letter)
                lines.append(letter)
            else:
                DEAD_LETTERS_COUNTED.labels(field).inc()
                with self._lock:
                    self._counts[project, field] += 1
        return b"".join(lines)

    def count_not_kept(self) -> int:
        """Rejected events of the last 30 days that were not kept."""
        self.write_counts()
        return self._not_kept.count_total()

    def write_counts(self) -> None:
        """Write new counts to the file; on failure they are written next time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._written_at = time.monotonic()
            if not counts:
                return
            try:
                self._not_kept.add(self._day, counts)
            except OSError:
                count_degraded("dead_letters", "counts_not_written")
                self._counts.update(counts)

    def _take_from_budget(self, key: str, source: str, field: str, size: int) -> bool:
        of_source = self._source_bytes.get((key, source), 0)
        if (
            self._letters[key, field] >= KEPT_OF_REASON
            or self._bytes[key] + size > self._of_key
            or of_source + size > self._of_key // 2
        ):
            return False
        self._letters[key, field] += 1
        self._bytes[key] += size
        self._source_bytes[key, source] = of_source + size
        self._source_bytes.move_to_end((key, source))
        if len(self._source_bytes) > _MAX_SOURCES:
            self._source_bytes.popitem(last=False)
        return True

    def _begin_new_day(self) -> None:
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        if today != self._day:
            self.write_counts()
            self._day = today
            self._letters.clear()
            self._bytes.clear()
            self._source_bytes.clear()
        elif time.monotonic() - self._written_at > _COUNTS_SECONDS:
            self.write_counts()
