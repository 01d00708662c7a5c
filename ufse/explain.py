"""Plain sentences, the timeline and the JSON of detections; built only for what is emitted, when it is asked for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ufse.arrays import Ints, Lookup, Ragged, dense, distinct_by, unique
from ufse.config import ENGINE_VERSION, Config
from ufse.feedback import CRASH, FAILURE, INVALID, SLOW
from ufse.frame import PAGE
from ufse.judge import RULE_NAMES, Judgement
from ufse.memo import memo
from ufse.patterns import clean, digest
from ufse.score import RULES, level
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
from ufse.weights import TEXTS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999
_TYPES = (
    "click", "input", "scroll", "hover", "form_submit", "navigation", "error", "network", "performance",
    "loading", "visibility", "session_end", "other", )  # fmt: skip
_LEAVING = {LEFT: "was left for {}", ENDED: "ended with the session", SILENCE: "went silent"}
_DEED = {
    CLICK: "the click on {}",
    INPUT: "the change of {}",
    SUBMIT: "the submit of {}",
    NAVIGATION: "the page was opened",
}
"""What an answer answers, by the kind of the interaction that caused it."""
_ANSWER = 9
"""Place of the failure's Answer in ``Stories._columns``."""
_POINT_TEXTS = tuple(TEXTS[rule] for rule in RULES)
Gains = tuple[tuple[str, int], ...]
"""The words and points of the rules that gave or took any. Few combinations are common: they are worded once."""


def stamp(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds; times outside the years 1–9999 are held at their edge."""
    held = _EPOCH + timedelta(milliseconds=min(max(ms, _EARLIEST), _LATEST))
    return held.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stamps(at: Ints) -> list[str]:
    """The same for a column."""
    held = np.clip(at, _EARLIEST, _LATEST).astype("datetime64[ms]")
    texts: list[str] = np.datetime_as_string(held, unit="ms", timezone="UTC").tolist()
    return texts


def seconds(ms: int) -> str:
    """A duration, as short as it can be read: ``80 ms``, ``1.9 s``, ``25 s``."""
    if ms < 1_000:
        return f"{ms} ms"
    return f"{ms / 1000:.1f} s" if ms < 10_000 else f"{round(ms / 1000)} s"


def times(count: int) -> str:
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

    def pattern(self, action: int) -> str:
        return self.frame.patterns[action // self.target_count]

    def target(self, action: int) -> str:
        """The name of an action's target; a page opened has none."""
        return self.frame.targets[action % self.target_count].name

    def shown(self, action: int) -> str:
        return "page load" if action % self.target_count == PAGE else self.target(action)

    def answers(self, rows: Ints) -> list[Answer]:
        frame, given = self.frame, self.index.given
        columns = (frame.kind, given.negative, frame.endpoint, frame.status, frame.words["perf_kind"][0])
        return [Answer(*a) for a in zip(*(c[rows].tolist() for c in columns), strict=True)]

    def feedback(self, answer: Answer) -> str:
        """What failed, in the words of a failure point; without times, so that sessions meet."""
        text = self._answers.get(answer)
        if text is None:
            text = self._answers[answer] = self._feedback(answer)
        return text

    def _feedback(self, a: Answer) -> str:
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

    def point(self, action: int, answer: Answer) -> str:
        """``/checkout › button#pay › POST /api/orders → 500``."""
        shown, feedback = self.shown(action), self.feedback(answer)
        said = "" if shown and feedback.startswith(shown) else shown
        return " › ".join(p for p in (self.pattern(action), said, feedback) if p)


class Stories:
    """What is told of emitted clusters: prepared for all of them at once, written one by one."""

    def __init__(self, visits: Visits, judged: Judgement, emitted: Ints) -> None:
        """The detections hold this, and with it what it keeps: so it keeps no column that telling does not read."""
        index = judged.index.for_telling()
        clusters = replace(judged.clusters, index=index)
        self.visits, self.emitted = visits, emitted
        self.judged = judged = replace(judged, index=index, clusters=clusters)
        self.index, self.frame = index, index.frame
        self.words = Words(judged)

    @cached_property
    def _signals(self) -> tuple[Signals, list[int]]:
        """The signals of each emitted cluster, feedback included, in the order of the story; and their bounds."""
        judged, clusters, emitted = self.judged, self.judged.clusters, self.emitted
        negatives = clusters.negatives.take(emitted)
        failure_cause = self.index.given.cause[clusters.failure[emitted]]
        feedback = Signals.of(
            FEEDBACK,
            PLAIN,
            start=self.frame.ts[negatives.first],
            end=self.frame.ts[negatives.last],
            count=distinct_by(negatives.owner, self.index.given.cause[negatives.values], len(emitted)),
            action=clusters.action[emitted],
            row=failure_cause,
            rows=negatives,
        )
        low, high = np.zeros_like(emitted), np.full_like(emitted, len(judged.owner) + 1)
        owner, near = judged.by_cluster.each(emitted, low, high)
        both = Signals.joined([judged.signals.take(near), feedback])
        whose = np.concatenate((owner, np.arange(len(emitted))))
        order = np.lexsort((both.rows.first, both.kind, both.start, both.end, whose))
        bounds = np.searchsorted(whose[order], np.arange(len(emitted) + 1))
        return both.take(order), bounds.tolist()

    @cached_property
    def _signal_lists(self) -> tuple[list[Any], ...]:
        """Kinds, forms, starts, ends, counts, actions, patterns, patterns of the last event, stamps of start and end, ids of
        the events.
        """
        s, _ = self._signals
        plain = [c.tolist() for c in (s.kind, s.form, s.start, s.end, s.count, s.action, self.frame.pattern[s.row])]
        ids = self.frame.source.texts("event_id", s.rows.values)
        listed = [ids[a:b] for a, b in pairwise(s.rows.bounds.tolist())]
        into = self.frame.pattern[s.rows.last].tolist()
        return (*plain, into, _stamps(s.start), _stamps(s.end), listed)

    @cached_property
    def _timelines(self) -> Ragged:
        """The rows of each timeline: the way in, the attempts, the answers, the end."""
        clusters, emitted = self.judged.clusters, self.emitted
        failure = clusters.failure[emitted]
        cause = self.index.given.cause[failure]
        signals, bounds = self._signals
        of_signal = np.repeat(np.arange(len(emitted)), np.diff(bounds))
        asked = clusters.negatives.take(emitted)
        owner = np.concatenate((of_signal[signals.rows.owner], np.arange(len(emitted)), asked.owner))
        row = np.concatenate((signals.rows.values, cause, self.index.given.cause[asked.values]))
        base = len(self.frame)
        told = unique(owner * base + row)
        rows = Ragged.of(told // base, told % base, len(emitted))
        arrived = self._arrivals(rows.first).tolist()
        limit, values, cuts = self.index.config.timeline_events, rows.values.tolist(), rows.bounds.tolist()
        found: list[list[int]] = []
        for i, (came, failed, by) in enumerate(zip(arrived, failure.tolist(), cause.tolist(), strict=True)):
            listed = values[cuts[i] : cuts[i + 1]]
            found.append(_few([came, *listed] if came >= 0 else listed, failed, by, limit))
        bounds_of = np.append(0, np.cumsum([len(f) for f in found]))
        return Ragged(np.array([r for f in found for r in f], dtype=np.int64), bounds_of)

    def _arrivals(self, before: Ints) -> Ints:
        """The last navigation to the page of each failure before a row, -1 without one."""
        frame, clusters = self.frame, self.judged.clusters
        page = self.index.pattern_of(clusters.action[self.emitted])
        moves = self.index.moves
        lookup = Lookup(self.index.on_page(frame.visit[moves], frame.pattern[moves]), moves)
        return lookup.last_before(self.index.on_page(clusters.visit[self.emitted], page), before)

    @cached_property
    def _moments(self) -> tuple[list[Any], ...]:
        """Of every event in a timeline: id, time, stamp, type, route, target and text; in the order of ``_timelines``."""
        rows, frame = self._timelines.values, self.frame
        return (
            frame.source.texts("event_id", rows),
            frame.ts[rows].tolist(),
            _stamps(frame.ts[rows]),
            [_TYPES[k] for k in frame.kind[rows].tolist()],
            [frame.patterns[p] for p in frame.pattern[rows].tolist()],
            [frame.targets[t].name for t in frame.target[rows].tolist()],
            self._event_texts(rows),
        )

    def _event_texts(self, rows: Ints) -> list[str]:
        """What happened at each row, in a few words; the words are found once for all events that are alike."""
        frame, negative = self.frame, self.index.given.negative[rows]
        long = frame.duration[rows] >= self.index.config.slow_ms
        took = np.where(long, frame.duration[rows], -1)
        reload = frame.is_word("nav_type", "reload", rows=rows) & (frame.kind[rows] == NAVIGATION)
        perf_kind = frame.words["perf_kind"][0][rows]
        answer = (frame.kind[rows], negative, frame.endpoint[rows], frame.status[rows], perf_kind)
        columns = (*answer, frame.target[rows], frame.pattern[rows], took, reload.astype(np.int64))
        code = np.zeros(len(rows), dtype=np.int64)
        for column in columns:
            low = int(column.min(initial=0))
            width = int(column.max(initial=0)) - low + 1
            code, _ = dense(code * width + column - low, (int(code.max(initial=0)) + 1) * width)
        first = np.zeros(int(code.max(initial=-1)) + 1, dtype=np.int64)
        first[code[::-1]] = np.arange(len(rows))[::-1]
        alike = zip(*(c[first].tolist() for c in columns), strict=True)
        texts = [self._write_event(Answer(*one[:5]), *one[5:]) for one in alike]
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
            text = self.words.feedback(answer) if answer.negative else _TYPES[kind]
            return f"{text} ({seconds(took)})" if took >= 0 else text
        if kind == SCROLL:
            return "turned the scrolling direction"
        return "the session ended" if kind == END else _TYPES[kind]

    @cached_property
    def _columns(self) -> list[tuple[Any, ...]]:
        """Per emitted cluster what its detection needs as plain numbers, see ``body``."""
        judged, clusters, emitted, given = self.judged, self.judged.clusters, self.emitted, self.index.given
        failure = clusters.failure[emitted]
        cause = given.cause[failure]
        source = self.frame.source
        columns: tuple[list[Any], ...] = (
            clusters.visit[emitted].tolist(),
            clusters.action[emitted].tolist(),
            clusters.resolved[emitted].tolist(),
            judged.score[emitted].tolist(),
            [tuple(p) for p in judged.points[emitted].tolist()],
            judged.start[emitted].tolist(),
            judged.end[emitted].tolist(),
            _stamps(judged.start[emitted]),
            _stamps(judged.end[emitted]),
            self.words.answers(failure),
            _stamps(self.frame.ts[failure]),
            self.index.waited(failure).tolist(),
            (given.success[failure] | (self.frame.kind[failure] != NETWORK)).tolist(),
            (self.frame.ts[failure] - self.frame.ts[cause]).tolist(),
            self.frame.kind[cause].tolist(),
            source.texts("user_hash", failure),
            source.texts("environment", failure),
            source.texts("app_version", failure),
            source.texts("user_agent", failure),
        )
        return list(zip(*columns, strict=True))

    @cached_property
    def _visits(self) -> dict[int, tuple[str, str, str, str]]:
        """Project, client session, visit id and start of every visit that is told of."""
        visits = self.visits
        return {
            v: (
                visits.projects[int(visits.project_code[v])],
                visits.sessions[int(visits.session_code[v])],
                visits.id_of(v),
                stamp(int(visits.start_ms[v])),
            )
            for v in set(self.judged.clusters.visit[self.emitted].tolist())
        }

    def identity(self, number: int) -> tuple[str, str]:
        """(Detection id, fingerprint) of one emitted cluster: the same session and failure point give the same id."""
        visit, action = self._columns[number][:2]
        project, _, visit_id, _ = self._visits[visit]
        words = self.words
        feedback = words.feedback(self._columns[number][_ANSWER])
        fingerprint = _fingerprint(project, words.pattern(action), words.target(action), feedback)
        return digest(("detection", visit_id, fingerprint)), fingerprint

    def body(self, number: int) -> dict[str, Any]:
        """The JSON of one detection (detection.md, "A detection carries") in a fixed order of keys."""
        (visit, action, resolved, score, points, start, _, since, until, answer, *_, user, environment, app, agent) = (
            self._columns[number]
        )
        words, config = self.words, self.index.config
        project, session, visit_id, visit_start = self._visits[visit]
        detection_id, fingerprint = self.identity(number)
        signals = self._told_signals(number)
        gained = gains(points)
        return {
            "detectionId": detection_id,
            "projectId": project,
            "sessionId": session,
            "visitId": visit_id,
            "visitStart": visit_start,
            "fingerprint": fingerprint,
            "failurePoint": {
                "route": words.pattern(action),
                "target": words.target(action),
                "feedback": words.feedback(answer),
            },
            "primaryFailurePoint": words.point(action, answer),
            "frustrationScore": score,
            "confidenceLevel": level(score, config),
            "confidenceScore": score / 100,
            "severityType": severity_type(answer.negative),
            "timestamp": since,
            "lastSeen": until,
            "triggeringSignals": [told for told, _ in signals],
            "points": [{"rule": rule, "points": p} for rule, p in gained],
            "explanation": self._explanation(number, signals, gained),
            "timeline": self._timeline(number, start),
            "endedFlow": any(told["type"] == "abandonment" for told, _ in signals),
            "resolved": resolved,
            "context": {
                "userHash": user,
                "environment": clean(environment),
                "appVersion": clean(app),
                "userAgent": clean(agent),
                "label": self.frame.targets[action % words.target_count].label,
                "truncated": bool(self.frame.truncated[visit]),
            },
            "engineVersion": ENGINE_VERSION,
            "configHash": config.digest,
        }

    def _told_signals(self, number: int) -> list[tuple[dict[str, Any], str]]:
        """(JSON, times of day) of each signal of a detection."""
        _, bounds = self._signals
        kinds, forms, starts, ends, counts, actions, pages, into, since, until, ids = self._signal_lists
        words, frame = self.words, self.frame
        last_failure = max(ends[i] for i in range(bounds[number], bounds[number + 1]) if kinds[i] == FEEDBACK)
        found = []
        for i in range(bounds[number], bounds[number + 1]):
            wandered = kinds[i] == CONFUSION
            text = self._signal_text(
                number,
                kinds[i],
                forms[i],
                ends[i] - starts[i],
                counts[i],
                actions[i],
                into[i] if kinds[i] == ABANDONMENT else pages[i],
                ends[i] - last_failure,
            )
            told = {
                "type": KIND_NAMES[kinds[i]],
                "start": since[i],
                "end": until[i],
                "route": frame.patterns[pages[i]] if wandered else words.pattern(actions[i]),
                "target": "" if wandered else words.target(actions[i]),
                "count": counts[i],
                "text": text,
                "eventIds": ids[i],
            }
            found.append((told, f"({since[i][11:-1]} to {until[i][11:-1]})"))
        return found

    def _signal_text(
        self, number: int, kind: int, form: int, lasted: int, count: int, action: int, page: int, after_failure: int
    ) -> str:
        """One signal in a few words with counts and times (ms)."""
        words, span = self.words, seconds(lasted)
        if kind == RAGE:
            if form == RELOADS:
                return f"{count} reloads of {self.frame.patterns[page]} in {span}"
            return f"{count} clicks on {words.shown(action)} in {span}"
        if kind == BLOCKED:
            name = "the page" if action % words.target_count == PAGE else words.shown(action)
            soon = seconds(self.index.config.retry_window_ms)
            return f"{name} was tried again {times(count)} within {soon} of a failed answer, without success"
        if kind == ABANDONMENT:
            wait = f"{seconds(after_failure)} after the last failure" if after_failure > 0 else "at the same time"
            return (
                f"the flow begun on {words.pattern(action)} {_LEAVING[form].format(self.frame.patterns[page])} {wait}"
            )
        if kind == FEEDBACK:
            answers = "1 negative answer" if count == 1 else f"{count} negative answers"
            return f"{words.feedback(self._columns[number][_ANSWER])}, {answers}"
        if form == THRASH:
            return f"{count} reversals of scrolling in {span} on {self.frame.patterns[page]}"
        return f"{count} changes between the same pages in {span}"

    def _explanation(self, number: int, signals: list[tuple[dict[str, Any], str]], points: Gains) -> str:
        """Which signals, why they belong together, what failed first, and why the score is what it is."""
        (_, action, resolved, score, _, start, end, _, _, answer, at, waited, came, delay, cause, *_) = self._columns[
            number
        ]
        words, config = self.words, self.index.config
        deed = _DEED[cause].format(words.target(action) or "the form")
        origin = f", {seconds(delay)} after {deed}" if delay > 0 else ""
        said = [f"On {words.pattern(action)}, {self._answered(answer, waited, came)} at {at[11:-1]} UTC{origin}."]
        tries = next(told["count"] for told, _ in signals if told["type"] == "feedback")
        if tries > 1:
            page = action % words.target_count == PAGE
            what = "openings of the page" if page else f"attempts at {words.shown(action)}"
            said.append(f"In all, {tries} {what} {'were slow' if answer.negative == SLOW else 'failed'}.")
        said += [f"{_sentence(told['text'])} {when}." for told, when in signals if told["type"] != "feedback"]
        leaving = any(told["type"] == "abandonment" for told, _ in signals)
        patience = f", the leaving within {seconds(config.abandon_window_ms)}" if leaving else ""
        said.append(
            f"These are {len(signals)} signals resting on different events of one session and flow within "
            f"{seconds(end - start)}: each within {seconds(config.correlation_gap_ms)} of the one before it{patience}; time "
            "spent waiting for an answer is not counted."
        )
        late = answer.negative == SLOW and came and not resolved
        unresolved = "The answer came in the end." if late else "No later success of this action was recorded."
        said.append("The action succeeded later." if resolved else unresolved)
        said.append(f"Score {score} ({level(score, config)}, from {config.high_score}): {sums(points)}.")
        return " ".join(said)

    def _answered(self, answer: Answer, waited: int, came: bool) -> str:
        what = self.words.feedback(answer)
        if answer.kind == NETWORK:
            request, _, result = what.rpartition(" → ")
            if answer.negative == SLOW:
                given_up = f"{request} had not answered after {seconds(waited)}, when the user left,"
                return f"{request} kept the user waiting {seconds(waited)}" if came else given_up
            if not request:
                return f"a {what} came"
            return f"{request} was not answered" if result == "no answer" else f"{request} answered {result}"
        if answer.negative == CRASH:
            return f"the page raised “{what}”"
        if answer.negative == INVALID:
            return f"the input was rejected ({what})"
        measured = what.removesuffix(" → slow")
        return (
            f"the page took {seconds(waited)} to load"
            if measured == "page load"
            else f"{measured} took {seconds(waited)}"
        )

    def _timeline(self, number: int, start: int) -> list[dict[str, Any]]:
        low, high = self._timelines.bounds[number : number + 2].tolist()
        return [
            {
                "eventId": event_id,
                "at": told_at,
                "offsetMs": at - start,
                "eventType": kind,
                "route": pattern,
                "target": target,
                "text": text,
            }
            for event_id, at, told_at, kind, pattern, target, text in zip(
                *(column[low:high] for column in self._moments), strict=True
            )
        ]


def _few(rows: list[int], failure: int, cause: int, limit: int) -> list[int]:
    """At most ``limit`` of the rows, spread evenly; the first, the last, the failure and its cause among them."""
    if len(rows) <= limit:
        return rows
    must = sorted({rows[0], failure, cause, rows[-1]})
    rest = [r for r in rows if r not in set(must)]
    free = limit - len(must)
    return sorted({*must, *(rest[i * len(rest) // free] for i in range(free))})


def _sentence(text: str) -> str:
    return "T" + text[1:] if text.startswith("the ") else text


@lru_cache(maxsize=4_096)
def sums(points: Gains) -> str:
    """Points in a row; what lies over 100 is said, for it does not count."""
    gained = sum(p for _, p in points if p > 0)
    capped = f" (sum {gained}, of which 100 count)" if gained > 100 else ""
    return ", ".join(f"{rule} {p:+d}" for rule, p in points) + capped


@lru_cache(maxsize=4_096)
def gains(points: tuple[int, ...]) -> Gains:
    """The rules that gave or took points, in the order of the story."""
    return tuple((rule, p) for rule, p in zip(_POINT_TEXTS, points, strict=True) if p)


@memo
def _fingerprint(project: str, route: str, target: str, feedback: str) -> str:
    """The identity of a failure point; many sessions meet at one."""
    return digest(("failure", project, route, target, feedback))


def verdict_text(rule: int, score: int, points: Gains, config: Config) -> str:
    """Why a candidate fell, in a sentence."""
    name = RULE_NAMES[rule]
    if name == "outside_window":
        return f"The behavioural signals lie more than {seconds(config.correlation_gap_ms)} away from the failure."
    if name == "resolved":
        return (
            f"The action was achieved later in the session: score {score}, below {config.high_score} ({sums(points)})."
        )
    if name == "below_high":
        shown = level(score, config)
        return f"The score is {score}, below {config.high_score}: {shown} is not emitted ({sums(points)})."
    return _VERDICTS[name]


_VERDICTS = {
    "emitted": "All rules passed.",
    "no_behavioural_signal": "Nobody reacted to it: no rage, retry, leaving or confusion belongs to it.",
    "not_independent": "The signals rest on the same events.",
    "ignored": "The route or target is on the project's ignore list.",
}
