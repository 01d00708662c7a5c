"""Why a candidate gave no detection, in a sentence."""

from collections.abc import Sequence
from typing import Final

from ufse.config import Config
from ufse.exemptions import Exemption
from ufse.formats import format_duration
from ufse.judge import RULE_NAMES
from ufse.score import confidence_level
from ufse.words import RulePoints, format_points

_VERDICTS: Final = {
    "emitted": "All rules passed.",
    "no_behavioural_signal": "The user showed no reaction to the failure: no rage, retry, abandonment or confusion.",
    "not_independent": "The signals come from the same events.",
    "ignored": "The route or target is on the project's ignore list.",
}


def describe_limits(config: Config) -> str:
    """How much of a long visit is analysed, in a sentence."""
    return (
        f"Only the beginning of the visit was analysed: its first {config.max_visit_events:,} actions, and at most "
        f"{config.max_visit_ms / 3_600_000:g} h."
    )


def describe_exemptions(exemptions: Sequence[Exemption]) -> str:
    """Which exceptions kept a visit silent, in sentences, in the order of their texts."""
    texts = {f"{exemption.describe()}{f', {exemption.origin}' if exemption.origin else ''}" for exemption in exemptions}
    return " ".join(f"Silenced by your exception: {text}." for text in sorted(texts))


def verdict_text(rule: int, score: int, points: RulePoints, config: Config, unreported: bool = False) -> str:
    """Why a candidate gave no detection, in a sentence. ``rule`` indexes RULE_NAMES; ``unreported``: the collector reports no
    successes.
    """
    name = RULE_NAMES[rule]
    if name == "outside_window":
        return f"The user's reaction came more than {format_duration(config.correlation_gap_ms)} before or after the failure."
    if name == "resolved":
        how = "The action succeeded later in the session"
        if unreported:
            how = "This collector reports no successes, and a later try had no failure"
        return f"{how}: score {score}, below {config.high_score} ({format_points(points)})."
    if name == "below_high":
        shown = confidence_level(score, config)
        return f"The score is {score}, below {config.high_score}: {shown} is not emitted ({format_points(points)})."
    return _VERDICTS[name]
