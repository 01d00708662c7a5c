"""The JSON of detections with its explanation: written only for what is emitted, when it is asked for."""

from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ufse.arrays import Ints, Ragged, count_distinct_by_owner, sort_unique
from ufse.config import ENGINE_VERSION
from ufse.detection import Detection, DetectionContext, SignalEntry
from ufse.encoding import make_rows
from ufse.feedback import SLOW
from ufse.formats import format_duration, format_timestamps
from ufse.grouping.errors import group_error
from ufse.grouping.fingerprint import (
    FINGERPRINT_VERSION,
    Fingerprints,
    GroupedPoint,
    compute_fingerprints,
    compute_first_fingerprint,
    group_request,
)
from ufse.grouping.learned import NO_RULES
from ufse.judge import Judgement
from ufse.patterns import digest_texts
from ufse.score import confidence_level
from ufse.sessions import ERROR, NETWORK, Visits
from ufse.shapes import remove_copy_marks
from ufse.signals.model import PLAIN, SignalFacts, Signals
from ufse.signals.registry import FEEDBACK, SIGNALS
from ufse.timeline import TimelineWriter
from ufse.words import CAUSE_TEXTS, ActionWords, Answer, RulePoints, Words, format_points, severity_type


class _Emitted(NamedTuple):
    """What the detection of one emitted cluster needs as plain values. Times are epoch ms, durations ms."""

    visit: int
    action: int
    resolved: bool
    score: int
    points: RulePoints
    start: int
    end: int
    started_at: str
    ended_at: str
    answer: Answer
    """The primary failure."""
    failed_at: str
    waited: int
    """How long the failing answer took."""
    is_answered: bool
    """Whether the answer arrived in the end."""
    unreported: bool
    """Whether the collector reports no successes."""
    delay: int
    """From the interaction to its answer."""
    cause_kind: int
    """Kind of event of that interaction."""
    user_hash: str
    environment: str
    app_version: str
    user_agent: str
    project: str
    session: str
    visit_id: str
    visit_started_at: str
    error_type: str
    message: str
    frame: str
    """Of the failing error as sent; '' for other failures."""


class _ShownSignal(NamedTuple):
    """One signal of a detection as plain values."""

    kind: int
    form: int
    start: int
    end: int
    times: int
    action: int
    page: int
    """Pattern of the row that it is shown with."""
    last_page: int
    """Pattern of its last event."""
    started_at: str
    ended_at: str
    first_event: int
    """Place of its first event among those of all signals."""
    end_of_events: int


class DetectionWriter:
    """Writes the detections of emitted clusters: prepared for all at once, written one by one."""

    def __init__(self, visits: Visits, judged: Judgement, emitted: Ints) -> None:
        """``emitted``: numbers of the clusters. The detections keep this object, so it keeps no column that writing does not
        read.
        """
        self.unreported = judged.index.frame.lacks_successes(judged.clusters.visit[emitted])
        self.routes = judged.index.frame.known.history.routes
        index = judged.index.trim_for_explanation()
        clusters = replace(judged.clusters, index=index)
        self.visits, self.emitted = visits, emitted
        self.judged = judged = replace(judged, index=index, clusters=clusters)
        self.index, self.frame = index, index.frame
        self.words = Words(judged)

    @cached_property
    def _emitted_signals(self) -> tuple[Signals, list[int]]:
        """The signals of each emitted cluster, feedback included, in order of time; and their bounds."""
        judged, clusters, emitted = self.judged, self.judged.clusters, self.emitted
        negatives = clusters.negatives.take_lists(emitted)
        failure_cause = self.index.attribution.cause[clusters.failure[emitted]]
        feedback = Signals.of_form(
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
        feedback = replace(feedback, kind=np.full(len(emitted), FEEDBACK))
        low, high = np.zeros_like(emitted), np.full_like(emitted, len(judged.owner) + 1)
        owner, near = judged.signals_by_cluster.find_entries(emitted, low, high)
        both = Signals.join_parts([judged.signals.take_signals(near), feedback])
        whose = np.concatenate((owner, np.arange(len(emitted))))
        order = np.lexsort((both.rows.first, both.kind, both.start, both.end, whose))
        bounds = np.searchsorted(whose[order], np.arange(len(emitted) + 1))
        return both.take_signals(order), bounds.tolist()

    @cached_property
    def _shown_signals(self) -> list[_ShownSignal]:
        """The signals of all emitted clusters, in the order of ``_emitted_signals``."""
        s, _ = self._emitted_signals
        bounds, page = s.rows.bounds, self.frame.pattern
        columns = (
            *(c.tolist() for c in (s.kind, s.form, s.start, s.end, s.count, s.action, page[s.row], page[s.rows.last])),
            format_timestamps(s.start),
            format_timestamps(s.end),
            bounds[:-1].tolist(),
            bounds[1:].tolist(),
        )
        return make_rows(_ShownSignal, columns)

    @cached_property
    def _signal_event_ids(self) -> list[str]:
        """The ids of the events on which the signals rest, one signal after the other."""
        signals, _ = self._emitted_signals
        return remove_copy_marks(self.frame.source.read_texts("event_id", signals.rows.values))

    @cached_property
    def _timelines(self) -> TimelineWriter:
        signals, bounds = self._emitted_signals
        of_signal = np.repeat(np.arange(len(self.emitted)), np.diff(bounds))
        rows = Ragged.from_owners(of_signal[signals.rows.owner], signals.rows.values, len(self.emitted))
        return TimelineWriter(self.judged, self.emitted, self.words, rows)

    @cached_property
    def _facts(self) -> list[_Emitted]:
        """Per emitted cluster what its detection needs."""
        judged, clusters, emitted, attribution = self.judged, self.judged.clusters, self.emitted, self.index.attribution
        failure = clusters.failure[emitted]
        cause = attribution.cause[failure]
        source = self.frame.source
        columns = (
            clusters.visit[emitted].tolist(),
            clusters.action[emitted].tolist(),
            clusters.resolved[emitted].tolist(),
            judged.score[emitted].tolist(),
            self.words.read_points(judged.points[emitted]),
            judged.start[emitted].tolist(),
            judged.end[emitted].tolist(),
            format_timestamps(judged.start[emitted]),
            format_timestamps(judged.end[emitted]),
            self.words.read_answers(failure),
            format_timestamps(self.frame.ts[failure]),
            self.index.waiting_times(failure).tolist(),
            (attribution.success[failure] | (self.frame.kind[failure] != NETWORK)).tolist(),
            self.unreported.tolist(),
            (self.frame.ts[failure] - self.frame.ts[cause]).tolist(),
            self.frame.kind[cause].tolist(),
            source.read_texts("user_hash", failure),
            *(source.read_clean_texts(name, failure) for name in ("environment", "app_version", "user_agent")),
            *self._identify_visits(clusters.visit[emitted]),
            *self._read_errors(failure),
        )
        return make_rows(_Emitted, columns)

    def _read_errors(self, failure: Ints) -> tuple[list[str], ...]:
        """Per failure: type, message and frame of the error; '' for other failures."""
        source, found = self.frame.source, []
        errors = np.flatnonzero(self.frame.kind[failure] == ERROR)
        for name in ("error_type", "message", "frame"):
            texts = [""] * len(failure)
            if len(errors) and name in source.table.column_names:
                for place, text in zip(errors.tolist(), source.read_texts(name, failure[errors]), strict=True):
                    texts[place] = text
            found.append(texts)
        return tuple(found)

    def _identify_visits(self, visit: Ints) -> tuple[list[str], ...]:
        """Per visit of ``visit``: its project, client session, id and start."""
        visits, chosen = self.visits, sort_unique(visit)
        place = np.searchsorted(chosen, visit).tolist()
        ids, starts = visits.make_visit_ids(chosen), format_timestamps(visits.start_ms[chosen])
        return (
            [visits.projects[p] for p in visits.project_code[visit].tolist()],
            [visits.sessions[s] for s in visits.session_code[visit].tolist()],
            [ids[p] for p in place],
            [starts[p] for p in place],
        )

    def detection_identity(self, number: int) -> tuple[str, str]:
        """(Detection id, fingerprint) of one emitted cluster: the same session and failure point give the same id."""
        facts = self._facts[number]
        return self._identify_detection(facts), self._find_fingerprints(facts).current

    def _identify_detection(self, facts: _Emitted) -> str:
        """The id of a detection. It does not depend on grouping, so that a new version of it finds the stored one."""
        action, feedback = self.words.describe_action(facts.action), self.words.feedback_text(facts.answer)
        first = compute_first_fingerprint(facts.project, action.route, action.target, feedback)
        return digest_texts(("detection", facts.visit_id, first))

    def _find_fingerprints(self, facts: _Emitted) -> Fingerprints:
        action, feedback = self.words.describe_action(facts.action), self.words.feedback_text(facts.answer)
        failure = group_request(feedback) if facts.answer.kind == NETWORK else feedback
        if facts.answer.kind == ERROR and facts.answer.negative != SLOW:
            failure = group_error(facts.error_type, facts.message, facts.frame) or feedback
        control = self.frame.targets[facts.action % self.words.target_count].group
        point = GroupedPoint(action.route, action.target, feedback, control, failure)
        return compute_fingerprints(facts.project, point, self.routes.get(facts.project, NO_RULES))

    def write_detection(self, number: int) -> Detection:
        """The JSON of one detection, in a fixed order of keys."""
        facts, words, config = self._facts[number], self.words, self.index.config
        prints = self._find_fingerprints(facts)
        action, feedback = words.describe_action(facts.action), words.feedback_text(facts.answer)
        signals = self._write_signals(number, feedback)
        leaving = "abandonment" in [signal["type"] for signal in signals]
        return {
            "detectionId": self._identify_detection(facts),
            "projectId": facts.project,
            "sessionId": facts.session,
            "visitId": facts.visit_id,
            "visitStart": facts.visit_started_at,
            "fingerprint": prints.current,
            "fingerprintVersion": FINGERPRINT_VERSION,
            "olderFingerprints": list(prints.older),
            "failurePoint": {"route": action.route, "target": action.target, "feedback": feedback},
            "primaryFailurePoint": words.write_failure_point(facts.action, facts.answer),
            "frustrationScore": facts.score,
            "confidenceLevel": confidence_level(facts.score, config),
            "confidenceScore": facts.score / 100,
            "severityType": severity_type(facts.answer.negative),
            "timestamp": facts.started_at,
            "lastSeen": facts.ended_at,
            "triggeringSignals": signals,
            "points": [{"rule": rule, "points": p} for rule, p in facts.points],
            "explanation": self._write_explanation(facts, action, signals, leaving),
            "timeline": self._timelines.write_timeline(number, facts.start),
            "endedFlow": leaving,
            "resolved": facts.resolved,
            "context": self._write_context(facts),
            "engineVersion": ENGINE_VERSION,
            "configHash": config.digest,
        }

    def _write_context(self, facts: _Emitted) -> DetectionContext:
        return {
            "userHash": facts.user_hash,
            "environment": facts.environment,
            "appVersion": facts.app_version,
            "userAgent": facts.user_agent,
            "label": self.frame.targets[facts.action % self.words.target_count].label,
            "truncated": bool(self.frame.truncated[facts.visit]),
        }

    def _write_signals(self, number: int, feedback: str) -> list[SignalEntry]:
        """The signals of one emitted cluster, in order of time. ``feedback``: what failed."""
        _, bounds = self._emitted_signals
        shown = self._shown_signals[bounds[number] : bounds[number + 1]]
        last_failure = max([signal.end for signal in shown if signal.kind == FEEDBACK])
        return [self._write_signal(signal, feedback, last_failure) for signal in shown]

    def _write_signal(self, signal: _ShownSignal, feedback: str, last_failure: int) -> SignalEntry:
        kind, patterns = SIGNALS[signal.kind], self.frame.patterns
        page, action = patterns[signal.page], self.words.describe_action(signal.action)
        facts = SignalFacts(
            signal.form,
            signal.times,
            signal.end - signal.start,
            action.route,
            action.shown,
            action.opens_page,
            page,
            patterns[signal.last_page],
            signal.end - last_failure,
            feedback,
            self.index.config,
        )
        return {
            "type": kind.name,
            "start": signal.started_at,
            "end": signal.ended_at,
            "route": page if kind.is_shown_by_page else action.route,
            "target": "" if kind.is_shown_by_page else action.target,
            "count": signal.times,
            "text": kind.describe(facts),
            "eventIds": list(dict.fromkeys(self._signal_event_ids[signal.first_event : signal.end_of_events])),
        }

    @cached_property
    def _fixed_sentences(self) -> tuple[str, str]:
        """What depends on the configuration alone: how far signals may be apart, and how long leaving counts."""
        config = self.index.config
        return (
            f". Each is at most {format_duration(config.correlation_gap_ms)} from the one before it, not counting the time "
            "spent waiting for an answer.",
            f" Leaving the flow counts up to {format_duration(config.abandon_window_ms)} after the failure.",
        )

    def _write_explanation(
        self, facts: _Emitted, action: ActionWords, signals: list[SignalEntry], leaving: bool
    ) -> str:
        """The sentences: what failed first, the signals, why they belong together, and the score."""
        words, config, answer = self.words, self.index.config, facts.answer
        apart, patience = self._fixed_sentences
        origin = ""
        if facts.delay > 0:
            cause_text = CAUSE_TEXTS[facts.cause_kind].format(action.target or "the form")
            origin = f", {format_duration(facts.delay)} after {cause_text}"
        described = words.describe_answer(answer, facts.waited, facts.is_answered)
        tries, shown = 0, ""
        for signal in signals:
            if signal["type"] == "feedback":
                tries = tries or signal["count"]
            else:
                clause = _capitalize_sentence(signal["text"])
                shown += f" {clause} ({signal['start'][11:-1]} to {signal['end'][11:-1]})."
        again = ""
        if tries > 1:
            what = "openings of the page" if action.opens_page else f"attempts at {action.shown}"
            again = f" In all, {tries} {what} {'were slow' if answer.negative == SLOW else 'failed'}."
        late = answer.negative == SLOW and facts.is_answered and not facts.resolved
        unresolved = "The answer arrived in the end." if late else "No later success of this action was recorded."
        if facts.unreported and not late:
            unresolved = "This collector reports no successes; no later try went without a failure."
        level = confidence_level(facts.score, config)
        return (
            f"On {action.route}, {described} at {facts.failed_at[11:-1]} UTC{origin}.{again}{shown} "
            f"These {len(signals)} signals come from different events of one session and flow, within "
            f"{format_duration(facts.end - facts.start)}{apart}{patience if leaving else ''} "
            f"{'The action succeeded later.' if facts.resolved else unresolved} "
            f"Score {facts.score} ({level}, from {config.high_score}): {format_points(facts.points)}."
        )


def _capitalize_sentence(text: str) -> str:
    return text[0].upper() + text[1:] if text.startswith(("the ", "activity ")) else text
