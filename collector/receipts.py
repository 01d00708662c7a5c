"""Who sent a session, so that it can be counted how many sources saw a problem, and by nobody else for nothing else.

Each request leaves one receipt for each client session in it: a line of the spool's segment that lands in a table of its own
(``receipts``), never with the events. It holds the sender's address only as a keyed hash. The key (salt) is another one each
day (UTC); the one of the day before is kept for one more day, so that a session over midnight is still of one source, and is
then destroyed: nobody can find out any more which address a hash was made of.

A sender that is trusted counts each session as a source of its own: an operator key that vouches for the request, or a client
on this machine that speaks directly to a collector on loopback.
"""

import contextlib
import fcntl
import hashlib
import hmac
import ipaddress
import logging
import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from fastapi import Request

from collector.config import CollectorConfig
from collector.contract import Row
from collector.source import UNKNOWN, SourceReader
from furrow.metrics import degraded
from furrow.networks import networks

SALTS: Final = "source-salts"
"""The file of the salts, in the data directory: never in a backup."""
_LOCALHOST: Final = frozenset({"localhost", "localhost.localdomain"})
_HASH_BIT: Final = 1 << 62
"""Set in every hash: smaller numbers stand for sources whose hash was forgotten (stores/incident_retention.py)."""
_log = logging.getLogger("collector.receipts")


class Receipt(msgspec.Struct, gc=False):
    """One client session in one request; its JSON is a line of a segment that begins with ``PREFIX``.

    ``source_today`` and ``source_before``: hashes of the sender under the salts of the day of receipt and the day before; 0:
    the connection had no address.
    """

    source_today: int
    source_before: int
    project: str
    session_id: str
    received_ms: int


PREFIX: Final = b'{"source_today":'
"""No event's line begins like this: it begins with its project."""
_ENCODER = msgspec.json.Encoder()


class Split(NamedTuple):
    """The lines of a segment: events, and receipts."""

    rows: bytes
    receipts: bytes


def split(content: bytes) -> Split:
    """Part the lines of events from the receipts; the order within each stays."""
    rows: list[bytes] = []
    receipts: list[bytes] = []
    at = 0
    for start, end in _receipts(content):
        rows.append(content[at:start])
        receipts.append(content[start:end])
        at = end
    rows.append(content[at:])
    return Split(b"".join(rows), b"".join(receipts))


def _receipts(content: bytes) -> Iterator[tuple[int, int]]:
    # JSON text holds no raw line feed, so that what follows one is the beginning of a line.
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

    def pair(self, now: datetime) -> tuple[bytes, bytes]:
        """The salts of the day of ``now`` and of the day before it."""
        day = now.astimezone(UTC).date().isoformat()
        with self._guard:
            if day != self._day:
                self._pair = self._renewed(now)
                self._day = day
            return self._pair

    def _renewed(self, now: datetime) -> tuple[bytes, bytes]:
        days = _days(now)
        try:
            kept = renew(self._path, now)
        except (OSError, ValueError) as error:
            # Intake goes on: until the disk is well, this process knows its own salts alone.
            degraded("source_salts", "not_kept")
            _log.warning("the salts of the day cannot be kept: %s", error)
            kept = {days[0]: secrets.token_hex(32), days[1]: (self._pair[0] or secrets.token_bytes(32)).hex()}
        today, before = (bytes.fromhex(kept[one]) for one in days)
        return today, before


def renew(path: Path, now: datetime) -> dict[str, str]:
    """The salts (hex) of today and yesterday by day, made where missing; all older ones are destroyed. Raises OSError."""
    wanted = _days(now)
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(fd, "r+b") as file:
        os.fchmod(fd, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        known: dict[str, str] = {}
        with contextlib.suppress(msgspec.MsgspecError):  # cut short by a crash: new ones are made
            known = msgspec.json.decode(file.read(), type=dict[str, str])
        salts = {day: known.get(day) or secrets.token_hex(32) for day in wanted}
        if salts != known:
            # Overwritten in place, so that the old salt's bytes are gone and not only its name.
            file.seek(0)
            file.write(_ENCODER.encode(salts))
            file.truncate()
            file.flush()
            os.fsync(fd)
    return salts


def _days(now: datetime) -> tuple[str, str]:
    today = now.astimezone(UTC).date()
    return today.isoformat(), (today - timedelta(days=1)).isoformat()


class Receipts:
    """Makes the receipts of requests."""

    def __init__(self, config: CollectorConfig) -> None:
        proxies = networks(config.trusted_proxies)
        self._reader = SourceReader(proxies)
        self._salts = DailySalts(config.spool_dir.parent / SALTS)
        # Where proxies are trusted, what comes directly from this machine may come from anybody behind another one.
        self._local = _is_loopback(config.host) and not proxies

    def lines(self, request: Request, rows: Iterable[Row], *, trusted: bool) -> bytes:
        """The receipts of the sessions in ``rows`` (of one project and one receipt) as JSON lines; none without rows.

        ``trusted``: an operator key vouches for the sender.
        """
        sessions = {(row.project, row.session_id): row.received_ms for row in rows}
        if not sessions:
            return b""
        own = trusted or (self._local and self._is_local(request))
        sender = self._reader.source_of(request)
        now = datetime.fromtimestamp(next(iter(sessions.values())) / 1000, UTC)
        today, before = self._salts.pair(now)
        made = []
        for (project, session_id), received_ms in sessions.items():
            name = ("session", project, session_id) if own else ("address", project, sender)
            hashes = (0, 0) if not own and sender == UNKNOWN else (_hash(today, name), _hash(before, name))
            made.append(Receipt(*hashes, project, session_id, received_ms))
        return _ENCODER.encode_lines(made)

    def _is_local(self, request: Request) -> bool:
        """Whether a client on this machine speaks to the collector without anybody between them.

        A proxy on this machine shows itself by a header, by HTTP/1.0, or by the public name of the site that it serves.
        """
        peer = request.client.host if request.client else ""
        if not (_is_loopback(peer) and self._reader.is_direct(request)) or request.scope.get("http_version") == "1.0":
            return False
        origin = request.headers.get("origin")
        names = [urlsplit(f"//{request.headers.get('host', '')}").hostname]
        names += [urlsplit(origin).hostname] if origin is not None else []
        return all(name is not None and _is_loopback(name) for name in names)


def _hash(salt: bytes, name: tuple[str, ...]) -> int:
    text = "\x1f".join(name).encode("utf-8", "surrogatepass")
    return int.from_bytes(hmac.digest(salt, text, hashlib.sha256)[:8], "big") >> 2 | _HASH_BIT


def _is_loopback(host: str) -> bool:
    if host.lower() in _LOCALHOST:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
