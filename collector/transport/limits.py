"""Rate limits of names (keys, projects) and of sources: token buckets in the memory of this process.

A source is an address (`collector.senders.source`). All visitors share the key in the web pages, so that one visitor must not
use up its rate. One source gets only a part of a key's rate. When the key comes near its limit, sources above an equal share
are refused first. A full table forgets the name that was silent longest.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

_MAX_NAMES: Final = 10_000
_MAX_SOURCES: Final = 4_096  # of one key
_RATE_SECONDS = 5.0  # window in which a source's own rate is measured
_ACTIVE_SECONDS = 10.0  # a source without requests for so long no longer gets a share
_LEAST_SHARE = 0.5  # requests/s that every source may send until the key's limit is used up


class RateLimit:
    """A token bucket for each name: ``rate`` units per second, and bursts of ``burst_seconds`` × ``rate`` units."""

    def __init__(self, rate: float, burst_seconds: float = 2.0) -> None:
        self._rate = rate
        self._burst_seconds = burst_seconds
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def find_wait_seconds(self, name: str, now: float, rate: float | None = None) -> float:
        """0 when a request may pass, else the seconds until the next request may. ``rate``: the name's own rate, if any."""
        limit = rate or self._rate
        tokens = self._available_tokens(name, now, limit)
        return (1 - tokens) / limit if tokens < 1 else 0.0

    def take_tokens(self, name: str, now: float, rate: float | None = None, units: float = 1.0) -> None:
        """Count a request that passed; refused requests are not counted. The balance may become negative."""
        self._buckets[name] = (self._available_tokens(name, now, rate or self._rate) - units, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MAX_NAMES:
            self._buckets.popitem(last=False)

    def _available_tokens(self, name: str, now: float, limit: float) -> float:
        burst = max(1.0, self._burst_seconds * limit)
        tokens, at = self._buckets.get(name, (burst, now))
        return min(burst, tokens + (now - at) * limit)


@dataclass(slots=True)
class _SourceBucket:
    rate: float  # requests/s, decaying
    tokens: float
    at: float


@dataclass(slots=True)
class _NameBucket:
    tokens: float
    at: float
    sources: OrderedDict[str, _SourceBucket] = field(default_factory=OrderedDict)  # longest silent first


@dataclass(frozen=True, slots=True)
class Refusal:
    """``by``: `limit` (the name's limit is used up), `source` (the source's part is used up), `share` (the source is above
    an equal share). ``wait`` in seconds."""

    by: str
    wait: float


class FairLimit:
    """A token bucket for each name. One source may use ``part`` of it, and an equal share when the name is near its limit."""

    def __init__(self, rate: float, part: float) -> None:
        self._rate = rate
        self._part = part
        self._names: OrderedDict[str, _NameBucket] = OrderedDict()

    def find_refusal(self, name: str, source: str, now: float, rate: float | None = None) -> Refusal | None:
        """The reason to refuse a request; None: it may pass. Does not count the request."""
        limit = rate or self._rate
        known = self._refresh_bucket(name, now, limit)
        if known.tokens < 1:
            return Refusal("limit", (1 - known.tokens) / limit)
        of_source = known.sources.get(source)
        if of_source is None:
            return None
        part = limit * self._part
        tokens = _refill_tokens(of_source.tokens, now - of_source.at, part)
        if tokens < 1:
            return Refusal("source", (1 - tokens) / part)
        left = known.tokens / (_burst_size(limit) / 2)
        if left < 1 and len(known.sources) > 1:
            # The less is left, the lower the rate at which a source is still accepted.
            share = max(_LEAST_SHARE, left * limit / len(known.sources))
            own = _decayed_rate(of_source, now)
            if own > share:
                return Refusal("share", _RATE_SECONDS * math.log(own / share))
        return None

    def count_request(self, name: str, source: str, now: float, rate: float | None = None, units: float = 1.0) -> None:
        """Count a request that passed, as ``units``; the balance may become negative."""
        limit = rate or self._rate
        known = self._refresh_bucket(name, now, limit)
        known.tokens -= units
        part = limit * self._part
        before = known.sources.get(source)
        if before is None:
            known.sources[source] = _SourceBucket(units / _RATE_SECONDS, _burst_size(part) - units, now)
        else:
            own = _decayed_rate(before, now) + units / _RATE_SECONDS
            left = _refill_tokens(before.tokens, now - before.at, part) - units
            known.sources[source] = _SourceBucket(own, left, now)
            known.sources.move_to_end(source)
        if len(known.sources) > _MAX_SOURCES:
            known.sources.popitem(last=False)

    def _refresh_bucket(self, name: str, now: float, limit: float) -> _NameBucket:
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = _NameBucket(_burst_size(limit), now)
            if len(self._names) > _MAX_NAMES:
                self._names.popitem(last=False)
        self._names.move_to_end(name)
        known.tokens, known.at = _refill_tokens(known.tokens, now - known.at, limit), now
        while known.sources and self._is_forgotten(next(iter(known.sources.values())), now, limit):
            known.sources.popitem(last=False)
        return known

    def _is_forgotten(self, source: _SourceBucket, now: float, limit: float) -> bool:
        """Whether the source was silent for long, and its own bucket is full again."""
        part = limit * self._part
        silent = now - source.at
        return silent > max(_ACTIVE_SECONDS, 2 / limit) and source.tokens + silent * part >= _burst_size(part)


def _burst_size(rate: float) -> float:
    return max(1.0, 2 * rate)


def _refill_tokens(tokens: float, seconds: float, rate: float) -> float:
    return min(_burst_size(rate), tokens + seconds * rate)


def _decayed_rate(source: _SourceBucket, now: float) -> float:
    return source.rate * math.exp((source.at - now) / _RATE_SECONDS)
