"""Times, durations and counts as text."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np

from ufse.arrays import Ints

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999
_DAY_MS = 86_400_000
_TEMPLATE = np.frombuffer(b"0000-00-00T00:00:00.000Z", dtype=np.uint8)
_CLOCK_DIGITS = ((22, 10), (21, 10), (20, 10), (18, 10), (17, 6), (15, 10), (14, 6), (12, 10), (11, 10))
"""Places of the digits of a time of day, the last first, and how many values each has."""


def format_timestamp(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, of epoch ms; times outside the years 1–9999 are clipped."""
    held = _EPOCH + timedelta(milliseconds=min(max(ms, _EARLIEST), _LATEST))
    return held.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_timestamps(at: Ints) -> list[str]:
    """``format_timestamp`` of a column: written digit by digit as bytes, twice as fast as by numpy."""
    day, ms = np.divmod(np.clip(at, _EARLIEST, _LATEST), _DAY_MS)
    days, number = np.unique(day, return_inverse=True)
    dates = "".join(np.datetime_as_string(days.astype("datetime64[D]")).tolist()).encode()
    text = np.empty((len(at), _TEMPLATE.size), dtype=np.uint8)
    text[:] = _TEMPLATE
    text[:, :10] = np.frombuffer(dates, dtype=np.uint8).reshape(-1, 10)[number]
    left = ms.astype(np.int32)
    for place, base in _CLOCK_DIGITS:
        left, digit = np.divmod(left, base)
        text[:, place] += digit.astype(np.uint8)
    whole = text.tobytes().decode("ascii")
    return [whole[i : i + _TEMPLATE.size] for i in range(0, len(whole), _TEMPLATE.size)]


@lru_cache(maxsize=4_096)
def format_duration(ms: int) -> str:
    """A duration, rounded for reading: ``80 ms``, ``1.9 s``, ``25 s``."""
    if ms < 1_000:
        return f"{ms} ms"
    return f"{ms / 1000:.1f} s" if ms < 10_000 else f"{round(ms / 1000)} s"


def format_repetitions(count: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
