"""UFSE, the User Frustration Signal Engine: whole client sessions in, high-confidence detections out.

Pure functions over columns: no I/O, no clock, no randomness. The same events in any order give the same
bytes.
"""

from ufse.columns import EVENT_SCHEMA, UNKNOWN_POSITION
from ufse.config import DEFAULT, ENGINE_VERSION, Config
from ufse.detect import Detection, Result, WhyNot, detect, detect_each
from ufse.evaluate import Evaluation, evaluate
from ufse.patterns import fold_path
from ufse.sessions import Visits, sessionize

__all__ = [
    "DEFAULT",
    "ENGINE_VERSION",
    "EVENT_SCHEMA",
    "UNKNOWN_POSITION",
    "Config",
    "Detection",
    "Evaluation",
    "Result",
    "Visits",
    "WhyNot",
    "detect",
    "detect_each",
    "evaluate",
    "fold_path",
    "sessionize",
]
