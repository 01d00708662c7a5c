"""What a project's own routes show: which places hold names of things, and which short segments are locales.

A place is a path with ``*`` for its last segment, like ``/shop/*``. With hundreds of values it holds a parameter; with five
it is named. A segment such as ``it`` at the beginning is a locale or a department: what else the project has decides.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ufse.grouping.vocabulary import load_vocabulary
from ufse.patterns import ID

PARAMETER_VALUES: Final = 100
"""Distinct values in one place from which it holds a parameter (own choice: menus and sections have tens at most)."""
MOST_SEGMENTS: Final = 24
"""Segments of a route of which a parameter is learned."""
RuleKind = Literal["parameter", "name", "locale", "word"]
_VOCABULARY = load_vocabulary()


@dataclass(frozen=True)
class RouteRules:
    """Rules of one project: by place, and by segment at the beginning of a path."""

    places: Mapping[str, RuleKind] = field(default_factory=dict)
    """``parameter`` or ``name`` by place."""
    locales: Mapping[str, RuleKind] = field(default_factory=dict)
    """``locale`` or ``word`` by first segment."""

    def replace_segments(self, segments: list[str]) -> list[str]:
        """The segments without locales, with ``:id`` in the places of parameters."""
        return self._replace(segments, keep_locales=False)

    def replace_values(self, segments: list[str]) -> list[str]:
        """The segments with ``:id`` in the places of parameters, as they are learned from; locales stay."""
        return self._replace(segments, keep_locales=True)

    def _replace(self, segments: list[str], keep_locales: bool) -> list[str]:
        found: list[str] = []
        locales: list[str] = []
        for segment in segments:
            if segment.startswith("!") or segment in _VOCABULARY.ambiguous:
                plain = segment.removeprefix("!")
                kind = self.locales.get(plain, "") if all(s in _VOCABULARY.shells for s in found) else "word"
                if (kind or _presume(segment)) == "locale":
                    locales.append(segment)
                    continue
                segment = plain
            if self.places and len(found) < MOST_SEGMENTS and segment != ID:
                kind = self.places.get("/" + "/".join([*found, "*"]), "name")
                segment = ID if kind == "parameter" and segment not in _VOCABULARY.reserved else segment
            found.append(segment)
        if not (keep_locales and locales):
            return found
        shells = next((n for n, segment in enumerate(found) if segment not in _VOCABULARY.shells), len(found))
        return [*found[:shells], *locales, *found[shells:]]


NO_RULES: Final = RouteRules()


def is_place(place: str, kind: RuleKind) -> bool:
    """Whether a rule of this kind can be about ``place``."""
    if kind in ("parameter", "name"):
        return place.startswith("/") and place.endswith("/*") and len(place) <= 512
    return 0 < len(place) <= 20 and "/" not in place


def _presume(segment: str) -> RuleKind:
    return "locale" if segment.startswith("!") or segment in _VOCABULARY.presumed else "word"


def learn_rules(routes: Iterable[list[str]], known: RouteRules = NO_RULES) -> RouteRules:
    """The rules that these routes (``ufse.grouping.routes.split_route``) show; a parameter that is ``known`` stays one.

    The order of the routes does not matter.
    """
    distinct = sorted({tuple(route) for route in routes})
    locales = {**_learn_locales(distinct), **known.locales}
    without = RouteRules(known.places, locales)
    paths = {tuple(without.replace_segments(list(route))) for route in distinct}
    places: dict[str, RuleKind] = dict(known.places)
    for depth in range(min(max((len(path) for path in paths), default=0), MOST_SEGMENTS)):
        values: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for path in paths:
            if len(path) > depth and path[depth] != ID:
                values[path[:depth]].add(path[depth])
        full = {before for before, found in values.items() if len(found - _VOCABULARY.reserved) >= PARAMETER_VALUES}
        fresh = {before for before in full if places.get("/" + "/".join([*before, "*"])) is None}
        if fresh:
            places.update({"/" + "/".join([*before, "*"]): "parameter" for before in fresh})
            rules = RouteRules(places, locales)
            paths = {tuple(rules.replace_segments(list(path))) for path in paths}
    return RouteRules(places, locales)


def _learn_locales(routes: list[tuple[str, ...]]) -> dict[str, RuleKind]:
    """What the short first segments are: locales if what follows them also follows a locale that is no word, departments if it
    follows other words."""
    following: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for route in routes:
        begin = next((n for n, segment in enumerate(route) if segment not in _VOCABULARY.shells), len(route))
        if begin < len(route):
            following[route[begin]].add(route[begin + 1 : begin + 2])
    sure = [segment for segment in following if segment.startswith("!")]
    words = [s for s in following if s not in _VOCABULARY.ambiguous and not s.startswith("!") and s != ID]
    found: dict[str, RuleKind] = {}
    for segment in sorted(set(following) & _VOCABULARY.ambiguous):
        if any(following[segment] & following[other] for other in sure):
            found[segment] = "locale"
        elif any(following[segment] & following[other] - {()} for other in words):
            found[segment] = "word"
        elif sure:
            found[segment] = "locale"
    return found
