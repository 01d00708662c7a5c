"""Access logs whose fields a ``#Fields`` line lists: W3C extended (IIS) and CloudFront.

The names are those of https://www.w3.org/TR/WD-logfile.html; IIS and CloudFront follow it. All times are UTC. CloudFront's
time is the end of the request ("when the server finished responding"); Microsoft says only "at which the activity occurred",
so it is taken as it stands. Cookies and query strings are never read.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from furrow.clients.log_lines import REQUEST, LogEntry, NoEvent, extract_path
from furrow.clients.log_times import read_time
from furrow.clients.visitors import find_line_addresses

_DIRECTIVES: Final = ("#Version:", "#Fields:", "#Software:", "#Date:", "#Start-Date:", "#End-Date:", "#Remark:")
_MOST_FIELDS: Final = 200
_NEEDED: Final = ("time", "cs-method", "cs-uri-stem", "sc-status")


def is_directive(text: str) -> bool:
    """Whether a line describes a log with listed fields."""
    return text.startswith(_DIRECTIVES)


class W3CHeader:
    """What the lines with ``#`` so far say about those after them."""

    def __init__(self) -> None:
        self.fields: tuple[str, ...] = ()
        self._date = ""

    def read_directive(self, text: str) -> bool:
        """Whether a line with ``#`` is a directive; takes the fields and the date of it."""
        if not is_directive(text):
            return False
        name, _, value = text.partition(":")
        if name == "#Fields":
            self.fields = tuple(value.split()[:_MOST_FIELDS])
        elif name in ("#Date", "#Start-Date"):
            self._date = value.strip()[:10]
        return True

    def read_values(self, text: str) -> LogEntry | None:
        """The request of a line of values; None if it has not one value for each field. Raises NoEvent with the reason."""
        tabbed = "\t" in text
        values = text.rstrip("\t").split("\t") if tabbed else text.split()
        if len(values) != len(self.fields):
            return None
        return read_record(dict(zip(self.fields, values, strict=True)), self._date, encoded=tabbed)


def read_record(record: Mapping[str, str], date: str = "", *, encoded: bool) -> LogEntry:
    """The request of named fields. ``date`` (``2001-05-02``) serves where the record has none.

    ``encoded``: the values are CloudFront's, percent-encoded, and ``time-taken`` is in seconds. IIS writes ``+`` for a space,
    and milliseconds. Raises NoEvent with the reason.
    """

    def read(name: str) -> str:
        value = record.get(name, "-")
        return "" if value == "-" else value

    if missing := [name for name in _NEEDED if name not in record]:
        raise NoEvent(f"the log does not list {', '.join(missing)}")
    forwarded = read("x-forwarded-for") or read("X-Forwarded-For") or read("cs(X-Forwarded-For)")
    addresses = find_line_addresses(read("c-ip"), f'"{_decode(forwarded, encoded)}"' if forwarded else "")
    if 0 not in addresses.at:
        raise NoEvent("no address of a visitor; let the server log c-ip")
    timestamp = read_time(f"{read('date') or date}T{read('time')}+00:00")
    status, method = read("sc-status"), read("cs-method")
    if not timestamp:
        raise NoEvent("no date and time")
    stem = read("cs-uri-stem")
    if not (len(status) == 3 and status.isascii() and status.isdigit() and REQUEST.fullmatch(f"{method} {stem}")):
        raise NoEvent("not an HTTP request")
    return LogEntry(
        addresses,
        timestamp,
        method,
        extract_path(stem),
        int(status),
        _decode(read("cs(Referer)"), encoded),
        _decode(read("cs(User-Agent)"), encoded),
        _read_taken(read("time-taken"), 1000 if encoded else 1),
        read("cs-username"),
    )


def _decode(value: str, encoded: bool) -> str:
    """A header's value. CloudFront encodes some twice."""
    return unquote(unquote(value)) if encoded else value.replace("+", " ")


def _read_taken(value: str, milliseconds: int) -> int | None:
    try:
        taken = float(value) * milliseconds
    except ValueError:
        return None
    return round(taken) if 0 <= taken < 1e9 else None
