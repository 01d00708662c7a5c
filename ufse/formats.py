"""Times, durations and counts as text."""

from datetime import UTC, datetime, timedelta

import numpy as np

from ufse.arrays import Ints

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999


def format_timestamp(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, of epoch ms; times outside the years 1–9999 are clipped."""
    held = _EPOCH + timedelta(milliseconds=min(max(ms, _EARLIEST), _LATEST))
    return held.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_timestamps(at: Ints) -> list[str]:
    """``format_timestamp`` of a column."""
    held = np.clip(at, _EARLIEST, _LATEST).astype("datetime64[ms]")
    texts: list[str] = np.datetime_as_string(held, unit="ms", timezone="UTC").tolist()
    return texts


def format_duration(ms: int) -> str:
    """A duration, rounded for reading: ``80 ms``, ``1.9 s``, ``25 s``."""
    if ms < 1_000:
        return f"{ms} ms"
    return f"{ms / 1000:.1f} s" if ms < 10_000 else f"{round(ms / 1000)} s"


def format_repetitions(count: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
