"""Forms whose own page comes back: a server refuses what was sent and shows the form again, with status 200.

No collector tells that page from the page after a success ("saved, go on editing"). What differs is what the person does.
Source: docs/decisions/0152. A control counts only if all of this holds:

* the page was shown, at least two of its fields were filled in, and then at least three tries were each followed by the same
  page, loaded within 10 s, before the person pressed anything else. Of the last try the page may be missing, if the visit ends
  with it and nothing was changed before it;
* no try of the control was followed by another page, and none has a request of its own;
* between the tries only fields that were filled in before were changed again, fewer than before the first: corrections, no new
  entries; and one try repeats the try before it, with nothing changed: who has saved has nothing to save;
* the visit shows no other page after the last try: the person was never let through;
* at least two other presses of the visit opened other pages, so that the collector reports pages;
* neither the control nor the page says that it searches, calculates or saves: such a page is meant to come back.

Where a visit reports no change of a field at all, clicks into fields stand for them.
"""

import re
from itertools import pairwise
from typing import Final

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    any_by_owner,
    count_by_owner,
    count_distinct_by_owner,
    equals_any,
    is_among,
    max_by_owner,
    min_by_owner,
)
from ufse.config import Config
from ufse.frame import Frame
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT
from ufse.silent_controls import ANSWERED_PRESSES

SHOWN_TRIES: Final = 3
"""Tries from which a form whose own page comes back counts (as for other forms that send back)."""
_ONE_TRY_MS: Final = 1_000
"""Presses this close together are one try."""
_COMES_BACK: Final = re.compile(
    r"search|filter|lookup|refresh|reload|calculat|estimat|preview|availab|save|update|apply|draft|suche|aktualisier|speicher|"
    r"anwenden|berechn|recherch|enregistr|appliqu|guardar|aplicar|actualizar|aggiorna|opslaan|toepassen|atualizar|"
    r"(?<![a-z])(find|quer(y|ies)|sort|quote|edit|busca|cerca|salva|applica|zoek)"
)
"""Words of controls and pages that show the same page when all is well (own choice, in a few languages)."""


def find_shown_again(frame: Frame, tries: Ints, key: Ints, cause: Ints, config: Config) -> Bools:
    """Per try: whether its control is one whose form's own page came back, see above, and the try is part of that.

    ``tries``: rows that begin a try, ascending; ``key``: per event, its action in its visit; ``cause``: per feedback event, the
    row of the interaction that caused it, -1 if none.
    """
    moves = np.flatnonzero((frame.kind == NAVIGATION) & ~frame.unattended)
    page, shown = _find_following_pages(frame, tries, moves, config)
    again = shown & (frame.route[page] == frame.route[tries])
    again &= frame.column_equals("nav_type", "", "link", rows=page)
    if int(again.sum()) < SHOWN_TRIES - 1:
        return np.zeros(len(tries), dtype=np.bool_)
    known, owner = np.unique(key[tries], return_inverse=True)
    asked = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0) & ~frame.noise & (frame.third_party != 1))
    part = again | _is_last_act(frame, tries)
    found = (count_by_owner(owner, len(known), part) >= SHOWN_TRIES) & ~is_among(known, key[cause[asked]])
    found &= ~any_by_owner(owner, shown & ~again, len(known))
    first = min_by_owner(owner, tries, len(known), len(frame) - 1)
    last = max_by_owner(owner, tries, len(known), -1)
    found &= _is_never_let_through(frame, moves, first, last) & _opens_pages(frame, moves, config)[frame.visit[first]]
    for number in np.flatnonzero(found):  # few come so far
        place = np.flatnonzero((owner == number) & part)
        found[number] = not _is_meant_to_return(frame, first[number]) and _is_corrected(
            frame, tries[place], again[place]
        )
    return np.asarray(found[owner] & part, dtype=np.bool_)


def _find_following_pages(frame: Frame, presses: Ints, moves: Ints, config: Config) -> tuple[Ints, Bools]:
    """Per press: the row of the page that was loaded before anything else was pressed, and whether there is one in time."""
    acts = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT, NAVIGATION))
    since = frame.find_first_since(frame.visit[presses], frame.ts[presses] + _ONE_TRY_MS)
    pressed = np.append(acts, len(frame))[np.searchsorted(acts, np.maximum(since, presses + 1))]
    page = np.append(moves, len(frame))[np.searchsorted(moves, presses)]
    safe = np.minimum(page, len(frame) - 1)
    shown = (page <= pressed) & (page < len(frame)) & (frame.visit[safe] == frame.visit[presses])
    return safe, np.asarray(
        shown & (frame.ts[safe] - frame.ts[presses] <= config.network_end_window_ms), dtype=np.bool_
    )


def _is_last_act(frame: Frame, tries: Ints) -> Bools:
    """Per try: whether the visit has no press and no page after it."""
    acts = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT, NAVIGATION))
    latest = max_by_owner(frame.visit[acts], frame.ts[acts], len(frame.low), -1)
    return np.asarray(latest[frame.visit[tries]] - frame.ts[tries] <= _ONE_TRY_MS, dtype=np.bool_)


def _is_never_let_through(frame: Frame, moves: Ints, first: Ints, last: Ints) -> Bools:
    """Per control: whether its page was shown before its ``first`` try, and no other after its ``last``."""
    latest = max_by_owner(frame.visit[moves], moves, len(frame.low), -1)[frame.visit[last]]
    begun = moves[np.maximum(np.searchsorted(moves, first) - 1, 0)]
    stays = frame.route[np.maximum(latest, 0)] == frame.route[last]
    stays &= (begun < first) & (frame.visit[begun] == frame.visit[first])
    return np.asarray(stays & (frame.route[begun] == frame.route[first]), dtype=np.bool_)


def _opens_pages(frame: Frame, moves: Ints, config: Config) -> Bools:
    """Per visit number: whether presses opened other pages often enough to know that the collector reports pages."""
    presses = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT))
    page, shown = _find_following_pages(frame, presses, moves, config)
    shown &= frame.route[page] != frame.route[presses]
    opened = count_distinct_by_owner(frame.visit[presses[shown]], page[shown], len(frame.low))
    return np.asarray(opened >= ANSWERED_PRESSES, dtype=np.bool_)


def _is_meant_to_return(frame: Frame, row: int) -> bool:
    """Whether the control or the page of the press in ``row`` says that the page comes back when all is well."""
    target = frame.targets[frame.target[row]]
    words = f"{target.label} {target.name} {frame.patterns[frame.pattern[row]]}".lower()
    return bool(_COMES_BACK.search(words))


def _is_corrected(frame: Frame, tries: Ints, again: Bools) -> bool:
    """Whether the form of these tries of one control was filled in, corrected, and once sent again as it was.

    ``again``: per try, whether its page came.
    """
    touched = _find_touched_fields(frame, int(frame.visit[tries[0]]))
    touched = touched[frame.route[touched] == frame.route[tries[0]]]
    one_page = bool((frame.route[tries] == frame.route[tries[0]]).all())
    begun = set(frame.raw_target[touched[touched < tries[0]]].tolist())
    bounds = np.searchsorted(touched, tries)
    later = [set(frame.raw_target[touched[a:b]].tolist()) for a, b in pairwise(bounds.tolist())]
    changed = set[int]().union(*later)
    fewer = all(len(fields) < len(begun) for fields in later)
    return (
        one_page
        and fewer
        and bool(changed)
        and changed <= begun
        and not all(later)
        and (bool(again[-1]) or not later[-1])
    )


def _find_touched_fields(frame: Frame, visit: int) -> Ints:
    """Rows of the changes of fields in the visit; where it reports none, of the clicks into fields."""
    rows: Ints = np.arange(frame.low[visit], frame.high[visit], dtype=np.int64)
    changes: Ints = rows[(frame.kind[rows] == INPUT) & ~frame.column_equals("action", "focus", "blur", rows=rows)]
    if len(changes):
        return changes
    clicks: Ints = rows[frame.kind[rows] == CLICK]
    into: Bools = np.array([frame.targets[t].text_field for t in frame.target[clicks]], dtype=np.bool_)
    return np.asarray(clicks[into], dtype=np.int64)
