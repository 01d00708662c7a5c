"""Abandonment: a flow was begun, it met attributed negative feedback, and within 60 s it was left without success."""

from bisect import bisect_right
from collections.abc import Sequence

from ufse.patterns import first_segment
from ufse.sessions import INPUT, SUBMIT
from ufse.signals.model import ABANDONMENT, Signal
from ufse.view import View, is_detour


def abandonment(view: View, action: int, negatives: Sequence[int], successes: Sequence[int]) -> Signal | None:
    """The abandonment signal of a flow whose action met these negatives, or None.

    ``form`` says how it was left: ``left`` (another route), ``ended`` (session end) or ``silence`` (the visit just stops,
    which is weaker: a collector may lack ``session_end``).
    """
    last = negatives[-1]
    flow = first_segment(view.pattern_of(action))
    begun = [r for r in view.acts if r <= last and view.kind[r - view.low] in (INPUT, SUBMIT) and view.flow(r) == flow]
    if not begun or view.given.success[last] or _went_on(view, view.cause[last - view.low], last):
        return None
    found = _leave(view, flow, last)
    if found is None:
        return None
    row, form = found
    left, answered = view.at(row), view.at(last)
    if left - answered > view.config.abandon_window_ms or any(view.begin(negatives[0]) <= t <= left for t in successes):
        return None
    rows = tuple(dict.fromkeys([*begun[-6:], row])) if form != "silence" else tuple(begun[-6:])
    return Signal(ABANDONMENT, view.at(view.cause[negatives[0] - view.low]), max(left, answered), rows, len(begun), action, begun[-1], form)


def _went_on(view: View, cause: int, last: int) -> bool:
    """Whether the application itself led on to another page, so that nothing was left: not to an error page or login."""
    until = view.at(last) + view.config.reaction_window_ms
    following = next((r for r in view.acts if r > cause and view.at(r) > view.at(cause) + view.config.double_click_ms), view.high)
    return any(
        cause < r < following
        and view.at(r) <= until
        and not view.given.user_navigation[r]
        and view.frame.route[r] != view.frame.route[cause]
        and not is_detour(view.pattern(r))
        for r in view.navigations
    )


def _leave(view: View, flow: str, last: int) -> tuple[int, str] | None:
    """The first leaving after the last thing done in the flow: (row, how)."""
    since = view.at(last) - (1_000 if view.frame.aborted[last] == 1 or view.frame.status[last] == 0 else 0)
    stay = max((r for r in view.acts if view.flow(r) == flow), default=last)
    returned = [r for r in view.navigations if view.flow(r) == flow and r > stay]
    moves = [r for r in view.navigations if r > stay and view.at(r) >= since and view.flow(r) != flow]
    moves = [r for r in moves if not returned or r > returned[-1]]
    for row in moves:
        if _leaves(view, row, last):
            return row, "left"
    for row in view.ends:
        if row > stay and view.at(row) >= since:
            return row, "ended"
    final = view.high - 1
    if view.truncated or view.flow(final) != flow or final < last:
        return None
    return final, "silence"


def _leaves(view: View, row: int, last: int) -> bool:
    """A person went away: not the application's own redirect, no download, print, share or external page."""
    if view.frame.flags["external"][row] == 1 or view.frame.flags["download"][row] == 1:
        return False
    near = [r for r in _recent(view, row) if r > last or view.at(r) >= view.at(last)]
    if any(view.target_of(view.action[r - view.low]).aside for r in near):
        return False
    return bool(view.given.user_navigation[row]) or bool(near)


def _recent(view: View, row: int) -> list[int]:
    """Clicks, inputs and submits in the 2 s before a row."""
    found = []
    for r in reversed(view.acts[: bisect_right(view.acts, row)]):
        if view.at(row) - view.at(r) > view.config.reaction_window_ms:
            break
        found.append(r)
    return found
