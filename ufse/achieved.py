"""What an action achieved: the times at which it succeeded after all (detection.md, Attribution).

By the request that failed, answered well; by an attempt that went on without failure; on a thank-you page; by another
control of the same route that led on with success; at a login by another page that lets in; or by the form's own request,
accepted beside something that was only read.
"""

import numpy as np

from ufse.arrays import NEVER, Bools, Ints, among, any_by, count_by, expand, max_by, pack, unique, within
from ufse.candidates import Candidates
from ufse.feedback import CRASH, INVALID, SLOW
from ufse.index import Index
from ufse.sessions import NETWORK, PERFORMANCE, SUBMIT

Times = tuple[Ints, Ints]
"""(Number of the candidate, epoch ms)."""


def last_successes(index: Index, found: Candidates) -> Ints:
    """Per candidate: when its action was last achieved, NEVER where it was not."""
    failed = _Failed(index, found)
    if not len(failed.row):
        return np.full(len(found), NEVER, dtype=np.int64)
    ways = (_by_request, _by_attempt, _by_thanks, _by_other_way, _by_other_door, _by_same_item, _sent_beside)
    times = [way(index, found, failed) for way in ways]
    owner, at = (np.concatenate(column) for column in zip(*times, strict=True))
    return max_by(owner, at, len(found), NEVER)


class _Failed:
    """The negatives of all candidates, and what is known of the requests among them."""

    def __init__(self, index: Index, found: Candidates) -> None:
        frame = index.frame
        self.owner, self.row = found.negatives.owner, found.negatives.values
        self.some = found.negatives.sizes > 0
        self.first = np.where(self.some, found.negatives.values[self._places(found)] if len(self.row) else 0, 0)
        size = len(found)
        endpoint = frame.endpoint[self.row]
        named = endpoint >= 0
        request = index.is_request(self.row)
        self.identified: Bools = any_by(self.owner, request & index.known(self.row), size)
        """Per candidate: a request that failed is known by its URL."""
        safe = np.zeros(len(self.row), dtype=np.bool_)
        safe[named] = frame.reads[endpoint[named]]
        self.reading: Bools = any_by(self.owner, named, size) & ~any_by(self.owner, named & ~safe, size)
        """Per candidate: whatever failed only read."""
        measured = (frame.kind[self.row] == PERFORMANCE) & (index.given.negative[self.row] == SLOW)
        self.only_measured: Bools = any_by(self.owner, measured, size) & ~any_by(self.owner, ~measured, size)
        """Per candidate: all that is known is that something measured was slow."""
        self.only_crashed: Bools = ~any_by(self.owner, index.given.negative[self.row] != CRASH, size)
        self.only_invalid: Bools = ~any_by(self.owner, index.given.negative[self.row] != INVALID, size)

    @staticmethod
    def _places(found: Candidates) -> Ints:
        return np.minimum(found.negatives.bounds[:-1], max(len(found.negatives.values) - 1, 0))


def _by_request(index: Index, found: Candidates, failed: _Failed) -> Times:
    """Good answers of the requests that failed; one address for everything must have answered this very action."""
    frame, given = index.frame, index.given
    asked = index.is_request(failed.row)
    pairs = unique(pack(failed.owner[asked], frame.endpoint[failed.row[asked]], len(frame.endpoints) + 1))
    candidate, endpoint = np.divmod(pairs, len(frame.endpoints) + 1)
    visit = found.visit[candidate]
    owner, row = index.good_by_endpoint.each(index.ask(visit, endpoint), frame.low[visit], frame.high[visit])
    candidate = candidate[owner]
    cause = given.cause[row]
    caused = np.where(cause >= 0, given.action[cause], -1)
    exact = index.known(row) & ~given.shared[row] & index.telling[frame.endpoint[row]]
    slow = given.negative[failed.row] == SLOW
    # A slow answer is a success for what failed otherwise, but does not make up for itself.
    only_slow = ~any_by(failed.owner, ~slow, len(found))
    own = only_slow[candidate] & within(candidate, row, failed.owner[slow], failed.row[slow])
    own |= given.shared[row] & ~only_slow[candidate] & _beside_a_failure(index, row)
    own |= given.shared[row] & _while_pending(index, found, candidate, row)
    # Another page of the same kind that comes is no success of the one that did not.
    page = index.is_page(found.action)[candidate]
    own |= page & ~within(candidate, frame.route[row], failed.owner, frame.route[failed.row])
    # Without its method a good answer may be the page's own reading; what nothing caused may be the form's.
    # Where an address answers well again and again without anybody asking, that is polling, and no form's answer.
    plain = (cause < 0) & index.known(row) & ~given.shared[row] & ~_while_opening(index, row)
    polled = count_by(owner, len(visit), plain)[owner] >= index.config.polled_answers
    polled &= ~frame.reads[frame.endpoint[row]]
    plain &= ~polled
    exact &= ~polled
    exact |= plain
    kept = ~own & ~((cause >= 0) & index.crashed[cause]) & (exact | (caused == found.action[candidate]))
    return candidate[kept], frame.ts[row[kept]]


def _while_pending(index: Index, found: Candidates, candidate: Ints, row: Ints) -> Bools:
    """Per good answer: whether it was asked for and came while the candidate's last request that failed was still pending.

    What a click asks meanwhile of one address for everything is something else, such as the page's own polling.
    """
    frame, given = index.frame, index.given
    last = found.negatives.values[found.negatives.bounds[candidate + 1] - 1]
    inside = (given.begin[last] < given.begin[row]) & (row < last) & (frame.endpoint[last] == frame.endpoint[row])
    return np.asarray(inside, dtype=np.bool_)


def _beside_a_failure(index: Index, row: Ints) -> Bools:
    """Per good answer: whether its interaction also asked the same address in vain for another thing.

    One click may ask one address for several things. What was asked after the last failure had come is the repetition that
    went well; where durations are not told, that is only believed after a 401, which applications repeat with a new token.
    """
    frame, given = index.frame, index.given
    bad = (frame.kind == NETWORK) & (given.cause >= 0) & ((frame.status >= 400) | (frame.status == 0)) & ~frame.noise
    rows = np.flatnonzero(bad)
    base = len(frame.endpoints) + 1
    key = pack(given.cause[rows], frame.endpoint[rows], base)
    order = np.lexsort((rows, key))
    key, rows = key[order], rows[order]
    asked = pack(np.maximum(given.cause[row], 0), frame.endpoint[row], base)
    at = np.searchsorted(key, asked, "right") - 1
    if not len(rows):
        return np.zeros(len(row), dtype=np.bool_)
    fail = rows[np.maximum(at, 0)]
    some = (at >= 0) & (key[np.maximum(at, 0)] == asked) & (given.cause[row] >= 0)
    told = (frame.duration[row] > 0) | (frame.status[fail] == 401)
    repeated = (row > fail) & (given.begin[row] >= frame.ts[fail]) & told
    return np.asarray(some & ~repeated, dtype=np.bool_)


def _while_opening(index: Index, row: Ints) -> Bools:
    """Rows within 2 s of a navigation of their visit."""
    frame = index.frame
    found = frame.last_of(index.moves, frame.visit[row], frame.ts[row])
    return np.asarray((found >= 0) & (frame.ts[row] - frame.ts[np.maximum(found, 0)] <= index.config.page_load_ms))


def _attempts(index: Index, found: Candidates, failed: _Failed) -> tuple[Ints, Ints]:
    visit = np.where(failed.some, found.visit, -1)
    return index.presses.each(index.deed(visit, found.action), index.frame.low[visit], index.frame.high[visit])


def _by_attempt(index: Index, found: Candidates, failed: _Failed) -> Times:
    """Attempts with positive and no negative feedback, where nothing more exact can be known."""
    frame, given = index.frame, index.given
    owner, row = _attempts(index, found, failed)
    kept = (given.progress[row] | ~index.failing[row]) & ~_sibling_failed(index, row)
    owner, row = owner[kept], row[kept]
    exact = failed.identified[owner]
    good = index.last_good[row]
    answered = (good >= 0) & (~exact | ~index.known(good)) & ~_drawn_in_vain(index, failed, owner, good)
    # Something slow that is known by its measurement only is no other thing that came beside it for all pages.
    answered &= ~(failed.only_measured[owner] & index.known(good) & ~given.lonely[np.maximum(good, 0)])
    valid = (frame.kind[row] == SUBMIT) & failed.only_invalid[owner] & (frame.flags.at("valid", row) == 1)
    responded = ~exact & ((frame.flags.at("responded", row) == 1) | valid)
    # A page that crashed and was opened again came whole, where it was measured and nothing failed with it.
    answered |= index.is_page(found.action)[owner] & failed.only_crashed[owner] & index.loaded[row]
    at = np.where(
        given.progress[row], given.progress_at[row], np.where(answered, frame.ts[np.maximum(good, row)], frame.ts[row])
    )
    # What is made to be repeated (a player, a "next") answers without end; it succeeded where it led on.
    kept = given.progress[row] | ((answered | responded) & given.meaningful[row])
    return owner[kept], at[kept]


def _drawn_in_vain(index: Index, failed: _Failed, owner: Ints, good: Ints) -> Bools:
    """Per good answer of an attempt (-1 for none): whether an uncaught error of the same action came right after it.

    Where answers of quick clicks overlap, an error in drawing one may be put down to another of them.
    """
    frame = index.frame
    crash = index.given.negative[failed.row] == CRASH
    base = len(frame) + 1
    keys = pack(failed.owner[crash], failed.row[crash], base)
    if not len(keys):
        return np.zeros(len(good), dtype=np.bool_)
    at = np.searchsorted(keys, pack(owner, np.maximum(good, 0), base))
    after = np.minimum(at, len(keys) - 1)
    row = keys[after] % base
    same = (at < len(keys)) & (keys[after] // base == owner) & (good >= 0)
    near = frame.ts[row] - frame.ts[np.maximum(good, 0)] <= index.config.chain_window_ms
    return np.asarray(same & near, dtype=np.bool_)


def _sibling_failed(index: Index, row: Ints) -> Bools:
    """Whether the click or submit that is one action with this one failed."""
    frame, action = index.frame, index.given.action
    found = np.zeros(len(row), dtype=np.bool_)
    for step in (-2, -1, 1, 2):
        near = np.clip(row + step, 0, len(frame) - 1)
        found |= (
            index.failing[near]
            & (frame.visit[near] == frame.visit[row])
            & (action[near] == action[row])
            & (np.abs(frame.ts[near] - frame.ts[row]) <= index.config.double_click_ms)
            & (near != row)
        )
    return found


def _by_thanks(index: Index, found: Candidates, failed: _Failed) -> Times:
    frame = index.frame
    owner, row = index.thanks.each(found.visit, frame.low[found.visit], frame.high[found.visit])
    since = frame.ts[index.given.cause[failed.first]]
    kept = failed.some[owner] & (frame.ts[row] >= since[owner])
    # What another form was thanked for is no end of this one.
    visit = found.visit[owner]
    end = index.in_flow(visit, index.flow(row))
    kept &= (end == index.in_flow(visit, index.flow_of(found.action)[owner])) | ~index.begun_by_flow.has(end)
    return owner[kept], frame.ts[row[kept]]


def _by_other_way(index: Index, found: Candidates, failed: _Failed) -> Times:
    """Another control of the same page that sent something with success, or the same thing as the one that failed, or
    read what had failed to be read; after the last failure.
    """
    frame, given = index.frame, index.given
    rows = index.other_successes
    by = given.cause[rows]
    key = index.on_page(frame.visit[by], index.pattern_of(given.action[by]))
    order = np.argsort(key, kind="stable")
    asked = index.on_page(found.visit, index.pattern_of(found.action))
    low, high = (np.searchsorted(key[order], asked, side) for side in ("left", "right"))
    owner, place = expand(low, np.where(failed.some, high, low))
    row, by = rows[order][place], by[order][place]
    kept = (by >= failed.first[owner]) & (given.action[by] != found.action[owner])
    # Another item of the same kind of page is not the one that failed.
    kept &= within(owner, frame.route[by], failed.owner, frame.route[given.cause[failed.row]])
    owner, row = owner[kept], row[kept]
    endpoint = frame.endpoint[row]
    again = within(owner, endpoint, failed.owner, frame.endpoint[failed.row])
    # Whether a request reads or writes is told by its method; without one, by where it led on to. A crash asked for nothing
    # that could be compared.
    sent = index.telling[endpoint] | given.progress[given.cause[row]] | ~failed.identified[owner]
    kept = (~frame.reads[endpoint] & ((given.lonely[row] & sent) | again)) if len(row) else np.zeros(0, dtype=np.bool_)
    kept |= ~index.known(row) if len(row) else kept
    parents, deep = index.parents
    failing = frame.endpoint[failed.row]
    above = (failing >= 0) & deep[failing]
    sibling = within(owner, parents[endpoint], failed.owner[above], parents[failing[above]])
    kept = kept | (failed.reading[owner] & sibling)
    # Who then tries the first way again, in vain, had not got there by the other.
    latest = max_by(failed.owner, given.cause[failed.row], len(found), -1)
    kept &= given.cause[row] >= latest[owner]
    return owner[kept], frame.ts[row[kept]]


def _by_other_door(index: Index, found: Candidates, failed: _Failed) -> Times:
    """Who was refused at a login is in when a form on another page was accepted and led on: a reset, another provider."""
    frame, _given = index.frame, index.given
    login = index.logins[index.pattern_of(found.action)]
    chosen = np.flatnonzero(failed.some & login)
    rows = index.led_on
    visit = found.visit[chosen]
    owner, place = expand(
        *(np.searchsorted(rows, np.maximum(bound, 0)) for bound in (failed.first[chosen], frame.high[visit]))
    )
    row = rows[place]
    elsewhere = frame.pattern[row] != index.pattern_of(found.action)[chosen][owner]
    return chosen[owner][elsewhere], frame.ts[row[elsewhere]]


def _by_same_item(index: Index, found: Candidates, failed: _Failed) -> Times:
    """What failed for one item is got over when a form of any page of that very item was accepted and led on, after the
    last failure: the quick form instead of the long one, the payment without the voucher.
    """
    frame, given = index.frame, index.given
    latest = max_by(failed.owner, given.cause[failed.row], len(found), -1)
    item = np.where(latest >= 0, index.items[frame.route[np.maximum(latest, 0)]], -1)
    chosen = np.flatnonzero(item >= 0)
    rows = index.carried_through
    bounds = (latest[chosen] + 1, frame.high[found.visit[chosen]])
    owner, place = expand(*(np.searchsorted(rows, bound) for bound in bounds))
    row, candidate = rows[place], chosen[owner]
    same = index.items[frame.route[row]] == item[candidate]
    return candidate[same], frame.ts[row[same]]


def _sent_beside(index: Index, found: Candidates, failed: _Failed) -> Times:
    """A form whose own request was accepted is achieved, though something that was only read failed beside it."""
    frame, given = index.frame, index.given
    forms = among(index.deed(found.visit, found.action), index.submitted[0])
    chosen = np.flatnonzero(failed.some & failed.reading & forms)
    visit = found.visit[chosen]
    owner, row = index.good_by_deed.each(index.deed(visit, found.action[chosen]), frame.low[visit], frame.high[visit])
    kept = given.lonely[row] & ~frame.reads[frame.endpoint[row]] if len(row) else np.zeros(0, dtype=np.bool_)
    return chosen[owner][kept], frame.ts[row[kept]]
