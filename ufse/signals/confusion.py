"""Confusion (weak): at least 4 page changes within 60 s between the same 2 or 3 exact paths without a success, or at least
6 reversals of the scroll direction within 15 s on a page without an interaction.

Source: docs/contracts/detection.md, Signals. Not confusion: pages of one pattern, which are items of a list (comparing); a
search or tab that answers, and any other success on the way (``_has_success_between``); reading, which reverses less often.

To add an exclusion, add a condition to ``_find_oscillations`` or ``_has_success_between``, and a case to
tests/unit/ufse/test_signals.py.
"""

from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, Ragged, equals_any
from ufse.attribution import Attribution
from ufse.candidates import Clusters
from ufse.config import Config
from ufse.formats import format_duration
from ufse.frame import Frame
from ufse.index import Index
from ufse.sessions import CLICK, INPUT, NAVIGATION, SCROLL, SUBMIT
from ufse.signals.flows import select_flow_signals
from ufse.signals.model import OSCILLATION, THRASH, ClusterSignals, SignalFacts, SignalKind, Signals


def find_confusion_signals(frame: Frame, attribution: Attribution, config: Config) -> Signals:
    """The confusion signals of all visits."""
    return Signals.join_parts(
        [_find_oscillations(frame, attribution, config), _find_scroll_thrashes(frame, attribution, config)]
    )


def _find_route_changes(frame: Frame) -> tuple[Ints, Ints]:
    """Rows of navigations that changed the route, and the route before each."""
    rows = np.flatnonzero((frame.kind == NAVIGATION) & ~frame.unattended)
    if not len(rows):
        return rows, rows
    first = np.append(True, frame.visit[rows][1:] != frame.visit[rows][:-1])
    # A late answer still names the page on which it was requested; the last navigation shows the current page.
    before = np.maximum(rows - 1, 0)
    entered = np.where(frame.visit[before] == frame.visit[rows], frame.route[before], frame.route[rows])
    left = np.where(first, entered, np.append(0, frame.route[rows][:-1]))
    moved = frame.route[rows] != left
    return rows[moved], left[moved]


def _find_oscillations(frame: Frame, attribution: Attribution, config: Config) -> Signals:
    rows, left = _find_route_changes(frame)
    need = config.oscillation_transitions
    if len(rows) < need:
        return Signals.make_empty()
    ends = np.arange(need - 1, len(rows))
    begins = ends - need + 1
    close = (frame.visit[rows[ends]] == frame.visit[rows[begins]]) & (
        frame.ts[rows[ends]] - frame.ts[rows[begins]] <= config.oscillation_window_ms
    )
    paths = _stack_paths(frame.route[rows], left, begins, need)
    distinct, revisited = _count_distinct_values(paths)
    # Pages of one pattern are items of a list: viewing several of them is comparing.
    of_route = np.zeros(len(frame.routes), dtype=np.int64)
    of_route[frame.route] = frame.pattern
    patterns, _ = _count_distinct_values(of_route[paths])
    hits = np.flatnonzero(close & (distinct <= config.oscillation_paths) & (revisited >= 2) & (patterns == distinct))
    found: list[Ints] = []
    until = -1
    for hit in hits.tolist():
        window = rows[begins[hit] : ends[hit] + 1]
        if int(window[0]) <= until or _has_success_between(frame, attribution, int(window[0]), int(window[-1])):
            continue
        until = int(window[-1])
        found.append(window)
    return _build_confusion_signals(frame, attribution, found, OSCILLATION)


def _stack_paths(route: Ints, left: Ints, begins: Ints, need: int) -> Ints:
    """Per window of ``need`` transitions: its paths, the first one included; shape (windows, need + 1)."""
    return np.stack([left[begins], *(route[begins + i] for i in range(need))], axis=1)


def _count_distinct_values(paths: Ints) -> tuple[Ints, Ints]:
    """Per row of ``paths``: the number of distinct values, and of values that occur more than once."""
    ordered = np.sort(paths, axis=1)
    changes = ordered[:, 1:] != ordered[:, :-1]
    again = ~changes & np.concatenate((np.ones((len(paths), 1), dtype=np.bool_), changes[:, :-1]), axis=1)
    return changes.sum(axis=1) + 1, again.sum(axis=1)


def _has_success_between(frame: Frame, attribution: Attribution, low: int, high: int) -> bool:
    """Whether an action in the rows low..high succeeded: something was sent and accepted, or a form led to another page."""
    span = slice(low, high + 1)
    sent = np.flatnonzero(attribution.success[span] & (attribution.cause[span] >= 0)) + low
    by = attribution.cause[sent]
    tabs = np.array([t.toggle for t in frame.targets], dtype=np.bool_)
    acted = equals_any(frame.kind[by], CLICK, SUBMIT) & (
        ~frame.only_reads[frame.endpoint[sent]] | tabs[frame.target[by]]
    )
    went_on = (frame.kind[span] == SUBMIT) & attribution.progress[span]
    return bool((acted & attribution.meaningful[by]).any()) or bool(went_on.any())


def _find_scroll_thrashes(frame: Frame, attribution: Attribution, config: Config) -> Signals:
    rows = np.flatnonzero(frame.kind == SCROLL)
    if len(rows) < config.thrash_reversals + 1:
        return Signals.make_empty()
    sign = _read_scroll_directions(frame, rows)
    rows, sign = rows[sign != 0], sign[sign != 0]
    same = (frame.visit[rows][1:] == frame.visit[rows][:-1]) & (frame.route[rows][1:] == frame.route[rows][:-1])
    turns = np.flatnonzero(same & (sign[1:] != sign[:-1])) + 1
    need = config.thrash_reversals
    if len(turns) < need:
        return Signals.make_empty()
    acts = np.cumsum(equals_any(frame.kind, CLICK, INPUT, SUBMIT, NAVIGATION))
    first, last = rows[turns[: len(turns) - need + 1]], rows[turns[need - 1 :]]
    hits = np.flatnonzero(
        (frame.visit[first] == frame.visit[last])
        & (frame.ts[last] - frame.ts[first] <= config.thrash_window_ms)
        & (acts[last] == acts[first])
    )
    found: list[Ints] = []
    until = -1
    for hit in hits.tolist():
        window = rows[turns[hit : hit + need]]
        if int(window[0]) > until:
            until = int(window[-1])
            found.append(window)
    return _build_confusion_signals(frame, attribution, found, THRASH)


def _read_scroll_directions(frame: Frame, rows: Ints) -> Ints:
    """Per row: +1 down, -1 up, 0 unknown; as sent, else by the change of depth."""
    sign = np.where(
        frame.column_equals("direction", "down")[rows], 1, np.where(frame.column_equals("direction", "up")[rows], -1, 0)
    )
    depth = frame.source.read_at("depth", rows)
    known: Bools = np.append(
        False, (depth[1:] >= 0) & (depth[:-1] >= 0) & (frame.visit[rows][1:] == frame.visit[rows][:-1])
    )
    change = np.sign(np.append(0, np.diff(depth)))
    return np.where((sign == 0) & known, change, sign)


def _build_confusion_signals(frame: Frame, attribution: Attribution, found: list[Ints], form: int) -> Signals:
    if not found:
        return Signals.make_empty()
    rows = Ragged.from_owners(
        np.repeat(np.arange(len(found)), [len(w) for w in found]), np.concatenate(found), len(found)
    )
    page = frame.pattern[rows.first] * max(len(frame.targets), 1)
    return Signals.of_form(
        form,
        start=frame.ts[rows.first],
        end=frame.ts[rows.last],
        count=rows.sizes,
        action=attribution.action[rows.first] if form == OSCILLATION else page,
        row=rows.first,
        rows=rows,
    )


def _relate_to_clusters(index: Index, clusters: Clusters) -> ClusterSignals:
    found = find_confusion_signals(index.frame, index.attribution, index.config)
    return select_flow_signals(index, clusters, found, found.rows)


def _describe_confusion(facts: SignalFacts) -> str:
    span = format_duration(facts.lasted_ms)
    if facts.form == THRASH:
        return f"{facts.times} reversals of the scroll direction in {span} on {facts.page}"
    return f"{facts.times} page changes between the same pages in {span}"


SIGNAL: Final = SignalKind("confusion", describe=_describe_confusion, find=_relate_to_clusters, is_shown_by_page=True)
