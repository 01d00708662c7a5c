"""UFSE, the User Frustration Signal Engine: whole client sessions in, high-confidence detections out.

It is made of pure functions over columns: no I/O, no clock, no randomness. The same events in any order give the same bytes.
"""

from ufse.columns import EVENT_SCHEMA, UNKNOWN_POSITION
from ufse.config import DEFAULT, ENGINE_VERSION, Config
from ufse.detect import EmittedDetection, Result, SilentVisit, detect, detect_each
from ufse.detection import Detection, WhyNot
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
    "EmittedDetection",
    "Evaluation",
    "Result",
    "SilentVisit",
    "Visits",
    "WhyNot",
    "detect",
    "detect_each",
    "evaluate",
    "fold_path",
    "sessionize",
]
