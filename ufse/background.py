"""What is background: recognised by how an endpoint or message behaves in the visit (docs/contracts/detection.md)."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from ufse.actions import UserActions
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
from ufse.autosave import is_autosave_request
from ufse.causes import Causes
from ufse.config import Config
from ufse.elsewhere import apply_endpoint_history
from ufse.feedback import INVALID, NONE, SHOWN_WITHIN_MS
from ufse.frame import Frame
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT
from ufse.sporadic import find_sporadic_requests, is_unknown_answer
from ufse.target_codes import PAGE

_ASKED_TIMES = 3
"""So many failures that follow one control at once are no coincidence (own choice)."""

_REFUSED_AT_ONCE_MS = 1_000
"""An unanswered request that ended sooner was refused on the user's own machine (own choice)."""


@dataclass(frozen=True)
class Background:
    """Per event of the frame: is it background, and how its endpoint behaves."""

    background: Bools
    """Feedback that is background, noise included."""
    shared: Bools
    """Requests to an address that serves everything (GraphQL)."""
    lonely: Bools
    """Feedback of an endpoint that answers one single action in its visit."""


@dataclass(frozen=True)
class Requests:
    """Requests and errors with an endpoint, noise excluded: one entry each, ordered by group, then time.

    A group is one endpoint in one visit.
    """

    row: Ints
    """Row of the frame."""
    group: Ints
    """Number of the group; ascending."""
    cause: Ints
    """Row of the interaction that caused it, -1 if none."""
    action: Ints
    """Packed action of that interaction; meaningless without a cause."""
    begin: Ints
    """When it began, epoch ms."""
    failed: Bools
    """Whether it is negative feedback."""
    known: Bools
    """Whether a URL or message identifies it."""
    size: int
    """Number of groups."""

    @cached_property
    def fired(self) -> Bools:
        """Whether an interaction caused it."""
        return np.asarray(self.cause >= 0, dtype=np.bool_)

    @cached_property
    def by(self) -> Ints:
        """Row of its interaction; 0 without one, so that it can index."""
        return np.maximum(self.cause, 0)

    @cached_property
    def first(self) -> Bools:
        """Whether it is the first of its group."""
        return mark_group_starts(self.group)

    def take_requests(self, chosen: Bools | Ints) -> "Requests":
        """Some of them; the groups keep their numbers."""
        columns: dict[str, Ints] = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "size"}
        return Requests(**columns, size=self.size)  # type: ignore[arg-type]

    def count_by_group(self, chosen: Bools) -> Ints:
        """Per group: how many of the chosen ones it has."""
        return np.bincount(self.group[chosen], minlength=self.size)

    def any_by_group(self, chosen: Bools) -> Bools:
        """Per group: whether any of the chosen ones is in it."""
        return any_by_owner(self.group, chosen, self.size)

    def count_values_by_group(self, value: Ints, chosen: Bools) -> Ints:
        """Per group: how many distinct values (not below -1) its chosen entries have."""
        at = np.flatnonzero(chosen)
        if not len(at):
            return np.zeros(self.size, dtype=np.int64)
        base = int(value.max()) + 2
        pairs = sort_unique(self.group[at] * base + value[at])
        return np.asarray(np.bincount(pairs // base, minlength=self.size), dtype=np.int64)


class Clicks:
    """The clicks of the frame by their action."""

    def __init__(self, frame: Frame, action: Ints) -> None:
        """``action``: packed action of each event of the frame."""
        rows = np.flatnonzero(frame.kind == CLICK)
        self._visit, self.action = frame.visit, action
        self.base = int(action.max(initial=0)) + 2
        """Above every packed action."""
        self._by_action = Lookup(frame.visit[rows] * self.base + action[rows], rows)

    def count_between(self, like: Ints, since: Ints, until: Ints) -> Ints:
        """Per row ``like``: the clicks of its visit and action that stand in the rows since ≤ row < until."""
        begin, end = self._by_action.find_span(self._visit[like] * self.base + self.action[like], since, until)
        return end - begin


@dataclass(frozen=True)
class _Behaviour:
    """How requests and groups behave. What is alone or repeats has one entry per request, the rest one per group."""

    repeats: Bools
    """Per request: the application sent it again by itself."""
    alone: Bools
    """Per request: nothing caused it: no interaction, no repetition, no page that opened."""
    spontaneous: Bools
    """Groups that fire without an action."""
    answers: Ints
    """Distinct actions that the group answers."""
    tried: Ints
    """Interactions that the group failed."""
    spared: Bools
    """Groups of an address that serves everything, where single actions failed: not background as a whole."""


def find_background(frame: Frame, actions: UserActions, causes: Causes, negative: Small, config: Config) -> Background:
    """Feedback that is background, recognised by how its endpoint or message behaves in the visit, not by its name.

    ``negative``: kind of negative feedback of each event of the frame.
    """
    background = frame.noise.copy()
    shared, lonely = np.zeros(len(frame), dtype=np.bool_), np.zeros(len(frame), dtype=np.bool_)
    rows = np.flatnonzero((frame.endpoint >= 0) & ~frame.noise)
    if not len(rows):
        return Background(background, shared, lonely)
    requests, clicks = _group_requests(frame, rows, actions, causes, negative), Clicks(frame, actions.action)
    found = _describe_behaviour(frame, requests, clicks, config)
    rows, group = requests.row, requests.group
    validation = (negative == INVALID)[rows]
    quiet = _find_quiet_groups(frame, requests, found, config)[group]
    timed = requests.count_by_group(frame.duration[rows] <= 0) == 0
    certain = timed & (found.answers == 1) & (found.tried >= _ASKED_TIMES) & ~requests.any_by_group(found.alone)
    certain = (certain | found.spared)[group]
    quiet_rows = apply_endpoint_history(frame, rows, _find_failing_actions(requests), quiet, certain)
    quiet_rows = quiet_rows & ~is_unknown_answer(frame, rows, requests.by, requests.fired & ~requests.known)
    background[rows] |= np.where(validation, found.spontaneous[group] & ~requests.fired, quiet_rows)
    background[rows] |= (
        is_autosave_request(frame, requests.row, requests.group, requests.cause, clicks.action, config)
        & requests.known
        & ~validation
    )
    background[rows] |= find_sporadic_requests(frame, requests, actions.action)
    other = _find_requests_elsewhere(frame, requests, found, config)
    background[rows[other]] |= _is_caused_by_chance(frame, requests.take_requests(other), clicks, config)
    repeats = found.repeats & ~requests.fired
    background[rows[repeats]] |= requests.failed[repeats]
    lonely[rows] = (found.answers == 1)[group]
    shared[rows] = _find_shared_groups(frame, requests, found, config)[group]
    shared[rows] &= ~frame.only_reads[frame.endpoint[rows]]
    return Background(background, shared, lonely)


def _group_requests(frame: Frame, rows: Ints, actions: UserActions, causes: Causes, negative: Small) -> Requests:
    count = int(frame.endpoint.max()) + 1
    order = np.argsort(frame.visit[rows] * count + frame.endpoint[rows], kind="stable")
    rows = rows[order]
    group = np.cumsum(mark_group_starts(frame.visit[rows], frame.endpoint[rows])) - 1
    cause = causes.cause[rows]
    return Requests(
        row=rows,
        group=group,
        cause=cause,
        action=actions.action[np.maximum(cause, 0)],
        begin=causes.begin[rows],
        failed=negative[rows] != NONE,
        known=frame.endpoint_known[frame.endpoint[rows]],
        size=int(group[-1]) + 1,
    )


def _describe_behaviour(frame: Frame, requests: Requests, clicks: Clicks, config: Config) -> _Behaviour:
    rows, fired, failed, known = requests.row, requests.fired, requests.failed, requests.known
    repeats = _is_automatic_repeat(frame, requests, config)
    alone = ~fired & ~repeats & (known | failed)
    alone[alone] = ~_is_page_load(frame, requests.take_requests(alone), config)
    lone = requests.count_by_group(alone)
    # Failures without a URL or message are of many kinds: they are background as a whole only if most are.
    identified = known[np.flatnonzero(requests.first)]
    spontaneous = (lone > 0) & (identified | (2 * lone >= requests.count_by_group(fired & failed)))
    # A group that nearly always starts right after one single action is that action's, despite unrecognised repeats.
    timed = requests.count_by_group(frame.duration[rows] <= 0) == 0
    answers = requests.count_values_by_group(requests.action, fired)
    spontaneous &= ~(timed & (answers == 1) & (4 * lone <= requests.count_by_group(fired)))
    tried = requests.count_values_by_group(requests.cause, fired & failed)
    spared = _find_shared_addresses(frame, requests, clicks, alone, config)
    return _Behaviour(repeats, alone, spontaneous, answers, tried, spared)


def _find_quiet_groups(frame: Frame, requests: Requests, found: _Behaviour, config: Config) -> Bools:
    """Groups that are background as a whole: spontaneous, unrelated to actions, a third party's tag, a flood, clocked."""
    rows, group = requests.row, requests.group
    ambient = _find_unrelated_groups(frame, requests, config)
    third = requests.count_by_group(frame.third_party[rows] == 1) > 0
    vague = _find_vague_groups(frame, requests, third)
    often = np.bincount(group, minlength=requests.size) > 10
    causing = requests.count_values_by_group(requests.cause, requests.fired & often[group])
    clocked = _find_clocked_groups(frame, requests, found.answers, config)
    flood = often & (requests.count_by_group(~found.repeats) > 3 * np.maximum(causing, 1))
    # A provider that an action needs fails it at each attempt; a single failure may be any tag's.
    single = found.tried < 2
    # A blocker refuses at once; a provider that is down answers badly or delays.
    badly_answered = requests.failed & ((frame.status[rows] > 0) | (frame.duration[rows] >= _REFUSED_AT_ONCE_MS))
    refused = requests.count_by_group(badly_answered) == 0
    tag = third & ((found.answers > 1) | vague | single | refused)
    own = (found.spontaneous | ambient | clocked) & ~found.spared
    return np.asarray(own | tag | flood, dtype=np.bool_)


def _find_failing_actions(requests: Requests) -> Ints:
    """Per request: the packed action that caused it, if anything of its group failed; else -1."""
    failing = requests.any_by_group(requests.failed & requests.fired)[requests.group]
    return np.where(requests.fired & failing, requests.action, -1)


def _find_requests_elsewhere(frame: Frame, requests: Requests, found: _Behaviour, config: Config) -> Ints:
    """Numbers of the requests in groups of failed reads that the page also sends by itself."""
    may_read = frame.may_read[frame.endpoint[requests.row]]
    failing = requests.any_by_group(requests.failed & requests.known & may_read)
    other = np.flatnonzero(failing[requests.group])
    some = requests.take_requests(other)
    elsewhere = some.any_by_group(found.alone[other] | _is_page_load(frame, some, config))
    return other[elsewhere[some.group]]


def _find_shared_groups(frame: Frame, requests: Requests, found: _Behaviour, config: Config) -> Bools:
    """Of the spared groups those that serve several actions, or that the page also requests by itself."""
    good = requests.take_requests(~requests.failed & found.spared[requests.group])
    opening = good.count_by_group(_is_page_load(frame, good, config)) > 0
    return found.spared & ((found.answers > 2) | found.spontaneous | opening)


def _find_vague_groups(frame: Frame, requests: Requests, asked: Bools) -> Bools:
    """Of the groups ``asked``: those that answer a click or submit on a target of which only the type is known."""
    at = np.flatnonzero(requests.fired & asked[requests.group])
    by = requests.cause[at]
    nameless = np.array([t.nameless for t in frame.targets], dtype=np.bool_)[frame.target[by]]
    return any_by_owner(requests.group[at], nameless & equals_any(frame.kind[by], CLICK, SUBMIT), requests.size)


def _is_caused_by_chance(frame: Frame, requests: Requests, clicks: Clicks, config: Config) -> Bools:
    """Per request: whether only few of an action's clicks seemed to cause it, so that it is a coincidence.

    Clicks made while such a request was pending may wait for it, and are not counted.
    """
    clicked = requests.fired & (frame.kind[requests.by] == CLICK)
    some = requests.take_requests(clicked)
    by, visit = some.cause, frame.visit[some.cause]
    pair, number = np.unique(pack_pairs(some.group, some.action, clicks.base), return_inverse=True)
    size = len(pair)
    asked = count_distinct_by_owner(number, by, size)
    waiting = np.bincount(number, weights=clicks.count_between(by, by + 1, some.row), minlength=size)
    presses = max_by_owner(number, clicks.count_between(by, frame.low[visit], frame.high[visit]), size, 0) - waiting
    found = np.zeros(len(requests.row), dtype=np.bool_)
    found[clicked] = (presses >= config.clicks_per_request * asked)[number]
    return found


def _find_clocked_groups(frame: Frame, requests: Requests, answers: Ints, config: Config) -> Bools:
    """Groups that fire by the clock: at least four times at one pace, at varying distances from the interactions."""
    first, begin = requests.first, requests.begin
    pace = np.where(first, 0, np.append(0, np.diff(begin)))
    before = np.append(0, pace[:-1])
    even = ~first & (before > 1_000) & (pace > 1_000) & (np.abs(pace - before) * 100 <= 5 * pace)
    even &= np.append(False, even[:-1])  # three gaps in a row; two alike are chance
    paced = requests.any_by_group(even)
    if not paced.any():
        return paced
    lag = np.where(requests.fired, begin - frame.ts[requests.by], 0)
    heads_at = np.flatnonzero(first)
    low = np.minimum.reduceat(lag, heads_at)
    high = np.maximum(np.maximum.reduceat(lag, heads_at), 0)
    # A patient person tries again at an even pace too: a group that always follows one action at once is that action's.
    single_action = (answers == 1) & ~requests.any_by_group(~requests.fired) & (high <= config.reaction_window_ms)
    return np.asarray(paced & (high - low > 250) & ~single_action, dtype=np.bool_)


def _is_automatic_repeat(frame: Frame, requests: Requests, config: Config) -> Bools:
    """Per request: whether the application sent it again by itself after a failure that an interaction had caused."""
    rows, first, fired, begin = requests.row, requests.first, requests.fired, requests.begin
    previous_failed = np.append(False, requests.failed[:-1]) & ~first
    gap = begin - np.append(0, frame.ts[rows][:-1])
    follows = ~fired & previous_failed & (gap <= config.automatic_repeat_window_ms) & (frame.kind[rows] == NETWORK)
    if not follows.any():
        return np.zeros(len(rows), dtype=np.bool_)
    head = np.maximum.accumulate(np.where(~follows, np.arange(len(rows)), 0))
    # A poll that happened to fall on a click keeps its pace before and after it; a repeat has no pace before.
    pace = np.append(0, np.diff(begin))
    after = np.append(pace[1:], 0)
    # A request that timed out is repeated after its answer: the time-out itself is no pause.
    pause = np.where(pace - gap >= config.slow_ms, gap, pace)
    inner = ~first & ~np.append(first[1:], True)
    polled = inner & (np.abs(pace - after) * 100 <= 15 * after)
    slow_start = follows & ~np.append(False, follows[:-1]) & (pause > config.first_repeat_ms)
    steady = inner & follows & np.append(follows[1:], False) & polled & (pause > config.slow_ms)
    bad = np.zeros(len(rows), dtype=np.bool_)
    # Two even gaps may be an application that waits as long each time; three are a clock.
    bad[head[(steady & np.append(steady[1:], False)) | slow_start]] = True
    follows &= ~polled[head] & ~bad[head]
    return np.asarray(follows & fired[head] & (np.arange(len(rows)) - head <= config.automatic_repeats), dtype=np.bool_)


def _is_page_load(frame: Frame, requests: Requests, config: Config) -> Bools:
    """Per request: whether it begins within 2 s of the visit's first event or of any navigation: a page is opening."""
    rows, begin = requests.row, requests.begin
    opening = frame.kind == NAVIGATION
    opening[frame.is_first_row] = True
    found = frame.find_last_until(np.flatnonzero(opening), frame.visit[rows], np.maximum(begin, 0), near=rows)
    early = found < 0
    return np.asarray(early | (begin - frame.ts[np.maximum(found, 0)] <= config.page_load_ms), dtype=np.bool_)


def _find_unrelated_groups(frame: Frame, requests: Requests, config: Config) -> Bools:
    """Groups that fire after many unrelated interactions (beacons, autosave, presence)."""
    blank = ~requests.any_by_group(~requests.failed | (frame.status[requests.row] != 0))
    # Blocked by an extension or the network after any action; unidentified failures are of many kinds. A blocker refuses
    # at once: what was waited for each time had nobody who answered.
    blank &= requests.any_by_group(requests.known)
    blank &= requests.any_by_group(frame.duration[requests.row] < _REFUSED_AT_ONCE_MS)
    counted = requests.fired & (requests.known | requests.failed)
    # Groups of few answers cannot answer many actions; most groups are such, and are skipped.
    many = requests.count_by_group(counted) >= config.unrelated_actions
    at = np.flatnonzero((counted & many[requests.group]) | blank[requests.group])
    some, counted = requests.take_requests(at), counted[at]
    typed = frame.kind[some.by] == INPUT
    related = _merge_related_actions(frame, some.action)
    opening, page = _find_page_openings(frame, some)
    opening &= some.fired
    acted = some.count_values_by_group(related, counted & ~typed)
    related = np.where(opening, int(related.max(initial=0)) + 1 + page, related)
    acted = np.minimum(acted, some.count_values_by_group(related, counted & ~typed))
    touched = some.count_values_by_group(some.action, counted & typed)
    purpose = _find_purposes(frame, some, related, opening, page)
    unreachable = blank & (some.count_values_by_group(purpose, blank[some.group] & counted & ~typed) >= 2)
    unreachable |= blank & _find_refused_groups(frame, some, blank, config)
    return np.asarray((acted >= config.unrelated_actions) | (touched >= config.unrelated_actions) | unreachable)


def _find_refused_groups(frame: Frame, requests: Requests, blank: Bools, config: Config) -> Bools:
    """Of the groups without any answer (``blank``): those that a blocker refuses on every page.

    Each of their requests goes out when a page has just been shown, and the visit has several such addresses and pages.
    """
    some = requests.take_requests(np.flatnonzero(blank[requests.group]))
    rows, group, visit = some.row, some.group, frame.visit[some.row]
    shown = frame.find_last_until(np.flatnonzero(frame.kind == NAVIGATION), visit, frame.ts[rows], near=rows)
    apart = (shown < 0) | (frame.ts[rows] - frame.ts[np.maximum(shown, 0)] > SHOWN_WITHIN_MS)
    only = ~some.any_by_group(apart)
    own = only[group]
    visits = len(frame.low)
    pages = count_distinct_by_owner(visit[own], shown[own], visits)
    addresses = count_distinct_by_owner(visit[own], group[own], visits)
    many = (pages >= config.unrelated_actions) & (addresses > 1)
    return np.asarray(only & some.any_by_group(many[visit]), dtype=np.bool_)


def _find_purposes(frame: Frame, requests: Requests, related: Ints, opening: Bools, page: Ints) -> Ints:
    """Per request: code of its purpose. A control that requests again what its page requested when it opened has the page's.

    ``related``: merged action, ``opening``: whether a page opened, ``page``: its pattern; all per request.
    """
    shown = requests.group * len(frame.patterns) + page
    return np.where(is_among(shown, shown[opening]), page, len(frame.patterns) + related)


def _find_page_openings(frame: Frame, requests: Requests) -> tuple[Bools, Ints]:
    """Per request: whether its interaction opened a page, by a control elsewhere, a reload or a typed address; and the page's
    pattern.
    """
    rows, by = requests.row, requests.by
    moved = frame.kind[by] == NAVIGATION
    page = np.where(moved, frame.pattern[by], frame.pattern[rows])
    # An answer that came after the person had gone back or reloaded opened nothing.
    shown = frame.find_last_until(
        np.flatnonzero(frame.kind == NAVIGATION), frame.visit[rows], frame.ts[rows], near=rows
    )
    back = (shown > by) & frame.column_equals("nav_type", "back_forward", "reload", rows=np.maximum(shown, 0))
    page = np.where(~moved & back, frame.pattern[by], page)
    return moved | ((frame.kind[by] != INPUT) & (frame.pattern[by] != page)), page


def _merge_related_actions(frame: Frame, action: Ints) -> Ints:
    """Per action: a code that related actions share. One named control on several pages (a menu's link) is one action.

    Pages, and controls of which only the type is known, differ from page to page.
    """
    count = max(len(frame.targets), 1)
    target = action % count
    nameless = np.array([t.nameless for t in frame.targets], dtype=np.bool_)
    named = (target != PAGE) & ~nameless[target]
    return np.where(named & (action >= 0), target, action + count)


def _find_shared_addresses(frame: Frame, requests: Requests, clicks: Clicks, alone: Bools, config: Config) -> Bools:
    """Groups of an address that serves everything (GraphQL), where one or two actions failed and all else was answered well.

    At least one of these actions failed twice, or its control was clicked again while the request was pending. An action is
    judged by its own requests: other requests of the same click, or earlier ones, may have succeeded.
    """
    fired, failed = requests.fired, requests.failed
    long = requests.take_requests(failed & fired & (frame.ts[requests.row] - requests.begin >= config.slow_ms))
    pressed = clicks.count_between(long.cause, long.cause + 1, long.row) > 0
    # A click while the request hangs is a retry.
    tried = requests.count_values_by_group(requests.cause, fired & failed) + long.any_by_group(pressed)
    failing = requests.count_values_by_group(requests.action, fired & failed)
    answers = requests.count_values_by_group(requests.action, fired)
    down = requests.count_by_group(failed & alone)
    good = requests.count_by_group(~failed)
    errors = requests.count_by_group(frame.kind[requests.row] != NETWORK)
    spared = (failing >= 1) & (failing <= 2) & (tried > failing) & (down + errors == 0) & (answers >= 1) & (good > 0)
    return np.asarray(spared, dtype=np.bool_)
