"""Sealed segments of a spool: listing, reading, deleting and quarantining them. Sealed segments never change, so that
reading needs no lock."""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from collector.senders.receipts import SegmentLines, split_segment
from collector.spool.durable_files import ensure_directory, sync_directory
from core.errors import PermanentError

SEALED: Final = ".jsonl"
"""Suffix of a sealed segment."""
_DIGEST: Final = 32  # hex digits of the SHA-256 in a segment's name: 128 bits


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


def segment_file_name(sealed_ns: int, events: int, sha: "hashlib._Hash") -> str:
    """The name of a segment sealed at ``sealed_ns`` (epoch ns) that holds ``events`` rows and has this SHA-256."""
    return f"{sealed_ns:020d}-{events}-{_shorten_digest(sha)}{SEALED}"


def _shorten_digest(sha: "hashlib._Hash") -> str:
    return sha.hexdigest()[:_DIGEST]
