"""Reads the lines of access logs in the dialects of web servers, one small parser a dialect.

* combined: the common and combined formats (Apache, nginx), also after a virtual host, a syslog's prefix, or inside a
  container's JSON. A container's JSON may hold a line of any dialect.
"""

import re
from typing import Final

from collector.contract import decode_json
from furrow.clients.log_lines import (
    REQUEST,
    LogEntry,
    NoEvent,
    decode_log_field,
    extract_path,
    unescape_log_text,
)
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
_MONTHS: Final = {
    name: f"{number:02}"
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_MESSAGE_KEYS: Final = ("log", "message", "MESSAGE", "msg")
_UNKNOWN: Final = "not the combined log format or another known one"
_NO_ADDRESS: Final = "no address of a visitor before the time; let the server log addresses, not names"
_NO_REQUEST: Final = "not an HTTP request"


class LineReader:
    """Reads the lines of one log in their order."""

    def read_line(self, raw: bytes) -> LogEntry | None:
        """The request of a line; None if it describes the log, not a request. Raises NoEvent with the reason."""
        if len(raw) > MAX_LINE_BYTES:
            raise NoEvent(f"longer than {MAX_LINE_BYTES} bytes")
        text = _unwrap_line(raw).rstrip("\r\n")
        if match := _LINE.fullmatch(text):
            return _read_combined(match)
        raise NoEvent(_UNKNOWN)


def is_log_line(raw: bytes) -> bool:
    """Whether a line is one of an access log in a known dialect."""
    return len(raw) <= MAX_LINE_BYTES and _LINE.fullmatch(_unwrap_line(raw).rstrip("\r\n")) is not None


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
    )


def _read_common_time(match: re.Match[str]) -> str:
    """``10/Oct/2000:13:55:36 -0700`` as RFC 3339; '' for a month that is none."""
    month, zone = _MONTHS.get(match["month"]), match["zone"]
    return f"{match['year']}-{month}-{match['day']}T{match['clock']}{zone[:3]}:{zone[3:]}" if month else ""
