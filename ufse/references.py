"""Events that name the interaction that caused them (``cause``): certain attribution (docs/contracts/events.md, Shapes)."""

import numpy as np

from ufse.arrays import Ints, Lookup
from ufse.frame import Frame

STAMP_SLACK_MS = 50
"""An interaction may be stamped this long after what it caused (measured: SDKs stamp a click after its own request began)."""


def find_named_causes(frame: Frame, rows: Ints, starters: Ints) -> Ints:
    """Per row of ``rows``: the interaction among ``starters`` (ascending rows) that it names as its cause; -1 without one.

    The interaction must be of the same visit, and at most `STAMP_SLACK_MS` later. Of several with one id, the last counts.
    An id that no interaction of the visit has says nothing.
    """
    found = np.full(len(rows), -1, dtype=np.int64)
    if not len(rows) or not len(starters) or "cause" not in frame.source.table.column_names:
        return found
    code, texts = frame.source.read_codes("cause", rows)
    if not any(texts):
        return found
    own, names = frame.source.read_codes("own_id", starters)
    place = {text: i for i, text in enumerate(names) if text}
    wanted = np.array([place.get(text, -1) for text in texts])[code]
    named = np.flatnonzero(wanted >= 0)
    has_id = np.array([bool(text) for text in names])[own]
    width = max(len(names), 1)
    lookup = Lookup(frame.visit[starters[has_id]] * width + own[has_id], starters[has_id])
    asked = rows[named]
    until = frame.find_first_since(frame.visit[asked], frame.ts[asked] + STAMP_SLACK_MS + 1)
    found[named] = lookup.find_last_before(frame.visit[asked] * width + wanted[named], until)
    return found
