"""The score: a capped sum of points (docs/contracts/detection.md, Score). ``ufse.weights`` holds the points of each rule.

More evidence never lowers a score: rules only add. A later success never raises it: it subtracts ``resolved`` from the capped
sum and removes the points of ``unresolved``. By default that leaves at most 60 points, below High.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints
from ufse.config import Config
from ufse.detection import ConfidenceLevel
from ufse.feedback import CRASH, FAILURE, INVALID, REJECTION, RETURNED, SILENT, SLOW
from ufse.signals.model import ENDED, LEFT, SILENCE
from ufse.weights import BLOCKED_MORE_LIMIT, PERSISTED_TRIES, REPEATED_LIMIT, TEXTS

HIGH: Final = "High"
MEDIUM: Final = "Medium"
LOW: Final = "Low"

_FEEDBACK: Final = {
    "failure": FAILURE,
    "crash": CRASH,
    "rejection": REJECTION,
    "validation": INVALID,
    "slow": SLOW,
    "silent": SILENT,
    "returned": RETURNED,
}
_LEAVING: Final = {"abandoned": LEFT, "abandoned_ended": ENDED, "abandoned_silent": SILENCE}
RAGE_PLACES: Final = ("", "same", "reload", "reload_other", "page", "near")
"""Where the rage was, strongest first; index 0 means none."""
NEAR: Final = RAGE_PLACES.index("near")


@dataclass(frozen=True)
class Evidence:
    """What is known of each cluster, one entry each; a column that grows can only add points."""

    feedback: Ints
    """Kind of negative feedback at the failure point."""
    vague: Bools
    """Whether it is an error without a message, which is more often noise than a failure."""
    stray: Bools
    """Whether it is an error that one of many clicks on a control raised, after which the page was used on."""
    by_field: Bools
    rage: Ints
    """Index into RAGE_PLACES of the strongest one."""
    retries: Ints
    left: Ints
    """How the flow was left: LEFT, ENDED or SILENCE, else 0."""
    form_sent: Bools
    confused: Bools
    failures: Ints
    """Interactions that failed since the last success; each click of a burst counts."""
    tries: Ints
    """Deliberate tries among them, at any pace."""
    longest_wait_ms: Ints
    struggle_ms: Ints
    resolved: Bools
    answered_late: Bools
    """Slow, but answered: neither unresolved nor a later success."""
    vendor: Bools | np.bool_ = np.False_
    """Another tool's verdict; it never makes a detection alone (`ufse.judge`)."""
    declared: Mapping[str, Ints | Bools] = field(default_factory=dict)
    """By rule that a signal declares: how often it applies."""


def compute_points(evidence: Evidence, config: Config) -> Ints:
    """Points of every rule of ``TEXTS``: shape (clusters, rules)."""
    e = evidence
    applies: dict[str, Ints | Bools] = {
        rule: (e.feedback == kind) & ~(e.vague | e.stray) for rule, kind in _FEEDBACK.items()
    }
    applies["vague_error"], applies["stray_error"] = e.vague, e.stray & ~e.vague
    applies["attributed"], applies["attributed_field"] = ~e.by_field, e.by_field
    for place, name in enumerate(RAGE_PLACES[1:], 1):
        applies[f"rage_{name}"] = e.rage == place
    applies["blocked"] = e.retries > 0
    applies["blocked_more"] = np.clip(e.retries - 1, 0, BLOCKED_MORE_LIMIT)
    for rule, form in _LEAVING.items():
        applies[rule] = e.left == form
    applies["form_sent"] = (e.left > 0) & e.form_sent
    # Silence alone is weak, because events may be missing; after a form it is the end of the visit.
    applies["form_silent"] = (e.left == SILENCE) & e.form_sent
    applies["confused"] = e.confused
    applies["vendor_verdict"] = np.broadcast_to(e.vendor, np.shape(e.resolved))
    applies["repeated"] = np.clip(e.failures - 1, 0, REPEATED_LIMIT)
    # A slow action is used again, not tried again, unless the user waited 30 s for an answer that never came.
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
    applies["unresolved"] = ~e.resolved & ~e.answered_late & (not config.visits_open)
    applies.update(e.declared)
    weights = np.array([config.read_points(rule) for rule in TEXTS], dtype=np.int64)
    return np.stack([applies[rule].astype(np.int64) for rule in TEXTS], axis=1) * weights


def sum_points(table: Ints) -> Ints:
    """The score of each row of points: the positive points, at most 100, minus the negative ones, at least 0."""
    gained = np.minimum(100, np.maximum(table, 0).sum(axis=1))
    return np.asarray(np.maximum(0, gained + np.minimum(table, 0).sum(axis=1)), dtype=np.int64)


def confidence_level(score: int, config: Config) -> ConfidenceLevel:
    """High, Medium or Low; by default from 80, from 50, below 50."""
    if score >= config.high_score:
        return HIGH
    return MEDIUM if score >= config.medium_score else LOW
