"""Plain sentences, the timeline and the JSON of detections; built only for what is emitted, when it is asked for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ufse.arrays import Ints, Lookup, Ragged, compact_codes, count_distinct_by_owner, sort_unique
from ufse.config import ENGINE_VERSION, Config
from ufse.feedback import CRASH, FAILURE, INVALID, SLOW
from ufse.judge import RULE_NAMES, Judgement
from ufse.memo import memoize_texts
from ufse.patterns import clean_text, digest_texts
from ufse.score import RULES, confidence_level
from ufse.sessions import CLICK, END, INPUT, LOADING, NAVIGATION, NETWORK, PERFORMANCE, SCROLL, SUBMIT, Visits
from ufse.signals.model import (
    ABANDONMENT,
    BLOCKED,
    CONFUSION,
    ENDED,
    FEEDBACK,
    KIND_NAMES,
    LEFT,
    PLAIN,
    RAGE,
    RELOADS,
    SILENCE,
    THRASH,
    Signals,
)
from ufse.target_codes import PAGE
from ufse.weights import TEXTS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999
_TYPES = (
    "click", "input", "scroll", "hover", "form_submit", "navigation", "error", "network", "performance",
    "loading", "visibility", "session_end", "other", )  # fmt: skip
_LEAVING = {LEFT: "was left for {}", ENDED: "ended with the session", SILENCE: "went silent"}
_CAUSE_TEXTS = {
    CLICK: "the click on {}",
    INPUT: "the change of {}",
    SUBMIT: "the submit of {}",
    NAVIGATION: "the page was opened",
}
"""What an answer answers, by the kind of the interaction that caused it."""
_ANSWER = 9
"""Place of the failure's Answer in ``Stories._columns``."""
_POINT_TEXTS = tuple(TEXTS[rule] for rule in RULES)
RulePoints = tuple[tuple[str, int], ...]
"""The words and points of the rules that gave or took any. Few combinations are common: they are worded once."""


def format_timestamp(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds; times outside the years 1–9999 are held at their edge."""
    held = _EPOCH + timedelta(milliseconds=min(max(ms, _EARLIEST), _LATEST))
    return held.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _format_timestamps(at: Ints) -> list[str]:
    """The same for a column."""
    held = np.clip(at, _EARLIEST, _LATEST).astype("datetime64[ms]")
    texts: list[str] = np.datetime_as_string(held, unit="ms", timezone="UTC").tolist()
    return texts


def format_duration(ms: int) -> str:
    """A duration, as short as it can be read: ``80 ms``, ``1.9 s``, ``25 s``."""
    if ms < 1_000:
        return f"{ms} ms"
    return f"{ms / 1000:.1f} s" if ms < 10_000 else f"{round(ms / 1000)} s"


def format_repetitions(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def severity_type(negative: int) -> str:
    """Bug for failures and errors, Performance for slowness, UX for rejections and validation."""
    if negative == SLOW:
        return "Performance"
    return "Bug" if negative in (FAILURE, CRASH) else "UX"


class Answer(NamedTuple):
    """A feedback event as far as its words need it."""

    kind: int
    negative: int
    endpoint: int
    status: int
    perf_kind: int


class Words:
    """The words for rows and actions of one frame."""

    def __init__(self, judged: Judgement) -> None:
        self.index, self.frame = judged.index, judged.index.frame
        self.target_count = max(len(self.frame.targets), 1)
        self._answers: dict[Answer, str] = {}

    def route_pattern(self, action: int) -> str:
        return self.frame.patterns[action // self.target_count]

    def target_name(self, action: int) -> str:
        """The name of an action's target; a page opened has none."""
        return self.frame.targets[action % self.target_count].name

    def shown_target(self, action: int) -> str:
        return "page load" if action % self.target_count == PAGE else self.target_name(action)

    def read_answers(self, rows: Ints) -> list[Answer]:
        frame, attribution = self.frame, self.index.attribution
        columns = (frame.kind, attribution.negative, frame.endpoint, frame.status, frame.words["perf_kind"][0])
        return [Answer(*a) for a in zip(*(c[rows].tolist() for c in columns), strict=True)]

    def feedback_text(self, answer: Answer) -> str:
        """What failed, in the words of a failure point; without times, so that sessions meet."""
        text = self._answers.get(answer)
        if text is None:
            text = self._answers[answer] = self._write_feedback(answer)
        return text

    def _write_feedback(self, a: Answer) -> str:
        endpoint = self.frame.endpoints[a.endpoint] if a.endpoint >= 0 else ""
        if a.kind == NETWORK:
            answer = "slow" if a.negative == SLOW else str(a.status) if a.status > 0 else "no answer"
            if not endpoint:
                return "network error" if a.status <= 0 and a.negative != SLOW else f"request → {answer}"
            return f"{endpoint} → {answer}"
        if a.negative == SLOW:
            measured = self.frame.words["perf_kind"][1][a.perf_kind] if a.perf_kind >= 0 else ""
            return f"{measured.replace('_', ' ') or 'loading'} → slow"
        return endpoint or ("validation error" if a.negative == INVALID else "uncaught error")

    def write_failure_point(self, action: int, answer: Answer) -> str:
        """``/checkout › button#pay › POST /api/orders → 500``."""
        shown, feedback = self.shown_target(action), self.feedback_text(answer)
        control = "" if shown and feedback.startswith(shown) else shown
        return " › ".join(p for p in (self.route_pattern(action), control, feedback) if p)


class DetectionWriter:
    """What is told of emitted clusters: prepared for all of them at once, written one by one."""

    def __init__(self, visits: Visits, judged: Judgement, emitted: Ints) -> None:
        """The detections hold this, and with it what it keeps: so it keeps no column that telling does not read."""
        index = judged.index.trim_for_explanation()
        clusters = replace(judged.clusters, index=index)
        self.visits, self.emitted = visits, emitted
        self.judged = judged = replace(judged, index=index, clusters=clusters)
        self.index, self.frame = index, index.frame
        self.words = Words(judged)

    @cached_property
    def _emitted_signals(self) -> tuple[Signals, list[int]]:
        """The signals of each emitted cluster, feedback included, in the order of the story; and their bounds."""
        judged, clusters, emitted = self.judged, self.judged.clusters, self.emitted
        negatives = clusters.negatives.take_lists(emitted)
        failure_cause = self.index.attribution.cause[clusters.failure[emitted]]
        feedback = Signals.of_kind(
            FEEDBACK,
            PLAIN,
            start=self.frame.ts[negatives.first],
            end=self.frame.ts[negatives.last],
            count=count_distinct_by_owner(
                negatives.owner, self.index.attribution.cause[negatives.values], len(emitted)
            ),
            action=clusters.action[emitted],
            row=failure_cause,
            rows=negatives,
        )
        low, high = np.zeros_like(emitted), np.full_like(emitted, len(judged.owner) + 1)
        owner, near = judged.signals_by_cluster.find_entries(emitted, low, high)
        both = Signals.join_parts([judged.signals.take_signals(near), feedback])
        whose = np.concatenate((owner, np.arange(len(emitted))))
        order = np.lexsort((both.rows.first, both.kind, both.start, both.end, whose))
        bounds = np.searchsorted(whose[order], np.arange(len(emitted) + 1))
        return both.take_signals(order), bounds.tolist()

    @cached_property
    def _signal_columns(self) -> tuple[list[Any], ...]:
        """Kinds, forms, starts, ends, counts, actions, patterns, patterns of the last event, stamps of start and end, ids of
        the events.
        """
        s, _ = self._emitted_signals
        plain = [c.tolist() for c in (s.kind, s.form, s.start, s.end, s.count, s.action, self.frame.pattern[s.row])]
        ids = self.frame.source.read_texts("event_id", s.rows.values)
        listed = [ids[a:b] for a, b in pairwise(s.rows.bounds.tolist())]
        into = self.frame.pattern[s.rows.last].tolist()
        return (*plain, into, _format_timestamps(s.start), _format_timestamps(s.end), listed)

    @cached_property
    def _timeline_rows(self) -> Ragged:
        """The rows of each timeline: the way in, the attempts, the answers, the end."""
        clusters, emitted = self.judged.clusters, self.emitted
        failure = clusters.failure[emitted]
        cause = self.index.attribution.cause[failure]
        signals, bounds = self._emitted_signals
        of_signal = np.repeat(np.arange(len(emitted)), np.diff(bounds))
        asked = clusters.negatives.take_lists(emitted)
        owner = np.concatenate((of_signal[signals.rows.owner], np.arange(len(emitted)), asked.owner))
        row = np.concatenate((signals.rows.values, cause, self.index.attribution.cause[asked.values]))
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
        """The last navigation to the page of each failure before a row, -1 without one."""
        frame, clusters = self.frame, self.judged.clusters
        page = self.index.pattern_of_action(clusters.action[self.emitted])
        moves = self.index.navigation_rows
        lookup = Lookup(self.index.visit_page_key(frame.visit[moves], frame.pattern[moves]), moves)
        return lookup.find_last_before(self.index.visit_page_key(clusters.visit[self.emitted], page), before)

    @cached_property
    def _timeline_columns(self) -> tuple[list[Any], ...]:
        """Of every event in a timeline: id, time, stamp, type, route, target and text; in the order of ``_timelines``."""
        rows, frame = self._timeline_rows.values, self.frame
        return (
            frame.source.read_texts("event_id", rows),
            frame.ts[rows].tolist(),
            _format_timestamps(frame.ts[rows]),
            [_TYPES[k] for k in frame.kind[rows].tolist()],
            [frame.patterns[p] for p in frame.pattern[rows].tolist()],
            [frame.targets[t].name for t in frame.target[rows].tolist()],
            self._write_event_texts(rows),
        )

    def _write_event_texts(self, rows: Ints) -> list[str]:
        """What happened at each row, in a few words; the words are found once for all events that are alike."""
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
            return "turned the scrolling direction"
        return "the session ended" if kind == END else _TYPES[kind]

    @cached_property
    def _detection_columns(self) -> list[tuple[Any, ...]]:
        """Per emitted cluster what its detection needs as plain numbers, see ``body``."""
        judged, clusters, emitted, attribution = self.judged, self.judged.clusters, self.emitted, self.index.attribution
        failure = clusters.failure[emitted]
        cause = attribution.cause[failure]
        source = self.frame.source
        columns: tuple[list[Any], ...] = (
            clusters.visit[emitted].tolist(),
            clusters.action[emitted].tolist(),
            clusters.resolved[emitted].tolist(),
            judged.score[emitted].tolist(),
            [tuple(p) for p in judged.points[emitted].tolist()],
            judged.start[emitted].tolist(),
            judged.end[emitted].tolist(),
            _format_timestamps(judged.start[emitted]),
            _format_timestamps(judged.end[emitted]),
            self.words.read_answers(failure),
            _format_timestamps(self.frame.ts[failure]),
            self.index.waiting_times(failure).tolist(),
            (attribution.success[failure] | (self.frame.kind[failure] != NETWORK)).tolist(),
            (self.frame.ts[failure] - self.frame.ts[cause]).tolist(),
            self.frame.kind[cause].tolist(),
            source.read_texts("user_hash", failure),
            source.read_texts("environment", failure),
            source.read_texts("app_version", failure),
            source.read_texts("user_agent", failure),
        )
        return list(zip(*columns, strict=True))

    @cached_property
    def _visit_identities(self) -> dict[int, tuple[str, str, str, str]]:
        """Project, client session, visit id and start of every visit that is told of."""
        visits = self.visits
        return {
            v: (
                visits.projects[int(visits.project_code[v])],
                visits.sessions[int(visits.session_code[v])],
                visits.make_visit_id(v),
                format_timestamp(int(visits.start_ms[v])),
            )
            for v in set(self.judged.clusters.visit[self.emitted].tolist())
        }

    def detection_identity(self, number: int) -> tuple[str, str]:
        """(Detection id, fingerprint) of one emitted cluster: the same session and failure point give the same id."""
        visit, action = self._detection_columns[number][:2]
        project, _, visit_id, _ = self._visit_identities[visit]
        words = self.words
        feedback = words.feedback_text(self._detection_columns[number][_ANSWER])
        fingerprint = _compute_fingerprint(project, words.route_pattern(action), words.target_name(action), feedback)
        return digest_texts(("detection", visit_id, fingerprint)), fingerprint

    def write_detection(self, number: int) -> dict[str, Any]:
        """The JSON of one detection (detection.md, "A detection carries") in a fixed order of keys."""
        (visit, action, resolved, score, points, start, _, since, until, answer, *_, user, environment, app, agent) = (
            self._detection_columns[number]
        )
        words, config = self.words, self.index.config
        project, session, visit_id, visit_start = self._visit_identities[visit]
        detection_id, fingerprint = self.detection_identity(number)
        signals = self._write_signals(number)
        gained = nonzero_points(points)
        return {
            "detectionId": detection_id,
            "projectId": project,
            "sessionId": session,
            "visitId": visit_id,
            "visitStart": visit_start,
            "fingerprint": fingerprint,
            "failurePoint": {
                "route": words.route_pattern(action),
                "target": words.target_name(action),
                "feedback": words.feedback_text(answer),
            },
            "primaryFailurePoint": words.write_failure_point(action, answer),
            "frustrationScore": score,
            "confidenceLevel": confidence_level(score, config),
            "confidenceScore": score / 100,
            "severityType": severity_type(answer.negative),
            "timestamp": since,
            "lastSeen": until,
            "triggeringSignals": [signal for signal, _ in signals],
            "points": [{"rule": rule, "points": p} for rule, p in gained],
            "explanation": self._write_explanation(number, signals, gained),
            "timeline": self._write_timeline(number, start),
            "endedFlow": any(signal["type"] == "abandonment" for signal, _ in signals),
            "resolved": resolved,
            "context": {
                "userHash": user,
                "environment": clean_text(environment),
                "appVersion": clean_text(app),
                "userAgent": clean_text(agent),
                "label": self.frame.targets[action % words.target_count].label,
                "truncated": bool(self.frame.truncated[visit]),
            },
            "engineVersion": ENGINE_VERSION,
            "configHash": config.digest,
        }

    def _write_signals(self, number: int) -> list[tuple[dict[str, Any], str]]:
        """(JSON, times of day) of each signal of a detection."""
        _, bounds = self._emitted_signals
        kinds, forms, starts, ends, counts, actions, pages, into, since, until, ids = self._signal_columns
        words, frame = self.words, self.frame
        last_failure = max(ends[i] for i in range(bounds[number], bounds[number + 1]) if kinds[i] == FEEDBACK)
        found = []
        for i in range(bounds[number], bounds[number + 1]):
            wandered = kinds[i] == CONFUSION
            text = self._write_signal_text(
                number,
                kinds[i],
                forms[i],
                ends[i] - starts[i],
                counts[i],
                actions[i],
                into[i] if kinds[i] == ABANDONMENT else pages[i],
                ends[i] - last_failure,
            )
            signal_body = {
                "type": KIND_NAMES[kinds[i]],
                "start": since[i],
                "end": until[i],
                "route": frame.patterns[pages[i]] if wandered else words.route_pattern(actions[i]),
                "target": "" if wandered else words.target_name(actions[i]),
                "count": counts[i],
                "text": text,
                "eventIds": ids[i],
            }
            found.append((signal_body, f"({since[i][11:-1]} to {until[i][11:-1]})"))
        return found

    def _write_signal_text(
        self, number: int, kind: int, form: int, lasted: int, count: int, action: int, page: int, after_failure: int
    ) -> str:
        """One signal in a few words with counts and times (ms)."""
        words, span = self.words, format_duration(lasted)
        if kind == RAGE:
            if form == RELOADS:
                return f"{count} reloads of {self.frame.patterns[page]} in {span}"
            return f"{count} clicks on {words.shown_target(action)} in {span}"
        if kind == BLOCKED:
            name = "the page" if action % words.target_count == PAGE else words.shown_target(action)
            soon = format_duration(self.index.config.retry_window_ms)
            return (
                f"{name} was tried again {format_repetitions(count)} within {soon} of a failed answer, without success"
            )
        if kind == ABANDONMENT:
            wait = (
                f"{format_duration(after_failure)} after the last failure" if after_failure > 0 else "at the same time"
            )
            return f"the flow begun on {words.route_pattern(action)} {_LEAVING[form].format(self.frame.patterns[page])} {wait}"
        if kind == FEEDBACK:
            answers = "1 negative answer" if count == 1 else f"{count} negative answers"
            return f"{words.feedback_text(self._detection_columns[number][_ANSWER])}, {answers}"
        if form == THRASH:
            return f"{count} reversals of scrolling in {span} on {self.frame.patterns[page]}"
        return f"{count} changes between the same pages in {span}"

    def _write_explanation(self, number: int, signals: list[tuple[dict[str, Any], str]], points: RulePoints) -> str:
        """Which signals, why they belong together, what failed first, and why the score is what it is."""
        (_, action, resolved, score, _, start, end, _, _, answer, at, waited, came, delay, cause, *_) = (
            self._detection_columns[number]
        )
        words, config = self.words, self.index.config
        cause_text = _CAUSE_TEXTS[cause].format(words.target_name(action) or "the form")
        origin = f", {format_duration(delay)} after {cause_text}" if delay > 0 else ""
        sentences = [
            f"On {words.route_pattern(action)}, {self._describe_answer(answer, waited, came)} at {at[11:-1]} UTC{origin}."
        ]
        tries = next(signal["count"] for signal, _ in signals if signal["type"] == "feedback")
        if tries > 1:
            page = action % words.target_count == PAGE
            what = "openings of the page" if page else f"attempts at {words.shown_target(action)}"
            sentences.append(f"In all, {tries} {what} {'were slow' if answer.negative == SLOW else 'failed'}.")
        sentences += [
            f"{_capitalize_sentence(signal['text'])} {when}."
            for signal, when in signals
            if signal["type"] != "feedback"
        ]
        leaving = any(signal["type"] == "abandonment" for signal, _ in signals)
        patience = f", the leaving within {format_duration(config.abandon_window_ms)}" if leaving else ""
        sentences.append(
            f"These are {len(signals)} signals resting on different events of one session and flow within "
            f"{format_duration(end - start)}: each within {format_duration(config.correlation_gap_ms)} "
            f"of the one before it{patience}; time spent waiting for an answer is not counted."
        )
        late = answer.negative == SLOW and came and not resolved
        unresolved = "The answer came in the end." if late else "No later success of this action was recorded."
        sentences.append("The action succeeded later." if resolved else unresolved)
        sentences.append(
            f"Score {score} ({confidence_level(score, config)}, from {config.high_score}): {format_points(points)}."
        )
        return " ".join(sentences)

    def _describe_answer(self, answer: Answer, waited: int, came: bool) -> str:
        what = self.words.feedback_text(answer)
        if answer.kind == NETWORK:
            request, _, result = what.rpartition(" → ")
            if answer.negative == SLOW:
                unanswered = f"{request} had not answered after {format_duration(waited)}, when the user left,"
                return f"{request} kept the user waiting {format_duration(waited)}" if came else unanswered
            if not request:
                return f"a {what} came"
            return f"{request} was not answered" if result == "no answer" else f"{request} answered {result}"
        if answer.negative == CRASH:
            return f"the page raised “{what}”"
        if answer.negative == INVALID:
            return f"the input was rejected ({what})"
        measured = what.removesuffix(" → slow")
        return (
            f"the page took {format_duration(waited)} to load"
            if measured == "page load"
            else f"{measured} took {format_duration(waited)}"
        )

    def _write_timeline(self, number: int, start: int) -> list[dict[str, Any]]:
        low, high = self._timeline_rows.bounds[number : number + 2].tolist()
        return [
            {
                "eventId": event_id,
                "at": timestamp,
                "offsetMs": at - start,
                "eventType": kind,
                "route": pattern,
                "target": target,
                "text": text,
            }
            for event_id, at, timestamp, kind, pattern, target, text in zip(
                *(column[low:high] for column in self._timeline_columns), strict=True
            )
        ]


def _choose_timeline_rows(rows: list[int], failure: int, cause: int, limit: int) -> list[int]:
    """At most ``limit`` of the rows, spread evenly; the first, the last, the failure and its cause among them."""
    if len(rows) <= limit:
        return rows
    must = sorted({rows[0], failure, cause, rows[-1]})
    rest = [r for r in rows if r not in set(must)]
    free = limit - len(must)
    return sorted({*must, *(rest[i * len(rest) // free] for i in range(free))})


def _capitalize_sentence(text: str) -> str:
    return "T" + text[1:] if text.startswith("the ") else text


@lru_cache(maxsize=4_096)
def format_points(points: RulePoints) -> str:
    """Points in a row; what lies over 100 is said, for it does not count."""
    gained = sum(p for _, p in points if p > 0)
    capped = f" (sum {gained}, of which 100 count)" if gained > 100 else ""
    return ", ".join(f"{rule} {p:+d}" for rule, p in points) + capped


@lru_cache(maxsize=4_096)
def nonzero_points(points: tuple[int, ...]) -> RulePoints:
    """The rules that gave or took points, in the order of the story."""
    return tuple((rule, p) for rule, p in zip(_POINT_TEXTS, points, strict=True) if p)


@memoize_texts
def _compute_fingerprint(project: str, route: str, target: str, feedback: str) -> str:
    """The identity of a failure point; many sessions meet at one."""
    return digest_texts(("failure", project, route, target, feedback))


def verdict_text(rule: int, score: int, points: RulePoints, config: Config) -> str:
    """Why a candidate fell, in a sentence."""
    name = RULE_NAMES[rule]
    if name == "outside_window":
        return (
            f"The behavioural signals lie more than {format_duration(config.correlation_gap_ms)} away from the failure."
        )
    if name == "resolved":
        return (
            f"The action was achieved later in the session: score {score}, below {config.high_score} "
            f"({format_points(points)})."
        )
    if name == "below_high":
        shown = confidence_level(score, config)
        return f"The score is {score}, below {config.high_score}: {shown} is not emitted ({format_points(points)})."
    return _VERDICTS[name]


_VERDICTS = {
    "emitted": "All rules passed.",
    "no_behavioural_signal": "Nobody reacted to it: no rage, retry, leaving or confusion belongs to it.",
    "not_independent": "The signals rest on the same events.",
    "ignored": "The route or target is on the project's ignore list.",
}
