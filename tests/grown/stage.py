"""What a scene needs of an application, and the choice of deeds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.grown.lab import Lab
from tests.grown.shop import Shop
from tests.grown.world import Act, Outcome, Truth, fail_by

App = Shop | Lab
Play = Callable[[App, Act], Truth]


@dataclass(frozen=True)
class Scene:
    """A scene: its name, its play, its weight and which deeds it suits."""

    name: str
    play: Play
    weight: float
    suits: Callable[[Act], bool] = lambda act: True
    gap: bool = False


def begin_visit(app: App, act: Act, most: int = 2) -> None:
    """Enter, look around and go to the deed."""
    app.enter_app()
    app.look_around(app.pen.rng.randint(0, most))
    app.reach_deed(act)


def say_frustrated(app: App, act: Act, scenario: str, hard: bool = False) -> Truth:
    """Say that the person was frustrated at a deed."""
    return Truth(scenario, True, app.route_of(act.page), app.find_control_here(act.control), hard)


def say_calm(scenario: str, hard: bool = False) -> Truth:
    """Say that the person was not frustrated."""
    return Truth(scenario, hard=hard)


def steady_fault(rng: random.Random) -> Callable[[], Outcome]:
    """Return a source of failing answers that mostly stays with one status."""
    first = fail_by(rng)
    return lambda: first if rng.random() < 0.85 else fail_by(rng)


def go_elsewhere(app: App, act: Act) -> None:
    """Do something else that has nothing to do with the failed deed."""
    app.choose_item()
    app.look_around(app.pen.rng.randint(1, 3))
    keys = {"oscar": ("search", "review"), "labelstudio": ("filter", "hook", "export")}[app.name]
    for key in keys:
        if key != act.key and app.pen.rng.random() < 0.4:
            app.reach_deed(app.find_act(key))
            app.attempt_deed(app.find_act(key), Outcome("ok"))
            break
