"""People: what they are like, how fast they are, and what they do when something does not work.

Times are milliseconds. The figures are guesses of ordinary size, not measurements: reading times and pauses are
log-normal (most are short, some very long), as any trace of human action is; people wait some 4 to 20 s before they
lose patience, depending on temper.
"""

import math
import random
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Temper:
    """How a person bears trouble. Weights of reactions are relative to each other."""

    patience_ms: float  # median wait for an answer before something is done about it
    rage: float  # chance that a failure is answered with a burst of quick clicks
    burst: tuple[int, int]  # clicks of such a burst
    reactions: dict[str, float]


TEMPERS: Final = {
    "patient": Temper(
        20_000, 0.02, (3, 4), {"soon": 4, "later": 3, "reload": 1, "look": 2, "distracted": 2, "help": 1, "shrug": 3}
    ),
    "even": Temper(
        11_000, 0.12, (3, 6), {"at_once": 3, "soon": 3, "later": 1, "reload": 2, "back": 1, "distracted": 1, "shrug": 2}
    ),
    "hasty": Temper(6_500, 0.3, (3, 8), {"at_once": 5, "soon": 2, "reload": 3, "back": 2, "shrug": 2, "leave": 1}),
    "choleric": Temper(4_000, 0.6, (4, 12), {"at_once": 6, "reload": 3, "back": 1, "leave": 2, "shrug": 1}),
}

WAITS_MS: Final = {"at_once": (1_700, 0.5), "soon": (11_000, 0.45), "later": (65_000, 0.35)}
"""Median and log deviation of the pause before a person tries again."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person with one device, for one session."""

    temper: str
    pace: float  # multiplies every pause; 1 is ordinary
    typing_ms: float  # to fill one field
    device: str  # mouse, touch or keyboard
    persistence: int  # failed tries after which they give up, when they want it moderately
    double_clicks: bool  # clicks everything twice, as on a desktop icon
    doubts: float  # chance to do it again when nothing visible happened
    clumsy: float  # chance that a form holds a mistake of their own
    attentive: bool  # sees failures of things they did not ask for
    flexible: float  # chance that another item or another way will do
    fidgets: float  # idle clicks, hovers, selections between two actions
    blocks_ads: bool
    skew_ms: int  # how wrong their clock is
    goodbye: bool  # leaves in a way that lets the page say so

    @property
    def nature(self) -> Temper:
        """The row of their temper."""
        return TEMPERS[self.temper]

    def pause(self, rng: random.Random, median_ms: float, deviation: float = 0.6) -> float:
        """A log-normal pause around ``median_ms``, in this person's pace."""
        return rng.lognormvariate(math.log(median_ms * self.pace), deviation)

    def click_gap(self, rng: random.Random) -> float:
        """Between two clicks of a burst; the hand sets it, not the pace of thought."""
        return max(70.0, rng.lognormvariate(math.log(260), 0.4))

    def gives_up(self, rng: random.Random, tries: int, want: float) -> bool:
        """Whether this failed try was the last: the more they want it, the longer they go on."""
        return tries >= max(1, round(self.persistence * (0.4 + 1.2 * want) + rng.gauss(0, 0.5)))

    def reaction(self, rng: random.Random, want: float, tries: int) -> str:
        """What they do after a failure they noticed."""
        weights = dict(self.nature.reactions)
        weights["shrug"] = weights.get("shrug", 0) * (1.6 - 1.4 * want)
        weights["help"] = weights.get("help", 0) + (0.6 if tries > 1 else 0.1)
        weights["other_way"] = 4 * self.flexible if tries > 1 else self.flexible
        return rng.choices(list(weights), list(weights.values()))[0]


def draw_person(rng: random.Random) -> Person:
    """A person at random."""
    return Person(
        temper=rng.choices(list(TEMPERS), [25, 40, 22, 13])[0],
        pace=rng.lognormvariate(0, 0.35),
        typing_ms=rng.lognormvariate(math.log(2_600), 0.5),
        device=rng.choices(["mouse", "touch", "keyboard"], [62, 28, 10])[0],
        persistence=rng.choices([1, 2, 3, 4, 5], [18, 28, 26, 17, 11])[0],
        double_clicks=rng.random() < 0.06,
        doubts=rng.choice([0.02, 0.1, 0.35]),
        clumsy=rng.choice([0.03, 0.1, 0.3]),
        attentive=rng.random() < 0.3,
        flexible=rng.random() * 0.6,
        fidgets=rng.choice([0.05, 0.15, 0.4]),
        blocks_ads=rng.random() < 0.25,
        skew_ms=0 if rng.random() < 0.8 else int(rng.gauss(0, 90_000)),
        goodbye=rng.random() < 0.55,
    )
