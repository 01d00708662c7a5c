"""Precision, recall and misses of detections against labelled sessions (docs/contracts/detection.md, Quality bar)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ufse.detection import Detection, FailurePoint
from ufse.patterns import fold_path, fold_target_name

Label = Mapping[str, object]
"""A labelled session: ``sessionId``, ``frustrated``, and if known ``route``, ``target`` and ``kind``; other keys are kept."""


@dataclass
class KindFigures:
    """Counts of one kind of labelled session."""

    kind: str
    frustrated: bool
    sessions: int = 0
    detected: int = 0
    point_right: int = 0


@dataclass
class Evaluation:
    """Counts over labelled sessions; a session counts once, however many detections it has."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    true_negatives: int = 0
    points_right: int = 0
    by_kind: dict[str, KindFigures] = field(default_factory=dict)
    missed: list[Label] = field(default_factory=list)
    """Labels of frustrated sessions without a detection."""
    false_alarms: list[Label] = field(default_factory=list)
    """Labels of calm sessions with a detection, and what was detected."""
    wrong_points: list[Label] = field(default_factory=list)
    """Labels of hits with another failure point, and what was detected."""
    unlabelled: list[str] = field(default_factory=list)
    """Client sessions with a detection but no label."""

    @property
    def precision(self) -> float:
        """Share of the sessions with a detection that are labelled frustrated; 1 without any."""
        return (
            self.true_positives / max(self.true_positives + self.false_positives, 1)
            if self.true_positives or self.false_positives
            else 1.0
        )

    @property
    def recall(self) -> float:
        """Share of the sessions labelled frustrated that have a detection; 1 without any."""
        found = self.true_positives + self.false_negatives
        return self.true_positives / found if found else 1.0

    @property
    def point_accuracy(self) -> float:
        """Share of the hits that have a detection at the labelled route and target; 1 without any."""
        return self.points_right / self.true_positives if self.true_positives else 1.0

    def to_json(self) -> dict[str, object]:
        """All figures, JSON-serialisable, in a fixed order."""
        return {
            "precision": round(self.precision, 4),
            "recall": round(self.recall, 4),
            "pointAccuracy": round(self.point_accuracy, 4),
            "truePositives": self.true_positives,
            "falsePositives": self.false_positives,
            "falseNegatives": self.false_negatives,
            "trueNegatives": self.true_negatives,
            "kinds": [vars(self.by_kind[k]) for k in sorted(self.by_kind)],
            "missed": self.missed,
            "falseAlarms": self.false_alarms,
            "wrongPoints": self.wrong_points,
            "unlabelled": self.unlabelled,
        }


def evaluate(detections: Iterable[Detection], labels: Iterable[Label]) -> Evaluation:
    """Compares the JSON of detections with labels. Raises KeyError for a label without ``sessionId`` or ``frustrated``."""
    by_session: dict[str, list[Detection]] = {}
    for detection in detections:
        by_session.setdefault(detection["sessionId"], []).append(detection)
    result = Evaluation()
    for label in labels:
        _count_session(result, label, by_session.pop(str(label["sessionId"]), []))
    result.unlabelled = sorted(by_session)
    return result


def _count_session(result: Evaluation, label: Label, found: list[Detection]) -> None:
    kind = str(label.get("kind") or "")
    frustrated = bool(label["frustrated"])
    figures = result.by_kind.setdefault(kind, KindFigures(kind, frustrated))
    figures.sessions += 1
    figures.detected += bool(found)
    detected_points = [d["primaryFailurePoint"] for d in found]
    if frustrated and found:
        result.true_positives += 1
        if any(point_matches(label, d["failurePoint"]) for d in found):
            result.points_right += 1
            figures.point_right += 1
        else:
            result.wrong_points.append({**label, "detected": detected_points})
    elif frustrated:
        result.false_negatives += 1
        result.missed.append(dict(label))
    elif found:
        result.false_positives += 1
        result.false_alarms.append({**label, "detected": detected_points})
    else:
        result.true_negatives += 1


def point_matches(label: Label, point: FailurePoint) -> bool:
    """Whether a failure point matches the label: the same route pattern, and a target whose name contains the labelled one.

    An empty route or target in the label matches any.
    """
    route, target = str(label.get("route") or ""), str(label.get("target") or "")
    if route and fold_path(route) != fold_path(point["route"]):
        return False
    return not target or fold_target_name(target).lower() in point["target"].lower()
