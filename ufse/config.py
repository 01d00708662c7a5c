"""Thresholds of the engine, each with its source, and the routes and targets that a project wants ignored."""

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Final

from ufse.weights import Weights

ENGINE_VERSION: Final = "1"
"""Changes whenever the same events may give another detection."""

MINUTE: Final = 60_000


@dataclass(frozen=True)
class Config:
    """All numbers that decide; milliseconds unless said otherwise. The defaults work without configuration.

    Sources: detection.md by section; numbers without a section there are named as the engine's own choice.
    """

    # detection.md, Sessions
    visit_gap_ms: int = 15 * MINUTE
    late_receipt_silence_ms: int = 75 * MINUTE
    max_visit_events: int = 10_000
    max_visit_ms: int = 4 * 60 * MINUTE

    # detection.md, Attribution
    network_start_window_ms: int = 1_000
    network_end_window_ms: int = 10_000
    reaction_window_ms: int = 2_000
    slow_ms: int = 3_000
    # Own choice: rounding of durations may put a request's start a few milliseconds before its click.
    clock_slack_ms: int = 5
    # Own choice: a request or error so soon after an attributed answer ended belongs to the same action.
    chain_window_ms: int = 300
    # Own choice: how many unrelated interactions an endpoint may follow before it is background ("many").
    unrelated_actions: int = 3
    # Own choice: an application gives up repeating a failed request after this many automatic attempts.
    automatic_repeats: int = 5
    automatic_repeat_window_ms: int = 30_000
    # Own choice: the first automatic repeat comes sooner than this; a poll may not.
    first_repeat_ms: int = 8_000
    # Own choice: what begins so soon after a page was opened belongs to its opening.
    page_load_ms: int = 2_000

    # detection.md, Signals: rage
    rage_clicks: int = 4
    rage_gap_ms: int = 1_000
    rage_reloads: int = 3
    rage_reload_window_ms: int = 30_000
    # DataDog browser-sdk clickChain: clicks further apart are not on one spot; used for nameless targets.
    same_spot_px: int = 100
    # Own choice: nobody clicks faster; a held key repeats every 30 to 50 ms.
    human_click_gap_ms: int = 60

    # detection.md, Signals: blocked, abandonment, confusion
    retry_window_ms: int = 30_000
    # The usual double-click interval of desktop systems: a second click within it is the same attempt.
    double_click_ms: int = 500
    abandon_window_ms: int = 60_000
    oscillation_transitions: int = 4
    oscillation_window_ms: int = 60_000
    oscillation_paths: int = 3
    thrash_reversals: int = 6
    thrash_window_ms: int = 15_000

    # detection.md, Correlation and Score
    correlation_gap_ms: int = 30_000
    high_score: int = 80
    medium_score: int = 50
    # Own choice: waiting this long weighs more than the 3 s from which an answer is slow.
    long_wait_ms: int = 8_000

    # Own choice: a visit with more failing actions is no person; the earliest ones are judged.
    max_candidates: int = 200
    # Own choice: an explanation's timeline stays readable.
    timeline_events: int = 14

    ignored_routes: tuple[str, ...] = ()
    """Shell-style patterns (``/admin/*``) matched against the exact route and its folded pattern."""
    ignored_targets: tuple[str, ...] = ()
    """Shell-style patterns matched against a target's name (``button#pay``), id, selector and label."""
    weights: Weights = field(default_factory=Weights)

    @cached_property
    def digest(self) -> str:
        """12 hex characters over every value: two configurations that decide alike by their numbers have the same."""
        told = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


DEFAULT: Final = Config()
