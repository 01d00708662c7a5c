"""Reads the lines of access logs in the dialects of web servers, one small parser a dialect.

* the common and combined formats (Apache, nginx), also after a virtual host or a syslog's prefix, and with nginx's
  ``$request_time`` after the agent;
* AWS Application Load Balancer;
* JSON of Caddy, nginx and CloudFront (`furrow.clients.log_json`);
* fields that a ``#Fields`` line lists: IIS, W3C extended, CloudFront (`furrow.clients.log_fields`).

A container's JSON may hold a line of any of them. Each line is recognised by itself, so a log may mix dialects.
"""

import re
from collections.abc import Callable
from typing import Final

from collector.contract import decode_json
from furrow.clients.log_fields import W3CHeader, is_directive
from furrow.clients.log_json import read_json_record
from furrow.clients.log_lines import (
    REQUEST,
    LogEntry,
    NoEvent,
    decode_log_field,
    extract_path,
    unescape_log_text,
)
from furrow.clients.log_times import join_common_time, read_time
from furrow.clients.visitors import find_line_addresses

MAX_LINE_BYTES: Final = 64 << 10
"""Longer lines are reported and skipped. Web servers limit the request line and each header to 8 KiB."""

_LINE: Final = re.compile(
    r"(?P<client>.*?) "  # perhaps after a virtual host, or what a syslog or a container wrote
    r"\[(?P<day>\d\d)/(?P<month>[A-Z][a-z]{2})/(?P<year>\d{4}):(?P<clock>\d\d:\d\d:\d\d) "
    r"(?P<zone>[+-]\d{4})\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?:\d+|-)'
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)"'
    r'(?: "(?P<agent>(?:[^"\\]|\\.)*)(?:\\?$|"(?P<rest>.*)))?)?.*',  # a cut-off last field has no closing quote
    re.DOTALL,
)
_BALANCER: Final = re.compile(
    r"(?:https?|h2|grpcs|wss?) (?P<time>\d{4}-\d\d-\d\dT\S+) \S+ (?P<client>\S+) \S+ "
    r"(?P<times>-?\d{1,9}(?:\.\d{1,9})? -?\d{1,9}(?:\.\d{1,9})? -?\d{1,9}(?:\.\d{1,9})?) "
    r'(?P<status>\d{3}|-) (?:\d{3}|-) -?\d+ -?\d+ "(?P<request>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)".*',
    re.DOTALL,
)
_SECONDS: Final = re.compile(r"(?<![\d.])(\d{1,6}\.\d{3})(?![\d.])")
_MESSAGE_KEYS: Final = ("log", "message", "MESSAGE", "msg")
_UNKNOWN: Final = "not the combined log format or another known one"
_NO_ADDRESS: Final = "no address of a visitor before the time; let the server log addresses, not names"
_NO_REQUEST: Final = "not an HTTP request"


class LineReader:
    """Reads the lines of one log in their order: the names of fields that a ``#Fields`` line lists hold for those after it."""

    def __init__(self) -> None:
        self._header = W3CHeader()

    def read_line(self, raw: bytes) -> LogEntry | None:
        """The request of a line; None if it describes the log, not a request. Raises NoEvent with the reason."""
        if len(raw) > MAX_LINE_BYTES:
            raise NoEvent(f"longer than {MAX_LINE_BYTES} bytes")
        text = raw.decode("utf-8", "replace").rstrip("\r\n")
        if text.startswith("{"):
            text, entry = _read_json_line(text)
            if entry is not None:
                return entry
        if text.startswith("#") and self._header.read_directive(text):
            return None
        if self._header.fields and (entry := self._header.read_values(text)) is not None:
            return entry
        for pattern, read in _DIALECTS:
            if match := pattern.fullmatch(text):
                return read(match)
        raise NoEvent(_UNKNOWN)


def is_log_line(raw: bytes) -> bool:
    """Whether a line is one of an access log in a known dialect, or describes the fields of one."""
    if len(raw) > MAX_LINE_BYTES:
        return False
    text = raw.decode("utf-8", "replace").rstrip("\r\n")
    try:
        if text.startswith("{"):
            text, entry = _read_json_line(text)
            if entry is not None:
                return True
    except NoEvent:
        return True  # of a dialect, without a request that can become an event
    return is_directive(text) or any(pattern.fullmatch(text) for pattern, _ in _DIALECTS)


def _read_json_line(text: str) -> tuple[str, LogEntry | None]:
    """The request of a line of JSON; without one, the text of its message: a container's JSON (Docker, Kubernetes, journald,
    log shippers). The message may be JSON itself."""
    for _ in range(2):
        try:
            record = decode_json(text.encode())
        except ValueError:
            return text, None
        if not isinstance(record, dict):
            return text, None
        if (entry := read_json_record(record)) is not None:
            return text, entry
        text = next((found for key in _MESSAGE_KEYS if isinstance(found := record.get(key), str)), "").rstrip("\r\n")
        if not text.startswith("{"):
            break
    return text, None


def _read_combined(match: re.Match[str]) -> LogEntry:
    rest = match["rest"] or ""
    timestamp = _read_common_time(match)
    addresses = find_line_addresses(match["client"], rest)
    request = REQUEST.fullmatch(unescape_log_text(match["request"]))
    if not timestamp:
        raise NoEvent(_UNKNOWN)
    if 0 not in addresses.at:
        raise NoEvent(_NO_ADDRESS)
    if request is None:
        raise NoEvent(_NO_REQUEST)
    return LogEntry(
        addresses,
        timestamp,
        request["method"],
        extract_path(request["target"]),
        int(match["status"]),
        decode_log_field(match["referer"]),
        decode_log_field(match["agent"]),
        _read_request_time(rest),
    )


def _read_request_time(rest: str) -> int | None:
    """Milliseconds of nginx's ``$request_time`` among the fields after the agent, None without one.

    nginx writes seconds with exactly three decimals. A time of an upstream is part of it and never longer.
    """
    times = [float(found) for found in _SECONDS.findall(rest)] if "." in rest else []
    return round(1000 * max(times)) if times else None


def _read_balancer(match: re.Match[str]) -> LogEntry:
    """Of an Application Load Balancer: the time is that of the answer, the request names the whole address. It holds no
    referer. Of three processing times each is -1 if the balancer could not do its part."""
    request = REQUEST.fullmatch(unescape_log_text(match["request"]))
    timestamp, addresses = read_time(match["time"]), find_line_addresses(match["client"], "")
    if not timestamp:
        raise NoEvent(_UNKNOWN)
    if 0 not in addresses.at:
        raise NoEvent(_NO_ADDRESS)
    if request is None or match["status"] == "-":
        raise NoEvent(_NO_REQUEST)
    parts = [float(part) for part in match["times"].split()]
    return LogEntry(
        addresses,
        timestamp,
        request["method"],
        extract_path(request["target"]),
        int(match["status"]),
        "",
        decode_log_field(match["agent"]),
        round(1000 * sum(parts)) if min(parts) >= 0 else None,
    )


def _read_common_time(match: re.Match[str]) -> str:
    """``10/Oct/2000:13:55:36 -0700`` as RFC 3339; '' for a month that is none."""
    return join_common_time(match["day"], match["month"], match["year"], match["clock"], match["zone"])


_DIALECTS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], LogEntry]], ...]] = (
    (_LINE, _read_combined),
    (_BALANCER, _read_balancer),
)
"""The dialects that a line shows by itself. Those in JSON are in `furrow.clients.log_json`, those whose fields a line of the
log lists in `furrow.clients.log_fields`."""
