"""Which interaction caused which feedback, and what is background (detection.md, Attribution)."""

from dataclasses import dataclass, replace

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    Lookup,
    Small,
    among,
    any_by,
    distinct_by,
    heads,
    max_by,
    one_of,
    pack,
    unique,
    within,
)
from ufse.config import Config
from ufse.frame import PAGE, Frame
from ufse.sessions import (
    CLICK,
    END,
    ERROR,
    INPUT,
    LOADING,
    NAVIGATION,
    NETWORK,
    PERFORMANCE,
    SUBMIT,
    VISIBILITY,
)

MEASURED_WITH_MS = 10
"""A measurement written down with its request comes this soon after it (own choice)."""

_SHOWN_WITHIN_MS = 1_000
"""A page is shown this soon after its document came (own choice)."""

_OWN_CODE_MS = 20
"""An error of a click's own code follows it this soon (own choice)."""

NONE, FAILURE, CRASH, REJECTION, INVALID, SLOW = range(6)
"""Kinds of negative feedback: failure, uncaught error, rejection by the server, validation error, slow."""

_FAILED_STATUS = (0, 408, 429)
_REFUSED_AT_ONCE_MS = 1_000
"""Own choice: a request that was not answered and ended sooner was refused on the user's own machine."""


@dataclass(frozen=True)
class Attribution:
    """One entry per event of the frame, unless said otherwise."""

    action: Ints
    """Per interaction: its action, packed (pattern, target); a click and the submit it causes share one, and so do a click
    that opened a page and the control there that asks again for what failed. Else -1.
    """
    meaningful: Bools
    """A click on a control, a form submit, the navigation that a click on a control made, or a reload: the page is tried
    again.
    """
    user_navigation: Bools
    cause: Ints
    """Per feedback event: row of the interaction that caused it, -1 if none."""
    begin: Ints
    """When the feedback's request began; its own time where no duration is known. Epoch ms."""
    negative: Small
    """Kind of negative feedback after background was taken out, attributed or not."""
    attributed: Bools
    """Negative feedback with a cause: evidence."""
    success: Bools
    """A request answered 2xx or 3xx that is not a preflight."""
    background: Bools
    """Feedback that is background; never evidence."""
    shared: Bools
    """Requests to one address for everything (GraphQL): their success is one of their own action only."""
    lonely: Bools
    """Feedback of an endpoint that answers one single action in its visit, as beacons and menus do not."""
    step: Bools
    """Clicks on a "next" that sends a form: a step of a wizard, not one of pages to be leafed through."""
    progress: Bools
    """Per interaction: a push or link navigation to another page that it caused, with no failure of its
    own.
    """
    progress_at: Ints
    """When that navigation happened, -1 without one."""

    def for_telling(self) -> "Attribution":
        """The same without what only the rules read, see ``Frame.for_telling``."""
        ints, bools = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
        return replace(
            self,
            action=ints,
            meaningful=bools,
            user_navigation=bools,
            attributed=bools,
            background=bools,
            shared=bools,
            lonely=bools,
            step=bools,
            progress=bools,
            progress_at=ints,
        )


def attribute(frame: Frame, config: Config) -> Attribution:
    """Attributes every feedback event of the frame; whole columns at once."""
    clicked, submit_click = _pair_submits(frame, config)
    step = _form_steps(frame, clicked)
    user_navigation, by_click = _user_navigations(frame)
    action = _actions(frame, submit_click)
    meaningful = _meaningful(frame, clicked | step, user_navigation, by_click)
    kind = frame.kind
    changes = (kind == INPUT) & ~frame.is_word("action", "focus", "blur")
    causes = (kind == CLICK) | (kind == SUBMIT) | user_navigation | changes
    lasted = _durations(frame, config)
    begin = np.where(lasted > 0, frame.ts - lasted, frame.ts)
    cause = _causes(frame, causes, begin, lasted > 0, config)
    cause = _chained(frame, causes, cause, begin, config)
    cause = _own_page(frame, cause, begin)
    raw = _raw_negative(frame, config)
    raw, cause = _client_validation(frame, raw, cause)
    success = (kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & ~frame.noise & (frame.aborted != 1)
    raw = _awaited_aborts(frame, raw, cause, begin, user_navigation, config)
    background, shared, lonely = find_background(frame, action, cause, causes, begin, raw, config)
    negative = np.where(background, np.int8(NONE), raw)
    negative = _without_repeats(frame, negative, cause)
    negative = _without_page_telemetry(frame, negative, cause, success, by_click)
    negative = _without_answered_loading(frame, negative, action, cause, success & ~background & lonely)
    attributed = (negative != NONE) & (cause >= 0)
    progress_at = _progress(frame, causes, cause, negative, attributed, config)
    action = _carried_on(frame, action, cause, attributed & ~shared)
    return Attribution(
        action,
        meaningful,
        user_navigation,
        cause,
        begin,
        negative,
        attributed,
        success & ~background,
        background,
        shared,
        lonely,
        step,
        progress_at >= 0,
        progress_at,
    )


def _carried_on(frame: Frame, action: Ints, cause: Ints, attributed: Bools) -> Ints:
    """Actions, where a click on the page that another click opened repeats its request ("try again"): both are that action.

    The failure is told on the opened page; the control there that asks for the same again is the same wish.
    """
    rows = np.flatnonzero(attributed & (frame.kind == NETWORK))
    rows = rows[frame.endpoint_known[frame.endpoint[rows]]]
    if len(rows) < 2:
        return action
    key = frame.visit[rows] * len(frame.endpoints) + frame.endpoint[rows]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    began = rows[first[inverse]]
    origin, by = cause[began], cause[rows]
    clicks = (frame.kind == CLICK) | (frame.kind == SUBMIT)
    again = clicks[origin] & clicks[by] & (frame.route[began] != frame.route[origin])
    again &= (frame.route[by] == frame.route[began]) & (by > origin)
    action = action.copy()
    action[by[again]] = action[origin[again]]
    return action


def _lut(frame: Frame, name: str) -> Bools:
    values = np.array([getattr(t, name) for t in frame.targets], dtype=np.bool_)
    return np.asarray(values[frame.target], dtype=np.bool_)


def _pair_submits(frame: Frame, config: Config) -> tuple[Bools, Ints]:
    """For every form submit the click that caused it: (clicks that did, click row per submit or -1)."""
    rows = np.flatnonzero(frame.kind == SUBMIT)
    clicks = np.flatnonzero((frame.kind == CLICK) & ~_lut(frame, "text_field"))
    pair = np.full(len(frame), -1, dtype=np.int64)
    clicked = np.zeros(len(frame), dtype=np.bool_)
    if not len(rows) or not len(clicks):
        return clicked, pair
    at = np.searchsorted(clicks, rows)
    for offset, window in ((-1, config.double_click_ms), (0, 20)):
        other = clicks[np.clip(at + offset, 0, len(clicks) - 1)]
        near = (
            (frame.visit[other] == frame.visit[rows])
            & (frame.route[other] == frame.route[rows])
            & (np.abs(frame.ts[other] - frame.ts[rows]) <= window)
            & (pair[rows] < 0)
        )
        pair[rows[near]] = other[near]
    clicked[pair[pair >= 0]] = True
    return clicked, pair


def _form_steps(frame: Frame, clicked: Bools) -> Bools:
    """Clicks on the targets named next or previous that sent a form at least once in their visit."""
    rows = np.flatnonzero((frame.kind == CLICK) & _lut(frame, "paging") & _lut(frame, "repeated"))
    step = np.zeros(len(frame), dtype=np.bool_)
    if len(rows):
        key = (frame.visit[rows] * len(frame.patterns) + frame.pattern[rows]) * len(frame.targets) + frame.target[rows]
        step[rows[among(key, key[clicked[rows]])]] = True
    return step


def _user_navigations(frame: Frame) -> tuple[Bools, Ints]:
    """Navigations a person makes: link, reload, back or forward, a typed address; and the click that made
    each, or -1.
    """
    navigation = frame.kind == NAVIGATION
    rows = np.flatnonzero(navigation)
    by_click = np.full(len(frame), -1, dtype=np.int64)
    starters = np.flatnonzero((frame.kind == CLICK) | (frame.kind == SUBMIT))
    if len(rows) and len(starters):
        before = starters[np.maximum(np.searchsorted(starters, rows) - 1, 0)]
        near = (
            (before < rows) & (frame.visit[before] == frame.visit[rows]) & (frame.ts[rows] - frame.ts[before] <= 2_000)
        )
        by_click[rows[near]] = before[near]
    untyped = navigation & frame.is_word("nav_type", "") & (by_click < 0)
    typed = navigation & frame.is_word("nav_type", "link", "reload", "back_forward")
    made = typed | untyped
    made[rows[frame.is_aside(rows)]] = False
    return made, by_click


def _actions(frame: Frame, submit_click: Ints) -> Ints:
    """Packed (pattern, target) per interaction. A form sent without a click counts as the button that sent
    it elsewhere.
    """
    count = max(len(frame.targets), 1)
    action = np.full(len(frame), -1, dtype=np.int64)
    own = (frame.kind == CLICK) | (frame.kind == SUBMIT) | (frame.kind == INPUT)
    action[own] = (frame.pattern * count + frame.target)[own]
    opened = frame.kind == NAVIGATION
    action[opened] = frame.pattern[opened] * count + PAGE
    submits = np.flatnonzero(frame.kind == SUBMIT)
    if len(submits):
        form = frame.visit[submits] * (int(action.max()) + 1) + action[submits]
        paired = submit_click[submits] >= 0
        keys, first = np.unique(form[paired], return_index=True)
        button = action[submit_click[submits][paired][first]]
        if len(keys):
            at = np.minimum(np.searchsorted(keys, form), len(keys) - 1)
            action[submits] = np.where(keys[at] == form, button[at], action[submits])
        action[submits[paired]] = action[submit_click[submits][paired]]
    return action


def _meaningful(frame: Frame, clicked: Bools, user_navigation: Bools, by_click: Ints) -> Bools:
    control = _lut(frame, "meaningful")
    found: Bools = ((frame.kind == CLICK) & (control | clicked)) | (frame.kind == SUBMIT)
    opened = np.flatnonzero(user_navigation & (by_click >= 0))
    found[opened] = found[by_click[opened]]
    found |= frame.is_word("nav_type", "reload")
    return found


def _whole_seconds(frame: Frame) -> Bools:
    """Per event: does its visit's clock know seconds only? Then durations in ms are compared with a
    second's tolerance.
    """
    whole = frame.ts // 1_000 * 1_000 == frame.ts  # several times faster than the remainder
    return ~any_by(frame.visit, ~whole, len(frame.low))[frame.visit]


def _durations(frame: Frame, config: Config) -> Ints:
    """How long each request or measurement took, -1 where unknown.

    A request without a duration has that of a slow answer that was measured at the same moment, or of the loading phase
    that ended with it: some collectors tell the one without the other. What is only told to be slow took as long as its
    user waited.
    """
    kind = frame.kind
    lasted = np.where((kind == NETWORK) | (kind == PERFORMANCE), frame.duration, -1)
    rows = np.flatnonzero((kind == NETWORK) & (frame.duration <= 0))
    measured = np.flatnonzero(
        (kind == PERFORMANCE) & (frame.duration > 0) & frame.is_word("perf_kind", "slow_response")
    )
    if len(rows) and len(measured):
        after = measured[np.minimum(np.searchsorted(measured, rows), len(measured) - 1)]
        same = (frame.visit[after] == frame.visit[rows]) & (frame.route[after] == frame.route[rows])
        same &= (after == rows + 1) & (frame.ts[after] - frame.ts[rows] <= MEASURED_WITH_MS)
        lasted[rows[same]] = frame.duration[after[same]]
    if len(rows):
        ended = np.minimum(rows + 1, len(frame) - 1)
        start = _loading_since(frame)[ended]
        same = (start >= 0) & (frame.visit[ended] == frame.visit[rows]) & (lasted[rows] <= 0)
        same &= frame.ts[ended] - frame.ts[rows] <= MEASURED_WITH_MS
        lasted[rows[same]] = frame.ts[rows[same]] - frame.ts[start[same]]
    return _waited_for(frame, lasted, config)


def _waited_for(frame: Frame, lasted: Ints, config: Config) -> Ints:
    """Durations, where a request is told to be slow without saying how slow: since the last click or submit that is old
    enough to have waited for it, if nothing else was answered since.
    """
    slow = (frame.kind == PERFORMANCE) & (frame.duration <= 0) & frame.is_word("perf_kind", "slow_response")
    measured, starters = np.flatnonzero(slow), np.flatnonzero((frame.kind == CLICK) | (frame.kind == SUBMIT))
    answers = np.flatnonzero((frame.kind == NETWORK) & ~frame.noise & (frame.third_party != 1))
    rows = answers[lasted[answers] <= 0]
    if not len(rows) or not len(measured) or not len(starters):
        return lasted
    after = measured[np.minimum(np.searchsorted(measured, rows), len(measured) - 1)]
    told = (after > rows) & (frame.visit[after] == frame.visit[rows])
    rows = rows[told & (frame.ts[after] - frame.ts[rows] <= MEASURED_WITH_MS)]
    by = frame.last_of(starters, frame.visit[rows], frame.ts[rows] - config.slow_ms)
    before = frame.last_of(answers, frame.visit[rows], frame.ts[rows] - MEASURED_WITH_MS - 1)
    lasting = frame.ts[rows] - frame.ts[np.maximum(by, 0)]
    waited = (by > before) & (frame.route[by] == frame.route[rows]) & (lasting <= config.slow_end_window_ms)
    lasted[rows[waited]] = lasting[waited]
    return lasted


def _loading_since(frame: Frame) -> Ints:
    """Per end of a loading phase: the row at which that phase began; else -1.

    Of phases that overlap, the one that began first ends first. What a document left behind ends never, so that phases
    of another document are none of its.
    """
    since = np.full(len(frame), -1, dtype=np.int64)
    rows = np.flatnonzero(frame.kind == LOADING)
    if not len(rows):
        return since
    starts = frame.is_word("state", "start", rows=rows)
    fresh = frame.is_word("nav_type", "link", "reload", "back_forward")
    document = np.cumsum(fresh)[rows]
    run = heads(frame.visit[rows], document, starts)
    first = np.flatnonzero(run)
    number = np.cumsum(run) - 1
    nth = np.arange(len(rows)) - first[number]
    before = np.maximum(number - 1, 0)
    start = first[before] + nth
    paired = ~starts & (number > 0) & starts[first[before]] & (start < first[number])
    start = np.where(paired, start, 0)
    paired &= (frame.visit[rows[start]] == frame.visit[rows]) & (document[start] == document)
    since[rows[paired]] = rows[start[paired]]
    return since


def _causes(frame: Frame, causes: Bools, begin: Ints, timed: Bools, config: Config) -> Ints:
    """The interaction that caused each feedback event, by the windows of detection.md."""
    cause = np.full(len(frame), -1, dtype=np.int64)
    kind = frame.kind
    starters = np.flatnonzero(causes)
    network, performance = kind == NETWORK, kind == PERFORMANCE
    coarse = _whole_seconds(frame)
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
        found = frame.last_of(starters, frame.visit[rows], anchor[rows] + slack, near=rows)
        some = coarse[rows]
        if some.any():
            found[some] = _asked_on_its_page(frame, starters, rows[some], found[some], anchor[rows[some]] - window)
        same = some & (frame.ts[np.maximum(found, 0)] == frame.ts[rows])
        later = found > rows
        found = np.where(later & ~(same & (kind[np.maximum(found, 0)] == NAVIGATION)), -1, found)
        # Of what was done in one second only what came before can have caused it; a page is told after its own requests.
        done = np.flatnonzero(later & same & (found < 0))
        found[done] = _last_before(frame, starters, rows[done])
        near = (found >= 0) & (anchor[rows] - frame.ts[np.maximum(found, 0)] <= window)
        cause[rows[near]] = found[near]
    # An error says when it happened, and a field left is what validates it: any input event counts here.
    for chosen, allowed in (
        ((kind == ERROR) & frame.is_word("error_type", "validation"), causes | (kind == INPUT)),
        (kind == ERROR, causes),
    ):
        rows = np.flatnonzero(chosen & (cause < 0))
        candidates = np.flatnonzero(allowed)
        if len(rows) and len(candidates):
            found = _last_before(frame, candidates, rows)
            near = (found >= 0) & (frame.ts[rows] - frame.ts[np.maximum(found, 0)] <= config.reaction_window_ms)
            cause[rows[near]] = found[near]
    return _without_later_answers(frame, cause, timed, config)


def _asked_on_its_page(frame: Frame, starters: Ints, rows: Ints, found: Ints, since: Ints) -> Ints:
    """Starters; instead of one on another page the last one before it on the feedback's own page, if it is not older than
    ``since`` (epoch ms).

    In whole seconds nobody knows the order: what still carries the page before was asked on that page.
    """
    foreign = (found >= 0) & (frame.route[found] != frame.route[rows])
    at = np.flatnonzero(foreign)
    if not len(at):
        return found
    count = len(frame.routes)
    pages = Lookup(frame.visit[starters] * count + frame.route[starters], starters)
    before = pages.last_before(frame.visit[rows[at]] * count + frame.route[rows[at]], found[at])
    found = found.copy()
    found[at] = np.where((before >= 0) & (frame.ts[before] >= since[at]), before, found[at])
    return found


def _last_before(frame: Frame, chosen: Ints, rows: Ints) -> Ints:
    """Per row: the last of the chosen ascending rows of its visit that stands before it, -1 without one."""
    place = np.searchsorted(chosen, rows) - 1
    found = chosen[np.maximum(place, 0)]
    return np.where((place >= 0) & (frame.visit[found] == frame.visit[rows]), found, -1)


def _without_later_answers(frame: Frame, cause: Ints, timed: Bools, config: Config) -> Ints:
    """An action that was answered is not answered again by a request of unknown duration that ends over 2 s later.

    The window of 10 s is wide because an answer may be slow; once the answer is there, what follows is the page's own
    doing (polling, a lost connection). A third party's answers and other measurements answer nothing here.
    """
    rows = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0) & ~frame.noise & (frame.third_party != 1))
    beside = _asked_beside(frame, rows, cause)
    late = _late(frame, rows, cause, config)
    late = late[among(late, rows[beside]) | among(late, _late(frame, rows[~beside], cause, config))]
    cause = cause.copy()
    cause[late[~timed[late]]] = -1
    return cause


def _asked_beside(frame: Frame, rows: Ints, cause: Ints) -> Bools:
    """Of answers those of an address that answers well without anybody asking, or when a page opens, and after what is done
    on one too: it is asked beside everything, and nobody waits for it.
    """
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & (frame.endpoint >= 0) & ~frame.noise
    came, base = np.flatnonzero(good), len(frame.endpoints) + 1
    group, by = frame.visit[came] * base + frame.endpoint[came], cause[came]
    kind = np.where(by >= 0, frame.kind[by], NAVIGATION)
    asked = one_of(kind, CLICK, SUBMIT)
    beside = group[asked][among(group[asked], group[kind == NAVIGATION])]
    return np.asarray(good[rows] & among(frame.visit[rows] * base + frame.endpoint[rows], beside), dtype=np.bool_)


def _late(frame: Frame, rows: Ints, cause: Ints, config: Config) -> Ints:
    """Of answers those that come over 2 s after another one of their interaction, and what follows them."""
    rows = rows[np.argsort(cause[rows], kind="stable")]
    first = heads(cause[rows])
    before = np.append(0, frame.ts[rows][:-1])
    late = ~first & (frame.ts[rows] - before > config.reaction_window_ms)
    total = np.cumsum(late)
    begin = np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
    return rows[total - total[begin] > 0] if len(rows) else rows


def _own_page(frame: Frame, cause: Ints, begin: Ints) -> Ints:
    """A request for the very page that is shown at its end belongs to the opening of that page, not to the link.

    Collectors tell the request of a document when it ends, and the navigation after it.
    """
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
        & (frame.ts[after] - frame.ts[rows] <= _SHOWN_WITHIN_MS)
    )
    before = moves[np.maximum(np.searchsorted(moves, rows) - 1, 0)]
    opened = (
        (cause[rows] < 0)
        & (before < rows)
        & (frame.visit[before] == frame.visit[rows])
        & (frame.pattern[before] == page)
        & (np.abs(begin[rows] - frame.ts[before]) <= _SHOWN_WITHIN_MS)
    )
    cause = cause.copy()
    cause[rows[opens]] = after[opens]
    cause[rows[opened]] = before[opened]
    return cause


def _chained(frame: Frame, causes: Bools, cause: Ints, begin: Ints, config: Config) -> Ints:
    """What begins right after an attributed answer, with no interaction in between, belongs to the answer's
    action.

    An error in rendering a slow answer, and the request that follows a first one, are caused by the same
    click.
    """
    cause = cause.copy()
    answers = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0))
    rows = np.flatnonzero((cause < 0) & ((frame.kind == ERROR) | ((frame.kind == NETWORK) & (frame.duration > 0))))
    found = frame.last_of(answers, frame.visit[rows], begin[rows], near=rows)
    near = (found >= 0) & (found != rows) & (begin[rows] - frame.ts[found] <= config.chain_window_ms)
    rows, found = rows[near], found[near]
    latest = frame.last_of(np.flatnonzero(causes), frame.visit[rows], begin[rows], near=rows)
    chained = latest == cause[found]
    cause[rows[chained]] = cause[found[chained]]
    return _drawing(frame, cause, answers, config)


def _drawing(frame: Frame, cause: Ints, answers: Ints, config: Config) -> Ints:
    """An uncaught error right after an answer is one in drawing it, though another click came in between: a click's own
    code fails at once.
    """
    rows = np.flatnonzero((frame.kind == ERROR) & (cause >= 0) & ~frame.is_word("error_type", "validation"))
    found = frame.last_of(answers, frame.visit[rows], frame.ts[rows])
    after = np.maximum(found, 0)
    drawn = (found >= 0) & (found < rows) & (frame.ts[rows] - frame.ts[after] <= config.chain_window_ms)
    drawn &= (cause[after] < cause[rows]) & (frame.ts[rows] - frame.ts[cause[rows]] > _OWN_CODE_MS)
    cause[rows[drawn]] = cause[found[drawn]]
    return cause


def _raw_negative(frame: Frame, config: Config) -> Small:
    """Kind of negative feedback of each event by itself."""
    kind, status, duration = frame.kind, frame.status, frame.duration
    negative = np.zeros(len(frame), dtype=np.int8)
    network = (kind == NETWORK) & (frame.aborted != 1) & ~frame.noise
    slow = (network & (status >= 200) & (duration >= config.slow_ms)) | (
        (kind == PERFORMANCE)
        & ((duration >= config.slow_ms) | ((duration < 0) & frame.is_word("perf_kind", "slow_response")))
    )
    negative[slow] = SLOW
    negative[(kind == LOADING) & (duration >= config.slow_ms)] = SLOW
    negative[network & (status >= 400)] = REJECTION
    negative[network & ((status >= 500) | one_of(status, *_FAILED_STATUS))] = FAILURE
    errors = (kind == ERROR) & ~frame.noise
    negative[errors] = CRASH
    negative[errors & frame.is_word("error_type", "validation")] = INVALID
    return negative


def _client_validation(frame: Frame, negative: Small, cause: Ints) -> tuple[Small, Ints]:
    """A submit that the form itself found invalid is its own rejection."""
    rows = np.flatnonzero(frame.kind == SUBMIT)
    rows = rows[frame.flags.at("valid", rows) == 0]
    negative, cause = negative.copy(), cause.copy()
    negative[rows] = INVALID
    cause[rows] = rows
    return negative, cause


def _awaited_aborts(
    frame: Frame, negative: Small, cause: Ints, begin: Ints, user_navigation: Bools, config: Config
) -> Small:
    """Aborted requests are nothing, except the one the user waited for and gave up by leaving: that is slow.

    A request without an answer that ends with the page that made it was aborted, even if the collector did
    not say so.
    """
    negative = negative.copy()
    silent = (frame.kind == NETWORK) & ~frame.noise & ((frame.aborted == 1) | (frame.status == 0))
    rows = np.flatnonzero(silent)
    if not len(rows):
        return negative
    leaving = user_navigation.copy()
    leaving[frame.kind == END] = True
    leaves = np.flatnonzero(leaving | (frame.last_row & (frame.kind == VISIBILITY)))
    near = frame.last_of(leaves, frame.visit[rows], frame.ts[rows] + 1_000)
    safe = np.maximum(near, 0)
    left = (near >= 0) & (np.abs(frame.ts[safe] - frame.ts[rows]) <= 1_000) & (frame.ts[safe] > begin[rows])
    left |= _awaited_to_the_end(frame, rows, cause)
    waited = (frame.ts[rows] - begin[rows] >= config.slow_ms) & (cause[rows] >= 0)
    at_once = left & (np.abs(frame.ts[safe] - frame.ts[rows]) <= 200) & (frame.aborted[rows] < 0)
    # A page that shows itself anew with the answer, by a navigation of no known kind, was not left.
    at_once &= ~(
        (frame.kind[safe] == NAVIGATION)
        & frame.is_word("nav_type", "")[safe]
        & (frame.route[safe] == frame.route[rows])
        & (safe > rows)
    )
    negative[rows[at_once]] = NONE
    negative[rows[left & waited & ((frame.aborted[rows] == 1) | at_once)]] = SLOW
    return negative


def _awaited_to_the_end(frame: Frame, rows: Ints, cause: Ints) -> Bools:
    """Of aborted requests those after which nothing more was done: they went with the visit, whenever its end was told.

    Not where the same was answered well meanwhile: then it was another try that nobody waited for.
    """
    acted = np.flatnonzero(one_of(frame.kind, CLICK, INPUT, SUBMIT, NAVIGATION))
    after = np.append(acted, len(frame))[np.searchsorted(acted, rows, "right")]
    final = (frame.aborted[rows] == 1) & (after >= frame.high[frame.visit[rows]])
    good = np.flatnonzero((frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & ~frame.noise)
    asked = frame.visit * (len(frame.endpoints) + 1) + frame.endpoint + 1
    low, high = Lookup(asked[good], good).span(asked[rows], np.maximum(cause[rows], 0), rows)
    return np.asarray(final & (high == low))


def _without_repeats(frame: Frame, negative: Small, cause: Ints) -> Small:
    """Of one interaction's answers at one endpoint only the first failure counts: the rest the application
    repeated.
    """
    rows = np.flatnonzero((negative != NONE) & (cause >= 0) & (frame.endpoint >= 0) & (frame.kind == NETWORK))
    if len(rows) > 1:
        key = cause[rows] * (int(frame.endpoint.max()) + 1) + frame.endpoint[rows]
        _, first = np.unique(key, return_index=True)
        repeated = np.ones(len(rows), dtype=np.bool_)
        repeated[first] = False
        negative = negative.copy()
        negative[rows[repeated]] = NONE
    return negative


def _without_page_telemetry(frame: Frame, negative: Small, cause: Ints, good: Bools, by_click: Ints) -> Small:
    """What a page sends while it opens is no part of it, as long as what it reads comes; a third party's never is.

    The click that opened the page and its navigation are one opening.
    """
    rows = np.flatnonzero((frame.kind == NETWORK) & (negative != NONE) & (cause >= 0))
    rows = rows[frame.kind[cause[rows]] == NAVIGATION]
    if len(rows):
        negative = negative.copy()
        came = cause[good & (cause >= 0)]
        click = by_click[cause[rows]]
        answered = among(cause[rows], came) | ((click >= 0) & among(click, came))
        telemetry = answered & ~frame.may_read[frame.endpoint[rows]]
        negative[rows[telemetry | (frame.third_party[rows] == 1)]] = NONE
    return negative


def _without_answered_loading(frame: Frame, negative: Small, action: Ints, cause: Ints, good: Bools) -> Small:
    """A loading phase whose action was answered well is judged by that answer; its end may just not be
    reported.

    What was done in one instant (a second, where a clock knows no more) is one.
    """
    rows = np.flatnonzero((frame.kind == LOADING) & (negative == SLOW) & (cause >= 0))
    if len(rows):
        negative = negative.copy()
        by, answered = cause[rows], cause[good & (cause >= 0)]
        instant = np.asarray(np.cumsum(heads(frame.visit, frame.ts)), dtype=np.int64)
        negative[rows[within(instant[by], action[by], instant[answered], action[answered])]] = NONE
    return negative


def _progress(frame: Frame, causes: Bools, cause: Ints, negative: Small, attributed: Bools, config: Config) -> Ints:
    """Per interaction: time of the push or link navigation to another page that it caused, -1 without one."""
    at = np.full(len(frame), -1, dtype=np.int64)
    moved = (frame.kind == NAVIGATION) & frame.is_word("nav_type", "push", "link", "replace", "")
    rows = np.flatnonzero(moved)
    rows = rows[~frame.is_aside(rows)]
    starters = np.flatnonzero((frame.kind == CLICK) | (frame.kind == SUBMIT))
    if not len(rows) or not len(starters):
        return at
    place = np.searchsorted(starters, rows) - 1
    found = starters[np.maximum(place, 0)]
    patient = (frame.kind[found] == SUBMIT) | frame.is_word("nav_type", "")[rows]
    window = np.where(patient, config.network_end_window_ms, config.reaction_window_ms)
    answers = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0))
    answer = frame.last_of(answers, frame.visit[rows], frame.ts[rows])
    answered = (answer >= 0) & (cause[np.maximum(answer, 0)] == found)
    since = np.where(answered, np.minimum(frame.ts[rows] - frame.ts[np.maximum(answer, 0)], 1_000), 1_001)
    near = (
        (place >= 0)
        & (frame.visit[found] == frame.visit[rows])
        & ((frame.ts[rows] - frame.ts[found] <= window) | (since < 1_000))
        & ((frame.route[found] != frame.route[rows]) | _posted_back(frame, found, rows, attributed, config))
    )
    failed, crashed = np.zeros(len(frame), dtype=np.bool_), np.full(len(frame), -1, dtype=np.int64)
    crashes = np.flatnonzero(attributed & (negative == CRASH))
    crashed[cause[crashes]] = crashes
    failed[cause[attributed & (negative != CRASH)]] = True
    # A crash before the answer came did not keep it from coming, and from leading on.
    status = frame.status[np.maximum(answer, 0)]
    good = answered & (since < 1_000) & (status >= 200) & (status < 400)
    near &= ~failed[found] & ((crashed[found] < 0) | (good & (crashed[found] < answer)))
    at[found[near]] = frame.ts[rows[near]]
    return at


def _posted_back(frame: Frame, found: Ints, rows: Ints, attributed: Bools, config: Config) -> Bools:
    """Per navigation and submit: whether a form that is sent to its own page had that page served again, and no failure
    came with it.
    """
    bad = np.append(np.flatnonzero(attributed), len(frame) - 1)
    after = bad[np.minimum(np.searchsorted(bad, rows), len(bad) - 1)]
    failed = attributed[after] & (after > rows) & (frame.visit[after] == frame.visit[rows])
    failed &= frame.ts[after] - frame.ts[rows] <= config.page_load_ms
    soon = frame.ts[rows] - frame.ts[found] <= config.page_load_ms
    return np.asarray((frame.kind[found] == SUBMIT) & soon & ~failed, dtype=np.bool_)


def find_background(
    frame: Frame, action: Ints, cause: Ints, causes: Bools, begin: Ints, negative: Small, config: Config
) -> tuple[Bools, Bools, Bools]:
    """Feedback that is background, recognised by how its endpoint or message behaves in the visit, not by its
    name.

    The second array marks requests to one address for everything, which are spared; the third those of endpoints that
    answer one single action.
    """
    background = frame.noise.copy()
    shared, lonely = np.zeros(len(frame), dtype=np.bool_), np.zeros(len(frame), dtype=np.bool_)
    rows = np.flatnonzero((frame.endpoint >= 0) & ~frame.noise)
    if not len(rows):
        return background, shared, lonely
    count = int(frame.endpoint.max()) + 1
    order = np.argsort(frame.visit[rows] * count + frame.endpoint[rows], kind="stable")
    rows = rows[order]
    first = heads(frame.visit[rows], frame.endpoint[rows])
    group = np.cumsum(first) - 1
    groups = int(group[-1]) + 1
    fired = cause[rows] >= 0
    failed = negative[rows] != NONE
    known = frame.endpoint_known[frame.endpoint[rows]]
    repeats = _automatic_repeats(frame, rows, first, fired, failed, begin, config)
    alone = ~fired & ~repeats & (known | failed)
    alone[alone] = ~_page_loads(frame, rows[alone], begin, config)
    lone = np.bincount(group[alone], minlength=groups)
    # Failures that no address tells apart are of many things: they are background as one only where most are.
    told = known[np.flatnonzero(first)]
    spontaneous = (lone > 0) & (told | (2 * lone >= np.bincount(group[fired & failed], minlength=groups)))
    # What nearly always starts right after one single action is that action's, though a repetition went unrecognised.
    timed = np.bincount(group[frame.duration[rows] <= 0], minlength=groups) == 0
    answering = np.bincount(group[fired], minlength=groups)
    answers = _distinct_actions(group, groups, action[np.maximum(cause[rows], 0)], fired)
    spontaneous &= ~(timed & (answers == 1) & (4 * lone <= answering))
    validation = (negative == INVALID)[rows]
    ambient = _unrelated(frame, rows, group, groups, action, cause, failed, known, config)
    # How many interactions each group failed.
    tried = _distinct_actions(group, groups, cause[rows], fired & failed)
    long = failed & fired & (frame.ts[rows] - begin[rows] >= config.slow_ms)
    # Pressing again what hangs is trying it again.
    tried_again = tried + any_by(group[long], _pressed_again(frame, rows[long], action, cause), groups)
    spared = _one_address(frame, rows, group, groups, action, cause, failed, alone, answers, tried_again)
    third = np.bincount(group[frame.third_party[rows] == 1], minlength=groups) > 0
    several = answers > 1
    lonely[rows] = (answers == 1)[group]
    vague = _vague(frame, rows, group, groups, cause, third)
    often = np.bincount(group, minlength=groups) > 10
    causing = _distinct_actions(group, groups, cause[rows], fired & often[group])
    clocked = _clocked(frame, rows, first, group, groups, cause, begin, answers, config)
    flood = often & (np.bincount(group[~repeats], minlength=groups) > 3 * np.maximum(causing, 1))
    # A provider that an action needs fails it each time it is tried; a single failure may be any tag's.
    single = tried < 2
    # A blocker refuses at once; a provider that is down answers badly or keeps one waiting.
    told_off = failed & ((frame.status[rows] > 0) | (frame.duration[rows] >= _REFUSED_AT_ONCE_MS))
    refused = np.bincount(group[told_off], minlength=groups) == 0
    tag = third & (several | vague | single | refused)
    quiet = ((spontaneous | ambient) & ~spared) | tag | flood | (clocked & ~spared)
    background[rows] |= np.where(validation, spontaneous[group] & ~fired, quiet[group])
    background[rows] |= _saved(frame, rows, group, action, cause, config) & known & ~validation
    failing = any_by(group, failed & known & frame.may_read[frame.endpoint[rows]], groups)
    other = np.flatnonzero(failing[group])
    elsewhere = any_by(group[other], alone[other] | _page_loads(frame, rows[other], begin, config), groups)
    other = other[elsewhere[group[other]]]
    background[rows[other]] |= _beside(frame, rows[other], group[other], action, cause, config)
    background[rows[repeats & ~fired]] |= failed[repeats & ~fired]
    good = ~failed & spared[group]
    opening = np.bincount(group[good][_page_loads(frame, rows[good], begin, config)], minlength=groups) > 0
    shared[rows] = (spared & ((answers > 2) | spontaneous | opening))[group] & ~frame.reads[frame.endpoint[rows]]
    return background, shared, lonely


def _vague(frame: Frame, rows: Ints, group: Ints, groups: int, cause: Ints, asked: Bools) -> Bools:
    """Of the groups that are asked about: those that answer a click or submit on a target of which only the type is known."""
    at = np.flatnonzero((cause[rows] >= 0) & asked[group])
    by = cause[rows[at]]
    nameless = np.array([t.nameless for t in frame.targets], dtype=np.bool_)[frame.target[by]]
    return any_by(group[at], nameless & one_of(frame.kind[by], CLICK, SUBMIT), groups)


def _saved(frame: Frame, rows: Ints, group: Ints, action: Ints, cause: Ints, config: Config) -> Bools:
    """Requests that go out again and again while one field is typed in (autosave, presence): nobody waits for them."""
    by = np.maximum(cause[rows], 0)
    width, base = int(action.max(initial=0)) + 2, len(frame) + 1
    typing = np.flatnonzero((cause[rows] >= 0) & (frame.kind[by] == INPUT) & (frame.kind[rows] == NETWORK))
    once = unique((group[typing] * width + action[by[typing]]) * base + by[typing]) // base
    first = heads(once)
    begin = np.flatnonzero(first)
    often = once[begin][np.diff(np.append(begin, len(once))) >= config.unrelated_actions]
    if not len(often):
        return np.zeros(len(rows), dtype=np.bool_)
    return (cause[rows] >= 0) & among(group * width + action[by], often)


def _beside(frame: Frame, rows: Ints, group: Ints, action: Ints, cause: Ints, config: Config) -> Bools:
    """Requests that only few of an action's clicks seemed to cause: they fell beside it by chance.

    Clicks made while such a request was pending may wait for it, and are not counted.
    """
    clicked = (cause[rows] >= 0) & (frame.kind[np.maximum(cause[rows], 0)] == CLICK)
    at, by = rows[clicked], cause[rows][clicked]
    clicks = np.flatnonzero(frame.kind == CLICK)
    base = int(action.max(initial=0)) + 2
    deeds = Lookup(frame.visit[clicks] * base + action[clicks], clicks)
    deed = frame.visit[by] * base + action[by]
    low, high = deeds.span(deed, frame.low[frame.visit[by]], frame.high[frame.visit[by]])
    begun, ended = deeds.span(deed, by + 1, at)
    pair, number = np.unique(pack(group[clicked], action[by], base), return_inverse=True)
    size = len(pair)
    asked = distinct_by(number, by, size)
    waiting = np.bincount(number, weights=ended - begun, minlength=size)
    presses = max_by(number, high - low, size, 0) - waiting
    found = np.zeros(len(rows), dtype=np.bool_)
    found[clicked] = (presses >= config.clicks_per_request * asked)[number]
    return found


def _clocked(
    frame: Frame,
    rows: Ints,
    first: Bools,
    group: Ints,
    groups: int,
    cause: Ints,
    begin: Ints,
    answers: Ints,
    config: Config,
) -> Bools:
    """Groups that fire by the clock: at least four times at one pace, at ever other distances from the
    interactions.
    """
    pace = np.where(first, 0, np.append(0, np.diff(begin[rows])))
    before = np.append(0, pace[:-1])
    even = ~first & (before > 1_000) & (pace > 1_000) & (np.abs(pace - before) * 100 <= 5 * pace)
    even &= np.append(False, even[:-1])  # three gaps in a row; two alike are chance
    paced = any_by(group, even, groups)
    if not paced.any():
        return paced
    lag = np.where(cause[rows] >= 0, begin[rows] - frame.ts[np.maximum(cause[rows], 0)], 0)
    heads_at = np.flatnonzero(first)
    low = np.minimum.reduceat(lag, heads_at)
    high = np.maximum(np.maximum.reduceat(lag, heads_at), 0)
    # A patient person tries again at an even pace too: what always follows one single action at once is that action's.
    one = (answers == 1) & ~any_by(group, cause[rows] < 0, groups) & (high <= config.reaction_window_ms)
    return np.asarray(paced & (high - low > 250) & ~one, dtype=np.bool_)


def _automatic_repeats(
    frame: Frame, rows: Ints, first: Bools, fired: Bools, failed: Bools, begin: Ints, config: Config
) -> Bools:
    """Requests that the application sent again by itself after a failure that an interaction had caused."""
    previous_failed = np.append(False, failed[:-1]) & ~first
    gap = begin[rows] - np.append(0, frame.ts[rows][:-1])
    follows = ~fired & previous_failed & (gap <= config.automatic_repeat_window_ms) & (frame.kind[rows] == NETWORK)
    if not follows.any():
        return np.zeros(len(rows), dtype=np.bool_)
    head = np.maximum.accumulate(np.where(~follows, np.arange(len(rows)), 0))
    # A poll that happened to fall on a click keeps its pace before and after it; a repeat has no pace before.
    pace = np.append(0, np.diff(begin[rows]))
    after = np.append(pace[1:], 0)
    # What timed out is repeated after its answer: the time-out itself is no pause.
    pause = np.where(pace - gap >= config.slow_ms, gap, pace)
    inner = ~first & ~np.append(first[1:], True)
    polled = inner & (np.abs(pace - after) * 100 <= 15 * after)
    slow_start = follows & ~np.append(False, follows[:-1]) & (pause > config.first_repeat_ms)
    steady = inner & follows & np.append(follows[1:], False) & polled & (pause > config.slow_ms)
    bad = np.zeros(len(rows), dtype=np.bool_)
    # Two even gaps are also an application that waits as long each time; three are a clock.
    bad[head[(steady & np.append(steady[1:], False)) | slow_start]] = True
    follows &= ~polled[head] & ~bad[head]
    return np.asarray(follows & fired[head] & (np.arange(len(rows)) - head <= config.automatic_repeats), dtype=np.bool_)


def _page_loads(frame: Frame, rows: Ints, begin: Ints, config: Config) -> Bools:
    """What begins within 2 s of the visit's first event or of any navigation belongs to a page being
    opened.
    """
    opening = frame.kind == NAVIGATION
    opening[frame.first_row] = True
    found = frame.last_of(np.flatnonzero(opening), frame.visit[rows], np.maximum(begin[rows], 0), near=rows)
    early = found < 0
    return np.asarray(early | (begin[rows] - frame.ts[np.maximum(found, 0)] <= config.page_load_ms), dtype=np.bool_)


def _distinct_actions(group: Ints, groups: int, action: Ints, chosen: Bools) -> Ints:
    """How many distinct actions each group's chosen rows answer."""
    at = np.flatnonzero(chosen)
    if not len(at):
        return np.zeros(groups, dtype=np.int64)
    base = int(action.max()) + 2
    pairs = unique(group[at] * base + action[at])
    return np.asarray(np.bincount(pairs // base, minlength=groups), dtype=np.int64)


def _unrelated(
    frame: Frame,
    rows: Ints,
    group: Ints,
    groups: int,
    action: Ints,
    cause: Ints,
    failed: Bools,
    known: Bools,
    config: Config,
) -> Bools:
    """Endpoints that fire after many unrelated interactions (beacons, autosave, presence)."""
    blank = ~any_by(group, ~failed | (frame.status[rows] != 0), groups)
    # Blocked by an extension or the network, whatever was done; what no address tells apart is of many things.
    blank &= any_by(group, known, groups)
    counted = (cause[rows] >= 0) & (known | failed)
    # Groups of few answers cannot be of many actions: most are, and need not be looked at.
    many = np.bincount(group[counted], minlength=groups) >= config.unrelated_actions
    at = np.flatnonzero((counted & many[group]) | blank[group])
    rows, group, counted = rows[at], group[at], counted[at]
    by = np.maximum(cause[rows], 0)
    typed = frame.kind[by] == INPUT
    related = _related(frame, action[by])
    opening, page = _openings(frame, rows, by)
    opening &= cause[rows] >= 0
    acted = _distinct_actions(group, groups, related, counted & ~typed)
    related = np.where(opening, int(related.max(initial=0)) + 1 + page, related)
    acted = np.minimum(acted, _distinct_actions(group, groups, related, counted & ~typed))
    touched = _distinct_actions(group, groups, action[by], counted & typed)
    wishes = _wishes(frame, group, groups, related, opening, page, blank[group] & counted & ~typed)
    unreachable = blank & (wishes >= 2)
    unreachable |= blank & _refused_with_pages(frame, rows, group, groups, blank, config)
    return np.asarray((acted >= config.unrelated_actions) | (touched >= config.unrelated_actions) | unreachable)


def _refused_with_pages(frame: Frame, rows: Ints, group: Ints, groups: int, blank: Bools, config: Config) -> Bools:
    """Groups without any answer that each go out when a page has just been shown: where there are several addresses of that
    sort and several such pages in a visit, what is refused there is refused everywhere (a blocker and its beacons).
    """
    at = np.flatnonzero(blank[group])
    rows, group = rows[at], group[at]
    shown = frame.last_of(np.flatnonzero(frame.kind == NAVIGATION), frame.visit[rows], frame.ts[rows], near=rows)
    apart = (shown < 0) | (frame.ts[rows] - frame.ts[np.maximum(shown, 0)] > _SHOWN_WITHIN_MS)
    only = ~any_by(group, apart, groups)
    own = only[group]
    visits = len(frame.low)
    pages = distinct_by(frame.visit[rows[own]], shown[own], visits)
    addresses = distinct_by(frame.visit[rows[own]], group[own], visits)
    many = (pages >= config.unrelated_actions) & (addresses > 1)
    return np.asarray(only & any_by(group, many[frame.visit[rows]], groups), dtype=np.bool_)


def _wishes(frame: Frame, group: Ints, groups: int, related: Ints, opening: Bools, page: Ints, chosen: Bools) -> Ints:
    """How many wishes each group's chosen rows answer. A control that asks again for what its page asked when it was opened
    is the same wish.
    """
    if not chosen.any():
        return np.zeros(groups, dtype=np.int64)
    shown = group * len(frame.patterns) + page
    wish = np.where(among(shown, shown[opening]), page, len(frame.patterns) + related)
    return _distinct_actions(group, groups, wish, chosen)


def _openings(frame: Frame, rows: Ints, by: Ints) -> tuple[Bools, Ints]:
    """Per feedback and its interaction: whether that opened a page, by a control elsewhere, a reload or a typed address;
    and the page's pattern. However a page was opened, its opening is one thing.
    """
    moved = frame.kind[by] == NAVIGATION
    page = np.where(moved, frame.pattern[by], frame.pattern[rows])
    # What came late, when the person had gone back or reloaded, opened nothing.
    shown = frame.last_of(np.flatnonzero(frame.kind == NAVIGATION), frame.visit[rows], frame.ts[rows], near=rows)
    back = (shown > by) & frame.is_word("nav_type", "back_forward", "reload", rows=np.maximum(shown, 0))
    page = np.where(~moved & back, frame.pattern[by], page)
    return moved | ((frame.kind[by] != INPUT) & (frame.pattern[by] != page)), page


def _related(frame: Frame, action: Ints) -> Ints:
    """What stands for each interaction's action among "unrelated" ones. The same named control on several pages is one,
    as a menu's link is; pages, and controls of which only the type is known, are others on every page.
    """
    count = max(len(frame.targets), 1)
    target = action % count
    nameless = np.array([t.nameless for t in frame.targets], dtype=np.bool_)
    named = (target != PAGE) & ~nameless[target]
    return np.where(named & (action >= 0), target, action + count)


def _pressed_again(frame: Frame, rows: Ints, action: Ints, cause: Ints) -> Bools:
    """Per request: whether its control was clicked again while it was pending: the clicks waited for it."""
    clicks, by, base = np.flatnonzero(frame.kind == CLICK), cause[rows], int(action.max(initial=0)) + 2
    deeds = Lookup(frame.visit[clicks] * base + action[clicks], clicks)
    begun, ended = deeds.span(frame.visit[by] * base + action[by], by + 1, rows)
    return np.asarray(ended > begun, dtype=np.bool_)


def _one_address(
    frame: Frame,
    rows: Ints,
    group: Ints,
    groups: int,
    action: Ints,
    cause: Ints,
    failed: Bools,
    alone: Bools,
    answers: Ints,
    tried: Ints,
) -> Bools:
    """One address for everything (GraphQL): one or two actions failed there, at least one of them twice or pressed again while
    it was pending, and all else that was asked of it, with or without an action, was answered well.

    An action is judged by its own requests: it may have gone well before, and another request of the same click may.
    """
    fired = cause[rows] >= 0
    by = np.maximum(cause[rows], 0)
    failing = _distinct_actions(group, groups, action[by], fired & failed)
    request = frame.kind[rows] == NETWORK
    down = np.bincount(group[failed & alone], minlength=groups)
    good = np.bincount(group[~failed], minlength=groups)
    errors = np.bincount(group[~request], minlength=groups)
    spared = (failing >= 1) & (failing <= 2) & (tried > failing) & (down + errors == 0) & (answers >= 1) & (good > 0)
    return np.asarray(spared, dtype=np.bool_)
