"""How many sessions an incident hits of those that reached its step: shares with an interval, comparisons, proof of a fix.

Pure. Counts are client sessions (docs/impact.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, NamedTuple

Z_95: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: with it, an interval covers 95 %."""
PROOF_FACTOR: Final = 10
"""A fix is confirmed when the upper bound of the rate since then is below the old rate divided by this (own choice)."""
SHOWN_VALUES: Final = 20
"""Values of a facet that are shown, those that most sessions have (own choice)."""


class Interval(NamedTuple):
    """The bounds of a proportion, 0 to 1."""

    low: float
    high: float


def compute_wilson_interval(hit: int, reached: int, z: float = Z_95) -> Interval:
    """The score interval of the proportion ``hit`` of ``reached``, without continuity correction; (0, 1) of none.

    Wilson, E. B. (1927), Probable inference, the law of succession, and statistical inference, J. Am. Stat. Assoc. 22.
    Raises ValueError unless 0 ≤ hit ≤ reached.
    """
    if not 0 <= hit <= reached:
        raise ValueError(f"{hit} of {reached} is no proportion")
    if not reached:
        return Interval(0.0, 1.0)
    square = z * z
    middle = hit + square / 2
    reach = z * sqrt(hit * (reached - hit) / reached + square / 4)
    # At the ends one bound is exact; rounding must not move it.
    low = 0.0 if hit == 0 else (middle - reach) / (reached + square)
    high = 1.0 if hit == reached else (middle + reach) / (reached + square)
    return Interval(low, high)


@dataclass(frozen=True)
class Share:
    """``hit`` of ``reached`` sessions."""

    reached: int = 0
    hit: int = 0

    @property
    def rate(self) -> float | None:
        """The proportion, 0 to 1; None if no session reached the step."""
        return self.hit / self.reached if self.reached else None

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the rate."""
        return compute_wilson_interval(self.hit, self.reached)

    def __add__(self, other: "Share") -> "Share":
        return Share(self.reached + other.reached, self.hit + other.hit)

    def without(self, part: "Share") -> "Share":
        """The sessions that are not in ``part``."""
        return Share(max(self.reached - part.reached, 0), max(self.hit - part.hit, 0))


class FacetShare(NamedTuple):
    """The share of the sessions with one value of a facet, and of all other sessions that reached the step."""

    value: str
    share: Share
    others: Share


def compare_facet(whole: Share, values: Mapping[str, Share]) -> list[FacetShare]:
    """Each value against the other sessions, most sessions first, at most ``SHOWN_VALUES``.

    ``whole``: all sessions; those without a value are among the others.
    """
    order = sorted(values.items(), key=lambda item: (-item[1].reached, item[0]))
    return [FacetShare(value, share, whole.without(share)) for value, share in order[:SHOWN_VALUES]]


def is_fix_confirmed(before: Share, since: Share) -> bool:
    """Whether the rate since a fix is below a tenth of the rate before it, by the upper bound of its interval.

    Without a session that reached the step since then, or without one that was hit before, nothing is confirmed.
    """
    old = before.rate
    return bool(old) and since.reached > 0 and since.interval.high * PROOF_FACTOR < (old or 0)


def describe_share(share: Share) -> str:
    """A share as text: ``3 of 10 sessions that reached this step (30.0%; 95 % interval 10.8% to 60.3%)``."""
    if not share.reached:
        return "no session reached this step"
    low, high = share.interval
    sessions = "session" if share.reached == 1 else "sessions"
    return (
        f"{share.hit:,} of {share.reached:,} {sessions} that reached this step "
        f"({share.rate or 0:.1%}; 95 % interval {low:.1%} to {high:.1%})"
    )


def describe_proof(before: Share, since: Share, fix: str = "") -> str:
    """The proof as a line of the history: counts, the upper bound and the old rate. ``fix``: its version, if it is known."""
    named = f" in {fix}" if fix else ""
    sessions = "session" if since.reached == 1 else "sessions"
    return (
        f"confirmed fixed: {since.reached:,} {sessions} reached this step since the fix{named}, {since.hit:,} hit it "
        f"(at most {since.interval.high:.2%} by the 95 % interval); before it {before.hit:,} of {before.reached:,} "
        f"({before.rate or 0:.2%})"
    )


class BucketCount(NamedTuple):
    """Client sessions of one bucket that reached the step of an incident, and those that it hit.

    ``bucket_ms``: begin of a slot or (``is_day``) of a day. ``after_fix``: they began after the fix. ``facet``: '' for all of
    them, else appVersions, environments or browsers, with its ``value``.
    """

    incident: int
    bucket_ms: int
    is_day: bool
    after_fix: bool
    facet: str
    value: str
    reached: int
    hit: int


@dataclass(frozen=True)
class Reach:
    """What was counted of one incident. Facets are by name and value; they leave out sessions without a value.

    ``since``: the sessions that began after the fix; ``before``: all others. ``days``: by day of receipt (epoch ms, UTC).
    """

    before: Share = Share()
    since: Share = Share()
    facets: Mapping[str, Mapping[str, Share]] | None = None
    facets_since: Mapping[str, Mapping[str, Share]] | None = None
    days: Sequence[tuple[int, Share]] = ()

    @property
    def whole(self) -> Share:
        """All counted sessions."""
        return self.before + self.since
