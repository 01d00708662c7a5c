"""Erases a person from the files of a spool: dead letters, the quarantine, and segments that no event store takes.

Segments that are about to land are not changed: the lander may be reading them. The erasure waits until they have landed
(`list_waiting_segments`) and erases the events in the event store. Dead letters are overwritten in place with blanks of the
same length: collectors append to these files meanwhile, readers skip blank lines, and an interrupted erasure can be repeated.
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from collector.senders.receipts import PREFIX, split_segment
from collector.spool.segments import SEALED, list_segments

_OPEN: Final = ".open"
_DIGEST: Final = 32


@dataclass(frozen=True)
class Person:
    """The person to erase from a project: client sessions by id, and the user by hash ('': no user)."""

    project: str
    sessions: frozenset[str]
    user_hash: str = ""

    def matches_row(self, row: dict[str, object]) -> bool:
        """Whether a row of a segment belongs to this person."""
        return row.get("project") == self.project and self._is_named_by(row.get("session_id"), row.get("user_hash"))

    def matches_letter(self, letter: dict[str, object]) -> bool:
        """Whether a dead letter belongs to this person."""
        event = letter.get("event")
        if letter.get("project") != self.project or not isinstance(event, dict):
            return False
        return self._is_named_by(event.get("sessionId"), str(event.get("userId") or "").removeprefix("uh:"))

    def matches_text(self, line: bytes) -> bool:
        """Whether a line that is not JSON contains an id of this person as a whole value, possibly with a torn end."""
        names = [*self.sessions, self.user_hash, f"uh:{self.user_hash}"] if self.user_hash else list(self.sessions)
        line = line.rstrip(b"\r\n")
        return any(value in line or line.endswith(value[:-1]) for value in map(msgspec.json.encode, names))

    def _is_named_by(self, session: object, user: object) -> bool:
        of_user = bool(self.user_hash) and user == self.user_hash
        return of_user or (session is not None and str(session) in self.sessions)


def find_user_sessions(spool: Path, project: str, user_hash: str) -> set[str]:
    """Ids of the client sessions of a user in the dead letters, the quarantine and the segments that wait to land."""
    user = Person(project, frozenset(), user_hash)
    found: set[str] = set()
    for path in _list_dead_letter_files(spool):
        for letter in _read_json_objects(path):
            event = letter.get("event")
            if user.matches_letter(letter) and isinstance(event, dict) and event.get("sessionId") is not None:
                found.add(str(event["sessionId"]))
    for path in [*_list_quarantined_files(spool), *(segment.path for segment in list_segments(spool))]:
        found |= {str(row.get("session_id")) for row in _read_json_objects(path) if user.matches_row(row)}
    return found


def list_waiting_segments(spool: Path) -> set[str]:
    """Names of the segments with events that have not landed: sealed segments, and those that collectors write."""
    names = {segment.path.name for segment in list_segments(spool)}
    for path in spool.glob(f"*{_OPEN}"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size:
                names.add(path.name)
    return names


def erase_dead_letters(spool: Path, person: Person) -> int:
    """Overwrite this person's dead letters with blanks; returns their number."""
    return sum(
        _blank_matching_lines(path, lambda line: _is_line_of_person(line, person.matches_letter, person))
        for path in _list_dead_letter_files(spool)
    )


def erase_quarantine(spool: Path, person: Person) -> int:
    """Rewrite the quarantine without this person's events; returns their number."""
    return sum(_rewrite_without_person(path, person) for path in _list_quarantined_files(spool))


def erase_segments(spool: Path, person: Person) -> int:
    """Rewrite the sealed segments without this person's events; returns their number.

    Only for an installation without a lander (the event store is ``log``): a lander may have read the old segment already.
    """
    return sum(_rewrite_without_person(segment.path, person) for segment in list_segments(spool))


def _list_dead_letter_files(spool: Path) -> list[Path]:
    return sorted((spool / "dead-letters").glob("*"))


def _list_quarantined_files(spool: Path) -> list[Path]:
    return sorted(path for path in (spool / "quarantine").glob("*") if path.suffix in (SEALED, ".tail"))


def _read_json_objects(path: Path) -> Iterator[dict[str, object]]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # landed meanwhile
        for line in file:
            value = _decode_json_line(line)
            if isinstance(value, dict):
                yield value


def _decode_json_line(line: bytes) -> object:
    try:
        return msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _is_line_of_person(line: bytes, of_person: Callable[[dict[str, object]], bool], person: Person) -> bool:
    if not line.strip():
        return False
    value = _decode_json_line(line)
    return of_person(value) if isinstance(value, dict) else person.matches_text(line)


def _blank_matching_lines(path: Path, matches: Callable[[bytes], bool]) -> int:
    """Overwrite the matching lines of ``path`` with blanks, durably; returns their number."""
    count = 0
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not os.fstat(file.fileno()).st_size:
            return 0
        with mmap.mmap(file.fileno(), 0) as content:
            start = 0
            while line := content.readline():
                if matches(line):
                    length = len(line.rstrip(b"\n"))
                    content[start : start + length] = b" " * length
                    count += 1
                start += len(line)
            content.flush()
        os.fsync(file.fileno())
    return count


def _rewrite_without_person(path: Path, person: Person) -> int:
    """Replace a file to which nothing is appended by one without this person's lines; returns the number of events erased.

    A segment gets a new name, because its name contains its checksum and count.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not _is_line_of_person(line, person.matches_row, person)]
    if len(kept) < len(lines):
        if _count_event_lines(kept):
            _replace_content(path, b"".join(kept))
        else:
            _remove_with_reason(path)
        _sync_folder(path.parent)
    return _count_event_lines(lines) - _count_event_lines(kept)


def _count_event_lines(lines: list[bytes]) -> int:
    return sum(not line.startswith(PREFIX) for line in lines)


def _replace_content(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    name = path.name
    if path.suffix == SEALED:
        # The name has the new checksum and count; the time, and so the order, stays.
        digest = hashlib.sha256(content).hexdigest()[:_DIGEST]
        name = f"{path.name.split('-')[0]}-{split_segment(content).rows.count(bytes([10]))}-{digest}{SEALED}"
    reason = path.with_suffix(".reason")
    if reason.exists() and name != path.name:
        reason.rename(path.with_name(name).with_suffix(".reason"))
    os.rename(fresh, path.with_name(name))
    if name != path.name:
        path.unlink()


def _remove_with_reason(path: Path) -> None:
    path.unlink()
    path.with_suffix(".reason").unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
