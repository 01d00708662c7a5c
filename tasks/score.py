"""Run the engine over the client sessions that are due."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pyarrow as pa
from prefect import task

import ufse
from stores.events.event_history import ObservedSession, read_project_history, record_observed
from stores.events.event_store import SESSION_COLUMNS
from stores.incidents.incident_store import AnalysedSession, PendingSession
from tasks import connections
from tasks.project_routes import learn_project_routes
from tasks.retrying import POLICY
from tasks.stopping import raise_if_stopped
from tasks.thresholds import engine_configs, read_project_thresholds
from ufse.detection import Detection, WhyNot


@dataclass
class Scored:
    """The engine's result for a batch of client sessions."""

    analysed: list[AnalysedSession] = field(default_factory=list)
    poisoned: list[tuple[PendingSession, str]] = field(default_factory=list)
    visits: int = 0
    events: int = 0
    late_events: int = 0
    silent: Counter[str] = field(default_factory=Counter)

    @property
    def detections(self) -> int:
        """Detections in the whole batch."""
        return sum(len(session.detections) for session in self.analysed)


@task(name="due sessions", **POLICY)
def read_due_sessions(limit: int, shard: int = 0, shards: int = 1) -> list[PendingSession]:
    """The client sessions of this shard that are complete now, those that have waited longest first."""
    return connections.incident_store().queue.find_due_sessions(int(time.time() * 1000), limit, shard, shards)


@task(name="count due sessions", **POLICY)
def count_due_sessions() -> int:
    """How many client sessions are complete now and wait, of all shards."""
    return connections.incident_store().queue.count_pending_sessions(int(time.time() * 1000))["due"]


@task(name="score", **POLICY)
def score_sessions(pending: Sequence[PendingSession], note: bool = True, last_received_ms: int | None = None) -> Scored:
    """Run UFSE over these client sessions. Those that can hold no detection never leave ClickHouse.

    The others come in batches of bounded size, so that memory does not follow how long sessions are. A session over which
    the engine fails does not take the others with it: it is returned with the reason. Without
    ``note`` nothing is written about the sessions, and those that stay in ClickHouse are not counted.
    ``last_received_ms``: nothing of them is known to have been received later, so that nothing later is read.
    """
    store = connections.event_store()
    config = engine_configs(read_project_thresholds(connections.incident_store()))
    hashes = [session.session_hash for session in pending]
    first = store.find_first_receipt(hashes, min(session.received_ms for session in pending))
    since = store.find_oldest_receipt()
    now_us = time.time_ns() // 1000
    scored = Scored(visits=store.record_calm_sessions(hashes, first, now_us, last_received_ms) if note else 0)
    # Read once: all sessions of these batches are judged with the same history, which holds none of their new events.
    history = read_project_history(store, [session.project for session in pending], now_us // 1000)
    history = replace(history, routes=learn_project_routes(pending, first, last_received_ms))
    found: dict[tuple[str, str], Answer] = {}
    for batch in store.plan_batches(hashes, first, last_received_ms):
        raise_if_stopped()
        table = store.read_candidate_events(batch.hashes, batch.first_received_ms, batch.last_received_ms)
        result = ufse.detect_each(table, config, why_not=True, history=history, observe=note)
        answers = answers_by_session(result)
        spans = session_spans(table)
        for key, first_ms in zip(spans.keys, spans.table["received_ms_min"].to_pylist(), strict=True):
            answers[key].first_ms = first_ms
        scored.events += table.num_rows
        scored.visits += len(result.visits)
        scored.late_events += int(result.visits.late_events.sum())
        scored.silent.update(rule for answer in answers.values() for rule in answer.rules)
        if note:
            store.record_analysed_sessions(_session_rows(spans, pending, answers, now_us))
            record_observed(store, result.observed, _list_observed_sessions(spans, pending), now_us)
        found.update(answers)
    for session in pending:
        answer = found.get((session.project, session.session_id), Answer())
        if answer.error:
            scored.poisoned.append((session, answer.error))
        else:
            scored.analysed.append(_build_analysed_session(session, answer, since, first))
    return scored


@dataclass
class Answer:
    """The engine's result for one client session."""

    detections: list[Detection] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    silences: list[WhyNot] = field(default_factory=list)
    visits: int = 0
    late_events: int = 0
    first_ms: int = 0
    error: str = ""


def _build_analysed_session(session: PendingSession, answer: Answer, since_ms: int, read_ms: int) -> AnalysedSession:
    return AnalysedSession(
        session,
        tuple(answer.detections),
        answer.visits,
        since_ms,
        answer.first_ms,
        rules=tuple(answer.rules),
        read_since_ms=read_ms,
        silences=tuple(answer.silences),
    )


def answers_by_session(result: ufse.Result) -> dict[tuple[str, str], Answer]:
    """The engine's result by (project, session id)."""
    answers: dict[tuple[str, str], Answer] = defaultdict(Answer)
    for detection in result.detections:
        body = detection.to_json()
        answers[body["projectId"], body["sessionId"]].detections.append(body)
    for silent in result.why_not:
        why_not = silent.to_json()
        if why_not["rule"] != _CALM:
            answers[why_not["projectId"], why_not["sessionId"]].rules.append(why_not["rule"])
            answers[why_not["projectId"], why_not["sessionId"]].silences.append(why_not)
    visits = result.visits
    for project, session_id, late in zip(visits.project, visits.session_id, visits.late_events.tolist(), strict=True):
        answers[project, session_id].visits += 1
        answers[project, session_id].late_events += late
    for failure in result.errors:
        answers[failure["projectId"], failure["sessionId"]].error = failure["error"]
    return answers


# The engine's word for a visit without feedback: it came along for late events or actions without answers, and is no near miss.
_CALM = "no_negative_feedback"


class Spans(NamedTuple):
    """Client sessions (project, session id), and in the same order their number of events, first receipt, first and last
    time (ms)."""

    keys: list[tuple[str, str]]
    table: pa.Table


def session_spans(events: pa.Table) -> Spans:
    """The spans of the client sessions in a table of events."""
    table = events.group_by(["project", "session_id"]).aggregate(
        [("ts", "count"), ("received_ms", "min"), ("ts", "min"), ("ts", "max")]
    )
    return Spans(list(zip(table["project"].to_pylist(), table["session_id"].to_pylist(), strict=True)), table)


def _list_observed_sessions(found: Spans, pending: Sequence[PendingSession]) -> list[ObservedSession]:
    """The client sessions that the engine has seen, for the table ``session_history``."""
    hashes = {(session.project, session.session_id): session.session_hash for session in pending}
    first = found.table["received_ms_min"].to_pylist()
    return [
        ObservedSession(project, session_id, hashes[project, session_id], received_ms)
        for (project, session_id), received_ms in zip(found.keys, first, strict=True)
    ]


def _session_rows(
    found: Spans, pending: Sequence[PendingSession], answers: dict[tuple[str, str], Answer], analysed_us: int
) -> pa.Table:
    """Rows of the table ``sessions`` for the client sessions that the engine has seen."""
    keys, spans = found
    hashes = {(session.project, session.session_id): session.session_hash for session in pending}
    seen = [answers.get(key, Answer()) for key in keys]
    columns = {
        "project": spans["project"],
        "session_id": spans["session_id"],
        "session_hash": pa.array([hashes[key] for key in keys], pa.uint64()),
        "visits": [answer.visits for answer in seen],
        "events": spans["ts_count"],
        "late_events": [answer.late_events for answer in seen],
        "first_received_ms": spans["received_ms_min"],
        "first_ts": spans["ts_min"],
        "last_ts": spans["ts_max"],
        "detections": [len(answer.detections) for answer in seen],
        "rules": pa.array([answer.rules for answer in seen], pa.list_(pa.string())),
        "analysed_us": [analysed_us] * len(keys),
    }
    return pa.Table.from_pydict(columns).cast(SESSION_COLUMNS)
