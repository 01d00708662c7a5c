"""The kinds of negative feedback, and the kind and duration of each feedback event by itself."""

import numpy as np

from ufse.arrays import (
    Ints,
    Small,
    equals_any,
    mark_group_starts,
)
from ufse.config import Config
from ufse.frame import BODY_ERROR, Frame
from ufse.sessions import (
    CLICK,
    ERROR,
    LOADING,
    NETWORK,
    PERFORMANCE,
    SUBMIT,
)

SHOWN_WITHIN_MS = 1_000
"""A page is shown within this time after its document was received (own choice)."""

MEASURED_WITH_MS = 10
"""A measurement of a request is reported within this time after the request (own choice)."""

NONE, FAILURE, CRASH, REJECTION, INVALID, SLOW, SILENT, RETURNED = range(8)
"""Kinds of negative feedback: failure, uncaught error, rejection by the server, validation error, slow, never answered,
sent back to a login or error page, or its page loaded anew."""

_FAILED_STATUS = (0, 408, 429)


def classify_feedback(frame: Frame, config: Config) -> Small:
    """Kind of negative feedback of each event by itself."""
    kind, status, duration = frame.kind, frame.status, frame.duration
    negative = np.zeros(len(frame), dtype=np.int8)
    network = (kind == NETWORK) & (frame.aborted != 1) & ~frame.noise
    slow = (network & (status >= 200) & (duration >= config.slow_ms)) | (
        (kind == PERFORMANCE)
        & ((duration >= config.slow_ms) | ((duration < 0) & frame.column_equals("perf_kind", "slow_response")))
    )
    negative[slow] = SLOW
    negative[(kind == LOADING) & (duration >= config.slow_ms)] = SLOW
    negative[network & (status >= 400)] = REJECTION
    negative[network & (((status >= 500) & (status != BODY_ERROR)) | equals_any(status, *_FAILED_STATUS))] = FAILURE
    errors = (kind == ERROR) & ~frame.noise
    negative[errors] = CRASH
    negative[errors & frame.column_equals("error_type", "validation")] = INVALID
    if frame.unseen.any():
        negative[frame.unseen] = NONE
    return negative


def measure_durations(frame: Frame, config: Config) -> Ints:
    """How long each request or measurement took, ms; -1 where unknown.

    A request without a duration gets that of the slow answer that was measured at the same time, or of the loading phase that
    ended with it: some collectors report only one of them. A request reported as slow without a duration took as long as
    the user waited.
    """
    kind = frame.kind
    lasted = np.where((kind == NETWORK) | (kind == PERFORMANCE), frame.duration, -1)
    rows = np.flatnonzero((kind == NETWORK) & (frame.duration <= 0))
    measured = np.flatnonzero(
        (kind == PERFORMANCE) & (frame.duration > 0) & frame.column_equals("perf_kind", "slow_response")
    )
    if len(rows) and len(measured):
        after = measured[np.minimum(np.searchsorted(measured, rows), len(measured) - 1)]
        same = (frame.visit[after] == frame.visit[rows]) & (frame.route[after] == frame.route[rows])
        same &= (after == rows + 1) & (frame.ts[after] - frame.ts[rows] <= MEASURED_WITH_MS)
        lasted[rows[same]] = frame.duration[after[same]]
    if len(rows):
        ended = np.minimum(rows + 1, len(frame) - 1)
        start = _find_loading_starts(frame)[ended]
        same = (start >= 0) & (frame.visit[ended] == frame.visit[rows]) & (lasted[rows] <= 0)
        same &= frame.ts[ended] - frame.ts[rows] <= MEASURED_WITH_MS
        lasted[rows[same]] = frame.ts[rows[same]] - frame.ts[start[same]]
    return _add_waiting_times(frame, lasted, config)


def _add_waiting_times(frame: Frame, lasted: Ints, config: Config) -> Ints:
    """``lasted``, where a request reported as slow without a duration gets the time since the click or submit that waited for
    it: the last one at least ``slow_ms`` before, if nothing else was answered since.
    """
    slow = (frame.kind == PERFORMANCE) & (frame.duration <= 0) & frame.column_equals("perf_kind", "slow_response")
    measured, starters = np.flatnonzero(slow), np.flatnonzero((frame.kind == CLICK) | (frame.kind == SUBMIT))
    answers = np.flatnonzero((frame.kind == NETWORK) & ~frame.noise & (frame.third_party != 1))
    rows = answers[lasted[answers] <= 0]
    if not len(rows) or not len(measured) or not len(starters):
        return lasted
    after = measured[np.minimum(np.searchsorted(measured, rows), len(measured) - 1)]
    followed = (after > rows) & (frame.visit[after] == frame.visit[rows])
    rows = rows[followed & (frame.ts[after] - frame.ts[rows] <= MEASURED_WITH_MS)]
    by = frame.find_last_until(starters, frame.visit[rows], frame.ts[rows] - config.slow_ms)
    before = frame.find_last_until(answers, frame.visit[rows], frame.ts[rows] - MEASURED_WITH_MS - 1)
    lasting = frame.ts[rows] - frame.ts[np.maximum(by, 0)]
    waited = (by > before) & (frame.route[by] == frame.route[rows]) & (lasting <= config.slow_end_window_ms)
    lasted[rows[waited]] = lasting[waited]
    return lasted


def _find_loading_starts(frame: Frame) -> Ints:
    """Per end of a loading phase: the row at which that phase began; else -1.

    Of overlapping phases, the first to begin is the first to end. A phase does not end in another document.
    """
    since = np.full(len(frame), -1, dtype=np.int64)
    rows = np.flatnonzero(frame.kind == LOADING)
    if not len(rows):
        return since
    starts = frame.column_equals("state", "start", rows=rows)
    fresh = frame.column_equals("nav_type", "link", "reload", "back_forward")
    document = np.cumsum(fresh)[rows]
    run = mark_group_starts(frame.visit[rows], document, starts)
    first = np.flatnonzero(run)
    number = np.cumsum(run) - 1
    nth = np.arange(len(rows)) - first[number]
    before = np.maximum(number - 1, 0)
    start = first[before] + nth
    paired = ~starts & (number > 0) & starts[first[before]] & (start < first[number])
    start = np.where(paired, start, 0)
    paired &= (frame.visit[rows[start]] == frame.visit[rows]) & (document[start] == document)
    since[rows[paired]] = rows[start[paired]]
    return since
