"""What other sessions of the project say about the requests of this one (docs/decisions/0060-what-other-sessions-show.md)."""

import numpy as np

from ufse.arrays import Bools, Ints
from ufse.control_hashes import hash_action_controls
from ufse.frame import Frame


def apply_endpoint_history(frame: Frame, rows: Ints, action: Ints, quiet: Bools, certain: Bools) -> Bools:
    """Per request in ``rows``: whether it is background by its behaviour in this visit (``quiet``) and in other sessions.

    An endpoint that mostly runs by itself elsewhere is background here, too, unless this visit is ``certain``: one control
    got its answer at once three times or more. One that is scattered over many controls and hardly ever succeeds is, in any
    case. An endpoint that is nearly always the answer of one control is that
    control's, even where this visit does not show it. ``action``: packed action that caused the request; -1 without one, and
    for endpoints that never fail here: whether their success is background stays as it is.
    """
    knowledge = frame.endpoint_knowledge
    if knowledge is None:
        return quiet
    own = (action >= 0) & (knowledge.own_control[rows] != 0)
    own[own] = hash_action_controls(frame, action[own]) == knowledge.own_control[rows[own]]
    elsewhere = (knowledge.runs_alone[rows] & ~certain) | knowledge.scattered[rows]
    return np.asarray((quiet | elsewhere) & ~own, dtype=np.bool_)
