"""Times of the incident store as text."""

from datetime import UTC, datetime
from typing import overload


@overload
def format_utc_time(at: datetime) -> str: ...


@overload
def format_utc_time(at: None) -> None: ...


def format_utc_time(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds and Z."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
