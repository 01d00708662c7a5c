"""What another configuration of the engine would say of stored sessions; nothing of it is stored.

The sessions of a window are analysed twice, with the configuration of now and with the new one, and the answers compared.
Sessions that wait for ``detect`` are compared too: both answers rest on the same events.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from prefect import task
from prefect.artifacts import Artifact

import ufse
from core.engine_settings import checked
from core.metrics import degraded
from tasks import connections
from tasks.backfill import Window
from tasks.enqueue import due_ms
from tasks.report import code, escape
from tasks.retrying import POLICY
from tasks.thresholds import engine_configs, thresholds_of
from ufse.config import DEFAULT, Config

WOULD: Final = {"appears": "appear", "vanishes": "vanish", "changes": "change their points"}
"""The kinds of differences, each with its verb."""
EXAMPLES: Final = 100
"""Detections of each kind that are named; the counts tell of all."""
EXAMPLES_OF_POINT: Final = 5
"""... of one failure point, so that a frequent one leaves room for the others."""
MOST_POINTS: Final = 1_000
"""Failure points that are named."""

_log = logging.getLogger("furrow.replay")

Body = Mapping[str, Any]
"""A detection or a why-not as the engine gives it."""


@dataclass(frozen=True)
class Configurations:
    """The engine's configurations by project ('' for those without one): those of now, and those to be tried."""

    present: Mapping[str, Config]
    new: Mapping[str, Config]

    def differs(self, project: str) -> bool:
        """Whether the new configuration of ``project`` is another one."""
        return _config(self.present, project).digest != _config(self.new, project).digest

    def digests(self) -> list[dict[str, str]]:
        """Every project's two digests, '' first."""
        return [
            {"project": name, "present": _config(self.present, name).digest, "new": _config(self.new, name).digest}
            for name in sorted({*self.present, *self.new})
        ]


@dataclass(frozen=True)
class Sessions:
    """The client sessions of a window: how many of each project are complete, and which may still go on."""

    complete: Mapping[str, int]
    open: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Difference:
    """One detection that appears, vanishes or changes, with the failure point under which it is counted."""

    kind: str
    project: str
    point: str
    told: dict[str, Any]
    """For programs and for the artifact: JSON values alone."""

    def line(self) -> str:
        """For the artifact."""
        told = self.told
        scores = " → ".join(f"{score}" for score in (told["scoreNow"], told["scoreThen"]) if score is not None)
        who = f"{escape(self.project)}, {code(told['sessionId'])}"
        return f"**{scores}** {escape(self.point)} ({who}): {escape(_why(told))}"


@dataclass
class Differences:
    """What differs over the sessions that were compared so far."""

    sessions: int = 0
    failed: int = 0
    now: int = 0
    then: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    points: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: list[Difference] = field(default_factory=list)

    def add(self, one: Difference) -> None:
        """Count one difference, and keep it as an example while there is room."""
        self.kinds[one.kind] += 1
        counted = self.points[one.project, one.point]
        counted[one.kind] += 1
        if one.kind == "vanishes":
            self.rules[one.told["rule"]] += 1
        kept = sum(example.kind == one.kind for example in self.examples)
        if kept < EXAMPLES and counted[one.kind] <= EXAMPLES_OF_POINT:
            self.examples.append(one)

    def merge(self, more: "Differences") -> None:
        """Add those of another batch of sessions."""
        self.sessions, self.failed = self.sessions + more.sessions, self.failed + more.failed
        self.now, self.then = self.now + more.now, self.then + more.then
        for one in more.examples:
            kept = sum(example.kind == one.kind for example in self.examples)
            known = self.points[one.project, one.point][one.kind]
            if kept < EXAMPLES and known < EXAMPLES_OF_POINT:
                self.examples.append(one)
        self.kinds.update(more.kinds)
        self.rules.update(more.rules)
        for point, counts in more.points.items():
            self.points[point].update(counts)

    def of_kind(self, kind: str) -> list[Difference]:
        """The examples of one kind."""
        return [one for one in self.examples if one.kind == kind]

    def by_point(self) -> list[tuple[str, str, Counter[str]]]:
        """Project, failure point and counts, those with the most differences first."""
        order = sorted(self.points, key=lambda key: (-self.points[key].total(), key))
        return [(project, point, self.points[project, point]) for project, point in order]


@task(name="configurations", **POLICY)
def configurations(config: Mapping[str, Any]) -> Configurations:
    """What the projects have now, and that with ``config`` over it. Raises PermanentError for a bad ``config``."""
    present = engine_configs(thresholds_of(connections.incident_store()))
    return Configurations(present, checked(config, "the configuration").over(present))


@task(name="sessions of the window", **POLICY)
def sessions_of(window: Window) -> Sessions:
    """Which client sessions have an event in the window, and which of them may still go on."""
    start, end = _span(window)
    table = connections.event_store().sessions_in(start, end, window.project)
    times = (np.asarray(table[name], dtype=np.int64) for name in ("last_ts", "ended_ts", "last_received_ms"))
    complete = pa.array(due_ms(*times) <= time.time_ns() // 1_000_000)
    still = table.filter(pc.invert(complete))
    names = zip(still["project"].to_pylist(), still["session_id"].to_pylist(), strict=True)
    return Sessions(Counter(table.filter(complete)["project"].to_pylist()), frozenset(names))


def events_of(window: Window, sessions: Sessions, tried: Configurations) -> Iterator[pa.Table]:
    """The events of the window's complete sessions that could hold a detection and whose configuration differs.

    In batches of whole sessions, about as many events as suit the engine; the next one is read while the caller works.
    Raises the errors of the event store; what was given before them is whole.
    """
    projects = [name for name in sessions.complete if tried.differs(name)]
    if not projects:
        return
    only = projects[0] if len(projects) == 1 else window.project
    for table in connections.event_store().replay(*_span(window), only):
        wanted = pc.is_in(table["project"].cast(pa.string()), pa.array(projects, pa.string()))
        yield _without(table.filter(wanted), sessions.open)


@task(name="compare configurations", **POLICY)
def compare_configurations(events: pa.Table, tried: Configurations) -> Differences:
    """Analyse whole sessions with both configurations; writes nothing.

    Sessions over which the engine fails with one of the two are counted, and not compared.
    """
    now, then = (ufse.detect_each(events, config) for config in (tried.present, tried.new))
    failed = {_session(error) for one in (now, then) for error in one.errors}
    before, after = (_bodies(one, failed) for one in (now, then))
    count = events.group_by(["project", "session_id"]).aggregate([]).num_rows
    found = Differences(count - len(failed), len(failed), len(before), len(after))
    pairs = _pairs(before, after)
    gone = [one for one, other in pairs if one is not None and other is None]
    silent = _silent(events, gone, tried.new)
    emitted = defaultdict(list)
    for body in after:
        emitted[_session(body)].append(body)
    for one, other in pairs:
        if one is None and other is not None:
            found.add(_appears(other))
        elif one is not None and other is None:
            found.add(_vanishes(one, silent.get(_session(one), ()), emitted[_session(one)]))
        elif one is not None and other is not None and _told(one) != _told(other):
            found.add(_changes(one, other))
    return found


def result(window: Window, tried: Configurations, counts: Mapping[str, int], found: Differences) -> dict[str, Any]:
    """The whole result for programs, as JSON values; bounded by EXAMPLES and MOST_POINTS."""
    points = found.by_point()
    return {
        "window": {"start": window.start.isoformat(), "end": window.end.isoformat()},
        "project": window.project,
        "configurations": tried.digests(),
        "counts": dict(counts),
        "rules": dict(found.rules.most_common()),
        "failurePoints": [
            {"projectId": project, "primaryFailurePoint": point} | {kind: told[kind] for kind in WOULD}
            for project, point, told in points[:MOST_POINTS]
        ],
        **{kind: [one.told for one in found.of_kind(kind)] for kind in WOULD},
    }


def leave(told: dict[str, Any]) -> None:
    """Leave the result at the run, for ``furrow evaluate --replay … --json`` and others that read Prefect's API."""
    try:
        Artifact(type="json", data=told, description="The result, for programs").create()
    except Exception:
        # The artifact for people tells the same.
        degraded("replay", "artifact")
        _log.exception("the result of this run could not be written")


def _span(window: Window) -> tuple[int, int]:
    start, end = (round(at.timestamp() * 1000) for at in (window.start, window.end))
    return start, end


def _without(events: pa.Table, left_out: Collection[tuple[str, str]]) -> pa.Table:
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


def _config(configs: Mapping[str, Config], project: str) -> Config:
    return configs.get(project, configs.get("", DEFAULT))


def _session(body: Mapping[str, Any]) -> tuple[str, str]:
    return str(body["projectId"]), str(body["sessionId"])


def _bodies(found: ufse.Result, failed: set[tuple[str, str]]) -> list[Body]:
    return [body for one in found.detections if _session(body := one.to_json()) not in failed]


def _pairs(before: Sequence[Body], after: Sequence[Body]) -> list[tuple[Body | None, Body | None]]:
    """What belongs together: the same detection, else the same failure point in the same session (of another visit,
    when the configuration cuts visits differently)."""
    exact = {(*_session(one), one["detectionId"]): one for one in after}
    matched = [(one, exact.pop((*_session(one), one["detectionId"]), None)) for one in before]
    left: dict[tuple[str, ...], list[Body]] = defaultdict(list)
    for one in exact.values():
        left[(*_session(one), one["fingerprint"])].append(one)
    pairs: list[tuple[Body | None, Body | None]] = []
    for one, other in matched:
        same = left[(*_session(one), one["fingerprint"])] if other is None else []
        pairs.append((one, same.pop(0) if same else other))
    return pairs + [(None, one) for rest in left.values() for one in rest]


def _silent(events: pa.Table, gone: Iterable[Body], config: Mapping[str, Config]) -> dict[tuple[str, str], list[Body]]:
    """Why the sessions of these detections are silent with ``config``; by session, in order of the visits."""
    names = pa.array(sorted({str(one["sessionId"]) for one in gone}), pa.string())
    part = events.filter(pc.is_in(events["session_id"].cast(pa.string()), names))
    found: dict[tuple[str, str], list[Body]] = defaultdict(list)
    if part.num_rows:
        for one in ufse.detect_each(part, config, why_not=True).why_not:
            body = one.to_json()
            found[_session(body)].append(body)
    return found


def _told(body: Body) -> tuple[Any, Any]:
    return body["frustrationScore"], body["points"]


def _appears(then: Body) -> Difference:
    return _difference("appears", then, None, then)


def _changes(now: Body, then: Body) -> Difference:
    before, after = ({one["rule"]: one["points"] for one in body["points"]} for body in (now, then))
    rules = [rule for rule in {**before, **after} if before.get(rule) != after.get(rule)]
    points = [{"rule": rule, "now": before.get(rule), "then": after.get(rule)} for rule in rules]
    return _difference("changes", now, now, then, {"points": points})


def _vanishes(now: Body, silent: Sequence[Body], emitted: Sequence[Body]) -> Difference:
    rule, text = _reason(now, silent, emitted)
    return _difference("vanishes", now, now, None, {"rule": rule, "whyNot": text})


def _reason(now: Body, silent: Sequence[Body], emitted: Sequence[Body]) -> tuple[str, str]:
    """The rule that stops a detection, and its words: the engine's own for its failure point, else for its visit."""
    visits = [one for one in silent if one["visitId"] == now["visitId"]]
    point = now["primaryFailurePoint"]
    for candidate in (one for visit in (*visits, *silent) for one in visit["candidates"]):
        if candidate["failurePoint"] == point:
            return candidate["rule"], candidate["text"]
    if not visits and emitted:
        return "another_point", f"The struggle is told at another failure point: {emitted[0]['primaryFailurePoint']}."
    one = next(iter(visits or silent), None)
    return (one["rule"], one["text"]) if one else ("no_candidate", "Nothing of it is a candidate any more.")


def _difference(
    kind: str, body: Body, now: Body | None, then: Body | None, more: Mapping[str, Any] | None = None
) -> Difference:
    told = {
        "projectId": body["projectId"],
        "sessionId": body["sessionId"],
        "detectionId": body["detectionId"],
        "fingerprint": body["fingerprint"],
        "primaryFailurePoint": body["primaryFailurePoint"],
        "timestamp": body["timestamp"],
        "scoreNow": now["frustrationScore"] if now is not None else None,
        "scoreThen": then["frustrationScore"] if then is not None else None,
        "explanation": (body if then is None else then)["explanation"],
        **(more or {}),
    }
    return Difference(kind, str(body["projectId"]), str(body["primaryFailurePoint"]), told)


def _why(told: Mapping[str, Any]) -> str:
    if "whyNot" in told:
        return f"{told['rule']}: {told['whyNot']} Now: {told['explanation']}"
    if told.get("points"):
        return ", ".join(f"{one['rule']} {one['now'] or 0:+d} → {one['then'] or 0:+d}" for one in told["points"])
    return str(told["explanation"])
