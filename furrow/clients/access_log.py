"""Converts access logs (plain or gzip; dialects: `furrow.clients.log_dialects`) to events, one for each line.

A log holds less than a browser sees. What it does not hold is not invented:

* A page request (GET, no extension of an asset, no API path) with a status below 400 becomes a ``navigation``. Its
  ``navigationType`` is ``link`` if the referer is a page of the same site; otherwise type and origin are left out.
* All other requests, and all with a status of 400 or more, become ``network`` events with status, method and path. The
  route is the path of a same-site referer, otherwise the request's own path.
* Clicks, script errors and the end of a visit are not in the log, so there are no such events.
* How long the server took is ``serverMs``, where a dialect has it. It is not ``durationMs``: the engine recognises a visit of
  a log by requests without durations (`ufse.server_logs`), and would otherwise take it for a browser's without actions.
* Status 0 (the visitor closed the connection before the answer) is ``aborted``.
* Same site: the most frequent referer host, without ``www.``, is the site if at least half of the paths in its referers
  were requested in this log.
* A visitor is identified by a keyed hash of the session that the server logs, else of address and user agent. An account is
  a keyed hash, too. Neither of these is sent itself.
  People with the same address and browser count as one visitor. Which address of a line is the visitor's:
  `furrow.clients.visitors`. A line without an address has no event.

Times in many logs have a resolution of one second. The line number is sent as ``seq``, for the order within a second.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NotRequired

from typing_extensions import TypedDict

from collector.contract import open_lines
from furrow.clients.log_dialects import LineReader
from furrow.clients.log_lines import LogEntry, NoEvent, split_host_and_path
from furrow.clients.visitors import FIRST_ADDRESS, AddressSurvey, VisitorPlace
from ufse.server_logs import is_page_path

_MAX_SURVEYED = 200_000  # bounds memory; a site is recognised long before
_MAX_HOST = 255
_SESSION, _ACCOUNT = "\0session", "\0account"
"""In the place of a user agent, so that a hash of one kind never equals that of another."""


class LogEvent(TypedDict):
    """An event made from a line of a log, in the form of ``POST /v1/events``."""

    eventType: str
    timestamp: str
    """RFC 3339, with the time zone of the log."""
    route: str
    metadata: dict[str, str | int]
    sessionId: str
    seq: int
    idempotencyKey: str
    userAgent: NotRequired[str]
    userId: NotRequired[str]
    """A keyed hash of the account."""


class ParsedLine(NamedTuple):
    """A line of a file: its number (from 1), and its event or the reason why it has none."""

    number: int
    event: Mapping[str, object] | None
    problem: str = ""
    project: str = ""
    """Of a dead letter: the project that rejected it."""


@dataclass(frozen=True, slots=True)
class LogSurvey:
    """Facts about a whole log: the SHA-256 of its decompressed content, and the site's host without ``www.`` ('' if
    unknown)."""

    digest: str
    site: str
    visitor: VisitorPlace = FIRST_ADDRESS
    """Which address of a line is the visitor's."""


def derive_default_salt(api_key: str) -> bytes:
    """A salt derived from the API key, so that sending a log twice with the same key yields the same visitors."""
    return hashlib.sha256(b"furrow visitor\0" + api_key.encode()).digest()


def hash_visitor(address: str, agent: str, salt: bytes) -> str:
    """The pseudonym of a visitor: 32 hex digits of a keyed hash of address and user agent."""
    return hmac.digest(salt, f"{address}\0{agent}".encode("utf-8", "replace"), "sha256").hex()[:32]


def read_access_log(path: Path | str, *, salt: bytes) -> Iterator[ParsedLine]:
    """Yield each line of a log as an event or a problem. Reads the file twice: `survey_log`, then line by line.

    Raises OSError, and ValueError when a gzip is damaged.
    """
    known = survey_log(path)
    return convert_log_lines(open_lines(path), known, salt=salt)


def survey_log(path: Path | str) -> LogSurvey:
    """Read the log once for its hash and its site. Raises OSError, and ValueError when a gzip is damaged."""
    digest = hashlib.sha256()
    # Clients choose paths and hosts. To bound memory, hashes of paths are kept, and hosts are cut to the length DNS allows.
    paths: set[int] = set()
    named: Counter[tuple[str, int]] = Counter()
    addresses = AddressSurvey()
    reader = LineReader()
    for raw in open_lines(path):
        digest.update(raw)
        try:
            entry = reader.read_line(raw)
        except NoEvent:
            continue
        if entry is None:
            continue
        addresses.add_line(entry.addresses, entry.agent)
        host, page = split_host_and_path(entry.referer)
        if len(paths) < _MAX_SURVEYED and len(named) < _MAX_SURVEYED:
            paths.add(hash(entry.path))
            if host:
                named[host[:_MAX_HOST], hash(page)] += 1
    return LogSurvey(digest.hexdigest(), _find_site_host(paths, named), addresses.choose_place())


def _find_site_host(paths: set[int], named: Counter[tuple[str, int]]) -> str:
    hosts: Counter[str] = Counter()
    asked_for: Counter[str] = Counter()
    for (host, page), count in named.items():
        hosts[host] += count
        asked_for[host] += count if page in paths else 0
    if not hosts:
        return ""
    site = min(hosts, key=lambda host: (-hosts[host], host))
    return site if 2 * asked_for[site] >= hosts[site] else ""


def convert_log_lines(lines: Iterable[bytes], known: LogSurvey, *, salt: bytes) -> Iterator[ParsedLine]:
    """Yield each line as an event or a problem; blank lines are skipped. The idempotency key is made of the file's hash
    and the line number."""
    reader = LineReader()
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            entry = reader.read_line(raw)
        except NoEvent as reason:
            yield ParsedLine(number, None, str(reason))
            continue
        if entry is None:
            continue
        yield ParsedLine(number, _make_event(entry, known, number, salt))


def _make_event(entry: LogEntry, known: LogSurvey, number: int, salt: bytes) -> LogEvent:
    address = known.visitor.find_visitor(entry.addresses)
    host, page = split_host_and_path(entry.referer)
    came_from = page if host and host == known.site else ""
    metadata: dict[str, str | int]
    if entry.method == "GET" and 200 <= entry.status < 400 and is_page_path(entry.path):
        kind, route = "navigation", entry.path
        metadata = {"from": came_from, "navigationType": "link"} if came_from else {}
    else:
        kind, route = "network", came_from or entry.path
        metadata = {"status": entry.status, "method": entry.method, "url": entry.path}
        if entry.status == 0:
            metadata["aborted"] = True
        if entry.duration_ms is not None:
            metadata["serverMs"] = entry.duration_ms  # not durationMs: see the docstring of the module
    event = LogEvent(
        timestamp=entry.timestamp,
        eventType=kind,
        route=route,
        metadata=metadata,
        sessionId=hash_visitor(entry.session or address, _SESSION if entry.session else entry.agent, salt),
        seq=number,
        idempotencyKey=f"{known.digest}:{number}",
    )
    if entry.agent:
        event["userAgent"] = entry.agent
    if entry.user:
        event["userId"] = hash_visitor(entry.user, _ACCOUNT, salt)
    return event
