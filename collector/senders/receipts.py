"""Receipts: who sent a session. They serve only to count how many independent sources saw a problem.

Each request leaves one receipt for each client session in it: a line of the spool's segment that lands in its own table
(``receipts``), apart from the events. It holds the sender's address only as a keyed hash. The key (salt) changes each day
(UTC). The salt of the day before is kept for one more day, so that a session over midnight has one source. Then it is
destroyed: after that, nobody can find out which address a hash was made of.
"""

import contextlib
import fcntl
import hashlib
import hmac
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from core.metrics import count_degraded

SALTS: Final = "source-salts"
"""The file of the salts, in the data directory: never in a backup."""
_HASH_BIT: Final = 1 << 62
"""Set in every hash: smaller numbers stand for sources whose hash was forgotten (stores/incidents/incident_source.py)."""
_log = logging.getLogger("collector.senders.receipts")


class Receipt(msgspec.Struct, gc=False):
    """The receipt of one client session in one request; its JSON is a line of a segment that begins with ``PREFIX``.

    ``source_today`` and ``source_before``: hashes of the sender with the salts of the day of receipt and of the day before;
    0: the connection had no address. ``received_ms``: receipt, epoch milliseconds. ``ingest_key``: the number of the
    request's key (core/ingest_keys.py); 0: the sender is trusted, or an older version wrote the receipt.
    """

    source_today: int
    source_before: int
    project: str
    session_id: str
    received_ms: int
    ingest_key: int = 0


PREFIX: Final = b'{"source_today":'
"""Start of a receipt's line. The line of an event starts with its project instead."""
_ENCODER = msgspec.json.Encoder()


def encode_receipts(receipts: list[Receipt]) -> bytes:
    """The receipts as lines of a segment."""
    return _ENCODER.encode_lines(receipts)


class SegmentLines(NamedTuple):
    """The JSON lines of a segment: events and receipts."""

    rows: bytes
    receipts: bytes


def split_segment(content: bytes) -> SegmentLines:
    """Separate the lines of events from the receipts; both keep their order."""
    rows: list[bytes] = []
    receipts: list[bytes] = []
    at = 0
    for start, end in _find_receipt_lines(content):
        rows.append(content[at:start])
        receipts.append(content[start:end])
        at = end
    rows.append(content[at:])
    return SegmentLines(b"".join(rows), b"".join(receipts))


def _find_receipt_lines(content: bytes) -> Iterator[tuple[int, int]]:
    # JSON text contains no raw line feed: a line begins after each.
    start = 0 if content.startswith(PREFIX) else content.find(b"\n" + PREFIX) + 1
    while start > 0 or (start == 0 and content.startswith(PREFIX)):
        end = content.find(b"\n", start) + 1 or len(content)
        yield start, end
        if content.startswith(PREFIX, end):
            start = end
        else:
            found = content.find(b"\n" + PREFIX, end)
            if found < 0:
                return
            start = found + 1


class DailySalts:
    """The salts of today and yesterday (UTC), shared by all collectors of one data directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._day = ""
        self._pair = (b"", b"")

    def read_salt_pair(self, now: datetime) -> tuple[bytes, bytes]:
        """The salts of the day of ``now`` and of the day before it."""
        day = now.astimezone(UTC).date().isoformat()
        with self._guard:
            if day != self._day:
                self._pair = self._renew_salt_pair(now)
                self._day = day
            return self._pair

    def _renew_salt_pair(self, now: datetime) -> tuple[bytes, bytes]:
        days = _today_and_yesterday(now)
        try:
            kept = renew_daily_salts(self._path, now)
        except (OSError, ValueError) as error:
            # Events are accepted all the same, with salts that only this process knows, until the file can be written.
            count_degraded("source_salts", "not_kept")
            _log.warning("the salts of the day cannot be written: %s", error)
            kept = {days[0]: secrets.token_hex(32), days[1]: (self._pair[0] or secrets.token_bytes(32)).hex()}
        today, before = (bytes.fromhex(kept[day]) for day in days)
        return today, before


def renew_daily_salts(path: Path, now: datetime) -> dict[str, str]:
    """The salts (hex) of today and yesterday, by day. Creates missing salts and destroys older ones. Raises OSError."""
    wanted = _today_and_yesterday(now)
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(fd, "r+b") as file:
        os.fchmod(fd, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        known: dict[str, str] = {}
        with contextlib.suppress(msgspec.MsgspecError):  # truncated by a crash: new salts are made
            known = msgspec.json.decode(file.read(), type=dict[str, str])
        salts = {day: known.get(day) or secrets.token_hex(32) for day in wanted}
        if salts != known:
            # Overwritten in place: the bytes of the old salt are gone, not only its name.
            file.seek(0)
            file.write(_ENCODER.encode(salts))
            file.truncate()
            file.flush()
            os.fsync(fd)
    return salts


def _today_and_yesterday(now: datetime) -> tuple[str, str]:
    today = now.astimezone(UTC).date()
    return today.isoformat(), (today - timedelta(days=1)).isoformat()


def hash_source(salt: bytes, name: tuple[str, ...]) -> int:
    """The hash of the source ``name`` with ``salt``: 62 bits, and bit 62 set."""
    text = "\x1f".join(name).encode("utf-8", "surrogatepass")
    return int.from_bytes(hmac.digest(salt, text, hashlib.sha256)[:8], "big") >> 2 | _HASH_BIT
