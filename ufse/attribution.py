"""Which interaction caused which feedback (detection.md, Attribution)."""

from dataclasses import dataclass, replace

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    Lookup,
    Small,
    any_by_owner,
    equals_any,
    is_among,
    is_pair_among,
    mark_group_starts,
)
from ufse.background import find_background
from ufse.config import Config
from ufse.feedback import (
    CRASH,
    INVALID,
    NONE,
    SHOWN_WITHIN_MS,
    SLOW,
    classify_feedback,
    measure_durations,
)
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

_OWN_CODE_MS = 20
"""An error of a click's own code follows it this soon (own choice)."""


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

    def trim_for_explanation(self) -> "Attribution":
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


def attribute_feedback(frame: Frame, config: Config) -> Attribution:
    """Attributes every feedback event of the frame; whole columns at once."""
    clicked, submit_click = _pair_submits(frame, config)
    step = _find_form_steps(frame, clicked)
    user_navigation, by_click = _find_user_navigations(frame)
    action = _pack_actions(frame, submit_click)
    meaningful = _find_meaningful_actions(frame, clicked | step, user_navigation, by_click)
    kind = frame.kind
    changes = (kind == INPUT) & ~frame.column_equals("action", "focus", "blur")
    causes = (kind == CLICK) | (kind == SUBMIT) | user_navigation | changes
    lasted = measure_durations(frame, config)
    begin = np.where(lasted > 0, frame.ts - lasted, frame.ts)
    cause = _find_causes(frame, causes, begin, lasted > 0, config)
    cause = _chain_to_answers(frame, causes, cause, begin, config)
    cause = _assign_page_requests(frame, cause, begin)
    raw = classify_feedback(frame, config)
    raw, cause = _mark_invalid_submits(frame, raw, cause)
    success = (kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & ~frame.noise & (frame.aborted != 1)
    raw = _judge_aborted_requests(frame, raw, cause, begin, user_navigation, config)
    background, shared, lonely = find_background(frame, action, cause, causes, begin, raw, config)
    negative = np.where(background, np.int8(NONE), raw)
    negative = _remove_repeated_failures(frame, negative, cause)
    negative = _remove_page_telemetry(frame, negative, cause, success, by_click)
    negative = _remove_answered_loading(frame, negative, action, cause, success & ~background & lonely)
    attributed = (negative != NONE) & (cause >= 0)
    progress_at = _find_progress_times(frame, causes, cause, negative, attributed, config)
    action = _merge_repeated_actions(frame, action, cause, attributed & ~shared)
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


def _merge_repeated_actions(frame: Frame, action: Ints, cause: Ints, attributed: Bools) -> Ints:
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


def _event_target_property(frame: Frame, name: str) -> Bools:
    values = np.array([getattr(t, name) for t in frame.targets], dtype=np.bool_)
    return np.asarray(values[frame.target], dtype=np.bool_)


def _pair_submits(frame: Frame, config: Config) -> tuple[Bools, Ints]:
    """For every form submit the click that caused it: (clicks that did, click row per submit or -1)."""
    rows = np.flatnonzero(frame.kind == SUBMIT)
    clicks = np.flatnonzero((frame.kind == CLICK) & ~_event_target_property(frame, "text_field"))
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


def _find_form_steps(frame: Frame, clicked: Bools) -> Bools:
    """Clicks on the targets named next or previous that sent a form at least once in their visit."""
    rows = np.flatnonzero(
        (frame.kind == CLICK) & _event_target_property(frame, "paging") & _event_target_property(frame, "repeated")
    )
    step = np.zeros(len(frame), dtype=np.bool_)
    if len(rows):
        key = (frame.visit[rows] * len(frame.patterns) + frame.pattern[rows]) * len(frame.targets) + frame.target[rows]
        step[rows[is_among(key, key[clicked[rows]])]] = True
    return step


def _find_user_navigations(frame: Frame) -> tuple[Bools, Ints]:
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
    untyped = navigation & frame.column_equals("nav_type", "") & (by_click < 0)
    typed = navigation & frame.column_equals("nav_type", "link", "reload", "back_forward")
    made = typed | untyped
    made[rows[frame.is_external_or_download(rows)]] = False
    return made, by_click


def _pack_actions(frame: Frame, submit_click: Ints) -> Ints:
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


def _find_meaningful_actions(frame: Frame, clicked: Bools, user_navigation: Bools, by_click: Ints) -> Bools:
    control = _event_target_property(frame, "meaningful")
    found: Bools = ((frame.kind == CLICK) & (control | clicked)) | (frame.kind == SUBMIT)
    opened = np.flatnonzero(user_navigation & (by_click >= 0))
    found[opened] = found[by_click[opened]]
    found |= frame.column_equals("nav_type", "reload")
    return found


def _has_whole_second_clock(frame: Frame) -> Bools:
    """Per event: does its visit's clock know seconds only? Then durations in ms are compared with a
    second's tolerance.
    """
    whole = frame.ts // 1_000 * 1_000 == frame.ts  # several times faster than the remainder
    return ~any_by_owner(frame.visit, ~whole, len(frame.low))[frame.visit]


def _find_causes(frame: Frame, causes: Bools, begin: Ints, timed: Bools, config: Config) -> Ints:
    """The interaction that caused each feedback event, by the windows of detection.md."""
    cause = np.full(len(frame), -1, dtype=np.int64)
    kind = frame.kind
    starters = np.flatnonzero(causes)
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
        found = frame.find_last_until(starters, frame.visit[rows], anchor[rows] + slack, near=rows)
        some = coarse[rows]
        if some.any():
            found[some] = _prefer_same_page(frame, starters, rows[some], found[some], anchor[rows[some]] - window)
        same = some & (frame.ts[np.maximum(found, 0)] == frame.ts[rows])
        later = found > rows
        found = np.where(later & ~(same & (kind[np.maximum(found, 0)] == NAVIGATION)), -1, found)
        # Of what was done in one second only what came before can have caused it; a page is told after its own requests.
        done = np.flatnonzero(later & same & (found < 0))
        found[done] = _find_row_before(frame, starters, rows[done])
        near = (found >= 0) & (anchor[rows] - frame.ts[np.maximum(found, 0)] <= window)
        cause[rows[near]] = found[near]
    # An error says when it happened, and a field left is what validates it: any input event counts here.
    for chosen, allowed in (
        ((kind == ERROR) & frame.column_equals("error_type", "validation"), causes | (kind == INPUT)),
        (kind == ERROR, causes),
    ):
        rows = np.flatnonzero(chosen & (cause < 0))
        candidates = np.flatnonzero(allowed)
        if len(rows) and len(candidates):
            found = _find_row_before(frame, candidates, rows)
            near = (found >= 0) & (frame.ts[rows] - frame.ts[np.maximum(found, 0)] <= config.reaction_window_ms)
            cause[rows[near]] = found[near]
    return _remove_later_answers(frame, cause, timed, config)


def _prefer_same_page(frame: Frame, starters: Ints, rows: Ints, found: Ints, since: Ints) -> Ints:
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
    before = pages.find_last_before(frame.visit[rows[at]] * count + frame.route[rows[at]], found[at])
    found = found.copy()
    found[at] = np.where((before >= 0) & (frame.ts[before] >= since[at]), before, found[at])
    return found


def _find_row_before(frame: Frame, chosen: Ints, rows: Ints) -> Ints:
    """Per row: the last of the chosen ascending rows of its visit that stands before it, -1 without one."""
    place = np.searchsorted(chosen, rows) - 1
    found = chosen[np.maximum(place, 0)]
    return np.where((place >= 0) & (frame.visit[found] == frame.visit[rows]), found, -1)


def _remove_later_answers(frame: Frame, cause: Ints, timed: Bools, config: Config) -> Ints:
    """An action that was answered is not answered again by a request of unknown duration that ends over 2 s later.

    The window of 10 s is wide because an answer may be slow; once the answer is there, what follows is the page's own
    doing (polling, a lost connection). A third party's answers and other measurements answer nothing here.
    """
    rows = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0) & ~frame.noise & (frame.third_party != 1))
    beside = _is_ambient_answer(frame, rows, cause)
    late = _find_late_answers(frame, rows, cause, config)
    late = late[is_among(late, rows[beside]) | is_among(late, _find_late_answers(frame, rows[~beside], cause, config))]
    cause = cause.copy()
    cause[late[~timed[late]]] = -1
    return cause


def _is_ambient_answer(frame: Frame, rows: Ints, cause: Ints) -> Bools:
    """Of answers those of an address that answers well without anybody asking, or when a page opens, and after what is done
    on one too: it is asked beside everything, and nobody waits for it.
    """
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & (frame.endpoint >= 0) & ~frame.noise
    came, base = np.flatnonzero(good), len(frame.endpoints) + 1
    group, by = frame.visit[came] * base + frame.endpoint[came], cause[came]
    kind = np.where(by >= 0, frame.kind[by], NAVIGATION)
    asked = equals_any(kind, CLICK, SUBMIT)
    beside = group[asked][is_among(group[asked], group[kind == NAVIGATION])]
    return np.asarray(good[rows] & is_among(frame.visit[rows] * base + frame.endpoint[rows], beside), dtype=np.bool_)


def _find_late_answers(frame: Frame, rows: Ints, cause: Ints, config: Config) -> Ints:
    """Of answers those that come over 2 s after another one of their interaction, and what follows them."""
    rows = rows[np.argsort(cause[rows], kind="stable")]
    first = mark_group_starts(cause[rows])
    before = np.append(0, frame.ts[rows][:-1])
    late = ~first & (frame.ts[rows] - before > config.reaction_window_ms)
    total = np.cumsum(late)
    begin = np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
    return rows[total - total[begin] > 0] if len(rows) else rows


def _assign_page_requests(frame: Frame, cause: Ints, begin: Ints) -> Ints:
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
        & (frame.ts[after] - frame.ts[rows] <= SHOWN_WITHIN_MS)
    )
    before = moves[np.maximum(np.searchsorted(moves, rows) - 1, 0)]
    opened = (
        (cause[rows] < 0)
        & (before < rows)
        & (frame.visit[before] == frame.visit[rows])
        & (frame.pattern[before] == page)
        & (np.abs(begin[rows] - frame.ts[before]) <= SHOWN_WITHIN_MS)
    )
    cause = cause.copy()
    cause[rows[opens]] = after[opens]
    cause[rows[opened]] = before[opened]
    return cause


def _chain_to_answers(frame: Frame, causes: Bools, cause: Ints, begin: Ints, config: Config) -> Ints:
    """What begins right after an attributed answer, with no interaction in between, belongs to the answer's
    action.

    An error in rendering a slow answer, and the request that follows a first one, are caused by the same
    click.
    """
    cause = cause.copy()
    answers = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0))
    rows = np.flatnonzero((cause < 0) & ((frame.kind == ERROR) | ((frame.kind == NETWORK) & (frame.duration > 0))))
    found = frame.find_last_until(answers, frame.visit[rows], begin[rows], near=rows)
    near = (found >= 0) & (found != rows) & (begin[rows] - frame.ts[found] <= config.chain_window_ms)
    rows, found = rows[near], found[near]
    latest = frame.find_last_until(np.flatnonzero(causes), frame.visit[rows], begin[rows], near=rows)
    chained = latest == cause[found]
    cause[rows[chained]] = cause[found[chained]]
    return _assign_drawing_errors(frame, cause, answers, config)


def _assign_drawing_errors(frame: Frame, cause: Ints, answers: Ints, config: Config) -> Ints:
    """An uncaught error right after an answer is one in drawing it, though another click came in between: a click's own
    code fails at once.
    """
    rows = np.flatnonzero((frame.kind == ERROR) & (cause >= 0) & ~frame.column_equals("error_type", "validation"))
    found = frame.find_last_until(answers, frame.visit[rows], frame.ts[rows])
    after = np.maximum(found, 0)
    drawn = (found >= 0) & (found < rows) & (frame.ts[rows] - frame.ts[after] <= config.chain_window_ms)
    drawn &= (cause[after] < cause[rows]) & (frame.ts[rows] - frame.ts[cause[rows]] > _OWN_CODE_MS)
    cause[rows[drawn]] = cause[found[drawn]]
    return cause


def _mark_invalid_submits(frame: Frame, negative: Small, cause: Ints) -> tuple[Small, Ints]:
    """A submit that the form itself found invalid is its own rejection."""
    rows = np.flatnonzero(frame.kind == SUBMIT)
    rows = rows[frame.flags.read_at("valid", rows) == 0]
    negative, cause = negative.copy(), cause.copy()
    negative[rows] = INVALID
    cause[rows] = rows
    return negative, cause


def _judge_aborted_requests(
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
    leaves = np.flatnonzero(leaving | (frame.is_last_row & (frame.kind == VISIBILITY)))
    near = frame.find_last_until(leaves, frame.visit[rows], frame.ts[rows] + 1_000)
    safe = np.maximum(near, 0)
    left = (near >= 0) & (np.abs(frame.ts[safe] - frame.ts[rows]) <= 1_000) & (frame.ts[safe] > begin[rows])
    left |= _is_awaited_to_end(frame, rows, cause)
    waited = (frame.ts[rows] - begin[rows] >= config.slow_ms) & (cause[rows] >= 0)
    at_once = left & (np.abs(frame.ts[safe] - frame.ts[rows]) <= 200) & (frame.aborted[rows] < 0)
    # A page that shows itself anew with the answer, by a navigation of no known kind, was not left.
    at_once &= ~(
        (frame.kind[safe] == NAVIGATION)
        & frame.column_equals("nav_type", "")[safe]
        & (frame.route[safe] == frame.route[rows])
        & (safe > rows)
    )
    negative[rows[at_once]] = NONE
    negative[rows[left & waited & ((frame.aborted[rows] == 1) | at_once)]] = SLOW
    return negative


def _is_awaited_to_end(frame: Frame, rows: Ints, cause: Ints) -> Bools:
    """Of aborted requests those after which nothing more was done: they went with the visit, whenever its end was told.

    Not where the same was answered well meanwhile: then it was another try that nobody waited for.
    """
    acted = np.flatnonzero(equals_any(frame.kind, CLICK, INPUT, SUBMIT, NAVIGATION))
    after = np.append(acted, len(frame))[np.searchsorted(acted, rows, "right")]
    final = (frame.aborted[rows] == 1) & (after >= frame.high[frame.visit[rows]])
    good = np.flatnonzero((frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & ~frame.noise)
    asked = frame.visit * (len(frame.endpoints) + 1) + frame.endpoint + 1
    low, high = Lookup(asked[good], good).find_span(asked[rows], np.maximum(cause[rows], 0), rows)
    return np.asarray(final & (high == low))


def _remove_repeated_failures(frame: Frame, negative: Small, cause: Ints) -> Small:
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


def _remove_page_telemetry(frame: Frame, negative: Small, cause: Ints, good: Bools, by_click: Ints) -> Small:
    """What a page sends while it opens is no part of it, as long as what it reads comes; a third party's never is.

    The click that opened the page and its navigation are one opening.
    """
    rows = np.flatnonzero((frame.kind == NETWORK) & (negative != NONE) & (cause >= 0))
    rows = rows[frame.kind[cause[rows]] == NAVIGATION]
    if len(rows):
        negative = negative.copy()
        came = cause[good & (cause >= 0)]
        click = by_click[cause[rows]]
        answered = is_among(cause[rows], came) | ((click >= 0) & is_among(click, came))
        telemetry = answered & ~frame.may_read[frame.endpoint[rows]]
        negative[rows[telemetry | (frame.third_party[rows] == 1)]] = NONE
    return negative


def _remove_answered_loading(frame: Frame, negative: Small, action: Ints, cause: Ints, good: Bools) -> Small:
    """A loading phase whose action was answered well is judged by that answer; its end may just not be
    reported.

    What was done in one instant (a second, where a clock knows no more) is one.
    """
    rows = np.flatnonzero((frame.kind == LOADING) & (negative == SLOW) & (cause >= 0))
    if len(rows):
        negative = negative.copy()
        by, answered = cause[rows], cause[good & (cause >= 0)]
        instant = np.asarray(np.cumsum(mark_group_starts(frame.visit, frame.ts)), dtype=np.int64)
        negative[rows[is_pair_among(instant[by], action[by], instant[answered], action[answered])]] = NONE
    return negative


def _find_progress_times(
    frame: Frame, causes: Bools, cause: Ints, negative: Small, attributed: Bools, config: Config
) -> Ints:
    """Per interaction: time of the push or link navigation to another page that it caused, -1 without one."""
    at = np.full(len(frame), -1, dtype=np.int64)
    moved = (frame.kind == NAVIGATION) & frame.column_equals("nav_type", "push", "link", "replace", "")
    rows = np.flatnonzero(moved)
    rows = rows[~frame.is_external_or_download(rows)]
    starters = np.flatnonzero((frame.kind == CLICK) | (frame.kind == SUBMIT))
    if not len(rows) or not len(starters):
        return at
    place = np.searchsorted(starters, rows) - 1
    found = starters[np.maximum(place, 0)]
    patient = (frame.kind[found] == SUBMIT) | frame.column_equals("nav_type", "")[rows]
    window = np.where(patient, config.network_end_window_ms, config.reaction_window_ms)
    answers = np.flatnonzero((frame.kind == NETWORK) & (cause >= 0))
    answer = frame.find_last_until(answers, frame.visit[rows], frame.ts[rows])
    answered = (answer >= 0) & (cause[np.maximum(answer, 0)] == found)
    since = np.where(answered, np.minimum(frame.ts[rows] - frame.ts[np.maximum(answer, 0)], 1_000), 1_001)
    near = (
        (place >= 0)
        & (frame.visit[found] == frame.visit[rows])
        & ((frame.ts[rows] - frame.ts[found] <= window) | (since < 1_000))
        & ((frame.route[found] != frame.route[rows]) | _is_posted_back(frame, found, rows, attributed, config))
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


def _is_posted_back(frame: Frame, found: Ints, rows: Ints, attributed: Bools, config: Config) -> Bools:
    """Per navigation and submit: whether a form that is sent to its own page had that page served again, and no failure
    came with it.
    """
    bad = np.append(np.flatnonzero(attributed), len(frame) - 1)
    after = bad[np.minimum(np.searchsorted(bad, rows), len(bad) - 1)]
    failed = attributed[after] & (after > rows) & (frame.visit[after] == frame.visit[rows])
    failed &= frame.ts[after] - frame.ts[rows] <= config.page_load_ms
    soon = frame.ts[rows] - frame.ts[found] <= config.page_load_ms
    return np.asarray((frame.kind[found] == SUBMIT) & soon & ~failed, dtype=np.bool_)
