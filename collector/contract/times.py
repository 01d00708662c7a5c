"""Times as clients send them → epoch milliseconds."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from collector.contract.limits import MAX_TIMESTAMP, MAX_TIMESTAMP_MS
from collector.contract.rows import Rejected

_EPOCH_SECONDS = range(10**9, 10**10)  # 2001–2286 in seconds; read as milliseconds: 12 January to 26 April 1970
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_JAVASCRIPT_LENGTH = 24
_FRACTIONS = {f".{ms:03d}Z": ms for ms in range(1_000)}


def validate_timestamp(value: object, name: str) -> int:
    """Epoch milliseconds of an RFC 3339 text or of a number of milliseconds; fractions of a millisecond are dropped.

    Raises Rejected for field ``name``.
    """
    if type(value) is str:
        # The format of JavaScript's toISOString; seconds are cached, because many events share a second.
        if (
            len(value) == _JAVASCRIPT_LENGTH
            and (ms := _FRACTIONS.get(value[19:])) is not None
            and (second := _parse_second_ms(value[:19])) is not None
        ):
            return second + ms
        ms = _parse_rfc3339(value)
        if ms is None:
            raise Rejected(name, "is neither RFC 3339 with a zone nor epoch milliseconds")
        return ms
    if value is None:
        raise Rejected(name, "is required")
    if type(value) is not int and type(value) is not float:
        raise Rejected(name, "is neither RFC 3339 with a zone nor epoch milliseconds")
    if not 0 <= value <= MAX_TIMESTAMP_MS:
        raise Rejected(name, "is before 1970" if value < 0 else "more than 1 h in the future")
    if int(value) in _EPOCH_SECONDS:
        # Read as milliseconds, an hour would last 3.6 s: every calm session would look like a struggle.
        raise Rejected(name, "is in epoch seconds; milliseconds are expected")
    return int(value)


def parse_time(value: object) -> int | None:
    """Epoch milliseconds of an RFC 3339 text with a zone or of a number of milliseconds; None for other values."""
    try:
        return validate_timestamp(value, "")
    except Rejected:
        return None


def _parse_rfc3339(text: str) -> int | None:
    if len(text) > MAX_TIMESTAMP:
        return None
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    date, minute, second, fraction, sign, hours, minutes = match.groups()
    base = _parse_minute_ms(date, minute)
    if base is None or second > "60":
        return None
    ms = base + int(second) * 1_000  # a leap second (60) is the first second of the next minute
    if fraction:
        ms += int(fraction[:3].ljust(3, "0"))
    if sign:
        offset = (int(hours) * 60 + int(minutes)) * 60_000
        ms -= offset if sign == "+" else -offset
    return ms


@lru_cache(maxsize=1 << 16)
def _parse_second_ms(text: str) -> int | None:
    return _parse_rfc3339(text + "Z")


@lru_cache(maxsize=4096)
def _parse_minute_ms(date: str, minute: str) -> int | None:
    try:
        return (datetime.fromisoformat(f"{date}T{minute}00+00:00") - _EPOCH) // _MS
    except ValueError:
        return None
