"""Parts of stored detections as they are declared now: what an older version did not store has an empty value.

Detections are stored as their version emitted them, and are never rewritten. Who reads one gets every key that
`ufse.detection` declares; further keys stay.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast

from ufse.detection import DetectionContext, PointsEntry, SignalEntry, TimelineEntry

_CONTEXT: Final[DetectionContext] = {
    "userHash": "",
    "environment": "",
    "appVersion": "",
    "userAgent": "",
    "label": "",
    "truncated": False,
}
_SIGNAL: Final = {"type": "", "route": "", "target": "", "count": 1, "text": "", "eventIds": []}
_STEP: Final = {"eventId": "", "at": "", "eventType": "", "route": "", "target": "", "text": ""}
_POINTS: Final = {"rule": "", "points": 0}


def complete_context(stored: object) -> DetectionContext:
    """Who and what was affected."""
    return cast("DetectionContext", _complete(stored, _CONTEXT))


def complete_signals(stored: object, at: str) -> list[SignalEntry]:
    """The signals; one without times was at the time ``at`` of the detection."""
    defaults = {**_SIGNAL, "start": at, "end": at}
    return [cast("SignalEntry", _complete(signal, defaults)) for signal in _list_objects(stored)]


def complete_points(stored: object) -> list[PointsEntry]:
    """The rules that gave points."""
    return [cast("PointsEntry", _complete(points, _POINTS)) for points in _list_objects(stored)]


def complete_timeline(stored: object, at: str) -> list[TimelineEntry]:
    """The steps; ``at``: time of the detection, to which their offsets refer."""
    steps = [_complete(step, _STEP) for step in _list_objects(stored)]
    return [cast("TimelineEntry", {"offsetMs": _measure_offset(step["at"], at), **step}) for step in steps]


def _list_objects(stored: object) -> list[Mapping[str, object]]:
    return [entry for entry in stored if isinstance(entry, dict)] if isinstance(stored, list) else []


def _complete(stored: object, defaults: Mapping[str, object]) -> dict[str, object]:
    known = stored if isinstance(stored, dict) else {}
    return {**defaults, **{name: value for name, value in known.items() if value is not None}}


def _measure_offset(moment: object, zero: str) -> int:
    """Milliseconds from ``zero``; 0 if a time cannot be read."""
    try:
        return round((datetime.fromisoformat(str(moment)) - datetime.fromisoformat(zero)).total_seconds() * 1000)
    except (ValueError, TypeError):  # no time, or one of the two without a zone
        return 0
