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


def _is_failed_page(index: Index, found: Candidates) -> Bools:
    """Per candidate: whether all its feedback is failed pages: requests of unknown method that a navigation follows at once."""
    frame = index.frame
    rows, owner = found.negatives.values, found.negatives.owner
    bare = np.array([e.startswith("/") for e in frame.endpoints] or [False])[frame.endpoint[rows]]
    after = np.minimum(rows + 1, len(frame) - 1)
    page = (frame.kind[rows] == NETWORK) & bare & (frame.kind[after] == NAVIGATION) & (frame.ts[after] == frame.ts[rows])
    return (found.negatives.sizes > 0) & ~any_by_owner(owner, ~page, len(found))


def _by_same_control(index: Index, found: Candidates, chosen: Ints, moves: Ints) -> Times:
    frame, action = index.frame, index.attribution.action
    link = index.target_property("link") | index.target_property("leaves") | index.target_property("aside")
    presses = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT) & index.attribution.meaningful)
    presses = presses[~link[index.target_of_action(action[presses])] & ~index.is_failing[presses]]
    led = moves[np.minimum(np.searchsorted(moves, presses), len(moves) - 1)]
    came = (led > presses) & (frame.visit[led] == frame.visit[presses]) & (frame.status[led] < 400)
    came &= frame.ts[led] - frame.ts[presses] <= index.config.network_end_window_ms
    presses, led = presses[came], led[came]
    names = _name_controls(index)
    count = int(names.max(initial=0)) + 1
    client = frame.client[frame.visit[presses]]
    by_name = Lookup(client * count + names[index.target_of_action(action[presses])], presses, np.arange(len(presses)))
    last = max_by_owner(found.negatives.owner, found.negatives.values, len(found), -1)[chosen]
    asked = frame.client[found.visit[chosen]] * count + names[index.target_of_action(found.action[chosen])]
    owner, at = by_name.find_entries(asked, last + 1, np.full(len(chosen), len(frame)))
    page = index.pattern_of_action(found.action[chosen])[owner]
    own = action[presses[at]] == found.action[chosen][owner]
    onward = own | (frame.pattern[led[at]] != page)
    named = ~index.target_property("nameless")[index.target_of_action(found.action[chosen])][owner]
    return chosen[owner[onward & named]], led[at[onward & named]]


def _name_controls(index: Index) -> Ints:
    """Per target: a code that targets with one label share."""
    texts = [t.label.lower() or f"#{t.name}" for t in index.frame.targets]
    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return np.array([place[t] for t in texts] or [0], dtype=np.int64)


def _by_repeated_page(index: Index, found: Candidates, chosen: Ints, moves: Ints) -> Times:
    frame = index.frame
    chosen = chosen[index.is_page_action(found.action[chosen])]
    key = frame.client[frame.visit[moves]] * len(frame.patterns) + frame.pattern[moves]
    twice = np.append(False, (key[1:] == key[:-1]) & (frame.status[moves[1:]] < 400) & (frame.status[moves[:-1]] < 400))
    by_page = Lookup(key[twice], moves[twice])
    rows = found.negatives.take_lists(chosen)
    before = moves[np.maximum(np.searchsorted(moves, rows.last) - 1, 0)] if len(chosen) else chosen
    asked = frame.client[found.visit[chosen]] * len(frame.patterns) + frame.pattern[before]
    owner, row = by_page.find_entries(asked, rows.last + 1 if len(chosen) else chosen, np.full(len(chosen), len(frame)))
    return chosen[owner], row
