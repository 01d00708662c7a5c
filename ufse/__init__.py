"""UFSE, the User Frustration Signal Engine: whole client sessions in, high-confidence detections out.

It is made of pure functions over columns: no I/O, no clock, no randomness. The same events in any order give the same bytes.

The names below are imported when they are first used: the declarations in ``ufse.detection`` are for processes, too, that never
run the engine, and these need neither numpy nor Arrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from ufse.detection import Detection, WhyNot

if TYPE_CHECKING:
    from ufse.columns import EVENT_SCHEMA, UNKNOWN_POSITION
    from ufse.config import DEFAULT, ENGINE_VERSION, Config
    from ufse.evaluation import Evaluation, evaluate
    from ufse.history import Observed, ProjectHistory, sum_observed
    from ufse.patterns import fold_path
    from ufse.pipeline import EmittedDetection, Result, SilentVisit, detect, detect_each, learn_history
    from ufse.sessions import Visits, sessionize

__all__ = [
    "DEFAULT",
    "ENGINE_VERSION",
    "EVENT_SCHEMA",
    "UNKNOWN_POSITION",
    "Config",
    "Detection",
    "EmittedDetection",
    "Evaluation",
    "Observed",
    "ProjectHistory",
    "Result",
    "SilentVisit",
    "Visits",
    "WhyNot",
    "detect",
    "detect_each",
    "evaluate",
    "fold_path",
    "learn_history",
    "sessionize",
    "sum_observed",
]

_HOMES: Final = {
    "columns": ("EVENT_SCHEMA", "UNKNOWN_POSITION"),
    "config": ("DEFAULT", "ENGINE_VERSION", "Config"),
    "evaluation": ("Evaluation", "evaluate"),
    "history": ("Observed", "ProjectHistory", "sum_observed"),
    "patterns": ("fold_path",),
    "pipeline": ("EmittedDetection", "Result", "SilentVisit", "detect", "detect_each", "learn_history"),
    "sessions": ("Visits", "sessionize"),
}
"""Module → the names above that it defines."""


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            found: object = getattr(import_module(f"ufse.{home}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module 'ufse' has no attribute {name!r}")
