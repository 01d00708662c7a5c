"""What one line of an access log says, whatever its dialect (`furrow.clients.log_dialects`)."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from collector.contract import MAX_ROUTE
from furrow.clients.visitors import LineAddresses

REQUEST: Final = re.compile(r"(?P<method>[A-Z]{3,20}) (?P<target>\S.*?)(?: HTTP/\d(?:\.\d)?)?")
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)


class LogEntry(NamedTuple):
    """A request as a line of a log describes it."""

    addresses: LineAddresses
    timestamp: str
    """RFC 3339; the end of the request in all dialects but Apache's, whose ``%t`` is its beginning."""
    method: str
    path: str
    """Without the query string."""
    status: int
    """0: the visitor closed the connection before the server answered."""
    referer: str
    agent: str
    duration_ms: int | None = None
    """How long the server took, None where the line does not say it."""
    user: str = ""
    """The account, '' without one. Only its hash leaves this machine."""
    session: str = ""
    """The session that the server knows, '' without one. Only its hash leaves this machine."""


class NoEvent(Exception):
    """The line has no request that can become an event. The message is the reason."""


def decode_log_field(text: str | None) -> str:
    """A field with the server's escapes undone; '' for a missing one (``-``)."""
    return "" if text is None or text == "-" else unescape_log_text(text)


def unescape_log_text(text: str) -> str:
    """Undo the server's escapes (``\\"``, ``\\\\``, ``\\xhh``); bytes that are not UTF-8 become U+FFFD."""
    if "\\" not in text:
        return text
    raw = text.encode("utf-8", "replace")
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else m[2], raw).decode("utf-8", "replace")


def extract_path(target: str) -> str:
    """The path of a request's target (a path or a whole address), without query string and fragment."""
    if not target.startswith("/") and "://" in target:
        return split_host_and_path(target)[1][:MAX_ROUTE] or "/"
    for mark in "?#":
        target = target.partition(mark)[0]
    return target[:MAX_ROUTE] or "/"


def split_host_and_path(url: str) -> tuple[str, str]:
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
