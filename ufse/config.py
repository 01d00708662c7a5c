"""Thresholds of the engine, each with its source, and the routes and targets that a project wants ignored."""

import json
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final

from ufse.declared import Collected, Threshold, declared_rules, declared_thresholds
from ufse.weights import Weights, find_points_problem

Numbers = tuple[tuple[str, int], ...]
"""Names and numbers, ordered by name."""

ENGINE_VERSION: Final = "5"
"""Changes whenever the same events may give another detection."""

MINUTE: Final = 60_000
DAY: Final = 24 * 60 * MINUTE


def _duration_field(default: int, meaning: str, low: int = 1) -> Any:
    return field(default=default, metadata={"low": low, "high": DAY, "meaning": meaning})


def _count_field(default: int, meaning: str, low: int, high: int = 1_000_000) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "meaning": meaning})


@dataclass(frozen=True)
class Config:
    """All numbers that decide; milliseconds unless said otherwise. The defaults work without configuration.

    Each row is a threshold: its name, its default, its meaning and, where it is not 1 ms, its least value. Raises
    ValueError, with every field and reason, for numbers that cannot be or that contradict each other.

    Sources: detection.md by section; numbers without a section there are named as the engine's own choice.
    """

    # detection.md, Sessions
    visit_gap_ms: int = _duration_field(15 * MINUTE, "silence that ends a visit")
    late_receipt_silence_ms: int = _duration_field(
        75 * MINUTE, "silence of receipt after which an event of before is late"
    )
    max_visit_events: int = _count_field(10_000, "events of a visit that are analysed", 1)
    max_visit_ms: int = _duration_field(4 * 60 * MINUTE, "duration of a visit that is analysed")

    # detection.md, Attribution
    network_start_window_ms: int = _duration_field(1_000, "a request starts this soon after the action that caused it")
    network_end_window_ms: int = _duration_field(10_000, "a request without a duration ends this soon after it")
    # Own choice: gateways give up after 30 s and less.
    slow_end_window_ms: int = _duration_field(30_000, "a request that is only told to be slow ends this soon after it")
    reaction_window_ms: int = _duration_field(2_000, "an error or a measurement follows this soon")
    slow_ms: int = _duration_field(3_000, "an answer that takes this long is slow")
    # Own choice: rounding of durations may put a request's start a few milliseconds before its click.
    clock_slack_ms: int = _duration_field(5, "a request's start may lie this far before its action", 0)
    # Own choice: a request or error so soon after an attributed answer ended belongs to the same action.
    chain_window_ms: int = _duration_field(300, "what follows an attributed answer this soon belongs to it", 0)
    # Own choice: how many unrelated interactions an endpoint may follow before it is background ("many").
    unrelated_actions: int = _count_field(3, "unrelated actions after which an endpoint is background", 1)
    # Own choice: what follows fewer than one in so many clicks of an action follows it by chance.
    clicks_per_request: int = _count_field(
        4, "clicks of an action for each that a request follows, from which it is chance", 2
    )
    # Own choice: polls of a page answer well again and again; the answer of a form comes once.
    polled_answers: int = _count_field(2, "good answers that nothing caused, from which an address is polled", 1)
    # Own choice: an application gives up repeating a failed request after this many automatic attempts.
    automatic_repeats: int = _count_field(5, "automatic attempts of an application", 0)
    automatic_repeat_window_ms: int = _duration_field(30_000, "time within which they come")
    # Own choice: the first automatic repeat comes sooner than this; a poll may not.
    first_repeat_ms: int = _duration_field(8_000, "the first of them comes this soon")
    # Own choice: what begins so soon after a page was opened belongs to its opening.
    page_load_ms: int = _duration_field(2_000, "what begins this soon belongs to the opening of the page", 0)

    # detection.md, Signals: rage
    rage_clicks: int = _count_field(4, "clicks that are rage", 2)
    rage_gap_ms: int = _duration_field(1_000, "longest time between two of them")
    rage_reloads: int = _count_field(3, "reloads that are rage", 2)
    rage_reload_window_ms: int = _duration_field(30_000, "time within which they come")
    # DataDog browser-sdk clickChain: clicks further apart are not on one spot; used for nameless targets.
    same_spot_px: int = _count_field(100, "distance (px) within which clicks without a target are on one spot", 0)
    # Own choice: nobody clicks faster; a held key repeats every 30 to 50 ms.
    human_click_gap_ms: int = _duration_field(60, "clicks that follow faster are no person's", 0)

    # detection.md, Signals: blocked, abandonment, confusion
    retry_window_ms: int = _duration_field(30_000, "a retry follows its answer this soon")
    # The usual double-click interval of desktop systems: a second click within it is the same attempt.
    double_click_ms: int = _duration_field(500, "a second click this soon is the same attempt", 0)
    abandon_window_ms: int = _duration_field(60_000, "a flow is left this soon after its failure")
    oscillation_transitions: int = _count_field(4, "changes of route that are confusion", 2)
    oscillation_window_ms: int = _duration_field(60_000, "time within which they come")
    oscillation_paths: int = _count_field(3, "different paths among them, at most", 2)
    thrash_reversals: int = _count_field(6, "reversals of scrolling that are confusion", 2)
    thrash_window_ms: int = _duration_field(15_000, "time within which they come")

    # detection.md, Correlation and Score
    correlation_gap_ms: int = _duration_field(30_000, "a signal follows the evidence before it this soon")
    high_score: int = _count_field(80, "score that is High and emitted", 1, 100)
    medium_score: int = _count_field(50, "score that is Medium", 0, 100)
    # Own choice: waiting this long weighs more than the 3 s from which an answer is slow.
    long_wait_ms: int = _duration_field(8_000, "waiting this long weighs more")

    # Own choice: a visit with more failing actions is no person; the earliest ones are judged.
    max_candidates: int = _count_field(200, "failing actions of a visit that are judged", 1)
    # Own choice: an explanation's timeline stays readable.
    timeline_events: int = _count_field(14, "events of a detection's timeline", 1, 1_000)

    ignored_routes: tuple[str, ...] = ()
    """Shell-style patterns (``/admin/*``) matched against the exact route and its folded pattern."""
    ignored_targets: tuple[str, ...] = ()
    """Shell-style patterns matched against a target's name (``button#pay``), id, selector and label."""
    weights: Weights = field(default_factory=Weights)
    declared_thresholds: Numbers = ()
    """Thresholds that signals declare, where they differ from their defaults."""
    declared_weights: Numbers = ()
    """Points of rules that signals declare, where they differ from their defaults."""

    def __post_init__(self) -> None:
        wrong = [reason for name in THRESHOLDS if (reason := threshold_problem(name, self[name]))]
        wrong += [reason for name, points in self.declared_weights if (reason := find_points_problem(name, points))]
        for name in ("ignored_routes", "ignored_targets"):
            patterns = getattr(self, name)
            if type(patterns) is not tuple or not all(type(pattern) is str and pattern for pattern in patterns):
                wrong.append(f"{name} must be a tuple of patterns that are not empty, not {reprlib.repr(patterns)}")
        if type(self.weights) is not Weights:
            wrong.append(f"weights must be Weights, not {reprlib.repr(self.weights)}")
        for less, more in [] if wrong else RELATIONS:
            if getattr(self, less) >= getattr(self, more):
                wrong.append(f"{less} ({getattr(self, less):,}) must be less than {more} ({getattr(self, more):,})")
        if wrong:
            raise ValueError("; ".join(wrong))

    def __getitem__(self, name: str) -> int:
        """The threshold of this name. Raises KeyError for a name that is not in THRESHOLDS."""
        if name in THRESHOLDS.own:
            return int(getattr(self, name))
        return dict(self.declared_thresholds).get(name, THRESHOLDS[name].default)

    def read_points(self, rule: str) -> int:
        """The points of the rule of this name. Raises KeyError for a name that is not in ``ufse.weights.TEXTS``."""
        own = vars(self.weights)
        return int(own[rule]) if rule in own else dict(self.declared_weights).get(rule, declared_rules()[rule].points)

    def override_numbers(self, thresholds: Mapping[str, int], weights: Mapping[str, int]) -> "Config":
        """This with other thresholds and points, by name. Raises ValueError for numbers that cannot be or contradict."""
        names = vars(self.weights)
        values: dict[str, int] = {name: value for name, value in thresholds.items() if name in THRESHOLDS.own}
        return replace(
            self,
            **values,  # type: ignore[arg-type]
            weights=replace(self.weights, **{rule: points for rule, points in weights.items() if rule in names}),
            declared_thresholds=_join_numbers(self.declared_thresholds, thresholds, declared_thresholds()),
            declared_weights=_join_numbers(self.declared_weights, weights, declared_rules()),
        )

    @cached_property
    def digest(self) -> str:
        """12 hex characters over every value: two configurations that decide alike by their numbers have the same."""
        values = asdict(self)
        del values["declared_thresholds"], values["declared_weights"]
        values |= {name: self[name] for name in declared_thresholds()}
        values["weights"] |= {rule: self.read_points(rule) for rule in declared_rules()}
        serialized = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return blake2b(serialized.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _join_numbers(present: Numbers, changes: Mapping[str, int], declared: Iterable[str]) -> Numbers:
    """``present`` with the changes of those names that signals declare."""
    return tuple(sorted({**dict(present), **{name: changes[name] for name in declared if name in changes}}.items()))


THRESHOLDS: Final = Collected(
    {
        threshold.name: Threshold(default=threshold.default, **threshold.metadata)  # type: ignore[arg-type]
        for threshold in fields(Config)
        if "low" in threshold.metadata
    },
    declared_thresholds,
)
"""Every threshold by its name, in the order in which they stand above; thresholds that signals declare follow."""

RELATIONS: Final = (
    ("medium_score", "high_score"),
    ("human_click_gap_ms", "rage_gap_ms"),
    ("double_click_ms", "retry_window_ms"),
    ("first_repeat_ms", "automatic_repeat_window_ms"),
    ("slow_ms", "long_wait_ms"),
    ("oscillation_paths", "oscillation_transitions"),
)
"""Pairs of thresholds of which the first is less than the second; otherwise a rule could never, or would always, hold."""


def threshold_problem(name: str, value: object) -> str:
    """Why ``value`` cannot be the threshold ``name`` (one of THRESHOLDS), '' when it can."""
    _, _, low, high = THRESHOLDS[name]
    fits = type(value) is int and low <= value <= high
    return "" if fits else f"{name} must be a whole number from {low} to {high}, not {reprlib.repr(value)}"


DEFAULT: Final = Config()
