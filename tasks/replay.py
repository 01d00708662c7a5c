"""Compare another configuration of the engine with the current one on stored sessions. Stores no detections.

The sessions of a window are analysed with both configurations, and the results are compared. Sessions that are queued for
``detect`` are compared too, because both results use the same events.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NotRequired, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from prefect import task
from prefect.artifacts import Artifact

import ufse
from core.engine_settings import parse_engine_settings
from core.metrics import count_degraded
from stores.events.event_history import read_project_history
from tasks import connections
from tasks.backfill import Window
from tasks.enqueue import compute_due_ms
from tasks.report import code_span, escape_markdown
from tasks.retrying import POLICY
from tasks.thresholds import engine_configs, read_project_thresholds
from ufse.config import DEFAULT, Config
from ufse.detection import Detection, PointsEntry, WhyNot

WOULD: Final = {"appears": "appear", "vanishes": "vanish", "changes": "change their points"}
"""The kinds of differences, each with its verb."""
EXAMPLES: Final = 100
"""Most detections of each kind in the result; the counts cover all."""
EXAMPLES_OF_POINT: Final = 5
"""Most of them for one failure point, so that a frequent one leaves room for others."""
MOST_POINTS: Final = 1_000
"""Most failure points in the result."""

_log = logging.getLogger("furrow.replay")


class PointChange(TypedDict):
    """Points of one rule with both configurations; None: the rule gives none."""

    rule: str
    now: int | None
    then: int | None


class DifferenceDetails(TypedDict):
    """One difference as JSON. ``rule`` and ``whyNot``: what stops a detection that vanishes. ``points``: what changes."""

    projectId: str
    sessionId: str
    detectionId: str
    fingerprint: str
    primaryFailurePoint: str
    timestamp: str
    scoreNow: int | None
    scoreThen: int | None
    explanation: str
    rule: NotRequired[str]
    whyNot: NotRequired[str]
    points: NotRequired[list[PointChange]]


class ReplayResult(TypedDict):
    """The result of a replay as JSON; bounded by EXAMPLES and MOST_POINTS."""

    window: dict[str, str]
    project: str | None
    configurations: list[dict[str, str]]
    counts: dict[str, int]
    rules: dict[str, int]
    failurePoints: list[dict[str, str | int]]
    appears: list[DifferenceDetails]
    vanishes: list[DifferenceDetails]
    changes: list[DifferenceDetails]


@dataclass(frozen=True)
class Configurations:
    """The current and the new configurations of the engine by project ('' for projects without their own)."""

    present: Mapping[str, Config]
    new: Mapping[str, Config]

    def has_new_config(self, project: str) -> bool:
        """Whether the new configuration of ``project`` differs from the current one."""
        return _config_of_project(self.present, project).digest != _config_of_project(self.new, project).digest

    def config_digests(self) -> list[dict[str, str]]:
        """Every project's two digests, '' first."""
        return [
            {
                "project": name,
                "present": _config_of_project(self.present, name).digest,
                "new": _config_of_project(self.new, name).digest,
            }
            for name in sorted({*self.present, *self.new})
        ]


@dataclass(frozen=True)
class Sessions:
    """The client sessions of a window: numbers of complete ones by project, and those that may get more events."""

    complete: Mapping[str, int]
    open: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Difference:
    """One detection that appears, vanishes or changes, and the failure point for which it counts."""

    kind: str
    project: str
    point: str
    details: DifferenceDetails
    """JSON values for the result and the artifact."""

    def markdown_line(self) -> str:
        """For the artifact."""
        details = self.details
        scores = " → ".join(f"{score}" for score in (details["scoreNow"], details["scoreThen"]) if score is not None)
        who = f"{escape_markdown(self.project)}, {code_span(details['sessionId'])}"
        return f"**{scores}** {escape_markdown(self.point)} ({who}): {escape_markdown(_explain_difference(details))}"


@dataclass
class Differences:
    """The differences in the sessions compared so far."""

    sessions: int = 0
    failed: int = 0
    now: int = 0
    then: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    points: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: list[Difference] = field(default_factory=list)

    def add_difference(self, difference: Difference) -> None:
        """Count one difference, and keep it as an example while there is room."""
        self.kinds[difference.kind] += 1
        counted = self.points[difference.project, difference.point]
        counted[difference.kind] += 1
        if difference.kind == "vanishes":
            self.rules[difference.details["rule"]] += 1
        kept = sum(example.kind == difference.kind for example in self.examples)
        if kept < EXAMPLES and counted[difference.kind] <= EXAMPLES_OF_POINT:
            self.examples.append(difference)

    def merge_batch(self, more: "Differences") -> None:
        """Add the counts of another batch of sessions, and its examples while there is room."""
        self.sessions, self.failed = self.sessions + more.sessions, self.failed + more.failed
        self.now, self.then = self.now + more.now, self.then + more.then
        for difference in more.examples:
            kept = sum(example.kind == difference.kind for example in self.examples)
            known = self.points[difference.project, difference.point][difference.kind]
            if kept < EXAMPLES and known < EXAMPLES_OF_POINT:
                self.examples.append(difference)
        self.kinds.update(more.kinds)
        self.rules.update(more.rules)
        for point, counts in more.points.items():
            self.points[point].update(counts)

    def examples_of_kind(self, kind: str) -> list[Difference]:
        """The examples of one kind."""
        return [difference for difference in self.examples if difference.kind == kind]

    def points_by_frequency(self) -> list[tuple[str, str, Counter[str]]]:
        """Project, failure point and counts, those with the most differences first."""
        order = sorted(self.points, key=lambda key: (-self.points[key].total(), key))
        return [(project, point, self.points[project, point]) for project, point in order]


@task(name="configurations", **POLICY)
def build_configurations(config: Mapping[str, Any]) -> Configurations:
    """The projects' configurations now, and with ``config`` applied. Raises PermanentError for an invalid ``config``."""
    present = engine_configs(read_project_thresholds(connections.incident_store()))
    return Configurations(present, parse_engine_settings(config, "the configuration").apply_to_configs(present))


@task(name="sessions of the window", **POLICY)
def find_replay_sessions(window: Window) -> Sessions:
    """The client sessions with an event in the window, and which of them may get more events."""
    start, end = _window_span_ms(window)
    table = connections.event_store().find_sessions_in_window(start, end, window.project)
    times = (np.asarray(table[name], dtype=np.int64) for name in ("last_ts", "ended_ts", "last_received_ms"))
    complete = pa.array(compute_due_ms(*times) <= time.time_ns() // 1_000_000)
    still = table.filter(pc.invert(complete))
    names = zip(still["project"].to_pylist(), still["session_id"].to_pylist(), strict=True)
    return Sessions(Counter(table.filter(complete)["project"].to_pylist()), frozenset(names))


def read_replay_events(window: Window, sessions: Sessions, tried: Configurations) -> Iterator[pa.Table]:
    """The events of the window's complete sessions that could hold a detection and whose configuration differs.

    In batches of whole sessions, sized for the engine; the next batch is read while the caller works on one. Raises the errors
    of the event store; batches before an error are complete.
    """
    projects = [name for name in sessions.complete if tried.has_new_config(name)]
    if not projects:
        return
    only = projects[0] if len(projects) == 1 else window.project
    for table in connections.event_store().replay_sessions(*_window_span_ms(window), only):
        wanted = pc.is_in(table["project"].cast(pa.string()), pa.array(projects, pa.string()))
        yield _exclude_sessions(table.filter(wanted), sessions.open)


@task(name="compare configurations", **POLICY)
def compare_configurations(events: pa.Table, tried: Configurations) -> Differences:
    """Analyse whole sessions with both configurations; writes nothing.

    Sessions that make the engine fail with either configuration are counted, not compared.
    """
    projects = pc.unique(events["project"].cast(pa.string())).to_pylist()
    history = read_project_history(connections.event_store(), projects, time.time_ns() // 1_000_000)
    now, then = (ufse.detect_each(events, config, history=history) for config in (tried.present, tried.new))
    failed = {_session_key(error) for answer in (now, then) for error in answer.errors}
    before, after = (_detection_bodies(answer, failed) for answer in (now, then))
    count = events.group_by(["project", "session_id"]).aggregate([]).num_rows
    found = Differences(count - len(failed), len(failed), len(before), len(after))
    pairs = _pair_detections(before, after)
    gone = [old for old, new in pairs if old is not None and new is None]
    silent = _explain_silence(events, gone, tried.new, history)
    emitted: dict[tuple[str, str], list[Detection]] = defaultdict(list)
    for body in after:
        emitted[_session_key(body)].append(body)
    for old, new in pairs:
        if old is None and new is not None:
            found.add_difference(_appearing_difference(new))
        elif old is not None and new is None:
            found.add_difference(
                _vanished_difference(old, silent.get(_session_key(old), ()), emitted[_session_key(old)])
            )
        elif old is not None and new is not None and _score_and_points(old) != _score_and_points(new):
            found.add_difference(_changed_difference(old, new))
    return found


def build_replay_result(
    window: Window, tried: Configurations, counts: Mapping[str, int], found: Differences
) -> ReplayResult:
    """The whole result for programs."""
    details = {kind: [difference.details for difference in found.examples_of_kind(kind)] for kind in WOULD}
    points = found.points_by_frequency()
    return {
        "window": {"start": window.start.isoformat(), "end": window.end.isoformat()},
        "project": window.project,
        "configurations": tried.config_digests(),
        "counts": dict(counts),
        "rules": dict(found.rules.most_common()),
        "failurePoints": [
            {"projectId": project, "primaryFailurePoint": point, **{kind: by_kind[kind] for kind in WOULD}}
            for project, point, by_kind in points[:MOST_POINTS]
        ],
        "appears": details["appears"],
        "vanishes": details["vanishes"],
        "changes": details["changes"],
    }


def publish_replay_result(result: ReplayResult) -> None:
    """Attach the result to the run, for ``furrow evaluate --replay … --json`` and other clients of Prefect's API."""
    try:
        Artifact(type="json", data=dict(result), description="The result, for programs").create()
    except Exception:
        # The artifact for people holds the same.
        count_degraded("replay", "artifact")
        _log.exception("the result of this run could not be written")


def _window_span_ms(window: Window) -> tuple[int, int]:
    start, end = (round(at.timestamp() * 1000) for at in (window.start, window.end))
    return start, end


def _exclude_sessions(events: pa.Table, left_out: Collection[tuple[str, str]]) -> pa.Table:
    if not left_out:
        return events
    names = pa.array(sorted({session_id for _, session_id in left_out}), pa.string())
    suspect = pc.is_in(events["session_id"].cast(pa.string()), names).to_numpy()
    # Few rows: the sessions of this moment, and those of other projects that have their ids.
    rows = np.flatnonzero(suspect)
    some = events.select(["project", "session_id"]).take(pa.array(rows))
    keys = zip(some["project"].to_pylist(), some["session_id"].to_pylist(), strict=True)
    keep = np.ones(events.num_rows, dtype=np.bool_)
    keep[rows] = [key not in left_out for key in keys]
    return events.filter(pa.array(keep))


def _config_of_project(configs: Mapping[str, Config], project: str) -> Config:
    return configs.get(project, configs.get("", DEFAULT))


def _session_key(body: Mapping[str, object]) -> tuple[str, str]:
    return str(body["projectId"]), str(body["sessionId"])


def _detection_bodies(found: ufse.Result, failed: set[tuple[str, str]]) -> list[Detection]:
    bodies = (detection.to_json() for detection in found.detections)
    return [body for body in bodies if _session_key(body) not in failed]


def _pair_detections(
    before: Sequence[Detection], after: Sequence[Detection]
) -> list[tuple[Detection | None, Detection | None]]:
    """Pairs of detections before and after: the same id, else the same failure point in the same session (in another
    visit, if the configuration splits visits differently)."""
    exact = {(*_session_key(body), body["detectionId"]): body for body in after}
    matched = [(body, exact.pop((*_session_key(body), body["detectionId"]), None)) for body in before]
    left: dict[tuple[str, ...], list[Detection]] = defaultdict(list)
    for body in exact.values():
        left[(*_session_key(body), body["fingerprint"])].append(body)
    pairs: list[tuple[Detection | None, Detection | None]] = []
    for body, other in matched:
        same = left[(*_session_key(body), body["fingerprint"])] if other is None else []
        pairs.append((body, same.pop(0) if same else other))
    return pairs + [(None, body) for rest in left.values() for body in rest]


def _explain_silence(
    events: pa.Table, gone: Iterable[Detection], config: Mapping[str, Config], history: ufse.ProjectHistory
) -> dict[tuple[str, str], list[WhyNot]]:
    """Why the sessions of these detections have none with ``config``, by session, in order of visits."""
    names = pa.array(sorted({str(detection["sessionId"]) for detection in gone}), pa.string())
    part = events.filter(pc.is_in(events["session_id"].cast(pa.string()), names))
    found: dict[tuple[str, str], list[WhyNot]] = defaultdict(list)
    if part.num_rows:
        for silence in ufse.detect_each(part, config, why_not=True, history=history).why_not:
            body = silence.to_json()
            found[_session_key(body)].append(body)
    return found


def _score_and_points(body: Detection) -> tuple[int, list[PointsEntry]]:
    return body["frustrationScore"], body["points"]


def _appearing_difference(then: Detection) -> Difference:
    return _make_difference("appears", then, None, then)


def _changed_difference(now: Detection, then: Detection) -> Difference:
    before, after = ({point["rule"]: point["points"] for point in body["points"]} for body in (now, then))
    rules = [rule for rule in {**before, **after} if before.get(rule) != after.get(rule)]
    difference = _make_difference("changes", now, now, then)
    difference.details["points"] = [{"rule": rule, "now": before.get(rule), "then": after.get(rule)} for rule in rules]
    return difference


def _vanished_difference(now: Detection, silent: Sequence[WhyNot], emitted: Sequence[Detection]) -> Difference:
    rule, text = _vanishing_reason(now, silent, emitted)
    difference = _make_difference("vanishes", now, now, None)
    difference.details["rule"], difference.details["whyNot"] = rule, text
    return difference


def _vanishing_reason(now: Detection, silent: Sequence[WhyNot], emitted: Sequence[Detection]) -> tuple[str, str]:
    """The rule that stops a detection, and its text: for the failure point if the engine names it, else for the visit."""
    visits = [body for body in silent if body["visitId"] == now["visitId"]]
    point = now["primaryFailurePoint"]
    for candidate in (entry for visit in (*visits, *silent) for entry in visit["candidates"]):
        if candidate["failurePoint"] == point:
            return candidate["rule"], candidate["text"]
    if not visits and emitted:
        return "another_point", f"The engine reports another failure point: {emitted[0]['primaryFailurePoint']}."
    nearest = next(iter(visits or silent), None)
    return (
        (nearest["rule"], nearest["text"])
        if nearest
        else ("no_candidate", "The new configuration has no candidate in this session.")
    )


def _make_difference(kind: str, body: Detection, now: Detection | None, then: Detection | None) -> Difference:
    details: DifferenceDetails = {
        "projectId": body["projectId"],
        "sessionId": body["sessionId"],
        "detectionId": body["detectionId"],
        "fingerprint": body["fingerprint"],
        "primaryFailurePoint": body["primaryFailurePoint"],
        "timestamp": body["timestamp"],
        "scoreNow": now["frustrationScore"] if now is not None else None,
        "scoreThen": then["frustrationScore"] if then is not None else None,
        "explanation": (body if then is None else then)["explanation"],
    }
    return Difference(kind, body["projectId"], body["primaryFailurePoint"], details)


def _explain_difference(details: DifferenceDetails) -> str:
    if "whyNot" in details:
        return f"{details['rule']}: {details['whyNot']} Now: {details['explanation']}"
    if details.get("points"):
        return ", ".join(
            f"{point['rule']} {point['now'] or 0:+d} → {point['then'] or 0:+d}" for point in details["points"]
        )
    return details["explanation"]
