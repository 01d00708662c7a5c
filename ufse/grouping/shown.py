"""Fingerprints of failure points that are known as shown only: those that other systems send."""

import re
from typing import Final

from ufse.grouping.controls import group_control
from ufse.grouping.errors import group_error
from ufse.grouping.fingerprint import Fingerprints, GroupedPoint, compute_fingerprints, group_request
from ufse.grouping.learned import NO_RULES, RouteRules

_NAMED: Final = re.compile(r"(?P<word>[\w-]*)#(?P<id>[^\s>\[]+)")
_LABELLED: Final = re.compile(r"(?P<word>[\w-]*) ?\"(?P<label>[^\"]*)\"")
_FIELDS: Final = frozenset(
    {"input", "text", "textarea", "textbox", "email", "password", "search", "select", "combobox"}
)
_SCRIPT: Final = re.compile(r" \((?P<script>[^()\s]+\.[a-z]{2,6})\)$")


def compute_shown_fingerprints(
    project: str, route: str, target: str, feedback: str, label: str = "", rules: RouteRules = NO_RULES
) -> Fingerprints:
    """The fingerprints of a failure point as detections show it: ``/checkout``, ``button#pay``, ``POST /api/orders → 500``.

    ``rules``: what the project's own routes show.
    """
    named, labelled = _NAMED.fullmatch(target), _LABELLED.fullmatch(target)
    word = next((match["word"] for match in (named, labelled) if match), "").lower()
    part = "field" if word in _FIELDS else "form" if word == "form" else "control"
    selector = "" if named or labelled else target
    shown = labelled["label"] if labelled else label
    control = group_control(part, named["id"] if named else "", selector, shown) if target else ""
    return compute_fingerprints(
        project, GroupedPoint(route, target, feedback, control, _group_feedback(feedback)), rules
    )


def _group_feedback(feedback: str) -> str:
    if " → " in feedback:
        return group_request(feedback)
    kind, mark, message = feedback.partition(" error: ")
    if mark and kind in ("validation", "resource"):
        return group_error(kind, message, "")
    script = _SCRIPT.search(feedback)
    return group_error("javascript", _SCRIPT.sub("", feedback), script["script"] if script else "")
