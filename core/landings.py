"""When events landed, in few numbers: enough to say how long the oldest landing waits that no ``detect`` has read.

The moments are of the event store's clock, as the watermark is, so that two machines' clocks need not agree.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

MOST: Final = 240
"""Moments that are kept, one a minute: hours exactly; of a longer time every second one goes, again and again."""

_MINUTE_US = 60_000_000


class Landings:
    """Moments (epoch µs) at which something landed, oldest first: the first one of each minute, and the last one of all."""

    def __init__(self, moments: Iterable[int] = ()) -> None:
        self._moments = sorted(set(moments))[-MOST:]

    def add_landing(self, landed_us: int) -> None:
        """Something has landed at ``landed_us``; what is not newer than the last moment changes nothing."""
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
        """The oldest landing (epoch µs) behind which the reader at ``watermark_us`` is; 0: it has read everything."""
        place = bisect_right(self._moments, watermark_us)
        return self._moments[place] if place < len(self._moments) else 0

    def list_moments(self) -> list[int]:
        """All of them, for a file."""
        return list(self._moments)
