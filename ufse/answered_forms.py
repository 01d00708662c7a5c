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


def find_answered_forms(index: Index, found: Candidates) -> Times:
    """(Candidate, epoch ms) of such successes, of the candidates that failed pages alone answered."""
    chosen = np.flatnonzero(_is_failed_page(index, found))
    moves = index.navigation_rows
    if not len(chosen) or not len(moves):
        return chosen[:0], chosen[:0]
    ways = (_by_same_control(index, found, chosen, moves), _by_repeated_page(index, found, chosen, moves))
    owner, row = (np.concatenate(column) for column in zip(*ways, strict=True))
    return owner, index.frame.ts[row]


def _is_document(index: Index, rows: Ints) -> Bools:
    """Per row: whether it is the request of the page that is shown in the same instant: the next row is its navigation."""
    frame = index.frame
    place = {pattern: i for i, pattern in enumerate(frame.patterns)}
    page = np.array([place.get(e.rpartition(" ")[2], -1) for e in frame.endpoints] or [-1])[frame.endpoint[rows]]
    after = np.minimum(rows + 1, len(frame) - 1)
    shown = (
        (frame.kind[after] == NAVIGATION)
        & (frame.ts[after] == frame.ts[rows])
        & (frame.visit[after] == frame.visit[rows])
    )
    return np.asarray((frame.kind[rows] == NETWORK) & shown & (page == frame.pattern[after]), dtype=np.bool_)


def _is_failed_page(index: Index, found: Candidates) -> Bools:
    """Per candidate: whether all its feedback is failed pages."""
    document = _is_document(index, found.negatives.values)
    return (found.negatives.sizes > 0) & ~any_by_owner(found.negatives.owner, ~document, len(found))


def _find_failed_moves(index: Index, moves: Ints) -> Bools:
    """Per navigation: whether its page failed, by its own status or by its document's request."""
    before = np.maximum(moves - 1, 0)
    bad = (index.attribution.negative[before] != NONE) & _is_document(index, before)
    return np.asarray((index.frame.status[moves] >= 400) | (bad & (moves > 0)), dtype=np.bool_)


def _by_same_control(index: Index, found: Candidates, chosen: Ints, moves: Ints) -> Times:
    frame, action = index.frame, index.attribution.action
    link = index.target_property("link") | index.target_property("leaves") | index.target_property("aside")
    presses = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT) & index.attribution.meaningful)
    presses = presses[~link[index.target_of_action(action[presses])]]
    led = moves[np.minimum(np.searchsorted(moves, presses), len(moves) - 1)]
    came = (led > presses) & (frame.visit[led] == frame.visit[presses]) & ~_find_failed_moves(index, led)
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
    good = ~_find_failed_moves(index, moves)
    twice = np.append(False, (key[1:] == key[:-1]) & good[1:] & good[:-1])
    by_page = Lookup(key[twice], moves[twice])
    rows = found.negatives.take_lists(chosen)
    before = moves[np.maximum(np.searchsorted(moves, rows.last) - 1, 0)] if len(chosen) else chosen
    asked = frame.client[found.visit[chosen]] * len(frame.patterns) + frame.pattern[before]
    owner, row = by_page.find_entries(asked, rows.last + 1 if len(chosen) else chosen, np.full(len(chosen), len(frame)))
    return chosen[owner], row
