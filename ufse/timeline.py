"""The timeline of a detection: the few events that explain it."""

from functools import cached_property
from typing import Final

import numpy as np

from ufse.arrays import Ints, Lookup, Ragged, compact_codes, sort_unique
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


_Event = tuple[str, int, str, str, str, str, str]
"""An event of a timeline: its id, time (epoch ms), time as text, type, route, target, and what happened."""


class TimelineWriter:
    """The timelines of the emitted clusters: prepared for all at once, written one by one."""

    def __init__(self, judged: Judgement, emitted: Ints, words: Words, signal_rows: Ragged) -> None:
        """``signal_rows``: per emitted cluster, the frame rows on which its signals rest."""
        self.judged, self.emitted, self.words, self.signal_rows = judged, emitted, words, signal_rows
        self.index, self.frame = judged.index, judged.index.frame

    def write_timeline(self, number: int, start: int) -> list[TimelineEntry]:
        """The timeline of one emitted cluster; ``start`` is the time of its first signal, epoch ms."""
        low, high = self._timeline_rows.bounds[number : number + 2].tolist()
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
            for event_id, ts, timestamp, event_type, route, target, text in self._events[low:high]
        ]

    @cached_property
    def _timeline_rows(self) -> Ragged:
        """Per emitted cluster: the rows of its timeline: the navigation to the page, the attempts, the answers, the end."""
        clusters, emitted = self.judged.clusters, self.emitted
        failure = clusters.failure[emitted]
        cause = self.index.attribution.cause[failure]
        asked = clusters.negatives.take_lists(emitted)
        owner = np.concatenate((self.signal_rows.owner, np.arange(len(emitted)), asked.owner))
        row = np.concatenate((self.signal_rows.values, cause, self.index.attribution.cause[asked.values]))
        base = len(self.frame)
        row_keys = sort_unique(owner * base + row)
        rows = Ragged.from_owners(row_keys // base, row_keys % base, len(emitted))
        arrived = self._find_page_arrivals(rows.first).tolist()
        limit, values, cuts = self.index.config.timeline_events, rows.values.tolist(), rows.bounds.tolist()
        found: list[list[int]] = []
        for i, (came, failed, by) in enumerate(zip(arrived, failure.tolist(), cause.tolist(), strict=True)):
            listed = values[cuts[i] : cuts[i + 1]]
            found.append(_choose_timeline_rows([came, *listed] if came >= 0 else listed, failed, by, limit))
        bounds_of = np.append(0, np.cumsum([len(f) for f in found]))
        return Ragged(np.array([r for f in found for r in f], dtype=np.int64), bounds_of)

    def _find_page_arrivals(self, before: Ints) -> Ints:
        """Per emitted cluster: the last navigation to its page before the row, -1 without one."""
        frame, clusters = self.frame, self.judged.clusters
        page = self.index.pattern_of_action(clusters.action[self.emitted])
        moves = self.index.navigation_rows
        lookup = Lookup(self.index.visit_page_key(frame.visit[moves], frame.pattern[moves]), moves)
        return lookup.find_last_before(self.index.visit_page_key(clusters.visit[self.emitted], page), before)

    @cached_property
    def _events(self) -> list[_Event]:
        """The events of all timelines, in the order of ``_timeline_rows``."""
        rows, frame = self._timeline_rows.values, self.frame
        columns = (
            remove_copy_marks(frame.source.read_texts("event_id", rows)),
            frame.ts[rows].tolist(),
            format_timestamps(frame.ts[rows]),
            [_TYPES[k] for k in frame.kind[rows].tolist()],
            [frame.patterns[p] for p in frame.pattern[rows].tolist()],
            [frame.targets[t].name for t in frame.target[rows].tolist()],
            self._write_event_texts(rows),
        )
        return list(zip(*columns, strict=True))

    def _write_event_texts(self, rows: Ints) -> list[str]:
        """What happened at each row, in a few words; equal events share one text."""
        frame, negative = self.frame, self.index.attribution.negative[rows]
        long = frame.duration[rows] >= self.index.config.slow_ms
        took = np.where(long, frame.duration[rows], -1)
        reload = frame.column_equals("nav_type", "reload", rows=rows) & (frame.kind[rows] == NAVIGATION)
        perf_kind = frame.words["perf_kind"][0][rows]
        answer = (frame.kind[rows], negative, frame.endpoint[rows], frame.status[rows], perf_kind)
        columns = (*answer, frame.target[rows], frame.pattern[rows], took, reload.astype(np.int64))
        code = np.zeros(len(rows), dtype=np.int64)
        for column in columns:
            low = int(column.min(initial=0))
            width = int(column.max(initial=0)) - low + 1
            code, _ = compact_codes(code * width + column - low, (int(code.max(initial=0)) + 1) * width)
        first = np.zeros(int(code.max(initial=-1)) + 1, dtype=np.int64)
        first[code[::-1]] = np.arange(len(rows))[::-1]
        alike = zip(*(c[first].tolist() for c in columns), strict=True)
        texts = [self._write_event(Answer(*example[:5]), *example[5:]) for example in alike]
        return [texts[c] for c in code.tolist()]

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


def _choose_timeline_rows(rows: list[int], failure: int, cause: int, limit: int) -> list[int]:
    """At most ``limit`` of the rows, evenly spread, with the first, the last, the failure and its cause."""
    if len(rows) <= limit:
        return rows
    must = sorted({rows[0], failure, cause, rows[-1]})
    rest = [r for r in rows if r not in set(must)]
    free = limit - len(must)
    return sorted({*must, *(rest[i * len(rest) // free] for i in range(free))})
