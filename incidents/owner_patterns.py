"""Patterns of the file of owners: paths by segment, names by shell-style wildcards.

The values come from browsers. Each pattern is matched without backtracking beyond its last wildcard, so that no value makes it
slow.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from itertools import product
from typing import Final, Literal, NamedTuple

Kind = Literal["route", "endpoint", "control", "app"]
KINDS: Final[tuple[Kind, ...]] = ("route", "endpoint", "control", "app")

_REQUEST: Final = re.compile(r"(?P<method>[A-Z]+) (?P<path>[^\s→]+) → ")
_METHOD: Final = re.compile(r"(?:[A-Za-z]{3,10}|\*) ")
_PARAMETER: Final = re.compile(r":[A-Za-z_]\w*|\{[^{}/]+\}")
_ANY_SEGMENTS: Final = "**"
_UNUSUAL: Final = "xq7z"
"""A word that no pattern names: what matches it in the place of a wildcard matches everything there."""


class Place(NamedTuple):
    """What rules look at of an incident. ``endpoint``: ``POST /api/orders``, '' if no request failed; ``app``: the project."""

    app: str
    route: str = ""
    endpoint: str = ""
    control: str = ""
    label: str = ""


@dataclass(frozen=True)
class Pattern:
    """One condition of a rule. ``text`` is a path for ``route``, a path with or without a method for ``endpoint``, a name with
    wildcards for ``control`` (control or label) and ``app``."""

    kind: Kind
    text: str

    def fits(self, place: Place) -> bool:
        """Whether the condition holds."""
        if self.kind == "route":
            return _fits_path(self.text, place.route)
        if self.kind == "endpoint":
            return _fits_endpoint(self.text, place.endpoint)
        if self.kind == "app":
            return _fits_name(self.text, place.app)
        return any(_fits_name(self.text.casefold(), name.casefold()) for name in (place.control, place.label) if name)

    def find_problem(self) -> str:
        """Why it can hold for nothing; '' if it can."""
        path = _split_endpoint(self.text)[1] if self.kind == "endpoint" else self.text
        if self.kind in ("route", "endpoint") and not is_path(path):
            return f"the pattern of {self.kind} begins with / or is *, not {path[:40]!r}"
        return "" if self.text else f"{self.kind} has no pattern"

    def make_samples(self) -> list[str]:
        """Values that it fits, as unlike others as they can be."""
        text = self.text
        if self.kind in ("route", "endpoint"):
            text = _PARAMETER.sub("*", f"{text}**" if text.endswith("/") and len(text) > 1 else text)
        several = [text.replace("**", f"{_UNUSUAL}/{_UNUSUAL}"), text.replace("/**", "") if "/**" in text else ""]
        return [re.sub(r"[*?]", _UNUSUAL, sample) for sample in several if sample]


def is_path(text: str) -> bool:
    """Whether a pattern is one of paths."""
    return text.startswith(("/", "**/")) or text in ("*", _ANY_SEGMENTS)


def find_request(feedback: str) -> str:
    """``POST /api/orders`` of ``POST /api/orders → 500``; '' of an error that is no request."""
    match = _REQUEST.match(feedback)
    return f"{match['method']} {match['path']}" if match else ""


def make_sample_places(patterns: Sequence[Pattern]) -> list[Place]:
    """Places for which all ``patterns`` hold; what they do not name is as unusual as it can be."""
    choices = [[(pattern.kind, sample) for sample in pattern.make_samples()] for pattern in patterns]
    places = []
    for chosen in product(*choices):
        values = {"app": _UNUSUAL, "route": f"/{_UNUSUAL}", "endpoint": f"{_UNUSUAL} /{_UNUSUAL}", "control": _UNUSUAL}
        for kind, sample in chosen:
            values[kind] = f"{_UNUSUAL} {sample}" if kind == "endpoint" and sample.startswith("/") else sample
        places.append(Place(**values))
    return places


def _fits_endpoint(text: str, endpoint: str) -> bool:
    method, path = _split_endpoint(text)
    sent, _, address = endpoint.partition(" ")
    return bool(endpoint) and method.upper() in ("*", sent.upper()) and _fits_path(path, address)


def _split_endpoint(text: str) -> tuple[str, str]:
    """The method (``*`` for any) and the path of a pattern."""
    if _METHOD.match(text):
        method, _, path = text.partition(" ")
        return method, path.strip()
    return "*", text


@lru_cache(maxsize=4_096)
def _compile_name(text: str) -> re.Pattern[str]:
    return re.compile(translate(text.replace("[", "[[]")))


def _fits_name(text: str, name: str) -> bool:
    return _compile_name(text).match(name) is not None


@lru_cache(maxsize=4_096)
def _split_pattern(text: str) -> tuple[str, ...]:
    if text in ("*", _ANY_SEGMENTS):
        return (_ANY_SEGMENTS,)
    segments = [_PARAMETER.sub("*", segment) for segment in text.split("/") if segment]
    return (*segments, _ANY_SEGMENTS) if text.endswith("/") and segments else tuple(segments)


def _fits_path(text: str, path: str) -> bool:
    """By segment; ``**`` stands for any number of segments, also none. Goes back to the last ``**`` alone."""
    pattern = _split_pattern(text)
    segments = [segment for segment in path.split("/") if segment]
    at = seen = 0
    back, taken = -1, 0
    while seen < len(segments):
        if at < len(pattern) and pattern[at] == _ANY_SEGMENTS:
            back, taken = at, seen
            at += 1
        elif at < len(pattern) and _fits_name(pattern[at], segments[seen]):
            at, seen = at + 1, seen + 1
        elif back >= 0:
            taken += 1
            at, seen = back + 1, taken
        else:
            return False
    return all(segment == _ANY_SEGMENTS for segment in pattern[at:])
