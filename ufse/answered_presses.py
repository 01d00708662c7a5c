"""Which presses were answered at all, well or badly."""

import numpy as np

from ufse.arrays import Bools, Ints, equals_any
from ufse.frame import Frame
from ufse.sessions import ERROR, NAVIGATION, NETWORK


def find_answered_presses(frame: Frame, cause: Ints, background: Bools, by_click: Ints) -> tuple[Bools, Bools]:
    """Per event: whether it is an interaction that a request or an error answered; that a page answered, not loaded anew.

    ``cause``: per feedback event, row of the interaction that caused it, -1 if none; ``by_click``: the same of navigations.
    """
    asked, paged = np.zeros(len(frame), dtype=np.bool_), np.zeros(len(frame), dtype=np.bool_)
    own = (cause >= 0) & ~background & ~frame.noise & (frame.third_party != 1)
    asked[cause[own & equals_any(frame.kind, NETWORK, ERROR)]] = True
    opened = (frame.kind == NAVIGATION) & (by_click >= 0)
    opened &= ~frame.column_equals("nav_type", "reload", "back_forward")
    paged[by_click[opened]] = True
    return asked, paged
