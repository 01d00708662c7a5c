"""The whole pipeline: events in, detections out (detection.md, Pipeline)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.attribution import Attribution, attribute
from ufse.config import DEFAULT, ENGINE_VERSION, Config
from ufse.correlate import EMITTED, Candidate, candidates, feedback_text, severity_type
from ufse.explain import (
    cell,
    event_ids,
    event_text,
    event_type,
    explanation,
    point_text,
    signal_text,
    stamp,
    target_text,
    timeline_rows,
)
from ufse.frame import Frame, build, coarse_negative
from ufse.patterns import clean, digest
from ufse.score import level
from ufse.sessions import INPUT, SUBMIT, Bools, Ints, Ordered, Visits, codes, order_events
from ufse.signals.confusion import confusion
from ufse.signals.rage import rage
from ufse.view import View

_BOT = re.compile(
    r"bot\b|bot[/;_-]|crawl|spider|slurp|headless|lighthouse|phantomjs|selenium|puppeteer|playwright|"
    r"webdriver|cypress|pingdom|uptime|gtmetrix|statuscake|site24x7|synthetic|monitor(ing)?\b|curl/|wget/|"
    r"python-|python/|java/|go-http|okhttp|axios/|node-fetch|libwww|scrapy|httpclient|facebookexternalhit|"
    r"preview|validator|archiver|feedfetcher",
    re.I,
)
_ASSISTIVE = re.compile(
    r"\b(nvda|jaws|voiceover|talkback|narrator|zoomtext|dragon|orca|chromevox|switch ?access)\b", re.I
)
_DECLARED = re.compile(
    r'"(assistive|assistive_?technology|(is_?)?screen_?reader|(is_?)?bot|webdriver|automated|synthetic)"'
    r'\s*:\s*(true|1\b|"(?!"|false|no|none|0")[^"]*")',
    re.I,
)


@dataclass(frozen=True)
class Detection:
    """One detection; ``body`` is its JSON (detection.md, "A detection carries") in a fixed order of keys."""

    body: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.body


@dataclass(frozen=True)
class WhyNot:
    """Why a visit gave no detection."""

    body: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.body


@dataclass(frozen=True)
class Result:
    """What a batch gave."""

    detections: list[Detection]
    """Ordered by project, timestamp, detection id."""
    why_not: list[WhyNot]
    """One per silent visit when asked for, ordered by project, session and visit start."""
    visits: Visits
    errors: list[dict[str, str]] = field(default_factory=list)
    """Client sessions whose analysis failed (projectId, sessionId, error); only ``detect_each`` fills it."""


def detect(events: pa.Table, config: Config | Mapping[str, Config] = DEFAULT, *, why_not: bool = False) -> Result:
    """Detects in whole client sessions; ``events`` has the columns of EVENT_SCHEMA, in any row order.

    A mapping gives each project its own configuration ('' is the default). Raises nothing for any values of
    those columns.
    """
    if isinstance(config, Config):
        return _detect(events, config, why_not)
    parts = [_detect(part, own, why_not) for own, part in _by_config(events, config)]
    if len(parts) == 1:
        return parts[0]
    return Result(
        sorted((d for p in parts for d in p.detections), key=_detection_key),
        sorted((w for p in parts for w in p.why_not), key=_why_key),
        order_events(events, config.get("", DEFAULT)).visits,
    )


def detect_each(events: pa.Table, config: Config | Mapping[str, Config] = DEFAULT, *, why_not: bool = False) -> Result:
    """Like ``detect``, but a client session that makes the engine fail is reported in ``errors`` and the
    others go on.

    The batch is halved until the failing sessions stand alone, so that a batch without one costs nothing
    more.
    """
    try:
        return detect(events, config, why_not=why_not)
    except Exception as error:
        keys = pa.table({n: events[n].cast(pa.string()) for n in ("project", "session_id")})
        names = (
            keys.group_by(["project", "session_id"], use_threads=False)
            .aggregate([])
            .sort_by([("project", "ascending"), ("session_id", "ascending")])
        )
        if names.num_rows <= 1:
            empty = events.slice(0, 0)
            name = names.to_pylist()[0] if names.num_rows else {"project": "", "session_id": ""}
            failed = {
                "projectId": name["project"],
                "sessionId": name["session_id"],
                "error": f"{type(error).__name__}: {error}",
            }
            return Result([], [], order_events(empty, DEFAULT).visits, [failed])
        left = names.slice(0, names.num_rows // 2).append_column("left", pa.array([True] * (names.num_rows // 2)))
        numbered = keys.append_column("row", pa.array(range(keys.num_rows)))
        joined = numbered.join(left, ["project", "session_id"]).sort_by("row")
        mask = joined["left"].is_valid()
        halves = [detect_each(events.filter(m), config, why_not=why_not) for m in (mask, pc.invert(mask))]
        return Result(
            sorted((d for h in halves for d in h.detections), key=_detection_key),
            sorted((w for h in halves for w in h.why_not), key=_why_key),
            _joined_visits([h.visits for h in halves]),
            [e for h in halves for e in h.errors],
        )


def _joined_visits(parts: list[Visits]) -> Visits:
    projects = sorted({p for v in parts for p in v.projects})
    sessions = sorted({s for v in parts for s in v.sessions})
    place_p, place_s = {p: i for i, p in enumerate(projects)}, {s: i for i, s in enumerate(sessions)}
    project = np.array([place_p[p] for v in parts for p in v.project], dtype=np.int64)
    session = np.array([place_s[s] for v in parts for s in v.session_id], dtype=np.int64)
    arrays = {
        n: np.concatenate([getattr(v, n) for v in parts])
        for n in ("start_ms", "end_ms", "events", "late_events", "truncated")
    }
    order = np.lexsort((arrays["start_ms"], session, project))
    return Visits(projects, sessions, project[order], session[order], **{n: a[order] for n, a in arrays.items()})


def _by_config(events: pa.Table, config: Mapping[str, Config]) -> Iterator[tuple[Config, pa.Table]]:
    projects = sorted(t or "" for t in pc.unique(events["project"].cast(pa.string())).to_pylist())
    groups: dict[Config, list[str]] = {}
    for project in projects:
        groups.setdefault(config.get(project, config.get("", DEFAULT)), []).append(project)
    if len(groups) <= 1:
        yield next(iter(groups), config.get("", DEFAULT)), events
        return
    column = events["project"].cast(pa.string()).fill_null("")
    for own, names in groups.items():
        yield own, events.filter(pc.is_in(column, pa.array(names)))


def _detection_key(detection: Detection) -> tuple[str, str, str]:
    body = detection.body
    return str(body["projectId"]), str(body["timestamp"]), str(body["detectionId"])


def _why_key(why: WhyNot) -> tuple[str, str, str]:
    body = why.body
    return str(body["projectId"]), str(body["sessionId"]), str(body["visitStart"])


def _detect(events: pa.Table, config: Config, why_not: bool) -> Result:
    ordered = order_events(events, config)
    negative = coarse_negative(ordered, config)
    hot = np.zeros(len(ordered.visits), dtype=np.bool_)
    hot[ordered.visit[negative]] = True
    run = _Run(ordered, config, why_not)
    if hot.any():
        run.look(hot)
    if why_not:
        run.calm(hot)
    return Result(sorted(run.detections, key=_detection_key), sorted(run.why, key=_why_key), ordered.visits)


class _Run:
    """One pass over a batch; gathers detections and why-not traces."""

    def __init__(self, ordered: Ordered, config: Config, why_not: bool) -> None:
        self.ordered, self.config, self.why_not = ordered, config, why_not
        self.detections: list[Detection] = []
        self.why: list[WhyNot] = []

    def look(self, hot: Bools) -> None:
        """The visits that hold anything negative."""
        ordered, config = self.ordered, self.config
        frame = build(ordered, hot[ordered.visit] & ordered.analysed, config)
        given = attribute(frame, config)
        raging, wandering = rage(frame, given, config), confusion(frame, given, config)
        bounds = np.flatnonzero(np.append(True, frame.visit[1:] != frame.visit[:-1]))
        ends = np.append(bounds[1:], len(frame))
        machine = _machines(frame)
        worth = _worth_judging(frame, given, raging, config) | self.why_not
        for low, high in zip(bounds[worth[bounds]].tolist(), ends[worth[bounds]].tolist(), strict=True):
            visit = int(frame.visit[low])
            if machine[low]:
                self._silent(visit, "bot", "A declared bot or assistive technology produces no incident.", [])
                continue
            view = View(
                frame, given, config, visit, low, high, raging.get(visit, ()), wandering.get(visit, ()),
                bool(ordered.visits.truncated[visit]),
            )  # fmt: skip
            self._judge(view)

    def calm(self, hot: Bools) -> None:
        """The visits that hold nothing negative."""
        for visit in np.flatnonzero(~hot).tolist():
            text = "No request failed, was rejected or was slow, and no error was raised."
            self._silent(visit, "no_negative_feedback", text, [])

    def _judge(self, view: View) -> None:
        found = candidates(view)
        passed = [c for c in found if c.rule == EMITTED]
        if passed and _declared_machine(view):
            self._silent(view.visit, "bot", "The events declare a bot or assistive technology.", [])
            return
        emitted: list[Candidate] = []
        for candidate in passed:
            if not any(_same_struggle(view, candidate, e, self.config) for e in emitted):
                emitted.append(candidate)
        self.detections += [self._detection(view, c) for c in emitted]
        if not emitted:
            self._explain_silence(view, found)

    def _explain_silence(self, view: View, found: list[Candidate]) -> None:
        if not self.why_not:
            return
        if not found:
            given, span = view.given, slice(view.low, view.high)
            if (given.background[span] & ~view.frame.noise[span]).any() and not (given.negative[span] > 0).any():
                rule, text = (
                    "background",
                    "The negative feedback also came without any action, or after unrelated ones.",
                )
            elif (given.negative[span] > 0).any():
                rule, text = "unattributed", "No negative feedback belongs to an action of the user."
            else:
                rule, text = (
                    "background",
                    "The only negative feedback is noise: aborted, media, extensions or repeats.",
                )
            self._silent(view.visit, rule, text, [])
            return
        nearest = max(found, key=lambda c: (c.score or -1, -c.failure))
        listed = [
            {"failurePoint": point_text(view, c), "rule": c.rule, "text": c.text, "score": c.score} for c in found[:20]
        ]
        self._silent(view.visit, nearest.rule, nearest.text, listed)

    def _silent(self, visit: int, rule: str, text: str, listed: list[dict[str, Any]]) -> None:
        if not self.why_not:
            return
        visits = self.ordered.visits
        self.why.append(
            WhyNot(
                {
                    "projectId": visits.projects[int(visits.project_code[visit])],
                    "sessionId": visits.sessions[int(visits.session_code[visit])],
                    "visitId": visits.id_of(visit),
                    "visitStart": stamp(int(visits.start_ms[visit])),
                    "rule": rule,
                    "text": text,
                    "candidates": listed,
                }
            )
        )

    def _detection(self, view: View, candidate: Candidate) -> Detection:
        visits, config = self.ordered.visits, self.config
        project = visits.projects[int(visits.project_code[view.visit])]
        session = visits.sessions[int(visits.session_code[view.visit])]
        visit_id = visits.id_of(view.visit)
        route, target = view.pattern_of(candidate.action), target_text(view, candidate.action)
        feedback = feedback_text(view, candidate.failure)
        fingerprint = digest(("failure", project, route, target, feedback))
        score = candidate.score or 0
        rows = timeline_rows(view, candidate, config.timeline_events)
        told = list(dict.fromkeys([*rows, *(r for s in candidate.signals for r in s.rows)]))
        ids = dict(zip(told, event_ids(view, told), strict=True))
        start = candidate.start
        return Detection(
            {
                "detectionId": digest(("detection", visit_id, fingerprint)),
                "projectId": project,
                "sessionId": session,
                "visitId": visit_id,
                "visitStart": stamp(int(visits.start_ms[view.visit])),
                "fingerprint": fingerprint,
                "failurePoint": {"route": route, "target": target, "feedback": feedback},
                "primaryFailurePoint": point_text(view, candidate),
                "frustrationScore": score,
                "confidenceLevel": level(score, config),
                "confidenceScore": score / 100,
                "severityType": severity_type(view, candidate.failure),
                "timestamp": stamp(start),
                "lastSeen": stamp(candidate.end),
                "triggeringSignals": [
                    {
                        "type": s.kind,
                        "start": stamp(s.start),
                        "end": stamp(s.end),
                        "route": view.pattern_of(s.action) if s.kind != "confusion" else view.pattern(s.row),
                        "target": target_text(view, s.action) if s.kind != "confusion" else "",
                        "count": s.count,
                        "text": signal_text(view, s, candidate),
                        "eventIds": [ids[r] for r in s.rows],
                    }
                    for s in candidate.signals
                ],
                "points": [{"rule": rule, "points": gained} for rule, gained in candidate.points],
                "explanation": explanation(view, candidate, config),
                "timeline": [
                    {
                        "eventId": ids[r],
                        "at": stamp(view.at(r)),
                        "offsetMs": view.at(r) - start,
                        "eventType": event_type(view, r),
                        "route": view.pattern(r),
                        "target": view.frame.targets[int(view.frame.target[r])].name,
                        "text": event_text(view, r),
                    }
                    for r in rows
                ],
                "endedFlow": bool(candidate.abandoned),
                "resolved": candidate.resolved,
                "context": {
                    "userHash": cell(view, "user_hash", candidate.failure),
                    "environment": clean(cell(view, "environment", candidate.failure)),
                    "appVersion": clean(cell(view, "app_version", candidate.failure)),
                    "userAgent": clean(cell(view, "user_agent", candidate.failure)),
                    "label": view.target_of(candidate.action).label,
                    "truncated": view.truncated,
                },
                "engineVersion": ENGINE_VERSION,
                "configHash": config.digest,
            }
        )


def _same_struggle(view: View, one: Candidate, other: Candidate, config: Config) -> bool:
    """Two failing actions of one flow at one time are one struggle; the earlier one is its failure point."""
    if view.flow_of(one.action) != view.flow_of(other.action):
        return False
    return max(one.start, other.start) - min(one.end, other.end) <= config.correlation_gap_ms


def _machines(frame: Frame) -> Bools:
    """Per event: whether its visit declares a bot or assistive technology in its user agent."""
    code, texts = _user_agents(frame)
    declared = np.array([bool(_BOT.search(t) or _ASSISTIVE.search(t)) for t in texts] or [False])
    by_visit = np.bincount(frame.visit, weights=declared[code]) > 0
    return np.asarray(by_visit[frame.visit], dtype=np.bool_)


def _user_agents(frame: Frame) -> tuple[Ints, list[str]]:
    return codes(frame.table, "user_agent")


def _declared_machine(view: View) -> bool:
    """Whether the metadata of a visit about to be emitted declare a bot or assistive technology."""
    column = view.frame.table["metadata"].slice(view.low, view.high - view.low)
    return any(_DECLARED.search(t) for t in set(column.to_pylist()) if t and len(t) > 2)


def _worth_judging(frame: Frame, given: Attribution, raging: Mapping[int, object], config: Config) -> Bools:
    """Per event: its visit has attributed negative feedback and something that could be a behavioural signal.

    Confusion alone cannot lift a failure to High, so it is not asked for here.
    """
    count = int(frame.visit[-1]) + 1
    struck = np.zeros(count, dtype=np.bool_)
    struck[frame.visit[given.attributed]] = True
    behaved = np.zeros(count, dtype=np.bool_)
    behaved[list(raging)] = True
    behaved[frame.visit[(frame.kind == INPUT) | (frame.kind == SUBMIT)]] = True
    rows = np.flatnonzero(given.meaningful)
    if len(rows):
        key = frame.visit[rows] * (int(given.action.max()) + 1) + given.action[rows]
        values, seen = np.unique(key, return_counts=True)
        behaved[values[seen > 1] // (int(given.action.max()) + 1)] = True
    return np.asarray((struck & behaved)[frame.visit], dtype=np.bool_)
