"""Blocked: an action was answered by failure or rejection, and tried again within 30 s of the answer without success."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ufse.attribution import SLOW
from ufse.signals.model import BLOCKED, Signal
from ufse.view import View


@dataclass(slots=True)
class Attempt:
    """Clicks and submits of one action up to the answer, and its answers. Quick repeats are the same attempt."""

    rows: list[int]
    last: int
    """Time of the last click or submit, epoch ms."""
    answers: list[int] = field(default_factory=list)
    """Rows of its negative answers."""


def attempts(view: View, action: int, since: int, negatives: Sequence[int]) -> list[Attempt]:
    """The attempts at an action after ``since`` (epoch ms); a new one begins only after an answer to the one before."""
    wanted = set(negatives)
    found: list[Attempt] = []
    for row in view.attempts_by_action.get(action, ()):
        t = view.at(row)
        if t <= since:
            continue
        answers = [r for r in view.by_cause.get(row, ()) if r in wanted and view.negative[r - view.low] != SLOW]
        current = found[-1] if found else None
        repeated = current is not None and (
            t - current.last <= view.config.double_click_ms or not any(_answered_at(view, r) <= t for r in current.answers)
        )
        if current is None or not repeated:
            found.append(Attempt([row], t, answers))
        else:
            current.rows.append(row)
            current.last = t
            current.answers += answers
    return found


def _answered_at(view: View, row: int) -> int:
    return view.at(row)


def blocked(view: View, action: int, since: int, negatives: Sequence[int]) -> Signal | None:
    """The blocked signal of an action, or None. ``count`` is the number of retries that did not succeed."""
    if view.target_of(action).repeated and not view.is_page(action):
        return None
    tried = attempts(view, action, since, negatives)
    rows: list[int] = []
    retries = 0
    for before, after in zip(tried, tried[1:], strict=False):
        answered = [view.at(r) for r in before.answers if view.at(r) <= view.at(after.rows[0])]
        if answered and view.at(after.rows[0]) - max(answered) <= view.config.retry_window_ms:
            if not rows:
                rows += before.rows
            rows += after.rows
            retries += 1
    if not retries:
        return None
    last = max([view.at(rows[-1]), *(view.at(r) for r in negatives if view.cause[r - view.low] in set(rows))])
    return Signal(BLOCKED, view.at(rows[0]), last, tuple(rows), retries, action, rows[0])
