"""What the sessions of a batch show of endpoints and collectors, for the history of their projects (``ufse.history``)."""

from typing import Final

import numpy as np
import pyarrow as pa

from ufse.arrays import Bools, Ints, equals_any, mark_group_starts
from ufse.attribution import Attribution
from ufse.collectors import SessionReports, make_collector_rows
from ufse.config import Config
from ufse.control_hashes import hash_action_controls
from ufse.frame import Frame
from ufse.history import OBSERVED_COLLECTORS, OBSERVED_ENDPOINTS, Observed
from ufse.observed_controls import observe_controls
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT

IDLE_MS: Final = 30_000
"""A request that begins this long after the person's last action ran without one (own choice)."""
PACED_MS: Final = 1_000
"""A request this long after the one before it, with no action between, ran by itself (own choice)."""
LONGEST_LABEL: Final = 200
"""Characters of an endpoint's name; longer ones, which are rare and made of data, are not kept (own choice)."""


def observe_sessions(frame: Frame, attribution: Attribution, reports: SessionReports, config: Config) -> Observed:
    """The rows of the client sessions of the frame; collectors of all client sessions of the batch."""
    collectors = pa.table(make_collector_rows(reports), schema=OBSERVED_COLLECTORS)
    endpoints = _observe_endpoints(frame, attribution, reports, config)
    return Observed(endpoints, collectors, observe_controls(frame, attribution, reports, config))


def _observe_endpoints(frame: Frame, attribution: Attribution, reports: SessionReports, config: Config) -> pa.Table:
    short = np.array([len(t) <= LONGEST_LABEL for t in frame.endpoints] + [False])
    named = (frame.endpoint >= 0) & frame.endpoint_known[frame.endpoint] & short[frame.endpoint]
    rows = np.flatnonzero((frame.kind == NETWORK) & named & ~frame.noise)
    if not len(rows):
        return OBSERVED_ENDPOINTS.empty_table()
    rows = rows[np.argsort(frame.visit[rows] * len(frame.endpoints) + frame.endpoint[rows], kind="stable")]
    by = np.maximum(attribution.cause[rows], 0)
    fired = attribution.cause[rows] >= 0
    near = frame.ts[rows] - frame.duration[rows].clip(0) - frame.ts[by] <= config.reaction_window_ms
    pressed = fired & near & equals_any(frame.kind[by], CLICK, SUBMIT)
    typed = fired & near & (frame.kind[by] == INPUT)
    unasked, alone = _find_unasked_requests(frame, attribution, rows, config)
    control = np.zeros(len(rows), dtype=np.int64)
    control[pressed] = hash_action_controls(frame, attribution.action[by[pressed]])
    good = (frame.status[rows] >= 200) & (frame.status[rows] < 400)
    counts = {"alone": alone, "unasked": unasked, "typed": typed, "pressed": pressed, "good": good}
    session = reports.session_of_visit[frame.visit[rows]]
    return _sum_rows(frame, rows, session, control, counts, reports)


def _find_unasked_requests(frame: Frame, attribution: Attribution, rows: Ints, config: Config) -> tuple[Bools, Bools]:
    """Per request (ordered by visit and endpoint): whether nothing seems to have caused it, and whether nothing provably did.

    Provably: long after the last action, or again with no action since the request before.
    """
    begin, visit = attribution.begin[rows], frame.visit[rows]
    acts = np.flatnonzero(equals_any(frame.kind, CLICK, INPUT, SUBMIT, NAVIGATION))
    act = frame.find_last_until(acts, visit, begin)
    since = begin - np.where(act >= 0, frame.ts[np.maximum(act, 0)], frame.ts[frame.low[visit]])
    opening = frame.kind == NAVIGATION
    opening[frame.is_first_row] = True
    shown = frame.find_last_until(np.flatnonzero(opening), visit, begin)
    opened = (shown < 0) | (begin - frame.ts[np.maximum(shown, 0)] <= config.page_load_ms)
    first = mark_group_starts(visit, frame.endpoint[rows])
    before = np.append(0, rows[:-1])
    gap = begin - frame.ts[before]
    bad = (frame.status[before] >= 400) | (frame.status[before] == 0)
    repeated = ~first & bad & (gap <= config.automatic_repeat_window_ms)
    unasked = (attribution.cause[rows] < 0) & ~opened & ~repeated
    again = ~first & (before > act) & (gap >= PACED_MS)
    return unasked, unasked & ((since > IDLE_MS) | again)


def _sum_rows(
    frame: Frame, rows: Ints, session: Ints, control: Ints, counts: dict[str, Bools], reports: SessionReports
) -> pa.Table:
    """One row per (session, endpoint, control)."""
    endpoint = frame.endpoint[rows]
    order = np.lexsort((control, endpoint, session))
    first = mark_group_starts(session[order], endpoint[order], control[order])
    begin, number = np.flatnonzero(first), np.cumsum(first) - 1
    firsts = order[begin]
    visits = reports.ordered.visits
    visit = reports.first_visits[session[firsts]]
    good = counts["good"][order]
    columns = {
        "project": [visits.projects[c] for c in visits.project_code[visit].tolist()],
        "session_id": [visits.sessions[c] for c in visits.session_code[visit].tolist()],
        "endpoint": [frame.endpoints[c] for c in endpoint[firsts].tolist()],
        "control": control[firsts].view(np.uint64),
        "requests": np.diff(np.append(begin, len(order))),
        **{name: np.bincount(number[chosen[order]], minlength=len(begin)) for name, chosen in counts.items()},
        "median_ms": _find_row_medians(frame.duration[rows][order], good, number, len(begin)),
    }
    return pa.table(columns, schema=OBSERVED_ENDPOINTS)


def _find_row_medians(lasted: Ints, good: Bools, number: Ints, size: int) -> Ints:
    """Per group: the median of the known durations of good answers (of an even number the upper one), -1 without one."""
    chosen = np.flatnonzero(good & (lasted > 0))
    order = chosen[np.lexsort((lasted[chosen], number[chosen]))]
    counts = np.bincount(number[order], minlength=size)
    begin = np.cumsum(counts) - counts
    found = np.full(size, -1, dtype=np.int64)
    some = counts > 0
    found[some] = lasted[order][(begin + counts // 2)[some]]
    return found
