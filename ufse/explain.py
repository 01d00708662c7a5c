"""Plain sentences and the timeline of a detection; built only for what is emitted or asked for."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import pyarrow as pa

from ufse.attribution import CRASH, INVALID, SLOW
from ufse.config import Config
from ufse.correlate import Candidate, feedback_text
from ufse.score import level
from ufse.sessions import (
    CLICK,
    END,
    INPUT,
    LOADING,
    NAVIGATION,
    NETWORK,
    PERFORMANCE,
    SCROLL,
    SUBMIT,
)
from ufse.signals.model import ABANDONMENT, BLOCKED, FEEDBACK, RAGE, Signal
from ufse.view import View

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = (
    "click", "input", "scroll", "hover", "form_submit", "navigation", "error", "network", "performance",
    "loading", "visibility", "session_end", "other", )  # fmt: skip


@lru_cache(maxsize=65_536)
def stamp(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds; times outside the years 1–9999 are held at their edge."""
    return (
        (_EPOCH + timedelta(milliseconds=min(max(ms, -62_135_596_800_000), 253_402_300_799_999)))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def seconds(ms: int) -> str:
    """A duration, as short as it can be read: ``80 ms``, ``1.9 s``, ``25 s``."""
    if ms < 1_000:
        return f"{ms} ms"
    return f"{ms / 1000:.1f} s" if ms < 10_000 else f"{round(ms / 1000)} s"


def clock(ms: int) -> str:
    """The time of day of an instant: ``10:00:03.120``."""
    return stamp(ms)[11:-1]


def times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def target_text(view: View, action: int) -> str:
    """The name of an action's target; a page opened has none."""
    return view.target_of(action).name


def shown(view: View, action: int) -> str:
    if view.is_page(action):
        return "page load"
    return target_text(view, action)


def point_text(view: View, candidate: Candidate) -> str:
    """``/checkout › button#pay › POST /api/orders → 500``."""
    parts = (
        view.pattern_of(candidate.action),
        shown(view, candidate.action),
        feedback_text(view, candidate.failure),
    )
    return " › ".join(p for p in parts if p)


def signal_text(view: View, signal: Signal, candidate: Candidate) -> str:
    """One signal in a few words with counts and times."""
    name = shown(view, signal.action)
    span = seconds(signal.end - signal.start)
    if signal.kind == RAGE:
        if signal.form == "reloads":
            return f"{signal.count} reloads of {view.pattern(signal.row)} in {span}"
        return f"{signal.count} clicks on {name} in {span}"
    if signal.kind == BLOCKED:
        return f"{name} was tried again {times(signal.count)} within 30 s of a failed answer, without success"
    if signal.kind == ABANDONMENT:
        gap = max(0, signal.end - max(view.at(r) for r in _negatives(candidate)))
        wait = f"{seconds(gap)} after the last failure" if gap else "at the same time"
        how = {
            "left": "was left for another route",
            "ended": "ended with the session",
            "silence": "went silent",
        }
        begun = f"the flow begun on {view.pattern_of(signal.action)}"
        return f"{begun} {how[signal.form]} {wait}"
    if signal.kind == FEEDBACK:
        answers = "1 negative answer" if signal.count == 1 else f"{signal.count} negative answers"
        return f"{feedback_text(view, candidate.failure)}, {answers}"
    if signal.form == "thrash":
        return f"{signal.count} reversals of scrolling in {span} on {view.pattern(signal.row)}"
    return f"{signal.count} changes between the same pages in {span}"


def _negatives(candidate: Candidate) -> tuple[int, ...]:
    return next(s.rows for s in candidate.signals if s.kind == FEEDBACK)


def explanation(view: View, candidate: Candidate, config: Config) -> str:
    """Which signals, why they belong together, what failed first, and why the score is what it is."""
    negatives = _negatives(candidate)
    first = candidate.failure
    cause = view.cause[first - view.low]
    took = view.at(first) - view.begin(first)
    slow = view.negative[first - view.low] == SLOW
    waited = f" after {seconds(took)}" if took >= config.slow_ms and not slow else ""
    origin = (
        ""
        if cause == first
        else f", {seconds(max(0, view.begin(first) - view.at(cause)))} after the action that caused it"
    )
    said = [
        f"On {view.pattern_of(candidate.action)}, {_answered(view, first)}{waited} "
        f"at {clock(view.at(first))} UTC{origin}."
    ]
    tries = len({view.cause[r - view.low] for r in negatives})
    if tries > 1:
        what = "the page" if view.is_page(candidate.action) else shown(view, candidate.action)
        said.append(f"In all, {what} was answered negatively {times(tries)}.")
    told = [s for s in candidate.signals if s.kind != FEEDBACK]
    said += [f"{_sentence(signal_text(view, s, candidate))} ({clock(s.start)} to {clock(s.end)})." for s in told]
    said.append(
        f"These are {len(candidate.signals)} signals resting on different events of one session and flow, "
        f"within {seconds(candidate.end - candidate.start)} and with no gap over 30 s."
    )
    said.append(
        "No later success of this action was recorded." if not candidate.resolved else "The action succeeded later."
    )
    sums = ", ".join(f"{rule} {points:+d}" for rule, points in candidate.points)
    score = candidate.score or 0
    said.append(f"Score {score} ({level(score, config)}, from {config.high_score}): {sums}.")
    return " ".join(said)


def _sentence(text: str) -> str:
    return "T" + text[1:] if text.startswith("the ") else text


def _answered(view: View, row: int) -> str:
    what = feedback_text(view, row)
    negative = view.negative[row - view.low]
    if view.kind[row - view.low] == NETWORK:
        request, _, answer = what.rpartition(" → ")
        if negative == SLOW:
            return f"{request} kept the user waiting {seconds(view.waited(row))}"
        if not request:
            return f"a {what} came"
        return f"{request} was not answered" if answer == "no answer" else f"{request} answered {answer}"
    if negative == CRASH:
        return f"the page raised “{what}”"
    if negative == INVALID:
        return f"the input was rejected ({what})"
    return f"{what.replace(' → ', ' was ')} ({seconds(view.waited(row))})"


def timeline_rows(view: View, candidate: Candidate, limit: int) -> list[int]:
    """The few rows that tell the story: the way in, the attempts, the answers, the end; at most ``limit``."""
    rows = {candidate.failure, view.cause[candidate.failure - view.low]}
    for signal in candidate.signals:
        rows.update(signal.rows)
    rows.update(view.cause[r - view.low] for r in _negatives(candidate))
    ordered = sorted(rows)
    arrived = [r for r in view.navigations if r < ordered[0] and view.pattern(r) == view.pattern_of(candidate.action)]
    ordered = arrived[-1:] + ordered
    if len(ordered) <= limit:
        return ordered
    must = sorted({ordered[0], candidate.failure, view.cause[candidate.failure - view.low], ordered[-1]})
    rest = [r for r in ordered if r not in set(must)]
    free = limit - len(must)
    picked = [rest[i * len(rest) // free] for i in range(free)]
    return sorted({*must, *picked})


def event_text(view: View, row: int) -> str:
    """What happened at a row, in a few words."""
    kind, frame = view.kind[row - view.low], view.frame
    target = frame.targets[int(frame.target[row])]
    name = target.name or "the page"
    label = f" “{target.label}”" if target.label and target.label not in name else ""
    if kind == CLICK:
        return f"clicked {name}{label}"
    if kind == INPUT:
        return f"filled in {name}{label}"
    if kind == SUBMIT:
        return f"submitted {target.name or 'the form'}"
    if kind == NAVIGATION:
        reload = bool(frame.is_reload(row))
        return f"{'reloaded' if reload else 'went to'} {view.pattern(row)}"
    if kind in (NETWORK, PERFORMANCE, LOADING) or view.negative[row - view.low]:
        took = int(frame.duration[row])
        text = feedback_text(view, row) if view.negative[row - view.low] else _TYPES[kind]
        return f"{text} ({seconds(took)})" if took >= view.config.slow_ms else text
    if kind == SCROLL:
        return "turned the scrolling direction"
    return "the session ended" if kind == END else _TYPES[kind]


def event_type(view: View, row: int) -> str:
    return _TYPES[view.kind[row - view.low]]


def event_ids(view: View, rows: Sequence[int]) -> list[str]:
    """Identities of the events at frame rows."""
    taken = view.frame.table["event_id"].take(pa.array(rows, pa.int64()))
    return [str(t) for t in taken.to_pylist()]


def cell(view: View, column: str, row: int) -> str:
    """A text of one event."""
    return str(view.frame.table[column][row].as_py() or "")
