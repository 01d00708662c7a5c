"""One control of a visit is one code, whatever it is called at each click: its parts, its states, its generated ids.

The texts decide first (``Identity.exact``). What they leave open is decided by evidence of the visit, on one page:

* a part (``span``, ``svg``) inside an element whose id is a control of the visit is that control;
* a part with the label of the only control with this label is that control;
* clicks one after the other on one spot hit one control, if only one of them has a name of its own, or if their labels differ
  in digits or in a sign that something is going on ("Loading… 40 %").

Controls with different ids of their own are never unified.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, Small, is_among, mark_group_starts, max_by_owner, min_by_owner
from ufse.columns import UNKNOWN_POSITION
from ufse.event_columns import EventColumns
from ufse.labels import is_busy_label
from ufse.targets import Described

_ONE_SPOT_PX: Final = 12
"""Clicks up to this distance (CSS pixels) are on one spot: a hand at rest, not two controls beside each other (own choice)."""
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Hits:
    """The clicks of a frame, and per event its visit, route and code of its target as sent."""

    source: EventColumns
    visit: Small
    route: Ints
    sent: Ints
    clicks: Ints
    """Rows of the clicks."""


def unify_controls(hits: Hits, described: Sequence[Described], target: Ints) -> tuple[Ints, Ints]:
    """(Code of the control per event, ``target`` per event). ``described``: per target as sent."""
    exact = list(dict.fromkeys(d.identity.exact for d in described))
    place = {text: i for i, text in enumerate(exact)}
    control = np.array([place[d.identity.exact] for d in described], dtype=np.int64)[hits.sent]
    rows = hits.clicks
    if not len(rows):
        return control, target
    part = np.array([d.part for d in described], dtype=np.bool_)[hits.sent[rows]]
    target = target.copy()
    page = hits.visit[rows].astype(np.int64) * (int(hits.route.max()) + 1) + hits.route[rows]
    code = control[rows]
    blank = np.array([not d.identity.label and not d.identity.stem for d in described], dtype=np.bool_)[hits.sent[rows]]
    if part.any():
        above = np.array([place.get(d.identity.above, -1) for d in described], dtype=np.int64)[hits.sent[rows]]
        code = _adopt_control_above(code, page, part, above, len(exact))
        label = _encode_texts([d.identity.label for d in described])[hits.sent[rows]]
        code = _adopt_only_control(code, page, part, ~part, label)
    if blank.any():
        shape = _encode_texts([d.identity.shape for d in described])[hits.sent[rows]]
        code = _adopt_only_control(code, page, blank, ~blank, shape)
    code = _unify_spots(hits, described, code, page)
    changed = code != control[rows]
    control[rows] = code
    target[rows] = _find_first_targets(code, page, target[rows], changed)
    return control, target


def _adopt_control_above(code: Ints, page: Ints, part: Bools, above: Ints, size: int) -> Ints:
    """``code`` per click, where a part of a control that was itself hit on the page has the control's."""
    known = is_among(page * size + above, (page * size + code)[~part]) & part & (above >= 0)
    return np.where(known, above, code)


def _encode_texts(texts: list[str]) -> Ints:
    """Per text: its code, -1 for the empty one."""
    place = {text: i for i, text in enumerate(dict.fromkeys(t for t in texts if t))}
    return np.array([place.get(t, -1) for t in texts], dtype=np.int64)


def _adopt_only_control(code: Ints, page: Ints, vague: Bools, whole: Bools, sign: Ints) -> Ints:
    """``code`` per click, where a ``vague`` one has the code of the page's only ``whole`` control with the same ``sign``
    (-1: none).
    """
    if not (vague & (sign >= 0)).any():
        return code
    _, owner = np.unique(page * (int(sign.max()) + 2) + sign + 1, return_inverse=True)
    size = int(owner.max()) + 1
    known = whole & (sign >= 0)
    low = min_by_owner(owner[known], code[known], size, 2**62)[owner]
    high = max_by_owner(owner[known], code[known], size, -1)[owner]
    return np.where(vague & (sign >= 0) & (low == high), low, code)


def _unify_spots(hits: Hits, described: Sequence[Described], code: Ints, page: Ints) -> Ints:
    """``code`` per click, where clicks one after the other on one spot that may be one control have one code."""
    rows = hits.clicks
    x, y = (hits.source.read_at(n, rows).astype(np.int64) for n in ("x", "y"))
    known = (x > UNKNOWN_POSITION) & (y > UNKNOWN_POSITION) & ((x != 0) | (y != 0))
    apart = np.maximum(np.abs(np.diff(x)), np.abs(np.diff(y))) > _ONE_SPOT_PX
    first = mark_group_starts(page)
    first[1:] |= apart | ~known[1:] | ~known[:-1]
    if not (~first[1:] & (code[1:] != code[:-1])).any():
        return code
    spot = np.cumsum(first) - 1
    size = int(spot[-1]) + 1
    mixed = min_by_owner(spot, code, size, 2**62) != max_by_owner(spot, code, size, -1)
    at = np.flatnonzero(mixed[spot])
    stem_of = [_find_stem(d) for d in described]
    stems = {text: i for i, text in enumerate(dict.fromkeys(stem_of))}
    stem = np.array([stems[s] for s in stem_of], dtype=np.int64)[hits.sent[rows[at]]]
    code = code.copy()
    code[at] = _unify_mixed_spots(spot[at], code[at], stem, stems.get("", -1))
    return code


def _find_stem(described: Described) -> str:
    """What clicks on one spot must share to be one control: an id, or a label without digits; '' is shared with all."""
    identity, label = described.identity, described.target.label
    if identity.stem:
        return identity.stem
    if described.part:
        return identity.above
    if not identity.named or is_busy_label(label):
        return ""
    names, mark, text = identity.exact.rpartition("|")
    return names + mark + _DIGITS.sub("", text)


def _unify_mixed_spots(spot: Ints, code: Ints, stem: Ints, blank: int) -> Ints:
    """``code`` per click. Spots where at most one stem (``blank`` excluded) was hit are one control: the first named one."""
    own = stem != blank
    _, owner = np.unique(spot, return_inverse=True)
    size = int(owner.max()) + 1
    low = min_by_owner(owner[own], stem[own], size, 2**62)
    high = max_by_owner(owner[own], stem[own], size, -1)
    places = np.arange(len(spot))
    named = min_by_owner(owner[own], places[own], size, len(spot))
    begin = min_by_owner(owner, places, size, len(spot))
    chosen = code[np.where(named < len(spot), named, begin)]
    same = (low == high) | (named == len(spot))
    return np.where(same[owner], chosen[owner], code)


def _find_first_targets(code: Ints, page: Ints, target: Ints, changed: Bools) -> Ints:
    """``target`` per click: clicks of one control on a page have the target of the first that was hit under its own name."""
    base = int(code.max()) + 1
    if (min_by_owner(code, target, base, 2**62)[code] == target).all():
        return target  # each control was hit under one name
    _, owner = np.unique(page * base + code, return_inverse=True)
    size = int(owner.max()) + 1
    places = np.arange(len(code))
    own = min_by_owner(owner[~changed], places[~changed], size, len(code))
    any_place = min_by_owner(owner, places, size, len(code))
    return target[np.where(own < len(code), own, any_place)[owner]]
