"""What the exceptions of a project cover in a frame (``ufse.exemptions``): answers, clicks and visits, as whole columns."""

from collections.abc import Iterator

import numpy as np

from ufse.arrays import Bools, Ints, Small, any_by_owner, is_among
from ufse.config import Config
from ufse.event_columns import EventColumns
from ufse.exemptions import Exemption
from ufse.feedback import CRASH, NONE, SILENT, SLOW
from ufse.frame import Frame
from ufse.sessions import CLICK, LOADING, PERFORMANCE


def remove_exempt_answers(frame: Frame, negative: Small, cause: Ints, config: Config) -> Small:
    """``negative`` without the answers that an exception covers, and without what such an answer brought with it: the
    errors that follow it within ``chain_window_ms``, and the measurements of the same slow interaction.
    """
    if not config.exemptions:
        return negative
    covered = np.zeros(len(frame), dtype=np.bool_)
    for exemption in config.exemptions:
        covered |= _find_exempt_answers(frame, exemption)
    covered &= negative != NONE
    if not covered.any():
        return negative
    rows = np.flatnonzero(covered & (cause >= 0))
    slow = is_among(cause, cause[rows[negative[rows] == SLOW]])
    measured = (negative == SLOW) & ((frame.kind == PERFORMANCE) | (frame.kind == LOADING)) & (cause >= 0) & slow
    other = (negative == SLOW) & ~covered & ~measured & (cause >= 0)
    measured &= ~is_among(cause, cause[other])
    return np.where(
        covered | measured | _is_chained_error(frame, negative, cause, rows, config), np.int8(NONE), negative
    )


def _is_chained_error(frame: Frame, negative: Small, cause: Ints, rows: Ints, config: Config) -> Bools:
    """Per event: whether it is an error of the same interaction as one of the ascending ``rows``, soon after it."""
    found = np.zeros(len(frame), dtype=np.bool_)
    errors = np.flatnonzero((negative == CRASH) & (cause >= 0))
    if len(errors):
        place = np.searchsorted(rows, errors) - 1
        before = rows[np.maximum(place, 0)]
        near = (place >= 0) & (cause[before] == cause[errors])
        found[errors] = near & (frame.ts[errors] - frame.ts[before] <= config.chain_window_ms)
    return found


def remove_exempt_silence(frame: Frame, negative: Small, config: Config) -> Small:
    """``negative`` without the presses of decorative controls that nothing answered."""
    silent = np.flatnonzero(negative == SILENT) if config.exemptions else np.zeros(0, dtype=np.int64)
    if not len(silent):
        return negative
    negative = negative.copy()
    negative[silent[is_decorative(frame, silent, config)]] = NONE
    return negative


def is_decorative(frame: Frame, rows: Ints, config: Config) -> Bools:
    """Per row: whether it is at a control that is an exception on its route."""
    found = np.zeros(len(rows), dtype=np.bool_)
    for exemption in config.exemptions:
        found |= _is_at_control(frame, rows, exemption)
    return found


def find_test_visits(source: EventColumns, visit: Ints, visits: int, config: Config) -> Bools:
    """Per visit number: whether one of its events (``visit``: that of each row of ``source``) is test traffic."""
    found = np.zeros(visits, dtype=np.bool_)
    for exemption in config.exemptions:
        found |= _find_visits_of(source, visit, visits, exemption)
    return found


def find_covered_rows(
    frame: Frame, source: EventColumns, visit: Ints, config: Config
) -> Iterator[tuple[Exemption, Bools]]:
    """Each exception, and per row of the frame whether it covers it. ``source``, ``visit``: as in ``find_test_visits``."""
    clicks = np.flatnonzero(frame.kind == CLICK)
    for exemption in config.exemptions:
        rows = _find_exempt_answers(frame, exemption)
        rows[clicks] |= _is_at_control(frame, clicks, exemption)
        yield exemption, rows | _find_visits_of(source, visit, len(frame.low), exemption)[frame.visit]


def _find_exempt_answers(frame: Frame, exemption: Exemption) -> Bools:
    """Per event: whether it is an answer that ``exemption`` covers."""
    if exemption.kind not in ("expected_answer", "known_slow"):
        return np.zeros(len(frame), dtype=np.bool_)
    named = np.array([*(text == exemption.endpoint for text in frame.endpoints), False], dtype=np.bool_)
    at = named[frame.endpoint]  # -1 is the last entry
    if exemption.kind == "expected_answer":
        return np.asarray(at & (frame.status == exemption.status), dtype=np.bool_)
    good = (frame.status >= 200) & (frame.status < 400)
    return np.asarray(at & good & (frame.duration >= 0) & (frame.duration <= exemption.limit_ms), dtype=np.bool_)


def _is_at_control(frame: Frame, rows: Ints, exemption: Exemption) -> Bools:
    if exemption.kind != "decorative_control":
        return np.zeros(len(rows), dtype=np.bool_)
    control = np.array([target.name == exemption.target for target in frame.targets] or [False], dtype=np.bool_)
    route = np.array([text == exemption.route for text in frame.patterns] or [False], dtype=np.bool_)
    return np.asarray(control[frame.target[rows]] & route[frame.pattern[rows]], dtype=np.bool_)


def _find_visits_of(source: EventColumns, visit: Ints, visits: int, exemption: Exemption) -> Bools:
    if exemption.kind != "test_traffic":
        return np.zeros(visits, dtype=np.bool_)
    code, texts = source.read_codes(exemption.traffic_field, np.arange(len(visit)))
    named = np.array([text == exemption.value for text in texts] or [False], dtype=np.bool_)
    return any_by_owner(visit, named[code], visits)
