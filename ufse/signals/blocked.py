"""Blocked: an action was answered by failure or rejection, and tried again within 30 s of the answer
without success.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ufse.attribution import SLOW
from ufse.sessions import NETWORK, SUBMIT
from ufse.signals.model import BLOCKED, Signal
from ufse.view import View


@dataclass(slots=True)
class Attempt:
    """Clicks and submits of one action up to the answer, and its answers. Quick repeats are the same
    attempt.
    """

    rows: list[int]
    last: int
    """Time of the last click or submit, epoch ms."""
    answers: list[int] = field(default_factory=list)
    """Rows of its negative answers."""


def attempts(view: View, action: int, since: int, negatives: Sequence[int]) -> list[Attempt]:
    """The attempts at an action after ``since`` (epoch ms); a new one begins only after an answer to the
    one before.
    """
    wanted = set(negatives)
    found: list[Attempt] = []
    for row in view.attempts_by_action.get(action, ()):
        t = view.at(row)
        if t <= since:
            continue
        answers = [r for r in view.by_cause.get(row, ()) if r in wanted and view.negative[r - view.low] != SLOW]
        current = found[-1] if found else None
        repeated = current is not None and (
            t - current.last <= view.config.rage_gap_ms or not any(_answered_at(view, r) <= t for r in current.answers)
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


def _other_request(view: View, before: Attempt, after: Attempt) -> bool:
    """Whether the second attempt failed only at requests that the first one did not fail at: answers are
    judged per request.
    """
    failed = [
        {int(view.frame.endpoint[r]) for r in a.answers if view.kind[r - view.low] == NETWORK} for a in (before, after)
    ]
    return bool(failed[0]) and bool(failed[1]) and not failed[0] & failed[1]


def _same_control(view: View, negatives: Sequence[int]) -> bool:
    """Whether failures of a nameless target belong to one control: a form, or one known endpoint."""
    causes = [view.cause[r - view.low] for r in negatives]
    if any(view.kind[c - view.low] == SUBMIT for c in causes):
        return True
    known = view.frame.endpoint_known
    return all(view.frame.endpoint[r] >= 0 and bool(known[view.frame.endpoint[r]]) for r in negatives)


def blocked(view: View, action: int, since: int, negatives: Sequence[int]) -> Signal | None:
    """The blocked signal of an action, or None. ``count`` is the number of retries that did not succeed."""
    steps = any(view.given.step[r] for r in view.attempts_by_action.get(action, ()))
    if view.target_of(action).repeated and not steps:
        return None
    tried = attempts(view, action, since, negatives)
    rows: list[int] = []
    retries = 0
    for before, after in pairwise(tried):
        answered = [view.at(r) for r in before.answers if view.at(r) <= view.at(after.rows[0])]
        vague = view.target_of(action).nameless and not view.is_page(action) and not after.answers
        if (
            answered
            and not vague
            and not _other_request(view, before, after)
            and view.at(after.rows[0]) - max(answered) <= view.config.retry_window_ms
        ):
            if not rows:
                rows += before.rows
            rows += after.rows
            retries += 1
    if view.target_of(action).nameless and not view.is_page(action) and not _same_control(view, negatives):
        retries -= 1  # two failures may be two controls
    if retries <= 0:
        return None
    last = max([view.at(rows[-1]), *(view.at(r) for r in negatives if view.cause[r - view.low] in set(rows))])
    return Signal(BLOCKED, view.at(rows[0]), last, tuple(rows), retries, action, rows[0])
