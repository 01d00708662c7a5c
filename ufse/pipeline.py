"""The whole pipeline: events in, detections out (docs/contracts/detection.md, Pipeline)."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.arrays import Bools, Ints, any_by_owner, is_among, mark_group_starts
from ufse.attribution import attribute_feedback
from ufse.batches import join_visits, split_batch
from ufse.config import DEFAULT, Config
from ufse.copies import drop_doubled_reports
from ufse.crawlers import find_crawled_visits, find_touched_visits
from ufse.detection import Candidate, Detection, WhyNot
from ufse.event_columns import EventColumns
from ufse.exempt_visits import find_exempt_visits
from ufse.exempted import find_test_visits
from ufse.explain import DetectionWriter
from ufse.formats import format_timestamp
from ufse.frame import Frame, build_frame
from ufse.grouping.learned import learn_rules
from ufse.grouping.observed_routes import list_routes
from ufse.history import NO_HISTORY, Observed, ProjectHistory, sum_observed
from ufse.index import Index
from ufse.judge import EMITTED, EXEMPTED, RULE_NAMES, Judgement, drop_same_struggles, judge_clusters
from ufse.lookups import find_lookups
from ufse.machines import find_declared_machines, find_machine_visits
from ufse.observed import observe_sessions
from ufse.page_answers import add_page_answers
from ufse.presence import find_unattended_navigations
from ufse.relevance import add_later_visits, may_be_negative, select_relevant_rows
from ufse.server_logs import add_implied_actions
from ufse.sessions import Visits, order_events
from ufse.slowness import find_normal_slowness
from ufse.unanswered import may_lack_answers
from ufse.verdict_reports import drop_verdict_reports
from ufse.verdicts import describe_limits, verdict_text
from ufse.words import Words

_log = logging.getLogger("ufse")


class EmittedDetection:
    """One detection. Its JSON is written on request, for writing is most of the cost of a detection."""

    __slots__ = ("_number", "_writer", "project", "start_ms")

    def __init__(self, writer: DetectionWriter, number: int, project: str, start_ms: int) -> None:
        self._writer, self._number = writer, number
        self.project = project
        self.start_ms = start_ms
        """Time of the first signal, epoch ms."""

    @property
    def detection_id(self) -> str:
        return self._writer.detection_identity(self._number)[0]

    def to_json(self) -> Detection:
        """Its JSON in a fixed order of keys; written anew at each call."""
        return self._writer.write_detection(self._number)


@dataclass(frozen=True)
class SilentVisit:
    """A visit without a detection."""

    body: WhyNot
    """Why it has none."""

    def to_json(self) -> WhyNot:
        """Its JSON in a fixed order of keys."""
        return self.body


@dataclass(frozen=True)
class Result:
    """The result of a batch."""

    detections: list[EmittedDetection]
    """Ordered by project, timestamp, detection id."""
    why_not: list[SilentVisit]
    """One per visit without a detection, if requested; ordered by project, session and visit start."""
    visits: Visits
    errors: list[dict[str, str]] = field(default_factory=list)
    """Client sessions whose analysis failed (projectId, sessionId, error); only ``detect_each`` fills it."""
    observed: Observed = field(default_factory=Observed.make_empty)
    """What the visits with anything negative show of their endpoints, and all sessions of their collectors, if requested."""


@dataclass(frozen=True)
class _Wanted:
    """What a caller wants beside the detections, and what it knows of other sessions."""

    history: ProjectHistory
    why_not: bool
    observe: bool


def detect(
    events: pa.Table,
    config: Config | Mapping[str, Config] = DEFAULT,
    *,
    why_not: bool = False,
    history: ProjectHistory = NO_HISTORY,
    observe: bool = False,
) -> Result:
    """The detections of whole client sessions. ``events`` has the columns of EVENT_SCHEMA, in any row order.

    ``config`` may map projects to configurations ('' is the default). ``history``: what other sessions of the projects show;
    without it, each client session is judged by itself alone. The same session and history give the same detections.
    ``observe``: also return what these sessions show, for a history. Raises nothing for any values of those columns.
    """
    wanted = _Wanted(history, why_not, observe)
    parts = [_detect_slice(part, own, wanted) for own, part in split_batch(events, config)]
    return parts[0] if len(parts) == 1 else _join_results(parts)


def learn_history(events: pa.Table, config: Config | Mapping[str, Config] = DEFAULT) -> ProjectHistory:
    """What the client sessions of a batch show of their projects' endpoints and collectors, sessions without anything
    negative included. It is the ``history`` for a file, whose sessions have no store.
    """
    parts = [_observe_slice(part, own) for own, part in split_batch(events, config)]
    routes = {project: learn_rules(routes) for project, routes in list_routes(events).items()}
    return replace(sum_observed(Observed.join_parts(parts)), routes=routes)


def _observe_slice(events: pa.Table, config: Config) -> Observed:
    ordered = order_events(events, config)
    rows = np.flatnonzero(ordered.analysed)
    if not len(rows):
        return Observed.make_empty()
    frame = build_frame(ordered, select_relevant_rows(ordered, rows, config), config)
    return observe_sessions(frame, attribute_feedback(frame, config), frame.known.reports, config)


def _join_results(parts: list[Result]) -> Result:
    return Result(
        _sort_detections([d for p in parts for d in p.detections]),
        sorted((w for p in parts for w in p.why_not), key=_why_not_sort_key),
        join_visits([p.visits for p in parts]),
        [e for p in parts for e in p.errors],
        Observed.join_parts([p.observed for p in parts]),
    )


def _describe_place(error: BaseException) -> str:
    """Module and line of the engine where ``error`` was raised. Its text may hold data from a browser, so it is not shown."""
    found, trace = "", error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        found = f" in {module}, line {trace.tb_lineno}" if module.startswith("ufse.") else found
        trace = trace.tb_next
    return found


def detect_each(
    events: pa.Table,
    config: Config | Mapping[str, Config] = DEFAULT,
    *,
    why_not: bool = False,
    history: ProjectHistory = NO_HISTORY,
    observe: bool = False,
) -> Result:
    """Like ``detect``, but a client session on which the engine fails is reported in ``errors``, and the others are analysed.

    On a failure the batch is halved until the failing sessions are alone; a batch without a failure costs nothing more.
    """
    try:
        return detect(events, config, why_not=why_not, history=history, observe=observe)
    except Exception as error:
        keys = pa.table({n: events[n].cast(pa.string()) for n in ("project", "session_id")})
        names = (
            keys.group_by(["project", "session_id"], use_threads=False)
            .aggregate([])
            .sort_by([("project", "ascending"), ("session_id", "ascending")])
        )
        if names.num_rows <= 1:
            _log.warning("the engine failed on a session", exc_info=error)
            empty = events.slice(0, 0)
            name = names.to_pylist()[0] if names.num_rows else {"project": "", "session_id": ""}
            failed = {
                "projectId": name["project"],
                "sessionId": name["session_id"],
                "error": f"an error of the engine{_describe_place(error)}; the log has its details",
            }
            return Result([], [], order_events(empty, DEFAULT).visits, [failed])
        left = names.slice(0, names.num_rows // 2).append_column("left", pa.array([True] * (names.num_rows // 2)))
        numbered = keys.append_column("row", pa.array(range(keys.num_rows)))
        joined = numbered.join(left, ["project", "session_id"]).sort_by("row")
        mask = joined["left"].is_valid()
        halves = [
            detect_each(events.filter(m), config, why_not=why_not, history=history, observe=observe)
            for m in (mask, pc.invert(mask))
        ]
        return _join_results(halves)


def _sort_detections(detections: list[EmittedDetection]) -> list[EmittedDetection]:
    """Ordered by project, timestamp and detection id; ids are computed only for detections of equal time."""

    place = {p: i for i, p in enumerate(sorted({d.project for d in detections}))}
    project = np.array([place[d.project] for d in detections], dtype=np.int64)
    start = np.array([d.start_ms for d in detections], dtype=np.int64)
    order = np.lexsort((start, project))
    found = [detections[i] for i in order.tolist()]
    begin = np.append(np.flatnonzero(mark_group_starts(project[order], start[order])), len(found))
    for at in np.flatnonzero(np.diff(begin) > 1):
        same = slice(int(begin[at]), int(begin[at + 1]))
        found[same] = sorted(found[same], key=lambda d: d.detection_id)
    return found


def _why_not_sort_key(why: SilentVisit) -> tuple[str, str, str]:
    body = why.body
    return body["projectId"], body["sessionId"], body["visitStart"]


def _detect_slice(events: pa.Table, config: Config, wanted: _Wanted) -> Result:
    visits, hot, suspects = _read_suspect_visits(events, config, wanted.history)
    run = _DetectionRun(visits, config, wanted)
    if suspects is not None:
        hot = run.judge_suspect_visits(suspects, hot)
    if wanted.why_not:
        run.explain_calm_visits(hot)
    why = sorted(run.why, key=_why_not_sort_key)
    return Result(_sort_detections(run.detections), why, visits, observed=run.observed)


@dataclass(frozen=True)
class _SuspectVisits:
    """The events of the visits with anything negative and of the later visits of their client sessions, and the frame of those
    events that rules read.
    """

    source: EventColumns
    visit: Ints
    frame: Frame
    crawled: Bools
    """Per visit: whether a crawler made it."""


def _read_suspect_visits(
    events: pa.Table, config: Config, history: ProjectHistory
) -> tuple[Visits, Bools, _SuspectVisits | None]:
    """All visits; per visit, whether it has anything negative; and the events of these visits, None without any."""
    ordered = order_events(events, config)
    hot = any_by_owner(ordered.visit, may_be_negative(ordered, config), len(ordered.visits))
    suspect = add_later_visits(ordered.visits.client_codes, hot | may_lack_answers(ordered, config))
    rows = np.flatnonzero(suspect[ordered.visit] & ordered.analysed)
    if not len(rows):
        return ordered.visits, hot, None
    rows = drop_verdict_reports(ordered, drop_doubled_reports(ordered, rows))
    read = add_implied_actions(ordered, select_relevant_rows(ordered, rows, config))
    read = add_page_answers(read)
    unattended = find_unattended_navigations(ordered, rows)[np.searchsorted(rows, read.origin)] & ~read.implied
    frame = build_frame(read.ordered, read.rows, config, unattended, history)
    return (
        ordered.visits,
        hot,
        _SuspectVisits(
            EventColumns(ordered.table, ordered.row[rows]),
            ordered.visit[rows],
            frame,
            find_crawled_visits(frame, find_touched_visits(ordered, rows)),
        ),
    )


class _DetectionRun:
    """One pass over a part of a batch; collects detections and the reasons for their absence."""

    def __init__(self, visits: Visits, config: Config, wanted: _Wanted) -> None:
        self.visits, self.config, self.wanted = visits, config, wanted
        self.observed = Observed.make_empty()
        self.detections: list[EmittedDetection] = []
        self.why: list[SilentVisit] = []

    def judge_suspect_visits(self, suspects: _SuspectVisits, hot: Bools) -> Bools:
        """Detects in the visits with anything negative. ``hot``: per visit, whether it is one of them; returned with the visits
        that have a silent control.
        """
        config, frame = self.config, suspects.frame
        attribution = attribute_feedback(frame, config)
        if self.wanted.observe:
            self.observed = observe_sessions(frame, attribution, frame.known.reports, config)
        index = Index(frame, attribution, config)
        judged = judge_clusters(index)
        hot = hot.copy()
        hot[judged.clusters.visit] = True
        agents = find_machine_visits(suspects.source, suspects.visit, len(hot)) & hot
        crawled = suspects.crawled & hot & ~agents
        machines = agents | crawled
        passed, declared = _find_passed_clusters(suspects, judged, machines)
        if config.exemptions:
            tested = find_test_visits(suspects.source, suspects.visit, len(hot), config)
            passed = passed[~tested[judged.clusters.visit[passed]]]
        emitted = drop_same_struggles(index, judged, passed)
        self._add_detections(judged, emitted)
        if self.wanted.why_not:
            explained = machines.copy()
            explained[judged.clusters.visit[emitted]] = True
            self._explain_machines(agents, crawled, declared)
            explained[declared] = True
            if config.exemptions:
                exempt = self._explain_exempt_visits(suspects, explained)
                explained[exempt], hot[exempt] = True, True
            self._explain_silent_visits(judged, np.flatnonzero(hot & ~explained))
        return hot

    def _explain_exempt_visits(self, suspects: _SuspectVisits, explained: Bools) -> Ints:
        """Gives the reason for the visits that would have a detection without the project's exceptions; returns them.

        They are judged once more without exceptions, which costs nothing where no exception covers anything.
        """
        found = find_exempt_visits(
            suspects.frame,
            suspects.source,
            suspects.visit,
            self.config,
            lambda judged: _find_passed_clusters(suspects, judged, explained)[0],
        )
        if found is None:
            return np.zeros(0, dtype=np.int64)
        for visit, clusters, text in found.visits:
            words = Words(found.judged)
            listed: list[Candidate] = [
                {
                    **self._describe_candidate(found.judged, words, cluster),
                    "rule": RULE_NAMES[EXEMPTED],
                    "text": text,
                }
                for cluster in clusters
            ]
            self._add_why_not(visit, RULE_NAMES[EXEMPTED], text, listed)
        return np.array([visit for visit, _, _ in found.visits], dtype=np.int64)

    def _add_detections(self, judged: Judgement, emitted: Ints) -> None:
        if not len(emitted):
            return
        visits = self.visits
        writer = DetectionWriter(visits, judged, emitted)
        projects = visits.project_code[judged.clusters.visit[emitted]].tolist()
        starts = judged.start[emitted].tolist()
        names = [visits.projects[project] for project in projects]
        self.detections += map(EmittedDetection, repeat(writer), range(len(emitted)), names, starts)

    def explain_calm_visits(self, hot: Bools) -> None:
        """Gives the reason for the visits without anything negative."""
        for visit in np.flatnonzero(~hot).tolist():
            text = "No request failed, was rejected or was slow, and no error was raised."
            rule = "truncated" if self.visits.truncated[visit] else "no_negative_feedback"
            self._add_why_not(visit, rule, text, [])

    def _explain_machines(self, agents: Bools, crawled: Bools, declared: Ints) -> None:
        for visit in np.flatnonzero(agents).tolist():
            self._add_why_not(visit, "bot", "The user agent declares a bot or assistive technology.", [])
        for visit in np.flatnonzero(crawled).tolist():
            self._add_why_not(visit, "bot", "Pages were opened faster than they can be read, without any input.", [])
        for visit in declared.tolist():
            self._add_why_not(visit, "bot", "The events declare a bot or assistive technology.", [])

    def _explain_silent_visits(self, judged: Judgement, silent: Ints) -> None:
        """Gives the reason for visits with negative events but no detection: the nearest candidate and the rule that
        stopped it.
        """
        clusters, best = judged.clusters, judged.best_clusters
        words = Words(judged)
        low, high = (np.searchsorted(clusters.visit[best], silent, side) for side in ("left", "right"))
        for visit, a, b in zip(silent.tolist(), low.tolist(), high.tolist(), strict=True):
            found = best[a:b]
            if not len(found):
                self._explain_unattributed(judged.index, visit)
                continue
            nearest = found[np.lexsort((clusters.failure[found], -judged.score[found]))[0]]
            listed = [self._describe_candidate(judged, words, c) for c in found[:20].tolist()]
            self._add_why_not(
                visit, RULE_NAMES[judged.rule[nearest]], self._write_verdict(judged, words, int(nearest)), listed
            )

    def _describe_candidate(self, judged: Judgement, words: Words, cluster: int) -> Candidate:
        failure = words.read_answers(judged.clusters.failure[cluster : cluster + 1])[0]
        score = int(judged.score[cluster])
        return {
            "failurePoint": words.write_failure_point(int(judged.clusters.action[cluster]), failure),
            "rule": RULE_NAMES[judged.rule[cluster]],
            "text": self._write_verdict(judged, words, cluster),
            "score": score if score >= 0 else None,
        }

    def _write_verdict(self, judged: Judgement, words: Words, cluster: int) -> str:
        score = int(judged.score[cluster])
        points = words.nonzero_points(tuple(judged.points[cluster].tolist()))
        unreported = bool(judged.index.frame.lacks_successes(judged.clusters.visit[cluster : cluster + 1])[0])
        return verdict_text(int(judged.rule[cluster]), score, points, self.config, unreported)

    def _explain_unattributed(self, index: Index, visit: int) -> None:
        """Gives the reason for a visit in which no action of the user caused negative feedback."""
        frame, attribution = index.frame, index.attribution
        span = slice(int(frame.low[visit]), int(frame.high[visit]))
        rule = "background"
        if (attribution.negative[span] > 0).any():
            rule, text = "unattributed", "No failure, rejection or slow answer was caused by an action of the user."
        elif find_normal_slowness(frame, self.config)[span].any():
            rule, text = "no_negative_feedback", "The slow answers took no longer than their endpoints usually take."
        elif find_lookups(frame, attribution.cause)[span].any():
            rule, text = (
                "no_negative_feedback",
                "Filling in a field asked for what does not exist (404): that is no failure.",
            )
        elif (attribution.background[span] & ~frame.noise[span]).any():
            text = "The failures also occur without any action, or after unrelated actions: background."
        else:
            text = "All failures are noise: aborted requests, media, browser extensions or automatic retries."
        self._add_why_not(visit, rule, text, [])

    def _add_why_not(self, visit: int, rule: str, text: str, listed: list[Candidate]) -> None:
        visits = self.visits
        if visits.truncated[visit]:
            text += f" {describe_limits(self.config)}"
        self.why.append(
            SilentVisit(
                {
                    "projectId": visits.projects[int(visits.project_code[visit])],
                    "sessionId": visits.sessions[int(visits.session_code[visit])],
                    "visitId": visits.make_visit_id(visit),
                    "visitStart": format_timestamp(int(visits.start_ms[visit])),
                    "rule": rule,
                    "text": text,
                    "candidates": listed,
                }
            )
        )


def _find_passed_clusters(suspects: _SuspectVisits, judged: Judgement, left_out: Bools) -> tuple[Ints, Ints]:
    """(The clusters that passed all rules, without those of machines; the visits that declare a machine).

    ``left_out``: per visit, whether it is none of a person, or of no interest.
    """
    best = judged.best_clusters[~left_out[judged.clusters.visit[judged.best_clusters]]]
    passed = best[judged.rule[best] == EMITTED]
    declared = find_declared_machines(
        suspects.source, suspects.visit, np.unique(judged.clusters.visit[passed]), len(left_out)
    )
    return passed[~is_among(judged.clusters.visit[passed], declared)], declared
