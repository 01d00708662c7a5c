"""Abandonment: a flow was begun, it met attributed negative feedback, and within 60 s it was left without
success.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from ufse.signals.model import ABANDONMENT, Signal
from ufse.view import View, is_detour


def abandonment(view: View, action: int, negatives: Sequence[int], successes: Sequence[int]) -> Signal | None:
    """The abandonment signal of a flow whose action met these negatives, or None.

    ``form`` says how it was left: ``left`` (another route), ``ended`` (session end) or ``silence`` (nothing
    followed, which is weaker: a collector may lack ``session_end``).
    """
    last = negatives[-1]
    flow = view.flow_of(action)
    touched = view.begun_by_flow.get(flow, [])
    begun = touched[bisect_left(touched, _since(view, flow, last)) : bisect_right(touched, last)]
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
    return Signal(
        ABANDONMENT,
        view.at(view.cause[negatives[0] - view.low]),
        max(left, answered),
        rows,
        len(begun),
        action,
        begun[-1],
        form,
    )


def _since(view: View, flow: str, last: int) -> int:
    """Row from which the flow was begun anew: it was entered from elsewhere, or something in it was achieved before."""
    moves = view.navigations[: bisect_right(view.navigations, view.cause[last - view.low])]
    entered = view.low
    for i in range(len(moves) - 1, 0, -1):
        if view.flow(moves[i]) == flow != view.flow(moves[i - 1]):
            entered = moves[i]
            break
    achieved = view.achieved_by_flow.get(flow, [])
    done = bisect_left(achieved, view.cause[last - view.low])
    return max(entered, achieved[done - 1] if done else view.low)


def _went_on(view: View, cause: int, last: int) -> bool:
    """Whether the application itself led on to another page, so that nothing was left: not to an error page
    or login.
    """
    until = view.at(last) + view.config.reaction_window_ms
    at_once = view.at(cause) + view.config.double_click_ms
    acts, moves = view.acts, view.navigations
    following = next((r for r in acts[bisect_right(acts, cause) :] if view.at(r) > at_once), view.high)
    for row in moves[bisect_right(moves, cause) :]:
        if row >= following or view.at(row) > until:
            return False
        away = view.frame.route[row] != view.frame.route[cause] and not is_detour(view.pattern(row))
        if away and not view.given.user_navigation[row]:
            return True
    return False


def _leave(view: View, flow: str, last: int) -> tuple[int, str] | None:
    """The first leaving after the last failure that was not followed by a return within 60 s: (row, how)."""
    gave_up = view.frame.aborted[last] == 1 or view.frame.status[last] == 0
    since = view.at(last) - (1_000 if gave_up else 0)
    cause = view.cause[last - view.low]
    for row in view.navigations[bisect_right(view.navigations, cause) :]:
        if view.at(row) - view.at(last) > view.config.abandon_window_ms:
            break
        out = view.at(row) >= since and view.flow(row) != flow
        if out and not _returns(view, flow, row) and _leaves(view, row, last):
            return row, "left"
    for row in view.ends:
        if row > cause and view.at(row) >= since and not _returns(view, flow, row):
            return row, "ended"
    final = view.high - 1
    if view.truncated or view.flow(final) != flow or final < last:
        return None
    return final, "silence"


def _returns(view: View, flow: str, row: int) -> bool:
    """Whether something was done in the flow again within 60 s."""
    acts = view.acts_by_flow.get(flow, [])
    after = bisect_right(acts, row)
    return after < len(acts) and view.at(acts[after]) - view.at(row) <= view.config.abandon_window_ms


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
    for i in range(bisect_right(view.acts, row) - 1, -1, -1):
        r = view.acts[i]
        if view.at(row) - view.at(r) > view.config.reaction_window_ms:
            break
        found.append(r)
    return found
