"""Slowness compared with what an endpoint normally takes (docs/contracts/detection.md, Slow and normal)."""

import numpy as np

from ufse.arrays import Bools, Ints, Small, is_among
from ufse.config import Config
from ufse.feedback import NONE, SLOW
from ufse.frame import Frame
from ufse.known import BEYOND_FACTOR, NORMAL_FACTOR
from ufse.sessions import LOADING, NETWORK, PERFORMANCE


def remove_normal_slowness(frame: Frame, negative: Small, cause: Ints, config: Config) -> Small:
    """``negative`` without slow answers that took at most twice what their endpoint usually takes, if that is slow, too
    (reports, uploads), and without the measurements and loading phases of the same interactions.
    """
    slow = negative == SLOW
    normal = slow & find_normal_slowness(frame, config)
    if not normal.any():
        return negative
    answers = slow & (frame.kind == NETWORK)
    waited = slow & ((frame.kind == PERFORMANCE) | (frame.kind == LOADING)) & (cause >= 0)
    waited &= is_among(cause, cause[normal & (cause >= 0)]) & ~is_among(cause, cause[answers & ~normal & (cause >= 0)])
    return np.where(normal | waited, np.int8(NONE), negative)


def find_normal_slowness(frame: Frame, config: Config) -> Bools:
    """Per event: whether it is a good answer that is slow, and took at most twice what its endpoint usually takes."""
    knowledge = frame.endpoint_knowledge
    if knowledge is None:
        return np.zeros(len(frame), dtype=np.bool_)
    usual = (knowledge.typical_ms >= config.slow_ms) & (frame.duration <= NORMAL_FACTOR * knowledge.typical_ms)
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & (frame.aborted != 1)
    return np.asarray(good & usual & (frame.duration >= config.slow_ms), dtype=np.bool_)


def is_beyond_normal(frame: Frame, rows: Ints) -> Bools:
    """Per request in ``rows``: whether it took at least ten times what its endpoint usually takes; False where that is
    unknown.
    """
    knowledge = frame.endpoint_knowledge
    if knowledge is None:
        return np.zeros(len(rows), dtype=np.bool_)
    typical = knowledge.typical_ms[rows]
    return np.asarray((typical > 0) & (frame.duration[rows] >= BEYOND_FACTOR * typical), dtype=np.bool_)
