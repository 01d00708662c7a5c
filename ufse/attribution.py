"""Which interaction caused which feedback, and which feedback is evidence (docs/contracts/detection.md, Attribution)."""

from dataclasses import dataclass, replace

import numpy as np

from ufse.actions import UserActions, add_failing_steps, find_user_actions, merge_repeated_actions
from ufse.arrays import Bools, Ints, Lookup, Small, equals_any, is_among, is_pair_among, mark_group_starts
from ufse.background import Background, find_background
from ufse.causes import Causes, find_causes
from ufse.config import Config
from ufse.constant_lags import add_constant_lags
from ufse.dead_controls import mark_missing_answers
from ufse.exempted import remove_exempt_answers
from ufse.feedback import CRASH, INVALID, NONE, RETURNED, SILENT, SLOW, classify_feedback
from ufse.frame import Frame
from ufse.harmless_errors import remove_accepted_errors, remove_unload_errors, remove_wandering_errors
from ufse.late_answers import add_late_causes
from ufse.lookups import remove_lookups
from ufse.rows import merge_crashing_rows, merge_row_actions
from ufse.sent_back import SentBack, find_sent_back
from ufse.sessions import CLICK, END, INPUT, LOADING, NAVIGATION, NETWORK, SUBMIT, VISIBILITY
from ufse.slowness import remove_normal_slowness


@dataclass(frozen=True)
class Attribution:
    """What was attributed; every array has one entry per event of the frame."""

    action: Ints
    """Per interaction: its action, packed (pattern, target); else -1. A click and the submit that it causes share one action.
    So do a click that opened a page and a control on that page that repeats the failed request.
    """
    meaningful: Bools
    """A click on a control, a form submit, the navigation that a click on a control made, or a reload."""
    user_navigation: Bools
    """A navigation that a person made."""
    cause: Ints
    """Per feedback event: row of the interaction that caused it, -1 if none."""
    begin: Ints
    """When the feedback's request began; its own time where no duration is known. Epoch ms."""
    negative: Small
    """Kind of negative feedback, background excluded, attributed or not."""
    attributed: Bools
    """Negative feedback with a cause: evidence."""
    success: Bools
    """A request answered 2xx or 3xx that is not a preflight."""
    background: Bools
    """Feedback that is background; never evidence."""
    shared: Bools
    """Requests to an address that serves everything (GraphQL): a success counts for its own action only."""
    lonely: Bools
    """Feedback of an endpoint that answers one single action in its visit, unlike beacons and menus."""
    step: Bools
    """Clicks on a "next" that sends a form, or that fails most times: a step, not paging."""
    progress: Bools
    """Per interaction: it caused a push or link navigation to another page, and had no failure itself."""
    progress_at: Ints
    """Time of that navigation, epoch ms; -1 without one."""
    sent_back: Bools
    """Per click and submit: whether its form was sent back (``ufse.sent_back``); it is no success, whatever the page did."""
    by_click: Ints
    """Per navigation: row of the click or submit that made it; -1 without one."""

    def trim_for_explanation(self) -> "Attribution":
        """The same without what only the rules read, see ``Frame.trim_for_explanation``."""
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
            sent_back=bools,
            by_click=ints,
        )


def attribute_feedback(frame: Frame, config: Config) -> Attribution:
    """Attributes every feedback event of the frame; works on whole columns."""
    actions = find_user_actions(frame, config)
    negative, causes = _find_causes_of_answers(frame, actions, config)
    negative, causes = _mark_invalid_submits(frame, negative, causes)
    negative = _judge_aborted_requests(frame, negative, causes, actions.user_navigation, config)
    negative = remove_unload_errors(frame, remove_lookups(frame, negative, causes.cause), actions)
    negative = remove_wandering_errors(frame, negative, actions.action, causes.cause)
    actions = _merge_rows(frame, actions, causes.cause, negative != NONE)
    negative = remove_normal_slowness(frame, negative, causes.cause, config)
    background = find_background(frame, actions, causes, negative, config)
    success = _is_success(frame)
    negative, causes = mark_missing_answers(frame, actions, causes, background, negative, config)
    negative = _keep_evidence(frame, negative, actions, causes.cause, background, success)
    own = success & ~background.background & background.lonely
    negative = remove_accepted_errors(frame, negative, actions.action, causes.cause, own, config)
    sent_back = find_sent_back(frame, actions, negative, causes.cause, background.background, config)
    negative, causes = _mark_sent_back(negative, causes, sent_back)
    success &= ~is_among(causes.cause, sent_back.presses)
    attributed = (negative != NONE) & (causes.cause >= 0)
    actions = _add_steps(frame, actions, causes.cause, negative, success, config)
    progress_at = _find_progress_times(frame, causes.cause, negative, attributed, config)
    progress_at[sent_back.presses] = -1
    return Attribution(
        action=merge_repeated_actions(frame, actions.action, causes.cause, attributed & ~background.shared),
        meaningful=actions.meaningful,
        user_navigation=actions.user_navigation,
        cause=causes.cause,
        begin=causes.begin,
        negative=negative,
        attributed=attributed,
        success=success & ~background.background,
        background=background.background,
        shared=background.shared,
        lonely=background.lonely,
        step=actions.step,
        progress=progress_at >= 0,
        progress_at=progress_at,
        sent_back=sent_back.mark_presses(len(frame)),
        by_click=actions.by_click,
    )


def _add_steps(
    frame: Frame, actions: UserActions, cause: Ints, negative: Small, success: Bools, config: Config
) -> UserActions:
    """``actions``, where a "next" that fails most times, never answers or is sent back is a step."""
    failing = cause[(negative != NONE) & (cause >= 0) & (negative != SLOW)]
    lacking = np.flatnonzero(equals_any(negative, SILENT, RETURNED))
    return add_failing_steps(frame, actions, failing, cause[success & (cause >= 0)], lacking, config)


def _merge_rows(frame: Frame, actions: UserActions, cause: Ints, failed: Bools) -> UserActions:
    """``actions``, where the rows of a list that fail alike have one action."""
    action = merge_row_actions(frame, actions.action, cause, failed)
    return replace(actions, action=merge_crashing_rows(frame, action, cause, failed, actions.by_click))


def _mark_sent_back(negative: Small, causes: Causes, sent_back: SentBack) -> tuple[Small, Causes]:
    """A try that was sent back is its own feedback."""
    if not len(sent_back.evidence):
        return negative, causes
    negative, cause = negative.copy(), causes.cause.copy()
    negative[sent_back.evidence], cause[sent_back.evidence] = RETURNED, sent_back.evidence
    return negative, replace(causes, cause=cause)


def _is_success(frame: Frame) -> Bools:
    """Per event: a request answered 2xx or 3xx that is neither noise nor aborted."""
    good = (frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400)
    return np.asarray(good & ~frame.noise & ~frame.unseen & (frame.aborted != 1), dtype=np.bool_)


def _keep_evidence(
    frame: Frame, negative: Small, actions: UserActions, cause: Ints, background: Background, success: Bools
) -> Small:
    """``negative`` without background, repeats, page telemetry and loading phases that were answered."""
    negative = np.where(background.background, np.int8(NONE), negative)
    negative = _remove_repeated_failures(frame, negative, cause)
    negative = _remove_page_telemetry(frame, negative, cause, success, actions.by_click)
    answered = success & ~background.background & background.lonely
    return _remove_answered_loading(frame, negative, actions.action, cause, answered)


def _find_causes_of_answers(frame: Frame, actions: UserActions, config: Config) -> tuple[Small, Causes]:
    """The kind of negative feedback of each event by itself, without what projects except; and its cause, however late."""
    negative = classify_feedback(frame, config)
    causes = add_late_causes(frame, actions, find_causes(frame, actions.causing, config), config)
    causes = add_constant_lags(frame, actions, causes, negative, config)
    return remove_exempt_answers(frame, negative, causes.cause, config), causes


def _mark_invalid_submits(frame: Frame, negative: Small, causes: Causes) -> tuple[Small, Causes]:
    """A submit that the form itself found invalid is its own rejection."""
    rows = np.flatnonzero(frame.kind == SUBMIT)
    rows = rows[frame.source.read_at("valid", rows) == 0]
    negative, cause = negative.copy(), causes.cause.copy()
    negative[rows] = INVALID
    cause[rows] = rows
    return negative, replace(causes, cause=cause)


def _judge_aborted_requests(
    frame: Frame, negative: Small, causes: Causes, user_navigation: Bools, config: Config
) -> Small:
    """``negative``: aborted requests do not count, except one for which the user waited before leaving: that is slow.

    A request without an answer that ends with the page that made it was aborted, even if the collector did not report it.
    """
    cause, begin = causes.cause, causes.begin
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
    # A navigation of unknown type to the same page shows the answer; the user did not leave.
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
    """Per aborted request: whether the user did nothing after it, so that it ended with the visit.

    False where the same request was answered well meanwhile: then nobody waited for this attempt.
    """
    acted = np.flatnonzero(equals_any(frame.kind, CLICK, INPUT, SUBMIT, NAVIGATION))
    after = np.append(acted, len(frame))[np.searchsorted(acted, rows, "right")]
    final = (frame.aborted[rows] == 1) & (after >= frame.high[frame.visit[rows]])
    good = np.flatnonzero((frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & ~frame.noise)
    asked = frame.visit * (len(frame.endpoints) + 1) + frame.endpoint + 1
    low, high = Lookup(asked[good], good).find_span(asked[rows], np.maximum(cause[rows], 0), rows)
    return np.asarray(final & (high == low))


def _remove_repeated_failures(frame: Frame, negative: Small, cause: Ints) -> Small:
    """``negative`` with one failure per interaction and endpoint: the application repeated the others by itself."""
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
    """``negative`` without what a page sends while it opens, if what it reads was answered; a third party's never counts.

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
    """``negative`` without loading phases whose action was answered well: the end of the phase may be unreported.

    Interactions of one instant (one second, if times are whole seconds) count as one.
    """
    rows = np.flatnonzero((frame.kind == LOADING) & (negative == SLOW) & (cause >= 0))
    if len(rows):
        negative = negative.copy()
        by, answered = cause[rows], cause[good & (cause >= 0)]
        instant = np.asarray(np.cumsum(mark_group_starts(frame.visit, frame.ts)), dtype=np.int64)
        negative[rows[is_pair_among(instant[by], action[by], instant[answered], action[answered])]] = NONE
    return negative


def _find_progress_times(frame: Frame, cause: Ints, negative: Small, attributed: Bools, config: Config) -> Ints:
    """Per interaction: time of the push or link navigation to another page that it caused (epoch ms), -1 without one."""
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
    # A crash before the answer did not prevent the answer, nor the navigation.
    status = frame.status[np.maximum(answer, 0)]
    good = answered & (since < 1_000) & (status >= 200) & (status < 400)
    near &= ~failed[found] & ((crashed[found] < 0) | (good & (crashed[found] < answer)))
    at[found[near]] = frame.ts[rows[near]]
    return at


def _is_posted_back(frame: Frame, found: Ints, rows: Ints, attributed: Bools, config: Config) -> Bools:
    """Per navigation in ``rows`` and its starter in ``found``: whether a submitted form's own page was served again without
    a failure.
    """
    bad = np.append(np.flatnonzero(attributed), len(frame) - 1)
    after = bad[np.minimum(np.searchsorted(bad, rows), len(bad) - 1)]
    failed = attributed[after] & (after > rows) & (frame.visit[after] == frame.visit[rows])
    failed &= frame.ts[after] - frame.ts[rows] <= config.page_load_ms
    soon = frame.ts[rows] - frame.ts[found] <= config.page_load_ms
    return np.asarray((frame.kind[found] == SUBMIT) & soon & ~failed, dtype=np.bool_)
