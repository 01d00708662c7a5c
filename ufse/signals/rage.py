"""Rage: at least 4 clicks on one target, each at most 1 s after the one before, without positive feedback among them; or at
least 3 reloads of a route within 30 s.

Source: docs/contracts/detection.md, Signals; DataDog's ``clickChain`` for clicks that are near in time and place. Not rage:
controls made for repeated clicks, text fields, static text, toggles, clicks made by a key, ignored targets
(``is_never_rage``); a control whose clicks are answered, selected text, a wizard whose page changes (``_is_answered_run``);
a held key or a script (``_is_human_run``); reloads that no person made (``ufse.presence``).

To add an exclusion by control, add words to ``ufse.targets`` or a condition to ``is_never_rage``; by answer, to
``_is_answered_run``; and a case to tests/unit/ufse/test_rage.py.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    Ragged,
    any_by_owner,
    count_by_owner,
    count_distinct_by_owner,
    is_pair_among,
    mark_group_starts,
)
from ufse.attribution import Attribution
from ufse.candidates import Clusters
from ufse.columns import UNKNOWN_POSITION
from ufse.config import Config
from ufse.exempted import is_decorative
from ufse.feedback import SLOW
from ufse.formats import format_duration
from ufse.frame import Frame
from ufse.index import Index
from ufse.sessions import CLICK, NAVIGATION
from ufse.signals.flows import select_flow_signals
from ufse.signals.model import PLAIN, RELOADS, ClusterSignals, SignalFacts, SignalKind, Signals


def find_rage_signals(frame: Frame, attribution: Attribution, config: Config) -> Signals:
    """The rage signals of all visits."""
    return Signals.join_parts(
        [_find_click_runs(frame, attribution, config), _find_reload_runs(frame, attribution, config)]
    )


def is_never_rage(frame: Frame, attribution: Attribution, rows: Ints) -> Bools:
    """Per click: whether repeated clicks on its target are normal, or a key made it."""
    fixed = np.array([t.text_field or t.static_text or t.toggle for t in frame.targets], dtype=np.bool_)
    repeated = (
        np.array([t.repeated for t in frame.targets], dtype=np.bool_)[frame.target[rows]] & ~attribution.step[rows]
    )
    keyboard = frame.column_equals("input_method", "keyboard", rows=rows)
    # Browsers report 0, 0 for clicks made by a key.
    origin = (frame.source.read_at("x", rows) == 0) & (frame.source.read_at("y", rows) == 0)
    return np.asarray(
        fixed[frame.target[rows]] | repeated | keyboard | origin | frame.target_ignored[rows], dtype=np.bool_
    )


def _find_click_runs(frame: Frame, attribution: Attribution, config: Config) -> Signals:
    rows = np.flatnonzero(frame.kind == CLICK)
    begin = np.flatnonzero(_mark_run_starts(frame, rows, config)) if len(rows) else rows
    sizes = np.diff(np.append(begin, len(rows)))
    runs = Ragged(rows, np.append(begin, len(rows)) if len(begin) else np.zeros(1, dtype=np.int64))
    runs = runs.take_lists(np.flatnonzero(sizes >= config.rage_clicks))
    barred = any_by_owner(runs.owner, is_never_rage(frame, attribution, runs.values), len(runs))
    barred |= any_by_owner(runs.owner, is_decorative(frame, runs.values, config), len(runs))
    runs = runs.take_lists(np.flatnonzero(~barred & _is_human_run(frame, runs, config)))
    return _build_rage_signals(
        frame, attribution, runs.take_lists(np.flatnonzero(~_is_answered_run(frame, attribution, runs))), PLAIN
    )


def _mark_run_starts(frame: Frame, rows: Ints, config: Config) -> Bools:
    """Per click: whether a run begins: another visit, control or page, a pause, or another spot of a target that has neither a
    name nor an id of its own.
    """
    before, after = rows[:-1], rows[1:]
    spotted = np.array([t.nameless or t.placed for t in frame.targets], dtype=np.bool_)[frame.target[after]]
    x, y = (frame.source.read_at(n, rows).astype(np.int64) for n in ("x", "y"))
    known = (x > UNKNOWN_POSITION) & (y > UNKNOWN_POSITION)
    apart = np.maximum(np.abs(np.diff(x)), np.abs(np.diff(y))) > config.same_spot_px
    changed = (
        (frame.visit[after] != frame.visit[before])
        | (frame.route[after] != frame.route[before])
        | (frame.raw_target[after] != frame.raw_target[before])
        | (frame.ts[after] - frame.ts[before] > config.rage_gap_ms)
        | (spotted & known[1:] & known[:-1] & apart)
    )
    return np.append(True, changed)


def _is_human_run(frame: Frame, runs: Ragged, config: Config) -> Bools:
    """Per run: False for a held key or a script, which are faster than a hand. Always True with times in whole seconds."""
    at, owner = frame.ts[runs.values], runs.owner
    coarse = ~any_by_owner(owner, at % 1_000 != 0, len(runs))
    inner = ~mark_group_starts(owner)
    gaps, of_gap = np.append(0, np.diff(at))[inner], owner[inner]
    gaps = gaps[np.lexsort((gaps, of_gap))]
    count = runs.sizes - 1
    begin = np.cumsum(count) - count
    median = (gaps[begin + (count - 1) // 2] + gaps[begin + count // 2]) / 2 if len(runs) else np.zeros(0)
    return np.asarray(coarse | (median >= config.human_click_gap_ms), dtype=np.bool_)


@dataclass(frozen=True)
class _RunAnswers:
    """Feedback of the interactions in each run, one entry each: its row and its run."""

    run: Ints
    row: Ints

    def choose_answers(self, chosen: Bools) -> "_RunAnswers":
        return _RunAnswers(self.run[chosen], self.row[chosen])


def _find_run_answers(attribution: Attribution, runs: Ragged) -> _RunAnswers:
    """Evidence and good answers caused between the first and the last click of each run."""
    rows = np.flatnonzero((attribution.cause >= 0) & (attribution.attributed | attribution.success))
    if not len(runs) or not len(rows):
        return _RunAnswers(rows[:0], rows[:0])
    cause = attribution.cause[rows]
    run = np.maximum(np.searchsorted(runs.first, cause, "right") - 1, 0)
    ours = (cause >= runs.first[run]) & (cause <= runs.last[run]) & (rows >= runs.first[run])
    return _RunAnswers(run[ours], rows[ours])


def _is_answered_run(frame: Frame, attribution: Attribution, runs: Ragged) -> Bools:
    """Per run: whether positive feedback came among the clicks, text was selected, or every click was answered.

    If a request of the run failed, most clicks must have been answered by the control's own requests without a failure. A
    failure that a later answer repairs is resolved (``ufse.achieved``).
    """
    size, owner = len(runs), runs.owner
    answers = _find_run_answers(attribution, runs)
    failed = answers.choose_answers(attribution.attributed[answers.row] & (attribution.negative[answers.row] != SLOW))
    good = answers.choose_answers(attribution.success[answers.row] & ~attribution.attributed[answers.row])
    any_failed, any_good = count_by_owner(failed.run, size) > 0, count_by_owner(good.run, size) > 0
    response = frame.source.read_at("responded", runs.values) == 1
    done = any_by_owner(
        owner, (frame.source.read_at("selection", runs.values) == 1) | attribution.progress[runs.values], size
    )
    calm = any_good | any_by_owner(owner, response, size)
    unhappy = count_distinct_by_owner(failed.run, attribution.cause[failed.row], size)
    all_responded = ~any_by_owner(owner, ~response, size) & (2 * unhappy < runs.sizes)
    happy = ~is_pair_among(good.run, attribution.cause[good.row], failed.run, attribution.cause[failed.row])
    own = good.choose_answers(happy & attribution.lonely[good.row])
    served = 2 * count_distinct_by_owner(own.run, attribution.cause[own.row], size) >= runs.sizes
    return done | np.where(any_failed, all_responded | served, calm)


def _find_reload_runs(frame: Frame, attribution: Attribution, config: Config) -> Signals:
    rows = np.flatnonzero((frame.kind == NAVIGATION) & ~frame.unattended)
    rows = rows[frame.column_equals("nav_type", "reload", rows=rows) & ~frame.target_ignored[rows]]
    need = config.rage_reloads
    if len(rows) < need:
        return Signals.make_empty()
    block = np.cumsum(mark_group_starts(frame.visit[rows], frame.route[rows]))
    tail, head = slice(need - 1, None), slice(None, len(rows) - need + 1)
    close = (block[tail] == block[head]) & (frame.ts[rows][tail] - frame.ts[rows][head] <= config.rage_reload_window_ms)
    member = np.zeros(len(rows), dtype=np.bool_)
    for offset in range(need):
        member[np.flatnonzero(close) + offset] = True
    first = mark_group_starts(block, member)
    run = np.cumsum(first) - 1
    kept = Ragged.from_owners(run, rows, int(run[-1]) + 1).take_lists(np.flatnonzero(member[first]))
    return _build_rage_signals(frame, attribution, kept, RELOADS)


def _build_rage_signals(frame: Frame, attribution: Attribution, runs: Ragged, form: int) -> Signals:
    if not len(runs):
        return Signals.make_empty()
    return Signals.of_form(
        form,
        start=frame.ts[runs.first],
        end=frame.ts[runs.last],
        count=runs.sizes,
        action=attribution.action[runs.first],
        row=runs.first,
        rows=runs,
    )


def _relate_to_clusters(index: Index, clusters: Clusters) -> ClusterSignals:
    found = find_rage_signals(index.frame, index.attribution, index.config)
    shown = Ragged.from_owners(np.arange(len(found)), found.row, len(found))
    return select_flow_signals(index, clusters, found, shown)


def _describe_rage(facts: SignalFacts) -> str:
    span = format_duration(facts.lasted_ms)
    if facts.form == RELOADS:
        return f"{facts.times} reloads of {facts.page} in {span}"
    return f"{facts.times} clicks on {facts.target} in {span}"


SIGNAL: Final = SignalKind("rage", describe=_describe_rage, find=_relate_to_clusters)
