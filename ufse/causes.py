"""Which interaction caused each feedback event: by the time windows of docs/contracts/detection.md, Attribution."""

from dataclasses import dataclass

import numpy as np

from ufse.arrays import Bools, Ints, Lookup, any_by_owner, equals_any, is_among, mark_group_starts
from ufse.config import Config
from ufse.feedback import SHOWN_WITHIN_MS, measure_durations
from ufse.frame import Frame
from ufse.references import STAMP_SLACK_MS, find_named_causes
from ufse.sessions import CLICK, ERROR, INPUT, LOADING, NAVIGATION, NETWORK, PERFORMANCE, SUBMIT

_OWN_CODE_MS = 20
"""An error in a click's own code follows the click within this time (own choice)."""


@dataclass(frozen=True)
class Causes:
    """When feedback began and what caused it; every array has one entry per event of the frame."""

    begin: Ints
    """When the feedback's request began; its own time where no duration is known. Epoch ms."""
    timed: Bools
    """Whether its duration is known."""
    cause: Ints
    """Row of the interaction that caused it; -1 if none."""


def find_causes(frame: Frame, causing: Bools, config: Config) -> Causes:
    """The cause of every feedback event. ``causing`` per event: interactions that can cause feedback.

    The requests of a page that opened by itself (an unattended navigation) belong to that page, not to the action before it.
    """
    causing = causing | frame.unattended
    lasted = measure_durations(frame, config)
    begin, timed = np.where(lasted > 0, frame.ts - lasted, frame.ts), lasted > 0
    cause = _find_window_causes(frame, causing, begin, timed, config)
    cause = _find_error_causes(frame, causing, cause, config)
    found = Causes(begin, timed, _remove_later_answers(frame, cause, timed, config))
    cause = _chain_to_answers(frame, causing, found, config)
    cause = _assign_page_requests(frame, Causes(begin, timed, cause))
    cause = _assign_posted_pages(frame, causing, Causes(begin, timed, cause), config)
    cause = _apply_named_causes(frame, causing, cause)
    return Causes(begin, timed, np.where((cause >= 0) & frame.unattended[cause], -1, cause))


def _apply_named_causes(frame: Frame, causing: Bools, cause: Ints) -> Ints:
    """``cause``, where feedback that names its interaction belongs to that, whatever the times say."""
    rows = np.flatnonzero(equals_any(frame.kind, NETWORK, ERROR, PERFORMANCE, LOADING))
    named = find_named_causes(frame, rows, np.flatnonzero(causing))
    cause = cause.copy()
    cause[rows[named >= 0]] = named[named >= 0]
    return cause


def _has_whole_second_clock(frame: Frame) -> Bools:
    """Per event: whether all times of its visit are whole seconds. Then times are compared with a tolerance of a second."""
    whole = frame.ts // 1_000 * 1_000 == frame.ts  # several times faster than the remainder
    return ~any_by_owner(frame.visit, ~whole, len(frame.low))[frame.visit]


def _find_window_causes(frame: Frame, causing: Bools, begin: Ints, timed: Bools, config: Config) -> Ints:
    """Per event: row of the interaction that caused a request, a measurement or a loading phase; else -1."""
    cause = np.full(len(frame), -1, dtype=np.int64)
    kind = frame.kind
    starters = np.flatnonzero(causing)
    network, performance = kind == NETWORK, kind == PERFORMANCE
    coarse = _has_whole_second_clock(frame)
    plans = (
        (network & timed & coarse, begin, config.network_start_window_ms, 999),
        (network & timed, begin, config.network_start_window_ms, config.clock_slack_ms),
        (network & ~timed, frame.ts, config.network_end_window_ms, 0),
        (performance & timed, begin, config.reaction_window_ms, config.clock_slack_ms),
        (performance, frame.ts, config.reaction_window_ms, 0),
        (kind == LOADING, frame.ts, config.reaction_window_ms, 0),
    )
    for chosen, anchor, window, slack in plans:
        rows = np.flatnonzero(chosen & (cause < 0))
        if not len(rows):
            continue
        found = frame.find_last_until(starters, frame.visit[rows], anchor[rows] + slack, near=rows)
        some = coarse[rows]
        if some.any():
            found[some] = _prefer_same_page(frame, starters, rows[some], found[some], anchor[rows[some]] - window)
        same = some & (frame.ts[np.maximum(found, 0)] == frame.ts[rows])
        later, moved = found > rows, found
        found = np.where(later & ~(same & (kind[np.maximum(found, 0)] == NAVIGATION)), -1, found)
        # Within one second only an earlier row can be the cause; collectors report a page after its own requests.
        done = np.flatnonzero(later & same & (found < 0))
        found[done] = _find_row_before(frame, starters, rows[done])
        shown = np.flatnonzero(later & ~some & network[rows] & ~timed[rows] & (found < 0))
        found[shown] = _find_sent_forms(frame, starters, rows[shown], moved[shown])
        near = (found >= 0) & (anchor[rows] - frame.ts[np.maximum(found, 0)] <= window)
        cause[rows[near]] = found[near]
    return _add_early_requests(frame, cause, begin, timed)


def _add_early_requests(frame: Frame, cause: Ints, begin: Ints, timed: Bools) -> Ints:
    """``cause``, where a request that nothing caused belongs to a click or submit stamped shortly after it began.

    Some SDKs stamp a click after its own request began. A click with requests of its own, none of them to this address, did not
    make it. An address with other requests that nothing caused is polled; that one of them began before a click is chance.
    """
    rows = np.flatnonzero((frame.kind == NETWORK) & timed & (cause < 0) & (frame.endpoint >= 0))
    starters = np.flatnonzero(equals_any(frame.kind, CLICK, SUBMIT))
    if not len(rows) or not len(starters):
        return cause
    place = np.searchsorted(starters, frame.find_first_since(frame.visit[rows], begin[rows], near=rows))
    found = starters[np.minimum(place, len(starters) - 1)]
    near = (place < len(starters)) & (frame.visit[found] == frame.visit[rows])
    near &= frame.ts[found] - begin[rows] <= STAMP_SLACK_MS
    if not near.any():
        return cause
    address = frame.visit[rows] * (len(frame.endpoints) + 1) + frame.endpoint[rows]
    near &= ~is_among(address, address[~near])
    rows, found = rows[near], found[near]
    own = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0) & (frame.endpoint >= 0))
    width = len(frame.endpoints)
    same = is_among(found * width + frame.endpoint[rows], cause[own] * width + frame.endpoint[own])
    free = same | ~is_among(found, cause[own])
    cause[rows[free]] = found[free]
    return cause


def _find_error_causes(frame: Frame, causing: Bools, cause: Ints, config: Config) -> Ints:
    """``cause`` with the causes of errors. Leaving a field triggers its validation: there any input event counts."""
    cause = cause.copy()
    for chosen, allowed in (
        ((frame.kind == ERROR) & frame.column_equals("error_type", "validation"), causing | (frame.kind == INPUT)),
        (frame.kind == ERROR, causing),
    ):
        rows = np.flatnonzero(chosen & (cause < 0))
        candidates = np.flatnonzero(allowed)
        if len(rows) and len(candidates):
            found = _find_row_before(frame, candidates, rows)
            # An error that says nothing of itself is told from chance by its time alone.
            known = frame.endpoint_known[frame.endpoint[rows]]
            window = np.where(known, config.reaction_window_ms, config.network_start_window_ms)
            near = (found >= 0) & (frame.ts[rows] - frame.ts[np.maximum(found, 0)] <= window)
            cause[rows[near]] = found[near]
    return cause


def _prefer_same_page(frame: Frame, starters: Ints, rows: Ints, found: Ints, since: Ints) -> Ints:
    """``found`` (per row: its starter), where a starter on another page gives way to an earlier one on the feedback's own page.

    The earlier one must not be older than ``since`` (epoch ms per row). With times in whole seconds the order within a second
    is unknown; the page that an event names tells on which page the request was made.
    """
    foreign = (found >= 0) & (frame.route[found] != frame.route[rows])
    at = np.flatnonzero(foreign)
    if not len(at):
        return found
    count = len(frame.routes)
    pages = Lookup(frame.visit[starters] * count + frame.route[starters], starters)
    before = pages.find_last_before(frame.visit[rows[at]] * count + frame.route[rows[at]], found[at])
    found = found.copy()
    found[at] = np.where((before >= 0) & (frame.ts[before] >= since[at]), before, found[at])
    return found


def _find_sent_forms(frame: Frame, starters: Ints, rows: Ints, moves: Ints) -> Ints:
    """Per request of unknown duration that ends in the instant of the navigation ``moves``: the press that sent it; else -1.

    A form that is sent by loading a page is answered in the instant in which that page is shown. Its address, where known, is
    that of the page. A link sends no form.
    """
    if not len(rows):
        return rows
    before = _find_row_before(frame, starters, rows)
    safe = np.maximum(before, 0)
    link = np.array([t.link for t in frame.targets], dtype=np.bool_)[frame.target[safe]]
    pressed = (frame.kind[safe] == SUBMIT) | ((frame.kind[safe] == CLICK) & ~link)
    place = {p: i for i, p in enumerate(frame.patterns)}
    page = np.array([place.get(e.partition(" ")[2], -1) for e in frame.endpoints])[frame.endpoint[rows]]
    known = frame.endpoint_known[frame.endpoint[rows]]
    document = (frame.kind[moves] == NAVIGATION) & (~known | (page == frame.pattern[moves]))
    return np.where((before >= 0) & pressed & document, before, -1)


def _find_row_before(frame: Frame, chosen: Ints, rows: Ints) -> Ints:
    """Per row: the last of the ascending rows ``chosen`` of its visit that stands before it, -1 without one."""
    place = np.searchsorted(chosen, rows) - 1
    found = chosen[np.maximum(place, 0)]
    return np.where((place >= 0) & (frame.visit[found] == frame.visit[rows]), found, -1)


def _remove_later_answers(frame: Frame, cause: Ints, timed: Bools, config: Config) -> Ints:
    """``cause``, without requests of unknown duration that end over 2 s after another answer of their action.

    The window of 10 s is wide because an answer may be slow. Once an answer is there, later requests are the page's own
    (polling, a lost connection). A third party's answers and measurements do not count as answers here.
    """
    rows = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0) & ~frame.noise & (frame.third_party != 1))
    beside = _is_ambient_answer(frame, rows, cause)
    late = _find_late_answers(frame, rows, cause, config)
    late = late[is_among(late, rows[beside]) | is_among(late, _find_late_answers(frame, rows[~beside], cause, config))]
    cause = cause.copy()
    cause[late[~timed[late]]] = -1
    return cause


def _is_ambient_answer(frame: Frame, rows: Ints, cause: Ints) -> Bools:
    """Per row: whether its address answers well without a cause or when a page opens, and after clicks too.

    The page requests such an address beside everything; nobody waits for it.
    """
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & (frame.endpoint >= 0) & ~frame.noise
    came, base = np.flatnonzero(good), len(frame.endpoints) + 1
    group, by = frame.visit[came] * base + frame.endpoint[came], cause[came]
    kind = np.where(by >= 0, frame.kind[by], NAVIGATION)
    asked = equals_any(kind, CLICK, SUBMIT)
    beside = group[asked][is_among(group[asked], group[kind == NAVIGATION])]
    return np.asarray(good[rows] & is_among(frame.visit[rows] * base + frame.endpoint[rows], beside), dtype=np.bool_)


def _find_late_answers(frame: Frame, rows: Ints, cause: Ints, config: Config) -> Ints:
    """The rows that come over 2 s after another answer of their interaction, and the rows that follow these."""
    rows = rows[np.argsort(cause[rows], kind="stable")]
    first = mark_group_starts(cause[rows])
    before = np.append(0, frame.ts[rows][:-1])
    late = ~first & (frame.ts[rows] - before > config.reaction_window_ms)
    total = np.cumsum(late)
    begin = np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
    return rows[total - total[begin] > 0] if len(rows) else rows


def _assign_page_requests(frame: Frame, found: Causes) -> Ints:
    """Causes, where a request for the page that is shown when it ends belongs to the navigation to that page.

    Collectors report the request of a document when it ends, and the navigation after it.
    """
    cause = found.cause
    rows = np.flatnonzero((frame.kind == NETWORK) & (frame.endpoint >= 0) & ~frame.noise)
    moves = np.flatnonzero(frame.kind == NAVIGATION)
    if not len(rows) or not len(moves):
        return cause
    place = {p: i for i, p in enumerate(frame.patterns)}
    reads = [e.removeprefix("GET ") for e in frame.endpoints]
    page = np.array([place.get(e, -1) for e in reads])[frame.endpoint[rows]]
    rows, page = rows[page >= 0], page[page >= 0]
    after = moves[np.minimum(np.searchsorted(moves, rows), len(moves) - 1)]
    came = np.maximum(cause[rows], 0)
    opens = (
        (after > rows)
        & ((cause[rows] < 0) | (frame.route[came] != frame.route[after]))
        & (frame.visit[after] == frame.visit[rows])
        & (frame.pattern[after] == page)
        & (frame.ts[after] - frame.ts[rows] <= SHOWN_WITHIN_MS)
        & ~_is_sent_form(frame, rows, after, cause[rows])
    )
    before = moves[np.maximum(np.searchsorted(moves, rows) - 1, 0)]
    opened = (
        (cause[rows] < 0)
        & (before < rows)
        & (frame.visit[before] == frame.visit[rows])
        & (frame.pattern[before] == page)
        & (np.abs(found.begin[rows] - frame.ts[before]) <= SHOWN_WITHIN_MS)
    )
    cause = cause.copy()
    cause[rows[opens]] = after[opens]
    cause[rows[opened]] = before[opened]
    return cause


def _assign_posted_pages(frame: Frame, causing: Bools, found: Causes, config: Config) -> Ints:
    """Causes, where a request that sent a form by loading a page belongs to the press before it, and not to that page.

    It ends in the instant in which the page of its address is shown, and it writes. Such a press may take longer to send than a
    script's request: the document waits for the page that it replaces. A link sends no form.
    """
    cause = found.cause
    rows = np.flatnonzero((frame.kind == NETWORK) & found.timed & (frame.endpoint >= 0) & ~frame.noise)
    moves = np.flatnonzero(frame.kind == NAVIGATION)
    rows = rows[(cause[rows] < 0) | (frame.kind[cause[rows]] == NAVIGATION)]
    if not len(rows) or not len(moves):
        return cause
    place = {f"POST {p}": i for i, p in enumerate(frame.patterns)}
    page = np.array([place.get(e, -1) for e in frame.endpoints])[frame.endpoint[rows]]
    rows, page = rows[page >= 0], page[page >= 0]
    at = np.searchsorted(moves, rows)
    shown = np.full(len(rows), -1, dtype=np.int64)
    for move in (moves[np.maximum(at - 1, 0)], moves[np.minimum(at, len(moves) - 1)]):
        near = np.abs(frame.ts[move] - frame.ts[rows]) <= SHOWN_WITHIN_MS
        near &= (cause[rows] < 0) | (cause[rows] == move)
        near &= (frame.visit[move] == frame.visit[rows]) & (frame.pattern[move] == page)
        shown = np.where(near, move, shown)
    rows, shown = rows[shown >= 0], shown[shown >= 0]
    acts = np.flatnonzero(causing & (frame.kind != NAVIGATION))
    slack = np.where(_has_whole_second_clock(frame)[rows], 999, config.clock_slack_ms)
    by = frame.find_last_until(acts, frame.visit[rows], found.begin[rows] + slack, near=rows)
    safe = np.maximum(by, 0)
    link = np.array([t.link for t in frame.targets], dtype=np.bool_)[frame.target[safe]]
    pressed = (by >= 0) & ((frame.kind[safe] == SUBMIT) | ((frame.kind[safe] == CLICK) & ~link))
    # The page is the first one after the press.
    first = moves[np.minimum(np.searchsorted(moves, safe), len(moves) - 1)]
    own = pressed & (first == shown) & (found.begin[rows] - frame.ts[safe] <= config.network_end_window_ms)
    cause = cause.copy()
    cause[rows[own]] = by[own]
    return cause


def _is_sent_form(frame: Frame, rows: Ints, moves: Ints, cause: Ints) -> Bools:
    """Per request: whether a press that is no link sent it: it has no method, and its page is shown at once."""
    by = np.maximum(cause, 0)
    link = np.array([t.link for t in frame.targets], dtype=np.bool_)[frame.target[by]]
    pressed = (cause >= 0) & ((frame.kind[by] == SUBMIT) | ((frame.kind[by] == CLICK) & ~link))
    bare = np.array([e.startswith("/") for e in frame.endpoints] or [False])[frame.endpoint[rows]]
    return np.asarray(pressed & bare & (frame.ts[moves] == frame.ts[rows]), dtype=np.bool_)


def _chain_to_answers(frame: Frame, causing: Bools, found: Causes, config: Config) -> Ints:
    """Causes, where feedback that begins right after an attributed answer, with no interaction between, gets its cause.

    An error in rendering a slow answer and a follow-up request are caused by the same click. Further presses of the control
    that was waiting are no interaction between for a promise that is rejected at once: that is what was waited for.
    """
    cause, begin = found.cause.copy(), found.begin
    answers = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0))
    rows = np.flatnonzero((cause < 0) & ((frame.kind == ERROR) | ((frame.kind == NETWORK) & (frame.duration > 0))))
    before = frame.find_last_until(answers, frame.visit[rows], begin[rows], near=rows)
    near = (before >= 0) & (before != rows) & (begin[rows] - frame.ts[before] <= config.chain_window_ms)
    rows, before = rows[near], before[near]
    latest = frame.find_last_until(np.flatnonzero(causing), frame.visit[rows], begin[rows], near=rows)
    by = cause[before]
    waiting = (frame.raw_target[latest] == frame.raw_target[by]) & (frame.route[latest] == frame.route[by])
    waiting &= equals_any(frame.kind[latest], CLICK, SUBMIT) & equals_any(frame.kind[by], CLICK, SUBMIT)
    rejected = (frame.kind[rows] == ERROR) & frame.column_equals("error_type", "promise", rows=rows)
    rejected &= frame.ts[rows] - frame.ts[before] <= _OWN_CODE_MS
    chained = (latest == by) | (waiting & (latest > by) & rejected)
    cause[rows[chained]] = cause[before[chained]]
    return _assign_drawing_errors(frame, cause, answers, config)


def _assign_drawing_errors(frame: Frame, cause: Ints, answers: Ints, config: Config) -> Ints:
    """``cause``, where an uncaught error right after one of the ``answers`` (rows) gets that answer's cause.

    It is an error in drawing the answer, even if another click came between: a click's own code fails at once.
    """
    rows = np.flatnonzero((frame.kind == ERROR) & (cause >= 0) & ~frame.column_equals("error_type", "validation"))
    found = frame.find_last_until(answers, frame.visit[rows], frame.ts[rows])
    after = np.maximum(found, 0)
    drawn = (found >= 0) & (found < rows) & (frame.ts[rows] - frame.ts[after] <= config.chain_window_ms)
    drawn &= (cause[after] < cause[rows]) & (frame.ts[rows] - frame.ts[cause[rows]] > _OWN_CODE_MS)
    cause[rows[drawn]] = cause[found[drawn]]
    return cause
