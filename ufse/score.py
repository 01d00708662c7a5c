"""The points table and the score (detection.md, Score): additive, readable, monotone.

More evidence never lowers a score: every rule only adds. A later success never raises it: it takes
``resolved`` off the capped sum and the points for "unresolved" with it, which leaves at most 60, below High.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ufse.attribution import CRASH, FAILURE, INVALID, REJECTION, SLOW
from ufse.config import Config
from ufse.weights import BLOCKED_MORE_LIMIT, REPEATED_LIMIT, TEXTS

_FEEDBACK: Final = {FAILURE: "failure", CRASH: "crash", REJECTION: "rejection", INVALID: "validation", SLOW: "slow"}
_RAGE: Final = {p: f"rage_{p}" for p in ("same", "reload", "reload_other", "page", "near")}
_ABANDONED: Final = {"left": "abandoned", "ended": "abandoned_ended", "silence": "abandoned_silent"}

HIGH: Final = "High"
MEDIUM: Final = "Medium"
LOW: Final = "Low"


@dataclass(frozen=True)
class Evidence:
    """What is known of one candidate; every field that grows can only add points."""

    feedback: int
    """Kind of negative feedback at the failure point."""
    by_field: bool
    vague: bool = False
    """An error without a message: more often noise than a failure."""
    rage: str = ""
    """``same``, ``reload``, ``reload_other``, ``page``, ``near`` or empty; the strongest one."""
    retries: int = 0
    abandoned: str = ""
    """``left``, ``ended``, ``silence`` or empty."""
    form_sent: bool = False
    confused: bool = False
    failures: int = 1
    longest_wait_ms: int = 0
    struggle_ms: int = 0
    resolved: bool = False
    answered_late: bool = False
    """Slow, but the answer came: neither unresolved nor a later success."""


def points(evidence: Evidence, config: Config) -> list[tuple[str, int]]:
    """The rules that apply with their points, in the order of the story."""
    e = evidence
    rules = ["vague_error" if e.vague else _FEEDBACK[e.feedback], "attributed_field" if e.by_field else "attributed"]
    if e.rage:
        rules.append(_RAGE[e.rage])
    if e.retries:
        rules.append("blocked")
        rules += ["blocked_more"] * min(e.retries - 1, BLOCKED_MORE_LIMIT)
    if e.abandoned:
        rules.append(_ABANDONED[e.abandoned])
        if e.form_sent:
            rules.append("form_sent")
    if e.confused:
        rules.append("confused")
    rules += ["repeated"] * min(e.failures - 1, REPEATED_LIMIT)
    if e.longest_wait_ms >= config.long_wait_ms:
        rules.append("long_wait")
    if e.struggle_ms >= 10_000:
        rules.append("struggle_10")
    if e.struggle_ms >= 30_000:
        rules.append("struggle_30")
    struck = e.rage not in ("", "near") or e.retries > 0
    if struck and sum(map(bool, (e.rage, e.retries, e.abandoned, e.confused))) >= 2:
        rules.append("kinds_3")
    if e.resolved:
        rules.append("resolved")
    elif not e.answered_late:
        rules.append("unresolved")
    return [(TEXTS[rule], getattr(config.weights, rule) * count) for rule, count in Counter(rules).items()]


def total(table: Sequence[tuple[str, int]]) -> int:
    """The score of a points table: what counts for it, at most 100, less what counts against it."""
    gained = min(100, sum(p for _, p in table if p > 0))
    return max(0, gained + sum(p for _, p in table if p < 0))


def level(score: int, config: Config) -> str:
    """High, Medium or Low (detection.md: ≥ 80, 50–79, < 50)."""
    if score >= config.high_score:
        return HIGH
    return MEDIUM if score >= config.medium_score else LOW
