"""The points table of the score (detection.md, Score): every rule with its words and its points, in one place.

A project may set points of its own; the words stay. What counts for an incident can never count against it and the other
way round, so that the score stays monotone whatever is set.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from ufse.declared import Collected, Rule, declared_rules


def _rule_field(points: int, text: str) -> Any:
    return field(default=points, metadata={"text": text})


@dataclass(frozen=True)
class Weights:
    """Points per rule. Each row is a rule: its name, its default points and its words in an explanation."""

    # What failed: one of these.
    failure: int = _rule_field(30, "a request failed")
    crash: int = _rule_field(30, "an uncaught error")
    vague_error: int = _rule_field(20, "an error without a message")
    rejection: int = _rule_field(25, "the server rejected the request")
    validation: int = _rule_field(25, "a validation error")
    slow: int = _rule_field(15, "an answer took 3 s or more")
    # How surely it belongs to what the user did: one of these.
    attributed: int = _rule_field(10, "caused by the user's action")
    attributed_field: int = _rule_field(4, "caused by typing in a field")
    # What the user did about it.
    rage_same: int = _rule_field(35, "rage on the failing control")
    rage_reload: int = _rule_field(35, "rage by reloading the failing page")
    rage_reload_other: int = _rule_field(30, "rage by reloading the page after the failure")
    rage_page: int = _rule_field(25, "rage on the page that failed")
    rage_near: int = _rule_field(10, "rage on another control of the page")
    blocked: int = _rule_field(28, "blocked: tried again without success")
    blocked_more: int = _rule_field(5, "blocked: each further retry")
    abandoned: int = _rule_field(25, "the begun flow was left")
    abandoned_ended: int = _rule_field(25, "the session ended in the begun flow")
    abandoned_silent: int = _rule_field(10, "nothing followed in the begun flow")
    form_sent: int = _rule_field(10, "a form was filled in and sent")
    form_silent: int = _rule_field(15, "nothing followed a form that was sent")
    confused: int = _rule_field(15, "confusion on the way")
    # How bad it was, and how it ended.
    repeated: int = _rule_field(3, "each further failure")
    tried_again: int = _rule_field(7, "tried again after a failure, at whatever pace")
    persisted: int = _rule_field(10, "tried three times or more")
    long_wait: int = _rule_field(10, "waited 8 s or more")
    struggle_10: int = _rule_field(2, "struggled for 10 s or more")
    struggle_30: int = _rule_field(2, "struggled for 30 s or more")
    kinds_3: int = _rule_field(15, "three kinds of signals agree")
    unresolved: int = _rule_field(10, "not achieved by the end")
    resolved: int = _rule_field(-40, "achieved later in the session")

    def __post_init__(self) -> None:
        for name, points in vars(self).items():
            if problem := find_points_problem(name, points):
                raise ValueError(problem)


def find_points_problem(name: str, points: object) -> str:
    """Why ``points`` cannot be the points of the rule ``name``, '' when they can."""
    low, high = (-100, 0) if name == "resolved" else (0, 100)
    if type(points) is int and low <= points <= high:
        return ""
    return f"weights.{name} must be a whole number from {low} to {high}, not {points!r}"


def _declared_texts() -> dict[str, str]:
    return {name: rule.text for name, rule in declared_rules().items()}


RULES: Final[Mapping[str, Rule]] = Collected(
    {rule.name: Rule(rule.default, rule.metadata["text"]) for rule in fields(Weights)},  # type: ignore[arg-type]
    declared_rules,
)
"""Every rule by its name, in the order of the table; rules that signals declare follow."""
TEXTS: Final[Mapping[str, str]] = Collected(
    {rule.name: rule.metadata["text"] for rule in fields(Weights)}, _declared_texts
)
"""The words of each rule, in the same order."""
BLOCKED_MORE_LIMIT: Final = 3
"""Retries beyond the first that count (own choice)."""
REPEATED_LIMIT: Final = 3
"""Failures beyond the first that count (own choice)."""
PERSISTED_TRIES: Final = 3
"""Tries that are persistence (own choice)."""
