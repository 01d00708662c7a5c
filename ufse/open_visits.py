"""Visits that may go on: which configuration judges them, and which of their detections hold before they end.

How an open visit ends is not known. So its end is no evidence: no abandonment, no points for "no success by the end". What is
slow may still be answered. So a detection holds while its visit is open only if a person tried three times and failed each
time, or showed rage at a failure (docs/contracts/detection.md, Sessions).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ufse.config import Config
from ufse.detection import Detection
from ufse.weights import TEXTS

FAILED_RETRIES: Final = 2
"""Failed retries of a blocked action, at least: with the first try, three tries failed (own choice)."""
FAILURES: Final = frozenset({"failure", "crash"})
"""Rules of the score (``ufse.weights``) for failures that rage may answer."""
REFUSALS: Final = frozenset({"rejection", "validation"})
"""Rules of the score for answers that refuse an action; with the failures, what may block it."""


def configure_open_visits(configs: Mapping[str, Config]) -> dict[str, Config]:
    """The configurations, by project, with which open visits are judged.

    The points for "no success by the end" cannot be had, so High begins that much lower: rage at one failed request holds, as
    it does at the end of a visit without a success.
    """
    return {project: _configure_open(config) for project, config in configs.items()}


def _configure_open(config: Config) -> Config:
    high = max(config.medium_score + 1, config.high_score - config.read_points("unresolved"))
    return replace(config, visits_open=True, high_score=high)


def holds_while_open(detection: Detection) -> bool:
    """Whether ``detection``, of a visit judged with `configure_open_visits`, holds although the visit may go on."""
    texts = {entry["rule"] for entry in detection["points"]}
    retries = sum(signal["count"] for signal in detection["triggeringSignals"] if signal["type"] == "blocked")
    raged = any(signal["type"] == "rage" for signal in detection["triggeringSignals"])
    failed = any(TEXTS[rule] in texts for rule in FAILURES)
    refused = any(TEXTS[rule] in texts for rule in REFUSALS)
    return (retries >= FAILED_RETRIES and (failed or refused)) or (raged and failed)
