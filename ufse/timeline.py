"""The timeline of a detection: the few events that explain it."""

from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from ufse.arrays import Ints, Lookup, Ragged, find_distinct_rows, sort_unique
from ufse.detection import TimelineEntry
from ufse.formats import format_duration, format_timestamps
from ufse.judge import Judgement
from ufse.sessions import CLICK, END, INPUT, LOADING, NAVIGATION, NETWORK, PERFORMANCE, SCROLL, SUBMIT
from ufse.shapes import remove_copy_marks
from ufse.words import Answer, Words

_TYPES: Final = (
    "click", "input", "scroll", "hover", "form_submit", "navigation", "error", "network", "performance",
    "loading", "visibility", "session_end", "other", )  # fmt: skip
"""The event types of the output, by kind of event."""


class _Happening(NamedTuple):
    """What many events of timelines share."""

    event_type: str
    route: str
    target: str
    text: str
    """What happened."""


class _Events(NamedTuple):
    """The events of all timelines, a column each: objects for all events at once would be slow to make and to keep."""

    event_id: list[str]
    ts: list[int]
    """Epoch ms."""
    timestamp: list[str]
    happening: list[_Happening]


class TimelineWriter:
    """The timelines of the emitted clusters: prepared for all at once, written one by one."""

    def __init__(self, judged: Judgement, emitted: Ints, words: Words, signal_rows: Ragged) -> None:
        """``signal_rows``: per emitted cluster, the frame rows on which its signals rest."""
        self.judged, self.emitted, self.words, self.signal_rows = judged, emitted, words, signal_rows
        self.index, self.frame = judged.index, judged.index.frame

    def write_timeline(self, number: int, start: int) -> list[TimelineEntry]:
        """The timeline of one emitted cluster; ``start`` is the time of its first signal, epoch ms."""
        ids, times, texts, happenings = self._events
        span = slice(self._bounds[number], self._bounds[number + 1])
        events = zip(ids[span], times[span], texts[span], happenings[span], strict=True)
        return [
            {
                "eventId": event_id,
                "at": timestamp,
                "offsetMs": ts - start,
                "eventType": event_type,
                "route": route,
                "target": target,
                "text": text,
            }
            for event_id, ts, timestamp, (event_type, route, target, text) in events
        ]

    @cached_property
    def _bounds(self) -> list[int]:
        bounds: list[int] = self._timeline_rows.bounds.tolist()
        return bounds

    @cached_property
    def _timeline_rows(self) -> Ragged:
        """Per emitted cluster: the rows of its timeline: the navigation to the page, the attempts, the answers, the end."""
        clusters, emitted = self.judged.clusters, self.emitted
        failure = clusters.failure[emitted]
        cause = self.index.attribution.cause[failure]
        asked = clusters.negatives.take_lists(emitted)
        owner = np.concatenate((self.signal_rows.owner, np.arange(len(emitted)), asked.owner))
        row = np.concatenate((self.signal_rows.values, cause, self.index.attribution.cause[asked.values]))
        rows = _list_distinct_rows(owner, row, len(emitted), len(self.frame))
        arrived = self._find_page_arrivals(rows.first)
        came = np.flatnonzero(arrived >= 0)
        rows = _list_distinct_rows(
            np.concatenate((rows.owner, came)), np.concatenate((rows.values, arrived[came])), len(rows), len(self.frame)
        )
        long = np.flatnonzero(rows.sizes > self.index.config.timeline_events)
        return self._shorten_lists(rows, long, failure, cause) if len(long) else rows

    def _shorten_lists(self, rows: Ragged, long: Ints, failure: Ints, cause: Ints) -> Ragged:
        """The lists, of which the ``long`` ones are cut to the most events of a timeline."""
        limit = self.index.config.timeline_events
        kept = np.setdiff1d(np.arange(len(rows)), long)
        short = rows.take_lists(kept)
        chosen = [
            _choose_timeline_rows(rows.values[low:high].tolist(), failed, by, limit)
            for low, high, failed, by in zip(
                *(c[long].tolist() for c in (rows.bounds[:-1], rows.bounds[1:], failure, cause)), strict=True
            )
        ]
        cut = Ragged(np.array([r for c in chosen for r in c], dtype=np.int64), np.cumsum([0, *map(len, chosen)]))
        order = np.argsort(np.concatenate((kept, long)), kind="stable")
        return Ragged.join_parts([short, cut]).take_lists(order)

    def _find_page_arrivals(self, before: Ints) -> Ints:
        """Per emitted cluster: the last navigation to its page before the row, -1 without one."""
        frame, clusters = self.frame, self.judged.clusters
        page = self.index.pattern_of_action(clusters.action[self.emitted])
        moves = self.index.navigation_rows
        lookup = Lookup(self.index.visit_page_key(frame.visit[moves], frame.pattern[moves]), moves)
        return lookup.find_last_before(self.index.visit_page_key(clusters.visit[self.emitted], page), before)

    @cached_property
    def _events(self) -> _Events:
        """The events of all timelines, in the order of ``_timeline_rows``."""
        rows, frame = self._timeline_rows.values, self.frame
        return _Events(
            remove_copy_marks(frame.source.read_texts("event_id", rows)),
            frame.ts[rows].tolist(),
            format_timestamps(frame.ts[rows]),
            self._describe_events(rows),
        )

    def _describe_events(self, rows: Ints) -> list[_Happening]:
        """What happened at each row; equal events share one description."""
        frame, negative = self.frame, self.index.attribution.negative[rows]
        long = frame.duration[rows] >= self.index.config.slow_ms
        took = np.where(long, frame.duration[rows], -1)
        reload = frame.column_equals("nav_type", "reload", rows=rows) & (frame.kind[rows] == NAVIGATION)
        perf_kind = frame.words["perf_kind"][0][rows]
        answer = (frame.kind[rows], negative, frame.endpoint[rows], frame.status[rows], perf_kind)
        columns = (*answer, frame.target[rows], frame.pattern[rows], took, reload.astype(np.int64))
        code, first = find_distinct_rows(columns, len(rows))
        alike = zip(*(c[first].tolist() for c in columns), strict=True)
        found = [self._describe_event(Answer(*example[:5]), *example[5:]) for example in alike]
        return [found[c] for c in code.tolist()]

    def _describe_event(self, answer: Answer, target: int, pattern: int, took: int, reload: int) -> _Happening:
        frame = self.frame
        text = self._write_event(answer, target, pattern, took, reload)
        return _Happening(_TYPES[answer.kind], frame.patterns[pattern], frame.targets[target].name, text)

    def _write_event(self, answer: Answer, target_code: int, pattern: int, took: int, reload: int) -> str:
        kind, target = answer.kind, self.frame.targets[target_code]
        name = target.name or "the page"
        label = f" “{target.label}”" if target.label and target.label not in name else ""
        if kind == CLICK:
            return f"clicked {name}{label}"
        if kind == INPUT:
            return f"filled in {name}{label}"
        if kind == SUBMIT:
            return f"submitted {target.name or 'the form'}"
        if kind == NAVIGATION:
            return f"{'reloaded' if reload else 'went to'} {self.frame.patterns[pattern]}"
        if kind in (NETWORK, PERFORMANCE, LOADING) or answer.negative:
            text = self.words.feedback_text(answer) if answer.negative else _TYPES[kind]
            return f"{text} ({format_duration(took)})" if took >= 0 else text
        if kind == SCROLL:
            return "reversed the scroll direction"
        return "the session ended" if kind == END else _TYPES[kind]


def _list_distinct_rows(owner: Ints, row: Ints, size: int, base: int) -> Ragged:
    """Per owner its distinct rows, ascending; 0 ≤ row < base."""
    keys = sort_unique(owner * base + row)
    return Ragged.from_owners(keys // base, keys % base, size)


def _choose_timeline_rows(rows: list[int], failure: int, cause: int, limit: int) -> list[int]:
    """At most ``limit`` of the rows, evenly spread, with the first, the last, the failure and its cause."""
    if len(rows) <= limit:
        return rows
    must = sorted({rows[0], failure, cause, rows[-1]})
    rest = [r for r in rows if r not in set(must)]
    free = limit - len(must)
    return sorted({*must, *(rest[i * len(rest) // free] for i in range(free))})
