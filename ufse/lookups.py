"""What a field asks the server while a person fills it in: whether a name is free, what goes by this name.

"There is no such thing" (404) to a request that only reads is the answer that such a lookup is made for, and often the good
one. The page shows what it means, and a form that is refused is refused by its own request. Source: Prefect's UI asks for each
name of a new variable whether it exists; its 404 became the failure point of the form.
"""

import numpy as np

from ufse.arrays import Bools, Ints, Small
from ufse.feedback import NONE
from ufse.frame import Frame
from ufse.sessions import CLICK, INPUT, NETWORK

_NOT_FOUND = 404


def find_lookups(frame: Frame, cause: Ints) -> Bools:
    """Per event: whether it is a request that only reads, was answered 404, and was caused by filling in a field.

    A field causes a request by a focus, a change, or a click on a text field. ``cause``: per event, row of its interaction, -1
    without one.
    """
    found = (frame.kind == NETWORK) & (frame.status == _NOT_FOUND) & (cause >= 0)
    rows = np.flatnonzero(found)
    if len(rows):
        by = cause[rows]
        field = np.array([t.text_field for t in frame.targets], dtype=np.bool_)
        filled = (frame.kind[by] == INPUT) | ((frame.kind[by] == CLICK) & field[frame.target[by]])
        found[rows] = filled & frame.only_reads[frame.endpoint[rows]]
    return np.asarray(found, dtype=np.bool_)


def remove_lookups(frame: Frame, negative: Small, cause: Ints) -> Small:
    """``negative`` without the answers of lookups."""
    return np.where(find_lookups(frame, cause), np.int8(NONE), negative)
