"""Feedback: the negative answers that belong to the user's action. Every cluster has one such signal.

Source: docs/contracts/detection.md, Signals. ``ufse.candidates`` finds them; this file declares their kind.
"""

from typing import Final

from ufse.signals.model import SignalFacts, SignalKind


def _describe_feedback(facts: SignalFacts) -> str:
    answers = "1 negative answer" if facts.times == 1 else f"{facts.times} negative answers"
    return f"{facts.feedback}, {answers}"


SIGNAL: Final = SignalKind("feedback", describe=_describe_feedback)
