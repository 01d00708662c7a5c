"""The score (detection.md, Score): additive, readable, monotone. The points of each rule stand in ``ufse.weights``.

More evidence never lowers a score: every rule only adds. A later success never raises it: it takes ``resolved`` off
the capped sum and the points for "unresolved" with it, which by default leaves at most 60, below High.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints
from ufse.config import Config
from ufse.detection import ConfidenceLevel
from ufse.feedback import CRASH, FAILURE, INVALID, REJECTION, SLOW
from ufse.signals.model import ENDED, LEFT, SILENCE
from ufse.weights import BLOCKED_MORE_LIMIT, PERSISTED_TRIES, REPEATED_LIMIT, TEXTS

HIGH: Final = "High"
MEDIUM: Final = "Medium"
LOW: Final = "Low"

_FEEDBACK: Final = {"failure": FAILURE, "crash": CRASH, "rejection": REJECTION, "validation": INVALID, "slow": SLOW}
_LEAVING: Final = {"abandoned": LEFT, "abandoned_ended": ENDED, "abandoned_silent": SILENCE}
RAGE_PLACES: Final = ("", "same", "reload", "reload_other", "page", "near")
"""Where the rage was, strongest first; the first means none."""
NEAR: Final = RAGE_PLACES.index("near")


@dataclass(frozen=True)
class Evidence:
    """What is known of each candidate cluster; every column that grows can only add points."""

    feedback: Ints
    """Kind of negative feedback at the failure point."""
    vague: Bools
    """An error without a message: more often noise than a failure."""
    by_field: Bools
    rage: Ints
    """Index into RAGE_PLACES of the strongest one."""
    retries: Ints
    left: Ints
    """LEFT, ENDED or SILENCE, else 0."""
    form_sent: Bools
    confused: Bools
    failures: Ints
    """Interactions that failed since the last success, clicks of one burst each."""
    tries: Ints
    """Deliberate tries among them, at whatever pace."""
    longest_wait_ms: Ints
    struggle_ms: Ints
    resolved: Bools
    answered_late: Bools
    """Slow, but the answer came: neither unresolved nor a later success."""
    declared: Mapping[str, Ints | Bools] = field(default_factory=dict)
    """By rule that a signal declares: how often it applies."""


def compute_points(evidence: Evidence, config: Config) -> Ints:
    """Points of every rule of ``TEXTS``: shape (clusters, rules)."""
    e = evidence
    applies: dict[str, Ints | Bools] = {
        rule: (e.feedback == kind) & ~(e.vague & (rule != "vague_error")) for rule, kind in _FEEDBACK.items()
    }
    applies["vague_error"] = e.vague
    applies["attributed"], applies["attributed_field"] = ~e.by_field, e.by_field
    for place, name in enumerate(RAGE_PLACES[1:], 1):
        applies[f"rage_{name}"] = e.rage == place
    applies["blocked"] = e.retries > 0
    applies["blocked_more"] = np.clip(e.retries - 1, 0, BLOCKED_MORE_LIMIT)
    for rule, form in _LEAVING.items():
        applies[rule] = e.left == form
    applies["form_sent"] = (e.left > 0) & e.form_sent
    # Silence alone is weak, for more may have been done than was told; after a form it is the end of the visit.
    applies["form_silent"] = (e.left == SILENCE) & e.form_sent
    applies["confused"] = e.confused
    applies["repeated"] = np.clip(e.failures - 1, 0, REPEATED_LIMIT)
    # Slow is used again, not tried again, unless half a minute was waited for what never came.
    in_vain = (e.feedback == SLOW) & ~e.answered_late & (e.longest_wait_ms >= config.retry_window_ms)
    applies["tried_again"] = (e.tries > 1) & ((e.feedback != SLOW) | in_vain)
    applies["persisted"] = e.tries >= PERSISTED_TRIES
    applies["long_wait"] = e.longest_wait_ms >= config.long_wait_ms
    applies["struggle_10"] = e.struggle_ms >= 10_000
    applies["struggle_30"] = e.struggle_ms >= 30_000
    kinds = (e.rage > 0).astype(np.int64) + (e.retries > 0) + (e.left > 0) + e.confused
    struck = ((e.rage > 0) & (e.rage < NEAR)) | (e.retries > 0)
    applies["kinds_3"] = struck & (kinds >= 2)
    applies["resolved"] = e.resolved
    applies["unresolved"] = ~e.resolved & ~e.answered_late
    applies.update(e.declared)
    weights = np.array([config.read_points(rule) for rule in TEXTS], dtype=np.int64)
    return np.stack([applies[rule].astype(np.int64) for rule in TEXTS], axis=1) * weights


def sum_points(table: Ints) -> Ints:
    """The score of each row of points: what counts for it, at most 100, less what counts against it, at least 0."""
    gained = np.minimum(100, np.maximum(table, 0).sum(axis=1))
    return np.asarray(np.maximum(0, gained + np.minimum(table, 0).sum(axis=1)), dtype=np.int64)


def confidence_level(score: int, config: Config) -> ConfidenceLevel:
    """High, Medium or Low (detection.md: ≥ 80, 50–79, < 50)."""
    if score >= config.high_score:
        return HIGH
    return MEDIUM if score >= config.medium_score else LOW
