"""The room in the spool that the visitors of one project, and one of them alone, may fill.

While nothing lands, the spool keeps what is sent. Without a quota, one project, or one visitor with a public key, could fill it
and stop the intake of all others. Whose bytes a segment holds is known in memory. It is read from the segments of an earlier or
another process, once for each, when the spool is so full that it matters. Senders are hashes that live in memory only: the
bytes of an earlier process count for their projects, and for no sender.
"""

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from collector.spool.segments import Segment
from core.errors import TransientError
from core.metrics import count_degraded

_MAX_SENDERS: Final = 200_000
"""Entries of senders over all segments: about 20 MB. Beyond it, new bytes count for their project alone."""
_RETRY_SECONDS: Final = 30.0


class QuotaFull(TransientError):
    """A project, or one of its visitors, has filled its part of the spool. Nothing of the request was kept."""


class Owner(NamedTuple):
    """Whose bytes they are. ``sender``: a hash of the address; '' for a trusted sender, who has no quota."""

    project: str
    sender: str


NOBODY: Final = Owner("", "")
"""The owner of bytes that no visitor sent."""


class _Project(msgspec.Struct):
    project: str


_DECODER = msgspec.json.Decoder(_Project)


class SpoolQuota:
    """Counts the bytes that wait to land, by project and by sender. Used by the writer of the spool alone."""

    def __init__(self, project_bytes: int, sender_bytes: int) -> None:
        self._project_bytes = project_bytes
        self._sender_bytes = sender_bytes
        self._of_segment: dict[str, Counter[Owner]] = {}
        self._open: Counter[Owner] = Counter()
        self._waiting: Counter[Owner] = Counter()
        self._of_project: Counter[str] = Counter()
        self._senders = 0

    def is_needed(self, size: int, held: int) -> bool:
        """Whether ``size`` more bytes may exceed a quota when ``held`` bytes of all projects wait to land."""
        return held + size > min(self._project_bytes, self._sender_bytes)

    def find_refusals(self, wanted: Sequence[tuple[Owner, int]]) -> list[QuotaFull | None]:
        """For each of these owners and numbers of bytes, in their order: why they are refused; None: they may be kept."""
        projects: Counter[str] = Counter()
        senders: Counter[Owner] = Counter()
        found: list[QuotaFull | None] = []
        for owner, size in wanted:
            refusal = self._find_refusal(owner, projects[owner.project] + size, senders[owner] + size)
            if refusal is None:
                projects[owner.project] += size
                senders[owner] += size
            found.append(refusal)
        return found

    def _find_refusal(self, owner: Owner, of_project: int, of_sender: int) -> QuotaFull | None:
        if not owner.sender:
            return None
        of_project += self._of_project[owner.project]
        of_sender += self._waiting[owner]
        if of_project > self._project_bytes:
            return QuotaFull("this project fills its part of the spool", retry_after=_RETRY_SECONDS)
        if of_sender > self._sender_bytes:
            return QuotaFull("this sender fills its part of the spool", retry_after=_RETRY_SECONDS)
        return None

    def count_bytes(self, owner: Owner, size: int) -> None:
        """Count bytes that the open segment holds now."""
        if owner.sender and owner not in self._open:
            if self._senders >= _MAX_SENDERS:
                owner = Owner(owner.project, "")
            else:
                self._senders += 1
        self._open[owner] += size
        self._waiting[owner] += size
        self._of_project[owner.project] += size

    def seal_segment(self, name: str) -> None:
        """The open segment is now the file ``name``."""
        self._of_segment[name] = self._open
        self._open = Counter()

    def refresh(self, segments: Sequence[Segment], *, read: bool) -> None:
        """Forget the segments that have landed; ``segments`` are those that wait. With ``read``, the segments of other
        processes are read."""
        waiting = {segment.path.name for segment in segments}
        for name in self._of_segment.keys() - waiting:
            self._forget(self._of_segment.pop(name))
        if not read:
            return
        for segment in segments:
            if segment.path.name not in self._of_segment:
                counted = self._of_segment[segment.path.name] = _count_projects(segment)
                self._waiting.update(counted)
                self._of_project.update({owner.project: size for owner, size in counted.items()})

    def _forget(self, counted: Counter[Owner]) -> None:
        for owner, size in counted.items():
            self._senders -= bool(owner.sender)
            self._waiting[owner] -= size
            if self._waiting[owner] <= 0:
                del self._waiting[owner]
            self._of_project[owner.project] -= size
            if self._of_project[owner.project] <= 0:
                del self._of_project[owner.project]


def _count_projects(segment: Segment) -> Counter[Owner]:
    """The bytes of a segment by project, without senders; empty when it landed meanwhile or cannot be read."""
    counted: Counter[Owner] = Counter()
    content = b""
    try:
        content = segment.path.read_bytes()
    except FileNotFoundError:
        return counted
    except OSError:
        count_degraded("spool", "quota_unreadable")
        return counted
    for line in content.splitlines():
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            counted[Owner(_DECODER.decode(line).project, "")] += len(line) + 1
    return counted
