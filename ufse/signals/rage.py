"""Rage: at least 4 clicks on one target, each at most 1 s after the one before; or 3 reloads of a route in
30 s.
"""

import numpy as np

from ufse.attribution import SLOW, Attribution
from ufse.config import Config
from ufse.frame import Frame
from ufse.sessions import CLICK, ERROR, NAVIGATION, Bools, Ints
from ufse.signals.model import RAGE, Signal


def rage(frame: Frame, given: Attribution, config: Config) -> dict[int, list[Signal]]:
    """Rage signals by visit."""
    found: dict[int, list[Signal]] = {}
    for signal in (*_clicks(frame, given, config), *_reloads(frame, given, config)):
        found.setdefault(int(frame.visit[signal.row]), []).append(signal)
    return found


def never_rage(frame: Frame, given: Attribution) -> Bools:
    """Per event: a target on which repeated clicks mean nothing, or a click that a key made."""
    fixed = np.array([t.text_field or t.static_text or t.toggle for t in frame.targets], dtype=np.bool_)
    repeated = np.array([t.repeated for t in frame.targets], dtype=np.bool_)[frame.target] & ~given.step
    keyboard = frame.is_word("input_method", "keyboard")
    origin = (frame.flags["x"] == 0) & (frame.flags["y"] == 0)  # browsers give 0, 0 to clicks that a key made
    return np.asarray(fixed[frame.target] | repeated | keyboard | origin | frame.target_ignored, dtype=np.bool_)


def _clicks(frame: Frame, given: Attribution, config: Config) -> list[Signal]:
    rows = np.flatnonzero(frame.kind == CLICK)
    if len(rows) < config.rage_clicks:
        return []
    breaks = _breaks(frame, rows, config)
    begin = np.flatnonzero(breaks)
    sizes = np.diff(np.append(begin, len(rows)))
    barred = np.add.reduceat(never_rage(frame, given)[rows].astype(np.int64), begin)
    runs = np.flatnonzero((sizes >= config.rage_clicks) & (barred == 0))
    found = []
    for start, size in zip(begin[runs].tolist(), sizes[runs].tolist(), strict=True):
        run = rows[start : start + size]
        if _human(frame.ts[run], config) and not _answered(frame, given, run):
            found.append(_signal(frame, given, run, ""))
    return found


def _breaks(frame: Frame, rows: Ints, config: Config) -> Bools:
    """Where a run of clicks ends: another visit, target or page, a pause, or another spot of a nameless
    target.
    """
    before, after = rows[:-1], rows[1:]
    nameless = np.array([t.nameless for t in frame.targets], dtype=np.bool_)[frame.target[after]]
    x, y = frame.flags["x"], frame.flags["y"]
    known = (np.minimum(x[before], x[after]) > -(2**31)) & (np.minimum(y[before], y[after]) > -(2**31))
    apart = np.maximum(np.abs(x[after] - x[before]), np.abs(y[after] - y[before])) > config.same_spot_px
    changed = (
        (frame.visit[after] != frame.visit[before])
        | (frame.route[after] != frame.route[before])
        | (frame.raw_target[after] != frame.raw_target[before])
        | (frame.ts[after] - frame.ts[before] > config.rage_gap_ms)
        | (nameless & known & apart)
    )
    return np.append(True, changed)


def _human(times: Ints, config: Config) -> bool:
    """False for a held key or a script: faster than a hand, unless the clock knows whole seconds only."""
    gaps = np.diff(times)
    if bool((times % 1_000 == 0).all()):
        return True
    return float(np.median(gaps)) >= config.human_click_gap_ms


def _answered(frame: Frame, given: Attribution, run: Ints) -> bool:
    """Whether positive feedback lies among the clicks, text was selected, or every click was answered.

    Answers are judged per request: where a request of the run failed, only that request's success is an answer, unless
    most clicks were answered by requests of the control's own and had no failure.
    """
    if bool((frame.flags["selection"][run] == 1).any()) or bool(given.progress[run].any()):
        return True
    low, high = int(run[0]), int(run[-1])
    visit = slice(low, int(np.searchsorted(frame.visit, frame.visit[low], "right")))
    ours = (given.cause[visit] >= low) & (given.cause[visit] <= high)
    failed = np.flatnonzero(ours & given.attributed[visit] & (given.negative[visit] != SLOW)) + low
    good = np.flatnonzero(ours & given.success[visit] & ~given.attributed[visit]) + low
    responded = frame.flags["responded"][run] == 1
    if not len(failed):
        return bool(len(good)) or bool(responded.any())
    unhappy = set(given.cause[failed].tolist())
    if bool(responded.all()) and 2 * len(unhappy) < len(run):
        return True
    own = {row for row in good.tolist() if int(given.cause[row]) not in unhappy and given.lonely[row]}
    if 2 * len({int(given.cause[row]) for row in own}) >= len(run):
        return True
    return any(_repairs(frame, given, row, failed) for row in good.tolist())


def _repairs(frame: Frame, given: Attribution, row: int, failed: Ints) -> bool:
    """Whether a good answer is one of the request that failed, or of any where only the page's drawing failed."""
    crashed = failed[frame.kind[failed] == ERROR]
    if int(given.cause[row]) in set(given.cause[crashed].tolist()):
        return False
    same = int(frame.endpoint[row]) in set(frame.endpoint[failed].tolist())
    return same or len(crashed) == len(failed) or not frame.endpoint_known[frame.endpoint[row]]


def _reloads(frame: Frame, given: Attribution, config: Config) -> list[Signal]:
    rows = np.flatnonzero((frame.kind == NAVIGATION) & frame.is_word("nav_type", "reload") & ~frame.target_ignored)
    need = config.rage_reloads
    if len(rows) < need:
        return []
    same = (frame.visit[rows][1:] == frame.visit[rows][:-1]) & (frame.route[rows][1:] == frame.route[rows][:-1])
    block = np.cumsum(np.append(0, ~same))
    tail, head = slice(need - 1, None), slice(None, len(rows) - need + 1)
    close = (block[tail] == block[head]) & (frame.ts[rows][tail] - frame.ts[rows][head] <= config.rage_reload_window_ms)
    member = np.zeros(len(rows), dtype=np.int64)
    for offset in range(need):
        member[np.flatnonzero(close) + offset] = 1
    found = []
    run: list[int] = []
    for i, row in enumerate(rows.tolist()):
        if run and (not member[i] or block[i] != block[i - 1]):
            found.append(_signal(frame, given, np.array(run), "reloads"))
            run = []
        if member[i]:
            run.append(row)
    if run:
        found.append(_signal(frame, given, np.array(run), "reloads"))
    return found


def _signal(frame: Frame, given: Attribution, run: Ints, form: str) -> Signal:
    first, last = int(run[0]), int(run[-1])
    return Signal(
        RAGE,
        int(frame.ts[first]),
        int(frame.ts[last]),
        tuple(run.tolist()),
        len(run),
        int(given.action[first]),
        first,
        form,
    )
