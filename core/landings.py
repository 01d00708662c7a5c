"""A compact record of when events landed, to compute how long the oldest unread landing has waited for ``detect``.

Times are from the event store's clock, as the watermark is, so that the clocks of two machines need not agree.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

MOST: Final = 240
"""Number of kept times, one per minute. When full, every second time of the older half is dropped."""

_MINUTE_US = 60_000_000


class Landings:
    """Times (epoch µs) of landings, oldest first: the first of each minute, and the last of all."""

    def __init__(self, moments: Iterable[int] = ()) -> None:
        self._moments = sorted(set(moments))[-MOST:]

    def add_landing(self, landed_us: int) -> None:
        """Record a landing at ``landed_us``; a time that is not newer than the last one is ignored."""
        kept = self._moments
        if kept and landed_us <= kept[-1]:
            return
        # The last one is provisional: it stays only as the first of its minute.
        if len(kept) > 1 and kept[-1] - kept[-2] < _MINUTE_US:
            kept.pop()
        kept.append(landed_us)
        if len(kept) > MOST:
            self._moments = [*kept[: MOST // 2 : 2], *kept[MOST // 2 :]]

    def oldest_landing_after(self, watermark_us: int) -> int:
        """The oldest landing (epoch µs) that a reader at ``watermark_us`` has not read; 0 if it has read all."""
        place = bisect_right(self._moments, watermark_us)
        return self._moments[place] if place < len(self._moments) else 0

    def list_moments(self) -> list[int]:
        """All times, oldest first (epoch µs)."""
        return list(self._moments)
