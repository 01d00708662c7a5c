"""When a form that a failed page answered succeeded after all: it was sent again, and a page came that did not fail.

A collector that reports pages and no requests (``ufse.page_answers``) shows no good answer, only the page that came. So these
count, after the last failure, in the same visit or a later one of the client session:

* a press of the same control, or of one with the same label on another page, that was answered by a page within 10 s, other
  than the page of the failed form (who comes there only begins again);
* without any recorded press: the page from which the form was sent is shown twice in a row, so that what was sent between was
  answered without a failure.
"""

import numpy as np

from ufse.arrays import Bools, Ints, Lookup, any_by_owner, equals_any, max_by_owner
from ufse.candidates import Candidates
from ufse.feedback import NONE
from ufse.index import Index
from ufse.other_ways import Times
from ufse.sessions import CLICK, NAVIGATION, NETWORK, SUBMIT

_BEGUN_WITH_MS = 50
"""A page's request begins at most this long before or after the page is entered: rounding of times (own choice)."""


def find_answered_forms(index: Index, found: Candidates) -> Times:
    """(Candidate, epoch ms) of such successes, of the candidates that failed pages alone answered."""
    chosen = np.flatnonzero(_is_failed_page(index, found))
    moves = index.navigation_rows
    if not len(chosen) or not len(moves):
        return chosen[:0], chosen[:0]
    ways = (_by_same_control(index, found, chosen, moves), _by_repeated_page(index, found, chosen, moves))
    owner, row = (np.concatenate(column) for column in zip(*ways, strict=True))
    return owner, index.frame.ts[row]


def _find_shown_pages(index: Index, rows: Ints) -> Ints:
    """Per row: the navigation whose page it is the request of, -1 if it is none.

    That is the next row if it is shown in the same instant, else the last navigation before the answer if the request began
    with it (``_BEGUN_WITH_MS``) and its address is the page's.
    """
    frame = index.frame
    place = {pattern: i for i, pattern in enumerate(frame.patterns)}
    page = np.array([place.get(e.rpartition(" ")[2], -1) for e in frame.endpoints] or [-1])[frame.endpoint[rows]]
    asked = (frame.kind[rows] == NETWORK) & (frame.endpoint[rows] >= 0)
    after = np.minimum(rows + 1, len(frame) - 1)
    shown = (
        (frame.kind[after] == NAVIGATION)
        & (frame.ts[after] == frame.ts[rows])
        & (frame.visit[after] == frame.visit[rows])
    )
    found = np.where(asked & shown & (page == frame.pattern[after]), after, -1)
    moves = index.navigation_rows
    if not len(moves):
        return found
    before = moves[np.maximum(np.searchsorted(moves, rows) - 1, 0)]
    begun = np.abs(index.attribution.begin[rows] - frame.ts[before]) <= _BEGUN_WITH_MS
    begun &= (before < rows) & (frame.visit[before] == frame.visit[rows]) & (page == frame.pattern[before])
    return np.where((found < 0) & asked & begun, before, found)


def _is_failed_page(index: Index, found: Candidates) -> Bools:
    """Per candidate: whether all its feedback is failed pages."""
    document = _find_shown_pages(index, found.negatives.values) >= 0
    return (found.negatives.sizes > 0) & ~any_by_owner(found.negatives.owner, ~document, len(found))


def _find_failed_moves(index: Index) -> Bools:
    """Per event of the frame: whether it is a navigation whose page failed, by its own status or by its document's request."""
    frame = index.frame
    failed: Bools = (frame.kind == NAVIGATION) & (frame.status >= 400)
    page = _find_shown_pages(index, np.flatnonzero(index.attribution.negative != NONE))
    failed[page[page >= 0]] = True
    return failed


def _by_same_control(index: Index, found: Candidates, chosen: Ints, moves: Ints) -> Times:
    frame, action = index.frame, index.attribution.action
    link = index.target_property("link") | index.target_property("leaves") | index.target_property("aside")
    presses = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT) & index.attribution.meaningful)
    presses = presses[~link[index.target_of_action(action[presses])]]
    failed = _find_failed_moves(index)
    # What is pressed on the failed page, or while it is on its way, is no new try of the form.
    shown = moves[np.maximum(np.searchsorted(moves, presses) - 1, 0)]
    presses = presses[~(failed[shown] & (shown < presses) & (frame.visit[shown] == frame.visit[presses]))]
    led = moves[np.minimum(np.searchsorted(moves, presses), len(moves) - 1)]
    came = (led > presses) & (frame.visit[led] == frame.visit[presses]) & ~failed[led]
    came &= frame.ts[led] - frame.ts[presses] <= index.config.network_end_window_ms
    last = max_by_owner(found.negatives.owner, found.negatives.values, len(found), -1)[chosen]
    sender = _find_senders(index, found, chosen, last, presses)
    presses, led = presses[came], led[came]
    names = _name_controls(index)
    count = int(names.max(initial=0)) + 1
    client = frame.client[frame.visit[presses]]
    by_name = Lookup(client * count + names[index.target_of_action(action[presses])], presses, np.arange(len(presses)))
    asked = frame.client[found.visit[chosen]] * count + names[index.target_of_action(sender)]
    owner, at = by_name.find_entries(asked, last + 1, np.full(len(chosen), len(frame)))
    own = action[presses[at]] == sender[owner]
    onward = own | (frame.pattern[led[at]] != index.pattern_of_action(sender)[owner])
    named = ~index.target_property("nameless")[index.target_of_action(sender)][owner]
    return chosen[owner[onward & named]], led[at[onward & named]]


def _find_senders(index: Index, found: Candidates, chosen: Ints, last: Ints, presses: Ints) -> Ints:
    """Per chosen candidate: the action that sent the form: its own, or that of the press that opened the failed page."""
    frame, sender = index.frame, found.action[chosen].copy()
    before = frame.find_last_until(presses, found.visit[chosen], frame.ts[last])
    row = np.maximum(before, 0)
    near = (before >= 0) & (frame.ts[last] - frame.ts[row] <= index.config.network_end_window_ms)
    page = index.is_page_action(sender) & near
    sender[page] = index.attribution.action[row[page]]
    return sender


def _name_controls(index: Index) -> Ints:
    """Per target: a code that targets with one label share."""
    texts = [t.label.lower() or f"#{t.name}" for t in index.frame.targets]
    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return np.array([place[t] for t in texts] or [0], dtype=np.int64)


def _by_repeated_page(index: Index, found: Candidates, chosen: Ints, moves: Ints) -> Times:
    frame = index.frame
    chosen = chosen[index.is_page_action(found.action[chosen])]
    key = frame.client[frame.visit[moves]] * len(frame.patterns) + frame.pattern[moves]
    good = ~_find_failed_moves(index)[moves]
    twice = np.append(False, (key[1:] == key[:-1]) & good[1:] & good[:-1])
    by_page = Lookup(key[twice], moves[twice])
    rows = found.negatives.take_lists(chosen)
    shown = _find_shown_pages(index, rows.last) if len(chosen) else chosen
    before = moves[np.maximum(np.searchsorted(moves, shown) - 1, 0)]
    asked = frame.client[found.visit[chosen]] * len(frame.patterns) + frame.pattern[before]
    owner, row = by_page.find_entries(asked, rows.last + 1 if len(chosen) else chosen, np.full(len(chosen), len(frame)))
    return chosen[owner], row
