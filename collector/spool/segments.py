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
    """A sealed segment has changed (checksum or count). Quarantine it, never insert it."""


class Pending(NamedTuple):
    """The data that waits to land."""

    segments: int
    events: int
    bytes: int


@dataclass(frozen=True, order=True)
class Segment:
    """One sealed segment; segments sort by the time of sealing. ``size`` in bytes, ``sealed_ns`` in epoch nanoseconds."""

    sealed_ns: int
    events: int
    digest: str
    path: Path
    size: int

    def read(self) -> bytes:
        """The JSON lines of the events. Raises the errors of `parts`."""
        return self.parts().rows

    def parts(self) -> SegmentLines:
        """The JSON lines of events and of receipts. Raises SpoolCorrupt when the file has changed, OSError when it cannot
        be read."""
        content = self.path.read_bytes()
        if _shorten_digest(hashlib.sha256(content)) != self.digest:
            raise SpoolCorrupt(f"segment {self.path.name}: checksum differs")
        parts = split_segment(content)
        if parts.rows.count(b"\n") != self.events:
            raise SpoolCorrupt(f"segment {self.path.name}: does not have {self.events} rows")
        return parts

    def delete(self) -> None:
        """Delete the landed segment; a missing file is no error."""
        self.path.unlink(missing_ok=True)

    def quarantine(self, reason: str) -> Path:
        """Move the segment to the quarantine, with ``reason`` in a file beside it, so that later segments can land. Returns
        its new path."""
        folder = ensure_directory(self.path.parent / "quarantine")
        moved = folder / self.path.name
        moved.with_suffix(".reason").write_text(reason + "\n", encoding="utf-8")
        os.rename(self.path, moved)
        sync_directory(folder)
        sync_directory(self.path.parent)
        return moved


def list_segments(directory: Path) -> list[Segment]:
    """The sealed segments of a spool, oldest first; files with other names are ignored."""
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            segment = _parse_segment(Path(directory), entry)
            if segment is not None:
                found.append(segment)
    return sorted(found)


def count_pending(directory: Path) -> Pending:
    """The sealed segments of a spool: their number, events and bytes."""
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
    except (ValueError, FileNotFoundError):  # another file, or landed meanwhile
        return None


def segment_file_name(sealed_ns: int, events: int, sha: "hashlib._Hash") -> str:
    """The name of a segment sealed at ``sealed_ns`` (epoch ns) that holds ``events`` rows and has this SHA-256."""
    return f"{sealed_ns:020d}-{events}-{_shorten_digest(sha)}{SEALED}"


def _shorten_digest(sha: "hashlib._Hash") -> str:
    return sha.hexdigest()[:_DIGEST]
