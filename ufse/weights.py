"""The rules of the score with their texts and default points (docs/contracts/detection.md, Score).

A project may set its own points; the texts are fixed. Only ``resolved`` may be negative, and it may not be positive, so that
the score stays monotone with any points.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Final

from ufse.declared import Collected, Rule, declared_rules


def _rule_field(points: int, text: str) -> Any:
    return field(default=points, metadata={"text": text})


@dataclass(frozen=True)
class Weights:
    """Points per rule. Each row is a rule: its name, its default points and its text in an explanation."""

    # What failed: one of these applies.
    failure: int = _rule_field(30, "a request failed")
    crash: int = _rule_field(30, "an uncaught error")
    vague_error: int = _rule_field(20, "an error without a message")
    stray_error: int = _rule_field(20, "a failure of one of many clicks, after which the page was used on")
    rejection: int = _rule_field(25, "the server rejected the request")
    validation: int = _rule_field(25, "a validation error")
    slow: int = _rule_field(15, "an answer took 3 s or more")
    silent: int = _rule_field(20, "a control never answered, although others did")
    returned: int = _rule_field(20, "a form was sent, and a login or error page came back, or its page was loaded anew")
    # How certain the cause is: one of these applies.
    attributed: int = _rule_field(10, "caused by the user's action")
    attributed_field: int = _rule_field(4, "caused by typing in a field")
    # What the user did about it.
    rage_same: int = _rule_field(35, "rage clicks on the failing control")
    rage_reload: int = _rule_field(35, "rage reloads of the failing page")
    rage_reload_other: int = _rule_field(30, "rage reloads of the page after the failure")
    rage_page: int = _rule_field(25, "rage clicks on the failing page")
    rage_near: int = _rule_field(10, "rage clicks on another control of the page")
    blocked: int = _rule_field(28, "blocked: retried without success")
    blocked_more: int = _rule_field(5, "blocked: each further failed retry")
    abandoned: int = _rule_field(25, "the user left the flow")
    abandoned_ended: int = _rule_field(25, "the session ended in the flow")
    abandoned_silent: int = _rule_field(10, "no further activity in the flow")
    form_sent: int = _rule_field(10, "a form was filled in and sent")
    form_silent: int = _rule_field(15, "no further activity after the form was sent")
    confused: int = _rule_field(15, "confusion before or after the failure")
    vendor_verdict: int = _rule_field(5, "another tool reported rage, a dead click or a failed click")
    # How bad it was, and how it ended.
    repeated: int = _rule_field(3, "each further failure")
    tried_again: int = _rule_field(7, "tried again after a failure, at any pace")
    persisted: int = _rule_field(10, "tried three times or more")
    long_wait: int = _rule_field(10, "waited 8 s or more")
    struggle_10: int = _rule_field(2, "struggled for 10 s or more")
    struggle_30: int = _rule_field(2, "struggled for 30 s or more")
    kinds_3: int = _rule_field(15, "three kinds of signals agree")
    unresolved: int = _rule_field(10, "no success by the end of the session")
    resolved: int = _rule_field(-40, "the action succeeded later in the session")

    def __post_init__(self) -> None:
        for name, points in vars(self).items():
            if problem := find_points_problem(name, points):
                raise ValueError(problem)


def find_points_problem(name: str, points: object) -> str:
    """Why ``points`` are not valid for the rule ``name``; '' if they are valid."""
    low, high = (-100, 0) if name == "resolved" else (0, 100)
    if type(points) is int and low <= points <= high:
        return ""
    return f"weights.{name} must be a whole number from {low} to {high}, not {points!r}"


def _declared_texts() -> dict[str, str]:
    return {name: rule.text for name, rule in declared_rules().items()}


RULES: Final = Collected(
    {rule.name: Rule(rule.default, rule.metadata["text"]) for rule in fields(Weights)},  # type: ignore[arg-type]
    declared_rules,
)
"""Every rule by its name, in the order above; rules that signals declare follow."""
TEXTS: Final = Collected({rule.name: rule.metadata["text"] for rule in fields(Weights)}, _declared_texts)
"""The text of each rule, in the same order."""
BLOCKED_MORE_LIMIT: Final = 3
"""Further retries that give points, at most (own choice)."""
REPEATED_LIMIT: Final = 3
"""Further failures that give points, at most (own choice)."""
PERSISTED_TRIES: Final = 3
"""Tries from which ``persisted`` applies (own choice)."""
