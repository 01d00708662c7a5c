"""The fingerprint of a failure point: what makes detections of different sessions one incident. It is versioned.

Version 1 is the hash of the failure point as it is shown. Version 2 hashes names that grouping folds further. A later version
keeps the earlier ones: a detection carries all of them, and an incident is found by the oldest that it has (stores/incidents).
"""

from typing import Final, NamedTuple

from ufse.grouping.learned import NO_RULES, RouteRules
from ufse.grouping.routes import fold_route
from ufse.memo import memoize_texts
from ufse.patterns import digest_texts

FINGERPRINT_VERSION: Final = 2
"""Raise it when a rule changes what is one incident, and keep the earlier version among ``older``."""


class Fingerprints(NamedTuple):
    """The fingerprint of this version, and those that the same failure point has or had otherwise, the oldest first."""

    current: str
    older: tuple[str, ...]


class GroupedPoint(NamedTuple):
    """A failure point: as shown (``route``, ``target``, ``feedback``), and its control and failure as grouping names them."""

    route: str
    target: str
    feedback: str
    control: str
    failure: str


@memoize_texts
def compute_first_fingerprint(project: str, route: str, target: str, feedback: str) -> str:
    """The fingerprint of version 1: the hash of a failure point as shown."""
    return digest_texts(("failure", project, route, target, feedback))


@memoize_texts
def _digest_point(project: str, route: str, control: str, failure: str) -> str:
    return digest_texts(("failure 2", project, route, control, failure))


def compute_fingerprints(project: str, point: GroupedPoint, rules: RouteRules = NO_RULES) -> Fingerprints:
    """All fingerprints of a failure point. ``rules``: what the project's own routes show.

    The one without these rules is among the older ones where it differs: an incident from before a rule was learned keeps its
    detections.
    """
    plain = _digest_point(project, fold_route(point.route), point.control, point.failure)
    current = (
        _digest_point(project, fold_route(point.route, rules), point.control, point.failure)
        if rules != NO_RULES
        else plain
    )
    first = compute_first_fingerprint(project, point.route, point.target, point.feedback)
    return Fingerprints(current, (first,) if current == plain else (first, plain))


def group_request(feedback: str) -> str:
    """A failed request, as shown (``POST /api/orders → 500``), for the fingerprint: its address is folded like a route."""
    request, arrow, answer = feedback.rpartition(" → ")
    method, space, address = request.rpartition(" ")
    return f"{method}{space}{fold_route(address)}{arrow}{answer}" if address.startswith("/") else feedback
