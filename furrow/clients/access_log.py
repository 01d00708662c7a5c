"""Access logs in the combined format (Apache, nginx; plain or gzip) as events of the contract: one line, one
event.

What a server writes down is less than what a browser sees, and nothing is made up for the rest:

* A page that was asked for (GET, no asset's extension, no API path) and answered below 400 is a
  ``navigation``. It was followed by ``link`` when the referer is a page of the same site; else its kind and
  origin are unknown and left out.
* Everything else, and every status of 400 or more, is a ``network`` event with status, method and path. Its
  route is the page it came from (the path of a same-site referer), else its own path.
* Durations, clicks, scripts' errors and the end of a visit are not in the log, and in no event.
* Same site: the host of a referer, without ``www.``, is the one that most referers name, if at least half of
  the paths they name were asked for in this log.
* A visitor is a keyed hash of address and user agent; neither the address nor the account is sent. People
  behind one address with the same browser cannot be told apart.

The log's times have a resolution of one second; the line number is sent as ``seq``, the order within it.
"""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from collector.contract import MAX_ROUTE, open_lines

MAX_LINE_BYTES: Final = 64 << 10
"""Longer lines are reported and skipped: web servers limit a request line and each header to 8 KiB."""

_LINE = re.compile(
    r"(?P<client>[^\[]*?(?:\[[0-9A-Fa-f:.%]+\][^\[]*?)?) "  # an IPv6 address may stand in brackets
    r"\[(?P<day>\d\d)/(?P<month>[A-Z][a-z]{2})/(?P<year>\d{4}):(?P<clock>\d\d:\d\d:\d\d) "
    r"(?P<zone>[+-]\d{4})\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?:\d+|-)'
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)"'
    r'(?: "(?P<agent>(?:[^"\\]|\\.)*)(?:\\?$|".*))?)?.*',  # a cut-off last field has no closing quote
    re.DOTALL,
)
_REQUEST = re.compile(r"(?P<method>[A-Z]{3,20}) (?P<target>\S.*?)(?: HTTP/\d(?:\.\d)?)?")
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,8})$")
_PAGE_EXTENSIONS = frozenset(
    [
        "html",
        "htm",
        "xhtml",
        "shtml",
        "php",
        "php5",
        "phtml",
        "asp",
        "aspx",
        "jsp",
        "jspx",
        "jsf",
        "do",
        "action",
        "cgi",
        "pl",
        "cfm",
    ]
)
_API_SEGMENTS = frozenset(
    [
        "api",
        "apis",
        "ajax",
        "graphql",
        "rest",
        "rpc",
        "ws",
        "socket.io",
        "feed",
        "rss",
        "atom",
        "wp-json",
        "xmlrpc.php",
    ]
)
_MONTHS = {
    name: f"{number:02}"
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_MAX_SURVEYED = 200_000  # bounds memory; a site is recognised long before
_MAX_HOST = 255


class ParsedLine(NamedTuple):
    """One line of a log: its number (from 1) and the event it is, or why it is none."""

    number: int
    event: dict[str, Any] | None
    problem: str = ""
    project: str = ""  # of a dead letter: the project that rejected it


@dataclass(frozen=True, slots=True)
class LogSurvey:
    """What the whole log says: the SHA-256 of its inflated content and the site's host without ``www.`` (''
    unknown)."""

    digest: str
    site: str


class _LogEntry(NamedTuple):
    address: str
    timestamp: str
    method: str
    path: str
    status: int
    referer: str
    agent: str


class _NoEvent(Exception):
    """The line holds no request that an event could be made of; says why."""


def derive_default_salt(api_key: str) -> bytes:
    """A salt that is the same each time the same key sends, so that sending a log twice names the same
    visitors."""
    return hashlib.sha256(b"furrow visitor\0" + api_key.encode()).digest()


def hash_visitor(address: str, agent: str, salt: bytes) -> str:
    """The pseudonym of who asked: 32 hex digits of a keyed hash of address and user agent."""
    return hmac.digest(salt, f"{address}\0{agent}".encode("utf-8", "replace"), "sha256").hex()[:32]


def read_access_log(path: Path | str, *, salt: bytes) -> Iterator[ParsedLine]:
    """Every line of a log as an event or a problem; streams, after one pass that surveys the file.

    Raises OSError, and ValueError when a gzip is damaged.
    """
    known = survey_log(path)
    return convert_log_lines(open_lines(path), known, salt=salt)


def survey_log(path: Path | str) -> LogSurvey:
    """Read the log once for what single lines cannot tell. Raises OSError, ValueError (a damaged gzip)."""
    digest = hashlib.sha256()
    # Strangers choose paths and hosts: a hash of a path is kept, not the path, and of a host no more than DNS allows.
    paths: set[int] = set()
    named: Counter[tuple[str, int]] = Counter()
    for raw in open_lines(path):
        digest.update(raw)
        try:
            entry = _parse_log_line(raw)
        except _NoEvent:
            continue
        host, page = _split_host_and_path(entry.referer)
        if len(paths) < _MAX_SURVEYED and len(named) < _MAX_SURVEYED:
            paths.add(hash(entry.path))
            if host:
                named[host[:_MAX_HOST], hash(page)] += 1
    return LogSurvey(digest.hexdigest(), _find_site_host(paths, named))


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
    """Each line as an event, with an idempotency key made of the file's hash and the line number; blank lines
    are left out."""
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            entry = _parse_log_line(raw)
        except _NoEvent as reason:
            yield ParsedLine(number, None, str(reason))
            continue
        event = _make_event(entry, known.site)
        event["sessionId"] = hash_visitor(entry.address, entry.agent, salt)
        event["seq"] = number
        event["idempotencyKey"] = f"{known.digest}:{number}"
        yield ParsedLine(number, event)


def _make_event(entry: _LogEntry, site: str) -> dict[str, Any]:
    host, page = _split_host_and_path(entry.referer)
    came_from = page if host and host == site else ""
    event: dict[str, Any] = {"timestamp": entry.timestamp}
    if entry.method == "GET" and entry.status < 400 and _is_page_path(entry.path):
        event["eventType"] = "navigation"
        event["route"] = entry.path
        event["metadata"] = {"from": came_from, "navigationType": "link"} if came_from else {}
    else:
        event["eventType"] = "network"
        event["route"] = came_from or entry.path
        event["metadata"] = {"status": entry.status, "method": entry.method, "url": entry.path}
    if entry.agent:
        event["userAgent"] = entry.agent
    return event


def _is_page_path(path: str) -> bool:
    if any(segment in _API_SEGMENTS for segment in path.lower().split("/")):
        return False
    extension = _EXTENSION.search(path)
    # "/articles/v1.2" ends in a number, not in an extension.
    return extension is None or extension[1].isdigit() or extension[1].lower() in _PAGE_EXTENSIONS


def _parse_log_line(raw: bytes) -> _LogEntry:
    if len(raw) > MAX_LINE_BYTES:
        raise _NoEvent(f"longer than {MAX_LINE_BYTES} bytes")
    match = _LINE.fullmatch(raw.decode("utf-8", "replace").rstrip("\r\n"))
    if match is None:
        raise _NoEvent("not the combined log format")
    month = _MONTHS.get(match["month"])
    client = match["client"].split()
    request = _REQUEST.fullmatch(_unescape_log_text(match["request"]))
    if month is None or not client:
        raise _NoEvent("not the combined log format")
    if request is None:
        raise _NoEvent("no HTTP request: the connection sent nothing or something else")
    zone = match["zone"]
    return _LogEntry(
        client[0].strip("[]"),
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
    """Undo the server's escapes (``\\"``, ``\\\\``, ``\\xhh``); bytes that are no UTF-8 become U+FFFD."""
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
    """Host (lower case, without ``www.`` and port) and path of an absolute http URL; two empty texts for
    anything else."""
    if not url.startswith(("http://", "https://")):
        return "", ""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "", ""
    return host.removeprefix("www."), parts.path[:MAX_ROUTE] or "/"


def is_log_line(raw: bytes) -> bool:
    """Whether a line is one of an access log in the common or combined format."""
    return len(raw) <= MAX_LINE_BYTES and _LINE.fullmatch(raw.decode("utf-8", "replace").rstrip("\r\n")) is not None
