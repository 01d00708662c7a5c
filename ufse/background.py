"""What is background: recognised by how its endpoint or message behaves in the visit (detection.md, Attribution)."""

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    Lookup,
    Small,
    any_by_owner,
    count_distinct_by_owner,
    equals_any,
    is_among,
    mark_group_starts,
    max_by_owner,
    pack_pairs,
    sort_unique,
)
from ufse.config import Config
from ufse.feedback import INVALID, NONE, SHOWN_WITHIN_MS
from ufse.frame import PAGE, Frame
from ufse.sessions import (
    CLICK,
    INPUT,
    NAVIGATION,
    NETWORK,
    SUBMIT,
)

_REFUSED_AT_ONCE_MS = 1_000
"""Own choice: a request that was not answered and ended sooner was refused on the user's own machine."""


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
    first = mark_group_starts(frame.visit[rows], frame.endpoint[rows])
    group = np.cumsum(first) - 1
    groups = int(group[-1]) + 1
    fired = cause[rows] >= 0
    failed = negative[rows] != NONE
    known = frame.endpoint_known[frame.endpoint[rows]]
    repeats = _is_automatic_repeat(frame, rows, first, fired, failed, begin, config)
    alone = ~fired & ~repeats & (known | failed)
    alone[alone] = ~_is_page_load(frame, rows[alone], begin, config)
    lone = np.bincount(group[alone], minlength=groups)
    # Failures that no address tells apart are of many things: they are background as one only where most are.
    identified = known[np.flatnonzero(first)]
    spontaneous = (lone > 0) & (identified | (2 * lone >= np.bincount(group[fired & failed], minlength=groups)))
    # What nearly always starts right after one single action is that action's, though a repetition went unrecognised.
    timed = np.bincount(group[frame.duration[rows] <= 0], minlength=groups) == 0
    answering = np.bincount(group[fired], minlength=groups)
    answers = _count_distinct_actions(group, groups, action[np.maximum(cause[rows], 0)], fired)
    spontaneous &= ~(timed & (answers == 1) & (4 * lone <= answering))
    validation = (negative == INVALID)[rows]
    ambient = _find_unrelated_groups(frame, rows, group, groups, action, cause, failed, known, config)
    # How many interactions each group failed.
    tried = _count_distinct_actions(group, groups, cause[rows], fired & failed)
    long = failed & fired & (frame.ts[rows] - begin[rows] >= config.slow_ms)
    # Pressing again what hangs is trying it again.
    tried_again = tried + any_by_owner(group[long], _is_pressed_again(frame, rows[long], action, cause), groups)
    spared = _find_shared_addresses(frame, rows, group, groups, action, cause, failed, alone, answers, tried_again)
    third = np.bincount(group[frame.third_party[rows] == 1], minlength=groups) > 0
    several = answers > 1
    lonely[rows] = (answers == 1)[group]
    vague = _find_vague_groups(frame, rows, group, groups, cause, third)
    often = np.bincount(group, minlength=groups) > 10
    causing = _count_distinct_actions(group, groups, cause[rows], fired & often[group])
    clocked = _find_clocked_groups(frame, rows, first, group, groups, cause, begin, answers, config)
    flood = often & (np.bincount(group[~repeats], minlength=groups) > 3 * np.maximum(causing, 1))
    # A provider that an action needs fails it each time it is tried; a single failure may be any tag's.
    single = tried < 2
    # A blocker refuses at once; a provider that is down answers badly or keeps one waiting.
    badly_answered = failed & ((frame.status[rows] > 0) | (frame.duration[rows] >= _REFUSED_AT_ONCE_MS))
    refused = np.bincount(group[badly_answered], minlength=groups) == 0
    tag = third & (several | vague | single | refused)
    quiet = ((spontaneous | ambient) & ~spared) | tag | flood | (clocked & ~spared)
    background[rows] |= np.where(validation, spontaneous[group] & ~fired, quiet[group])
    background[rows] |= _is_autosave_request(frame, rows, group, action, cause, config) & known & ~validation
    failing = any_by_owner(group, failed & known & frame.may_read[frame.endpoint[rows]], groups)
    other = np.flatnonzero(failing[group])
    elsewhere = any_by_owner(group[other], alone[other] | _is_page_load(frame, rows[other], begin, config), groups)
    other = other[elsewhere[group[other]]]
    background[rows[other]] |= _is_caused_by_chance(frame, rows[other], group[other], action, cause, config)
    background[rows[repeats & ~fired]] |= failed[repeats & ~fired]
    good = ~failed & spared[group]
    opening = np.bincount(group[good][_is_page_load(frame, rows[good], begin, config)], minlength=groups) > 0
    shared[rows] = (spared & ((answers > 2) | spontaneous | opening))[group] & ~frame.only_reads[frame.endpoint[rows]]
    return background, shared, lonely


def _find_vague_groups(frame: Frame, rows: Ints, group: Ints, groups: int, cause: Ints, asked: Bools) -> Bools:
    """Of the groups that are asked about: those that answer a click or submit on a target of which only the type is known."""
    at = np.flatnonzero((cause[rows] >= 0) & asked[group])
    by = cause[rows[at]]
    nameless = np.array([t.nameless for t in frame.targets], dtype=np.bool_)[frame.target[by]]
    return any_by_owner(group[at], nameless & equals_any(frame.kind[by], CLICK, SUBMIT), groups)


def _is_autosave_request(frame: Frame, rows: Ints, group: Ints, action: Ints, cause: Ints, config: Config) -> Bools:
    """Requests that go out again and again while one field is typed in (autosave, presence): nobody waits for them."""
    by = np.maximum(cause[rows], 0)
    width, base = int(action.max(initial=0)) + 2, len(frame) + 1
    typing = np.flatnonzero((cause[rows] >= 0) & (frame.kind[by] == INPUT) & (frame.kind[rows] == NETWORK))
    once = sort_unique((group[typing] * width + action[by[typing]]) * base + by[typing]) // base
    first = mark_group_starts(once)
    begin = np.flatnonzero(first)
    often = once[begin][np.diff(np.append(begin, len(once))) >= config.unrelated_actions]
    if not len(often):
        return np.zeros(len(rows), dtype=np.bool_)
    return (cause[rows] >= 0) & is_among(group * width + action[by], often)


def _is_caused_by_chance(frame: Frame, rows: Ints, group: Ints, action: Ints, cause: Ints, config: Config) -> Bools:
    """Requests that only few of an action's clicks seemed to cause: they fell beside it by chance.

    Clicks made while such a request was pending may wait for it, and are not counted.
    """
    clicked = (cause[rows] >= 0) & (frame.kind[np.maximum(cause[rows], 0)] == CLICK)
    at, by = rows[clicked], cause[rows][clicked]
    clicks = np.flatnonzero(frame.kind == CLICK)
    base = int(action.max(initial=0)) + 2
    clicks_by_action = Lookup(frame.visit[clicks] * base + action[clicks], clicks)
    action_key = frame.visit[by] * base + action[by]
    low, high = clicks_by_action.find_span(action_key, frame.low[frame.visit[by]], frame.high[frame.visit[by]])
    begun, ended = clicks_by_action.find_span(action_key, by + 1, at)
    pair, number = np.unique(pack_pairs(group[clicked], action[by], base), return_inverse=True)
    size = len(pair)
    asked = count_distinct_by_owner(number, by, size)
    waiting = np.bincount(number, weights=ended - begun, minlength=size)
    presses = max_by_owner(number, high - low, size, 0) - waiting
    found = np.zeros(len(rows), dtype=np.bool_)
    found[clicked] = (presses >= config.clicks_per_request * asked)[number]
    return found


def _find_clocked_groups(
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
    paced = any_by_owner(group, even, groups)
    if not paced.any():
        return paced
    lag = np.where(cause[rows] >= 0, begin[rows] - frame.ts[np.maximum(cause[rows], 0)], 0)
    heads_at = np.flatnonzero(first)
    low = np.minimum.reduceat(lag, heads_at)
    high = np.maximum(np.maximum.reduceat(lag, heads_at), 0)
    # A patient person tries again at an even pace too: what always follows one single action at once is that action's.
    single_action = (answers == 1) & ~any_by_owner(group, cause[rows] < 0, groups) & (high <= config.reaction_window_ms)
    return np.asarray(paced & (high - low > 250) & ~single_action, dtype=np.bool_)


def _is_automatic_repeat(
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


def _is_page_load(frame: Frame, rows: Ints, begin: Ints, config: Config) -> Bools:
    """What begins within 2 s of the visit's first event or of any navigation belongs to a page being
    opened.
    """
    opening = frame.kind == NAVIGATION
    opening[frame.is_first_row] = True
    found = frame.find_last_until(np.flatnonzero(opening), frame.visit[rows], np.maximum(begin[rows], 0), near=rows)
    early = found < 0
    return np.asarray(early | (begin[rows] - frame.ts[np.maximum(found, 0)] <= config.page_load_ms), dtype=np.bool_)


def _count_distinct_actions(group: Ints, groups: int, action: Ints, chosen: Bools) -> Ints:
    """How many distinct actions each group's chosen rows answer."""
    at = np.flatnonzero(chosen)
    if not len(at):
        return np.zeros(groups, dtype=np.int64)
    base = int(action.max()) + 2
    pairs = sort_unique(group[at] * base + action[at])
    return np.asarray(np.bincount(pairs // base, minlength=groups), dtype=np.int64)


def _find_unrelated_groups(
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
    blank = ~any_by_owner(group, ~failed | (frame.status[rows] != 0), groups)
    # Blocked by an extension or the network, whatever was done; what no address tells apart is of many things.
    blank &= any_by_owner(group, known, groups)
    counted = (cause[rows] >= 0) & (known | failed)
    # Groups of few answers cannot be of many actions: most are, and need not be looked at.
    many = np.bincount(group[counted], minlength=groups) >= config.unrelated_actions
    at = np.flatnonzero((counted & many[group]) | blank[group])
    rows, group, counted = rows[at], group[at], counted[at]
    by = np.maximum(cause[rows], 0)
    typed = frame.kind[by] == INPUT
    related = _merge_related_actions(frame, action[by])
    opening, page = _find_page_openings(frame, rows, by)
    opening &= cause[rows] >= 0
    acted = _count_distinct_actions(group, groups, related, counted & ~typed)
    related = np.where(opening, int(related.max(initial=0)) + 1 + page, related)
    acted = np.minimum(acted, _count_distinct_actions(group, groups, related, counted & ~typed))
    touched = _count_distinct_actions(group, groups, action[by], counted & typed)
    purposes = _count_purposes(frame, group, groups, related, opening, page, blank[group] & counted & ~typed)
    unreachable = blank & (purposes >= 2)
    unreachable |= blank & _find_refused_groups(frame, rows, group, groups, blank, config)
    return np.asarray((acted >= config.unrelated_actions) | (touched >= config.unrelated_actions) | unreachable)


def _find_refused_groups(frame: Frame, rows: Ints, group: Ints, groups: int, blank: Bools, config: Config) -> Bools:
    """Groups without any answer that each go out when a page has just been shown: where there are several addresses of that
    sort and several such pages in a visit, what is refused there is refused everywhere (a blocker and its beacons).
    """
    at = np.flatnonzero(blank[group])
    rows, group = rows[at], group[at]
    shown = frame.find_last_until(
        np.flatnonzero(frame.kind == NAVIGATION), frame.visit[rows], frame.ts[rows], near=rows
    )
    apart = (shown < 0) | (frame.ts[rows] - frame.ts[np.maximum(shown, 0)] > SHOWN_WITHIN_MS)
    only = ~any_by_owner(group, apart, groups)
    own = only[group]
    visits = len(frame.low)
    pages = count_distinct_by_owner(frame.visit[rows[own]], shown[own], visits)
    addresses = count_distinct_by_owner(frame.visit[rows[own]], group[own], visits)
    many = (pages >= config.unrelated_actions) & (addresses > 1)
    return np.asarray(only & any_by_owner(group, many[frame.visit[rows]], groups), dtype=np.bool_)


def _count_purposes(
    frame: Frame, group: Ints, groups: int, related: Ints, opening: Bools, page: Ints, chosen: Bools
) -> Ints:
    """How many wishes each group's chosen rows answer. A control that asks again for what its page asked when it was opened
    is the same wish.
    """
    if not chosen.any():
        return np.zeros(groups, dtype=np.int64)
    shown = group * len(frame.patterns) + page
    purpose = np.where(is_among(shown, shown[opening]), page, len(frame.patterns) + related)
    return _count_distinct_actions(group, groups, purpose, chosen)


def _find_page_openings(frame: Frame, rows: Ints, by: Ints) -> tuple[Bools, Ints]:
    """Per feedback and its interaction: whether that opened a page, by a control elsewhere, a reload or a typed address;
    and the page's pattern. However a page was opened, its opening is one thing.
    """
    moved = frame.kind[by] == NAVIGATION
    page = np.where(moved, frame.pattern[by], frame.pattern[rows])
    # What came late, when the person had gone back or reloaded, opened nothing.
    shown = frame.find_last_until(
        np.flatnonzero(frame.kind == NAVIGATION), frame.visit[rows], frame.ts[rows], near=rows
    )
    back = (shown > by) & frame.column_equals("nav_type", "back_forward", "reload", rows=np.maximum(shown, 0))
    page = np.where(~moved & back, frame.pattern[by], page)
    return moved | ((frame.kind[by] != INPUT) & (frame.pattern[by] != page)), page


def _merge_related_actions(frame: Frame, action: Ints) -> Ints:
    """What stands for each interaction's action among "unrelated" ones. The same named control on several pages is one,
    as a menu's link is; pages, and controls of which only the type is known, are others on every page.
    """
    count = max(len(frame.targets), 1)
    target = action % count
    nameless = np.array([t.nameless for t in frame.targets], dtype=np.bool_)
    named = (target != PAGE) & ~nameless[target]
    return np.where(named & (action >= 0), target, action + count)


def _is_pressed_again(frame: Frame, rows: Ints, action: Ints, cause: Ints) -> Bools:
    """Per request: whether its control was clicked again while it was pending: the clicks waited for it."""
    clicks, by, base = np.flatnonzero(frame.kind == CLICK), cause[rows], int(action.max(initial=0)) + 2
    clicks_by_action = Lookup(frame.visit[clicks] * base + action[clicks], clicks)
    begun, ended = clicks_by_action.find_span(frame.visit[by] * base + action[by], by + 1, rows)
    return np.asarray(ended > begun, dtype=np.bool_)


def _find_shared_addresses(
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
    failing = _count_distinct_actions(group, groups, action[by], fired & failed)
    request = frame.kind[rows] == NETWORK
    down = np.bincount(group[failed & alone], minlength=groups)
    good = np.bincount(group[~failed], minlength=groups)
    errors = np.bincount(group[~request], minlength=groups)
    spared = (failing >= 1) & (failing <= 2) & (tried > failing) & (down + errors == 0) & (answers >= 1) & (good > 0)
    return np.asarray(spared, dtype=np.bool_)
