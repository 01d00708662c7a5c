"""The points table and the score (detection.md, Score): additive, readable, monotone.

More evidence never lowers a score: every rule only adds. A later success never raises it: it takes
``RESOLVED`` off the capped sum and the points for "unresolved" with it, which leaves at most 60, below High.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ufse.attribution import CRASH, FAILURE, INVALID, REJECTION, SLOW
from ufse.config import Config

FEEDBACK_POINTS: Final = {FAILURE: 30, CRASH: 30, REJECTION: 25, INVALID: 25, SLOW: 15}
FEEDBACK_RULES: Final = {
    FAILURE: "a request failed",
    CRASH: "an uncaught error",
    REJECTION: "the server rejected the request",
    INVALID: "a validation error",
    SLOW: "an answer took 3 s or more",
}
VAGUE_ERROR = ("an error without a message", 20)
ATTRIBUTED = ("caused by the user's action", 10)
ATTRIBUTED_FIELD = ("caused by typing in a field", 4)
RAGE_SAME = ("rage on the failing control", 35)
RAGE_RELOAD = ("rage by reloading the failing page", 35)
RAGE_RELOAD_OTHER = ("rage by reloading the page after the failure", 30)
RAGE_PAGE = ("rage on the page that failed", 25)
RAGE_NEAR = ("rage on another control of the page", 10)
BLOCKED_FIRST = ("blocked: tried again without success", 28)
BLOCKED_MORE = ("blocked: each further retry", 5)
BLOCKED_MORE_LIMIT: Final = 3
ABANDONED = {"left": ("the begun flow was left", 25), "ended": ("the session ended in the begun flow", 25)}
ABANDONED_SILENT = ("nothing followed in the begun flow", 10)
FORM_SENT = ("a form was filled in and sent", 10)
CONFUSED = ("confusion on the way", 15)
REPEATED = ("each further failure", 3)
REPEATED_LIMIT: Final = 3
LONG_WAIT = ("waited 8 s or more", 10)
STRUGGLE_10 = ("struggled for 10 s or more", 2)
STRUGGLE_30 = ("struggled for 30 s or more", 2)
KINDS_3 = ("three kinds of signals agree", 15)
UNRESOLVED = ("not achieved by the end", 10)
RESOLVED = ("achieved later in the session", -40)

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
    first = VAGUE_ERROR if e.vague else (FEEDBACK_RULES[e.feedback], FEEDBACK_POINTS[e.feedback])
    table = [first, ATTRIBUTED_FIELD if e.by_field else ATTRIBUTED]
    rage = {
        "same": RAGE_SAME,
        "reload": RAGE_RELOAD,
        "reload_other": RAGE_RELOAD_OTHER,
        "page": RAGE_PAGE,
        "near": RAGE_NEAR,
    }
    if e.rage:
        table.append(rage[e.rage])
    if e.retries:
        table.append(BLOCKED_FIRST)
        table += _times(BLOCKED_MORE, min(e.retries - 1, BLOCKED_MORE_LIMIT))
    if e.abandoned:
        table.append(ABANDONED.get(e.abandoned, ABANDONED_SILENT))
        if e.form_sent:
            table.append(FORM_SENT)
    if e.confused:
        table.append(CONFUSED)
    table += _times(REPEATED, min(e.failures - 1, REPEATED_LIMIT))
    if e.longest_wait_ms >= config.long_wait_ms:
        table.append(LONG_WAIT)
    if e.struggle_ms >= 10_000:
        table.append(STRUGGLE_10)
    if e.struggle_ms >= 30_000:
        table.append(STRUGGLE_30)
    struck = e.rage not in ("", "near") or e.retries > 0
    if struck and sum(map(bool, (e.rage, e.retries, e.abandoned, e.confused))) >= 2:
        table.append(KINDS_3)
    if e.resolved:
        table.append(RESOLVED)
    elif not e.answered_late:
        table.append(UNRESOLVED)
    return table


def _times(rule: tuple[str, int], count: int) -> list[tuple[str, int]]:
    return [(rule[0], rule[1] * count)] if count > 0 else []


def total(table: Sequence[tuple[str, int]]) -> int:
    """The score of a points table: what counts for it, at most 100, less what counts against it."""
    gained = min(100, sum(p for _, p in table if p > 0))
    return max(0, gained + sum(p for _, p in table if p < 0))


def level(score: int, config: Config) -> str:
    """High, Medium or Low (detection.md: ≥ 80, 50–79, < 50)."""
    if score >= config.high_score:
        return HIGH
    return MEDIUM if score >= config.medium_score else LOW
