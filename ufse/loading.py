"""Loading phases: how long each lasted."""

import numpy as np

from ufse.arrays import Bools, Ints, Small
from ufse.sessions import LOADING


def measure_loading_phases(visit: Ints, ts: Ints, end: Ints) -> tuple[Ints, Bools]:
    """Per loading event (in order): ms until the next one or the end of its visit, and whether none follows.

    ``end``: end of the visit per loading event, epoch ms.
    """
    last = np.append(visit[1:] != visit[:-1], True)
    return np.where(last, end, np.append(ts[1:], 0)) - ts, last


def add_loading_durations(
    duration: Ints, kind: Small, visit: Ints, ts: Ints, ends: Ints, starts: Bools
) -> tuple[Ints, Bools]:
    """``duration`` with the durations of loading phases (ms, at their starts, else -1), and whether a start has no end.

    ``ends``: end of each visit, epoch ms. ``starts``: per event, whether it starts a loading phase. The rest is per event.
    """
    rows = np.flatnonzero(kind == LOADING)
    endless = np.zeros(len(kind), dtype=np.bool_)
    if len(rows):
        lasted, last = measure_loading_phases(visit[rows], ts[rows], ends[visit[rows]])
        duration = duration.copy()
        duration[rows] = np.where(starts[rows], lasted, -1)
        again = np.append(starts[rows][1:], True) & starts[rows]
        endless[rows] = starts[rows] & (last | again)
    return duration, endless
