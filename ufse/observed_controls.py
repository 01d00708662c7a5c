"""How often the controls that were pressed in the sessions of a batch answered, for the history of their projects."""

from typing import Final

import numpy as np
import pyarrow as pa

from ufse.answered_presses import find_answered_presses
from ufse.arrays import equals_any, mark_group_starts
from ufse.attribution import Attribution
from ufse.collectors import SessionReports
from ufse.config import Config
from ufse.control_facts import OBSERVED_CONTROLS
from ufse.control_hashes import hash_action_controls
from ufse.frame import Frame
from ufse.sessions import CLICK, SUBMIT

_UNKNOWN: Final = ("link", "toggle", "text_field", "nameless", "bare", "static_text")
"""Controls of which nothing is kept: what they are for is known, or two of them look like one."""


def observe_controls(frame: Frame, attribution: Attribution, reports: SessionReports, config: Config) -> pa.Table:
    """The rows of OBSERVED_CONTROLS of the client sessions of the frame."""
    kept = np.array([not any(getattr(t, n) for n in _UNKNOWN) for t in frame.targets], dtype=np.bool_)
    rows = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT) & kept[frame.target] & ~frame.target_ignored)
    if not len(rows):
        return OBSERVED_CONTROLS.empty_table()
    background = attribution.background | ~attribution.lonely
    asked, paged = find_answered_presses(frame, attribution.cause, background, attribution.by_click)
    session, action = reports.session_of_visit[frame.visit[rows]], attribution.action[rows]
    order = np.lexsort((rows, action, session))
    rows, session, action = rows[order], session[order], action[order]
    first = mark_group_starts(session, action)
    apart = first.copy()
    apart[1:] |= np.diff(frame.ts[rows]) > config.rage_gap_ms
    begin, tries = np.flatnonzero(first), np.flatnonzero(apart)
    number = (np.cumsum(first) - 1)[tries]
    shown = np.maximum.reduceat(paged[rows], tries)
    answered = np.maximum.reduceat(asked[rows] | paged[rows], tries)
    visits = reports.ordered.visits
    visit = reports.first_visits[session[begin]]
    projects, sessions = np.array(visits.projects, dtype=object), np.array(visits.sessions, dtype=object)
    columns = {
        "project": projects[visits.project_code[visit]],
        "session_id": sessions[visits.session_code[visit]],
        "control": hash_action_controls(frame, action[begin]).view(np.uint64),
        "tries": np.bincount(number, minlength=len(begin)),
        "answered": np.bincount(number[answered], minlength=len(begin)),
        "paged": np.bincount(number[shown], minlength=len(begin)),
    }
    return pa.table(columns, schema=OBSERVED_CONTROLS)
