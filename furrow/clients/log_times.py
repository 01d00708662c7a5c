"""Times as access logs write them."""

import re
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = {
    name: f"{number:02}"
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_COMMON: Final = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})")
_NUMBER: Final = re.compile(r"\d{1,20}(?:\.\d{1,12})?")
_LONGEST: Final = 40
_UNITS: Final = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6))
"""Epoch times below the first figure of a pair are in this fraction of a second: the first ends in the year 5138, and the
second begins in 1973. Larger ones are nanoseconds."""


def join_common_time(day: str, month: str, year: str, clock: str, zone: str) -> str:
    """``10/Oct/2000:13:55:36 -0700`` as RFC 3339; '' for a month that is none."""
    number = _MONTHS.get(month)
    return f"{year}-{number}-{day}T{clock}{zone[:3]}:{zone[3:]}" if number else ""


def read_time(value: object) -> str:
    """A time as RFC 3339, '' if it is none or has no time zone.

    Takes RFC 3339 and ISO 8601, the common log format, and epoch seconds, milliseconds, microseconds or nanoseconds, also as
    text.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    text = str(value)[:_LONGEST].strip()
    if match := _COMMON.fullmatch(text):
        return join_common_time(*match.groups())
    try:
        if _NUMBER.fullmatch(text):
            stamp = float(text)
            unit = next((unit for below, unit in _UNITS if stamp < below), 1e9)
            return datetime.fromtimestamp(round(stamp / unit, 3), UTC).isoformat(timespec="milliseconds")
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return ""
    return found.isoformat(timespec="milliseconds") if found.tzinfo else ""
