"""Converts access logs in the combined format (Apache, nginx; plain or gzip) to events, one for each line.

A log holds less than a browser sees. What it does not hold is not invented:

* A page request (GET, no extension of an asset, no API path) with a status below 400 becomes a ``navigation``. Its
  ``navigationType`` is ``link`` if the referer is a page of the same site; otherwise type and origin are left out.
* All other requests, and all with a status of 400 or more, become ``network`` events with status, method and path. The
  route is the path of a same-site referer, otherwise the request's own path.
* Durations, clicks, script errors and the end of a visit are not in the log, so there are no such events.
* Same site: the most frequent referer host, without ``www.``, is the site if at least half of the paths in its referers
  were requested in this log.
* A visitor is identified by a keyed hash of address and user agent; neither the address nor the account name is sent.
  People with the same address and browser count as one visitor. Which address of a line is the visitor's:
  `furrow.clients.visitors`. A line without an address has no event.

Times in the log have a resolution of one second. The line number is sent as ``seq``, for the order within a second.
"""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, NotRequired
from urllib.parse import urlsplit

from typing_extensions import TypedDict

from collector.contract import MAX_ROUTE, decode_json, open_lines
from furrow.clients.visitors import FIRST_ADDRESS, AddressSurvey, LineAddresses, VisitorPlace, find_line_addresses
from ufse.server_logs import is_page_path

MAX_LINE_BYTES: Final = 64 << 10
"""Longer lines are reported and skipped. Web servers limit the request line and each header to 8 KiB."""

_LINE = re.compile(
    r"(?P<client>.*?) "  # perhaps after a virtual host, or what a syslog or a container wrote
    r"\[(?P<day>\d\d)/(?P<month>[A-Z][a-z]{2})/(?P<year>\d{4}):(?P<clock>\d\d:\d\d:\d\d) "
    r"(?P<zone>[+-]\d{4})\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?:\d+|-)'
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)"'
    r'(?: "(?P<agent>(?:[^"\\]|\\.)*)(?:\\?$|"(?P<rest>.*)))?)?.*',  # a cut-off last field has no closing quote
    re.DOTALL,
)
_REQUEST = re.compile(r"(?P<method>[A-Z]{3,20}) (?P<target>\S.*?)(?: HTTP/\d(?:\.\d)?)?")
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_MONTHS = {
    name: f"{number:02}"
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_MAX_SURVEYED = 200_000  # bounds memory; a site is recognised long before
_MAX_HOST = 255
_MESSAGE_KEYS = ("log", "message", "MESSAGE", "msg")


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


class _LogEntry(NamedTuple):
    addresses: LineAddresses
    timestamp: str
    method: str
    path: str
    status: int
    referer: str
    agent: str


class _NoEvent(Exception):
    """The line has no request that can become an event. The message is the reason."""


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
    for raw in open_lines(path):
        digest.update(raw)
        try:
            entry = _parse_log_line(raw)
        except _NoEvent:
            continue
        addresses.add_line(entry.addresses, entry.agent)
        host, page = _split_host_and_path(entry.referer)
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
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            entry = _parse_log_line(raw)
        except _NoEvent as reason:
            yield ParsedLine(number, None, str(reason))
            continue
        address = known.visitor.find_visitor(entry.addresses)
        yield ParsedLine(number, _make_event(entry, known, number, hash_visitor(address, entry.agent, salt)))


def _make_event(entry: _LogEntry, known: LogSurvey, number: int, visitor: str) -> LogEvent:
    host, page = _split_host_and_path(entry.referer)
    came_from = page if host and host == known.site else ""
    metadata: dict[str, str | int]
    if entry.method == "GET" and entry.status < 400 and is_page_path(entry.path):
        kind, route = "navigation", entry.path
        metadata = {"from": came_from, "navigationType": "link"} if came_from else {}
    else:
        kind, route = "network", came_from or entry.path
        metadata = {"status": entry.status, "method": entry.method, "url": entry.path}
    event = LogEvent(
        timestamp=entry.timestamp,
        eventType=kind,
        route=route,
        metadata=metadata,
        sessionId=visitor,
        seq=number,
        idempotencyKey=f"{known.digest}:{number}",
    )
    if entry.agent:
        event["userAgent"] = entry.agent
    return event


def _parse_log_line(raw: bytes) -> _LogEntry:
    if len(raw) > MAX_LINE_BYTES:
        raise _NoEvent(f"longer than {MAX_LINE_BYTES} bytes")
    match = _match_line(raw)
    if match is None:
        raise _NoEvent("not the combined log format")
    month = _MONTHS.get(match["month"])
    addresses = find_line_addresses(match["client"], match["rest"] or "")
    request = _REQUEST.fullmatch(_unescape_log_text(match["request"]))
    if month is None:
        raise _NoEvent("not the combined log format")
    if 0 not in addresses.at:
        raise _NoEvent("no address of a visitor before the time; let the server log addresses, not names")
    if request is None:
        raise _NoEvent("not an HTTP request")
    zone = match["zone"]
    return _LogEntry(
        addresses,
        f"{match['year']}-{month}-{match['day']}T{match['clock']}{zone[:3]}:{zone[3:]}",
        request["method"],
        _extract_path(request["target"]),
        int(match["status"]),
        _decode_log_field(match["referer"]),
        _decode_log_field(match["agent"]),
    )


def _decode_log_field(text: str | None) -> str:
    return "" if text is None or text == "-" else _unescape_log_text(text)


def _unescape_log_text(text: str) -> str:
    """Undo the server's escapes (``\\"``, ``\\\\``, ``\\xhh``); bytes that are not UTF-8 become U+FFFD."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else m[2], text.encode()).decode("utf-8", "replace")


def _extract_path(target: str) -> str:
    if not target.startswith("/") and "://" in target:
        return _split_host_and_path(target)[1][:MAX_ROUTE] or "/"
    for mark in "?#":
        target = target.partition(mark)[0]
    return target[:MAX_ROUTE] or "/"


def _split_host_and_path(url: str) -> tuple[str, str]:
    """Host (lower case, without ``www.`` and port) and path of an absolute HTTP URL; two empty texts for anything
    else."""
    if not url.startswith(("http://", "https://")):
        return "", ""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "", ""
    return host.removeprefix("www."), parts.path[:MAX_ROUTE] or "/"


def is_log_line(raw: bytes) -> bool:
    """Whether a line is in the common or combined format of access logs."""
    return len(raw) <= MAX_LINE_BYTES and _match_line(raw) is not None


def _match_line(raw: bytes) -> re.Match[str] | None:
    return _LINE.fullmatch(_unwrap_line(raw).rstrip("\r\n"))


def _unwrap_line(raw: bytes) -> str:
    """The text of a line; of a container's JSON (Docker, Kubernetes, journald, log shippers) the text of its message."""
    if raw.startswith(b"{"):
        try:
            wrapped = decode_json(raw)
        except ValueError:
            wrapped = {}
        if isinstance(wrapped, dict):
            return next((text for key in _MESSAGE_KEYS if isinstance(text := wrapped.get(key), str)), "")
    return raw.decode("utf-8", "replace")
