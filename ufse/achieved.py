"""When a failed action succeeded after all (docs/contracts/detection.md, Attribution).

An action succeeds by a good answer to the request that failed, by an attempt without a failure, on a thank-you page, by another
control of the same route, at a login by another form, on another page of the same item, or by the form's own request, if only a
read failed; where the collector reports no successes, by a later try without a failure.
"""

import numpy as np

from ufse.answered_forms import find_answered_forms
from ufse.arrays import (
    NEVER,
    Bools,
    Ints,
    any_by_owner,
    count_by_owner,
    equals_any,
    expand_ranges,
    is_among,
    is_pair_among,
    max_by_owner,
    pack_pairs,
    sort_unique,
)
from ufse.candidates import Candidates
from ufse.feedback import CRASH, INVALID, REJECTION, SLOW
from ufse.first_answers import find_first_answers
from ufse.index import Index
from ufse.other_ways import Times, find_other_ways
from ufse.sessions import NETWORK, PERFORMANCE, SUBMIT
from ufse.unreported import find_quiet_successes
from ufse.void_answers import drop_void_answers
from ufse.whole_pages import find_whole_pages

_LATER_VISITS = 32
"""Later visits of a client session that are searched for a success, at most (own choice: it bounds the cost)."""


def find_last_successes(index: Index, found: Candidates) -> Ints:
    """Per candidate: when its action last succeeded, epoch ms; NEVER if it did not."""
    failed = _CandidateFailures(index, found)
    if not len(failed.row):
        return np.full(len(found), NEVER, dtype=np.int64)
    ways = (
        _successes_by_request,
        _successes_by_attempt,
        _successes_by_thanks_page,
        _successes_by_other_control,
        _successes_by_other_login,
        _successes_by_same_item,
        _successes_by_own_request,
        _successes_by_whole_page,
        _successes_by_other_way,
    )
    times = [*(way(index, found, failed) for way in ways), find_quiet_successes(index, found)]
    times += [find_answered_forms(index, found), find_first_answers(index, found)]
    times.append(_successes_in_later_visits(index, found))
    owner, at = (np.concatenate(column) for column in zip(*times, strict=True))
    owner, at = drop_void_answers(index, found, (owner, at))
    return max_by_owner(owner, at, len(found), NEVER)


class _CandidateFailures:
    """The negative feedback of all candidates: ``owner`` (candidate) and ``row`` per entry, the rest per candidate."""

    def __init__(self, index: Index, found: Candidates) -> None:
        frame = index.frame
        self.owner, self.row = found.negatives.owner, found.negatives.values
        self.some = found.negatives.sizes > 0
        self.first = np.where(self.some, found.negatives.values[self._first_places(found)] if len(self.row) else 0, 0)
        size = len(found)
        endpoint = frame.endpoint[self.row]
        named = endpoint >= 0
        request = index.is_request(self.row)
        self.identified: Bools = any_by_owner(self.owner, request & index.is_identified(self.row), size)
        """Whether a failed request is identified by its URL."""
        safe = np.zeros(len(self.row), dtype=np.bool_)
        safe[named] = frame.only_reads[endpoint[named]]
        self.reading: Bools = any_by_owner(self.owner, named, size) & ~any_by_owner(self.owner, named & ~safe, size)
        """Whether all failed requests only read."""
        measured = (frame.kind[self.row] == PERFORMANCE) & (index.attribution.negative[self.row] == SLOW)
        self.only_measured: Bools = any_by_owner(self.owner, measured, size) & ~any_by_owner(
            self.owner, ~measured, size
        )
        """Whether all negative feedback is a slow measurement."""
        self.only_crashed: Bools = ~any_by_owner(self.owner, index.attribution.negative[self.row] != CRASH, size)
        self.only_invalid: Bools = ~any_by_owner(self.owner, index.attribution.negative[self.row] != INVALID, size)

    @staticmethod
    def _first_places(found: Candidates) -> Ints:
        return np.minimum(found.negatives.bounds[:-1], max(len(found.negatives.values) - 1, 0))


def _successes_by_request(index: Index, found: Candidates, failed: _CandidateFailures) -> Times:
    """Good answers to the requests that failed. At an address that serves everything, only the same action counts."""
    frame, attribution = index.frame, index.attribution
    asked = index.is_request(failed.row)
    pairs = sort_unique(pack_pairs(failed.owner[asked], frame.endpoint[failed.row[asked]], len(frame.endpoints) + 1))
    candidate, endpoint = np.divmod(pairs, len(frame.endpoints) + 1)
    visit = found.visit[candidate]
    owner, row = index.good_answers_by_endpoint.find_entries(
        index.visit_endpoint_key(visit, endpoint), frame.low[visit], frame.high[visit]
    )
    candidate = candidate[owner]
    cause = attribution.cause[row]
    caused = np.where(cause >= 0, attribution.action[cause], -1)
    exact = index.is_identified(row) & ~attribution.shared[row] & index.has_known_method[frame.endpoint[row]]
    slow = attribution.negative[failed.row] == SLOW
    # A slow answer is a success for other failures, but not for its own slowness.
    only_slow = ~any_by_owner(failed.owner, ~slow, len(found))
    own = only_slow[candidate] & is_pair_among(candidate, row, failed.owner[slow], failed.row[slow])
    own |= attribution.shared[row] & ~only_slow[candidate] & _is_beside_failure(index, row)
    own |= attribution.shared[row] & _is_asked_while_pending(index, found, candidate, row)
    own |= _is_asked_by_detour(index, row)
    # Another page of the same kind is no success of the page that failed.
    page = index.is_page_action(found.action)[candidate]
    own |= page & ~is_pair_among(candidate, frame.route[row], failed.owner, frame.route[failed.row])
    # Without a known method, a good answer may be the page's own read; an answer without a cause may be the form's.
    # Repeated good answers without a cause are polling, not the answer of a form.
    plain = (cause < 0) & index.is_identified(row) & ~attribution.shared[row]
    polled = count_by_owner(owner, len(visit), plain)[owner] >= index.config.polled_answers
    polled &= ~frame.only_reads[frame.endpoint[row]]
    plain &= ~polled
    exact &= ~polled
    exact |= plain
    kept = ~own & ~((cause >= 0) & index.is_crashed[cause]) & (exact | (caused == found.action[candidate]))
    return candidate[kept], frame.ts[row[kept]]


def _is_asked_while_pending(index: Index, found: Candidates, candidate: Ints, row: Ints) -> Bools:
    """Per good answer: whether it began and ended while the candidate's last failed request to the same endpoint was pending.

    At an address that serves everything, such an answer is of something else, for example of polling.
    """
    frame, attribution = index.frame, index.attribution
    last = found.negatives.values[found.negatives.bounds[candidate + 1] - 1]
    inside = (
        (attribution.begin[last] < attribution.begin[row])
        & (row < last)
        & (frame.endpoint[last] == frame.endpoint[row])
    )
    return np.asarray(inside, dtype=np.bool_)


def _is_asked_by_detour(index: Index, row: Ints) -> Bools:
    """Per good answer: whether a login or error page asked for it, to which its action threw the person.

    The page is the last one shown before the request began, and was shown after the action.
    """
    frame, moves = index.frame, index.navigation_rows
    cause = index.attribution.cause[row]
    shown = frame.find_last_until(moves, frame.visit[row], index.attribution.begin[row])
    page = frame.pattern[np.maximum(shown, 0)]
    detour = index.detour_patterns[page] | index.login_patterns[page]
    return np.asarray((cause >= 0) & (shown > cause) & detour & (page != frame.pattern[cause]), dtype=np.bool_)


def _is_beside_failure(index: Index, row: Ints) -> Bools:
    """Per good answer: whether its interaction also had a failure at the same address for another request.

    One click may send several requests to one address. A request that began after the failure is a successful retry. Without
    known durations, it counts as a retry only after a 401, which applications retry with a new token.
    """
    frame, attribution = index.frame, index.attribution
    bad = (
        (frame.kind == NETWORK)
        & (attribution.cause >= 0)
        & ((frame.status >= 400) | (frame.status == 0))
        & ~frame.noise
    )
    rows = np.flatnonzero(bad)
    base = len(frame.endpoints) + 1
    key = pack_pairs(attribution.cause[rows], frame.endpoint[rows], base)
    order = np.lexsort((rows, key))
    key, rows = key[order], rows[order]
    asked = pack_pairs(np.maximum(attribution.cause[row], 0), frame.endpoint[row], base)
    at = np.searchsorted(key, asked, "right") - 1
    if not len(rows):
        return np.zeros(len(row), dtype=np.bool_)
    fail = rows[np.maximum(at, 0)]
    some = (at >= 0) & (key[np.maximum(at, 0)] == asked) & (attribution.cause[row] >= 0)
    credible = (frame.duration[row] > 0) | (frame.status[fail] == 401)
    repeated = (row > fail) & (attribution.begin[row] >= frame.ts[fail]) & credible
    return np.asarray(some & ~repeated, dtype=np.bool_)


def _find_presses(index: Index, found: Candidates, failed: _CandidateFailures) -> tuple[Ints, Ints]:
    visit = np.where(failed.some, found.visit, -1)
    return index.presses_by_action.find_entries(
        index.visit_action_key(visit, found.action), index.frame.low[visit], index.frame.high[visit]
    )


def _successes_by_attempt(index: Index, found: Candidates, failed: _CandidateFailures) -> Times:
    """Attempts with positive and without negative feedback, where no exact request identifies the failure."""
    frame, attribution = index.frame, index.attribution
    owner, row = _find_presses(index, found, failed)
    kept = (attribution.progress[row] | ~index.is_failing[row]) & ~_has_failed_sibling(index, row)
    owner, row = owner[kept], row[kept]
    exact = failed.identified[owner]
    good = index.last_good_answer[row]
    answered = (
        (good >= 0) & (~exact | ~index.is_identified(good)) & ~_is_crashed_after_answer(index, failed, owner, good)
    )
    # A slow measurement is not cancelled by an identified answer that many actions get.
    answered &= ~(failed.only_measured[owner] & index.is_identified(good) & ~attribution.lonely[np.maximum(good, 0)])
    valid = (frame.kind[row] == SUBMIT) & failed.only_invalid[owner] & (frame.source.read_at("valid", row) == 1)
    responded = ~exact & ((frame.source.read_at("responded", row) == 1) | valid) & ~attribution.sent_back[row]
    # A page that crashed succeeds when it is opened again, its load is measured and nothing fails with it.
    answered |= index.is_page_action(found.action)[owner] & failed.only_crashed[owner] & index.is_loaded_page[row]
    at = np.where(
        attribution.progress[row],
        attribution.progress_at[row],
        np.where(answered, frame.ts[np.maximum(good, row)], frame.ts[row]),
    )
    # Controls for repeated clicks (a player, a "next") always respond; they succeed only if they lead to another page.
    kept = attribution.progress[row] | ((answered | responded) & attribution.meaningful[row])
    return owner[kept], at[kept]


def _is_crashed_after_answer(index: Index, failed: _CandidateFailures, owner: Ints, good: Ints) -> Bools:
    """Per good answer of an attempt (-1 for none): whether an uncaught error of the same action came right after it.

    If answers of quick clicks overlap, a rendering error may be attributed to another of these clicks.
    """
    frame = index.frame
    crash = index.attribution.negative[failed.row] == CRASH
    base = len(frame) + 1
    keys = pack_pairs(failed.owner[crash], failed.row[crash], base)
    if not len(keys):
        return np.zeros(len(good), dtype=np.bool_)
    at = np.searchsorted(keys, pack_pairs(owner, np.maximum(good, 0), base))
    after = np.minimum(at, len(keys) - 1)
    row = keys[after] % base
    same = (at < len(keys)) & (keys[after] // base == owner) & (good >= 0)
    near = frame.ts[row] - frame.ts[np.maximum(good, 0)] <= index.config.chain_window_ms
    return np.asarray(same & near, dtype=np.bool_)


def _has_failed_sibling(index: Index, row: Ints) -> Bools:
    """Per row: whether a click or submit of the same action close to it failed."""
    frame, action = index.frame, index.attribution.action
    found = np.zeros(len(row), dtype=np.bool_)
    for step in (-2, -1, 1, 2):
        near = np.clip(row + step, 0, len(frame) - 1)
        found |= (
            index.is_failing[near]
            & (frame.visit[near] == frame.visit[row])
            & (action[near] == action[row])
            & (np.abs(frame.ts[near] - frame.ts[row]) <= index.config.double_click_ms)
            & (near != row)
        )
    return found


def _successes_by_thanks_page(index: Index, found: Candidates, failed: _CandidateFailures) -> Times:
    frame = index.frame
    owner, row = index.thanks_pages_by_visit.find_entries(found.visit, frame.low[found.visit], frame.high[found.visit])
    since = frame.ts[index.attribution.cause[failed.first]]
    kept = failed.some[owner] & (frame.ts[row] >= since[owner])
    # The thank-you page of another form is no success of this one.
    visit = found.visit[owner]
    end = index.visit_flow_key(visit, index.flow_of_row(row))
    kept &= (
        end == index.visit_flow_key(visit, index.flow_of_action(found.action)[owner])
    ) | ~index.form_events_by_flow.has_keys(end)
    return owner[kept], frame.ts[row[kept]]


def _successes_by_other_control(index: Index, found: Candidates, failed: _CandidateFailures) -> Times:
    """After the last failure, another control of the same page sent something with success, sent the same request, or read what
    could not be read.
    """
    frame, attribution = index.frame, index.attribution
    rows = index.control_successes
    by = attribution.cause[rows]
    key = index.visit_page_key(frame.visit[by], index.pattern_of_action(attribution.action[by]))
    order = np.argsort(key, kind="stable")
    asked = index.visit_page_key(found.visit, index.pattern_of_action(found.action))
    low, high = (np.searchsorted(key[order], asked, side) for side in ("left", "right"))
    owner, place = expand_ranges(low, np.where(failed.some, high, low))
    row, by = rows[order][place], by[order][place]
    kept = (by >= failed.first[owner]) & (attribution.action[by] != found.action[owner])
    # A page of another item is not the page that failed.
    kept &= is_pair_among(owner, frame.route[by], failed.owner, frame.route[attribution.cause[failed.row]])
    owner, row = owner[kept], row[kept]
    endpoint = frame.endpoint[row]
    again = is_pair_among(owner, endpoint, failed.owner, frame.endpoint[failed.row])
    # The method shows whether a request writes; without a method, the navigation shows it. A crash has no request to compare.
    sent = index.has_known_method[endpoint] | attribution.progress[attribution.cause[row]] | ~failed.identified[owner]
    kept = (
        (~frame.only_reads[endpoint] & ((attribution.lonely[row] & sent) | again))
        if len(row)
        else np.zeros(0, dtype=np.bool_)
    )
    kept |= ~index.is_identified(row) if len(row) else kept
    parents, deep = index.parent_endpoints
    failing = frame.endpoint[failed.row]
    above = (failing >= 0) & deep[failing]
    sibling = is_pair_among(owner, parents[endpoint], failed.owner[above], parents[failing[above]])
    kept = kept | (failed.reading[owner] & sibling)
    # A later failed retry of the original control cancels this success.
    latest = max_by_owner(failed.owner, attribution.cause[failed.row], len(found), -1)
    kept &= attribution.cause[row] >= latest[owner]
    return owner[kept], frame.ts[row[kept]]


def _successes_by_other_login(index: Index, found: Candidates, failed: _CandidateFailures) -> Times:
    """A failed login succeeds by an accepted form on another page that leads on: a password reset, another provider."""
    frame, _attribution = index.frame, index.attribution
    login = index.login_patterns[index.pattern_of_action(found.action)]
    chosen = np.flatnonzero(failed.some & login)
    rows = index.accepted_action_rows
    visit = found.visit[chosen]
    owner, place = expand_ranges(
        *(np.searchsorted(rows, np.maximum(bound, 0)) for bound in (failed.first[chosen], frame.high[visit]))
    )
    row = rows[place]
    elsewhere = frame.pattern[row] != index.pattern_of_action(found.action)[chosen][owner]
    return chosen[owner][elsewhere], frame.ts[row[elsewhere]]


def _successes_by_same_item(index: Index, found: Candidates, failed: _CandidateFailures) -> Times:
    """After the last failure, a form on any page of the same item was accepted and led to another page."""
    frame, attribution = index.frame, index.attribution
    latest = max_by_owner(failed.owner, attribution.cause[failed.row], len(found), -1)
    item = np.where(latest >= 0, index.route_items[frame.route[np.maximum(latest, 0)]], -1)
    chosen = np.flatnonzero(item >= 0)
    rows = index.completed_action_rows
    bounds = (latest[chosen] + 1, frame.high[found.visit[chosen]])
    owner, place = expand_ranges(*(np.searchsorted(rows, bound) for bound in bounds))
    row, candidate = rows[place], chosen[owner]
    same = index.route_items[frame.route[row]] == item[candidate]
    return candidate[same], frame.ts[row[same]]


def _successes_by_own_request(index: Index, found: Candidates, failed: _CandidateFailures) -> Times:
    """A form succeeds by its own accepted request, even if a read failed beside it."""
    frame, attribution = index.frame, index.attribution
    forms = is_among(index.visit_action_key(found.visit, found.action), index.submitted_form_keys[0])
    chosen = np.flatnonzero(failed.some & failed.reading & forms)
    visit = found.visit[chosen]
    owner, row = index.good_answers_by_action.find_entries(
        index.visit_action_key(visit, found.action[chosen]), frame.low[visit], frame.high[visit]
    )
    kept = attribution.lonely[row] & ~frame.only_reads[frame.endpoint[row]] if len(row) else np.zeros(0, dtype=np.bool_)
    return chosen[owner][kept], frame.ts[row[kept]]


def _successes_by_whole_page(index: Index, found: Candidates, failed: _CandidateFailures) -> Times:
    """A page that failed was opened again and came whole. What a form sent is not repaired by the page being shown again."""
    frame, opened = index.frame, failed.some & index.is_page_action(found.action)
    if not opened.any():
        return found.visit[:0], found.visit[:0]
    rows = find_whole_pages(index)
    sent = index.is_request(failed.row) & ~frame.may_read[frame.endpoint[failed.row]]
    wrote = any_by_owner(failed.owner, sent, len(found))
    chosen = np.flatnonzero(opened & ~wrote)
    visit, first = found.visit[chosen], failed.first[chosen]
    owner, place = expand_ranges(*(np.searchsorted(rows, bound) for bound in (first, frame.high[visit])))
    row, candidate = rows[place], chosen[owner]
    same = is_pair_among(candidate, frame.route[row], failed.owner, frame.route[index.attribution.cause[failed.row]])
    return candidate[same], frame.ts[row[same]]


def _successes_by_other_way(index: Index, found: Candidates, failed: _CandidateFailures) -> Times:
    """See ``ufse.other_ways``."""
    size = len(found)
    latest = max_by_owner(failed.owner, index.attribution.cause[failed.row], size, -1)
    rejection = equals_any(index.attribution.negative[failed.row], REJECTION, INVALID)
    return find_other_ways(index, found, latest, ~any_by_owner(failed.owner, ~rejection, size))


def _successes_in_later_visits(index: Index, found: Candidates) -> Times:
    """The action succeeded in a later visit of the client session: by the same request or control, or on a thank-you page."""
    last = np.searchsorted(index.frame.client, index.frame.client[found.visit], "right")
    origin, visit = expand_ranges(found.visit + 1, np.minimum(last, found.visit + 1 + _LATER_VISITS))
    present = index.frame.high[visit] > index.frame.low[visit]
    origin, visit = origin[present], visit[present]
    if not len(origin):
        return origin, visit
    later = Candidates(
        visit,
        found.action[origin],
        found.negatives.take_lists(origin),
        found.invalid[origin],
        found.ignored[origin],
    )
    failed = _CandidateFailures(index, later)
    ways = (_successes_by_request, _successes_by_attempt, _successes_by_thanks_page)
    times = [*(way(index, later, failed) for way in ways), find_first_answers(index, later)]
    owner, at = (np.concatenate(column) for column in zip(*times, strict=True))
    return origin[owner], at
