"""Thresholds of the engine, each with its source, and the routes and targets that a project ignores."""

import json
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final

from ufse.declared import Collected, Threshold, declared_rules, declared_thresholds
from ufse.exemptions import Exemption
from ufse.weights import Weights, find_points_problem

Numbers = tuple[tuple[str, int], ...]
"""Names and numbers, ordered by name."""

ENGINE_VERSION: Final = "7"
"""Raised whenever the same events may give another detection."""

MINUTE: Final = 60_000
DAY: Final = 24 * 60 * MINUTE


def _duration_field(default: int, meaning: str, low: int = 1) -> Any:
    return field(default=default, metadata={"low": low, "high": DAY, "meaning": meaning})


def _count_field(default: int, meaning: str, low: int, high: int = 1_000_000) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "meaning": meaning})


@dataclass(frozen=True)
class Config:
    """The configuration of the engine: thresholds, points and ignore lists. The defaults work without configuration.

    Each row is a threshold: its name, its default, its meaning and, where it is not 1, its least value. Raises ValueError, with
    every field and reason, for numbers out of their limits and for numbers that contradict each other.

    The comments name the source: the section of docs/contracts/detection.md, or "own choice" of the engine.
    """

    # docs/contracts/detection.md, Sessions
    visit_gap_ms: int = _duration_field(
        15 * MINUTE, "A longer pause between two events, or between two actions of a person, ends a visit, ms."
    )
    late_receipt_silence_ms: int = _duration_field(
        75 * MINUTE, "After a longer pause in receipt, events of earlier visits are late: counted, not analysed, ms."
    )
    max_visit_events: int = _count_field(
        10_000,
        "Actions of a visit (clicks, inputs, submits, pages) that are analysed; later events are only counted.",
        1,
    )
    max_visit_ms: int = _duration_field(
        12 * 60 * MINUTE, "Duration of a visit that is analysed, ms; later events are only counted."
    )

    # docs/contracts/detection.md, Attribution
    network_start_window_ms: int = _duration_field(
        1_000, "A request begins at most this long after the action that caused it, ms."
    )
    network_end_window_ms: int = _duration_field(
        10_000, "A request without a duration ends at most this long after the action that caused it, ms."
    )
    # Own choice: gateways time out after 30 s or less.
    slow_end_window_ms: int = _duration_field(
        30_000, "A request reported as slow, without a duration, ends at most this long after its action, ms."
    )
    reaction_window_ms: int = _duration_field(
        2_000, "An error or a measurement comes at most this long after the action that caused it, ms."
    )
    slow_ms: int = _duration_field(3_000, "An answer that takes this long or longer is slow, ms.")
    # Own choice: rounding of durations may put a request's start a few milliseconds before its click.
    clock_slack_ms: int = _duration_field(
        5, "A request may begin this long before the action that caused it, because times are rounded, ms.", 0
    )
    # Own choice: follow-up requests and rendering errors come within this time.
    chain_window_ms: int = _duration_field(
        300,
        "An error or request that begins at most this long after an attributed answer belongs to the same action, ms.",
        0,
    )
    # Own choice: the contract says "many".
    unrelated_actions: int = _count_field(3, "An endpoint that answers this many unrelated actions is background.", 1)
    # Own choice.
    clicks_per_request: int = _count_field(
        4, "At most 1 in this many clicks of an action is followed by the request: coincidence.", 2
    )
    # Own choice: polling answers well repeatedly; the answer of a form comes once.
    polled_answers: int = _count_field(2, "An address with this many good answers that no action caused is polled.", 1)
    # Own choice: applications stop retrying after about this many attempts.
    automatic_repeats: int = _count_field(5, "Automatic retries of a failed request that are recognised, at most.", 0)
    automatic_repeat_window_ms: int = _duration_field(
        30_000, "An automatic retry begins at most this long after the failure before it, ms."
    )
    # Own choice: the first automatic repeat comes sooner than this; a poll may not.
    first_repeat_ms: int = _duration_field(
        8_000, "The first automatic retry begins at most this long after the failure, ms."
    )
    # Own choice.
    page_load_ms: int = _duration_field(
        2_000, "A request that begins at most this long after a page was opened belongs to its opening, ms.", 0
    )

    # docs/contracts/detection.md, Signals: rage
    rage_clicks: int = _count_field(4, "Clicks in a row on one control that are rage.", 2)
    rage_gap_ms: int = _duration_field(1_000, "Longest pause between two clicks of `rage_clicks`, ms.")
    rage_reloads: int = _count_field(3, "Reloads of one page that are rage.", 2)
    rage_reload_window_ms: int = _duration_field(30_000, "Window for `rage_reloads`, ms.")
    # DataDog browser-sdk clickChain: clicks further apart are not on one spot; used for nameless targets.
    same_spot_px: int = _count_field(
        100, "Clicks on targets without a name are on one spot up to this distance, CSS pixels.", 0
    )
    # Own choice: a held key repeats every 30 to 50 ms.
    human_click_gap_ms: int = _duration_field(
        60, "A series of clicks with a shorter median pause was not made by a person, ms.", 0
    )

    # docs/contracts/detection.md, Signals: blocked, abandonment, confusion
    retry_window_ms: int = _duration_field(30_000, "A retry begins at most this long after the failed answer, ms.")
    # The usual double-click interval of desktop systems: a second click within it is the same attempt.
    double_click_ms: int = _duration_field(500, "A second click within this time is the same attempt, ms.", 0)
    abandon_window_ms: int = _duration_field(
        60_000, "A flow is abandoned if the user leaves it at most this long after the failure, ms."
    )
    oscillation_transitions: int = _count_field(4, "Changes between the same pages that are confusion.", 2)
    oscillation_window_ms: int = _duration_field(60_000, "Window for `oscillation_transitions`, ms.")
    oscillation_paths: int = _count_field(3, "Different pages among `oscillation_transitions`, at most.", 2)
    thrash_reversals: int = _count_field(6, "Reversals of the scroll direction that are confusion.", 2)
    thrash_window_ms: int = _duration_field(15_000, "Window for `thrash_reversals`, ms.")

    # docs/contracts/detection.md, Correlation and Score
    correlation_gap_ms: int = _duration_field(
        30_000, "A signal belongs to a failure if it comes at most this long after the evidence before it, ms."
    )
    high_score: int = _count_field(80, "Lowest score with confidence High; only High is emitted.", 1, 100)
    medium_score: int = _count_field(50, "Lowest score with confidence Medium.", 0, 100)
    # Own choice: more than the 3 s from which an answer is slow.
    long_wait_ms: int = _duration_field(8_000, "Waiting this long or longer gives the points of `long_wait`, ms.")

    # Own choice: a visit with more failing actions is not a person.
    max_candidates: int = _count_field(
        200, "Failing actions of a visit that are judged, at most: the earliest ones.", 1
    )
    # Own choice: a timeline must stay readable.
    timeline_events: int = _count_field(14, "Events in the timeline of a detection, at most.", 1, 1_000)

    ignored_routes: tuple[str, ...] = ()
    """Shell-style patterns (``/admin/*``) matched against the exact route and its folded pattern."""
    ignored_targets: tuple[str, ...] = ()
    """Shell-style patterns matched against a target's name (``button#pay``), id, selector and label."""
    weights: Weights = field(default_factory=Weights)
    exemptions: tuple[Exemption, ...] = ()
    """What a person decided is no frustration (``ufse.exemptions``)."""
    visits_open: bool = False
    """The visits may go on: how they end is no evidence (``ufse.open_visits``)."""
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
        if type(self.exemptions) is not tuple or not all(type(exemption) is Exemption for exemption in self.exemptions):
            wrong.append(f"exemptions must be a tuple of Exemption, not {reprlib.repr(self.exemptions)}")
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
            value: int = getattr(self, name)
            return value
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
        """12 hex characters over every value: configurations with equal values have equal digests."""
        values = asdict(self)
        del values["declared_thresholds"], values["declared_weights"]
        if not self.visits_open:
            del values["visits_open"]  # of complete visits, as before the setting existed
        del values["exemptions"]
        if self.exemptions:
            values["exemptions"] = sorted(([*exemption.content().items()] for exemption in self.exemptions), key=repr)
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
"""Pairs of thresholds: the first must be less than the second. Otherwise a rule could never apply, or would always apply."""


def threshold_problem(name: str, value: object) -> str:
    """Why ``value`` is not valid for the threshold ``name`` (one of THRESHOLDS); '' if it is valid."""
    _, _, low, high = THRESHOLDS[name]
    fits = type(value) is int and low <= value <= high
    return "" if fits else f"{name} must be a whole number from {low} to {high}, not {reprlib.repr(value)}"


DEFAULT: Final = Config()
